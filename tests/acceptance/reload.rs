//! The configuration changes whole or not at all, within a second, and no request notices.

use std::time::Duration;

use tokio::sync::Notify;
use tollgate_acceptance::{Connection, House, client, get, post};
use tollgate_gateway::{ReloadFault, Source, follow};

const BODY: &str = r#"{"model":"claude-opus-5-5","max_tokens":16,"stream":true,"messages":[{"role":"user","content":"hi"}]}"#;
const VERSION: &str = "anthropic-version: 2023-06-01";

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_file_is_in_force_within_a_second_and_a_bad_one_never() {
    let house = House::open().await;
    let key = format!("x-api-key: {}", house.key("red").await);
    let path = house.folder.path().join("tollgate.yaml");
    std::fs::write(&path, &house.text).unwrap();
    let nudge = Notify::new();
    let listed = |list: &str| format!("{}models:\n{list}", house.text);
    let models = async || {
        let answer = get(house.address(), "/v1/models", &[&key, VERSION]).await;
        answer.json()["data"].as_array().map_or(0, Vec::len)
    };
    let script = async {
        std::fs::write(&path, listed("  - id: claude-one\n")).unwrap();
        until(async || models().await == 1).await;
        // Half of this document is right; none of it counts.
        std::fs::write(&path, listed("  - id: claude-one\n  - id: claude-two\nlimits:\n  body: nonsense\n"))
            .unwrap();
        until(async || house.admin("GET", "/metrics", None).await.status == 200).await;
        std::fs::write(&path, "{ not yaml").unwrap();
        std::fs::remove_file(&path).unwrap();
        nudge.notify_one();
        assert_eq!(models().await, 1);
        std::fs::write(&path, listed("  - id: claude-one\n  - id: claude-two\n")).unwrap();
        until(async || models().await == 2).await;
    };
    tokio::select! {
        () = follow(&house.gateway, &path, house.text.clone(), |_| {}, |_| {}, &nudge) => {}
        () = script => {}
    }
    assert!(house.entries("config_applied").len() >= 3, "each change is recorded");
    house.close().await;
}

async fn until(mut is_so: impl AsyncFnMut() -> bool) {
    for _ in 0..100 {
        if is_so().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("not within a second");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_needs_a_restart_is_refused_by_name() {
    let house = House::open().await;
    let text = house.text.replacen("address: 127.0.0.1:0", "address: 127.0.0.1:1", 1);
    let config = tollgate_config::load(&text, "test").unwrap();
    let fault = house.gateway.reload(config, Source { name: "test", text: &text }).await.unwrap_err();
    assert!(matches!(fault, ReloadFault::RestartNeeded(_)), "{fault}");
    assert!(fault.to_string().contains("listen.address"), "{fault}");
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_upstream_credential_is_used_without_a_restart_and_streams_go_on() {
    let house = House::open().await;
    let key = house.key("red").await;
    let head = client::head(
        "POST",
        "/v1/messages",
        &[&format!("x-api-key: {key}"), VERSION, "x-simulator: events=20;pace_ms=20"],
        Some(BODY.len()),
    );
    let mut stream = Connection::open(house.address()).await;
    stream.send(format!("{head}{BODY}").as_bytes()).await;
    stream.until(b"message_start").await;
    std::fs::write(house.folder.path().join("upstream-key"), "sk-ant-oat01-another").unwrap();
    let config = tollgate_config::load(&house.text, "test").unwrap();
    house.gateway.reload(config, Source { name: "test", text: &house.text }).await.unwrap();
    let answer = post(house.address(), "/v1/messages", &[&format!("x-api-key: {key}"), VERSION], BODY).await;
    // The simulator knows the old key alone; what matters is what it was shown.
    assert_eq!(answer.status, 502);
    let seen = house.simulator.record().last().unwrap();
    assert_eq!(seen.header("authorization"), Some("Bearer sk-ant-oat01-another"));
    assert_eq!(seen.header("x-api-key"), None);
    stream.until(b"message_stop").await;
    house.close().await;
}
