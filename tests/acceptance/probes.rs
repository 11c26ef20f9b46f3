//! Liveness, readiness, the clients' warm-up, metrics, and the admin API's own lock.

use serde_json::json;
use tollgate_acceptance::{House, client, get, post};

#[tokio::test(flavor = "multi_thread")]
async fn probes_need_no_credential_and_reach_no_upstream() {
    let house = House::open().await;
    for (method, path, status) in [
        ("GET", "/healthz", 200),
        ("GET", "/readyz", 200),
        ("HEAD", "/api/hello", 200),
        ("HEAD", "/", 200),
        ("GET", "/api/hello", 200),
    ] {
        let head = client::head(method, path, &[], None).replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n");
        let mut connection = tollgate_acceptance::Connection::open(house.address()).await;
        connection.send(head.as_bytes()).await;
        assert_eq!(connection.head().await.unwrap().0, status, "{method} {path}");
    }
    assert_eq!(house.simulator.record().served().requests, 0);
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_admin_api_opens_to_this_instances_token_alone() {
    let house = House::open().await;
    let admin = house.gateway.admin_address();
    let bearer = format!("Authorization: Bearer {}", "0".repeat(64));
    let rows: [&[&str]; 4] = [&[], &[&bearer], &["Authorization: Basic eDp5"], &["Authorization: Bearer "]];
    for headers in rows {
        for path in ["/admin/v1/keys", "/admin/v1/usage", "/admin/v1/state"] {
            assert_eq!(get(admin, path, headers).await.status, 401, "{path} {headers:?}");
        }
        let body = json!({ "team": "red" }).to_string();
        assert_eq!(post(admin, "/admin/v1/keys", headers, &body).await.status, 401);
        assert_eq!(post(admin, "/admin/v1/keys/key_x/revoke", headers, "").await.status, 401);
    }
    assert!(house.entries("key_created").is_empty());
    assert_eq!(get(admin, "/metrics", &[]).await.status, 200);
    // The client's listener has no admin API.
    let key = format!("x-api-key: {}", house.key("red").await);
    assert_eq!(get(house.address(), "/admin/v1/keys", &[&key]).await.status, 404);
    house.close().await;
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn only_the_owner_may_read_the_instance_file() {
    use std::os::unix::fs::PermissionsExt;
    let house = House::open().await;
    let mode = std::fs::metadata(house.data.join("instance.json")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let data = house.data.clone();
    house.gateway.drain().await;
    assert!(!data.join("instance.json").exists(), "it goes with the instance");
    house.simulator.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_tell_requests_tokens_cost_and_the_journal() {
    let house = House::open().await;
    let key = format!("x-api-key: {}", house.key("red").await);
    let body = r#"{"model":"claude-opus-5-5","max_tokens":16,"messages":[{"role":"user","content":"hi"}]}"#;
    let usage = "x-simulator: usage=in:100,out:50";
    for _ in 0..3 {
        post(house.address(), "/v1/messages", &[&key, "anthropic-version: 2023-06-01", usage], body).await;
    }
    post(house.address(), "/v1/messages", &[], body).await;
    let text = house.admin("GET", "/metrics", None).await.text();
    for line in [
        r#"tollgate_requests_total{endpoint="messages",outcome="complete",status="2xx"} 3"#,
        r#"tollgate_tokens_total{model="claude-opus-5-5",class="input"} 300"#,
        r#"tollgate_tokens_total{model="claude-opus-5-5",class="output"} 150"#,
        // 100 x $4 + 50 x $20 a million, three times
        r#"tollgate_cost_nano_usd_total{model="claude-opus-5-5"} 4200000"#,
        r#"tollgate_refused_total{code="no_credential"} 1"#,
        r#"tollgate_request_duration_seconds_count{endpoint="messages"} 3"#,
        r#"tollgate_upstream_duration_seconds_count{endpoint="messages"} 3"#,
        "tollgate_open_requests 0",
        "tollgate_journal_writable 1",
        "tollgate_journal_open 0",
        "# EOF",
    ] {
        assert!(text.lines().any(|found| found == line), "{line} is not in:\n{text}");
    }
    house.close().await;
}
