//! The tables of the ledger, and how the database is opened.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension};
use tollgate_policy::key::KeyRecord;

use crate::fault::LedgerFault;

/// The layout below. A database with another one is made again.
const VERSION: i64 = 1;

const TABLES: &str = "
CREATE TABLE usage (
    seq INTEGER PRIMARY KEY,
    at INTEGER NOT NULL,
    request TEXT NOT NULL,
    key TEXT NOT NULL,
    org TEXT NOT NULL,
    team TEXT NOT NULL,
    project TEXT,
    user TEXT,
    endpoint TEXT NOT NULL,
    model TEXT,
    upstream TEXT NOT NULL,
    session TEXT,
    agent TEXT,
    outcome TEXT NOT NULL,
    status INTEGER,
    input_tokens INTEGER NOT NULL,
    output_tokens INTEGER NOT NULL,
    cache_write_5m_tokens INTEGER NOT NULL,
    cache_write_1h_tokens INTEGER NOT NULL,
    cache_read_tokens INTEGER NOT NULL,
    cost_nano_usd INTEGER NOT NULL,
    estimated INTEGER NOT NULL,
    unknown_price INTEGER NOT NULL
) STRICT;
CREATE INDEX usage_by_time ON usage (at);
CREATE TABLE keys (
    id TEXT PRIMARY KEY,
    record TEXT NOT NULL
) STRICT;
CREATE TABLE place (
    only INTEGER PRIMARY KEY CHECK (only = 0),
    segment INTEGER NOT NULL,
    offset INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    hash TEXT NOT NULL
) STRICT;
";

/// Up to where the journal is booked: after the entry `seq`, which ends at byte `offset` of the segment that begins
/// with entry `segment`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) segment: u64,
    pub(super) offset: u64,
    pub(super) seq: u64,
    /// The hash of that entry, in text.
    pub(super) hash: String,
}

impl From<rusqlite::Error> for LedgerFault {
    fn from(error: rusqlite::Error) -> Self {
        let damaged = match error.sqlite_error_code() {
            // `Unknown` is an error in the statement: a table or column is not there.
            Some(
                ErrorCode::DatabaseCorrupt
                | ErrorCode::NotADatabase
                | ErrorCode::CannotOpen
                | ErrorCode::Unknown,
            ) => true,
            Some(_) => false,
            // What was read is not of the type that was written.
            None => true,
        };
        if damaged { Self::Damaged(error.to_string()) } else { Self::Database(error.to_string()) }
    }
}

/// Opens the database to write, and makes its tables if it is new.
pub(super) fn open_to_write(path: &Path) -> Result<Connection, LedgerFault> {
    // Made here, because SQLite would let others read it; its side files take after it.
    OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
        .map_err(|error| LedgerFault::Database(format!("cannot open {}: {error}", path.display())))?;
    let database = Connection::open(path)?;
    database.busy_timeout(Duration::from_secs(5))?;
    database.pragma_update(None, "journal_mode", "wal")?;
    // The journal is what must survive; the view may lose its last moments and catch up.
    database.pragma_update(None, "synchronous", "normal")?;
    let version: i64 = database.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let tables: i64 = database.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    match (version, tables) {
        (VERSION, _) => Ok(database),
        (0, 0) => {
            let version = format!("PRAGMA user_version = {VERSION};");
            database.execute_batch(&format!("BEGIN; {TABLES} {version} COMMIT;"))?;
            Ok(database)
        }
        (other, _) => {
            Err(LedgerFault::Damaged(format!("its layout has version {other}, this program uses {VERSION}")))
        }
    }
}

/// Opens the database to read.
pub(super) fn open_to_read(path: &Path) -> Result<Connection, LedgerFault> {
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

/// All keys.
pub(super) fn keys(database: &Connection) -> Result<Vec<KeyRecord>, LedgerFault> {
    let mut statement = database.prepare("SELECT record FROM keys")?;
    let mut rows = statement.query([])?;
    let mut keys = Vec::new();
    while let Some(row) = rows.next()? {
        let record = row.get_ref(0)?.as_str().map_err(|error| LedgerFault::Damaged(error.to_string()))?;
        keys.push(serde_json::from_str(record).map_err(|error| LedgerFault::Damaged(error.to_string()))?);
    }
    Ok(keys)
}
