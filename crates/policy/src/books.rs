//! How allowances are spent: reserve -> settle | release | expire, over all that count a request at once.
//!
//! One rule covers limits, quotas and budgets. A counter, which is one allowance for one of those that it is for, has
//! what is *used* and what is *held*. A request is admitted if on every blocking allowance that counts it
//! `used + held` and what it may use stay within the amount; then all of that is held, or nothing. When it ends, what it
//! holds turns into what it used. So an allowance that reserves in full is never overdrawn, whatever runs at the same
//! time.
//!
//! - A period of the calendar: used is what was charged to the period. A request belongs to the period in which it was
//!   admitted, also if it ends in the next.
//! - A rolling window: used is what was booked in it, at the instants of admission.
//! - A rate: used is debt that drains steadily. A request is charged at once; tokens and money are held, which does
//!   not drain, and are charged at the end.
//! - At once: held only.
//!
//! Time is an argument and never goes back: an instant before the latest one counts as that one, so a clock that is set
//! back lets nothing pass twice. Nothing here rounds or wraps.
//!
//! Memory: a counter exists for those who used the allowance in its present period, window or debt, and leaves in
//! [`Books::expire`] when it is idle. Those whom it is for come from the keys that were made, not from requests.

use std::collections::HashMap;
use std::ops::Range;

use crate::allowance::{Allowance, Measure, Mode, Reserve, Selector, Span};
use crate::id::KeyId;
use crate::scope::{Name, Scope};
use crate::unit::{NanoUsd, UnixMs};

use index::{Index, subject};
use learned::Learned;
use meter::{Meter, Terms, Wait};
use routes::Routes;
use slab::Slab;

mod bucket;
mod claim;
mod index;
mod learned;
mod meter;
mod overdrawn;
pub mod period;
mod recall;
mod report;
mod routes;
mod settlement;
mod slab;
mod window;

pub use claim::{Amounts, Claim, Kind, Past};
pub use overdrawn::Overdrawn;
pub use report::{Share, Standing};

/// How long a reservation waits for its end, in milliseconds: a day, longer than any request lasts.
pub const TERM_MS: i64 = 24 * 60 * 60 * 1000;
/// How many counters [`Books::expire`] looks at in one call: few enough that requests do not wait for it.
pub const SWEEP_MAX: u32 = 4_096;

/// All allowances and what is used of them.
#[derive(Debug)]
pub struct Books {
    allowances: Vec<Allowance>,
    /// What belongs to each of the allowances, in the same order.
    entries: Vec<Entry>,
    index: Index,
    routes: Routes,
    counters: Slab<Counter>,
    reservations: Slab<Open>,
    /// Up to which place counters were looked at for idle ones.
    swept: u32,
    /// The latest instant that was seen.
    clock: UnixMs,
    /// How many reservations there have been.
    serial: u64,
    /// How often the allowances were replaced.
    version: u64,
    /// How many reservations are neither ended nor expired.
    open: usize,
    /// Whether any allowance counts certain models only.
    selective: bool,
    /// Whether any allowance reserves what was learned.
    learning: bool,
    learned: Learned,
}

/// What was set aside for one request. It ends once: [`Books::settle`] or [`Books::release`] take it. One that is lost
/// is charged in full by [`Books::expire`].
#[derive(Debug, Default)]
#[must_use = "a reservation that is dropped holds its amounts until it expires"]
pub struct Reservation {
    /// The place and the serial number; the default has none, and holds nothing.
    ticket: Option<(u32, u64)>,
    over: Vec<Name>,
}

impl Reservation {
    /// The allowances that only observe and that this request overdraws.
    #[must_use]
    pub fn over(&self) -> &[Name] {
        &self.over
    }
}

/// What belongs to an allowance.
#[derive(Debug)]
struct Entry {
    /// The current period, or nothing before it was asked for. Empty for other spans.
    period: Range<UnixMs>,
    /// The counter that all share.
    pool: Option<u32>,
    /// The counters of those that have one each.
    members: HashMap<Selector, u32>,
    /// Whether what was used before is still to be recalled.
    awaits_recall: bool,
}

#[derive(Debug)]
struct Counter {
    /// The number of the allowance; none if it is gone and the counter waits for its reservations.
    allowance: Option<u32>,
    subject: Box<Selector>,
    /// How many reservations name it.
    pins: u32,
    meter: Meter,
}

/// A request with thirty allowances touches thirty of these, so each fits into two lines of the cache.
const _: () = assert!(size_of::<Option<Counter>>() <= 128);

/// A reservation, as the books know it.
#[derive(Debug)]
struct Open {
    serial: u64,
    version: u64,
    at: UnixMs,
    expired: bool,
    holds: Vec<Hold>,
    scope: Scope,
    key: KeyId,
    kind: Kind,
    requested: Option<Box<str>>,
}

/// What a reservation holds of one counter.
#[derive(Debug, Clone, Copy)]
struct Hold {
    counter: u32,
    units: u64,
    /// The place of its charge, as the meter tells it.
    since: UnixMs,
    /// Whether it is charged already, and no longer held.
    charged: bool,
    /// Whether the requested model suffices for the allowance to count it; else it depends on the one that serves.
    named: bool,
}

impl Entry {
    fn new() -> Self {
        let period = UnixMs(0)..UnixMs(0);
        Self { period, pool: None, members: HashMap::new(), awaits_recall: true }
    }

    /// What the counters are read and written with at this instant.
    fn terms<'a>(&mut self, allowance: &'a Allowance, now: UnixMs) -> Terms<'a> {
        if let Span::Period { period, calendar } = &allowance.span
            && !self.period.contains(&now)
        {
            self.period = period::period_of(*period, calendar, now);
        }
        Terms { allowance, period: self.period.clone(), now }
    }

    /// The counter of those whom it is for, if there is one.
    fn counter_of(&self, subject: &Selector) -> Option<u32> {
        // Of a pool, there are no members.
        self.pool.or_else(|| self.members.get(subject).copied())
    }

    /// The counter of those whom it is for, made if need be.
    fn counter(
        &mut self,
        (number, allowance): (u32, &Allowance),
        counters: &mut Slab<Counter>,
        subject: Selector,
    ) -> u32 {
        if let Some(place) = self.counter_of(&subject) {
            return place;
        }
        let meter = Meter::new(&allowance.span);
        let counter = Counter { allowance: Some(number), subject: Box::new(subject.clone()), pins: 0, meter };
        let place = counters.insert(counter);
        if allowance.each.is_none() {
            self.pool = Some(place);
        } else {
            self.members.insert(subject, place);
        }
        place
    }

    fn counters(&self) -> impl Iterator<Item = u32> {
        self.pool.into_iter().chain(self.members.values().copied())
    }
}

impl Books {
    /// Opens books with nothing used. What was used before is recalled next, before any request:
    /// [`Books::recall_period`] and [`Books::recall_recent`].
    #[must_use]
    pub fn new(allowances: Vec<Allowance>, now: UnixMs) -> Self {
        let mut books = Self {
            allowances: Vec::new(),
            entries: Vec::new(),
            index: Index::default(),
            routes: Routes::default(),
            counters: Slab::new(),
            reservations: Slab::new(),
            swept: 0,
            clock: now,
            serial: 0,
            version: 0,
            open: 0,
            selective: false,
            learning: false,
            learned: Learned::default(),
        };
        books.replace(allowances, now);
        books
    }

    /// The allowances in force.
    #[must_use]
    pub fn allowances(&self) -> &[Allowance] {
        &self.allowances
    }

    /// The latest instant that was seen: now, unless the clock was set back.
    #[must_use]
    pub fn clock(&self) -> UnixMs {
        self.clock
    }

    /// How many reservations are neither settled nor released nor expired.
    #[must_use]
    pub fn open(&self) -> usize {
        self.open
    }

    /// Puts other allowances in force. Where one counts like one before of the same name, its counters go on, and what
    /// is used stays used whatever the amount is now. Reservations end as they would have; at their end they are also
    /// charged to allowances that are new.
    ///
    /// Two may have the same name where they count differently, as long as one takes the place of the other.
    pub fn replace(&mut self, allowances: Vec<Allowance>, now: UnixMs) {
        let now = self.tick(now);
        let mut before: HashMap<Name, Vec<(u32, Allowance, Entry)>> = HashMap::new();
        let mut numbers = 0..;
        for (allowance, entry) in self.allowances.drain(..).zip(self.entries.drain(..)) {
            let number = numbers.next().unwrap_or(u32::MAX);
            before.entry(allowance.name.clone()).or_default().push((number, allowance, entry));
        }
        for (number, allowance) in (0..).zip(&allowances) {
            let named = before.get_mut(&allowance.name);
            let like = named.and_then(|named| {
                let place = named.iter().position(|(_, like, _)| allowance.counts_like(like))?;
                Some(named.swap_remove(place))
            });
            let entry = like.map_or_else(Entry::new, |(was, like, mut entry)| {
                if (allowance.amount, &allowance.raises) != (like.amount, &like.raises) {
                    // Debt drained at the pace that was in force.
                    let terms = entry.terms(&like, now);
                    self.each_counter(&entry, |counter| counter.meter.repace(&terms));
                }
                // Most stay where they were, and nobody waits for those.
                if was != number {
                    self.each_counter(&entry, |counter| counter.allowance = Some(number));
                }
                entry
            });
            self.entries.push(entry);
        }
        for (.., entry) in before.into_values().flatten() {
            // They leave one after the other: with their reservations, or when they are swept up.
            self.each_counter(&entry, |counter| counter.allowance = None);
        }
        self.index = Index::new(&allowances);
        self.routes.forget();
        self.selective = allowances.iter().any(|allowance| !allowance.models.is_empty());
        self.learning = allowances.iter().any(|allowance| allowance.reserve == Reserve::Learned);
        self.version += 1;
        self.allowances = allowances;
    }

    /// Sets aside what a request may use on every allowance that counts it, or nothing.
    ///
    /// # Errors
    /// [`Overdrawn`]: a blocking allowance that does not have enough left; of several, the one with the longest wait.
    pub fn reserve(&mut self, now: UnixMs, claim: &Claim<'_>) -> Result<Reservation, Box<Overdrawn>> {
        let asked_at = now;
        let now = self.tick(now);
        let likely = if self.learning { self.likely(claim) } else { claim.full };
        let Self { index, routes, allowances, entries, .. } = self;
        let stops = routes.stops(index, allowances, entries, claim.scope, claim.key);
        let mut holds = Vec::with_capacity(stops.len());
        let mut over = Vec::new();
        let mut refusal: Option<(Wait, u32, Hold)> = None;
        for stop in stops {
            let number = stop.number;
            let allowance = &self.allowances[number as usize];
            let Some(named) = counts(allowance, claim) else { continue };
            let entry = &mut self.entries[number as usize];
            let counter = match stop.counter {
                Some(counter) => counter,
                None => {
                    let subject = subject(allowance, claim.scope, claim.key);
                    let Some(subject) = subject else { continue };
                    entry.counter((number, allowance), &mut self.counters, subject)
                }
            };
            stop.counter = Some(counter);
            let Some(Counter { meter, .. }) = self.counters.at_mut(counter) else { continue };
            let terms = entry.terms(allowance, now);
            meter.advance(&terms);
            let amounts = if allowance.reserve == Reserve::Learned { &likely } else { &claim.full };
            let units = amounts.count(allowance.measure);
            let hold = Hold { counter, units, since: now, charged: is_charged_at_once(allowance), named };
            if !meter.fits(&terms, units) {
                match allowance.mode {
                    Mode::Observe => over.push(allowance.name.clone()),
                    Mode::Block => {
                        let wait = meter.wait(&terms, units);
                        if refusal.as_ref().is_none_or(|(longest, ..)| *longest < wait) {
                            refusal = Some((wait, number, hold));
                        }
                    }
                }
            }
            holds.push(hold);
        }
        if let Some((wait, number, hold)) = refusal {
            return Err(self.overdrawn(asked_at, wait, number, hold));
        }
        Ok(Reservation { ticket: Some(self.enter(now, claim, holds)), over })
    }

    /// Books the holds of an admitted request. One that holds nothing is known too: at its end it may count for an
    /// allowance that was made meanwhile.
    fn enter(&mut self, now: UnixMs, claim: &Claim<'_>, mut holds: Vec<Hold>) -> (u32, u64) {
        for hold in &mut holds {
            let Some(counter) = self.counters.at_mut(hold.counter) else { continue };
            let Some(number) = counter.allowance else { continue };
            let terms = self.entries[number as usize].terms(&self.allowances[number as usize], now);
            let units = if hold.charged { 0 } else { hold.units };
            hold.since = counter.meter.hold(&terms, units);
            if hold.charged {
                hold.since = counter.meter.charge(&terms, hold.since, hold.units);
            }
            counter.pins += 1;
        }
        self.serial += 1;
        self.open += 1;
        let open = Open {
            serial: self.serial,
            version: self.version,
            at: now,
            expired: false,
            holds,
            scope: claim.scope.clone(),
            key: claim.key,
            kind: claim.kind,
            requested: claim.models.first().map(|model| (*model).into()),
        };
        (self.reservations.insert(open), self.serial)
    }
}

/// How books are kept.
impl Books {
    fn each_counter(&mut self, entry: &Entry, mut change: impl FnMut(&mut Counter)) {
        for place in entry.counters() {
            if let Some(counter) = self.counters.at_mut(place) {
                change(counter);
            }
        }
    }

    fn tick(&mut self, now: UnixMs) -> UnixMs {
        self.clock = self.clock.max(now);
        self.clock
    }

    /// What a request will likely use: its likely input, and the output that nearly all answers of its model have
    /// stayed within. The money goes down with the tokens, as if all of them cost the same.
    fn likely(&self, claim: &Claim<'_>) -> Amounts {
        let full = claim.full;
        let learned = claim.models.first().and_then(|model| self.learned.output_tokens(model));
        let input_tokens = claim.input_likely.min(full.input_tokens);
        let output_tokens = learned.unwrap_or(full.output_tokens).min(full.output_tokens);
        let tokens = i128::from(input_tokens) + i128::from(output_tokens);
        let most = i128::from(full.input_tokens) + i128::from(full.output_tokens);
        let cost = i128::from(full.cost.0.max(0)) * tokens;
        let cost = if most == 0 { full.cost } else { NanoUsd::saturating_from((cost + most - 1) / most) };
        Amounts { input_tokens, output_tokens, cost }
    }

    fn unpin(&mut self, hold: &Hold) {
        if let Some(counter) = self.counters.at_mut(hold.counter) {
            counter.meter.forget(hold.since);
            counter.pins -= 1;
        }
        self.drop_orphan(hold.counter);
    }

    /// Lets a counter go whose allowance is gone and which no reservation names any more.
    fn drop_orphan(&mut self, place: u32) {
        let is_orphan = |counter: &Counter| counter.allowance.is_none() && counter.pins == 0;
        if self.counters.at(place).is_some_and(is_orphan) {
            self.counters.remove(place);
        }
    }
}

/// Whether an allowance counts a request of this kind and these models, by what is known before it runs; and if so,
/// whether it does so for the requested model, and not only for one that may serve in its place.
fn counts(allowance: &Allowance, claim: &Claim<'_>) -> Option<bool> {
    if !claim.kind.counts_in(allowance.measure) {
        return None;
    }
    let named = allowance.models.is_empty()
        || claim.models.first().is_some_and(|model| allowance.models.covers(model));
    (named || claim.models.iter().any(|model| allowance.models.covers(model))).then_some(named)
}

/// Whether a request is charged when it begins: rates of requests would else be held by those that run long.
fn is_charged_at_once(allowance: &Allowance) -> bool {
    let counts_requests = matches!(allowance.measure, Measure::Requests | Measure::CountTokens);
    counts_requests && matches!(allowance.span, Span::Rate { .. })
}

#[cfg(test)]
mod tests;
