//! What directives do to the answer, and where directives come from.

use std::io::Read;

use flate2::read::GzDecoder;
use serde_json::json;
use tollgate_simulator::{Config, Script, Simulator};

use crate::client::{Client, End, PLAIN, STREAM, message, post, simulator};

#[tokio::test]
async fn errors_come_in_the_documented_envelope() {
    let simulator = simulator().await;
    let mut client = Client::connect(&simulator).await;
    let rows = [
        (400, "invalid_request_error"),
        (401, "authentication_error"),
        (402, "billing_error"),
        (403, "permission_error"),
        (404, "not_found_error"),
        (409, "conflict_error"),
        (413, "request_too_large"),
        (429, "rate_limit_error"),
        (500, "api_error"),
        (504, "timeout_error"),
        (529, "overloaded_error"),
    ];
    for (status, kind) in rows {
        for body in [PLAIN, STREAM] {
            let answer = client.ask(&message(&format!("status={status}"), body)).await;
            assert_eq!(answer.status, status);
            assert_eq!(answer.header("content-type"), Some("application/json"));
            let error = answer.json();
            assert_eq!(error["error"]["type"], kind);
            assert_eq!(error["request_id"], answer.header("request-id").unwrap());
        }
    }
}

#[tokio::test]
async fn an_error_says_what_it_is_told_to() {
    let simulator = simulator().await;
    let mut client = Client::connect(&simulator).await;
    let directives = r#"status=429; message="Slow; down"; error=odd_error; error_code=spent;
        retry_after=7; should_retry=false"#;
    let answer = client.ask(&message(&directives.replace('\n', " "), PLAIN)).await;
    assert_eq!(answer.header("retry-after"), Some("7"));
    assert_eq!(answer.header("x-should-retry"), Some("false"));
    let expected = json!({
        "type": "odd_error",
        "message": "Slow; down",
        "details": {"error_code": "spent"},
    });
    assert_eq!(answer.json()["error"], expected);
    let answer = client.ask(&message("status=429", PLAIN)).await;
    assert_eq!(answer.header("retry-after"), None);
    assert_eq!(answer.header("x-should-retry"), None);
}

#[tokio::test]
async fn a_tool_use_streams_its_input_in_fragments() {
    let simulator = simulator().await;
    let mut client = Client::connect(&simulator).await;
    let input = r#"{"command":"echo hello; echo this is long enough for two"}"#;
    let answer = client.ask(&message(&format!("tool=Bash:{input}"), STREAM)).await;
    let fragments: Vec<String> = answer
        .text()
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line.strip_prefix("data: ")?).ok())
        .filter(|data| data["delta"]["type"] == "input_json_delta")
        .map(|data| data["delta"]["partial_json"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(fragments[0], "");
    assert!(fragments.len() > 2);
    assert_eq!(fragments.concat(), input);
    assert!(answer.text().contains(r#""stop_reason":"tool_use""#));
}

#[tokio::test]
async fn gzip_can_be_read_event_by_event() {
    let simulator = simulator().await;
    let mut client = Client::connect(&simulator).await;
    let plain = client.ask(&message("text=Same", STREAM)).await;
    let packed = client.ask(&message("text=Same; gzip", STREAM)).await;
    assert_eq!(packed.header("content-encoding"), Some("gzip"));
    let mut unpacked = String::new();
    GzDecoder::new(&packed.body[..]).read_to_string(&mut unpacked).unwrap();
    let without_id = |text: &str| text.split_once("\"type\":\"message\"").unwrap().1.to_owned();
    assert_eq!(without_id(&unpacked), without_id(plain.text()));
    // The first chunk alone holds the first event.
    let mut first = String::new();
    let _ = GzDecoder::new(&packed.body[..packed.chunks[0]]).read_to_string(&mut first);
    assert!(first.starts_with("event: message_start") && first.ends_with("\n\n"), "{first}");
    let packed = client.ask(&message("text=Same; gzip", PLAIN)).await;
    let mut unpacked = String::new();
    GzDecoder::new(&packed.body[..]).read_to_string(&mut unpacked).unwrap();
    assert!(unpacked.contains("\"text\":\"Same\""));
}

#[tokio::test]
async fn the_body_is_split_into_writes_of_one_size() {
    let simulator = simulator().await;
    let mut client = Client::connect(&simulator).await;
    let whole = client.ask(&message("text=Split me", STREAM)).await;
    for size in [1, 7, 1000, 1_000_000] {
        let answer = client.ask(&message(&format!("text=Split me; chunk={size}"), STREAM)).await;
        assert_eq!(answer.events(), whole.events());
        let length = answer.body.len();
        let expected: Vec<usize> = (0..length).step_by(size).map(|start| size.min(length - start)).collect();
        assert_eq!(answer.chunks, expected);
    }
}

#[tokio::test]
async fn answers_take_the_form_that_is_asked_for() {
    let simulator = simulator().await;
    let mut client = Client::connect(&simulator).await;
    let answer = client.ask(&message("wrong_type", STREAM)).await;
    assert_eq!(answer.header("content-type"), Some("text/plain"));
    let answer = client.ask(&message("lower_case; header=X-Odd: One; header=x-odd: Two", PLAIN)).await;
    assert!(answer.headers.iter().all(|(name, _)| *name == name.to_lowercase()));
    let odd: Vec<_> = answer.headers.iter().filter(|(name, _)| name == "x-odd").collect();
    assert_eq!(odd.len(), 2);
    let answer = client.ask(&message("no_request_id", PLAIN)).await;
    assert_eq!(answer.header("request-id"), None);
    let answer = client.ask(&message("html200", STREAM)).await;
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("text/html")));
    let answer = client.ask(&message("empty200", STREAM)).await;
    assert_eq!((answer.status, answer.text()), (200, ""));
    let answer = client.ask(&message("html413", STREAM)).await;
    assert_eq!((answer.status, answer.header("request-id")), (413, None));
    assert_eq!(client.ask(&message("html502", STREAM)).await.status, 502);
    client.send(&message("interim", PLAIN)).await;
    assert_eq!(client.answer().await.status, 103);
    assert_eq!(client.answer().await.status, 200);
    let answer = client.ask(&message("close", STREAM)).await;
    assert_eq!(answer.header("transfer-encoding"), None);
    assert_eq!(answer.header("connection"), Some("close"));
    assert_eq!(answer.events().last(), Some(&"message_stop"));
    assert_eq!(answer.end, End::Fin);
}

#[tokio::test]
async fn usage_is_what_it_is_told_to_be() {
    let simulator = simulator().await;
    let mut client = Client::connect(&simulator).await;
    let directives = "usage=in:10,out:9,cr:8,c5:7,c1:6; web_search=2; tier=priority; iterations";
    let usage = client.ask(&message(directives, PLAIN)).await.json()["usage"].clone();
    assert_eq!(usage["input_tokens"], 10);
    assert_eq!(usage["output_tokens"], 9);
    assert_eq!(usage["cache_read_input_tokens"], 8);
    assert_eq!(usage["cache_creation_input_tokens"], 13);
    assert_eq!(usage["cache_creation"]["ephemeral_1h_input_tokens"], 6);
    assert_eq!(usage["server_tool_use"]["web_search_requests"], 2);
    assert_eq!(usage["service_tier"], "priority");
    assert_eq!(usage["iterations"][0]["type"], "compaction");
    let stream = client.ask(&message(directives, STREAM)).await;
    assert!(stream.text().contains(r#""output_tokens":1,"service_tier":"priority""#));
    let silent = client.ask(&message("no_usage", STREAM)).await;
    assert!(!silent.text().contains("usage"));
}

#[tokio::test]
async fn a_large_answer_is_complete() {
    let simulator = simulator().await;
    let mut client = Client::connect(&simulator).await;
    let answer = client.ask(&message("size=3mb; events=5000", STREAM)).await;
    let deltas = answer.events().iter().filter(|name| **name == "content_block_delta").count();
    assert_eq!(deltas, 5000);
    let answer = client.ask(&message("size=3mb", PLAIN)).await;
    let text = answer.json()["content"][0]["text"].as_str().unwrap().len();
    assert_eq!(text, 3 * 1024 * 1024);
}

#[tokio::test]
async fn header_comes_before_prompt_and_prompt_before_script() {
    let config = Config { script: Script::always("text=Script.").unwrap(), ..Config::default() };
    let simulator = Simulator::start(config).await.unwrap();
    let mut client = Client::connect(&simulator).await;
    let prompt = PLAIN.replace("hi", "hi [[sim: text=Prompt.]]");
    let text = |answer: crate::client::Answer| answer.json()["content"][0]["text"].clone();
    assert_eq!(text(client.ask(&post("/v1/messages", &[], PLAIN)).await), "Script.");
    assert_eq!(text(client.ask(&post("/v1/messages", &[], &prompt)).await), "Prompt.");
    assert_eq!(text(client.ask(&message("text=Header.", &prompt)).await), "Header.");
    // A client's own request for a title quotes the prompt, and does not obey it.
    let title = prompt.replace(
        "\"max_tokens\"",
        r#""output_config":{"format":{"type":"json_schema","schema":{"type":"string"}}},"max_tokens""#,
    );
    assert_eq!(text(client.ask(&post("/v1/messages", &[], &title)).await), "Script.");
    // Counting obeys no prompt.
    let count = PLAIN.replace("hi", "hi [[sim: status=500]]");
    let answer = client.ask(&post("/v1/messages/count_tokens", &[], &count)).await;
    assert_eq!(answer.status, 200);
    simulator.set_script(Script::parse(r#"{"rules":[{"do":"status=402"}]}"#).unwrap());
    assert_eq!(client.ask(&post("/v1/messages", &[], PLAIN)).await.status, 402);
    assert_eq!(client.ask(&post("/v1/anything", &[], "")).await.status, 402);
}

#[tokio::test]
async fn directives_that_cannot_be_read_are_an_error() {
    let simulator = simulator().await;
    let mut client = Client::connect(&simulator).await;
    let prompt = PLAIN.replace("hi", "[[sim: nonsense]]");
    let requests =
        [message("nonsense", PLAIN), message("pace_ms=soon", PLAIN), post("/v1/messages", &[], &prompt)];
    for request in requests {
        let answer = client.ask(&request).await;
        assert_eq!(answer.status, 400);
        assert!(answer.text().contains("simulator: "), "{}", answer.text());
    }
}

#[tokio::test]
async fn directives_hold_for_so_many_times() {
    let simulator = simulator().await;
    let mut client = Client::connect(&simulator).await;
    let rows = [
        ("status=529; times=2", 529),
        ("status=529; times=2", 529),
        ("status=529; times=2", 200),
        ("status=529; times=2; key=other", 529),
        ("status=500; times=2; key=other", 500),
        ("status=529; times=2; key=other", 200),
    ];
    for (number, (directives, status)) in rows.into_iter().enumerate() {
        let answer = client.ask(&message(directives, PLAIN)).await;
        assert_eq!(answer.status, status, "{number}");
    }
}
