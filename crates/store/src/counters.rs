//! What is left: the counters of all allowances, in memory, restored from the ledger.
//!
//! Requests reserve and settle here under one short lock. The rule itself is pure and lives in
//! [`tollgate_policy::books`]; here are the lock, the order in which journal and counters learn of a settlement, and the
//! way back after a restart.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::thread;
use std::time::Duration;

use tollgate_policy::allowance::{Allowance, Mode};
use tollgate_policy::books::{Amounts, Books, Claim, Kind, Overdrawn, Past, Reservation, Share, Standing};
use tollgate_policy::entry::{Settled, ThresholdPassed};
use tollgate_policy::id::KeyId;
use tollgate_policy::unit::UnixMs;

use crate::directory::Directory;
use crate::fault::LedgerFault;
use crate::journal::{Append, Journal};
use crate::ledger::{Ledger, PastUse};

mod past;
#[cfg(test)]
mod tests;

/// The counters of one instance.
#[derive(Debug)]
pub struct Counters {
    journal: Arc<Journal>,
    ledger: Arc<Ledger>,
    directory: Arc<Directory>,
    books: Mutex<Books>,
    /// Held to read while a settlement goes into the journal and from there into the books, and to write while the
    /// allowances change: so at that moment both know the same settlements.
    settling: RwLock<()>,
    /// Held while the allowances change, which takes as long as the ledger is read. Whether they did before.
    changing: Mutex<bool>,
}

impl Counters {
    /// Counters of no allowances. [`Self::replace`] brings them in.
    #[must_use]
    pub fn new(journal: Arc<Journal>, ledger: Arc<Ledger>, directory: Arc<Directory>, now: UnixMs) -> Self {
        Self {
            journal,
            ledger,
            directory,
            books: Mutex::new(Books::new(Vec::new(), now)),
            settling: RwLock::default(),
            changing: Mutex::default(),
        }
    }

    /// Takes over other allowances. Those that were there go on counting; for new ones, what was used before is counted
    /// from the ledger, and only then do they refuse. Blocks for as long as the ledger needs.
    ///
    /// # Errors
    /// [`LedgerFault`] when the ledger cannot be read. Then the old allowances stay in force.
    pub fn replace(&self, mut allowances: Vec<Allowance>, now: UnixMs) -> Result<(), LedgerFault> {
        for key in allowances.iter_mut().filter_map(|allowance| allowance.on.key.as_mut()) {
            *key = self.directory.counted_as(*key);
        }
        let mut changed = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let is_first = !std::mem::replace(&mut *changed, true);
        let before = self.lock().allowances().to_vec();
        if before == allowances {
            return Ok(());
        }
        let by_name: HashMap<_, _> = before.iter().map(|known| (&known.name, known)).collect();
        let is_new = |allowance: &&Allowance| {
            by_name.get(&allowance.name).is_none_or(|known| !known.counts_like(allowance))
        };
        let new = allowances.iter().filter(is_new);
        // They count from here on, and refuse once they know what went before. Until then those do that were there.
        let new = new.map(|allowance| Allowance { mode: Mode::Observe, ..allowance.clone() });
        let warming = before.iter().cloned().chain(new).collect();
        let (upto, now) = {
            let _settling = self.settling.write().unwrap_or_else(PoisonError::into_inner);
            let mut books = self.lock();
            books.replace(warming, now);
            // Others may have come and gone while this waited for its turn.
            (self.journal.chained_seq(), books.clock())
        };
        let recalled = self.recall(upto, now);
        let mut books = self.lock();
        match recalled {
            Ok(()) => {
                // What was passed before the process began was told by the one before it.
                if is_first {
                    books.thresholds_told(now);
                }
                books.recalled();
                books.replace(allowances, now);
            }
            Err(_) => books.replace(before, now),
        }
        recalled
    }

    /// Counts in the allowances that are new what was admitted up to `now`, as far as entry `upto` and those before it
    /// tell. What is settled later is charged by [`Self::settle`], which knows of these allowances already.
    fn recall(&self, upto: u64, now: UnixMs) -> Result<(), LedgerFault> {
        while self.ledger.projected_seq() < upto {
            // The entry is on its way to the disk, or the ledger to the entry.
            thread::sleep(Duration::from_millis(1));
            self.ledger.catch_up()?;
        }
        let (starts, recent) = {
            let books = self.lock();
            (books.starts(now), books.recent_since(now))
        };
        for start in starts {
            for past in past::between(&self.ledger, start, now.saturating_add_ms(1), upto)? {
                self.recall_one(&past, |books, past| books.recall_period(start, past, now));
            }
        }
        if let Some(since) = recent {
            let mut visit = |past: &PastUse| {
                if past.seq <= upto {
                    self.recall_one(past, |books, past| books.recall_recent(past, now));
                }
            };
            past::recent(&self.ledger, since, &mut visit)?;
        }
        Ok(())
    }

    /// Reserves for a request on every allowance that it falls under, or on none.
    ///
    /// # Errors
    /// [`Overdrawn`]: the allowance that has no room for it.
    pub fn reserve(&self, now: UnixMs, claim: &Claim<'_>) -> Result<Reserved, Box<Overdrawn>> {
        let mut books = self.lock();
        let reservation = books.reserve(now, claim)?;
        let shares = books.shares(now, &reservation);
        Ok(Reserved { reservation, shares, at: books.clock() })
    }

    /// Records a settlement, and charges it to the allowances on which it was reserved.
    ///
    /// The journal learns of it first. So an entry that admits a request always comes after those that made room for it,
    /// and the journal alone shows that no allowance was ever overdrawn.
    pub fn settle(
        &self,
        now: UnixMs,
        settled: Settled,
        reservation: Reservation,
    ) -> (Append, Vec<ThresholdPassed>) {
        let amounts = Amounts::of(&settled.usage, settled.cost);
        let usage = settled.usage.models().into_iter().map(str::to_owned);
        let models: Vec<String> = settled.served_model.iter().cloned().chain(usage).collect();
        let _settling = self.settling.read().unwrap_or_else(PoisonError::into_inner);
        let append = self.journal.settle(now, settled);
        let ran: Vec<&str> = models.iter().map(String::as_str).collect();
        let passed = self.lock().settle(now, reservation, &ran, amounts);
        (append, passed)
    }

    /// Gives back what was reserved for a request that was not admitted.
    pub fn release(&self, now: UnixMs, reservation: Reservation) {
        self.lock().release(now, reservation);
    }

    /// Charges reservations that nobody settled within their term. Gives how many.
    pub fn expire(&self, now: UnixMs) -> usize {
        self.lock().expire(now)
    }

    /// Reservations that are not settled yet.
    #[must_use]
    pub fn open(&self) -> usize {
        self.lock().open()
    }

    /// How the counters of the allowances stand that `wanted` picks, by the names of the allowances. Requests that come
    /// meanwhile do not wait for more than a part of it, so each line tells of a moment of its own.
    #[must_use]
    pub fn standing(&self, now: UnixMs, wanted: impl Fn(&Allowance) -> bool) -> Vec<Standing> {
        let mut lines = Vec::new();
        let mut next = Some(0);
        while let Some(place) = next {
            let (more, further) = self.lock().standing_from(now, place, &wanted);
            lines.extend(more);
            next = further;
        }
        lines.sort_by(|one, other| (&one.allowance, &one.whose).cmp(&(&other.allowance, &other.whose)));
        lines
    }

    fn recall_one(&self, past: &PastUse, take: impl FnOnce(&mut Books, &Past<'_>)) {
        of_ledger(past, self.directory.counted_as(past.key), |past| take(&mut self.lock(), past));
    }

    fn lock(&self) -> MutexGuard<'_, Books> {
        // The books are whole after each of their methods; none of them panics halfway by design.
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request for which room was made.
#[derive(Debug)]
pub struct Reserved {
    /// What it holds.
    pub reservation: Reservation,
    /// How the fullest allowances stand that it falls under.
    pub shares: Vec<Share>,
    /// The instant by the clock of the books, at which the request is to be booked: so it belongs to the same periods
    /// for the journal as for the counters.
    pub at: UnixMs,
}

/// The kind of request that an endpoint's label stands for; none where allowances do not count it.
#[must_use]
pub fn kind(endpoint: &str) -> Option<Kind> {
    match endpoint {
        "messages" => Some(Kind::Messages),
        "count_tokens" => Some(Kind::CountTokens),
        "batches" | "files" | "other" => Some(Kind::Other),
        _ => None,
    }
}

/// Hands over past use as the books take it, under this key, if it is of requests that allowances count.
pub(crate) fn of_ledger(past: &PastUse, key: KeyId, visit: impl FnOnce(&Past<'_>)) {
    let Some(kind) = kind(&past.endpoint) else { return };
    let further = past.further_models.iter().flat_map(|models| models.split(','));
    let ran: Vec<&str> = past.model.as_deref().into_iter().chain(further).collect();
    visit(&Past {
        scope: &past.scope,
        key,
        kind,
        requested: past.requested_model.as_deref(),
        ran: &ran,
        at: past.at,
        settled_at: past.settled_at,
        requests: past.requests,
        amounts: Amounts {
            input_tokens: past.input_tokens,
            output_tokens: past.output_tokens,
            cost: past.cost,
        },
    });
}
