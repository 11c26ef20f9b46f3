//! The one writer of the database.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, params};

use super::batch::Batch;
use super::calendar::Month;
use super::dims::Interner;
use super::{schema, statement};
use crate::fault::LedgerFault;
use crate::projection::Place;

/// The database, open to be written.
pub(super) struct Writer {
    path: PathBuf,
    database: Connection,
    interner: Interner,
    place: Place,
    /// The first month whose records are kept.
    kept_from: Option<Month>,
}

impl Writer {
    /// Opens the ledger; makes it anew if it is damaged.
    pub(super) fn open(path: &Path) -> Result<Self, LedgerFault> {
        // A side file without its database would be taken for a part of the new one.
        let is_new = fs::metadata(path).map_or(true, |metadata| metadata.len() == 0);
        let opened = if is_new { create(path) } else { schema::open_to_write(path) };
        let opened = opened.and_then(|database| schema::place(&database).map(|place| (database, place)));
        let (database, place) = match opened {
            Err(LedgerFault::Damaged(why)) => {
                tracing::warn!(why, "the ledger is damaged; making it again from the journal");
                (create(path)?, None)
            }
            other => other?,
        };
        let kept_from = schema::kept_from(&database)?;
        let place = place.unwrap_or_else(Place::beginning);
        Ok(Self { path: path.to_path_buf(), database, interner: Interner::default(), place, kept_from })
    }

    /// Up to where the journal is booked.
    pub(super) fn place(&self) -> &Place {
        &self.place
    }

    /// Forgets everything but which records are to be kept.
    pub(super) fn start_over(&mut self) -> Result<(), LedgerFault> {
        self.database = create(&self.path)?;
        self.interner.forget();
        self.place = Place::beginning();
        self.kept_from.map_or(Ok(()), |month| schema::keep_from(&self.database, month))
    }

    /// Books entries in one transaction, up to the place that `book` gives: all of them, or none when it fails.
    pub(super) fn transact(
        &mut self,
        book: impl FnOnce(&mut Batch<'_>) -> Result<Place, LedgerFault>,
    ) -> Result<(), LedgerFault> {
        let booked = transact(&mut self.database, &mut self.interner, book);
        if booked.is_err() {
            // Numbers that the transaction gave are void.
            self.interner.forget();
        }
        self.place = booked?;
        Ok(())
    }

    /// Drops the records of all months before this one, but for those that the next statement needs; sums, adjustments
    /// and statements stay. Later settlements of requests of those months go to the sums alone. Gives how many months
    /// were dropped.
    pub(super) fn drop_records_before(&mut self, month: Month) -> Result<usize, LedgerFault> {
        let transaction = self.database.transaction()?;
        let month = statement::needed_from(&transaction)?.map_or(month, |needed| needed.min(month));
        if schema::kept_from(&transaction)?.is_some_and(|kept| kept >= month) {
            return Ok(0);
        }
        let mut months = schema::records_months(&transaction)?;
        months.retain(|found| *found < month);
        for month in &months {
            transaction.execute_batch(&format!("DROP TABLE {}", schema::records_table(*month)))?;
        }
        schema::keep_from(&transaction, month)?;
        transaction.commit()?;
        self.kept_from = Some(month);
        Ok(months.len())
    }
}

fn transact(
    database: &mut Connection,
    interner: &mut Interner,
    book: impl FnOnce(&mut Batch<'_>) -> Result<Place, LedgerFault>,
) -> Result<Place, LedgerFault> {
    let transaction = database.transaction()?;
    let mut batch = Batch::begin(&transaction, interner)?;
    let place = book(&mut batch)?;
    batch.flush()?;
    drop(batch);
    transaction.execute(
        "INSERT OR REPLACE INTO place (only, segment, offset, seq, hash) VALUES (0, ?1, ?2, ?3, ?4)",
        params![place.segment, place.offset, place.seq, place.hash],
    )?;
    transaction.commit()?;
    Ok(place)
}

/// Makes an empty ledger in the place of whatever is there.
fn create(path: &Path) -> Result<Connection, LedgerFault> {
    for file in schema::files(path) {
        match fs::remove_file(&file) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(LedgerFault::Database(format!("cannot remove {}: {error}", file.display())));
            }
            _ => {}
        }
    }
    schema::open_to_write(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{NOW, folder, settled};
    use crate::ledger::{Query, report};
    use tollgate_policy::entry::Event;

    #[test]
    fn a_transaction_that_fails_leaves_nothing_behind() {
        let folder = folder();
        let path = folder.path().join("ledger.db");
        let mut writer = Writer::open(&path).unwrap();
        let event = Event::Settled(settled(1, 1));
        let failed = writer.transact(|batch| {
            batch.book(1, NOW, &event)?;
            Err(LedgerFault::Database("no more".to_owned()))
        });
        assert!(failed.is_err());
        assert_eq!(writer.place().seq, 0);
        let read = || report::read(&schema::open_to_read(&path).unwrap(), &Query::default()).unwrap();
        assert_eq!(read()[0].requests, 0);
        writer
            .transact(|batch| {
                batch.book(1, NOW, &event)?;
                Ok(Place { seq: 1, ..Place::beginning() })
            })
            .unwrap();
        assert_eq!((writer.place().seq, read()[0].requests), (1, 1));
    }
}
