//! What gateways do wrong with requests: whom they let in, what they send on.

use std::time::Duration;

use bytes::Bytes;
use hyper::Method;
use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use hyper::http::request;
use serde_json::Value;

use super::Terms;
use super::habits::{Outgoing, api_key, bearer, known, route};
use super::refusal::{Answer, answer};

const VERSION: HeaderValue = HeaderValue::from_static("2023-06-01");
const AUTHORIZATION: HeaderName = HeaderName::from_static("authorization");

/// Of the headers that a client may send, those that a closed list lets through.
const CLOSED_LIST: [&str; 8] = [
    "accept",
    "accept-encoding",
    "anthropic-beta",
    "anthropic-version",
    "content-type",
    "host",
    "user-agent",
    "x-api-key",
];

/// The beta features that an allow-list knew when it was written.
const KNOWN_BETAS: [&str; 3] =
    ["claude-code-20250219", "interleaved-thinking-2025-05-14", "context-management-2025-06-27"];

/// Whatever is presented, also nothing.
pub(super) fn anybody(headers: &HeaderMap, _: &Terms) -> Option<String> {
    Some(bearer(headers).or(api_key(headers)).unwrap_or_default().to_owned())
}

/// Whatever is presented.
pub(super) fn any_credential(headers: &HeaderMap, _: &Terms) -> Option<String> {
    bearer(headers).or(api_key(headers)).map(str::to_owned)
}

pub(super) fn bearer_only(headers: &HeaderMap, terms: &Terms) -> Option<String> {
    known(bearer(headers)?, terms)
}

pub(super) fn api_key_only(headers: &HeaderMap, terms: &Terms) -> Option<String> {
    known(api_key(headers)?, terms)
}

/// Refuses who presents both headers.
pub(super) fn one_header_only(headers: &HeaderMap, terms: &Terms) -> Option<String> {
    match (bearer(headers), api_key(headers)) {
        (Some(credential), None) | (None, Some(credential)) => known(credential, terms),
        _ => None,
    }
}

pub(super) fn any_path<'p>(method: &Method, path: &'p str) -> Option<&'p str> {
    route(method, path).or(Some("/v1/messages"))
}

pub(super) fn without_count_tokens<'p>(method: &Method, path: &'p str) -> Option<&'p str> {
    route(method, path).filter(|path| *path != "/v1/messages/count_tokens")
}

pub(super) fn without_models<'p>(method: &Method, path: &'p str) -> Option<&'p str> {
    route(method, path).filter(|path| !path.starts_with("/v1/models"))
}

/// Takes the slash that [`redirect_to_slash`] asks for.
pub(super) fn with_slash<'p>(method: &Method, path: &'p str) -> Option<&'p str> {
    route(method, path.strip_suffix('/').unwrap_or(path))
}

pub(super) fn redirect_to_slash(head: &request::Parts, _: &[u8]) -> Option<Answer> {
    let path = head.uri.path();
    if path.ends_with('/') {
        return None;
    }
    let query = head.uri.query().map(|query| format!("?{query}")).unwrap_or_default();
    let mut redirect = answer(308, "text/plain", Bytes::new());
    let location = HeaderValue::from_str(&format!("{path}/{query}")).ok()?;
    redirect.headers_mut().insert("location", location);
    Some(redirect)
}

pub(super) fn stub_200(_: &request::Parts, body: &[u8]) -> Option<Answer> {
    Some(stub(200, body))
}

pub(super) fn stub_201(_: &request::Parts, body: &[u8]) -> Option<Answer> {
    Some(stub(201, body))
}

/// Answers as if it had asked.
fn stub(status: u16, body: &[u8]) -> Answer {
    const STREAM: &str = "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"msg_stub\",\
        \"type\":\"message\",\"role\":\"assistant\",\"model\":\"claude-opus-5-5\",\"content\":[]}}\n\n\
        event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n";
    const PLAIN: &str = r#"{"id":"msg_stub","type":"message","role":"assistant","model":"claude-opus-5-5","content":[{"type":"text","text":"Hello!"}],"stop_reason":"end_turn","usage":{"input_tokens":1,"output_tokens":1}}"#;
    let asks_for_stream = contains(body, b"\"stream\":true") || contains(body, b"\"stream\": true");
    match asks_for_stream {
        true => answer(status, "text/event-stream", STREAM),
        false => answer(status, "application/json", PLAIN),
    }
}

/// Refuses heads above the 8 KiB that nginx takes without being told otherwise.
pub(super) fn small_heads(head: &request::Parts, _: &[u8]) -> Option<Answer> {
    let bytes: usize = head.headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
    let page = "<html><head><title>400 Request Header Or Cookie Too Large</title></head></html>";
    (bytes > 8 * 1024).then(|| answer(400, "text/html", page))
}

/// What a firewall for web pages takes for an attack.
pub(super) fn looks_like_markup(body: &[u8]) -> bool {
    [&b"<script"[..], b"onerror=", b"javascript:"].into_iter().any(|mark| contains(body, mark))
}

pub(super) fn slow_models(path: &str, terms: &Terms) -> Duration {
    if path == "/v1/models" { terms.slow } else { Duration::ZERO }
}

pub(super) fn slow_hello(path: &str, terms: &Terms) -> Duration {
    if matches!(path, "/" | "/api/hello") { terms.slow } else { Duration::ZERO }
}

pub(super) fn strip_beta(outgoing: &mut Outgoing, _: &Terms) {
    outgoing.head.headers.remove("anthropic-beta");
}

pub(super) fn known_betas_only(outgoing: &mut Outgoing, _: &Terms) {
    let headers = &mut outgoing.head.headers;
    let given = headers.get("anthropic-beta").and_then(|value| value.to_str().ok()).unwrap_or_default();
    let known: Vec<&str> = given.split(',').filter(|beta| KNOWN_BETAS.contains(&beta.trim())).collect();
    let known = HeaderValue::from_str(&known.join(","));
    headers.remove("anthropic-beta");
    if let Ok(known) = known
        && !known.is_empty()
    {
        headers.insert("anthropic-beta", known);
    }
}

pub(super) fn fix_version(outgoing: &mut Outgoing, _: &Terms) {
    if let Some(version) = outgoing.head.headers.get_mut("anthropic-version") {
        *version = VERSION;
    }
}

pub(super) fn add_version(outgoing: &mut Outgoing, _: &Terms) {
    outgoing.head.headers.entry("anthropic-version").or_insert(VERSION);
}

pub(super) fn drop_query(outgoing: &mut Outgoing, _: &Terms) {
    if let Ok(path) = outgoing.head.uri.path().parse() {
        outgoing.head.uri = path;
    }
}

pub(super) fn drop_unknown_headers(outgoing: &mut Outgoing, _: &Terms) {
    let headers = &mut outgoing.head.headers;
    let unknown: Vec<HeaderName> =
        headers.keys().filter(|name| !CLOSED_LIST.contains(&name.as_str())).cloned().collect();
    for name in unknown {
        headers.remove(name);
    }
}

/// Keeps the hints of Claude Code for itself.
pub(super) fn use_up_hints(outgoing: &mut Outgoing, _: &Terms) {
    let headers = &mut outgoing.head.headers;
    let hints: Vec<HeaderName> =
        headers.keys().filter(|name| name.as_str().starts_with("x-claude-code-")).cloned().collect();
    for name in hints {
        headers.remove(name);
    }
}

pub(super) fn forward_cookies(outgoing: &mut Outgoing, _: &Terms) {
    for name in ["cookie", "origin"] {
        if let Some(value) = outgoing.received.get(name) {
            outgoing.head.headers.insert(name, value.clone());
        }
    }
}

/// As a proxy that signs people in does.
pub(super) fn leak_in_a_header_of_its_own(outgoing: &mut Outgoing, _: &Terms) {
    if let Ok(credential) = HeaderValue::from_str(&outgoing.credential) {
        outgoing.head.headers.insert("x-forwarded-access-token", credential);
    }
}

/// As a proxy that sets `x-api-key`, and nothing else, does.
pub(super) fn keep_authorization(outgoing: &mut Outgoing, _: &Terms) {
    if let Some(value) = outgoing.received.get(AUTHORIZATION) {
        outgoing.head.headers.insert(AUTHORIZATION, value.clone());
    }
}

pub(super) fn send_two_credentials(outgoing: &mut Outgoing, terms: &Terms) {
    if let Ok(value) = HeaderValue::from_str(&format!("Bearer {}", terms.upstream_key)) {
        outgoing.head.headers.insert(AUTHORIZATION, value);
    }
}

pub(super) fn reserialise(outgoing: &mut Outgoing, _: &Terms) {
    if let Ok(value) = serde_json::from_slice::<Value>(&outgoing.body) {
        outgoing.body = crate::json(&value).into();
    }
}

/// Makes one text of the entries of `system`, as translations to other APIs do.
pub(super) fn flatten_system(outgoing: &mut Outgoing, _: &Terms) {
    let Ok(mut body) = serde_json::from_slice::<Value>(&outgoing.body) else {
        return;
    };
    if let Some(entries) = body["system"].as_array() {
        let texts: Vec<&str> = entries.iter().filter_map(|entry| entry["text"].as_str()).collect();
        body["system"] = texts.join("\n").into();
        outgoing.body = crate::json(&body).into();
    }
}

/// Writes `\uXXXX` as the character that it stands for, and leaves everything else as it is.
pub(super) fn unescape(outgoing: &mut Outgoing, _: &Terms) {
    let mut rest = outgoing.body.as_ref();
    let mut text = Vec::with_capacity(rest.len());
    while let Some(plain) = rest.iter().position(|byte| *byte == b'\\') {
        text.extend_from_slice(&rest[..plain]);
        rest = &rest[plain..];
        let length = match escaped(rest) {
            Some(character) => {
                text.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
                6
            }
            None => {
                // The byte behind a backslash belongs to it.
                let length = rest.len().min(2);
                text.extend_from_slice(&rest[..length]);
                length
            }
        };
        rest = &rest[length..];
    }
    text.extend_from_slice(rest);
    outgoing.body = text.into();
}

/// The character of an escape at the start of `text`, if it need not be escaped.
fn escaped(text: &[u8]) -> Option<char> {
    let digits = text.strip_prefix(b"\\u")?.get(..4)?;
    let code = u32::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
    char::from_u32(code).filter(|character| !character.is_control() && !matches!(character, '"' | '\\'))
}

pub(super) fn contains(text: &[u8], part: &[u8]) -> bool {
    let Some(first) = part.first() else { return true };
    let mut rest = text;
    while let Some(at) = rest.iter().position(|byte| byte == first) {
        if rest[at..].starts_with(part) {
            return true;
        }
        rest = &rest[at + 1..];
    }
    false
}
