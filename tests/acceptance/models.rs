//! Row A2: the caller's models and no others; count_tokens is free.

use serde_json::json;
use tollgate_acceptance::{Answer, House, Plan, get, post};

const VERSION: &str = "anthropic-version: 2023-06-01";

fn ids(answer: &Answer) -> Vec<String> {
    let list = answer.json();
    list["data"].as_array().unwrap().iter().map(|model| model["id"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bound_key_sees_its_models_alone() {
    let house = House::open().await;
    let all = format!("x-api-key: {}", house.key("red").await);
    let (haiku, _) = house.mint(json!({ "team": "red", "models": ["claude-haiku-*"] })).await;
    let haiku = format!("Authorization: Bearer {haiku}");
    let everything = get(house.address(), "/v1/models?limit=1000", &[&all, VERSION]).await;
    assert_eq!(everything.status, 200);
    assert!(ids(&everything).len() > 3);
    let own =
        get(house.address(), "/v1/models?limit=1000", &[&haiku, VERSION, "accept-encoding: gzip"]).await;
    assert_eq!(own.status, 200, "{}", own.text());
    let expected: Vec<_> =
        ids(&everything).into_iter().filter(|id| id.starts_with("claude-haiku-")).collect();
    assert!(!expected.is_empty());
    assert_eq!(ids(&own), expected);
    assert_eq!(own.json()["has_more"], false);
    assert_eq!(own.json()["first_id"], expected[0]);
    assert_eq!(get(house.address(), "/v1/models/claude-haiku-5-5", &[&haiku, VERSION]).await.status, 200);
    assert_eq!(get(house.address(), "/v1/models/claude-opus-5-5", &[&haiku, VERSION]).await.status, 403);
    assert_eq!(get(house.address(), "/v1/models/claude-opus-5-5", &[&all, VERSION]).await.status, 200);
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_configured_list_needs_no_upstream() {
    let config =
        "models:\n  - id: claude-opus-5-5\n    display_name: Opus\n  - id: claude-haiku-5-5\n".to_owned();
    let house = House::build(Plan { config, ..Plan::default() }).await;
    let (haiku, _) = house.mint(json!({ "team": "red", "models": ["*haiku*"] })).await;
    let all = house.key("red").await;
    let list = get(house.address(), "/v1/models", &[&format!("x-api-key: {all}")]).await;
    assert_eq!(ids(&list), ["claude-opus-5-5", "claude-haiku-5-5"]);
    assert_eq!(list.json()["data"][0]["display_name"], "Opus");
    let list = get(house.address(), "/v1/models", &[&format!("x-api-key: {haiku}")]).await;
    assert_eq!(ids(&list), ["claude-haiku-5-5"]);
    assert_eq!(house.simulator.record().served().requests, 0);
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn counting_tokens_is_free_and_comes_in_bursts() {
    let house = House::open().await;
    let key = format!("x-api-key: {}", house.key("red").await);
    let body = r#"{"model":"claude-opus-5-5","messages":[{"role":"user","content":"hi"}]}"#;
    // Claude Code's /context sends this many at once.
    let address = house.address();
    let counts = (0..27).map(|_| {
        let key = key.clone();
        tokio::spawn(async move {
            post(address, "/v1/messages/count_tokens?beta=true", &[&key, VERSION], body).await
        })
    });
    for count in counts.collect::<Vec<_>>() {
        let answer = count.await.unwrap();
        assert_eq!(answer.status, 200);
        assert!(answer.json()["input_tokens"].as_u64().unwrap() > 0);
    }
    let usage = house.usage("team").await;
    assert_eq!((&usage[0]["requests"], &usage[0]["cost_nano_usd"]), (&27.into(), &0.into()));
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn other_endpoints_are_shut_until_the_owner_opens_them() {
    let house = House::open().await;
    let key = format!("x-api-key: {}", house.key("red").await);
    for path in ["/v1/files", "/v1/messages/batches", "/v1/skills"] {
        let answer = get(house.address(), path, &[&key, VERSION]).await;
        assert_eq!((answer.status, answer.error_type().as_str()), (403, "permission_error"), "{path}");
    }
    assert_eq!(house.simulator.record().served().requests, 0);
    house.close().await;

    let open = House::build(Plan { config: "access:\n  other_v1: allow\n".into(), ..Plan::default() }).await;
    let key = format!("x-api-key: {}", open.key("red").await);
    let answer = get(open.address(), "/v1/skills?x=1", &[&key, VERSION]).await;
    assert_eq!((answer.status, answer.header("x-tollgate-error-source")), (404, Some("upstream")));
    assert_eq!(open.simulator.record().last().unwrap().target, "/v1/skills?x=1");
    open.close().await;
}
