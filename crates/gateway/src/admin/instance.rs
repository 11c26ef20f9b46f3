//! The file by which local commands find a running instance and prove that they may administer it.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde_json::json;

use crate::random;
use crate::secret::Secret;

/// Its name in the data folder.
const NAME: &str = "instance.json";

/// The file of this instance.
pub(crate) struct InstanceFile {
    path: PathBuf,
    token: Secret,
}

impl InstanceFile {
    /// Draws a token and writes the file, readable by its owner alone, in the place of an older one.
    pub(crate) fn write(data: &Path, clients: &str, admin: SocketAddr) -> Result<Self, (PathBuf, io::Error)> {
        let path = data.join(NAME);
        let token: String = random::<32>().iter().map(|byte| format!("{byte:02x}")).collect();
        let text = json!({
            "clients": clients,
            "admin": format!("http://{admin}"),
            "token": token,
            "pid": std::process::id(),
        });
        let fresh = data.join(format!("{NAME}.new"));
        let written = remove(&fresh)
            .and_then(|()| OpenOptions::new().write(true).create_new(true).mode(0o600).open(&fresh))
            .and_then(|mut file| writeln!(file, "{text}"))
            .and_then(|()| std::fs::rename(&fresh, &path));
        match written {
            Ok(()) => Ok(InstanceFile { path, token: Secret::new(token) }),
            Err(cause) => Err((path, cause)),
        }
    }

    /// What the admin API asks for.
    pub(crate) fn token(&self) -> Secret {
        self.token.clone()
    }

    /// The instance ends.
    pub(crate) fn remove(&self) {
        if let Err(error) = remove(&self.path) {
            tracing::warn!(path = %self.path.display(), %error, "the instance file could not be removed");
        }
    }
}

fn remove(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
