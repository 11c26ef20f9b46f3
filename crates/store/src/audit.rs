//! Verifying a journal from the outside, without trusting the process that wrote it.
//!
//! Reads every segment once, in constant memory, and checks every hash, the chain, the numbers, the signatures of the
//! checkpoints, and that every settlement answers one open admission. A chain alone cannot show that its end is
//! missing or that all of it was written anew. For that there are witnesses: the sidecar of checkpoints, the head that
//! the ledger has booked, and an anchor: an older copy of the sidecar, kept where nobody could change it.
//!
//! What the ledger has booked is compared with what the journal says, settlement by settlement, and closed statements
//! with the hashes that the journal has of them.
//!
//! Keeps no lock and disturbs nobody: a journal that is being written is verified up to where it was at the start.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use serde::Serialize;
use tollgate_policy::entry::Hash;
use tollgate_policy::unit::UnixMs;

use crate::folder::{LEDGER, PUBLIC_KEY, is_held};
use crate::journal::checkpoint::{PublicKey, SIDECAR};
use crate::journal::segment;
use crate::ledger::{self, Books};

mod diagnosis;
mod statements;
mod trail;
mod walk;

#[cfg(test)]
mod tests;

use trail::Trail;
use walk::Walk;

/// What to verify against.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// A copy of `journal/checkpoints` taken earlier and kept elsewhere. Every checkpoint in it must be in the journal.
    pub anchor: Option<PathBuf>,
    /// The public key of the journal, known from elsewhere. Without it the one in the data folder is taken.
    pub public_key: Option<PublicKey>,
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The first entry that is not as it was written, if there is one. Nothing after it was checked.
    pub fault: Option<Fault>,
    /// The last entry that is chained to the ones before it; zero when there is none.
    pub head_seq: u64,
    /// Its hash.
    pub head: Hash,
    /// When the first entry was written.
    pub first_at: Option<UnixMs>,
    /// When that last entry was written.
    pub last_at: Option<UnixMs>,
    /// Segments in the folder.
    pub segments: usize,
    /// Good checkpoints.
    pub checkpoints: u64,
    /// The last entry under a signature that was checked. What comes after is chained, and not yet signed.
    pub signed_seq: u64,
    /// Admissions that have no settlement. In a journal that is being written, requests that run.
    pub open: u64,
    /// The journal ends in good order.
    pub closed: bool,
    /// Bytes of a half-written line at the end: being written, or torn by a crash and cut at the next start.
    pub torn_bytes: u64,
    /// What could not be checked, in sentences.
    pub unchecked: Vec<String>,
    /// What a journal in good hands does not show, in sentences: a witness that should be here is missing, the end
    /// cannot be proven, or the ledger was altered.
    pub doubts: Vec<String>,
}

impl Report {
    /// Whether everything is as it was written, as far as can be told from here.
    #[must_use]
    pub fn is_proven(&self) -> bool {
        self.fault.is_none() && self.doubts.is_empty()
    }
}

/// The first thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, thiserror::Error)]
#[error("entry {seq} ({}, line {line}) {}: {detail}", file.display(), kind.as_str())]
pub struct Fault {
    /// The place in the chain, by the number of the entry that belongs there.
    pub seq: u64,
    /// The file in which it shows.
    pub file: PathBuf,
    /// The line in that file, from 1.
    pub line: u64,
    /// What was done.
    pub kind: Kind,
    /// How that shows, in a sentence.
    pub detail: String,
}

/// What was done to a journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// The bytes of an entry were changed, or an entry was exchanged for another.
    Edited,
    /// Entries were taken out.
    Dropped,
    /// Entries stand in another order.
    Swapped,
    /// An entry was put in.
    Inserted,
    /// The end is missing.
    Truncated,
    /// Entries were written that carry no valid signature, or contradict a witness: history was written anew.
    Forged,
    /// A settlement answers no open admission: the request was counted twice, or was never admitted.
    Unmatched,
}

impl Kind {
    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Edited => "edited",
            Self::Dropped => "dropped",
            Self::Swapped => "swapped",
            Self::Inserted => "inserted",
            Self::Truncated => "truncated",
            Self::Forged => "forged",
            Self::Unmatched => "unmatched",
        }
    }
}

/// Why a journal could not be verified at all. Not a verdict about it.
#[derive(Debug, thiserror::Error)]
pub enum AuditFault {
    /// A file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Unreadable {
        /// The file or folder.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// There is no journal.
    #[error("{} holds no journal", path.display())]
    NoJournal {
        /// The folder.
        path: PathBuf,
    },
    /// The public key in the data folder is not one.
    #[error("{} is not a public key", path.display())]
    BadPublicKey {
        /// The file.
        path: PathBuf,
    },
}

impl AuditFault {
    fn unreadable(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_path_buf();
        move |source| Self::Unreadable { path, source }
    }
}

/// Verifies the journal in a data folder, or in a folder that holds the journal's files alone.
///
/// # Errors
/// [`AuditFault`] when there is nothing to verify or it cannot be read. What is wrong with the journal itself is in
/// the report.
pub fn verify(path: &Path, options: &Options) -> Result<Report, AuditFault> {
    let report = verify_once(path, options)?;
    let Some(fault) = &report.fault else { return Ok(report) };
    // A running gateway whose disk is full takes back half-written lines. Whoever reads just then may see a line that
    // is gone a moment later, at the end of the last segment and nowhere else. So that a fault is never a false alarm,
    // it has to show twice.
    let folder = journal_folder(path);
    let segments = segment::list(&folder).map_err(AuditFault::unreadable(&folder))?;
    if segments.last().is_none_or(|last| fault.file != segment::path(&folder, *last)) {
        return Ok(report);
    }
    thread::sleep(Duration::from_millis(5));
    verify_once(path, options)
}

fn verify_once(path: &Path, options: &Options) -> Result<Report, AuditFault> {
    let folder = journal_folder(path);
    let data = folder.parent().filter(|_| folder != path);
    let was_held = data.is_some_and(is_held);
    let (mut unchecked, mut doubts) = (Vec::new(), Vec::new());

    // The witnesses first: what they saw by now must be in the journal that is read after.
    let path_of_ledger = data.map(|data| data.join(LEDGER)).filter(|ledger| ledger.exists());
    let booked = path_of_ledger.as_deref().and_then(|path| booked(path, &mut doubts));
    let ledger = path_of_ledger.as_deref().and_then(ledger::head);
    if ledger.is_none() {
        unchecked.push("there is no readable ledger to compare the end of the journal with".to_owned());
    }
    let public = match (&options.public_key, data) {
        (Some(key), _) => Some(key.clone()),
        (None, Some(data)) => own_public_key(data, &mut doubts)?,
        (None, None) => None,
    };
    if public.is_none() {
        unchecked.push("no public key is given, so signatures were not checked".to_owned());
    }
    let segments = segment::list(&folder).map_err(AuditFault::unreadable(&folder))?;
    let sidecar = folder.join(SIDECAR);
    let mut trails = Vec::new();
    match Trail::open(&sidecar) {
        Ok(trail) => trails.push(trail),
        Err(error) if error.kind() == io::ErrorKind::NotFound => doubts.push(format!(
            "{} is missing, which remembers how far the journal went: its end may have been cut off unseen",
            sidecar.display()
        )),
        Err(error) => return Err(AuditFault::unreadable(&sidecar)(error)),
    }
    match &options.anchor {
        Some(anchor) => trails.push(Trail::open(anchor).map_err(AuditFault::unreadable(anchor))?),
        None => {
            unchecked.push("no anchor is given: whoever can write here can also have it all anew".to_owned())
        }
    }
    if segments.is_empty() && trails.is_empty() && ledger.is_none() {
        return Err(AuditFault::NoJournal { path: path.to_path_buf() });
    }
    let has_ledger = ledger.is_some();
    let walk = Walk::new(&folder, &segments, public.as_ref(), trails, ledger, booked);
    let (mut report, closed) = walk.verify(unchecked)?;
    report.doubts.append(&mut doubts);
    if let Some(data) = data {
        report.doubts.extend(statements::doubts(data, &closed));
    }
    // A gateway that holds the folder now or held it before is, or was, writing at the end.
    if report.fault.is_none() && !was_held && !data.is_some_and(is_held) {
        doubt_the_end(&mut report, has_ledger);
    }
    Ok(report)
}

/// Doubts the end of a journal that nobody is writing.
fn doubt_the_end(report: &mut Report, has_ledger: bool) {
    if report.torn_bytes > 0 {
        report.doubts.push(format!(
            "{} bytes after the last entry are no entry: a crash left them, and the next start cuts them off, or \
             somebody put them there",
            report.torn_bytes
        ));
    }
    if !report.closed && !has_ledger {
        report.doubts.push(
            "the journal does not end in good order, and there is no ledger to compare it with: that this is its \
             end cannot be proven"
                .to_owned(),
        );
    }
}

/// What the ledger has booked.
fn booked(path: &Path, doubts: &mut Vec<String>) -> Option<(Books, u64)> {
    match Books::of_ledger(path) {
        Ok(booked) => booked,
        Err(fault) => {
            doubts.push(format!("{} cannot be compared with the journal: {fault}", path.display()));
            None
        }
    }
}

/// The public key in the data folder.
fn own_public_key(data: &Path, doubts: &mut Vec<String>) -> Result<Option<PublicKey>, AuditFault> {
    let path = data.join("secrets").join(PUBLIC_KEY);
    let key = public_key(&path)?;
    if key.is_none() {
        doubts.push(format!("{} is missing: no signature could be checked", path.display()));
    }
    Ok(key)
}

fn journal_folder(path: &Path) -> PathBuf {
    let inside = path.join("journal");
    if inside.is_dir() { inside } else { path.to_path_buf() }
}

fn public_key(path: &Path) -> Result<Option<PublicKey>, AuditFault> {
    match fs::read_to_string(path) {
        Ok(text) => text.parse().map(Some).map_err(|_| AuditFault::BadPublicKey { path: path.to_path_buf() }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(AuditFault::Unreadable { path: path.to_path_buf(), source }),
    }
}
