//! Row B1: virtual keys are shown once, bound to models, rotated with grace, revoked at once, and outlive a restart.

use serde_json::json;
use tollgate_acceptance::{House, Plan, post};

use crate::roles::{call, operator};

const BODY: &str =
    r#"{"model":"claude-opus-5-5","max_tokens":16,"messages":[{"role":"user","content":"hi"}]}"#;
const VERSION: &str = "anthropic-version: 2023-06-01";

async fn status(house: &House, key: &str) -> u16 {
    post(house.address(), "/v1/messages", &[&format!("x-api-key: {key}"), VERSION], BODY).await.status
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_lives_from_creation_to_revocation() {
    let house = House::open().await;
    let (key, id) =
        house.mint(json!({ "team": "red", "user": "ann", "project": "web", "note": "laptop" })).await;
    assert!(key.starts_with("tg_"));
    assert_eq!(status(&house, &key).await, 200);
    let listed = house.admin("GET", "/admin/v1/keys", None).await;
    assert!(!listed.text().contains(&key), "it is shown once");
    assert_eq!(listed.json()["data"][0]["state"], "active");
    assert_eq!(listed.json()["data"][0]["project"], "web");

    let rotated = house
        .admin("POST", &format!("/admin/v1/keys/{id}/rotate"), Some(json!({ "grace_seconds": 3600 })))
        .await;
    assert_eq!(rotated.status, 201, "{}", rotated.text());
    let next = rotated.json()["secret"].as_str().unwrap().to_owned();
    assert_eq!(
        (status(&house, &key).await, status(&house, &next).await),
        (200, 200),
        "both serve in the grace"
    );

    let revoked = house.admin("POST", &format!("/admin/v1/keys/{id}/revoke"), None).await;
    assert_eq!(revoked.json()["state"], "revoked");
    assert_eq!((status(&house, &key).await, status(&house, &next).await), (401, 200));
    for kind in ["key_created", "key_rotated", "key_revoked"] {
        assert_eq!(house.entries(kind).len(), 1, "{kind} is recorded");
    }
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotation_without_grace_ends_the_old_key_at_once() {
    let house = House::open().await;
    let (key, id) = house.mint(json!({ "team": "red" })).await;
    let rotated = house
        .admin("POST", &format!("/admin/v1/keys/{id}/rotate"), Some(json!({ "grace_seconds": 0 })))
        .await;
    assert_eq!(rotated.status, 201);
    assert_eq!(status(&house, &key).await, 401);
    let again = house
        .admin("POST", &format!("/admin/v1/keys/{id}/rotate"), Some(json!({ "grace_seconds": 0 })))
        .await;
    assert_eq!(again.status, 409, "{}", again.text());
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_expires() {
    let house = House::open().await;
    let (key, _) = house.mint(json!({ "team": "red", "expires_in_seconds": 1 })).await;
    assert_eq!(status(&house, &key).await, 200);
    let mut last = 200;
    for _ in 0..300 {
        last = status(&house, &key).await;
        if last == 401 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    assert_eq!(last, 401);
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_bound_to_its_models() {
    let house = House::open().await;
    let (key, _) = house.mint(json!({ "team": "red", "models": ["claude-haiku-*"] })).await;
    let key = format!("x-api-key: {key}");
    let haiku = BODY.replace("opus", "haiku");
    let with_fallback =
        haiku.replace("\"max_tokens\"", "\"fallbacks\":[{\"model\":\"claude-opus-5-5\"}],\"max_tokens\"");
    let rows = [(haiku.as_str(), 200), (BODY, 403), (with_fallback.as_str(), 403)];
    for (body, expected) in rows {
        for path in ["/v1/messages", "/v1/messages/count_tokens"] {
            let answer = post(house.address(), path, &[&key, VERSION], body).await;
            assert_eq!(answer.status, expected, "{path} {body}: {}", answer.text());
            if expected == 403 {
                assert_eq!(answer.error_type(), "permission_error");
                assert!(answer.text().contains("claude-opus-5-5"), "{}", answer.text());
            }
        }
    }
    let denied = house.wait_for("denied", 4).await;
    assert!(
        denied
            .iter()
            .all(|entry| entry["code"] == "model_not_allowed" && entry["model"] == "claude-opus-5-5")
    );
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_outlive_a_restart_and_so_does_their_end() {
    let folder = tempfile::tempdir().unwrap();
    let plan = Plan { data: Some(folder.path().join("data")), ..Plan::default() };
    let first = House::build(plan.clone()).await;
    let (kept, _) = first.mint(json!({ "team": "red" })).await;
    let (gone, id) = first.mint(json!({ "team": "red" })).await;
    first.admin("POST", &format!("/admin/v1/keys/{id}/revoke"), None).await;
    first.close().await;
    let second = House::build(plan).await;
    assert_eq!((status(&second, &kept).await, status(&second, &gone).await), (200, 401));
    second.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn wishes_that_make_no_sense_are_refused_by_name() {
    let house = House::open().await;
    let rows = [
        (json!({}), "team"),
        (json!({ "team": "" }), "team"),
        (json!({ "team": "a b" }), "team"),
        (json!({ "team": "red", "user": "\u{0}" }), "user"),
        (json!({ "team": "red", "models": ["a*b*c"] }), "models"),
        (json!({ "team": "red", "expires_in_seconds": 0 }), "expires_in_seconds"),
        (json!({ "team": "red", "budget": 5 }), "budget"),
        (json!({ "team": "red", "note": "x".repeat(300) }), "note"),
    ];
    for (wish, field) in rows {
        let answer = house.admin("POST", "/admin/v1/keys", Some(wish.clone())).await;
        assert!((400..=422).contains(&answer.status), "{wish}: {}", answer.status);
        assert!(answer.text().contains(field), "{wish}: {}", answer.text());
    }
    for id in ["nonsense", "key_00000000000000000000000000"] {
        let answer = house.admin("POST", &format!("/admin/v1/keys/{id}/revoke"), None).await;
        assert_eq!(answer.status, 404, "{}", answer.text());
    }
    assert!(house.entries("key_created").is_empty());
    house.close().await;
}

/// A key of another gateway and its SHA-256, by an independent program.
const FOREIGN: (&str, &str) =
    ("sk-canary-alpha-0001", "b299ff18ca7faa7cabe4a06ba569a590cc9ee3d37390b5020548c03c29da52db");

#[tokio::test(flavor = "multi_thread")]
async fn a_key_of_another_gateway_is_taken_over_by_its_hash_which_opens_nothing() {
    let house = House::open().await;
    let (key, hash) = FOREIGN;
    let wish =
        json!({ "sha256": hash, "team": "red", "user": "ann", "models": ["claude-opus-*"], "note": "old" });
    assert_eq!(status(&house, key).await, 401);
    let made = house.admin("POST", "/admin/v1/keys/import", Some(wish.clone())).await;
    assert_eq!(made.status, 201, "{}", made.text());
    assert!(!made.text().contains(hash) && made.json()["user"] == "ann", "{}", made.text());
    let id = made.json()["id"].as_str().unwrap().to_owned();
    assert_eq!(status(&house, key).await, 200);
    for other in [hash, &hash.to_uppercase(), &format!("sha256:{hash}"), "sk-canary-alpha-0002", &key[..19]] {
        assert_eq!(status(&house, other).await, 401, "{other}");
    }
    let again = house.admin("POST", "/admin/v1/keys/import", Some(wish)).await;
    assert_eq!((again.status, again.json()["id"].as_str()), (200, Some(id.as_str())));
    assert_eq!(house.entries("key_created").len(), 1, "the second time made nothing");

    for bad in [
        json!({ "sha256": key, "team": "red" }),
        json!({ "sha256": hash.to_uppercase(), "team": "red" }),
        json!({ "sha256": hash, "team": "red", "expires_at": "2020-01-01T00:00:00.000Z" }),
        json!({ "sha256": hash, "team": "red", "secret": "x" }),
        json!({ "team": "red" }),
    ] {
        let refused = house.admin("POST", "/admin/v1/keys/import", Some(bad.clone())).await;
        assert!(refused.status == 400 && !refused.text().contains(key), "{bad}: {}", refused.text());
    }
    let tim = json!({ "team_admin": { "org": "default", "team": "blue" } });
    let tim = operator(&house, "tim", tim).await;
    for (team, status) in [("red", 403), ("blue", 409)] {
        let wish = json!({ "sha256": hash, "team": team });
        let refused = call(&house, &tim, "POST /admin/v1/keys/import", &[], Some(&wish)).await;
        assert_eq!(refused.status, status, "{}", refused.text());
    }

    house.admin("POST", &format!("/admin/v1/keys/{id}/revoke"), None).await;
    assert_eq!(status(&house, key).await, 401);
    house.close().await;
}
