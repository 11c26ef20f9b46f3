//! Secrets as the gateway holds them: they show nothing and are wiped when dropped.

use std::path::Path;

use tollgate_config::SecretRef;
use zeroize::Zeroizing;

/// Longest secret accepted from a file or variable, in bytes.
const SECRET_BYTES: usize = 64 * 1024;

/// A secret's text.
#[derive(Clone)]
pub(crate) struct Secret(Zeroizing<String>);

impl Secret {
    /// Takes the text, without the white space around it.
    pub(crate) fn new(text: String) -> Self {
        let text = Zeroizing::new(text);
        Secret(Zeroizing::new(text.trim().to_owned()))
    }

    /// The text itself, for the one place that must send it.
    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// Why a reference could not be followed. It names the reference, never the secret.
#[derive(Debug, thiserror::Error)]
pub enum SecretFault {
    /// The variable is not set, or empty.
    #[error("the environment variable {0} is not set: export it, or point the reference elsewhere")]
    Unset(String),
    /// The file can not be read.
    #[error("the secret file {path} can not be read: {cause}")]
    Unreadable {
        /// The file.
        path: String,
        /// What the system said.
        cause: std::io::Error,
    },
    /// What was found can not be a credential.
    #[error("{0} holds no credential: one line of visible ASCII is expected")]
    NotACredential(String),
}

/// Follows a reference.
pub(crate) fn resolve(reference: &SecretRef) -> Result<Secret, SecretFault> {
    let text = match reference {
        SecretRef::Env(name) => std::env::var(name).map_err(|_| SecretFault::Unset(name.clone()))?,
        SecretRef::File(path) => read(path)?,
    };
    let secret = Secret::new(text);
    if secret.0.is_empty() && matches!(reference, SecretRef::Env(_)) {
        return Err(SecretFault::Unset(reference.to_string().trim_start_matches("env:").to_owned()));
    }
    let visible = secret.0.bytes().all(|byte| (0x21..=0x7e).contains(&byte));
    if secret.0.is_empty() || secret.0.len() > SECRET_BYTES || !visible {
        return Err(SecretFault::NotACredential(reference.to_string()));
    }
    Ok(secret)
}

fn read(path: &Path) -> Result<String, SecretFault> {
    std::fs::read_to_string(path)
        .map_err(|cause| SecretFault::Unreadable { path: path.display().to_string(), cause })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_never_shows_itself() {
        let secret = Secret::new(" canary-5b1f \n".into());
        assert_eq!(secret.reveal(), "canary-5b1f");
        assert!(!format!("{secret:?}").contains("canary"));
    }

    #[test]
    fn references_are_followed_or_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        std::fs::write(&path, "canary-77\n").unwrap();
        assert_eq!(resolve(&SecretRef::File(path.clone())).unwrap().reveal(), "canary-77");
        for bad in ["", "two words", "two\nlines", "gr\u{fc}n"] {
            std::fs::write(&path, bad).unwrap();
            let fault = resolve(&SecretRef::File(path.clone())).unwrap_err().to_string();
            assert!(fault.contains("holds no credential"), "{fault}");
        }
        let missing = resolve(&SecretRef::File(folder.path().join("none"))).unwrap_err();
        assert!(missing.to_string().contains("none"));
        assert!(matches!(resolve(&SecretRef::Env("TOLLGATE_NO_SUCH".into())), Err(SecretFault::Unset(_))));
    }
}
