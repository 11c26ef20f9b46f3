//! Which keys are one for the books: a key and those that it was rotated to.

use std::collections::HashMap;

use crate::id::KeyId;

/// The keys that replaced another one, each with the one that it replaced.
#[derive(Debug, Default)]
pub(super) struct Rotations(HashMap<KeyId, KeyId>);

impl Rotations {
    pub(super) fn note(&mut self, key: KeyId, replaced: KeyId) {
        self.0.insert(key, replaced);
    }

    /// The first key of the line that this one is of: itself, if it replaced none.
    pub(super) fn first(&self, key: KeyId) -> KeyId {
        let mut first = key;
        // A key is made after the one that it replaces, so this comes to an end.
        while let Some(replaced) = self.0.get(&first) {
            first = *replaced;
        }
        first
    }
}
