//! The zoo beside itself: a faithful gateway is like another, and each habit shows in the rule that is about it.

use std::collections::BTreeSet;

use tollgate_simulator::{
    Config, Script, Simulator,
    zoo::{Animal, Cage},
};

use super::{Asked, Shadow, Side, builtin, models, read};
use crate::{
    dial::Way,
    finding::{Outcome, Severity},
};

const MODEL: &str = "claude-haiku-5-5";

/// The rules, but for notes, that differ and that could not be told when an animal takes the place of another.
async fn run(
    old: &str,
    new: &str,
    asked: &[Asked],
    script: &str,
) -> (BTreeSet<&'static str>, BTreeSet<&'static str>) {
    let script = Script::parse(script).unwrap();
    let upstream = Simulator::start(Config { script, ..Config::default() }).await.unwrap();
    let cages = [old, new].map(|name| Cage::start(Animal::named(name).unwrap(), upstream.addr()));
    let [old, new] = cages;
    let (old, new) = (old.await.unwrap(), new.await.unwrap());
    let side = |cage: &Cage| Side {
        way: Way::to(cage.url().parse().unwrap()),
        token: Some(cage.client_token().parse().unwrap()),
    };
    let mut shadow = Shadow::new(side(&old), side(&new));
    shadow.ask(&models(), 1).await;
    assert!(!shadow.is_unreachable());
    for one in asked {
        shadow.ask(one, 2).await;
    }
    let findings = shadow.findings();
    let of = |wanted: fn(&Outcome) -> bool| {
        let matter = findings.iter().filter(|finding| finding.rule.severity != Severity::Note);
        matter.filter(|finding| wanted(&finding.outcome)).map(|finding| finding.rule.id).collect()
    };
    (of(|outcome| matches!(outcome, Outcome::Fail(_))), of(|outcome| matches!(outcome, Outcome::Unknown)))
}

/// Requests whose answers the simulator is told in their prompts.
fn directed(directives: &[&str]) -> Vec<Asked> {
    let line = |directive: &&str| {
        format!(
            r#"{{"method":"POST","path":"/v1/messages","headers":{{"anthropic-version":"2023-06-01"}},"body":{{"model":"{MODEL}","max_tokens":9,"stream":true,"messages":[{{"role":"user","content":"[[sim: {directive}]] x"}}]}}}}"#
        )
    };
    read(&directives.iter().map(line).collect::<Vec<_>>().join("\n")).unwrap()
}

#[tokio::test]
async fn each_habit_shows_in_the_rule_that_is_about_it() {
    let plain = r#"{"rules":[]}"#;
    // As a provider that refuses a field without its beta.
    let betas = r#"{"rules":[{"match":{"path":"/v1/messages*","header":{"anthropic-beta":"*"}},"do":"text=a"},
        {"match":{"path":"/v1/messages*"},"do":"status=400"}]}"#;
    let rows: [(&str, &str, &[&str]); 11] = [
        ("faithful", plain, &[]),
        ("wraps-errors", plain, &["shadow.error"]),
        ("html-errors", plain, &["shadow.error", "shadow.type"]),
        ("strips-beta", betas, &["shadow.status", "shadow.message"]),
        ("flattens-system", plain, &["shadow.tokens"]),
        ("no-models", plain, &["shadow.status"]),
        ("no-count-tokens", plain, &["shadow.status"]),
        ("answers-201", plain, &["shadow.status"]),
        ("drops-request-id", plain, &["shadow.headers"]),
        ("no-stream", plain, &["shadow.type"]),
        (
            "everything-200-stub",
            plain,
            &[
                "shadow.answer",
                "shadow.events",
                "shadow.headers",
                "shadow.model",
                "shadow.models",
                "shadow.status",
                "shadow.stop",
                "shadow.tokens",
            ],
        ),
    ];
    // Streams without pauses are too short; where every status differs, nothing else is compared.
    let may_be_untold = ["shadow.arrival", "shadow.answer"];
    let mut wrong = Vec::new();
    for (animal, script, expected) in rows {
        let (differs, untold) = run("faithful", animal, &builtin(MODEL, "n-1"), script).await;
        let expected: BTreeSet<_> = expected.iter().copied().collect();
        if differs != expected || !untold.iter().all(|rule| may_be_untold.contains(rule)) {
            wrong.push(format!("{animal}: {differs:?} differ, {untold:?} can not be told"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[tokio::test]
async fn what_a_prompt_directs_shows_in_retries_and_in_streams() {
    let rows: [(&str, &str, &[&str], &[&str]); 8] = [
        ("faithful", "status=529; retry_after=3", &[], &["shadow.status"]),
        ("drops-retry-after", "status=529; retry_after=3", &["shadow.headers"], &["shadow.status"]),
        ("drops-retry-after", "status=429; retry_after=3", &["shadow.headers"], &["shadow.status"]),
        ("rewrites-429-to-503", "status=429", &[], &["shadow.status"]),
        ("clean-ends-cut-streams", "events=6; cut=4", &["shadow.end"], &["shadow.answer"]),
        ("drops-error-events", "events=6; error_event", &["shadow.events"], &["shadow.arrival"]),
        ("buffers-whole", "events=6; pace_ms=120", &["shadow.arrival"], &[]),
        ("faithful", "events=6; pace_ms=120", &[], &[]),
    ];
    let mut wrong = Vec::new();
    for (animal, directive, differs, untold) in rows {
        let found = run("faithful", animal, &directed(&[directive]), r#"{"rules":[]}"#).await;
        if found != (differs.iter().copied().collect(), untold.iter().copied().collect()) {
            wrong.push(format!("{animal}, {directive}: {found:?}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[tokio::test]
async fn what_comes_and_goes_on_one_side_can_not_be_told() {
    let script = r#"{"rules":[{"match":{"path":"/v1/messages","nth":{"every":4}},"do":"status=500"}]}"#;
    let asked = directed(&["text=a"]).into_iter().map(|mut asked| {
        asked.ask.body = String::from_utf8_lossy(&asked.ask.body).replace("[[sim: text=a]] ", "").into();
        asked
    });
    let (differs, untold) = run("faithful", "faithful", &asked.collect::<Vec<_>>(), script).await;
    assert!(differs.is_empty() && untold.contains("shadow.status"), "{differs:?} {untold:?}");
}

#[tokio::test]
async fn a_key_of_the_api_goes_where_the_api_takes_it_and_any_other_credential_into_authorization() {
    let upstream = Simulator::start(Config::default()).await.unwrap();
    let side = |token: &str| Side {
        way: Way::to(upstream.url().parse().unwrap()),
        token: Some(token.parse().unwrap()),
    };
    let mut shadow = Shadow::new(side("sk-ant-api03-a"), side("sk-a"));
    shadow.ask(&models(), 1).await;
    let sent = upstream.record().requests();
    let has = |name: &str, value: &str| sent.iter().filter(|seen| seen.header(name) == Some(value)).count();
    assert_eq!((has("x-api-key", "sk-ant-api03-a"), has("authorization", "Bearer sk-a")), (1, 1));
    assert!(
        sent.iter().all(|seen| seen.header("x-api-key").is_none() || seen.header("authorization").is_none())
    );
}
