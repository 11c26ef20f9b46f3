//! What becomes of queued entries: written, refused, synced, or lost from sight. Answers are collected under the lock
//! and given after it.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::Instant;

use tollgate_policy::entry::{Chain, Event, Resumed};

use super::{Answers, Batch, Gap, Mark, Queue, SidecarLine, Standing, Until};
use crate::fault::JournalFault;
use crate::journal::tail::{Disk, Tail};

impl Queue {
    /// Whether lines wait for a writer.
    pub(in crate::journal) fn has_pending(&self) -> bool {
        !self.pending.entries.is_empty()
    }

    /// Takes all lines that wait.
    pub(in crate::journal) fn take_batch(&mut self) -> Batch {
        self.write_began = Some(Instant::now());
        std::mem::replace(&mut self.pending, std::mem::take(&mut self.spare))
    }

    /// Books a batch that is in the file. Answers those who waited for that.
    pub(in crate::journal) fn publish(&mut self, mut batch: Batch, tail: &Tail) -> Answers {
        let mut answers = Answers::default();
        self.write_began = None;
        if let Some(fault) = self.stopped.as_ref().filter(|_| self.poisoned()) {
            // It is in the file, but a sync failed meanwhile: nobody knows whether it stays there.
            batch.entries.drain(..).for_each(|entry| answers.add(entry.slot, Err(fault.clone())));
            return answers;
        }
        self.written.segment = tail.segment;
        self.written.len = tail.file.len;
        for entry in batch.entries.drain(..) {
            (self.written.seq, self.written.hash) = (entry.seq, entry.hash);
            self.safe.since_checkpoint += 1;
            match &entry.event {
                Event::Settled(settled) => {
                    self.open.remove(&settled.admitted);
                }
                Event::Checkpoint(_) => {
                    self.safe.since_checkpoint = 0;
                    let line = batch.lines[entry.line].to_vec();
                    self.sidecar.push_back(SidecarLine { seq: entry.seq, line });
                }
                Event::Resumed(resumed) => self.book_resumption(resumed),
                _ => {}
            }
            match (entry.until, entry.slot) {
                (Until::Synced, Some(slot)) => self.awaiting_sync.push_back((entry.seq, slot)),
                (_, slot) => answers.add(slot, Ok(entry.seq)),
            }
        }
        self.safe.chain = Chain { next_seq: self.written.seq + 1, prev: self.written.hash };
        self.disk = Arc::clone(&tail.file.disk);
        self.dirty_since.get_or_insert_with(Instant::now);
        batch.lines.clear();
        self.spare = batch;
        answers
    }

    fn book_resumption(&mut self, resumed: &Resumed) {
        self.outage = None;
        self.probing = false;
        // What was refused while the record was on its way gets a record of its own.
        self.gap = self
            .gap
            .map(|gap| Gap { refused: gap.refused.saturating_sub(resumed.refused), ..gap })
            .filter(|gap| gap.refused > 0);
    }

    /// Takes a batch that the disk refused, and all that was chained to it, out of the chain again. Settlements wait
    /// for the disk to take entries again; whoever waits for another entry is told.
    pub(in crate::journal) fn roll_back(&mut self, batch: Batch, cause: &io::Error) -> Answers {
        let mut answers = Answers::default();
        let why: Arc<str> = cause.to_string().into();
        self.write_began = None;
        self.probing = false;
        self.ahead = self.safe;
        let queued = std::mem::take(&mut self.pending);
        let mut waiting = VecDeque::new();
        for entry in batch.entries.into_iter().chain(queued.entries) {
            let gap = self.gap.get_or_insert(Gap { since: entry.at, refused: 0 });
            match &entry.event {
                Event::Settled(settled) => {
                    self.open.insert(settled.admitted, Standing::Backlogged);
                    waiting.push_back(entry);
                    continue;
                }
                Event::Admitted(_) => {
                    self.open.remove(&entry.seq);
                    gap.refused += 1;
                }
                // The next one takes its place.
                Event::Checkpoint(_) | Event::Resumed(_) => {}
                _ => gap.refused += 1,
            }
            answers.add(entry.slot, Err(JournalFault::Unwritable { why: Arc::clone(&why) }));
        }
        waiting.append(&mut self.backlog);
        self.backlog = waiting;
        self.outage = Some(why);
        answers
    }

    /// Whether somebody waits for a sync.
    pub(in crate::journal) fn sync_awaited(&self) -> bool {
        !self.awaiting_sync.is_empty()
    }

    /// Begins a sync: what it will cover, and the file to sync.
    pub(in crate::journal) fn begin_sync(&mut self) -> (Mark, Arc<dyn Disk>) {
        self.syncing_since = self.dirty_since.take();
        (self.written, Arc::clone(&self.disk))
    }

    /// Books a sync that succeeded. Answers those who waited for it.
    pub(in crate::journal) fn end_sync(&mut self, mark: Mark) -> Answers {
        let mut answers = Answers::default();
        self.syncing_since = None;
        self.synced = mark;
        while let Some((seq, slot)) = self.awaiting_sync.pop_front() {
            if seq > mark.seq {
                self.awaiting_sync.push_front((seq, slot));
                break;
            }
            answers.add(Some(slot), Ok(seq));
        }
        answers
    }

    /// Stops for good: nobody knows what is on the disk. Everybody who waits is told.
    pub(in crate::journal) fn poison(&mut self, cause: &str) -> Answers {
        let mut answers = Answers::default();
        let fault = JournalFault::Poisoned { why: cause.into() };
        tracing::error!(cause, "the journal stopped for good");
        let queued = std::mem::take(&mut self.pending);
        for entry in queued.entries.into_iter().chain(self.backlog.drain(..)) {
            answers.add(entry.slot, Err(fault.clone()));
        }
        for (_, slot) in self.awaiting_sync.drain(..) {
            answers.add(Some(slot), Err(fault.clone()));
        }
        self.stopped = Some(fault);
        answers
    }

    /// Whether checkpoints may go to the sidecar now.
    pub(in crate::journal) fn has_sidecar_lines(&self) -> bool {
        self.sidecar.front().is_some_and(|line| line.seq <= self.synced.seq)
    }

    /// Takes the checkpoints that may go to the sidecar now.
    pub(in crate::journal) fn take_sidecar_lines(&mut self) -> Vec<SidecarLine> {
        let due = self.sidecar.iter().take_while(|line| line.seq <= self.synced.seq).count();
        self.sidecar.drain(..due).collect()
    }

    /// Puts back checkpoints that the sidecar did not take.
    pub(in crate::journal) fn return_sidecar_lines(&mut self, lines: Vec<SidecarLine>) {
        for line in lines.into_iter().rev() {
            self.sidecar.push_front(line);
        }
    }
}
