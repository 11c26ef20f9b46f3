//! Who calls, and what they may do.

use axum::http::{HeaderMap, header};
use tollgate_policy::entry::Hash;
use tollgate_policy::operator::Role;
use tollgate_policy::scope::Scope;

use super::Admin;
use super::fault::AdminFault;
use crate::now;

/// Who makes changes, in the journal, if nobody else is named: whoever holds the data folder's credential.
const LOCAL_ADMIN: &str = "local-admin";

/// Who calls: the holder of the data folder's credential, or an operator.
#[derive(Debug, Clone)]
pub(super) struct Caller {
    /// What changes are signed with.
    pub(super) name: String,
    /// What they may do.
    pub(super) role: Role,
    /// What tells this credential from every other. Says nothing about it.
    pub(super) credential: Hash,
}

/// The kinds of roles, without whose they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rank {
    Admin,
    Auditor,
    TeamAdmin,
    Developer,
}

impl Rank {
    pub(super) fn of(role: &Role) -> Self {
        match role {
            Role::Admin => Self::Admin,
            Role::Auditor => Self::Auditor,
            Role::TeamAdmin { .. } => Self::TeamAdmin,
            Role::Developer { .. } => Self::Developer,
        }
    }

    /// The word for it, as [`Role::as_str`] has it.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Auditor => "auditor",
            Self::TeamAdmin => "team_admin",
            Self::Developer => "developer",
        }
    }
}

impl Caller {
    /// Whether they may see what is booked in this scope.
    pub(super) fn sees(&self, scope: &Scope) -> bool {
        self.role.may_see(scope)
    }

    /// Refuses what is booked outside of what they may see.
    pub(super) fn must_see(&self, scope: &Scope) -> Result<(), AdminFault> {
        if self.sees(scope) {
            return Ok(());
        }
        let reach = match &self.role {
            Role::TeamAdmin { org, team } => format!("the team {team} of the org {org}"),
            Role::Developer { org, user } => format!("the user {user} of the org {org}"),
            Role::Admin | Role::Auditor => "everything".to_owned(),
        };
        Err(AdminFault::Forbidden(format!("{} may act for {reach} only", self.name)))
    }
}

impl Admin {
    /// Finds out who calls.
    pub(super) fn caller(&self, headers: &HeaderMap) -> Result<Caller, AdminFault> {
        let presented = bearer(headers).unwrap_or_default();
        let token = self.token.reveal().as_bytes();
        if aws_lc_rs::constant_time::verify_slices_are_equal(presented, token).is_ok() {
            let credential = Hash::of(LOCAL_ADMIN.as_bytes());
            return Ok(Caller { name: LOCAL_ADMIN.to_owned(), role: Role::Admin, credential });
        }
        let operator = self.shared.register.lookup(presented).ok_or(AdminFault::Unauthorised)?;
        if let Some(at) = operator.expires_at.filter(|at| *at <= now()) {
            return Err(AdminFault::Expired(at));
        }
        Ok(Caller {
            name: operator.name.to_string(),
            role: operator.role.clone(),
            credential: Hash::of(operator.digest.as_bytes()),
        })
    }
}

fn bearer(headers: &HeaderMap) -> Option<&[u8]> {
    let (scheme, token) = headers.get(header::AUTHORIZATION)?.as_bytes().split_at_checked(7)?;
    scheme.eq_ignore_ascii_case(b"bearer ").then_some(token)
}
