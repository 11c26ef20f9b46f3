//! An answer before it is sent: status, headers and body.

use crate::directive::Form;
use crate::error::ApiError;
use crate::events::Events;
use crate::http::reason;
use crate::record::Note;
use crate::{clock, id};

/// An answer.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) content_type: &'static str,
    pub(crate) request_id: Option<String>,
    pub(crate) headers: Vec<(String, String)>,
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
            headers: vec![("anthropic-organization-id".into(), id::ORGANIZATION.into())],
            body,
        }
    }

    pub(crate) fn json(serial: u64, body: Vec<u8>, note: Note) -> Self {
        Self::api(200, "application/json", serial, Body::Whole(body, note))
    }

    pub(crate) fn error(serial: u64, error: &ApiError) -> Self {
        let body = error.envelope(Some(&id::request(serial)));
        let note = Note {
            error: Some(error.kind.clone()),
            ..Note::default()
        };
        let body = Body::Whole(body, note);
        Self::api(error.status, "application/json", serial, body)
    }

    /// An answer of something in between: without ids.
    pub(crate) fn page(status: u16, content_type: &'static str, body: &str) -> Self {
        Self {
            status,
            content_type,
            request_id: None,
            headers: Vec::new(),
            body: Body::Whole(body.as_bytes().to_vec(), Note::default()),
        }
    }

    /// The rate limits of a large account, nearly unused. `remaining` of tokens is rounded to
    /// thousands, as the API does.
    pub(crate) fn with_rate_limits(mut self, now_seconds: u64) -> Self {
        const LIMITS: [(&str, u64, u64); 4] = [
            ("requests", 4_000, 3_999),
            ("tokens", 2_400_000, 2_399_000),
            ("input-tokens", 2_000_000, 1_999_000),
            ("output-tokens", 400_000, 400_000),
        ];
        let reset = clock::rfc3339(now_seconds + 1);
        for (dimension, limit, remaining) in LIMITS {
            let name = |what: &str| format!("anthropic-ratelimit-{dimension}-{what}");
            self.headers.push((name("limit"), limit.to_string()));
            self.headers
                .push((name("remaining"), remaining.to_string()));
            self.headers.push((name("reset"), reset.clone()));
        }
        self
    }

    /// The bytes of the head.
    pub(crate) fn head(&self, form: &Form, delimiter: Delimiter, close: bool) -> Vec<u8> {
        let mut head = Vec::with_capacity(1024);
        let mut line = |name: &str, value: &str| {
            let name = if form.lower_case {
                name.to_ascii_lowercase()
            } else {
                name.to_owned()
            };
            head.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
        };
        line("Date", &clock::http_date(clock::now_seconds()));
        line("Content-Type", self.content_type);
        match delimiter {
            Delimiter::Length(length) => line("Content-Length", &length.to_string()),
            Delimiter::Chunked => line("Transfer-Encoding", "chunked"),
            Delimiter::Close => {}
        }
        line("Connection", if close { "close" } else { "keep-alive" });
        line("Server", "tollgate-simulator");
        if form.gzip {
            line("Content-Encoding", "gzip");
        }
        if let Some(request_id) = &self.request_id {
            line("request-id", request_id);
        }
        for (name, value) in self.headers.iter().chain(&form.headers) {
            line(name, value);
        }
        let status = self.status;
        let mut whole = format!("HTTP/1.1 {status} {}\r\n", reason(status)).into_bytes();
        whole.append(&mut head);
        whole.extend_from_slice(b"\r\n");
        whole
    }
}
