//! `tollgate user`: what is kept about a person, through the admin API of the running gateway.

use crate::{
    admin::{Admin, segment},
    cli::Access,
    fault::Fault,
    printer::Printer,
    runtime,
    status::Status,
};
use clap::{Args, Subcommand};
use lines::Lines;
use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
};

mod lines;

/// Give out what is kept about a user.
#[derive(Debug, Args)]
pub(crate) struct User {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Export(Export),
}

/// Write everything that is kept about a user to a file, one JSON object a line.
///
/// Keys, allowances and their thresholds, the role as a developer, each request with the address it came from, denials,
/// pauses. The file is there only when all of it is, and only its owner may read it. The last line says how many there
/// are before it.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  tollgate user export ada --output ada.jsonl")]
struct Export {
    /// The user.
    name: String,
    /// Their org.
    #[arg(long, default_value = "default")]
    org: String,
    /// The file to write, in place of what it holds.
    #[arg(long, value_name = "FILE")]
    output: PathBuf,
    #[command(flatten)]
    access: Access,
}

impl User {
    pub(crate) fn run(self, printer: &Printer) -> Result<Status, Fault> {
        match self.command {
            Command::Export(wish) => export(&wish, printer)?,
        }
        Ok(Status::Done)
    }
}

fn export(wish: &Export, printer: &Printer) -> Result<(), Fault> {
    let admin = Admin::reach(&wish.access)?;
    let path = format!("/admin/v1/people/{}/{}/export", segment(&wish.org), segment(&wish.name));
    let mut part = wish.output.clone().into_os_string();
    part.push(".part");
    let part = PathBuf::from(part);
    let written = write(&admin, &path, &part)
        .and_then(|count| fs::rename(&part, &wish.output).map(|()| count).map_err(unwritable(&wish.output)));
    let count = written.inspect_err(|_| {
        // What is not whole is not left behind; where nothing was begun there is nothing to remove.
        let _ = fs::remove_file(&part);
    })?;
    printer.say(&format!("wrote {count} lines to {}", wish.output.display()));
    Ok(())
}

/// Writes the answer to a file. The number of its lines, the last one among them.
fn write(admin: &Admin, path: &str, to: &Path) -> Result<u64, Fault> {
    let mut lines = Lines::default();
    runtime::ask(async {
        let mut answer = admin.open(path).await?;
        let mut file = private(to).map_err(unwritable(to))?;
        while let Some(bytes) = admin.next_part(&mut answer).await? {
            lines.pass(&bytes);
            file.write_all(&bytes).map_err(unwritable(to))?;
        }
        file.sync_all().map_err(unwritable(to))
    })?;
    lines.whole().ok_or_else(|| admin.strange(&"the export broke off before its last line"))
}

/// A new file that only its owner may read.
fn private(path: &Path) -> io::Result<File> {
    // One that was left behind keeps its own mode otherwise.
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

fn unwritable(path: &Path) -> impl Fn(io::Error) -> Fault + '_ {
    |cause| Fault::Unwritable { path: path.to_owned(), cause }
}
