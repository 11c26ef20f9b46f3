//! `tollgate client`: point Claude Code at a gateway, and take that back.

use std::{fs, io, path::PathBuf};

use clap::{Args, Subcommand, ValueEnum};
use tollgate_config::Url;

use crate::{
    client::{
        backup::{self, Backups},
        diff,
        json::NotAnObject,
        settings::{Folders, Scope, Settings},
        wish::{self, Credential, Wish},
    },
    fault::Fault,
    printer::Printer,
    status::Status,
    time::Span,
    token::TokenArgs,
};

/// Point Claude Code at a gateway, and take that back.
#[derive(Debug, Args)]
pub(crate) struct Client {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Setup(Box<Setup>),
    Undo(Undo),
}

/// Write the settings of Claude Code: where the gateway is, and what proves who asks.
///
/// All else in the file stays as it is, to the letter. What was there is kept, and `tollgate client undo` brings it
/// back. The file is readable by its owner alone. A credential is never written into a file that git would commit, nor
/// into managed settings, which everybody on the machine reads.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tollgate client setup --url https://gateway.example.com --token-env GATEWAY_TOKEN
  tollgate client setup --url https://gateway.example.com --token-file key.txt --dry-run
  tollgate client setup --url https://gateway.example.com --helper 'sso token --audience gateway'
  tollgate client setup --scope managed --url https://gateway.example.com --helper /usr/local/bin/gateway-token")]
struct Setup {
    /// The URL of the gateway, without /v1.
    #[arg(long)]
    url: Url,
    #[command(flatten)]
    token: TokenArgs,
    /// A command that prints the credential, for credentials that expire. Claude Code runs it, every five minutes and
    /// after a 401.
    #[arg(long, value_name = "COMMAND", conflicts_with = "credential")]
    helper: Option<String>,
    /// How long the output of the command is used, as in 15m.
    #[arg(long, value_name = "SPAN", requires = "helper")]
    helper_ttl: Option<Span>,
    /// A file of certificate authorities in PEM that Claude Code is to trust.
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// A certificate of the client, in PEM.
    #[arg(long, value_name = "FILE", requires = "client_key")]
    client_cert: Option<PathBuf>,
    /// Its key, in PEM.
    #[arg(long, value_name = "FILE", requires = "client_cert")]
    client_key: Option<PathBuf>,
    /// Let Claude Code ask the gateway which models there are.
    #[arg(long)]
    discover_models: bool,
    /// Show what would change, and change nothing.
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    at: At,
}

/// Take the last `client setup` back: what it set is as it was before, and so is who may read the file. What was changed
/// since stays; if that is a credential, the file stays readable by those alone who can read it now.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tollgate client undo
  tollgate client undo --scope local --dry-run")]
struct Undo {
    /// Show what would change, and change nothing.
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    at: At,
}

/// Which file.
#[derive(Debug, Args)]
struct At {
    /// Whose settings.
    #[arg(long, value_enum, default_value_t)]
    scope: Whose,
    /// The folder of managed settings, where it is not the usual one, as when a package is made.
    #[arg(long, value_name = "DIR")]
    managed_folder: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum Whose {
    /// Yours, in every project: ~/.claude/settings.json.
    #[default]
    User,
    /// Yours, in this project: .claude/settings.local.json.
    Local,
    /// Everybody's on this machine, and not to be overridden.
    Managed,
}

impl Client {
    pub(crate) fn run(self, printer: &Printer) -> Result<Status, Fault> {
        match self.command {
            Command::Setup(command) => command.run(printer),
            Command::Undo(command) => command.run(printer),
        }
    }
}

impl Setup {
    fn run(self, printer: &Printer) -> Result<Status, Fault> {
        let file = self.at.file()?;
        let wish = self.wish(printer)?;
        let is_secret = matches!(wish.credential, Credential::Token(_));
        if is_secret {
            file.refuse_secrets()?;
        }
        let old = file.read()?;
        let new = wish.applied(&old).map_err(|fault| file.unfit(&fault))?;
        warn_of_stronger(&file, printer);
        if new == old {
            printer.say(&format!("{} is so already", file.path.display()));
            return Ok(Status::Done);
        }
        file.change(&old, &new, self.dry_run, printer)?;
        if !self.dry_run {
            let scope = self.at.scope.to_possible_value().map(|value| value.get_name().to_owned());
            printer.say(&format!(
                "verify it: run `claude` and type /status, which shows the base URL; or `tollgate doctor client`\n\
                 take it back: tollgate client undo --scope {}",
                scope.unwrap_or_default()
            ));
        }
        Ok(Status::Done)
    }

    fn wish(&self, printer: &Printer) -> Result<Wish, Fault> {
        let path = self.url.base_path();
        if path.ends_with("/v1") || path.ends_with("/v1/messages") {
            return Err(Fault::Unfit {
                what: "--url",
                rule: "Claude Code puts /v1/messages behind it, so it does not end in /v1".to_owned(),
                cure: "leave that out.".to_owned(),
            });
        }
        if !self.url.tls() && !self.url.is_loopback() {
            printer.warn("http:// sends the credential and every prompt over the network in clear");
        }
        let credential = match (self.token.take(printer)?, &self.helper) {
            (Some(token), _) => Credential::Token(token),
            (None, Some(command)) if command.trim().is_empty() || command.contains('\n') => {
                return Err(Fault::Unfit {
                    what: "--helper",
                    rule: "it is no command on one line".to_owned(),
                    cure: "put longer ones into a script, and name that.".to_owned(),
                });
            }
            (None, Some(command)) => {
                let ttl_ms = self.helper_ttl.map(|ttl| ttl.seconds().saturating_mul(1000));
                Credential::Helper { command: command.clone(), ttl_ms }
            }
            (None, None) => Credential::Kept,
        };
        let certificate = self.client_cert.as_deref().zip(self.client_key.as_deref());
        let absolute = |path: &std::path::Path| {
            let unreadable = |cause| Fault::Unreadable { path: path.to_owned(), cause };
            // Claude Code is started anywhere.
            fs::canonicalize(path).map_err(unreadable)
        };
        Ok(Wish {
            url: self.url.clone(),
            credential,
            ca: self.ca.as_deref().map(absolute).transpose()?,
            certificate: certificate
                .map(|(one, two)| Ok::<_, Fault>((absolute(one)?, absolute(two)?)))
                .transpose()?,
            discovers_models: self.discover_models,
        })
    }
}

impl Undo {
    fn run(self, printer: &Printer) -> Result<Status, Fault> {
        let file = self.at.file()?;
        let unreadable = |cause| Fault::Unreadable { path: file.path.clone(), cause };
        let Some(kept) = file.backups().last().map_err(unreadable)? else {
            return Err(Fault::Unfit {
                what: "client undo",
                rule: format!("nothing was set up in {}", file.path.display()),
                cure: "name the file by --scope; local settings are those of the current folder.".to_owned(),
            });
        };
        let before = fs::read_to_string(&kept.path)
            .map_err(|cause| Fault::Unreadable { path: kept.path.clone(), cause })?;
        let now = file.read()?;
        let restored = wish::restored(&now, &before).map_err(|fault| file.unfit(&fault))?;
        match restored {
            Some(text) => {
                // A credential that came since is not for everybody who could read the file before.
                let is_open = text == before || wish::redacted(&text, &text) == text;
                let mode = if is_open { kept.mode } else { file.mode()? };
                file.write(&now, &text, mode, self.dry_run, printer)?;
            }
            None => file.remove(&now, self.dry_run, printer)?,
        }
        if !self.dry_run {
            fs::remove_file(&kept.path).map_err(|cause| Fault::Unwritable { path: kept.path, cause })?;
        }
        Ok(Status::Done)
    }
}

/// A settings file that is changed.
struct File {
    folders: Folders,
    scope: Scope,
    path: PathBuf,
}

impl At {
    fn file(&self) -> Result<File, Fault> {
        let folders = Folders::of_this_process(self.managed_folder.clone(), None)
            .map_err(|cause| Fault::Unreadable { path: "~/.claude".into(), cause })?;
        let scope = match self.scope {
            Whose::User => Scope::User,
            Whose::Local => Scope::Local,
            Whose::Managed => Scope::Managed,
        };
        let path = folders.file(scope).unwrap_or_default();
        Ok(File { folders, scope, path })
    }
}

impl File {
    fn backups(&self) -> Backups {
        Backups::of(&self.path, &self.folders.user)
    }

    /// What it holds; nothing if it is not there.
    fn read(&self) -> Result<String, Fault> {
        match fs::read_to_string(&self.path) {
            Err(cause) if cause.kind() != io::ErrorKind::NotFound => {
                Err(Fault::Unreadable { path: self.path.clone(), cause })
            }
            read => Ok(read.unwrap_or_default()),
        }
    }

    /// Who may read and write it; whoever should, if it is not there.
    fn mode(&self) -> Result<u32, Fault> {
        let mode =
            backup::mode(&self.path).map_err(|cause| Fault::Unreadable { path: self.path.clone(), cause })?;
        Ok(mode.unwrap_or(self.proper_mode()))
    }

    fn proper_mode(&self) -> u32 {
        // Managed settings are for everybody, who therefore must be able to read them.
        if self.scope == Scope::Managed { 0o644 } else { 0o600 }
    }

    fn refuse_secrets(&self) -> Result<(), Fault> {
        let refuse = |rule: String, cure: &str| {
            Err(Fault::Unfit { what: "the credential", rule, cure: cure.to_owned() })
        };
        if self.scope == Scope::Managed {
            return refuse(
                format!("everybody on this machine can read {}", self.path.display()),
                "let --helper name a command that prints each person's own credential.",
            );
        }
        if backup::is_committed(&self.path) {
            return refuse(
                format!("git would commit {}", self.path.display()),
                "list the file in .gitignore, or let --helper name a command that prints the credential.",
            );
        }
        Ok(())
    }

    fn unfit(&self, fault: &NotAnObject) -> Fault {
        Fault::Unfit {
            what: "the settings",
            rule: format!("{}:{}:{}: {fault}", self.path.display(), fault.line, fault.column),
            cure: "repair the file first; Claude Code leaves it out as it is. It is JSON, without comments."
                .to_owned(),
        }
    }

    /// Keeps the old text and writes the new one.
    fn change(&self, old: &str, new: &str, dry_run: bool, printer: &Printer) -> Result<(), Fault> {
        if !dry_run {
            let unwritable = |cause| Fault::Unwritable { path: self.folders.user.clone(), cause };
            let kept = self.backups().keep(old, self.mode()?).map_err(unwritable)?;
            printer.say(&format!("{}: what was there", kept.display()));
        }
        self.write(old, new, self.proper_mode(), dry_run, printer)
    }

    fn write(&self, old: &str, new: &str, mode: u32, dry_run: bool, printer: &Printer) -> Result<(), Fault> {
        let change = diff::lines(&wish::redacted(old, new), &wish::redacted(new, old));
        if dry_run {
            return printer.answer(&format!("{}:\n{change}", self.path.display()));
        }
        backup::write(&self.path, new, mode)
            .map_err(|cause| Fault::Unwritable { path: self.path.clone(), cause })?;
        printer.say(&format!("{}: written", self.path.display()));
        Ok(())
    }

    /// Takes the file away.
    fn remove(&self, old: &str, dry_run: bool, printer: &Printer) -> Result<(), Fault> {
        if dry_run {
            let change = diff::lines(&wish::redacted(old, "{}"), "");
            return printer.answer(&format!("{}:\n{change}", self.path.display()));
        }
        fs::remove_file(&self.path).map_err(|cause| Fault::Unwritable { path: self.path.clone(), cause })?;
        printer.say(&format!("{}: removed, as it was not there before", self.path.display()));
        Ok(())
    }
}

/// Says what stronger files set.
fn warn_of_stronger(file: &File, printer: &Printer) {
    for (scope, path) in file.folders.files(None).into_iter().filter(|(scope, _)| *scope < file.scope) {
        // A file that can not be read counts for nothing.
        let Ok(Some(stronger)) = Settings::read(scope, &path) else { continue };
        let set = |name: &&str| stronger.variable(name).is_some() || stronger.text_of(name).is_some();
        let names: Vec<&str> = Wish::variables().filter(set).collect();
        if !names.is_empty() {
            printer.warn(&format!("{} wins: it sets {}", path.display(), names.join(", ")));
        }
    }
}
