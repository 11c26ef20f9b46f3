//! What usage can be grouped by, as people write it.

use std::{fmt, str::FromStr};

/// The dimensions that every request has, or may have.
pub(super) const WORDS: [&str; 17] = [
    "org",
    "team",
    "project",
    "user",
    "key",
    "cost_centre",
    "model",
    "requested_model",
    "further_models",
    "upstream",
    "region",
    "endpoint",
    "session",
    "agent",
    "day",
    "month",
    "outcome",
];
/// What the dimension of a tag begins with.
const TAG: &str = "tag:";

/// One dimension: a word of [`WORDS`], or `tag:` and the name of a tag.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Dimension(String);

impl Dimension {
    /// The dimension of a word of [`WORDS`].
    pub(super) fn of(word: &'static str) -> Self {
        Self(word.to_owned())
    }

    /// The word.
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    /// The name of the tag, if it is one.
    pub(super) fn tag(&self) -> Option<&str> {
        self.0.strip_prefix(TAG)
    }
}

impl FromStr for Dimension {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        // Names of tags have no character that a query gives a meaning.
        let named = text.strip_prefix(TAG).is_some_and(|name| {
            let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"._@-".contains(&byte);
            !name.is_empty() && name.bytes().all(fits)
        });
        if named || WORDS.contains(&text) {
            return Ok(Self(text.to_owned()));
        }
        Err(format!("write one of {}, or tag: and the name of a tag, as in tag:app", WORDS.join(", ")))
    }
}

impl fmt::Display for Dimension {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dimension_is_a_word_or_a_tag() {
        for (text, expected) in [
            ("team", Some("team")),
            (" requested_model ", Some("requested_model")),
            ("tag:app", Some("tag:app")),
            ("tag:cost.centre-2", Some("tag:cost.centre-2")),
            ("tag:", None),
            ("tag:a&to=x", None),
            ("tag:a,b", None),
            ("Team", None),
            ("weather", None),
            ("", None),
        ] {
            let read = text.parse::<Dimension>().ok();
            assert_eq!(read.as_ref().map(Dimension::as_str), expected, "{text:?}");
        }
        assert_eq!("tag:app".parse::<Dimension>().unwrap().tag(), Some("app"));
    }
}
