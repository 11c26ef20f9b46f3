use super::*;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

/// Any value, small.
fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        ".{0,9}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((".{0,4}", inner), 0..4)
                .prop_map(|members| Value::from(members.into_iter().collect::<Map<_, _>>())),
        ]
    })
}

/// What the contract says of a body, told from a tree.
fn expected(body: &Value) -> Option<Lens<'_>> {
    fn array(value: &Value, optional: bool) -> Option<usize> {
        if value.is_null() && optional { Some(0) } else { value.as_array().map(Vec::len) }
    }
    let field = |name: &str| &body[name];
    let model = field("model").as_str().filter(|model| (1..=256).contains(&model.chars().count()))?;
    let user_id = match field("metadata") {
        Value::Null => None,
        Value::Object(metadata) => match metadata.get("user_id") {
            None | Some(Value::Null) => None,
            Some(user_id) => Some(user_id.as_str()?.into()),
        },
        _ => return None,
    };
    let named = |fallback: &Value| fallback["model"].as_str().is_some_and(|model| !model.is_empty());
    match field("fallbacks") {
        Value::Null => {}
        Value::String(word) if word == "default" => {}
        Value::Array(fallbacks) if fallbacks.iter().all(named) => {}
        _ => return None,
    }
    Some(Lens {
        model: model.into(),
        max_tokens: if field("max_tokens").is_null() { None } else { Some(field("max_tokens").as_u64()?) },
        stream: if field("stream").is_null() { false } else { field("stream").as_bool()? },
        user_id,
        system: match field("system") {
            Value::Null => SystemShape::Absent,
            Value::String(_) => SystemShape::Text,
            Value::Array(blocks) => SystemShape::Blocks(blocks.len()),
            _ => return None,
        },
        tools: array(field("tools"), true)?,
        messages: if body.get("messages").is_none() { 0 } else { array(field("messages"), false)? },
        other_models: Vec::new(),
        beyond: Beyond::default(),
        fast: field("speed") == "fast",
    })
}

fn field() -> impl Strategy<Value = (String, Value)> {
    let names = ["max_tokens", "stream", "system", "tools", "messages", "metadata", "fallbacks"];
    prop_oneof![
        3 => Just(("model".to_owned(), json!("claude-opus-5-5"))),
        2 => any::<u64>().prop_map(|count| ("max_tokens".to_owned(), json!(count))),
        2 => any::<bool>().prop_map(|stream| ("stream".to_owned(), json!(stream))),
        2 => ".{0,9}".prop_map(|user| ("metadata".to_owned(), json!({"user_id": user, "other": 1}))),
        2 => prop::collection::vec(value(), 0..4).prop_map(|list| ("messages".to_owned(), json!(list))),
        1 => (prop::sample::select(names.to_vec()), value()).prop_map(|(name, value)| (name.to_owned(), value)),
        1 => prop::sample::select(vec!["fast", "slow"]).prop_map(|speed| ("speed".to_owned(), json!(speed))),
        1 => prop::collection::vec("[a-c]{0,2}", 0..4).prop_map(|models| {
            let list = models.into_iter().map(|model| json!({"max_tokens": 1, "model": model}));
            ("fallbacks".to_owned(), list.collect())
        }),
        2 => (".{0,6}", value()),
    ]
}

/// Writes a string with every third character as an escape.
fn escaped(text: &str) -> String {
    let mut json = String::from("\"");
    for (number, character) in text.chars().enumerate() {
        if number % 3 == 0 {
            character
                .encode_utf16(&mut [0; 2])
                .iter()
                .for_each(|unit| json.push_str(&format!("\\u{unit:04x}")));
        } else {
            json.push_str(serde_json::to_string(&character).unwrap().trim_matches('"'));
        }
    }
    json + "\""
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn what_is_read_is_what_another_parser_reads(fields in prop::collection::vec(field(), 0..8)) {
        let body: Value = fields.into_iter().collect::<Map<_, _>>().into();
        let text = body.to_string();
        let found = look(text.as_bytes()).ok();
        let found = found.map(|lens| Lens { other_models: Vec::new(), beyond: Beyond::default(), ..lens });
        prop_assert_eq!(found, expected(&body), "{}", text);
    }

    #[test]
    fn a_repeated_name_is_refused_in_any_spelling(
        fields in prop::collection::btree_map("[a-c\u{e9}\u{1F600}]{1,6}", value(), 1..6),
        repeated in any::<prop::sample::Index>(),
    ) {
        let mut members: Vec<_> = fields.iter().map(|(name, value)| format!("{}:{value}", json!(name))).collect();
        let is_refused = |members: &[String]| {
            let body = format!("{{{}}}", members.join(","));
            matches!(look(body.as_bytes()), Err(Malformed { why: Why::Repeated { .. }, .. }))
        };
        prop_assert!(!is_refused(&members));
        let name = fields.keys().nth(repeated.index(fields.len())).unwrap();
        members.push(format!("{}:0", escaped(name)));
        prop_assert!(is_refused(&members), "{:?}", members);
    }
}
