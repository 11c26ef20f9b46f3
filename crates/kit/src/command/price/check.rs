//! `tollgate price check`.

use super::{Format, WhichBook};
use crate::{
    admin::Admin,
    cli::DataFolder,
    fault::Fault,
    money,
    printer::Printer,
    runtime,
    source::Source,
    status::Status,
    table::{Column, Table, visible},
    time::{Instant, brief},
};
use clap::Args;
use serde_json::{Value, json};
use std::path::PathBuf;
use tollgate_policy::{
    entry::Outcome,
    id::RequestId,
    price::{Factor, Line, PriceBook, Priced, Sale},
    unit::NanoUsd,
};

use record::{Record, Recorded};

mod record;

/// The longest text of one record that is read: twice the longest line of a journal, for the API's indentation.
const RECORD_BYTES_MAX: u64 = 2 << 20;

/// Explain one usage record line by line, and check that it was priced rightly.
///
/// Each line is a quantity at a rate, times a factor; the sum must be what the record says, to the nano-dollar. The
/// record is a `settled` entry of the journal, from a file or, with --request, from a running gateway. The `usage` of
/// any answer of the API can be given too, with --model; then there is nothing to compare the sum with.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tollgate price check --request req_01KB7ZC2C8M4X9V0R3T5W6Y8ZA
  tail -n 1 settled.jsonl | tollgate price check -
  echo '{\"input_tokens\":1200,\"output_tokens\":350}' | tollgate price check - --model claude-opus-5
  tollgate price check usage.json --model claude-opus-5 --at 2027-01-01 --book prices.json")]
pub(super) struct Check {
    /// The record, or - for standard input.
    #[arg(required_unless_present = "request", conflicts_with = "request")]
    record: Option<PathBuf>,
    /// Ask the running gateway for the record of this request.
    #[arg(long, value_name = "ID", conflicts_with_all = ["model", "at", "upstream"])]
    request: Option<RequestId>,
    /// The model that served, for the usage of an answer.
    #[arg(long)]
    model: Option<String>,
    /// When that was: a date or RFC 3339. Now, if it is left out.
    #[arg(long, value_name = "INSTANT")]
    at: Option<Instant>,
    /// The upstream that served it.
    #[arg(long, value_name = "NAME")]
    upstream: Option<String>,
    #[command(flatten)]
    book: WhichBook,
    /// How to print it.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    #[command(flatten)]
    data: DataFolder,
}

impl Check {
    pub(super) fn run(self, printer: &Printer) -> Result<Status, Fault> {
        let book = self.book.read()?;
        let record = self.record()?;
        let explained = Explained::of(&record, &book);
        match self.format {
            Format::Text => printer.answer(&explained.text())?,
            Format::Json => printer.answer(&explained.json())?,
        }
        Ok(if explained.verdict.is_good() { Status::Done } else { Status::Failed })
    }

    fn record(&self) -> Result<Record, Fault> {
        if let Some(request) = self.request {
            let admin = Admin::of(&self.data.path)?;
            let answer: Value = runtime::ask(admin.fetch(&format!("/admin/v1/requests/{request}")))?;
            return Record::read(&answer, None)
                .map_err(|why| Fault::NotARecord { name: request.to_string(), why });
        }
        // One of the two is always given.
        let path = self.record.clone().unwrap_or_default();
        let Source { name, text } = Source::read_at_most(&path, RECORD_BYTES_MAX)?;
        let served = record::Served {
            model: self.model.clone(),
            upstream: self.upstream.clone().unwrap_or_default(),
            at: self.at.unwrap_or_else(Instant::now).unix_ms(),
        };
        let value = serde_json::from_str(&text).map_err(|error| error.to_string());
        value
            .and_then(|value| Record::read(&value, Some(served)))
            .map_err(|why| Fault::NotARecord { name, why })
    }
}

/// A record and its price.
struct Explained {
    facts: Vec<(&'static str, String)>,
    priced: Priced,
    recorded: Vec<Recorded>,
    verdict: Verdict,
}

/// Whether the price is the one that was recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Verdict {
    /// It is.
    Equal,
    /// It is not, and this is how much the record has more.
    Differs { recorded: NanoUsd, version: String },
    /// It has none: it is the usage of an answer.
    NotRecorded,
    /// The record's cost does not come from a price.
    NotPriced(&'static str),
}

impl Verdict {
    fn is_good(&self) -> bool {
        !matches!(self, Self::Differs { .. })
    }
}

impl Explained {
    fn of(record: &Record, book: &PriceBook) -> Self {
        let mut facts = vec![("book", book.version().to_owned())];
        let (priced, recorded, verdict) = match record {
            Record::Usage { served, usage } => {
                let model = served.model.as_deref().unwrap_or_default();
                let sale = Sale {
                    requested_model: model,
                    model,
                    upstream: &served.upstream,
                    usage,
                    at: served.at,
                    batch: false,
                    regional: false,
                };
                facts.push(("model", model.to_owned()));
                facts.push(("at", brief(&served.at.to_string())));
                (book.price(&sale), Vec::new(), Verdict::NotRecorded)
            }
            Record::Settled { settled, booked_at, recorded } => {
                let sale = Sale::of(settled, *booked_at);
                let priced = book.price(&sale);
                facts.push(("request", settled.request.to_string()));
                facts.push(("model", sale.model.to_owned()));
                facts.push(("upstream", settled.upstream.clone()));
                facts.push(("booked", brief(&booked_at.to_string())));
                let verdict = if settled.outcome == Outcome::Unknown {
                    Verdict::NotPriced("the gateway died before its end: it costs what was reserved for it")
                } else if book.rerate(settled, *booked_at, settled.cost).is_none() {
                    Verdict::NotPriced("it was not charged, like a refusal before any output")
                } else {
                    compare(priced.cost, recorded, book.version())
                };
                (priced, recorded.clone(), verdict)
            }
        };
        Self { facts, priced, recorded, verdict }
    }

    /// The text for people.
    fn text(&self) -> String {
        let fact = |(name, value): &(&str, String)| format!("{name:<9} {}\n", visible(value));
        let mut out: String = self.facts.iter().map(fact).collect();
        let numbers =
            ["quantity", "for a million", "factor", "amount"].map(|head| Column::Number(head.into()));
        let texts = ["model", "what"].map(|head| Column::Text(head.into()));
        let mut table = Table::new(texts.into_iter().chain(numbers).chain([Column::Text("why".into())]));
        for line in &self.priced.lines {
            table.row(vec![
                line.model.clone(),
                line.class.as_str().to_owned(),
                line.quantity.to_string(),
                dollars(line.rate_per_million),
                line.multiplier.to_string(),
                dollars(line.amount),
                why(line),
            ]);
        }
        let sum = ["sum", "", "", "", "", &dollars(self.priced.cost), ""].map(str::to_owned);
        table.row(sum.to_vec());
        out.push_str(&format!("\n{}\n", table.text()));
        for Recorded { cost, version, reason } in &self.recorded {
            let reason = reason.as_ref().map_or_else(String::new, |reason| format!(": {}", visible(reason)));
            out.push_str(&format!("recorded {} by book {}{reason}\n", dollars(*cost), visible(version)));
        }
        let verdict = match &self.verdict {
            Verdict::Equal => "equal: the record was priced rightly".to_owned(),
            Verdict::NotRecorded => return out,
            Verdict::NotPriced(why) => format!("not compared: {why}"),
            Verdict::Differs { recorded, version } => {
                let more = dollars(recorded.saturating_sub(self.priced.cost));
                let other = self.facts.first().is_some_and(|(_, book)| book != version);
                let advice = if other { "; another book priced it: give that one with --book" } else { "" };
                format!("DIFFERS: {more} were recorded beyond the sum{advice}")
            }
        };
        format!("{out}{verdict}\n")
    }

    /// The text for programs.
    fn json(&self) -> String {
        let verdict = match &self.verdict {
            Verdict::Equal => "equal",
            Verdict::Differs { .. } => "differs",
            Verdict::NotRecorded => "not_recorded",
            Verdict::NotPriced(_) => "not_priced",
        };
        let recorded = |recorded: &Recorded| json!({ "cost_nano_usd": recorded.cost, "price_version": recorded.version, "reason": recorded.reason });
        let facts: serde_json::Map<String, Value> =
            self.facts.iter().map(|(name, value)| ((*name).to_owned(), value.clone().into())).collect();
        let answer = json!({
            "facts": facts,
            "lines": self.priced.lines.iter().map(line).collect::<Vec<_>>(),
            "cost_nano_usd": self.priced.cost,
            "unknown_model": self.priced.unknown_model,
            "recorded": self.recorded.iter().map(recorded).collect::<Vec<_>>(),
            "verdict": verdict,
        });
        crate::json::pretty(&answer)
    }
}

/// Compares with what this very book set last, or else with what the request costs now.
fn compare(cost: NanoUsd, recorded: &[Recorded], version: &str) -> Verdict {
    let same_book = recorded.iter().rev().find(|recorded| recorded.version == version);
    match same_book.or(recorded.last()) {
        Some(recorded) if recorded.cost == cost => Verdict::Equal,
        Some(recorded) => Verdict::Differs { recorded: recorded.cost, version: recorded.version.clone() },
        None => Verdict::NotRecorded,
    }
}

/// Whence the rate, and of what the factor is made.
fn why(line: &Line) -> String {
    let mut why = vec![line.source.as_str().to_owned()];
    if line.long_prompt {
        why.push("long prompt".to_owned());
    }
    why.extend(
        line.factors.iter().map(|Factor { reason, multiplier }| format!("{} {multiplier}", reason.as_str())),
    );
    why.join(", ")
}

fn line(line: &Line) -> Value {
    let factor =
        |factor: &Factor| json!({ "reason": factor.reason.as_str(), "value": factor.multiplier.to_string() });
    json!({
        "model": line.model,
        "class": line.class.as_str(),
        "quantity": line.quantity,
        "rate_nano_usd_per_million": line.rate_per_million,
        "source": line.source.as_str(),
        "long_prompt": line.long_prompt,
        "multiplier": line.multiplier.to_string(),
        "factors": line.factors.iter().map(factor).collect::<Vec<_>>(),
        "amount_nano_usd": line.amount,
    })
}

fn dollars(amount: NanoUsd) -> String {
    money::dollars(i128::from(amount.0))
}
