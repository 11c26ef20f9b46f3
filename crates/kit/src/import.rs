//! `tollgate import`: what another gateway was told, said to this one.
//!
//! A product is a file of this room with a function from a text to a [`Draft`] of a document and notes on what is not
//! in it. Nothing is dropped silently, no secret is copied or shown, and nobody may do more than before.

mod budget;
mod claude_gateway;
mod draft;
mod keys;
mod litellm;
mod rows;
pub(crate) mod rules;
mod settings;
mod teams;

#[cfg(test)]
mod tests;

pub(crate) use claude_gateway::read as read_claude_gateway;
pub(crate) use draft::Draft;
pub(crate) use keys::{Key, Known, read as read_keys};
pub(crate) use litellm::read as read_litellm;
pub(crate) use teams::{Teams, read as read_teams};

use crate::finding::{self, Finding, Ground, Rule};
use tollgate_config::{
    problem::{Place, conceal},
    tree::{self, Node, Value},
};
use tollgate_policy::scope::Name;

/// The longest list of keys or teams that is read: a hundred thousand keys or so, and more come in several files.
pub(crate) const ROWS_BYTES_MAX: u64 = 128 << 20;

/// What a document refers to where the key of the upstream is no reference, or is not said.
const VARIABLE: &str = "ANTHROPIC_API_KEY";
/// That it does, and what to do.
const UNREFERRED: &str =
    "the document refers to the variable `ANTHROPIC_API_KEY` for the key of the upstream";
const SET_VARIABLE: &str =
    "export ANTHROPIC_API_KEY where the gateway is started, or name a file: `file:/path`.";

/// The first place of a file.
const START: Place = Place { line: 1, column: 1 };

/// What is to be said about a file.
#[derive(Debug)]
pub(crate) struct Notes<'a> {
    file: &'a str,
    pub(crate) findings: Vec<Finding>,
}

impl<'a> Notes<'a> {
    pub(crate) fn new(file: &'a str) -> Self {
        Self { file, findings: Vec::new() }
    }

    /// Something does not come over as it was: a sentence without a full stop, and what to do. What looks like a secret
    /// in either is hidden.
    fn add(&mut self, rule: &'static Rule, at: Place, says: impl AsRef<str>, cure: impl AsRef<str>) {
        let place = self.place(at);
        let finding = Finding::fail(rule, Ground::Proven, conceal(says.as_ref()));
        self.findings.push(finding.cure(conceal(cure.as_ref())).at(place));
    }

    /// The file was read.
    fn read_as(&mut self, what: &str) {
        let place = self.place(START);
        let says = format!("it reads as {what}");
        self.findings.insert(0, Finding::pass(&rules::SYNTAX, Ground::Proven, says).at(place));
    }

    fn place(&self, at: Place) -> finding::Place {
        let number = |n: u32| usize::try_from(n).unwrap_or(usize::MAX);
        finding::Place { file: self.file.to_owned(), line: number(at.line), column: number(at.column) }
    }
}

/// The one document of a text: a section in which no field stands twice.
fn document(text: &str, notes: &mut Notes<'_>) -> Option<Node> {
    let mut trees = match tree::read_all(text) {
        Ok(trees) => trees,
        Err(problem) => {
            let at = Place { line: problem.line.unwrap_or(1), column: problem.column.unwrap_or(1) };
            notes.add(&rules::SYNTAX, at, problem.rule, problem.cure);
            return None;
        }
    };
    let is_one = trees.len() == 1 && matches!(trees[0].value, Value::Map(_));
    if !is_one {
        let says = "this is not one YAML document with sections";
        notes.add(&rules::SYNTAX, START, says, "name the file that the gateway is started with.");
        return None;
    }
    let tree = trees.remove(0);
    let known = notes.findings.len();
    twice(&tree, notes);
    (notes.findings.len() == known).then_some(tree)
}

/// Fields that stand twice: which of them counts is for no importer to guess.
fn twice(node: &Node, notes: &mut Notes<'_>) {
    let mut seen = std::collections::BTreeSet::new();
    for (key, value) in node.fields() {
        if !seen.insert(&key.name) {
            let says = format!("`{}` stands here twice", key.name);
            notes.add(&rules::SYNTAX, key.place, says, "remove one of the two.");
        }
        twice(value, notes);
    }
    node.items().iter().for_each(|item| twice(item, notes));
}

/// The text of a single value; of another, a text that is none of a number or a span.
fn scalar(node: &Node) -> Option<String> {
    match &node.value {
        Value::Text(text) | Value::OtherNumber(text) => Some(text.clone()),
        Value::Integer(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        Value::List(_) | Value::Map(_) => (!is_empty(node)).then(|| "{...}".to_owned()),
        Value::Null => None,
    }
}

/// Whether there is nothing in a value.
fn is_empty(node: &Node) -> bool {
    match &node.value {
        Value::Null => true,
        Value::Text(text) => text.is_empty(),
        Value::List(items) => items.is_empty(),
        Value::Map(fields) => fields.is_empty(),
        Value::Bool(_) | Value::Integer(_) | Value::OtherNumber(_) => false,
    }
}

/// Secrets in clear, by the names of their fields. `refers` knows how the product refers to secrets.
fn secrets(node: &Node, refers: fn(&str) -> bool, notes: &mut Notes<'_>) {
    for (key, value) in node.fields() {
        if is_secret_name(&key.name) && value.text().is_some_and(|text| !text.is_empty() && !refers(text)) {
            let says = format!("`{}` holds a secret in clear; it was not copied", key.name);
            let cure =
                "keep it in a variable or a file of its owner, refer to it, and replace it if others saw it.";
            notes.add(&rules::SECRET, value.place, says, cure);
        }
        secrets(value, refers, notes);
    }
    node.items().iter().for_each(|item| secrets(item, refers, notes));
}

fn is_secret_name(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let ends = ["key", "token", "secret", "password", "database_url", "redis_url", "postgres_url"];
    ends.iter().any(|end| name.ends_with(end)) && name != "cache_key"
}

/// A name here for a name there: what a name can not hold becomes a dash.
fn respelled(text: &str) -> Option<Name> {
    let fits = |c: char| if c.is_ascii_alphanumeric() || "._@-".contains(c) { c } else { '-' };
    let respelled: String = text.trim().chars().map(fits).take(64).collect();
    respelled.trim_matches('-').parse().ok()
}

/// A variable of the environment that a shell can set.
fn is_variable(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}
