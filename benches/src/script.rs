//! What is said in a bench: the bytes of each request and each answer, valid in the Messages API, with usage.

use serde_json::{Value, json};

use crate::workload::{Answer, Workload};

/// The credential that the upstream wants to see. Whatever stands between must put it in place of the client's.
pub(crate) const UPSTREAM_KEY: &str = "bench-upstream-key";
/// What each answer says that it used.
pub(crate) const INPUT_TOKENS: u64 = 1_200;
/// As [`INPUT_TOKENS`].
pub(crate) const OUTPUT_TOKENS: u64 = 90;

/// The model that is asked for, and that answers.
pub(crate) const MODEL: &str = "claude-sonnet-4-5";
/// A line as code and prose have it in a prompt, with what JSON must escape.
const LINE: &str =
    "\tlet total = items.iter().map(|item| item.price * item.count).sum(); // \"net\", see \\docs\n";

/// A request: head and body in one piece, with the headers that Claude Code sends.
pub(crate) fn request(workload: &Workload, credential: &str) -> Vec<u8> {
    let is_stream = workload.answer.events() > 0;
    let body = body(workload.body_bytes, is_stream);
    let head = format!(
        "POST /v1/messages?beta=true HTTP/1.1\r\n\
         host: gateway\r\n\
         accept: application/json\r\n\
         accept-encoding: identity\r\n\
         content-type: application/json\r\n\
         user-agent: claude-cli/2.1.0 (external, cli)\r\n\
         x-app: cli\r\n\
         anthropic-version: 2023-06-01\r\n\
         anthropic-beta: claude-code-20250219,interleaved-thinking-2025-05-14\r\n\
         x-claude-code-session-id: 5a1c3c2e-8f0b-4d5e-9a57-3b1f0c9d2e77\r\n\
         x-stainless-lang: js\r\n\
         x-stainless-retry-count: 0\r\n\
         authorization: Bearer {credential}\r\n\
         content-length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), &body].concat()
}

/// A request body of exactly `bytes`: a system prompt, a tool, and turns of text.
fn body(bytes: usize, is_stream: bool) -> Vec<u8> {
    let shape = |text: &str| {
        json!({
            "model": MODEL,
            "max_tokens": 1024,
            "stream": is_stream,
            "metadata": { "user_id": "user_1" },
            "system": [{ "type": "text", "text": "You are a careful programmer.",
                         "cache_control": { "type": "ephemeral" } }],
            "tools": [{ "name": "read", "description": "Reads a file.",
                        "input_schema": { "type": "object", "properties": { "path": { "type": "string" } } } }],
            "messages": [{ "role": "user", "content": [{ "type": "text", "text": text }] }],
        })
        .to_string()
        .into_bytes()
    };
    let line_bytes = shape(LINE).len() - shape("").len();
    let room = bytes.saturating_sub(shape("").len());
    let text = LINE.repeat(room / line_bytes) + &"x".repeat(room % line_bytes);
    shape(&text)
}

/// An answer as the upstream writes it: the head, and the body in the pieces in which it is written.
pub(crate) struct Script {
    /// Head and first piece are written together.
    pub(crate) head: Vec<u8>,
    /// Pieces with their framing.
    pub(crate) pieces: Vec<Vec<u8>>,
    /// The body as the client must see it in the end, without framing.
    pub(crate) payload: Vec<u8>,
}

impl Script {
    /// What the upstream answers.
    pub(crate) fn new(answer: Answer) -> Self {
        match answer {
            Answer::Json => Script::message(),
            Answer::Burst { events } | Answer::Paced { events, .. } => Script::stream(events),
            Answer::Held => Script::stream(Answer::Held.events()),
        }
    }

    fn message() -> Self {
        let text = "The total is wrong because the discount is applied twice. ".repeat(6);
        let payload =
            message(json!([{ "type": "text", "text": text }]), OUTPUT_TOKENS).to_string().into_bytes();
        let framing = format!("content-length: {}\r\n", payload.len());
        Script { head: head("application/json", &framing), pieces: vec![payload.clone()], payload }
    }

    fn stream(events: usize) -> Self {
        let begin = message(json!([]), 1);
        let mut script = vec![
            event("message_start", &json!({ "message": begin })),
            event(
                "content_block_start",
                &json!({ "index": 0, "content_block": { "type": "text", "text": "" } }),
            ),
        ];
        let delta =
            json!({ "index": 0, "delta": { "type": "text_delta", "text": " the discount is applied" } });
        script.extend((0..events.saturating_sub(5)).map(|_| event("content_block_delta", &delta)));
        let end = json!({ "delta": { "stop_reason": "end_turn", "stop_sequence": null },
                          "usage": { "output_tokens": OUTPUT_TOKENS } });
        script.push(event("content_block_stop", &json!({ "index": 0 })));
        script.push(event("message_delta", &end));
        script.push(event("message_stop", &json!({})));
        let mut pieces: Vec<Vec<u8>> = script.iter().map(|event| chunk(event)).collect();
        pieces.last_mut().into_iter().for_each(|last| last.extend_from_slice(b"0\r\n\r\n"));
        Script {
            head: head(
                "text/event-stream; charset=utf-8",
                "cache-control: no-cache\r\ntransfer-encoding: chunked\r\n",
            ),
            pieces,
            payload: script.concat(),
        }
    }
}

/// The refusal of a request that carries another credential than the upstream's.
pub(crate) fn refusal() -> Vec<u8> {
    let body = r#"{"type":"error","error":{"type":"authentication_error","message":"invalid x-api-key"}}"#;
    format!("HTTP/1.1 401 Unauthorized\r\ncontent-length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

fn head(content_type: &str, framing: &str) -> Vec<u8> {
    format!(
        "HTTP/1.1 200 OK\r\n\
         date: Sun, 22 Nov 2026 12:00:00 GMT\r\n\
         content-type: {content_type}\r\n\
         {framing}\
         request-id: req_011CSHoEeqs5C35K2UUqR7Fy\r\n\
         anthropic-organization-id: 4d1f7a2e-5b0c-4e8f-9c43-0a6b2f1d7e90\r\n\
         anthropic-ratelimit-requests-remaining: 3999\r\n\
         strict-transport-security: max-age=31536000\r\n\
         server: bench\r\n\r\n"
    )
    .into_bytes()
}

fn message(content: Value, output_tokens: u64) -> Value {
    json!({
        "id": "msg_01XFDUDYJgAACzvnptvVoYEL",
        "type": "message",
        "role": "assistant",
        "model": MODEL,
        "content": content,
        "stop_reason": "end_turn",
        "stop_sequence": null,
        "usage": { "input_tokens": INPUT_TOKENS, "output_tokens": output_tokens, "cache_read_input_tokens": 0,
                   "cache_creation_input_tokens": 0, "service_tier": "standard" },
    })
}

fn event(kind: &str, data: &Value) -> Vec<u8> {
    let mut data = data.clone();
    data["type"] = kind.into();
    format!("event: {kind}\ndata: {data}\n\n").into_bytes()
}

fn chunk(payload: &[u8]) -> Vec<u8> {
    [format!("{:x}\r\n", payload.len()).as_bytes(), payload, b"\r\n"].concat()
}

#[cfg(test)]
mod tests {
    use tollgate_wire::http1::{Chunked, Progress};
    use tollgate_wire::lens;
    use tollgate_wire::meter::Meter;

    use super::*;
    use crate::workload::ALL;

    #[test]
    fn requests_have_the_length_they_should_and_are_valid() {
        for workload in &ALL {
            let is_stream = workload.answer.events() > 0;
            let body = body(workload.body_bytes, is_stream);
            assert_eq!(body.len(), workload.body_bytes, "{}", workload.name);
            let lens = lens::look(&body).unwrap();
            assert_eq!((lens.model.as_ref(), lens.stream), (MODEL, is_stream), "{}", workload.name);
            let request = request(workload, "key");
            let length = format!("content-length: {}\r\n\r\n{{", body.len());
            assert!(String::from_utf8_lossy(&request).contains(&length), "{}", workload.name);
        }
    }

    #[test]
    fn answers_report_their_usage() {
        for workload in &ALL {
            let script = Script::new(workload.answer);
            let events = workload.answer.events();
            let mut meter = if events > 0 { Meter::for_stream() } else { Meter::for_answer() };
            meter.push(&script.payload);
            let metered = meter.finish();
            assert!(metered.complete && metered.error.is_none(), "{}", workload.name);
            let usage = metered.usage.unwrap();
            assert_eq!(
                (usage.input_tokens, usage.output_tokens),
                (INPUT_TOKENS, OUTPUT_TOKENS),
                "{}",
                workload.name
            );
            if events > 0 {
                assert_eq!(script.pieces.len(), events, "{}", workload.name);
                assert_eq!(unframe(&script.pieces.concat()), script.payload, "{}", workload.name);
            }
        }
    }

    fn unframe(wire: &[u8]) -> Vec<u8> {
        let mut payload = Vec::new();
        let progress = Chunked::default().read(wire, |run| payload.extend_from_slice(run)).unwrap();
        assert!(matches!(progress, Progress::End(used) if used == wire.len()));
        payload
    }
}
