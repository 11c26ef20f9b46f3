//! `tollgate setup`: the first operator of a gateway.

use super::operator;
use crate::{admin::Admin, cli::DataFolder, fault::Fault, printer::Printer, runtime, status::Status};
use clap::Args;
use serde::Serialize;
use std::net::SocketAddr;

/// Make the first operator of a gateway, with the code that it shows at its start.
///
/// The code is good once, as long as there is no operator; there is no default password. Whoever may read the data folder
/// can do without: `tollgate operator create` makes operators as well.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  tollgate setup --admin 127.0.0.1:8081 --code 7F3KQ-2NDXH-8BW0R-V4M6T --name ada")]
pub(crate) struct Setup {
    /// The code.
    #[arg(long)]
    code: String,
    /// The name of the operator, who may do everything.
    #[arg(long)]
    name: String,
    /// The address of the admin API, where it is not to be taken from the data folder.
    #[arg(long, value_name = "ADDR", env = "TOLLGATE_ADMIN", hide_env_values = true)]
    admin: Option<SocketAddr>,
    /// Print JSON.
    #[arg(long, conflicts_with = "quiet")]
    json: bool,
    #[command(flatten)]
    data: DataFolder,
}

#[derive(Serialize)]
struct First<'f> {
    code: &'f str,
    name: &'f str,
}

impl Setup {
    pub(crate) fn run(self, printer: &Printer) -> Result<Status, Fault> {
        let admin = match self.admin {
            Some(address) => Admin::unknown_at(address),
            None => Admin::of(&self.data.path)?,
        };
        let first = First { code: self.code.trim(), name: &self.name };
        let made = runtime::ask(admin.change("/admin/v1/setup", &first))?;
        operator::show(&made, self.json, printer)?;
        Ok(Status::Done)
    }
}
