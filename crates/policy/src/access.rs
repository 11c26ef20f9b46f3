//! What a principal may ask for.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::denial::Denial;
use crate::principal::Principal;

const PATTERNS_MAX: usize = 256;
const PATTERN_BYTES_MAX: usize = 128;

/// The models that a key may use, as patterns: an exact id, or one with `*` at its start, its end, or both
/// (`claude-haiku-*`, `*-5-5`, `*sonnet*`). An empty list allows every model. Case matters.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(try_from = "Vec<String>", into = "Vec<String>")]
pub struct Models(Vec<String>);

/// Why a list of model patterns is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadPattern {
    /// More patterns than anyone can review.
    #[error("more than {PATTERNS_MAX} model patterns")]
    TooMany,
    /// An empty pattern, an over-long one, or one with blanks or characters outside printable ASCII.
    #[error("a model pattern has 1 to {PATTERN_BYTES_MAX} printable characters without blanks")]
    Text,
    /// A `*` inside the pattern.
    #[error("model pattern `{0}`: `*` may stand only at the start or the end")]
    InnerStar(String),
}

impl Models {
    /// Checks the patterns.
    ///
    /// # Errors
    /// [`BadPattern`] for the first one that is not allowed.
    pub fn new(patterns: Vec<String>) -> Result<Self, BadPattern> {
        if patterns.len() > PATTERNS_MAX {
            return Err(BadPattern::TooMany);
        }
        for pattern in &patterns {
            let fits = (1..=PATTERN_BYTES_MAX).contains(&pattern.len());
            if !fits || !pattern.bytes().all(|byte| byte.is_ascii_graphic()) {
                return Err(BadPattern::Text);
            }
            if split(pattern).1.contains('*') {
                return Err(BadPattern::InnerStar(pattern.clone()));
            }
        }
        Ok(Self(patterns))
    }

    /// Whether every model is allowed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The patterns, in the order given.
    #[must_use]
    pub fn patterns(&self) -> &[String] {
        &self.0
    }

    /// Whether this model may be used.
    #[must_use]
    pub fn allows(&self, model: &str) -> bool {
        self.is_empty() || self.0.iter().any(|pattern| matches(pattern, model))
    }
}

/// The patterns, comma separated; `all` when there are none.
impl fmt::Display for Models {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return formatter.pad("all");
        }
        formatter.pad(&self.0.join(", "))
    }
}

impl TryFrom<Vec<String>> for Models {
    type Error = BadPattern;
    fn try_from(patterns: Vec<String>) -> Result<Self, BadPattern> {
        Self::new(patterns)
    }
}

impl From<Models> for Vec<String> {
    fn from(models: Models) -> Self {
        models.0
    }
}

/// A pattern without its outer stars, and whether it had one in front and behind.
fn split(pattern: &str) -> (bool, &str, bool) {
    let (front, rest) = pattern
        .strip_prefix('*')
        .map_or((false, pattern), |rest| (true, rest));
    let (behind, core) = rest
        .strip_suffix('*')
        .map_or((false, rest), |core| (true, core));
    (front, core, behind)
}

fn matches(pattern: &str, model: &str) -> bool {
    match split(pattern) {
        (false, core, false) => model == core,
        (false, core, true) => model.starts_with(core),
        (true, core, false) => model.ends_with(core),
        (true, core, true) => model.contains(core),
    }
}

/// What is asked, as far as access depends on it.
#[derive(Debug, Clone, Copy)]
pub struct Ask<'a> {
    /// The stable label of the endpoint, as the wire room names it (`messages`, `count_tokens`, ...). A label that
    /// is not known here is denied.
    pub endpoint_label: &'static str,
    /// The model that the request names, if it names one.
    pub model: Option<&'a str>,
    /// Whether the configuration lets endpoints through that are neither read nor metered here.
    pub other_v1_allowed: bool,
}

/// The proof that a principal may make this request. Only [`judge`] makes one.
#[derive(Debug, Clone)]
pub struct Permit {
    principal: Principal,
}

impl Permit {
    /// Who was permitted.
    #[must_use]
    pub fn principal(&self) -> &Principal {
        &self.principal
    }
}

/// Decides whether the principal may make this request.
///
/// - `messages` and `count_tokens` need a model that the key allows.
/// - `models`, `model` and `hello` are open to every key; a single model is shown only if the key allows it.
/// - `files` and everything else under `/v1/` need the configuration's consent (`other_v1_allowed`). Batches and
///   unread endpoints may name any model out of our sight, so a key that is bound to some models may not use them.
/// - Whatever else is denied.
///
/// # Errors
/// The [`Denial`] that says which of these rules applied.
pub fn judge(principal: &Principal, ask: &Ask<'_>) -> Result<Permit, Denial> {
    let models = &principal.key().models;
    let endpoint = ask.endpoint_label;
    match endpoint {
        "messages" | "count_tokens" if ask.model.is_none() => return Err(Denial::ModelRequired),
        "messages" | "count_tokens" | "models" | "model" | "hello" => {}
        "batches" | "files" | "other" if !ask.other_v1_allowed => {
            return Err(Denial::EndpointNotAllowed { endpoint });
        }
        "batches" | "other" if !models.is_empty() => {
            return Err(Denial::ModelsUnverifiable { endpoint });
        }
        "batches" | "files" | "other" => {}
        _ => return Err(Denial::EndpointNotAllowed { endpoint }),
    }
    match ask.model {
        Some(model) if !models.allows(model) => Err(Denial::ModelNotAllowed {
            model: model.to_owned(),
        }),
        _ => Ok(Permit {
            principal: principal.clone(),
        }),
    }
}
