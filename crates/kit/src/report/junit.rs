//! The report for continuous integration, in the form of JUnit that Jenkins and GitLab read: a suite for the report, a
//! case for each finding. What could not be told is a skipped case; a warning is a case that passed, with its text.

use std::fmt::Write;

use super::{Report, is_obeyed};
use crate::finding::{Finding, Outcome, Severity};

pub(super) fn print(report: &Report) -> String {
    let count =
        |wanted: fn(&Finding) -> bool| report.findings.iter().filter(|finding| wanted(finding)).count();
    let seconds: f64 = report.findings.iter().map(|finding| finding.took.as_secs_f64()).sum();
    let mut xml = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let counts = format!(
        "tests=\"{}\" failures=\"{}\" errors=\"0\" time=\"{seconds:.3}\"",
        report.findings.len(),
        count(is_failure)
    );
    let _ = writeln!(xml, "<testsuites name=\"tollgate\" {counts}>");
    let _ = writeln!(
        xml,
        "  <testsuite name=\"{}\" timestamp=\"{}\" {counts} skipped=\"{}\">",
        escaped(&format!("{} {}", report.tool, report.subject)),
        report.began_at.to_string().trim_end_matches('Z'),
        // The schema of Jenkins knows this count of a suite alone.
        count(is_skipped)
    );
    for finding in &report.findings {
        case(&mut xml, finding, report.tool);
    }
    xml.push_str("  </testsuite>\n</testsuites>\n");
    xml
}

fn is_failure(finding: &Finding) -> bool {
    matches!(finding.outcome, Outcome::Fail(_)) && finding.rule.severity == Severity::Error
}

fn is_skipped(finding: &Finding) -> bool {
    finding.outcome == Outcome::Unknown
}

fn case(xml: &mut String, finding: &Finding, tool: &str) {
    let place =
        finding.place.as_ref().map(|place| format!(" {}:{}", place.file, place.line)).unwrap_or_default();
    let name = escaped(&format!("{}: {}{place}", finding.rule.id, finding.rule.title));
    let head = format!(
        "    <testcase classname=\"tollgate.{}\" name=\"{name}\" time=\"{:.3}\"",
        escaped(&tool.replace(' ', ".")),
        finding.took.as_secs_f64()
    );
    let says = escaped(&finding.says);
    let more = escaped(&details(finding));
    let _ = if is_failure(finding) {
        writeln!(
            xml,
            "{head}>\n      <failure message=\"{says}\" type=\"error\">{more}</failure>\n    </testcase>"
        )
    } else if is_skipped(finding) {
        // As text: the schema of Jenkins lets a skipped case have no message beside it.
        writeln!(xml, "{head}>\n      <skipped>{says}</skipped>\n    </testcase>")
    } else if matches!(finding.outcome, Outcome::Fail(_)) {
        writeln!(xml, "{head}>\n      <system-out>{says}\n{more}</system-out>\n    </testcase>")
    } else {
        writeln!(xml, "{head}/>")
    };
}

fn details(finding: &Finding) -> String {
    let mut text = String::new();
    for evidence in &finding.evidence {
        let _ = writeln!(text, "{}: {}", evidence.label, evidence.text);
    }
    if let Some(cure) = &finding.cure {
        let _ = writeln!(text, "cure: {cure}");
    }
    let _ = writeln!(text, "see: {}", finding.rule.link());
    text
}

/// Text as XML 1.0 can hold it: its control characters can not even be escaped there (section 2.2).
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\n' => escaped.push_str("&#10;"),
            '\t' => escaped.push_str("&#9;"),
            c if is_obeyed(c) || matches!(c, '\u{fffe}' | '\u{ffff}') => escaped.extend(c.escape_unicode()),
            c => escaped.push(c),
        }
    }
    escaped
}
