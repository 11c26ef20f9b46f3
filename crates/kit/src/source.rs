//! Texts that a command is given: a file, or standard input.

use crate::fault::Fault;
use std::{
    io::Read,
    path::{Path, PathBuf},
};

/// A text and what problems call it.
#[derive(Debug)]
pub(crate) struct Source {
    /// The path as it was given, or `stdin`.
    pub(crate) name: String,
    /// The text.
    pub(crate) text: String,
}

impl Source {
    /// Reads the file, or standard input where the path is `-`.
    ///
    /// # Errors
    ///
    /// [`Fault::Unreadable`].
    pub(crate) fn read(path: &Path) -> Result<Self, Fault> {
        let mut text = String::new();
        let (name, read) = if path == Path::new("-") {
            ("stdin".to_owned(), std::io::stdin().read_to_string(&mut text).map(drop))
        } else {
            let read = std::fs::read_to_string(path).map(|found| text = found);
            (path.display().to_string(), read)
        };
        match read {
            Ok(()) => Ok(Self { name, text }),
            Err(cause) => Err(Fault::Unreadable { path: PathBuf::from(name), cause }),
        }
    }
}
