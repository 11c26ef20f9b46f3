//! `tollgate usage`: what was used and what it cost.

use crate::{
    admin::Admin, cli::DataFolder, fault::Fault, printer::Printer, runtime, status::Status, time::Instant,
};
use clap::{Args, Subcommand, ValueEnum};

mod report;

pub(crate) use report::{Figures, Report, Row, harmless};

/// Report what was used and what it cost.
#[derive(Debug, Args)]
pub(crate) struct Usage {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Report(Wish),
}

/// Print usage and cost, grouped as asked.
///
/// The figures are those of the ledger of a running gateway, which follows its journal. Requests that were refused
/// before they went upstream are not among them. Money is exact, to the nano-dollar.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tollgate usage report
  tollgate usage report --by day,model --from 2026-11-01 --to 2026-12-01
  tollgate usage report --by team,user,model --format csv > november.csv

In CSV, a text that a spreadsheet would take for a formula is preceded by an apostrophe.")]
struct Wish {
    /// What to group by, outermost first.
    #[arg(
        long,
        value_enum,
        value_name = "DIMENSION",
        value_delimiter = ',',
        default_value = "team,user,model"
    )]
    by: Vec<Dimension>,
    /// The first instant that counts: a date, which begins at midnight UTC, or RFC 3339.
    #[arg(long, value_name = "INSTANT")]
    from: Option<Instant>,
    /// The first instant that no longer counts.
    #[arg(long, value_name = "INSTANT")]
    to: Option<Instant>,
    /// How to print it.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
    #[command(flatten)]
    data: DataFolder,
}

/// What usage can be grouped by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Dimension {
    Org,
    Team,
    Project,
    User,
    Key,
    Model,
    Upstream,
    Session,
    Agent,
    Day,
    Outcome,
}

/// How a report is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people, with a row of sums.
    Table,
    /// For spreadsheets: one line for each row, without sums.
    Csv,
    /// For programs: the answer of the admin API.
    Json,
}

impl Usage {
    pub(crate) fn run(self, printer: &Printer) -> Result<Status, Fault> {
        let Command::Report(wish) = self.command;
        let admin = Admin::of(&wish.data.path)?;
        let report: Report = runtime::ask(admin.report(&wish.path()))?;
        match wish.format {
            Format::Table => {
                printer.answer(&report.table())?;
                for note in report.notes() {
                    printer.say(&note);
                }
            }
            Format::Csv => printer.answer(&report.csv())?,
            Format::Json => printer.answer(&report.json())?,
        }
        Ok(Status::Done)
    }
}

impl Wish {
    /// The question, as the admin API is asked it. Nothing in it needs an escape.
    fn path(&self) -> String {
        let by: Vec<String> = self
            .by
            .iter()
            .filter_map(|dimension| Some(dimension.to_possible_value()?.get_name().to_owned()))
            .collect();
        let mut path = format!("/admin/v1/usage?by={}", by.join(","));
        for (name, instant) in [("from", self.from), ("to", self.to)] {
            if let Some(instant) = instant {
                path.push_str(&format!("&{name}={}", instant.to_utc()));
            }
        }
        path
    }
}
