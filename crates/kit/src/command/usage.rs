//! `tollgate usage`: what was used and what it cost.

use crate::{
    admin::Admin, cli::Access, fault::Fault, printer::Printer, runtime, status::Status, time::Instant,
};
use clap::{Args, Subcommand, ValueEnum};

mod dimension;
mod focus;
mod forecast;
mod report;

use dimension::Dimension;
use forecast::Running;

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
/// The figures are those of the ledger of a running gateway, which follows its journal. A request counts on the day of
/// its admission, UTC. Requests that were refused before they went upstream are not among them. Money is exact, to the
/// nano-dollar.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tollgate usage report
  tollgate usage report --by cost_centre,month --from 2026-01-01
  tollgate usage report --by team --forecast
  tollgate usage report --by day,tag:app --from 2026-11-01 --to 2026-12-01 --format csv > november.csv
  tollgate usage report --by user,tag:app --from 2026-11-01 --to 2026-12-01 --format focus > focus.csv

In CSV, a text that a spreadsheet would take for a formula is preceded by an apostrophe.")]
struct Wish {
    /// What to group by, outermost first: org, team, project, user, key, cost_centre, model, requested_model,
    /// further_models, upstream, region, endpoint, session, agent, day, month, outcome, or tag:NAME for a tag.
    #[arg(long, value_name = "DIMENSION", value_delimiter = ',', default_value = "team,user,model")]
    by: Vec<Dimension>,
    /// The first instant that counts: a date, which begins at midnight UTC, or RFC 3339.
    #[arg(long, value_name = "INSTANT")]
    from: Option<Instant>,
    /// The first instant that no longer counts.
    #[arg(long, value_name = "INSTANT")]
    to: Option<Instant>,
    /// Tell what each row will have cost at the end of the period, if it goes on as so far. The period is the running
    /// month in UTC, unless --from and --to give another.
    #[arg(long)]
    forecast: bool,
    /// How to print it.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
    #[command(flatten)]
    access: Access,
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
    /// For tools of finance: the table "Cost and Usage" of FOCUS 1.4, as CSV. Its rows are those of a day, a cost centre,
    /// a team and a model; what else --by names becomes tags.
    Focus,
}

impl Usage {
    pub(crate) fn run(self, printer: &Printer) -> Result<Status, Fault> {
        let Command::Report(wish) = self.command;
        let running = wish.running()?;
        let admin = Admin::reach(&wish.access)?;
        let mut report: Report = runtime::ask(admin.report(&wish.path(running)))?;
        if let Some(running) = running {
            report.forecast(running);
        }
        match wish.format {
            Format::Table => {
                printer.answer(&report.table())?;
                for note in report.notes() {
                    printer.say(&note);
                }
            }
            Format::Csv => printer.answer(&report.csv())?,
            Format::Json => printer.answer(&report.json())?,
            Format::Focus => {
                let csv = focus::csv(&report, &wish.by).map_err(|why| admin.strange(&why))?;
                printer.answer(&csv)?;
            }
        }
        Ok(Status::Done)
    }
}

impl Wish {
    /// The period to forecast.
    fn running(&self) -> Result<Option<Running>, Fault> {
        if !self.forecast {
            return Ok(None);
        }
        let unfit =
            |rule: String, cure: &str| Fault::Unfit { what: "--forecast", rule, cure: cure.to_owned() };
        // A part of the period does not grow with it.
        if let Some(part) = self.by.iter().find(|dimension| matches!(dimension.as_str(), "day" | "month")) {
            return Err(unfit(format!("a {part} is over before the period is"), "group by something else."));
        }
        if self.format == Format::Focus {
            return Err(unfit("FOCUS tells what was, not what will be".to_owned(), "choose another format."));
        }
        Running::of(self.from, self.to, Instant::now()).map(Some)
    }

    /// The question, as the admin API is asked it. Nothing in it needs an escape.
    fn path(&self, running: Option<Running>) -> String {
        let by = if self.format == Format::Focus { focus::dimensions(&self.by) } else { self.by.clone() };
        let by: Vec<String> = by.iter().map(Dimension::to_string).collect();
        let mut path = format!("/admin/v1/usage?by={}", by.join(","));
        let from = running.map(|running| running.from()).or(self.from);
        let to = running.map(|running| running.to()).or(self.to);
        for (name, instant) in [("from", from), ("to", to)] {
            if let Some(instant) = instant {
                path.push_str(&format!("&{name}={}", instant.to_utc()));
            }
        }
        path
    }
}
