//! `tollgate price show`.

use super::{Format, WhichBook};
use crate::{
    fault::Fault,
    money,
    printer::Printer,
    status::Status,
    table::{Column, Table, visible},
    time::{Instant, brief},
};
use clap::Args;
use serde_json::{Map, Value, json};
use tollgate_policy::{
    price::{Class, Reason, Shown, ShownMultiplier, ShownPeriod, Source},
    unit::{NanoUsd, UnixMs},
};

/// Print what tokens of a model cost: the rates in force and those that follow, and what may multiply them.
///
/// Works without a gateway. The model may be spelled as any platform spells it. A model that the price book does not
/// know is shown with the rates that it would be charged: of every class the dearest known.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tollgate price show claude-opus-5-5
  tollgate price show eu.anthropic.claude-haiku-4-5-20251001-v1:0
  tollgate price show claude-sonnet-5-5 --at 2026-10-01 --format json
  tollgate price show claude-opus-5 --book prices.json --upstream bedrock-eu")]
pub(super) struct Show {
    /// The model.
    model: String,
    /// When: a date, which begins at midnight UTC, or RFC 3339. Now, if it is left out.
    #[arg(long, value_name = "INSTANT")]
    at: Option<Instant>,
    /// At which upstream, by its name in the price book. The list prices, if it is left out.
    #[arg(long, value_name = "NAME")]
    upstream: Option<String>,
    #[command(flatten)]
    book: WhichBook,
    /// How to print it.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

impl Show {
    pub(super) fn run(self, printer: &Printer) -> Result<Status, Fault> {
        let book = self.book.read()?;
        let at = self.at.unwrap_or_else(Instant::now).unix_ms();
        let upstream = self.upstream.as_deref().unwrap_or_default();
        let shown = book.show(&self.model, at, upstream);
        match self.format {
            Format::Text => printer.answer(&text(&shown, at))?,
            Format::Json => printer.answer(&json(&shown, at))?,
        }
        if !upstream.is_empty() && book.upstreams().all(|name| name != upstream) {
            let sentence = "the price book has nothing about the upstream";
            printer.warn(&format!("{sentence} {}: the list prices count there", visible(upstream)));
        }
        if shown.is_unknown() {
            printer.warn(&format!(
                "the price book does not know {}: it would be charged at the dearest known rates",
                visible(&self.model)
            ));
        }
        Ok(Status::Done)
    }
}

/// The text for people.
fn text(shown: &Shown, at: UnixMs) -> String {
    let source = match shown.source {
        Source::List => "the list",
        Source::Upstream => "the upstream's own",
        Source::Dearest => "UNKNOWN MODEL: the dearest rates of any model",
    };
    let since = shown.in_force.from.map_or_else(|| "the beginning".to_owned(), instant);
    let mut facts = vec![
        ("model", shown.model.clone()),
        ("also named", shown.aliases.join(", ")),
        ("rates", source.to_owned()),
        ("in force", format!("at {}, since {since}", instant(at))),
        ("book", shown.version.clone()),
        ("note", shown.note.clone().unwrap_or_default()),
    ];
    facts.retain(|(_, value)| !value.is_empty());
    let mut out: String =
        facts.iter().map(|(name, value)| format!("{name:<11} {}\n", visible(value))).collect();
    out.push_str(&format!("\n{}", rates(shown)));
    if !shown.multipliers.is_empty() {
        out.push_str("\nmultiplied by\n");
    }
    for multiplier in &shown.multipliers {
        out.push_str(&format!("  {}\n", sentence(multiplier)));
    }
    out.push_str("\nbeside tokens\n");
    for (class, per_thousand) in shown.per_thousand {
        out.push_str(&format!("  {:<15} {} for a thousand\n", class.as_str(), dollars(per_thousand)));
    }
    if !shown.sources.is_empty() {
        out.push_str("\nsources\n");
    }
    for source in &shown.sources {
        out.push_str(&format!("  {}\n", visible(source)));
    }
    out
}

/// A row for each class, a column for each set of rates.
fn rates(shown: &Shown) -> String {
    let mut columns = vec![("in force".to_owned(), shown.in_force.per_million)];
    columns.extend(shown.in_force.long_prompt.map(|(above, rates)| (longer(above), rates)));
    if let Some(next) = &shown.next {
        let from = next.from.map_or_else(String::new, instant);
        columns.push((format!("from {from}"), next.per_million));
        columns.extend(next.long_prompt.map(|(above, rates)| (format!("and {}", longer(above)), rates)));
    }
    let heads = columns.iter().map(|(head, _)| Column::Number(head.clone()));
    let mut table = Table::new([Column::Text("for a million tokens".to_owned())].into_iter().chain(heads));
    for (place, (class, _)) in shown.in_force.per_million.iter().enumerate() {
        let amounts = columns.iter().map(|(_, rates)| dollars(rates[place].1));
        table.row([class.as_str().to_owned()].into_iter().chain(amounts).collect());
    }
    table.text()
}

fn longer(above: u64) -> String {
    format!("prompt above {above}")
}

/// What a multiplier is for, how much it is, and what follows.
fn sentence(multiplier: &ShownMultiplier) -> String {
    let ShownMultiplier { factor, always, next } = multiplier;
    let condition = match (factor.reason, always) {
        (Reason::Fast, _) => "if it is served fast",
        (Reason::Batch, _) => "if it is part of a batch, and not served fast",
        (Reason::UsInference, _) => "if inference is bound to the US",
        (Reason::Regional, false) => "on a regional endpoint; it and us_inference do not add up",
        (Reason::Regional, true) => "always: it is served in a region",
        (Reason::Contract, _) => "always, also beside tokens: the contract",
        (Reason::Upstream, _) => "always, also beside tokens: this upstream",
    };
    let next = next.map_or_else(String::new, |(from, next)| format!("; {next} from {}", instant(from)));
    format!("{:<15} {:<6} {condition}{next}", factor.reason.as_str(), factor.multiplier.to_string())
}

fn instant(at: UnixMs) -> String {
    brief(&at.to_string()).trim_end_matches(" 00:00:00").to_owned()
}

fn dollars(amount: NanoUsd) -> String {
    money::dollars(i128::from(amount.0))
}

/// The text for programs. Money is in dollars with nine decimals, as text.
fn json(shown: &Shown, at: UnixMs) -> String {
    let answer = json!({
        "model": shown.model,
        "aliases": shown.aliases,
        "unknown": shown.is_unknown(),
        "source": shown.source.as_str(),
        "book": shown.version,
        "note": shown.note,
        "at": at,
        "in_force": period(&shown.in_force),
        "next": shown.next.as_ref().map(period),
        "multipliers": shown.multipliers.iter().map(multiplier).collect::<Vec<_>>(),
        "usd_per_thousand": amounts(&shown.per_thousand),
        "sources": shown.sources,
    });
    crate::json::pretty(&answer)
}

fn period(period: &ShownPeriod) -> Value {
    let long_prompt = period.long_prompt.map(
        |(above_tokens, rates)| json!({ "above_tokens": above_tokens, "usd_per_million": amounts(&rates) }),
    );
    json!({
        "from": period.from,
        "usd_per_million": amounts(&period.per_million),
        "long_prompt": long_prompt,
    })
}

fn multiplier(multiplier: &ShownMultiplier) -> Value {
    let next = multiplier.next.map(|(from, next)| json!({ "from": from, "value": next.to_string() }));
    json!({
        "reason": multiplier.factor.reason.as_str(),
        "value": multiplier.factor.multiplier.to_string(),
        "always": multiplier.always,
        "next": next,
    })
}

fn amounts(amounts: &[(Class, NanoUsd)]) -> Map<String, Value> {
    let named = |(class, amount): &(Class, NanoUsd)| {
        (class.as_str().to_owned(), Value::from(money::decimal(i128::from(amount.0))))
    };
    amounts.iter().map(named).collect()
}
