//! Scripts: rules that decide the answers to requests that carry no directives of their own.

use std::sync::atomic::{AtomicU64, Ordering};

use serde::Deserialize;
use serde_json::value::RawValue;
use thiserror::Error;

use crate::directive::{self, BadDirective, Directives};
use crate::http::Head;

/// A list of rules. The first that matches a request decides.
///
/// ```json
/// {"rules": [
///   {"match": {"path": "/v1/messages", "model": "claude-opus-*", "nth": 3}, "do": "status=529"},
///   {"match": {"nth": {"every": 10}}, "do": {"status": 429, "retry_after": 2}},
///   {"do": "text=Hello.; pace_ms=20"}
/// ]}
/// ```
///
/// Every member of `match` may be left out: `method`, `path` and `model` (with `*` for any
/// characters), `stream` (true or false), `header` (an object of names and such patterns) and `nth`
/// (a number, or an object with any of `from`, `to` and `every`), which counts from 1 the requests
/// that match the rule otherwise.
#[derive(Debug, Default)]
pub struct Script {
    rules: Vec<Rule>,
}

/// Why a text is no script.
#[derive(Debug, Error)]
pub enum BadScript {
    /// It is not JSON, or not of the form of a script.
    #[error("the script cannot be read: {0}")]
    Form(#[from] serde_json::Error),
    /// A rule's directives are wrong.
    #[error("rule {number} of the script: {problem}")]
    Rule {
        /// Counts from 1.
        number: usize,
        /// What is wrong.
        problem: BadDirective,
    },
}

#[derive(Debug)]
struct Rule {
    when: When,
    directives: String,
    matched: AtomicU64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document<'t> {
    #[serde(borrow)]
    rules: Vec<RuleText<'t>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RuleText<'t> {
    #[serde(rename = "match", default)]
    when: When,
    #[serde(rename = "do", borrow)]
    directives: &'t RawValue,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct When {
    method: Option<String>,
    path: Option<String>,
    model: Option<String>,
    stream: Option<bool>,
    header: std::collections::BTreeMap<String, String>,
    nth: Option<Nth>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Nth {
    Exactly(u64),
    Range(Range),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Range {
    from: Option<u64>,
    to: Option<u64>,
    every: Option<u64>,
}

impl Script {
    /// Reads a script.
    ///
    /// # Errors
    ///
    /// When the text is no JSON of the form above, or a rule's directives cannot be read.
    pub fn parse(text: &str) -> Result<Self, BadScript> {
        let document: Document<'_> = serde_json::from_str(text)?;
        let rules = document
            .rules
            .into_iter()
            .enumerate()
            .map(|(index, rule)| rule.read(index + 1))
            .collect::<Result<_, _>>()?;
        Ok(Self { rules })
    }

    /// A script that gives every request the same directives.
    ///
    /// # Errors
    ///
    /// When the directives cannot be read.
    pub fn always(directives: &str) -> Result<Self, BadDirective> {
        Directives::parse(directives)?;
        let rule =
            Rule { when: When::default(), directives: directives.to_owned(), matched: AtomicU64::new(0) };
        Ok(Self { rules: vec![rule] })
    }

    /// The directives for a request, if a rule matches it.
    pub(crate) fn directives(&self, head: &Head, call: Option<(&str, bool)>) -> Option<&str> {
        self.rules.iter().find(|rule| rule.matches(head, call)).map(|rule| rule.directives.as_str())
    }
}

impl RuleText<'_> {
    fn read(self, number: usize) -> Result<Rule, BadScript> {
        let directives = directive::from_json(self.directives)
            .and_then(|text| Directives::parse(&text).map(|_| text))
            .map_err(|problem| BadScript::Rule { number, problem })?;
        Ok(Rule { when: self.when, directives, matched: AtomicU64::new(0) })
    }
}

impl Rule {
    fn matches(&self, head: &Head, call: Option<(&str, bool)>) -> bool {
        let when = &self.when;
        let fits = |pattern: &Option<String>, text: Option<&str>| match (pattern, text) {
            (None, _) => true,
            (Some(pattern), Some(text)) => fits(pattern, text),
            (Some(_), None) => false,
        };
        let matches = fits(&when.method, Some(&head.method))
            && fits(&when.path, Some(head.path()))
            && fits(&when.model, call.map(|(model, _)| model))
            && (when.stream.is_none() || when.stream == call.map(|(_, stream)| stream))
            && when
                .header
                .iter()
                .all(|(name, pattern)| fits(&Some(pattern.clone()), head.headers.first(name)));
        if !matches {
            return false;
        }
        let nth = self.matched.fetch_add(1, Ordering::Relaxed) + 1;
        match &when.nth {
            None => true,
            Some(Nth::Exactly(wanted)) => nth == *wanted,
            Some(Nth::Range(range)) => {
                range.from.is_none_or(|from| nth >= from)
                    && range.to.is_none_or(|to| nth <= to)
                    && range.every.is_none_or(|every| nth.is_multiple_of(every))
            }
        }
    }
}

/// Whether `text` fits `pattern`, in which `*` stands for any characters, also none.
fn fits(pattern: &str, text: &str) -> bool {
    let Some((start, rest)) = pattern.split_once('*') else {
        return pattern == text;
    };
    let Some(mut text) = text.strip_prefix(start) else {
        return false;
    };
    let mut parts = rest.split('*').peekable();
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return text.ends_with(part);
        }
        match text.find(part) {
            Some(at) => text = &text[at + part.len()..],
            None => return false,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::Headers;

    fn head(path: &str) -> Head {
        Head {
            method: "POST".into(),
            target: format!("{path}?beta=true"),
            minor: 1,
            headers: Headers(vec![("X-App".into(), "cli".into())]),
        }
    }

    #[test]
    fn the_first_rule_that_matches_decides() {
        let script = Script::parse(
            r#"{"rules": [
                {"match": {"model": "claude-opus-*", "nth": 2}, "do": "status=529"},
                {"match": {"model": "claude-opus-*", "nth": {"from": 3, "every": 2}}, "do": "gzip"},
                {"match": {"path": "/v1/m*", "stream": true, "header": {"x-app": "c*"}},
                 "do": {"close": true}},
                {"match": {"method": "DELETE"}, "do": "stall"}
            ]}"#,
        )
        .unwrap();
        let opus = Some(("claude-opus-5-5", false));
        // Rule 2 counts what rule 1 left over: the 1st, 3rd, 4th, 5th and 6th request.
        let rows = [
            ("/v1/messages", opus, None),
            ("/v1/messages", opus, Some("status=529")),
            ("/v1/messages", opus, None),
            ("/v1/messages", opus, None),
            ("/v1/messages", opus, Some("gzip")),
            ("/v1/messages", Some(("claude-haiku-5-5", true)), Some("close")),
            ("/v1/models", None, None),
        ];
        for (number, (path, call, expected)) in rows.into_iter().enumerate() {
            let found = script.directives(&head(path), call);
            assert_eq!(found, expected, "request {number}");
        }
    }

    #[test]
    fn patterns_fit() {
        let rows = [
            ("a", "a", true),
            ("a", "ab", false),
            ("*", "", true),
            ("a*", "abc", true),
            ("*c", "abc", true),
            ("a*c", "abc", true),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "a-c", false),
            ("ab*ba", "aba", false),
        ];
        for (pattern, text, expected) in rows {
            assert_eq!(fits(pattern, text), expected, "{pattern} {text}");
        }
    }

    #[test]
    fn a_wrong_script_is_refused() {
        let rows = [
            ("", "cannot be read"),
            (r#"{"rules":[{"do":"gzip","when":{}}]}"#, "unknown field `when`"),
            (r#"{"rules":[{"match":{"nth":{"first":1}},"do":"gzip"}]}"#, "cannot be read"),
            (r#"{"rules":[{"do":"gzip"},{"do":"zip"}]}"#, "rule 2 of the script"),
            (r#"{"rules":[{"do":5}]}"#, "rule 1 of the script"),
        ];
        for (text, problem) in rows {
            let message = Script::parse(text).unwrap_err().to_string();
            assert!(message.contains(problem), "{text}: {message}");
        }
    }
}
