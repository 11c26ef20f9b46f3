//! One workload through each proxy in turn, and the proof that the gateway did its work.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use serde::Serialize;
use tokio::time::sleep;

use crate::allowances::Allowances;
use crate::gateway::{Build, Measured};
use crate::load::Seen;
use crate::nginx::{self, Bodies};
use crate::peers::Peers;
use crate::process::Tree;
use crate::proxy::Proxy;
use crate::role::Cores;
use crate::workload::{Traffic, Workload};

/// How long each proxy is warmed up before the first round.
const WARM_UP: Duration = Duration::from_millis(400);
/// How long open streams are left alone before their memory is read.
const SETTLING: Duration = Duration::from_millis(500);

/// How a bench is run.
#[derive(Debug)]
pub(crate) struct Settings {
    /// How long each measurement sends requests.
    pub(crate) duration: Duration,
    /// How often each proxy is measured.
    pub(crate) rounds: u32,
    /// Which cores are used.
    pub(crate) cores: Cores,
    /// Another build of this program, whose gateway is measured too.
    pub(crate) against: Option<PathBuf>,
}

/// One measurement of one proxy.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Figure {
    /// What one unit costs, in microseconds or kilobytes.
    pub(crate) cost: f64,
    /// What the clients saw meanwhile.
    #[serde(flatten)]
    pub(crate) seen: Seen,
}

/// One proxy in all rounds.
#[derive(Debug, Serialize)]
pub(crate) struct Column {
    /// Its name.
    pub(crate) proxy: &'static str,
    /// One measurement for each round.
    pub(crate) rounds: Vec<Figure>,
}

/// All measurements of one workload.
#[derive(Debug)]
pub(crate) struct Compared {
    /// The workload.
    pub(crate) workload: &'static Workload,
    /// The proxies: nginx first, the gateway last.
    pub(crate) columns: Vec<Column>,
}

/// Runs one workload through each proxy.
pub(crate) async fn compare(workload: &'static Workload, settings: &Settings) -> Result<Compared> {
    // Beside the program and not in the folder for temporary files, which may be in memory: syncing it is free.
    let program = std::env::current_exe()?;
    let beside = program.parent().context("a program in no folder")?;
    let folder = tempfile::Builder::new().prefix("bench-").tempdir_in(beside)?;
    let mut field = Field::open(workload, settings, folder.path()).await?;
    let columns = match workload.traffic {
        Traffic::Idle { streams } => field.memory(streams).await?,
        Traffic::Loop { .. } | Traffic::Streams { .. } => field.cpu().await?,
    };
    field.close().await?;
    Ok(Compared { workload, columns })
}

/// All that runs while one workload is measured.
struct Field<'a> {
    workload: &'static Workload,
    settings: &'a Settings,
    peers: Peers,
    nginx: Vec<Proxy>,
    /// The one of this build without allowances is the last.
    gateways: Vec<Measured>,
    folder: &'a Path,
}

impl<'a> Field<'a> {
    async fn open(workload: &'static Workload, settings: &'a Settings, folder: &'a Path) -> Result<Self> {
        let cores = settings.cores;
        let peers = Peers::start(workload, cores.peers).await?;
        let address = peers.upstream;
        let mut gateways = Vec::new();
        if let Some(other) = &settings.against {
            let folder = folder.join("other");
            gateways.push(Measured::start(Build::Other(other), address, &folder, cores.proxy).await?);
        }
        for allowances in [Allowances::Crowded, Allowances::Five, Allowances::None] {
            if allowances == Allowances::None || workload.has_allowances() {
                let (build, folder) = (Build::This(allowances), folder.join(allowances.word()));
                gateways.push(Measured::start(build, address, &folder, cores.proxy).await?);
            }
        }
        let streamed = nginx::start(Bodies::Streamed, address, &folder.join("nginx"), cores.proxy).await?;
        let mut nginx = vec![streamed];
        if workload.has_large_bodies() {
            nginx
                .push(nginx::start(Bodies::InMemory, address, &folder.join("nginx-mem"), cores.proxy).await?);
        }
        for gateway in &gateways {
            std::fs::write(keys_of(gateway, folder), gateway.keys.join("\n"))?;
        }
        Ok(Field { workload, settings, peers, nginx, gateways, folder })
    }

    /// The proxies, the gateways last.
    fn proxies(&self) -> impl Iterator<Item = &Proxy> {
        self.nginx.iter().chain(self.gateways.iter().map(|gateway| &gateway.proxy))
    }

    fn columns(&self) -> Vec<Column> {
        self.proxies().map(|proxy| Column { proxy: proxy.name, rounds: Vec::new() }).collect()
    }

    /// Measures CPU time: A B, then B A, then A B, so that what changes on the machine meanwhile meets both.
    async fn cpu(&mut self) -> Result<Vec<Column>> {
        let mut columns = self.columns();
        if matches!(self.workload.traffic, Traffic::Loop { .. }) {
            for place in 0..columns.len() {
                self.cpu_of(place, WARM_UP).await?;
            }
        }
        for round in 0..self.settings.rounds {
            let mut places: VecDeque<usize> = (0..columns.len()).collect();
            while let Some(place) = if round % 2 == 0 { places.pop_front() } else { places.pop_back() } {
                let figure = self.cpu_of(place, self.settings.duration).await?;
                columns[place].rounds.push(figure);
            }
        }
        Ok(columns)
    }

    /// Sends requests for as long as given, waits until the proxy rests, and shares its CPU time out. What it does
    /// later or beside (the gateway's journal is synced, its ledger written) is so in the figure.
    async fn cpu_of(&mut self, place: usize, duration: Duration) -> Result<Figure> {
        let (address, tree, keys) = self.proxy(place)?;
        let before = tree.at_rest().await?;
        self.peers.begin(address, &keys, duration).await?;
        let seen = self.seen(place).await?;
        let used = tree.at_rest().await?.since(&before);
        anyhow::ensure!(used > 0, "no CPU time was counted for a proxy that served: measure again");
        Ok(Figure { cost: used as f64 / 1e3 / self.workload.units(seen.answers) as f64, seen })
    }

    /// Measures memory, once: what a process has once had it rarely gives back.
    async fn memory(&mut self, streams: usize) -> Result<Vec<Column>> {
        let mut columns = self.columns();
        for (place, column) in columns.iter_mut().enumerate() {
            let (address, tree, keys) = self.proxy(place)?;
            tree.at_rest().await?;
            let before = tree.resident_kb()?;
            self.peers.begin(address, &keys, Duration::ZERO).await?;
            self.peers.open().await?;
            sleep(SETTLING).await;
            let more = tree.resident_kb()?.saturating_sub(before);
            self.peers.release().await?;
            let seen = self.seen(place).await?;
            column.rounds.push(Figure { cost: more as f64 / streams as f64, seen });
        }
        Ok(columns)
    }

    /// Where a proxy listens, what is measured of it, and the credentials of its clients.
    fn proxy(&self, place: usize) -> Result<(SocketAddr, Tree, PathBuf)> {
        let proxy = self.proxies().nth(place).context("no such proxy")?;
        // nginx looks at no key, but gets requests of the same length.
        let gateway = self.gateways.iter().find(|gateway| gateway.proxy.name == proxy.name);
        let keys = keys_of(gateway.or(self.gateways.last()).context("no gateway")?, self.folder);
        Ok((proxy.address, proxy.tree.clone(), keys))
    }

    /// What the clients of a run saw. For a gateway it is kept, to compare its books with it.
    async fn seen(&mut self, place: usize) -> Result<Seen> {
        let seen = self.peers.seen().await?;
        if let Some(gateway) =
            place.checked_sub(self.nginx.len()).and_then(|place| self.gateways.get_mut(place))
        {
            gateway.passed += seen.answers;
        }
        Ok(seen)
    }

    /// Ends everything. Each gateway has its books checked.
    async fn close(self) -> Result<()> {
        for gateway in self.gateways {
            gateway.end().await?;
        }
        for proxy in self.nginx {
            proxy.role.end().await?;
        }
        self.peers.end().await
    }
}

fn keys_of(gateway: &Measured, folder: &Path) -> PathBuf {
    folder.join(format!("{}.keys", gateway.proxy.name))
}

impl Compared {
    fn column(&self, proxy: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.proxy == proxy)
    }

    /// The median cost of one unit in a proxy.
    pub(crate) fn cost(&self, proxy: &str) -> Option<f64> {
        median(self.column(proxy)?.rounds.iter().map(|figure| figure.cost).collect())
    }

    /// The median over all rounds of the clients' median time to an answer, in microseconds.
    pub(crate) fn p50_us(&self, proxy: &str) -> Option<f64> {
        median(self.column(proxy)?.rounds.iter().map(|figure| figure.seen.p50_us as f64).collect())
    }

    /// What one proxy costs beside another: the ratio within each round.
    pub(crate) fn ratios(&self, one: &str, other: &str) -> Option<Ratio> {
        let (ours, theirs) = (self.column(one)?, self.column(other)?);
        let ratios: Vec<_> =
            ours.rounds.iter().zip(&theirs.rounds).map(|(ours, theirs)| ours.cost / theirs.cost).collect();
        Some(Ratio {
            least: ratios.iter().copied().reduce(f64::min)?,
            most: ratios.iter().copied().reduce(f64::max)?,
            median: median(ratios)?,
        })
    }
}

/// How many times the cost of another proxy, over all rounds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(crate) struct Ratio {
    /// In the middle of the rounds.
    pub(crate) median: f64,
    /// In the best round.
    pub(crate) least: f64,
    /// In the worst round.
    pub(crate) most: f64,
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let upper = *values.get(values.len() / 2)?;
    let lower = values[(values.len() - 1) / 2];
    Some((lower + upper) / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proxy::{NGINX, NGINX_MEM, TOLLGATE};

    #[test]
    fn the_median_is_in_the_middle() {
        let rows: [(&[f64], Option<f64>); 4] = [
            (&[], None),
            (&[3.0], Some(3.0)),
            (&[9.0, 1.0, 2.0], Some(2.0)),
            (&[4.0, 1.0, 2.0, 9.0], Some(3.0)),
        ];
        for (values, wanted) in rows {
            assert_eq!(median(values.to_vec()), wanted, "{values:?}");
        }
    }

    #[test]
    fn ratios_are_taken_within_a_round() {
        let seen = Seen { answers: 1, seconds: 1.0, p50_us: 1, p99_us: 1 };
        let column = |proxy, costs: &[f64]| Column {
            proxy,
            rounds: costs.iter().map(|cost| Figure { cost: *cost, seen: seen.clone() }).collect(),
        };
        let workload = &crate::workload::ALL[0];
        let columns = vec![column(NGINX, &[10.0, 40.0, 20.0]), column(TOLLGATE, &[12.0, 40.0, 18.0])];
        let compared = Compared { workload, columns };
        assert_eq!(compared.ratios(TOLLGATE, NGINX), Some(Ratio { median: 1.0, least: 0.9, most: 1.2 }));
        assert_eq!(compared.ratios(TOLLGATE, NGINX_MEM), None);
    }
}
