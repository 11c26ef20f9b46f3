//! The ledger: what it cost, as a view of the journal that can be queried.
//!
//! One thread follows the durable part of the journal and books each settlement once, under its sequence number
//! (`projector`). All of it can be deleted: it is made again from the journal. Nothing is decided by it: keys are read
//! from the journal itself.
//!
//! Only durable entries are booked. So after a power cut the ledger never knows more than the journal, and a journal
//! that ends before the ledger's last entry was cut by something else.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::fault::LedgerFault;
use crate::folder::Folder;
use crate::journal::Journal;
use crate::journal::recovery::Witness;

mod books;
mod projector;
mod report;
mod schema;

#[cfg(test)]
mod tests;

pub(crate) use books::Books;
pub use report::{Dimension, Query, ReportRow};

use projector::Projector;

/// How long a report waits for the ledger to catch up.
const REPORT_PATIENCE: Duration = Duration::from_secs(5);
/// How long settlements may gather before they are booked together.
const GATHER: Duration = Duration::from_millis(40);
/// How long to wait after the database refused.
const RETRY: Duration = Duration::from_secs(1);

/// The queryable view of usage and cost.
#[derive(Debug)]
pub struct Ledger {
    path: PathBuf,
    journal: Arc<Journal>,
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Debug, Default)]
struct Shared {
    status: Mutex<Status>,
    /// Told when `projected` or `fault` changes.
    moved: Condvar,
    /// Told when somebody waits for the projector.
    wake: Condvar,
}

#[derive(Debug, Default)]
struct Status {
    projected: u64,
    fault: Option<LedgerFault>,
    /// Somebody waits: do not gather.
    hurry: bool,
    /// The database turned out to be damaged or gone.
    rebuild: bool,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Status> {
        // Plain facts, each replaced in one assignment.
        self.status.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The last entry that a ledger has booked, if there is a readable ledger.
pub(crate) fn head(path: &Path) -> Option<Witness> {
    let place = schema::place(&schema::open_to_read(path).ok()?).ok()??;
    let hash = place.hash.parse().ok()?;
    Some(Witness { seq: place.seq, hash, file: path.to_path_buf() }).filter(|witness| witness.seq > 0)
}

impl Ledger {
    /// Brings the view up to date, makes it again if it is damaged, and starts to follow the journal.
    pub(crate) fn open(folder: &Folder, journal: &Arc<Journal>) -> Result<Self, LedgerFault> {
        let path = folder.ledger();
        let mut projector = Projector::open(&path, &folder.journal())?;
        let mark = journal.synced_beyond(0, Duration::ZERO);
        if let Err(LedgerFault::Damaged(why)) = projector.catch_up(&mark) {
            tracing::warn!(why, "the ledger is damaged; making it again from the journal");
            projector.start_over()?;
        }
        projector.catch_up(&mark)?;
        let shared = Arc::new(Shared::default());
        shared.lock().projected = projector.seq();
        let thread = {
            let (journal, shared) = (Arc::clone(journal), Arc::clone(&shared));
            thread::Builder::new()
                .name("ledger".into())
                .spawn(move || follow(projector, &journal, &shared))
                .map_err(|error| LedgerFault::Database(format!("no thread for it: {error}")))?
        };
        Ok(Self { path, journal: Arc::clone(journal), shared, thread: Mutex::new(Some(thread)) })
    }

    /// Usage and cost in rows, one per combination of the dimensions asked for, dearest first. Without a dimension
    /// there is one row, the total.
    ///
    /// Covers every settlement that was written before the call: waits up to five seconds for the view to catch up.
    /// Blocks; call it from a thread that may.
    ///
    /// # Errors
    /// [`LedgerFault::Behind`] when it does not catch up in time, and what the database says.
    pub fn report(&self, query: &Query) -> Result<Vec<ReportRow>, LedgerFault> {
        let wanted = self.journal.written_seq();
        let deadline = Instant::now() + REPORT_PATIENCE;
        self.wait_for(wanted, deadline)?;
        match report::read(&self.path, query) {
            Err(LedgerFault::Damaged(why)) => {
                tracing::warn!(why, "the ledger is damaged; making it again from the journal");
                self.ask_for_rebuild();
                self.wait_for(wanted, deadline)?;
                report::read(&self.path, query)
            }
            other => other,
        }
    }

    /// The last entry of the journal that the view covers.
    #[must_use]
    pub fn projected_seq(&self) -> u64 {
        self.shared.lock().projected
    }

    /// Why the view does not move on, if it does not.
    #[must_use]
    pub fn fault(&self) -> Option<LedgerFault> {
        self.shared.lock().fault.clone()
    }

    /// Waits for the thread, which ends by itself after the journal has stopped.
    pub(crate) fn join(&self) {
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            // Nothing is lost with a view: it catches up at the next start.
            let _ = thread.join();
        }
    }

    fn wait_for(&self, wanted: u64, deadline: Instant) -> Result<(), LedgerFault> {
        let mut status = self.shared.lock();
        while status.projected < wanted {
            let patience = deadline.saturating_duration_since(Instant::now());
            if patience.is_zero() {
                let behind = LedgerFault::Behind { projected: status.projected, wanted };
                return Err(status.fault.clone().unwrap_or(behind));
            }
            status.hurry = true;
            self.shared.wake.notify_one();
            status = match self.shared.moved.wait_timeout(status, patience) {
                Ok((status, _)) => status,
                Err(poisoned) => poisoned.into_inner().0,
            };
        }
        Ok(())
    }

    fn ask_for_rebuild(&self) {
        let mut status = self.shared.lock();
        (status.rebuild, status.projected) = (true, 0);
        self.shared.wake.notify_one();
    }
}

/// Books what becomes durable, until the journal stops.
fn follow(mut projector: Projector, journal: &Journal, shared: &Shared) {
    loop {
        journal.synced_beyond(projector.seq(), RETRY);
        let last = journal.has_stopped();
        if !last {
            gather(shared);
        }
        let rebuild = std::mem::take(&mut shared.lock().rebuild);
        let mark = journal.synced_beyond(0, Duration::ZERO);
        let caught_up = if rebuild { projector.start_over() } else { Ok(()) };
        let caught_up = match caught_up.and_then(|()| projector.catch_up(&mark)) {
            Err(LedgerFault::Damaged(why)) => {
                tracing::warn!(why, "the ledger is damaged; making it again from the journal");
                projector.start_over().and_then(|()| projector.catch_up(&mark))
            }
            other => other,
        };
        let mut status = shared.lock();
        status.projected = if status.rebuild { 0 } else { projector.seq() };
        let failed = caught_up.is_err();
        if let Err(fault) = &caught_up
            && status.fault.as_ref() != Some(fault)
        {
            tracing::error!(%fault, "the ledger does not move on");
        }
        status.fault = caught_up.err();
        shared.moved.notify_all();
        drop(status);
        if last {
            return;
        }
        if failed {
            thread::sleep(RETRY);
        }
    }
}

/// Lets settlements gather, unless somebody waits for them.
fn gather(shared: &Shared) {
    let status = shared.lock();
    let waited = shared.wake.wait_timeout_while(status, GATHER, |status| !status.hurry && !status.rebuild);
    match waited {
        Ok((mut status, _)) => status.hurry = false,
        Err(poisoned) => poisoned.into_inner().0.hurry = false,
    }
}
