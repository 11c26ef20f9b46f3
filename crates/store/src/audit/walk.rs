//! The walk along the chain.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use tollgate_policy::entry::{
    BadLine, Break, Chain, Event, Link, Settled, StatementClosed, read_line, read_link,
};
use tollgate_policy::id::RequestId;
use tollgate_policy::unit::UnixMs;

use super::diagnosis::{Following, diagnose};
use super::trail::Trail;
use super::{AuditFault, Fault, Kind, Report};
use crate::journal::checkpoint::{ENTRIES_MAX, PublicKey};
use crate::journal::recovery::Witness;
use crate::journal::segment::{self, End, Line, Lines};
use crate::ledger::Books;

/// Where the walk is, and what it has seen.
pub(super) struct Walk<'a> {
    folder: &'a Path,
    segments: &'a [u64],
    public: Option<&'a PublicKey>,
    trails: Vec<Trail>,
    ledger: Option<Witness>,
    /// What the ledger has booked, and up to which entry.
    booked: Option<(Books, u64)>,
    /// What it should have booked up to that entry.
    books: Option<Books>,
    /// How many starts found a witness missing.
    witness_losses: u64,
    chain: Chain,
    /// The last good entry.
    last: Option<Link>,
    first_at: Option<UnixMs>,
    open: BTreeMap<u64, RequestId>,
    checkpoints: u64,
    signed_seq: u64,
    since_checkpoint: u64,
    closed: bool,
    /// Periods that were closed.
    statements: Vec<StatementClosed>,
    newer_kinds: u64,
    torn_bytes: u64,
    file: PathBuf,
    line: u64,
}

/// A walk ends early.
enum Stop {
    Fault(Box<Fault>),
    Unreadable(AuditFault),
}

impl From<AuditFault> for Stop {
    fn from(fault: AuditFault) -> Self {
        Self::Unreadable(fault)
    }
}

impl<'a> Walk<'a> {
    pub(super) fn new(
        folder: &'a Path,
        segments: &'a [u64],
        public: Option<&'a PublicKey>,
        trails: Vec<Trail>,
        ledger: Option<Witness>,
        booked: Option<(Books, u64)>,
    ) -> Self {
        Self {
            folder,
            segments,
            public,
            trails,
            ledger,
            books: booked.as_ref().map(|(booked, _)| Books::to_compare_with(booked)),
            booked,
            witness_losses: 0,
            chain: Chain::new(),
            last: None,
            first_at: None,
            open: BTreeMap::new(),
            checkpoints: 0,
            signed_seq: 0,
            since_checkpoint: 0,
            closed: false,
            statements: Vec::new(),
            newer_kinds: 0,
            torn_bytes: 0,
            file: folder.to_path_buf(),
            line: 0,
        }
    }

    /// Walks to the end, or to the first fault. Gives the periods too that were closed on the way.
    pub(super) fn verify(
        mut self,
        mut unchecked: Vec<String>,
    ) -> Result<(Report, Vec<StatementClosed>), AuditFault> {
        let fault = match self.walk() {
            Ok(()) => None,
            Err(Stop::Fault(fault)) => Some(*fault),
            Err(Stop::Unreadable(fault)) => return Err(fault),
        };
        if self.newer_kinds > 0 {
            unchecked.push(format!(
                "{} entries are of kinds that this version does not know; they are chained, their content was not \
                 looked at",
                self.newer_kinds
            ));
        }
        if self.witness_losses > 0 {
            unchecked.push(format!(
                "{} times the gateway started without the checkpoints or the ledger beside the journal; whether \
                 entries were cut off before is not known",
                self.witness_losses
            ));
        }
        unchecked.extend(self.booked.as_ref().and_then(|(booked, _)| booked.left_out()));
        let doubts = self.doubt_about_ledger().filter(|_| fault.is_none()).into_iter().collect();
        let report = Report {
            fault,
            head_seq: self.chain.next_seq - 1,
            head: self.chain.prev,
            first_at: self.first_at,
            last_at: self.last.map(|link| link.at),
            segments: self.segments.len(),
            checkpoints: self.checkpoints,
            signed_seq: self.signed_seq,
            open: self.open.len() as u64,
            closed: self.closed,
            torn_bytes: self.torn_bytes,
            unchecked,
            doubts,
        };
        Ok((report, self.statements))
    }

    /// Whether the ledger says something else than the journal.
    fn doubt_about_ledger(&self) -> Option<String> {
        let (booked, seq) = self.booked.as_ref()?;
        let differences = booked.differences(self.books.as_ref()?);
        (!differences.is_empty()).then(|| {
            format!(
                "ledger.db was altered: up to entry {seq} it is not what the journal says ({}); delete it and its -wal \
                 and -shm files, and the next start makes it again",
                differences.join("; ")
            )
        })
    }

    fn walk(&mut self) -> Result<(), Stop> {
        for trail in &mut self.trails {
            let begun = trail.begin(self.public).map_err(AuditFault::unreadable(self.folder))?;
            begun.map_or(Ok(()), |fault| Err(Stop::Fault(Box::new(fault))))?;
        }
        for (index, first_seq) in self.segments.iter().copied().enumerate() {
            self.walk_segment(index, first_seq)?;
        }
        self.meet_the_end()
    }

    fn walk_segment(&mut self, index: usize, first_seq: u64) -> Result<(), Stop> {
        self.file = segment::path(self.folder, first_seq);
        self.line = 1;
        let expected = self.chain.next_seq;
        if first_seq > expected {
            let detail = format!(
                "the segment before ends at entry {}, this one begins with {first_seq}",
                expected - 1
            );
            return Err(self.fault(Kind::Dropped, detail));
        }
        if first_seq < expected {
            let detail =
                format!("the segment claims to begin with entry {first_seq}, which is in the one before");
            return Err(self.fault(Kind::Inserted, detail));
        }
        let file = self.file.clone();
        let mut lines = Lines::open(&file).map_err(AuditFault::unreadable(&file))?;
        while let Some(line) = lines.next().map_err(AuditFault::unreadable(&file))? {
            self.line = line.number;
            if line.end == End::File && index + 1 == self.segments.len() {
                self.torn_bytes = line.bytes.len() as u64;
                return Ok(());
            }
            match self.take(&line) {
                Ok(()) => {}
                Err(Taken::Stop(stop)) => return Err(stop),
                Err(Taken::Break(broken)) => {
                    let (link, found) = *broken;
                    let before = self.last;
                    let following = Following::new(lines, self.folder, &self.segments[index + 1..]);
                    let verdict =
                        diagnose(before, link, &found, following).map_err(AuditFault::unreadable(&file))?;
                    let line = (self.line - u64::from(verdict.at_line_before)).max(1);
                    let detail = format!("{found}; {}", verdict.reason);
                    let fault = Fault { seq: verdict.seq, file, line, kind: verdict.kind, detail };
                    return Err(Stop::Fault(Box::new(fault)));
                }
            }
        }
        Ok(())
    }

    fn take(&mut self, line: &Line<'_>) -> Result<(), Taken> {
        if line.end != End::Newline {
            return Err(self.fault(Kind::Edited, "the line has no end".to_owned()).into());
        }
        let (link, event) = match read_line(line.bytes) {
            Ok(entry) => (entry.link, Some(entry.event)),
            Err(BadLine::UnknownKind(_)) => match read_link(line.bytes) {
                Ok(link) => (link, None),
                Err(bad) => return Err(self.fault(Kind::Edited, format!("the line {bad}")).into()),
            },
            Err(bad) => return Err(self.fault(Kind::Edited, format!("the line {bad}")).into()),
        };
        self.chain.follow_link(&link).map_err(|found| Taken::Break(Box::new((link, found))))?;
        // From here on the entry is in the chain; its number is the last one's.
        self.first_at.get_or_insert(link.at);
        let head = self.last.replace(link);
        self.meet_witnesses(&link)?;
        self.closed = matches!(event, Some(Event::Closed)) || (self.closed && is_checkpoint(event.as_ref()));
        self.look(&link, head, event)?;
        Ok(())
    }

    fn meet_witnesses(&mut self, link: &Link) -> Result<(), Stop> {
        for trail in &mut self.trails {
            let met = trail.meet(link, self.public).map_err(AuditFault::unreadable(self.folder))?;
            met.map_or(Ok(()), |fault| Err(Stop::Fault(Box::new(fault))))?;
        }
        let contradicting = |ledger: &&Witness| ledger.seq == link.seq && ledger.hash != link.hash;
        if let Some(ledger) = self.ledger.as_ref().filter(contradicting) {
            let detail = format!(
                "the ledger booked an entry of this number with hash {}; entries at or before this place were \
                 written anew",
                ledger.hash
            );
            return Err(self.fault_at(link.seq, Kind::Forged, detail));
        }
        Ok(())
    }

    /// Looks at what the entry says.
    fn look(&mut self, link: &Link, head: Option<Link>, event: Option<Event>) -> Result<(), Stop> {
        self.since_checkpoint += 1;
        let is_booked = self.booked.as_ref().is_some_and(|(_, seq)| link.seq <= *seq);
        if let (Some(books), Some(event)) = (self.books.as_mut().filter(|_| is_booked), &event) {
            books.book(link.seq, link.at, event);
        }
        match event {
            None => self.newer_kinds += 1,
            Some(Event::Admitted(admitted)) => {
                self.open.insert(link.seq, admitted.request);
            }
            Some(Event::Settled(settled)) => self.close_admission(link, &settled)?,
            Some(Event::WitnessLost(_)) => self.witness_losses += 1,
            Some(Event::StatementClosed(closed)) => self.statements.push(closed),
            Some(Event::Checkpoint(checkpoint)) => {
                let signs_head = checkpoint.head_seq.checked_add(1) == Some(link.seq)
                    && head.map(|head| head.hash) == Some(checkpoint.head);
                if !signs_head {
                    let detail = "the checkpoint signs another entry than the one before it".to_owned();
                    return Err(self.fault_at(link.seq, Kind::Forged, detail));
                }
                if let Some(public) = self.public {
                    if !public.verifies(&checkpoint) {
                        let detail = format!(
                            "the signature does not fit; entries after {} may have been written anew",
                            self.signed_seq
                        );
                        return Err(self.fault_at(link.seq, Kind::Forged, detail));
                    }
                    self.signed_seq = link.seq;
                }
                self.checkpoints += 1;
                self.since_checkpoint = 0;
            }
            Some(_) => {}
        }
        if self.since_checkpoint > ENTRIES_MAX {
            let detail = format!("there should be a checkpoint after at most {ENTRIES_MAX} entries");
            return Err(self.fault_at(link.seq, Kind::Forged, detail));
        }
        Ok(())
    }

    fn close_admission(&mut self, link: &Link, settled: &Settled) -> Result<(), Stop> {
        match self.open.remove(&settled.admitted) {
            Some(request) if request == settled.request => Ok(()),
            Some(request) => {
                let detail = format!(
                    "it settles entry {} for {}, which is of {request}",
                    settled.admitted, settled.request
                );
                Err(self.fault_at(link.seq, Kind::Unmatched, detail))
            }
            None => {
                let detail = format!("it settles entry {}, which is not an open admission", settled.admitted);
                Err(self.fault_at(link.seq, Kind::Unmatched, detail))
            }
        }
    }

    /// Asks the witnesses whether the end is the end.
    fn meet_the_end(&mut self) -> Result<(), Stop> {
        let head_seq = self.chain.next_seq - 1;
        if let Some(fault) = self.trails.iter().find_map(|trail| trail.end(head_seq)) {
            return Err(Stop::Fault(Box::new(fault)));
        }
        match self.ledger.as_ref().filter(|ledger| ledger.seq > head_seq) {
            None => Ok(()),
            Some(ledger) => {
                let detail = format!(
                    "the journal ends at entry {head_seq}, but the ledger booked entry {}",
                    ledger.seq
                );
                Err(self.fault(Kind::Truncated, detail))
            }
        }
    }

    /// A fault at the place that comes next.
    fn fault(&self, kind: Kind, detail: String) -> Stop {
        self.fault_at(self.chain.next_seq, kind, detail)
    }

    fn fault_at(&self, seq: u64, kind: Kind, detail: String) -> Stop {
        Stop::Fault(Box::new(Fault { seq, file: self.file.clone(), line: self.line, kind, detail }))
    }
}

/// Why an entry was not taken.
enum Taken {
    Stop(Stop),
    /// It is whole, and does not belong here.
    Break(Box<(Link, Break)>),
}

impl From<Stop> for Taken {
    fn from(stop: Stop) -> Self {
        Self::Stop(stop)
    }
}

fn is_checkpoint(event: Option<&Event>) -> bool {
    matches!(event, Some(Event::Checkpoint(_)))
}
