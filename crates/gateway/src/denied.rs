//! Refusals are recorded too.

use std::sync::{Mutex, PoisonError};

use tollgate_policy::entry::{Denied, Event};
use tollgate_policy::principal::Principal;
use tollgate_policy::unit::UnixMs;

use crate::Shared;
use crate::answer::Failure;
use crate::inbound::Inbound;

/// Refusals of unknown clients recorded a second, at most. A flood of bad credentials must not fill the disk;
/// those left out are counted in the next record.
const UNKNOWN_PER_SECOND: u64 = 20;

/// Counts what is left out.
#[derive(Default)]
pub(crate) struct Sparing(Mutex<Second>);

#[derive(Default)]
struct Second {
    second: i64,
    recorded: u64,
    suppressed: u64,
}

impl Sparing {
    /// How many were left out before this one, or `None` where this one is left out too.
    fn take(&self, now: UnixMs) -> Option<u64> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let second = now.0.div_euclid(1000);
        if state.second != second {
            *state = Second { second, recorded: 0, suppressed: state.suppressed };
        }
        if state.recorded == UNKNOWN_PER_SECOND {
            state.suppressed += 1;
            return None;
        }
        state.recorded += 1;
        Some(std::mem::take(&mut state.suppressed))
    }
}

/// Records that a request was refused before it was admitted. What failed after that is in its settlement.
pub(crate) fn record(
    shared: &Shared,
    inbound: &Inbound<'_>,
    principal: Option<&Principal>,
    failure: &Failure,
) {
    shared.metrics.refused(failure, inbound.endpoint);
    if matches!(failure, Failure::Upstream(_) | Failure::Journal(_) | Failure::ClientGone) {
        return;
    }
    let suppressed = match principal {
        Some(_) => 0,
        None => match shared.sparing.take(inbound.at) {
            Some(suppressed) => suppressed,
            None => return,
        },
    };
    let denied = Denied {
        request: inbound.request,
        key: principal.map(|principal| principal.key().id),
        scope: principal.map(|principal| principal.key().scope.clone()),
        peer: inbound.peer.to_string(),
        method: inbound.head.method().to_owned(),
        path: inbound.head.path().to_owned(),
        status: failure.status(),
        code: failure.code().to_owned(),
        model: failure.model().map(str::to_owned),
        allowance: failure.allowance().cloned(),
        suppressed,
    };
    // The refusal stands whether or not it could be recorded: nothing went upstream.
    drop(shared.journal.append(inbound.at, Event::Denied(denied)));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_counted_not_recorded() {
        let sparing = Sparing::default();
        let recorded = (0..100).filter(|_| sparing.take(UnixMs(1_000)).is_some()).count();
        assert_eq!(recorded as u64, UNKNOWN_PER_SECOND);
        assert_eq!(sparing.take(UnixMs(2_000)), Some(80));
        assert_eq!(sparing.take(UnixMs(2_001)), Some(0));
    }
}
