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
use tollgate_policy::unit::UnixMs;

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
    books: Mutex<Books>,
    /// Held to read while a settlement goes into the journal and from there into the books, and to write while the
    /// allowances change: so at that moment both know the same settlements.
    settling: RwLock<()>,
    /// Held while the allowances change, which takes as long as the ledger is read.
    changing: Mutex<()>,
}

impl Counters {
    /// Counters of no allowances. [`Self::replace`] brings them in.
    #[must_use]
    pub fn new(journal: Arc<Journal>, ledger: Arc<Ledger>, now: UnixMs) -> Self {
        Self {
            journal,
            ledger,
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
    pub fn replace(&self, allowances: Vec<Allowance>, now: UnixMs) -> Result<(), LedgerFault> {
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
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
                if let Some(past) = of_ledger(&past) {
                    self.lock().recall_period(start, &past, now);
                }
            }
        }
        if let Some(since) = recent {
            let mut visit = |past: &PastUse| {
                if let Some(past) = of_ledger(past).filter(|_| past.seq <= upto) {
                    self.lock().recall_recent(&past, now);
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
        let served = settled.served_model.clone();
        let _settling = self.settling.read().unwrap_or_else(PoisonError::into_inner);
        let append = self.journal.settle(now, settled);
        let passed = self.lock().settle(now, reservation, served.as_deref(), amounts);
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

    /// How the counters of the allowances stand that `wanted` picks.
    #[must_use]
    pub fn standing(&self, now: UnixMs, wanted: impl Fn(&Allowance) -> bool) -> Vec<Standing> {
        self.lock().standing(now, wanted)
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

/// Past use as the books take it; none where allowances do not count it.
pub(crate) fn of_ledger(past: &PastUse) -> Option<Past<'_>> {
    Some(Past {
        scope: &past.scope,
        key: past.key,
        kind: kind(&past.endpoint)?,
        requested: past.requested_model.as_deref(),
        served: past.model.as_deref(),
        at: past.at,
        settled_at: past.settled_at,
        requests: past.requests,
        amounts: Amounts {
            input_tokens: past.input_tokens,
            output_tokens: past.output_tokens,
            cost: past.cost,
        },
    })
}
