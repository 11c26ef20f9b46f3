//! Who acts, once identified.

use std::sync::Arc;

use crate::key::KeyRecord;

/// The proof that a request carries a good credential. Only [`crate::key::identify`] makes one, so a stage
/// that takes a `Principal` cannot be reached without identification. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Principal {
    key: Arc<KeyRecord>,
}

impl Principal {
    pub(crate) fn new(key: Arc<KeyRecord>) -> Self {
        Self { key }
    }

    /// The record of the key that was presented.
    #[must_use]
    pub fn key(&self) -> &Arc<KeyRecord> {
        &self.key
    }
}
