//! `tollgate audit`: is the journal as it was written?
//!
//! The one place of this room that reads the data folder itself: a verifier that asks the process it audits proves
//! nothing (docs/decisions/0002-audit-verify-reads-files.md).

use crate::{
    cli::DataFolder, fault::Fault, printer::Printer, source::Source, status::Status, table::visible,
    time::brief,
};
use clap::{Args, Subcommand};
use std::path::{Path, PathBuf};
use tollgate_store::{
    PublicKey,
    audit::{Options, Report, verify},
};

/// Verify the record of what happened.
#[derive(Debug, Args)]
pub(crate) struct Audit {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Verify(Verify),
}

/// Verify the journal: no entry was changed, put in, taken out or moved since it was written.
///
/// Reads the files themselves, with or without a running gateway, here or on a copy. Each entry holds the hash of the
/// one before it, and signed checkpoints cover them; the first entry that does not fit is named. What a chain alone
/// can not show is that all of it was written anew by someone who holds the signing key: for that, keep copies of
/// journal/checkpoints and secrets/journal.pub where nobody here can change them, and give them to --anchor and
/// --public-key.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tollgate audit verify
  tollgate audit verify /backup/tollgate-data --anchor checkpoints.october --public-key journal.pub
  tollgate audit verify --json --quiet || page-the-auditor")]
struct Verify {
    /// A data folder, or a folder with the files of a journal alone, in place of --data.
    path: Option<PathBuf>,
    #[command(flatten)]
    data: DataFolder,
    /// A copy of journal/checkpoints, made earlier and kept elsewhere: all of it must still be true.
    #[arg(long, value_name = "FILE")]
    anchor: Option<PathBuf>,
    /// The public key of the journal, kept elsewhere. Without it, the one in the data folder is taken.
    #[arg(long, value_name = "FILE")]
    public_key: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

impl Audit {
    pub(crate) fn run(self, printer: &Printer) -> Result<Status, Fault> {
        let Command::Verify(wish) = self.command;
        let public_key = wish.public_key.as_deref().map(public_key).transpose()?;
        let path = wish.path.unwrap_or(wish.data.path);
        let report = audit(&path, &Options { anchor: wish.anchor, public_key })?;
        printer.answer(&if wish.json { json(&report) } else { facts(&report) })?;
        Ok(if report.is_proven() { Status::Done } else { Status::Failed })
    }
}

/// Whether the journal of a data folder is as it was written, and what there is to know about it.
///
/// # Errors
///
/// [`Fault::Journal`].
pub(crate) fn check(data: &Path) -> Result<(bool, String), Fault> {
    let report = audit(data, &Options::default())?;
    Ok((report.is_proven(), facts(&report)))
}

fn audit(path: &Path, options: &Options) -> Result<Report, Fault> {
    verify(path, options).map_err(|fault| Fault::Journal(fault.to_string()))
}

/// Reads the public key of a journal.
///
/// # Errors
///
/// [`Fault::Unreadable`], [`Fault::NotAPublicKey`].
pub(crate) fn public_key(path: &Path) -> Result<PublicKey, Fault> {
    let Source { name, text } = Source::read(path)?;
    text.parse().map_err(|_| Fault::NotAPublicKey(name))
}

/// The report for people, a line for each fact.
fn facts(report: &Report) -> String {
    let plural = |count: u64, noun: &str| match count {
        1 => format!("1 {noun}"),
        count => format!("{count} {noun}s"),
    };
    let written = match (report.first_at, report.last_at) {
        (Some(first), Some(last)) => format!("{} to {}", brief(&first.to_string()), brief(&last.to_string())),
        _ => "never".to_owned(),
    };
    let end = match (report.closed, report.torn_bytes) {
        (true, 0) => "in good order".to_owned(),
        (false, 0) => "open: a gateway is writing, or died".to_owned(),
        (_, bytes) => format!("{} of a line that is not finished", plural(bytes, "byte")),
    };
    let verdict = match &report.fault {
        None if report.is_proven() => "as it was written".to_owned(),
        None => "NOT PROVEN: each entry follows the one before it, but see the doubts below".to_owned(),
        Some(fault) => format!("WRONG: {}", visible(&fault.to_string())),
    };
    let mut facts = vec![
        ("journal", verdict),
        ("entries", format!("{}, in {}", report.head_seq, plural(report.segments as u64, "segment"))),
        ("written", written),
        ("checkpoints", format!("{}, the last of them over entry {}", report.checkpoints, report.signed_seq)),
        ("open", plural(report.open, "request")),
        ("end", end),
    ];
    facts.extend(report.doubts.iter().map(|what| ("doubt", visible(what))));
    facts.extend(report.unchecked.iter().map(|what| ("not checked", visible(what))));
    facts.iter().map(|(name, value)| format!("{name:<12} {value}\n")).collect()
}

fn json(report: &Report) -> String {
    crate::json::pretty(report)
}
