//! A gateway that runs: started whole, reloaded whole, drained to its end.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tollgate_config::Snapshot;
use tollgate_policy::entry::{ConfigApplied, Event, Hash};
use tollgate_store::counters::Counters;
use tollgate_store::{LedgerFault, Options, Store, StoreFault};
use zeroize::Zeroizing;

use crate::admin::{self, InstanceFile, Setup};
use crate::books::sweep;
use crate::clock::Steady;
use crate::denied::Sparing;
use crate::drain::Drain;
use crate::force::{ForceFault, InForce};
use crate::inbound::Room;
use crate::listen::{self, TlsFault};
use crate::metrics::Metrics;
use crate::sessions::Watch;
use crate::{Shared, now};

/// How often the journal's health is looked at.
const WATCH_JOURNAL: Duration = Duration::from_millis(200);
/// After cutting what would not end, how long the settlements may take.
const SETTLE: Duration = Duration::from_secs(5);

/// A running gateway.
pub struct Gateway {
    shared: Arc<Shared>,
    store: Store,
    address: SocketAddr,
    admin_address: SocketAddr,
    instance: InstanceFile,
    setup: Arc<Setup>,
    tasks: Vec<JoinHandle<()>>,
}

/// Why the gateway did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartFault {
    /// The configuration could not be put in force.
    #[error(transparent)]
    Force(#[from] ForceFault),
    /// The data folder could not be opened.
    #[error(transparent)]
    Store(#[from] StoreFault),
    /// An address could not be listened on.
    #[error("{what} {address} can not be listened on: {cause}")]
    Listen {
        /// Which of the addresses.
        what: &'static str,
        /// The address.
        address: SocketAddr,
        /// What the system said.
        cause: io::Error,
    },
    /// The file that tells local commands how to reach this instance could not be written.
    #[error("{path} can not be written: {cause}")]
    Instance {
        /// The file.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
    /// The start could not be recorded.
    #[error("the journal refused the first record: {0}")]
    Journal(#[from] tollgate_store::JournalFault),
    /// What was used before could not be counted.
    #[error("the use so far could not be counted from the ledger: {0}")]
    Books(#[from] LedgerFault),
}

/// Why a reload changed nothing.
#[derive(Debug, thiserror::Error)]
pub enum ReloadFault {
    /// Something that can not change while the gateway runs would.
    #[error("{} can change only by a restart; nothing was changed", .0.join(", "))]
    RestartNeeded(Vec<&'static str>),
    /// The configuration could not be put in force.
    #[error("{0}; nothing was changed")]
    Force(#[from] ForceFault),
    /// The change could not be recorded.
    #[error("the journal refused the record of the change, so nothing was changed: {0}")]
    Journal(#[from] tollgate_store::JournalFault),
    /// What was used before could not be counted for the new allowances.
    #[error("the use so far could not be counted from the ledger, so nothing was changed: {0}")]
    Books(#[from] LedgerFault),
}

/// How a drained gateway ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stopped {
    /// Connections that did not end in time and were cut.
    pub cut: usize,
}

/// The text that a configuration was read from, for the record of changes.
#[derive(Debug, Clone, Copy)]
pub struct Source<'a> {
    /// What the text is called.
    pub name: &'a str,
    /// The text.
    pub text: &'a str,
}

impl Gateway {
    /// Starts a gateway: everything that can be wrong is found before the first connection is accepted.
    pub async fn start(config: Snapshot, source: Source<'_>) -> Result<Self, StartFault> {
        let tls = listen::tls(config.listen.tls.as_ref()).map_err(ForceFault::Tls)?;
        let (address, admin_address) = (config.listen.address, config.admin);
        let options = options(&config);
        let room = Room::new(config.limits.buffered_bytes);
        let force = InForce::new(config, Hash::of(source.text.as_bytes()))?;
        let data = force.config.data.clone();
        let store = open(options).await?;
        let shared = Arc::new(Shared {
            force: ArcSwap::from_pointee(force),
            journal: store.journal.clone(),
            directory: store.directory.clone(),
            ledger: store.ledger.clone(),
            register: store.register.clone(),
            history: store.history.clone(),
            steady: Steady::new(now()),
            watch: Watch::default(),
            counters: Counters::new(
                store.journal.clone(),
                store.ledger.clone(),
                store.directory.clone(),
                now(),
            ),
            booking: tokio::sync::Mutex::default(),
            metrics: Metrics::new(),
            drain: Drain::new(),
            room,
            sparing: Sparing::default(),
            tls: ArcSwap::from_pointee(tls),
        });
        rebook(&shared, &shared.in_force()).await?;
        shared.watch.brake(shared.in_force().config.brakes);
        let bind = |what, address| {
            listen::bind(address).map_err(|cause| StartFault::Listen { what, address, cause })
        };
        let listener = bind("listen.address", address)?;
        let admin = bind("admin.address", admin_address)?;
        let address = listener.local_addr().unwrap_or(address);
        let admin_address = admin.local_addr().unwrap_or(admin_address);
        record(&shared, source, None).await?;
        let scheme = if shared.tls.load().is_some() { "https" } else { "http" };
        let instance = InstanceFile::write(&data, &format!("{scheme}://{address}"), admin_address)
            .map_err(|(path, cause)| StartFault::Instance { path, cause })?;
        let setup = Arc::new(Setup::new(&shared.register));
        let tasks = vec![
            tokio::spawn(listen::accept(shared.clone(), listener)),
            tokio::spawn(admin::serve(shared.clone(), admin, instance.token(), setup.clone())),
            tokio::spawn(sweep(shared.clone())),
        ];
        Ok(Gateway { shared, store, address, admin_address, instance, setup, tasks })
    }

    /// What its requests share.
    #[cfg(test)]
    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// Where clients connect.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where the admin API listens.
    pub fn admin_address(&self) -> SocketAddr {
        self.admin_address
    }

    /// The code with which the first operator can be made, as long as there is none. Good once, and only in this
    /// process; to be shown to whoever starts the gateway, and to nobody else.
    #[must_use]
    pub fn setup_code(&self) -> Option<Zeroizing<String>> {
        self.setup.code()
    }

    /// Puts another configuration in force, whole or not at all. Requests under way keep the old one.
    pub async fn reload(&self, config: Snapshot, source: Source<'_>) -> Result<(), ReloadFault> {
        let applied = self.apply(config, source).await;
        self.shared.metrics.reloaded(applied.is_ok());
        applied
    }

    async fn apply(&self, config: Snapshot, source: Source<'_>) -> Result<(), ReloadFault> {
        let _turn = self.shared.booking.lock().await;
        let before = self.shared.in_force();
        let fixed = before.config.restart_needed(&config);
        if !fixed.is_empty() {
            return Err(ReloadFault::RestartNeeded(fixed));
        }
        let tls =
            listen::tls(config.listen.tls.as_ref()).map_err(|fault: TlsFault| ForceFault::Tls(fault))?;
        let force = Arc::new(InForce::new(config, Hash::of(source.text.as_bytes()))?);
        rebook(&self.shared, &force).await?;
        if let Err(fault) = record(&self.shared, source, Some(before.document)).await {
            rebook(&self.shared, &before).await?;
            return Err(fault.into());
        }
        self.shared.watch.brake(force.config.brakes);
        self.shared.tls.store(Arc::new(tls));
        self.shared.force.store(force);
        Ok(())
    }

    /// Waits until the gateway can not go on: the journal's disk failed in a way that nothing mends.
    pub async fn failed(&self) {
        while !self.shared.journal.state().poisoned {
            sleep(WATCH_JOURNAL).await;
        }
    }

    /// Ends: accepts nothing new, lets running requests finish within the drain time, cuts the rest, settles all
    /// and closes the journal.
    pub async fn drain(self) -> Stopped {
        let drain = &self.shared.drain;
        drain.begin();
        let patience = self.shared.in_force().config.timeouts.drain;
        let mut cut = 0;
        if timeout(patience, drain.finished()).await.is_err() {
            cut = drain.connections();
            drain.cut();
            let _ = timeout(SETTLE, drain.finished()).await;
        }
        for task in &self.tasks {
            task.abort();
        }
        self.instance.remove();
        let store = self.store;
        // Closing waits for the disk.
        let closed = tokio::task::spawn_blocking(move || store.close(now())).await;
        if !matches!(closed, Ok(Ok(()))) {
            tracing::error!("the journal could not be closed cleanly; the next start recovers it");
        }
        Stopped { cut }
    }
}

/// Puts the allowances in force, which waits for the ledger.
async fn rebook(shared: &Arc<Shared>, force: &Arc<InForce>) -> Result<(), LedgerFault> {
    let (shared, force) = (shared.clone(), force.clone());
    let rebooked = tokio::task::spawn_blocking(move || shared.rebook(&force)).await;
    rebooked.unwrap_or_else(|panicked| std::panic::resume_unwind(panicked.into_panic()))
}

/// Records which configuration is in force.
async fn record(
    shared: &Shared,
    source: Source<'_>,
    before: Option<Hash>,
) -> Result<(), tollgate_store::JournalFault> {
    let after = Hash::of(source.text.as_bytes());
    let event = ConfigApplied { by: "operator".into(), document: source.name.to_owned(), before, after };
    shared.journal.append(now(), Event::ConfigApplied(event)).await.map(drop)
}

fn options(config: &Snapshot) -> Options {
    let version = env!("CARGO_PKG_VERSION").into();
    Options { durability: config.durability, version, ..Options::new(&config.data) }
}

/// Opening recovers and replays, which waits for the disk.
async fn open(options: Options) -> Result<Store, StoreFault> {
    let opened = tokio::task::spawn_blocking(move || Store::open(&options, now())).await;
    opened.unwrap_or_else(|panicked| std::panic::resume_unwind(panicked.into_panic()))
}
