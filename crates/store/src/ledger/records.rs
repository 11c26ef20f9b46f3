//! Single records, read back from the tables of their months.

use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashMap};
use std::str::FromStr;

use rusqlite::{Connection, Row, ToSql, params};
use tollgate_policy::id::RequestId;
use tollgate_policy::scope::Scope;
use tollgate_policy::unit::{NanoUsd, UnixMs};

use super::batch::seq_value;
use super::calendar::{Day, Month, bounds};
use super::dims::{self, outcome_of, tags_of};
use super::query::{Filter, PastUse};
use super::record::{Adjustment, Attribution, Record, RequestRecord};
use super::schema;
use super::sieve::Sieve;
use crate::fault::LedgerFault;

/// The columns of a record, those of its dims last.
const RECORD: &str =
    "r.seq, r.at, r.settled_at, r.request, r.session, r.agent, r.status, r.input_tokens, r.output_tokens,
    r.cache_write_5m_tokens, r.cache_write_1h_tokens, r.cache_read_tokens, r.cost_nano_usd, r.estimated,
    r.unknown_price, r.ms_total, r.dims";
const RECORD_COLUMNS: usize = 17;

/// The columns of an adjustment, those of its dims last.
const ADJUSTMENT: &str = "r.seq, r.at, r.\"by\", r.request, r.settled, r.booked_at, r.session, r.agent,
    r.difference_nano_usd, r.cost_nano_usd, r.price_version, r.reason, r.dims";
const ADJUSTMENT_COLUMNS: usize = 13;

/// The figures of past use.
const PAST_USE: &str = "r.seq, r.dims, r.at, r.settled_at, r.input_tokens, r.cache_write_5m_tokens,
    r.cache_write_1h_tokens, r.output_tokens, r.cost_nano_usd";

/// Of so many sets of dims at most, past use is kept in memory while it is read.
const DIMS_MAX: usize = if cfg!(test) { 2 } else { 1 << 16 };

/// What is known of one request.
pub(super) fn of_request(database: &Connection, request: RequestId) -> Result<RequestRecord, LedgerFault> {
    let mut record = None;
    for month in schema::records_months(database)?.into_iter().rev() {
        let sql = select(RECORD, &schema::records_table(month), "WHERE r.request = ?1");
        each(database, &sql, params![request.as_bytes()], &mut |row| {
            record = Some(record_of(row)?);
            Ok(true)
        })?;
        if record.is_some() {
            break;
        }
    }
    let mut adjustments = Vec::new();
    let sql = select(ADJUSTMENT, "adjustments", "WHERE r.request = ?1 ORDER BY r.seq");
    each(database, &sql, params![request.as_bytes()], &mut |row| {
        adjustments.push(adjustment_of(row)?);
        Ok(true)
    })?;
    Ok(RequestRecord { record, adjustments })
}

/// A page of records, in the order of the journal.
pub(super) fn page(
    database: &Connection,
    filter: &Filter,
    after: u64,
    limit: usize,
) -> Result<Vec<Record>, LedgerFault> {
    let (from, to) = bounds(filter.from, filter.to);
    if from >= to {
        return Ok(Vec::new());
    }
    let [first, last] = [from, UnixMs(to.0 - 1)].map(|at| schema::records_month(Day::of(at)));
    schema::check_kept(database, first)?;
    let mut months = schema::records_months(database)?;
    months.retain(|month| (first..=last).contains(month));
    let sieve = Sieve::read(database, &[], &filter.only)?;
    let mut page = Vec::new();
    let params = params![seq_value(after), from.0, to.0];
    in_order(database, &months, "r.seq > ?1 AND r.at >= ?2 AND r.at < ?3", params, &mut |row| {
        if page.len() >= limit {
            return Ok(false);
        }
        if sieve.place(row.get(RECORD_COLUMNS - 1)?)?.is_some() {
            let record = record_of(row)?;
            let counts = filter.allows(record.at, record.session.as_deref(), record.agent.as_deref());
            page.extend(counts.then_some(record));
        }
        Ok(page.len() < limit)
    })?;
    Ok(page)
}

/// A page of adjustments, in the order of the journal. They count by the instant at which they were made.
pub(super) fn adjustments(
    database: &Connection,
    filter: &Filter,
    after: u64,
    limit: usize,
) -> Result<Vec<Adjustment>, LedgerFault> {
    let (from, to) = bounds(filter.from, filter.to);
    let sieve = Sieve::read(database, &[], &filter.only)?;
    let sql =
        select(ADJUSTMENT, "adjustments", "WHERE r.seq > ?1 AND r.at >= ?2 AND r.at < ?3 ORDER BY r.seq");
    let mut page = Vec::new();
    each(database, &sql, params![seq_value(after), from.0, to.0], &mut |row| {
        if page.len() < limit && sieve.place(row.get(ADJUSTMENT_COLUMNS - 1)?)?.is_some() {
            let adjustment = adjustment_of(row)?;
            let (session, agent) = (adjustment.session.as_deref(), adjustment.agent.as_deref());
            page.extend(filter.allows(adjustment.at, session, agent).then_some(adjustment));
        }
        Ok(page.len() < limit)
    })?;
    Ok(page)
}

/// The use of each request that was settled at or after an instant, in the order of the journal. A start waits for it,
/// so what requests have in common is read once.
pub(super) fn since(
    database: &Connection,
    since: UnixMs,
    visit: &mut dyn FnMut(&PastUse),
) -> Result<(), LedgerFault> {
    let (since, _) = bounds(Some(since), None);
    schema::check_kept(database, schema::records_month(Day::of(since)))?;
    // No entry before this one was written on that day or later.
    let sql = "SELECT min(settled_from) FROM days WHERE day >= ?1";
    let first: Option<i64> = database.query_row(sql, [Day::of(since).0], |row| row.get(0))?;
    let Some(first) = first else { return Ok(()) };
    let of_month = |month: &Month| {
        let table = schema::records_table(*month);
        format!("SELECT {PAST_USE} FROM {table} r WHERE r.seq >= ?1 AND r.settled_at >= ?2")
    };
    let selects = schema::records_months(database)?.iter().map(of_month).collect();
    let mut known: HashMap<i64, PastUse> = HashMap::new();
    merged(database, selects, params![first, since.0], &mut |row| {
        let dims = row.get(1)?;
        if known.len() >= DIMS_MAX && !known.contains_key(&dims) {
            known.clear();
        }
        let past = match known.entry(dims) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) => new.insert(past_use_of(database, dims)?),
        };
        let count = |column: usize| row.get::<_, u64>(column);
        past.seq = row.get(0)?;
        (past.at, past.settled_at) = (UnixMs(row.get(2)?), UnixMs(row.get(3)?));
        past.input_tokens = count(4)?.saturating_add(count(5)?).saturating_add(count(6)?);
        past.output_tokens = count(7)?;
        past.cost = NanoUsd(row.get(8)?);
        visit(past);
        Ok(true)
    })
}

/// The use of one request of these dims, but for its figures.
fn past_use_of(database: &Connection, dims: i64) -> Result<PastUse, LedgerFault> {
    let columns = dims::COLUMNS.join(", ");
    let mut statement = database.prepare_cached(&format!("SELECT {columns} FROM dims WHERE id = ?1"))?;
    let mut rows = statement.query([dims])?;
    let row = rows.next()?.ok_or_else(|| odd("dims"))?;
    let common = Common { row, first: 0 }.attribution()?;
    Ok(PastUse {
        seq: 0,
        scope: common.scope,
        key: common.key,
        endpoint: common.endpoint.unwrap_or_default(),
        requested_model: common.requested_model,
        model: common.model,
        further_models: common.further_models,
        at: UnixMs(0),
        settled_at: UnixMs(0),
        requests: 1,
        input_tokens: 0,
        output_tokens: 0,
        cost: NanoUsd(0),
    })
}

type Visit<'v> = dyn FnMut(&Row<'_>) -> Result<bool, LedgerFault> + 'v;

/// Visits the records of some months in the order of the journal, until `visit` says that it is enough.
pub(super) fn in_order(
    database: &Connection,
    months: &BTreeSet<Month>,
    condition: &str,
    params: &[&dyn ToSql],
    visit: &mut Visit<'_>,
) -> Result<(), LedgerFault> {
    let condition = format!("WHERE {condition}");
    let of_month = |month: &Month| select(RECORD, &schema::records_table(*month), &condition);
    merged(database, months.iter().map(of_month).collect(), params, visit)
}

/// Visits the rows of some months, each selected in the order of its first column, in this order.
fn merged(
    database: &Connection,
    selects: Vec<String>,
    params: &[&dyn ToSql],
    visit: &mut Visit<'_>,
) -> Result<(), LedgerFault> {
    if selects.is_empty() {
        return Ok(());
    }
    // Each table is in the order of the journal already; SQLite merges them as they are read.
    each(database, &format!("{} ORDER BY 1", selects.join(" UNION ALL ")), params, visit)
}

fn select(columns: &str, table: &str, rest: &str) -> String {
    let dims = dims::COLUMNS.map(|column| format!("dims.{column}")).join(", ");
    format!("SELECT {columns}, {dims} FROM {table} r CROSS JOIN dims ON dims.id = r.dims {rest}")
}

fn each(
    database: &Connection,
    sql: &str,
    params: &[&dyn ToSql],
    visit: &mut Visit<'_>,
) -> Result<(), LedgerFault> {
    let mut statement = database.prepare(sql)?;
    let mut rows = statement.query(params)?;
    while let Some(row) = rows.next()? {
        if !visit(row)? {
            break;
        }
    }
    Ok(())
}

/// A record from a row of [`RECORD`] and its dims.
fn record_of(row: &Row<'_>) -> Result<Record, LedgerFault> {
    let common = Common { row, first: RECORD_COLUMNS };
    Ok(Record {
        seq: row.get(0)?,
        at: UnixMs(row.get(1)?),
        settled_at: UnixMs(row.get(2)?),
        request: RequestId::from_bytes(row.get(3)?),
        attribution: common.attribution()?,
        session: row.get(4)?,
        agent: row.get(5)?,
        outcome: common.text("outcome")?.and_then(outcome_of).ok_or_else(|| odd("outcome"))?,
        status: row.get(6)?,
        input_tokens: row.get(7)?,
        output_tokens: row.get(8)?,
        cache_write_5m_tokens: row.get(9)?,
        cache_write_1h_tokens: row.get(10)?,
        cache_read_tokens: row.get(11)?,
        cost: NanoUsd(row.get(12)?),
        price_version: common.owned("price_version")?.ok_or_else(|| odd("price_version"))?,
        estimated: row.get(13)?,
        unknown_price: row.get(14)?,
        ms_total: row.get(15)?,
    })
}

/// An adjustment from a row of [`ADJUSTMENT`] and its dims.
fn adjustment_of(row: &Row<'_>) -> Result<Adjustment, LedgerFault> {
    Ok(Adjustment {
        seq: row.get(0)?,
        at: UnixMs(row.get(1)?),
        by: row.get(2)?,
        request: RequestId::from_bytes(row.get(3)?),
        settled: row.get(4)?,
        booked_at: UnixMs(row.get(5)?),
        attribution: Common { row, first: ADJUSTMENT_COLUMNS }.attribution()?,
        session: row.get(6)?,
        agent: row.get(7)?,
        difference: NanoUsd(row.get(8)?),
        cost: NanoUsd(row.get(9)?),
        price_version: row.get(10)?,
        reason: row.get(11)?,
    })
}

/// The columns of dims in a row, which begin at `first`.
struct Common<'r> {
    row: &'r Row<'r>,
    first: usize,
}

impl<'r> Common<'r> {
    fn attribution(&self) -> Result<Attribution, LedgerFault> {
        Ok(Attribution {
            scope: Scope {
                org: self.parsed("org")?.ok_or_else(|| odd("org"))?,
                team: self.parsed("team")?.ok_or_else(|| odd("team"))?,
                project: self.parsed("project")?,
                user: self.parsed("user")?,
            },
            key: self.parsed("key")?.ok_or_else(|| odd("key"))?,
            endpoint: self.owned("endpoint")?,
            requested_model: self.owned("requested_model")?,
            model: self.owned("model")?,
            further_models: self.owned("further_models")?,
            upstream: self.owned("upstream")?.ok_or_else(|| odd("upstream"))?,
            region: self.owned("region")?,
            cost_centre: self.parsed("cost_centre")?,
            tags: tags_of(self.text("tags")?)?,
        })
    }

    fn text(&self, column: &'static str) -> Result<Option<&'r str>, LedgerFault> {
        let place = dims::COLUMNS.iter().position(|name| *name == column).ok_or_else(|| odd(column))?;
        Ok(self.row.get_ref(self.first + place)?.as_str_or_null().map_err(rusqlite::Error::from)?)
    }

    fn owned(&self, column: &'static str) -> Result<Option<String>, LedgerFault> {
        Ok(self.text(column)?.map(str::to_owned))
    }

    fn parsed<T: FromStr>(&self, column: &'static str) -> Result<Option<T>, LedgerFault> {
        let text = self.text(column)?;
        text.map(|text| text.parse().map_err(|_| odd(column))).transpose()
    }
}

fn odd(column: &str) -> LedgerFault {
    LedgerFault::Damaged(format!("a record has no good {column}"))
}
