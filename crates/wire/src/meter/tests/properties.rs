use super::*;
use proptest::prelude::*;

fn any_event() -> impl Strategy<Value = Value> {
    prop_oneof![
        4 => any::<String>().prop_map(|content| text(&content)),
        1 => any::<u32>().prop_map(|tokens| start(json!({"input_tokens": tokens}))),
        1 => any::<u32>().prop_map(|tokens| end("refusal", json!({"output_tokens": tokens}))),
        1 => Just(json!({"type": "ping"})),
        1 => Just(block(json!({"type": "fallback", "to": {"model": "claude-a"}}))),
        1 => Just(stop()),
    ]
}

proptest! {
    #[test]
    fn any_split_is_metered_the_same(
        events in prop::collection::vec(any_event(), 0..12),
        size in 1_usize..50,
        cut in any::<prop::sample::Index>(),
    ) {
        let mut bytes = stream(&events);
        bytes.truncate(cut.index(bytes.len() + 1));
        let whole = meter(Meter::for_stream(), [&bytes]);
        prop_assert_eq!(&meter(Meter::for_stream(), bytes.chunks(size)), &whole);
        let encoded = gzip(&[&bytes]);
        prop_assert_eq!(meter(Meter::for_stream().gzip(), encoded.chunks(size)), whole);
    }

    #[test]
    fn characters_are_counted_as_the_text_has_them(texts in prop::collection::vec(any::<String>(), 0..8)) {
        let events: Vec<_> = texts.iter().map(|content| text(content)).collect();
        let expected: usize = texts.iter().map(|text| text.chars().count()).sum();
        prop_assert_eq!(of_stream(&events).text_chars, expected as u64);
    }

    #[test]
    fn no_bytes_bring_a_meter_down(
        names in prop::collection::vec(prop::sample::select(vec![
            "message_start", "message_delta", "content_block_start", "content_block_delta", "error", "message",
        ]), 1..6),
        data in prop::collection::vec("[\\PC]{0,30}|\\{\"(usage|delta|message|content_block)\":[\\{\\[\"0]?.{0,9}", 6),
        noise in prop::collection::vec(any::<u8>(), 0..60),
    ) {
        let mut bytes = noise;
        for (name, data) in names.iter().zip(data) {
            bytes.extend_from_slice(format!("\n\nevent: {name}\ndata: {data}\n\n").as_bytes());
        }
        for meter_for in [Meter::for_stream, Meter::for_answer] {
            prop_assert!(!meter(meter_for(), [&bytes]).complete);
            let _ = meter(meter_for().gzip(), [&bytes]);
        }
    }
}
