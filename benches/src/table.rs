//! What is printed, row by row as it becomes known, and what is written as JSON.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::books::Moves;
use crate::compare::{Compared, Ratio, Settings};
use crate::proxy::{CROWDED, FIVE_LEVELS, NGINX, NGINX_MEM, OTHER_BUILD, TOLLGATE};
use crate::workload::Traffic;

/// The table of one run.
pub(crate) struct Table {
    conditions: Value,
    moves: Vec<Moves>,
    rows: Vec<Value>,
}

impl Table {
    /// Prints under which conditions is measured, what the books cost by themselves, and the head of the table.
    pub(crate) fn begin(settings: &Settings, moves: Vec<Moves>) -> Result<Self> {
        let cores = std::thread::available_parallelism()?.get();
        let pinned = match settings.cores.proxy {
            Some(core) => format!("the proxy pinned to core {core}"),
            None => "one core for everything, so the times to an answer say little".to_owned(),
        };
        println!("tollgate fully on, nginx as a plain proxy; one worker each, {cores} cores, {pinned}");
        println!("{} rounds of {:?}; CPU time in user and kernel mode", settings.rounds, settings.duration);
        print_moves(&moves);
        println!(
            "\n{:<11} {:<11}{:>10}{:>10}{:>10}   {:<22}{:<12}{:>10}{:>10}",
            "", "", NGINX, NGINX_MEM, TOLLGATE, "tollgate / nginx", "/ nginx-mem", "p50 nginx", "tollgate"
        );
        let conditions = json!({
            "cores": cores,
            "pinned": settings.cores.proxy.is_some(),
            "rounds": settings.rounds,
            "seconds": settings.duration.as_secs_f64(),
            "nginx": nginx_version(),
            "version": env!("CARGO_PKG_VERSION"),
        });
        Ok(Table { conditions, moves, rows: Vec::new() })
    }

    /// Prints a row.
    pub(crate) fn add(&mut self, compared: Compared) {
        let workload = compared.workload;
        let cost = |proxy| compared.cost(proxy).map_or(String::new(), |cost| format!("{cost:.1}"));
        let is_timed = matches!(workload.traffic, Traffic::Loop { .. });
        let p50 = |proxy| {
            let p50 = compared.p50_us(proxy).filter(|_| is_timed);
            p50.map_or(String::new(), |p50| format!("{p50:.0} us"))
        };
        println!(
            "{:<11} {:<11}{:>10}{:>10}{:>10}   {:<22}{:<12}{:>10}{:>10}",
            workload.name,
            workload.unit().as_str(),
            cost(NGINX),
            cost(NGINX_MEM),
            cost(TOLLGATE),
            compared.ratios(TOLLGATE, NGINX).map_or(String::new(), with_range),
            compared
                .ratios(TOLLGATE, NGINX_MEM)
                .map_or(String::new(), |ratio| format!("{:.2}", ratio.median)),
            p50(NGINX),
            p50(TOLLGATE),
        );
        for (proxy, about) in
            [(FIVE_LEVELS, "with allowances of five levels"), (CROWDED, "with 5,000 of other teams besides")]
        {
            if let Some(ratio) = compared.ratios(proxy, TOLLGATE) {
                println!("  {about:<41}{:>10}   {} of tollgate with none", cost(proxy), with_range(ratio));
            }
        }
        if let Some(ratio) = compared.ratios(TOLLGATE, OTHER_BUILD) {
            println!("  {:<41}{:>10}   {} of it", "the other build", cost(OTHER_BUILD), with_range(ratio));
        }
        self.rows.push(json!({
            "workload": workload.name,
            "about": workload.about,
            "unit": workload.unit().as_str(),
            "ratio": compared.ratios(TOLLGATE, NGINX),
            "ratio_to_nginx_mem": compared.ratios(TOLLGATE, NGINX_MEM),
            "ratio_to_other_build": compared.ratios(TOLLGATE, OTHER_BUILD),
            "ratio_of_five_levels": compared.ratios(FIVE_LEVELS, TOLLGATE),
            "ratio_of_crowded": compared.ratios(CROWDED, TOLLGATE),
            "columns": compared.columns,
        }));
    }

    /// Prints what was checked, and writes the file that was asked for.
    pub(crate) fn end(self, file: Option<&Path>) -> Result<()> {
        println!(
            "\nEvery answer had status 200 and the upstream's bytes. Every request that tollgate passed is in its \
             journal,\nadmitted and settled, and in its ledger, with its usage and price. Every allowance was charged \
             with exactly that."
        );
        let Some(path) = file else {
            return Ok(());
        };
        let text = format!(
            "{:#}\n",
            json!({ "conditions": self.conditions, "books": self.moves, "workloads": self.rows })
        );
        std::fs::write(path, text).with_context(|| format!("{} can not be written", path.display()))
    }
}

fn print_moves(moves: &[Moves]) {
    if moves.is_empty() {
        return;
    }
    println!(
        "\n{:<44}{:>10}{:>10}{:>10}{:>10}",
        "the books alone, ns a request", "reserve", "shares", "settle", "together"
    );
    for row in moves {
        let Moves { about, reserve_ns, shares_ns, settle_ns } = row;
        let together = row.total_ns();
        println!("{about:<44}{reserve_ns:>10.0}{shares_ns:>10.0}{settle_ns:>10.0}{together:>10.0}");
    }
}

fn with_range(ratio: Ratio) -> String {
    format!("{:.2}  ({:.2} to {:.2})", ratio.median, ratio.least, ratio.most)
}

fn nginx_version() -> Option<String> {
    let path = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin:/usr/local/sbin";
    let output = Command::new("nginx").arg("-v").env("PATH", path).output().ok()?;
    Some(String::from_utf8_lossy(&output.stderr).trim().to_owned())
}
