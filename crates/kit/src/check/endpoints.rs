//! Looks at the endpoints: the one that all depends on, those beside it, and paths that are none.

use std::time::Duration;

use hyper::Method;
use serde_json::Value;

use super::{
    question::Credential,
    reach::Barrier,
    rules::{AUTH, CONTROL, COUNT_TOKENS, ENDPOINT, HELLO, MODELS, REDIRECT},
    scene::{Scene, Trial},
};
use crate::finding::{Finding, Ground};

/// Claude Code gives its discovery and its warm-up so long.
const PROMPT: Duration = Duration::from_secs(3);

/// What the first request says: about the endpoint, and about the credential it carried.
pub(super) fn first(trial: &Trial, barrier: Option<&Barrier>, ground: Ground) -> Vec<Finding> {
    if let Some(Barrier { says, cure }) = barrier {
        let endpoint = Finding::fail(&ENDPOINT, ground, format!("the gateway gives no answer: {says}"));
        let auth = Finding::unknown(&AUTH, "the gateway gives no answer");
        return vec![trial.explain(endpoint.cure(cure)), auth];
    }
    let (endpoint, auth) = match &trial.answer {
        Err(fault) => (
            Finding::fail(&ENDPOINT, ground, format!("the gateway gives no answer: {fault}")),
            Finding::unknown(&AUTH, "the gateway gives no answer"),
        ),
        Ok(answer) => match answer.status {
            200 if is_message(&answer.body()) => (
                Finding::pass(&ENDPOINT, ground, "Gateway supports /v1/messages endpoint"),
                Finding::pass(&AUTH, ground, "Bearer token authentication working correctly"),
            ),
            200 => (
                Finding::fail(&ENDPOINT, ground, "the answer with status 200 is no message"),
                Finding::unknown(&AUTH, "the answer is no message, so nothing shows who accepted what"),
            ),
            status @ (401 | 403) => (
                Finding::unknown(&ENDPOINT, format!("the credential is refused with {status}")),
                Finding::fail(&AUTH, ground, format!("the credential is refused with {status}")),
            ),
            429 => (
                Finding::unknown(&ENDPOINT, "a limit refuses the request"),
                Finding::unknown(&AUTH, "a limit refuses the request"),
            ),
            status => (
                Finding::fail(&ENDPOINT, ground, format!("the answer has status {status}")),
                Finding::unknown(&AUTH, format!("the answer has status {status}")),
            ),
        },
    };
    vec![trial.explain(endpoint), trial.explain(auth)]
}

/// Whether a body is a message of the API.
pub(super) fn is_message(body: &[u8]) -> bool {
    serde_json::from_slice::<Value>(body)
        .is_ok_and(|value| value["type"] == "message" && value["content"].is_array())
}

/// A path that does not exist.
pub(super) async fn control(scene: &Scene, ground: Ground) -> Finding {
    let question = scene.message("");
    let target = format!("/v1/{}?beta=true", question.nonce);
    let trial = scene.ask(question.target(target)).await;
    let finding = match &trial.answer {
        Ok(answer) if answer.status == 429 => Finding::unknown(&CONTROL, "a limit refuses the request"),
        Ok(answer) if answer.status < 300 => {
            let says = format!("a path that does not exist is answered with status {}", answer.status);
            Finding::fail(&CONTROL, ground, says)
        }
        Ok(answer) => {
            Finding::pass(&CONTROL, ground, format!("it is answered with status {}", answer.status))
        }
        Err(fault) => {
            Finding::unknown(&CONTROL, format!("a path that does not exist gets no answer: {fault}"))
        }
    };
    trial.explain(finding)
}

/// Token counting.
pub(super) async fn count_tokens(scene: &Scene, ground: Ground) -> Finding {
    let question = scene.message("").target("/v1/messages/count_tokens?beta=true");
    let body = String::from_utf8_lossy(question.text()).replace("\"max_tokens\":16,", "");
    let trial = scene.ask(question.body(body)).await;
    let finding = match &trial.answer {
        Ok(answer) if answer.status == 429 => Finding::unknown(&COUNT_TOKENS, "a limit refuses the request"),
        Ok(answer) => match serde_json::from_slice::<Value>(&answer.body()) {
            Ok(value) if answer.status == 200 && value["input_tokens"].is_u64() => {
                Finding::pass(&COUNT_TOKENS, ground, "tokens are counted")
            }
            _ => Finding::fail(&COUNT_TOKENS, ground, format!("no count, but status {}", answer.status)),
        },
        Err(fault) => Finding::fail(&COUNT_TOKENS, ground, format!("no answer: {fault}")),
    };
    trial.explain(finding)
}

/// The ids that discovery finds, for the choice of a model.
pub(super) async fn discover(scene: &Scene, credential: Credential) -> (Trial, Vec<String>) {
    let question = scene.question(Method::GET, "/v1/models?limit=1000").credential(credential);
    let trial = scene.ask(question).await;
    let body = trial.answer.as_ref().map(|answer| answer.body()).unwrap_or_default();
    let list: Value = serde_json::from_slice(&body).unwrap_or_default();
    let ids = list["data"].as_array().into_iter().flatten();
    let ids = ids.filter_map(|model| model["id"].as_str().map(str::to_owned)).collect();
    (trial, ids)
}

/// Model discovery, with each credential header.
pub(super) async fn models(scene: &Scene, ground: Ground) -> Finding {
    let mut count = 0;
    let mut took = Duration::ZERO;
    for (credential, header) in [(Credential::Bearer, "Authorization"), (Credential::Key, "x-api-key")] {
        let (trial, ids) = discover(scene, credential).await;
        let fail = |says: String| trial.explain(Finding::fail(&MODELS, ground, says));
        match trial.status() {
            Some(200) if trial.took > PROMPT => {
                return fail(format!("the list takes {} ms, and clients wait 3 s", trial.took.as_millis()));
            }
            Some(200) if ids.is_empty() => return fail("the list holds no ids".to_owned()),
            Some(200) => {}
            Some(429) => return trial.explain(Finding::unknown(&MODELS, "a limit refuses the request")),
            Some(status) => return fail(format!("with the credential in {header} the status is {status}")),
            None => return fail(format!("with the credential in {header} no answer comes")),
        }
        (count, took) = (ids.len(), took.max(trial.took));
    }
    let mut finding =
        Finding::pass(&MODELS, ground, format!("{count} models within {} ms", took.as_millis()));
    finding.took = took;
    finding
}

/// The requests by which clients open a connection.
pub(super) async fn hello(scene: &Scene, ground: Ground) -> Finding {
    let mut statuses = Vec::new();
    for target in ["/api/hello", "/"] {
        let question = scene.question(Method::HEAD, target).credential(Credential::None).silence(PROMPT);
        let trial = scene.ask(question).await;
        match &trial.answer {
            Ok(answer) => statuses.push(answer.status.to_string()),
            Err(fault) => {
                let says = format!("HEAD {target} gets no answer: {fault}");
                return trial.explain(Finding::fail(&HELLO, ground, says));
            }
        }
    }
    Finding::pass(&HELLO, ground, format!("they are answered with {}", statuses.join(" and ")))
}

/// No answer of the whole run was a redirect.
pub(super) fn redirects(scene: &Scene, ground: Ground) -> Finding {
    let notes = scene.notes();
    match notes.answers.iter().find(|answer| matches!(answer.status, 300..=399)) {
        Some(answer) => {
            let to = answer.header("location").unwrap_or("nowhere").to_owned();
            let says = format!("a request is answered with status {}", answer.status);
            Finding::fail(&REDIRECT, ground, says).with("location", to)
        }
        None => Finding::pass(&REDIRECT, ground, "no answer was a redirect"),
    }
}
