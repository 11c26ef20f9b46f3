//! The ledger: what it cost, as a view of the journal that can be queried.
//!
//! One thread follows the durable part of the journal (`follower`, `projector`). It books each settlement once, under
//! its sequence number, in the month in which the request was admitted, and adds it to the sums of that day and month
//! (`batch`). Reports over whole days read sums alone (`report`), coarse ones if nobody asks for people, keys, projects,
//! cost centres or tags; single records are read where a day is divided, for exports and for statements (`records`,
//! `statement`). Records of old months can be dropped; their sums stay.
//!
//! All of it can be deleted: it is made again from the journal. Nothing is decided by it but what budgets begin with
//! at a start.
//!
//! Only durable entries are booked. So after a power cut the ledger never knows more than the journal, and a journal
//! that ends before the ledger's last entry was cut by something else.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rusqlite::Connection;
use tollgate_policy::id::RequestId;
use tollgate_policy::unit::UnixMs;

use crate::fault::LedgerFault;
use crate::folder::Folder;
use crate::journal::Journal;
use crate::journal::recovery::Witness;

mod batch;
mod books;
pub mod bulk;
mod calendar;
mod dims;
mod follower;
mod past;
mod projector;
mod query;
mod record;
mod records;
mod report;
mod schema;
mod sieve;
mod sketch;
mod statement;
mod sums;
mod writer;

#[cfg(test)]
mod tests;

pub(crate) use books::Books;
pub use calendar::{Month, NotAMonth};
pub use query::{Dimension, Filter, Only, Order, PastUse, Query, ReportRow};
pub use record::{Adjustment, Attribution, Record, RequestRecord};
pub(crate) use report::GROUPS_MAX;
pub use statement::{StatementFigures, StatementLine};

use follower::Shared;
use projector::Projector;

/// How long a question waits for the ledger to catch up.
const PATIENCE: Duration = Duration::from_secs(5);

/// The queryable view of usage and cost.
#[derive(Debug)]
pub struct Ledger {
    path: PathBuf,
    journal: Arc<Journal>,
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
    /// Held by whoever drops records.
    dropping: Mutex<()>,
}

/// The last entry that a ledger has booked, if there is a readable ledger.
pub(crate) fn head(path: &Path) -> Option<Witness> {
    let place = schema::place(&schema::open_to_read(path).ok()?).ok()??;
    let hash = place.hash.parse().ok()?;
    Some(Witness { seq: place.seq, hash, file: path.to_path_buf() }).filter(|witness| witness.seq > 0)
}

/// Opening, and keeping up with the journal.
impl Ledger {
    /// Brings the view up to date, makes it again if it is damaged, and starts to follow the journal.
    pub(crate) fn open(folder: &Folder, journal: &Arc<Journal>) -> Result<Self, LedgerFault> {
        let path = folder.ledger();
        let mut projector = Projector::open(&path, &folder.journal())?;
        let mark = journal.synced_beyond(0, Duration::ZERO);
        projector.catch_up(&mark, &mut |_| {})?;
        let shared = Arc::new(Shared::at(projector.seq()));
        let thread = {
            let (journal, shared) = (Arc::clone(journal), Arc::clone(&shared));
            thread::Builder::new()
                .name("ledger".into())
                .spawn(move || follower::follow(projector, &journal, &shared))
                .map_err(|error| LedgerFault::Database(format!("no thread for it: {error}")))?
        };
        let (thread, dropping) = (Mutex::new(Some(thread)), Mutex::new(()));
        Ok(Self { path, journal: Arc::clone(journal), shared, thread, dropping })
    }

    /// Waits until everything is booked that is durable now, however long that takes; a long way is logged. Blocks.
    ///
    /// # Errors
    /// Why the ledger does not move on.
    pub fn catch_up(&self) -> Result<(), LedgerFault> {
        self.shared.wait_for(self.journal.synced_beyond(0, Duration::ZERO).seq, None)
    }

    /// The last entry of the journal that the view covers.
    #[must_use]
    pub fn projected_seq(&self) -> u64 {
        self.shared.lock().projected
    }

    /// Drops the records of requests admitted before a month, by dropping the tables of their months, and gives how
    /// many months these were. Sums of days and sessions, adjustments and statements stay; and once a period was closed,
    /// the records that the statement of the next one needs. A ledger that is made again
    /// from the journal by a later process has these records again, until they are dropped again. Blocks.
    ///
    /// # Errors
    /// What the database says; then nothing was dropped.
    pub fn drop_raw_before(&self, month: Month) -> Result<usize, LedgerFault> {
        let _one = self.dropping.lock().unwrap_or_else(PoisonError::into_inner);
        self.shared.drop_before(month)
    }

    /// Waits for the thread, which ends by itself after the journal has stopped.
    pub(crate) fn join(&self) {
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            // Nothing is lost with a view: it catches up at the next start.
            let _ = thread.join();
        }
    }
}

/// Questions. An answer covers every entry that was written before the call: it waits up to five seconds for the view
/// to catch up, and fails with [`LedgerFault::Behind`] when that is not enough. All block; call them from a thread that
/// may.
impl Ledger {
    /// Usage and cost in rows, one per combination of the dimensions asked for. Without a dimension there is one row,
    /// the total.
    ///
    /// Whole days in UTC are read from sums; what is left of the first and the last day, from records.
    ///
    /// # Errors
    /// [`LedgerFault::Dropped`] when records of such a part of a day are not kept any more,
    /// [`LedgerFault::TooManyGroups`], [`LedgerFault::NoSuchGroup`], [`LedgerFault::Behind`], and what the database
    /// says.
    pub fn report(&self, query: &Query) -> Result<Vec<ReportRow>, LedgerFault> {
        self.ask(|database| report::read(database, query))
    }

    /// The use of a range of time, added up by scope, key, endpoint and models: what the counters of periods that began
    /// at `from` are restored from. Adjustments do not count.
    ///
    /// # Errors
    /// As [`Self::report`].
    pub fn past(&self, from: UnixMs, to: UnixMs, visit: &mut dyn FnMut(&PastUse)) -> Result<(), LedgerFault> {
        self.ask(|database| past::between(database, from, to))?.iter().for_each(visit);
        Ok(())
    }

    /// The use of each request that was settled at or after an instant, in the order of the journal: what rates and
    /// rolling windows are restored from.
    ///
    /// # Errors
    /// [`LedgerFault::Dropped`], [`LedgerFault::Behind`], and what the database says. After an error some use may have
    /// been visited.
    pub fn recent(&self, since: UnixMs, visit: &mut dyn FnMut(&PastUse)) -> Result<(), LedgerFault> {
        self.shared.wait_for(self.journal.written_seq(), Some(Instant::now() + PATIENCE))?;
        let read = self.read(&mut |database| records::since(database, since, visit));
        if matches!(read, Err(LedgerFault::Damaged(_))) {
            // Not asked a second time: what was visited would be visited again.
            self.shared.ask_for_rebuild();
        }
        read
    }

    /// What is known of one request; nothing when it was not settled or is unknown.
    ///
    /// # Errors
    /// [`LedgerFault::Behind`], and what the database says.
    pub fn request(&self, request: RequestId) -> Result<RequestRecord, LedgerFault> {
        self.ask(|database| records::of_request(database, request))
    }

    /// Records that count, in the order of the journal: at most `limit` of them, those after entry `after`.
    ///
    /// # Errors
    /// [`LedgerFault::Dropped`] when the filter begins before the records that are kept, [`LedgerFault::Behind`], and
    /// what the database says.
    pub fn records(&self, filter: &Filter, after: u64, limit: usize) -> Result<Vec<Record>, LedgerFault> {
        self.ask(|database| records::page(database, filter, after, limit))
    }

    /// Adjustments that count, by the instant at which they were made, in the order of the journal: at most `limit` of
    /// them, those after entry `after`.
    ///
    /// # Errors
    /// [`LedgerFault::Behind`], and what the database says.
    pub fn adjustments(
        &self,
        filter: &Filter,
        after: u64,
        limit: usize,
    ) -> Result<Vec<Adjustment>, LedgerFault> {
        self.ask(|database| records::adjustments(database, filter, after, limit))
    }

    /// The figures of a statement of the period `from..to`.
    ///
    /// It covers the journal up to entry `upto`. `after` is the last entry that the statement before covers, which ended
    /// at `from`: what came after it about requests of earlier periods is in this statement, as late. So every
    /// settlement and every adjustment is in exactly one statement of a sequence in which each begins where the one
    /// before ends.
    ///
    /// # Errors
    /// [`LedgerFault::Dropped`] when records are not kept any more that it needs, [`LedgerFault::Behind`], and what the
    /// database says.
    pub fn statement(
        &self,
        from: UnixMs,
        to: UnixMs,
        after: u64,
        upto: u64,
    ) -> Result<StatementFigures, LedgerFault> {
        self.ask(|database| statement::read(database, from, to, after, upto))
    }

    /// Where the first statement can begin: at the first instant whose records are kept. None when all are.
    ///
    /// # Errors
    /// [`LedgerFault::Behind`], and what the database says.
    pub fn kept_from(&self) -> Result<Option<UnixMs>, LedgerFault> {
        self.ask(schema::kept_from).map(|month| month.map(Month::start))
    }

    /// The last entry about what was booked before an instant, or on the UTC day that it ends; 0 if nothing was. A first
    /// statement that begins at this instant takes it as the entry `after`.
    ///
    /// # Errors
    /// [`LedgerFault::Behind`], and what the database says.
    pub fn last_before(&self, instant: UnixMs) -> Result<u64, LedgerFault> {
        self.ask(|database| statement::last_before(database, instant))
    }

    fn ask<T>(
        &self,
        mut question: impl FnMut(&Connection) -> Result<T, LedgerFault>,
    ) -> Result<T, LedgerFault> {
        let wanted = self.journal.written_seq();
        let deadline = Some(Instant::now() + PATIENCE);
        self.shared.wait_for(wanted, deadline)?;
        match self.read(&mut question) {
            Err(LedgerFault::Damaged(why)) => {
                tracing::warn!(why, "the ledger is damaged; making it again from the journal");
                self.shared.ask_for_rebuild();
                self.shared.wait_for(wanted, deadline)?;
                self.read(&mut question)
            }
            other => other,
        }
    }

    /// Puts the question to the database as it is at one moment.
    fn read<T>(
        &self,
        question: &mut dyn FnMut(&Connection) -> Result<T, LedgerFault>,
    ) -> Result<T, LedgerFault> {
        let mut database = schema::open_to_read(&self.path)?;
        let moment = database.transaction()?;
        question(&moment)
    }
}
