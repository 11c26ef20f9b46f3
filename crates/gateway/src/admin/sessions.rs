//! Paused sessions.

use axum::http::StatusCode;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tollgate_policy::entry::SessionPaused;
use tollgate_policy::id::KeyId;
use tollgate_policy::scope::Name;
use tollgate_policy::unit::UnixMs;

use super::Admin;
use super::caller::Caller;
use super::fault::{AdminFault, no_such_key};
use super::page::{self, Page};
use super::route::{Answer, Ask, Nothing};
use crate::now;

/// The longest pause: thirty days, in minutes.
const PAUSE_MINUTES: u64 = 30 * 24 * 60;

/// Which paused sessions to list.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ListPaused {
    /// Only sessions of this key.
    key: Option<KeyId>,
    /// Only sessions of this team's keys.
    team: Option<Name>,
    /// Rows of a page: 1 to 1000, 100 if not given.
    limit: Option<usize>,
    /// The `next` of the page before.
    after: Option<String>,
}

/// A session that is refused until an instant.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Paused {
    key: KeyId,
    session: String,
    org: Name,
    team: Name,
    user: Option<Name>,
    /// Who paused it: `brake`, or a name.
    by: String,
    /// Why, as its client is told.
    why: String,
    /// The first instant at which it goes on by itself.
    until: UnixMs,
}

impl Paused {
    fn of(pause: &SessionPaused) -> Self {
        let scope = pause.scope.clone();
        Self {
            key: pause.key,
            session: pause.session.clone(),
            org: scope.org,
            team: scope.team,
            user: scope.user,
            by: pause.by.clone(),
            why: pause.why.clone(),
            until: pause.until,
        }
    }

    /// A place in the list: sessions of one key stay together, whatever their ends.
    fn cursor(&self) -> String {
        format!("{}:{}", self.key, self.session)
    }
}

/// The session to pause.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Pause {
    /// The key that it uses.
    key: KeyId,
    /// The session, as its client names it.
    session: String,
    /// For how long: 1 to 43200.
    minutes: u64,
    /// Why, as its client is told: at most 256 characters.
    why: String,
}

/// The session that may go on.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Resume {
    /// The key that it uses.
    key: KeyId,
    /// The session, as its client names it.
    session: String,
}

pub(super) async fn list(
    admin: Admin,
    ask: Ask<ListPaused, Nothing>,
) -> Result<Answer<Page<Paused>>, AdminFault> {
    let ListPaused { key, team, limit, after } = ask.query;
    let limit = page::limit(limit)?;
    let paused = admin.shared.register.paused(now());
    let seen = paused.iter().filter(|pause| {
        ask.caller.sees(&pause.scope)
            && key.is_none_or(|key| pause.key == key)
            && team.as_ref().is_none_or(|team| pause.scope.team == *team)
    });
    let mut rows: Vec<_> = seen.map(|pause| Paused::of(pause)).collect();
    rows.sort_by_key(Paused::cursor);
    let rest = rows.into_iter().filter(|row| after.as_ref().is_none_or(|after| row.cursor() > *after));
    Ok(Answer::ok(Page::of(rest, limit, Paused::cursor)))
}

pub(super) async fn pause(admin: Admin, ask: Ask<Nothing, Pause>) -> Result<Answer<Paused>, AdminFault> {
    let Pause { key, session, minutes, why } = ask.body;
    if session.is_empty() {
        return Err(AdminFault::BadRequest("session: must not be empty".to_owned()));
    }
    if !(1..=PAUSE_MINUTES).contains(&minutes) {
        return Err(AdminFault::BadRequest(format!("minutes: 1 to {PAUSE_MINUTES}")));
    }
    let scope = visible_key(&admin, &ask.caller, key)?;
    let until = now().saturating_add_ms(minutes as i64 * 60_000);
    let wish = SessionPaused { by: ask.caller.name, key, scope, session, why, until, before: None };
    let paused = admin.blocking(move |shared| shared.register.pause(wish, now()));
    Ok(Answer::new(StatusCode::CREATED, Paused::of(&*paused.await?)))
}

pub(super) async fn resume(admin: Admin, ask: Ask<Nothing, Resume>) -> Result<Answer<Resume>, AdminFault> {
    let Resume { key, session } = ask.body;
    visible_key(&admin, &ask.caller, key)?;
    let (by, name) = (ask.caller.name, session.clone());
    let resumed = admin.blocking(move |shared| {
        shared.register.resume(&by, key, &name, now())?;
        shared.watch.resumed(shared.steady_now(), key, &name);
        Ok::<_, AdminFault>(())
    });
    resumed.await?;
    Ok(Answer::ok(Resume { key, session }))
}

fn visible_key(
    admin: &Admin,
    caller: &Caller,
    key: KeyId,
) -> Result<tollgate_policy::scope::Scope, AdminFault> {
    let known = admin.shared.directory.by_id(key).filter(|record| caller.sees(&record.scope));
    known.map(|record| record.scope.clone()).ok_or_else(|| no_such_key(&key.to_string()))
}
