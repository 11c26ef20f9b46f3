//! Reading the journal at start: where it ends, what a crash tore off, and which requests it left open.
//!
//! Only the end is read: from the last checkpoint on every line is checked, and before it lines are only glanced at
//! as far back as the oldest open admission. Checking everything is the work of [`crate::audit`].
//!
//! What is lost and what is torn must not be confused. A crash can leave half a line at the very end. A power cut can
//! also leave zeros where un-synced data was. Anything else that is wrong was not caused by a crash: nothing is
//! repaired then, and the store does not open.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::{self, Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use tollgate_policy::entry::{Admitted, BadLine, Chain, Entry, Event, Hash, read_line};
use tollgate_policy::id::InstanceId;
use tollgate_policy::unit::UnixMs;

use super::checkpoint::PublicKey;
use super::segment::{self, End, Line, Lines};
use crate::fault::StoreFault;
use crate::folder::sync_folder;

#[cfg(test)]
mod tests;

/// Something that saw an entry safely on disk.
#[derive(Debug, Clone)]
pub(crate) struct Witness {
    /// The entry.
    pub(crate) seq: u64,
    /// Its hash.
    pub(crate) hash: Hash,
    /// The file that remembers.
    pub(crate) file: PathBuf,
}

/// An admission that no settlement answers.
#[derive(Debug)]
pub(crate) struct OpenAdmission {
    pub(crate) seq: u64,
    pub(crate) at: UnixMs,
    pub(crate) admitted: Admitted,
}

/// What the journal holds.
#[derive(Debug)]
pub(crate) struct Recovered {
    /// The chain after the last good entry.
    pub(crate) chain: Chain,
    /// The last segment, by its first entry.
    pub(crate) segment: u64,
    /// The good bytes in it.
    pub(crate) len: u64,
    /// How many entries stand after the last checkpoint.
    pub(crate) since_checkpoint: u64,
    /// Whether there is a checkpoint in it.
    pub(crate) has_checkpoint: bool,
    /// How many bytes a crash left after the last good entry; now in a file of their own.
    pub(crate) torn_bytes: u64,
    /// The admissions without a settlement, oldest first.
    pub(crate) open: Vec<OpenAdmission>,
    /// The instance that began the journal.
    pub(crate) instance: Option<InstanceId>,
}

/// Reads the end of the journal and cuts off what a crash tore.
///
/// # Errors
/// [`StoreFault::Damaged`], [`StoreFault::Lost`], [`StoreFault::Newer`], [`StoreFault::Io`]. Nothing was changed
/// then.
pub(crate) fn recover(
    folder: &Path,
    public: &PublicKey,
    witnesses: &[Witness],
) -> Result<Recovered, StoreFault> {
    let segments = segment::list(folder).map_err(StoreFault::io("list", folder))?;
    let mut scan = Scan {
        folder,
        witnesses,
        chain: Chain::new(),
        since_checkpoint: 0,
        open: BTreeMap::new(),
        segment: 1,
        line: 0,
    };
    let found = last_checkpoint(folder, &segments)?;
    if let Some(found) = &found {
        scan.begin_at(found, public)?;
        scan.glance_at_open(&segments, found)?;
    }
    let (len, torn) = scan.read_to_end(&segments, found.as_ref())?;
    let chain = scan.chain;
    if let Some(witness) = witnesses.iter().find(|witness| witness.seq >= chain.next_seq) {
        let (found, expected) = (chain.next_seq - 1, witness.seq);
        return Err(StoreFault::Lost { found, expected, witness: witness.file.clone() });
    }
    let open = scan.open_admissions()?;
    let torn_bytes = if torn { cut(folder, scan.segment, len, chain.next_seq)? } else { 0 };
    Ok(Recovered {
        chain,
        segment: scan.segment,
        len,
        since_checkpoint: scan.since_checkpoint,
        has_checkpoint: found.is_some(),
        torn_bytes,
        open,
        instance: segments.first().and_then(|first| instance(&segment::path(folder, *first))),
    })
}

/// Where the last checkpoint stands.
struct Found {
    entry: Entry,
    /// The segment, by its place in the list.
    index: usize,
    /// The segment, by its first entry.
    segment: u64,
    offset: u64,
    line: u64,
}

/// Looks for the last checkpoint, from the last segment backwards. What stands after it is checked later.
fn last_checkpoint(folder: &Path, segments: &[u64]) -> Result<Option<Found>, StoreFault> {
    for (index, segment) in segments.iter().copied().enumerate().rev() {
        let path = segment::path(folder, segment);
        let mut lines = Lines::open(&path).map_err(StoreFault::io("open", &path))?;
        let mut last = None;
        while let Some(line) = lines.next().map_err(StoreFault::io("read", &path))? {
            let whole = Some(line).filter(|line| line.end == End::Newline);
            let Some(glance) = whole.and_then(|line| segment::glance(line.bytes)) else { break };
            if glance.kind == b"checkpoint" {
                let Ok(entry) = read_line(line.bytes) else { break };
                last = Some(Found { entry, index, segment, offset: line.offset, line: line.number });
            }
        }
        if last.is_some() {
            return Ok(last);
        }
    }
    Ok(None)
}

/// The instance that the first line of a journal names.
fn instance(path: &Path) -> Option<InstanceId> {
    let mut lines = Lines::open(path).ok()?;
    let line = lines.next().ok()??;
    match read_line(line.bytes).ok()?.event {
        Event::Opened(opened) => Some(opened.instance),
        _ => None,
    }
}

/// Why a line is not taken.
enum Bad {
    /// It is not an entry; perhaps it is torn.
    Line(StoreFault),
    /// It is an entry that does not belong here.
    Entry(StoreFault),
}

struct Scan<'a> {
    folder: &'a Path,
    witnesses: &'a [Witness],
    chain: Chain,
    since_checkpoint: u64,
    /// The lines of admissions without a settlement.
    open: BTreeMap<u64, Vec<u8>>,
    /// The segment being read, by its first entry.
    segment: u64,
    /// The line being read in it.
    line: u64,
}

impl Scan<'_> {
    /// Takes a signed checkpoint as the place to begin.
    fn begin_at(&mut self, found: &Found, public: &PublicKey) -> Result<(), StoreFault> {
        let link = found.entry.link;
        (self.segment, self.line) = (found.segment, found.line);
        self.chain = Chain { next_seq: link.seq, prev: link.prev };
        match &found.entry.event {
            Event::Checkpoint(checkpoint) if !public.verifies(checkpoint) => {
                Err(self.damaged("its signature is not by the key of this folder"))
            }
            Event::Checkpoint(checkpoint)
                if checkpoint.head_seq.checked_add(1) != Some(link.seq) || checkpoint.head != link.prev =>
            {
                Err(self.damaged("it signs another entry than the one before it"))
            }
            _ => Ok(()),
        }
    }

    /// Collects what was open at the checkpoint.
    fn glance_at_open(&mut self, segments: &[u64], found: &Found) -> Result<(), StoreFault> {
        let Event::Checkpoint(checkpoint) = &found.entry.event else { return Ok(()) };
        let Some(oldest) = checkpoint.oldest_open else { return Ok(()) };
        let from = segments.partition_point(|first_seq| *first_seq <= oldest).saturating_sub(1);
        for (index, segment) in segments.iter().copied().enumerate().take(found.index + 1).skip(from) {
            let path = segment::path(self.folder, segment);
            let end = if index == found.index { found.offset } else { u64::MAX };
            let mut lines = Lines::range(&path, 0, end).map_err(StoreFault::io("open", &path))?;
            while let Some(line) = lines.next().map_err(StoreFault::io("read", &path))? {
                (self.segment, self.line) = (segment, line.number);
                let glance = segment::glance(line.bytes).ok_or_else(|| self.damaged("it is not an entry"))?;
                if glance.seq >= oldest {
                    self.book(glance.seq, glance.kind, line.bytes);
                }
            }
        }
        Ok(())
    }

    /// Checks every line from the checkpoint, or from the beginning. Gives the good length of the last segment, and
    /// whether something torn follows.
    fn read_to_end(&mut self, segments: &[u64], found: Option<&Found>) -> Result<(u64, bool), StoreFault> {
        let begin = found.map_or(0, |found| found.index);
        let mut good = 0;
        for (index, segment) in segments.iter().copied().enumerate().skip(begin) {
            (self.segment, self.line) = (segment, 0);
            let mut skipped = 0;
            good = 0;
            match found.filter(|found| found.index == index) {
                Some(found) => (good, skipped) = (found.offset, found.line - 1),
                None if segment != self.chain.next_seq => {
                    return Err(self.damaged(&format!("the segment begins with entry {segment}")));
                }
                None => {}
            }
            let path = segment::path(self.folder, segment);
            let mut lines = Lines::range(&path, good, u64::MAX).map_err(StoreFault::io("open", &path))?;
            while let Some(line) = lines.next().map_err(StoreFault::io("read", &path))? {
                self.line = skipped + line.number;
                let next = line.next_offset();
                let torn = line.end == End::File || line.bytes.contains(&0);
                match self.take(line) {
                    Ok(()) => good = next,
                    Err(Bad::Entry(fault)) => return Err(fault),
                    Err(Bad::Line(fault)) => {
                        let last = index + 1 == segments.len();
                        let torn = torn || lines.next().map_err(StoreFault::io("read", &path))?.is_none();
                        let seen = self.witnesses.iter().any(|witness| witness.seq >= self.chain.next_seq);
                        return if last && torn && !seen { Ok((good, true)) } else { Err(fault) };
                    }
                }
            }
        }
        Ok((good, false))
    }

    fn take(&mut self, line: Line<'_>) -> Result<(), Bad> {
        if line.end != End::Newline {
            return Err(Bad::Line(self.damaged("the line has no end")));
        }
        let entry = match read_line(line.bytes) {
            Ok(entry) => entry,
            Err(BadLine::UnknownKind(kind)) => return Err(Bad::Entry(self.newer(kind))),
            Err(bad) => return Err(Bad::Line(self.damaged(&format!("the line {bad}")))),
        };
        self.chain.follow(&entry).map_err(|found| Bad::Entry(self.damaged(&found.to_string())))?;
        let link = entry.link;
        let differs = |witness: &&Witness| witness.seq == link.seq && witness.hash != link.hash;
        if let Some(witness) = self.witnesses.iter().find(differs) {
            let why = format!("{} saw another entry here", witness.file.display());
            return Err(Bad::Entry(self.damaged(&why)));
        }
        self.since_checkpoint += 1;
        if matches!(entry.event, Event::Checkpoint(_)) {
            self.since_checkpoint = 0;
        }
        self.book(link.seq, entry.event.kind().as_bytes(), line.bytes);
        Ok(())
    }

    fn book(&mut self, seq: u64, kind: &[u8], line: &[u8]) {
        match kind {
            b"admitted" => {
                self.open.insert(seq, line.to_vec());
            }
            b"settled" => {
                if let Some(admitted) = segment::settled_admission(line) {
                    self.open.remove(&admitted);
                }
            }
            _ => {}
        }
    }

    fn open_admissions(&mut self) -> Result<Vec<OpenAdmission>, StoreFault> {
        let mut open = Vec::new();
        for (seq, line) in std::mem::take(&mut self.open) {
            match read_line(&line).map(|entry| (entry.link.at, entry.event)) {
                Ok((at, Event::Admitted(admitted))) => open.push(OpenAdmission { seq, at, admitted }),
                other => {
                    let why = format!("the open admission {seq} does not read as one: {other:?}");
                    return Err(self.damaged(&why));
                }
            }
        }
        Ok(open)
    }

    fn damaged(&self, why: &str) -> StoreFault {
        let segment = segment::path(self.folder, self.segment);
        StoreFault::Damaged { segment, line: self.line, seq: self.chain.next_seq, why: why.to_owned() }
    }

    fn newer(&self, kind: String) -> StoreFault {
        StoreFault::Newer { segment: segment::path(self.folder, self.segment), line: self.line, kind }
    }
}

/// Moves everything after the good bytes of a segment to a file beside it, durably, and says how much that was.
fn cut(folder: &Path, segment: u64, good: u64, next_seq: u64) -> Result<u64, StoreFault> {
    let path = segment::path(folder, segment);
    let aside = folder.join(format!("torn-{next_seq}"));
    let mut file =
        OpenOptions::new().read(true).write(true).open(&path).map_err(StoreFault::io("open", &path))?;
    file.seek(SeekFrom::Start(good)).map_err(StoreFault::io("read", &path))?;
    // Appended: if the same place is torn twice, both pieces are kept.
    let torn_bytes = OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .open(&aside)
        .and_then(|mut kept| {
            let copied = io::copy(&mut file, &mut kept)?;
            kept.sync_all()?;
            sync_folder(folder)?;
            Ok(copied)
        })
        .map_err(StoreFault::io("write", &aside))?;
    file.set_len(good).and_then(|()| file.sync_all()).map_err(StoreFault::io("cut", &path))?;
    tracing::warn!(torn_bytes, next_seq, kept = %aside.display(), "cut a torn end off the journal");
    Ok(torn_bytes)
}
