//! Whether the statements beside the journal are those that were closed.

use std::fs;
use std::path::Path;

use tollgate_policy::entry::{Hash, StatementClosed};

use crate::folder::STATEMENTS;

/// The statements whose files are missing or are not what was closed, in sentences.
pub(super) fn doubts(data: &Path, closed: &[StatementClosed]) -> Vec<String> {
    let doubt = |closed: &StatementClosed| {
        let path = data.join(STATEMENTS).join(format!("{}.json", closed.period));
        match fs::read(&path) {
            Ok(text) if Hash::of(&text) == closed.statement => None,
            Ok(_) => Some(format!(
                "{} was altered: its hash is not the one that was recorded when {} closed the period",
                path.display(),
                closed.by
            )),
            Err(error) => Some(format!("{} can not be read: {error}", path.display())),
        }
    };
    closed.iter().filter_map(doubt).collect()
}
