//! `tollgate serve`: the gateway.

use crate::{
    descriptors,
    fault::Fault,
    log::{Form, Log},
    printer::Printer,
    runtime,
    signals::{Hangup, Stop},
    status::Status,
};
use clap::Args;
use std::path::{Path, PathBuf};
use tokio::sync::Notify;
use tollgate_config::Problem;
use tollgate_gateway::{Gateway, Snapshot, Source, follow};

mod wish;

use wish::{Overrides, Wish};

/// Run the gateway.
///
/// Without a file, every setting has its default: clients connect to 127.0.0.1:8080, the admin API and the metrics
/// are at 127.0.0.1:8081, the state lies in ./tollgate-data, and the API key that is presented to the upstream comes
/// from the environment variable ANTHROPIC_API_KEY.
///
/// SIGHUP, or a change of the file, reloads the configuration, as a whole or not at all. SIGTERM and Ctrl-C let the
/// requests under way finish, as long as timeouts.drain allows; a second one ends at once.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  ANTHROPIC_API_KEY=sk-ant-... tollgate serve
  tollgate serve --config tollgate.yaml
  tollgate serve --upstream http://127.0.0.1:8090 --data /tmp/try   # before `tollgate simulate`")]
pub(crate) struct Serve {
    /// The configuration, a YAML or JSON file: see `tollgate config reference`.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(flatten)]
    overrides: Overrides,
}

/// Why serving ended.
enum End {
    /// A signal asked for it.
    Asked,
    /// The journal failed for good.
    Failed,
}

impl Serve {
    pub(crate) fn run(self, printer: &Printer) -> Result<Status, Fault> {
        let wish = Wish::read(self.config.as_deref(), &self.overrides)?;
        let log = Log::start(wish.snapshot.log_format, wish.snapshot.log_level);
        runtime::serve(serve(wish, self.config.as_deref(), &self.overrides, &log, printer))
    }
}

async fn serve(
    wish: Wish,
    file: Option<&Path>,
    overrides: &Overrides,
    log: &Log,
    printer: &Printer,
) -> Result<Status, Fault> {
    let Wish { name, text, snapshot } = wish;
    let mut stop = Stop::listen()?;
    let mut hangup = Hangup::listen()?;
    let announcement = Announcement::of(&snapshot, descriptors::raise());
    let gateway = tokio::select! {
        started = Gateway::start(snapshot, Source { name: &name, text: &text }) => started?,
        () = stop.next() => return Ok(Status::Done),
    };
    announcement.give(&gateway, log, printer);
    let end = tokio::select! {
        () = stop.next() => End::Asked,
        () = gateway.failed() => End::Failed,
        () = reload(&gateway, file, text, overrides, log, &mut hangup) => End::Asked,
    };
    if matches!(end, End::Failed) {
        tracing::error!("the journal can not be written any more, so nothing passes: this gateway ends");
    } else {
        tracing::info!("ending: requests under way may finish; a second signal ends at once");
    }
    tokio::select! {
        stopped = gateway.drain() => tracing::info!(connections_cut = stopped.cut, "ended"),
        () = stop.next() => {
            tracing::warn!("ended at once; the next start closes in the books what was under way");
            return Ok(Status::Failed);
        }
    }
    Ok(match end {
        End::Asked => Status::Done,
        End::Failed => Status::Failed,
    })
}

/// Reloads the configuration when its file changes and at every SIGHUP, as long as it is polled.
async fn reload(
    gateway: &Gateway,
    file: Option<&Path>,
    text: String,
    overrides: &Overrides,
    log: &Log,
    hangup: &mut Hangup,
) {
    let Some(file) = file else {
        loop {
            hangup.next().await;
            tracing::warn!("there is no configuration file to read again: start with --config FILE");
        }
    };
    let nudge = Notify::new();
    let nudges = async {
        loop {
            hangup.next().await;
            nudge.notify_one();
        }
    };
    let adjust = |snapshot: &mut Snapshot| overrides.adjust(snapshot);
    let applied = |snapshot: &Snapshot| log.set_level(snapshot.log_level);
    tokio::select! {
        () = follow(gateway, file, text, adjust, applied, &nudge) => {}
        () = nudges => {}
    }
}

/// What is said once the gateway runs.
struct Announcement {
    data: PathBuf,
    scheme: &'static str,
    upstream: String,
    warnings: Vec<Problem>,
    /// That fewer files may be open than connections, if that is so.
    shortage: Option<String>,
}

impl Announcement {
    /// `descriptors` is how many files may be open at once.
    fn of(snapshot: &Snapshot, descriptors: Option<u64>) -> Self {
        Self {
            data: snapshot.data.clone(),
            scheme: if snapshot.listen.tls.is_some() { "https" } else { "http" },
            upstream: snapshot.upstream.url.to_string(),
            warnings: snapshot.warnings.clone(),
            shortage: descriptors::shortage(descriptors, snapshot.limits.connections),
        }
    }

    /// In words on a terminal; where the log is read by machines, as lines of it.
    fn give(self, gateway: &Gateway, log: &Log, printer: &Printer) {
        let clients = format!("{}://{}", self.scheme, gateway.address());
        let setup = gateway.setup_code();
        let admin = format!("http://{}", gateway.admin_address());
        let data = self.data.display();
        match log.form() {
            Form::Json => {
                for warning in &self.warnings {
                    tracing::warn!("{warning}");
                }
                if let Some(shortage) = &self.shortage {
                    tracing::warn!("{shortage}");
                }
                if let Some(code) = setup {
                    // Good once, for the first operator; whoever reads this log may become that.
                    tracing::warn!(
                        code = code.as_str(),
                        "nobody may administer this gateway yet: tollgate setup"
                    );
                }
                tracing::info!(%clients, %admin, %data, upstream = %self.upstream, "the gateway is up");
            }
            Form::Pretty => {
                for warning in &self.warnings {
                    printer.problem(warning);
                }
                if let Some(shortage) = &self.shortage {
                    printer.warn(shortage);
                }
                printer.say(&format!(
                    "the gateway is up; Ctrl-C ends it\n\n  \
                     clients   {clients}\n  \
                     upstream  {}\n  \
                     admin     {admin}\n  \
                     metrics   {admin}/metrics\n  \
                     data      {data}\n\n\
                     A key for a client:\n\n  \
                     tollgate key create --data {data} --team TEAM --user USER\n",
                    self.upstream
                ));
                if let Some(code) = setup {
                    printer.say(&format!(
                        "The first operator, for administration from elsewhere and by others:\n\n  \
                         tollgate setup --data {data} --name NAME --code {}\n",
                        code.as_str()
                    ));
                }
            }
        }
    }
}
