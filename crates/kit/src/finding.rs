//! What the kit finds: what came of one rule of `check`, `doctor`, `lint`, `import` or `shadow`, with its evidence and its cure.

use std::time::Duration;

use serde::Serialize;

#[cfg(test)]
mod reference;

/// One thing that the kit looks at. `check`, `doctor`, `lint`, `import` and `shadow` each have a table of these, and their
/// reference pages are printed from it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Rule {
    /// Stable, in lower case: `stream.arrival`. Reports, baselines and links use it.
    pub(crate) id: &'static str,
    /// A few words for people: `SSE Streaming`.
    pub(crate) title: &'static str,
    /// How bad it is where it does not hold.
    pub(crate) severity: Severity,
    /// Whether there is no good verdict while nobody can tell if it holds.
    pub(crate) is_decisive: bool,
    /// What must be true, why, and who says so.
    pub(crate) about: &'static str,
}

/// Declares each row as a static and all of them as `TABLE`.
macro_rules! rules {
    ($($name:ident = $id:literal $title:literal $severity:ident $decisive:literal $about:literal;)*) => {
        $(pub(crate) static $name: $crate::finding::Rule = $crate::finding::Rule {
            id: $id,
            title: $title,
            severity: $crate::finding::Severity::$severity,
            is_decisive: $decisive,
            about: $about,
        };)*
        /// All of them, in the order of a report.
        #[allow(dead_code, reason = "the reference page reads every table, not every command reads its own")]
        pub(crate) static TABLE: &[&$crate::finding::Rule] = &[$(&$name),*];
    };
}

pub(crate) use rules;

impl Rule {
    /// Its place in the documentation.
    pub(crate) fn link(&self) -> String {
        format!("docs/reference/rules.md#{}", self.id.replace('.', ""))
    }
}

/// How bad it is where a rule does not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Severity {
    /// Worth knowing.
    Note,
    /// Something that clients can do without, or that will hurt later.
    Warning,
    /// Clients do not work, or a secret or money is lost.
    Error,
}

/// What a verdict rests on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Ground {
    /// Both sides were seen: what was sent and what came out at the other end.
    Proven,
    /// Only one side was seen, and it is best explained so.
    Inferred,
}

/// What came of a rule. What could not be told is never a pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It holds.
    Pass(Ground),
    /// It does not hold.
    Fail(Ground),
    /// It could not be told.
    Unknown,
}

/// What came of one rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Finding {
    /// Which one.
    pub(crate) rule: &'static Rule,
    /// Whether it holds.
    pub(crate) outcome: Outcome,
    /// One sentence that says what was found. Without a full stop, as it stands behind a title.
    pub(crate) says: String,
    /// What was sent and what arrived. Reports hide secrets in it; see [`crate::report::Report::hide`].
    pub(crate) evidence: Vec<Evidence>,
    /// What to do about it, in the words of the product at hand where that is known.
    pub(crate) cure: Option<String>,
    /// Where in a file.
    pub(crate) place: Option<Place>,
    /// How long it took to find out.
    pub(crate) took: Duration,
}

/// One piece of evidence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub(crate) struct Evidence {
    /// What it is: `sent`, `reached the upstream`, `answered`.
    pub(crate) label: &'static str,
    /// The thing itself, cut to a size that people read.
    pub(crate) text: String,
}

/// A place in a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub(crate) struct Place {
    /// The file as it was named.
    pub(crate) file: String,
    /// The line, from 1.
    pub(crate) line: usize,
    /// The column, from 1.
    pub(crate) column: usize,
}

/// The most characters of one piece of evidence.
const EVIDENCE_CHARS: usize = 400;

impl Finding {
    /// The rule holds.
    pub(crate) fn pass(rule: &'static Rule, ground: Ground, says: impl Into<String>) -> Self {
        Self::new(rule, Outcome::Pass(ground), says)
    }

    /// The rule does not hold.
    pub(crate) fn fail(rule: &'static Rule, ground: Ground, says: impl Into<String>) -> Self {
        Self::new(rule, Outcome::Fail(ground), says)
    }

    /// It could not be told; the sentence says why.
    pub(crate) fn unknown(rule: &'static Rule, says: impl Into<String>) -> Self {
        Self::new(rule, Outcome::Unknown, says)
    }

    fn new(rule: &'static Rule, outcome: Outcome, says: impl Into<String>) -> Self {
        let says = says.into();
        Self { rule, outcome, says, evidence: Vec::new(), cure: None, place: None, took: Duration::ZERO }
    }

    /// With this evidence.
    pub(crate) fn with(mut self, label: &'static str, text: impl Into<String>) -> Self {
        let mut text = text.into();
        if let Some((end, _)) = text.char_indices().nth(EVIDENCE_CHARS) {
            text.truncate(end);
            text.push_str(" ...");
        }
        self.evidence.push(Evidence { label, text });
        self
    }

    /// With this cure.
    pub(crate) fn cure(mut self, cure: impl Into<String>) -> Self {
        self.cure = Some(cure.into());
        self
    }

    /// At this place.
    pub(crate) fn at(mut self, place: Place) -> Self {
        self.place = Some(place);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    static RULE: Rule =
        Rule { id: "a.b", title: "A", severity: Severity::Error, is_decisive: true, about: "It is so." };

    #[test]
    fn evidence_is_cut_between_characters() {
        let long = "\u{e9}".repeat(EVIDENCE_CHARS + 1);
        let finding = Finding::fail(&RULE, Ground::Proven, "it is not so").with("sent", long);
        assert_eq!(finding.evidence[0].text.chars().count(), EVIDENCE_CHARS + 4);
        assert!(finding.evidence[0].text.ends_with("\u{e9} ..."));
    }
}
