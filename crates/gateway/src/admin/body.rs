//! The bodies of the admin API.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tollgate_policy::access::Models;
use tollgate_policy::credential::VirtualKey;
use tollgate_policy::key::{KeyRecord, KeyState};
use tollgate_policy::scope::{Name, Scope};
use tollgate_policy::unit::UnixMs;
use tollgate_store::directory::NewKey;
use tollgate_store::ledger::{Dimension, Filter, Query, ReportRow};

use super::fault::AdminFault;
use crate::Shared;

/// Longest life of a key that is not for ever: ten years, in seconds.
const LIFE_SECONDS: u64 = 10 * 366 * 24 * 3600;
/// Longest time in which a rotated key still serves: thirty days, in seconds.
const GRACE_SECONDS: u64 = 30 * 24 * 3600;

/// `POST /admin/v1/keys`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CreateKey {
    org: Option<String>,
    team: String,
    project: Option<String>,
    user: Option<String>,
    #[serde(default)]
    models: Vec<String>,
    expires_in_seconds: Option<u64>,
    note: Option<String>,
}

impl CreateKey {
    pub(super) fn into_new_key(self, now: UnixMs) -> Result<NewKey, AdminFault> {
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
        let expires_at = match self.expires_in_seconds {
            Some(seconds) if seconds == 0 || seconds > LIFE_SECONDS => {
                return Err(AdminFault::BadRequest(format!("expires_in_seconds: 1 to {LIFE_SECONDS}")));
            }
            Some(seconds) => Some(now.saturating_add_ms(seconds as i64 * 1000)),
            None => None,
        };
        if self.note.as_ref().is_some_and(|note| note.chars().count() > 256) {
            return Err(AdminFault::BadRequest("note: at most 256 characters".into()));
        }
        Ok(NewKey { scope, models, expires_at, note: self.note })
    }
}

/// `POST /admin/v1/keys/{id}/rotate`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RotateKey {
    grace_seconds: u64,
}

impl RotateKey {
    pub(super) fn grace_ms(&self) -> Result<u64, AdminFault> {
        if self.grace_seconds > GRACE_SECONDS {
            return Err(AdminFault::BadRequest(format!("grace_seconds: 0 to {GRACE_SECONDS}")));
        }
        Ok(self.grace_seconds * 1000)
    }
}

/// A key without anything secret.
#[derive(Debug, Serialize)]
pub(super) struct Key {
    id: String,
    hint: String,
    org: String,
    team: String,
    project: Option<String>,
    user: Option<String>,
    models: Vec<String>,
    created_at: String,
    expires_at: Option<String>,
    state: &'static str,
    /// When the state began, or the grace ends.
    state_at: Option<String>,
    replaced_by: Option<String>,
    rotated_from: Option<String>,
    note: Option<String>,
}

impl Key {
    pub(super) fn of(record: &KeyRecord) -> Self {
        let (state, state_at, replaced_by) = match &record.state {
            KeyState::Active => ("active", None, None),
            KeyState::Grace { until, replaced_by } => ("grace", Some(until), Some(replaced_by)),
            KeyState::Revoked { at } => ("revoked", Some(at), None),
        };
        Key {
            id: record.id.to_string(),
            hint: record.hint.clone(),
            org: record.scope.org.to_string(),
            team: record.scope.team.to_string(),
            project: record.scope.project.as_ref().map(Name::to_string),
            user: record.scope.user.as_ref().map(Name::to_string),
            models: record.models.patterns().to_vec(),
            created_at: record.created_at.to_string(),
            expires_at: record.expires_at.map(|at| at.to_string()),
            state,
            state_at: state_at.map(UnixMs::to_string),
            replaced_by: replaced_by.map(ToString::to_string),
            rotated_from: record.rotated_from.map(|id| id.to_string()),
            note: record.note.clone(),
        }
    }
}

/// A key just minted: the only time that its text is shown.
#[derive(Serialize)]
pub(super) struct Created {
    secret: String,
    key: Key,
}

impl Created {
    pub(super) fn of(record: &KeyRecord, secret: &VirtualKey) -> Self {
        Created { secret: secret.reveal().to_owned(), key: Key::of(record) }
    }
}

/// `GET /admin/v1/usage?by=team,model&from=...&to=...`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct UsageQuery {
    by: Option<String>,
    from: Option<String>,
    to: Option<String>,
}

impl UsageQuery {
    pub(super) fn into_ledger_query(self) -> Result<Query, AdminFault> {
        let by = self.by.unwrap_or_else(|| "team".into());
        let by = dimensions(&by)?;
        let instant = |field: &str, text: Option<String>| -> Result<Option<UnixMs>, AdminFault> {
            text.map(|text| text.parse().map_err(|error| AdminFault::BadRequest(format!("{field}: {error}"))))
                .transpose()
        };
        let (from, to) = (instant("from", self.from)?, instant("to", self.to)?);
        Ok(Query { by, filter: Filter { from, to, ..Filter::default() }, ..Query::default() })
    }
}

/// The dimensions of a list with commas, each at most once, so that there are never more than there are words.
fn dimensions(words: &str) -> Result<Vec<Dimension>, AdminFault> {
    let mut by = Vec::new();
    for word in words.split(',') {
        let refuse = |why: String| AdminFault::BadRequest(format!("by: `{}` {why}", shorten(word)));
        let dimension =
            Dimension::from_word(word.trim()).ok_or_else(|| refuse(format!("is none of {}", all_words())))?;
        if by.contains(&dimension) {
            return Err(refuse("is there twice".to_owned()));
        }
        by.push(dimension);
    }
    Ok(by)
}

fn shorten(text: &str) -> String {
    text.chars().take(32).collect()
}

fn all_words() -> String {
    Dimension::PLAIN.map(|dimension| dimension.to_string()).join(", ")
}

/// Usage by the dimensions that were asked for.
#[derive(Debug, Serialize)]
pub(super) struct UsageReport {
    by: Vec<String>,
    rows: Vec<Map<String, Value>>,
}

impl UsageReport {
    pub(super) fn of(by: &[Dimension], rows: Vec<ReportRow>) -> Self {
        let by: Vec<_> = by.iter().map(Dimension::to_string).collect();
        let rows = rows.into_iter().map(|row| flat(&by, row)).collect();
        UsageReport { by, rows }
    }
}

fn flat(by: &[String], row: ReportRow) -> Map<String, Value> {
    let dimensions = by.iter().cloned().zip(row.group.into_iter().map(Value::from));
    let figures = [
        ("requests", row.requests.into()),
        ("errors", row.errors.into()),
        ("aborted", row.aborted.into()),
        ("input_tokens", row.input_tokens.into()),
        ("output_tokens", row.output_tokens.into()),
        ("cache_read_tokens", row.cache_read_tokens.into()),
        ("cache_write_tokens", row.cache_write_5m_tokens.saturating_add(row.cache_write_1h_tokens).into()),
        ("cost_nano_usd", row.cost.0.into()),
        ("estimated", row.estimated.into()),
        ("unknown", row.unknown.into()),
        ("unknown_price", row.unknown_price.into()),
    ];
    dimensions.chain(figures.map(|(name, value): (&str, Value)| (name.to_owned(), value))).collect()
}

/// `GET /admin/v1/state`
#[derive(Debug, Serialize)]
pub(super) struct State {
    version: &'static str,
    upstream: String,
    durability: &'static str,
    journal_writable: bool,
    journal_written_seq: u64,
    journal_synced_seq: u64,
    journal_backlog: usize,
    journal_open: usize,
    connections: usize,
}

impl State {
    pub(super) fn of(shared: &Shared) -> Self {
        let journal = shared.journal.state();
        let force = shared.in_force();
        State {
            version: env!("CARGO_PKG_VERSION"),
            upstream: force.upstream.name().to_string(),
            durability: force.config.durability.as_str(),
            journal_writable: journal.writable,
            journal_written_seq: journal.written_seq,
            journal_synced_seq: journal.synced_seq,
            journal_backlog: journal.backlog,
            journal_open: journal.open,
            connections: shared.drain.connections(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dimension_is_grouped_by_once() {
        let all = all_words().replace(' ', "");
        let many = "team,".repeat(3000) + "team";
        let rows: [(&str, Option<usize>); 7] = [
            ("team", Some(1)),
            ("team, model", Some(2)),
            (&all, Some(Dimension::PLAIN.len())),
            ("team,team", None),
            (&many, None),
            ("", None),
            ("team,weather", None),
        ];
        for (text, expected) in rows {
            let query = UsageQuery { by: Some(text.to_owned()), from: None, to: None };
            let found = query.into_ledger_query().map(|query| query.by.len()).ok();
            assert_eq!(found, expected, "{}", shorten(text));
        }
    }
}
