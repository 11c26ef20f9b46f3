//! `tollgate statement`: closed periods. What a period cost is stated once, signed, and never changed.

use super::listing::Listing;
use crate::{
    admin::{Admin, segment},
    cli::{Access, DataFolder},
    fault::Fault,
    printer::Printer,
    runtime,
    status::Status,
};
use clap::{Args, Subcommand, ValueEnum};
use record::Stated;
use serde::Serialize;
use std::path::{Path, PathBuf};

mod record;
mod verify;

/// Close a month, and show and verify what it cost.
///
/// A statement says what each cost centre pays for a month. It is signed with the key of the journal and never changed:
/// what comes to light later stands in the next one.
#[derive(Debug, Args)]
pub(crate) struct Statement {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Close(Close),
    /// List the periods that are closed.
    List(Listing),
    Show(Show),
    Verify(Verify),
}

/// Close a month that is over, for good.
///
/// Months are closed in their order, each once, when no request of theirs is running any more.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tollgate statement close 2026-11 --dry-run
  tollgate statement close 2026-11")]
struct Close {
    /// The month, such as 2026-11, in the time zone of books.time_zone.
    period: String,
    /// Show what the statement would say, and close nothing.
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    access: Access,
}

/// Show a statement.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  tollgate statement show 2026-11 --save ./statements   # 2026-11.json and its signature 2026-11.sig")]
struct Show {
    /// The period.
    period: String,
    /// How to print it.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
    /// Also write the statement and its signature into this folder, as PERIOD.json and PERIOD.sig.
    #[arg(long, value_name = "DIR")]
    save: Option<PathBuf>,
    #[command(flatten)]
    access: Access,
}

/// Verify a statement: nobody changed it since it was closed, and its figures add up.
///
/// Reads files alone, here or anywhere else, without a gateway.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  tollgate statement verify ./statements/2026-11.json --public-key journal.pub")]
struct Verify {
    /// The statement.
    file: PathBuf,
    /// Its signature. Without it, the file beside the statement whose name ends in .sig.
    #[arg(long, value_name = "FILE")]
    signature: Option<PathBuf>,
    /// The public key of the journal, kept elsewhere. Without it, the one in the data folder is taken.
    #[arg(long, value_name = "FILE")]
    public_key: Option<PathBuf>,
    #[command(flatten)]
    data: DataFolder,
}

/// How a statement is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people: what each cost centre pays.
    Table,
    /// For programs: the statement itself, to the byte as it was closed.
    Json,
}

/// What the admin API is told.
#[derive(Debug, Serialize)]
struct Closing<'c> {
    period: &'c str,
    dry_run: bool,
}

const STATEMENTS: &str = "/admin/v1/statements";

impl Statement {
    pub(crate) fn run(self, printer: &Printer) -> Result<Status, Fault> {
        match self.command {
            Command::Close(wish) => {
                let admin = Admin::reach(&wish.access)?;
                let closing = Closing { period: &wish.period, dry_run: wish.dry_run };
                let stated: Stated = runtime::ask(admin.change(STATEMENTS, &closing))?;
                printer.answer(&stated.table())?;
                let done = if wish.dry_run { "would be closed so" } else { "is closed" };
                printer.say(&format!("{} {done}", wish.period));
            }
            Command::List(listing) => listing.print(STATEMENTS, record::table, printer)?,
            Command::Show(wish) => show(&wish, printer)?,
            Command::Verify(wish) => return verify::verify(&wish, printer),
        }
        Ok(Status::Done)
    }
}

fn show(wish: &Show, printer: &Printer) -> Result<(), Fault> {
    let admin = Admin::reach(&wish.access)?;
    let path = format!("{STATEMENTS}/{}", segment(&wish.period));
    let text = runtime::ask(admin.text(&path))?;
    let stated = Stated::read(&text).map_err(|why| admin.strange(&why))?;
    if let Some(folder) = &wish.save {
        let signature = runtime::ask(admin.text(&format!("{path}/signature")))?;
        for (ending, text) in [("json", &text), ("sig", &signature)] {
            save(folder, &format!("{}.{ending}", segment(&wish.period)), text, printer)?;
        }
    }
    match wish.format {
        Format::Table => printer.answer(&stated.table()),
        Format::Json => printer.answer(&text),
    }
}

fn save(folder: &Path, name: &str, text: &str, printer: &Printer) -> Result<(), Fault> {
    let path = folder.join(name);
    std::fs::create_dir_all(folder)
        .and_then(|()| std::fs::write(&path, text))
        .map_err(|cause| Fault::Unwritable { path: path.clone(), cause })?;
    printer.say(&format!("wrote {}", path.display()));
    Ok(())
}
