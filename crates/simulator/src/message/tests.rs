use serde_json::{Value, json};

use super::*;
use crate::call::Purpose;
use crate::directive::Directives;
use crate::events::Events;

const BODY: &str =
    r#"{"model":"claude-opus-5-5","max_tokens":100,"messages":[{"role":"user","content":"hi"}]}"#;

fn compose(body: &str, directives: &str) -> Message {
    let call = Call::read(body.as_bytes(), Purpose::Answer).unwrap();
    let wish = Directives::parse(directives).unwrap().answer;
    Message::compose(&call, &wish, body.len(), 1)
}

fn plain(message: &Message) -> Value {
    serde_json::from_slice(&message.json()).unwrap()
}

/// Puts the message together from its events, as a client does.
fn streamed(message: Message) -> Value {
    let mut events = Events::new(message);
    let (total, mut count) = (events.total(), 0);
    let (mut whole, mut inputs) = (Value::Null, String::new());
    let mut out = Vec::new();
    while events.next(&mut out).is_some() {
        count += 1;
        let text = String::from_utf8(std::mem::take(&mut out)).unwrap();
        let (name, data) = text.trim_end().split_once("\ndata: ").unwrap();
        let data: Value = serde_json::from_str(data).unwrap();
        assert_eq!(name, format!("event: {}", data["type"].as_str().unwrap()));
        match data["type"].as_str().unwrap() {
            "message_start" => whole = data["message"].clone(),
            "content_block_start" => {
                let blocks = whole["content"].as_array_mut().unwrap();
                assert_eq!(data["index"], blocks.len());
                blocks.push(data["content_block"].clone());
                inputs.clear();
            }
            "content_block_delta" => {
                let block = &mut whole["content"][data["index"].as_u64().unwrap() as usize];
                apply(block, &data["delta"], &mut inputs);
            }
            "message_delta" => {
                whole["stop_reason"] = data["delta"]["stop_reason"].clone();
                for (name, value) in data["usage"].as_object().into_iter().flatten() {
                    whole["usage"][name] = value.clone();
                }
            }
            _ => {}
        }
    }
    assert_eq!(count, total);
    whole
}

fn apply(block: &mut Value, delta: &Value, inputs: &mut String) {
    let (member, text) = match delta["type"].as_str().unwrap() {
        "text_delta" => ("text", &delta["text"]),
        "thinking_delta" => ("thinking", &delta["thinking"]),
        "signature_delta" => ("signature", &delta["signature"]),
        "input_json_delta" => {
            inputs.push_str(delta["partial_json"].as_str().unwrap());
            block["input"] = serde_json::from_str(inputs).unwrap_or(json!({}));
            return;
        }
        other => panic!("{other}"),
    };
    block[member] = format!("{}{}", block[member].as_str().unwrap(), text.as_str().unwrap()).into();
}

#[test]
fn stream_and_plain_form_are_the_same_message() {
    let rows = [
        "",
        "text=\u{e4}\u{20ac}\u{1f600}\u{e4}\u{20ac}\u{1f600}; events=4",
        "size=10kb; events=7",
        "size=0",
        "events=1000",
        r#"tool=Bash:{"command":"echo \"h\u00e4llo\""}; tool=Read; text=Both."#,
        "thinking; web_search=2; web_fetch=1",
        "usage=in:5,out:4,cr:3,c5:2,c1:1; iterations",
        "fallback=claude-sonnet-5",
        "refusal",
        "refusal_mid",
        "tier=priority; speed=fast; geo=us; stop_reason=pause_turn",
        "no_usage",
    ];
    for directives in rows {
        let expected = plain(&compose(BODY, directives));
        assert_eq!(streamed(compose(BODY, directives)), expected, "{directives}");
    }
}

#[test]
fn tokens_are_counted_as_documented() {
    let rows = [
        // One token for four characters, rounded up.
        ("text=12345678", 2),
        ("text=123456789", 3),
        ("text=\u{1f600}\u{1f600}\u{1f600}\u{1f600}", 1),
        ("text=", 1),
        ("text=1234; thinking=12345", 3),
        (r#"tool=A:{"b":1}"#, 2),
        ("refusal", 0),
        ("text=1234; usage=out:77", 77),
    ];
    for (directives, expected) in rows {
        let message = compose(BODY, directives);
        let usage = message.usage.unwrap();
        assert_eq!(usage.tokens.output, expected, "{directives}");
        assert_eq!(usage.tokens.input, (BODY.len() as u64).div_ceil(4));
    }
}

#[test]
fn a_bill_names_who_is_paid_for_what() {
    let tokens = |input, output| Tokens { input, output, ..Tokens::default() };
    let share = |model: &str, tokens| Share { model: model.into(), tokens };
    let own = |tokens| share("claude-opus-5-5", tokens);
    let rows = [
        ("usage=in:10,out:2", vec![own(tokens(10, 2))]),
        ("usage=in:10,out:2; model=m", vec![share("m", tokens(10, 2))]),
        ("usage=in:10,out:2; iterations", vec![own(tokens(1000, 100)), own(tokens(10, 2))]),
        ("usage=in:10,out:2; fallback=claude-sonnet-5", vec![share("claude-sonnet-5", tokens(10, 2))]),
        (
            r#"iterations=[{"type":"advisor_message","model":"a","input_tokens":7,"output_tokens":3,
               "cache_creation_input_tokens":5}]"#,
            vec![share("a", Tokens { cache_write_5m: 5, ..tokens(7, 3) })],
        ),
        (
            r#"iterations=[{"cache_creation_input_tokens":5,
               "cache_creation":{"ephemeral_1h_input_tokens":4}}]"#,
            vec![own(Tokens { cache_write_5m: 1, cache_write_1h: 4, ..Tokens::default() })],
        ),
        ("refusal", vec![]),
        ("no_usage", vec![]),
    ];
    for (directives, expected) in rows {
        assert_eq!(compose(BODY, directives).bill, expected, "{directives}");
    }
}

#[test]
fn a_text_has_the_size_that_was_asked_for() {
    let rows = [
        ("size=0", 0),
        ("size=1", 1),
        ("size=64kb", 65_536),
        ("size=10; text=\u{20ac}", 10),
        ("events=3", 48),
    ];
    for (directives, expected) in rows {
        let message = plain(&compose(BODY, directives));
        let text = message["content"][0]["text"].as_str().unwrap();
        assert_eq!(text.len(), expected, "{directives}");
    }
}

#[test]
fn max_tokens_ends_the_standard_text_only() {
    let rows = [
        (5, "", "Hello from the Tollg", "max_tokens"),
        (1000, "", DEFAULT_TEXT, "end_turn"),
        (1, "text=Longer than that", "Longer than that", "end_turn"),
    ];
    for (max_tokens, directives, text, stop_reason) in rows {
        let body = BODY.replace("100", &max_tokens.to_string());
        let message = plain(&compose(&body, directives));
        assert_eq!(message["content"][0]["text"], text);
        assert_eq!(message["stop_reason"], stop_reason);
    }
    let warmed = plain(&compose(&BODY.replace("100", "0"), ""));
    assert_eq!(warmed["content"], json!([]));
    assert_eq!(warmed["stop_reason"], "max_tokens");
    assert_eq!(warmed["usage"]["output_tokens"], 0);
}

#[test]
fn a_tool_is_asked_for_until_its_results_are_there() {
    const RESULT: &str = r#",{"role":"assistant","content":"..."},{"role":"user",
        "content":[{"type":"tool_result","tool_use_id":"t","content":"hello"}]}"#;
    let rows = [
        (0, "tool=Bash", "tool_use"),
        (1, "tool=Bash", "The tool answered: hello"),
        (1, "tool=Bash; turns=2", "tool_use"),
        (2, "tool=Bash; turns=2", "The tool answered: hello"),
        (1, "tool=Bash; text=Done.", "Done."),
        (1, "", "The tool answered: hello"),
    ];
    for (results, directives, expected) in rows {
        let body = BODY.replace("}]}", &format!("}}{}]}}", RESULT.repeat(results)));
        let message = plain(&compose(&body, directives));
        let block = message["content"].as_array().unwrap().last().unwrap();
        let found = if message["stop_reason"] == "tool_use" { &block["type"] } else { &block["text"] };
        assert_eq!(found, expected, "{results} {directives}");
    }
}

#[test]
fn structured_output_follows_its_schema() {
    let format = r#""output_config":{"format":{"type":"json_schema","schema":{"type":"object",
        "properties":{"title":{"type":"string"}}}}},"max_tokens""#;
    let message = plain(&compose(&BODY.replace("\"max_tokens\"", format), ""));
    let text = message["content"][0]["text"].as_str().unwrap();
    assert_eq!(text, r#"{"title":"Simulated conversation"}"#);
}

#[test]
fn thinking_that_is_omitted_is_only_signed() {
    let thinking = r#""thinking":{"type":"adaptive","display":"omitted"},"max_tokens""#;
    let body = BODY.replace("\"max_tokens\"", thinking);
    let message = streamed(compose(&body, "thinking=Secret."));
    assert_eq!(message["content"][0]["thinking"], "");
    assert!(!message["content"][0]["signature"].as_str().unwrap().is_empty());
}

#[test]
fn speed_and_place_are_those_of_the_request() {
    let body = BODY.replace("\"max_tokens\"", r#""speed":"fast","inference_geo":"us","max_tokens""#);
    let usage = plain(&compose(&body, ""))["usage"].clone();
    assert_eq!((&usage["speed"], &usage["inference_geo"]), (&json!("fast"), &json!("us")));
}
