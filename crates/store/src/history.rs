//! The history: single entries read back from the journal's files, for questions that no view answers.
//!
//! Reads what is written and disturbs nobody. The hash of each entry that is given out is checked; the chain is not,
//! which is the work of [`crate::audit`].

use std::fs::File;
use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use memchr::memmem;
use tollgate_policy::entry::{Entry, read_line};
use tollgate_policy::unit::UnixMs;

use crate::journal::Journal;
use crate::journal::segment::{self, End, Line, Lines};

#[cfg(test)]
mod tests;

/// The entries of a journal.
#[derive(Debug)]
pub struct History {
    folder: PathBuf,
    journal: Arc<Journal>,
}

/// Why an entry can not be read back.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the journal can not be read back: {0}; run `tollgate audit verify` on the folder")]
pub struct HistoryFault(String);

/// Whether everything that was admitted before an instant has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settled {
    /// It has, in the entries up to this one.
    Upto(u64),
    /// So many requests still run.
    Running(usize),
}

impl History {
    pub(crate) fn new(folder: PathBuf, journal: Arc<Journal>) -> Self {
        Self { folder, journal }
    }

    /// Looks whether all requests that were admitted before an instant have ended. Blocks.
    ///
    /// # Errors
    /// [`HistoryFault`].
    pub fn settled_before(&self, instant: UnixMs) -> Result<Settled, HistoryFault> {
        let (written, open) = self.journal.open_admissions();
        let mut reader = self.reader()?;
        let mut running = 0;
        for seq in open.into_iter().filter(|seq| *seq <= written) {
            let entry = reader.entry(seq)?;
            running += usize::from(entry.is_none_or(|entry| entry.link.at < instant));
        }
        Ok(if running == 0 { Settled::Upto(written) } else { Settled::Running(running) })
    }

    /// A reader of single entries.
    ///
    /// # Errors
    /// [`HistoryFault`] when the folder cannot be listed.
    pub fn reader(&self) -> Result<Reader<'_>, HistoryFault> {
        let segments = segment::list(&self.folder).map_err(unreadable(&self.folder))?;
        Ok(Reader { folder: &self.folder, segments, open: None })
    }

    /// Gives all entries of these kinds whose lines hold one of the texts, oldest first, until `visit` breaks off. Goes
    /// through the whole journal. Blocks.
    ///
    /// # Errors
    /// [`HistoryFault`]; some entries may have been visited.
    pub fn search(
        &self,
        kinds: &[&str],
        texts: &[String],
        visit: &mut dyn FnMut(Entry) -> ControlFlow<()>,
    ) -> Result<(), HistoryFault> {
        let upto = self.journal.written_seq();
        let finders: Vec<_> = texts.iter().map(|text| memmem::Finder::new(text.as_bytes())).collect();
        for first_seq in segment::list(&self.folder).map_err(unreadable(&self.folder))? {
            let path = segment::path(&self.folder, first_seq);
            let mut lines = Lines::open(&path).map_err(unreadable(&path))?;
            while let Some(line) = lines.next().map_err(unreadable(&path))? {
                let Some(glance) = whole(&line, &path)? else { break };
                if glance.seq > upto {
                    return Ok(());
                }
                let is_wanted = kinds.iter().any(|kind| kind.as_bytes() == glance.kind);
                if is_wanted
                    && finders.iter().any(|finder| finder.find(line.bytes).is_some())
                    && visit(checked(&line, &path)?).is_break()
                {
                    return Ok(());
                }
            }
        }
        Ok(())
    }
}

/// Reads single entries. Quick for entries that are asked for in their order.
pub struct Reader<'a> {
    folder: &'a Path,
    segments: Vec<u64>,
    open: Option<Open>,
}

/// A segment that is being read.
struct Open {
    first_seq: u64,
    /// The entry that comes next.
    next_seq: u64,
    lines: Lines<File>,
}

impl Reader<'_> {
    /// The entry of this number; nothing when the journal has none.
    ///
    /// # Errors
    /// [`HistoryFault`].
    pub fn entry(&mut self, seq: u64) -> Result<Option<Entry>, HistoryFault> {
        let after = self.segments.partition_point(|first_seq| *first_seq <= seq);
        let Some(first_seq) = after.checked_sub(1).map(|place| self.segments[place]) else {
            return Ok(None);
        };
        let path = segment::path(self.folder, first_seq);
        let ahead = self.open.take().filter(|open| open.first_seq == first_seq && open.next_seq <= seq);
        let mut open = match ahead {
            Some(open) => open,
            None => {
                let lines = Lines::open(&path).map_err(unreadable(&path))?;
                Open { first_seq, next_seq: first_seq, lines }
            }
        };
        while let Some(line) = open.lines.next().map_err(unreadable(&path))? {
            let Some(glance) = whole(&line, &path)? else { return Ok(None) };
            if glance.seq == seq {
                let entry = checked(&line, &path)?;
                open.next_seq = seq + 1;
                self.open = Some(open);
                return Ok(Some(entry));
            }
        }
        Ok(None)
    }
}

/// Looks at a line; nothing when it is still being written.
fn whole<'a>(line: &Line<'a>, path: &Path) -> Result<Option<segment::Glance<'a>>, HistoryFault> {
    if line.end == End::File {
        return Ok(None);
    }
    let glance = segment::glance(line.bytes).filter(|_| line.end == End::Newline);
    glance.map(Some).ok_or_else(|| bad(line, path, "it is not an entry"))
}

fn checked(line: &Line<'_>, path: &Path) -> Result<Entry, HistoryFault> {
    read_line(line.bytes).map_err(|why| bad(line, path, &format!("the line {why}")))
}

fn bad(line: &Line<'_>, path: &Path, why: &str) -> HistoryFault {
    HistoryFault(format!("{} byte {}: {why}", path.display(), line.offset))
}

fn unreadable(path: &Path) -> impl FnOnce(io::Error) -> HistoryFault {
    move |error| HistoryFault(format!("{}: {error}", path.display()))
}
