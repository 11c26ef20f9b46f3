//! Row A4: events leave as they come, cuts stay cuts, the client's leaving reaches the upstream.

use std::time::{Duration, Instant};

use tollgate_acceptance::{Connection, House, Plan, client};

const BODY: &str = r#"{"model":"claude-opus-5-5","max_tokens":1024,"stream":true,"messages":[{"role":"user","content":"hi"}]}"#;

async fn start(house: &House, key: &str, directive: &str) -> Connection {
    let key = format!("x-api-key: {key}");
    let directive = format!("x-simulator: {directive}");
    let head = client::head(
        "POST",
        "/v1/messages",
        &[&key, "anthropic-version: 2023-06-01", &directive],
        Some(BODY.len()),
    );
    let mut connection = Connection::open(house.address()).await;
    connection.send(format!("{head}{BODY}").as_bytes()).await;
    connection
}

#[tokio::test(flavor = "multi_thread")]
async fn events_leave_before_the_upstream_has_finished() {
    let house = House::open().await;
    let key = house.key("red").await;
    let mut connection = start(&house, &key, "events=4;stall;at=3;pings_ms=50").await;
    assert_eq!(connection.head().await.unwrap().0, 200);
    connection.until(b"event: message_start").await;
    connection.until(b"event: ping").await;
    connection.until(b"event: ping").await;
    drop(connection);
    house.simulator.record().until(|served| served.aborted == 1).await;
    let settled = house.wait_for("settled", 1).await;
    assert_eq!(settled[0]["outcome"], "aborted");
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_leaves_ends_the_upstream_even_before_its_first_byte() {
    let house = House::open().await;
    let key = house.key("red").await;
    let connection = start(&house, &key, "first_byte_ms=60000").await;
    house.simulator.record().until(|served| served.open == 1).await;
    let left = Instant::now();
    drop(connection);
    house.simulator.record().until(|served| served.aborted == 1).await;
    assert!(left.elapsed() < Duration::from_secs(30), "not by the upstream's own patience");
    let settled = house.wait_for("settled", 1).await;
    assert_eq!(settled[0]["outcome"], "aborted");
    assert_eq!(settled[0]["estimated"], true);
    assert!(settled[0]["cost_nano_usd"].as_u64().unwrap() > 0, "what was sent may be billed");
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_stays_a_cut() {
    let house = House::open().await;
    let key = house.key("red").await;
    for directive in
        ["events=20;cut", "events=20;reset", "events=20;cut_mid_event=5", "events=20;bad_chunk;at=5"]
    {
        let mut connection = start(&house, &key, directive).await;
        let answer = connection.answer().await.unwrap();
        assert_eq!((answer.status, answer.whole), (200, false), "{directive}: {}", answer.text());
    }
    // Without a length and without chunks only a reset tells a cut from an end.
    let mut connection = start(&house, &key, "events=20;close;reset").await;
    connection.head().await.unwrap();
    let settled = house.wait_for("settled", 5).await;
    assert!(
        settled.iter().all(|entry| entry["outcome"] == "cut" && entry["estimated"] == true),
        "{settled:#?}"
    );
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_within_the_stream_is_relayed_and_counted() {
    let house = House::open().await;
    let key = house.key("red").await;
    let mut connection = start(&house, &key, "events=10;error_event=overloaded_error;at=4").await;
    let answer = connection.answer().await.unwrap();
    assert_eq!((answer.status, answer.whole), (200, true));
    assert!(answer.text().contains("overloaded_error"));
    let settled = house.wait_for("settled", 1).await;
    assert_eq!(
        (&settled[0]["outcome"], &settled[0]["error"]),
        (&"upstream_error".into(), &"overloaded_error".into())
    );
    assert_eq!(house.usage("team").await[0]["errors"], 1);
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn silence_past_the_limit_cuts_the_stream() {
    let config = "timeouts:\n  stream_idle: 300ms\n  first_byte: 300ms\n".to_owned();
    let house = House::build(Plan { config, ..Plan::default() }).await;
    let key = house.key("red").await;
    let mut connection = start(&house, &key, "events=4;stall;at=3").await;
    assert!(!connection.answer().await.unwrap().whole);
    let mut silent = start(&house, &key, "first_byte_ms=60000").await;
    let answer = silent.answer().await.unwrap();
    assert_eq!((answer.status, answer.error_type().as_str()), (504, "timeout_error"));
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn draining_lets_streams_finish_and_refuses_what_is_new() {
    let house = House::open().await;
    let key = house.key("red").await;
    let mut connection = start(&house, &key, "events=20;pace_ms=20").await;
    connection.until(b"event: message_start").await;
    let address = house.address();
    let House { gateway, simulator, .. } = house;
    let draining = tokio::spawn(gateway.drain());
    let rest = connection.until(b"event: message_stop").await;
    assert!(!rest.is_empty());
    let stopped = draining.await.unwrap();
    assert_eq!(stopped.cut, 0);
    assert!(tokio::net::TcpStream::connect(address).await.is_err(), "nobody listens any more");
    simulator.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn draining_ends_within_its_bound_and_settles_what_it_cuts() {
    let house = House::build(Plan { config: "timeouts:\n  drain: 300ms\n".into(), ..Plan::default() }).await;
    let key = house.key("red").await;
    let mut connection = start(&house, &key, "events=4;stall;at=3").await;
    connection.until(b"event: message_start").await;
    let (data, folder) = (house.data.clone(), house.folder);
    let stopped = house.gateway.drain().await;
    assert_eq!(stopped.cut, 1);
    let entries = tollgate_acceptance::house::entries(&data);
    assert_eq!(entries.iter().filter(|entry| entry["kind"] == "settled").count(), 1);
    assert_eq!(
        entries.last().unwrap()["kind"].as_str().map(|kind| kind == "checkpoint" || kind == "closed"),
        Some(true)
    );
    house.simulator.stop().await;
    drop(folder);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_client_gets_the_payload_until_the_close() {
    let house = House::open().await;
    let key = house.key("red").await;
    let head = format!(
        "POST /v1/messages HTTP/1.0\r\nx-api-key: {key}\r\nanthropic-version: 2023-06-01\r\nContent-Length: {}\r\n\r\n{BODY}",
        BODY.len()
    );
    let mut connection = Connection::open(house.address()).await;
    connection.send(head.as_bytes()).await;
    let answer = connection.answer().await.unwrap();
    assert_eq!(answer.header("transfer-encoding"), None);
    assert!(answer.text().ends_with("\n\n") && answer.text().contains("message_stop"), "{}", answer.text());
    house.close().await;
}
