//! Looks at what becomes of the upstream's errors, and at the gateway's own limits.

use super::{
    bodies::{is_envelope, is_same},
    rules::{LIMIT_SHAPE, ONCE, RETRY_AFTER, SUCCESS, VERBATIM},
    scene::{Scene, Trial, beginning},
};
use crate::finding::{Finding, Ground::Proven};

/// The statuses of the API's errors (<https://platform.claude.com/docs/en/api/errors>).
const STATUSES: [u16; 11] = [400, 402, 403, 404, 409, 413, 429, 500, 503, 504, 529];
/// The longest wait that Claude Code obeys.
const WAIT_SECONDS: u64 = 60;

/// Every error of the upstream: its body, its status, how often it was asked for.
pub(super) async fn all(scene: &Scene) -> Vec<Finding> {
    let mut trials = Vec::new();
    for status in STATUSES {
        let directives = format!(
            "status={status}; message=\"prompt is too long: 210000 tokens > 200000 maximum ({status}) \\u00e9 <b>\"; \
             error_code=check_detail; should_retry=false"
        );
        trials.push((status, scene.ask(scene.message(&directives)).await));
    }
    let plain = scene.ask(scene.message("")).await;
    vec![verbatim(&trials), statuses(&trials, &plain), once(&trials)]
}

fn verbatim(trials: &[(u16, Trial)]) -> Finding {
    for (status, trial) in trials {
        let (answer, seen) = match trial.both(&VERBATIM, &format!("a request for an error {status}")) {
            Ok(both) => both,
            Err(finding) => return *finding,
        };
        if !is_same(&answer.body(), seen.answer.body_sha256.as_deref()) {
            let says = format!("the body of an error {status} is not the one that the upstream sent");
            return trial.explain(Finding::fail(&VERBATIM, Proven, says));
        }
    }
    Finding::pass(&VERBATIM, Proven, format!("the bodies of {} kinds arrive as they were sent", trials.len()))
}

fn statuses(trials: &[(u16, Trial)], plain: &Trial) -> Finding {
    let expected = trials.iter().map(|(status, trial)| (*status, trial)).chain([(200, plain)]);
    for (status, trial) in expected {
        let answer = match trial.both(&SUCCESS, &format!("a request for status {status}")) {
            Ok((answer, _)) => answer,
            Err(finding) => return *finding,
        };
        if answer.status != status {
            let says = format!("the upstream's status {status} becomes {}", answer.status);
            return trial.explain(Finding::fail(&SUCCESS, Proven, says));
        }
        if status == 200 && is_envelope(&answer.body()) {
            let says = "an answer with status 200 holds an error";
            return trial.explain(Finding::fail(&SUCCESS, Proven, says));
        }
    }
    Finding::pass(&SUCCESS, Proven, "the upstream's statuses are the client's")
}

fn once(trials: &[(u16, Trial)]) -> Finding {
    let repeated = trials.iter().find(|(_, trial)| trial.arrived.len() > 1);
    match repeated {
        Some((status, trial)) => {
            let says = format!("a request that fails with {status} is sent {} times", trial.arrived.len());
            trial.explain(Finding::fail(&ONCE, Proven, says))
        }
        None if trials.iter().all(|(_, trial)| trial.arrived.is_empty()) => {
            Finding::unknown(&ONCE, "no request that fails reached the upstream")
        }
        None => Finding::pass(&ONCE, Proven, "a request that fails is sent once"),
    }
}

/// The headers by which clients decide whether and when to try again.
pub(super) async fn retry_after(scene: &Scene) -> Finding {
    let rows = [
        ("status=429; retry_after=7; should_retry=true", 429, "7", "true"),
        ("status=529; retry_after=31; should_retry=false", 529, "31", "false"),
    ];
    for (directives, status, retry_after, should_retry) in rows {
        let trial = scene.ask(scene.message(directives)).await;
        let (answer, seen) = match trial.both(&RETRY_AFTER, &format!("a request for an error {status}")) {
            Ok(both) => both,
            Err(finding) => return *finding,
        };
        let request_id = seen.answer.request_id.as_deref();
        let expected = [
            ("retry-after", Some(retry_after)),
            ("x-should-retry", Some(should_retry)),
            ("request-id", request_id),
        ];
        let lost = expected.into_iter().find(|(name, value)| answer.header(name) != *value);
        if let Some((name, value)) = lost {
            let arrived = answer.header(name);
            let how = if arrived.is_some() { "changed" } else { "dropped" };
            return Finding::fail(&RETRY_AFTER, Proven, format!("{name} of an error {status} is {how}"))
                .with("sent by the upstream", format!("{name}: {}", value.unwrap_or("none")))
                .with("answered", format!("{name}: {}", arrived.unwrap_or("none")));
        }
    }
    Finding::pass(&RETRY_AFTER, Proven, "retry-after, x-should-retry and request-id arrive")
}

/// The form of the limits that were met in the whole run, if any was.
pub(super) fn limits(scene: &Scene) -> Option<Finding> {
    let notes = scene.notes();
    let answer = notes.limits.first()?;
    let wait = answer.header("retry-after").map(|value| value.trim().parse::<u64>());
    let says = match wait {
        None => "a limit of the gateway says no retry-after".to_owned(),
        Some(Err(_)) => "the retry-after of a limit of the gateway is no whole number of seconds".to_owned(),
        Some(Ok(seconds)) if seconds > WAIT_SECONDS => {
            format!("a limit of the gateway says to wait {seconds} s, and Claude Code waits 60 s at most")
        }
        Some(Ok(_)) if !is_envelope(&answer.body()) => {
            "a limit of the gateway is told in a form that is not the API's".to_owned()
        }
        Some(Ok(_)) => {
            return Some(Finding::pass(
                &LIMIT_SHAPE,
                Proven,
                "the limits that were met say how long to wait",
            ));
        }
    };
    let finding = Finding::fail(&LIMIT_SHAPE, Proven, says);
    let head = format!("status 429, retry-after: {}", answer.header("retry-after").unwrap_or("none"));
    Some(finding.with("answered", format!("{head}: {}", beginning(&answer.body()))))
}
