//! Entries of the journal become rows and sums, many of them in one transaction.

use std::collections::{BTreeMap, HashMap};

use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{CachedStatement, OptionalExtension, Transaction, params, params_from_iter};
use tollgate_policy::entry::{Adjusted, Event, Settled, StatementClosed};
use tollgate_policy::unit::UnixMs;

use super::calendar::{Day, Month};
use super::dims::{self, Dims, Ids, Interner};
use super::schema;
use super::sums::{self, Sums, Tokens};
use crate::fault::LedgerFault;

/// The most sums that gather in memory before they are added to the database.
const GATHERED_MAX: usize = if cfg!(test) { 16 } else { 1 << 17 };

/// One transaction. Records are written at once; sums gather in memory, so that each row of sums is written once.
pub(super) struct Batch<'a> {
    transaction: &'a Transaction<'a>,
    interner: &'a mut Interner,
    /// Records of earlier months are not kept.
    kept_from: Option<Month>,
    /// The month of the day that was booked last.
    month: (Day, Month),
    inserts: BTreeMap<Month, CachedStatement<'a>>,
    /// Sums by day, dims, session and agent; those of days and months are sums of these.
    sessions: HashMap<(Day, String, String, i64), Sums>,
    /// Sums by day and coarse dims.
    coarse: BTreeMap<(Day, i64), Sums>,
    days: BTreeMap<Day, Span>,
}

/// Where in the journal the entries of a day are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Span {
    /// The first and the last settlement of requests that are booked on the day.
    pub(super) booked: Option<(i64, i64)>,
    /// The first settlement that was written on the day.
    pub(super) settled_from: Option<i64>,
}

impl Span {
    /// Widens the span by another.
    pub(super) fn add(&mut self, other: Self) {
        self.booked = match (self.booked, other.booked) {
            (Some((first, last)), Some((from, upto))) => Some((first.min(from), last.max(upto))),
            (one, other) => one.or(other),
        };
        self.settled_from = match (self.settled_from, other.settled_from) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        };
    }
}

/// What a settlement adds to the days.
pub(super) fn spans(seq: i64, settled_at: UnixMs, settled: &Settled) -> [(Day, Span); 2] {
    [
        (Day::of(booked_at(settled_at, settled)), Span { booked: Some((seq, seq)), settled_from: None }),
        (Day::of(settled_at), Span { booked: None, settled_from: Some(seq) }),
    ]
}

/// The instant at which a settlement is booked, held where instants have a text form.
pub(super) fn booked_at(settled_at: UnixMs, settled: &Settled) -> UnixMs {
    settled.booked_at(settled_at).clamp(UnixMs::MIN, UnixMs::MAX)
}

/// A sequence number as the database holds it. None comes near the end of this range.
pub(super) fn seq_value(seq: u64) -> i64 {
    i64::try_from(seq).unwrap_or(i64::MAX)
}

/// The columns of a record that are its own, but for its sequence number before and the number of its dims between.
pub(super) fn record_values<'s>(
    settled_at: UnixMs,
    settled: &'s Settled,
) -> ([ValueRef<'s>; 3], [ValueRef<'s>; 12]) {
    let Tokens([input, output, write_5m, write_1h, read]) = Tokens::of(&settled.usage);
    let number = ValueRef::Integer;
    (
        [
            number(booked_at(settled_at, settled).0),
            number(settled_at.0),
            ValueRef::Blob(settled.request.as_bytes()),
        ],
        [
            dims::value(settled.session.as_deref()),
            dims::value(settled.agent.as_deref()),
            settled.status.map_or(ValueRef::Null, |status| number(status.into())),
            number(input),
            number(output),
            number(write_5m),
            number(write_1h),
            number(read),
            number(settled.cost.0),
            number(settled.estimated.into()),
            number(settled.unknown_price.into()),
            number(i64::try_from(settled.ms_total).unwrap_or(i64::MAX)),
        ],
    )
}

/// The columns of a table of records.
pub(super) const RECORD_COLUMNS: usize = 17;

impl<'a> Batch<'a> {
    pub(super) fn begin(
        transaction: &'a Transaction<'a>,
        interner: &'a mut Interner,
    ) -> Result<Self, LedgerFault> {
        Ok(Self {
            transaction,
            interner,
            kept_from: schema::kept_from(transaction)?,
            month: (Day(0), schema::records_month(Day(0))),
            inserts: BTreeMap::new(),
            sessions: HashMap::new(),
            coarse: BTreeMap::new(),
            days: BTreeMap::new(),
        })
    }

    /// Books an entry, if it is of a kind that is booked.
    pub(super) fn book(&mut self, seq: u64, at: UnixMs, event: &Event) -> Result<(), LedgerFault> {
        match event {
            Event::Settled(settled) => self.settle(seq, at, settled),
            Event::Adjusted(adjusted) => self.adjust(seq, at, adjusted),
            Event::StatementClosed(closed) => self.close(seq, at, closed),
            _ => Ok(()),
        }
    }

    /// Books a request.
    fn settle(&mut self, seq: u64, at: UnixMs, settled: &Settled) -> Result<(), LedgerFault> {
        let seq = seq_value(seq);
        let day = Day::of(booked_at(at, settled));
        let ids = self.interner.ids(self.transaction, &Dims::of(settled))?;
        self.insert_record(day, seq, at, settled, ids.dims)?;
        for (day, span) in spans(seq, at, settled) {
            self.days.entry(day).or_default().add(span);
        }
        let (session, agent) = (settled.session.clone(), settled.agent.clone());
        self.add(day, ids, session, agent, &Sums::of(settled))
    }

    /// Books an adjustment: where the record stands that it corrects, if that is known, else where it says itself.
    fn adjust(&mut self, seq: u64, at: UnixMs, adjusted: &Adjusted) -> Result<(), LedgerFault> {
        let own = Dims::of_adjusted(adjusted);
        let (ids, session, agent) = match self.record_of(adjusted)? {
            Some((dims, session, agent)) if dims.fits_adjustment(&own) => {
                (self.interner.ids(self.transaction, &dims)?, session, agent)
            }
            _ => (self.interner.ids(self.transaction, &own)?, None, None),
        };
        self.transaction
            .prepare_cached(
                "INSERT INTO adjustments VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)",
            )?
            .execute(params![
                seq_value(seq),
                at.0,
                adjusted.by,
                adjusted.request.as_bytes(),
                seq_value(adjusted.settled),
                adjusted.booked_at.0,
                ids.dims,
                session,
                agent,
                adjusted.difference.0,
                adjusted.cost.0,
                adjusted.price_version,
                adjusted.reason,
            ])?;
        let day = Day::of(at);
        self.days.entry(day).or_default();
        self.add(day, ids, session, agent, &Sums::of_adjustment(adjusted.difference.0))
    }

    /// Notes that a statement was closed.
    fn close(&self, seq: u64, at: UnixMs, closed: &StatementClosed) -> Result<(), LedgerFault> {
        self.transaction
            .prepare_cached("INSERT INTO statements VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)")?
            .execute(params![
                seq_value(seq),
                at.0,
                closed.by,
                closed.period,
                closed.from.0,
                closed.to.0,
                seq_value(closed.upto),
                closed.total.0,
                closed.statement.as_bytes(),
            ])?;
        Ok(())
    }

    /// Adds what has gathered to the sums in the database.
    pub(super) fn flush(&mut self) -> Result<(), LedgerFault> {
        let mut sessions: Vec<_> = self.sessions.drain().collect();
        sessions.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
        let mut daily: BTreeMap<(Day, i64), Sums> = BTreeMap::new();
        for ((day, _, _, dims), sums) in &sessions {
            daily.entry((*day, *dims)).or_default().add(sums);
        }
        let mut monthly: BTreeMap<(Day, i64), Sums> = BTreeMap::new();
        let mut month = (Day(0), Day(0).month());
        for ((day, dims), sums) in &daily {
            if month.0 != *day {
                month = (*day, day.month());
            }
            monthly.entry((month.1, *dims)).or_default().add(sums);
        }
        let mut table = SumsTable::of(self.transaction, "daily", ["day", "dims"])?;
        for ((day, dims), sums) in &daily {
            table.add([&day.0, dims], sums)?;
        }
        let mut table = SumsTable::of(self.transaction, "daily_coarse", ["day", "dims"])?;
        for ((day, coarse), sums) in std::mem::take(&mut self.coarse) {
            table.add([&day.0, &coarse], &sums)?;
        }
        let mut table = SumsTable::of(self.transaction, "monthly", ["month", "dims"])?;
        for ((month, dims), sums) in &monthly {
            table.add([&month.0, dims], sums)?;
        }
        let mut table = SumsTable::of(self.transaction, "sessions", ["day", "session", "agent", "dims"])?;
        for ((day, session, agent, dims), sums) in &sessions {
            table.add([&day.0, session, agent, dims], sums)?;
        }
        self.flush_days()
    }

    fn flush_days(&mut self) -> Result<(), LedgerFault> {
        for (day, span) in std::mem::take(&mut self.days) {
            let mut widened = self
                .transaction
                .prepare_cached("SELECT booked_from, booked_upto, settled_from FROM days WHERE day = ?1")?
                .query_row([day.0], span_of_row)
                .optional()?
                .unwrap_or_default();
            widened.add(span);
            let (from, upto) = widened.booked.unzip();
            self.transaction
                .prepare_cached("INSERT OR REPLACE INTO days VALUES (?1, ?2, ?3, ?4)")?
                .execute(params![day.0, from, upto, widened.settled_from])?;
        }
        Ok(())
    }

    fn insert_record(
        &mut self,
        day: Day,
        seq: i64,
        at: UnixMs,
        settled: &Settled,
        dims: i64,
    ) -> Result<(), LedgerFault> {
        if self.month.0 != day {
            self.month = (day, schema::records_month(day));
        }
        let month = self.month.1;
        if self.kept_from.is_some_and(|kept| month < kept) {
            return Ok(());
        }
        if !self.inserts.contains_key(&month) {
            self.inserts.insert(month, insert_into(self.transaction, month)?);
        }
        let Some(insert) = self.inserts.get_mut(&month) else { return Ok(()) };
        let (first, rest) = record_values(at, settled);
        let seq = ValueRef::Integer(seq);
        let values = std::iter::once(seq).chain(first).chain([ValueRef::Integer(dims)]).chain(rest);
        for (place, value) in (1..).zip(values) {
            insert.raw_bind_parameter(place, ToSqlOutput::Borrowed(value))?;
        }
        insert.raw_execute()?;
        Ok(())
    }

    /// Adds to the sums of a day.
    fn add(
        &mut self,
        day: Day,
        ids: Ids,
        session: Option<String>,
        agent: Option<String>,
        sums: &Sums,
    ) -> Result<(), LedgerFault> {
        self.coarse.entry((day, ids.coarse)).or_default().add(sums);
        let key = (day, session.unwrap_or_default(), agent.unwrap_or_default(), ids.dims);
        self.sessions.entry(key).or_default().add(sums);
        if self.sessions.len() >= GATHERED_MAX { self.flush() } else { Ok(()) }
    }

    /// Where the record stands that an adjustment corrects.
    #[expect(clippy::type_complexity, reason = "used once, right here")]
    fn record_of(
        &self,
        adjusted: &Adjusted,
    ) -> Result<Option<(Dims<'static>, Option<String>, Option<String>)>, LedgerFault> {
        let month = schema::records_month(Day::of(adjusted.booked_at));
        if !schema::has_records(self.transaction, month)? {
            return Ok(None);
        }
        let sql = format!(
            "SELECT record.session, record.agent, {} FROM {} record JOIN dims ON dims.id = record.dims
             WHERE record.seq = ?1 AND record.request = ?2",
            dims::COLUMNS.map(|column| format!("dims.{column}")).join(", "),
            schema::records_table(month)
        );
        let mut statement = self.transaction.prepare_cached(&sql)?;
        let mut rows = statement.query(params![seq_value(adjusted.settled), adjusted.request.as_bytes()])?;
        let Some(row) = rows.next()? else { return Ok(None) };
        Ok(Some((Dims::of_row(row, 2)?.into_owned(), row.get(0)?, row.get(1)?)))
    }
}

/// The span of a row of the table of days, without the day.
pub(super) fn span_of_row(row: &rusqlite::Row<'_>) -> rusqlite::Result<Span> {
    let (from, upto): (Option<i64>, Option<i64>) = (row.get(0)?, row.get(1)?);
    Ok(Span { booked: from.zip(upto), settled_from: row.get(2)? })
}

/// The statement that inserts into a month's table of records, which it makes if it is not there.
fn insert_into<'a>(
    transaction: &'a Transaction<'a>,
    month: Month,
) -> Result<CachedStatement<'a>, LedgerFault> {
    if !schema::has_records(transaction, month)? {
        schema::create_records(transaction, month)?;
    }
    let places = ["?"; RECORD_COLUMNS].join(", ");
    Ok(transaction
        .prepare_cached(&format!("INSERT INTO {} VALUES ({places})", schema::records_table(month)))?)
}

/// A table of sums, to be added to.
struct SumsTable<'a> {
    find: CachedStatement<'a>,
    put: CachedStatement<'a>,
}

impl<'a> SumsTable<'a> {
    fn of<const KEYS: usize>(
        transaction: &'a Transaction<'_>,
        table: &str,
        keys: [&str; KEYS],
    ) -> Result<Self, LedgerFault> {
        let conditions = keys.map(|key| format!("{key} = ?")).join(" AND ");
        let columns = sums::COLUMNS.join(", ");
        let places = vec!["?"; KEYS + sums::COLUMNS.len()].join(", ");
        Ok(Self {
            find: transaction.prepare_cached(&format!("SELECT {columns} FROM {table} WHERE {conditions}"))?,
            put: transaction.prepare_cached(&format!("INSERT OR REPLACE INTO {table} VALUES ({places})"))?,
        })
    }

    /// Adds to the sums of one key. Read, added up and written here, because SQLite has no sum that holds at its end.
    fn add<const KEYS: usize>(
        &mut self,
        key: [&dyn rusqlite::ToSql; KEYS],
        sums: &Sums,
    ) -> Result<(), LedgerFault> {
        let found = self.find.query_row(params_from_iter(key), |row| Sums::of_row(row, 0)).optional()?;
        let mut total = found.unwrap_or_default();
        total.add(sums);
        for (place, value) in (1..).zip(key) {
            self.put.raw_bind_parameter(place, value)?;
        }
        for (place, value) in (KEYS + 1..).zip(total.values()) {
            self.put.raw_bind_parameter(place, value)?;
        }
        self.put.raw_execute()?;
        Ok(())
    }
}
