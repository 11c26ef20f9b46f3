//! A file of checkpoint lines, followed in step with the journal: the sidecar, or an anchor.

use std::fs::File;
use std::io::{self, Take};
use std::path::{Path, PathBuf};

use tollgate_policy::entry::{Event, Link, read_line};

use super::{Fault, Kind};
use crate::journal::checkpoint::PublicKey;
use crate::journal::segment::{End, Lines};

/// Checkpoints that must all be in the journal.
pub(super) struct Trail {
    path: PathBuf,
    lines: Lines<Take<File>>,
    /// The next one to meet, and its line.
    next: Option<(Link, u64)>,
    last_seq: u64,
}

impl Trail {
    /// Opens the file, up to its present end.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let len = path.metadata()?.len();
        let lines = Lines::range(path, 0, len)?;
        Ok(Self { path: path.to_path_buf(), lines, next: None, last_seq: 0 })
    }

    /// Reads the first checkpoint.
    pub(super) fn begin(&mut self, public: Option<&PublicKey>) -> io::Result<Option<Fault>> {
        self.advance(public)
    }

    /// Meets an entry of the journal.
    pub(super) fn meet(&mut self, link: &Link, public: Option<&PublicKey>) -> io::Result<Option<Fault>> {
        match self.next {
            Some((next, line)) if next.seq == link.seq => {
                if next.hash != link.hash {
                    let detail = format!(
                        "the checkpoint here has hash {}, the one in the journal {}; entries at or before this \
                         place were written anew",
                        next.hash, link.hash
                    );
                    return Ok(Some(self.fault(next.seq, line, Kind::Forged, detail)));
                }
                self.advance(public)
            }
            _ => Ok(None),
        }
    }

    /// What the journal lacks, if it ends after `head_seq`.
    pub(super) fn end(&self, head_seq: u64) -> Option<Fault> {
        let (next, line) = self.next.filter(|(next, _)| next.seq > head_seq)?;
        let detail =
            format!("the journal ends at entry {head_seq}, but the checkpoint here is entry {}", next.seq);
        Some(self.fault(head_seq + 1, line, Kind::Truncated, detail))
    }

    fn advance(&mut self, public: Option<&PublicKey>) -> io::Result<Option<Fault>> {
        self.next = None;
        let expected = self.last_seq + 1;
        let Some(line) = self.lines.next()? else { return Ok(None) };
        let number = line.number;
        // What a crash leaves at the end of the file says nothing; the journal does not depend on it.
        if line.end == End::File || (line.end == End::Newline && line.bytes.contains(&0)) {
            return Ok(None);
        }
        let entry = match read_line(line.bytes) {
            Ok(entry) => entry,
            Err(bad) => {
                return Ok(Some(self.fault(expected, number, Kind::Edited, format!("the line {bad}"))));
            }
        };
        let link = entry.link;
        let Event::Checkpoint(checkpoint) = entry.event else {
            let detail = "the line is no checkpoint".to_owned();
            return Ok(Some(self.fault(link.seq, number, Kind::Inserted, detail)));
        };
        if public.is_some_and(|public| !public.verifies(&checkpoint)) {
            let detail = "the signature of the checkpoint does not fit".to_owned();
            return Ok(Some(self.fault(link.seq, number, Kind::Forged, detail)));
        }
        if link.seq < expected {
            let detail =
                format!("the checkpoint of entry {} stands after that of entry {}", link.seq, self.last_seq);
            return Ok(Some(self.fault(expected, number, Kind::Swapped, detail)));
        }
        self.last_seq = link.seq;
        self.next = Some((link, number));
        Ok(None)
    }

    fn fault(&self, seq: u64, line: u64, kind: Kind, detail: String) -> Fault {
        Fault { seq, file: self.path.clone(), line, kind, detail }
    }
}
