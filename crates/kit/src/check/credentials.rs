//! Looks at credentials: which are accepted, which are refused, and that none is where it does not belong.

use std::collections::BTreeSet;

use tollgate_simulator::Seen;

use super::{
    bodies::is_envelope,
    endpoints::is_message,
    question::Credential,
    rules::{API_KEY, BOTH, ENVELOPE, LEAK, NONE, REFUSED, SHOULD_RETRY, STATUS, SWAP, TWO},
    scene::{Scene, Trial},
};
use crate::{
    finding::{Finding, Ground, Ground::Proven, Rule},
    token::Token,
};

/// Headers in which a request carries a credential for an upstream.
const CARRIERS: [&str; 4] = ["authorization", "x-api-key", "api-key", "x-goog-api-key"];

/// A credential in this place is accepted.
async fn accepted(scene: &Scene, rule: &'static Rule, credential: Credential, ground: Ground) -> Finding {
    let trial = scene.ask(scene.message("").credential(credential)).await;
    let finding = match &trial.answer {
        Ok(answer) if answer.status == 200 && is_message(&answer.body()) => {
            Finding::pass(rule, ground, "it is accepted there")
        }
        Ok(answer) if answer.status == 429 => Finding::unknown(rule, "a limit refuses the request"),
        Ok(answer) => Finding::fail(rule, ground, format!("it is answered with status {}", answer.status)),
        Err(fault) => Finding::fail(rule, ground, format!("no answer comes: {fault}")),
    };
    trial.explain(finding)
}

/// The credential in `x-api-key`.
pub(super) async fn api_key(scene: &Scene, ground: Ground) -> Finding {
    accepted(scene, &API_KEY, Credential::Key, ground).await
}

/// The same in both.
pub(super) async fn both(scene: &Scene, ground: Ground) -> Finding {
    accepted(scene, &BOTH, Credential::Both, ground).await
}

/// What becomes of requests without a good credential.
pub(super) async fn refusals(scene: &Scene, first: &Trial, ground: Ground) -> Vec<Finding> {
    let bad = scene.ask(scene.message("").credential(Credential::Bad)).await;
    let none = scene.ask(scene.message("").credential(Credential::None)).await;
    let mut findings = vec![
        like_all(&STATUS, first, &bad).unwrap_or_else(|| status(&bad, ground)),
        like_all(&REFUSED, first, &bad).unwrap_or_else(|| refused(&REFUSED, &bad, ground)),
        like_all(&NONE, first, &none).unwrap_or_else(|| refused(&NONE, &none, ground)),
    ];
    findings.extend(form_of_refusal(&bad, ground));
    findings
}

/// A gateway that fails the right credential in the same way shows nothing about this one.
fn like_all(rule: &'static Rule, first: &Trial, trial: &Trial) -> Option<Finding> {
    let status = first.status().filter(|status| *status >= 404 && Some(*status) == trial.status())?;
    let says = format!("the right credential is answered with status {status} too");
    Some(trial.explain(Finding::unknown(rule, says)))
}

/// The shape of the gateway's own refusal, and whether it says that it is final.
fn form_of_refusal(bad: &Trial, ground: Ground) -> [Finding; 2] {
    let own = bad.answer.as_ref().ok().filter(|answer| matches!(answer.status, 401 | 403));
    let Some(answer) = own.filter(|_| bad.arrived.is_empty()) else {
        let says = "the gateway refuses no credential with 401 or 403";
        return [Finding::unknown(&ENVELOPE, says), Finding::unknown(&SHOULD_RETRY, says)];
    };
    let envelope = match is_envelope(&answer.body()) {
        true => Finding::pass(&ENVELOPE, ground, "the refusal has the API's form"),
        false => Finding::fail(&ENVELOPE, ground, "the refusal has another form than the API's"),
    };
    let should_retry = match answer.header("x-should-retry") {
        Some("false") => Finding::pass(&SHOULD_RETRY, ground, "the refusal says that it is final"),
        _ if answer.status == 403 => Finding::pass(&SHOULD_RETRY, ground, "clients do not try 403 again"),
        _ => Finding::fail(&SHOULD_RETRY, ground, "the refusal does not say that it is final"),
    };
    [bad.explain(envelope), bad.explain(should_retry)]
}

fn status(bad: &Trial, ground: Ground) -> Finding {
    let finding = match &bad.answer {
        Ok(answer) => match answer.status {
            status @ (401 | 403) => {
                Finding::pass(&STATUS, ground, format!("Gateway returns standard auth error: {status}"))
            }
            429 => Finding::unknown(&STATUS, "a limit refuses the request"),
            status => {
                let says = format!("a credential that nobody gave out is answered with status {status}");
                Finding::fail(&STATUS, ground, says)
            }
        },
        Err(fault) => Finding::fail(&STATUS, ground, format!("a bad credential gets no answer: {fault}")),
    };
    bad.explain(finding)
}

fn refused(rule: &'static Rule, trial: &Trial, ground: Ground) -> Finding {
    let finding = match trial.status() {
        _ if !trial.arrived.is_empty() => Finding::fail(rule, ground, "the request reaches the upstream"),
        Some(status @ (401 | 403)) => Finding::pass(rule, ground, format!("it is refused with {status}")),
        Some(429) => Finding::unknown(rule, "a limit refuses the request"),
        Some(status) => Finding::fail(rule, ground, format!("it is answered with status {status}")),
        None => Finding::fail(rule, ground, "it gets no answer"),
    };
    trial.explain(finding)
}

/// A client that carries a stray credential besides the right one. What it shows is in the record.
pub(super) async fn stray(scene: &Scene) {
    scene.ask(scene.message("").credential(Credential::Decoy)).await;
}

/// What all requests of the run show: no credential of the client goes on, one of the gateway does, and it comes back
/// nowhere.
pub(super) fn everywhere(scene: &Scene) -> Vec<Finding> {
    let record = scene.record();
    let seen = record.map(|record| record.requests()).unwrap_or_default();
    let api: Vec<&Seen> = seen.iter().filter(|seen| seen.target.starts_with("/v1/")).collect();
    if api.is_empty() {
        let says = "no request reached the upstream";
        return [&LEAK, &TWO, &SWAP].map(|rule| Finding::unknown(rule, says)).to_vec();
    }
    vec![leak(scene, &seen), two(&api), swap(scene, &upstream_credentials(scene, &seen))]
}

fn leak(scene: &Scene, seen: &[Seen]) -> Finding {
    let token = scene.token.as_ref().map(Token::reveal).unwrap_or_default().to_owned();
    let secrets = [("the client's credential", token), ("a stray credential of the client", scene.decoy())];
    for (what, secret) in secrets.iter().filter(|(_, secret)| !secret.is_empty()) {
        for seen in seen {
            let header = seen.headers.iter().find(|(_, value)| value.contains(secret));
            let place = match header {
                Some((name, _)) => format!("in {}", name.to_ascii_lowercase()),
                None if seen.target.contains(secret) => "in the URL".to_owned(),
                None => continue,
            };
            return Finding::fail(&LEAK, Proven, format!("{what} reaches the upstream {place}"))
                .with("reached the upstream", format!("{} {}", seen.method, seen.target));
        }
    }
    Finding::pass(&LEAK, Proven, format!("it is in none of {} requests to the upstream", seen.len()))
}

fn two(api: &[&Seen]) -> Finding {
    let mut least = usize::MAX;
    for seen in api {
        let carriers: Vec<&str> = seen
            .headers
            .iter()
            .filter(|(name, _)| CARRIERS.iter().any(|carrier| name.eq_ignore_ascii_case(carrier)))
            .map(|(name, _)| name.as_str())
            .collect();
        if carriers.len() > 1 {
            let says = format!("a request reaches the upstream with {} credentials", carriers.len());
            return Finding::fail(&TWO, Proven, says).with("reached the upstream", carriers.join(", "));
        }
        least = least.min(carriers.len());
    }
    match least {
        0 => Finding::fail(&TWO, Proven, "a request reaches the upstream without a credential"),
        _ => Finding::pass(&TWO, Proven, format!("each of {} requests carries exactly one", api.len())),
    }
}

/// What the gateway presents to the upstream, without what the client presented to it.
pub(super) fn upstream_credentials(scene: &Scene, seen: &[Seen]) -> BTreeSet<String> {
    let token = scene.token.as_ref().map(Token::reveal).unwrap_or_default();
    let values = seen.iter().flat_map(|seen| &seen.headers).filter_map(|(name, value)| {
        let carrier = CARRIERS.iter().any(|carrier| name.eq_ignore_ascii_case(carrier));
        let value = value.split_once(' ').map_or(value.as_str(), |(_, credential)| credential).trim();
        (carrier && value.len() >= 8 && value != token && !value.contains(token_or_none(token)))
            .then(|| value.to_owned())
    });
    values.collect()
}

/// A text that is in no other, where there is no token.
fn token_or_none(token: &str) -> &str {
    if token.is_empty() { "\0" } else { token }
}

fn swap(scene: &Scene, credentials: &BTreeSet<String>) -> Finding {
    let notes = scene.notes();
    for answer in &notes.answers {
        let body = answer.text();
        for credential in credentials {
            let header = answer.headers.iter().find(|(_, value)| value.contains(credential));
            let place = match header {
                Some((name, _)) => format!("in {name}"),
                None if body.contains(credential) => "in the body".to_owned(),
                None => continue,
            };
            let says = format!("the gateway's credential for the upstream is in an answer, {place}");
            return Finding::fail(&SWAP, Proven, says).with("answered", format!("status {}", answer.status));
        }
    }
    Finding::pass(&SWAP, Proven, format!("it is in none of {} answers", notes.answers.len()))
}
