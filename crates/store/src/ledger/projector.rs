//! From journal lines to rows.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, Transaction, params};
use tollgate_policy::entry::{Entry, Event, GENESIS, KeyChange, Outcome, Settled, read_line};
use tollgate_policy::key::KeyRecord;
use tollgate_policy::unit::UnixMs;
use tollgate_policy::usage::Usage;

use super::schema::{self, Place};
use crate::fault::LedgerFault;
use crate::journal::queue::Mark;
use crate::journal::segment::{self, End, Glance, Line, Lines};

/// The most lines that one transaction covers.
const LINES_MAX: usize = 10_000;

/// The writer of the ledger.
pub(super) struct Projector {
    path: PathBuf,
    journal: PathBuf,
    database: Connection,
    place: Place,
}

fn beginning() -> Place {
    Place { segment: 1, offset: 0, seq: 0, hash: GENESIS.to_string() }
}

impl Projector {
    /// Opens the ledger; makes it anew if it is damaged.
    pub(super) fn open(path: &Path, journal: &Path) -> Result<Self, LedgerFault> {
        // A side file without its database would be taken for a part of the new one.
        let is_new = fs::metadata(path).map_or(true, |metadata| metadata.len() == 0);
        let opened = if is_new { create(path) } else { schema::open_to_write(path) };
        let opened = opened.and_then(|database| schema::place(&database).map(|place| (database, place)));
        let (database, place) = match opened {
            Err(LedgerFault::Damaged(why)) => {
                tracing::warn!(why, "the ledger is damaged; making it again from the journal");
                (create(path)?, None)
            }
            other => other?,
        };
        let (path, journal) = (path.to_path_buf(), journal.to_path_buf());
        Ok(Self { path, journal, database, place: place.unwrap_or_else(beginning) })
    }

    /// The last entry that is booked.
    pub(super) fn seq(&self) -> u64 {
        self.place.seq
    }

    /// Forgets everything; [`Self::catch_up`] then books it again.
    pub(super) fn start_over(&mut self) -> Result<(), LedgerFault> {
        self.database = create(&self.path)?;
        self.place = beginning();
        Ok(())
    }

    /// Books everything up to the mark.
    pub(super) fn catch_up(&mut self, mark: &Mark) -> Result<(), LedgerFault> {
        while self.place.seq < mark.seq {
            let mut place = self.place.clone();
            let transaction = self.database.transaction()?;
            book_some(&transaction, &self.journal, &mut place, mark)?;
            transaction.execute(
                "INSERT OR REPLACE INTO place (only, segment, offset, seq, hash) VALUES (0, ?1, ?2, ?3, ?4)",
                params![place.segment, place.offset, place.seq, place.hash],
            )?;
            transaction.commit()?;
            self.place = place;
        }
        Ok(())
    }
}

/// Makes an empty ledger in the place of whatever is there.
fn create(path: &Path) -> Result<Connection, LedgerFault> {
    for suffix in ["", "-wal", "-shm"] {
        let mut file = path.as_os_str().to_owned();
        file.push(suffix);
        match fs::remove_file(&file) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(LedgerFault::Database(format!("cannot remove {}: {error}", file.display())));
            }
            _ => {}
        }
    }
    schema::open_to_write(path)
}

/// Books lines from `place` towards the mark, and moves `place`.
fn book_some(
    transaction: &Transaction<'_>,
    journal: &Path,
    place: &mut Place,
    mark: &Mark,
) -> Result<(), LedgerFault> {
    let mut budget = LINES_MAX;
    loop {
        let path = segment::path(journal, place.segment);
        let end = if place.segment == mark.segment { mark.len } else { u64::MAX };
        let unreadable = |error: io::Error| LedgerFault::Journal(format!("{}: {error}", path.display()));
        let mut lines = Lines::range(&path, place.offset, end).map_err(unreadable)?;
        while budget > 0
            && let Some(line) = lines.next().map_err(unreadable)?
        {
            let glance = expect(&line, place).map_err(|why| {
                LedgerFault::Journal(format!("{} byte {}: {why}", path.display(), line.offset))
            })?;
            if matches!(glance.kind, b"settled" | b"key_created" | b"key_rotated" | b"key_revoked") {
                let entry = read_line(line.bytes).map_err(|bad| {
                    LedgerFault::Journal(format!("{} byte {}: the line {bad}", path.display(), line.offset))
                })?;
                book(transaction, &entry)?;
            }
            place.seq = glance.seq;
            place.hash.clear();
            place.hash.push_str(&String::from_utf8_lossy(glance.hash));
            place.offset = line.next_offset();
            budget -= 1;
        }
        if budget == 0 || place.segment == mark.segment {
            return Ok(());
        }
        // The journal began the next segment with the entry after the last of this one.
        if place.offset == 0 {
            return Err(LedgerFault::Journal(format!("{} is empty", path.display())));
        }
        (place.segment, place.offset) = (place.seq + 1, 0);
    }
}

/// Looks whether the line is the next entry.
fn expect<'a>(line: &Line<'a>, place: &Place) -> Result<Glance<'a>, String> {
    let glance = Some(line)
        .filter(|line| line.end == End::Newline)
        .and_then(|line| segment::glance(line.bytes))
        .ok_or("not an entry")?;
    if Some(glance.seq) != place.seq.checked_add(1) || glance.prev != place.hash.as_bytes() {
        return Err(format!("entry {} does not follow entry {}", glance.seq, place.seq));
    }
    Ok(glance)
}

fn book(transaction: &Transaction<'_>, entry: &Entry) -> Result<(), LedgerFault> {
    match &entry.event {
        Event::Settled(settled) => book_usage(transaction, entry.link.seq, entry.link.at, settled),
        Event::KeyCreated(change) | Event::KeyRotated(change) | Event::KeyRevoked(change) => {
            let KeyChange { after, also, .. } = change;
            std::iter::once(after).chain(also).try_for_each(|record| book_key(transaction, record))
        }
        _ => Ok(()),
    }
}

fn book_key(transaction: &Transaction<'_>, record: &KeyRecord) -> Result<(), LedgerFault> {
    let text = serde_json::to_string(record).map_err(|error| LedgerFault::Journal(error.to_string()))?;
    transaction
        .prepare_cached("INSERT OR REPLACE INTO keys (id, record) VALUES (?1, ?2)")?
        .execute(params![record.id.to_string(), text])?;
    Ok(())
}

fn book_usage(
    transaction: &Transaction<'_>,
    seq: u64,
    at: UnixMs,
    settled: &Settled,
) -> Result<(), LedgerFault> {
    let scope = &settled.scope;
    let tokens = Tokens::of(&settled.usage);
    transaction
        .prepare_cached(
            "INSERT OR IGNORE INTO usage VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14,
             ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22, ?23)",
        )?
        .execute(params![
            seq,
            at.0,
            settled.request.to_string(),
            settled.key.to_string(),
            scope.org.as_str(),
            scope.team.as_str(),
            scope.project.as_ref().map(|name| name.as_str()),
            scope.user.as_ref().map(|name| name.as_str()),
            settled.endpoint,
            settled.served_model.as_ref().or(settled.model.as_ref()),
            settled.upstream,
            settled.session,
            settled.agent,
            outcome_word(settled.outcome),
            settled.status,
            tokens.input,
            tokens.output,
            tokens.cache_write_5m,
            tokens.cache_write_1h,
            tokens.cache_read,
            settled.cost.0,
            settled.estimated,
            settled.unknown_price,
        ])?;
    Ok(())
}

/// The outcome as the journal spells it.
pub(super) fn outcome_word(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Complete => "complete",
        Outcome::Aborted => "aborted",
        Outcome::Cut => "cut",
        Outcome::UpstreamError => "upstream_error",
        Outcome::Failed => "failed",
        Outcome::Unknown => "unknown",
    }
}

/// Token counts as SQLite holds them. A count that does not fit stands still at the end of the range.
#[derive(Default)]
struct Tokens {
    input: i64,
    output: i64,
    cache_write_5m: i64,
    cache_write_1h: i64,
    cache_read: i64,
}

impl Tokens {
    fn of(usage: &Usage) -> Self {
        let mut tokens = Self::default();
        if usage.iterations.is_empty() {
            tokens.add([
                usage.input_tokens,
                usage.output_tokens,
                usage.cache_write_5m_tokens,
                usage.cache_write_1h_tokens,
                usage.cache_read_tokens,
            ]);
        }
        // Where there are iterations, they are the truth and the totals leave some out.
        for iteration in &usage.iterations {
            tokens.add([
                iteration.input_tokens,
                iteration.output_tokens,
                iteration.cache_write_5m_tokens,
                iteration.cache_write_1h_tokens,
                iteration.cache_read_tokens,
            ]);
        }
        tokens
    }

    fn add(&mut self, counts: [u64; 5]) {
        let sums = [
            &mut self.input,
            &mut self.output,
            &mut self.cache_write_5m,
            &mut self.cache_write_1h,
            &mut self.cache_read,
        ];
        for (sum, count) in sums.into_iter().zip(counts) {
            *sum = sum.saturating_add(i64::try_from(count).unwrap_or(i64::MAX));
        }
    }
}
