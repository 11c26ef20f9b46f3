//! The keys as the journal left them.

use std::collections::HashMap;
use std::path::Path;

use tollgate_policy::entry::{Event, KeyChange};
use tollgate_policy::id::KeyId;
use tollgate_policy::key::KeyRecord;

use crate::fault::StoreFault;
use crate::journal::queue::Mark;
use crate::projection::{Place, Unfollowed, follow};

const KINDS: [&[u8]; 3] = [b"key_created", b"key_rotated", b"key_revoked"];

impl From<Unfollowed> for StoreFault {
    fn from(unfollowed: Unfollowed) -> Self {
        Self::Keys { why: unfollowed.to_string() }
    }
}

/// Reads every change of a key up to the mark; the last record of each key stands.
///
/// Reads the whole journal, because only the journal can be trusted about keys
/// (docs/decisions/0004-keys-are-a-view-of-the-journal.md).
pub(crate) fn replay(journal: &Path, mark: &Mark) -> Result<Vec<KeyRecord>, StoreFault> {
    let mut keys: HashMap<KeyId, KeyRecord> = HashMap::new();
    follow::<StoreFault>(journal, &mut Place::beginning(), mark, usize::MAX, &KINDS, |entry| {
        if let Event::KeyCreated(change) | Event::KeyRotated(change) | Event::KeyRevoked(change) =
            &entry.event
        {
            let KeyChange { after, also, .. } = change;
            keys.extend(std::iter::once(after).chain(also).map(|record| (record.id, record.clone())));
        }
        Ok(())
    })?;
    Ok(keys.into_values().collect())
}
