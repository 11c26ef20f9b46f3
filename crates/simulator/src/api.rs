//! The API: which request gets which answer.
//!
//! Sources: <https://platform.claude.com/docs/en/api/overview>,
//! <https://platform.claude.com/docs/en/api/errors>.

use crate::call::{Call, Purpose};
use crate::directive::{Directives, Failure, Page};
use crate::error::ApiError;
use crate::events::Events;
use crate::http::{Head, Headers};
use crate::message::{self, Message};
use crate::models;
use crate::record::Note;
use crate::reply::{Body, Reply};

const EVENT_STREAM: &str = "text/event-stream; charset=utf-8";
const HTML: &str = "text/html";

/// The endpoints that are imitated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Route<'t> {
    Messages,
    CountTokens,
    Models,
    Model(&'t str),
    Hello,
    Unknown,
}

/// One request, read.
pub(crate) struct Question<'r> {
    pub(crate) route: Route<'r>,
    pub(crate) head: &'r Head,
    pub(crate) body: &'r [u8],
    /// The body of a Messages request, or what is wrong with it.
    pub(crate) call: Option<Result<Call, String>>,
    /// Counts requests from 1; ids are made from it.
    pub(crate) serial: u64,
}

/// What the API holds true of every request.
pub(crate) struct Terms<'c> {
    pub(crate) api_key: Option<&'c str>,
    pub(crate) max_body_bytes: u64,
}

impl<'t> Route<'t> {
    pub(crate) fn of(method: &str, path: &'t str) -> Self {
        let reads = matches!(method, "GET" | "HEAD");
        match path {
            "/v1/messages" if method == "POST" => Self::Messages,
            "/v1/messages/count_tokens" if method == "POST" => Self::CountTokens,
            "/v1/models" if reads => Self::Models,
            "/" | "/api/hello" if reads => Self::Hello,
            _ => match path.strip_prefix("/v1/models/") {
                Some(id) if reads && !id.is_empty() && !id.contains('/') => Self::Model(id),
                _ => Self::Unknown,
            },
        }
    }

    /// For what the body is read, if it is.
    pub(crate) fn purpose(self) -> Option<Purpose> {
        match self {
            Self::Messages => Some(Purpose::Answer),
            Self::CountTokens => Some(Purpose::Count),
            _ => None,
        }
    }
}

/// Answers a request as directed.
pub(crate) fn answer(question: &Question<'_>, directives: &Directives, terms: &Terms<'_>) -> Reply {
    if let Some(page) = directives.form.page {
        return page_of(page);
    }
    // The edge refuses what is too large before the API sees it.
    if question.body.len() as u64 > terms.max_body_bytes {
        return too_large();
    }
    match api(question, directives, terms) {
        Ok(reply) => reply,
        Err(error) => {
            let mut reply = Reply::error(question.serial, &error);
            reply.headers.extend(failure_headers(&directives.failure));
            if error.status == 429 {
                reply = reply.with_rate_limits();
            }
            reply
        }
    }
}

fn api(question: &Question<'_>, directives: &Directives, terms: &Terms<'_>) -> Result<Reply, ApiError> {
    let serial = question.serial;
    if question.route != Route::Hello {
        authenticate(&question.head.headers, terms.api_key)?;
    }
    if let Some(error) = failure(&directives.failure) {
        return Err(error);
    }
    match question.route {
        Route::Hello => {
            return Ok(Reply::json(serial, br#"{"message":"hello"}"#.to_vec(), Note::default()));
        }
        Route::Unknown => {
            return Err(ApiError::new(404, "Not found"));
        }
        _ => version(&question.head.headers)?,
    }
    match question.route {
        Route::Messages => message(question, directives),
        Route::CountTokens => {
            call_of(question)?;
            let given = directives.answer.usage.input;
            let count = given.unwrap_or(message::count_input(question.body.len()));
            let body = crate::json(&serde_json::json!({ "input_tokens": count }));
            Ok(Reply::json(serial, body, Note::default()))
        }
        Route::Model(id) => Ok(Reply::json(serial, models::one(id)?, Note::default())),
        Route::Models | Route::Hello | Route::Unknown => {
            let body = models::list(question.head)?;
            Ok(Reply::json(serial, body, Note::default()))
        }
    }
}

fn message(question: &Question<'_>, directives: &Directives) -> Result<Reply, ApiError> {
    let call = call_of(question)?;
    let serial = question.serial;
    let message = Message::compose(call, &directives.answer, question.body.len(), serial);
    let reply = if call.stream {
        let kind = if directives.form.wrong_type { "text/plain" } else { EVENT_STREAM };
        Reply::api(200, kind, serial, Body::Events(Box::new(Events::new(message))))
    } else {
        let note = Note {
            is_event: false,
            chars: message.chars(),
            usage: message.usage.as_ref().map(|usage| usage.tokens),
            bill: Some(message.bill.clone()),
            stop_reason: Some(message.stop_reason.clone()),
            error: None,
        };
        let mut reply = Reply::json(serial, message.json(), note);
        if directives.form.wrong_type {
            reply.content_type = "text/plain";
        }
        reply
    };
    Ok(reply.with_rate_limits())
}

fn call_of<'q>(question: &'q Question<'_>) -> Result<&'q Call, ApiError> {
    match &question.call {
        Some(Ok(call)) => Ok(call),
        Some(Err(problem)) => Err(ApiError::new(400, problem)),
        None => Err(ApiError::of_status(404)),
    }
}

/// With a key set, a request must carry it in `x-api-key` or as a bearer.
fn authenticate(headers: &Headers, api_key: Option<&str>) -> Result<(), ApiError> {
    let Some(key) = api_key else {
        return Ok(());
    };
    let bearer = headers.first("authorization").and_then(|value| {
        let (scheme, credential) = value.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| credential.trim())
    });
    match (headers.first("x-api-key"), bearer) {
        (None, None) => Err(ApiError::new(401, "x-api-key header is required, or a bearer in Authorization")),
        (Some(given), _) if given != key => Err(ApiError::new(401, "invalid x-api-key")),
        (_, Some(given)) if given != key => Err(ApiError::new(401, "invalid bearer token")),
        _ => Ok(()),
    }
}

fn version(headers: &Headers) -> Result<(), ApiError> {
    match headers.first("anthropic-version") {
        None => Err(ApiError::new(400, "anthropic-version: header is required")),
        Some("2023-01-01" | "2023-06-01" | "2026-10-21") => Ok(()),
        Some(other) => {
            Err(ApiError::new(400, format!("anthropic-version: \"{other}\" is not a valid version")))
        }
    }
}

fn failure(wish: &Failure) -> Option<ApiError> {
    let mut error = match (wish.status, &wish.kind) {
        (Some(status), _) => ApiError::of_status(status),
        (None, Some(kind)) => ApiError::of_kind(kind),
        (None, None) => return None,
    };
    if let Some(kind) = &wish.kind {
        error.kind.clone_from(kind);
    }
    if let Some(message) = &wish.message {
        error.message.clone_from(message);
    }
    error.code.clone_from(&wish.code);
    Some(error)
}

fn failure_headers(wish: &Failure) -> impl Iterator<Item = (&'static str, String)> {
    [("retry-after", &wish.retry_after), ("x-should-retry", &wish.should_retry)]
        .into_iter()
        .filter_map(|(name, value)| Some((name, value.clone()?)))
}

/// What the edge in front of the API answers to a body above the limit.
pub(crate) fn too_large() -> Reply {
    page_of(Page::Html413)
}

fn page_of(page: Page) -> Reply {
    let html = |status: u16| {
        let reason = crate::http::reason(status);
        let body = format!(
            "<html>\r\n<head><title>{status} {reason}</title></head>\r\n<body>\r\n\
             <center><h1>{status} {reason}</h1></center>\r\n\
             <hr><center>simulated edge</center>\r\n</body>\r\n</html>\r\n"
        );
        Reply::page(status, HTML, &body)
    };
    match page {
        Page::Html413 => html(413),
        Page::Html502 => html(502),
        Page::Html200 => html(200),
        Page::Empty200 => Reply::page(200, HTML, ""),
    }
}
