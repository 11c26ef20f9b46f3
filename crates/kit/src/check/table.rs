//! `tollgate check headers`: what becomes of each header on its way through a gateway.

use tollgate_simulator::Seen;
use tollgate_wire::header::{Action, request_action};

use super::{
    headers::{self, joined},
    rules::{BETA, HEADERS, HINTS, HOP, OPEN, QUERY, RETRY_AFTER, VERSION},
    scene::Scene,
};
use crate::{
    finding::{Finding, Outcome},
    table::{Column, Table},
    time::Instant,
};

/// What became of one header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fate {
    /// Its name, in lower case.
    pub(crate) name: String,
    /// What was done with it.
    pub(crate) done: Done,
    /// What a gateway should do with it, as ours does; nothing for what was not sent.
    pub(crate) should: Option<Action>,
}

/// What a gateway does with a header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Done {
    /// It arrived as it was sent.
    Forwarded,
    /// It arrived with another value of the same meaning: a credential, a host.
    Replaced,
    /// It arrived with another value, which it should not.
    Changed,
    /// It did not arrive.
    Dropped,
    /// It arrived and was not sent.
    Injected,
}

impl Done {
    /// The word for it.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Forwarded => "forwarded",
            Self::Replaced => "replaced",
            Self::Changed => "changed",
            Self::Dropped => "dropped",
            Self::Injected => "injected",
        }
    }
}

/// The headers of the request whose fate is shown, besides those of every request.
const MORE: [(&str, &str); 14] = [
    ("accept-encoding", "gzip, deflate, br, zstd"),
    ("anthropic-dangerous-direct-browser-access", "true"),
    ("anthropic-check-of-open-lists", "kept"),
    ("x-claude-code-agent-id", "agent-check"),
    ("x-claude-code-request-class", "main"),
    ("x-stainless-lang", "js"),
    ("x-stainless-timeout", "600"),
    ("x-client-request-id", "2f8e0c3e-0000-4000-8000-000000000000"),
    ("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
    ("x-check-unknown", "kept"),
    ("origin", "https://check.example"),
    ("cookie", "session=check"),
    ("x-forwarded-for", "192.0.2.1"),
    ("te", "trailers"),
];

/// The fate of each header of one request, in the order in which they were sent, then those that were added. Nothing if
/// the request did not reach the probe.
pub(crate) async fn fates(scene: &Scene) -> Option<Vec<Fate>> {
    let question =
        MORE.iter().fold(scene.message(""), |question, (name, value)| question.header(name, *value));
    let trial = scene.ask(question).await;
    let seen = trial.arrived.last()?;
    let extras = scene.way.extras.iter().map(|extra| (extra.name.clone(), extra.reveal().to_owned()));
    let sent: Vec<(String, String)> = trial.sent.headers.iter().cloned().chain(extras).collect();
    let mut fates: Vec<Fate> = sent.iter().map(|(name, value)| fate(name, value, seen)).collect();
    let was_sent = |name: &str| sent.iter().any(|(given, _)| given.eq_ignore_ascii_case(name));
    // Those of the connection itself, which every hop writes anew.
    let own = ["host", "connection", "content-length", "transfer-encoding"];
    for (name, _) in &seen.headers {
        let name = name.to_ascii_lowercase();
        if !was_sent(&name) && !own.contains(&name.as_str()) && fates.iter().all(|fate| fate.name != name) {
            fates.push(Fate { name, done: Done::Injected, should: None });
        }
    }
    Some(fates)
}

fn fate(name: &str, value: &str, seen: &Seen) -> Fate {
    let should = request_action(name.as_bytes());
    let done = match joined(seen, name) {
        None => Done::Dropped,
        Some(arrived) if arrived == value => Done::Forwarded,
        Some(_) if should == Action::Replace => Done::Replaced,
        Some(_) => Done::Changed,
    };
    Fate { name: name.to_owned(), done, should: Some(should) }
}

/// The table for people.
pub(crate) fn text(fates: &[Fate]) -> String {
    let mut table =
        Table::new(["header", "what became of it", "should be"].map(|name| Column::Text(name.to_owned())));
    for fate in fates {
        let should = match fate.should {
            Some(Action::Forward) => "forwarded",
            Some(Action::Drop) => "dropped",
            // A hop may ask for the codings that it can pass on.
            Some(Action::Replace) if fate.name == "accept-encoding" => "anything",
            Some(Action::Replace) => "replaced or dropped",
            None => "",
        };
        table.row(vec![fate.name.clone(), fate.done.as_str().to_owned(), should.to_owned()]);
    }
    table.text()
}

/// The rules about headers and the query, and whether there was a gateway to look at.
pub(crate) async fn findings(scene: &Scene) -> (Vec<Finding>, bool) {
    let first = scene.ask(scene.message("")).await;
    let is_reached = super::reach::barrier(scene, &first, Instant::now().unix_ms()).is_none();
    let works = super::works(scene, &first);
    let mut findings = if works && !first.arrived.is_empty() {
        let all = tokio::join!(
            headers::query(scene),
            headers::version(scene),
            headers::beta(scene),
            headers::open(scene),
            headers::hints(scene),
            headers::hop(scene),
            super::errors::retry_after(scene),
        );
        vec![headers::first(&first), all.0, all.1, all.2, all.3, all.4, all.5, all.6]
    } else {
        let says = super::why_unknown(&first, is_reached, works, scene.is_proven());
        let rules = [&HEADERS, &QUERY, &VERSION, &BETA, &OPEN, &HINTS, &HOP, &RETRY_AFTER];
        rules.map(|rule| first.explain(Finding::unknown(rule, &*says))).to_vec()
    };
    super::add_cures(&mut findings, super::product(scene));
    (findings, is_reached)
}

/// The guide's three lines: what is said of three headers, and whether it is well. Without the table, what the findings
/// say of the first two.
pub(crate) fn three(fates: Option<&[Fate]>, findings: &[Finding]) -> Vec<(Option<bool>, String)> {
    let rows = [
        ("anthropic-version", "anthropic-version", "forwarded"),
        ("anthropic-beta", "anthropic-beta", "forwarded"),
        ("content-type", "Content-Type", "preserved"),
    ];
    let outcome = |name: &str| {
        let rule = if name == "anthropic-version" { &VERSION } else { &BETA };
        findings
            .iter()
            .find(|finding| finding.rule == rule && name != "content-type")
            .map(|finding| finding.outcome)
    };
    let line = |(name, shown, well): (&str, &str, &str)| {
        let done = fates.and_then(|fates| fates.iter().find(|fate| fate.name == name)).map(|fate| fate.done);
        let is_well = match (done, outcome(name)) {
            (_, Some(Outcome::Fail(_))) => Some(false),
            (Some(done), _) => Some(done == Done::Forwarded),
            (None, Some(Outcome::Pass(_))) => Some(true),
            (None, _) => None,
        };
        let says = match (is_well, done) {
            (Some(true), _) => format!("{shown} header {well} correctly"),
            (Some(false), Some(done)) if done != Done::Forwarded => {
                format!("{shown} header {}", done.as_str())
            }
            (Some(false), _) => format!("{shown} header not {well} correctly"),
            (None, _) => format!("{shown} header: nothing shows what becomes of it"),
        };
        (is_well, says)
    };
    rows.into_iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::Ground::Proven;

    #[test]
    fn the_three_lines_are_the_guides() {
        let fate = |name: &str, done| Fate { name: name.to_owned(), done, should: None };
        let well =
            ["anthropic-version", "anthropic-beta", "content-type"].map(|name| fate(name, Done::Forwarded));
        let lines = three(Some(&well), &[]);
        let says: Vec<&str> = lines.iter().map(|(_, says)| says.as_str()).collect();
        assert_eq!(
            says,
            [
                "anthropic-version header forwarded correctly",
                "anthropic-beta header forwarded correctly",
                "Content-Type header preserved correctly",
            ]
        );
        let failed = [Finding::fail(&BETA, Proven, "values are filtered")];
        assert_eq!(three(Some(&well), &failed)[1].1, "anthropic-beta header not forwarded correctly");
        assert_eq!(
            three(Some(&[fate("anthropic-beta", Done::Dropped)]), &[])[1].1,
            "anthropic-beta header dropped"
        );
        assert_eq!(three(None, &[])[2].0, None);
    }
}
