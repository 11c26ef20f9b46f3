//! Row C9: one session that runs away is paused, with the reason; all others go on.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::sleep;
use tollgate_acceptance::{Answer, Connection, House, Plan, client, post};

const VERSION: &str = "anthropic-version: 2023-06-01";
/// What 100,000 output tokens of the model cost is $2.
const TWO_DOLLARS: &str = "usage=in:0,out:100000";

fn body(prompt: &str) -> String {
    format!(
        r#"{{"model":"claude-opus-5-5","max_tokens":100,"messages":[{{"role":"user","content":"{prompt}"}}]}}"#
    )
}

async fn house(config: &str) -> House {
    House::build(Plan { config: config.into(), ..Plan::default() }).await
}

/// One session of one key.
struct Session<'h> {
    house: &'h House,
    headers: Vec<String>,
}

impl<'h> Session<'h> {
    fn of(house: &'h House, key: &str, name: &str) -> Self {
        let named = format!("x-claude-code-session-id: {name}");
        Session { house, headers: vec![format!("x-api-key: {key}"), VERSION.into(), named] }
    }

    fn without_name(house: &'h House, key: &str) -> Self {
        Session { house, headers: vec![format!("x-api-key: {key}"), VERSION.into()] }
    }

    async fn ask(&self, prompt: &str, directive: &str) -> Answer {
        let directive = format!("x-simulator: {directive}");
        let headers: Vec<_> = self.headers.iter().chain([&directive]).map(String::as_str).collect();
        post(self.house.address(), "/v1/messages?beta=true", &headers, body(prompt)).await
    }

    /// Asks what it has never asked before.
    async fn spends(&self, directive: &str) -> u16 {
        let prompt = format!("{}", self.house.entries("admitted").len());
        self.ask(&prompt, directive).await.status
    }
}

fn why(answer: &Answer) -> String {
    answer.json()["error"]["message"].as_str().unwrap().to_owned()
}

/// Requires an answer as it is given to a paused session, with a wait of so many seconds at most.
fn is_paused(answer: &Answer, seconds: i64, because: &str) {
    assert_eq!((answer.status, answer.error_type().as_str()), (429, "rate_limit_error"), "{}", answer.text());
    assert_eq!(answer.header("x-should-retry"), Some("false"));
    assert_eq!(answer.header("x-tollgate-error-source"), Some("gateway"));
    let after: i64 = answer.header("retry-after").unwrap().parse().unwrap();
    assert!((seconds - 10..=seconds).contains(&after) && after > 0, "{after}");
    let said = why(answer);
    for part in ["This session is paused until 20", because, "The gateway's operator can resume it earlier."]
    {
        assert!(said.contains(part), "{part}: {said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_costs_too_much_is_paused_and_nobody_else_is() {
    let house = house("brakes: { usd: \"3\" }\n").await;
    let ((key, id), other) = (house.mint(json!({ "team": "red" })).await, house.key("red").await);
    let dear = Session::of(&house, &key, "dear");
    assert_eq!([dear.spends(TWO_DOLLARS).await, dear.spends(TWO_DOLLARS).await], [200, 200]);
    let served = house.simulator.record().served().requests;
    is_paused(&dear.ask("more", "").await, 900, "it cost $4.00 within 10 minutes, and $3.00 is the most");
    assert_eq!(house.simulator.record().served().requests, served, "nothing goes upstream");

    let others = [
        Session::of(&house, &key, "cheap"),
        Session::of(&house, &other, "dear"),
        Session::without_name(&house, &key),
    ];
    for session in &others {
        assert_eq!(session.ask("more", "").await.status, 200, "{:?}", session.headers);
    }
    let headers: Vec<_> = dear.headers.iter().map(String::as_str).collect();
    let count = r#"{"model":"claude-opus-5-5","messages":[{"role":"user","content":"hi"}]}"#;
    let counted = post(house.address(), "/v1/messages/count_tokens", &headers, count).await;
    assert_eq!(counted.status, 200, "counting is free");

    let paused = house.wait_for("session_paused", 1).await;
    assert_eq!((&paused[0]["by"], &paused[0]["session"]), (&json!("brake"), &json!("dear")));
    assert_eq!((&paused[0]["key"], &paused[0]["scope"]["team"]), (&json!(id), &json!("red")));
    assert_eq!(paused[0]["why"], why(&dear.ask("more", "").await), "the words that the client was shown");
    let denied = house.wait_for("denied", 2).await;
    assert!(
        denied.iter().all(|entry| entry["code"] == "session_paused" && entry["key"] == json!(id)),
        "{denied:#?}"
    );
    assert_eq!(house.entries("session_paused").len(), 1, "a pause is recorded once");
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_runs_when_its_session_is_paused_runs_to_its_end() {
    let house = house("brakes: { usd: \"1\" }\n").await;
    let key = house.key("red").await;
    let session = Session::of(&house, &key, "dear");
    let streamed = body("long").replace("{\"model\"", "{\"stream\":true,\"model\"");
    let slow = "x-simulator: events=20;pace_ms=40".to_owned();
    let headers: Vec<_> = session.headers.iter().chain([&slow]).map(String::as_str).collect();
    let head = client::head("POST", "/v1/messages", &headers, Some(streamed.len()));
    let mut running = Connection::open(house.address()).await;
    running.send(format!("{head}{streamed}").as_bytes()).await;
    running.until(b"message_start").await;
    assert_eq!(session.spends(TWO_DOLLARS).await, 200);
    assert_eq!(session.spends("").await, 429);
    running.until(b"message_stop").await;
    let settled = house.wait_for("settled", 2).await;
    assert_eq!(settled[1]["outcome"], "complete");
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_repeats_itself_is_paused_at_the_request_that_is_too_many() {
    let house = house("brakes: { repeats: 3, pause: 1h }\n").await;
    let key = house.key("red").await;
    let session = Session::of(&house, &key, "loop");
    for prompt in ["again", "once", "again", "twice", "again", "once"] {
        assert_eq!(session.ask(prompt, "").await.status, 200, "{prompt}");
    }
    // Neither another session nor a client that names none has sent it before.
    for session in [Session::of(&house, &key, "other"), Session::without_name(&house, &key)] {
        assert_eq!(session.ask("again", "").await.status, 200);
    }
    let too_many = session.ask("again", "").await;
    is_paused(&too_many, 3600, "it sent the same request 4 times within 10 minutes");
    is_paused(&session.ask("something else", "").await, 3600, "4 times");
    house.wait_for("session_paused", 1).await;
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn coming_again_as_a_limit_tells_it_to_is_no_repetition() {
    let limit = "allowances:\n  - { name: rpm, requests: 120, per: minute, burst: 1 }\n";
    let house = house(&format!("{limit}brakes: {{ repeats: 2 }}\n")).await;
    let key = house.key("red").await;
    let session = Session::of(&house, &key, "patient");
    assert_eq!(session.ask("first", "").await.status, 200);
    let mut refused = 0;
    while session.ask("second", "").await.status == 429 {
        refused += 1;
        assert!(refused < 500, "never served: {:#?}", house.entries("denied").pop());
        sleep(Duration::from_millis(20)).await;
    }
    assert!(refused > 2, "{refused}");
    assert_eq!(house.entries("session_paused"), Vec::<Value>::new());
    let codes: Vec<_> = house.entries("denied").into_iter().map(|entry| entry["code"].clone()).collect();
    assert!(codes.iter().all(|code| code == "rate_limited"), "{codes:?}");
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_is_paused_takes_nothing_of_any_allowance() {
    let allowances =
        "allowances:\n  - { name: day, requests: 3, per: day }\n  - { name: single, concurrent: 1 }\n";
    let house = house(&format!("{allowances}brakes: {{ repeats: 2 }}\n")).await;
    let key = house.key("red").await;
    let session = Session::of(&house, &key, "loop");
    for expected in [200, 200, 429, 429] {
        assert_eq!(session.ask("again", "").await.status, expected);
    }
    let other = Session::of(&house, &key, "other");
    assert_eq!(other.ask("again", "").await.status, 200, "the third of the day, and the only one that runs");
    let fourth = other.ask("once", "").await;
    assert!(why(&fourth).contains("`day`") && why(&fourth).contains("3 requests used"), "{}", why(&fourth));
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_suddenly_costs_far_more_than_before_is_paused() {
    let house = house("brakes: { window: 1s, rising_percent: 400, rising_floor_usd: \"1\" }\n").await;
    let key = house.key("red").await;
    let [steady, small, fresh] = ["steady", "small", "fresh"].map(|name| Session::of(&house, &key, name));
    // Twenty cents and two a second, for as long as it takes to know what is usual.
    for _ in 0..11 {
        assert_eq!(steady.spends("usage=in:0,out:5000").await, 200);
        assert_eq!(small.spends("usage=in:0,out:500").await, 200);
        sleep(Duration::from_millis(450)).await;
    }
    for session in [&steady, &small, &fresh] {
        let directive = if session.headers == small.headers { "usage=in:0,out:25000" } else { TWO_DOLLARS };
        assert_eq!(session.spends(directive).await, 200);
    }
    let paused = steady.ask("more", "").await;
    is_paused(&paused, 900, "in its windows before on average");
    assert_eq!(small.spends("").await, 200, "far more than before, and yet little");
    assert_eq!(fresh.spends("").await, 200, "nobody knows what is usual for it");
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pause_ends_by_itself_and_the_session_is_seen_with_new_eyes() {
    let house = house("brakes: { usd: \"3\", pause: 1s }\n").await;
    let key = house.key("red").await;
    let session = Session::of(&house, &key, "dear");
    assert_eq!([session.spends(TWO_DOLLARS).await, session.spends(TWO_DOLLARS).await], [200, 200]);
    let paused = session.ask("more", "").await;
    assert_eq!((paused.status, paused.header("retry-after")), (429, Some("1")), "{}", paused.text());
    sleep(Duration::from_secs(1)).await;
    assert_eq!(session.spends(TWO_DOLLARS).await, 200, "who waits as long as told is served");
    assert_eq!(session.spends(TWO_DOLLARS).await, 200, "what it cost before counts no more");
    assert_eq!(session.spends("").await, 429);
    house.wait_for("session_paused", 2).await;
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pause_outlives_a_restart_whatever_the_session_is_called() {
    let folder = tempfile::tempdir().unwrap();
    let plan = Plan {
        data: Some(folder.path().join("data")),
        config: "brakes: { usd: \"1\" }\n".into(),
        ..Plan::default()
    };
    let long = "x".repeat(5000);
    let names = ["dear", "a, b; c=\"d\"", "\u{fc}ber\u{1f980}", &long];
    let first = House::build(plan.clone()).await;
    let key = first.key("red").await;
    let mut told = Vec::new();
    for name in names {
        let session = Session::of(&first, &key, name);
        assert_eq!(session.spends(TWO_DOLLARS).await, 200, "{name}");
        told.push(why(&session.ask("more", "").await));
    }
    first.wait_for("session_paused", names.len()).await;
    first.close().await;

    let second = House::build(Plan { config: String::new(), ..plan }).await;
    for (name, told) in names.into_iter().zip(told) {
        let answer = Session::of(&second, &key, name).ask("more", "").await;
        is_paused(&answer, 900, "it cost $2.00 within 10 minutes, and $1.00 is the most");
        assert_eq!(why(&answer), told, "{name}");
    }
    assert_eq!(Session::of(&second, &key, "cheap").ask("more", "").await.status, 200);
    second.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_with_an_empty_name_is_none() {
    let house = house("brakes: { usd: \"1\", repeats: 2 }\n").await;
    let key = house.key("red").await;
    for name in ["", " "] {
        let session = Session::of(&house, &key, name);
        for _ in 0..4 {
            assert_eq!(session.ask("again", TWO_DOLLARS).await.status, 200, "{name:?}");
        }
    }
    assert!(house.entries("admitted").iter().all(|entry| entry.get("session").is_none()));
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_changes_the_brakes_and_ends_no_pause() {
    let house = house("").await;
    let key = house.key("red").await;
    let [one, two] = ["one", "two"].map(|name| Session::of(&house, &key, name));
    for session in [&one, &two] {
        assert_eq!([session.spends(TWO_DOLLARS).await, session.spends(TWO_DOLLARS).await], [200, 200]);
    }
    let with = |brakes: &str| format!("{}brakes: {brakes}\n", house.text);
    house.reload(&with("{ usd: \"3\" }")).await.unwrap();
    // What was spent while nobody looked does not count.
    assert_eq!([one.spends(TWO_DOLLARS).await, two.spends(TWO_DOLLARS).await], [200, 200]);
    assert_eq!([one.spends(TWO_DOLLARS).await, one.spends("").await], [200, 429]);
    // What was seen by other brakes with the same window counts.
    house.reload(&with("{ usd: \"5\" }")).await.unwrap();
    assert_eq!([two.spends(TWO_DOLLARS).await, two.spends(TWO_DOLLARS).await], [200, 200]);
    assert_eq!([one.spends("").await, two.spends("").await], [429, 429]);
    house.wait_for("session_paused", 2).await;
    house.reload(&house.text).await.unwrap();
    assert_eq!([one.spends("").await, two.spends("").await], [429, 429]);
    let three = Session::of(&house, &key, "three");
    for _ in 0..4 {
        assert_eq!(three.spends(TWO_DOLLARS).await, 200, "without brakes nobody is paused");
    }
    house.close().await;
}
