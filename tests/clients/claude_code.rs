//! The Claude Code CLI works through the gateway, and is told what it must be told.

use std::time::Duration;

use serde_json::{Value, json};
use tollgate_acceptance::claude::Claude;
use tollgate_acceptance::loopback;
use tollgate_acceptance::{Certificate, House, Plan};

use crate::books::{self, Books};

/// Far below the three minutes for which Claude Code tries again when it is left to itself.
const AT_ONCE: Duration = Duration::from_secs(30);

fn claude(house: &House) -> Claude {
    Claude::at(&format!("http://{}", house.address()))
}

async fn revoked_key(house: &House) -> String {
    let (key, id) = house.mint(json!({ "team": "red" })).await;
    assert_eq!(house.admin("POST", &format!("/admin/v1/keys/{id}/revoke"), None).await.status, 200);
    key
}

#[test]
fn a_prompt_is_answered_and_booked_to_its_session() {
    loopback::run(async {
        let house = House::open().await;
        let claude = claude(&house).with("ANTHROPIC_AUTH_TOKEN", &house.key("red").await);
        let mut sessions = Vec::new();
        for (prompt, answer) in
            [("[[sim: text=good day]]", "good day"), ("[[sim: size=200kb;events=500;gzip]]", "All work")]
        {
            let said = claude.ask_for_json(prompt).await;
            assert_eq!(said["is_error"], false, "{said:#}");
            assert!(said["result"].as_str().unwrap().starts_with(answer), "{said:#}");
            let seen = books::seen(&house).await.pop().unwrap();
            assert_eq!(seen.target, "/v1/messages?beta=true");
            assert_eq!(seen.header("x-claude-code-session-id"), said["session_id"].as_str());
            let usage = seen.answer.usage.unwrap();
            let shown = (&said["usage"]["input_tokens"], &said["usage"]["output_tokens"]);
            assert_eq!(shown, (&json!(usage.input), &json!(usage.output)), "what Claude Code shows");
            sessions.push((said["session_id"].clone(), usage));
        }
        books::agree(&house, Books { settled: 2, denied: 0 }).await;
        let report = house.usage("session,team,user").await;
        assert_eq!(report.len(), 2);
        for (session, usage) in sessions {
            let row =
                report.iter().find(|row| row["session"] == session).unwrap_or_else(|| panic!("{report:#?}"));
            assert_eq!(
                (&row["input_tokens"], &row["output_tokens"]),
                (&usage.input.into(), &usage.output.into())
            );
            assert_eq!(
                (&row["team"], &row["user"], &row["requests"]),
                (&json!("red"), &json!("ann"), &json!(1))
            );
            assert!(row["cost_nano_usd"].as_u64().unwrap() > 0);
        }
        house.close().await;
    });
}

#[test]
fn a_tool_loop_runs_to_its_end() {
    loopback::run(async {
        let house = House::open().await;
        let claude = claude(&house).with("ANTHROPIC_AUTH_TOKEN", &house.key("red").await);
        // What the shell makes of it is not in the prompt.
        let tool =
            r#"[[sim: tool=Bash:{"command":"echo tolls-$((40+2))","description":"count"};turns=3;thinking]]"#;
        let said = claude.arguments(&["--allowedTools", "Bash"]).ask_for_json(tool).await;
        assert!(said["result"].as_str().unwrap().contains("tolls-42"), "{said:#}");
        let seen = books::seen(&house).await;
        let reasons: Vec<_> =
            seen.iter().map(|seen| seen.answer.stop_reason.as_deref().unwrap_or("")).collect();
        assert_eq!(reasons, ["tool_use", "tool_use", "tool_use", "end_turn"]);
        books::agree(&house, Books { settled: 4, denied: 0 }).await;
        let report = house.usage("session").await;
        assert_eq!((report.len(), &report[0]["requests"]), (1, &json!(4)), "one session: {report:#?}");
        assert_eq!(report[0]["session"], said["session_id"]);
        house.close().await;
    });
}

#[test]
fn an_agent_below_is_booked_apart_in_the_same_session() {
    loopback::run(async {
        let house = House::open().await;
        let claude = claude(&house).with("ANTHROPIC_AUTH_TOKEN", &house.key("red").await);
        let tool = r#"[[sim: tool=Agent:{"description":"count","prompt":"Please count."}]]"#;
        let said = claude.arguments(&["--allowedTools", "Agent"]).ask_for_json(tool).await;
        assert_eq!(said["is_error"], false, "{said:#}");
        let seen = books::seen(&house).await;
        let agent = seen.iter().find_map(|seen| seen.header("x-claude-code-agent-id"));
        let agent = agent.unwrap_or_else(|| panic!("no request of an agent below: {said:#}"));
        books::agree(&house, Books { settled: seen.len(), denied: 0 }).await;
        let report = house.usage("session,agent").await;
        assert!(report.iter().all(|row| row["session"] == said["session_id"]), "{report:#?}");
        assert!(report.iter().any(|row| row["agent"] == agent && row["requests"] == 1), "{report:#?}");
        assert!(report.iter().any(|row| row["agent"].is_null()), "{report:#?}");
        house.close().await;
    });
}

#[test]
fn a_credential_may_be_given_in_each_way_that_there_is() {
    loopback::run(async {
        let house = House::open().await;
        let key = house.key("red").await;
        let ways = [
            claude(&house).with("ANTHROPIC_AUTH_TOKEN", &key),
            claude(&house).with("ANTHROPIC_API_KEY", &key),
            // Somebody's own key of the API is left in the environment.
            claude(&house)
                .with("ANTHROPIC_AUTH_TOKEN", &key)
                .with("ANTHROPIC_API_KEY", "sk-ant-api03-somebodys"),
            claude(&house).with_key_helper(&[&key]),
        ];
        for claude in &ways {
            let done = claude.ask("[[sim: text=good day]]").await;
            assert_eq!((done.code, done.stdout.trim()), (0, "good day"), "{done:#?}");
        }
        books::agree(&house, Books { settled: ways.len(), denied: 0 }).await;
        for entry in tollgate_acceptance::house::entries(&house.data) {
            assert!(!entry.to_string().contains("somebodys"), "{entry}");
        }
        house.close().await;
    });
}

#[test]
fn a_refused_key_is_told_at_once_and_tried_once() {
    loopback::run(async {
        let house = House::open().await;
        let rows = [
            ("ANTHROPIC_AUTH_TOKEN", "tg_nobodys".to_owned(), "unknown_credential"),
            ("ANTHROPIC_API_KEY", "sk-ant-api03-somebodys".to_owned(), "unknown_credential"),
            ("ANTHROPIC_AUTH_TOKEN", revoked_key(&house).await, "key_revoked"),
        ];
        for (number, (variable, key, code)) in rows.iter().enumerate() {
            let done = claude(&house).with(variable, key).ask("Hello").await;
            assert_eq!(done.code, 1, "{done:#?}");
            assert!(done.stdout.starts_with("Failed to authenticate. API Error: 401 "), "{done:#?}");
            assert!(done.took < AT_ONCE, "{done:#?}");
            let denied = house.wait_for("denied", number + 1).await;
            assert_eq!(denied.len(), number + 1, "each is tried once: {denied:#?}");
            assert_eq!((&denied[number]["code"], &denied[number]["status"]), (&json!(code), &json!(401)));
        }
        assert_eq!(house.simulator.record().served().requests, 0);
        house.close().await;
    });
}

#[test]
#[ignore = "long: run by `make acceptance`"]
fn a_key_helper_is_asked_again_and_given_up_soon() {
    loopback::run(async {
        let house = House::open().await;
        let (revoked, key) = (revoked_key(&house).await, house.key("red").await);
        // Someone's key was rotated while the helper's was still kept.
        let done = claude(&house).with_key_helper(&[&revoked, &key]).ask("[[sim: text=good day]]").await;
        assert_eq!((done.code, done.stdout.trim()), (0, "good day"), "{done:#?}");
        books::agree(&house, Books { settled: 1, denied: 1 }).await;
        // With a helper Claude Code does not heed `x-should-retry`.
        let limited = house.mint(json!({ "team": "red", "models": ["claude-haiku-*"] })).await.0;
        for (key, status) in [(revoked, 401), (limited, 403)] {
            let before = house.entries("denied").len();
            let done = claude(&house).with_key_helper(&[&key]).ask("Hello").await;
            assert_eq!(done.code, 1, "{done:#?}");
            let shown = format!("Failed to authenticate. API Error: {status} ");
            assert!(done.stdout.starts_with(&shown), "{done:#?}");
            assert!(done.took < AT_ONCE, "{done:#?}");
            assert_eq!(house.wait_for("denied", before + 3).await.len(), before + 3);
        }
        house.close().await;
    });
}

#[test]
fn a_model_that_the_key_may_not_use_is_a_403() {
    loopback::run(async {
        let house = House::open().await;
        let key = house.mint(json!({ "team": "red", "models": ["claude-haiku-*"] })).await.0;
        let claude = claude(&house).with("ANTHROPIC_AUTH_TOKEN", &key);
        let done = claude.ask("Hello").await;
        assert_eq!(done.code, 1, "{done:#?}");
        assert!(done.stdout.starts_with("Failed to authenticate. API Error: 403 "), "{done:#?}");
        assert!(done.stdout.contains("claude-opus-5-5"), "it says which model: {done:#?}");
        let denied = house.wait_for("denied", 1).await;
        assert_eq!(
            (&denied[0]["code"], &denied[0]["model"]),
            (&json!("model_not_allowed"), &json!("claude-opus-5-5"))
        );
        assert_eq!(house.simulator.record().served().requests, 0);
        let done = claude.arguments(&["--model", "haiku"]).ask("[[sim: text=good day]]").await;
        assert_eq!((done.code, done.stdout.trim()), (0, "good day"), "{done:#?}");
        books::agree(&house, Books { settled: 1, denied: 1 }).await;
        house.close().await;
    });
}

#[test]
fn the_upstreams_429_and_529_are_shown_as_such() {
    loopback::run(async {
        errors_are_shown([
            ("status=429;should_retry=false", "API Error: Request rejected (429)", 1),
            ("status=529;should_retry=false", "API Error: 529 ", 1),
        ])
        .await;
    });
}

#[test]
#[ignore = "long: run by `make acceptance`"]
fn the_upstreams_other_errors_are_shown_as_such() {
    loopback::run(async {
        errors_are_shown([
            ("status=429;retry_after=3600", "API Error: Request rejected (429)", 1),
            ("status=402", "API Error: 402 ", 1),
            ("status=403", "Failed to authenticate. API Error: 403 ", 1),
            // Claude Code takes betas and fields away, and tries again each time.
            ("status=400", "API Error: 400 ", 6),
            ("status=404", "There's an issue with the selected model (claude-opus-5-5)", 2),
        ])
        .await;
    });
}

/// What the upstream is told to do, how Claude Code begins to speak of it, and how many requests it makes.
async fn errors_are_shown<const N: usize>(rows: [(&str, &str, usize); N]) {
    let house = House::open().await;
    let claude = claude(&house).with("ANTHROPIC_AUTH_TOKEN", &house.key("red").await);
    let mut sum = 0;
    for (directive, shown, requests) in rows {
        let done = claude.ask(&format!("[[sim: {directive};message=as it is]]")).await;
        assert_eq!(done.code, 1, "{directive}: {done:#?}");
        assert!(done.stdout.starts_with(shown), "{directive}: {done:#?}");
        assert!(done.stdout.contains("as it is") || directive == "status=404", "{directive}: {done:#?}");
        sum += requests;
        assert_eq!(books::seen(&house).await.len(), sum, "{directive}: tries");
    }
    let settled = house.wait_for("settled", sum).await;
    assert!(
        settled.iter().all(|entry| entry["outcome"] == "upstream_error" && entry["cost_nano_usd"] == 0),
        "{settled:#?}"
    );
    house.close().await;
}

#[test]
#[ignore = "long: run by `make acceptance`"]
fn an_upstream_that_asks_to_wait_is_waited_for() {
    loopback::run(async {
        let house = House::open().await;
        let claude = claude(&house).with("ANTHROPIC_AUTH_TOKEN", &house.key("red").await);
        let done = claude.ask("[[sim: status=429;retry_after=1;times=1]]").await;
        assert_eq!(done.code, 0, "{done:#?}");
        assert!(done.stdout.starts_with("Hello from the Tollgate simulator."), "{done:#?}");
        let seen = books::seen(&house).await;
        let statuses: Vec<_> = seen.iter().map(|seen| seen.answer.status).collect();
        assert_eq!(statuses, [Some(429), Some(200)]);
        assert!(seen[1].at_ms - seen[0].at_ms >= 1000, "{seen:#?}");
        books::agree(&house, Books { settled: 2, denied: 0 }).await;
        house.close().await;
    });
}

#[test]
#[ignore = "long: run by `make acceptance`"]
fn a_broken_stream_is_asked_for_again_and_both_are_booked() {
    loopback::run(async {
        // After a cut it streams again; after an error event it asks for a plain answer.
        for (fault, outcome, streams) in
            [("cut", "cut", true), ("error_event=overloaded_error", "upstream_error", false)]
        {
            let house = House::open().await;
            let claude = claude(&house).with("ANTHROPIC_AUTH_TOKEN", &house.key("red").await);
            let done = claude.ask(&format!("[[sim: size=4kb;events=20;{fault};times=1]]")).await;
            assert_eq!(done.code, 0, "{done:#?}");
            assert!(
                done.stdout.starts_with("Hello from the Tollgate simulator."),
                "nothing of the first: {done:#?}"
            );
            let settled = house.wait_for("settled", 2).await;
            let outcomes: Vec<_> = settled.iter().map(|entry| &entry["outcome"]).collect();
            assert_eq!(outcomes, [outcome, "complete"]);
            assert_eq!(house.entries("admitted")[1]["stream"] == true, streams);
            let (broken, whole) = (&settled[0], books::seen(&house).await.pop().unwrap());
            // Half of 4 KB had come when it broke: a token for four characters.
            assert_eq!(
                (&broken["estimated"], &broken["usage"]["output_tokens"]),
                (&json!(true), &json!(512)),
                "{fault}"
            );
            assert_eq!(settled[1]["usage"]["output_tokens"], whole.answer.usage.unwrap().output);
            house.close().await;
        }
    });
}

#[test]
fn discovery_finds_the_models_of_the_key() {
    loopback::run(async {
        let house = House::open().await;
        let key =
            house.mint(json!({ "team": "red", "models": ["claude-haiku-*", "claude-opus-5-5"] })).await.0;
        let claude = claude(&house).with("ANTHROPIC_AUTH_TOKEN", &key);
        let done = claude.with("CLAUDE_CODE_ENABLE_GATEWAY_MODEL_DISCOVERY", "1");
        assert_eq!(done.ask("[[sim: text=good day]]").await.code, 0);
        let kept = std::fs::read_to_string(done.kept("cache/gateway-models.json")).unwrap();
        let kept: Value = serde_json::from_str(&kept).unwrap();
        let ids: Vec<_> =
            kept["models"].as_array().unwrap().iter().map(|model| model["id"].as_str().unwrap()).collect();
        assert_eq!(ids, ["claude-haiku-5-5", "claude-opus-5-5", "claude-haiku-4-5-20251001"]);
        house.close().await;
    });
}

#[test]
fn a_burst_of_counts_is_served_whole() {
    loopback::run(async {
        let house = House::open().await;
        let claude = claude(&house).with("ANTHROPIC_AUTH_TOKEN", &house.key("red").await);
        let done = claude.ask("/context").await;
        assert_eq!(done.code, 0, "{done:#?}");
        assert!(done.stdout.contains("Context Usage"), "{done:#?}");
        let seen = books::seen(&house).await;
        assert!(seen.len() > 20, "a burst: {}", seen.len());
        assert!(
            seen.iter().all(|seen| seen.target == "/v1/messages/count_tokens?beta=true"
                && seen.answer.status == Some(200))
        );
        let settled = house.wait_for("settled", seen.len()).await;
        assert!(
            settled.iter().all(|entry| entry["cost_nano_usd"] == 0 && entry["endpoint"] == "count_tokens")
        );
        house.close().await;
    });
}

#[test]
#[ignore = "long: run by `make acceptance`"]
fn tls_is_trusted_by_its_authority() {
    loopback::run(async {
        let folder = tempfile::tempdir().unwrap();
        let certificate = Certificate::make(folder.path());
        let house = House::build(Plan { listen: certificate.listen(), ..Plan::default() }).await;
        let key = house.key("red").await;
        let claude = || {
            Claude::at(&format!("https://localhost:{}", house.address().port()))
                .with("ANTHROPIC_AUTH_TOKEN", &key)
        };
        let done = claude().ask("Hello").await;
        assert_eq!(done.code, 1, "{done:#?}");
        let trusting = claude().with("NODE_EXTRA_CA_CERTS", certificate.authority.to_str().unwrap());
        let done = trusting.ask("[[sim: text=sealed]]").await;
        assert_eq!((done.code, done.stdout.trim()), (0, "sealed"), "{done:#?}");
        books::agree(&house, Books { settled: 1, denied: 0 }).await;
        house.close().await;
    });
}
