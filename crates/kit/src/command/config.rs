//! `tollgate config`: check, show and describe configurations.

use crate::{fault::Fault, printer::Printer, source::Source, status::Status};
use clap::{Args, Subcommand};
use std::path::PathBuf;
use tollgate_config::{Document, load_priced, parse, reference, schema};
use tollgate_gateway::price_text;

/// Check a configuration, or show what one may hold.
#[derive(Debug, Args)]
pub(crate) struct Config {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Report every problem of a configuration at once, each with its place and its cure.
    ///
    /// The gateway itself reads a configuration in the same way, at its start and when the file changes. What only a
    /// start can find out, such as a secret that is missing, is not looked at.
    #[command(
        after_help = "Examples:\n  tollgate config check tollgate.yaml\n  helm template . | tollgate config check -"
    )]
    Check {
        /// The file, or - for standard input.
        file: PathBuf,
    },
    /// Print a configuration with all its defaults written out, as YAML.
    #[command(
        after_help = "Examples:\n  tollgate config show > tollgate.yaml\n  tollgate config show tollgate.yaml"
    )]
    Show {
        /// The file, or - for standard input. Without it, the defaults alone are shown.
        file: Option<PathBuf>,
    },
    /// Print the JSON Schema of a configuration, for editors.
    #[command(after_help = "Example:\n  tollgate config schema > tollgate.schema.json\n  \
        # and as the first line of tollgate.yaml:\n  # yaml-language-server: $schema=tollgate.schema.json")]
    Schema,
    /// Print the reference page of all fields, as Markdown.
    Reference,
}

impl Config {
    pub(crate) fn run(self, printer: &Printer) -> Result<Status, Fault> {
        match self.command {
            Command::Check { file } => return check(&Source::read(&file)?, printer),
            Command::Show { file: None } => printer.answer(&Document::default().to_yaml())?,
            Command::Show { file: Some(file) } => {
                let source = Source::read(&file)?;
                let document = parse(&source.text, &source.name).map_err(Fault::Configuration)?;
                printer.answer(&document.to_yaml())?;
            }
            Command::Schema => printer.answer(&schema())?,
            Command::Reference => printer.answer(&reference())?,
        }
        Ok(Status::Done)
    }
}

fn check(source: &Source, printer: &Printer) -> Result<Status, Fault> {
    let snapshot = load_priced(&source.text, &source.name, price_text).map_err(Fault::Configuration)?;
    for warning in &snapshot.warnings {
        printer.problem(warning);
    }
    let count = match snapshot.warnings.len() {
        0 => "good".to_owned(),
        1 => "good, with 1 warning".to_owned(),
        more => format!("good, with {more} warnings"),
    };
    printer.answer(&format!("{}: {count}", source.name))?;
    Ok(Status::Done)
}
