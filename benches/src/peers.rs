//! The two sides that talk through a proxy: clients and upstream, in one thread that never sleeps.
//!
//! Were they to sleep, each write of a proxy would have to wake them, which costs several microseconds where their
//! core is idle and nothing where it is busy. The slower proxy would be charged more for the same write.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;
use tokio::task::{LocalSet, yield_now};

use crate::load::{self, OPEN, Seen};
use crate::role::{Orders, Role};
use crate::upstream::Upstream;
use crate::workload::Workload;

/// The role.
pub(crate) const ROLE: &str = "peers";

/// Clients and upstream of one workload, as the bench sees them.
pub(crate) struct Peers {
    role: Role,
    /// Where the upstream listens.
    pub(crate) upstream: SocketAddr,
}

/// What the peers are told.
#[derive(Debug, Serialize, Deserialize)]
enum Order {
    /// Send requests to a proxy.
    Play {
        proxy: SocketAddr,
        /// A file with one credential in each line.
        keys: PathBuf,
        milliseconds: u64,
    },
    /// Let the answers go on that are held.
    Release,
}

impl Peers {
    /// Starts the peers of a workload.
    pub(crate) async fn start(workload: &Workload, core: Option<usize>) -> Result<Self> {
        // With one core for all, the proxy would wait for it.
        let spin = core.map(|_| "--spin".into());
        let args = [workload.name.into()].into_iter().chain(spin).collect();
        let mut role = Role::start(ROLE, core, args)?;
        let upstream = role.line().await?.parse()?;
        Ok(Peers { role, upstream })
    }

    /// Begins to send requests to a proxy for as long as given.
    pub(crate) async fn begin(&mut self, proxy: SocketAddr, keys: &Path, duration: Duration) -> Result<()> {
        let milliseconds = duration.as_millis().try_into()?;
        self.order(&Order::Play { proxy, keys: keys.to_owned(), milliseconds }).await
    }

    /// Waits until all streams are open.
    pub(crate) async fn open(&mut self) -> Result<()> {
        let line = self.role.line().await?;
        if line == OPEN { Ok(()) } else { anyhow::bail!("the streams did not stay open: {line}") }
    }

    /// Lets the answers go on that are held.
    pub(crate) async fn release(&mut self) -> Result<()> {
        self.order(&Order::Release).await
    }

    /// Waits for the end of what was begun, and gives what the clients saw.
    pub(crate) async fn seen(&mut self) -> Result<Seen> {
        Ok(serde_json::from_str(&self.role.line().await?)?)
    }

    /// Ends both.
    pub(crate) async fn end(self) -> Result<()> {
        self.role.end().await
    }

    async fn order(&mut self, order: &Order) -> Result<()> {
        self.role.order(&serde_json::to_string(order)?).await
    }
}

/// The role: serves, and plays clients when told, until the orders end. Says the upstream's address first.
pub(crate) async fn serve(workload: &'static Workload, may_spin: bool, orders: Orders) -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("{}", listener.local_addr()?);
    let upstream = Upstream::new(workload);
    let serving = upstream.clone().serve(listener);
    let playing = obey(workload, may_spin, orders, &upstream);
    let both = async {
        tokio::select! {
            ended = serving => ended,
            ended = playing => ended,
        }
    };
    LocalSet::new().run_until(both).await
}

async fn obey(
    workload: &'static Workload,
    may_spin: bool,
    mut orders: Orders,
    upstream: &Upstream,
) -> Result<()> {
    while let Some(order) = orders.next().await {
        match serde_json::from_str(&order)? {
            Order::Release => upstream.release(),
            Order::Play { proxy, keys, milliseconds } => {
                let keys = std::fs::read_to_string(&keys).context("the keys can not be read")?;
                let keys: Vec<_> = keys.lines().collect();
                let playing = load::play(workload, proxy, &keys, Duration::from_millis(milliseconds));
                let seen = tokio::select! {
                    seen = playing => seen?,
                    never = spin(may_spin) => never,
                    never = release_when_told(&mut orders, upstream) => never?,
                };
                println!("{}", serde_json::to_string(&seen)?);
            }
        }
    }
    Ok(())
}

/// Keeps the thread awake.
async fn spin(may_spin: bool) -> Seen {
    if !may_spin {
        std::future::pending::<()>().await;
    }
    loop {
        yield_now().await;
    }
}

/// Hears what is said while clients play.
async fn release_when_told(orders: &mut Orders, upstream: &Upstream) -> Result<Seen> {
    while let Some(order) = orders.next().await {
        if let Order::Release = serde_json::from_str(&order)? {
            upstream.release();
        }
    }
    anyhow::bail!("told to end while clients play")
}
