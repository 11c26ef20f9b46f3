//! The report of `check` for people: the guide's six lines, the verdict, and then the rest.

use std::fmt::Write;

use clap::builder::styling::{AnsiColor, Style};

use crate::{
    finding::{Ground, Outcome},
    report::{Report, Verdict, lines},
};

/// The whole report.
pub(crate) fn print(report: &Report, is_unreachable: bool, verbose: bool) -> String {
    let decisive = report.findings.iter().take_while(|finding| finding.rule.is_decisive).count();
    let (first, rest) = report.findings.split_at(decisive);
    let mut text = lines(first, verbose);
    let _ = writeln!(text, "\n{}\n", verdict_line(report, is_unreachable));
    text.push_str(&lines(rest, verbose));
    let _ = writeln!(text, "\n{}", summary(report));
    text
}

/// The verdict, in the guide's words.
fn verdict_line(report: &Report, is_unreachable: bool) -> String {
    let (color, line) = match report.verdict() {
        _ if is_unreachable => (AnsiColor::Red, "\u{2717} Gateway can not be reached"),
        Verdict::Good => (AnsiColor::Green, "\u{2713} Gateway is COMPATIBLE with Claude Code"),
        Verdict::Bad => (AnsiColor::Red, "\u{2717} Gateway is NOT COMPATIBLE with Claude Code"),
        Verdict::Undetermined => (AnsiColor::Yellow, "? Whether the gateway is compatible can not be told"),
    };
    let style: Style = color.on_default().bold();
    format!("{style}{line}{style:#}")
}

fn summary(report: &Report) -> String {
    let count = |wanted: fn(&Outcome) -> bool| {
        report.findings.iter().filter(|finding| wanted(&finding.outcome)).count()
    };
    let passed = count(|outcome| matches!(outcome, Outcome::Pass(_)));
    let proven = count(|outcome| matches!(outcome, Outcome::Pass(Ground::Proven)));
    let failed = count(|outcome| matches!(outcome, Outcome::Fail(_)));
    let unknown = count(|outcome| matches!(outcome, Outcome::Unknown));
    let product = report.product.as_deref().map(|product| format!("; the gateway seems to be {product}"));
    format!(
        "{passed} passed ({proven} proven), {failed} failed, {unknown} unknown{}",
        product.unwrap_or_default()
    )
}
