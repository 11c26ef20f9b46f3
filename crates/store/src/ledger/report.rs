//! Questions to the ledger.

use std::cmp::Reverse;
use std::path::Path;

use rusqlite::types::ValueRef;
use rusqlite::{Row, params};
use serde::Serialize;
use tollgate_policy::unit::{NanoUsd, UnixMs};

use super::schema;
use crate::fault::LedgerFault;

/// What usage can be grouped by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Dimension {
    /// The org of the scope.
    Org,
    /// The team of the scope.
    Team,
    /// The project of the scope; absent when the key has none.
    Project,
    /// The user of the scope; absent when the key has none.
    User,
    /// The id of the key.
    Key,
    /// The model that answered, else the one that was asked for.
    Model,
    /// The name of the upstream.
    Upstream,
    /// The client's session.
    Session,
    /// The client's agent.
    Agent,
    /// The day of the settlement in UTC, `2026-11-22`.
    Day,
    /// How requests ended, as in the journal: `complete`, `aborted`, `cut`, `upstream_error`, `failed`, `unknown`.
    Outcome,
}

impl Dimension {
    /// All dimensions.
    pub const ALL: [Self; 11] = [
        Self::Org,
        Self::Team,
        Self::Project,
        Self::User,
        Self::Key,
        Self::Model,
        Self::Upstream,
        Self::Session,
        Self::Agent,
        Self::Day,
        Self::Outcome,
    ];

    /// The word for it in queries.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Org => "org",
            Self::Team => "team",
            Self::Project => "project",
            Self::User => "user",
            Self::Key => "key",
            Self::Model => "model",
            Self::Upstream => "upstream",
            Self::Session => "session",
            Self::Agent => "agent",
            Self::Day => "day",
            Self::Outcome => "outcome",
        }
    }

    /// The dimension of that word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|dimension| dimension.as_str() == word)
    }

    /// The expression that it is in SQL. A constant: nothing from outside enters a statement.
    fn expression(self) -> &'static str {
        match self {
            // The first millisecond of the day; also right before 1970.
            Self::Day => "at - ((at % 86400000) + 86400000) % 86400000",
            other => other.as_str(),
        }
    }
}

/// A question to the ledger.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Query {
    /// What to group by, in this order; nothing asks for the total.
    pub by: Vec<Dimension>,
    /// The first instant that counts, by the time of settlement.
    pub from: Option<UnixMs>,
    /// The first instant that does not count any more.
    pub to: Option<UnixMs>,
}

/// Usage and cost of one group. A sum that does not fit is held at the end of its range.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ReportRow {
    /// The group's values, in the order of [`Query::by`]; absent where the records say nothing.
    pub group: Vec<Option<String>>,
    /// Settled requests.
    pub requests: u64,
    /// Of these, the ones that ended by a fault of an upstream: error, cut, or no answer.
    pub errors: u64,
    /// Of these, the ones whose client left before the end.
    pub aborted: u64,
    /// Of these, the ones whose end nobody saw, because the process ended first.
    pub unknown: u64,
    /// Of these, the ones whose usage was filled in by a rule.
    pub estimated: u64,
    /// Of these, the ones whose model has no price; the dearest rates were taken.
    pub unknown_price: u64,
    /// Input tokens outside the cache.
    pub input_tokens: u64,
    /// Output tokens.
    pub output_tokens: u64,
    /// Input tokens written to the cache for five minutes.
    pub cache_write_5m_tokens: u64,
    /// Input tokens written to the cache for one hour.
    pub cache_write_1h_tokens: u64,
    /// Input tokens read from the cache.
    pub cache_read_tokens: u64,
    /// What it cost.
    #[serde(rename = "cost_nano_usd")]
    pub cost: NanoUsd,
}

/// What is counted in a group.
const COUNTS: [&str; 6] = [
    "count(*)",
    "coalesce(sum(outcome IN ('upstream_error', 'cut', 'failed')), 0)",
    "coalesce(sum(outcome = 'aborted'), 0)",
    "coalesce(sum(outcome = 'unknown'), 0)",
    "coalesce(sum(estimated), 0)",
    "coalesce(sum(unknown_price), 0)",
];

/// The columns that are added up in a group.
const SUMS: [&str; 6] = [
    "input_tokens",
    "output_tokens",
    "cache_write_5m_tokens",
    "cache_write_1h_tokens",
    "cache_read_tokens",
    "cost_nano_usd",
];

/// Bits of a column's lower half.
const HALF: u32 = 32;

/// Answers the question from the database as it is.
pub(super) fn read(path: &Path, query: &Query) -> Result<Vec<ReportRow>, LedgerFault> {
    let database = schema::open_to_read(path)?;
    let mut statement = database.prepare(&sql(&query.by))?;
    let from = query.from.map_or(i64::MIN, |from| from.0);
    let to = query.to.map_or(i64::MAX, |to| to.0);
    let mut rows = statement.query(params![from, to, query.to.is_none()])?;
    let mut report = Vec::new();
    while let Some(row) = rows.next()? {
        report.push(row_of(row, &query.by)?);
    }
    // A stable sort: rows of the same cost stay in the order of their groups.
    report.sort_by_key(|row| Reverse(row.cost));
    Ok(report)
}

fn sql(by: &[Dimension]) -> String {
    // SQLite gives up on a sum that does not fit in 64 bits. The sums of the halves fit for two thousand million rows.
    let mask = (1_u64 << HALF) - 1;
    let halves = SUMS
        .map(|column| format!("coalesce(sum({column} >> {HALF}), 0), coalesce(sum({column} & {mask}), 0)"));
    let figures =
        COUNTS.iter().copied().chain(halves.iter().map(String::as_str)).collect::<Vec<_>>().join(", ");
    let range = "FROM usage WHERE at >= ?1 AND (at < ?2 OR ?3)";
    if by.is_empty() {
        return format!("SELECT {figures} {range}");
    }
    let columns: Vec<&str> = by.iter().map(|dimension| dimension.expression()).collect();
    let places: Vec<String> = (1..=by.len()).map(|place| place.to_string()).collect();
    let (columns, places) = (columns.join(", "), places.join(", "));
    format!("SELECT {columns}, {figures} {range} GROUP BY {places} ORDER BY {places}")
}

fn row_of(row: &Row<'_>, by: &[Dimension]) -> Result<ReportRow, LedgerFault> {
    let mut group = Vec::with_capacity(by.len());
    for place in 0..by.len() {
        group.push(match row.get_ref(place)? {
            ValueRef::Null => None,
            ValueRef::Integer(day_start) => Some(UnixMs(day_start).to_string()[..10].to_owned()),
            other => {
                let text = other.as_str().map_err(|error| LedgerFault::Damaged(error.to_string()))?;
                Some(text.to_owned())
            }
        });
    }
    let count = |place: usize| row.get::<_, u64>(by.len() + place);
    let sum = |place: usize| -> rusqlite::Result<i128> {
        let high = by.len() + COUNTS.len() + 2 * place;
        let (high, low): (i64, i64) = (row.get(high)?, row.get(high + 1)?);
        Ok((i128::from(high) << HALF) + i128::from(low))
    };
    let tokens = |place: usize| sum(place).map(|sum| u64::try_from(sum.max(0)).unwrap_or(u64::MAX));
    Ok(ReportRow {
        group,
        requests: count(0)?,
        errors: count(1)?,
        aborted: count(2)?,
        unknown: count(3)?,
        estimated: count(4)?,
        unknown_price: count(5)?,
        input_tokens: tokens(0)?,
        output_tokens: tokens(1)?,
        cache_write_5m_tokens: tokens(2)?,
        cache_write_1h_tokens: tokens(3)?,
        cache_read_tokens: tokens(4)?,
        cost: NanoUsd::saturating_from(sum(5)?),
    })
}
