//! What the journal says about keys, operators, allowances, sessions and statements: one pass over it for all of them.

use std::collections::HashMap;
use std::path::Path;

use tollgate_policy::entry::{Entry, Event, KeyChange};
use tollgate_policy::id::KeyId;
use tollgate_policy::key::KeyRecord;

use crate::fault::StoreFault;
use crate::journal::queue::Mark;
use crate::projection::{Place, Unfollowed, follow};
use crate::register::Decisions;

const KINDS: [&[u8]; 8] = [
    b"key_created",
    b"key_rotated",
    b"key_revoked",
    b"operator_set",
    b"allowance_set",
    b"session_paused",
    b"session_resumed",
    b"statement_closed",
];

/// What the journal says.
#[derive(Default)]
pub(crate) struct Replayed {
    /// The last record of each key.
    pub(crate) keys: HashMap<KeyId, KeyRecord>,
    /// What else was decided.
    pub(crate) decisions: Decisions,
}

impl From<Unfollowed> for StoreFault {
    fn from(unfollowed: Unfollowed) -> Self {
        Self::Replay { why: unfollowed.to_string() }
    }
}

/// Reads every change of a key and every decision up to the mark; the last word on each stands.
///
/// Reads the whole journal, because only the journal can be trusted about keys and decisions
/// (docs/decisions/0004-keys-are-a-view-of-the-journal.md).
pub(crate) fn replay(journal: &Path, mark: &Mark) -> Result<Replayed, StoreFault> {
    let mut replayed = Replayed::default();
    follow::<StoreFault>(journal, &mut Place::beginning(), mark, usize::MAX, &KINDS, |entry| {
        replayed.take(entry);
        Ok(())
    })?;
    Ok(replayed)
}

impl Replayed {
    fn take(&mut self, entry: &Entry) {
        match &entry.event {
            Event::KeyCreated(change) | Event::KeyRotated(change) | Event::KeyRevoked(change) => {
                let KeyChange { after, also, .. } = change;
                let records = std::iter::once(after).chain(also);
                self.keys.extend(records.map(|record| (record.id, record.clone())));
            }
            event => self.decisions.take(event, entry.link.at),
        }
    }
}
