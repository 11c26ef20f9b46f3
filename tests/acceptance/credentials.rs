//! Row A6: either header, both headers, never forwarded.

use serde_json::json;
use tollgate_acceptance::{Connection, House, Plan, get, post};

const BODY: &str =
    r#"{"model":"claude-opus-5-5","max_tokens":16,"messages":[{"role":"user","content":"hi"}]}"#;
const VERSION: &str = "anthropic-version: 2023-06-01";

#[tokio::test(flavor = "multi_thread")]
async fn either_header_or_both_identify_and_neither_goes_upstream() {
    let house = House::open().await;
    let key = house.key("red").await;
    let bearer = format!("Authorization: Bearer {key}");
    let lower = format!("authorization: bearer {key}");
    let api_key = format!("x-api-key: {key}");
    let stranger = "X-Api-Key: sk-ant-api03-canary-somebodys-own-key".to_owned();
    let rows: [&[&String]; 6] = [
        &[&bearer],
        &[&lower],
        &[&api_key],
        &[&bearer, &api_key],
        &[&bearer, &stranger],
        &[&stranger, &bearer],
    ];
    for row in rows {
        let mut headers: Vec<&str> = row.iter().map(|header| header.as_str()).collect();
        headers.push(VERSION);
        let answer = post(house.address(), "/v1/messages?beta=true", &headers, BODY).await;
        assert_eq!(answer.status, 200, "{row:?}: {}", answer.text());
        let seen = house.simulator.record().last().unwrap();
        let sent: Vec<_> = seen.headers.iter().map(|(name, value)| format!("{name}: {value}")).collect();
        let sent = sent.join("\n").to_lowercase();
        assert!(!sent.contains(&key.to_lowercase()), "{sent}");
        assert!(!sent.contains("somebodys-own-key"), "{sent}");
        let credentials = seen.headers.iter().filter(|(name, _)| {
            name.eq_ignore_ascii_case("x-api-key") || name.eq_ignore_ascii_case("authorization")
        });
        assert_eq!(credentials.count(), 1, "{sent}");
        assert!(!answer.text().contains("canary") && !format!("{:?}", answer.headers).contains("canary"));
    }
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_route_refuses_every_bad_credential_at_once() {
    let house = House::open().await;
    let (revoked, id) = house.mint(json!({ "team": "red" })).await;
    assert_eq!(house.admin("POST", &format!("/admin/v1/keys/{id}/revoke"), None).await.status, 200);
    let forged = format!("{}0", &revoked[..revoked.len() - 1]);
    let before = house.simulator.record().served().requests;
    let credentials = [
        None,
        Some("x-api-key: ".to_owned()),
        Some("x-api-key: sk-ant-api03-whatever".to_owned()),
        Some("Authorization: Basic dXNlcjpwYXNz".to_owned()),
        Some("Authorization: Bearer".to_owned()),
        Some(format!("x-api-key: {forged}")),
        Some(format!("x-api-key: {revoked}")),
        Some(format!("Authorization: Bearer {revoked}")),
        Some(format!("x-api-key: {}", "a".repeat(20_000))),
    ];
    for credential in &credentials {
        let mut headers = vec![VERSION];
        headers.extend(credential.as_deref());
        let answers = [
            post(house.address(), "/v1/messages?beta=true", &headers, BODY).await,
            post(house.address(), "/v1/messages/count_tokens", &headers, BODY).await,
            get(house.address(), "/v1/models?limit=1000", &headers).await,
            get(house.address(), "/v1/models/claude-opus-5-5", &headers).await,
            get(house.address(), "/v1/files", &headers).await,
            post(house.address(), "/v1/messages/batches", &headers, "{}").await,
            get(house.address(), "/v1/organizations/me", &headers).await,
        ];
        for answer in answers {
            assert_eq!(answer.status, 401, "{credential:?}: {}", answer.text());
            assert_eq!(answer.error_type(), "authentication_error");
            // Without this Claude Code would try for three minutes.
            assert_eq!(answer.header("x-should-retry"), Some("false"));
            assert_eq!(answer.header("x-tollgate-error-source"), Some("gateway"));
            assert_eq!(answer.json()["request_id"].as_str(), answer.header("request-id"));
        }
    }
    assert_eq!(house.simulator.record().served().requests, before, "nothing may reach the upstream");
    let denied = house.wait_for("denied", 1).await;
    assert!(denied.iter().all(|entry| !entry.to_string().contains(&revoked)), "no credential is recorded");
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_upstreams_refusal_of_our_credential_is_not_the_clients_401() {
    let house = House::open().await;
    let key = format!("x-api-key: {}", house.key("red").await);
    let answer =
        post(house.address(), "/v1/messages", &[&key, VERSION, "x-simulator: status=401"], BODY).await;
    assert_eq!(answer.status, 502, "{}", answer.text());
    assert_eq!(answer.error_type(), "api_error");
    assert_eq!(answer.header("x-should-retry"), Some("false"));
    assert!(answer.text().contains("credential"), "{}", answer.text());
    let settled = house.wait_for("settled", 1).await;
    assert_eq!(settled[0]["outcome"], "upstream_error");
    assert_eq!(settled[0]["cost_nano_usd"], 0);
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_is_in_the_data_folder_or_the_metrics() {
    let folder = tempfile::tempdir().unwrap();
    let house = House::build(Plan { data: Some(folder.path().join("data")), ..Plan::default() }).await;
    let key = house.key("red").await;
    let headers = [format!("x-api-key: {key}"), VERSION.to_owned()];
    let headers: Vec<&str> = headers.iter().map(String::as_str).collect();
    assert_eq!(post(house.address(), "/v1/messages", &headers, BODY).await.status, 200);
    post(house.address(), "/v1/messages", &["x-api-key: canary-presented", VERSION], BODY).await;
    let metrics = house.admin("GET", "/metrics", None).await.text();
    let data = house.data.clone();
    let mut connection = Connection::open(house.address()).await;
    connection.send(format!("GET /{key} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes()).await;
    let reflected = connection.answer().await.unwrap().text();
    house.close().await;
    assert!(!reflected.contains(&key));
    let mut pile = vec![("metrics".to_owned(), metrics.into_bytes())];
    let mut folders = vec![data];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                pile.push((path.display().to_string(), std::fs::read(&path).unwrap()));
            }
        }
    }
    for (name, bytes) in pile {
        let text = String::from_utf8_lossy(&bytes);
        for canary in [UPSTREAM, "canary-presented"] {
            assert!(!text.contains(canary), "{name} holds {canary}");
        }
        // The path of one denied request holds the key as its sender wrote it there; nothing else may.
        let leaked = text.lines().filter(|line| line.contains(&key) && !line.contains("\"path\":\"/tg_"));
        assert_eq!(leaked.count(), 0, "{name} holds a virtual key");
    }
}

const UPSTREAM: &str = tollgate_acceptance::house::UPSTREAM_KEY;
