//! Operators as the admin API describes them.

use crate::{
    fault::Fault,
    printer::Printer,
    table::{Column, Table, visible},
    time::brief,
};
use serde::{Deserialize, Serialize};
use std::fmt;
use tollgate_policy::operator::Role;

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

/// A role in words.
fn words(role: &Role) -> String {
    match role {
        Role::Admin | Role::Auditor => role.as_str().to_owned(),
        Role::TeamAdmin { org, team } => format!("admin of team {team} of org {org}"),
        Role::Developer { org, user } => format!("developer {user} of org {org}"),
    }
}

/// Shows an operator that was just made: the only time that the token is seen.
///
/// # Errors
///
/// [`Fault::Output`].
pub(crate) fn show(made: &Made, json: bool, printer: &Printer) -> Result<(), Fault> {
    if json {
        return printer.answer(&crate::json::pretty(made));
    }
    if printer.is_quiet() {
        return printer.answer(&made.token);
    }
    let Record { name, role, expires_at, .. } = &made.operator;
    let expires = expires_at.as_deref().map_or("never".to_owned(), brief);
    printer.answer(&format!(
        "operator {}\nrole     {}\nexpires  {}\ntoken    {}",
        visible(name),
        words(role),
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
        table.row(vec![name, words(&one.role), hint, brief(&one.created_at), expires]);
    }
    table.text()
}
