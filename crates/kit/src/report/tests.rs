//! Every form of a report tells the same, and none of them can be broken by what a gateway said.

use std::time::Duration;

use serde_json::Value;

use super::*;
use crate::finding::{Ground, Place, Rule};

static HOLDS: Rule = rule("a.holds", Severity::Error, true);
static BROKEN: Rule = rule("b.broken", Severity::Error, false);
static UNTIDY: Rule = rule("c.untidy", Severity::Warning, false);
static UNSEEN: Rule = rule("d.unseen", Severity::Error, true);

const fn rule(id: &'static str, severity: Severity, is_decisive: bool) -> Rule {
    Rule { id, title: "A Title", severity, is_decisive, about: "It is so." }
}

/// What a gateway might say to break a page: markup, control characters, quotes.
const NASTY: &str =
    "<b>\"]]> & \u{1b}[31m\u{0}\u{9b}31m\u{202e} | `x` \n[link](http://example.invalid)\u{ffff}";
const SECRET: &str = "canary-secret-7f3a";

fn report() -> Report {
    let place = Place { file: "some file.conf".to_owned(), line: 3, column: 7 };
    let mut broken = Finding::fail(&BROKEN, Ground::Proven, NASTY)
        .with("sent", format!("Bearer {SECRET}"))
        .cure(format!("do not say {SECRET} & <this>"))
        .at(place);
    broken.took = Duration::from_millis(1500);
    let mut report = Report {
        tool: "check",
        subject: format!("https://gateway.example/{SECRET}"),
        product: Some("nginx".to_owned()),
        began_at: UnixMs(1_795_000_000_000),
        findings: vec![
            Finding::pass(&HOLDS, Ground::Inferred, "it holds"),
            broken,
            Finding::fail(&UNTIDY, Ground::Proven, "it is untidy"),
            Finding::unknown(&UNSEEN, "it was not seen"),
        ],
        is_strict: false,
    };
    report.hide(&[SECRET]);
    report
}

#[test]
fn no_form_shows_a_secret_or_a_control_character() {
    for format in [Format::Text, Format::Json, Format::Junit, Format::Sarif, Format::Markdown] {
        let text = report().print(format, true);
        assert!(!text.contains("canary"), "{format:?}: {text}");
        assert!(text.contains("[hidden]") || text.contains("\\[hidden\\]"), "{format:?}: {text}");
        let text = anstream::adapter::strip_str(&text).to_string();
        assert!(
            text.chars().all(|c| c == '\n' || !(c.is_control() || c == '\u{202e}')),
            "{format:?}: {text:?}"
        );
    }
}

#[test]
fn the_verdict_needs_no_failed_error_and_no_decisive_unknown() {
    let with = |findings: Vec<Finding>, is_strict| Report { findings, is_strict, ..report() }.verdict();
    let pass = || Finding::pass(&HOLDS, Ground::Proven, "");
    let minor = Rule { is_decisive: false, ..rule("e", Severity::Error, false) };
    let minor: &'static Rule = Box::leak(Box::new(minor));
    let rows = [
        (vec![], false, Verdict::Undetermined),
        (vec![pass()], false, Verdict::Good),
        (vec![pass(), Finding::fail(&UNTIDY, Ground::Proven, "")], true, Verdict::Good),
        (vec![pass(), Finding::fail(&BROKEN, Ground::Inferred, "")], false, Verdict::Bad),
        (vec![pass(), Finding::unknown(&UNSEEN, "")], false, Verdict::Undetermined),
        (vec![pass(), Finding::unknown(&UNSEEN, "")], true, Verdict::Bad),
        (vec![pass(), Finding::unknown(minor, "")], false, Verdict::Good),
        (vec![pass(), Finding::unknown(minor, "")], true, Verdict::Bad),
        (
            vec![Finding::unknown(&UNSEEN, ""), Finding::fail(&BROKEN, Ground::Proven, "")],
            false,
            Verdict::Bad,
        ),
    ];
    for (index, (findings, is_strict, verdict)) in rows.into_iter().enumerate() {
        assert_eq!(with(findings, is_strict), verdict, "row {index}");
    }
}

#[test]
fn sarif_has_what_its_schema_demands() {
    let log: Value = serde_json::from_str(&report().print(Format::Sarif, false)).unwrap();
    assert_eq!(log["version"], "2.1.0");
    let run = &log["runs"][0];
    let rules = run["tool"]["driver"]["rules"].as_array().unwrap();
    let results = run["results"].as_array().unwrap();
    assert_eq!((rules.len(), results.len()), (4, 4));
    for result in results {
        let index = usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap();
        assert_eq!(rules[index]["id"], result["ruleId"]);
        assert!(!result["message"]["text"].as_str().unwrap().is_empty());
        // Section 3.27.10: where the kind is not `fail`, the level is `none`.
        assert_eq!(result["kind"] != "fail", result["level"] == "none", "{result}");
    }
    let kinds: Vec<&str> = results.iter().map(|result| result["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["pass", "fail", "fail", "open"]);
    let place = &results[1]["locations"][0]["physicalLocation"];
    assert_eq!(place["artifactLocation"]["uri"], "some%20file.conf");
    assert_eq!(place["region"]["startLine"], 3);
}

#[test]
fn junit_counts_what_it_lists() {
    let xml = report().print(Format::Junit, false);
    assert_eq!(xml.matches("<testcase ").count(), 4);
    assert_eq!((xml.matches("<failure ").count(), xml.matches("<skipped>").count()), (1, 1));
    assert!(xml.contains("tests=\"4\" failures=\"1\" errors=\"0\" time=\"1.500\" skipped=\"1\""), "{xml}");
    let balanced = |name: &str| {
        let opened = xml.matches(&format!("<{name}")).count();
        let closed = xml.matches(&format!("</{name}>")).count();
        opened
            == closed
                + xml
                    .lines()
                    .filter(|line| line.contains(&format!("<{name}")) && line.ends_with("/>"))
                    .count()
    };
    assert!(["testcase", "failure", "system-out"].iter().all(|name| balanced(name)), "{xml}");
}

#[test]
fn a_nasty_text_stays_in_its_cell_of_the_table() {
    let page = report().print(Format::Markdown, false);
    let row = page.lines().find(|line| line.contains("b.broken`]")).unwrap();
    assert_eq!(row.replace("\\|", "").matches('|').count(), 5, "{row}");
    assert!(!page.contains("<b>") && !page.contains("[link]("), "{page}");
}
