//! From journal lines to rows.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rusqlite::types::Value;
use rusqlite::{Connection, Transaction, params, params_from_iter};
use tollgate_policy::entry::{Event, Outcome, Settled};
use tollgate_policy::unit::UnixMs;
use tollgate_policy::usage::{COUNT_MAX, Usage};

use super::schema;
use crate::fault::LedgerFault;
use crate::journal::queue::Mark;
use crate::projection::{Place, Unfollowed, follow};

/// The most lines that one transaction covers.
const LINES_MAX: usize = 10_000;

/// The writer of the ledger.
pub(super) struct Projector {
    path: PathBuf,
    journal: PathBuf,
    database: Connection,
    place: Place,
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
        Ok(Self { path, journal, database, place: place.unwrap_or_else(Place::beginning) })
    }

    /// The last entry that is booked.
    pub(super) fn seq(&self) -> u64 {
        self.place.seq
    }

    /// Forgets everything; [`Self::catch_up`] then books it again.
    pub(super) fn start_over(&mut self) -> Result<(), LedgerFault> {
        self.database = create(&self.path)?;
        self.place = Place::beginning();
        Ok(())
    }

    /// Books everything up to the mark.
    pub(super) fn catch_up(&mut self, mark: &Mark) -> Result<(), LedgerFault> {
        while self.place.seq < mark.seq {
            let mut place = self.place.clone();
            let transaction = self.database.transaction()?;
            follow::<LedgerFault>(&self.journal, &mut place, mark, LINES_MAX, &[b"settled"], |entry| {
                match &entry.event {
                    Event::Settled(settled) => {
                        book_usage(&transaction, entry.link.seq, entry.link.at, settled)
                    }
                    _ => Ok(()),
                }
            })?;
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
    for file in schema::files(path) {
        match fs::remove_file(&file) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(LedgerFault::Database(format!("cannot remove {}: {error}", file.display())));
            }
            _ => {}
        }
    }
    schema::open_to_write(path)
}

impl From<Unfollowed> for LedgerFault {
    fn from(unfollowed: Unfollowed) -> Self {
        Self::Journal(unfollowed.to_string())
    }
}

fn book_usage(
    transaction: &Transaction<'_>,
    seq: u64,
    at: UnixMs,
    settled: &Settled,
) -> Result<(), LedgerFault> {
    transaction
        .prepare_cached(
            "INSERT INTO usage VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17,
             ?18, ?19, ?20, ?21, ?22, ?23)",
        )?
        .execute(params_from_iter(row(seq, at, settled)))?;
    Ok(())
}

/// Columns of the table of usage.
pub(super) const COLUMNS: usize = 23;

/// What is booked for a settlement, in the order of the columns.
pub(super) fn row(seq: u64, at: UnixMs, settled: &Settled) -> [Value; COLUMNS] {
    let scope = &settled.scope;
    let tokens = Tokens::of(&settled.usage);
    [
        // A sequence number cannot come near the end of this range.
        i64::try_from(seq).unwrap_or(i64::MAX).into(),
        at.0.into(),
        settled.request.to_string().into(),
        settled.key.to_string().into(),
        scope.org.to_string().into(),
        scope.team.to_string().into(),
        scope.project.as_ref().map(ToString::to_string).into(),
        scope.user.as_ref().map(ToString::to_string).into(),
        settled.endpoint.clone().into(),
        settled.served_model.clone().or_else(|| settled.model.clone()).into(),
        settled.upstream.clone().into(),
        settled.session.clone().into(),
        settled.agent.clone().into(),
        outcome_word(settled.outcome).to_owned().into(),
        settled.status.map(i64::from).into(),
        tokens.input.into(),
        tokens.output.into(),
        tokens.cache_write_5m.into(),
        tokens.cache_write_1h.into(),
        tokens.cache_read.into(),
        settled.cost.0.into(),
        settled.estimated.into(),
        settled.unknown_price.into(),
    ]
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

/// Token counts as SQLite holds them, each held at [`COUNT_MAX`] as in the price.
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
            *sum = sum.saturating_add(i64::try_from(count.min(COUNT_MAX)).unwrap_or(i64::MAX));
        }
    }
}
