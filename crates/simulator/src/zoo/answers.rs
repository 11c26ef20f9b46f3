//! What gateways do wrong with answers: with the upstream's, and with their own.

use std::io::Write;
use std::mem;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use hyper::StatusCode;
use hyper::header::{
    ACCEPT, ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderValue,
    RETRY_AFTER, TRANSFER_ENCODING,
};
use hyper::http::response::Parts;
use serde_json::{Value, json};

use super::Terms;
use super::refusal::{self, Answer, Refusal, answer};
use super::relay::Sieve;
use super::requests::contains;
use crate::clock;

type Through = Option<Box<dyn Sieve>>;

const PAGE: &str = "<html><head><title>Error</title></head><body><h1>Something went wrong</h1></body></html>";

/// Gives nothing before it has all.
struct Whole {
    held: Vec<u8>,
    rewrite: fn(Vec<u8>) -> Vec<u8>,
}

impl Sieve for Whole {
    fn piece(&mut self, piece: Bytes) -> Bytes {
        self.held.extend_from_slice(&piece);
        Bytes::new()
    }

    fn end(&mut self) -> Bytes {
        (self.rewrite)(mem::take(&mut self.held)).into()
    }
}

/// Lets an event-stream through but for events of one kind.
struct Without {
    kind: &'static [u8],
    held: Vec<u8>,
}

impl Sieve for Without {
    fn piece(&mut self, piece: Bytes) -> Bytes {
        self.held.extend_from_slice(&piece);
        let mut passes = Vec::new();
        while let Some(end) = self.held.windows(2).position(|pair| pair == b"\n\n") {
            let rest = self.held.split_off(end + 2);
            let event = mem::replace(&mut self.held, rest);
            if !event.starts_with(self.kind) {
                passes.extend_from_slice(&event);
            }
        }
        passes.into()
    }

    fn end(&mut self) -> Bytes {
        mem::take(&mut self.held).into()
    }
}

/// Compresses, and gives what the compressor gives by itself: nothing for a long time.
struct Gzip(GzEncoder<Vec<u8>>);

impl Sieve for Gzip {
    fn piece(&mut self, piece: Bytes) -> Bytes {
        // Writing to memory does not fail.
        let _ = self.0.write_all(&piece);
        mem::take(self.0.get_mut()).into()
    }

    fn end(&mut self) -> Bytes {
        let _ = self.0.try_finish();
        mem::take(self.0.get_mut()).into()
    }
}

fn whole(head: &mut Parts, rewrite: fn(Vec<u8>) -> Vec<u8>) -> Through {
    head.headers.remove(CONTENT_LENGTH);
    Some(Box::new(Whole { held: Vec::new(), rewrite }))
}

pub(super) fn buffer(head: &mut Parts, _: &HeaderMap, _: &Terms) -> Through {
    whole(head, |body| body)
}

/// As nginx does with `proxy_buffering on`: chunks happen to come through, as each is flushed.
pub(super) fn buffer_close_delimited(head: &mut Parts, _: &HeaderMap, _: &Terms) -> Through {
    let delimited = head.headers.contains_key(CONTENT_LENGTH) || head.headers.contains_key(TRANSFER_ENCODING);
    if delimited { None } else { whole(head, |body| body) }
}

/// Cannot look into compressed answers, and waits for their end.
pub(super) fn buffer_gzip(head: &mut Parts, _: &HeaderMap, _: &Terms) -> Through {
    if head.headers.contains_key(CONTENT_ENCODING) { whole(head, |body| body) } else { None }
}

/// For clients that take gzip, as all of them do.
pub(super) fn gzip_streams(head: &mut Parts, client: &HeaderMap, _: &Terms) -> Through {
    if !is_plain_stream(head) || !mentions(client, ACCEPT_ENCODING.as_str(), "gzip") {
        return None;
    }
    head.headers.remove(CONTENT_LENGTH);
    head.headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    Some(Box::new(Gzip(GzEncoder::new(Vec::new(), Compression::default()))))
}

pub(super) fn swallow_pings(head: &mut Parts, _: &HeaderMap, _: &Terms) -> Through {
    without(head, b"event: ping\n")
}

pub(super) fn drop_error_events(head: &mut Parts, _: &HeaderMap, _: &Terms) -> Through {
    without(head, b"event: error\n")
}

fn without(head: &mut Parts, kind: &'static [u8]) -> Through {
    if !is_plain_stream(head) {
        return None;
    }
    head.headers.remove(CONTENT_LENGTH);
    Some(Box::new(Without { kind, held: Vec::new() }))
}

/// Makes one message of a stream.
pub(super) fn no_stream(head: &mut Parts, _: &HeaderMap, _: &Terms) -> Through {
    if !is_plain_stream(head) {
        return None;
    }
    head.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    whole(head, |stream| crate::json(&message_of(&String::from_utf8_lossy(&stream))))
}

/// Streams to clients that accept an event-stream, whatever their body says.
pub(super) fn stream_by_accept(head: &mut Parts, client: &HeaderMap, terms: &Terms) -> Through {
    if mentions(client, ACCEPT.as_str(), "text/event-stream") { None } else { no_stream(head, client, terms) }
}

/// The message that a stream of events tells, with its text.
fn message_of(stream: &str) -> Value {
    let events = stream.lines().filter_map(|line| line.strip_prefix("data: "));
    let mut message = Value::Null;
    let mut text = String::new();
    for event in events.filter_map(|data| serde_json::from_str::<Value>(data).ok()) {
        match event["type"].as_str() {
            Some("message_start") => message = event["message"].clone(),
            Some("content_block_delta") => text.push_str(event["delta"]["text"].as_str().unwrap_or_default()),
            Some("message_delta") if message.is_object() => {
                message["stop_reason"] = event["delta"]["stop_reason"].clone();
                message["usage"] = event["usage"].clone();
            }
            _ => {}
        }
    }
    if message.is_object() {
        message["content"] = json!([{ "type": "text", "text": text }]);
    }
    message
}

/// Writes what was answered anew: the same JSON in other bytes.
pub(super) fn reserialise(head: &mut Parts, _: &HeaderMap, _: &Terms) -> Through {
    if !head.status.is_success() || !mentions(&head.headers, CONTENT_TYPE.as_str(), "application/json") {
        return None;
    }
    whole(head, |body| match serde_json::from_slice::<Value>(&body) {
        Ok(value) => format!("{value:#}").into(),
        Err(_) => body,
    })
}

pub(super) fn wrap_errors(head: &mut Parts, _: &HeaderMap, _: &Terms) -> Through {
    if !is_error(head) {
        return None;
    }
    whole(head, |body| {
        crate::json(&json!({ "code": "upstream_error", "detail": String::from_utf8_lossy(&body) }))
    })
}

pub(super) fn html_errors(head: &mut Parts, _: &HeaderMap, _: &Terms) -> Through {
    if !is_error(head) {
        return None;
    }
    head.headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html"));
    whole(head, |_| PAGE.into())
}

pub(super) fn errors_as_success(head: &mut Parts, _: &HeaderMap, _: &Terms) -> Through {
    if is_error(head) {
        head.status = StatusCode::OK;
    }
    None
}

pub(super) fn success_as_created(head: &mut Parts, _: &HeaderMap, _: &Terms) -> Through {
    if head.status == StatusCode::OK {
        head.status = StatusCode::CREATED;
    }
    None
}

pub(super) fn limited_as_unavailable(head: &mut Parts, _: &HeaderMap, _: &Terms) -> Through {
    if head.status == StatusCode::TOO_MANY_REQUESTS {
        head.status = StatusCode::SERVICE_UNAVAILABLE;
    }
    None
}

pub(super) fn drop_retry_after(head: &mut Parts, _: &HeaderMap, _: &Terms) -> Through {
    head.headers.remove(RETRY_AFTER);
    None
}

pub(super) fn drop_should_retry(head: &mut Parts, _: &HeaderMap, _: &Terms) -> Through {
    head.headers.remove("x-should-retry");
    None
}

pub(super) fn drop_request_id(head: &mut Parts, _: &HeaderMap, _: &Terms) -> Through {
    head.headers.remove("request-id");
    None
}

/// The same instant, in the form that Claude Code does not read.
pub(super) fn retry_after_as_date(head: &mut Parts, _: &HeaderMap, _: &Terms) -> Through {
    if let Some(value) = head.headers.get_mut(RETRY_AFTER)
        && let Some(seconds) = value.to_str().ok().and_then(|text| text.parse::<u64>().ok())
        && let Ok(date) = HeaderValue::from_str(&clock::http_date(clock::now_seconds() + seconds))
    {
        *value = date;
    }
    None
}

/// Left over from a search for a fault.
pub(super) fn show_upstream_key(head: &mut Parts, _: &HeaderMap, terms: &Terms) -> Through {
    if let Ok(key) = HeaderValue::from_str(&terms.upstream_key) {
        head.headers.insert("x-debug-upstream-key", key);
    }
    None
}

pub(super) fn refuse_large_in_html(refusal: &Refusal) -> Answer {
    if *refusal == Refusal::TooLarge { in_html(refusal) } else { refusal::envelope(refusal) }
}

pub(super) fn refuse_blocked_in_html(refusal: &Refusal) -> Answer {
    if *refusal == Refusal::Blocked { in_html(refusal) } else { refusal::envelope(refusal) }
}

pub(super) fn refuse_unknown_in_html(refusal: &Refusal) -> Answer {
    if *refusal == Refusal::Unknown { in_html(refusal) } else { refusal::envelope(refusal) }
}

pub(super) fn refuse_unknown_with_400(refusal: &Refusal) -> Answer {
    let mut answer = refusal::envelope(refusal);
    if *refusal == Refusal::Unknown {
        *answer.status_mut() = StatusCode::BAD_REQUEST;
    }
    answer
}

pub(super) fn refuse_for_now(refusal: &Refusal) -> Answer {
    let mut answer = refusal::envelope(refusal);
    answer.headers_mut().remove("x-should-retry");
    answer
}

pub(super) fn limited_in_html(refusal: &Refusal) -> Answer {
    if let Refusal::Limited(_) = refusal { in_html(refusal) } else { refusal::envelope(refusal) }
}

pub(super) fn limited_without_retry_after(refusal: &Refusal) -> Answer {
    let mut answer = refusal::envelope(refusal);
    answer.headers_mut().remove(RETRY_AFTER);
    answer
}

/// Always says that there is room in a second.
pub(super) fn limited_with_false_retry_after(refusal: &Refusal) -> Answer {
    let mut answer = refusal::envelope(refusal);
    if let Some(value) = answer.headers_mut().get_mut(RETRY_AFTER) {
        *value = 1.into();
    }
    answer
}

/// The same status and headers, with a page for people.
fn in_html(refusal: &Refusal) -> Answer {
    let headers = refusal::envelope(refusal).into_parts().0.headers;
    let mut page = answer(refusal.status(), "text/html", PAGE);
    for (name, value) in &headers {
        page.headers_mut().entry(name).or_insert_with(|| value.clone());
    }
    page
}

fn is_error(head: &Parts) -> bool {
    head.status.is_client_error() || head.status.is_server_error()
}

fn is_plain_stream(head: &Parts) -> bool {
    mentions(&head.headers, CONTENT_TYPE.as_str(), "text/event-stream")
        && !head.headers.contains_key(CONTENT_ENCODING)
}

fn mentions(headers: &HeaderMap, name: &str, word: &str) -> bool {
    headers.get_all(name).iter().any(|value| contains(value.as_bytes(), word.as_bytes()))
}
