//! What can go wrong in this room, each with what to do about it.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use tollgate_policy::unit::UnixMs;

use crate::ledger::GROUPS_MAX;

/// Why the store does not open or close. Every text names the place and the cure.
#[derive(Debug, thiserror::Error)]
pub enum StoreFault {
    /// Another process holds the data folder.
    #[error(
        "the data folder {} is in use by another tollgate ({holder}); stop it, or give this one a folder of \
         its own", path.display()
    )]
    InUse {
        /// The data folder.
        path: PathBuf,
        /// What the holder wrote about itself.
        holder: String,
    },
    /// The operating system refused something.
    #[error("cannot {doing} {}: {source}", path.display())]
    Io {
        /// What was tried, an infinitive such as `create`.
        doing: &'static str,
        /// On which file or folder.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// A secret can be read by others.
    #[error(
        "{} can be used by other users (mode {mode:03o}); run `chmod {cure:03o} {}` and rotate what may have \
         leaked", path.display(), path.display()
    )]
    Exposed {
        /// The file or folder.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
        /// The permission bits it must have.
        cure: u32,
    },
    /// Others can write to the data folder.
    #[error(
        "{} can be written by other users (mode {mode:03o}), who could exchange what is in it; run `chmod 700 {}`",
        path.display(), path.display()
    )]
    Writable {
        /// The data folder.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// A secret file does not hold what it should.
    #[error("{} {why}; restore it from a backup", path.display())]
    BadSecret {
        /// The file.
        path: PathBuf,
        /// What is wrong, a predicate.
        why: &'static str,
    },
    /// A secret is gone although the journal was written with it.
    #[error(
        "{} is missing, but the journal beside it was written with it: a new one would void every key or every \
         signature; restore it from a backup", path.display()
    )]
    SecretMissing {
        /// The file.
        path: PathBuf,
    },
    /// The journal is damaged where no crash can have damaged it.
    #[error(
        "the journal is damaged at {} line {line} (entry {seq}): {why}; nothing was changed: run `tollgate audit \
         verify` on the folder, then restore the journal from a copy", segment.display()
    )]
    Damaged {
        /// The segment file.
        segment: PathBuf,
        /// The line in it, from 1.
        line: u64,
        /// The number that the entry there should have.
        seq: u64,
        /// What is wrong.
        why: String,
    },
    /// The keys cannot be read back from the journal.
    #[error("cannot read the keys from the journal: {why}; run `tollgate audit verify` on the folder")]
    Keys {
        /// Where, and what is wrong.
        why: String,
    },
    /// A newer version wrote an entry that this one does not understand.
    #[error(
        "{} line {line} records an event of kind `{kind}`, which this version does not know; run the version that \
         wrote it, or a newer one", segment.display()
    )]
    Newer {
        /// The segment file.
        segment: PathBuf,
        /// The line in it, from 1.
        line: u64,
        /// The kind of the event.
        kind: String,
    },
    /// The journal ends before an entry that was once safely on disk.
    #[error(
        "the journal ends at entry {found}, but {} saw entry {expected} on disk: entries were lost or removed, or \
         an old copy was restored; run `tollgate audit verify`. To go on with the loss, move that file away \
         (of ledger.db the -wal and -shm files too)",
        witness.display()
    )]
    Lost {
        /// The last entry that is there.
        found: u64,
        /// The entry that should be there.
        expected: u64,
        /// The file that remembers.
        witness: PathBuf,
    },
    /// The journal could not be written.
    #[error("{0}")]
    Journal(#[from] JournalFault),
    /// The ledger could not be used.
    #[error("{0}")]
    Ledger(#[from] LedgerFault),
    /// The operating system gives no random bytes.
    #[error("the operating system gives no random bytes")]
    NoRandom,
}

impl StoreFault {
    /// Makes the adapter for `map_err` on file operations.
    pub(crate) fn io(doing: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { doing, path, source }
    }
}

/// Why an entry is not in the journal. Cheap to clone: one fault may answer many waiting appends.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JournalFault {
    /// The disk refuses to take entries; the journal tries again by itself.
    #[error("the journal cannot be written: {why}")]
    Unwritable {
        /// What the disk said.
        why: Arc<str>,
    },
    /// What was written does not become durable in time.
    #[error("the journal is stuck: the disk has not answered for {ms} ms")]
    Stuck {
        /// For how long, in milliseconds.
        ms: u64,
    },
    /// A sync or a clean-up failed: what is on disk is no longer known. Only a restart, which reads it again, cures it.
    #[error("the journal stopped for good: {why}; restart to recover from what is on disk")]
    Poisoned {
        /// What the disk said.
        why: Arc<str>,
    },
    /// The journal was closed.
    #[error("the journal is closed")]
    Closed,
    /// A settlement names an admission that is not open: never made, or settled already.
    #[error("entry {admitted} is not an open admission")]
    NotOpen {
        /// The admission's sequence number as the settlement gave it.
        admitted: u64,
    },
    /// The entry is longer than a line may be.
    #[error("the entry has {bytes} bytes, more than a line may have ({max})")]
    TooLong {
        /// Bytes of the line.
        bytes: usize,
        /// Bytes that a line may have.
        max: usize,
    },
    /// The event belongs to a dedicated call (`admit`, `settle`) or to the journal itself.
    #[error("an event of this kind is not appended this way")]
    NotAppendable,
}

/// Why the ledger gives no figures. The journal goes on without it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LedgerFault {
    /// The projection has not caught up with the journal in time.
    #[error("the ledger is at entry {projected} of {wanted}; ask again")]
    Behind {
        /// The last entry the ledger has seen.
        projected: u64,
        /// The entry that the answer must cover.
        wanted: u64,
    },
    /// The database refuses.
    #[error("the ledger cannot be read or written: {0}")]
    Database(String),
    /// The database is not what was written, or not there; it is made again from the journal.
    #[error("the ledger is damaged: {0}; delete ledger.db and its -wal and -shm files, they are made again")]
    Damaged(String),
    /// The journal cannot be read back.
    #[error("the ledger cannot read the journal: {0}")]
    Journal(String),
    /// The question needs single records that are not kept any more.
    #[error(
        "the records of requests before {kept_from} were dropped, and only sums of days are kept of them; ask about \
         whole days in UTC, or about a later time"
    )]
    Dropped {
        /// The first instant of which single records are kept.
        kept_from: UnixMs,
    },
    /// The question has more answers than are added up at once.
    #[error(
        "the report has more than {GROUPS_MAX} groups; ask about less time, or narrow it down by filters"
    )]
    TooManyGroups,
    /// A page was asked for that continues after a group that the report does not have.
    #[error("the report has no such group to continue after; begin again with the first page")]
    NoSuchGroup,
}
