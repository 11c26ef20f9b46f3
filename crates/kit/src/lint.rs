//! `tollgate lint`: what is wrong with the configuration of a gateway before the Anthropic API, as far as its file shows
//! it. What a gateway really does is for `tollgate check` to find out.
//!
//! Each product is a file of this room with a function from a text to [`Notes`]. What holds of every text is in
//! [`mod@text`], what holds of the headers that any of them sends upstream in [`headers`].

mod aws;
mod directives;
mod envoy;
pub(crate) mod gather;
mod haproxy;
mod headers;
mod kind;
mod kong;
mod nginx;
pub(crate) mod rules;
mod text;
mod truefoundry;
mod zuplo;

#[cfg(test)]
mod tests;

pub(crate) use kind::Kind;

use crate::finding::{self, Finding, Ground, Rule};
use tollgate_config::{
    problem::{Place, conceal},
    tree::{self, Node},
};

/// The most findings of one rule in one file: whoever has repaired those will look again.
const PER_RULE_MAX: usize = 20;

/// One file.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Subject<'a> {
    /// The file as it was named.
    pub(crate) name: &'a str,
    /// What is in it.
    pub(crate) text: &'a str,
    /// Whether only its owner may read it.
    pub(crate) is_private: bool,
    /// The text of the file beside it that defines its policies, which routes of Zuplo have.
    pub(crate) policies: Option<&'a str>,
}

/// What is wrong with the file, in the order of its lines.
pub(crate) fn lint(subject: &Subject<'_>, kind: Kind) -> Vec<Finding> {
    // What marks the encoding of a file is no part of its text.
    let text = subject.text.strip_prefix('\u{feff}').unwrap_or(subject.text);
    let subject = &Subject { text, ..*subject };
    let mut notes = Notes { file: subject.name, findings: Vec::new() };
    text::lint(subject, kind, &mut notes);
    match kind {
        Kind::Nginx => nginx::lint(subject, &mut notes),
        Kind::Haproxy => haproxy::lint(subject, &mut notes),
        Kind::Kong => trees(subject, &mut notes, |tree, notes| kong::lint(tree, notes)),
        Kind::Envoy => trees(subject, &mut notes, |tree, notes| {
            envoy::rename(tree);
            envoy::lint(tree, notes);
        }),
        Kind::Zuplo => trees(subject, &mut notes, |tree, notes| zuplo::lint(tree, subject, notes)),
        Kind::Truefoundry => trees(subject, &mut notes, |tree, notes| truefoundry::lint(tree, notes)),
        Kind::Aws => trees(subject, &mut notes, |tree, notes| aws::lint(tree, notes)),
    }
    let mut findings = notes.findings;
    // Something expands a template before its product reads it.
    let is_template = subject.name.ends_with(".template");
    findings.retain(|finding| !is_template || finding.rule != &rules::REFERENCE);
    findings.sort_by_key(|finding| finding.place.as_ref().map(|place| (place.line, place.column)));
    findings
}

/// Reads YAML or JSON and looks at each of its documents.
fn trees(subject: &Subject<'_>, notes: &mut Notes<'_>, look: impl Fn(&mut Node, &mut Notes<'_>)) {
    match tree::read_all(subject.text) {
        Ok(mut trees) => trees.iter_mut().for_each(|tree| look(tree, notes)),
        Err(problem) => {
            let place = Place { line: problem.line.unwrap_or(1), column: problem.column.unwrap_or(1) };
            notes.add(&rules::SYNTAX, place, problem.rule, problem.cure);
        }
    }
}

/// What has been found in a file so far.
#[derive(Debug)]
struct Notes<'a> {
    file: &'a str,
    findings: Vec<Finding>,
}

impl Notes<'_> {
    /// The rule does not hold here: a sentence without a full stop, and a cure that can be pasted. What looks like a
    /// secret in either is hidden.
    fn add(&mut self, rule: &'static Rule, at: Place, says: impl AsRef<str>, cure: impl AsRef<str>) {
        let of_rule = || self.findings.iter().filter(|other| std::ptr::eq(other.rule, rule));
        if of_rule().count() == PER_RULE_MAX {
            return;
        }
        let place = finding::Place {
            file: self.file.to_owned(),
            line: usize::try_from(at.line).unwrap_or(usize::MAX),
            column: usize::try_from(at.column).unwrap_or(usize::MAX),
        };
        let finding = Finding::fail(rule, Ground::Proven, conceal(says.as_ref()));
        let finding = finding.cure(conceal(cure.as_ref())).at(place);
        if !of_rule().any(|other| *other == finding) {
            self.findings.push(finding);
        }
    }
}

/// `a`, `a and b`, `a, b and c`.
fn listed(names: &[&str]) -> String {
    match names {
        [] => String::new(),
        [only] => (*only).to_owned(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}
