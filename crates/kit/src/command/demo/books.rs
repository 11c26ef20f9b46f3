//! Are the books right? What the ledger says is held against what the simulated API says it served.

use super::{exchange::Exchange, stage::UPSTREAM_KEY};
use crate::{
    admin::Admin,
    command::usage::{Figures, Report},
    fault::Fault,
    printer::Printer,
};
use serde::Deserialize;
use std::{collections::BTreeMap, time::Duration};
use tokio::time::{sleep, timeout};
use tollgate_simulator::{Ending, Record, Running, Seen};

/// How long what was cut off may take to be settled.
const PATIENCE: Duration = Duration::from_secs(20);
/// How often the gateway is asked.
const INTERVAL: Duration = Duration::from_millis(20);
/// By the rule for answers that broke off, so many characters that were seen count as a token of output.
const CHARS_PER_TOKEN: u64 = 4;

#[derive(Deserialize)]
struct State {
    journal_open: u64,
}

/// What a row of the report must hold.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Expected {
    requests: u64,
    input_tokens: u64,
    output_tokens: u64,
    cache_read_tokens: u64,
    cache_write_tokens: u64,
}

/// Rows by team and model; the model is empty where none was asked.
type Rows = BTreeMap<(String, String), Expected>;

/// Waits until the simulator has ended every answer and the gateway has settled every request.
///
/// # Errors
///
/// As [`Admin::fetch`]; when it takes too long it returns all the same, and the books tell.
pub(super) async fn settled(admin: &Admin, simulator: &Running) -> Result<(), Fault> {
    let record = simulator.record();
    let both = async {
        record.until(|served| served.open == 0).await;
        loop {
            let state: State = admin.fetch("/admin/v1/state").await?;
            if state.journal_open == 0 {
                return Ok(());
            }
            sleep(INTERVAL).await;
        }
    };
    timeout(PATIENCE, both).await.unwrap_or(Ok(()))
}

/// Says whether every figure of the report is what the simulator served, and whether each side kept its secrets.
pub(super) fn judge(report: &Report, exchanges: &[Exchange], record: &Record, printer: &Printer) -> bool {
    let expected = expected(exchanges, record);
    let found = found(report);
    let equal = expected == found;
    printer.verdict(equal, "ledger    every figure is what the simulated API served");
    if !equal {
        for key in expected.keys().chain(found.keys().filter(|key| !expected.contains_key(*key))) {
            let (expected, found) = (expected.get(key), found.get(key));
            if expected != found {
                printer.warn(&format!("{key:?}: {expected:?} expected, {found:?} found"));
            }
        }
    }
    let priced = report.rows.iter().all(|row| is_priced(&row.figures));
    printer.verdict(priced, "ledger    whatever used tokens has a price");
    let secret = record.requests().iter().all(kept_secret);
    printer.verdict(secret, "secrets   no key of a team went upstream, only the gateway's own");
    equal && priced && secret
}

fn is_priced(figures: &Figures) -> bool {
    (figures.output_tokens == 0 || figures.cost_nano_usd > 0) && figures.unknown_price == 0
}

fn kept_secret(seen: &Seen) -> bool {
    let leaks = seen.headers.iter().any(|(_, value)| value.contains("tg_"));
    !leaks && seen.header("x-api-key") == Some(UPSTREAM_KEY)
}

/// What the report must say. The simulator knows what it served under which id; the clients know who they are.
fn expected(exchanges: &[Exchange], record: &Record) -> Rows {
    let mut rows = Rows::new();
    for exchange in exchanges {
        let id = exchange.request_id.as_deref().unwrap_or_default();
        // What the gateway refused has an id that the simulator does not know.
        let Some(seen) = record.by_request_id(id) else {
            continue;
        };
        let team = exchange.scene.part.team().to_owned();
        let model = exchange.scene.ask.model().unwrap_or_default().to_owned();
        let row = rows.entry((team, model)).or_default();
        row.requests += 1;
        row.add(&seen);
    }
    rows
}

impl Expected {
    fn add(&mut self, seen: &Seen) {
        let answer = &seen.answer;
        let broke_off = !matches!(answer.ending, Ending::Complete);
        for share in &answer.bill {
            let tokens = &share.tokens;
            let floor = if broke_off { answer.chars.div_ceil(CHARS_PER_TOKEN) } else { 0 };
            self.input_tokens += tokens.input;
            self.output_tokens += tokens.output.max(floor);
            self.cache_read_tokens += tokens.cache_read;
            self.cache_write_tokens += tokens.cache_write_5m + tokens.cache_write_1h;
        }
    }
}

fn found(report: &Report) -> Rows {
    let row = |row: &crate::command::usage::Row| {
        let figures = &row.figures;
        let expected = Expected {
            requests: figures.requests,
            input_tokens: figures.input_tokens,
            output_tokens: figures.output_tokens,
            cache_read_tokens: figures.cache_read_tokens,
            cache_write_tokens: figures.cache_write_tokens,
        };
        ((row.dimension("team").to_owned(), row.dimension("model").to_owned()), expected)
    };
    report.rows.iter().map(row).collect()
}
