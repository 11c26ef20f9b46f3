//! What the record says afterwards.

use serde_json::json;
use tollgate_simulator::{Config, Ending, Keep, Simulator, Tokens};

use crate::client::{Client, PLAIN, STREAM, message, post, sha256, simulator, within};

#[tokio::test]
async fn a_request_is_recorded_as_it_was_sent() {
    let simulator = simulator().await;
    let mut client = Client::connect(&simulator).await;
    let body = PLAIN.replace("hi", "h\\u0069  \u{e4}");
    let fields = ["X-First: 1", "anthropic-BETA: b,a", "x-first:   2", "X-Simulator: text=Hi"];
    let answer = client.ask(&post("/v1/messages?beta=true&x=%20", &fields, &body)).await;
    let seen = &within(simulator.record().ended(1)).await[0];
    let length = body.len().to_string();
    let expected = [
        ("Host", "sim"),
        ("anthropic-version", "2023-06-01"),
        ("Content-Length", &length),
        ("X-First", "1"),
        ("anthropic-BETA", "b,a"),
        ("x-first", "2"),
        ("X-Simulator", "text=Hi"),
    ];
    let headers: Vec<_> = seen.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(headers, expected);
    assert_eq!(seen.header("X-FIRST"), Some("1"));
    assert_eq!((seen.method.as_str(), seen.target.as_str()), ("POST", "/v1/messages?beta=true&x=%20"));
    assert_eq!(seen.body, body);
    assert_eq!(seen.body_bytes, body.len() as u64);
    assert_eq!(seen.body_sha256.as_deref(), Some(sha256(body.as_bytes()).as_str()));
    assert_eq!(seen.model.as_deref(), Some("claude-opus-5-5"));
    assert_eq!(seen.directives, "text=Hi");
    assert_eq!(seen.answer.status, Some(200));
    assert_eq!(seen.answer.request_id.as_deref(), answer.header("request-id"));
    assert_eq!(seen.answer.body_sha256.as_deref(), Some(sha256(&answer.body).as_str()));
    assert_eq!(seen.answer.chars, 2);
    let found = simulator.record().by_request_id(answer.header("request-id").unwrap());
    assert_eq!(found.unwrap().id, seen.id);
}

#[tokio::test]
async fn the_hash_is_that_of_the_bytes_sent_whatever_their_framing() {
    let rows = ["", "chunk=3", "gzip", "close", "cut=4", "cut_mid_event=4", "gzip; chunk=11", "pace_ms=1"];
    let simulator = simulator().await;
    for (number, directives) in rows.into_iter().enumerate() {
        let mut client = Client::connect(&simulator).await;
        let answer = client.ask(&message(directives, STREAM)).await;
        let seen = within(simulator.record().ended(number as u64 + 1)).await;
        let served = &seen.last().unwrap().answer;
        assert_eq!(served.body_sha256.as_deref(), Some(sha256(&answer.body).as_str()), "{directives}");
        assert_eq!(served.body_bytes, answer.body.len() as u64, "{directives}");
    }
}

#[tokio::test]
async fn totals_add_up_by_model() {
    let simulator = simulator().await;
    let mut client = Client::connect(&simulator).await;
    let rows = [
        ("usage=in:100,out:10,cr:5", STREAM),
        ("usage=in:100,out:10,c5:3,c1:2; web_search=1", PLAIN),
        ("usage=in:7,out:7; model=claude-haiku-5-5", STREAM),
        ("usage=in:100,out:10; end=1", STREAM),
        ("usage=in:999,out:999; refusal", STREAM),
        ("usage=in:999,out:999; status=529", STREAM),
    ];
    for (directives, body) in rows {
        client.ask(&message(directives, body)).await;
    }
    let served = within(simulator.record().until(|served| served.requests == 6)).await;
    assert_eq!(served.complete, 6);
    assert_eq!(served.by_status[&200], 5);
    assert_eq!(served.by_status[&529], 1);
    assert_eq!(served.by_model.len(), 2);
    let expected = Tokens {
        input: 300,
        // Of the stream without its end only the first token was told.
        output: 21,
        cache_read: 5,
        cache_write_5m: 3,
        cache_write_1h: 2,
        web_search_requests: 1,
        web_fetch_requests: 0,
    };
    assert_eq!(served.by_model["claude-opus-5-5"], expected);
    assert_eq!(served.by_model["claude-haiku-5-5"].input, 7);
}

#[tokio::test]
async fn requests_under_way_are_counted() {
    let simulator = simulator().await;
    let mut clients = Vec::new();
    for number in 1..=5 {
        let mut client = Client::connect(&simulator).await;
        client.send(&message("stall; at=1", STREAM)).await;
        within(simulator.record().until(|served| served.open == number)).await;
        clients.push(client);
    }
    drop(clients);
    within(simulator.record().idle()).await;
    let served = simulator.record().served();
    assert_eq!((served.open_at_most, served.aborted, served.connections), (5, 5, 5));
}

#[tokio::test]
async fn an_answer_under_way_shows_how_far_it_is() {
    let simulator = simulator().await;
    let mut client = Client::connect(&simulator).await;
    client.send(&message("silence_ms=86400000; at=2", STREAM)).await;
    within(simulator.record().until(|_| {
        let seen = simulator.record().last();
        seen.is_some_and(|seen| seen.answer.events == 2)
    }))
    .await;
    let answer = simulator.record().last().unwrap().answer;
    assert_eq!((answer.ending, answer.status), (Ending::Open, Some(200)));
}

#[tokio::test]
async fn the_record_is_served_over_http() {
    let simulator = simulator().await;
    let mut client = Client::connect(&simulator).await;
    client.ask(&post("/v1/messages", &[], PLAIN)).await;
    client.ask(&post("/v1/messages", &[], STREAM)).await;
    let ask = |method: &str, path: &str| {
        format!("{method} /_simulator/{path} HTTP/1.1\r\nHost: sim\r\n\r\n").into_bytes()
    };
    let listed = client.ask(&ask("GET", "requests?bodies=true")).await.json();
    let requests = listed["requests"].as_array().unwrap();
    assert_eq!(requests.len(), 2);
    assert_eq!(requests[0]["body"], PLAIN);
    assert_eq!(requests[0]["body_sha256"], sha256(PLAIN.as_bytes()));
    assert_eq!(requests[1]["answer"]["ending"], "complete");
    let newer = client.ask(&ask("GET", "requests?after=1")).await.json();
    assert_eq!(newer["requests"][0]["id"], 2);
    assert_eq!(newer["requests"][0].get("body"), None);
    let served = client.ask(&ask("GET", "served")).await.json();
    assert_eq!((&served["requests"], &served["complete"]), (&json!(2), &json!(2)));
    let script = r#"{"rules":[{"do":"status=402"}]}"#;
    let put = |script: &str| {
        format!("PUT /_simulator/script HTTP/1.1\r\nContent-Length: {}\r\n\r\n{script}", script.len())
    };
    assert_eq!(client.ask(put(script).as_bytes()).await.status, 200);
    assert_eq!(client.ask(&post("/v1/messages", &[], PLAIN)).await.status, 402);
    assert_eq!(client.ask(put("{}").as_bytes()).await.status, 400);
    assert_eq!(client.ask(&ask("DELETE", "requests")).await.status, 200);
    let served = client.ask(&ask("GET", "served")).await.json();
    assert_eq!(served["requests"], 0);
    assert_eq!(client.ask(&ask("GET", "other")).await.status, 404);
}

#[tokio::test]
async fn without_control_the_record_is_not_served() {
    let config =
        Config { control: false, keep: Keep { requests: 1, ..Keep::default() }, ..Config::default() };
    let simulator = Simulator::start(config).await.unwrap();
    let mut client = Client::connect(&simulator).await;
    let answer = client.ask(b"GET /_simulator/requests HTTP/1.1\r\n\r\n").await;
    assert_eq!(answer.json()["error"]["type"], "not_found_error");
    assert_eq!(simulator.record().served().requests, 1);
}

#[tokio::test]
async fn a_seed_makes_the_same_ids_again() {
    let mut ids = Vec::new();
    for seed in [1, 1, 2] {
        let config = Config { seed, ..Config::default() };
        let simulator = Simulator::start(config).await.unwrap();
        let mut client = Client::connect(&simulator).await;
        let answer = client.ask(&post("/v1/messages", &[], PLAIN)).await;
        ids.push((answer.header("request-id").unwrap().to_owned(), answer.body));
    }
    assert_eq!(ids[0], ids[1]);
    assert_ne!(ids[0], ids[2]);
}
