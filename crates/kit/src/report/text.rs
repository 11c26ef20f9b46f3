//! The report for people. Colours are taken away again where standard output is no terminal.

use std::fmt::Write;

use clap::builder::styling::{AnsiColor, Style};

use super::{Report, is_obeyed};
use crate::finding::{Finding, Ground, Outcome, Severity};

const GOOD: Style = AnsiColor::Green.on_default();
const BAD: Style = AnsiColor::Red.on_default().bold();
const OPEN: Style = AnsiColor::Yellow.on_default();

/// One line for each finding, and below those that are not well, or all if `verbose`, what was seen and what helps.
pub(super) fn print(report: &Report, verbose: bool) -> String {
    lines(&report.findings, verbose)
}

/// The same for some of them.
pub(crate) fn lines(findings: &[Finding], verbose: bool) -> String {
    let mut text = String::new();
    for finding in findings {
        let (style, mark) = mark(finding);
        let ground = match finding.outcome {
            Outcome::Pass(Ground::Inferred) | Outcome::Fail(Ground::Inferred) if verbose => " (inferred)",
            _ => "",
        };
        let place = finding.place.as_ref();
        let place = place
            .map(|place| format!("{}:{}:{}: ", place.file, place.line, place.column))
            .unwrap_or_default();
        let _ = writeln!(
            text,
            "{style}{mark}{style:#} - {place}{}: {}{ground}",
            finding.rule.title,
            one_line(&finding.says)
        );
        let is_well = matches!(finding.outcome, Outcome::Pass(_));
        if verbose || !is_well {
            for evidence in &finding.evidence {
                let _ = writeln!(text, "    {}: {}", evidence.label, one_line(&evidence.text));
            }
        }
        if let (false, Some(cure)) = (is_well, &finding.cure) {
            let lines: Vec<String> = cure.lines().map(one_line).collect();
            let _ = writeln!(text, "    cure: {}", lines.join("\n          "));
        }
        if !is_well {
            let _ = writeln!(text, "    rule: {} ({})", finding.rule.id, finding.rule.link());
        }
    }
    text
}

fn mark(finding: &Finding) -> (Style, &'static str) {
    match (finding.outcome, finding.rule.severity) {
        (Outcome::Pass(_), _) => (GOOD, "\u{2713} PASS"),
        (Outcome::Fail(_), Severity::Error) => (BAD, "\u{2717} FAIL"),
        (Outcome::Fail(_), Severity::Warning) => (OPEN, "! WARN"),
        (Outcome::Fail(_), Severity::Note) => (OPEN, "i NOTE"),
        (Outcome::Unknown, _) => (OPEN, "? UNKNOWN"),
    }
}

/// What a terminal obeys as escapes: evidence comes from elsewhere.
fn one_line(text: &str) -> String {
    text.chars().flat_map(|c| if is_obeyed(c) { c.escape_default().collect() } else { vec![c] }).collect()
}
