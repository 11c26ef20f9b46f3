//! `tollgate check rate-limit` against every limiter of the zoo.

use std::{
    collections::BTreeSet,
    net::{SocketAddr, TcpListener},
    time::Duration,
};

use serde_json::Value;
use tokio::{runtime::Runtime, task::JoinSet};
use tollgate_simulator::zoo::{ANIMALS, Animal, Cage, Terms};

use crate::run::{Ran, Server, ran, tollgate};

/// The minute of the zoo, so that nobody waits for a whole one.
const MINUTE: Duration = Duration::from_secs(8);
/// Requests in it.
const RPM: u32 = 100;
/// The most requests that any of its limits takes to be found.
const MOST_REQUESTS: u64 = 480;

const TOKENS: [&str; 2] = ["canary-client-1-0123456789", "canary-client-2-0123456789"];

/// An address where nothing listens, for a probe to take.
fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

fn terms() -> Terms {
    let client_tokens = TOKENS.map(str::to_owned).to_vec();
    Terms { client_tokens, minute: MINUTE, rpm: RPM, tokens_per_minute: 10_000, ..Terms::default() }
}

/// The command with two credentials from the environment, away from any proxy.
fn rate_limit(url: &str, more: &[&str]) -> std::process::Command {
    let mut command = tollgate(&["check", "rate-limit", "--url", url, "--token-env", "CHECK_TOKEN"]);
    command.args(["--model", "claude-haiku-5-5", "--second-token-env", "SECOND_TOKEN"]).args(more);
    command.env("CHECK_TOKEN", TOKENS[0]).env("SECOND_TOKEN", TOKENS[1]).env("NO_PROXY", "*");
    command
}

/// Looks for the limit of an animal.
async fn look(animal: &'static Animal) -> (&'static Animal, Ran) {
    let probe = free_address();
    let cage = Cage::start_on(animal, probe, terms()).await.unwrap();
    if animal.name == "clock-window" {
        // Its windows begin with it: the first request is to come in the middle of one.
        tokio::time::sleep(MINUTE / 2).await;
    }
    let claim = if animal.name == "tokens-per-minute" { ["--tpm", "10000"] } else { ["--rpm", "100"] };
    let probe = probe.to_string();
    let more = ["--window", "8s", "--probe-listen", &probe, "--format", "json"];
    let mut command = rate_limit(&cage.url(), &[&claim[..], &more[..]].concat());
    let looked = tokio::task::spawn_blocking(move || ran(command.output().unwrap())).await.unwrap();
    cage.stop().await;
    (animal, looked)
}

fn rows(looked: &Ran) -> Vec<Value> {
    let report: Value = serde_json::from_str(&looked.out).unwrap_or_else(|_| panic!("{}", looked.err));
    report["findings"].as_array().unwrap().clone()
}

fn with_outcome(looked: &Ran, outcome: &str) -> BTreeSet<String> {
    let rows = rows(looked).into_iter().filter(|row| row["outcome"] == outcome);
    rows.map(|row| row["rule"].as_str().unwrap().to_owned()).collect()
}

fn says(looked: &Ran, rule: &str) -> String {
    let row = rows(looked).into_iter().find(|row| row["rule"] == rule).unwrap();
    row["says"].as_str().unwrap().to_owned()
}

/// What the figure must say of each animal.
fn kind(animal: &Animal) -> &'static str {
    match animal.name {
        "fixed-window" => "(a fixed window)",
        "clock-window" => "(a window by the clock)",
        "token-bucket" | "gcra" => "(a bucket)",
        "tokens-per-minute" => "10000 tokens in",
        "limits-concurrency" => "10 requests at once, whatever their rate; no limit found up to 220 requests",
        "counts-refused" => "(a sliding window, in which refused requests count)",
        "limits-per-connection" => "each connection is counted by itself",
        "over-admits" => "120 requests in",
        "under-admits" => "50 requests in",
        _ => "(a sliding window)",
    }
}

#[test]
fn every_limiter_of_the_zoo_is_found_and_fails_as_its_table_says() {
    let limiters: Vec<_> = ANIMALS.iter().filter(|animal| animal.limits()).collect();
    assert!(limiters.len() >= 15);
    let runtime = Runtime::new().unwrap();
    let at_once =
        runtime.block_on(async { limiters.into_iter().map(look).collect::<JoinSet<_>>().join_all().await });
    for (animal, looked) in at_once {
        assert!(!format!("{}{}", looked.out, looked.err).contains("canary"), "{}", animal.name);
        // Limits are measured by the clock, which a machine that does much else at the same time may spoil.
        if wrong(animal, &looked).is_some() {
            let (_, alone) = runtime.block_on(look(animal));
            let wrong = wrong(animal, &alone);
            assert!(wrong.is_none(), "{}: {}: {}{}", animal.name, wrong.unwrap(), alone.out, alone.err);
        }
    }
}

/// What is not as it should be in what was found of an animal.
fn wrong(animal: &Animal, looked: &Ran) -> Option<String> {
    let (failed, unknown) = (with_outcome(looked, "fail"), with_outcome(looked, "unknown"));
    let fails: BTreeSet<String> = animal.fails.iter().map(|rule| (*rule).to_owned()).collect();
    let may_be_unknown = match animal.name {
        // Nothing was refused while it was still waited for.
        "limits-per-connection" => &["limit.isolation", "limit.retry_after"][..],
        "429-without-retry-after" | "limits-concurrency" => &["limit.retry_after"],
        _ => &[],
    };
    let status = i32::from(fails.iter().any(|rule| rule != "limit.shape"));
    let report: Value = serde_json::from_str(&looked.out).unwrap();
    let sent = report["findings"][0]["evidence"].as_array().unwrap().last().unwrap();
    let sent: u64 = sent["text"].as_str().unwrap().split(' ').next().unwrap().parse().unwrap();
    let figure = says(looked, "limit.figure");
    let rows = [
        (failed != fails, format!("fails {failed:?}")),
        (!unknown.iter().all(|rule| may_be_unknown.contains(&rule.as_str())), format!("unknown {unknown:?}")),
        (!figure.contains(kind(animal)), figure),
        (looked.status != status, format!("status {}", looked.status)),
        (sent > MOST_REQUESTS, format!("{sent} requests")),
    ];
    rows.into_iter().find_map(|(is_wrong, says)| is_wrong.then_some(says))
}

#[test]
fn a_gateway_that_refuses_nothing_is_asked_so_often_and_no_more() {
    let runtime = Runtime::new().unwrap();
    let probe = free_address();
    let faithful = Animal::named("faithful").unwrap_or(&ANIMALS[0]);
    let cage = runtime.block_on(Cage::start_on(faithful, probe, terms())).unwrap();
    let more = ["--rpm", "50", "--window", "1s", "--probe-listen", &probe.to_string(), "--format", "json"];
    let looked = ran(rate_limit(&cage.url(), &more).output().unwrap());
    assert_eq!(looked.status, 1, "{}{}", looked.out, looked.err);
    let figure = says(&looked, "limit.figure");
    assert!(figure.starts_with("no limit found up to 120 requests in "), "{figure}");
    assert_eq!(with_outcome(&looked, "fail"), BTreeSet::from(["limit.figure".to_owned()]));
}

#[test]
fn no_more_is_sent_than_was_allowed_and_too_little_tells_nothing() {
    let runtime = Runtime::new().unwrap();
    let animal = Animal::named("fixed-window").unwrap();
    for (rpm, most) in [(30, 10), (3, 10)] {
        let probe = free_address();
        let terms = Terms { minute: Duration::from_secs(600), rpm, ..terms() };
        let cage = runtime.block_on(Cage::start_on(animal, probe, terms)).unwrap();
        let probe = probe.to_string();
        let more = ["--rpm", "30", "--window", "600s", "--probe-listen", &probe, "--format", "json"];
        let most_requests = most.to_string();
        let more = [&more[..], &["--max-requests", &most_requests]].concat();
        let looked = ran(rate_limit(&cage.url(), &more).output().unwrap());
        assert_eq!(looked.status, 2, "{}{}", looked.out, looked.err);
        assert!(with_outcome(&looked, "unknown").contains("limit.figure"), "{}", looked.out);
        let report: Value = serde_json::from_str(&looked.out).unwrap();
        let sent = report["findings"][0]["evidence"][0]["text"].as_str().unwrap();
        let sent: u64 = sent.split(' ').next().unwrap().parse().unwrap();
        assert!(sent <= most, "{}", looked.out);
    }
}

#[test]
fn a_larger_limit_that_all_connections_share_is_not_taken_for_one_of_each() {
    let runtime = Runtime::new().unwrap();
    let probe = free_address();
    let larger = Terms { minute: Duration::from_secs(600), rpm: 140, ..terms() };
    let animal = Animal::named("fixed-window").unwrap();
    let cage = runtime.block_on(Cage::start_on(animal, probe, larger)).unwrap();
    let more = ["--rpm", "50", "--window", "600s", "--probe-listen", &probe.to_string(), "--format", "json"];
    let looked = ran(rate_limit(&cage.url(), &more).output().unwrap());
    assert_eq!(looked.status, 1, "{}{}", looked.out, looked.err);
    let figure = says(&looked, "limit.figure");
    assert!(figure.starts_with("no limit found up to 120 requests in "), "{figure}");
}

#[test]
fn whoever_stops_it_gets_what_is_known() {
    let runtime = Runtime::new().unwrap();
    let probe = free_address();
    let slow = Terms { minute: Duration::from_secs(600), rpm: 5, ..terms() };
    let animal = Animal::named("fixed-window").unwrap();
    let cage = runtime.block_on(Cage::start_on(animal, probe, slow)).unwrap();
    let more = ["--rpm", "5", "--window", "600s", "--probe-listen", &probe.to_string()];
    let server = Server::start(rate_limit(&cage.url(), &more));
    server.line("at most 425 requests, and from the first refusal on at most 81 minutes");
    server.line("requests: 20 of");
    server.line("waiting until something is let in again, ");
    server.signal("INT");
    server.line("the answer is a part of one");
    let figure = server.line("Figure: ");
    assert!(figure.contains("it was stopped; 5 requests were let in and "), "{figure}");
    let kept = server.line("Isolation: ");
    assert!(kept.contains("PASS"), "{kept}");
    assert_eq!(server.end().code(), Some(2));
}

#[test]
fn a_live_provider_costs_no_more_than_was_allowed_and_a_bad_answer_ends_it() {
    let runtime = Runtime::new().unwrap();
    let dear = ["--rpm", "100", "--max-cost", "0.0001"];
    let refused = ran(rate_limit("http://127.0.0.1:9", &dear).output().unwrap());
    assert_eq!(refused.status, 3, "{}{}", refused.out, refused.err);
    assert!(refused.err.contains("--max-cost is $0.0001"), "{}", refused.err);

    let gone = ran(rate_limit("http://127.0.0.1:9", &["--rpm", "10"]).output().unwrap());
    assert_eq!(gone.status, 4, "{}{}", gone.out, gone.err);
    assert!(gone.out.contains("UNKNOWN - Figure: 127.0.0.1:9 takes no connection"), "{}", gone.out);

    let stranger = Terms { client_tokens: vec!["another".to_owned()], ..terms() };
    let probe = free_address();
    let cage = runtime.block_on(Cage::start_on(&ANIMALS[0], probe, stranger)).unwrap();
    let more = ["--rpm", "10", "--probe-listen", &probe.to_string()];
    let unknown = ran(rate_limit(&cage.url(), &more).output().unwrap());
    assert_eq!(unknown.status, 2, "{}{}", unknown.out, unknown.err);
    assert!(unknown.out.contains("a request is answered with status 401"), "{}", unknown.out);
}
