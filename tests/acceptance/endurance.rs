//! Clients that do nothing, or little: they are ended, and others do not notice.

use std::time::{Duration, Instant};

use tokio::io::AsyncWriteExt;
use tollgate_acceptance::{Connection, House, Plan, client, get};

const BODY: &str = r#"{"model":"claude-opus-5-5","max_tokens":64,"stream":true,"messages":[{"role":"user","content":"hi"}]}"#;
const VERSION: &str = "anthropic-version: 2023-06-01";

async fn impatient(lines: &str) -> House {
    House::build(Plan { config: format!("timeouts:\n{lines}"), ..Plan::default() }).await
}

/// Far longer than any limit of these tests, far shorter than the limits that hold without them.
const SOON: Duration = Duration::from_secs(15);

async fn ends(connection: &mut Connection) -> bool {
    tokio::time::timeout(SOON, async {
        while !connection.is_closed().await {
            connection.drain();
        }
    })
    .await
    .is_ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_without_a_request_ends_whatever_it_began_with() {
    let house = impatient("  client_head: 300ms\n  keep_alive: 600ms\n").await;
    let settings = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00";
    let rows: [&[u8]; 6] = [b"", b"P", b"PRI ", &settings[..24], settings, b"POST / HTTP/1.1\r\nHost: a\r\n"];
    for row in rows {
        let mut connection = Connection::open(house.address()).await;
        connection.send(row).await;
        assert!(ends(&mut connection).await, "{:?}", String::from_utf8_lossy(row));
    }
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_drips_is_refused_and_an_announcement_takes_no_room() {
    let config = "timeouts:\n  client_body: 500ms\nlimits:\n  body: 32MB\n  buffered: 64MB\n".to_owned();
    let house = House::build(Plan { config, ..Plan::default() }).await;
    let key = house.key("red").await;
    let start = format!("POST /v1/messages HTTP/1.1\r\nHost: a\r\n{VERSION}\r\nx-api-key: {key}\r\n");
    let mut announcing = Vec::new();
    for _ in 0..8 {
        let mut connection = Connection::open(house.address()).await;
        connection.send(format!("{start}Content-Length: {}\r\n\r\n{{", 32 << 20).as_bytes()).await;
        announcing.push(connection);
    }
    let head =
        client::head("POST", "/v1/messages", &[&format!("x-api-key: {key}"), VERSION], Some(BODY.len()));
    let served = client::request(house.address(), &head, BODY.as_bytes()).await.unwrap();
    assert_eq!(served.status, 200, "{}", served.text());

    let mut dripping = Connection::open(house.address()).await;
    dripping.send(format!("{start}Content-Length: 1000\r\n\r\n").as_bytes()).await;
    let begun = Instant::now();
    let answer = loop {
        assert!(begun.elapsed() < SOON, "a drip is not ended");
        let _ = dripping.stream.write_all(b" ").await;
        if let Ok(answer) = tokio::time::timeout(Duration::from_millis(50), dripping.answer()).await {
            break answer;
        }
    };
    assert_eq!(answer.map(|answer| answer.status), Some(408));
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_sends_much_ahead_counts_as_gone() {
    let house = House::open().await;
    let key = house.key("red").await;
    let headers = [&*format!("x-api-key: {key}"), VERSION, "x-simulator: first_byte_ms=60000"];
    let head = client::head("POST", "/v1/messages", &headers, Some(BODY.len()));
    let mut connection = Connection::open(house.address()).await;
    connection.send(format!("{head}{BODY}{}", "x".repeat(200_000)).as_bytes()).await;
    // Whether it leaves or stays: behind so many unread bytes nobody could see it.
    assert!(ends(&mut connection).await);
    assert_eq!(house.wait_for("settled", 1).await.len(), 1);
    house.simulator.record().idle().await;
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_without_length_never_ends_cleanly_when_it_is_cut() {
    let house = impatient("  drain: 300ms\n").await;
    let key = house.key("red").await;
    // The stream breaks off upstream by a plain close: only the protocol inside says that it is not the end.
    let request = |directive: &str| {
        let headers = [&*format!("x-api-key: {key}"), VERSION, &*format!("x-simulator: {directive}")];
        format!("{}{BODY}", client::head("POST", "/v1/messages", &headers, Some(BODY.len())))
    };
    let mut cut = Connection::open(house.address()).await;
    cut.send(request("events=9;close;cut=3").as_bytes()).await;
    cut.head().await.unwrap();
    assert!(cut.is_reset().await, "a cut must be a reset");
    assert_eq!(house.wait_for("settled", 1).await[0]["outcome"], "cut");

    let mut drained = Connection::open(house.address()).await;
    drained.send(request("events=9;close;stall;at=3").as_bytes()).await;
    drained.until(b"message_start").await;
    let House { gateway, simulator, .. } = house;
    assert_eq!(gateway.drain().await.cut, 1);
    assert!(drained.is_reset().await, "a drain past its limit must not look like an end");
    simulator.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_http2_client_that_makes_no_room_is_ended_by_the_clock() {
    let house = impatient("  stream_idle: 500ms\n").await;
    let key = house.key("red").await;
    let tcp = tokio::net::TcpStream::connect(house.address()).await.unwrap();
    let io = hyper_util::rt::TokioIo::new(tcp);
    let executor = hyper_util::rt::TokioExecutor::new();
    let (mut sender, connection) = hyper::client::conn::http2::Builder::new(executor)
        .initial_stream_window_size(1000)
        .handshake(io)
        .await
        .unwrap();
    let driver = tokio::spawn(connection);
    let request = hyper::Request::post("http://gateway/v1/messages")
        .header("x-api-key", key)
        .header("anthropic-version", "2023-06-01")
        .header("x-simulator", "size=1mb;events=100")
        .body(http_body_util::Full::new(bytes::Bytes::from_static(BODY.as_bytes())))
        .unwrap();
    let answer = sender.send_request(request).await.unwrap();
    // The body is never read, so no room is made for it.
    let settled = tokio::time::timeout(SOON, house.wait_for("settled", 1)).await.unwrap();
    assert_eq!(settled[0]["outcome"], "aborted");
    drop(answer);
    driver.abort();
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_announces_two_codings_is_refused() {
    let house = House::open().await;
    let key = format!("x-api-key: {}", house.key("red").await);
    for codings in [
        &["content-encoding: identity", "content-encoding: gzip"][..],
        &["content-encoding: br"],
        &["content-encoding: \u{ff}"],
    ] {
        let mut headers = vec![key.as_str(), VERSION];
        headers.extend(codings);
        let head = client::head("POST", "/v1/messages", &headers, Some(BODY.len()));
        let answer = client::request(house.address(), &head, BODY.as_bytes()).await.unwrap();
        assert_eq!(answer.status, 415, "{codings:?}: {}", answer.text());
    }
    assert_eq!(house.simulator.record().served().requests, 0);
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_admin_api_answers_no_web_page() {
    let house = House::open().await;
    let admin = house.gateway.admin_address();
    let mut rebound = Connection::open(admin).await;
    rebound.send(b"GET /metrics HTTP/1.1\r\nHost: evil.example\r\n\r\n").await;
    assert_eq!(rebound.answer().await.unwrap().status, 403);
    assert_eq!(get(admin, "/metrics", &["Origin: http://evil.example"]).await.status, 403);
    let bad = house.admin("POST", "/admin/v1/keys", None).await;
    assert_eq!((bad.status, bad.error_type().as_str()), (400, "invalid_request_error"), "{}", bad.text());
    house.close().await;
}
