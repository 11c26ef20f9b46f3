//! `tollgate audit`: is the journal as it was written?
use crate::{fault::Fault, printer::Printer, status::Status};
use clap::Args;
use std::path::Path;

/// Verify the journal.
#[derive(Debug, Args)]
pub(crate) struct Audit {}

impl Audit {
    pub(crate) fn run(self, _: &Printer) -> Result<Status, Fault> {
        Ok(Status::Done)
    }
}

pub(crate) fn summary(data: &Path) -> Result<(bool, String), Fault> {
    Ok((true, data.display().to_string()))
}
