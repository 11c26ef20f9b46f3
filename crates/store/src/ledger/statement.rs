//! The figures of a statement: what a period cost, and what later came to light about the ones before.

use std::collections::HashMap;
use std::ops::RangeInclusive;

use rusqlite::{Connection, OptionalExtension, ToSql, params};
use schemars::JsonSchema;
use serde::Serialize;
use tollgate_policy::scope::Name;
use tollgate_policy::unit::{NanoUsd, UnixMs};

use super::batch::seq_value;
use super::calendar::{Day, Month, bounds};
use super::query::Dimension;
use super::schema;
use super::sieve::Sieve;
use super::sums::{self, Sums};
use crate::fault::LedgerFault;

/// The figures of one period, to be stated for good.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct StatementFigures {
    /// What was booked in the period: requests admitted in it.
    pub lines: Vec<StatementLine>,
    /// Requests of earlier periods that were settled after the statement before was closed.
    pub late: Vec<StatementLine>,
    /// Adjustments made in the period, of whatever requests; and those made earlier but after the statement before was
    /// closed. Only `requests` (how many) and `cost` (their sum) are not zero.
    pub adjustments: Vec<StatementLine>,
}

/// What one group of a statement cost. Lines are in the order of these fields, absent values first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct StatementLine {
    /// The cost centre that pays, if a rule names one.
    pub cost_centre: Option<Name>,
    /// The org.
    pub org: Name,
    /// The team.
    pub team: Name,
    /// The project, if there is one.
    pub project: Option<Name>,
    /// The user, if there is one.
    pub user: Option<Name>,
    /// The model that answered, else the one that was asked for.
    pub model: Option<String>,
    /// Settled requests.
    pub requests: u64,
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
    /// What they cost when they were settled, or what adjustments add.
    #[serde(rename = "cost_nano_usd")]
    pub cost: NanoUsd,
}

/// What a statement groups by.
const BY: [Dimension; 6] = [
    Dimension::CostCentre,
    Dimension::Org,
    Dimension::Team,
    Dimension::Project,
    Dimension::User,
    Dimension::Model,
];

/// Adds up the statement of the requests admitted from `from` to before `to` that were settled up to entry `upto`, and
/// of what came after entry `after`, the last one of the statement before, about earlier times.
pub(super) fn read(
    database: &Connection,
    from: UnixMs,
    to: UnixMs,
    after: u64,
    upto: u64,
) -> Result<StatementFigures, LedgerFault> {
    let (from, to) = bounds(Some(from), Some(to));
    let first = schema::records_month(Day::of(from));
    let last = schema::records_month(Day::of(UnixMs(to.0.saturating_sub(1)).max(from)));
    let (after, upto) = (seq_value(after), seq_value(upto));
    check_kept(database, from, after)?;
    let sieve = Sieve::read(database, &BY, &[])?;
    let tables = |months: RangeInclusive<Month>| -> Result<Vec<String>, LedgerFault> {
        let all = schema::records_months(database)?;
        Ok(all.into_iter().filter(|month| months.contains(month)).map(schema::records_table).collect())
    };
    let add = |lines: &mut Lines<'_>, figures: &str, table: &str, range: &str| {
        let sql = format!("SELECT s.dims, {figures} FROM {table} s WHERE s.seq <= ?4 AND {range}");
        lines.add(database, &sql, params![from.0, to.0, after, upto])
    };
    // All name all four parameters, because SQLite wants to know each that is given.
    let in_period = "s.at >= ?1 AND s.at < ?2 AND ?3 IS NOT NULL";
    let before_it = "s.at < ?1 AND s.seq > ?3 AND ?2 IS NOT NULL";
    let mut lines = Lines::new(&sieve);
    for table in tables(first..=last)? {
        add(&mut lines, sums::OF_RECORD, &table, in_period)?;
    }
    let mut late = Lines::new(&sieve);
    for table in tables(schema::records_month(Day::of(UnixMs::MIN))..=first)? {
        add(&mut late, sums::OF_RECORD, &table, before_it)?;
    }
    let mut adjustments = Lines::new(&sieve);
    add(&mut adjustments, sums::OF_ADJUSTMENT, "adjustments", in_period)?;
    add(&mut adjustments, sums::OF_ADJUSTMENT, "adjustments", before_it)?;
    Ok(StatementFigures {
        lines: lines.finish(false)?,
        late: late.finish(false)?,
        adjustments: adjustments.finish(true)?,
    })
}

/// Refuses when records were dropped that the statement needs: of the period, or settled after the statement before.
fn check_kept(database: &Connection, from: UnixMs, after: i64) -> Result<(), LedgerFault> {
    schema::check_kept(database, schema::records_month(Day::of(from)))?;
    first_after(database, after)?.map_or(Ok(()), |month| schema::check_kept(database, month))
}

/// The first month of whose records the next statement needs some: the one in which the last closed period ended, or one
/// before of which something was settled since. None while no period is closed: it may be that none ever will be.
pub(super) fn needed_from(database: &Connection) -> Result<Option<Month>, LedgerFault> {
    let sql = "SELECT to_at, upto FROM statements ORDER BY to_at DESC LIMIT 1";
    let last = database.query_row(sql, [], |row| Ok((UnixMs(row.get(0)?), row.get(1)?))).optional()?;
    let Some((to, upto)) = last else { return Ok(None) };
    let next = schema::records_month(Day::of(to));
    Ok(Some(first_after(database, upto)?.map_or(next, |late| late.min(next))))
}

/// The last entry about what was booked before an instant, or on the day that it ends; 0 if nothing was.
pub(super) fn last_before(database: &Connection, instant: UnixMs) -> Result<u64, LedgerFault> {
    let (_, instant) = bounds(None, Some(instant));
    let sql = "SELECT max(seq) FROM (SELECT max(booked_upto) AS seq FROM days WHERE day <= ?1
               UNION ALL SELECT max(seq) FROM adjustments WHERE at < ?2)";
    let day = Day::of(UnixMs(instant.0 - 1));
    let seq: Option<i64> = database.query_row(sql, params![day.0, instant.0], |row| row.get(0))?;
    Ok(seq.map_or(0, i64::unsigned_abs))
}

/// The first month of which something was settled after this entry.
fn first_after(database: &Connection, after: i64) -> Result<Option<Month>, LedgerFault> {
    let sql = "SELECT min(day) FROM days WHERE booked_upto > ?1";
    let day: Option<i64> = database.query_row(sql, [after], |row| row.get(0))?;
    Ok(day.map(|day| schema::records_month(Day(day))))
}

/// Lines while they are added up.
struct Lines<'a> {
    sieve: &'a Sieve,
    sums: HashMap<u32, Sums>,
}

impl<'a> Lines<'a> {
    fn new(sieve: &'a Sieve) -> Self {
        Self { sieve, sums: HashMap::new() }
    }

    fn add(&mut self, database: &Connection, sql: &str, params: &[&dyn ToSql]) -> Result<(), LedgerFault> {
        let mut statement = database.prepare(sql)?;
        let mut rows = statement.query(params)?;
        while let Some(row) = rows.next()? {
            if let Some(place) = self.sieve.place(row.get(0)?)? {
                self.sums.entry(place.group).or_default().add(&Sums::of_row(row, 1)?);
            }
        }
        Ok(())
    }

    fn finish(self, are_adjustments: bool) -> Result<Vec<StatementLine>, LedgerFault> {
        let mut groups: Vec<_> =
            self.sums.iter().map(|(number, sums)| (self.sieve.group(*number), sums)).collect();
        groups.sort_unstable_by_key(|(group, _)| *group);
        groups.into_iter().map(|(group, sums)| line(group, sums, are_adjustments)).collect()
    }
}

fn line(group: &[Option<String>], sums: &Sums, is_adjustment: bool) -> Result<StatementLine, LedgerFault> {
    let odd = || LedgerFault::Damaged("a name in the table of dims is none".to_owned());
    let [cost_centre, org, team, project, user, model] = group else { return Err(odd()) };
    let name = |text: &Option<String>| -> Result<Option<Name>, LedgerFault> {
        text.as_ref().map(|text| text.parse().map_err(|_| odd())).transpose()
    };
    let count = |count: i64| u64::try_from(count).unwrap_or(0);
    let [input, output, write_5m, write_1h, read] = sums.tokens.0.map(count);
    let (requests, cost) =
        if is_adjustment { (sums.adjustments, sums.adjusted) } else { (sums.counts[0], sums.cost) };
    Ok(StatementLine {
        cost_centre: name(cost_centre)?,
        org: name(org)?.ok_or_else(odd)?,
        team: name(team)?.ok_or_else(odd)?,
        project: name(project)?,
        user: name(user)?,
        model: model.clone(),
        requests: count(requests),
        input_tokens: input,
        output_tokens: output,
        cache_write_5m_tokens: write_5m,
        cache_write_1h_tokens: write_1h,
        cache_read_tokens: read,
        cost: NanoUsd::saturating_from(cost),
    })
}
