//! The journal: one hash-chained file of everything that happened, the truth that all else is a view of.
//!
//! An append puts its line into the chain at once, under a short lock, and hands it to the kernel: itself if nobody
//! writes at the moment, through whoever does otherwise (`writer`). A thread syncs what was written within
//! milliseconds (`keeper`). If the disk refuses, the chain is rolled back to what the file holds: admissions fail,
//! settlements wait in memory, and a probe every 100 ms finds out when the disk takes entries again. If a sync fails,
//! nothing is acknowledged any more, because nobody knows what is on the disk.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use tollgate_policy::entry::{Admitted, Event, Settled};
use tollgate_policy::unit::UnixMs;

use crate::fault::JournalFault;

pub(crate) mod append;
pub(crate) mod checkpoint;
pub(crate) mod keeper;
pub(crate) mod queue;
pub(crate) mod recovery;
pub(crate) mod segment;
pub(crate) mod tail;
#[cfg(test)]
mod tests;
pub(crate) mod writer;

pub use append::Append;

use queue::{Mark, Queue, Start, Until};
use tail::Appender;
use writer::{Pace, Shared};

/// The journal of one data folder.
pub struct Journal {
    shared: Arc<Shared>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

/// How the journal is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JournalState {
    /// Whether a new entry would be taken now.
    pub writable: bool,
    /// The last entry that the kernel has.
    pub written_seq: u64,
    /// The last entry that is durable.
    pub synced_seq: u64,
    /// Settlements that wait in memory for the disk to take entries again.
    pub backlog: usize,
    /// Admissions without a written settlement.
    pub open: usize,
    /// For how long the oldest written entry has waited to become durable, in milliseconds.
    pub unsynced_ms: u64,
    /// A sync failed; only a restart helps.
    pub poisoned: bool,
}

impl Journal {
    /// Begins with the events given, and a checkpoint; waits until they are synced.
    ///
    /// # Errors
    /// [`JournalFault`] when the disk refuses them; the outer error when threads cannot be started.
    pub(crate) fn start(
        start: Start,
        pace: Pace,
        sidecar: Appender,
        now: UnixMs,
        events: Vec<Event>,
    ) -> io::Result<Result<Self, JournalFault>> {
        let shared = Arc::new(Shared::new(Queue::new(start), pace));
        let threads = Mutex::new(keeper::start(&shared, sidecar)?);
        let journal = Self { shared, threads };
        let (append, slot) = Append::waiting();
        let mut queue = journal.shared.lock();
        let mut queued = Ok(());
        for event in events {
            queued = queued.and_then(|()| queue.push_own(now, event));
        }
        writer::refuse(&slot, queued.and_then(|()| queue.push_checkpoint(now, Some(Arc::clone(&slot)))));
        journal.shared.write_queued(queue);
        Ok(append.wait().map(|_| journal))
    }

    /// Records that a request may go upstream. Resolves to the sequence number that [`Self::settle`] names.
    ///
    /// Whoever gives up waiting must still settle it, because the entry may be written all the same.
    ///
    /// # Errors
    /// The future resolves to [`JournalFault`]: then the request must not go upstream.
    pub fn admit(&self, now: UnixMs, admitted: Admitted) -> Append {
        self.push_new(now, Event::Admitted(admitted), None)
    }

    /// Records how a request ended. If the disk refuses, the settlement is kept and written as soon as it can be; the
    /// future waits for that.
    ///
    /// # Errors
    /// The future resolves to [`JournalFault::NotOpen`] when the admission is not open, [`JournalFault::Poisoned`] or
    /// [`JournalFault::Closed`] when nothing is written any more; the next start then closes the admission as unknown.
    pub fn settle(&self, now: UnixMs, settled: Settled) -> Append {
        let (append, slot) = Append::waiting();
        let mut queue = self.shared.lock();
        writer::refuse(&slot, queue.push_settled(now, settled, Arc::clone(&slot)));
        self.shared.write_queued(queue);
        append
    }

    /// Records a denial, a configuration that came into force, or a threshold that was passed.
    ///
    /// # Errors
    /// The future resolves to [`JournalFault`]; [`JournalFault::NotAppendable`] for events that have a call of their
    /// own or belong to the store.
    pub fn append(&self, now: UnixMs, event: Event) -> Append {
        match event {
            Event::Denied(_) | Event::ConfigApplied(_) | Event::ThresholdPassed(_) => {
                self.push_new(now, event, None)
            }
            _ => Append::refused(JournalFault::NotAppendable),
        }
    }

    /// How the journal is at this moment.
    #[must_use]
    pub fn state(&self) -> JournalState {
        self.shared.lock().state()
    }

    /// Appends an event of the store. Resolves once it is durable, whatever the durability in force.
    pub(crate) fn append_synced(&self, now: UnixMs, event: Event) -> Append {
        self.push_new(now, event, Some(Until::Synced))
    }

    fn push_new(&self, now: UnixMs, event: Event, until: Option<Until>) -> Append {
        let (append, slot) = Append::waiting();
        let mut queue = self.shared.lock();
        let until = until.unwrap_or_else(|| queue.until());
        writer::refuse(&slot, queue.push_new(now, event, until, Arc::clone(&slot)));
        self.shared.write_queued(queue);
        append
    }

    /// The last durable place. Waits for one after the entry `seq`, at most as long as given.
    pub(crate) fn synced_beyond(&self, seq: u64, patience: Duration) -> Mark {
        let queue = self.shared.lock();
        let waited = self
            .shared
            .synced_wake
            .wait_timeout_while(queue, patience, |queue| queue.synced.seq <= seq && !queue.quit);
        match waited {
            Ok((queue, _)) => queue.synced,
            Err(poisoned) => poisoned.into_inner().0.synced,
        }
    }

    /// Whether the journal takes and syncs nothing more.
    pub(crate) fn has_stopped(&self) -> bool {
        self.shared.lock().quit
    }

    /// The last entry that is in the chain, written or about to be.
    pub(crate) fn chained_seq(&self) -> u64 {
        self.shared.lock().chained_seq()
    }

    /// The last entry that the kernel has, and the admissions without a written settlement at that moment, oldest first.
    pub(crate) fn open_admissions(&self) -> (u64, Vec<u64>) {
        self.shared.lock().open_admissions()
    }

    /// The last entry that the kernel has.
    pub(crate) fn written_seq(&self) -> u64 {
        self.shared.lock().written.seq
    }

    /// Records the end in good order, makes everything durable and takes no more entries.
    ///
    /// # Errors
    /// [`JournalFault`] when the end could not be recorded; the next start then recovers.
    pub(crate) fn close(&self, now: UnixMs) -> Result<(), JournalFault> {
        let (append, slot) = Append::waiting();
        let mut queue = self.shared.lock();
        let refusal = queue.stopped.clone().or_else(|| queue.outage());
        let queued = refusal
            .map_or(Ok(()), Err)
            .and_then(|()| queue.push_own(now, Event::Closed))
            .and_then(|()| queue.push_checkpoint(now, Some(Arc::clone(&slot))));
        // Nothing comes after the end, not even what is on its way here.
        queue.stopped.get_or_insert(JournalFault::Closed);
        writer::refuse(&slot, queued);
        self.shared.write_queued(queue);
        let closed = append.wait().map(|_| ());
        self.stop();
        closed
    }

    /// Takes no more entries, ends the background threads and lets go of the folder. What was written stays; nothing
    /// more is synced or signed.
    pub(crate) fn stop(&self) {
        let mut queue = self.shared.lock();
        queue.stopped.get_or_insert(JournalFault::Closed);
        queue.quit = true;
        drop(queue);
        self.shared.sync_wake.notify_all();
        self.shared.keep_wake.notify_all();
        self.shared.synced_wake.notify_all();
        let threads = std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        for thread in threads {
            // A thread that panicked has poisoned the journal already.
            let _ = thread.join();
        }
        let mut queue = self.shared.lock();
        (queue.tail, queue.relay) = (None, None);
    }
}

/// Also when a store fails to open after its journal: nobody may go on holding the folder.
impl Drop for Journal {
    fn drop(&mut self) {
        self.stop();
    }
}

impl std::fmt::Debug for Journal {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_tuple("Journal").field(&self.state()).finish()
    }
}
