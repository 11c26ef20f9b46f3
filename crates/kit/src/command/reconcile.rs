use crate::{fault::Fault, printer::Printer, status::Status};
#[derive(Debug, clap::Args)]
pub(crate) struct Reconcile {}
impl Reconcile {
    pub(crate) fn run(self, _: &Printer) -> Result<Status, Fault> {
        Ok(Status::Done)
    }
}
