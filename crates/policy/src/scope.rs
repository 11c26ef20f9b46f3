//! Who pays: org > team > project > user.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::text;

const NAME_BYTES_MAX: usize = 64;

/// The name of an org, team, project or user: 1 to 64 characters of `A-Z a-z 0-9 . _ @ -`, beginning with a
/// letter or digit. So it is safe in a path, a metric label, a shell word and a CSV cell. Cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(Arc<str>);

impl Name {
    /// The text of the name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A text that is not a [`Name`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a name; use 1 to 64 letters, digits and . _ @ -, beginning with a letter or digit")]
pub struct NotAName;

impl FromStr for Name {
    type Err = NotAName;
    fn from_str(text: &str) -> Result<Self, NotAName> {
        let bytes = text.as_bytes();
        let first_fits = bytes.first().is_some_and(u8::is_ascii_alphanumeric);
        let rest_fits = bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || b"._@-".contains(byte));
        if first_fits && rest_fits && bytes.len() <= NAME_BYTES_MAX {
            Ok(Self(Arc::from(text)))
        } else {
            Err(NotAName)
        }
    }
}

impl AsRef<str> for Name {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(&self.0)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, formatter)
    }
}

impl Serialize for Name {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        text::parse(deserializer, "a name of letters, digits and . _ @ -")
    }
}

/// Where the usage of a key is booked. Every key has a team; a project and a user may narrow it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct Scope {
    /// The whole company or subsidiary; `default` when nothing is said.
    #[serde(default = "Scope::default_org")]
    pub org: Name,
    /// The team that answers for the key.
    pub team: Name,
    /// The project, if the key belongs to one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project: Option<Name>,
    /// The person or service that holds the key, if it is one's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<Name>,
}

impl Scope {
    /// The org of a scope that names none: `default`.
    #[must_use]
    pub fn default_org() -> Name {
        Name(Arc::from("default"))
    }

    /// The scope of a whole team in the default org.
    #[must_use]
    pub fn team(team: Name) -> Self {
        Self { org: Self::default_org(), team, project: None, user: None }
    }
}

/// The parts joined by `/`, left out ones as `-`: `default/platform/-/ada`.
impl fmt::Display for Scope {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let project = self.project.as_ref().map_or("-", Name::as_str);
        let user = self.user.as_ref().map_or("-", Name::as_str);
        write!(formatter, "{}/{}/{project}/{user}", self.org, self.team)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_safe_wherever_names_appear() {
        for name in ["a", "7", "platform", "ada@example.org", "team-2_x.y", &"x".repeat(64)] {
            assert_eq!(name.parse::<Name>().map(|name| name.to_string()), Ok(name.to_owned()));
        }
        let bad = ["", "-", ".hidden", "@ada", "a b", "a/b", "a\n", "a,b", "=1", "\u{e4}", &"x".repeat(65)];
        for name in bad {
            assert_eq!(name.parse::<Name>(), Err(NotAName), "{name:?}");
            assert!(serde_json::from_value::<Name>(name.into()).is_err(), "{name:?}");
        }
    }

    #[test]
    fn a_scope_without_an_org_is_in_the_default_one() {
        let scope: Scope = serde_json::from_str(r#"{"team":"platform","user":"ada"}"#).unwrap();
        assert_eq!(scope.to_string(), "default/platform/-/ada");
        let text = serde_json::to_string(&scope).unwrap();
        assert_eq!(text, r#"{"org":"default","team":"platform","user":"ada"}"#);
    }
}
