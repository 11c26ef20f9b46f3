//! The credential that a command presents to a gateway: from where it is taken, and that it shows nowhere.

use std::{
    fmt, io,
    io::Read,
    path::{Path, PathBuf},
    str::FromStr,
};

use clap::Args;
use zeroize::Zeroizing;

use crate::{fault::Fault, printer::Printer};

/// The longest credential, in bytes.
const TOKEN_BYTES: u64 = 64 * 1024;

/// A credential. It shows nothing of itself and is wiped when dropped.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Token(Zeroizing<String>);

impl Token {
    /// The text itself, for what must send it and for what must hide it.
    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

impl FromStr for Token {
    type Err = &'static str;

    /// Without the white space around it. What is refused is not repeated.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim();
        if text.is_empty() {
            Err("it is empty")
        } else if !text.bytes().all(|byte| (0x21..=0x7e).contains(&byte)) {
            Err("it is not one line of visible ASCII, as a credential is")
        } else {
            Ok(Self(Zeroizing::new(text.to_owned())))
        }
    }
}

/// From where the credential is taken.
#[derive(Debug, Args)]
pub(crate) struct TokenArgs {
    /// The environment variable that holds the credential for the gateway.
    #[arg(long, value_name = "VAR", group = "credential")]
    token_env: Option<String>,
    /// The file that holds it.
    #[arg(long, value_name = "FILE", group = "credential")]
    token_file: Option<PathBuf>,
    /// The credential itself, which everyone on this machine can then see in the list of processes; `-` reads it from
    /// standard input.
    #[arg(long, value_name = "TOKEN", group = "credential", allow_hyphen_values = true, value_parser = unread)]
    token: Option<Zeroizing<String>>,
}

impl TokenArgs {
    /// The credential, if there is one.
    ///
    /// # Errors
    ///
    /// [`Fault::Unset`], [`Fault::Unreadable`], [`Fault::Unfit`].
    pub(crate) fn take(&self, printer: &Printer) -> Result<Option<Token>, Fault> {
        let text = if let Some(name) = &self.token_env {
            variable("--token-env", name)?
        } else if let Some(path) = &self.token_file {
            from_file(path)?
        } else if let Some(given) = &self.token {
            if given.as_str() != "-" {
                let token = given.parse().map_err(unfit)?;
                printer.warn(
                    "--token shows the credential to everyone who can list processes: use --token-env, \
                     --token-file or `--token -`",
                );
                return Ok(Some(token));
            }
            read(io::stdin()).map_err(|cause| Fault::Unreadable { path: "stdin".into(), cause })?
        } else {
            return Ok(None);
        };
        text.parse().map(Some).map_err(unfit)
    }
}

/// From where the credential for the old one of two gateways is taken.
#[derive(Debug, Args)]
pub(crate) struct OldTokenArgs {
    /// The environment variable that holds the credential for the old gateway.
    #[arg(long, value_name = "VAR", group = "old_credential")]
    against_token_env: Option<String>,
    /// The file that holds it.
    #[arg(long, value_name = "FILE", group = "old_credential")]
    against_token_file: Option<PathBuf>,
}

impl OldTokenArgs {
    /// The credential, if there is one.
    ///
    /// # Errors
    ///
    /// As [`TokenArgs::take`].
    pub(crate) fn take(&self) -> Result<Option<Token>, Fault> {
        let text = match (&self.against_token_env, &self.against_token_file) {
            (Some(name), _) => variable("--against-token-env", name)?,
            (None, Some(path)) => from_file(path)?,
            (None, None) => return Ok(None),
        };
        text.parse().map(Some).map_err(unfit)
    }
}

fn from_file(path: &Path) -> Result<Zeroizing<String>, Fault> {
    let unreadable = |cause| Fault::Unreadable { path: path.to_owned(), cause };
    read(std::fs::File::open(path).map_err(unreadable)?).map_err(unreadable)
}

fn unfit(rule: &str) -> Fault {
    Fault::Unfit {
        what: "the credential",
        rule: rule.to_owned(),
        cure: "put the credential, and nothing else, there.".to_owned(),
    }
}

/// A secret on the command line is judged where a complaint does not repeat it.
pub(crate) fn unread(text: &str) -> Result<Zeroizing<String>, std::convert::Infallible> {
    Ok(Zeroizing::new(text.to_owned()))
}

/// What this variable holds. Who mistakes the option for one that takes the credential itself does not see it again.
///
/// # Errors
///
/// [`Fault::Unfit`], [`Fault::Unset`].
pub(crate) fn variable(option: &'static str, name: &str) -> Result<Zeroizing<String>, Fault> {
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    if name.is_empty() || !name.bytes().all(is_name) {
        return Err(Fault::Unfit {
            what: option,
            rule: "this is no name of an environment variable".to_owned(),
            cure: "export the credential, as in `export KEY=...`, and give the name: KEY.".to_owned(),
        });
    }
    std::env::var(name).map(Zeroizing::new).map_err(|_| Fault::Unset(name.to_owned()))
}

fn read(from: impl Read) -> io::Result<Zeroizing<String>> {
    let mut text = Zeroizing::new(String::new());
    from.take(TOKEN_BYTES + 1).read_to_string(&mut text)?;
    if text.len() as u64 > TOKEN_BYTES {
        return Err(io::Error::other(format!("it is larger than {TOKEN_BYTES} bytes")));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_credential_is_one_visible_line_and_shows_nowhere() {
        for (text, taken) in
            [("  sk-1 \n", Some("sk-1")), ("", None), ("a b", None), ("a\nb", None), ("\u{e9}", None)]
        {
            let token: Result<Token, _> = text.parse();
            assert_eq!(token.as_ref().ok().map(Token::reveal), taken, "{text:?}");
            assert!(!format!("{token:?}").contains("sk-1"));
        }
    }
}
