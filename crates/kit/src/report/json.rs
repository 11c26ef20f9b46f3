//! The report for programs. Its schema is docs/reference/report.schema.json, made from the types here.

use std::fmt::Write;

use schemars::JsonSchema;
use serde::Serialize;

use super::{Report, Verdict, is_obeyed};
use crate::finding::{Evidence, Finding, Ground, Outcome, Place, Severity};

/// The version of the form. It changes when a field changes its meaning or goes away, not when one is added.
const VERSION: u32 = 1;

#[derive(Serialize, JsonSchema)]
struct Document<'a> {
    /// The version of this form.
    version: u32,
    /// The command that made it.
    tool: &'a str,
    /// The version of Tollgate.
    tollgate: &'static str,
    /// What was looked at.
    subject: &'a str,
    /// The product that it seems to be.
    product: Option<&'a str>,
    /// When it began: RFC 3339, in UTC.
    began_at: String,
    /// What it comes to: `good`, `bad` or `undetermined`.
    #[schemars(extend("enum" = ["good", "bad", "undetermined"]))]
    verdict: &'static str,
    /// How many findings there are of each outcome.
    summary: Summary,
    /// What was found.
    findings: Vec<Row<'a>>,
}

#[derive(Default, Serialize, JsonSchema)]
struct Summary {
    passed: usize,
    failed: usize,
    unknown: usize,
}

#[derive(Serialize, JsonSchema)]
struct Row<'a> {
    /// The id of the rule.
    rule: &'a str,
    /// Its title.
    title: &'a str,
    /// How bad it is where it does not hold.
    severity: Severity,
    /// `pass`, `fail` or `unknown`.
    #[schemars(extend("enum" = ["pass", "fail", "unknown"]))]
    outcome: &'static str,
    /// What that rests on; absent where it could not be told.
    #[serde(skip_serializing_if = "Option::is_none")]
    ground: Option<Ground>,
    /// What was found, in a sentence.
    says: &'a str,
    /// What was sent and what arrived.
    evidence: &'a [Evidence],
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    cure: Option<&'a str>,
    /// Where in a file.
    #[serde(skip_serializing_if = "Option::is_none")]
    place: Option<&'a Place>,
    /// Where the documentation says more.
    link: String,
    /// How long it took, in milliseconds.
    took_ms: u64,
}

pub(super) fn print(report: &Report) -> String {
    let mut summary = Summary::default();
    for finding in &report.findings {
        match finding.outcome {
            Outcome::Pass(_) => summary.passed += 1,
            Outcome::Fail(_) => summary.failed += 1,
            Outcome::Unknown => summary.unknown += 1,
        }
    }
    let verdict = match report.verdict() {
        Verdict::Good => "good",
        Verdict::Bad => "bad",
        Verdict::Undetermined => "undetermined",
    };
    let document = Document {
        version: VERSION,
        tool: report.tool,
        tollgate: env!("CARGO_PKG_VERSION"),
        subject: &report.subject,
        product: report.product.as_deref(),
        began_at: report.began_at.to_string(),
        verdict,
        summary,
        findings: report.findings.iter().map(row).collect(),
    };
    // Every key is a string, so nothing can fail.
    visible(&serde_json::to_string_pretty(&document).unwrap_or_default())
}

/// JSON in which what a terminal obeys is escaped, which standard encoders do for the characters below U+0020 alone.
pub(super) fn visible(json: &str) -> String {
    let mut visible = String::with_capacity(json.len());
    for c in json.chars() {
        if c != '\n' && is_obeyed(c) {
            let _ = write!(visible, "\\u{:04x}", u32::from(c));
        } else {
            visible.push(c);
        }
    }
    visible
}

fn row(finding: &Finding) -> Row<'_> {
    let (outcome, ground) = match finding.outcome {
        Outcome::Pass(ground) => ("pass", Some(ground)),
        Outcome::Fail(ground) => ("fail", Some(ground)),
        Outcome::Unknown => ("unknown", None),
    };
    Row {
        rule: finding.rule.id,
        title: finding.rule.title,
        severity: finding.rule.severity,
        outcome,
        ground,
        says: &finding.says,
        evidence: &finding.evidence,
        cure: finding.cure.as_deref(),
        place: finding.place.as_ref(),
        link: finding.rule.link(),
        took_ms: finding.took.as_millis().try_into().unwrap_or(u64::MAX),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{env, fs, path::Path};

    /// The committed schema is what the types say. `TOLLGATE_UPDATE=1` writes it anew.
    #[test]
    fn the_reference_is_current() {
        let schema = schemars::schema_for!(Document<'static>);
        let text = format!("{:#}\n", schema.as_value());
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference/report.schema.json");
        if env::var_os("TOLLGATE_UPDATE").is_some() {
            fs::write(&path, &text).unwrap();
        }
        let kept = fs::read_to_string(&path).unwrap_or_default();
        assert_eq!(kept, text, "renew it: TOLLGATE_UPDATE=1 cargo test -p tollgate the_reference_is_current");
    }
}
