//! The whole gateway beside nginx: what each costs, in CPU time and memory, for the same work in one run.
//!
//! How it measures and how to read it: docs/benchmarks.md.
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod allowances;
mod books;
mod bytes;
mod compare;
mod gateway;
mod load;
mod nginx;
mod peers;
mod process;
mod proxy;
mod role;
mod script;
mod table;
mod upstream;
mod workload;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::{Parser, Subcommand};
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{SignalKind, signal};

use crate::allowances::Allowances;
use crate::compare::Settings;
use crate::role::{Cores, Orders};
use crate::table::Table;
use crate::workload::{ALL, Workload};

/// Measures the gateway, fully on, and nginx's plain proxy side by side.
#[derive(Debug, Parser)]
#[command(name = "bench")]
struct Arguments {
    #[command(subcommand)]
    role: Option<RoleArguments>,
    /// How long each measurement sends requests.
    #[arg(long, default_value_t = 1.0, value_name = "SECONDS", value_parser = seconds)]
    seconds: f64,
    /// How often each proxy is measured in each workload.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=1000))]
    rounds: u32,
    /// Run only this workload. May be repeated.
    #[arg(long, value_name = "NAME", value_parser = workload)]
    only: Vec<&'static Workload>,
    /// Also measure the gateway of another build of this program: before a change, say.
    #[arg(long, value_name = "PROGRAM")]
    against: Option<PathBuf>,
    /// Also write all figures to this file, as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// The processes of a bench, which the bench starts itself.
#[derive(Debug, Subcommand)]
#[command(hide = true)]
enum RoleArguments {
    #[command(hide = true)]
    Books {
        #[arg(value_enum)]
        allowances: Allowances,
    },
    #[command(hide = true)]
    Peers {
        #[arg(value_parser = workload)]
        workload: &'static Workload,
        #[arg(long)]
        spin: bool,
    },
    #[command(hide = true)]
    Gateway {
        folder: PathBuf,
        upstream: SocketAddr,
        #[arg(long, value_enum, default_value_t = Allowances::None)]
        allowances: Allowances,
    },
    #[command(hide = true)]
    Nginx { folder: PathBuf, address: SocketAddr },
}

fn seconds(text: &str) -> Result<f64, String> {
    let seconds: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    if (0.1..=600.0).contains(&seconds) { Ok(seconds) } else { Err("0.1 to 600".to_owned()) }
}

fn workload(name: &str) -> Result<&'static Workload, String> {
    let names = || ALL.iter().map(|workload| workload.name).collect::<Vec<_>>().join(", ");
    Workload::of_name(name).ok_or_else(|| format!("one of {}", names()))
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let Some(role) = arguments.role else {
        return one_thread()?.block_on(bench(arguments));
    };
    match role {
        RoleArguments::Books { allowances } => books::say(allowances),
        RoleArguments::Peers { workload, spin } => {
            one_thread()?.block_on(async { peers::serve(workload, spin, Orders::new()).await })
        }
        RoleArguments::Nginx { folder, address } => {
            one_thread()?.block_on(async { nginx::hold(&folder, address, Orders::new()).await })
        }
        RoleArguments::Gateway { folder, upstream, allowances } => {
            tracing_subscriber::fmt()
                .with_writer(std::io::stderr)
                .with_max_level(tracing::Level::WARN)
                .init();
            // One worker, as nginx has one: so that a core is compared with a core.
            let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
            runtime.block_on(async { gateway::serve(&folder, upstream, allowances, Orders::new()).await })
        }
    }
}

fn one_thread() -> Result<Runtime> {
    Ok(Builder::new_current_thread().enable_all().build()?)
}

/// Measures until done or told to stop. What was started ends with it.
async fn bench(arguments: Arguments) -> Result<()> {
    let mut interrupted = signal(SignalKind::interrupt())?;
    let mut terminated = signal(SignalKind::terminate())?;
    tokio::select! {
        biased;
        _ = interrupted.recv() => bail!("interrupted"),
        _ = terminated.recv() => bail!("terminated"),
        done = measure(&arguments) => done,
    }
}

async fn measure(arguments: &Arguments) -> Result<()> {
    let settings = Settings {
        duration: Duration::from_secs_f64(arguments.seconds),
        rounds: arguments.rounds,
        cores: Cores::share()?,
        against: arguments.against.clone(),
    };
    let wants_all = arguments.only.is_empty();
    let moves = if wants_all { books::moves(settings.cores.proxy).await? } else { Vec::new() };
    let mut table = Table::begin(&settings, moves)?;
    for workload in &ALL {
        let is_wanted = wants_all || arguments.only.iter().any(|only| only.name == workload.name);
        if is_wanted {
            let compared = compare::compare(workload, &settings).await;
            table.add(compared.with_context(|| format!("{}: {}", workload.name, workload.about))?);
        }
    }
    table.end(arguments.json.as_deref())
}
