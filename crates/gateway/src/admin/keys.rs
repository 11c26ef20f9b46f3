//! Virtual keys.

use axum::http::StatusCode;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tollgate_policy::access::Models;
use tollgate_policy::credential::{ForeignHash, VirtualKey};
use tollgate_policy::id::KeyId;
use tollgate_policy::key::{KeyRecord, KeyState};
use tollgate_policy::scope::{Name, Scope};
use tollgate_policy::unit::UnixMs;
use tollgate_store::directory::{NOTE_CHARS_MAX, NewKey};
use tollgate_store::{Expect, fingerprint};

use super::Admin;
use super::caller::Caller;
use super::fault::{AdminFault, no_such_key};
use super::page::{self, Page};
use super::route::{Answer, Ask, Nothing};
use crate::now;

/// Longest life of a key that is not for ever: ten years, in seconds.
pub(super) const LIFE_SECONDS: u64 = 10 * 366 * 24 * 3600;
/// Longest time in which a rotated key still serves: thirty days, in seconds.
const GRACE_SECONDS: u64 = 30 * 24 * 3600;

/// Which keys to list.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ListKeys {
    /// Only keys of this org.
    org: Option<Name>,
    /// Only keys of this team.
    team: Option<Name>,
    /// Only keys of this user.
    user: Option<Name>,
    /// Only keys in this state.
    state: Option<State>,
    /// Rows of a page: 1 to 1000, 100 if not given.
    limit: Option<usize>,
    /// The `next` of the page before.
    after: Option<KeyId>,
}

/// The state of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "KeyState")]
enum State {
    /// In use.
    Active,
    /// Replaced, and good until `state_at`.
    Grace,
    /// Withdrawn for good at `state_at`.
    Revoked,
}

impl State {
    fn of(state: &KeyState) -> Self {
        match state {
            KeyState::Active => Self::Active,
            KeyState::Grace { .. } => Self::Grace,
            KeyState::Revoked { .. } => Self::Revoked,
        }
    }
}

/// What a new key shall be.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct CreateKey {
    /// The org; `default` if not given.
    org: Option<String>,
    /// The team that answers for the key.
    team: String,
    /// The project.
    project: Option<String>,
    /// The person or service that holds it.
    user: Option<String>,
    /// Patterns of models that it may use; all if none is given.
    #[serde(default)]
    models: Vec<String>,
    /// How long it is good; for ever if not given.
    expires_in_seconds: Option<u64>,
    /// A remark, at most 256 characters.
    note: Option<String>,
}

/// A key that another gateway made.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ImportKey {
    /// The SHA-256 of the key: 64 lowercase hexadecimal digits.
    sha256: String,
    /// The org; `default` if not given.
    org: Option<String>,
    /// The team that answers for the key.
    team: String,
    /// The project.
    project: Option<String>,
    /// The person or service that holds it.
    user: Option<String>,
    /// Patterns of models that it may use; all if none is given.
    #[serde(default)]
    models: Vec<String>,
    /// The first instant at which it is no longer good; for ever if not given.
    expires_at: Option<UnixMs>,
    /// A remark, at most 256 characters.
    note: Option<String>,
}

impl ImportKey {
    fn read(self, now: UnixMs) -> Result<(ForeignHash, NewKey), AdminFault> {
        let hash = self.sha256.parse();
        let hash =
            hash.map_err(|_| AdminFault::BadRequest("sha256: 64 lowercase hexadecimal digits".to_owned()))?;
        if self.expires_at.is_some_and(|at| at <= now) {
            return Err(AdminFault::BadRequest(
                "expires_at: has passed, so the key is good for nothing".to_owned(),
            ));
        }
        let Self { org, team, project, user, models, expires_at, note, .. } = self;
        let plain = CreateKey { org, team, project, user, models, expires_in_seconds: None, note };
        Ok((hash, NewKey { expires_at, ..plain.into_new_key(now)? }))
    }
}

impl CreateKey {
    fn into_new_key(self, now: UnixMs) -> Result<NewKey, AdminFault> {
        let name = |field: &str, text: String| -> Result<Name, AdminFault> {
            text.parse().map_err(|error| AdminFault::BadRequest(format!("{field}: {error}")))
        };
        let optional = |field, text: Option<String>| text.map(|text| name(field, text)).transpose();
        let scope = Scope {
            org: optional("org", self.org)?.unwrap_or_else(Scope::default_org),
            team: name("team", self.team)?,
            project: optional("project", self.project)?,
            user: optional("user", self.user)?,
        };
        let models =
            Models::new(self.models).map_err(|error| AdminFault::BadRequest(format!("models: {error}")))?;
        let expires_at = expiry(self.expires_in_seconds, now)?;
        if self.note.as_ref().is_some_and(|note| note.chars().nth(NOTE_CHARS_MAX).is_some()) {
            return Err(AdminFault::BadRequest(format!("note: at most {NOTE_CHARS_MAX} characters")));
        }
        Ok(NewKey { scope, models, expires_at, note: self.note })
    }
}

/// When something expires that is good for so long.
pub(super) fn expiry(seconds: Option<u64>, now: UnixMs) -> Result<Option<UnixMs>, AdminFault> {
    match seconds {
        Some(seconds) if seconds == 0 || seconds > LIFE_SECONDS => {
            Err(AdminFault::BadRequest(format!("expires_in_seconds: 1 to {LIFE_SECONDS}")))
        }
        Some(seconds) => Ok(Some(now.saturating_add_ms(seconds as i64 * 1000))),
        None => Ok(None),
    }
}

/// How a key is replaced.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RotateKey {
    /// How long the old key stays good: 0 to 2592000.
    grace_seconds: u64,
}

/// A key without anything secret.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Key {
    id: KeyId,
    /// The few characters that people know it by.
    hint: String,
    org: Name,
    team: Name,
    project: Option<Name>,
    user: Option<Name>,
    models: Models,
    created_at: UnixMs,
    /// The first instant at which it is no longer good.
    expires_at: Option<UnixMs>,
    state: State,
    /// When the state began, or the grace ends.
    state_at: Option<UnixMs>,
    replaced_by: Option<KeyId>,
    rotated_from: Option<KeyId>,
    note: Option<String>,
}

impl Key {
    pub(super) fn of(record: &KeyRecord) -> Self {
        let (state_at, replaced_by) = match record.state {
            KeyState::Active => (None, None),
            KeyState::Grace { until, replaced_by } => (Some(until), Some(replaced_by)),
            KeyState::Revoked { at } => (Some(at), None),
        };
        let scope = record.scope.clone();
        Key {
            id: record.id,
            hint: record.hint.clone(),
            org: scope.org,
            team: scope.team,
            project: scope.project,
            user: scope.user,
            models: record.models.clone(),
            created_at: record.created_at,
            expires_at: record.expires_at,
            state: State::of(&record.state),
            state_at,
            replaced_by,
            rotated_from: record.rotated_from,
            note: record.note.clone(),
        }
    }
}

/// A key just minted: the only time that its text is shown.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "CreatedKey")]
pub(super) struct Created {
    /// The key itself.
    secret: String,
    key: Key,
}

impl Created {
    fn answer(record: &KeyRecord, secret: &VirtualKey) -> Answer<Self> {
        let created = Created { secret: secret.reveal().to_owned(), key: Key::of(record) };
        Answer::new(StatusCode::CREATED, created).tagged(fingerprint(record))
    }
}

pub(super) async fn list(admin: Admin, ask: Ask<ListKeys, Nothing>) -> Result<Answer<Page<Key>>, AdminFault> {
    let ListKeys { org, team, user, state, limit, after } = ask.query;
    let limit = page::limit(limit)?;
    let fits = |wanted: &Option<Name>, found: Option<&Name>| wanted.is_none() || wanted.as_ref() == found;
    let mut keys = admin.shared.directory.list();
    keys.retain(|key| {
        ask.caller.sees(&key.scope)
            && after.is_none_or(|after| key.id > after)
            && state.is_none_or(|state| State::of(&key.state) == state)
            && fits(&org, Some(&key.scope.org))
            && fits(&team, Some(&key.scope.team))
            && fits(&user, key.scope.user.as_ref())
    });
    keys.sort_by_key(|key| key.id);
    let page = Page::of(keys.iter().map(|key| Key::of(key)), limit, |key| key.id.to_string());
    Ok(Answer::ok(page))
}

pub(super) async fn show(admin: Admin, ask: Ask<Nothing, Nothing>) -> Result<Answer<Key>, AdminFault> {
    let key = find(&admin, &ask.caller, ask.part("id"))?;
    Ok(Answer::ok(Key::of(&key)).tagged(fingerprint(&*key)))
}

pub(super) async fn create(
    admin: Admin,
    ask: Ask<Nothing, CreateKey>,
) -> Result<Answer<Created>, AdminFault> {
    let wish = ask.body.into_new_key(now())?;
    ask.caller.must_see(&wish.scope)?;
    let by = ask.caller.name;
    let (record, secret) = admin.blocking(move |shared| shared.directory.create(&by, wish, now())).await?;
    Ok(Created::answer(&record, &secret))
}

pub(super) async fn import(admin: Admin, ask: Ask<Nothing, ImportKey>) -> Result<Answer<Key>, AdminFault> {
    let (hash, wish) = ask.body.read(now())?;
    ask.caller.must_see(&wish.scope)?;
    let by = ask.caller.name.clone();
    let imported = admin.blocking(move |shared| shared.directory.import(&by, &hash, wish, now()));
    let (record, is_new) = imported.await?;
    if !ask.caller.sees(&record.scope) {
        return Err(AdminFault::Conflict(
            "this key is known already, outside of what you may see".to_owned(),
        ));
    }
    let status = if is_new { StatusCode::CREATED } else { StatusCode::OK };
    Ok(Answer::new(status, Key::of(&record)).tagged(fingerprint(&*record)))
}

pub(super) async fn rotate(
    admin: Admin,
    ask: Ask<Nothing, RotateKey>,
) -> Result<Answer<Created>, AdminFault> {
    if ask.body.grace_seconds > GRACE_SECONDS {
        return Err(AdminFault::BadRequest(format!("grace_seconds: 0 to {GRACE_SECONDS}")));
    }
    let grace_ms = ask.body.grace_seconds * 1000;
    let id = find(&admin, &ask.caller, ask.part("id"))?.id;
    let (by, expect) = (ask.caller.name, ask.expect.unwrap_or(Expect::Present));
    let rotated = admin.blocking(move |shared| shared.directory.rotate(&by, id, expect, grace_ms, now()));
    let (record, secret) = rotated.await?;
    Ok(Created::answer(&record, &secret))
}

pub(super) async fn revoke(admin: Admin, ask: Ask<Nothing, Nothing>) -> Result<Answer<Key>, AdminFault> {
    let id = find(&admin, &ask.caller, ask.part("id"))?.id;
    let (by, expect) = (ask.caller.name, ask.expect.unwrap_or(Expect::Present));
    let revoked = admin.blocking(move |shared| shared.directory.revoke(&by, id, expect, now()));
    let record = revoked.await?;
    Ok(Answer::ok(Key::of(&record)).tagged(fingerprint(&*record)))
}

/// The key of this id, if the caller may see it. Others learn nothing about it, not even that it is there.
fn find(admin: &Admin, caller: &Caller, id: &str) -> Result<std::sync::Arc<KeyRecord>, AdminFault> {
    let known = id.parse().ok().and_then(|id| admin.shared.directory.by_id(id));
    known.filter(|key| caller.sees(&key.scope)).ok_or_else(|| no_such_key(id))
}
