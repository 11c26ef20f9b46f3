//! Operators: who may use the admin API.

use axum::http::StatusCode;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tollgate_policy::credential::OperatorKey;
use tollgate_policy::operator::{self, Role};
use tollgate_policy::scope::Name;
use tollgate_policy::unit::UnixMs;
use tollgate_store::register::NewOperator;
use tollgate_store::{Expect, fingerprint};

use super::Admin;
use super::fault::AdminFault;
use super::keys::expiry;
use super::page::{self, Page};
use super::route::{Answer, Ask, Nothing, quoted};
use crate::now;

/// Which operators to list.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ListOperators {
    /// Rows of a page: 1 to 1000, 100 if not given.
    limit: Option<usize>,
    /// The `next` of the page before.
    after: Option<Name>,
}

/// What a new operator shall be.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct CreateOperator {
    /// What changes are signed with in the journal; unique.
    name: Name,
    /// What they may do.
    role: Role,
    /// How long the token is good; for ever if not given.
    expires_in_seconds: Option<u64>,
}

/// An operator without anything secret.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Operator {
    name: Name,
    role: Role,
    /// The few characters that people know the token by.
    hint: String,
    created_at: UnixMs,
    /// The first instant at which the token is no longer good.
    expires_at: Option<UnixMs>,
    /// What tells this state from others, for `if-match`.
    etag: String,
}

impl Operator {
    pub(super) fn of(operator: &operator::Operator) -> Self {
        Self {
            name: operator.name.clone(),
            role: operator.role.clone(),
            hint: operator.hint.clone(),
            created_at: operator.created_at,
            expires_at: operator.expires_at,
            etag: quoted(fingerprint(operator)),
        }
    }
}

/// A credential in clear, shown once.
#[derive(Serialize, JsonSchema)]
pub(super) struct Presented(String);

impl Presented {
    pub(super) fn of(key: &OperatorKey) -> Self {
        Self(key.reveal().to_owned())
    }
}

/// An operator just made, or given another token: the only time that the token is shown.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "CreatedOperator")]
pub(super) struct Created {
    operator: Operator,
    /// The credential, to be sent as `Authorization: Bearer`.
    token: Presented,
}

impl Created {
    fn answer(operator: &operator::Operator, key: &OperatorKey) -> Answer<Self> {
        let created = Self { operator: Operator::of(operator), token: Presented::of(key) };
        Answer::new(StatusCode::CREATED, created).tagged(fingerprint(operator))
    }
}

/// What was taken away.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Removed {
    name: Name,
    /// Always true.
    removed: bool,
}

impl Removed {
    pub(super) fn answer(name: Name) -> Answer<Self> {
        Answer::ok(Self { name, removed: true })
    }
}

/// Who calls.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Self")]
pub(super) struct Oneself {
    /// What changes are signed with.
    name: String,
    role: Role,
}

pub(super) async fn oneself(_: Admin, ask: Ask<Nothing, Nothing>) -> Result<Answer<Oneself>, AdminFault> {
    Ok(Answer::ok(Oneself { name: ask.caller.name, role: ask.caller.role }))
}

pub(super) async fn list(
    admin: Admin,
    ask: Ask<ListOperators, Nothing>,
) -> Result<Answer<Page<Operator>>, AdminFault> {
    let limit = page::limit(ask.query.limit)?;
    let operators = admin.shared.register.operators();
    let rest = operators.iter().filter(|operator| Some(&operator.name) > ask.query.after.as_ref());
    let page = Page::of(rest.map(|one| Operator::of(one)), limit, |operator| operator.name.to_string());
    Ok(Answer::ok(page))
}

pub(super) async fn create(
    admin: Admin,
    ask: Ask<Nothing, CreateOperator>,
) -> Result<Answer<Created>, AdminFault> {
    let CreateOperator { name, role, expires_in_seconds } = ask.body;
    let new = NewOperator { name, role, expires_at: expiry(expires_in_seconds, now())? };
    let by = ask.caller.name;
    let created = admin.blocking(move |shared| shared.register.create_operator(&by, new, now()));
    let (operator, key) = created.await?;
    Ok(Created::answer(&operator, &key))
}

pub(super) async fn rotate(admin: Admin, ask: Ask<Nothing, Nothing>) -> Result<Answer<Created>, AdminFault> {
    let name = name_of(ask.part("name"))?;
    let (by, expect) = (ask.caller.name, ask.expect.unwrap_or(Expect::Present));
    let rotated = admin.blocking(move |shared| shared.register.rotate_operator(&by, &name, expect, now()));
    let (operator, key) = rotated.await?;
    Ok(Created::answer(&operator, &key))
}

pub(super) async fn remove(admin: Admin, ask: Ask<Nothing, Nothing>) -> Result<Answer<Removed>, AdminFault> {
    let name = name_of(ask.part("name"))?;
    let (by, expect) = (ask.caller.name, ask.expect.unwrap_or(Expect::Present));
    let gone = name.clone();
    admin.blocking(move |shared| shared.register.remove_operator(&by, &gone, expect, now())).await?;
    Ok(Removed::answer(name))
}

fn name_of(text: &str) -> Result<Name, AdminFault> {
    let shown: String = text.chars().take(64).collect();
    text.parse().map_err(|_| AdminFault::NotFound(format!("no operator is called {shown}")))
}
