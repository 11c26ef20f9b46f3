//! Answers from sums: whole months and days from what was added up as records came, the rest of a range from the
//! records of its first and last day.

use std::cmp::Reverse;
use std::collections::HashMap;

use rusqlite::{Connection, OptionalExtension, Row, ToSql, params};
use tollgate_policy::unit::{NanoUsd, UnixMs};

use super::batch::span_of_row;
use super::calendar::{Day, Piece, bounds, cover};
use super::dims;
use super::query::{Dimension, Filter, Order, Query, ReportRow, named};
use super::schema;
use super::sieve::{End, Sieve};
use super::sums::{self, Sums};
use crate::fault::LedgerFault;

/// The most groups that are added up at once.
pub(crate) const GROUPS_MAX: usize = if cfg!(test) { 100 } else { 1_000_000 };
/// So many sets of dims are looked up one by one; more are found in passing over all.
const FEW: usize = if cfg!(test) { 8 } else { 64 };

/// Answers the question from the database as it is.
pub(super) fn read(database: &Connection, query: &Query) -> Result<Vec<ReportRow>, LedgerFault> {
    let sieve = Sieve::read(database, &query.by, &query.filter.only)?;
    let mut groups = Groups::of(query, &sieve);
    let is_coarse = !needs(query, |by| by.is_common() && !by.column().is_some_and(dims::is_coarse));
    let source = Source { database, filter: &query.filter, few: sieve.few(FEW), is_coarse };
    let (from, to) = bounds(query.filter.from, query.filter.to);
    let use_months = !groups.needs_sessions && !needs(query, |by| *by == Dimension::Day);
    for piece in cover(from, to, use_months) {
        source.visit(piece, groups.needs_sessions, &mut |row| groups.add(row))?;
    }
    page(groups.into_rows(&query.by), query)
}

/// Puts the rows in order and takes the page that was asked for.
fn page(mut rows: Vec<ReportRow>, query: &Query) -> Result<Vec<ReportRow>, LedgerFault> {
    match query.order {
        Order::Cost => rows.sort_unstable_by(|one, other| {
            (Reverse(one.total), &one.group).cmp(&(Reverse(other.total), &other.group))
        }),
        Order::Group => rows.sort_unstable_by(|one, other| one.group.cmp(&other.group)),
    }
    if let Some(after) = &query.after {
        let before = match query.order {
            Order::Group => rows.partition_point(|row| row.group <= *after),
            Order::Cost => {
                let last = rows.iter().position(|row| row.group == *after);
                last.ok_or(LedgerFault::NoSuchGroup)? + 1
            }
        };
        rows.drain(..before);
    }
    rows.truncate(query.limit.unwrap_or(usize::MAX));
    Ok(rows)
}

/// Whether a dimension like this is grouped or filtered by.
fn needs(query: &Query, like: impl Fn(&Dimension) -> bool) -> bool {
    query.by.iter().chain(query.filter.only.iter().map(|only| &only.dimension)).any(like)
}

/// Where the rows of a piece of time come from. Each has the number of its dims, its day (the first of the month in
/// sums of months), its session and agent, and the figures.
struct Source<'a> {
    database: &'a Connection,
    filter: &'a Filter,
    /// The dims that count, if they are few.
    few: Option<Vec<i64>>,
    /// Coarse dims tell all that is asked for.
    is_coarse: bool,
}

type Visit<'v> = dyn FnMut(&Row<'_>) -> Result<(), LedgerFault> + 'v;

impl Source<'_> {
    fn visit(&self, piece: Piece, needs_sessions: bool, visit: &mut Visit<'_>) -> Result<(), LedgerFault> {
        match piece {
            Piece::Months(from, to) => {
                let sql = sums_sql("month", "NULL, NULL", "monthly s WHERE s.month >= ?1 AND s.month < ?2");
                self.rows(&sql, params![from.0, to.0], visit)
            }
            Piece::Days(from, to) if needs_sessions => self.sessions(from, to, visit),
            Piece::Days(from, to) if self.is_coarse => {
                let sql = sums_sql("day", "NULL, NULL", "daily_coarse s WHERE s.day >= ?1 AND s.day < ?2");
                self.rows(&sql, params![from.0, to.0], visit)
            }
            Piece::Days(from, to) => self.days(from, to, visit),
            Piece::Part(day, from, to) => self.part(day, from, to, visit),
        }
    }

    fn days(&self, from: Day, to: Day, visit: &mut Visit<'_>) -> Result<(), LedgerFault> {
        let Some(few) = &self.few else {
            let sql = sums_sql("day", "NULL, NULL", "daily s WHERE s.day >= ?1 AND s.day < ?2");
            return self.rows(&sql, params![from.0, to.0], visit);
        };
        let sql = sums_sql(
            "day",
            "NULL, NULL",
            "days CROSS JOIN daily s ON s.day = days.day AND s.dims IN (SELECT value FROM json_each(?3))
             WHERE days.day >= ?1 AND days.day < ?2",
        );
        let few = serde_json::to_string(few).unwrap_or_default();
        self.rows(&sql, params![from.0, to.0, few], visit)
    }

    fn sessions(&self, from: Day, to: Day, visit: &mut Visit<'_>) -> Result<(), LedgerFault> {
        // One session is looked up day by day, because sums are in the order of days.
        let one = self.filter.only.iter().find_map(|only| match only.values.as_slice() {
            [session] if only.dimension == Dimension::Session => Some(session.as_deref().unwrap_or_default()),
            _ => None,
        });
        let Some(session) = one else {
            let sql = sums_sql("day", "s.session, s.agent", "sessions s WHERE s.day >= ?1 AND s.day < ?2");
            return self.rows(&sql, params![from.0, to.0], visit);
        };
        let sql = sums_sql(
            "day",
            "s.session, s.agent",
            "days CROSS JOIN sessions s ON s.day = days.day AND s.session = ?3
             WHERE days.day >= ?1 AND days.day < ?2",
        );
        self.rows(&sql, params![from.0, to.0, session], visit)
    }

    /// A part of one day, from its records. They lie between two entries of the journal.
    fn part(&self, day: Day, from: UnixMs, to: UnixMs, visit: &mut Visit<'_>) -> Result<(), LedgerFault> {
        let sql = format!(
            "SELECT s.dims, ?1, s.session, s.agent, {} FROM adjustments s WHERE s.at >= ?2 AND s.at < ?3",
            sums::OF_ADJUSTMENT
        );
        self.rows(&sql, params![day.0, from.0, to.0], visit)?;
        let mut statement = self
            .database
            .prepare("SELECT booked_from, booked_upto, settled_from FROM days WHERE day = ?1")?;
        let span = statement.query_row([day.0], span_of_row).optional()?.unwrap_or_default();
        let Some((first, last)) = span.booked else { return Ok(()) };
        let month = schema::records_month(day);
        schema::check_kept(self.database, month)?;
        let sql = format!(
            "SELECT s.dims, ?1, s.session, s.agent, {} FROM {} s
             WHERE s.seq BETWEEN ?2 AND ?3 AND s.at >= ?4 AND s.at < ?5",
            sums::OF_RECORD,
            schema::records_table(month)
        );
        self.rows(&sql, params![day.0, first, last, from.0, to.0], visit)
    }

    fn rows(&self, sql: &str, params: &[&dyn ToSql], visit: &mut Visit<'_>) -> Result<(), LedgerFault> {
        let mut statement = self.database.prepare(sql)?;
        let mut rows = statement.query(params)?;
        while let Some(row) = rows.next()? {
            visit(row)?;
        }
        Ok(())
    }
}

fn sums_sql(day: &str, session: &str, from: &str) -> String {
    let figures = sums::COLUMNS.map(|column| format!("s.{column}")).join(", ");
    format!("SELECT s.dims, s.{day}, {session}, {figures} FROM {from}")
}

/// What is added up.
struct Groups<'a> {
    sieve: &'a Sieve,
    filter: &'a Filter,
    needs_sessions: bool,
    /// There are conditions that the sieve does not know.
    is_filtered: bool,
    by_session: bool,
    by_agent: bool,
    grain: Grain,
    /// The day that was seen last, and to what it is grouped.
    day: (Day, Day),
    texts: Texts,
    numbers: HashMap<Key, usize>,
    totals: Vec<(Key, Totals)>,
}

/// What days are grouped to.
#[derive(Clone, Copy)]
enum Grain {
    Day,
    Month,
    All,
}

/// A group, in numbers.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Key {
    dims: u32,
    day: Day,
    session: u32,
    agent: u32,
}

#[derive(Default)]
struct Totals {
    sums: Sums,
    errors: i64,
    aborted: i64,
    unknown: i64,
}

impl<'a> Groups<'a> {
    fn of(query: &'a Query, sieve: &'a Sieve) -> Self {
        let by = |dimension: Dimension| query.by.contains(&dimension);
        let grain = match (by(Dimension::Day), by(Dimension::Month)) {
            (true, _) => Grain::Day,
            (false, true) => Grain::Month,
            (false, false) => Grain::All,
        };
        let mut groups = Self {
            sieve,
            filter: &query.filter,
            needs_sessions: needs(query, |by| matches!(by, Dimension::Session | Dimension::Agent)),
            is_filtered: query.filter.is_about_more_than_dims(),
            by_session: by(Dimension::Session),
            by_agent: by(Dimension::Agent),
            grain,
            day: (Day(i64::MIN), Day(0)),
            texts: Texts::default(),
            numbers: HashMap::new(),
            totals: Vec::new(),
        };
        if query.by.is_empty() {
            // The total is there even if it is a total of nothing.
            let key = Key { dims: 0, day: Day(0), session: 0, agent: 0 };
            groups.numbers.insert(key, 0);
            groups.totals.push((key, Totals::default()));
        }
        groups
    }

    fn add(&mut self, row: &Row<'_>) -> Result<(), LedgerFault> {
        let Some(place) = self.sieve.place(row.get(0)?)? else { return Ok(()) };
        let day = Day(row.get(1)?);
        let text = |column| row.get_ref(column)?.as_str_or_null().map_err(rusqlite::Error::from);
        let (session, agent) =
            if self.needs_sessions { (named(text(2)?), named(text(3)?)) } else { (None, None) };
        if self.is_filtered && !self.filter.allows(day.start(), session, agent) {
            return Ok(());
        }
        let session = self.texts.number(session.filter(|_| self.by_session))?;
        let agent = self.texts.number(agent.filter(|_| self.by_agent))?;
        let day = self.day_of(day);
        let key = Key { dims: place.group, day, session, agent };
        let number = match self.numbers.get(&key) {
            Some(number) => *number,
            None if self.totals.len() >= GROUPS_MAX => return Err(LedgerFault::TooManyGroups),
            None => {
                self.numbers.insert(key, self.totals.len());
                self.totals.push((key, Totals::default()));
                self.totals.len() - 1
            }
        };
        self.totals[number].1.add(place.end, &Sums::of_row(row, 4)?);
        Ok(())
    }

    /// To what a day is grouped.
    fn day_of(&mut self, day: Day) -> Day {
        if self.day.0 != day {
            let group = match self.grain {
                Grain::Day => day,
                Grain::Month => day.month(),
                Grain::All => Day(0),
            };
            self.day = (day, group);
        }
        self.day.1
    }

    fn into_rows(self, by: &[Dimension]) -> Vec<ReportRow> {
        let group = |key: &Key| {
            let mut common = self.sieve.group(key.dims).iter();
            let value = |dimension: &Dimension| match dimension {
                Dimension::Day => Some(key.day.to_string()),
                Dimension::Month => Some(key.day.to_string()[..7].to_owned()),
                Dimension::Session => self.texts.text(key.session),
                Dimension::Agent => self.texts.text(key.agent),
                other if other.is_common() => common.next().cloned().flatten(),
                _ => None,
            };
            by.iter().map(value).collect()
        };
        self.totals.iter().map(|(key, totals)| totals.row(group(key))).collect()
    }
}

impl Totals {
    fn add(&mut self, end: End, sums: &Sums) {
        self.sums.add(sums);
        let requests = sums.counts[0];
        match end {
            End::Good => {}
            End::Error => self.errors = self.errors.saturating_add(requests),
            End::Aborted => self.aborted = self.aborted.saturating_add(requests),
            End::Unknown => self.unknown = self.unknown.saturating_add(requests),
        }
    }

    fn row(&self, group: Vec<Option<String>>) -> ReportRow {
        let count = |count: i64| u64::try_from(count).unwrap_or(0);
        let [requests, estimated, unknown_price] = self.sums.counts.map(count);
        let [input, output, write_5m, write_1h, read] = self.sums.tokens.0.map(count);
        ReportRow {
            group,
            requests,
            errors: count(self.errors),
            aborted: count(self.aborted),
            unknown: count(self.unknown),
            estimated,
            unknown_price,
            input_tokens: input,
            output_tokens: output,
            cache_write_5m_tokens: write_5m,
            cache_write_1h_tokens: write_1h,
            cache_read_tokens: read,
            cost: NanoUsd::saturating_from(self.sums.cost),
            adjustments: count(self.sums.adjustments),
            adjusted: NanoUsd::saturating_from(self.sums.adjusted),
            total: NanoUsd::saturating_from(self.sums.cost + self.sums.adjusted),
        }
    }
}

/// Names of sessions and agents, each kept once. Number 0 is no name.
#[derive(Default)]
struct Texts {
    numbers: HashMap<String, u32>,
    texts: Vec<String>,
}

impl Texts {
    fn number(&mut self, text: Option<&str>) -> Result<u32, LedgerFault> {
        let Some(text) = text else { return Ok(0) };
        if let Some(number) = self.numbers.get(text) {
            return Ok(*number);
        }
        let number = u32::try_from(self.texts.len() + 1).map_err(|_| LedgerFault::TooManyGroups)?;
        self.numbers.insert(text.to_owned(), number);
        self.texts.push(text.to_owned());
        Ok(number)
    }

    fn text(&self, number: u32) -> Option<String> {
        let index = (number as usize).checked_sub(1)?;
        self.texts.get(index).cloned()
    }
}
