//! `/_simulator/...`: what is under test asks nothing here, so that these requests are not recorded.

use bytes::Bytes;
use serde_json::json;

use crate::error::ApiError;
use crate::http::{Head, reason};
use crate::link::Link;
use crate::record::Seen;
use crate::script::Script;
use crate::send::After;
use crate::serve::Shared;

const PREFIX: &str = "/_simulator/";

/// Whether a request is one of these.
pub(crate) fn is_for(head: &Head) -> bool {
    head.path().starts_with(PREFIX)
}

/// Answers it.
pub(crate) async fn answer(link: &mut Link, head: &Head, shared: &Shared) -> After {
    let Ok(framing) = head.framing() else {
        return After::Close;
    };
    let Ok(body) = link.body(framing, shared.read_body_bytes).await else {
        return After::Close;
    };
    let (status, json) = act(head, &body, shared);
    let keep_alive = head.keeps_alive();
    let connection = if keep_alive { "keep-alive" } else { "close" };
    let mut answer = format!(
        "HTTP/1.1 {status} {}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\
         Connection: {connection}\r\n\r\n",
        reason(status),
        json.len(),
    )
    .into_bytes();
    if head.method != "HEAD" {
        answer.extend_from_slice(&json);
    }
    let mut rest = answer.as_slice();
    while !rest.is_empty() {
        match link.write(rest).await {
            Ok(count) => rest = &rest[count..],
            Err(_) => return After::Close,
        }
    }
    if keep_alive { After::Keep } else { After::Close }
}

fn act(head: &Head, body: &Bytes, shared: &Shared) -> (u16, Vec<u8>) {
    let record = &shared.record;
    let method = if head.method == "HEAD" { "GET" } else { &head.method };
    match (method, &head.path()[PREFIX.len()..]) {
        ("GET", "requests") => {
            let after = head.parameter("after").and_then(|id| id.parse().ok());
            let requests = record.requests_after(after.unwrap_or(0));
            let bodies = head.parameter("bodies").is_some_and(|value| value == "true");
            (200, crate::json(&listed(&requests, bodies)))
        }
        ("DELETE", "requests") => {
            record.clear();
            (200, b"{}".to_vec())
        }
        ("GET", "served") => (200, crate::json(&record.served())),
        ("PUT", "script") => match std::str::from_utf8(body).map(Script::parse) {
            Ok(Ok(script)) => {
                shared.set_script(script);
                (200, b"{}".to_vec())
            }
            Ok(Err(problem)) => failure(400, &problem.to_string()),
            Err(_) => failure(400, "the script is not UTF-8"),
        },
        _ => failure(
            404,
            "There is GET and DELETE /_simulator/requests, GET /_simulator/served and \
             PUT /_simulator/script",
        ),
    }
}

fn listed(requests: &[Seen], bodies: bool) -> serde_json::Value {
    let listed: Vec<serde_json::Value> = requests
        .iter()
        .map(|seen| {
            let mut value = json!(seen);
            if bodies {
                value["body"] = String::from_utf8_lossy(&seen.body).into();
            }
            value
        })
        .collect();
    json!({ "requests": listed })
}

fn failure(status: u16, message: &str) -> (u16, Vec<u8>) {
    (status, ApiError::new(status, message).envelope(None))
}
