//! Decides which directives a request obeys: those of its header, else those in its prompt, else
//! those of the script.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use crate::api::Route;
use crate::call::Call;
use crate::directive::{BadDirective, Directives};
use crate::http::Head;
use crate::script::Script;

const HEADER: &str = "x-simulator";
const MAX_KEYS: usize = 10_000;

/// The directives of one request and their text.
#[derive(Debug, Default)]
pub(crate) struct Decision {
    pub(crate) directives: Directives,
    pub(crate) text: String,
}

pub(crate) type Decided = Result<Decision, BadDirective>;

/// How often directives with `times` were obeyed.
#[derive(Debug, Default)]
pub(crate) struct Repeats(Mutex<HashMap<String, u64>>);

/// The directives in the header `x-simulator`.
pub(crate) fn by_header(head: &Head, repeats: &Repeats) -> Option<Decided> {
    let texts: Vec<&str> = head.headers.all(HEADER).collect();
    (!texts.is_empty()).then(|| repeats.decide(&texts.join(";")))
}

/// The directives in the prompt of a Messages request, or those of the first rule that matches.
///
/// A request with a schema for its answer is one that a client makes on its own account, such as
/// that for the title of a conversation: it quotes the prompt, but the prompt is not meant for it.
pub(crate) fn by_content(
    head: &Head,
    route: Route<'_>,
    call: Option<&Call>,
    script: &Script,
    repeats: &Repeats,
) -> Option<Decided> {
    if route == Route::Messages
        && let Some(call) = call
        && call.schema.is_none()
        && let Some(found) = &call.prompt
    {
        return Some(found.clone().and_then(|text| repeats.decide(text.trim())));
    }
    let call = call.map(|call| (call.model.as_str(), call.stream));
    let text = script.directives(head, call)?;
    Some(repeats.decide(text))
}

impl Repeats {
    fn decide(&self, text: &str) -> Decided {
        let directives = Directives::parse(text)?;
        if let Some(times) = directives.times {
            let key = directives.key.as_deref().unwrap_or(text);
            if self.count(key) > times {
                return Ok(Decision::default());
            }
        }
        Ok(Decision { directives, text: text.to_owned() })
    }

    fn count(&self, key: &str) -> u64 {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if counts.len() >= MAX_KEYS && !counts.contains_key(key) {
            counts.clear();
        }
        let count = counts.entry(key.to_owned()).or_default();
        *count += 1;
        *count
    }
}
