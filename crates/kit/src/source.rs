//! Texts that a command is given: a file, or standard input.

use crate::fault::Fault;
use std::{
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
};

/// The longest configuration that is read. They are written by hand, or by programs for a single gateway.
pub(crate) const CONFIG_BYTES_MAX: u64 = 4 << 20;

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
        Self::read_at_most(path, u64::MAX)
    }

    /// The same, for texts that come from elsewhere: no more than so many bytes.
    ///
    /// # Errors
    ///
    /// [`Fault::Unreadable`], also if there are more.
    pub(crate) fn read_at_most(path: &Path, bytes: u64) -> Result<Self, Fault> {
        let mut text = String::new();
        let mut read = |from: &mut dyn Read| {
            from.take(bytes).read_to_string(&mut text)?;
            match from.read(&mut [0])? {
                0 => Ok(()),
                _ => Err(io::Error::other(format!("it is larger than {bytes} bytes"))),
            }
        };
        let (name, read) = if path == Path::new("-") {
            ("stdin".to_owned(), read(&mut io::stdin()))
        } else {
            (path.display().to_string(), File::open(path).and_then(|mut file| read(&mut file)))
        };
        match read {
            Ok(()) => Ok(Self { name, text }),
            Err(cause) => Err(Fault::Unreadable { path: PathBuf::from(name), cause }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_read_up_to_its_limit_and_no_further() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("text");
        std::fs::write(&path, "12345").unwrap();
        assert_eq!(Source::read_at_most(&path, 5).unwrap().text, "12345");
        let fault = Source::read_at_most(&path, 4).unwrap_err().to_string();
        assert!(fault.ends_with("can not be read: it is larger than 4 bytes"), "{fault}");
    }
}
