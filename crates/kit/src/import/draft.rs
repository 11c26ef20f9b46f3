//! The document that is made: only what the other gateway says, so that defaults stay defaults.

use super::budget::Grant;
use crate::finding::{Finding, Outcome};
use std::fmt::Write;

/// What a document shall hold. What is not given keeps its default.
#[derive(Debug, Default)]
pub(crate) struct Draft {
    /// The sections with single fields, in the order of the document: `listen`, and `address: ...` below it.
    pub(super) sections: Vec<(&'static str, Vec<String>)>,
    /// The models to list: id, and name for people.
    pub(super) models: Vec<(String, Option<String>)>,
    /// The allowances.
    pub(super) grants: Vec<Grant>,
}

impl Draft {
    /// Sets a field of a section. The value is YAML.
    pub(super) fn set(&mut self, section: &'static str, field: &str, value: impl std::fmt::Display) {
        let line = format!("{field}: {value}");
        match self.sections.iter_mut().find(|(name, _)| *name == section) {
            Some((_, lines)) => lines.push(line),
            None => self.sections.push((section, vec![line])),
        }
    }

    /// The document, with a list of what is not in it.
    pub(crate) fn text(&self, product: &str, file: &str, findings: &[Finding]) -> String {
        let mut text = format!(
            "# Made by `tollgate import` from {}, a configuration of {product}.\n# `tollgate config check` judges it, \
             `tollgate config reference` says what each field means.\n",
            comment(file)
        );
        for (section, lines) in &self.sections {
            let _ = writeln!(text, "\n{section}:");
            for line in lines {
                let _ = writeln!(text, "  {line}");
            }
        }
        if !self.models.is_empty() {
            text.push_str(
                "\n# What `GET /v1/models` lists. What a key may use is said at the key.\nmodels:\n",
            );
            for (id, label) in &self.models {
                let label = label.as_ref().map(|label| format!(", display_name: {}", quoted(label)));
                let _ = writeln!(text, "  - {{ id: {}{} }}", quoted(id), label.unwrap_or_default());
            }
        }
        if !self.grants.is_empty() {
            text.push_str("\nallowances:\n");
            for grant in &self.grants {
                let _ = writeln!(text, "  - {}", grant.line);
            }
        }
        let open = findings.iter().filter(|finding| matches!(finding.outcome, Outcome::Fail(_)));
        for (index, finding) in open.enumerate() {
            if index == 0 {
                text.push_str("\n# Not the same as before:\n");
            }
            let place = finding.place.as_ref();
            let place = place.map(|place| format!("{}:{}: ", place.file, place.line)).unwrap_or_default();
            let _ = writeln!(text, "#   {}{}", comment(&place), comment(&finding.says));
        }
        text
    }
}

/// A text as YAML: JSON is a subset of it.
pub(super) fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// A text that ends no comment.
fn comment(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}
