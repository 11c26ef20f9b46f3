pub(crate) use export::ExportFault;
mod export;
