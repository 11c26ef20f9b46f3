//! Row A1: bytes pass unchanged, both ways.

use aws_lc_rs::digest::{SHA256, digest};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use tollgate_acceptance::{Connection, House, post};

const VERSION: &str = "anthropic-version: 2026-10-21";

fn sha256(bytes: &[u8]) -> String {
    digest(&SHA256, bytes).as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Bodies that a gateway which decodes and encodes again would change.
fn odd_bodies() -> Vec<Vec<u8>> {
    let plain = r#"{"model":"claude-opus-5-5","max_tokens":16,"messages":[{"role":"user","content":"hi"}]}"#;
    let mut bodies: Vec<Vec<u8>> = [
        plain.to_owned(),
        plain.replace(':', " :\t ").replace(',', " ,\r\n "),
        format!("  \n{plain}\n\n "),
        r#"{"messages":[{"content":"\u0068\u0069 \ud83d\ude00 \/ é","role":"user"}],"max_tokens":16,"model":"claude-opus-5-5"}"#.to_owned(),
        r#"{"m\u006fdel":"claude\u002dopus-5-5","max_tokens":16,"messages":[{"role":"user","content":"hi"}]}"#.to_owned(),
        r#"{"model":"claude-opus-5-5","max_tokens":16,"messages":[{"role":"user","content":"hi"}],"future_field":{"z":1e400,"a":-0.0,"n":123456789012345678901234567890},"":null}"#.to_owned(),
        r#"{"model":"claude-opus-5-5","max_tokens":16,"messages":[{"role":"system","content":"mid"},{"role":"user","content":[{"type":"text","text":"hi","cache_control":{"type":"ephemeral","ttl":"1h"}}]}]}"#.to_owned(),
    ]
    .into_iter()
    .map(String::into_bytes)
    .collect();
    // The last is exactly as large as the API takes.
    for bytes in [1_000, 16_384, 16_385, 200_000, 1 << 20, 32 << 20] {
        let filler = "x".repeat(bytes - plain.len());
        bodies.push(plain.replace("\"hi\"", &format!("\"hi{filler}\"")).into_bytes());
    }
    bodies
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_reach_the_upstream_as_they_were_sent() {
    let house = House::open().await;
    let key = format!("x-api-key: {}", house.key("red").await);
    for body in odd_bodies() {
        let answer = post(house.address(), "/v1/messages?beta=true&x=%20y", &[&key, VERSION], &body).await;
        assert_eq!(answer.status, 200, "{} bytes: {}", body.len(), answer.text());
        let seen = house.simulator.record().last().unwrap();
        assert_eq!(seen.target, "/v1/messages?beta=true&x=%20y");
        assert_eq!(seen.body_bytes, body.len() as u64);
        assert_eq!(seen.body_sha256, Some(sha256(&body)));
    }
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_reach_the_client_as_they_were_sent() {
    let house = House::open().await;
    let key = format!("x-api-key: {}", house.key("red").await);
    let base = "size=20kb;events=40;thinking;tool=Bash:{\"command\":\"echo \\u00e9\"}";
    let mut directives: Vec<String> =
        ["", ";chunk=1", ";chunk=2", ";chunk=7", ";chunk=1000", ";close", ";gzip", ";interim", ";lower_case"]
            .iter()
            .map(|more| format!("{base}{more}"))
            .collect();
    directives.push("size=4mb;events=200".into());
    directives.push("text=;events=1".into());
    for directive in directives {
        for stream in [true, false] {
            let body = format!(
                r#"{{"model":"claude-opus-5-5","max_tokens":16,"stream":{stream},"messages":[{{"role":"user","content":"hi"}}]}}"#
            );
            let header = format!("x-simulator: {directive}");
            let headers = [key.as_str(), VERSION, &header, "accept-encoding: gzip, br"];
            let answer = post(house.address(), "/v1/messages", &headers, &body).await;
            assert_eq!((answer.status, answer.whole), (200, true), "{directive} stream={stream}");
            let seen = house.simulator.record().ended(1).await.pop().unwrap();
            assert_eq!(Some(sha256(&answer.body)), seen.answer.body_sha256, "{directive} stream={stream}");
            house.simulator.record().clear();
        }
    }
    house.close().await;
}

/// The headers that the table lets through, as the client sends them, must be the headers that arrive: same names
/// in the same case, same values, same order.
#[tokio::test(flavor = "multi_thread")]
async fn headers_pass_in_their_order_and_spelling() {
    let house = House::open().await;
    let key = house.key("red").await;
    let names = [
        "Accept",
        "User-Agent",
        "X-Stainless-Lang",
        "anthropic-beta",
        "Anthropic-Future",
        "x-claude-code-session-id",
        "TraceParent",
        "x-app",
        "X-Custom_Thing",
    ];
    let values = "[!-~]([ -~\u{e9}\t]{0,30}[!-~])?";
    let strategy = prop::collection::vec((prop::sample::select(names.to_vec()), values), 0..12);
    let mut runner = TestRunner::new(Config { cases: 40, failure_persistence: None, ..Config::default() });
    let runtime = tokio::runtime::Handle::current();
    tokio::task::spawn_blocking(move || {
        runner
            .run(&strategy, |fields| {
                let sent: Vec<(String, String)> =
                    fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
                let arrived = runtime.block_on(exchange(&house, &key, &sent));
                prop_assert_eq!(arrived, sent);
                Ok(())
            })
            .unwrap();
        runtime.block_on(house.close());
    })
    .await
    .unwrap();
}

async fn exchange(house: &House, key: &str, fields: &[(String, String)]) -> Vec<(String, String)> {
    let body = r#"{"model":"claude-opus-5-5","max_tokens":16,"messages":[{"role":"user","content":"hi"}]}"#;
    let mut head = String::from("POST /v1/messages HTTP/1.1\r\nHost: gateway\r\n");
    for (name, value) in fields {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str(&format!(
        "anthropic-version: 2023-06-01\r\nCookie: a=b\r\nOrigin: http://evil\r\nConnection: keep-alive, X-Hop\r\nX-Hop: 1\r\n\
         Keep-Alive: timeout=5\r\nTE: trailers\r\nX-Forwarded-For: 10.0.0.1\r\nAuthorization: Bearer {key}\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    ));
    let mut connection = Connection::open(house.address()).await;
    connection.send(head.as_bytes()).await;
    let answer = connection.answer().await.unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text());
    let seen = house.simulator.record().last().unwrap();
    for dropped in
        ["cookie", "origin", "x-hop", "keep-alive", "te", "connection", "x-forwarded-for", "authorization"]
    {
        assert_eq!(seen.header(dropped), None, "{dropped} must not go upstream");
    }
    let own = ["host", "x-api-key", "content-length", "accept-encoding", "anthropic-version"];
    seen.headers.iter().filter(|(name, _)| !own.contains(&name.as_str())).cloned().collect()
}

/// However the network cuts a request, it is the same request.
#[tokio::test(flavor = "multi_thread")]
async fn every_split_of_a_request_is_read_alike() {
    let house = House::open().await;
    let key = house.key("red").await;
    let body =
        r#"{"model":"claude-opus-5-5","max_tokens":1,"messages":[{"role":"user","content":"\u00e9 é"}]}"#;
    let start = format!("POST /v1/messages HTTP/1.1\r\nHost: a\r\n{VERSION}\r\nx-api-key: {key}\r\n");
    let fixed = format!("{start}Content-Length: {}\r\n\r\n{body}", body.len());
    let mut chunked = format!("{start}Transfer-Encoding: chunked\r\n\r\n").into_bytes();
    for (number, chunk) in body.as_bytes().chunks(7).enumerate() {
        let extension = if number % 2 == 0 { ";x=\"y\"" } else { "" };
        chunked.extend_from_slice(format!("{:X}{extension}\r\n", chunk.len()).as_bytes());
        chunked.extend_from_slice(chunk);
        chunked.extend_from_slice(b"\r\n");
    }
    chunked.extend_from_slice(b"0\r\nTrailer-Field: dropped\r\n\r\n");
    for request in [fixed.into_bytes(), chunked] {
        // One connection carries them all, so a byte too many or too few would show in the next.
        let mut connection = Connection::open(house.address()).await;
        for cut in (1..request.len()).step_by(3) {
            connection.send(&request[..cut]).await;
            tokio::task::yield_now().await;
            connection.send(&request[cut..]).await;
            let answer = connection.answer().await.unwrap_or_else(|| panic!("no answer, cut at {cut}"));
            assert_eq!(answer.status, 200, "cut at {cut}: {}", answer.text());
        }
        let seen = house.simulator.record().last().unwrap();
        assert_eq!(seen.body_sha256, Some(sha256(body.as_bytes())));
        assert_eq!(seen.header("transfer-encoding"), None);
    }
    let seen = house.simulator.record().requests();
    assert!(seen.iter().all(|seen| seen.body_sha256 == Some(sha256(body.as_bytes()))));
    house.close().await;
}
