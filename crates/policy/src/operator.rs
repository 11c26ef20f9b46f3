//! Who may do what at the admin API.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::credential::Digest;
use crate::scope::{Name, Scope};
use crate::text::bounded;
use crate::unit::UnixMs;

/// Somebody who may use the admin API: a person, or a program that acts for them. Holds the digest of the credential,
/// never the credential.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Operator {
    /// What changes are signed with in the journal; unique in a gateway.
    pub name: Name,
    /// What they may do.
    pub role: Role,
    /// What they are found by.
    pub digest: Digest,
    /// The few characters people know the credential by.
    #[serde(serialize_with = "bounded")]
    pub hint: String,
    /// When they were made.
    pub created_at: UnixMs,
    /// The first instant at which the credential is no longer good; none means it does not expire.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<UnixMs>,
}

/// What an operator may do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Everything.
    Admin,
    /// See everything, change nothing.
    Auditor,
    /// Keys, allowances and reports of one team, within what the team itself is granted.
    TeamAdmin {
        /// The org of the team.
        org: Name,
        /// The team.
        team: Name,
    },
    /// See and rotate one's own keys, see one's own use.
    Developer {
        /// The org of the user.
        org: Name,
        /// The user.
        user: Name,
    },
}

impl Role {
    /// The word for it.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Auditor => "auditor",
            Self::TeamAdmin { .. } => "team_admin",
            Self::Developer { .. } => "developer",
        }
    }

    /// Whether what is booked in this scope may be seen.
    #[must_use]
    pub fn may_see(&self, scope: &Scope) -> bool {
        match self {
            Self::Admin | Self::Auditor => true,
            Self::TeamAdmin { org, team } => scope.org == *org && scope.team == *team,
            Self::Developer { org, user } => scope.org == *org && scope.user.as_ref() == Some(user),
        }
    }
}
