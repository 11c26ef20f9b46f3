//! `tollgate allowance`: limits, quotas and budgets, through the admin API of the running gateway.

use crate::{
    admin::{Admin, Expect, segment},
    cli::Access,
    fault::Fault,
    printer::Printer,
    runtime,
    source::Source,
    status::Status,
};
use clap::{Args, Subcommand, ValueEnum};
use record::Item;
use serde::Serialize;
use serde_json::Value;
use std::path::PathBuf;
use tollgate_config::{amount::Amount, instant::Instant, load_allowance};
use tollgate_policy::allowance::Calendar;

mod record;

/// List, make, change and raise limits, quotas and budgets.
///
/// All of them are allowances: so many requests, tokens or dollars, for a part of the organisation, per span of time.
/// Those of the configuration are seen here and changed there; others are made and removed here, and take effect at
/// once.
#[derive(Debug, Args)]
pub(crate) struct Allowance {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    List(List),
    Show(Show),
    Set(Set),
    Remove(Remove),
    Raise(Raise),
}

/// List all allowances, and how much of each is used.
#[derive(Debug, Args)]
#[command(after_help = "\
Used is what was counted; held is what requests under way may still use. Both together never exceed the amount of an
allowance that blocks and reserves in full.")]
struct List {
    /// How to print it.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
    #[command(flatten)]
    access: Access,
}

/// Show one allowance, its raises, and how much of it is used.
#[derive(Debug, Args)]
struct Show {
    /// Its name.
    name: String,
    /// How to print it.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
    #[command(flatten)]
    access: Access,
}

/// Make an allowance, or put another in the place of the one of that name.
///
/// The file holds one allowance, written as in the list `allowances` of a configuration; see `tollgate config
/// reference`. Periods of the calendar begin in UTC unless the file names a time_zone. What was used of it so far goes on
/// counting where the new one counts the same.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  tollgate allowance set - <<END
  name: platform-month
  on: { team: platform }
  each: user
  usd: 500
  per: month
  END")]
struct Set {
    /// The file, or - for standard input.
    file: PathBuf,
    #[command(flatten)]
    access: Access,
}

/// Take an allowance away, at once.
#[derive(Debug, Args)]
struct Remove {
    /// Its name.
    name: String,
    #[command(flatten)]
    access: Access,
}

/// Grant another amount for a while. Afterwards the allowance's own amount counts again.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  tollgate allowance raise platform-month --to 800 --until 2026-12-31 --note 'launch'")]
struct Raise {
    /// The name of the allowance.
    name: String,
    /// The amount meanwhile, in place of its own: dollars, tokens or requests.
    #[arg(long, value_name = "AMOUNT")]
    to: Amount,
    /// The first instant at which it counts no more: a date, which begins as the allowance's days do, or RFC 3339.
    #[arg(long, value_name = "INSTANT")]
    until: Instant,
    /// The first instant at which it counts. Without it: now.
    #[arg(long, value_name = "INSTANT")]
    from: Option<Instant>,
    /// Why, for those who read the journal.
    #[arg(long, value_name = "TEXT")]
    note: Option<String>,
    #[command(flatten)]
    access: Access,
}

/// How allowances are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people.
    Table,
    /// For programs: the answer of the admin API.
    Json,
}

/// What the admin API is told about a raise.
#[derive(Debug, Serialize)]
struct NewRaise {
    amount: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<String>,
    until: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<String>,
}

const ALLOWANCES: &str = "/admin/v1/allowances";

impl Allowance {
    pub(crate) fn run(self, printer: &Printer) -> Result<Status, Fault> {
        match self.command {
            Command::List(wish) => {
                let admin = Admin::reach(&wish.access)?;
                let items: Vec<Value> = runtime::ask(admin.list(ALLOWANCES))?;
                printer.answer(&match wish.format {
                    Format::Json => json(&items),
                    Format::Table => record::table(&admin.read_all(items)?),
                })?;
            }
            Command::Show(wish) => {
                let admin = Admin::reach(&wish.access)?;
                let item: Value = runtime::ask(admin.fetch(&path(&wish.name)))?;
                printer.answer(&match wish.format {
                    Format::Json => json(&item),
                    Format::Table => admin.read::<Item>(item)?.facts(),
                })?;
            }
            Command::Set(wish) => set(&wish, printer)?,
            Command::Remove(wish) => {
                let admin = Admin::reach(&wish.access)?;
                runtime::ask(admin.remove(&path(&wish.name)))?;
                printer.say(&format!("{} is removed", wish.name));
            }
            Command::Raise(wish) => raise(wish, printer)?,
        }
        Ok(Status::Done)
    }
}

fn set(wish: &Set, printer: &Printer) -> Result<(), Fault> {
    let source = Source::read(&wish.file)?;
    let (allowance, warnings) =
        load_allowance(&source.text, &source.name, &Calendar::default()).map_err(Fault::Configuration)?;
    for warning in &warnings {
        printer.problem(warning);
    }
    let admin = Admin::reach(&wish.access)?;
    let path = path(allowance.name.as_str());
    runtime::ask(async {
        let before = match admin.fetch::<Item>(&path).await {
            Ok(item) => Some(item),
            Err(Fault::Refused { status: 404, .. }) => None,
            Err(fault) => return Err(fault),
        };
        let expect = before.as_ref().map_or(Expect::Absent, |item| Expect::Exactly(&item.etag));
        let _made: Value = admin.put(&path, expect, &allowance).await?;
        Ok(())
    })?;
    printer.say(&format!("{} is in force", allowance.name));
    Ok(())
}

fn raise(wish: Raise, printer: &Printer) -> Result<(), Fault> {
    let admin = Admin::reach(&wish.access)?;
    let path = path(&wish.name);
    let item: Item = runtime::ask(admin.fetch(&path))?;
    let zone = record::zone(&item.allowance);
    let raise = NewRaise {
        amount: record::in_unit(&item.allowance, wish.to).ok_or_else(|| Fault::Unfit {
            what: "--to",
            rule: format!("{} can not be granted of {}", wish.to, item.allowance.measure.words()),
            cure: "write a whole number, unless it is dollars, and not too large a one.".to_owned(),
        })?,
        from: wish.from.map(|from| from.resolve(&zone).to_string()),
        until: wish.until.resolve(&zone).to_string(),
        note: wish.note,
    };
    let _made: Value = runtime::ask(admin.change(&format!("{path}/raises"), &raise))?;
    printer.say(&format!(
        "{}: {} until {}",
        wish.name,
        record::shown(&item.allowance, raise.amount),
        crate::time::brief(&raise.until)
    ));
    Ok(())
}

fn path(name: &str) -> String {
    format!("{ALLOWANCES}/{}", segment(name))
}

fn json(value: &impl Serialize) -> String {
    serde_json::to_string_pretty(value).expect("it came as JSON")
}
