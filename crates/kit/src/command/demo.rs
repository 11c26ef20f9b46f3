//! `tollgate demo`: all of it at work on one machine, checked as it goes.

use crate::{
    admin::Admin,
    command::{audit, usage::Report},
    descriptors,
    fault::Fault,
    log::Log,
    printer::Printer,
    runtime,
    signals::Stop,
    status::Status,
};
use clap::Args;
use std::path::PathBuf;
use tollgate_config::{
    Address,
    document::{LogFormat, LogLevel},
};

mod books;
mod cast;
mod exchange;
mod stage;
mod traffic;

use cast::Cast;
use stage::Stage;

/// Show all of it at work: a gateway before a simulated API, on this machine alone and without an account.
///
/// Four teams get keys, one of them with a small budget, and send a burst of requests: plain answers and streams, tools, thinking, the prompt cache;
/// an overloaded API, a model that is not allowed, a wrong key, a client that leaves and a stream that breaks. Each
/// answer is checked; then what the gateway wrote down is held against what the simulated API served. The gateway
/// stays up for your own client until Ctrl-C.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tollgate demo
  tollgate demo --exit && echo all is well
  tollgate demo --data ./demo-data       # and afterwards: tollgate audit verify ./demo-data")]
pub(crate) struct Demo {
    /// End after the summary, with status 1 if anything was not as expected.
    #[arg(long)]
    exit: bool,
    /// The address for clients; port 0 takes a free one.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:0")]
    listen: Address,
    /// Keep the state in this folder. Without it: in a temporary folder, which is removed at the end.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
}

impl Demo {
    pub(crate) fn run(self, printer: &Printer) -> Result<Status, Fault> {
        // The demo provokes faults, so what the gateway thinks of them is of no interest.
        Log::start(LogFormat::Pretty, LogLevel::Error);
        descriptors::raise();
        runtime::serve(self.perform(printer))
    }

    async fn perform(self, printer: &Printer) -> Result<Status, Fault> {
        let mut stop = Stop::listen()?;
        let stage = Stage::raise(self.listen, self.data, printer).await?;
        let played = tokio::select! {
            played = play(&stage, printer) => played,
            () = stop.next() => Ok(Status::Failed),
        };
        if played.is_ok() && !self.exit {
            printer.say("\nthe gateway stays up; Ctrl-C ends it");
            tokio::select! {
                () = stop.next() => {}
                () = stage.gateway.failed() => printer.warn("the journal can not be written any more"),
            }
        }
        stage.strike(printer).await;
        played
    }
}

/// The play itself: traffic, books, summary.
async fn play(stage: &Stage, printer: &Printer) -> Result<Status, Fault> {
    printer.say(&format!(
        "a gateway is up, and a simulated API behind it\n\n  \
         clients   {}\n  \
         upstream  {}\n  \
         metrics   http://{}/metrics\n  \
         data      {}\n",
        stage.url(),
        stage.simulator.url(),
        stage.gateway.admin_address(),
        stage.data.display()
    ));
    let admin = Admin::of(&stage.data)?;
    let cast = Cast::mint(&admin).await?;
    let since = crate::time::Instant::now();
    let exchanges = traffic::send(stage.gateway.address(), &cast, printer).await;
    let mut good = traffic::judge(&exchanges, printer);

    books::settled(&admin, &stage.simulator).await?;
    let path = format!("/admin/v1/usage?by=team,model&from={}", since.to_utc());
    let report: Report = admin.report(&path).await?;
    good &= books::judge(&report, &exchanges, &stage.simulator.record(), printer);
    let (journal_is_good, journal) = audit::check(&stage.data)?;
    printer.verdict(journal_is_good, "journal   every entry follows from the one before it");
    good &= journal_is_good;

    printer.say("");
    printer.answer(&report.table())?;
    for note in report.notes() {
        printer.say(&note);
    }
    printer.answer(&format!(
        "\n{journal}\n\
         Claude Code through this gateway:\n\n  \
         export ANTHROPIC_BASE_URL={}\n  \
         export ANTHROPIC_AUTH_TOKEN={}",
        stage.url(),
        cast.guest.secret
    ))?;
    Ok(if good { Status::Done } else { Status::Failed })
}
