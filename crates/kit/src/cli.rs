//! The command line as a whole. Each command describes its own arguments.

use crate::{
    command::{
        Allowance, Audit, Check, Client, Config, Demo, Doctor, Generate, Import, Key, Lint, Operator, Price,
        Reconcile, Serve, Session, Setup, Shadow, Simulate, Statement, Usage, User,
    },
    fault::Fault,
    printer::Printer,
    status::{CheckStatus, EXIT_STATUS, Status},
};
use clap::{
    Args, Parser, Subcommand,
    error::{ContextKind, ContextValue},
};
use std::{net::SocketAddr, path::PathBuf};

const EXAMPLES: &str = "\
Examples:
  tollgate demo                                   see all of it at work, without an account
  export ANTHROPIC_API_KEY=sk-ant-...
  tollgate serve                                  run a gateway on 127.0.0.1:8080
  tollgate key create --team platform --user ci   make a key for it
  tollgate usage report --by team,model           see what was used and what it cost
  tollgate audit verify                           see that nobody changed the record";

/// A governed gateway for the Anthropic API, and its kit.
///
/// Run as a gateway, Tollgate stands between the clients of the Anthropic API, such as Claude Code, and the API: it
/// knows who asks, decides whether they may, writes down that they did and what it cost, and passes the bytes on
/// unharmed.
#[derive(Debug, Parser)]
#[command(name = "tollgate", version, after_help = format!("{EXAMPLES}\n\n{EXIT_STATUS}"))]
#[command(disable_help_subcommand = false, max_term_width = 100, propagate_version = true)]
pub(crate) struct Cli {
    /// Print the answer alone, without messages. Warnings and errors are still shown.
    #[arg(short, long, global = true)]
    pub(crate) quiet: bool,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Serve(Serve),
    Demo(Demo),
    Check(Box<Check>),
    Key(Key),
    Allowance(Allowance),
    Session(Session),
    Usage(Usage),
    Statement(Statement),
    Price(Price),
    Reconcile(Reconcile),
    Audit(Audit),
    Config(Config),
    Generate(Generate),
    Lint(Lint),
    Import(Import),
    Shadow(Box<Shadow>),
    Setup(Setup),
    Operator(Operator),
    User(User),
    Simulate(Simulate),
    Doctor(Doctor),
    Client(Client),
}

impl Command {
    /// Does what was asked.
    ///
    /// # Errors
    ///
    /// Any [`Fault`].
    pub(crate) fn run(self, printer: &Printer) -> Result<Status, Fault> {
        match self {
            Self::Serve(command) => command.run(printer),
            Self::Demo(command) => command.run(printer),
            Self::Check(command) => command.run(printer),
            Self::Key(command) => command.run(printer),
            Self::Allowance(command) => command.run(printer),
            Self::Session(command) => command.run(printer),
            Self::Usage(command) => command.run(printer),
            Self::Statement(command) => command.run(printer),
            Self::Price(command) => command.run(printer),
            Self::Reconcile(command) => command.run(printer),
            Self::Audit(command) => command.run(printer),
            Self::Config(command) => command.run(printer),
            Self::Generate(command) => command.run(printer),
            Self::Lint(command) => command.run(printer),
            Self::Import(command) => command.run(printer),
            Self::Shadow(command) => command.run(printer),
            Self::Setup(command) => command.run(printer),
            Self::Operator(command) => command.run(printer),
            Self::User(command) => command.run(printer),
            Self::Simulate(command) => command.run(printer),
            Self::Doctor(command) => command.run(printer),
            Self::Client(command) => command.run(printer),
        }
    }
}

/// Which data folder, for the commands that need a gateway's.
#[derive(Debug, Args)]
pub(crate) struct DataFolder {
    /// The data folder of the gateway.
    #[arg(
        id = "data",
        long,
        value_name = "DIR",
        env = "TOLLGATE_DATA",
        hide_env_values = true,
        default_value = "./tollgate-data"
    )]
    pub(crate) path: PathBuf,
}

/// Which gateway, and as whom, for the commands that administer one.
///
/// Whoever may read the data folder of a running gateway may administer it. Everybody else names its address, and has
/// a credential of their own in a file or in TOLLGATE_ADMIN_TOKEN.
#[derive(Debug, Args)]
pub(crate) struct Access {
    #[command(flatten)]
    pub(crate) data: DataFolder,
    /// The address of the admin API, where it is not to be taken from the data folder.
    #[arg(long, value_name = "ADDR", env = "TOLLGATE_ADMIN", hide_env_values = true)]
    pub(crate) admin: Option<SocketAddr>,
    /// A file with your credential for the admin API. Without it: the variable TOLLGATE_ADMIN_TOKEN, or else the data
    /// folder.
    #[arg(long, value_name = "FILE")]
    pub(crate) admin_token_file: Option<PathBuf>,
}

/// Shows help, the version, or what is wrong with the command line.
pub(crate) fn show(mut shown: clap::Error) -> Status {
    hide(&mut shown);
    // Nobody is left to tell if this can not be printed.
    let _ = shown.print();
    if !shown.use_stderr() {
        Status::Done
    } else if is_check(std::env::args().skip(1)) {
        Status::Check(CheckStatus::Usage)
    } else {
        Status::Usage
    }
}

/// Takes out of a complaint what may be secret: it stands in logs, where the command line does not.
fn hide(shown: &mut clap::Error) {
    let text = |kind| match shown.get(kind) {
        Some(ContextValue::String(text)) => text.clone(),
        _ => String::new(),
    };
    let value = text(ContextKind::InvalidValue);
    let (argument, subcommand) = (text(ContextKind::InvalidArg), text(ContextKind::InvalidSubcommand));
    if let Some((scheme, rest)) = value.split_once("://")
        && let Some((_, rest)) = rest.rsplit_once('@')
    {
        let value = ContextValue::String(format!("{scheme}://...@{rest}"));
        shown.insert(ContextKind::InvalidValue, value);
    }
    // The second word of `--token Bearer KEY`.
    if std::env::args().any(|arg| arg == "--token") {
        for (kind, word) in
            [(ContextKind::InvalidArg, argument), (ContextKind::InvalidSubcommand, subcommand)]
        {
            if !word.is_empty() && !word.starts_with('-') {
                shown.insert(kind, ContextValue::String("...".to_owned()));
            }
        }
    }
}

/// Whether these arguments are meant for `check` or `shadow`, where 2 is a verdict.
fn is_check(mut args: impl Iterator<Item = String>) -> bool {
    args.find(|arg| !arg.starts_with('-')).is_some_and(|command| command == "check" || command == "shadow")
}

#[cfg(test)]
mod reference;
