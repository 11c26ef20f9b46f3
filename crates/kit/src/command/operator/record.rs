//! Operators as the admin API describes them.

use crate::{
    fault::Fault,
    printer::Printer,
    table::{Column, Table, visible},
    time::brief,
};
use serde::{Deserialize, Serialize};
use std::fmt;

/// An operator, without the token.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Record {
    name: String,
    role: Role,
    /// The first and the last characters of the token, enough to recognise it.
    hint: String,
    created_at: String,
    expires_at: Option<String>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Role {
    Admin,
    Auditor,
    TeamAdmin { org: String, team: String },
    Developer { org: String, user: String },
}

/// An operator that was just made.
#[derive(Serialize, Deserialize)]
pub(crate) struct Made {
    operator: Record,
    /// What they present.
    token: String,
}

impl fmt::Debug for Made {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Made").field("operator", &self.operator).finish_non_exhaustive()
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Admin => f.write_str("admin"),
            Self::Auditor => f.write_str("auditor"),
            Self::TeamAdmin { org, team } => write!(f, "admin of team {team} of org {org}"),
            Self::Developer { org, user } => write!(f, "developer {user} of org {org}"),
        }
    }
}

/// Shows an operator that was just made: the only time that the token is seen.
///
/// # Errors
///
/// [`Fault::Output`].
pub(crate) fn show(made: &Made, json: bool, printer: &Printer) -> Result<(), Fault> {
    if json {
        return printer.answer(&serde_json::to_string_pretty(made).expect("operators have only texts"));
    }
    if printer.is_quiet() {
        return printer.answer(&made.token);
    }
    let Record { name, role, expires_at, .. } = &made.operator;
    let expires = expires_at.as_deref().map_or("never".to_owned(), brief);
    printer.answer(&format!(
        "operator {}\nrole     {}\nexpires  {}\ntoken    {}",
        visible(name),
        visible(&role.to_string()),
        visible(&expires),
        made.token
    ))?;
    printer.say(
        "\nKeep the token now: it is not stored and can not be shown again. Commands take it from \
         TOLLGATE_ADMIN_TOKEN or --admin-token-file.",
    );
    Ok(())
}

/// All operators for people.
pub(super) fn table(operators: &[Record]) -> String {
    if operators.is_empty() {
        return "no operators\n".to_owned();
    }
    let columns = ["name", "role", "hint", "created (UTC)", "expires (UTC)"];
    let mut table = Table::new(columns.map(|name| Column::Text(name.to_owned())));
    for one in operators {
        let expires = one.expires_at.as_deref().map(brief).unwrap_or_default();
        let (name, hint) = (one.name.clone(), one.hint.clone());
        table.row(vec![name, one.role.to_string(), hint, brief(&one.created_at), expires]);
    }
    table.text()
}
