//! The `list` of commands: everything that the admin API has at one path.

use crate::{admin::Admin, cli::Access, fault::Fault, json, printer::Printer, runtime};
use clap::Args;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// How to print a list, and which gateway to ask for it.
#[derive(Debug, Args)]
pub(super) struct Listing {
    /// Print JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    access: Access,
}

impl Listing {
    /// Prints what is at this path of the admin API, by this table where JSON is not asked for.
    ///
    /// # Errors
    ///
    /// Those of [`Admin::reach`] and [`Admin::list`], and of printing.
    pub(super) fn print<T: DeserializeOwned>(
        &self,
        path: &str,
        table: impl FnOnce(&[T]) -> String,
        printer: &Printer,
    ) -> Result<(), Fault> {
        let admin = Admin::reach(&self.access)?;
        let items: Vec<Value> = runtime::ask(admin.list(path))?;
        printer.answer(&if self.json { json::pretty(&items) } else { table(&admin.read_all(items)?) })
    }
}
