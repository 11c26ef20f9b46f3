//! Looks at what becomes of query and headers on the way to the upstream.

use tollgate_simulator::Seen;

use super::{
    question::{BETAS, Credential, VERSION},
    rules::{BETA, HEADERS, HINTS, HOP, OPEN, QUERY, VERSION as VERSION_RULE},
    scene::{Scene, Trial, evidence},
};
use crate::finding::{Finding, Ground::Proven, Rule};

/// All values of a header as they arrived, joined as the standard lets servers join them (RFC 9110, section 5.3).
pub(super) fn joined(seen: &Seen, name: &str) -> Option<String> {
    let all = seen.headers.iter().filter(|(given, _)| given.eq_ignore_ascii_case(name));
    let values: Vec<&str> = all.map(|(_, value)| value.as_str()).collect();
    (!values.is_empty()).then(|| values.join(","))
}

/// Which of these headers did not arrive as they were sent.
fn altered<'h>(seen: &Seen, sent: &[(&'h str, String)]) -> Vec<(&'h str, String, Option<String>)> {
    let altered = sent.iter().filter_map(|(name, value)| {
        let arrived = joined(seen, name);
        (arrived.as_ref() != Some(value)).then(|| (*name, value.clone(), arrived))
    });
    altered.collect()
}

/// Holds if all of these arrived as they were sent.
fn arrive(rule: &'static Rule, trial: &Trial, what: &str, sent: &[(&str, String)], well: &str) -> Finding {
    let seen = match trial.both(rule, what) {
        Ok((_, seen)) => seen,
        Err(finding) => return *finding,
    };
    let altered = altered(seen, sent);
    if altered.is_empty() {
        return trial.explain(Finding::pass(rule, Proven, well));
    }
    let say = |(name, _, arrived): &(&str, String, Option<String>)| match arrived {
        None => format!("{name} is dropped"),
        Some(_) => format!("{name} is changed"),
    };
    let says: Vec<String> = altered.iter().map(say).collect();
    let mut finding = Finding::fail(rule, Proven, says.join(", "));
    for (name, value, arrived) in altered {
        finding = finding.with("sent", format!("{name}: {value}"));
        let arrived = arrived.map_or_else(|| format!("no {name}"), |arrived| format!("{name}: {arrived}"));
        finding.evidence.push(evidence("reached the upstream", arrived));
    }
    finding.took = trial.took;
    finding
}

/// The three headers that the guide names, in the first request.
pub(super) fn first(trial: &Trial) -> Finding {
    let sent = [
        ("anthropic-version", VERSION.to_owned()),
        ("anthropic-beta", BETAS.to_owned()),
        ("content-type", "application/json".to_owned()),
    ];
    arrive(&HEADERS, trial, "the request", &sent, "All required headers forwarded correctly")
}

/// The query string.
pub(super) async fn query(scene: &Scene) -> Finding {
    let question = scene.message("");
    let target = format!("/v1/messages?beta=true&trace={}&empty=&plus=a%2Bb", question.nonce);
    let trial = scene.ask(question.target(&target)).await;
    let seen = match trial.both(&QUERY, "a request with a query string") {
        Ok((_, seen)) => seen,
        Err(finding) => return *finding,
    };
    let query = |target: &str| target.split_once('?').map(|(_, query)| query.to_owned());
    let finding = if query(&seen.target) == query(&target) {
        Finding::pass(&QUERY, Proven, "it arrives as it was sent")
    } else if query(&seen.target).is_none() {
        Finding::fail(&QUERY, Proven, "it is dropped")
    } else {
        Finding::fail(&QUERY, Proven, "it is changed")
    };
    trial.explain(finding)
}

/// Both versions that clients send, and none.
pub(super) async fn version(scene: &Scene) -> Finding {
    for version in [VERSION, "2026-10-21"] {
        let trial = scene.ask(scene.message("").with("anthropic-version", version)).await;
        let sent = [("anthropic-version", version.to_owned())];
        let what = format!("a request with anthropic-version {version}");
        let finding = arrive(&VERSION_RULE, &trial, &what, &sent, "");
        if !matches!(finding.outcome, crate::finding::Outcome::Pass(_)) {
            return finding;
        }
    }
    let trial = scene.ask(scene.message("").without("anthropic-version")).await;
    let finding = match (trial.arrived.last().map(|seen| joined(seen, "anthropic-version")), trial.status()) {
        (Some(Some(invented)), _) => {
            let says = "where the client sends none, one is added";
            Finding::fail(&VERSION_RULE, Proven, says).with("reached the upstream", invented)
        }
        (Some(None), _) | (None, Some(400)) => {
            Finding::pass(&VERSION_RULE, Proven, "both versions pass unchanged, and none is invented")
        }
        (None, _) => {
            Finding::unknown(&VERSION_RULE, "a request without a version did not reach the upstream")
        }
    };
    trial.explain(finding)
}

/// Betas that nobody knows, in every form in which they come.
pub(super) async fn beta(scene: &Scene) -> Finding {
    let known = BETAS.to_owned();
    let unknown = format!("{}-2099-01-01", scene.nonce());
    let many: Vec<String> = (0..40).map(|n| format!("feature-{n}-2026-11-{:02}", n % 28 + 1)).collect();
    let long: Vec<String> = (0..500).map(|n| format!("a-feature-with-a-very-long-name-{n:04}-x")).collect();
    let forms = [
        ("an unknown value", vec![format!("{known},{unknown}")]),
        ("forty values", vec![many.join(", ")]),
        ("two headers", vec![known, unknown]),
        ("20 KB of values", vec![long.join(",")]),
    ];
    for (what, values) in forms {
        let mut question = scene.message("").without("anthropic-beta");
        for value in &values {
            question = question.header("anthropic-beta", value);
        }
        let trial = scene.ask(question).await;
        let what = format!("a request with {what} in anthropic-beta");
        let seen = match trial.both(&BETA, &what) {
            Ok((_, seen)) => seen,
            Err(finding) => return *finding,
        };
        // Two headers and one with both values are the same; the white space between values is not ours to judge there.
        let plain = |text: &str| if values.len() > 1 { text.replace(' ', "") } else { text.to_owned() };
        let arrived = joined(seen, "anthropic-beta");
        if arrived.as_deref().map(plain) != Some(plain(&values.join(","))) {
            let how = if arrived.is_some() { "changed" } else { "dropped" };
            let finding = Finding::fail(&BETA, Proven, format!("{what} arrives with it {how}"));
            let finding = finding.with("sent", values.join(" | "));
            return finding.with("reached the upstream", arrived.unwrap_or_else(|| "none".to_owned()));
        }
    }
    Finding::pass(&BETA, Proven, "unknown, many, repeated and long values arrive as they were sent")
}

/// Headers that nobody knows yet.
pub(super) async fn open(scene: &Scene) -> Finding {
    let sent = [
        ("anthropic-check-of-open-lists", "kept, as it is; \"quoted\"".to_owned()),
        ("anthropic-workspace-id", "wrkspc_check".to_owned()),
        ("anthropic-dangerous-direct-browser-access", "true".to_owned()),
    ];
    let trial = scene.ask(with(scene.message(""), &sent)).await;
    arrive(&OPEN, &trial, "a request with unknown anthropic-* headers", &sent, "anthropic-* headers arrive")
}

/// What clients say about themselves.
pub(super) async fn hints(scene: &Scene) -> Finding {
    let question = scene.message("");
    let sent = [
        ("x-claude-code-agent-id", "agent-check".to_owned()),
        ("x-claude-code-request-class", "main".to_owned()),
        ("x-stainless-timeout", "NOT_GIVEN".to_owned()),
        ("x-stainless-lang", "js".to_owned()),
    ];
    let mut all = sent.to_vec();
    all.push(("x-claude-code-session-id", question.nonce.clone()));
    all.push(("x-app", "cli".to_owned()));
    all.push(("user-agent", "claude-cli/2.1.330 (external, cli)".to_owned()));
    let trial = scene.ask(with(question, &sent)).await;
    arrive(
        &HINTS,
        &trial,
        "a request with the headers of Claude Code",
        &all,
        "the client's own headers arrive",
    )
}

fn with(question: super::question::Question, headers: &[(&str, String)]) -> super::question::Question {
    headers.iter().fold(question, |question, (name, value)| question.header(name, value))
}

/// What belongs to browsers and to one hop.
pub(super) async fn hop(scene: &Scene) -> Finding {
    let question = scene
        .message("")
        .credential(Credential::Bearer)
        .header("origin", "https://check.example")
        .header("cookie", "session=check")
        .header("connection", "keep-alive, x-hop-check")
        .header("x-hop-check", "for one hop")
        .header("te", "trailers")
        .header("proxy-connection", "keep-alive");
    let trial = scene.ask(question).await;
    let (answer, seen) = match trial.both(&HOP, "a request with headers of browsers and of one hop") {
        Ok(both) => both,
        Err(finding) => return *finding,
    };
    let strays = ["origin", "cookie", "x-hop-check", "te", "proxy-connection"];
    let strays: Vec<&str> = strays.into_iter().filter(|name| seen.header(name).is_some()).collect();
    let finding = if answer.status != 200 {
        Finding::fail(&HOP, Proven, format!("such a request is answered with status {}", answer.status))
    } else if strays.is_empty() {
        Finding::pass(&HOP, Proven, "such a request is served, and they stay behind")
    } else {
        Finding::fail(&HOP, Proven, format!("{} reach the upstream", strays.join(", ")))
    };
    trial.explain(finding)
}
