//! A fingerprint of all that a ledger has booked, to compare it with its journal.

use std::collections::BTreeMap;
use std::path::Path;

use aws_lc_rs::digest::{Context, SHA256};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, Row};
use tollgate_policy::entry::{Adjusted, Event, Settled, StatementClosed};
use tollgate_policy::unit::{NanoUsd, UnixMs};

use super::batch::{self, RECORD_COLUMNS, Span, seq_value};
use super::calendar::{Day, Month};
use super::dims::{self, Dims};
use super::schema;
use super::sketch::{Key, Sketch};
use super::sums::{self, Sums};
use crate::fault::LedgerFault;
use crate::folder::random;

/// What has been booked: a digest of the rows of each table of single entries, a sketch of each table of sums.
#[derive(Clone)]
pub(crate) struct Books {
    key: Key,
    /// Records of earlier months are not kept, and not compared.
    kept_from: Option<Month>,
    months: BTreeMap<Month, Rows>,
    adjustments: Rows,
    statements: Rows,
    days: BTreeMap<Day, Span>,
    /// Sums of requests, by all that they have in common; sums of adjustments, by what adjustments name themselves.
    requests: [Sketch; 4],
    adjusted: [Sketch; 4],
    /// Reused for the names of rows of sums.
    name: Vec<u8>,
}

/// Rows in their order: how many, what they cost, and a digest.
#[derive(Clone)]
struct Rows {
    digest: Context,
    count: u64,
    cost: i128,
}

/// A table of sums.
#[derive(Clone, Copy)]
enum Table {
    Daily,
    DailyCoarse,
    Monthly,
    Sessions,
}

impl Table {
    const ALL: [Self; 4] = [Self::Daily, Self::DailyCoarse, Self::Monthly, Self::Sessions];

    /// Its name, its column of time, and its columns of session and agent.
    fn sql(self) -> [&'static str; 3] {
        match self {
            Self::Daily => ["daily", "day", "'', ''"],
            Self::DailyCoarse => ["daily_coarse", "day", "'', ''"],
            Self::Monthly => ["monthly", "month", "'', ''"],
            Self::Sessions => ["sessions", "day", "s.session, s.agent"],
        }
    }
}

impl Books {
    /// Nothing booked yet, to be compared with these.
    pub(crate) fn to_compare_with(other: &Self) -> Self {
        Self::new(other.key, other.kept_from)
    }

    fn new(key: Key, kept_from: Option<Month>) -> Self {
        Self {
            key,
            kept_from,
            months: BTreeMap::new(),
            adjustments: Rows::new(),
            statements: Rows::new(),
            days: BTreeMap::new(),
            requests: std::array::from_fn(|_| Sketch::new(key)),
            adjusted: std::array::from_fn(|_| Sketch::new(key)),
            name: Vec::new(),
        }
    }

    /// Books an entry of the journal as the ledger does.
    pub(crate) fn book(&mut self, seq: u64, at: UnixMs, event: &Event) {
        match event {
            Event::Settled(settled) => self.settle(seq_value(seq), at, settled),
            Event::Adjusted(adjusted) => self.adjust(seq_value(seq), at, adjusted),
            Event::StatementClosed(closed) => self.close(seq_value(seq), at, closed),
            _ => {}
        }
    }

    fn settle(&mut self, seq: i64, at: UnixMs, settled: &Settled) {
        let dims = Dims::of(settled);
        let day = Day::of(batch::booked_at(at, settled));
        let month = schema::records_month(day);
        if self.kept_from.is_none_or(|kept| month >= kept) {
            let (first, rest) = batch::record_values(at, settled);
            let rows = self.months.entry(month).or_insert_with(Rows::new);
            rows.take(ValueRef::Integer(seq));
            first.into_iter().chain(rest).for_each(|value| rows.take(value));
            dims.values().for_each(|text| rows.take(dims::value(text)));
            rows.count(settled.cost.0);
        }
        for (day, span) in batch::spans(seq, at, settled) {
            self.days.entry(day).or_default().add(span);
        }
        let session = [settled.session.as_deref(), settled.agent.as_deref()].map(Option::unwrap_or_default);
        let sums = Sums::of(settled);
        self.add(Table::Daily, day, ["", ""], &dims, &sums);
        self.add(Table::DailyCoarse, day, ["", ""], &dims.coarse(), &sums);
        self.add(Table::Monthly, day.month(), ["", ""], &dims, &sums);
        self.add(Table::Sessions, day, session, &dims, &sums);
    }

    fn adjust(&mut self, seq: i64, at: UnixMs, adjusted: &Adjusted) {
        let dims = Dims::of_adjusted(adjusted);
        let number = ValueRef::Integer;
        let own = [
            number(seq),
            number(at.0),
            ValueRef::Text(adjusted.by.as_bytes()),
            ValueRef::Blob(adjusted.request.as_bytes()),
            number(seq_value(adjusted.settled)),
            number(adjusted.booked_at.0),
            number(adjusted.difference.0),
            number(adjusted.cost.0),
            ValueRef::Text(adjusted.price_version.as_bytes()),
            ValueRef::Text(adjusted.reason.as_bytes()),
        ];
        own.into_iter().for_each(|value| self.adjustments.take(value));
        dims.values_of_adjustments().for_each(|text| self.adjustments.take(dims::value(text)));
        self.adjustments.count(adjusted.difference.0);
        let day = Day::of(at);
        self.days.entry(day).or_default();
        let sums = Sums::of_adjustment(adjusted.difference.0);
        for table in Table::ALL {
            let day = if matches!(table, Table::Monthly) { day.month() } else { day };
            // Which session it belongs to, the adjustment does not say.
            match table {
                Table::DailyCoarse => self.add(table, day, ["", ""], &dims.coarse(), &sums),
                _ => self.add(table, day, ["", ""], &dims, &sums),
            }
        }
    }

    fn close(&mut self, seq: i64, at: UnixMs, closed: &StatementClosed) {
        let number = ValueRef::Integer;
        let values = [
            number(seq),
            number(at.0),
            ValueRef::Text(closed.by.as_bytes()),
            ValueRef::Text(closed.period.as_bytes()),
            number(closed.from.0),
            number(closed.to.0),
            number(seq_value(closed.upto)),
            number(closed.total.0),
            ValueRef::Blob(closed.statement.as_bytes()),
        ];
        values.into_iter().for_each(|value| self.statements.take(value));
        self.statements.count(closed.total.0);
    }

    /// Adds figures to the sketches of a table of sums.
    fn add(&mut self, table: Table, day: Day, session: [&str; 2], dims: &Dims<'_>, sums: &Sums) {
        let requests = Sums { adjustments: 0, adjusted: 0, ..*sums };
        self.name.clear();
        self.name.extend_from_slice(&day.0.to_le_bytes());
        let name_of_day = self.name.len();
        if requests != Sums::default() {
            for text in session {
                self.name.extend_from_slice(&(text.len() as u64).to_le_bytes());
                self.name.extend_from_slice(text.as_bytes());
            }
            dims.write_key(&mut self.name);
            self.requests[table as usize].add(&self.name, &requests);
        }
        if sums.adjustments != 0 || sums.adjusted != 0 {
            self.name.truncate(name_of_day);
            dims.write_key_of_adjustments(&mut self.name);
            let (adjustments, adjusted) = (sums.adjustments, sums.adjusted);
            let adjusted = Sums { adjustments, adjusted, ..Sums::default() };
            self.adjusted[table as usize].add(&self.name, &adjusted);
        }
    }

    /// What a ledger has booked, and the last entry that it covers. `None` when it covers none.
    ///
    /// # Errors
    /// [`LedgerFault`] when the database cannot be read or has another layout.
    pub(crate) fn of_ledger(path: &Path) -> Result<Option<(Self, u64)>, LedgerFault> {
        let mut database = schema::open_to_read(path)?;
        // The rows and the place of one moment, also while a gateway books.
        let moment = database.transaction()?;
        schema::check_layout(&moment)?;
        let Some(place) = schema::place(&moment)? else { return Ok(None) };
        let key = Key(random().map_err(|fault| LedgerFault::Database(fault.to_string()))?);
        let mut books = Self::new(key, schema::kept_from(&moment)?);
        for month in schema::records_months(&moment)? {
            let rows = books.months.entry(month).or_insert_with(Rows::new);
            rows.read_records(&moment, month)?;
        }
        books.adjustments.read_adjustments(&moment)?;
        books.statements.read("SELECT * FROM statements ORDER BY seq", "total_nano_usd", &moment)?;
        each(&moment, "SELECT booked_from, booked_upto, settled_from, day FROM days", |row| {
            books.days.insert(Day(row.get(3)?), batch::span_of_row(row)?);
            Ok(())
        })?;
        for table in Table::ALL {
            books.read_sums(&moment, table)?;
        }
        Ok(Some((books, place.seq)))
    }

    fn read_sums(&mut self, database: &Connection, table: Table) -> Result<(), LedgerFault> {
        let [name, time, session] = table.sql();
        let figures = sums::COLUMNS.map(|column| format!("s.{column}")).join(", ");
        let dims = dims::COLUMNS.map(|column| format!("dims.{column}")).join(", ");
        // On the left, so that a sum of nobody's is read too.
        let sql = format!(
            "SELECT s.{time}, {session}, {figures}, {dims} FROM {name} s LEFT JOIN dims ON dims.id = s.dims"
        );
        each(database, &sql, |row| {
            let text = |column| row.get_ref(column)?.as_str().map_err(rusqlite::Error::from);
            let sums = Sums::of_row(row, 3)?;
            let dims = Dims::of_row(row, 3 + sums::COLUMNS.len())?;
            self.add(table, Day(row.get(0)?), [text(1)?, text(2)?], &dims, &sums);
            Ok(())
        })
    }

    /// What the ledger says that is not what the journal says, in words; `self` is the ledger's.
    pub(crate) fn differences(&self, journal: &Self) -> Vec<String> {
        let none = Rows::new();
        let mut differences = Vec::new();
        let mut compare = |what: String, ledger: &Rows, journal: &Rows| {
            if ledger.hash() != journal.hash() {
                differences.push(format!("{what} {}, in the journal {}", ledger.totals(), journal.totals()));
            }
        };
        let months =
            self.months.keys().chain(journal.months.keys().filter(|month| !self.months.contains_key(month)));
        for month in months {
            let of = |books: &Self| books.months.get(month).unwrap_or(&none).clone();
            compare(format!("requests of {month}:"), &of(self), &of(journal));
        }
        compare("adjustments:".to_owned(), &self.adjustments, &journal.adjustments);
        compare("statements:".to_owned(), &self.statements, &journal.statements);
        if self.days != journal.days {
            differences.push("where the days are in the journal".to_owned());
        }
        for table in Table::ALL {
            let [name, ..] = table.sql();
            if self.requests[table as usize].value() != journal.requests[table as usize].value() {
                differences.push(format!("the {name} sums of requests"));
            }
            if self.adjusted[table as usize].value() != journal.adjusted[table as usize].value() {
                differences.push(format!("the {name} sums of adjustments"));
            }
        }
        differences
    }

    /// What a comparison leaves out, in words.
    pub(crate) fn left_out(&self) -> Option<String> {
        self.kept_from.map(|month| {
            format!(
                "ledger.db keeps no single records of requests before {month}, as its retention says; of these only \
                 the sums of days, months and sessions were compared"
            )
        })
    }
}

impl Rows {
    fn new() -> Self {
        Self { digest: Context::new(&SHA256), count: 0, cost: 0 }
    }

    fn read_records(&mut self, database: &Connection, month: Month) -> Result<(), LedgerFault> {
        let dims = dims::COLUMNS.map(|column| format!("dims.{column}")).join(", ");
        let sql = format!(
            "SELECT r.*, {dims} FROM {} r LEFT JOIN dims ON dims.id = r.dims ORDER BY r.seq",
            schema::records_table(month)
        );
        each(database, &sql, |row| {
            for column in (0..RECORD_COLUMNS + dims::COLUMNS.len()).filter(|column| *column != DIMS_COLUMN) {
                self.take(row.get_ref(column)?);
            }
            self.count(row.get("cost_nano_usd")?);
            Ok(())
        })
    }

    fn read_adjustments(&mut self, database: &Connection) -> Result<(), LedgerFault> {
        let dims = dims::COLUMNS[..dims::OF_ADJUSTMENTS].iter().map(|column| format!("dims.{column}"));
        let sql = format!(
            "SELECT r.seq, r.at, r.\"by\", r.request, r.settled, r.booked_at, r.difference_nano_usd,
             r.cost_nano_usd, r.price_version, r.reason, {}
             FROM adjustments r LEFT JOIN dims ON dims.id = r.dims ORDER BY r.seq",
            dims.collect::<Vec<_>>().join(", ")
        );
        self.read(&sql, "difference_nano_usd", database)
    }

    /// Takes all columns of all rows of a statement.
    fn read(&mut self, sql: &str, cost: &str, database: &Connection) -> Result<(), LedgerFault> {
        each(database, sql, |row| {
            for column in 0..row.as_ref().column_count() {
                self.take(row.get_ref(column)?);
            }
            self.count(row.get(cost)?);
            Ok(())
        })
    }

    fn hash(&self) -> Vec<u8> {
        self.digest.clone().finish().as_ref().to_vec()
    }

    fn totals(&self) -> String {
        format!("{} of {}", self.count, NanoUsd::saturating_from(self.cost))
    }

    fn count(&mut self, cost: i64) {
        self.count += 1;
        self.cost += i128::from(cost);
    }

    /// Adds a value to the digest, with its type and length, so that no two rows read the same.
    fn take(&mut self, value: ValueRef<'_>) {
        let number;
        let (kind, bytes): (u8, &[u8]) = match value {
            ValueRef::Null => (0, &[]),
            ValueRef::Integer(value) => {
                number = value.to_be_bytes();
                (1, &number)
            }
            ValueRef::Real(value) => {
                number = value.to_be_bytes();
                (2, &number)
            }
            ValueRef::Text(bytes) => (3, bytes),
            ValueRef::Blob(bytes) => (4, bytes),
        };
        self.digest.update(&[kind]);
        self.digest.update(&(bytes.len() as u64).to_be_bytes());
        self.digest.update(bytes);
    }
}

/// The place of the number of its dims among the columns of a record.
const DIMS_COLUMN: usize = 4;

fn each(
    database: &Connection,
    sql: &str,
    mut visit: impl FnMut(&Row<'_>) -> Result<(), LedgerFault>,
) -> Result<(), LedgerFault> {
    let mut statement = database.prepare(sql)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        visit(row)?;
    }
    Ok(())
}
