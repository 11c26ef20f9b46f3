//! How reservations end: settled, released, or expired.

use crate::allowance::Allowance;
use crate::entry::ThresholdPassed;
use crate::unit::UnixMs;

use super::index::{subject, whose};
use super::meter::Terms;
use super::routes::Stop;
use super::{Amounts, Books, Counter, Hold, Open, Reservation, SWEEP_MAX, TERM_MS};

impl Books {
    /// Ends a reservation with what the request used. That may be more than was held: then more is used than was
    /// granted, and the next request is refused. Tells which thresholds that passed.
    ///
    /// `ran` are the models that ran it: the one that answered, if any did, and those of further inferences, such as an
    /// advisor's. An allowance that counts certain models counts the whole request if it was asked for one of them, or
    /// one of them ran any part of it.
    pub fn settle(
        &mut self,
        now: UnixMs,
        reservation: Reservation,
        ran: &[&str],
        amounts: Amounts,
    ) -> Vec<ThresholdPassed> {
        let now = self.tick(now);
        let Some(open) = self.take(&reservation) else {
            return Vec::new();
        };
        let mut passed = Vec::new();
        let further = self.further(&open, ran);
        for hold in &open.holds {
            self.end(now, hold, &mut passed, |allowance| {
                let counted = hold.named || ran.iter().any(|model| allowance.models.covers(model));
                if counted { amounts.count(allowance.measure) } else { 0 }
            });
        }
        for number in further {
            self.charge_further(now, number, &open, &amounts, &mut passed);
        }
        if let Some(requested) = open.requested.as_deref().filter(|_| self.learning) {
            self.learned.learn(requested, amounts.output_tokens);
        }
        passed
    }

    /// Ends a reservation whose request never went upstream: nothing is charged, and the request itself is given back.
    /// A rate gives a request back less what may have drained since.
    pub fn release(&mut self, now: UnixMs, reservation: Reservation) {
        let now = self.tick(now);
        if let Some(open) = self.take(&reservation) {
            for hold in &open.holds {
                self.end(now, hold, &mut Vec::new(), |_| 0);
            }
        }
    }

    /// Charges reservations that have waited for their end for [`TERM_MS`] in full; if they end after all, within as
    /// long again, that corrects the charge. Gives their number. Counters that are idle leave, some
    /// in each call; call this now and then.
    pub fn expire(&mut self, now: UnixMs) -> usize {
        let now = self.tick(now);
        let mut expired = 0;
        let mut forgotten = Vec::new();
        for (place, open) in self.reservations.iter_mut() {
            let waited = now.ms_since(open.at);
            if waited >= 2 * TERM_MS {
                forgotten.push(place);
            }
            if waited < TERM_MS || open.expired {
                continue;
            }
            open.expired = true;
            expired += 1;
            for hold in open.holds.iter_mut().filter(|hold| !hold.charged) {
                hold.charged = true;
                let Some(counter) = self.counters.at_mut(hold.counter) else { continue };
                let Some(number) = counter.allowance else { continue };
                let terms = self.entries[number as usize].terms(&self.allowances[number as usize], now);
                counter.meter.advance(&terms);
                counter.meter.unhold(hold.since, hold.units);
                hold.since = counter.meter.charge(&terms, hold.since, hold.units);
            }
        }
        self.open -= expired;
        for place in forgotten {
            for hold in self.reservations.remove(place).into_iter().flat_map(|open| open.holds) {
                self.unpin(&hold);
            }
        }
        self.sweep(now);
        self.routes.forget();
        expired
    }
}

impl Books {
    /// The reservation of a ticket, which ends with this.
    fn take(&mut self, reservation: &Reservation) -> Option<Open> {
        let (place, serial) = reservation.ticket?;
        self.reservations.at(place).filter(|open| open.serial == serial)?;
        let open = self.reservations.remove(place)?;
        self.open -= usize::from(!open.expired);
        Some(open)
    }

    /// Turns a hold into a charge of what was used.
    fn end(
        &mut self,
        now: UnixMs,
        hold: &Hold,
        passed: &mut Vec<ThresholdPassed>,
        used: impl FnOnce(&Allowance) -> u64,
    ) {
        if let Some(counter) = self.counters.at_mut(hold.counter)
            && let Some(number) = counter.allowance
        {
            let allowance = &self.allowances[number as usize];
            let terms = self.entries[number as usize].terms(allowance, now);
            let used = used(allowance);
            counter.meter.advance(&terms);
            if hold.charged {
                counter.meter.correct(&terms, hold.since, hold.units, used);
            } else {
                counter.meter.unhold(hold.since, hold.units);
                counter.meter.charge(&terms, hold.since, used);
            }
            tell(counter, &terms, hold.since, passed);
        }
        self.unpin(hold);
    }

    /// The allowances that count a request at its end and held nothing: those of a model that nobody named, and new
    /// ones.
    fn further(&mut self, open: &Open, ran: &[&str]) -> Vec<u32> {
        let same_allowances = open.version == self.version;
        let requested = open.requested.as_deref();
        let ran_as_asked = ran.iter().all(|model| Some(*model) == requested);
        if same_allowances && (ran_as_asked || !self.selective) {
            return Vec::new();
        }
        let Self { index, routes, allowances, entries, .. } = self;
        let stops = routes.stops(index, allowances, entries, &open.scope, open.key);
        let held = |stop: &Stop| {
            stop.counter.is_some_and(|counter| open.holds.iter().any(|hold| hold.counter == counter))
        };
        let models = requested.iter().chain(ran);
        let counts = |stop: &&Stop| {
            let allowance = &allowances[stop.number as usize];
            let of_all_models = allowance.models.is_empty();
            // One that counts all models and was there counted the request from its start.
            !(of_all_models && same_allowances)
                && open.kind.counts_in(allowance.measure)
                && (of_all_models || models.clone().any(|model| allowance.models.covers(model)))
                && !held(stop)
        };
        stops.iter().filter(counts).map(|stop| stop.number).collect()
    }

    fn charge_further(
        &mut self,
        now: UnixMs,
        number: u32,
        open: &Open,
        amounts: &Amounts,
        passed: &mut Vec<ThresholdPassed>,
    ) {
        let allowance = &self.allowances[number as usize];
        let entry = &mut self.entries[number as usize];
        let subject = subject(allowance, &open.scope, open.key);
        let place = subject.map(|subject| entry.counter((number, allowance), &mut self.counters, subject));
        let Some(counter) = place.and_then(|place| self.counters.at_mut(place)) else { return };
        let terms = entry.terms(allowance, now);
        counter.meter.advance(&terms);
        if let Some(since) = terms.place(open.at) {
            counter.meter.charge(&terms, since, amounts.count(allowance.measure));
            tell(counter, &terms, since, passed);
        }
    }

    /// Lets counters go that are as good as new, of the next [`SWEEP_MAX`].
    fn sweep(&mut self, now: UnixMs) {
        let from = if self.swept < self.counters.places() { self.swept } else { 0 };
        self.swept = from.saturating_add(SWEEP_MAX);
        for place in from..self.swept.min(self.counters.places()) {
            let Some(counter) = self.counters.at_mut(place).filter(|counter| counter.pins == 0) else {
                continue;
            };
            let Some(number) = counter.allowance else {
                self.counters.remove(place);
                continue;
            };
            let entry = &mut self.entries[number as usize];
            counter.meter.advance(&entry.terms(&self.allowances[number as usize], now));
            if counter.meter.is_idle() {
                entry.members.remove(&counter.subject);
                entry.pool = entry.pool.filter(|pool| *pool != place);
                self.counters.remove(place);
            }
        }
    }
}

fn tell(counter: &mut Counter, terms: &Terms<'_>, since: UnixMs, passed: &mut Vec<ThresholdPassed>) {
    if terms.allowance.warn_at.is_empty() {
        return;
    }
    let (percents, used) = counter.meter.newly_passed(terms, since);
    passed.extend(percents.into_iter().map(|percent| ThresholdPassed {
        allowance: terms.allowance.name.clone(),
        whose: whose(&counter.subject),
        percent,
        used,
        amount: terms.allowance.amount_at(terms.now),
    }));
}
