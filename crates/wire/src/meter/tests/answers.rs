use super::*;
use crate::usage::Iteration;

#[test]
fn an_answer_is_metered_at_its_end() {
    let body = json!({
        "id": "msg_1", "type": "message", "model": "claude-opus-5-5", "stop_reason": "end_turn",
        "content": [{"type": "text", "text": "hi", "usage": {"input_tokens": 99}, "model": "no"}],
        "usage": {
            "input_tokens": 5, "output_tokens": 0, "speed": "fast", "inference_geo": "us",
            "iterations": [{"type": "compaction", "input_tokens": 8}],
        },
    });
    let iterations = vec![Iteration { kind: "compaction".into(), input_tokens: 8, ..Iteration::default() }];
    let expected = Metered {
        model: Some("claude-opus-5-5".into()),
        usage: Some(Usage {
            input_tokens: 5,
            speed: Some("fast".into()),
            inference_geo: Some("us".into()),
            iterations,
            ..Usage::default()
        }),
        complete: true,
        stop_reason: Some("end_turn".into()),
        ..Metered::default()
    };
    let bytes = body.to_string().into_bytes();
    assert_eq!(of_answer(&bytes), expected);
    assert_eq!(meter(Meter::for_answer(), bytes.chunks(3)), expected);

    let cut = of_answer(&bytes[..bytes.len() - 1]);
    assert_eq!(cut, Metered { text_chars: bytes.len() as u64 - 1, ..Metered::default() });
}

#[test]
fn answers_of_other_kinds_are_read_as_far_as_they_go() {
    let complete = Metered { complete: true, ..Metered::default() };
    let error = |kind: &str| Metered { error: Some(kind.into()), ..complete.clone() };
    let rows: &[(&str, Metered)] = &[
        ("", Metered::default()),
        ("<html>502</html>", Metered::default()),
        ("{}", complete.clone()),
        (" [1] ", complete.clone()),
        (r#"{"input_tokens":2095}"#, complete.clone()),
        (r#"{"data":[{"type":"model","id":"claude-opus-5-5"}],"has_more":false}"#, complete.clone()),
        (
            r#"{"type":"error","error":{"type":"not_found_error","message":"m"},"request_id":"r"}"#,
            error("not_found_error"),
        ),
        (r#"{"error":"text"}"#, complete.clone()),
        (r#"{"error":{"type":"api_error"}}"#, error("api_error")),
        (r#"{"usage":7,"model":["m"],"stop_reason":{},"content":"text"}"#, complete.clone()),
        (r#"{"usage":{"output_tokens":"9"},"model":null}"#, complete.clone()),
        // Clients take the last of two.
        (
            r#"{"model":"a","model":"b","\u006dodel":"c"}"#,
            Metered { model: Some("c".into()), ..complete.clone() },
        ),
        ("{\"a\":1} trailing", Metered { text_chars: 16, ..Metered::default() }),
        ("{\"a\":\"\u{e9}", Metered { text_chars: 7, ..Metered::default() }),
    ];
    for (body, expected) in rows {
        assert_eq!(of_answer(body.as_bytes()), *expected, "{body}");
    }
}

#[test]
fn a_refusing_answer_is_billable_only_with_content() {
    let rows = [
        (json!([]), false),
        (json!(null), false),
        (json!([{"type": "fallback", "to": {"model": "m"}}]), false),
        (json!([{"type": "text", "text": "I"}]), true),
        (json!([{"type": "fallback"}, {"type": "tool_use"}]), true),
        (json!("text"), true),
    ];
    for (content, billable) in rows {
        let refusal = json!({"stop_reason": "refusal", "content": content}).to_string();
        assert_eq!(of_answer(refusal.as_bytes()).billable, billable, "{content}");
        let other = json!({"stop_reason": "end_turn", "content": content}).to_string();
        assert!(of_answer(other.as_bytes()).billable, "{content}");
    }
}

#[test]
fn an_answer_beyond_the_limit_is_reported_as_unread() {
    let body = [vec![b' '; ANSWER_LIMIT - 2], b"{}".to_vec()].concat();
    assert!(meter(Meter::for_answer(), body.chunks(1 << 20)).complete);
    let expected = Metered { unread: Some(Unread::AnswerTooLarge), ..Metered::default() };
    let more = body.chunks(1 << 20).chain([b" ".as_slice()]);
    assert_eq!(meter(Meter::for_answer(), more), expected);
}
