//! References to secrets. The document never holds a secret; it says where one is.

use crate::leaf::{Fault, leaf};
use std::{fmt, path::PathBuf, str::FromStr};

/// Where a secret is. It holds the reference only, so it may be shown.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum SecretRef {
    /// `env:NAME`: an environment variable of the process.
    Env(String),
    /// `file:PATH`: a file; surrounding white space of its content does not count.
    File(PathBuf),
}

const CURE: &str = "keep the secret in an environment variable or a file and write env:NAME or file:PATH here; \
                    a secret that has been in a document should be replaced.";

impl FromStr for SecretRef {
    type Err = Fault;

    /// The text is never repeated in a fault: what is not a reference may be the secret itself.
    fn from_str(text: &str) -> Result<Self, Fault> {
        match text.split_once(':') {
            Some(("env", name)) if is_variable(name) => Ok(Self::Env(name.to_owned())),
            Some(("env", _)) => Err(Fault::new(
                "env: needs the name of an environment variable",
                "write letters, digits and underscores after env:, not starting with a digit, as in env:ANTHROPIC_API_KEY.",
            )),
            Some(("file", path)) if !path.trim().is_empty() => Ok(Self::File(path.into())),
            Some(("file", _)) => Err(Fault::new(
                "file: needs a path",
                "write the path of the file that holds the secret, as in file:/run/secrets/anthropic.",
            )),
            _ => Err(Fault::new("this is not a reference to a secret", CURE)),
        }
    }
}

/// Whether it is a name that POSIX allows for an environment variable: letters, digits and
/// underscores, no digit first (IEEE Std 1003.1, Base Definitions, 8.1).
fn is_variable(name: &str) -> bool {
    !name.starts_with(|c: char| c.is_ascii_digit())
        && !name.is_empty()
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

impl fmt::Display for SecretRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Env(name) => write!(f, "env:{name}"),
            Self::File(path) => write!(f, "file:{}", path.display()),
        }
    }
}

leaf!(SecretRef, "tollgate-secret");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_read_and_shown() {
        for text in ["env:ANTHROPIC_API_KEY", "env:_x9", "file:/run/secrets/a", "file:key.txt"] {
            assert_eq!(text.parse::<SecretRef>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn anything_else_is_refused_and_never_repeated() {
        let secret = "sk-ant-api03-Zm9vYmFy";
        let bad = ["", "env:", "env:1A", "env:A-B", "env:A B", "file:", "file: ", "ENV:A", "vault:a", secret];
        for text in bad {
            let fault = text.parse::<SecretRef>().unwrap_err();
            assert!(!fault.to_string().contains(secret), "{fault}");
        }
        let fault = format!("env:{secret}").parse::<SecretRef>().unwrap_err();
        assert!(!fault.to_string().contains(secret), "{fault}");
    }
}
