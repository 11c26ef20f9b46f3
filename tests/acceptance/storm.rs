//! Row C3: caps that hold. Hundreds of clients at once, random sizes, aborts, errors, slow streams, `kill -9`; the
//! journal alone must show that no allowance of any level was ever overdrawn, and afterwards every counter agrees with
//! the ledger and nobody is refused without reason.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::Value;
use tollgate_acceptance::caps::{Cap, Measure, Used, prove};
use tollgate_acceptance::house::{UPSTREAM_KEY, entries};
use tollgate_acceptance::{Connection, House, Plan, Serve, client};
use tollgate_simulator::{Config, Keep, Simulator};

const VERSION: &str = "anthropic-version: 2023-06-01";
const CLIENTS: usize = 500;
const MODELS: [&str; 3] = ["claude-opus-5-5", "claude-sonnet-5-5", "claude-haiku-5-5"];

/// Allowances of every level and every measure, tight enough that each refuses in the storm.
const ALLOWANCES: &str = r#"
allowances:
  - { name: org-day, on: { org: default }, usd: "3", per: day }
  - { name: org-at-once, concurrent: 100 }
  - { name: team-red, on: { team: red }, usd: "1.20", per: month, warn_at: [50, 90] }
  - { name: team-opus, on: { team: blue }, models: ["claude-opus-*"], usd: "0.40", per: week }
  - { name: each-team-tokens, each: team, tokens: 400000, per: day }
  - { name: project-x, on: { project: x }, requests: 60, per: quarter }
  - { name: each-user, each: user, usd: "0.90", rolling: 24h }
  - { name: each-user-at-once, each: user, concurrent: 25 }
  - { name: each-key-requests, each: key, requests: 600, per: minute, burst: 60 }
"#;

const CAPS: [Cap; 9] = [
    cap("org-day", &[("org", "default")], None, Measure::Nano, 3_000_000_000),
    cap("org-at-once", &[], None, Measure::Concurrency, 100),
    cap("team-red", &[("team", "red")], None, Measure::Nano, 1_200_000_000),
    Cap { model: "claude-opus-", ..cap("team-opus", &[("team", "blue")], None, Measure::Nano, 400_000_000) },
    cap("each-team-tokens", &[], Some("team"), Measure::Tokens, 400_000),
    cap("project-x", &[("project", "x")], None, Measure::Requests, 60),
    cap("each-user", &[], Some("user"), Measure::Nano, 900_000_000),
    cap("each-user-at-once", &[], Some("user"), Measure::Concurrency, 25),
    cap("each-key-requests", &[], Some("key"), Measure::Rate { per_ms: 60_000, burst: 60 }, 600),
];

const fn cap(
    name: &'static str,
    on: &'static [(&'static str, &'static str)],
    each: Option<&'static str>,
    measure: Measure,
    amount: u64,
) -> Cap {
    Cap { name, on, each, model: "", measure, amount }
}

/// Who takes part: team, project, user.
const MEMBERS: [(&str, Option<&str>, &str); 6] = [
    ("red", Some("x"), "ann"),
    ("red", None, "bob"),
    ("red", Some("y"), "cyd"),
    ("blue", Some("x"), "dan"),
    ("blue", None, "ann"),
    ("green", None, "eve"),
];

fn wanted((team, project, user): (&str, Option<&str>, &str)) -> Value {
    let mut key = serde_json::json!({ "team": team, "user": user });
    if let Some(project) = project {
        key["project"] = project.into();
    }
    key
}

/// What clients do, in turn: how the upstream answers, whether it streams, and when the client leaves.
const MANNERS: [(&str, bool, Leave); 11] = [
    ("events=5", true, Leave::AtTheEnd),
    ("events=8;size=2kb", false, Leave::AtTheEnd),
    ("events=10;pace_ms=20", true, Leave::AtTheEnd),
    ("events=10;pace_ms=10;size=3kb", true, Leave::AfterBytes),
    ("first_byte_ms=60", true, Leave::AtOnce),
    ("events=10;cut", true, Leave::AtTheEnd),
    ("events=10;reset=3", true, Leave::AtTheEnd),
    ("events=10;error_event;at=4", true, Leave::AtTheEnd),
    ("status=529", true, Leave::AtTheEnd),
    ("usage=in:200,out:900,cr:5000,c5:100", true, Leave::AtTheEnd),
    ("head_then_ms=80", true, Leave::AtTheEnd),
];

#[derive(Clone, Copy, PartialEq)]
enum Leave {
    AtTheEnd,
    AfterBytes,
    AtOnce,
}

/// A request of no particular size, by a number.
fn request(number: usize) -> (String, &'static str, Leave) {
    let (directive, stream, leave) = MANNERS[number % MANNERS.len()];
    let model = MODELS[number / 7 % MODELS.len()];
    let max_tokens = 1000 + number * 37 % 3000;
    let padding = "x".repeat(400 + number * 131 % 2600);
    let body = format!(
        r#"{{"model":"{model}","max_tokens":{max_tokens},"stream":{stream},"messages":[{{"role":"user","content":"{number} {padding}"}}]}}"#
    );
    (body, directive, leave)
}

/// How often each status came, and how often each allowance refused.
#[derive(Default)]
struct Tally {
    next: AtomicUsize,
    ok: AtomicUsize,
    refused: AtomicUsize,
}

/// One client: a request after the other on connections of its own, until it has made its share. Ends early where the
/// gateway is gone.
async fn client(address: SocketAddr, keys: Arc<Vec<String>>, tally: Arc<Tally>, share: usize) {
    for _ in 0..share {
        let number = tally.next.fetch_add(1, Ordering::Relaxed);
        let (body, directive, leave) = request(number);
        let key = &keys[number % keys.len()];
        let headers = [&format!("x-api-key: {key}"), VERSION, &format!("x-simulator: {directive}")];
        let head = client::head("POST", "/v1/messages?beta=true", &headers, Some(body.len()));
        let Ok(stream) = tokio::net::TcpStream::connect(address).await else { return };
        let mut connection = Connection::over(stream);
        connection.send(format!("{head}{body}").as_bytes()).await;
        let status = match leave {
            Leave::AtTheEnd => connection.answer().await.map(|answer| answer.status),
            Leave::AfterBytes => connection.head().await.map(|(status, _)| status),
            Leave::AtOnce => {
                tokio::time::sleep(Duration::from_millis(20)).await;
                continue;
            }
        };
        match status {
            Some(200) => drop(tally.ok.fetch_add(1, Ordering::Relaxed)),
            Some(429) => drop(tally.refused.fetch_add(1, Ordering::Relaxed)),
            _ => {}
        }
    }
}

async fn storm(address: SocketAddr, keys: &[String], share: usize) -> Arc<Tally> {
    let (keys, tally) = (Arc::new(keys.to_vec()), Arc::new(Tally::default()));
    let clients: Vec<_> =
        (0..CLIENTS).map(|_| tokio::spawn(client(address, keys.clone(), tally.clone(), share))).collect();
    for client in clients {
        client.await.unwrap();
    }
    tally
}

/// What the gateway itself says is used, and that nothing is held.
fn counters(standing: &Value) -> Used {
    let mut used = BTreeMap::new();
    for row in standing["data"].as_array().unwrap() {
        let name = row["allowance"]["name"].as_str().unwrap();
        for counter in row["standing"].as_array().unwrap() {
            assert_eq!(counter["held"], 0, "{row:#}");
            let subject = &counter["subject"];
            let member = ["key", "user", "project", "team"].iter().find_map(|field| subject[*field].as_str());
            let each = row["allowance"]["each"].is_string();
            let member = member.filter(|_| each).unwrap_or_default().to_owned();
            used.insert((name.to_owned(), member), counter["used"].as_u64().unwrap());
        }
    }
    used
}

/// The gateway's counters, recomputed from the journal.
fn agree(standing: &Value, proven: &Used) {
    let counters = counters(standing);
    for ((name, member), used) in proven {
        let is_counted = !name.contains("at-once");
        assert_eq!(
            counters.get(&(name.clone(), member.clone())),
            Some(used).filter(|_| is_counted).or(Some(&0)),
            "{name} of {member:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_allowance_is_ever_overdrawn_and_every_counter_agrees_with_the_ledger() {
    let house = House::build(Plan { config: ALLOWANCES.into(), ..Plan::default() }).await;
    let mut keys = Vec::new();
    for member in MEMBERS {
        keys.push(house.mint(wanted(member)).await.0);
    }
    let tally = storm(house.address(), &keys, 4).await;
    house.simulator.record().idle().await;
    let admitted = house.entries("admitted").len();
    house.wait_for("settled", admitted).await;
    let (ok, refused) = (tally.ok.load(Ordering::Relaxed), tally.refused.load(Ordering::Relaxed));
    assert!(ok > 100 && refused > 100, "{ok} served, {refused} refused");

    let proven = prove(&entries(&house.data), &CAPS);
    agree(&house.admin("GET", "/admin/v1/allowances", None).await.json(), &proven);
    each_refusal_had_a_reason(&house);
    the_ledger_says_the_same(&house, &proven).await;

    // Whoever has room is served at once.
    let fresh = house.mint(serde_json::json!({ "team": "white", "user": "fay" })).await.0;
    let (body, _, _) = request(0);
    let answer = client_of(&house, &fresh, &body).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    house.close().await;
}

/// Each allowance refused somebody, or it was not tried.
fn each_refusal_had_a_reason(house: &House) {
    let mut refusals: BTreeMap<String, usize> = BTreeMap::new();
    for denied in house.entries("denied") {
        let allowance = denied["allowance"].as_str().unwrap_or_else(|| panic!("{denied:#}"));
        *refusals.entry(allowance.to_owned()).or_default() += 1;
    }
    let refusing = refusals.len();
    assert!(refusing >= 7, "only these refused: {refusals:?}");
}

async fn the_ledger_says_the_same(house: &House, proven: &Used) {
    let cost = |name: &str, member: &str| proven.get(&(name.to_owned(), member.to_owned())).copied();
    for row in house.usage("team").await {
        let (team, figure) = (row["team"].as_str().unwrap(), row["cost_nano_usd"].as_u64());
        if team == "red" {
            assert_eq!(figure, cost("team-red", ""), "{row:#}");
        }
    }
    for row in house.usage("user").await {
        let user = row["user"].as_str().unwrap();
        assert_eq!(row["cost_nano_usd"].as_u64(), cost("each-user", user), "{row:#}");
    }
    let total: u64 = house.usage("org").await.iter().map(|row| row["cost_nano_usd"].as_u64().unwrap()).sum();
    assert_eq!(Some(total), cost("org-day", ""));
}

async fn client_of(house: &House, key: &str, body: &str) -> tollgate_acceptance::Answer {
    let headers = [&format!("x-api-key: {key}"), VERSION];
    tollgate_acceptance::post(house.address(), "/v1/messages", &headers, body).await
}

#[tokio::test(flavor = "multi_thread")]
async fn caps_hold_through_kill_nine_restart_and_a_ledger_made_again() {
    let keep = Keep { requests: 1_000_000, ..Keep::default() };
    let config = Config { api_key: Some(UPSTREAM_KEY.into()), keep, ..Config::default() };
    let simulator = Simulator::start(config).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (data, config) = (folder.path().join("data"), folder.path().join("tollgate.yaml"));
    std::fs::write(&config, ALLOWANCES).unwrap();
    let url = simulator.url();
    let start = || Serve::start_with(&data, &url, Some(&config));
    let mut serve = start().await;
    let mut keys = Vec::new();
    for member in MEMBERS {
        let answer = serve.admin("POST", "/admin/v1/keys", &wanted(member).to_string()).await;
        keys.push(answer.json()["secret"].as_str().unwrap().to_owned());
    }
    for round in 0..3_u64 {
        let storming = {
            let (address, keys) = (serve.address(), keys.clone());
            tokio::spawn(async move { storm(address, &keys, 2).await })
        };
        tokio::time::sleep(Duration::from_millis(150 + 170 * round)).await;
        serve.kill();
        storming.await.unwrap();
        if round == 1 {
            for file in ["ledger.db", "ledger.db-wal", "ledger.db-shm"] {
                let _ = std::fs::remove_file(data.join(file));
            }
        }
        serve = start().await;
    }
    storm(serve.address(), &keys, 2).await;
    simulator.record().idle().await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    let proven = prove(&entries(&data), &CAPS);
    agree(&serve.admin("GET", "/admin/v1/allowances", "").await.json(), &proven);
    assert!(serve.stop().await.success());
    simulator.stop().await;
}
