//! The comparison, with exports as the provider documents them.

use super::compare::{Comparison, Measure, Terms, compare};
use super::export::{Export, Fact, Modes, What};
use super::ledger::{Booked, Figures, Ledger};
use jiff::civil::Date;
use std::collections::BTreeSet;
use tollgate_policy::{price::PriceBook, unit::UnixMs};

mod exports;
mod groups;
mod reasons;

const USAGE_JSON: &str = include_str!("tests/usage.json");
const COST_JSON: &str = include_str!("tests/cost.json");
const USAGE_CSV: &str = include_str!("tests/usage.csv");
const COST_CSV: &str = include_str!("tests/cost.csv");

/// 2026-11-22: all days below are over for long.
const NOW: UnixMs = UnixMs(1_795_347_000_123);

fn date(text: &str) -> Date {
    text.parse().unwrap()
}

/// The files, read one after the other.
fn export(texts: &[&str]) -> Export {
    let mut export = Export::default();
    for text in texts {
        export.add("file", text).unwrap();
    }
    export
}

/// A row of the ledger: day and model; input, output, cache writes, cache reads; nano-dollars.
fn booked(day: &str, model: &str, tokens: [u64; 4], cost_nano_usd: i64) -> Booked {
    let [input_tokens, output_tokens, cache_write_tokens, cache_read_tokens] = tokens;
    let figures = Figures {
        requests: 1,
        input_tokens,
        output_tokens,
        cache_write_tokens,
        cache_read_tokens,
        cost_nano_usd,
        ..Figures::default()
    };
    Booked { day: date(day), model: Some(model.to_owned()), upstream: Some("anthropic".to_owned()), figures }
}

/// What usage and cost the export tells, in few words.
struct Telling(Export);

impl Telling {
    fn new() -> Self {
        Self(Export::default())
    }

    /// A day and a model's input, output, 5-minute writes, 1-hour writes and reads.
    fn usage(mut self, day: &str, model: &str, tokens: [u64; 5]) -> Self {
        let mut counts = [0; super::export::CLASSES];
        counts[..tokens.len()].copy_from_slice(&tokens);
        self.0.usage_days.insert(date(day));
        self.0.facts.push(fact(day, Some(model), What::Usage(counts)));
        self
    }

    /// A day and what it cost, in nano-dollars, exactly.
    fn cost(mut self, day: &str, model: Option<&str>, nano_usd: i128) -> Self {
        self.0.cost_days.insert(date(day));
        self.0.facts.push(fact(day, model, What::Cost { nano_usd, rounding: 0, class: None }));
        self
    }

    /// The last fact, changed.
    fn with(mut self, change: impl FnOnce(&mut Fact)) -> Self {
        change(self.0.facts.last_mut().unwrap());
        self
    }
}

fn fact(day: &str, model: Option<&str>, what: What) -> Fact {
    Fact { day: date(day), model: model.map(str::to_owned), keys: Vec::new(), modes: Modes::default(), what }
}

/// The comparison under the usual terms, changed.
fn compared(export: &Export, ledger: &[Booked], change: impl FnOnce(&mut Terms<'_>)) -> Comparison {
    let mut terms = Terms {
        tolerance_ppm: 10_000,
        days: &export.usage_days | &export.cost_days,
        keys: Vec::new(),
        upstreams: Vec::new(),
        book: PriceBook::builtin(),
        now: NOW,
    };
    change(&mut terms);
    compare(export, ledger, &terms)
}

/// Each difference as one text: day, model, measures, reason.
fn differences(comparison: &Comparison) -> Vec<String> {
    let one = |difference: &super::compare::Difference| {
        let measures: Vec<&str> = difference.measures.iter().copied().map(Measure::as_str).collect();
        let model = difference.group.model.as_deref().unwrap_or("all");
        format!("{} {model} {}: {}", difference.group.day, measures.join("+"), difference.reason.code())
    };
    comparison.differences.iter().map(one).collect()
}
