//! Writing: whoever brings the first line while nobody writes becomes the writer, also for those who come meanwhile.
//!
//! So one entry costs one write and no change of threads when traffic is light, and many entries share one write
//! when it is heavy.

use std::sync::{Condvar, Mutex, MutexGuard};
use std::time::Duration;

use super::append::Slot;
use super::queue::{Queue, Rest};
use super::tail::{Tail, WriteFault};

/// How many batches a writer takes before the keeper relieves it: it has a request of its own to get on with.
const ROUNDS_MAX: usize = 8;

/// What appends, the background threads and the readers of the journal share.
pub(super) struct Shared {
    queue: Mutex<Queue>,
    /// Wakes the syncer.
    pub(super) sync_wake: Condvar,
    /// Wakes the keeper.
    pub(super) keep_wake: Condvar,
    /// Wakes those who follow the synced end.
    pub(super) synced_wake: Condvar,
    pub(super) pace: Pace,
}

/// How often things are done.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    /// How long written entries wait for others to share a sync with, in group durability.
    pub(crate) sync: Duration,
    /// The longest time between an entry and the checkpoint that covers it.
    pub(crate) checkpoint: Duration,
    /// How long to wait before a disk that refused is tried again.
    pub(crate) retry: Duration,
}

impl Shared {
    pub(super) fn new(queue: Queue, pace: Pace) -> Self {
        Self {
            queue: Mutex::new(queue),
            sync_wake: Condvar::new(),
            keep_wake: Condvar::new(),
            synced_wake: Condvar::new(),
            pace,
        }
    }

    /// The state. If a thread panicked while it held it, the bookkeeping cannot be trusted: the journal stops.
    pub(super) fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(|poisoned| {
            self.queue.clear_poison();
            let mut queue = poisoned.into_inner();
            queue.poison("a thread panicked while it held the journal").give();
            queue
        })
    }

    /// Writes what is queued, unless somebody else is at it, who then writes this too.
    pub(super) fn write_queued(&self, mut queue: MutexGuard<'_, Queue>) {
        if queue.has_pending()
            && let Some(tail) = queue.tail.take()
        {
            self.write(queue, tail);
        }
    }

    /// Writes until nothing is queued or it is time to be relieved.
    pub(super) fn write<'a>(&'a self, queue: MutexGuard<'a, Queue>, tail: Tail) {
        let mut turn = Turn { shared: self, tail: Some(tail) };
        // Declared after the turn, so that the lock is free when a turn ends by a panic.
        let mut queue = queue;
        for _ in 0..ROUNDS_MAX {
            let Some(tail) = turn.tail.as_mut().filter(|_| queue.has_pending()) else {
                queue.tail = turn.tail.take().filter(|_| !queue.quit);
                return;
            };
            let batch = queue.take_batch();
            drop(queue);
            let written = tail.append(batch.first_seq(), &batch.lines);
            queue = self.lock();
            let answers = match written {
                Ok(()) => queue.publish(batch, tail),
                Err(WriteFault::Refused(cause)) => queue.roll_back(batch, &cause),
                Err(WriteFault::Unknown(cause)) => {
                    let answers = queue.poison(&cause.to_string());
                    answers.and(queue.publish(batch, tail))
                }
            };
            self.wake_background(&queue);
            drop(queue);
            answers.give();
            queue = self.lock();
        }
        queue.relay = turn.tail.take();
        if queue.keeper != Rest::Busy {
            self.keep_wake.notify_one();
        }
    }

    fn wake_background(&self, queue: &Queue) {
        if queue.syncer == Rest::Idle || (queue.syncer == Rest::Timed && queue.sync_awaited()) {
            self.sync_wake.notify_one();
        }
        if queue.keeper == Rest::Idle {
            self.keep_wake.notify_one();
        }
    }
}

/// One thread's turn to write. If it ends by a panic, nobody else could write ever after: then the journal stops,
/// instead of taking entries that nobody writes.
struct Turn<'a> {
    shared: &'a Shared,
    tail: Option<Tail>,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        if self.tail.is_some() {
            self.shared.lock().poison("the thread that wrote panicked").give();
        }
    }
}

/// Answers an append that did not even get into the queue.
pub(super) fn refuse(slot: &Slot, refused: Result<(), crate::fault::JournalFault>) {
    if let Err(fault) = refused {
        slot.resolve(Err(fault));
    }
}
