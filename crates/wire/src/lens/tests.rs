use super::*;
use serde_json::json;

fn lens(model: &str) -> Lens<'_> {
    Lens {
        model: model.into(),
        max_tokens: None,
        stream: false,
        user_id: None,
        system: SystemShape::Absent,
        tools: 0,
        messages: 0,
        other_models: Vec::new(),
        beyond: Beyond::default(),
        fast: false,
    }
}

#[test]
fn what_the_body_does_not_show_in_full_is_counted() {
    let beyond = |media, remote| Beyond { media, remote };
    let image = r#"{"type":"image","source":{"type":"base64","data":"aGk="}}"#;
    let by_url = r#"{"type":"document","source":{"type":"url","url":"https://example.org/a.pdf"}}"#;
    let rows = [
        (r#""messages":[{"role":"user","content":"type image"}]"#.to_owned(), beyond(0, 0)),
        (format!(r#""messages":[{{"role":"user","content":[{image},{image}]}}]"#), beyond(2, 0)),
        (format!(r#""messages":[{{"role":"user","content":[{by_url}]}}]"#), beyond(1, 1)),
        (format!(r#""system":[{image}]"#), beyond(1, 0)),
        // However it is spelt, wherever it stands.
        (r#""messages":[{"content":[{"content":[{"type":"image"}]}]}]"#.to_owned(), beyond(1, 0)),
        // An element of an array after a type is taken for one too; better too many.
        (r#""messages":[{"type":["image","image"]}]"#.to_owned(), beyond(2, 0)),
        (
            r#""messages":[{"kind":"image"}],"tools":[{"name":"type","type":"custom"}]"#.to_owned(),
            beyond(0, 0),
        ),
        (r#""tools":[{"type":"web_search_20250305"},{"type":"bash_20250124"}]"#.to_owned(), beyond(0, 1)),
        (r#""mcp_servers":[{"url":"https://example.org"},{}]"#.to_owned(), beyond(0, 2)),
        (r#""mcp_servers":null,"speed":null"#.to_owned(), beyond(0, 0)),
    ];
    for (fields, expected) in rows {
        let body = format!(r#"{{"model":"m",{fields}}}"#);
        assert_eq!(look(body.as_bytes()).unwrap().beyond, expected, "{body}");
    }
    for (speed, fast) in [(r#""fast""#, true), (r#""fast""#, true), (r#""standard""#, false), ("1", false)] {
        let body = format!(r#"{{"model":"m","speed":{speed}}}"#);
        assert_eq!(look(body.as_bytes()).unwrap().fast, fast, "{body}");
    }
}

#[test]
fn the_read_fields_are_found_wherever_they_stand() {
    let rows: &[(&str, Lens<'_>)] = &[
        (r#"{"model":"m"}"#, lens("m")),
        (" \r\n{ \"model\" :\t\"m\" } \n", lens("m")),
        (r#"{"mod\u0065l":"\u006d"}"#, lens("m")),
        (
            r#"{"stream":true,"messages":[{"role":"user","content":"hi"}],"max_tokens":64,"model":"m"}"#,
            Lens { stream: true, messages: 1, max_tokens: Some(64), ..lens("m") },
        ),
        (r#"{"model":"m","stream":false,"max_tokens":0}"#, Lens { max_tokens: Some(0), ..lens("m") }),
        (
            r#"{"model":"m","max_tokens":18446744073709551615}"#,
            Lens { max_tokens: Some(u64::MAX), ..lens("m") },
        ),
        (r#"{"model":"m","system":"be kind"}"#, Lens { system: SystemShape::Text, ..lens("m") }),
        (r#"{"model":"m","system":[]}"#, Lens { system: SystemShape::Blocks(0), ..lens("m") }),
        (
            r#"{"model":"m","system":[{"type":"text","text":"[,]"},{}],"tools":[{},{"x":[1,2]},3]}"#,
            Lens { system: SystemShape::Blocks(2), tools: 3, ..lens("m") },
        ),
        (
            r#"{"model":"m","metadata":{"other":{"user_id":1},"user_id":"u\u002d1"}}"#,
            Lens { user_id: Some("u-1".into()), ..lens("m") },
        ),
        (r#"{"model":"m","metadata":{}}"#, lens("m")),
        (r#"{"model":"m","metadata":{"user_id":null}}"#, lens("m")),
        (
            r#"{"model":"m","max_tokens":null,"stream":null,"system":null,"tools":null,"metadata":null}"#,
            lens("m"),
        ),
        (
            r#"{"model":"m","messages":[{"model":"x","model":"y"}],"x":{"model":1}}"#,
            Lens { messages: 1, ..lens("m") },
        ),
        (r#"{"model":"m","Modell":"n","system_":1,"thinking":{"type":"adaptive","Model":"n"}}"#, lens("m")),
        (
            r#"{"model":"m","fallbacks":[{"model":"n","max_tokens":1},{"model":"\u006f"},{"model":"n"}]}"#,
            Lens { other_models: vec!["n".into(), "o".into()], ..lens("m") },
        ),
        (r#"{"model":"m","fallbacks":"default"}"#, lens("m")),
        (r#"{"model":"m","fallbacks":"d\u0065fault"}"#, lens("m")),
        (r#"{"model":"m","fallbacks":null}"#, lens("m")),
        (r#"{"model":"m","fallbacks":[]}"#, lens("m")),
        (
            r#"{"tools":[{"name":"bash"},{"type":"advisor_20260301","mod\u0065l":"n","model":"o"}],"model":"m"}"#,
            Lens { tools: 2, other_models: vec!["n".into(), "o".into()], ..lens("m") },
        ),
    ];
    for (body, expected) in rows {
        assert_eq!(look(body.as_bytes()).as_ref(), Ok(expected), "{body}");
    }
}

#[test]
fn every_model_that_the_upstream_may_read_is_found() {
    let rows: &[(&str, &[&str])] = &[
        (r#""advisor":{"model":"x"}"#, &["x"]),
        (r#""advisor":{"mod\u0065l" : "x"}"#, &["x"]),
        (
            r#""a":[[1,{"b":{"c":[{"model":"x","model":"y"}],"model":"z"}},{}],{"model":"w"}]"#,
            &["x", "y", "z", "w"],
        ),
        (r#""a":{"model":{"model":["v",{"model":"x"}]}}"#, &["x"]),
        (r#""fallbacks":[{"model":"x","thinking":{"model":"y"}}]"#, &["x", "y"]),
        (r#""tools":[[{"model":"x"}],{"a":{"model":"y"}},{"model":{"model":"z"}}]"#, &["x", "y", "z"]),
        (r#""tools":[{"a":{"input_schema":{"model":"x"}}}]"#, &["x"]),
        // These are for the model to read, not for the upstream.
        (
            r#""tools":[{"name":"model","input_schema":{"properties":{"model":{"default":{"model":"x"}}},"model":"x"}}]"#,
            &[],
        ),
        (r#""tools":[{"input_examples":[{"model":"x"}],"input_schem\u0061":{"model":"x"}}]"#, &[]),
        (r#""messages":[{"model":"x"}],"system":[{"model":"x"}],"metadata":{"model":"x"}"#, &[]),
        (r#""output_config":{"format":{"schema":{"properties":{"model":{"type":"string"}}}}}"#, &[]),
    ];
    for (fields, expected) in rows {
        let body = format!("{{\"model\":\"m\",{fields}}}");
        assert_eq!(look(body.as_bytes()).unwrap().other_models, *expected, "{body}");
    }
}

#[test]
fn a_read_field_in_another_case_is_refused() {
    for spelling in
        ["Model", "MODEL", "mode\\u004c", "STREAM", "\u{17f}tream", "fallbac\u{212a}s", "Max_Tokens"]
    {
        let why = look(format!("{{\"{spelling}\":1}}").as_bytes()).unwrap_err();
        assert!(matches!(why, Malformed { offset: 1, why: Why::OtherCase { .. } }), "{spelling}: {why}");
    }
}

#[test]
fn plain_values_are_borrowed_from_the_body() {
    let body = br#"{"model":"claude-opus-5-5","metadata":{"user_id":"u"}}"#;
    let lens = look(body).unwrap();
    assert!(matches!(lens.model, Cow::Borrowed(_)));
    assert!(matches!(lens.user_id, Some(Cow::Borrowed(_))));
}

const FALLBACKS: &str = "`fallbacks` must be \"default\", or an array of objects that each name a `model`";

/// A body, where in it the fault is, and the sentence about it.
const REFUSED: &[(&[u8], usize, &str)] = &[
    (b"", 0, "the request body is empty: send a JSON object"),
    (b" \n ", 3, "the request body is empty: send a JSON object"),
    (b"\xEF\xBB\xBF{}", 0, "the request body begins with a byte order mark: send UTF-8 without it"),
    (b" []", 1, "the request body must be a JSON object"),
    (b"\"{}\"", 0, "the request body must be a JSON object"),
    (b"null", 0, "the request body must be a JSON object"),
    (b"model=m", 0, "the request body is not valid JSON: a JSON value is expected here"),
    (b"\x1F\x8B\x08", 0, "the request body is not valid JSON: a JSON value is expected here"),
    (b"{\0\"", 1, "the request body is not valid JSON: a field name in double quotes is expected here"),
    (br#"{"model":"m"}x"#, 13, "the request body is not valid JSON: the JSON value ended, but more follows"),
    (
        br#"{"model":"m"}{"model":"n"}"#,
        13,
        "the request body is not valid JSON: the JSON value ended, but more follows",
    ),
    (br#"{"model":"m""#, 12, "the request body is not valid JSON: the JSON ends too early"),
    (
        b"{\"model\":\"m\",\"x\":\"\xFF\"}",
        18,
        "the request body is not valid JSON: the text is not valid UTF-8",
    ),
    (br#"{"model":"m","model":"n"}"#, 13, "`model` appears twice: send each field once"),
    (br#"{"model":"m","mod\u0065l":"n"}"#, 13, "`model` appears twice: send each field once"),
    (br#"{"x":[{}],"model":"m","\u0078":1}"#, 22, "`x` appears twice: send each field once"),
    (br#"{"":1,"":2}"#, 6, "`` appears twice: send each field once"),
    (br#"{"stream":false,"model":"m","stream":true}"#, 28, "`stream` appears twice: send each field once"),
    (
        br#"{"metadata":{"user_id":"a","user_i\u0064":"b"}}"#,
        27,
        "`metadata.user_id` appears twice: send each field once",
    ),
    (br#"{"metadata":{"x":"a","x":"b"}}"#, 21, "`metadata.x` appears twice: send each field once"),
    (b"{}", 2, "`model` is missing: name the model to be used"),
    (br#"{"messages":[{"model":"m"}]}"#, 28, "`model` is missing: name the model to be used"),
    (br#"{"model":""}"#, 9, "`model` is empty: name the model to be used"),
    (br#"{"model":null}"#, 9, "`model` must be a string"),
    (br#"{"model": 5}"#, 10, "`model` must be a string"),
    (br#"{"model":["m"]}"#, 9, "`model` must be a string"),
    (br#"{"max_tokens":-1}"#, 14, "`max_tokens` must be an integer from 0"),
    (br#"{"max_tokens":-0}"#, 14, "`max_tokens` must be an integer from 0"),
    (br#"{"max_tokens":1.0}"#, 14, "`max_tokens` must be an integer from 0"),
    (br#"{"max_tokens":1e3}"#, 14, "`max_tokens` must be an integer from 0"),
    (br#"{"max_tokens":18446744073709551616}"#, 14, "`max_tokens` must be an integer from 0"),
    (br#"{"max_tokens":"64"}"#, 14, "`max_tokens` must be an integer from 0"),
    (br#"{"max_tokens":true}"#, 14, "`max_tokens` must be an integer from 0"),
    (br#"{"max_tokens":01}"#, 15, "the request body is not valid JSON: the number is not valid JSON"),
    (br#"{"stream":"true"}"#, 10, "`stream` must be true or false"),
    (br#"{"stream":1}"#, 10, "`stream` must be true or false"),
    (br#"{"stream":tru}"#, 13, "the request body is not valid JSON: a JSON value is expected here"),
    (br#"{"messages":{}}"#, 12, "`messages` must be an array"),
    (br#"{"messages":null}"#, 12, "`messages` must be an array"),
    (br#"{"messages":"hi"}"#, 12, "`messages` must be an array"),
    (br#"{"system":{}}"#, 10, "`system` must be a string or an array"),
    (br#"{"system":1}"#, 10, "`system` must be a string or an array"),
    (br#"{"tools":{}}"#, 9, "`tools` must be an array"),
    (br#"{"metadata":[]}"#, 12, "`metadata` must be an object"),
    (br#"{"metadata":"x"}"#, 12, "`metadata` must be an object"),
    (br#"{"metadata":{"user_id":1}}"#, 23, "`metadata.user_id` must be a string or null"),
    (br#"{"\ud800":1}"#, 1, "an escape sequence is half of a surrogate pair: send both halves"),
    (br#"{"model":"\ud800"}"#, 9, "an escape sequence is half of a surrogate pair: send both halves"),
    (
        br#"{"metadata":{"user_id":"\udc00"}}"#,
        23,
        "an escape sequence is half of a surrogate pair: send both halves",
    ),
    (br#"{"fallbacks":{"model":"x"}}"#, 13, FALLBACKS),
    (br#"{"fallbacks":"x"}"#, 13, FALLBACKS),
    (br#"{"fallbacks":"Default"}"#, 13, FALLBACKS),
    (br#"{"fallbacks":1}"#, 13, FALLBACKS),
    (br#"{"fallbacks":true}"#, 13, FALLBACKS),
    (br#"{"fallbacks":["x"]}"#, 14, FALLBACKS),
    (br#"{"fallbacks":[[{"model":"x"}]]}"#, 14, FALLBACKS),
    (br#"{"fallbacks":[null]}"#, 14, FALLBACKS),
    (br#"{"fallbacks":[{}]}"#, 14, FALLBACKS),
    (br#"{"fallbacks":[ {"model":"x"}, {"x":{"model":"x"}}]}"#, 30, FALLBACKS),
    (br#"{"fallbacks":[{"model":{"id":"x"}}]}"#, 23, "`fallbacks[].model` must be a string"),
    (br#"{"fallbacks":[{"model":null}]}"#, 23, "`fallbacks[].model` must be a string"),
    (
        br#"{"x":1, "Model":"n"}"#,
        8,
        "a field's name differs from `model` only in the case of its letters: write `model`",
    ),
    (br#"{"fallbacks":[{"model":""}]}"#, 23, "`model` is empty: name the model to be used"),
    (
        br#"{"model":"m","tools":[nul]}"#,
        25,
        "the request body is not valid JSON: a JSON value is expected here",
    ),
];

#[test]
fn a_body_that_cannot_be_judged_is_refused_with_place_and_sentence() {
    for &(body, offset, sentence) in REFUSED {
        let malformed = look(body).unwrap_err();
        let expected = format!("{sentence} (byte {offset})");
        assert_eq!(malformed.to_string(), expected, "{}", String::from_utf8_lossy(body));
        assert_eq!(malformed.offset, offset);
    }
}

#[test]
fn a_lone_surrogate_passes_where_nobody_looks() {
    let body = br#"{"model":"m","messages":[{"content":"\ud800","\udfff":1}]}"#;
    assert_eq!(look(body), Ok(Lens { messages: 1, ..lens("m") }));
}

fn with_fields(count: usize, name: impl Fn(usize) -> String) -> String {
    let fields: Vec<_> = (0..count).map(|number| format!("\"{}\":0", name(number))).collect();
    format!("{{{},\"model\":\"m\"}}", fields.join(","))
}

#[test]
fn limits_are_exact() {
    let why = |body: &str| look(body.as_bytes()).map(drop).map_err(|malformed| malformed.why);
    let numbered = |number: usize| format!("f{number}");
    assert_eq!(why(&with_fields(FIELDS_LIMIT - 1, numbered)), Ok(()));
    assert_eq!(why(&with_fields(FIELDS_LIMIT, numbered)), Err(Why::TooManyFields));

    let long = |length: usize| format!("{{\"model\":\"m\",\"{}\":0}}", "n".repeat(length));
    assert_eq!(why(&long(NAME_BYTES_LIMIT)), Ok(()));
    assert_eq!(why(&long(NAME_BYTES_LIMIT + 1)), Err(Why::NameTooLong));

    let model = |length: usize| format!("{{\"model\":\"{}\"}}", "\u{e9}".repeat(length));
    assert_eq!(why(&model(MODEL_CHARACTERS_LIMIT)), Ok(()));
    assert_eq!(why(&model(MODEL_CHARACTERS_LIMIT + 1)), Err(Why::ModelTooLong));

    let fallbacks = |count: usize| {
        let models: Vec<_> = (0..count).map(|number| json!({"model": format!("m{number}")})).collect();
        json!({"model": "m", "fallbacks": models}).to_string()
    };
    assert_eq!(why(&fallbacks(OTHER_MODELS_LIMIT)), Ok(()));
    assert_eq!(why(&fallbacks(OTHER_MODELS_LIMIT + 1)), Err(Why::TooManyModels));

    let nested =
        |levels: usize| format!("{{\"model\":\"m\",\"x\":{}{}}}", "[".repeat(levels), "]".repeat(levels));
    assert_eq!(why(&nested(DEPTH_LIMIT - 1)), Ok(()));
    assert_eq!(why(&nested(DEPTH_LIMIT)), Err(Why::Syntax(Syntax::Depth)));
}

#[test]
fn a_repeated_name_is_shown_only_in_part() {
    let name = "\u{e9}".repeat(500);
    let body = format!("{{\"{name}\":1,\"{name}\":2}}");
    let Why::Repeated { field } = look(body.as_bytes()).unwrap_err().why else {
        panic!("not refused as repeated")
    };
    assert_eq!(field, "\u{e9}".repeat(64));
}
