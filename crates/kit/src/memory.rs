//! The memory of this process stays its own: no core dump of it is written, and no other process of the same user
//! may read it. It holds the upstream's credential and the secrets of the data folder.

use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};

/// Closes the memory. What the system refuses is said in a sentence; nothing depends on it.
pub(crate) fn close() -> Result<(), String> {
    let refused = |what: &str, error: rustix::io::Errno| format!("{what} could not be switched off: {error}");
    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })
        .map_err(|error| refused("core dumps", error))?;
    set_dumpable_behavior(DumpableBehavior::NotDumpable)
        .map_err(|error| refused("reading this process's memory", error))
}
