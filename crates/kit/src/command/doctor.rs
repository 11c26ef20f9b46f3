//! `tollgate doctor`: what is wrong between a client and a gateway.

use std::{env, path::PathBuf, time::Duration};

use clap::{Args, Subcommand};
use tollgate_config::Url;
use tollgate_policy::unit::UnixMs;

use crate::{
    client::settings::Folders,
    dial::Way,
    doctor::{Examined, auth::Question, client, proxy},
    extra::ExtraArgs,
    fault::Fault,
    printer::Printer,
    proxy::Proxy,
    report::{Printed, Report, Verdict},
    runtime,
    signals::Stop,
    status::Status,
    time::{Instant, Span},
    token::TokenArgs,
};

/// Find out what is wrong between a client and a gateway, and what helps.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tollgate doctor auth --url https://gateway.example.com --token-env ANTHROPIC_AUTH_TOKEN
  tollgate doctor client
  tollgate doctor proxy --url https://gateway.example.com

Exit status: 0 nothing is wrong, 1 something is, 2 the command line is wrong, 3 it could not be tried.")]
pub(crate) struct Doctor {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Auth(Box<Auth>),
    Client(Client),
    Proxy(ProxyCommand),
}

/// Follow a request to the gateway step by step, and tell whose 401 or 403 it is.
///
/// Name, port, proxy, TLS and certificates, HTTP, the credential by its form, and for a JSON Web Token its times, its
/// audience and its signature. Then the same request with the credential, with a made-up one and with none: what
/// changes tells whether the gateway refuses, or the provider behind it. Without --model a model is asked for that
/// nobody serves, so nothing is spent. The credential and the values in it are never shown.
///
/// For the keys of a JSON Web Token its issuer is asked, by https or on this machine: without --issuer the one that the
/// token itself names (`iss`). Each URL is told on standard error before it is asked, nothing of the token goes there,
/// and no redirect is followed.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tollgate doctor auth --url https://gateway.example.com --token-env ANTHROPIC_AUTH_TOKEN
  sso token | tollgate doctor auth --url https://gateway.example.com --token - --audience gateway
  tollgate doctor auth --url https://gateway.example.com --token-env KEY --header-env x-subscription-key=SUBSCRIPTION_KEY
  tollgate doctor auth --token-file key.txt --format json --output report.json")]
struct Auth {
    #[command(flatten)]
    line: LineArgs,
    #[command(flatten)]
    token: TokenArgs,
    #[command(flatten)]
    extras: ExtraArgs,
    /// A model that the gateway serves: the request is then a real one, of a few tokens.
    #[arg(long)]
    model: Option<String>,
    /// Who should have issued the token (`iss`), as its discovery document names itself. No other issuer is asked for keys.
    #[arg(long, value_name = "URL")]
    issuer: Option<String>,
    /// For whom the token should be (`aud`).
    #[arg(long, value_name = "NAME")]
    audience: Option<String>,
    #[command(flatten)]
    printed: Printed,
}

/// Look at the environment and the settings files of Claude Code: what is set, which of it wins, and what is wrong.
///
/// Run it where and as whom Claude Code is run. An `apiKeyHelper` is run once; what it prints is not shown.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tollgate doctor client
  tollgate doctor client --project ~/src/app --no-helper --verbose")]
struct Client {
    /// The folder in which Claude Code is started, where it is not this one.
    #[arg(long, value_name = "DIR")]
    project: Option<PathBuf>,
    /// The file that is given to `claude --settings`.
    #[arg(long, value_name = "FILE")]
    settings: Option<PathBuf>,
    /// The folder of managed settings, where it is not the usual one.
    #[arg(long, value_name = "DIR")]
    managed_folder: Option<PathBuf>,
    /// Do not run the `apiKeyHelper`.
    #[arg(long)]
    no_helper: bool,
    #[command(flatten)]
    printed: Printed,
}

/// Find out which proxy stands on the way to the gateway, and whether it lets requests through.
#[derive(Debug, Args)]
#[command(
    name = "proxy",
    after_help = "\
Examples:
  tollgate doctor proxy --url https://gateway.example.com
  HTTPS_PROXY=http://proxy.corp.example:3128 tollgate doctor proxy --url https://gateway.example.com"
)]
struct ProxyCommand {
    #[command(flatten)]
    line: LineArgs,
    #[command(flatten)]
    printed: Printed,
}

/// The line to a gateway. What is not given is taken from where Claude Code takes it.
#[derive(Debug, Args)]
struct LineArgs {
    /// The URL of the gateway, without /v1.
    #[arg(long, env = "ANTHROPIC_BASE_URL", hide_env_values = true)]
    url: Url,
    /// A file of certificate authorities in PEM, besides the system's.
    #[arg(long, value_name = "FILE", env = "NODE_EXTRA_CA_CERTS", hide_env_values = true)]
    ca: Option<PathBuf>,
    /// A certificate of the client, in PEM.
    #[arg(long, value_name = "FILE", env = "CLAUDE_CODE_CLIENT_CERT", hide_env_values = true)]
    client_cert: Option<PathBuf>,
    /// Its key, in PEM.
    #[arg(long, value_name = "FILE", env = "CLAUDE_CODE_CLIENT_KEY", hide_env_values = true)]
    client_key: Option<PathBuf>,
    /// How long each step may take, as in 20s.
    #[arg(long, value_name = "SPAN", default_value = "20s")]
    timeout: Span,
}

impl LineArgs {
    /// The way to the gateway, directly.
    fn way(&self) -> Way {
        let set = |path: &Option<PathBuf>| path.clone().filter(|path| !path.as_os_str().is_empty());
        Way {
            ca_file: set(&self.ca),
            client_certificate: set(&self.client_cert).zip(set(&self.client_key)),
            patience: Duration::from_secs(self.timeout.seconds().max(1)),
            ..Way::to(self.url.clone())
        }
    }

    /// The way to the gateway, through the proxy that the environment names.
    fn way_out(&self) -> Result<Way, Fault> {
        let proxy = Proxy::from_environment(&self.url).map_err(|rule| Fault::Unfit {
            what: "the proxy",
            rule,
            cure: "`tollgate doctor proxy` tells more.".to_owned(),
        })?;
        Ok(Way { proxy, ..self.way() })
    }
}

impl Doctor {
    pub(crate) fn run(self, printer: &Printer) -> Result<Status, Fault> {
        match self.command {
            Command::Auth(command) => command.run(printer),
            Command::Client(command) => command.run(printer),
            Command::Proxy(command) => command.run(printer),
        }
    }
}

impl Auth {
    fn run(self, printer: &Printer) -> Result<Status, Fault> {
        let way = Way { extras: self.extras.take()?, ..self.line.way_out()? };
        let (subject, began_at) = (way.url.to_string(), Instant::now().unix_ms());
        let token = self.token.take(printer)?;
        let question =
            Question { way, token, model: self.model, issuer: self.issuer, audience: self.audience };
        printer.say(&format!("asking {subject} ..."));
        let examined = runtime::ask(async { Ok(question.answer(printer).await) })?;
        let secrets = [question.secrets(), proxy::secrets()].concat();
        told(("doctor auth", subject, began_at), examined, &secrets, &self.printed, printer)
    }
}

impl Client {
    fn run(self, printer: &Printer) -> Result<Status, Fault> {
        let folders = Folders::of_this_process(self.managed_folder, self.project)
            .map_err(|cause| Fault::Unreadable { path: "~/.claude".into(), cause })?;
        let (subject, began_at) = (folders.project.display().to_string(), Instant::now().unix_ms());
        let environment: Vec<(String, String)> = env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        let patient = client::Patient::read(&folders, self.settings.as_deref(), environment);
        let runs_helper = !self.no_helper;
        let examined = runtime::ask(async {
            let mut stop = Stop::listen()?;
            if runs_helper && patient.helper().is_some() {
                printer.say("running the apiKeyHelper ...");
            }
            // A helper under way ends with the future.
            Ok(tokio::select! {
                examined = patient.examine(runs_helper) => Some(examined),
                () = stop.next() => None,
            })
        })?;
        let Some((examined, secrets)) = examined else {
            return Ok(Status::Failed);
        };
        told(("doctor client", subject, began_at), examined, &secrets, &self.printed, printer)
    }
}

impl ProxyCommand {
    fn run(self, printer: &Printer) -> Result<Status, Fault> {
        let way = self.line.way();
        let (subject, began_at) = (way.url.to_string(), Instant::now().unix_ms());
        printer.say(&format!("asking {subject} ..."));
        let examined = runtime::ask(async { Ok(proxy::examine(&way).await) })?;
        told(("doctor proxy", subject, began_at), examined, &proxy::secrets(), &self.printed, printer)
    }
}

/// Prints what was found, without the secrets.
fn told(
    (tool, subject, began_at): (&'static str, String, UnixMs),
    examined: Examined,
    secrets: &[String],
    printed: &Printed,
    printer: &Printer,
) -> Result<Status, Fault> {
    let product = examined.product.map(str::to_owned);
    let mut report =
        Report { tool, subject, product, began_at, findings: examined.findings, is_strict: false };
    let secrets: Vec<&str> = secrets.iter().map(String::as_str).collect();
    report.hide(&secrets);
    printed.publish(&report, printer)?;
    Ok(match report.verdict() {
        Verdict::Good => Status::Done,
        Verdict::Bad => Status::Failed,
        Verdict::Undetermined => Status::Unavailable,
    })
}
