//! What a principal may ask for.

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::denial::Denial;
use crate::price::model_id::ModelId;
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

    /// Whether this model may be used. Every character counts: what is spelled in another way is not allowed.
    #[must_use]
    pub fn allows(&self, model: &str) -> bool {
        self.is_empty() || self.0.iter().any(|pattern| matches(pattern, model))
    }

    /// Whether the use of this model is use of one of these: by its id, or by the plain name that its id leads to
    /// without platform, place, date and version, as in the price book. Case plays no part. For caps, which no spelling
    /// of a model may escape.
    #[must_use]
    pub fn covers(&self, model: &str) -> bool {
        if self.is_empty() {
            return true;
        }
        let id = lower(model);
        let name = ModelId::take_apart(&id).name;
        self.0
            .iter()
            .map(|pattern| lower(pattern))
            .any(|pattern| matches(&pattern, &id) || matches(&pattern, name))
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

/// The text in lower case.
fn lower(text: &str) -> Cow<'_, str> {
    if text.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return text.to_ascii_lowercase().into();
    }
    text.into()
}

/// A pattern without its outer stars, and whether it had one in front and behind.
fn split(pattern: &str) -> (bool, &str, bool) {
    let (front, rest) = pattern.strip_prefix('*').map_or((false, pattern), |rest| (true, rest));
    let (behind, core) = rest.strip_suffix('*').map_or((false, rest), |core| (true, core));
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
    /// The stable label of the endpoint, as the wire room names it (`messages`, `count_tokens`, ...). A
    /// label that is not known here is denied.
    pub endpoint_label: &'static str,
    /// The model that the request names, if it names one.
    pub model: Option<&'a str>,
    /// Further models that the request lets the upstream use in its place, or beside it.
    pub other_models: &'a [String],
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
/// - `models`, `model` and `hello` are open to every key; a single model is shown only if the key allows
///   it.
/// - `files` and everything else under `/v1/` need the configuration's consent (`other_v1_allowed`).
///   Batches and unread endpoints may name any model out of our sight, so a key that is bound to some
///   models may not use them.
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
    let mut named = ask.model.into_iter().chain(ask.other_models.iter().map(String::as_str));
    match named.find(|model| !models.allows(model)) {
        Some(model) => Err(Denial::ModelNotAllowed { model: model.to_owned() }),
        None => Ok(Permit { principal: principal.clone() }),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::credential::Pepper;
    use crate::id::KeyId;
    use crate::key::{KeyRecord, KeyState, identify};
    use crate::scope::Scope;
    use crate::unit::UnixMs;

    fn models(patterns: &[&str]) -> Result<Models, BadPattern> {
        Models::new(patterns.iter().map(|pattern| (*pattern).to_owned()).collect())
    }

    fn principal(patterns: &[&str]) -> Principal {
        let record = KeyRecord {
            id: KeyId::new(UnixMs(0), [1; 10]),
            digest: Pepper::new([7; 32]).digest(b"presented"),
            hint: String::new(),
            scope: Scope::team("platform".parse().unwrap()),
            models: models(patterns).unwrap(),
            created_at: UnixMs(0),
            expires_at: None,
            state: KeyState::Active,
            rotated_from: None,
            first: None,
            note: None,
        };
        identify(&Arc::new(record), UnixMs(0)).unwrap()
    }

    #[test]
    fn patterns_allow_exactly_what_they_say() {
        let rows: &[(&[&str], &str, bool)] = &[
            (&[], "anything", true),
            (&["claude-opus-5"], "claude-opus-5", true),
            (&["claude-opus-5"], "claude-opus-5-5", false),
            (&["claude-opus-5"], "Claude-Opus-5", false),
            (&["claude-opus-5"], "claude-opus-5 ", false),
            (&["claude-haiku-*"], "claude-haiku-5-5", true),
            (&["claude-haiku-*"], "claude-haiku-", true),
            (&["claude-haiku-*"], "us.anthropic.claude-haiku-5-5", false),
            (&["*haiku-5-5"], "us.anthropic.claude-haiku-5-5", true),
            (&["*haiku-5-5"], "claude-haiku-5-5[1m]", false),
            (&["*haiku*"], "claude-haiku-5-5[1m]", true),
            (&["*haiku*"], "claude-sonnet-5", false),
            (&["*"], "", true),
            (&["a", "b*"], "beta", true),
            (&["a", "b*"], "alpha", false),
        ];
        for (patterns, model, expected) in rows {
            assert_eq!(models(patterns).unwrap().allows(model), *expected, "{patterns:?} {model:?}");
        }
    }

    #[test]
    fn no_spelling_of_a_model_escapes_a_cap() {
        let rows: &[(&[&str], &str, bool)] = &[
            (&[], "anything", true),
            (&["claude-opus-4-5"], "claude-opus-4-5", true),
            (&["claude-opus-4-5"], "Claude-OPUS-4-5", true),
            (&["Claude-Opus-*"], "claude-opus-4-5", true),
            (&["claude-opus-*"], "us.anthropic.claude-opus-4-5-20251101-v1:0", true),
            (&["claude-opus-4-5"], "anthropic.claude-opus-4-5-20251101-v1:0", true),
            (&["claude-opus-4-5"], "US.Anthropic.Claude-Opus-4-5-v1:0", true),
            (&["claude-opus-4-5"], "claude-opus-4-5@20251101", true),
            (&["*opus-4-5"], "claude-opus-4-5[1m]", true),
            (&["claude-opus-4-5"], "projects/p/publishers/anthropic/models/claude-opus-4-5", true),
            // One spelling alone, where the pattern says so.
            (&["us.anthropic.*"], "us.anthropic.claude-opus-4-5", true),
            (&["us.anthropic.*"], "eu.anthropic.claude-opus-4-5", false),
            (&["claude-opus-4-5-20251101"], "claude-opus-4-5", false),
            (&["claude-opus-4-5"], "us.anthropic.claude-opus-5", false),
            (&["claude-opus-4"], "claude-opus-4-5", false),
        ];
        for (patterns, model, expected) in rows {
            assert_eq!(models(patterns).unwrap().covers(model), *expected, "{patterns:?} {model:?}");
        }
    }

    #[test]
    fn patterns_that_mislead_are_refused() {
        let long = "x".repeat(PATTERN_BYTES_MAX + 1);
        let rows = [
            ("", BadPattern::Text),
            ("claude opus", BadPattern::Text),
            ("claude-opus\n", BadPattern::Text),
            ("cl\u{e4}ude", BadPattern::Text),
            (&long, BadPattern::Text),
            ("claude-*-5", BadPattern::InnerStar("claude-*-5".to_owned())),
            ("***", BadPattern::InnerStar("***".to_owned())),
        ];
        for (pattern, expected) in rows {
            assert_eq!(models(&[pattern]), Err(expected), "{pattern:?}");
        }
        assert_eq!(models(&["a"; PATTERNS_MAX + 1]), Err(BadPattern::TooMany));
        assert!(serde_json::from_str::<Models>(r#"["claude-*-5"]"#).is_err());
    }

    #[test]
    fn a_model_in_reserve_needs_leave_like_the_first() {
        let other_models = ["claude-opus-5".to_owned()];
        let ask = |other_models| Ask {
            endpoint_label: "messages",
            model: Some("claude-haiku-5-5"),
            other_models,
            other_v1_allowed: false,
        };
        let haiku = principal(&["*haiku*"]);
        assert!(judge(&haiku, &ask(&[])).is_ok());
        let denial = judge(&haiku, &ask(&other_models)).unwrap_err();
        assert_eq!(denial, Denial::ModelNotAllowed { model: "claude-opus-5".to_owned() });
    }

    #[test]
    fn every_endpoint_has_its_rule_and_a_new_one_is_denied() {
        let model_not_allowed = Denial::ModelNotAllowed { model: "claude-opus-5".to_owned() };
        let not_allowed = |endpoint| Err(Denial::EndpointNotAllowed { endpoint });
        let unverifiable = |endpoint| Err(Denial::ModelsUnverifiable { endpoint });
        let (all, haiku): (&[&str], &[&str]) = (&[], &["*haiku*"]);
        let (opus, no_model) = (Some("claude-opus-5"), None);
        let (open, shut) = (true, false);
        let rows = [
            (all, "messages", opus, shut, Ok(())),
            (haiku, "messages", opus, open, Err(model_not_allowed.clone())),
            (haiku, "messages", Some("claude-haiku-5-5"), shut, Ok(())),
            (all, "messages", no_model, open, Err(Denial::ModelRequired)),
            (haiku, "messages", no_model, open, Err(Denial::ModelRequired)),
            (haiku, "count_tokens", opus, open, Err(model_not_allowed.clone())),
            (all, "count_tokens", no_model, open, Err(Denial::ModelRequired)),
            (haiku, "models", no_model, shut, Ok(())),
            (haiku, "model", opus, shut, Err(model_not_allowed)),
            (haiku, "hello", no_model, shut, Ok(())),
            (all, "batches", no_model, open, Ok(())),
            (all, "batches", no_model, shut, not_allowed("batches")),
            (haiku, "batches", no_model, open, unverifiable("batches")),
            (haiku, "files", no_model, open, Ok(())),
            (all, "files", no_model, shut, not_allowed("files")),
            (all, "other", no_model, open, Ok(())),
            (all, "other", no_model, shut, not_allowed("other")),
            (haiku, "other", no_model, open, unverifiable("other")),
            (all, "unknown", no_model, open, not_allowed("unknown")),
            (all, "an_endpoint_of_next_year", opus, open, not_allowed("an_endpoint_of_next_year")),
        ];
        for (patterns, endpoint_label, model, other_v1_allowed, expected) in rows {
            let principal = principal(patterns);
            let ask = Ask { endpoint_label, model, other_models: &[], other_v1_allowed };
            let found = judge(&principal, &ask).map(|permit| {
                assert_eq!(permit.principal().key().id, principal.key().id);
            });
            assert_eq!(found, expected, "{patterns:?} {ask:?}");
        }
    }
}
