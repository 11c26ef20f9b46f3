//! The report for tickets and wikis: a table of all findings, and below it what was seen of those that are not well.

use std::fmt::Write;

use super::{Report, Verdict, is_obeyed};
use crate::finding::{Finding, Ground, Outcome, Severity};

pub(super) fn print(report: &Report) -> String {
    let verdict = match report.verdict() {
        Verdict::Good => "good",
        Verdict::Bad => "bad",
        Verdict::Undetermined => "undetermined",
    };
    let mut text = format!("# tollgate {}: {verdict}\n\n", report.tool);
    let product = report.product.as_deref().map(|product| format!(" ({product})")).unwrap_or_default();
    let _ = writeln!(text, "{}{product}, {}\n", plain(&report.subject), report.began_at);
    text.push_str("| result | rule | what was found | ground |\n|---|---|---|---|\n");
    for finding in &report.findings {
        let (result, ground) = words(finding);
        let place = finding.place.as_ref();
        let place = place.map(|place| format!("{}:{}: ", place.file, place.line)).unwrap_or_default();
        let rule = format!("[`{}`]({})", finding.rule.id, finding.rule.link());
        let _ =
            writeln!(text, "| {result} | {rule} | {}{} | {ground} |", plain(&place), plain(&finding.says));
    }
    let unwell = |finding: &&Finding| !matches!(finding.outcome, Outcome::Pass(_));
    for finding in report.findings.iter().filter(unwell) {
        let _ =
            writeln!(text, "\n## {}: {}\n\n{}\n", finding.rule.id, finding.rule.title, plain(&finding.says));
        for evidence in &finding.evidence {
            let _ = writeln!(text, "- {}: {}", evidence.label, plain(&evidence.text));
        }
        if let Some(cure) = &finding.cure {
            let _ = writeln!(text, "- cure: {}", plain(cure));
        }
    }
    text
}

fn words(finding: &Finding) -> (&'static str, &'static str) {
    let result = match (finding.outcome, finding.rule.severity) {
        (Outcome::Pass(_), _) => "pass",
        (Outcome::Fail(_), Severity::Error) => "**fail**",
        (Outcome::Fail(_), Severity::Warning) => "warning",
        (Outcome::Fail(_), Severity::Note) => "note",
        (Outcome::Unknown, _) => "unknown",
    };
    let ground = match finding.outcome {
        Outcome::Pass(Ground::Proven) | Outcome::Fail(Ground::Proven) => "proven",
        Outcome::Pass(Ground::Inferred) | Outcome::Fail(Ground::Inferred) => "inferred",
        Outcome::Unknown => "",
    };
    (result, ground)
}

/// Text on one line that Markdown takes as it is, wherever it comes from.
fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' => plain.push(' '),
            c if is_obeyed(c) => plain.extend(c.escape_default()),
            '\\' | '`' | '*' | '_' | '[' | ']' | '<' | '>' | '|' | '#' | '&' | '!' => plain.extend(['\\', c]),
            c => plain.push(c),
        }
    }
    plain
}
