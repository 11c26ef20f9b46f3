//! Which endpoint of the Anthropic API a request addresses.
//!
//! Paths: <https://platform.claude.com/docs/en/api/overview>. Warm-up requests of Claude Code:
//! <https://code.claude.com/docs/en/llm-gateway-protocol>.

/// An endpoint, as far as governance tells them apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Endpoint {
    /// `POST /v1/messages`: inference, metered.
    Messages,
    /// `POST /v1/messages/count_tokens`: free.
    CountTokens,
    /// `GET /v1/models`.
    Models,
    /// `GET /v1/models/{id}`.
    Model,
    /// `HEAD /`, `HEAD /api/hello`, `GET /api/hello`: a client warms its connection up.
    Hello,
    /// `/v1/messages/batches` and below, any method.
    Batches,
    /// `/v1/files` and below, any method.
    Files,
    /// Anything else below `/v1/`.
    Other,
    /// Not a path of the API, or one that servers may read in two ways. Never forwarded.
    Unknown,
}

impl Endpoint {
    /// Every endpoint, in the order of the type.
    pub const ALL: [Self; 9] = [
        Self::Messages,
        Self::CountTokens,
        Self::Models,
        Self::Model,
        Self::Hello,
        Self::Batches,
        Self::Files,
        Self::Other,
        Self::Unknown,
    ];

    /// The stable label for journal and metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Messages => "messages",
            Self::CountTokens => "count_tokens",
            Self::Models => "models",
            Self::Model => "model",
            Self::Hello => "hello",
            Self::Batches => "batches",
            Self::Files => "files",
            Self::Other => "other",
            Self::Unknown => "unknown",
        }
    }
}

/// Classifies a request by its method and its path without query.
///
/// A governed path is matched exactly. What looks like one but is not (another method, another case, a slash
/// at the end) is [`Endpoint::Unknown`] rather than [`Endpoint::Other`], so that no spelling of `/v1/messages`
/// that an upstream may accept passes unmetered. For the same reason a path below `/v1/` must be plain: no
/// percent-encoding, no empty segment, no `.` or `..` (RFC 3986 sections 5.2.4 and 6.2.2 let servers rewrite
/// those).
#[must_use]
pub fn classify(method: &str, path: &str) -> Endpoint {
    match (method, path) {
        ("POST", "/v1/messages") => return Endpoint::Messages,
        ("POST", "/v1/messages/count_tokens") => return Endpoint::CountTokens,
        ("GET", "/v1/models") => return Endpoint::Models,
        ("HEAD", "/") | ("GET" | "HEAD", "/api/hello") => return Endpoint::Hello,
        _ => {}
    }
    let Some(rest) = path.strip_prefix("/v1/") else {
        return Endpoint::Unknown;
    };
    if !rest.split('/').all(is_plain) {
        return Endpoint::Unknown;
    }
    let mut segments = rest.split('/');
    match (segments.next(), segments.next(), segments.next()) {
        (Some("v1"), ..) => Endpoint::Unknown,
        (Some("messages"), Some("batches"), _) => Endpoint::Batches,
        (Some("files"), ..) => Endpoint::Files,
        (Some("models"), Some(_), None) if method == "GET" => Endpoint::Model,
        _ if GOVERNED.iter().any(|governed| rest.eq_ignore_ascii_case(governed)) => Endpoint::Unknown,
        _ => Endpoint::Other,
    }
}

/// Paths below `/v1/` that are served under one spelling and one method only.
const GOVERNED: [&str; 3] = ["messages", "messages/count_tokens", "models"];

fn is_plain(segment: &str) -> bool {
    !matches!(segment, "" | "." | "..")
        && segment.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~@:".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_classified_by_method_and_exact_path() {
        let rows = [
            ("POST", "/v1/messages", Endpoint::Messages),
            ("POST", "/v1/messages/count_tokens", Endpoint::CountTokens),
            ("GET", "/v1/models", Endpoint::Models),
            ("GET", "/v1/models/claude-opus-5-5", Endpoint::Model),
            ("GET", "/v1/models/claude-opus-4-5@20251101", Endpoint::Model),
            ("HEAD", "/", Endpoint::Hello),
            ("HEAD", "/api/hello", Endpoint::Hello),
            ("GET", "/api/hello", Endpoint::Hello),
            ("POST", "/v1/messages/batches", Endpoint::Batches),
            ("GET", "/v1/messages/batches", Endpoint::Batches),
            ("GET", "/v1/messages/batches/msgbatch_01/results", Endpoint::Batches),
            ("DELETE", "/v1/messages/batches/msgbatch_01", Endpoint::Batches),
            ("POST", "/v1/files", Endpoint::Files),
            ("GET", "/v1/files/file_01/content", Endpoint::Files),
            ("POST", "/v1/complete", Endpoint::Other),
            ("GET", "/v1/skills", Endpoint::Other),
            ("POST", "/v1/messages/something_new", Endpoint::Other),
            ("DELETE", "/v1/models/claude-opus-5-5", Endpoint::Other),
            ("GET", "/v1/models/a/b", Endpoint::Other),
        ];
        for (method, path, expected) in rows {
            assert_eq!(classify(method, path), expected, "{method} {path}");
        }
    }

    #[test]
    fn a_path_that_could_be_read_in_two_ways_is_unknown() {
        let rows = [
            ("GET", "/"),
            ("GET", ""),
            ("POST", "/api/hello"),
            ("GET", "/v1"),
            ("GET", "/v1/"),
            ("POST", "/v1/v1/messages"),
            ("POST", "/v1/v1"),
            ("GET", "/v1/messages"),
            ("post", "/v1/messages"),
            ("POST", "/v1/Messages"),
            ("POST", "/v1/messages/Count_Tokens"),
            ("HEAD", "/v1/models"),
            ("POST", "/v1/messages/"),
            ("POST", "/v1//messages"),
            ("POST", "//v1/messages"),
            ("POST", "/v1/./messages"),
            ("POST", "/v1/files/../messages"),
            ("POST", "/v1/%6dessages"),
            ("POST", "/v1/messages%2F"),
            ("POST", "/v1/messages;a=1"),
            ("POST", "/v1\\messages"),
            ("POST", "/V1/messages"),
            ("GET", "/v1/models/..%2fmessages"),
            ("GET", "/v2/models"),
            ("GET", "/v1messages"),
        ];
        for (method, path) in rows {
            assert_eq!(classify(method, path), Endpoint::Unknown, "{method} {path}");
        }
    }

    #[test]
    fn labels_are_distinct_snake_case() {
        let labels: std::collections::BTreeSet<_> =
            Endpoint::ALL.iter().map(|endpoint| endpoint.as_str()).collect();
        assert_eq!(labels.len(), Endpoint::ALL.len());
        for label in labels {
            assert!(label.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "{label}");
        }
    }
}
