//! The tables of the ledger, and how the database is opened.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension};

use crate::fault::LedgerFault;
use crate::folder::make_private;
use crate::projection::Place;

/// The layout below. A database with another one is made again.
const VERSION: i64 = 2;

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
CREATE TABLE place (
    only INTEGER PRIMARY KEY CHECK (only = 0),
    segment INTEGER NOT NULL,
    offset INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    hash TEXT NOT NULL
) STRICT;
";

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
    let version: i64 = database.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let tables: i64 = database.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    if (version, tables) == (0, 0) {
        let version = format!("PRAGMA user_version = {VERSION};");
        database.execute_batch(&format!("BEGIN; {TABLES} {version} COMMIT;"))?;
    }
    check_layout(&database)?;
    Ok(database)
}

/// Refuses a database that this program did not make like this.
pub(super) fn check_layout(database: &Connection) -> Result<(), LedgerFault> {
    let version: i64 = database.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if version != VERSION {
        let why = format!("its layout has version {version}, this program uses {VERSION}");
        return Err(LedgerFault::Damaged(why));
    }
    if layout(database)? != layout(&pristine()?)? {
        return Err(LedgerFault::Damaged("its tables are not as they were made".to_owned()));
    }
    Ok(())
}

/// A database with nothing but the tables.
fn pristine() -> Result<Connection, LedgerFault> {
    let database = Connection::open_in_memory()?;
    database.execute_batch(TABLES)?;
    Ok(database)
}

/// The definitions of everything in the database: nothing missing, and no trigger or view put in.
fn layout(database: &Connection) -> Result<Vec<Option<String>>, LedgerFault> {
    let mut statement = database.prepare("SELECT sql FROM sqlite_schema ORDER BY type, name")?;
    let definitions = statement.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
    Ok(definitions)
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
