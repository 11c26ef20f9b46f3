//! Row A3: the upstream's errors pass as they are; ours are envelopes that say whose they are.

use tollgate_acceptance::{House, Plan, post};

const BODY: &str =
    r#"{"model":"claude-opus-5-5","max_tokens":16,"messages":[{"role":"user","content":"hi"}]}"#;
const VERSION: &str = "anthropic-version: 2023-06-01";

#[tokio::test(flavor = "multi_thread")]
async fn the_upstreams_errors_pass_verbatim() {
    let house = House::open().await;
    let key = format!("x-api-key: {}", house.key("red").await);
    let rows = [
        (400, "invalid_request_error"),
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
        let directive =
            format!("x-simulator: status={status};retry_after=7;should_retry=false;message=as it is");
        let answer = post(house.address(), "/v1/messages", &[&key, VERSION, &directive], BODY).await;
        assert_eq!(answer.status, status, "{}", answer.text());
        assert_eq!(answer.error_type(), kind);
        assert_eq!(answer.json()["error"]["message"], "as it is");
        assert_eq!(answer.header("retry-after"), Some("7"));
        assert_eq!(answer.header("x-should-retry"), Some("false"));
        assert_eq!(answer.header("x-tollgate-error-source"), Some("upstream"));
        assert_eq!(answer.json()["request_id"].as_str(), answer.header("request-id"));
        assert!(answer.header("x-tollgate-request-id").is_some());
    }
    let usage = house.usage("team").await;
    assert_eq!(usage[0]["requests"], rows.len() as u64);
    assert_eq!(usage[0]["errors"], rows.len() as u64);
    assert_eq!(usage[0]["cost_nano_usd"], 0);
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_of_things_in_between_pass_verbatim_too() {
    let house = House::open().await;
    let key = format!("x-api-key: {}", house.key("red").await);
    for (directive, status) in [("html413", 413), ("html502", 502), ("html200", 200), ("empty200", 200)] {
        let directive = format!("x-simulator: {directive}");
        let answer = post(house.address(), "/v1/messages", &[&key, VERSION, &directive], BODY).await;
        assert_eq!(answer.status, status, "{directive}");
        let seen = house.simulator.record().last().unwrap();
        assert_eq!(answer.body.len() as u64, seen.answer.body_bytes, "{directive}");
    }
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_version_is_the_upstreams_error() {
    let house = House::open().await;
    let key = format!("x-api-key: {}", house.key("red").await);
    let answer = post(house.address(), "/v1/messages", &[&key], BODY).await;
    assert_eq!((answer.status, answer.header("x-tollgate-error-source")), (400, Some("upstream")));
    let seen = house.simulator.record().last().unwrap();
    assert_eq!(seen.header("anthropic-version"), None, "it is never invented");
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_bodies_are_refused_here_and_recorded() {
    let house = House::open().await;
    let key = format!("x-api-key: {}", house.key("red").await);
    let rows: [&[u8]; 14] = [
        b"",
        b"{",
        b"[]",
        b"null",
        b"{\"max_tokens\":1,\"messages\":[]}",
        b"{\"model\":1,\"max_tokens\":1,\"messages\":[]}",
        b"{\"model\":\"\",\"max_tokens\":1,\"messages\":[]}",
        b"{\"model\":\"a\",\"max_tokens\":\"1\",\"messages\":[]}",
        b"{\"model\":\"a\",\"max_tokens\":-1,\"messages\":[]}",
        b"{\"model\":\"a\",\"stream\":\"yes\",\"messages\":[]}",
        b"{\"model\":\"a\",\"model\":\"b\",\"max_tokens\":1,\"messages\":[]}",
        b"{\"model\":\"a\",\"mod\\u0065l\":\"b\",\"max_tokens\":1,\"messages\":[]}",
        b"{\"model\":\"a\xff\",\"max_tokens\":1,\"messages\":[]}",
        b"{\"model\":\"a\",\"max_tokens\":1,\"messages\":[]} x",
    ];
    for row in rows {
        let answer = post(house.address(), "/v1/messages", &[&key, VERSION], row).await;
        assert_eq!(answer.status, 400, "{}", String::from_utf8_lossy(row));
        assert_eq!(answer.error_type(), "invalid_request_error");
        assert_eq!(answer.header("x-tollgate-error-source"), Some("gateway"));
    }
    let denied = house.wait_for("denied", rows.len()).await;
    assert!(denied.iter().all(|entry| entry["code"] == "malformed_body" && entry["team"].is_null()));
    assert!(denied.iter().all(|entry| entry["scope"]["team"] == "red"));
    assert_eq!(house.simulator.record().served().requests, 0);
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_paths_say_what_to_do() {
    let house = House::open().await;
    let key = format!("x-api-key: {}", house.key("red").await);
    for (path, hint) in [
        ("/v1/v1/messages", "ANTHROPIC_BASE_URL"),
        ("/nowhere", "/v1/messages"),
        ("/v1/../etc", "/v1/messages"),
    ] {
        let answer = post(house.address(), path, &[&key, VERSION], BODY).await;
        assert_eq!((answer.status, answer.error_type().as_str()), (404, "not_found_error"), "{path}");
        assert!(answer.text().contains(hint), "{path}: {}", answer.text());
    }
    assert_eq!(house.simulator.record().served().requests, 0);
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_that_is_not_there_is_a_502_and_costs_nothing() {
    let unused = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let plan = Plan { upstream_url: Some(format!("http://{unused}")), ..Plan::default() };
    let house = House::build(plan).await;
    let key = format!("x-api-key: {}", house.key("red").await);
    let answer = post(house.address(), "/v1/messages", &[&key, VERSION], BODY).await;
    assert_eq!((answer.status, answer.error_type().as_str()), (502, "api_error"));
    let settled = house.wait_for("settled", 1).await;
    assert_eq!((&settled[0]["outcome"], &settled[0]["cost_nano_usd"]), (&"failed".into(), &0.into()));
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_that_breaks_is_a_502_and_is_not_asked_twice() {
    let house = House::open().await;
    let key = format!("x-api-key: {}", house.key("red").await);
    for (number, directive) in ["cut=head", "reset=head", "bad_head"].into_iter().enumerate() {
        let directive = format!("x-simulator: {directive}");
        let answer = post(house.address(), "/v1/messages", &[&key, VERSION, &directive], BODY).await;
        assert_eq!(answer.status, 502, "{directive}: {}", answer.text());
        let seen = house.simulator.record().ended(number as u64 + 1).await;
        assert_eq!(seen.len(), number + 1, "{directive}");
    }
    let settled = house.wait_for("settled", 3).await;
    // The upstream may have read the input, so it is booked by the floor rule.
    assert!(
        settled.iter().all(|entry| entry["outcome"] == "failed" && entry["estimated"] == true),
        "{settled:#?}"
    );
    house.close().await;
}
