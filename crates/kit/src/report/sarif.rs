//! The report for code scanning: SARIF 2.1.0 (<https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html>).

use serde_json::{Value, json};

use super::Report;
use crate::finding::{Finding, Ground, Outcome, Rule, Severity};

pub(super) fn print(report: &Report) -> String {
    let mut rules: Vec<&'static Rule> = Vec::new();
    for finding in &report.findings {
        if !rules.contains(&finding.rule) {
            rules.push(finding.rule);
        }
    }
    let results: Vec<Value> = report.findings.iter().map(|finding| result(finding, &rules, report)).collect();
    let document = json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {
                "name": "tollgate",
                "version": env!("CARGO_PKG_VERSION"),
                "rules": rules.iter().map(|rule| descriptor(rule)).collect::<Vec<_>>(),
            }},
            "automationDetails": {"id": format!("tollgate {}/", report.tool)},
            "invocations": [{"executionSuccessful": true, "startTimeUtc": report.began_at.to_string()}],
            "results": results,
        }],
    });
    super::json::visible(&format!("{document:#}\n"))
}

fn descriptor(rule: &Rule) -> Value {
    json!({
        "id": rule.id,
        "shortDescription": {"text": rule.title},
        "fullDescription": {"text": rule.about},
        "help": {"text": format!("See {}.", rule.link())},
        "defaultConfiguration": {"level": level(rule.severity)},
    })
}

fn level(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Note => "note",
    }
}

fn result(finding: &Finding, rules: &[&'static Rule], report: &Report) -> Value {
    // A result that is no failure has the level `none` (section 3.27.10).
    let (kind, level) = match finding.outcome {
        Outcome::Pass(_) => ("pass", "none"),
        Outcome::Fail(_) => ("fail", level(finding.rule.severity)),
        Outcome::Unknown => ("open", "none"),
    };
    let ground = match finding.outcome {
        Outcome::Pass(Ground::Proven) | Outcome::Fail(Ground::Proven) => "proven",
        Outcome::Pass(Ground::Inferred) | Outcome::Fail(Ground::Inferred) => "inferred",
        Outcome::Unknown => "none",
    };
    let cure = finding.cure.as_deref().map(|cure| format!("\nCure: {cure}")).unwrap_or_default();
    let location = match &finding.place {
        Some(place) => json!({"physicalLocation": {
            "artifactLocation": {"uri": place.file.replace(' ', "%20")},
            "region": {"startLine": place.line, "startColumn": place.column},
        }}),
        None => json!({"logicalLocations": [{"name": report.subject, "kind": "resource"}]}),
    };
    json!({
        "ruleId": finding.rule.id,
        "ruleIndex": rules.iter().position(|rule| *rule == finding.rule),
        "kind": kind,
        "level": level,
        "message": {"text": format!("{}: {}{cure}", finding.rule.title, finding.says)},
        "locations": [location],
        "properties": {"ground": ground, "evidence": finding.evidence},
    })
}
