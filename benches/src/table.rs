//! What is printed, row by row as it becomes known, and what is written as JSON.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::compare::{Compared, Ratio, Settings};
use crate::proxy::{NGINX, NGINX_MEM, OTHER_BUILD, TOLLGATE};
use crate::workload::Traffic;

/// The table of one run.
pub(crate) struct Table {
    conditions: Value,
    rows: Vec<Value>,
}

impl Table {
    /// Prints under which conditions is measured, and the head of the table.
    pub(crate) fn begin(settings: &Settings) -> Result<Self> {
        let cores = std::thread::available_parallelism()?.get();
        let pinned = match settings.cores.proxy {
            Some(core) => format!("the proxy pinned to core {core}"),
            None => "one core for everything, so the times to an answer say little".to_owned(),
        };
        println!("tollgate fully on, nginx as a plain proxy; one worker each, {cores} cores, {pinned}");
        println!("{} rounds of {:?}; CPU time in user and kernel mode\n", settings.rounds, settings.duration);
        println!(
            "{:<11} {:<11}{:>10}{:>10}{:>10}   {:<22}{:<12}{:>10}{:>10}",
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
        Ok(Table { conditions, rows: Vec::new() })
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
            compared.ratios(NGINX).map_or(String::new(), with_range),
            compared.ratios(NGINX_MEM).map_or(String::new(), |ratio| format!("{:.2}", ratio.median)),
            p50(NGINX),
            p50(TOLLGATE),
        );
        if let Some(ratio) = compared.ratios(OTHER_BUILD) {
            println!("{:>44}   {:<22}", "tollgate / other build", with_range(ratio));
        }
        self.rows.push(json!({
            "workload": workload.name,
            "about": workload.about,
            "unit": workload.unit().as_str(),
            "ratio": compared.ratios(NGINX),
            "ratio_to_nginx_mem": compared.ratios(NGINX_MEM),
            "ratio_to_other_build": compared.ratios(OTHER_BUILD),
            "columns": compared.columns,
        }));
    }

    /// Prints what was checked, and writes the file that was asked for.
    pub(crate) fn end(self, file: Option<&Path>) -> Result<()> {
        println!(
            "\nEvery answer had status 200 and the upstream's bytes. Every request that tollgate passed is in its \
             journal,\nadmitted and settled, and in its ledger, with its usage and price."
        );
        let Some(path) = file else {
            return Ok(());
        };
        let text = format!("{:#}\n", json!({ "conditions": self.conditions, "workloads": self.rows }));
        std::fs::write(path, text).with_context(|| format!("{} can not be written", path.display()))
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
