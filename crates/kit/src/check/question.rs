//! What is asked of a gateway: a request as Claude Code sends it, with one thing changed.

use std::time::Duration;

use hyper::{Method, body::Bytes};
use serde_json::json;

use crate::exchange::Ask;

/// The path of every inference of Claude Code.
pub(crate) const MESSAGES: &str = "/v1/messages?beta=true";
/// The version that Claude Code sends.
pub(crate) const VERSION: &str = "2023-06-01";
/// Betas that are released, so that any upstream takes them.
pub(crate) const BETAS: &str =
    "claude-code-20250219,interleaved-thinking-2025-05-14,context-management-2025-06-27";
/// The longest that one exchange may take, when nothing else is said.
const LIMIT: Duration = Duration::from_secs(20);

/// Which credential, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Credential {
    /// In `Authorization`.
    Bearer,
    /// In `x-api-key`.
    Key,
    /// The same in both.
    Both,
    /// The right one in `Authorization` and a stray one in `x-api-key`.
    Decoy,
    /// One that nobody gave out.
    Bad,
    /// None.
    None,
}

/// A request that is not sent yet.
#[derive(Debug, Clone)]
pub(crate) struct Question {
    /// What the probe knows it by.
    pub(crate) nonce: String,
    /// Which credential it carries.
    pub(crate) credential: Credential,
    /// How long the whole exchange may take.
    pub(crate) limit: Duration,
    ask: Ask,
}

impl Question {
    /// A request for a message with the headers and members of Claude Code, in their order.
    pub(crate) fn message(model: &str, nonce: String, directives: &str) -> Self {
        let mark = if directives.is_empty() { String::new() } else { format!("[[sim: {directives}]] ") };
        let body = json!({
            "model": model,
            "messages": [{"role": "user", "content": format!("{mark}{nonce} Say hello.")}],
            "system": [
                {"type": "text", "text": "The first entry stays the first."},
                {"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}},
            ],
            "metadata": {"user_id": nonce},
            "max_tokens": 16,
        });
        let ask = Ask::new(Method::POST, MESSAGES)
            .header("accept", "application/json")
            .header("content-type", "application/json")
            .header("user-agent", USER_AGENT)
            .header("x-app", "cli")
            .header("x-claude-code-session-id", &nonce)
            .header("anthropic-beta", BETAS)
            .header("anthropic-version", VERSION)
            .body(body.to_string());
        Self { nonce, credential: Credential::Bearer, limit: LIMIT, ask }
    }

    /// A request without a body.
    pub(crate) fn bare(method: Method, target: &str, nonce: String) -> Self {
        let ask = Ask::new(method, target)
            .header("user-agent", USER_AGENT)
            .header("x-claude-code-session-id", &nonce)
            .header("anthropic-version", VERSION);
        Self { nonce, credential: Credential::Bearer, limit: LIMIT, ask }
    }

    /// With this credential.
    pub(crate) fn credential(mut self, credential: Credential) -> Self {
        self.credential = credential;
        self
    }

    /// To this path and query.
    pub(crate) fn target(mut self, target: impl Into<String>) -> Self {
        self.ask.target = target.into();
        self
    }

    /// With one more header.
    pub(crate) fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.ask = self.ask.header(name, value);
        self
    }

    /// Without the headers of this name.
    pub(crate) fn without(mut self, name: &str) -> Self {
        self.ask.headers.retain(|(given, _)| given != name);
        self
    }

    /// With this value of a header in place of those it has.
    pub(crate) fn with(self, name: &str, value: impl Into<String>) -> Self {
        self.without(name).header(name, value)
    }

    /// As a stream.
    pub(crate) fn stream(self) -> Self {
        let mut body = self.ask.body.to_vec();
        body.truncate(body.len() - 1);
        body.extend_from_slice(br#","stream":true}"#);
        self.body(body)
    }

    /// With this body.
    pub(crate) fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.ask.body = body.into();
        self
    }

    /// The body as it is now.
    pub(crate) fn text(&self) -> &Bytes {
        &self.ask.body
    }

    /// Waits so long for the next byte, and a little longer for all.
    pub(crate) fn silence(mut self, silence: Duration) -> Self {
        self.ask = self.ask.silence(silence);
        self.limit = self.limit.max(silence + Duration::from_secs(5));
        self
    }

    /// Leaves after so many bytes of the answer's body.
    pub(crate) fn leave_after(mut self, bytes: usize) -> Self {
        self.ask.leave_after = Some(bytes);
        self
    }

    /// What is sent.
    pub(crate) fn ask(&self, credentials: &[(&'static str, String)]) -> Ask {
        let mut ask = self.ask.clone();
        for (name, value) in credentials {
            ask = ask.header(*name, value);
        }
        ask
    }
}

const USER_AGENT: &str = "claude-cli/2.1.330 (external, cli)";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_becomes_a_stream_and_stays_json() {
        let question = Question::message("claude-haiku-5-5", "n-1".to_owned(), "events=3").stream();
        let body: serde_json::Value = serde_json::from_slice(question.text()).unwrap();
        assert_eq!((body["stream"].as_bool(), body["max_tokens"].as_u64()), (Some(true), Some(16)));
        assert_eq!(body["messages"][0]["content"], "[[sim: events=3]] n-1 Say hello.");
    }
}
