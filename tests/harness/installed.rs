//! Where the clients are.

use std::path::PathBuf;

/// Where `scripts/setup.sh clients` put them.
const FOLDER: &str = "TOLLGATE_CLIENTS";

/// The folder of the installed clients.
///
/// # Panics
///
/// Without it there is nothing to test, and a test that tests nothing must not pass.
pub fn folder() -> PathBuf {
    match std::env::var_os(FOLDER) {
        Some(folder) => folder.into(),
        None => panic!(
            "the real clients are not installed: run `make test`, which installs them and sets {FOLDER}"
        ),
    }
}

/// The Claude Code command: the native program out of the package for this machine.
pub fn claude() -> PathBuf {
    let packages = folder().join("node_modules/@anthropic-ai");
    let entries =
        std::fs::read_dir(&packages).unwrap_or_else(|error| panic!("{}: {error}", packages.display()));
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    // The npm of Debian 12 does not know one C library from another and installs both packages; the name without
    // `-musl` sorts first.
    let name = names.filter(|name| name.starts_with("claude-code-")).min();
    packages.join(name.expect("a package for this machine")).join("claude")
}

/// Python with the SDK.
pub fn python() -> PathBuf {
    folder().join("python/bin/python")
}
