//! Allowances: those of the configuration are shown, those of the register are shown, made, changed and taken away.

use std::sync::Arc;

use axum::http::StatusCode;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tollgate_config::unserved;
use tollgate_policy::allowance::{self, Allowance, Raise, Selector};
use tollgate_policy::operator::Role;
use tollgate_policy::scope::Name;
use tollgate_policy::unit::UnixMs;
use tollgate_store::{Expect, fingerprint};

use super::Admin;
use super::caller::Caller;
use super::fault::{AdminFault, Problem};
use super::operators::Removed;
use super::page::{self, Page};
use super::route::{Answer, Ask, Nothing, quoted};
use super::standing::{CounterStanding, Standings};
use crate::{Shared, now};

/// The most counters shown of one allowance in a list.
const ROWS_IN_LIST: usize = 100;
/// The most counters shown of one allowance alone.
const ROWS_ALONE: usize = 1000;

/// Which allowances to list.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ListAllowances {
    /// Only allowances on this team.
    team: Option<Name>,
    /// Rows of a page: 1 to 1000, 100 if not given.
    limit: Option<usize>,
    /// The `next` of the page before.
    after: Option<Name>,
}

/// An allowance, where it is from, and how it stands.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "ShownAllowance")]
pub(super) struct Shown {
    allowance: Allowance,
    origin: Origin,
    /// The allowance is not in force, because the configuration has one of the same name.
    shadowed: bool,
    /// Who made it, where it was made here.
    #[serde(skip_serializing_if = "Option::is_none")]
    made_by: Option<String>,
    /// What tells this state from others, for `if-match`.
    etag: String,
    /// How much is used, by whom; those who have used the largest part first. Of many, the first hundred in a list, and
    /// the first thousand of one allowance. Empty if the allowance is not in force.
    standing: Vec<CounterStanding>,
    /// How many there are.
    standing_total: usize,
}

/// Where an allowance is from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Origin {
    /// The configuration: it is changed there.
    Configuration,
    /// This API.
    Api,
}

/// Another amount for a while.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct AddRaise {
    /// The amount meanwhile, in place of the allowance's own and in its unit.
    amount: u64,
    /// The first instant at which it counts; now if not given.
    from: Option<UnixMs>,
    /// The first instant at which it counts no more.
    until: UnixMs,
    /// Why, at most 256 characters.
    note: Option<String>,
}

pub(super) async fn list(
    admin: Admin,
    ask: Ask<ListAllowances, Nothing>,
) -> Result<Answer<Page<Shown>>, AdminFault> {
    let ListAllowances { team, limit, after } = ask.query;
    let limit = page::limit(limit)?;
    let mut found = all(&admin);
    found.retain(|(_, allowance)| {
        Some(&allowance.name) > after.as_ref()
            && (team.is_none() || team == allowance.on.team)
            && may_see(&admin, &ask.caller, &allowance.on)
    });
    // By name; of two with the same, that of the configuration first, so that a page ends after both or before.
    found.sort_by(|a, b| a.1.name.cmp(&b.1.name));
    let mut names = found.iter().map(|(_, allowance)| &allowance.name).collect::<Vec<_>>();
    names.dedup();
    let next = names.get(limit).map(|_| names[limit - 1].clone());
    found.retain(|(_, one)| next.as_ref().is_none_or(|last| one.name <= *last));
    let next = next.map(|name| name.to_string());
    let mut standing = standing(&admin, &ask.caller, found.iter().map(|(_, one)| &one.name));
    let rows = found.iter();
    let data = rows.map(|(origin, one)| shown(&admin, *origin, one, &mut standing, ROWS_IN_LIST)).collect();
    Ok(Answer::ok(Page { data, next }))
}

pub(super) async fn show(admin: Admin, ask: Ask<Nothing, Nothing>) -> Result<Answer<Shown>, AdminFault> {
    let name = name_of(ask.part("name"))?;
    let found = all(&admin).into_iter().find(|(_, allowance)| allowance.name == name);
    let (origin, allowance) =
        found.filter(|(_, one)| may_see(&admin, &ask.caller, &one.on)).ok_or_else(|| no_such(&name))?;
    Ok(Answer::ok(alone(&admin, &ask.caller, origin, &allowance)).tagged(fingerprint(&*allowance)))
}

pub(super) async fn set(admin: Admin, ask: Ask<Nothing, Allowance>) -> Result<Answer<Shown>, AdminFault> {
    let name = name_of(ask.part("name"))?;
    let Ask { caller, body: mut wish, expect, .. } = ask;
    if wish.name != name {
        return Err(AdminFault::BadRequest(format!("name: the path says {name}, the body {}", wish.name)));
    }
    not_configured(&admin, &name)?;
    must_hold(&caller, &wish)?;
    let before = admin.shared.register.allowance(&name);
    if let Some(before) = &before {
        must_have_made(&admin, &caller, before)?;
        if expect.is_none() {
            return Err(AdminFault::ExpectationNeeded(format!("the allowance {name}")));
        }
    }
    sign_raises(&mut wish, before.as_deref(), &caller.name);
    sound(&admin, &wish)?;
    let expect = expect.unwrap_or(Expect::Absent);
    let by = caller.name.clone();
    let set = admin.blocking(move |shared| {
        let set = shared.register.set_allowance(&by, wish, expect, now())?;
        in_force(shared)?;
        Ok::<_, AdminFault>(set)
    });
    let (allowance, is_new) = set.await?;
    let status = if is_new { StatusCode::CREATED } else { StatusCode::OK };
    let shown = alone(&admin, &caller, Origin::Api, &allowance);
    Ok(Answer::new(status, shown).tagged(fingerprint(&*allowance)))
}

pub(super) async fn remove(admin: Admin, ask: Ask<Nothing, Nothing>) -> Result<Answer<Removed>, AdminFault> {
    let name = name_of(ask.part("name"))?;
    let before = changeable(&admin, &ask.caller, &name)?;
    let expect = ask.expect.unwrap_or(Expect::Exactly(fingerprint(&*before)));
    let (by, gone) = (ask.caller.name, name.clone());
    let removed = admin.blocking(move |shared| {
        shared.register.remove_allowance(&by, &gone, expect, now())?;
        in_force(shared)?;
        Ok::<_, AdminFault>(())
    });
    removed.await?;
    Ok(Removed::answer(name))
}

pub(super) async fn raise(admin: Admin, ask: Ask<Nothing, AddRaise>) -> Result<Answer<Shown>, AdminFault> {
    let name = name_of(ask.part("name"))?;
    let before = changeable(&admin, &ask.caller, &name)?;
    let expect = ask.expect.unwrap_or(Expect::Exactly(fingerprint(&*before)));
    let by = ask.caller.name.clone();
    let now = now();
    let AddRaise { amount, from, until, note } = ask.body;
    let raise = Raise { amount, from: from.unwrap_or(now), until, by: by.clone(), note };
    let raised = admin.blocking(move |shared| {
        let edit = |allowance| with_raise(allowance, raise, now);
        let raised = shared.register.edit_allowance(&by, &name, expect, edit, now)?;
        in_force(shared)?;
        Ok::<_, AdminFault>(raised)
    });
    let allowance = raised.await?;
    let shown = alone(&admin, &ask.caller, Origin::Api, &allowance);
    let answer = Answer::new(StatusCode::CREATED, shown);
    Ok(answer.tagged(fingerprint(&*allowance)))
}

/// Puts what was changed in force. The change is on record already, so a failure only delays it.
fn in_force(shared: &Shared) -> Result<(), AdminFault> {
    shared.allowances_changed().map_err(|fault| {
        AdminFault::Unavailable(format!(
            "the change is recorded and comes into force when the configuration is reloaded or the gateway restarts, \
             because the use so far could not be counted: {fault}"
        ))
    })
}

/// The allowance with one raise more, and without those that are over.
fn with_raise(mut allowance: Allowance, raise: Raise, now: UnixMs) -> Allowance {
    allowance.raises.retain(|other| other.until > now);
    let place = allowance.raises.partition_point(|other| other.from <= raise.from);
    allowance.raises.insert(place, raise);
    allowance
}

/// Who grants a raise is who sends it, whatever the body says.
fn sign_raises(wish: &mut Allowance, before: Option<&Allowance>, by: &str) {
    let known = before.map_or(&[][..], |before| &before.raises);
    for raise in wish.raises.iter_mut().filter(|raise| !known.contains(raise)) {
        by.clone_into(&mut raise.by);
    }
}

/// All allowances: those of the configuration, then those of the register.
fn all(admin: &Admin) -> Vec<(Origin, Arc<Allowance>)> {
    let force = admin.shared.in_force();
    let configured = force.config.allowances.iter().map(|one| (Origin::Configuration, Arc::new(one.clone())));
    let registered = admin.shared.register.allowances();
    configured.chain(registered.iter().map(|one| (Origin::Api, Arc::clone(one)))).collect()
}

/// How the counters of allowances stand, as far as a caller may see them.
fn standing<'n>(admin: &Admin, caller: &Caller, names: impl Iterator<Item = &'n Name>) -> Standings {
    Standings::of(&admin.shared, names, |subject| is_own(caller, subject))
}

/// One allowance, with more of its counters than in a list.
fn alone(admin: &Admin, caller: &Caller, origin: Origin, allowance: &Allowance) -> Shown {
    let mut standing = standing(admin, caller, std::iter::once(&allowance.name));
    shown(admin, origin, allowance, &mut standing, ROWS_ALONE)
}

fn shown(
    admin: &Admin,
    origin: Origin,
    allowance: &Allowance,
    standings: &mut Standings,
    rows_max: usize,
) -> Shown {
    let maker = admin.shared.register.maker(&allowance.name).filter(|_| origin == Origin::Api);
    let shadowed = origin == Origin::Api && not_configured(admin, &allowance.name).is_err();
    let mut standing = if shadowed { Vec::new() } else { standings.take(&allowance.name) };
    let standing_total = standing.len();
    standing.truncate(rows_max);
    Shown {
        allowance: allowance.clone(),
        origin,
        shadowed,
        made_by: maker.map(|maker| maker.by),
        etag: quoted(fingerprint(allowance)),
        standing,
        standing_total,
    }
}

/// Whether it is all use that a caller may see.
fn is_own(caller: &Caller, subject: &Selector) -> bool {
    match &caller.role {
        Role::Admin | Role::Auditor => true,
        Role::TeamAdmin { org, team } => {
            subject.org.as_ref() == Some(org) && subject.team.as_ref() == Some(team)
        }
        Role::Developer { .. } => false,
    }
}

/// Whether a caller may see an allowance: team admins see what binds their team.
fn may_see(admin: &Admin, caller: &Caller, on: &Selector) -> bool {
    fn fits(wanted: Option<&Name>, own: &Name) -> bool {
        wanted.is_none_or(|wanted| wanted == own)
    }
    // A key belongs to one team, whether or not the allowance names that team.
    let sees_key = |key| admin.shared.directory.by_id(key).is_some_and(|key| caller.sees(&key.scope));
    match &caller.role {
        Role::Admin | Role::Auditor => true,
        Role::TeamAdmin { org, team } => {
            fits(on.org.as_ref(), org) && fits(on.team.as_ref(), team) && on.key.is_none_or(sees_key)
        }
        Role::Developer { .. } => false,
    }
}

/// Refuses what a caller may not grant: team admins grant inside of their team.
fn must_hold(caller: &Caller, wish: &Allowance) -> Result<(), AdminFault> {
    if caller.role != Role::Auditor && is_own(caller, &wish.on) {
        return Ok(());
    }
    Err(AdminFault::Forbidden(format!(
        "{} may set allowances on their own team only: name its org and team in `on`",
        caller.name
    )))
}

/// Refuses a change of what binds a team from above: team admins change what admins of the team have made, not what
/// the team was granted.
fn must_have_made(admin: &Admin, caller: &Caller, before: &Allowance) -> Result<(), AdminFault> {
    if caller.role == Role::Admin {
        return Ok(());
    }
    must_hold(caller, before)?;
    let register = &admin.shared.register;
    let is_own = register.maker(&before.name).is_some_and(|maker| {
        let operator = maker.by.parse().ok().and_then(|name| register.operator(&name));
        // Somebody else may have had that name before.
        operator.is_some_and(|operator| operator.role == caller.role && operator.created_at <= maker.at)
    });
    if is_own {
        return Ok(());
    }
    Err(AdminFault::Forbidden(format!(
        "the allowance {} was granted to the team from above; ask an admin to change it",
        before.name
    )))
}

/// The allowance of the register that a caller may change.
fn changeable(admin: &Admin, caller: &Caller, name: &Name) -> Result<Arc<Allowance>, AdminFault> {
    let found = admin.shared.register.allowance(name).filter(|one| may_see(admin, caller, &one.on));
    let Some(allowance) = found else {
        not_configured(admin, name)?;
        return Err(no_such(name));
    };
    must_have_made(admin, caller, &allowance)?;
    Ok(allowance)
}

/// Refuses a change of what the configuration says.
fn not_configured(admin: &Admin, name: &Name) -> Result<(), AdminFault> {
    let force = admin.shared.in_force();
    if force.config.allowances.iter().all(|configured| configured.name != *name) {
        return Ok(());
    }
    Err(AdminFault::Conflict(format!("the allowance {name} is in the configuration; change it there")))
}

/// Refuses an allowance that breaks rules, and names them all.
fn sound(admin: &Admin, wish: &Allowance) -> Result<(), AdminFault> {
    let force = admin.shared.in_force();
    let listed = force.config.models.as_deref().unwrap_or_default();
    let unserved = unserved(&wish.models, &force.prices, listed).into_iter().map(|pattern| Problem {
        field: "models".to_owned(),
        rule: format!("`{pattern}` fits no model of the price book or of the configuration's list"),
        cure: "correct it, or name the model in the price book".to_owned(),
    });
    let problems: Vec<_> = wish.faults().iter().map(problem).chain(unserved).collect();
    if problems.is_empty() { Ok(()) } else { Err(AdminFault::Unsound(problems)) }
}

/// What is wrong with an allowance by itself, with a cure.
pub(super) fn problem(fault: &allowance::Fault) -> Problem {
    let cure = match fault.field {
        "amount" => "grant less",
        "span" => {
            "write {\"rate\": {\"per_ms\", \"burst\"}}, {\"period\": {\"period\", \"calendar\"}}, \
                   {\"rolling\": {\"ms\"}} or, for a number at once, \"at_once\""
        }
        "burst" => "write how much may be used in one go; the amount itself is a good start",
        "warn_at" => "write percentages such as [75, 95]",
        "message" => "shorten it",
        _ => "send the raises in the order of their times, each with `from` before `until`",
    };
    Problem { field: fault.field.to_owned(), rule: fault.rule.clone(), cure: cure.to_owned() }
}

fn name_of(text: &str) -> Result<Name, AdminFault> {
    text.parse().map_err(|error| AdminFault::BadRequest(format!("the name in the path is {error}")))
}

fn no_such(name: &Name) -> AdminFault {
    AdminFault::NotFound(format!("no allowance is called {name}"))
}
