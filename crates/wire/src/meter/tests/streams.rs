use super::*;

#[test]
fn an_ordinary_stream_is_metered() {
    assert_eq!(of_stream(&ordinary()), ordinary_metered());
    assert_eq!(meter(Meter::for_stream(), stream(&ordinary()).chunks(1)), ordinary_metered());
}

#[test]
fn a_finished_meter_is_empty() {
    for mut meter in [Meter::for_stream(), Meter::for_answer(), Meter::for_stream().gzip()] {
        meter.push(b"event: message_stop\ndata: {}\n\n");
        let _ = meter.finish();
        let again = meter.finish();
        assert_eq!(Metered { unread: None, ..again }, Metered::default(), "{meter:?}");
    }
}

#[test]
fn a_stream_that_breaks_off_tells_what_it_told() {
    let events = ordinary();
    let rows = [(0, false, 0, 0), (1, true, 1, 0), (4, true, 1, 12), (6, true, 1, 22), (7, true, 15, 22)];
    for (count, reported, output_tokens, text_chars) in rows {
        let metered = of_stream(&events[..count]);
        assert!(!metered.complete);
        assert_eq!(metered.usage.as_ref().is_some(), reported, "{count} events");
        assert_eq!(metered.usage.map_or(0, |usage| usage.output_tokens), output_tokens, "{count} events");
        assert_eq!(metered.text_chars, text_chars, "{count} events");
        assert!(metered.billable);
    }
}

#[test]
fn cumulative_reports_are_not_added() {
    let metered = of_stream(&[
        start(json!({"input_tokens": 0, "output_tokens": 0})),
        end("tool_use", json!({"output_tokens": 10, "input_tokens": 400, "cache_creation_input_tokens": 50})),
        end(
            "end_turn",
            json!({
                "output_tokens": 30, "input_tokens": null, "server_tool_use": {"web_search_requests": 2},
            }),
        ),
        stop(),
    ]);
    let usage = Usage {
        input_tokens: 400,
        output_tokens: 30,
        cache_write_5m_tokens: 50,
        web_search_requests: 2,
        ..Usage::default()
    };
    assert_eq!(metered.usage, Some(usage));
    assert_eq!(metered.stop_reason.as_deref(), Some("end_turn"));
}

#[test]
fn deltas_count_the_characters_of_output_only() {
    let rows = [
        (json!({"type": "text_delta", "text": "\u{1F600}\u{e9}\"\n"}), 4),
        (json!({"type": "text_delta", "text": ""}), 0),
        (json!({"type": "thinking_delta", "thinking": "hmm"}), 3),
        (json!({"type": "thinking_delta", "thinking": "hmm", "estimated_tokens": 50}), 3),
        (json!({"type": "thinking_delta", "thinking": "", "estimated_tokens": 50}), 200),
        (json!({"type": "thinking_delta", "estimated_tokens": 50, "thinking": ""}), 200),
        (json!({"type": "thinking_delta", "thinking": "", "estimated_tokens": null}), 0),
        (json!({"type": "thinking_delta", "thinking": "", "estimated_tokens": 1.5}), 0),
        (json!({"type": "thinking_delta", "thinking": "", "estimated_tokens": -5}), 0),
        (json!({"type": "thinking_delta", "thinking": "", "estimated_tokens": u64::MAX}), u64::MAX),
        (json!({"type": "input_json_delta", "partial_json": "{\"a\": \"b"}), 8),
        (json!({"type": "compaction_delta", "content": "short", "encrypted_content": "secret"}), 5),
        (json!({"type": "compaction_delta", "content": null}), 0),
        (json!({"type": "signature_delta", "signature": "EqQBCgIYAhIM"}), 0),
        (json!({"type": "citations_delta", "citation": {"text": "cited", "content": "x"}}), 0),
        (json!({"type": "text_delta", "text": 7}), 0),
        (json!({"type": "text_delta", "text": {"text": "deep"}}), 0),
        (json!("text"), 0),
        (json!(null), 0),
    ];
    for (delta, expected) in rows {
        let event = json!({"index": 0, "text": "not here", "delta": delta, "type": "content_block_delta"});
        assert_eq!(of_stream(&[event]).text_chars, expected, "{delta}");
    }
    let escaped = br#"{"type":"content_block_delta","\u0064elta":{"te\u0078t":"\ud83d\ude00\u00e9\ud83d"}}"#;
    let bytes = [b"event: content_block_delta\ndata: ", escaped.as_slice(), b"\n\n"].concat();
    assert_eq!(meter(Meter::for_stream(), [bytes]).text_chars, 3);
}

#[test]
fn the_serving_model_is_the_one_last_named() {
    let fallback = |to: &str| block(json!({"type": "fallback", "from": {"model": "x"}, "to": {"model": to}}));
    let iterations = |model: Value| {
        json!({"output_tokens": 1, "iterations": [
            {"type": "message", "model": "claude-fable-5-2"}, {"type": "fallback_message", "model": model},
            {"type": "advisor_message", "model": "claude-haiku-5-5"},
        ]})
    };
    let moved = json!({"type": "message_delta", "delta": {"model": "claude-b"}, "usage": {}});
    let moved_outside = json!({"type": "message_delta", "delta": {}, "model": "claude-c"});
    let rows = [
        (vec![], "claude-fable-5-2"),
        (vec![fallback("claude-a")], "claude-a"),
        (vec![fallback("claude-a"), fallback("claude-b")], "claude-b"),
        (vec![fallback("")], "claude-fable-5-2"),
        (vec![fallback("claude-a"), moved], "claude-b"),
        (vec![moved_outside], "claude-c"),
        (vec![end("end_turn", iterations(json!("claude-d")))], "claude-d"),
        (vec![fallback("claude-a"), end("end_turn", iterations(json!(null)))], "claude-a"),
    ];
    for (events, expected) in rows {
        let events = [vec![start(json!({"input_tokens": 1}))], events].concat();
        assert_eq!(of_stream(&events).model.as_deref(), Some(expected), "{events:?}");
    }
}

#[test]
fn a_refusal_is_billable_only_after_output() {
    let refused = || end("refusal", json!({"output_tokens": 0}));
    let rows = [
        (vec![refused()], false),
        (vec![block(json!({"type": "text", "text": ""})), refused()], false),
        (vec![block(json!({"type": "fallback", "to": {"model": "claude-a"}})), refused()], false),
        (vec![json!({"type": "ping"}), refused()], false),
        (vec![text("I"), refused()], true),
        (vec![block(json!({"type": "thinking", "thinking": "", "signature": ""})), refused()], true),
        (vec![block(json!({"type": "tool_use", "name": "bash"})), refused()], true),
        (vec![end("end_turn", json!({"output_tokens": 0}))], true),
        (vec![refused(), end("end_turn", json!({}))], true),
    ];
    for (events, billable) in rows {
        let events = [vec![start(json!({"input_tokens": 412}))], events, vec![stop()]].concat();
        assert_eq!(of_stream(&events).billable, billable, "{events:?}");
    }
}

#[test]
fn an_error_in_the_middle_of_a_stream_is_recorded() {
    let rows = [
        (
            json!({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}),
            "overloaded_error",
        ),
        (json!({"type": "error", "error": {"message": "no type"}}), "unknown"),
        (json!({"type": "error", "error": "text"}), "unknown"),
    ];
    for (error, expected) in rows {
        let metered = of_stream(&[start(json!({"input_tokens": 3})), text("abc"), error]);
        assert_eq!(metered.error.as_deref(), Some(expected));
        assert_eq!((metered.complete, metered.text_chars, metered.billable), (false, 3, true));
        assert_eq!(metered.usage.map(|usage| usage.input_tokens), Some(3));
    }
}

#[test]
fn what_is_unknown_or_broken_in_a_stream_is_passed_over() {
    let rows: &[&[u8]] = &[
        b"event: something_new\ndata: {\"usage\": {\"output_tokens\": 99}}\n\n",
        b"event: message_delta\ndata: not json\n\n",
        b"event: message_delta\ndata: [1, 2, 3]\n\n",
        b"event: message_delta\ndata: \"text\"\n\n",
        b"event: message_delta\ndata: {\"usage\": \"many\", \"delta\": 7, \"model\": {}}\n\n",
        b"event: message_delta\ndata: {\"usage\": {\"output_tokens\": \"99\", \"iterations\": {}}}\n\n",
        b"event: message_start\ndata: {\"message\": null}\n\n",
        b"event: message_start\ndata: {\"message\": {\"model\": 5, \"usage\": []}}\n\n",
        b"event: content_block_start\ndata: {\"content_block\": 3}\n\n",
        b"event: content_block_delta\ndata: {\"delta\": {\"text\": \"cut off\n\n",
        b"event: content_block_delta\ndata: \xFF\xFE\n\n",
        b"event: content_block_delta\ndata: {\"delta\": {\"text\": \"\xFF\"}}\n\n",
        b"data: {\"type\": \"message\"}\n\n",
        b"data: {\"type\": 3}\n\n",
        b"data\n\n: comment\n\nevent: ping\n\n",
    ];
    let whole = stream(&ordinary());
    let first_end = whole.windows(2).position(|pair| pair == b"\n\n").unwrap() + 2;
    for &bytes in rows {
        let disturbed = [&whole[..first_end], bytes, &whole[first_end..]].concat();
        let metered = meter(Meter::for_stream(), [disturbed]);
        assert_eq!(metered, ordinary_metered(), "{}", String::from_utf8_lossy(bytes));
    }
}

#[test]
fn a_stream_without_event_lines_is_metered_by_its_types() {
    let bytes: Vec<u8> =
        ordinary().iter().flat_map(|event| format!("data: {event}\n\n").into_bytes()).collect();
    assert_eq!(meter(Meter::for_stream(), [bytes]), ordinary_metered());
}

#[test]
fn an_event_beyond_the_limit_is_reported_as_unread() {
    let large = json!({"type": "something_new", "data": "x".repeat(crate::sse::EVENT_LIMIT)});
    let events = [vec![large], ordinary()].concat();
    let expected = Metered { unread: Some(Unread::EventTooLarge), ..ordinary_metered() };
    assert_eq!(meter(Meter::for_stream(), stream(&events).chunks(64 << 10)), expected);
}
