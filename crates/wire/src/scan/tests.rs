use super::*;
use std::borrow::Cow;

use proptest::prelude::*;
use serde::de::IgnoredAny;

fn scan(bytes: &[u8]) -> Result<(), Flaw> {
    let mut scanner = Scanner::new(bytes);
    scanner.skip()?;
    scanner.end()
}

/// What another parser says. It is told to skip, because it refuses numbers beyond its own types otherwise.
fn is_json(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_ok_and(|text| serde_json::from_str::<IgnoredAny>(text).is_ok())
}

#[test]
fn a_flaw_is_named_with_its_place() {
    let rows: &[(&[u8], usize, Syntax)] = &[
        (b"", 0, Syntax::Truncated),
        (b"  \n", 3, Syntax::Truncated),
        (b"{", 1, Syntax::Truncated),
        (b"[1,", 3, Syntax::Truncated),
        (b"{\"a\"", 4, Syntax::Truncated),
        (b"{\"a\":", 5, Syntax::Truncated),
        (b"\"abc", 4, Syntax::Truncated),
        (b"\"abc\\", 5, Syntax::Truncated),
        (b"\"\\u12", 5, Syntax::Truncated),
        (b"tru", 3, Syntax::Truncated),
        (b"-", 1, Syntax::Truncated),
        (b"1.", 2, Syntax::Truncated),
        (b"1e", 2, Syntax::Truncated),
        (b"]", 0, Syntax::Value),
        (b"[,1]", 1, Syntax::Value),
        (b"[1,]", 3, Syntax::Value),
        (b"nul!", 3, Syntax::Value),
        (b"True", 0, Syntax::Value),
        (b"'a'", 0, Syntax::Value),
        (b"NaN", 0, Syntax::Value),
        (b"+1", 0, Syntax::Value),
        (b".5", 0, Syntax::Value),
        (b"\xEF\xBB\xBF1", 0, Syntax::Value),
        (b"\x0C1", 0, Syntax::Value),
        (b"{a:1}", 1, Syntax::Name),
        (b"{1:1}", 1, Syntax::Name),
        (b"{\"a\":1,}", 7, Syntax::Name),
        (b"{,}", 1, Syntax::Name),
        (b"{\"a\" 1}", 5, Syntax::Colon),
        (b"[1 2]", 3, Syntax::Separator),
        (b"[1}", 2, Syntax::Separator),
        (b"{\"a\":1]", 6, Syntax::Separator),
        (b"[truefalse]", 5, Syntax::Separator),
        (b"[\"a\"\"b\"]", 4, Syntax::Separator),
        (b"1 2", 2, Syntax::Trailing),
        (b"{}{}", 2, Syntax::Trailing),
        (b"{}\0", 2, Syntax::Trailing),
        (b"01", 1, Syntax::Number),
        (b"-x", 1, Syntax::Number),
        (b"1.x", 2, Syntax::Number),
        (b"1.2.3", 3, Syntax::Number),
        (b"1e+", 3, Syntax::Truncated),
        (b"1e+]", 3, Syntax::Number),
        (b"0x10", 1, Syntax::Number),
        (b"\"a\\x\"", 2, Syntax::Escape),
        (b"\"a\\'\"", 2, Syntax::Escape),
        (b"\"ab\\u12g4\"", 3, Syntax::Escape),
        (b"\"ab\\U0041\"", 3, Syntax::Escape),
        (b"\"a\nb\"", 2, Syntax::Control),
        (b"\"0123456789\x00\"", 11, Syntax::Control),
        (b"\"\x1F\"", 1, Syntax::Control),
        (b"\"0123456789\xFF\"", 11, Syntax::Utf8),
        (b"\"\xC3\"", 1, Syntax::Utf8),
        (b"\"\xC0\x80\"", 1, Syntax::Utf8),
        (b"\"\xED\xA0\x80\"", 1, Syntax::Utf8),
        (b"{\"\xFF\":1}", 2, Syntax::Utf8),
    ];
    for &(bytes, offset, syntax) in rows {
        let shown = String::from_utf8_lossy(bytes);
        assert_eq!(scan(bytes), Err(Flaw { offset, syntax }), "{shown}");
        assert!(!is_json(bytes), "{shown}");
    }
}

#[test]
fn values_at_the_edges_of_the_grammar_pass() {
    let rows: &[&[u8]] = &[
        b"0",
        b"-0",
        b"-0.0e-0",
        b"1e999",
        b"123456789012345678901234567890",
        b" [ ] ",
        b"\t{\r\n}",
        b"[[],{},[{}]]",
        b"{\"\":{\"\":null}}",
        b"\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u0000\\uD83D\\uDE00\"",
        b"\"\\ud800\"",
        b"\"\x7F\xC3\xA9\xF0\x9F\x98\x80\"",
        b"{\"a\":1,\"a\":2}",
    ];
    for &bytes in rows {
        assert_eq!(scan(bytes), Ok(()), "{}", String::from_utf8_lossy(bytes));
        assert!(is_json(bytes));
    }
}

#[test]
fn the_depth_limit_is_exact_and_the_stack_does_not_grow() {
    for (open, close) in [("[", "]"), ("{\"a\":", "}"), ("[{\"a\":", "}]")] {
        let levels = open.matches(['[', '{']).count();
        let fits = DEPTH_LIMIT / levels;
        let nested = |count: usize| [&open.repeat(count), "1", &close.repeat(count)].concat();
        assert_eq!(scan(nested(fits).as_bytes()), Ok(()));
        let offset = open.len() * fits;
        assert_eq!(scan(nested(fits + 1).as_bytes()), Err(Flaw { offset, syntax: Syntax::Depth }));
        assert!(scan(open.repeat(1_000_000).as_bytes()).is_err());
    }
    let wide = ["[", &"[[]],".repeat(10_000), "[]]"].concat();
    assert_eq!(scan(wide.as_bytes()), Ok(()));
}

#[test]
fn every_byte_is_judged_at_every_position_of_words_and_blocks() {
    for byte in 0..=255_u8 {
        for position in 0..100 {
            let mut bytes = [b"\"".as_slice(), &[b'x'; 100], b"\""].concat();
            bytes[1 + position] = byte;
            assert_eq!(scan(&bytes).is_ok(), is_json(&bytes), "byte {byte:#x} at {position}");
        }
    }
}

#[test]
fn every_byte_is_judged_after_a_backslash() {
    for byte in 0..=255_u8 {
        let bytes = [b"\"\\", [byte].as_slice(), b"0041\""].concat();
        assert_eq!(scan(&bytes).is_ok(), is_json(&bytes), "byte {byte:#x}");
    }
}

#[test]
fn strings_decode_as_meant() {
    let rows: &[(&str, Option<&str>)] = &[
        (r#""""#, Some("")),
        (r#""model""#, Some("model")),
        (r#""mod\u0065l""#, Some("model")),
        (r#""\u006d\u006F\u0064el""#, Some("model")),
        (r#""\"\\\/\b\f\n\r\t""#, Some("\"\\/\u{8}\u{c}\n\r\t")),
        (r#""\ud83d\ude00!""#, Some("\u{1F600}!")),
        ("\"\u{e9}\\u00e9\"", Some("\u{e9}\u{e9}")),
        (r#""\ud83d""#, None),
        (r#""\ud83d!""#, None),
        (r#""\ud83d\n""#, None),
        (r#""\ud83d\ud83d""#, None),
        (r#""\ude00""#, None),
        (r#""\ude00\ud83d""#, None),
    ];
    for (json, expected) in rows {
        let text = Scanner::new(json.as_bytes()).string().unwrap();
        assert_eq!(text.decode().as_deref(), *expected, "{json}");
        if let Some(expected) = expected {
            assert!(text.is(expected), "{json}");
            assert!(!text.is("other"), "{json}");
            assert_eq!(text.characters(), expected.chars().count() as u64, "{json}");
        }
    }
}

/// Any JSON value, as text with white space here and there.
fn json() -> impl Strategy<Value = String> {
    let number = prop_oneof![
        any::<i64>().prop_map(|number| number.to_string()),
        any::<f64>()
            .prop_filter("finite", |number| number.is_finite())
            .prop_map(|number| format!("{number:e}")),
        Just("-0.0E+7".to_owned()),
    ];
    let word = prop_oneof![Just("true"), Just("false"), Just("null")].prop_map(str::to_owned);
    let leaf = prop_oneof![string(), number, word];
    leaf.prop_recursive(5, 64, 6, |inner| {
        let space = prop_oneof![Just(""), Just(" "), Just("\n\t"), Just("\r\n")];
        let member = (string(), space.clone(), inner.clone());
        prop_oneof![
            (prop::collection::vec(inner, 0..6), space.clone())
                .prop_map(|(values, space)| format!("[{}{space}]", values.join(&format!("{space},{space}")))),
            (prop::collection::vec(member, 0..6), space).prop_map(|(members, space)| {
                let members: Vec<_> = members
                    .iter()
                    .map(|(name, space, value)| format!("{name}{space}:{space}{value}"))
                    .collect();
                format!("{{{space}{}}}", members.join(","))
            }),
        ]
    })
}

/// A JSON string with characters and escapes of all kinds.
fn string() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        4 => "[a-z ]{1,12}",
        2 => any::<String>().prop_map(|text| serde_json::to_string(&text).unwrap().trim_matches('"').to_owned())
            .prop_filter("a quote was cut off", |text| serde_json::from_str::<String>(&format!("\"{text}\"")).is_ok()),
        1 => prop_oneof![Just("\\n"), Just("\\\""), Just("\\\\"), Just("\\/")].prop_map(str::to_owned),
        1 => any::<u16>().prop_map(|unit| format!("\\u{unit:04X}")),
        1 => any::<char>().prop_map(|character| {
            character.encode_utf16(&mut [0; 2]).iter().map(|unit| format!("\\u{unit:04x}")).collect()
        }),
    ];
    prop::collection::vec(piece, 0..5).prop_map(|pieces| format!("\"{}\"", pieces.concat()))
}

/// A change of one place: take a byte out, put one in, put another in its place, or cut the rest off.
type Mutation = (prop::sample::Index, u8, u8);

fn mutate(bytes: &mut Vec<u8>, (index, kind, byte): Mutation) {
    if bytes.is_empty() {
        return;
    }
    let at = index.index(bytes.len());
    match kind {
        0 => drop(bytes.remove(at)),
        1 => bytes.insert(at, byte),
        2 => bytes[at] = byte,
        _ => bytes.truncate(at),
    }
}

fn significant_byte() -> impl Strategy<Value = u8> {
    prop_oneof![prop::sample::select(b"{}[],:\"\\0-1.eEtu \n\x00\x1f\x80\xc3\xff".to_vec()), any::<u8>()]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn json_is_accepted(text in json()) {
        prop_assert_eq!(scan(text.as_bytes()), Ok(()));
    }

    #[test]
    fn mutated_json_is_judged_as_another_parser_judges_it(
        text in json(),
        mutations in prop::collection::vec((any::<prop::sample::Index>(), 0..4_u8, significant_byte()), 1..4),
    ) {
        let mut bytes = text.into_bytes();
        for mutation in mutations {
            mutate(&mut bytes, mutation);
        }
        let found = scan(&bytes);
        prop_assert_eq!(found.is_ok(), is_json(&bytes), "{:?}: {:?}", String::from_utf8_lossy(&bytes), found);
    }

    #[test]
    fn random_pieces_are_judged_as_another_parser_judges_them(
        pieces in prop::collection::vec(prop_oneof![
            Just("{"), Just("}"), Just("["), Just("]"), Just(","), Just(":"), Just("\"a\""), Just("1"), Just("true"),
            Just(" "), Just("\"\\u0061\""), Just("-"), Just("0.5"), Just("\""), Just("\\"),
        ], 0..12),
    ) {
        let bytes = pieces.concat().into_bytes();
        prop_assert_eq!(scan(&bytes).is_ok(), is_json(&bytes));
    }

    #[test]
    fn strings_decode_as_another_parser_decodes_them(json in string()) {
        let text = Scanner::new(json.as_bytes()).string().unwrap();
        let expected: Option<String> = serde_json::from_str(&json).ok();
        prop_assert_eq!(text.decode().map(Cow::into_owned), expected.clone());
        if let Some(expected) = expected {
            prop_assert_eq!(text.characters(), expected.chars().count() as u64);
            prop_assert!(text.is(&expected));
        }
    }
}
