//! Heads and bodies whose framing is in doubt are refused in the envelope, and their connection ends.

use serde_json::Value;
use tollgate_acceptance::{Connection, House, Plan};

#[tokio::test(flavor = "multi_thread")]
async fn smuggling_shapes_are_refused_and_their_connection_ends() {
    let house = House::open().await;
    let key = house.key("red").await;
    let start = format!("POST /v1/messages HTTP/1.1\r\nHost: a\r\nx-api-key: {key}\r\n");
    let rows = [
        (format!("{start}Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello"), 400),
        (format!("{start}Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!"), 400),
        (format!("{start}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), 400),
        (format!("{start}Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"), 400),
        (format!("{start}Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n"), 400),
        (start.replace("\r\n", "\n") + "\n", 400),
        (format!("{start}X: a\n\r\n"), 400),
        (format!("{start}X: a\r\n folded\r\n\r\n"), 400),
        (format!("{start}X : a\r\n\r\n"), 400),
        (format!("{start}X: a\0b\r\n\r\n"), 400),
        (format!("{start}X: a\rb\r\n\r\n"), 400),
        (format!("{start}Host: b\r\n\r\n"), 400),
        ("GET / HTTP/1.1\r\n\r\n".into(), 400),
        ("GET / HTTP/3.0\r\nHost: a\r\n\r\n".into(), 505),
        ("nonsense\r\n\r\n".into(), 400),
        (format!("{start}X: {}\r\n\r\n", "a".repeat(70_000)), 431),
        (format!("{start}{}\r\n", "X: a\r\n".repeat(300)), 431),
        (format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "a".repeat(20_000)), 414),
        (format!("{start}Transfer-Encoding: chunked\r\n\r\nzz\r\n"), 400),
        (format!("{start}Transfer-Encoding: chunked\r\n\r\n5\nhello\r\n0\r\n\r\n"), 400),
    ];
    for (bytes, status) in rows {
        let shown = &bytes[..bytes.len().min(160)];
        let mut connection = Connection::open(house.address()).await;
        connection.send(bytes.as_bytes()).await;
        // A request hidden behind the first must not be answered.
        connection.send(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n").await;
        let answer = connection.answer().await.unwrap_or_else(|| panic!("no answer to {shown:?}"));
        assert_eq!(answer.status, status, "{shown:?}: {}", answer.text());
        let envelope: Value = answer.json();
        assert_eq!(envelope["type"], "error");
        assert!(envelope["request_id"].as_str().unwrap().starts_with("req_"));
        assert_eq!(answer.header("connection"), Some("close"), "{shown:?}");
        assert!(connection.is_closed().await, "{shown:?}");
    }
    assert_eq!(house.simulator.record().served().requests, 0);
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sizes_are_bounded() {
    let house = House::build(Plan { config: "limits:\n  body: 64KB\n".into(), ..Plan::default() }).await;
    let key = house.key("red").await;
    let body = |bytes: usize| {
        let frame = r#"{"model":"claude-opus-5-5","max_tokens":1,"messages":[{"role":"user","content":""}]}"#;
        frame.replace("\"content\":\"\"", &format!("\"content\":\"{}\"", "a".repeat(bytes - frame.len())))
    };
    let start = format!(
        "POST /v1/messages HTTP/1.1\r\nHost: a\r\nanthropic-version: 2023-06-01\r\nx-api-key: {key}\r\n"
    );
    let chunked =
        |body: &str| format!("Transfer-Encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n0\r\n\r\n", body.len());
    let fixed = |body: &str| format!("Content-Length: {}\r\n\r\n{body}", body.len());
    let (fits, exceeds) = (body(64 * 1024), body(64 * 1024 + 1));
    for (rest, status) in
        [(fixed(&fits), 200), (chunked(&fits), 200), (fixed(&exceeds), 413), (chunked(&exceeds), 413)]
    {
        let mut connection = Connection::open(house.address()).await;
        connection.send(format!("{start}{rest}").as_bytes()).await;
        let answer = connection.answer().await.unwrap();
        assert_eq!(answer.status, status, "{}", answer.text());
        if status == 413 {
            assert_eq!(answer.error_type(), "request_too_large");
        }
    }
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_waits_is_told_to_go_on_or_refused_before_it_sends() {
    let house = House::open().await;
    let key = house.key("red").await;
    let body = r#"{"model":"claude-opus-5-5","max_tokens":1,"messages":[{"role":"user","content":"hi"}]}"#;
    let head = |key: &str| {
        format!(
            "POST /v1/messages HTTP/1.1\r\nHost: a\r\nanthropic-version: 2023-06-01\r\nx-api-key: {key}\r\n\
             Expect: 100-continue\r\nContent-Length: {}\r\n\r\n",
            body.len()
        )
    };
    let mut connection = Connection::open(house.address()).await;
    connection.send(head(&key).as_bytes()).await;
    connection.until(b"HTTP/1.1 100 Continue\r\n\r\n").await;
    connection.send(body.as_bytes()).await;
    assert_eq!(connection.answer().await.unwrap().status, 200);

    let mut refused = Connection::open(house.address()).await;
    refused.send(head("tg_nobody").as_bytes()).await;
    assert_eq!(refused.answer().await.unwrap().status, 401);
    assert!(refused.is_closed().await, "its body was never asked for");
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_carries_many_requests_even_after_refusals() {
    let house = House::open().await;
    let key = house.key("red").await;
    let body = r#"{"model":"claude-opus-5-5","max_tokens":1,"messages":[{"role":"user","content":"hi"}]}"#;
    let request = |key: &str| {
        format!(
            "POST /v1/messages HTTP/1.1\r\nHost: a\r\nanthropic-version: 2023-06-01\r\nx-api-key: {key}\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        )
    };
    let mut connection = Connection::open(house.address()).await;
    for round in 0..20 {
        connection.send(request(if round % 3 == 0 { "tg_nobody" } else { &key }).as_bytes()).await;
        let answer = connection.answer().await.unwrap_or_else(|| panic!("no answer in round {round}"));
        assert_eq!(answer.status, if round % 3 == 0 { 401 } else { 200 });
    }
    // Sent all at once, they are answered in turn.
    connection.send(request(&key).repeat(5).as_bytes()).await;
    for _ in 0..5 {
        assert_eq!(connection.answer().await.unwrap().status, 200);
    }
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_upstreams_trailers_and_its_claims_to_be_us_stay_here() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let upstream = tokio::spawn(async move {
        let answers =
            ["5\r\nhello\r\n0\r\nSet-Cookie: a=b\r\nX-Trailer: c\r\n\r\n", "5;x=y\r\nhello\r\n0\r\n\r\n"];
        // One connection carries both: after the trailers it must still be in step.
        let (mut tcp, _) = listener.accept().await.unwrap();
        for chunks in answers {
            let mut request = vec![0; 64 * 1024];
            assert!(tcp.read(&mut request).await.unwrap() > 0);
            let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX-Tollgate-Request-Id: req_forged\r\n\
                        X-Tollgate-Error-Source: gateway\r\nSet-Cookie: a=b\r\nX-Kept: d\r\n\r\n";
            for byte in format!("{head}{chunks}").bytes() {
                tcp.write_all(&[byte]).await.unwrap();
                tcp.flush().await.unwrap();
                tokio::task::yield_now().await;
            }
        }
    });
    let house = House::build(Plan { upstream_url: Some(url), ..Plan::default() }).await;
    let key = house.key("red").await;
    let mut connection = Connection::open(house.address()).await;
    for _ in 0..2 {
        let body =
            r#"{"model":"claude-opus-5-5","max_tokens":1,"messages":[{"role":"user","content":"hi"}]}"#;
        let head = format!(
            "POST /v1/messages HTTP/1.1\r\nHost: a\r\nx-api-key: {key}\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        connection.send(head.as_bytes()).await;
        let raw = String::from_utf8(connection.until(b"0\r\n\r\n").await).unwrap().to_lowercase();
        assert!(raw.contains("hello") && raw.contains("x-kept: d"), "{raw}");
        for hidden in ["set-cookie", "x-trailer", "req_forged", "x-tollgate-error-source"] {
            assert!(!raw.contains(hidden), "{hidden}: {raw}");
        }
    }
    upstream.await.unwrap();
    house.close().await;
}
