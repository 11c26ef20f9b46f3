//! What holds of the headers that a gateway sends upstream, whatever the product.

use super::{Kind, Notes, rules, text::secret_cure};
use tollgate_config::problem::{Place, secrets};
use tollgate_wire::header::{Action, request_action};

/// The headers in which clients present their credential.
pub(super) const CREDENTIALS: [&str; 2] = ["authorization", "x-api-key"];

/// What a gateway sets a header of its requests upstream to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Set<'a> {
    pub(super) kind: Kind,
    /// The name, in any case.
    pub(super) name: &'a str,
    /// The value, as the product's language has it, without its quotes. Empty where the header is removed.
    pub(super) value: &'a str,
    pub(super) place: Place,
    /// How the header of the client is kept in this product.
    pub(super) keep: &'a str,
    /// How an API key is set in this product.
    pub(super) api_key: &'a str,
}

/// Looks at one header that is set.
pub(super) fn judge(set: &Set<'_>, notes: &mut Notes<'_>) {
    let name = set.name.to_ascii_lowercase();
    if is_open(&name) && !refers(set.value) {
        let says = if set.value.is_empty() {
            format!("`{name}` is taken away from requests")
        } else {
            format!("`{name}` is the same for all requests, whatever the client sent")
        };
        notes.add(&rules::VERSION, set.place, says, set.keep);
    }
    if name == "authorization" && is_bearer_of_key(set.value) {
        let says = "an API key is sent as a bearer token, which is the place of OAuth tokens";
        notes.add(&rules::BEARER, set.place, says, set.api_key);
    }
    if CREDENTIALS.contains(&name.as_str()) && is_literal_secret(set.value) {
        let says = format!("the value of `{name}` stands here in clear text");
        // Where the mark of a secret was seen already, one finding is enough.
        if secrets(set.value).next().is_none() {
            notes.add(&rules::SECRET, set.place, says, secret_cure(set.kind));
        }
    }
}

/// No credential of the API is set. Where nothing reads or removes what clients present, that may be meant; where something
/// does, the API is sent what only the gateway knows, or nothing.
pub(super) fn no_credential(is_touched: bool, at: Place, api_key: &str, notes: &mut Notes<'_>) {
    if is_touched {
        let says = "no credential of the API is set: the client's own one goes upstream";
        notes.add(&rules::CREDENTIAL, at, says, api_key);
    } else {
        let says = "each client's own credential goes to the API: nothing here sets one, or asks for one";
        notes.add(&rules::PASS_THROUGH, at, says, api_key);
    }
}

/// The client's credential in this header goes upstream although the gateway has one.
pub(super) fn leaks(name: &str, at: Place, cure: &str, notes: &mut Notes<'_>) {
    let says = format!("the client's `{name}` goes upstream next to the gateway's own credential");
    notes.add(&rules::LEAK, at, says, cure);
}

/// What is wrong where the gateway has one, and anybody may spend it.
pub(super) const NOBODY_ASKED: &str = "nobody is asked for a credential, and the gateway's own is spent";

/// Whether it is one of the headers that pass as clients send them, by the table that Tollgate itself obeys.
pub(super) fn is_open(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    name.starts_with("anthropic-") && request_action(name.as_bytes()) == Action::Forward
}

/// Whether the value is made of something else when a request comes.
pub(super) fn refers(value: &str) -> bool {
    value.contains(['$', '%', '{'])
        || ["request.", "context.", "stageVariables."].iter().any(|source| value.contains(source))
}

/// Whether it is `Bearer` and something that is called an API key.
fn is_bearer_of_key(value: &str) -> bool {
    let lower = value.trim_start_matches(['\'', '"']).to_ascii_lowercase();
    let Some(token) = lower.strip_prefix("bearer ") else { return false };
    ["api_key", "api-key", "apikey", "sk-ant-api", "anthropic_key"].iter().any(|mark| token.contains(mark))
}

/// Whether it is a credential itself. Words that stand for one, such as `YOUR_KEY`, are none.
pub(super) fn is_literal_secret(value: &str) -> bool {
    let value = value.trim_matches(['\'', '"']);
    let token = value.strip_prefix("Bearer ").or(value.strip_prefix("bearer ")).unwrap_or(value);
    let stands_for = ["your", "xxx", "changeme", "replace", "example", "todo", "<"];
    let lower = token.to_ascii_lowercase();
    token.len() >= 8
        && !refers(token)
        && !token.contains("://")
        && !token.contains(char::is_whitespace)
        && !stands_for.iter().any(|word| lower.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn api_keys_as_bearers_are_told() {
        for value in ["Bearer ${ANTHROPIC_API_KEY}", "'Bearer $api_key'", "bearer sk-ant-api03-x"] {
            assert!(is_bearer_of_key(value), "{value}");
        }
        for value in ["Bearer $oauth_token", "$http_authorization", "", "ANTHROPIC_API_KEY"] {
            assert!(!is_bearer_of_key(value), "{value}");
        }
    }

    #[test]
    fn secrets_are_told_from_references_and_placeholders() {
        for value in ["0123456789abcdef", "'abcdefgh12'", "Bearer 0123456789"] {
            assert!(is_literal_secret(value), "{value}");
        }
        for value in
            ["", "$upstream_key", "%ENVIRONMENT(X)%", "your-api-key", "two words long", "{vault://env/x}"]
        {
            assert!(!is_literal_secret(value), "{value}");
        }
    }
}
