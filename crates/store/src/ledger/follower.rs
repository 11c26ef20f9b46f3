//! The thread that keeps the ledger up with the journal, and how others wait for it.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::calendar::Month;
use super::projector::Projector;
use crate::fault::LedgerFault;
use crate::journal::Journal;

/// How long settlements may gather before they are booked together.
const GATHER: Duration = Duration::from_millis(40);
/// How long to wait after the database refused.
const RETRY: Duration = Duration::from_secs(1);

/// Where the thread is, and what is wished from it.
#[derive(Debug, Default)]
pub(super) struct Shared {
    status: Mutex<Status>,
    /// Told when `projected`, `fault`, `dropped` or `has_ended` changes.
    moved: Condvar,
    /// Told when somebody waits for the projector.
    wake: Condvar,
}

#[derive(Debug, Default)]
pub(super) struct Status {
    pub(super) projected: u64,
    pub(super) fault: Option<LedgerFault>,
    /// Somebody waits: do not gather.
    hurry: bool,
    /// The database turned out to be damaged or gone.
    rebuild: bool,
    /// Records of months before this one shall be dropped.
    drop_before: Option<Month>,
    /// That was done, for so many months.
    dropped: Option<Result<usize, LedgerFault>>,
    has_ended: bool,
}

impl Shared {
    /// Begins after the entry that is booked already.
    pub(super) fn at(projected: u64) -> Self {
        let shared = Self::default();
        shared.lock().projected = projected;
        shared
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Status> {
        // Plain facts, each replaced in one assignment.
        self.status.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until the entry is booked.
    ///
    /// # Errors
    /// At the deadline, [`LedgerFault::Behind`] or why the ledger does not move on. Without a deadline, only the latter.
    pub(super) fn wait_for(&self, wanted: u64, deadline: Option<Instant>) -> Result<(), LedgerFault> {
        let mut status = self.lock();
        while status.projected < wanted {
            let patience = deadline.map_or(RETRY, |at| at.saturating_duration_since(Instant::now()));
            let is_over = deadline.is_none() || patience.is_zero();
            if let Some(fault) = status.fault.clone().filter(|_| is_over) {
                return Err(fault);
            }
            if patience.is_zero() || status.has_ended {
                return Err(LedgerFault::Behind { projected: status.projected, wanted });
            }
            status.hurry = true;
            self.wake.notify_one();
            status = self.wait(status, patience);
        }
        Ok(())
    }

    /// Has the view made again.
    pub(super) fn ask_for_rebuild(&self) {
        let mut status = self.lock();
        (status.rebuild, status.projected) = (true, 0);
        self.wake.notify_one();
    }

    /// Has the records of months before this one dropped, and waits until it is done. One caller at a time.
    pub(super) fn drop_before(&self, month: Month) -> Result<usize, LedgerFault> {
        let mut status = self.lock();
        (status.drop_before, status.dropped, status.hurry) = (Some(month), None, true);
        self.wake.notify_one();
        loop {
            if let Some(dropped) = status.dropped.take() {
                return dropped;
            }
            if status.has_ended {
                return Err(LedgerFault::Database("the store was closed".to_owned()));
            }
            status = self.wait(status, RETRY);
        }
    }

    fn wait<'s>(&self, status: MutexGuard<'s, Status>, patience: Duration) -> MutexGuard<'s, Status> {
        match self.moved.wait_timeout(status, patience) {
            Ok((status, _)) => status,
            Err(poisoned) => poisoned.into_inner().0,
        }
    }

    /// Lets settlements gather, unless somebody waits for them.
    fn gather(&self) {
        let waited =
            self.wake.wait_timeout_while(self.lock(), GATHER, |status| !status.hurry && !status.rebuild);
        match waited {
            Ok((mut status, _)) => status.hurry = false,
            Err(poisoned) => poisoned.into_inner().0.hurry = false,
        }
    }

    fn move_to(&self, status: &mut Status, seq: u64) {
        status.projected = if status.rebuild { 0 } else { seq };
        self.moved.notify_all();
    }
}

/// Books what becomes durable, until the journal stops.
pub(super) fn follow(mut projector: Projector, journal: &Journal, shared: &Shared) {
    loop {
        journal.synced_beyond(projector.seq(), RETRY);
        let last = journal.has_stopped();
        if !last {
            shared.gather();
        }
        let followed = step(&mut projector, journal, shared);
        let has_failed = followed.is_err();
        let mut status = shared.lock();
        if let Err(fault) = &followed
            && status.fault.as_ref() != Some(fault)
        {
            tracing::error!(%fault, "the ledger does not move on");
        }
        (status.fault, status.has_ended) = (followed.err(), last);
        shared.move_to(&mut status, projector.seq());
        drop(status);
        if last {
            return;
        }
        if has_failed {
            thread::sleep(RETRY);
        }
    }
}

/// Does what is wished, and books what is durable.
fn step(projector: &mut Projector, journal: &Journal, shared: &Shared) -> Result<(), LedgerFault> {
    let (rebuild, drop_before) = {
        let mut status = shared.lock();
        (std::mem::take(&mut status.rebuild), status.drop_before.take())
    };
    let mark = journal.synced_beyond(0, Duration::ZERO);
    if rebuild {
        projector.start_over()?;
    }
    if let Some(month) = drop_before {
        let dropped = projector.drop_records_before(month);
        shared.lock().dropped = Some(dropped);
        shared.moved.notify_all();
    }
    projector.catch_up(&mark, &mut |seq| shared.move_to(&mut shared.lock(), seq))
}
