//! What is wrong with a document, where, and how to repair it.

use std::{fmt, ops::Range};

/// How much a problem matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Severity {
    /// The document is refused.
    Error,
    /// The document is accepted; what it asks for is probably not what was meant.
    Warning,
}

impl Severity {
    /// The word shown to people: `error` or `warning`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
}

/// One thing wrong with a document.
///
/// No text in it ever repeats something that looks like a secret: problems are printed, logged and
/// pasted into tickets, so such runs of characters are shown as `(hidden)`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// What the text is called, usually a file name; empty when the document is not from text.
    pub name: String,
    /// Whether the document is refused because of it.
    pub severity: Severity,
    /// Line in the text, from 1. Absent when the document is not from text, or when the rule is
    /// broken by something that the text leaves out.
    pub line: Option<u32>,
    /// Column in the line, in characters, from 1. Present exactly when `line` is.
    pub column: Option<u32>,
    /// The field, such as `upstream.url` or `models[0].id`; empty for the document as a whole.
    pub path: String,
    /// The rule that is broken, a clause.
    pub rule: String,
    /// What to do about it, a sentence.
    pub cure: String,
}

impl Problem {
    /// A problem that refuses the document.
    pub(crate) fn error(path: &str, rule: &str, cure: &str) -> Self {
        Self::new(Severity::Error, path, rule, cure)
    }

    /// A problem that is only mentioned.
    pub(crate) fn warning(path: &str, rule: &str, cure: &str) -> Self {
        Self::new(Severity::Warning, path, rule, cure)
    }

    fn new(severity: Severity, path: &str, rule: &str, cure: &str) -> Self {
        Self {
            name: String::new(),
            severity,
            line: None,
            column: None,
            path: conceal(path),
            rule: conceal(rule),
            cure: conceal(cure),
        }
    }

    /// Records where the problem is.
    pub(crate) fn place(&mut self, place: Option<Place>) {
        self.line = place.map(|place| place.line);
        self.column = place.map(|place| place.column);
    }

    /// The same problem, at `place`.
    pub(crate) fn at(mut self, place: Place) -> Self {
        self.place(Some(place));
        self
    }

    /// Whether the document is refused because of it.
    #[must_use]
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }
}

impl fmt::Display for Problem {
    /// `tollgate.yaml:3:5: error: upstream.url: rule`, then a second line with the cure.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.name.is_empty() {
            write!(f, "{}:", self.name)?;
        }
        if let (Some(line), Some(column)) = (self.line, self.column) {
            write!(f, "{line}:{column}:")?;
        }
        if !self.name.is_empty() || self.line.is_some() {
            f.write_str(" ")?;
        }
        write!(f, "{}: ", self.severity.as_str())?;
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        write!(f, "{}\n  cure: {}", self.rule, self.cure)
    }
}

impl std::error::Error for Problem {}

/// A place in a text: line and column, both from 1, the column in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The line.
    pub line: u32,
    /// The column.
    pub column: u32,
}

/// Whether the text holds something that looks like a secret.
pub(crate) fn holds_secret(text: &str) -> bool {
    conceal(text) != text
}

/// The text with every run that looks like a secret, or like a PEM body, replaced by `(hidden)`.
#[must_use]
pub fn conceal(text: &str) -> String {
    if text.contains("PRIVATE KEY") {
        return "(hidden)".to_owned();
    }
    let mut shown = String::with_capacity(text.len());
    let mut end = 0;
    for secret in secrets(text) {
        shown.push_str(&text[end..secret.start]);
        shown.push_str("(hidden)");
        end = secret.end;
    }
    shown.push_str(&text[end..]);
    shown
}

/// Where runs are that look like secrets, in bytes.
pub fn secrets(text: &str) -> impl Iterator<Item = Range<usize>> {
    let mut from = 0;
    std::iter::from_fn(move || {
        let start = from + text[from..].find(is_secret_char)?;
        let run = &text[start..];
        from = start + run.find(|c| !is_secret_char(c)).unwrap_or(run.len());
        Some(start..from)
    })
    .filter(|run| looks_secret(&text[run.clone()]))
}

fn is_secret_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '-' || c == '_'
}

/// Keys of the Anthropic API hold `sk-ant-`; keys of other APIs begin with `sk-`, our own virtual
/// keys with `tg_`, credentials of operators with `tga_`. The short marks also begin innocent names, hence the length.
fn looks_secret(run: &str) -> bool {
    const LEAST: usize = 12;
    const LEAST_OF_SHORT_MARK: usize = 32;
    (run.contains("sk-ant-") && run.len() >= LEAST)
        || (["sk-", "tg_", "tga_"].iter().any(|mark| run.starts_with(mark))
            && run.len() >= LEAST_OF_SHORT_MARK)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_concealed_and_words_are_not() {
        let rows = [
            ("plain words", "plain words"),
            ("sk-ant-api03-abcdef", "(hidden)"),
            ("key `sk-ant-api03-abcdef` here", "key `(hidden)` here"),
            ("xsk-ant-api03-abcdef", "(hidden)"),
            ("tg_0123456789abcdef0123456789abcdef", "(hidden)"),
            ("tga_0123456789abcdef0123456789abcdef", "(hidden)"),
            ("sk-0123456789abcdef0123456789abcdef", "(hidden)"),
            ("sk-ant-", "sk-ant-"),
            ("https://sk-frontend-01.example.com", "https://sk-frontend-01.example.com"),
            ("/data/tg_production", "/data/tg_production"),
            ("task-runner-internal", "task-runner-internal"),
            ("-----BEGIN PRIVATE KEY-----\nMIIE", "(hidden)"),
            ("", ""),
        ];
        for (text, shown) in rows {
            assert_eq!(conceal(text), shown, "{text:?}");
        }
    }
}
