//! HTTP/1.1 and the API's rules, without directives.

use serde_json::json;
use tollgate_simulator::{Config, Simulator};

use crate::client::{Client, End, PLAIN, STREAM, post, simulator, within};

#[tokio::test]
async fn a_plain_answer_is_one_write() {
    let simulator = simulator().await;
    let mut client = Client::connect(&simulator).await;
    client.send(&post("/v1/messages?beta=true", &[], PLAIN)).await;
    let read = String::from_utf8(client.read_once().await).unwrap();
    let (head, body) = read.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    assert!(head.contains(&format!("Content-Length: {}\r\n", body.len())));
    assert!(head.contains("\r\nrequest-id: req_01"));
    assert!(head.contains("\r\nanthropic-ratelimit-requests-limit: "));
    let message: serde_json::Value = serde_json::from_str(body).unwrap();
    assert_eq!(message["type"], "message");
    assert_eq!(message["stop_reason"], "end_turn");
    assert_eq!(message["usage"]["input_tokens"], PLAIN.len().div_ceil(4));
}

#[tokio::test]
async fn a_stream_has_the_documented_events() {
    let simulator = simulator().await;
    let mut client = Client::connect(&simulator).await;
    let answer = client.ask(&post("/v1/messages", &[], STREAM)).await;
    assert_eq!(answer.header("content-type"), Some("text/event-stream; charset=utf-8"));
    assert_eq!(answer.header("transfer-encoding"), Some("chunked"));
    let delta = "content_block_delta";
    let expected = [
        "message_start",
        "ping",
        "content_block_start",
        delta,
        delta,
        delta,
        "content_block_stop",
        "message_delta",
        "message_stop",
    ];
    assert_eq!(answer.events(), expected);
    // Each event is a chunk of its own.
    assert_eq!(answer.chunks.len(), expected.len());
    assert_eq!(answer.end, End::Framed);
}

#[tokio::test]
async fn one_connection_carries_many_requests() {
    let simulator = simulator().await;
    let mut client = Client::connect(&simulator).await;
    for number in 0..200 {
        let body = if number % 2 == 0 { PLAIN } else { STREAM };
        let answer = client.ask(&post("/v1/messages", &[], body)).await;
        assert_eq!((answer.status, answer.end), (200, End::Framed));
    }
    let seen = simulator.record().ended(200).await;
    assert_eq!(seen.len(), 200);
    assert!(seen.iter().all(|seen| seen.connection == 1));
}

#[tokio::test]
async fn requests_sent_ahead_are_answered_in_order() {
    let simulator = simulator().await;
    let mut client = Client::connect(&simulator).await;
    let requests: Vec<u8> = (0..50)
        .flat_map(|number| {
            let directives = format!("X-Simulator: text=Answer {number}; pace_ms=1");
            post("/v1/messages", &[&directives], if number % 3 == 0 { STREAM } else { PLAIN })
        })
        .collect();
    client.send(&requests).await;
    for number in 0..50 {
        let answer = client.answer().await;
        assert!(answer.text().contains(&format!("\"Answer {number}\"")), "{number}");
    }
}

#[tokio::test]
async fn a_chunked_request_is_read_in_any_pieces() {
    let simulator = simulator().await;
    let mut client = Client::connect(&simulator).await;
    let (first, second) = PLAIN.split_at(20);
    let request = format!(
        "POST /v1/messages HTTP/1.1\r\nanthropic-version: 2023-06-01\r\n\
         Transfer-Encoding: chunked\r\n\r\n{:x}\r\n{first}\r\n{:X};a=b\r\n{second}\r\n0\r\n\
         X-Trailer: 1\r\n\r\n",
        first.len(),
        second.len(),
    );
    for piece in request.as_bytes().chunks(7) {
        client.send(piece).await;
        tokio::task::yield_now().await;
    }
    assert_eq!(client.answer().await.status, 200);
    // The connection is still in step.
    assert_eq!(client.ask(&post("/v1/messages", &[], PLAIN)).await.status, 200);
    let seen = simulator.record().ended(2).await;
    assert_eq!(seen[0].body, PLAIN);
    assert!(seen[0].whole);
}

#[tokio::test]
async fn a_client_that_waits_is_told_to_go_on() {
    let simulator = simulator().await;
    let mut client = Client::connect(&simulator).await;
    let request = post("/v1/messages", &["Expect: 100-continue"], PLAIN);
    let (head, body) = request.split_at(request.len() - PLAIN.len());
    client.send(head).await;
    assert_eq!(client.read_until("\r\n\r\n").await, "HTTP/1.1 100 Continue\r\n\r\n");
    client.send(body).await;
    assert_eq!(client.answer().await.status, 200);
}

#[tokio::test]
async fn http_1_0_gets_a_body_that_ends_with_the_connection() {
    let simulator = simulator().await;
    let mut client = Client::connect(&simulator).await;
    let request = String::from_utf8(post("/v1/messages", &[], STREAM)).unwrap();
    let answer = client.ask(request.replace("HTTP/1.1", "HTTP/1.0").as_bytes()).await;
    assert_eq!(answer.header("transfer-encoding"), None);
    assert_eq!(answer.events().last(), Some(&"message_stop"));
    assert_eq!(answer.end, End::Fin);
}

#[tokio::test]
async fn head_has_the_head_of_get() {
    let simulator = simulator().await;
    let mut client = Client::connect(&simulator).await;
    let rows = [("/", 200), ("/api/hello", 200), ("/v1/models?limit=1000", 200), ("/v1/other", 404)];
    for (target, status) in rows {
        let ask = |method| format!("{method} {target} HTTP/1.1\r\nanthropic-version: 2023-06-01\r\n\r\n");
        client.send(ask("HEAD").as_bytes()).await;
        let head = client.answer_to_head().await;
        let get = client.ask(ask("GET").as_bytes()).await;
        assert_eq!((head.status, get.status), (status, status), "{target}");
        assert_eq!(head.header("content-length"), get.header("content-length"));
    }
}

#[tokio::test]
async fn what_is_no_request_is_refused_and_closed() {
    let rows = [
        "NONSENSE\r\n\r\n",
        "GET / HTTP/1.1\r\nBad Name: x\r\n\r\n",
        "POST /v1/messages HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        "POST /v1/messages HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        "POST /v1/messages HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    ];
    let simulator = simulator().await;
    for (number, request) in rows.into_iter().enumerate() {
        let mut client = Client::connect(&simulator).await;
        let answer = client.ask(request.as_bytes()).await;
        assert_eq!(answer.status, 400, "{request}");
        assert_eq!(answer.header("connection"), Some("close"));
        assert_eq!(client.end().await, End::Fin);
        let record = simulator.record();
        let malformed = number as u64 + 1;
        let served = within(record.until(|served| served.malformed == malformed)).await;
        assert_eq!(served.open, 0);
    }
}

#[tokio::test]
async fn requests_are_held_to_the_rules_of_the_api() {
    let simulator = simulator().await;
    let mut client = Client::connect(&simulator).await;
    let version = "anthropic-version: 2023-06-01\r\n";
    let rows = [
        ("POST", "/v1/messages", "", PLAIN, 400, "anthropic-version: header is required"),
        ("POST", "/v1/messages", "anthropic-version: 1\r\n", PLAIN, 400, "anthropic-version: "),
        ("POST", "/v1/messages", version, "{", 400, "not valid JSON"),
        ("POST", "/v1/messages", version, "{}", 400, "model: Field required"),
        ("GET", "/v1/messages", version, "", 404, "Not found"),
        ("POST", "/v1/models", version, "", 404, "Not found"),
        ("POST", "/v1/v1/messages", version, PLAIN, 404, "Not found"),
        ("POST", "/v1/messages/batches", version, "{}", 404, "Not found"),
        ("GET", "/v1/models/claude-none", version, "", 404, "model: claude-none"),
        ("GET", "/v1/models?limit=1001", version, "", 400, "limit: "),
    ];
    for (method, target, fields, body, status, message) in rows {
        let length = body.len();
        let request = format!("{method} {target} HTTP/1.1\r\n{fields}Content-Length: {length}\r\n\r\n{body}");
        let answer = client.ask(request.as_bytes()).await;
        assert_eq!(answer.status, status, "{request}");
        let error = answer.json();
        assert_eq!(error["type"], "error");
        let kind = if status == 404 { "not_found_error" } else { "invalid_request_error" };
        assert_eq!(error["error"]["type"], kind);
        let said = error["error"]["message"].as_str().unwrap();
        assert!(said.contains(message), "{request}: {said}");
        assert_eq!(error["request_id"], answer.header("request-id").unwrap());
    }
}

#[tokio::test]
async fn a_key_is_demanded_if_there_is_one() {
    let config = Config { api_key: Some("sk-right".into()), ..Config::default() };
    let simulator = Simulator::start(config).await.unwrap();
    let mut client = Client::connect(&simulator).await;
    let rows: [(&[&str], u16); 8] = [
        (&[], 401),
        (&["x-api-key: sk-right"], 200),
        (&["X-Api-Key: sk-wrong"], 401),
        (&["Authorization: Bearer sk-right"], 200),
        (&["authorization: bearer sk-right"], 200),
        (&["Authorization: Basic sk-right"], 401),
        (&["Authorization: Bearer sk-wrong", "x-api-key: sk-right"], 401),
        (&["Authorization: Bearer sk-right", "x-api-key: sk-wrong"], 401),
    ];
    for (fields, status) in rows {
        let answer = client.ask(&post("/v1/messages", fields, PLAIN)).await;
        assert_eq!(answer.status, status, "{fields:?}");
        if status == 401 {
            assert_eq!(answer.json()["error"]["type"], "authentication_error");
        }
    }
    // A warm-up needs no key.
    assert_eq!(client.ask(b"GET /api/hello HTTP/1.1\r\n\r\n").await.status, 200);
}

#[tokio::test]
async fn the_edge_refuses_what_is_too_large() {
    let config = Config { max_body_bytes: PLAIN.len() as u64, ..Config::default() };
    let simulator = Simulator::start(config).await.unwrap();
    let mut client = Client::connect(&simulator).await;
    assert_eq!(client.ask(&post("/v1/messages", &[], PLAIN)).await.status, 200);
    let answer = client.ask(&post("/v1/messages", &[], &format!("{PLAIN} "))).await;
    assert_eq!(answer.status, 413);
    assert_eq!(answer.header("content-type"), Some("text/html"));
    assert_eq!(answer.header("request-id"), None);
    // The whole body was read, so that the connection goes on.
    assert_eq!(client.ask(&post("/v1/messages", &[], PLAIN)).await.status, 200);
}

#[tokio::test]
async fn a_body_of_32_mib_is_taken_and_one_byte_more_is_not() {
    const LIMIT: usize = 32 * 1024 * 1024;
    let simulator = simulator().await;
    let mut client = Client::connect(&simulator).await;
    let filled = |length: usize| PLAIN.replace("hi", &"x".repeat(length - PLAIN.len() + 2));
    let answer = client.ask(&post("/v1/messages", &[], &filled(LIMIT))).await;
    assert_eq!(answer.json()["usage"]["input_tokens"], LIMIT / 4);
    let answer = client.ask(&post("/v1/messages", &[], &filled(LIMIT + 1))).await;
    assert_eq!(answer.status, 413);
    // What is far too large is refused before it is read.
    let request = post("/v1/messages", &[], "");
    let request = String::from_utf8(request).unwrap().replace("h: 0", "h: 99999999");
    let answer = client.ask(request.as_bytes()).await;
    assert_eq!((answer.status, answer.header("connection")), (413, Some("close")));
}

#[tokio::test]
async fn models_are_listed_in_pages() {
    let simulator = simulator().await;
    let mut client = Client::connect(&simulator).await;
    let mut pages = Vec::new();
    let rows =
        ["limit=2", "limit=2&after_id=claude-haiku-5-5", "limit=1000", "limit=1&before_id=claude-opus-5-5"];
    for query in rows {
        let request = format!("GET /v1/models?{query} HTTP/1.1\r\nanthropic-version: 2023-06-01\r\n\r\n");
        let page = client.ask(request.as_bytes()).await.json();
        let ids: Vec<_> = page["data"].as_array().unwrap().iter().map(|row| row["id"].clone()).collect();
        assert_eq!(page["first_id"], ids[0]);
        assert_eq!(page["last_id"], *ids.last().unwrap());
        assert!(page["data"][0]["display_name"].as_str().unwrap().starts_with("Claude "));
        pages.push((ids, page["has_more"].as_bool().unwrap()));
    }
    let two = |a: &str, b: &str| vec![json!(a), json!(b)];
    assert_eq!(pages[0], (two("claude-fable-5-2", "claude-haiku-5-5"), true));
    assert_eq!(pages[1], (two("claude-opus-5-5", "claude-sonnet-5-5"), true));
    assert!(pages[2].0.len() > 10 && !pages[2].1);
    assert_eq!(pages[3], (vec![json!("claude-haiku-5-5")], true));
    let request = "GET /v1/models/claude-opus-5-5 HTTP/1.1\r\nanthropic-version: 2026-10-21\r\n\r\n";
    let model = client.ask(request.as_bytes()).await.json();
    assert_eq!((&model["type"], &model["id"]), (&json!("model"), &json!("claude-opus-5-5")));
}

#[tokio::test]
async fn tokens_are_counted_without_max_tokens() {
    let simulator = simulator().await;
    let mut client = Client::connect(&simulator).await;
    let body = PLAIN.replace("\"max_tokens\":99,", "");
    let answer = client.ask(&post("/v1/messages/count_tokens?beta=true", &[], &body)).await;
    assert_eq!(answer.json(), json!({"input_tokens": body.len().div_ceil(4)}));
}
