//! The description of the admin API, held by a validator that is not ours against the standard and against the answers
//! that the API gives.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::process::Command;
use tollgate_acceptance::past::live_through;
use tollgate_acceptance::{House, Plan, post};
use tollgate_acceptance::{installed, process};

const LIMIT: Duration = Duration::from_secs(60);

/// What was asked and answered.
struct Exchanges<'h>(&'h House, Vec<Value>);

impl Exchanges<'_> {
    async fn call(&mut self, verb: &str, path: &str, sent: Option<Value>) -> Value {
        let answer = self.0.admin(&verb.to_uppercase(), path, sent.clone()).await;
        let (status, answer) = (answer.status, answer.json());
        self.1.push(
            json!({ "verb": verb, "path": path, "sent": sent, "status": status, "answer": answer.clone() }),
        );
        answer
    }
}

/// What the validator finds wrong.
async fn faults(description: &Path, exchanges: &[Value]) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("exchanges.json");
    std::fs::write(&file, Value::from(exchanges.to_vec()).to_string()).unwrap();
    let driver = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("clients/drivers/description.py");
    let mut command = Command::new(installed::python());
    command.arg(driver).arg(description).arg(file);
    let done = process::run(command, LIMIT).await;
    assert_eq!(done.code, 0, "{done:#?}");
    serde_json::from_str(&done.stdout).unwrap_or_else(|error| panic!("{error}: {done:#?}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_admin_api_answers_as_its_description_says() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    live_through(&data, &[("2026-10-05T10:00:00.000Z", "red", "ann", Some("4711"))]);
    let config = "allowances:\n  - { name: fixed, requests: 100, per: day, each: user, warn_at: [50] }\n";
    let house = House::build(Plan { data: Some(data), config: config.into(), ..Plan::default() }).await;
    let mut seen = Exchanges(&house, Vec::new());
    let request = spend(&house).await;
    change(&mut seen).await;
    for path in [
        "keys",
        "keys?limit=1",
        "operators",
        "self",
        "allowances",
        "allowances/fixed",
        "sessions/paused",
        "usage?by=team,user,day,tag:app",
        "usage?by=",
        "prices",
        "prices/claude-opus-5-5",
        "prices/nobody-knows?at=2026-01-01T00:00:00.000Z",
        "statements",
        "statements/2026-10",
        "statements/2026-10/signature",
        "adjustments",
        "state",
        "openapi.json",
        &format!("requests/{request}"),
        // Refusals are described too.
        "keys?limit=0",
        "keys/key_x",
        "requests/req_x",
    ] {
        seen.call("get", &format!("/admin/v1/{path}"), None).await;
    }
    let description = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs/reference/admin-api.json");
    assert_eq!(faults(&description, &seen.1).await, [""; 0]);
    assert!(seen.1.iter().filter(|one| one["status"].as_u64() < Some(400)).count() > 30, "{:#?}", seen.1);
    house.close().await;
}

/// One request of a client; gives its id.
async fn spend(house: &House) -> String {
    let body = r#"{"model":"claude-opus-5-5","max_tokens":16,"messages":[{"role":"user","content":"hi"}]}"#;
    let headers = [&format!("x-api-key: {}", house.key("red").await), "anthropic-version: 2023-06-01"];
    let answer = post(house.address(), "/v1/messages", &headers, body).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.header("x-tollgate-request-id").unwrap().to_owned()
}

/// One call of each that changes something.
async fn change(seen: &mut Exchanges<'_>) {
    let key =
        seen.call("post", "/admin/v1/keys", Some(json!({ "team": "red", "models": ["claude-*"] }))).await;
    let id = key["key"]["id"].as_str().unwrap().to_owned();
    let rotation = json!({ "grace_seconds": 60 });
    seen.call("post", &format!("/admin/v1/keys/{id}/rotate"), Some(rotation)).await;
    let pause = json!({ "key": id, "session": "s", "minutes": 5, "why": "because" });
    seen.call("post", "/admin/v1/sessions/pause", Some(pause.clone())).await;
    seen.call("post", "/admin/v1/sessions/resume", Some(json!({ "key": id, "session": "s" }))).await;
    seen.call("post", "/admin/v1/sessions/pause", Some(pause)).await;
    seen.call("post", &format!("/admin/v1/keys/{id}/revoke"), None).await;
    for role in [json!("auditor"), json!({ "team_admin": { "org": "default", "team": "red" } })] {
        let name = if role == "auditor" { "una" } else { "tim" };
        seen.call("post", "/admin/v1/operators", Some(json!({ "name": name, "role": role }))).await;
    }
    seen.call("post", "/admin/v1/operators/una/rotate", None).await;
    seen.call("delete", "/admin/v1/operators/tim", None).await;
    let spans = [
        json!("at_once"),
        json!({ "rate": { "per_ms": 60_000, "burst": 5 } }),
        json!({ "period": { "period": "week", "calendar": { "zone": "Europe/Berlin", "year_starts": 4 } } }),
        json!({ "rolling": { "ms": 3_600_000 } }),
    ];
    for (number, span) in spans.into_iter().enumerate() {
        let measure = if span == "at_once" { "concurrency" } else { "cost" };
        let wish = json!({ "name": format!("a{number}"), "on": { "team": "red" }, "each": "user",
            "models": ["claude-*"], "measure": measure, "amount": 5000, "span": span, "warn_at": [80] });
        seen.call("put", &format!("/admin/v1/allowances/a{number}"), Some(wish)).await;
    }
    let raise = json!({ "amount": 9000, "until": "2099-01-01T00:00:00.000Z", "note": "launch" });
    seen.call("post", "/admin/v1/allowances/a2/raises", Some(raise)).await;
    seen.call("delete", "/admin/v1/allowances/a3", None).await;
    let unsound = json!({ "name": "bad", "measure": "cost", "amount": 5, "span": "at_once" });
    seen.call("put", "/admin/v1/allowances/bad", Some(unsound)).await;
    seen.call("post", "/admin/v1/statements", Some(json!({ "period": "2026-10" }))).await;
    let rerate = json!({ "from": "2026-10-01T00:00:00.000Z", "to": "2026-11-01T00:00:00.000Z",
        "reason": "a wrong rate", "dry_run": true });
    seen.call("post", "/admin/v1/adjustments", Some(rerate)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_not_as_described_is_seen() {
    let description = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs/reference/admin-api.json");
    let exchange = |path: &str, status: u16, answer: Value| json!({ "verb": "get", "path": path, "sent": null, "status": status, "answer": answer });
    let good = json!({ "name": "ada", "role": "admin" });
    let rows = [
        (exchange("/admin/v1/self", 200, good.clone()), 0),
        (exchange("/admin/v1/self", 200, json!({ "name": "ada", "role": "king" })), 1),
        (exchange("/admin/v1/self", 200, json!({ "role": "admin" })), 1),
        (exchange("/admin/v1/self", 201, good.clone()), 1),
        (exchange("/admin/v1/self", 403, good.clone()), 1),
        (exchange("/admin/v1/other", 200, good), 1),
    ];
    for (exchange, expected) in rows {
        let found = faults(&description, std::slice::from_ref(&exchange)).await;
        assert_eq!(found.is_empty(), expected == 0, "{exchange}: {found:?}");
    }
}
