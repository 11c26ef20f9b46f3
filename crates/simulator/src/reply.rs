//! An answer before it is sent: status, headers and body.

use crate::directive::Form;
use crate::error::ApiError;
use crate::events::Events;
use crate::http::reason;
use crate::record::Note;
use crate::{clock, id};

/// The header fields of the rate limits; those without a value tell when the limit is full again.
/// `remaining` of tokens is rounded to thousands, as the API does
/// (<https://platform.claude.com/docs/en/api/rate-limits>).
const RATE_LIMITS: [(&str, Option<&str>); 12] = [
    ("anthropic-ratelimit-requests-limit", Some("4000")),
    ("anthropic-ratelimit-requests-remaining", Some("3999")),
    ("anthropic-ratelimit-requests-reset", None),
    ("anthropic-ratelimit-tokens-limit", Some("2400000")),
    ("anthropic-ratelimit-tokens-remaining", Some("2399000")),
    ("anthropic-ratelimit-tokens-reset", None),
    ("anthropic-ratelimit-input-tokens-limit", Some("2000000")),
    ("anthropic-ratelimit-input-tokens-remaining", Some("1999000")),
    ("anthropic-ratelimit-input-tokens-reset", None),
    ("anthropic-ratelimit-output-tokens-limit", Some("400000")),
    ("anthropic-ratelimit-output-tokens-remaining", Some("400000")),
    ("anthropic-ratelimit-output-tokens-reset", None),
];

/// An answer.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) content_type: &'static str,
    pub(crate) request_id: Option<String>,
    /// Whether it names the organization, as all answers of the API's servers do.
    pub(crate) organization: bool,
    pub(crate) rate_limits: bool,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Body,
}

#[derive(Debug)]
pub(crate) enum Body {
    /// The note holds once all bytes were sent.
    Whole(Vec<u8>, Note),
    Events(Box<Events>),
}

/// How the end of the body is told to the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Delimiter {
    Length(usize),
    Chunked,
    /// The body ends with the connection.
    Close,
}

impl Reply {
    /// An answer of the API's servers: with ids.
    pub(crate) fn api(status: u16, content_type: &'static str, serial: u64, body: Body) -> Self {
        Self {
            status,
            content_type,
            request_id: Some(id::request(serial)),
            organization: true,
            rate_limits: false,
            headers: Vec::new(),
            body,
        }
    }

    pub(crate) fn json(serial: u64, body: Vec<u8>, note: Note) -> Self {
        Self::api(200, "application/json", serial, Body::Whole(body, note))
    }

    pub(crate) fn error(serial: u64, error: &ApiError) -> Self {
        let body = error.envelope(Some(&id::request(serial)));
        let note = Note { error: Some(error.kind.clone()), ..Note::default() };
        let body = Body::Whole(body, note);
        Self::api(error.status, "application/json", serial, body)
    }

    /// An answer of something in between: without ids.
    pub(crate) fn page(status: u16, content_type: &'static str, body: &str) -> Self {
        Self {
            status,
            content_type,
            request_id: None,
            organization: false,
            rate_limits: false,
            headers: Vec::new(),
            body: Body::Whole(body.as_bytes().to_vec(), Note::default()),
        }
    }

    /// The same with the rate limits of a large account, nearly unused.
    pub(crate) fn with_rate_limits(mut self) -> Self {
        self.rate_limits = true;
        self
    }

    /// The bytes of the head.
    pub(crate) fn head(&self, form: &Form, delimiter: Delimiter, close: bool) -> Vec<u8> {
        let now = clock::now_seconds();
        let mut head = HeadText { text: Vec::with_capacity(2048), lower_case: form.lower_case };
        head.status(self.status);
        head.line("Date", &clock::http_date(now));
        head.line("Content-Type", self.content_type);
        match delimiter {
            Delimiter::Length(length) => head.line("Content-Length", &length.to_string()),
            Delimiter::Chunked => head.line("Transfer-Encoding", "chunked"),
            Delimiter::Close => {}
        }
        head.line("Connection", if close { "close" } else { "keep-alive" });
        head.line("Server", "tollgate-simulator");
        if form.gzip {
            head.line("Content-Encoding", "gzip");
        }
        if let Some(request_id) = &self.request_id {
            head.line("request-id", request_id);
        }
        if self.organization {
            head.line("anthropic-organization-id", id::ORGANIZATION);
        }
        if self.rate_limits {
            let reset = clock::rfc3339(now + 1);
            for (name, value) in RATE_LIMITS {
                head.line(name, value.unwrap_or(&reset));
            }
        }
        for (name, value) in &self.headers {
            head.line(name, value);
        }
        for (name, value) in &form.headers {
            head.line(name, value);
        }
        head.text.extend_from_slice(b"\r\n");
        head.text
    }
}

struct HeadText {
    text: Vec<u8>,
    lower_case: bool,
}

impl HeadText {
    fn status(&mut self, status: u16) {
        self.text.extend_from_slice(b"HTTP/1.1 ");
        self.text.extend_from_slice(status.to_string().as_bytes());
        self.text.push(b' ');
        self.text.extend_from_slice(reason(status).as_bytes());
        self.text.extend_from_slice(b"\r\n");
    }

    fn line(&mut self, name: &str, value: &str) {
        let start = self.text.len();
        self.text.extend_from_slice(name.as_bytes());
        if self.lower_case {
            self.text[start..].make_ascii_lowercase();
        }
        self.text.extend_from_slice(b": ");
        self.text.extend_from_slice(value.as_bytes());
        self.text.extend_from_slice(b"\r\n");
    }
}
