#[derive(Debug, thiserror::Error)]
#[error("x")]
pub(crate) struct ExportFault;
impl ExportFault {
    pub(crate) fn cure(&self) -> &'static str {
        ""
    }
}
