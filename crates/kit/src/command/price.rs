//! `tollgate price`: what things cost, why, and what they should have cost.

use crate::{fault::Fault, printer::Printer, source::Source, status::Status};
use clap::{Args, Subcommand, ValueEnum};
use std::path::{Path, PathBuf};
use tollgate_policy::price::PriceBook;

mod check;
mod rerate;
mod show;

/// Show what tokens cost and why a request cost what it did, and correct what was priced wrongly.
#[derive(Debug, Args)]
pub(crate) struct Price {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Show(show::Show),
    Check(check::Check),
    Rerate(rerate::Rerate),
}

/// How prices are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people.
    Text,
    /// For programs.
    Json,
}

/// Which price book.
#[derive(Debug, Args)]
pub(crate) struct WhichBook {
    /// A price book to read in place of the one that is built in.
    #[arg(id = "book", long = "book", alias = "file", value_name = "BOOK")]
    path: Option<PathBuf>,
}

impl WhichBook {
    /// Reads the book.
    ///
    /// # Errors
    ///
    /// [`Fault::Unreadable`], [`Fault::Prices`].
    pub(crate) fn read(&self) -> Result<PriceBook, Fault> {
        let read = |path: &Path| {
            let Source { name, text } = Source::read(path)?;
            PriceBook::parse(&text).map_err(|problem| Fault::Prices { name, problem })
        };
        self.path.as_deref().map_or_else(|| Ok(PriceBook::builtin().clone()), read)
    }
}

impl Price {
    pub(crate) fn run(self, printer: &Printer) -> Result<Status, Fault> {
        match self.command {
            Command::Show(command) => command.run(printer),
            Command::Check(command) => command.run(printer),
            Command::Rerate(command) => command.run(printer),
        }
    }
}
