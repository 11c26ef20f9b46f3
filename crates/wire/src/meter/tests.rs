mod answers;
mod gzipped;
mod properties;
mod streams;

use super::*;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use std::io::Write;

/// The bytes of a stream with these events, named by their type.
fn stream(events: &[Value]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for event in events {
        write!(bytes, "event: {}\ndata: {event}\n\n", event["type"].as_str().unwrap()).unwrap();
    }
    bytes
}

fn meter(mut meter: Meter, chunks: impl IntoIterator<Item = impl AsRef<[u8]>>) -> Metered {
    for chunk in chunks {
        meter.push(chunk.as_ref());
    }
    meter.finish()
}

fn of_stream(events: &[Value]) -> Metered {
    meter(Meter::for_stream(), [stream(events)])
}

fn of_answer(body: &[u8]) -> Metered {
    meter(Meter::for_answer(), [body])
}

fn start(usage: Value) -> Value {
    let message =
        json!({"id": "msg_1", "type": "message", "model": "claude-fable-5-2", "content": [], "usage": usage});
    json!({"type": "message_start", "message": message})
}

fn text(text: &str) -> Value {
    json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}})
}

fn block(block: Value) -> Value {
    json!({"type": "content_block_start", "index": 0, "content_block": block})
}

fn end(stop_reason: &str, usage: Value) -> Value {
    json!({"type": "message_delta", "delta": {"stop_reason": stop_reason, "stop_sequence": null}, "usage": usage})
}

fn stop() -> Value {
    json!({"type": "message_stop"})
}

fn ordinary() -> Vec<Value> {
    vec![
        start(json!({
            "input_tokens": 25, "cache_creation_input_tokens": 30, "cache_read_input_tokens": 7, "output_tokens": 1,
            "cache_creation": {"ephemeral_5m_input_tokens": 10, "ephemeral_1h_input_tokens": 20},
            "service_tier": "standard",
        })),
        block(json!({"type": "text", "text": ""})),
        json!({"type": "ping"}),
        text("Hello, w\u{f6}rld"),
        text(" \"quoted\"\n"),
        json!({"type": "content_block_stop", "index": 0}),
        end("end_turn", json!({"output_tokens": 15})),
        stop(),
    ]
}

fn ordinary_metered() -> Metered {
    Metered {
        model: Some("claude-fable-5-2".into()),
        usage: Some(Usage {
            input_tokens: 25,
            output_tokens: 15,
            cache_write_5m_tokens: 10,
            cache_write_1h_tokens: 20,
            cache_read_tokens: 7,
            service_tier: Some("standard".into()),
            ..Usage::default()
        }),
        complete: true,
        stop_reason: Some("end_turn".into()),
        text_chars: 22,
        ..Metered::default()
    }
}

/// Compresses as a server does that flushes after each event.
fn gzip(chunks: &[&[u8]]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    for chunk in chunks {
        encoder.write_all(chunk).unwrap();
        encoder.flush().unwrap();
    }
    encoder.finish().unwrap()
}
