//! The tables of the ledger, and how the database is opened.

use std::collections::BTreeSet;
use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension};

use super::calendar::{Day, Month};
use super::{dims, sums};
use crate::fault::LedgerFault;
use crate::folder::make_private;
use crate::projection::Place;

/// The layout below. A database with another one is made again.
const VERSION: i64 = 4;

/// The tables that are always there, but for columns that have a list of their own.
const TABLES: &str = "
CREATE TABLE dims (id INTEGER PRIMARY KEY, {dims}) STRICT;
CREATE INDEX dims_by_value ON dims ({dims_index});
CREATE TABLE daily (
    day INTEGER NOT NULL,
    dims INTEGER NOT NULL,
    {sums},
    PRIMARY KEY (day, dims)
) STRICT, WITHOUT ROWID;
CREATE TABLE daily_coarse (
    day INTEGER NOT NULL,
    dims INTEGER NOT NULL,
    {sums},
    PRIMARY KEY (day, dims)
) STRICT, WITHOUT ROWID;
CREATE TABLE monthly (
    month INTEGER NOT NULL,
    dims INTEGER NOT NULL,
    {sums},
    PRIMARY KEY (month, dims)
) STRICT, WITHOUT ROWID;
CREATE TABLE sessions (
    day INTEGER NOT NULL,
    session TEXT NOT NULL,
    agent TEXT NOT NULL,
    dims INTEGER NOT NULL,
    {sums},
    PRIMARY KEY (day, session, agent, dims)
) STRICT, WITHOUT ROWID;
CREATE TABLE days (
    day INTEGER PRIMARY KEY,
    booked_from INTEGER,
    booked_upto INTEGER,
    settled_from INTEGER
) STRICT;
CREATE TABLE adjustments (
    seq INTEGER PRIMARY KEY,
    at INTEGER NOT NULL,
    \"by\" TEXT NOT NULL,
    request BLOB NOT NULL,
    settled INTEGER NOT NULL,
    booked_at INTEGER NOT NULL,
    dims INTEGER NOT NULL,
    session TEXT,
    agent TEXT,
    difference_nano_usd INTEGER NOT NULL,
    cost_nano_usd INTEGER NOT NULL,
    price_version TEXT NOT NULL,
    reason TEXT NOT NULL
) STRICT;
CREATE INDEX adjustments_by_time ON adjustments (at);
CREATE INDEX adjustments_by_request ON adjustments (request);
CREATE TABLE statements (
    seq INTEGER PRIMARY KEY,
    at INTEGER NOT NULL,
    \"by\" TEXT NOT NULL,
    period TEXT NOT NULL,
    from_at INTEGER NOT NULL,
    to_at INTEGER NOT NULL,
    upto INTEGER NOT NULL,
    total_nano_usd INTEGER NOT NULL,
    hash BLOB NOT NULL
) STRICT;
CREATE TABLE kept (
    only INTEGER PRIMARY KEY CHECK (only = 0),
    from_day INTEGER NOT NULL
) STRICT;
CREATE TABLE place (
    only INTEGER PRIMARY KEY CHECK (only = 0),
    segment INTEGER NOT NULL,
    offset INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    hash TEXT NOT NULL
) STRICT;
";

/// The table of one month's records.
const RECORDS: &str = "
CREATE TABLE {table} (
    seq INTEGER PRIMARY KEY,
    at INTEGER NOT NULL,
    settled_at INTEGER NOT NULL,
    request BLOB NOT NULL,
    dims INTEGER NOT NULL,
    session TEXT,
    agent TEXT,
    status INTEGER,
    input_tokens INTEGER NOT NULL,
    output_tokens INTEGER NOT NULL,
    cache_write_5m_tokens INTEGER NOT NULL,
    cache_write_1h_tokens INTEGER NOT NULL,
    cache_read_tokens INTEGER NOT NULL,
    cost_nano_usd INTEGER NOT NULL,
    estimated INTEGER NOT NULL,
    unknown_price INTEGER NOT NULL,
    ms_total INTEGER NOT NULL
) STRICT;
CREATE INDEX {table}_by_request ON {table} (request);
";

/// What the names of these tables begin with.
const RECORDS_PREFIX: &str = "usage_";

/// The first and the last month that have a table of their own: what a clock puts before or after is booked in these,
/// under its true time. So a clock gone mad makes 480 tables at most, less than one statement of SQLite can join.
const MONTHS: [&str; 2] = ["2020-01", "2059-12"];

/// The month whose table holds the records of a day, by its first day.
pub(super) fn records_month(day: Day) -> Month {
    let [first, last] = MONTHS.map(|text| text.parse().unwrap_or(Month::of_day(Day(0))));
    Month::of_day(day).clamp(first, last)
}

/// The name of a month's table of records: `usage_2026_11`.
pub(super) fn records_table(month: Month) -> String {
    format!("{RECORDS_PREFIX}{}", month.to_string().replace('-', "_"))
}

/// Makes a month's table of records.
pub(super) fn create_records(database: &Connection, month: Month) -> Result<(), LedgerFault> {
    Ok(database.execute_batch(&RECORDS.replace("{table}", &records_table(month)))?)
}

/// Whether a month has a table of records.
pub(super) fn has_records(database: &Connection, month: Month) -> Result<bool, LedgerFault> {
    let sql = "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = ?1";
    Ok(database.prepare_cached(sql)?.query_row([records_table(month)], |row| row.get(0))?)
}

/// The months that have a table of records, earliest first.
pub(super) fn records_months(database: &Connection) -> Result<BTreeSet<Month>, LedgerFault> {
    let sql =
        format!("SELECT name FROM sqlite_schema WHERE type = 'table' AND name GLOB '{RECORDS_PREFIX}*'");
    let mut statement = database.prepare(&sql)?;
    let mut rows = statement.query([])?;
    let mut months = BTreeSet::new();
    while let Some(row) = rows.next()? {
        let name = row.get_ref(0)?.as_str().map_err(rusqlite::Error::from)?;
        // Another name is none that this program gives; the comparison of layouts finds it.
        let month = name.strip_prefix(RECORDS_PREFIX).and_then(|text| text.replace('_', "-").parse().ok());
        months.extend(month.filter(|month| records_table(*month) == name));
    }
    Ok(months)
}

/// The first month whose records are kept; none when all are.
pub(super) fn kept_from(database: &Connection) -> Result<Option<Month>, LedgerFault> {
    let mut statement = database.prepare_cached("SELECT from_day FROM kept")?;
    let day: Option<i64> = statement.query_row([], |row| row.get(0)).optional()?;
    Ok(day.map(|day| Month::of_day(Day(day))))
}

/// Refuses a question that needs records of a month that were dropped.
pub(super) fn check_kept(database: &Connection, month: Month) -> Result<(), LedgerFault> {
    match kept_from(database)?.filter(|kept| month < *kept) {
        Some(kept) => Err(LedgerFault::Dropped { kept_from: kept.start() }),
        None => Ok(()),
    }
}

/// Says which the first month is whose records are kept.
pub(super) fn keep_from(database: &Connection, month: Month) -> Result<(), LedgerFault> {
    database.execute("INSERT OR REPLACE INTO kept (only, from_day) VALUES (0, ?1)", [month.first().0])?;
    Ok(())
}

impl From<rusqlite::Error> for LedgerFault {
    fn from(error: rusqlite::Error) -> Self {
        let damaged = match error.sqlite_error_code() {
            // What SQLite finds out by itself; and a row where none was booked: somebody else wrote here.
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase | ErrorCode::ConstraintViolation) => {
                true
            }
            // Anything else is about the statement or the machine; making the ledger again would not cure it.
            Some(_) => false,
            // What was read is not of the type that was written.
            None => true,
        };
        if damaged { Self::Damaged(error.to_string()) } else { Self::Database(error.to_string()) }
    }
}

/// The database and its side files.
pub(super) fn files(path: &Path) -> [PathBuf; 3] {
    ["", "-wal", "-shm"].map(|suffix| {
        let mut file = path.as_os_str().to_owned();
        file.push(suffix);
        file.into()
    })
}

/// Opens the database to write, and makes its tables if it is new.
pub(super) fn open_to_write(path: &Path) -> Result<Connection, LedgerFault> {
    // Made here, because SQLite would let others read it; side files that it makes take after it.
    OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
        .map_err(|error| LedgerFault::Database(format!("cannot open {}: {error}", path.display())))?;
    for file in files(path) {
        make_private(&file)
            .map_err(|error| LedgerFault::Database(format!("cannot protect {}: {error}", file.display())))?;
    }
    let database = Connection::open(path)?;
    database.busy_timeout(Duration::from_secs(5))?;
    database.pragma_update(None, "journal_mode", "wal")?;
    // The journal is what must survive; the view may lose its last moments and catch up.
    database.pragma_update(None, "synchronous", "normal")?;
    database.pragma_update(None, "cache_size", -CACHE_KIB)?;
    // After a long way the side file gives its space back.
    database.pragma_update(None, "journal_size_limit", SIDE_FILE_BYTES)?;
    database.set_prepared_statement_cache_capacity(64);
    let version: i64 = database.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let tables: i64 = database.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    if (version, tables) == (0, 0) {
        let version = format!("PRAGMA user_version = {VERSION};");
        database.execute_batch(&format!("BEGIN; {} {version} COMMIT;", tables_sql()))?;
    }
    check_layout(&database)?;
    Ok(database)
}

/// What the side file may keep of its space after what is in it was copied, in bytes.
const SIDE_FILE_BYTES: i64 = 64 << 20;
/// Memory of the writer for pages of the database, in KiB: the sums of a day stay in it.
const CACHE_KIB: i64 = 16 << 10;

/// The statements that make the tables that are always there.
fn tables_sql() -> String {
    let dims = dims::COLUMNS.map(|column| format!("{column} TEXT")).join(", ");
    let sums = sums::COLUMNS.map(|column| format!("{column} INTEGER NOT NULL")).join(", ");
    TABLES
        .replace("{dims_index}", &dims::COLUMNS.join(", "))
        .replace("{dims}", &dims)
        .replace("{sums}", &sums)
}

/// Refuses a database that this program did not make like this.
pub(super) fn check_layout(database: &Connection) -> Result<(), LedgerFault> {
    let version: i64 = database.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if version != VERSION {
        let why = format!("its layout has version {version}, this program uses {VERSION}");
        return Err(LedgerFault::Damaged(why));
    }
    let months = records_months(database)?;
    if layout(database)? != layout(&pristine(&months)?)? {
        return Err(LedgerFault::Damaged("its tables are not as they were made".to_owned()));
    }
    match booked_months(database)?.difference(&months).next() {
        Some(month) => Err(LedgerFault::Damaged(format!("its table {} is missing", records_table(*month)))),
        None => Ok(()),
    }
}

/// A database with nothing but the tables.
fn pristine(months: &BTreeSet<Month>) -> Result<Connection, LedgerFault> {
    let database = Connection::open_in_memory()?;
    database.execute_batch(&tables_sql())?;
    for month in months {
        create_records(&database, *month)?;
    }
    Ok(database)
}

/// The definitions of everything in the database: nothing missing, and no trigger or view put in.
fn layout(database: &Connection) -> Result<Vec<Option<String>>, LedgerFault> {
    let mut statement = database.prepare("SELECT sql FROM sqlite_schema ORDER BY type, name")?;
    let definitions = statement.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
    Ok(definitions)
}

/// The months whose tables of records must be there.
fn booked_months(database: &Connection) -> Result<BTreeSet<Month>, LedgerFault> {
    let kept_from = kept_from(database)?;
    let mut statement =
        database.prepare("SELECT day FROM days WHERE booked_from IS NOT NULL ORDER BY day")?;
    let mut rows = statement.query([])?;
    let mut months = BTreeSet::new();
    while let Some(row) = rows.next()? {
        months.insert(records_month(Day(row.get(0)?)));
    }
    months.retain(|month| kept_from.is_none_or(|kept| *month >= kept));
    Ok(months)
}

/// Opens the database to read.
pub(super) fn open_to_read(path: &Path) -> Result<Connection, LedgerFault> {
    if path.try_exists().is_ok_and(|exists| !exists) {
        return Err(LedgerFault::Damaged(format!("{} is gone", path.display())));
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let database = Connection::open_with_flags(path, flags)?;
    database.busy_timeout(Duration::from_secs(5))?;
    Ok(database)
}

/// Up to where the journal is booked. `None` in a new database.
pub(super) fn place(database: &Connection) -> Result<Option<Place>, LedgerFault> {
    let place = database
        .query_row("SELECT segment, offset, seq, hash FROM place", [], |row| {
            Ok(Place { segment: row.get(0)?, offset: row.get(1)?, seq: row.get(2)?, hash: row.get(3)? })
        })
        .optional()?;
    Ok(place)
}
