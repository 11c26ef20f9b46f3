//! What an answer shows of whoever wrote it: the form of its body, the ids and the headers that products leave.

use serde_json::Value;

use crate::exchange::Answer;

/// An answer, reduced to what tells its author.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reply {
    /// The status.
    pub(crate) status: u16,
    /// The form of the body.
    pub(crate) form: Form,
    /// `error.type` of the body, or its `type`.
    pub(crate) kind: String,
    /// The sentence for people in it.
    pub(crate) message: String,
    /// Who wrote it.
    pub(crate) author: Author,
    /// The product that it shows itself to be.
    pub(crate) product: Option<&'static str>,
}

/// The form of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// `{"type":"error","error":{...}}`, as the API writes its errors.
    Envelope,
    /// Another JSON value.
    Json,
    /// A page for browsers.
    Html,
    /// Nothing.
    Empty,
    /// Something else.
    Other,
}

/// Who wrote an answer, as far as it shows that by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Author {
    /// The gateway says so itself.
    Gateway,
    /// The gateway says that its upstream did.
    Upstream,
    /// It has what only a gateway's own answers have.
    LikeGateway,
    /// It has the marks of the API.
    LikeProvider,
    /// It is a page for browsers: a login, a firewall, a proxy.
    Between,
    /// It shows nothing.
    Unclear,
}

/// Header names, or their beginnings, and the product that sends them.
const MARKS: [(&str, &str); 11] = [
    ("x-tollgate-", "Tollgate"),
    ("x-kong-", "Kong"),
    ("zp-rid", "Zuplo"),
    ("x-litellm-", "LiteLLM"),
    ("x-tfy-", "TrueFoundry"),
    ("x-portkey-", "Portkey"),
    ("x-apigee-", "Apigee"),
    ("x-amz-apigw-id", "AWS API Gateway"),
    ("x-amzn-errortype", "AWS API Gateway"),
    ("x-azure-ref", "Azure"),
    ("x-envoy-", "Envoy"),
];

/// Words of `server` and `via`, and the product that writes them. What stands before many others comes last.
const SERVERS: [(&str, &str); 7] = [
    ("kong", "Kong"),
    ("zuplo", "Zuplo"),
    ("litellm", "LiteLLM"),
    ("envoy", "Envoy"),
    ("caddy", "Caddy"),
    ("haproxy", "HAProxy"),
    ("nginx", "nginx"),
];

/// Sentences by which the API refuses a credential.
const PROVIDER_SENTENCES: [&str; 5] = [
    "invalid x-api-key",
    "invalid bearer token",
    "x-api-key header is required",
    "oauth token has expired",
    "oauth authentication is currently not",
];

/// The longest sentence of an answer that is shown.
const MESSAGE_CHARS: usize = 200;

impl Reply {
    /// Reads an answer.
    pub(crate) fn of(answer: &Answer) -> Self {
        let body = answer.body();
        let json: Option<Value> = serde_json::from_slice(&body).ok();
        let form = form(answer, &body, json.as_ref());
        let (kind, message) = json.as_ref().map_or_else(|| (String::new(), answer.text()), said);
        let message = if form == Form::Html { title(&message) } else { message };
        let message = message.split_whitespace().collect::<Vec<_>>().join(" ");
        let message = message.chars().take(MESSAGE_CHARS).collect::<String>();
        let author = author(answer, form, &message);
        Self { status: answer.status, form, kind, message, author, product: product(answer) }
    }

    /// Whether it refuses a credential.
    pub(crate) fn is_refusal(&self) -> bool {
        matches!(self.status, 401 | 403)
    }

    /// Whether this answer and the other are the same but for what changes each time.
    pub(crate) fn is_like(&self, other: &Self) -> bool {
        let words =
            |text: &str| text.split(' ').filter(|word| !is_unique(word)).collect::<Vec<_>>().join(" ");
        (self.status, self.form, &self.kind, self.author)
            == (other.status, other.form, &other.kind, other.author)
            && words(&self.message) == words(&other.message)
    }

    /// It for people: `401 authentication_error: invalid x-api-key`.
    pub(crate) fn line(&self) -> String {
        let form = match self.form {
            Form::Envelope | Form::Json => "",
            Form::Html => " a page for browsers",
            Form::Empty => " without a body",
            Form::Other => " text",
        };
        let kind = if self.kind.is_empty() { String::new() } else { format!(" {}", self.kind) };
        let message = if self.message.is_empty() { String::new() } else { format!(": {}", self.message) };
        format!("{}{form}{kind}{message}", self.status)
    }
}

/// Ids, figures and instants: what makes two answers of one kind differ.
fn is_unique(word: &str) -> bool {
    word.bytes().any(|byte| byte.is_ascii_digit())
}

fn form(answer: &Answer, body: &[u8], json: Option<&Value>) -> Form {
    let is_page = answer.header("content-type").is_some_and(|kind| kind.contains("text/html"));
    let is_envelope = |value: &Value| {
        value.get("type").and_then(Value::as_str) == Some("error")
            && value
                .get("error")
                .is_some_and(|error| error["type"].is_string() && error["message"].is_string())
    };
    match json {
        Some(value) if is_envelope(value) => Form::Envelope,
        Some(_) => Form::Json,
        None if body.is_empty() => Form::Empty,
        None if is_page || body.trim_ascii_start().starts_with(b"<") => Form::Html,
        None => Form::Other,
    }
}

/// Kind and sentence of an error in the forms that gateways use: the API's, RFC 9457, OAuth (RFC 6749, section 5.2),
/// and one with a `message` alone.
fn said(value: &Value) -> (String, String) {
    let text = |paths: &[&str]| {
        let found = paths.iter().find_map(|path| value.pointer(path).and_then(Value::as_str));
        found.unwrap_or_default().to_owned()
    };
    let kind = text(&["/error/type", "/error/code", "/error", "/code", "/type"]);
    (
        kind,
        text(&[
            "/error/message",
            "/message",
            "/detail",
            "/error_description",
            "/title",
            "/fault/faultstring",
        ]),
    )
}

/// The title of a page.
fn title(page: &str) -> String {
    let lower = page.to_ascii_lowercase();
    let inside = lower.find("<title>").map(|at| at + "<title>".len());
    let end = inside.and_then(|from| Some(from + lower[from..].find('<')?));
    // Lower case of ASCII alone keeps every byte at its place.
    inside.zip(end).and_then(|(from, end)| page.get(from..end)).unwrap_or_default().to_owned()
}

fn author(answer: &Answer, form: Form, message: &str) -> Author {
    match answer.header("x-tollgate-error-source") {
        Some("gateway") => return Author::Gateway,
        Some("upstream") => return Author::Upstream,
        _ => {}
    }
    let lower = message.to_ascii_lowercase();
    let is_sentence = PROVIDER_SENTENCES.iter().any(|sentence| lower.starts_with(sentence));
    let has_id = answer.header("request-id").is_some_and(|id| id.starts_with("req_"));
    match form {
        Form::Html => Author::Between,
        Form::Envelope if answer.header("anthropic-organization-id").is_some() => Author::LikeProvider,
        Form::Envelope if is_sentence && has_id => Author::LikeProvider,
        // The API has no challenges (RFC 9110, section 11.6.1), and every error of its is in the envelope.
        _ if answer.header("www-authenticate").is_some() => Author::LikeGateway,
        Form::Json | Form::Empty | Form::Other => Author::LikeGateway,
        Form::Envelope => Author::Unclear,
    }
}

/// The product that an answer shows itself to be.
fn product(answer: &Answer) -> Option<&'static str> {
    let marked = MARKS.iter().find(|(mark, _)| answer.headers.iter().any(|(name, _)| name.starts_with(mark)));
    let named = || {
        let words = ["server", "via"].iter().filter_map(|name| answer.header(name)).collect::<Vec<_>>();
        let words = words.join(" ").to_ascii_lowercase();
        SERVERS.iter().find(|(word, _)| words.contains(word))
    };
    marked.or_else(named).map(|(_, product)| *product)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::exchange::{End, Piece};
    use std::time::Duration;

    /// The reply to a status, header lines `name: value`, and a body.
    pub(crate) fn reply(status: u16, headers: &str, body: &str) -> Reply {
        let pair =
            |line: &str| line.split_once(": ").map(|(name, value)| (name.to_owned(), value.to_owned()));
        let pieces = vec![Piece { at: Duration::ZERO, bytes: body.to_owned().into() }];
        let headers = headers.lines().filter_map(pair).collect();
        Reply::of(&Answer { status, headers, head_at: Duration::ZERO, pieces, end: End::Whole })
    }

    const REFUSED: &str =
        r#"{"type":"error","error":{"type":"authentication_error","message":"invalid x-api-key"}}"#;
    const NO_KEY: &str =
        r#"{"type":"error","error":{"type":"authentication_error","message":"unknown key"}}"#;

    #[test]
    fn the_author_of_an_answer_is_told_by_its_marks() {
        let rows = [
            ("request-id: req_011C", REFUSED, Author::LikeProvider, None),
            ("", REFUSED, Author::Unclear, None),
            (
                "request-id: req_1\nx-tollgate-error-source: gateway",
                NO_KEY,
                Author::Gateway,
                Some("Tollgate"),
            ),
            ("x-tollgate-error-source: upstream", REFUSED, Author::Upstream, Some("Tollgate")),
            ("request-id: req_1\nanthropic-organization-id: o", NO_KEY, Author::LikeProvider, None),
            ("server: kong/3.9.1", r#"{"message":"Unauthorized"}"#, Author::LikeGateway, Some("Kong")),
            ("www-authenticate: Bearer", NO_KEY, Author::LikeGateway, None),
            ("server: nginx", "<html><title>401 Sign in</title>", Author::Between, Some("nginx")),
            ("", "", Author::LikeGateway, None),
            ("via: 1.1 varnish, 1.1 kong", "no", Author::LikeGateway, Some("Kong")),
        ];
        for (headers, body, author, product) in rows {
            let reply = reply(401, headers, body);
            assert_eq!((reply.author, reply.product), (author, product), "{headers} {body}");
        }
    }

    #[test]
    fn kind_and_sentence_are_found_in_the_forms_that_gateways_use() {
        let rows = [
            (REFUSED, "401 authentication_error: invalid x-api-key"),
            (r#"{"message":"No API key found"}"#, "401: No API key found"),
            (
                r#"{"type":"about:blank","title":"Unauthorized","status":401}"#,
                "401 about:blank: Unauthorized",
            ),
            (r#"{"error":"invalid_token","error_description":"expired"}"#, "401 invalid_token: expired"),
            ("<html><head><title>Log in \u{e9}</title>", "401 a page for browsers: Log in \u{e9}"),
            ("", "401 without a body"),
            ("denied", "401 text: denied"),
        ];
        for (body, line) in rows {
            assert_eq!(reply(401, "", body).line(), line);
        }
    }

    #[test]
    fn answers_are_alike_where_only_ids_differ() {
        let body = |id: &str| format!(r#"{{"message":"no such key (id {id}) here"}}"#);
        assert!(reply(401, "", &body("a1")).is_like(&reply(401, "", &body("b22"))));
        assert!(!reply(401, "", &body("a1")).is_like(&reply(403, "", &body("a1"))));
        assert!(!reply(401, "", r#"{"message":"expired"}"#).is_like(&reply(
            401,
            "",
            r#"{"message":"unknown"}"#
        )));
    }
}
