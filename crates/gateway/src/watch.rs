//! Reloading the configuration when its file changes, or when told to.

use std::io;
use std::path::Path;
use std::time::Duration;

use tokio::time::sleep;
use tollgate_config::{Problem, Snapshot, load_priced};

use crate::force::price_text;
use crate::running::{Gateway, Source};

/// How often the file is read. Watching by events misses files that are swapped by symbolic links, as Kubernetes
/// does, and reading a few kilobytes costs nothing.
const INTERVAL: Duration = Duration::from_millis(400);

/// Largest document that is read.
const DOCUMENT_BYTES: u64 = 1024 * 1024;

/// Follows the file at `path` for as long as the future is polled. `adjust` applies what the command line overrides;
/// `applied` is told of each configuration that came into force. `nudge` asks for a reload even if the text is the same: secrets and certificates may have changed.
///
/// What is wrong is logged, and the configuration in force stays.
pub async fn follow(
    gateway: &Gateway,
    path: &Path,
    mut text: String,
    adjust: impl Fn(&mut Snapshot),
    applied: impl Fn(&Snapshot),
    nudge: &tokio::sync::Notify,
) {
    let name = path.display().to_string();
    loop {
        let nudged = tokio::select! {
            () = nudge.notified() => true,
            () = sleep(INTERVAL) => false,
        };
        let found = match read(path) {
            Ok(found) => found,
            // Editors replace files: it may be gone for a moment.
            Err(error) if nudged => {
                tracing::error!(path = %name, %error, "the configuration can not be read; the one in force stays");
                continue;
            }
            Err(_) => continue,
        };
        if found == text && !nudged {
            continue;
        }
        text = found;
        match load_priced(&text, &name, price_text) {
            Ok(mut config) => {
                adjust(&mut config);
                match gateway.reload(config.clone(), Source { name: &name, text: &text }).await {
                    Ok(()) => {
                        applied(&config);
                        tracing::info!(path = %name, "the configuration was reloaded");
                        for warning in &config.warnings {
                            tracing::warn!("{warning}");
                        }
                    }
                    Err(fault) => tracing::error!(path = %name, %fault, "the configuration was not reloaded"),
                }
            }
            Err(problems) => report(&name, &problems),
        }
    }
}

/// Reads the file, if it is one: reading a pipe in its place would wait for ever.
fn read(path: &Path) -> io::Result<String> {
    let about = std::fs::metadata(path)?;
    if !about.is_file() || about.len() > DOCUMENT_BYTES {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a file of at most 1 MiB"));
    }
    std::fs::read_to_string(path)
}

fn report(name: &str, problems: &[Problem]) {
    tracing::error!(path = %name, count = problems.len(), "the configuration has problems; the one in force stays");
    for problem in problems {
        tracing::error!("{problem}");
    }
}
