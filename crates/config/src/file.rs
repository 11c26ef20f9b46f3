//! Paths of files and folders.

use crate::leaf::{Fault, leaf};
use std::{fmt, path::Path, str::FromStr};

/// A path as it was written. Whether something is there is for the shell to find out.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct FilePath {
    text: String,
}

impl FilePath {
    /// A path that is known to be well formed.
    pub(crate) fn of(text: &str) -> Self {
        Self { text: text.to_owned() }
    }

    /// The path.
    #[must_use]
    pub fn as_path(&self) -> &Path {
        Path::new(&self.text)
    }
}

impl FromStr for FilePath {
    type Err = Fault;

    fn from_str(text: &str) -> Result<Self, Fault> {
        if text.contains("-----BEGIN") {
            let cure = "write the content to a file that only the gateway can read, and its path here.";
            return Err(Fault::new("this is the content of a PEM file, not a path", cure));
        }
        if text.trim().is_empty() || text.contains(|c: char| c.is_control()) {
            let cure = "write a path, such as ./tollgate-data, or remove the field.";
            return Err(Fault::new("a path is neither empty nor spread over lines", cure));
        }
        Ok(Self { text: text.to_owned() })
    }
}

impl fmt::Display for FilePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

leaf!(FilePath, "tollgate-file");
