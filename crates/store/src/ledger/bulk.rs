//! A ledger without a journal, to measure large ones: it books and answers by the same code.

use std::path::{Path, PathBuf};

use tollgate_policy::books::Books;
use tollgate_policy::entry::Event;
use tollgate_policy::unit::UnixMs;

use super::calendar::Month;
use super::query::{PastUse, Query, ReportRow};
use super::record::Record;
use super::statement::StatementFigures;
use super::writer::Writer;
use super::{Filter, past, records, report, schema, statement};
use crate::counters;
use crate::fault::LedgerFault;

/// A ledger in a file of its own.
pub struct Bulk {
    path: PathBuf,
    writer: Writer,
}

impl Bulk {
    /// Opens the ledger, or makes an empty one.
    ///
    /// # Errors
    /// What the database says.
    pub fn open(path: &Path) -> Result<Self, LedgerFault> {
        Ok(Self { path: path.to_path_buf(), writer: Writer::open(path)? })
    }

    /// Books entries in one transaction. They take the next sequence numbers.
    ///
    /// # Errors
    /// What the database says; then none was booked.
    pub fn book(&mut self, entries: impl IntoIterator<Item = (UnixMs, Event)>) -> Result<(), LedgerFault> {
        let mut place = self.writer.place().clone();
        self.writer.transact(|batch| {
            for (at, event) in entries {
                place.seq += 1;
                batch.book(place.seq, at, &event)?;
            }
            Ok(place)
        })
    }

    /// As [`super::Ledger::drop_raw_before`].
    ///
    /// # Errors
    /// As there.
    pub fn drop_raw_before(&mut self, month: Month) -> Result<usize, LedgerFault> {
        self.writer.drop_records_before(month)
    }

    /// As [`super::Ledger::report`].
    ///
    /// # Errors
    /// As there.
    pub fn report(&self, query: &Query) -> Result<Vec<ReportRow>, LedgerFault> {
        report::read(&schema::open_to_read(&self.path)?, query)
    }

    /// As [`super::Ledger::past`].
    ///
    /// # Errors
    /// As there.
    pub fn past(&self, from: UnixMs, to: UnixMs) -> Result<Vec<PastUse>, LedgerFault> {
        past::between(&schema::open_to_read(&self.path)?, from, to)
    }

    /// As [`super::Ledger::recent`].
    ///
    /// # Errors
    /// As there.
    pub fn recent(&self, since: UnixMs, visit: &mut dyn FnMut(&PastUse)) -> Result<(), LedgerFault> {
        records::since(&schema::open_to_read(&self.path)?, since, visit)
    }

    /// Recalls in books that were just opened what was used before, as [`crate::counters::Counters`] do at a start.
    ///
    /// # Errors
    /// As [`super::Ledger::past`].
    pub fn recall(&self, books: &mut Books, now: UnixMs) -> Result<(), LedgerFault> {
        for start in books.starts(now) {
            for past in self.past(start, now.saturating_add_ms(1))? {
                counters::of_ledger(&past, past.key, |past| books.recall_period(start, past, now));
            }
        }
        if let Some(since) = books.recent_since(now) {
            self.recent(since, &mut |past| {
                counters::of_ledger(past, past.key, |past| books.recall_recent(past, now));
            })?;
        }
        books.recalled();
        Ok(())
    }

    /// As [`super::Ledger::records`].
    ///
    /// # Errors
    /// As there.
    pub fn records(&self, filter: &Filter, after: u64, limit: usize) -> Result<Vec<Record>, LedgerFault> {
        records::page(&schema::open_to_read(&self.path)?, filter, after, limit)
    }

    /// As [`super::Ledger::statement`], of everything up to now.
    ///
    /// # Errors
    /// As there.
    pub fn statement(&self, from: UnixMs, to: UnixMs, after: u64) -> Result<StatementFigures, LedgerFault> {
        statement::read(&schema::open_to_read(&self.path)?, from, to, after, self.writer.place().seq)
    }
}
