//! Who judges what is written for others: their own schemas, models and linters, as `make test` installs them.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A file of the installed judges.
pub(crate) fn installed(name: &str) -> PathBuf {
    let folder = std::env::var_os("TOLLGATE_LINTERS").map(PathBuf::from);
    folder
        .expect(
            "the linters are not installed: run `make test`, which installs them and sets TOLLGATE_LINTERS",
        )
        .join(name)
}

/// Runs a script beside this file by the Python that has the judges.
pub(crate) fn script(name: &str) -> Command {
    let mut command = Command::new(installed("python/bin/python"));
    command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("products/judges").join(name));
    command
}

/// Node, which need not be the one of the machine.
pub(crate) fn node() -> Command {
    Command::new(installed("node"))
}

pub(crate) fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}
