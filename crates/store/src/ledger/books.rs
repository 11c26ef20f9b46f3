//! A fingerprint of all usage that is booked, to compare a ledger with its journal.

use std::path::Path;

use aws_lc_rs::digest::{Context, SHA256};
use rusqlite::types::ValueRef;
use tollgate_policy::entry::{Hash, Settled};
use tollgate_policy::unit::{NanoUsd, UnixMs};

use super::projector::{self, COLUMNS};
use super::schema;
use crate::fault::LedgerFault;

/// What has been booked, in the order of the journal: how much, and a digest over all of it.
#[derive(Clone)]
pub(crate) struct Books {
    digest: Context,
    rows: u64,
    cost: i128,
}

impl Books {
    /// Nothing booked yet.
    pub(crate) fn new() -> Self {
        Self { digest: Context::new(&SHA256), rows: 0, cost: 0 }
    }

    /// Books a settlement as the ledger does.
    pub(crate) fn book(&mut self, seq: u64, at: UnixMs, settled: &Settled) {
        let row = projector::row(seq, at, settled);
        row.iter().for_each(|value| self.take(value.into()));
        self.count(settled.cost.0);
    }

    /// What a ledger has booked, and the last entry that it covers. `None` when it covers none.
    ///
    /// # Errors
    /// [`LedgerFault`] when the database cannot be read or has another layout.
    pub(crate) fn of_ledger(path: &Path) -> Result<Option<(Self, u64)>, LedgerFault> {
        let mut database = schema::open_to_read(path)?;
        schema::check_layout(&database)?;
        // The rows and the place of one moment, also while a gateway books.
        let moment = database.transaction()?;
        let Some(place) = schema::place(&moment)? else { return Ok(None) };
        let mut books = Self::new();
        let mut statement = moment.prepare("SELECT * FROM usage ORDER BY seq")?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            for column in 0..COLUMNS {
                books.take(row.get_ref(column)?);
            }
            books.count(row.get("cost_nano_usd")?);
        }
        Ok(Some((books, place.seq)))
    }

    /// The digest over all rows.
    pub(crate) fn hash(&self) -> Hash {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(self.digest.clone().finish().as_ref());
        Hash::from_bytes(bytes)
    }

    /// The totals, in words.
    pub(crate) fn totals(&self) -> String {
        format!("{} settlements at {}", self.rows, NanoUsd::saturating_from(self.cost))
    }

    fn count(&mut self, cost: i64) {
        self.rows += 1;
        self.cost += i128::from(cost);
    }

    /// Adds a value to the digest, with its type and length, so that no two rows read the same.
    fn take(&mut self, value: ValueRef<'_>) {
        let number;
        let (kind, bytes): (u8, &[u8]) = match value {
            ValueRef::Null => (0, &[]),
            ValueRef::Integer(value) => {
                number = value.to_be_bytes();
                (1, &number)
            }
            ValueRef::Real(value) => {
                number = value.to_be_bytes();
                (2, &number)
            }
            ValueRef::Text(bytes) => (3, bytes),
            ValueRef::Blob(bytes) => (4, bytes),
        };
        self.digest.update(&[kind]);
        self.digest.update(&(bytes.len() as u64).to_be_bytes());
        self.digest.update(bytes);
    }
}
