//! Follows the journal with the ledger.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rusqlite::{Connection, params};
use tollgate_policy::entry::Event;

use super::batch::Batch;
use super::calendar::Month;
use super::dims::Interner;
use super::schema;
use crate::fault::LedgerFault;
use crate::journal::queue::Mark;
use crate::projection::{Place, Unfollowed, follow};

/// The most lines that one transaction covers. Each transaction writes every sum that it changes once, so a long way is
/// gone in large steps.
const LINES_MAX: usize = 200_000;
/// The entries that the ledger books.
const KINDS: [&[u8]; 3] = [b"settled", b"adjusted", b"statement_closed"];
/// How often a long way is reported.
const REPORT_EVERY: Duration = Duration::from_secs(5);

/// The writer of the ledger.
pub(super) struct Projector {
    path: PathBuf,
    journal: PathBuf,
    database: Connection,
    interner: Interner,
    place: Place,
    /// The first month whose records are kept.
    kept_from: Option<Month>,
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
        let place = place.unwrap_or_else(Place::beginning);
        let kept_from = schema::kept_from(&database)?;
        Ok(Self { path, journal, database, interner: Interner::default(), place, kept_from })
    }

    /// The last entry that is booked.
    pub(super) fn seq(&self) -> u64 {
        self.place.seq
    }

    /// Forgets everything; the next step books it again, without the records that were dropped.
    pub(super) fn start_over(&mut self) -> Result<(), LedgerFault> {
        self.database = create(&self.path)?;
        self.interner.forget();
        self.place = Place::beginning();
        self.kept_from.map_or(Ok(()), |month| schema::keep_from(&self.database, month))
    }

    /// As [`Self::catch_up`]; if the database turns out to be damaged, makes it again.
    pub(super) fn catch_up_or_start_over(
        &mut self,
        mark: &Mark,
        moved: &mut dyn FnMut(u64),
    ) -> Result<(), LedgerFault> {
        match self.catch_up(mark, moved) {
            Err(LedgerFault::Damaged(why)) => {
                tracing::warn!(why, "the ledger is damaged; making it again from the journal");
                self.start_over()?;
                self.catch_up(mark, moved)
            }
            other => other,
        }
    }

    /// Books everything up to the mark, and tells `moved` after each step how far it is.
    fn catch_up(&mut self, mark: &Mark, moved: &mut dyn FnMut(u64)) -> Result<(), LedgerFault> {
        let mut reported = Instant::now();
        while self.place.seq < mark.seq {
            let stepped = self.step(mark);
            if stepped.is_err() {
                // Numbers that the transaction gave are void.
                self.interner.forget();
            }
            stepped?;
            moved(self.place.seq);
            if reported.elapsed() > REPORT_EVERY {
                tracing::info!(
                    booked = self.place.seq,
                    of = mark.seq,
                    "the ledger is catching up with the journal"
                );
                reported = Instant::now();
            }
        }
        Ok(())
    }

    /// Drops the records of all months before this one; sums, adjustments and statements stay. Later settlements of
    /// requests of those months go to the sums alone. Gives how many months were dropped.
    pub(super) fn drop_records_before(&mut self, month: Month) -> Result<usize, LedgerFault> {
        let transaction = self.database.transaction()?;
        if schema::kept_from(&transaction)?.is_some_and(|kept| kept >= month) {
            return Ok(0);
        }
        let mut months = schema::records_months(&transaction)?;
        months.retain(|found| *found < month);
        for month in &months {
            transaction.execute_batch(&format!("DROP TABLE {}", schema::records_table(*month)))?;
        }
        schema::keep_from(&transaction, month)?;
        transaction.commit()?;
        self.kept_from = Some(month);
        Ok(months.len())
    }

    fn step(&mut self, mark: &Mark) -> Result<(), LedgerFault> {
        let mut place = self.place.clone();
        let transaction = self.database.transaction()?;
        let mut batch = Batch::begin(&transaction, &mut self.interner)?;
        follow::<LedgerFault>(&self.journal, &mut place, mark, LINES_MAX, &KINDS, |entry| {
            let (seq, at) = (entry.link.seq, entry.link.at);
            match &entry.event {
                Event::Settled(settled) => batch.settle(seq, at, settled),
                Event::Adjusted(adjusted) => batch.adjust(seq, at, adjusted),
                Event::StatementClosed(closed) => batch.close(seq, at, closed),
                _ => Ok(()),
            }
        })?;
        batch.flush()?;
        drop(batch);
        transaction.execute(
            "INSERT OR REPLACE INTO place (only, segment, offset, seq, hash) VALUES (0, ?1, ?2, ?3, ?4)",
            params![place.segment, place.offset, place.seq, place.hash],
        )?;
        transaction.commit()?;
        self.place = place;
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
