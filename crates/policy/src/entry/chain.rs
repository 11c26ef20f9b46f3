//! How entries follow each other.

use super::line::{Entry, Link};
use super::{GENESIS, Hash};

/// The place after the last entry: the number and the predecessor that the next one must name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chain {
    /// The sequence number of the next entry. The first entry of a journal has 1.
    pub next_seq: u64,
    /// The hash of the last entry, [`GENESIS`] when there is none.
    pub prev: Hash,
}

impl Default for Chain {
    fn default() -> Self {
        Self { next_seq: 1, prev: GENESIS }
    }
}

impl Chain {
    /// The start of a new journal.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next entry.
    ///
    /// # Errors
    /// [`Break`] when the entry does not belong here; the chain then stays where it was.
    pub fn follow(&mut self, entry: &Entry) -> Result<(), Break> {
        self.follow_link(&entry.link)
    }

    /// Takes the next entry by its outer fields alone.
    ///
    /// # Errors
    /// [`Break`] when the entry does not belong here; the chain then stays where it was.
    pub fn follow_link(&mut self, link: &Link) -> Result<(), Break> {
        let (expected, found) = (self.next_seq, link.seq);
        if found != expected {
            return Err(Break::Sequence { expected, found });
        }
        if link.prev != self.prev {
            return Err(Break::Predecessor { seq: found, expected: self.prev, found: link.prev });
        }
        // A number after the last one would have to repeat: refuse to go there instead of wrapping.
        self.next_seq = found.checked_add(1).ok_or(Break::Exhausted)?;
        self.prev = link.hash;
        Ok(())
    }
}

/// Why an entry does not belong at its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Break {
    /// An entry is missing, repeated or out of order.
    #[error(
        "expected entry {expected}, found entry {found}: entries were removed, repeated or reordered here"
    )]
    Sequence {
        /// The number that belongs here.
        expected: u64,
        /// The number that stands here.
        found: u64,
    },
    /// The entry was made after another predecessor than the one before it.
    #[error(
        "entry {seq} names {found} as its predecessor, but the entry before it has hash {expected}: one of the \
         two was replaced"
    )]
    Predecessor {
        /// The number of the entry.
        seq: u64,
        /// The hash of the entry before it.
        expected: Hash,
        /// The hash that it names.
        found: Hash,
    },
    /// The last possible sequence number was reached.
    #[error("no sequence number is left")]
    Exhausted,
}
