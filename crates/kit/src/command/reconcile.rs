//! `tollgate reconcile`: the provider's account beside the ledger.

use super::price::WhichBook;
use crate::{
    admin::Admin,
    cli::DataFolder,
    fault::Fault,
    printer::Printer,
    reconcile::{
        compare::{Comparison, Terms, compare},
        export::{EXPORT_BYTES_MAX, Export},
        ledger::Ledger,
    },
    runtime,
    source::Source,
    status::Status,
    table::visible,
    time::Instant,
};
use clap::{Args, ValueEnum};
use jiff::civil::Date;
use std::{collections::BTreeSet, path::PathBuf};

/// Compare the provider's account of usage and cost with the ledger.
///
/// Reads what the provider exports: the answers of the usage report and of the cost report of its Admin API, as JSON,
/// and the CSV files of its Console. Asks the running gateway for the same days, and lists every day and model on
/// which the two differ by more than the tolerance, with what probably is the reason. Days are days in UTC.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tollgate reconcile --provider-file usage.json --provider-file cost.json
  tollgate reconcile --provider-file november.csv --from 2026-11-01 --to 2026-12-01 --tolerance 0.5
  tollgate reconcile --provider-file usage.json --key anthropic=apikey_01Rj2N8SVvo6BePZj99NhmiT --format json

Exit status 0 says that the two are equal, 1 that they differ, or that nothing was compared.")]
pub(crate) struct Reconcile {
    /// A file of the provider, or - for standard input. May be given several times: usage and cost, month by month.
    #[arg(long = "provider-file", value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// The first day that counts. All days of the files, if it is left out.
    #[arg(long, value_name = "DATE", value_parser = day)]
    from: Option<Date>,
    /// The first day that no longer counts.
    #[arg(long, value_name = "DATE", value_parser = day)]
    to: Option<Date>,
    /// What may differ, in percent of the larger side.
    #[arg(long, value_name = "PERCENT", default_value = "1")]
    tolerance: Percent,
    /// The provider's key that an upstream presents, by its id or its name. With it, upstreams are compared apart, and
    /// other keys of the export left out.
    #[arg(long = "key", value_name = "UPSTREAM=KEY")]
    keys: Vec<KeyOf>,
    /// Only what went to this upstream. May be given several times.
    #[arg(long = "upstream", value_name = "NAME")]
    upstreams: Vec<String>,
    #[command(flatten)]
    book: WhichBook,
    /// How to print it.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    #[command(flatten)]
    data: DataFolder,
}

/// How differences are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people.
    Text,
    /// For spreadsheets: a line for each measure that differs.
    Csv,
    /// For programs.
    Json,
}

impl Reconcile {
    pub(crate) fn run(self, printer: &Printer) -> Result<Status, Fault> {
        let book = self.book.read()?;
        let mut export = Export::default();
        for file in &self.files {
            let Source { name, text } = Source::read_at_most(file, EXPORT_BYTES_MAX)?;
            export.add(&name, &text)?;
        }
        let days: BTreeSet<Date> = export
            .usage_days
            .union(&export.cost_days)
            .copied()
            .filter(|day| self.from.is_none_or(|from| *day >= from) && self.to.is_none_or(|to| *day < to))
            .collect();
        let ledger = match (days.first(), days.last()) {
            (Some(first), Some(last)) => self.ledger(*first, *last)?,
            _ => Ledger { rows: Vec::new() },
        };
        let terms = Terms {
            tolerance_ppm: self.tolerance.ppm,
            days,
            keys: self.keys.into_iter().map(|KeyOf { upstream, key }| (upstream, key)).collect(),
            upstreams: self.upstreams,
            book: &book,
            now: Instant::now().unix_ms(),
        };
        let comparison = compare(&export, &ledger.rows, &terms);
        print(&comparison, self.format, printer)?;
        let good = comparison.is_equal() && !comparison.is_empty();
        Ok(if good { Status::Done } else { Status::Failed })
    }

    /// Asks the gateway for these days. Nothing in the question needs an escape.
    fn ledger(&self, first: Date, last: Date) -> Result<Ledger, Fault> {
        let admin = Admin::of(&self.data.path)?;
        // The last date that there is has no day after it, and no gateway ran on it.
        let to = last.tomorrow().unwrap_or(last);
        let path =
            format!("/admin/v1/usage?by=day,model,upstream&from={first}T00:00:00.000Z&to={to}T00:00:00.000Z");
        runtime::ask(admin.report(&path))
    }
}

fn print(comparison: &Comparison, format: Format, printer: &Printer) -> Result<(), Fault> {
    match format {
        Format::Text => printer.answer(&comparison.text())?,
        Format::Csv => printer.answer(&comparison.csv())?,
        Format::Json => printer.answer(&comparison.json())?,
    }
    if comparison.days.is_empty() {
        printer.warn("the files tell of no day between --from and --to: nothing was compared");
    }
    for note in &comparison.notes {
        printer.say(&format!("note: {}", visible(note)));
    }
    Ok(())
}

/// A date and nothing else: the parser of dates would take an instant and drop its time.
fn day(text: &str) -> Result<Date, &'static str> {
    let date = (text.len() == "2026-11-01".len()).then(|| text.parse().ok()).flatten();
    date.ok_or("write a date, as in 2026-11-01")
}

/// A part of a hundred: up to four decimals.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Percent {
    /// In millionths.
    ppm: u32,
}

impl std::str::FromStr for Percent {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const RULE: &str = "write 0 to 100 with at most 4 decimals, as in 0.5";
        let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        if !digits(whole) || !digits(fraction) || fraction.len() > 4 {
            return Err(RULE);
        }
        let ppm = format!("{whole}{fraction:0<4}").parse().map_err(|_| RULE)?;
        if ppm > 1_000_000 { Err(RULE) } else { Ok(Self { ppm }) }
    }
}

/// Which key an upstream presents.
#[derive(Debug, Clone, PartialEq, Eq)]
struct KeyOf {
    upstream: String,
    key: String,
}

impl std::str::FromStr for KeyOf {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const RULE: &str = "write the name of an upstream, =, and the id or the name of the provider's key";
        let (upstream, key) = text.split_once('=').ok_or(RULE)?;
        if upstream.is_empty() || key.is_empty() {
            return Err(RULE);
        }
        if key.starts_with("sk-ant-") {
            return Err("this is the secret key itself: give its id, as the provider's Console shows it");
        }
        Ok(Self { upstream: upstream.to_owned(), key: key.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tolerance_is_a_part_of_a_hundred() {
        let rows = [
            ("0", Some(0)),
            ("1", Some(10_000)),
            ("0.5", Some(5_000)),
            ("0.0001", Some(1)),
            ("100", Some(1_000_000)),
            ("100.0001", None),
            ("0.00001", None),
            ("-1", None),
            ("1%", None),
            ("1.", None),
            (".5", None),
            ("", None),
            ("99999999999", None),
        ];
        for (text, ppm) in rows {
            assert_eq!(text.parse().ok().map(|Percent { ppm }| ppm), ppm, "{text:?}");
        }
    }

    #[test]
    fn a_day_is_a_date() {
        let rows = [
            ("2026-11-01", true),
            ("2024-02-29", true),
            ("2026-02-29", false),
            ("2026-11-01T08:00:00Z", false),
            ("20261101", false),
            ("yesterday!", false),
        ];
        for (text, good) in rows {
            assert_eq!(day(text).is_ok(), good, "{text}");
        }
    }

    #[test]
    fn a_key_is_named_by_its_id_and_never_given() {
        let read = |text: &str| text.parse::<KeyOf>();
        let key = read("anthropic=apikey_01=x").unwrap();
        assert_eq!((key.upstream.as_str(), key.key.as_str()), ("anthropic", "apikey_01=x"));
        for bad in ["", "anthropic", "=x", "anthropic="] {
            assert!(read(bad).unwrap_err().starts_with("write the name"), "{bad:?}");
        }
        assert!(read("anthropic=sk-ant-api03-x").unwrap_err().starts_with("this is the secret"));
    }
}
