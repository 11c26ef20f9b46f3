//! Follows the journal with the ledger.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::calendar::Month;
use super::writer::Writer;
use crate::fault::LedgerFault;
use crate::journal::queue::Mark;
use crate::projection::{Unfollowed, follow};

/// The most lines that one transaction covers. Each transaction writes every sum that it changes once, so a long way is
/// gone in large steps.
const LINES_MAX: usize = if cfg!(test) { 50 } else { 200_000 };
/// The entries that the ledger books.
const KINDS: [&[u8]; 3] = [b"settled", b"adjusted", b"statement_closed"];
/// How often a long way is reported.
const REPORT_EVERY: Duration = Duration::from_secs(5);

/// The ledger's way along the journal.
pub(super) struct Projector {
    journal: PathBuf,
    writer: Writer,
}

impl Projector {
    /// Opens the ledger; makes it anew if it is damaged.
    pub(super) fn open(path: &Path, journal: &Path) -> Result<Self, LedgerFault> {
        Ok(Self { journal: journal.to_path_buf(), writer: Writer::open(path)? })
    }

    /// The last entry that is booked.
    pub(super) fn seq(&self) -> u64 {
        self.writer.place().seq
    }

    /// Forgets everything; the next step books it again, without the records that were dropped.
    pub(super) fn start_over(&mut self) -> Result<(), LedgerFault> {
        self.writer.start_over()
    }

    /// As [`Writer::drop_records_before`].
    pub(super) fn drop_records_before(&mut self, month: Month) -> Result<usize, LedgerFault> {
        self.writer.drop_records_before(month)
    }

    /// Books everything up to the mark, and tells `moved` after each step how far it is. If the database turns out to be
    /// damaged, makes it again.
    pub(super) fn catch_up(&mut self, mark: &Mark, moved: &mut dyn FnMut(u64)) -> Result<(), LedgerFault> {
        match self.steps(mark, moved) {
            Err(LedgerFault::Damaged(why)) => {
                tracing::warn!(why, "the ledger is damaged; making it again from the journal");
                self.start_over()?;
                self.steps(mark, moved)
            }
            other => other,
        }
    }

    fn steps(&mut self, mark: &Mark, moved: &mut dyn FnMut(u64)) -> Result<(), LedgerFault> {
        let mut reported = Instant::now();
        while self.seq() < mark.seq {
            self.step(mark)?;
            moved(self.seq());
            if reported.elapsed() > REPORT_EVERY {
                tracing::info!(
                    booked = self.seq(),
                    of = mark.seq,
                    "the ledger is catching up with the journal"
                );
                reported = Instant::now();
            }
        }
        Ok(())
    }

    fn step(&mut self, mark: &Mark) -> Result<(), LedgerFault> {
        let Self { journal, writer } = self;
        let mut place = writer.place().clone();
        writer.transact(|batch| {
            follow::<LedgerFault>(journal, &mut place, mark, LINES_MAX, &KINDS, |entry| {
                batch.book(entry.link.seq, entry.link.at, &entry.event)
            })?;
            Ok(place)
        })
    }
}

impl From<Unfollowed> for LedgerFault {
    fn from(unfollowed: Unfollowed) -> Self {
        Self::Journal(unfollowed.to_string())
    }
}
