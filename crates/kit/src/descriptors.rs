//! How many files and sockets this process may have open.
//!
//! The soft limit is often 1024, for the sake of programs that use `select`; whoever does not is expected to raise it
//! to the hard one (<https://man7.org/linux/man-pages/man2/getrlimit.2.html>).

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Open files beside the connections: listeners, the journal, the ledger, the runtime's own.
const OTHERS: u64 = 64;

/// Raises the soft limit to the hard one. Gives the limit in force then; `None` is no limit.
pub(crate) fn raise() -> Option<u64> {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    // Some systems refuse more than a bound of their own: then what was in force stays so.
    let refused = limit.current != limit.maximum && setrlimit(Resource::Nofile, raised).is_err();
    if refused { limit.current } else { limit.maximum }
}

/// Says that a limit is too low for so many client connections, each of which may need one to the upstream.
pub(crate) fn shortage(limit: Option<u64>, connections: usize) -> Option<String> {
    let needed = (connections as u64).saturating_mul(2).saturating_add(OTHERS);
    let limit = limit.filter(|limit| *limit < needed)?;
    Some(format!(
        "limits.connections allows {connections} connections, which may take {needed} open files, but this process \
         may open only {limit}: raise that limit (`ulimit -n {needed}` in a shell, LimitNOFILE={needed} in a systemd \
         unit), or lower limits.connections"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_soft_limit_becomes_the_hard_one() {
        let before = getrlimit(Resource::Nofile);
        let lower = before.maximum.map_or(512, |maximum| maximum.min(512));
        setrlimit(Resource::Nofile, Rlimit { current: Some(lower), ..before }).unwrap();
        let raised = raise();
        assert_eq!(getrlimit(Resource::Nofile).current, raised);
        assert_eq!(raised, before.maximum);
    }

    #[test]
    fn a_limit_that_is_too_low_is_told_with_its_cure() {
        let rows = [
            (None, 1_000_000, false),
            (Some(1064), 500, false),
            (Some(1063), 500, true),
            (Some(u64::MAX), usize::MAX, false),
            (Some(1024), usize::MAX, true),
        ];
        for (limit, connections, told) in rows {
            assert_eq!(shortage(limit, connections).is_some(), told, "{limit:?} for {connections}");
        }
        let sentence = shortage(Some(1024), 10_000).unwrap();
        for part in ["limits.connections", "ulimit -n 20064", "LimitNOFILE=20064", "1024"] {
            assert!(sentence.contains(part), "{sentence}");
        }
    }
}
