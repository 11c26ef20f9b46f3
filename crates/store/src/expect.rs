//! What a change expects to find, so that nobody overwrites what they have not seen.

use serde::Serialize;
use tollgate_policy::entry::Hash;

/// What a change expects to find.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expect {
    /// Nothing of that name.
    Absent,
    /// Something of that name.
    Present,
    /// The record with this [`fingerprint`].
    Exactly(Hash),
}

/// What tells one state of a record from every other: the hash of its text in the journal.
#[must_use]
pub fn fingerprint(record: &impl Serialize) -> Hash {
    Hash::of(&serde_json::to_vec(record).unwrap_or_default())
}

impl Expect {
    pub(crate) fn meets(self, found: Option<&impl Serialize>) -> bool {
        match self {
            Self::Absent => found.is_none(),
            Self::Present => found.is_some(),
            Self::Exactly(wanted) => found.is_some_and(|found| fingerprint(found) == wanted),
        }
    }
}
