//! `tollgate check`: whether a gateway carries the Anthropic API unharmed.
//!
//! Where the gateway's upstream can be pointed at our probe, both sides of every exchange are seen and what is found is
//! proven. Where it can not, requests that differ in one thing are compared and what is found is inferred; what neither
//! shows is unknown, which is never a pass.

use std::time::Duration;

use tokio::join;

mod bodies;
mod credentials;
mod cures;
mod endpoints;
mod errors;
mod headers;
mod inferred;
pub(crate) mod limits;
mod print;
mod product;
pub(crate) mod question;
mod reach;
pub(crate) mod rules;
mod scene;
mod streams;
pub(crate) mod table;
mod tls;
#[cfg(test)]
mod zoo;

pub(crate) use inferred::{Bound, cheapest, discovered};
pub(crate) use print::print;
pub(crate) use scene::Scene;

use crate::{
    dial::Stage,
    doctor::line,
    exchange::ExchangeFault,
    finding::{Finding, Ground, Outcome},
    time::Instant,
};
use scene::Trial;

/// What a check found.
#[derive(Debug)]
pub(crate) struct Checked {
    /// In the order of the rules.
    pub(crate) findings: Vec<Finding>,
    /// The product that the gateway seems to be.
    pub(crate) product: Option<&'static str>,
    /// Whether there was no gateway to check.
    pub(crate) is_unreachable: bool,
}

/// Looks at everything. `idle` is the length of a long pause, if one is to be waited for.
pub(crate) async fn check(scene: &Scene, idle: Option<Duration>) -> Checked {
    let ground = if scene.is_proven() { Ground::Proven } else { Ground::Inferred };
    let first = scene.ask(scene.message(&first_directives())).await;
    let mut findings = vec![tls::used(&scene.way.url)];
    let barrier = reach::barrier(scene, &first, Instant::now().unix_ms());
    let is_reached = barrier.is_none();
    let is_unreachable = !is_reached && !first.answer.as_ref().is_err_and(is_bad_tls);
    findings.extend(tls::certificate(scene).await);
    let mut answered = endpoints::first(&first, barrier.as_ref(), ground);
    if first.status() == Some(404) {
        // A URL that ends in /v1 is the commonest reason.
        answered[0].cure = line::url(&scene.way.url).swap_remove(0).cure;
    }
    findings.extend(answered);
    let works = works(scene, &first);
    if is_reached {
        findings.extend(credentials::refusals(scene, &first, ground).await);
    }
    match (works, scene.is_proven(), first.arrived.is_empty()) {
        (true, true, false) => findings.extend(proven(scene, &first, idle).await),
        (true, false, _) => findings.extend(inferred::all(scene, &first).await),
        _ => {}
    }
    if is_reached {
        findings.push(endpoints::redirects(scene, ground));
    }
    findings.extend(errors::limits(scene));
    let says = why_unknown(&first, is_reached, works, scene.is_proven());
    complete(&mut findings, &says, idle.is_some());
    let product = product(scene);
    add_cures(&mut findings, product);
    Checked { findings, product, is_unreachable }
}

/// The product that the gateway seems to be, by all its answers so far.
pub(crate) fn product(scene: &Scene) -> Option<&'static str> {
    product::detect(&scene.notes().answers)
}

/// What no report may show: the client's credential and its other headers, what the gateway presents to the upstream,
/// and the password of a proxy.
pub(crate) fn secrets(scene: &Scene) -> Vec<String> {
    let seen = scene.record().map(|record| record.requests()).unwrap_or_default();
    let mut secrets: Vec<String> = credentials::upstream_credentials(scene, &seen).into_iter().collect();
    secrets.extend(scene.token.iter().map(|token| token.reveal().to_owned()));
    secrets.extend(crate::extra::secrets(&scene.way.extras));
    secrets.extend(crate::doctor::proxy::secrets());
    secrets
}

fn add_cures(findings: &mut [Finding], product: Option<&str>) {
    for finding in findings {
        // What could not be told needs something else first, which it says.
        if matches!(finding.outcome, Outcome::Fail(_)) && finding.cure.is_none() {
            finding.cure = cures::cure(finding.rule, product).map(str::to_owned);
        }
    }
}

fn first_directives() -> String {
    format!("text={}", serde_json::Value::from(bodies::FIRST_TEXT))
}

/// Everything that needs both sides.
async fn proven(scene: &Scene, first: &Trial, idle: Option<Duration>) -> Vec<Finding> {
    let ground = Ground::Proven;
    let mut findings = vec![headers::first(first), bodies::first(first)];
    let endpoints = async {
        join!(
            endpoints::control(scene, ground),
            endpoints::count_tokens(scene, ground),
            endpoints::models(scene, ground),
            endpoints::hello(scene, ground),
        )
    };
    let headers = async {
        join!(
            headers::query(scene),
            headers::version(scene),
            headers::beta(scene),
            headers::open(scene),
            headers::hints(scene),
            headers::hop(scene),
        )
    };
    let bodies = async { join!(bodies::bytes(scene), bodies::answer(scene), bodies::markup(scene, ground)) };
    let credentials = async {
        credentials::stray(scene).await;
        join!(credentials::api_key(scene, ground), credentials::both(scene, ground))
    };
    let errors = async { join!(errors::all(scene), errors::retry_after(scene)) };
    let streams = async {
        join!(
            streams::whole(scene),
            streams::arrival(scene),
            streams::close(scene),
            streams::gzip(scene),
            streams::pings(scene),
            streams::silence(scene),
            streams::error_event(scene),
            streams::cut(scene),
            streams::cancel(scene),
        )
    };
    let (e, h, b, c, (errors, retry_after), s) =
        join!(endpoints, headers, bodies, credentials, errors, streams);
    findings.extend([e.0, e.1, e.2, e.3, h.0, h.1, h.2, h.3, h.4, h.5, b.0, b.1, b.2, c.0, c.1, retry_after]);
    findings.extend(errors);
    findings.extend([s.0, s.1, s.2, s.3, s.4, s.5, s.6, s.7, s.8]);
    // Alone: they keep a small machine busy, and streams are judged by the clock.
    findings.push(bodies::large(scene).await);
    findings.push(bodies::over(scene).await);
    if let Some(pause) = idle {
        findings.push(streams::idle(scene, pause).await);
    }
    findings.extend(credentials::everywhere(scene));
    findings
}

/// A finding for each rule that has none, unless it has nothing to look at: no pause is waited for, no TLS is spoken, no
/// limit was met.
fn complete(findings: &mut Vec<Finding>, says: &str, with_idle: bool) {
    for rule in rules::TABLE {
        let is_absent = findings.iter().all(|finding| finding.rule != *rule);
        let is_optional = rule.id.starts_with("tls.") || rule.id == "limit.shape" || rule.id == "stream.idle";
        if is_absent && (!is_optional || (rule.id == "stream.idle" && with_idle)) {
            findings.push(Finding::unknown(rule, says));
        }
    }
    let place = |finding: &Finding| rules::TABLE.iter().position(|rule| *rule == finding.rule);
    findings.sort_by_key(place);
}

/// Whether the first request came to what others can be compared with. A provider that is not ours shows by a message
/// alone that it was asked.
fn works(scene: &Scene, first: &Trial) -> bool {
    let answer = first.answer.as_ref().ok().filter(|answer| answer.status == 200);
    answer.is_some_and(|answer| scene.is_proven() || endpoints::is_message(&answer.body()))
}

/// Why what was not looked at could not be.
fn why_unknown(first: &Trial, is_reached: bool, works: bool, is_proven: bool) -> String {
    match &first.answer {
        _ if !is_reached => "the gateway gives no answer".to_owned(),
        Err(fault) => fault.to_string(),
        Ok(answer) if !works && answer.status == 200 => {
            "an ordinary request is answered with something that is no message".to_owned()
        }
        Ok(answer) if !works => format!("an ordinary request is answered with status {}", answer.status),
        Ok(_) if is_proven && first.arrived.is_empty() => {
            "the gateway answers, and nothing reaches the probe: point the gateway's upstream at it"
                .to_owned()
        }
        Ok(_) => "only a probe behind the gateway shows it (--probe-listen)".to_owned(),
    }
}

/// Whether the gateway was there, and its certificate or its version of TLS is what kept us from asking it.
fn is_bad_tls(fault: &ExchangeFault) -> bool {
    matches!(fault, ExchangeFault::Dial(fault) if fault.stage == Stage::Handshake
        && fault.seen.as_ref().is_some_and(|seen| seen.distrust.is_some() || seen.is_too_old))
}
