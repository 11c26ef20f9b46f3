//! Opening and closing a data folder.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tollgate_policy::entry::{self, Durability, Event, Opened, Outcome, Settled, WitnessLost};
use tollgate_policy::id::InstanceId;
use tollgate_policy::unit::UnixMs;
use tollgate_policy::usage::Usage;

use crate::directory::Directory;
use crate::fault::StoreFault;
use crate::folder::{Folder, Secrets, random};
use crate::history::History;
use crate::journal::Journal;
use crate::journal::checkpoint::{self, SIDECAR};
use crate::journal::queue::Start;
use crate::journal::recovery::{self, OpenAdmission, Witness};
use crate::journal::segment;
use crate::journal::tail::{Appender, Disks, FileSystem, Tail};
use crate::journal::writer::Pace;
use crate::ledger::{self, Ledger};
use crate::register::{Ground, Register};
use crate::replay::{Replayed, replay};

/// Where and how to remember.
#[derive(Debug, Clone)]
pub struct Options {
    /// The data folder; created if it is not there.
    pub data: PathBuf,
    /// When an entry counts as written.
    pub durability: Durability,
    /// How long written entries wait for others to share a sync with, in group durability. With the sync itself this
    /// bounds what a power cut can cost. In milliseconds; 5 when nothing is said.
    pub sync_ms: u64,
    /// The longest time between an entry and the checkpoint that covers it, in milliseconds; 1000 when nothing is said.
    pub checkpoint_ms: u64,
    /// The length at which a journal segment gives way to the next, in bytes; 64 MiB when nothing is said.
    pub segment_bytes: u64,
    /// The version of the program, for the record.
    pub version: String,
}

impl Options {
    /// The defaults, for a data folder.
    pub fn new(data: impl Into<PathBuf>) -> Self {
        Self {
            data: data.into(),
            durability: Durability::Group,
            sync_ms: 5,
            checkpoint_ms: 1000,
            segment_bytes: 64 << 20,
            version: env!("CARGO_PKG_VERSION").to_owned(),
        }
    }

    fn pace(&self) -> Pace {
        Pace {
            sync: Duration::from_millis(self.sync_ms),
            checkpoint: Duration::from_millis(self.checkpoint_ms),
            retry: Duration::from_millis(100),
        }
    }
}

/// An open data folder: what happened, who exists, what was decided, what it cost.
#[derive(Debug)]
pub struct Store {
    /// What happened.
    pub journal: Arc<Journal>,
    /// Who exists.
    pub directory: Arc<Directory>,
    /// What was decided.
    pub register: Arc<Register>,
    /// What happened, entry by entry.
    pub history: Arc<History>,
    /// What it cost.
    pub ledger: Arc<Ledger>,
}

impl Store {
    /// Takes the folder, recovers the journal, closes what a crash left open, brings the views up to date.
    ///
    /// Admissions without a settlement are settled as [`Outcome::Unknown`] at the price of their reservation: the
    /// upstream may have served them, and nobody knows how far.
    ///
    /// Blocks; call it before there is traffic.
    ///
    /// # Errors
    /// [`StoreFault`]; its text says what to do.
    pub fn open(options: &Options, now: UnixMs) -> Result<Self, StoreFault> {
        Self::open_on(options, now, Arc::new(FileSystem))
    }

    /// As [`Self::open`], on other disks than the real ones.
    pub(crate) fn open_on(options: &Options, now: UnixMs, disks: Arc<dyn Disks>) -> Result<Self, StoreFault> {
        let folder = Arc::new(Folder::claim(&options.data)?);
        let journal_folder = folder.journal();
        let segments = segment::list(&journal_folder).map_err(StoreFault::io("list", &journal_folder))?;
        let Secrets { pepper, signer } = folder.secrets(segments.is_empty())?;
        let (pepper, signer) = (Arc::new(pepper), Arc::new(signer));
        let Witnesses { seen, lost, sidecar_len } = Witnesses::find(&folder)?;
        let recovered = recovery::recover(&journal_folder, &signer.public_key(), &seen)?;

        let instance = match recovered.instance {
            Some(instance) => instance,
            None => InstanceId::new(now, random()?),
        };
        let segment_path = segment::path(&journal_folder, recovered.segment);
        let tail = Tail::open(
            Arc::clone(&disks),
            Arc::clone(&folder),
            options.segment_bytes,
            recovered.segment,
            recovered.len,
        )
        .map_err(StoreFault::io("open", segment_path))?;
        let opened = Event::Opened(Opened {
            instance,
            version: options.version.clone(),
            durability: options.durability,
            torn_bytes: recovered.torn_bytes,
        });
        let unknown = recovered.open.iter().map(|open| Event::Settled(unknown(open, now)));
        let lost = Some(lost).filter(|lost| recovered.has_checkpoint && !lost.is_empty()).map(|what| {
            tracing::warn!(
                ?what,
                "files that remember the end of the journal are gone: it may have been cut"
            );
            Event::WitnessLost(WitnessLost { what })
        });
        let events = std::iter::once(opened).chain(lost).chain(unknown).collect();
        let start = Start {
            signer: Arc::clone(&signer),
            instance,
            durability: options.durability,
            chain: recovered.chain,
            since_checkpoint: recovered.since_checkpoint,
            tail,
            open: recovered.open.iter().map(|open| open.seq).collect(),
        };
        let sidecar = sidecar(disks.as_ref(), &journal_folder, sidecar_len)?;
        let journal = Journal::start(start, options.pace(), sidecar, now, events)
            .map_err(StoreFault::io("start the threads of", &journal_folder))??;
        let journal = Arc::new(journal);

        let Replayed { keys, decisions } =
            replay(&journal_folder, &journal.synced_beyond(0, Duration::ZERO))?;
        let ledger = Arc::new(Ledger::open(&folder, &journal)?);
        let directory = Directory::open(Arc::clone(&pepper), Arc::clone(&journal), keys.into_values());
        let statement_files = folder.statements();
        let ground = Ground { pepper, signer, instance, statement_files, journal: Arc::clone(&journal) };
        let register = Arc::new(Register::open(ground, decisions, now));
        let history = Arc::new(History::new(journal_folder, Arc::clone(&journal)));
        Ok(Self { journal, directory: Arc::new(directory), register, history, ledger })
    }

    /// Records the end in good order and lets go of the folder. Blocks until everything is durable.
    ///
    /// A store that is dropped without this recovers at the next start, as after a crash.
    ///
    /// # Errors
    /// [`StoreFault::Journal`] when the end could not be recorded.
    pub fn close(self, now: UnixMs) -> Result<(), StoreFault> {
        Ok(self.journal.close(now)?)
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        self.journal.stop();
        // Books what is durable by now, so that whoever reads the ledger offline finds it up to date.
        self.ledger.join();
    }
}

/// What remembers the end of the journal, beside the journal.
struct Witnesses {
    /// Who saw which entry safely on disk.
    seen: Vec<Witness>,
    /// Who should have and is not there.
    lost: Vec<entry::Witness>,
    /// The good length of the sidecar.
    sidecar_len: u64,
}

impl Witnesses {
    fn find(folder: &Folder) -> Result<Self, StoreFault> {
        let path = folder.journal().join(SIDECAR);
        let (last, sidecar_len) = checkpoint::last_of_sidecar(&folder.journal())
            .map_err(StoreFault::io("find the last checkpoint in", &path))?;
        let by_sidecar = last.map(|entry| Witness { seq: entry.link.seq, hash: entry.link.hash, file: path });
        let by_ledger = ledger::head(&folder.ledger());
        let lost = [
            by_sidecar.is_none().then_some(entry::Witness::Checkpoints),
            by_ledger.is_none().then_some(entry::Witness::Ledger),
        ];
        let seen = by_sidecar.into_iter().chain(by_ledger).collect();
        Ok(Self { seen, lost: lost.into_iter().flatten().collect(), sidecar_len })
    }
}

/// Opens the sidecar, without what a crash left after its last line.
fn sidecar(disks: &dyn Disks, folder: &Path, len: u64) -> Result<Appender, StoreFault> {
    let path = folder.join(SIDECAR);
    let disk = disks.open(&path).map_err(StoreFault::io("open", &path))?;
    disk.truncate(len).map_err(StoreFault::io("cut", &path))?;
    Ok(Appender { disk, len })
}

/// How an admission is closed that nobody else will close.
fn unknown(open: &OpenAdmission, now: UnixMs) -> Settled {
    let admitted = &open.admitted;
    Settled {
        request: admitted.request,
        admitted: open.seq,
        admitted_at: Some(open.at),
        key: admitted.key,
        scope: admitted.scope.clone(),
        endpoint: admitted.endpoint.clone(),
        model: admitted.model.clone(),
        served_model: None,
        upstream: admitted.upstream.clone(),
        region: None,
        outcome: Outcome::Unknown,
        status: None,
        usage: Usage {
            input_tokens: admitted.input_estimate,
            output_tokens: admitted.output_estimate,
            ..Usage::default()
        },
        cost: admitted.reserved,
        price_version: "reservation".to_owned(),
        unknown_price: false,
        estimated: true,
        ms_total: u64::try_from(now.ms_since(open.at)).unwrap_or(0),
        ms_first_byte: None,
        upstream_request_id: None,
        error: None,
        session: admitted.session.clone(),
        agent: admitted.agent.clone(),
        cost_centre: admitted.cost_centre.clone(),
        tags: admitted.tags.clone(),
    }
}
