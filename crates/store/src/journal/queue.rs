//! The state behind the journal's lock: the chain, what waits to be written, and what is undone when it cannot be.
//!
//! Everything here is bookkeeping in memory. Files are touched without the lock, in [`super::writer`] and
//! [`super::keeper`].

use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tollgate_policy::entry::{
    Chain, Checkpoint, Durability, Event, Hash, LINE_BYTES_MAX, Resumed, Settled, write_line,
};
use tollgate_policy::id::InstanceId;
use tollgate_policy::unit::UnixMs;

use super::append::Slot;
use super::checkpoint::{ENTRIES_MAX, Signer};
use super::tail::{Disk, Tail};
use crate::fault::JournalFault;

mod booking;

/// How long the disk may keep an entry waiting before new ones are refused.
const STUCK_AFTER: Duration = Duration::from_secs(2);

/// A place in the journal: after the entry `seq`, which ends at byte `len` of the segment that begins with entry
/// `segment`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Mark {
    pub(crate) seq: u64,
    pub(crate) hash: Hash,
    pub(crate) segment: u64,
    pub(crate) len: u64,
}

/// How far an entry must get before its append resolves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Until {
    Written,
    Synced,
}

/// Where an admission that has no written settlement stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// The request runs.
    Running,
    /// Its settlement is in the chain, and not yet known to be in the file.
    Queued,
    /// Its settlement waits for the disk to take entries again.
    Backlogged,
}

/// One entry that is in the chain but not known to be in the file, or a settlement that waits to be chained.
struct Queued {
    seq: u64,
    hash: Hash,
    at: UnixMs,
    until: Until,
    slot: Option<Arc<Slot>>,
    /// Kept to be undone, or written again.
    event: Event,
    /// Where its line stands in the batch.
    line: Range<usize>,
}

impl Queued {
    fn new(at: UnixMs, event: Event, until: Until, slot: Option<Arc<Slot>>) -> Self {
        Self { seq: 0, hash: Hash::from_bytes([0; 32]), at, until, slot, event, line: 0..0 }
    }
}

/// Lines that one writer takes to the file in one go.
#[derive(Default)]
pub(super) struct Batch {
    pub(super) lines: Vec<u8>,
    entries: Vec<Queued>,
}

impl Batch {
    /// The number of its first entry.
    pub(super) fn first_seq(&self) -> u64 {
        self.entries.first().map_or(0, |entry| entry.seq)
    }
}

/// Results to be given once the lock is free.
#[derive(Default)]
#[must_use]
pub(super) struct Answers(Vec<(Arc<Slot>, Result<u64, JournalFault>)>);

impl Answers {
    pub(super) fn give(self) {
        for (slot, result) in self.0 {
            slot.resolve(result);
        }
    }

    pub(super) fn and(mut self, more: Self) -> Self {
        self.0.extend(more.0);
        self
    }

    fn add(&mut self, slot: Option<Arc<Slot>>, result: Result<u64, JournalFault>) {
        self.0.extend(slot.map(|slot| (slot, result)));
    }
}

/// A checkpoint's line, due in the sidecar once the entry is synced.
pub(super) struct SidecarLine {
    pub(super) seq: u64,
    pub(super) line: Vec<u8>,
}

/// The chain after some entry.
#[derive(Debug, Clone, Copy)]
struct Progress {
    chain: Chain,
    since_checkpoint: u64,
}

/// A time in which entries were refused, to be recorded when it is over.
#[derive(Debug, Clone, Copy)]
struct Gap {
    since: UnixMs,
    refused: u64,
}

/// What a background thread does, so that it is only woken when that helps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rest {
    /// Works, and looks again before it sleeps.
    Busy,
    /// Sleeps for a stated time.
    Timed,
    /// Sleeps until it is woken.
    Idle,
}

/// The state behind the lock.
pub(super) struct Queue {
    signer: Arc<Signer>,
    instance: InstanceId,
    durability: Durability,
    /// After the last entry of `pending`.
    ahead: Progress,
    pending: Batch,
    /// The buffers of an earlier batch, to be used again.
    spare: Batch,
    /// The right to write. Absent while somebody writes.
    pub(super) tail: Option<Tail>,
    /// The right to write, left to the keeper by a writer that has worked for others long enough.
    pub(super) relay: Option<Tail>,
    write_began: Option<Instant>,
    /// After the last written entry.
    safe: Progress,
    pub(super) written: Mark,
    pub(super) synced: Mark,
    /// The file that holds the last written entry.
    disk: Arc<dyn Disk>,
    pub(super) dirty_since: Option<Instant>,
    syncing_since: Option<Instant>,
    awaiting_sync: VecDeque<(u64, Arc<Slot>)>,
    open: BTreeMap<u64, Standing>,
    /// Settlements that wait for the disk to take entries again.
    backlog: VecDeque<Queued>,
    /// What the disk said when it last refused entries, until it takes them again.
    outage: Option<Arc<str>>,
    gap: Option<Gap>,
    /// A batch is on its way that ends the outage if it is written.
    probing: bool,
    /// Why nothing is appended any more.
    pub(super) stopped: Option<JournalFault>,
    sidecar: VecDeque<SidecarLine>,
    pub(super) syncer: Rest,
    pub(super) keeper: Rest,
    /// The background threads are to end.
    pub(super) quit: bool,
}

/// What a queue starts from.
pub(crate) struct Start {
    pub(crate) signer: Arc<Signer>,
    pub(crate) instance: InstanceId,
    pub(crate) durability: Durability,
    pub(crate) chain: Chain,
    pub(crate) since_checkpoint: u64,
    pub(crate) tail: Tail,
    /// Sequence numbers of the admissions that have no settlement.
    pub(crate) open: Vec<u64>,
}

impl Queue {
    /// The last entry in the chain.
    pub(super) fn chained_seq(&self) -> u64 {
        self.ahead.chain.next_seq - 1
    }

    pub(super) fn new(start: Start) -> Self {
        let safe = Progress { chain: start.chain, since_checkpoint: start.since_checkpoint };
        let mark = Mark {
            seq: start.chain.next_seq - 1,
            hash: start.chain.prev,
            segment: start.tail.segment,
            len: start.tail.file.len,
        };
        Self {
            signer: start.signer,
            instance: start.instance,
            durability: start.durability,
            ahead: safe,
            pending: Batch::default(),
            spare: Batch::default(),
            disk: Arc::clone(&start.tail.file.disk),
            tail: Some(start.tail),
            relay: None,
            write_began: None,
            safe,
            written: mark,
            synced: mark,
            dirty_since: None,
            syncing_since: None,
            awaiting_sync: VecDeque::new(),
            open: start.open.into_iter().map(|seq| (seq, Standing::Running)).collect(),
            backlog: VecDeque::new(),
            outage: None,
            gap: None,
            probing: false,
            stopped: None,
            sidecar: VecDeque::new(),
            syncer: Rest::Busy,
            keeper: Rest::Busy,
            quit: false,
        }
    }

    /// How far an entry must get by the durability in force.
    pub(super) fn until(&self) -> Until {
        match self.durability {
            Durability::Group => Until::Written,
            Durability::Strict => Until::Synced,
        }
    }

    /// Queues an entry that may be refused.
    pub(super) fn push_new(
        &mut self,
        at: UnixMs,
        event: Event,
        until: Until,
        slot: Arc<Slot>,
    ) -> Result<(), JournalFault> {
        match self.refusal() {
            None => self.push(Queued::new(at, event, until, Some(slot))),
            Some(fault) => {
                self.gap.get_or_insert(Gap { since: at, refused: 0 }).refused += 1;
                Err(fault)
            }
        }
    }

    /// Queues a settlement, or keeps it until the disk takes entries again.
    pub(super) fn push_settled(
        &mut self,
        at: UnixMs,
        settled: Settled,
        slot: Arc<Slot>,
    ) -> Result<(), JournalFault> {
        let admitted = settled.admitted;
        if let Some(fault) = &self.stopped {
            return Err(fault.clone());
        }
        if self.open.get(&admitted) != Some(&Standing::Running) {
            return Err(JournalFault::NotOpen { admitted });
        }
        let entry = Queued::new(at, Event::Settled(settled), self.until(), Some(slot));
        if self.outage.is_some() && !self.probing {
            self.open.insert(admitted, Standing::Backlogged);
            self.backlog.push_back(entry);
            return Ok(());
        }
        self.push(entry)
    }

    /// Queues an entry of the journal's own.
    pub(super) fn push_own(&mut self, at: UnixMs, event: Event) -> Result<(), JournalFault> {
        self.push(Queued::new(at, event, Until::Written, None))
    }

    /// Queues a signed head of the chain. With a slot, that learns when it is synced.
    pub(super) fn push_checkpoint(
        &mut self,
        at: UnixMs,
        slot: Option<Arc<Slot>>,
    ) -> Result<(), JournalFault> {
        let checkpoint = self.signer.sign(Checkpoint {
            instance: self.instance,
            head_seq: self.ahead.chain.next_seq - 1,
            head: self.ahead.chain.prev,
            at,
            durability: self.durability,
            oldest_open: self.oldest_open(),
            key: String::new(),
            signature: String::new(),
        });
        self.chain(Queued::new(at, Event::Checkpoint(checkpoint), Until::Synced, slot))
    }

    /// Queues what ends a gap: its record, and the settlements that waited. Whether there is something to write.
    pub(super) fn push_resumption(&mut self, at: UnixMs) -> bool {
        let Some(gap) = self.gap.filter(|_| self.outage.is_some() || self.refusal().is_none()) else {
            return false;
        };
        self.probing = self.outage.is_some();
        let resumed = Event::Resumed(Resumed { since: gap.since, refused: gap.refused });
        if self.push_own(at, resumed).is_err() {
            return false;
        }
        for entry in std::mem::take(&mut self.backlog) {
            let slot = entry.slot.clone();
            if let (Err(fault), Some(slot)) = (self.push(entry), slot) {
                slot.resolve(Err(fault));
            }
        }
        true
    }

    fn push(&mut self, entry: Queued) -> Result<(), JournalFault> {
        if self.ahead.since_checkpoint >= ENTRIES_MAX {
            self.push_checkpoint(entry.at, None)?;
        }
        self.chain(entry)
    }

    /// Gives the entry its place in the chain and its line.
    fn chain(&mut self, mut entry: Queued) -> Result<(), JournalFault> {
        let Chain { next_seq: seq, prev } = self.ahead.chain;
        let lines = &mut self.pending.lines;
        let start = lines.len();
        let hash = write_line(lines, seq, entry.at, &prev, &entry.event);
        let bytes = lines.len() - start;
        if bytes > LINE_BYTES_MAX {
            lines.truncate(start);
            return Err(JournalFault::TooLong { bytes, max: LINE_BYTES_MAX });
        }
        (entry.seq, entry.hash, entry.line) = (seq, hash, start..start + bytes);
        self.ahead.chain = Chain { next_seq: seq + 1, prev: hash };
        self.ahead.since_checkpoint += 1;
        match &entry.event {
            Event::Admitted(_) => {
                self.open.insert(seq, Standing::Running);
            }
            Event::Settled(settled) => {
                self.open.insert(settled.admitted, Standing::Queued);
            }
            Event::Checkpoint(_) => self.ahead.since_checkpoint = 0,
            _ => {}
        }
        self.pending.entries.push(entry);
        Ok(())
    }

    /// Why a new entry is refused at once, if it is.
    fn refusal(&self) -> Option<JournalFault> {
        if self.stopped.is_some() {
            return self.stopped.clone();
        }
        if let Some(why) = self.outage.as_ref().filter(|_| !self.probing) {
            return Some(JournalFault::Unwritable { why: Arc::clone(why) });
        }
        let waits = self.unsynced_since().into_iter().chain(self.write_began).min()?.elapsed();
        (waits > STUCK_AFTER).then(|| JournalFault::Stuck { ms: whole_ms(waits) })
    }

    /// The oldest admission whose settlement is not in the chain.
    fn oldest_open(&self) -> Option<u64> {
        self.open.iter().find(|(_, standing)| **standing != Standing::Queued).map(|(seq, _)| *seq)
    }

    /// The last written entry, and the admissions without a written settlement.
    pub(super) fn open_admissions(&self) -> (u64, Vec<u64>) {
        (self.written.seq, self.open.keys().copied().collect())
    }

    /// Whether a checkpoint would cover something new.
    pub(super) fn checkpoint_useful(&self) -> bool {
        self.ahead.since_checkpoint > 0 && self.outage.is_none()
    }

    /// Whether a gap waits to be ended.
    pub(super) fn has_gap(&self) -> bool {
        self.gap.is_some()
    }

    /// Whether nobody knows what is on the disk.
    pub(super) fn poisoned(&self) -> bool {
        matches!(self.stopped, Some(JournalFault::Poisoned { .. }))
    }

    /// Why the last batch was refused, while that stands.
    pub(super) fn outage(&self) -> Option<JournalFault> {
        self.outage.as_ref().map(|why| JournalFault::Unwritable { why: Arc::clone(why) })
    }

    /// Since when written entries have waited for a sync.
    fn unsynced_since(&self) -> Option<Instant> {
        self.syncing_since.into_iter().chain(self.dirty_since).min()
    }

    /// What the outside may know.
    pub(super) fn state(&self) -> super::JournalState {
        super::JournalState {
            writable: self.refusal().is_none(),
            written_seq: self.written.seq,
            synced_seq: self.synced.seq,
            backlog: self.backlog.len(),
            open: self.open.len(),
            unsynced_ms: self.unsynced_since().map_or(0, |since| whole_ms(since.elapsed())),
            poisoned: self.poisoned(),
        }
    }
}

fn whole_ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
