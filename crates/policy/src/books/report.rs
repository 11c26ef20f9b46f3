//! What the books tell: the shares of one request, and where all allowances stand.

use std::mem::discriminant;

use crate::allowance::{Allowance, Measure, Selector, Span};
use crate::scope::Name;
use crate::unit::UnixMs;

use super::index::whose;
use super::meter::{Level, Meter, Terms, reaches};
use super::{Books, Counter, Entry, Reservation, period};

/// Periods shorter run than a hundredth of their length foretell nothing.
const FORECAST_PARTS: i64 = 100;

/// How many counters [`Books::standing_from`] looks at: requests wait about a millisecond for them.
const PAGE: u32 = 1_024;

/// How much of an allowance that counts a request is used, for the head of its answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Share {
    /// The allowance.
    pub allowance: Name,
    /// What it counts.
    pub measure: Measure,
    /// Per what.
    pub span: Span,
    /// The most that may be used and held; see [`Allowance::capacity_at`].
    pub amount: u64,
    /// What is used, in the unit of the measure.
    pub used: u64,
    /// What is held for requests that run, this one among them.
    pub held: u64,
    /// When it starts afresh: the end of the period; when all has drained or left, if nothing else comes.
    pub resets_at: UnixMs,
    /// The highest of its thresholds that what is used has reached, in percent.
    pub passed: Option<u8>,
}

/// Where an allowance stands for one of those that it is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// The allowance.
    pub allowance: Name,
    /// Whose use it is, in words.
    pub whose: String,
    /// Whose use it is.
    pub subject: Selector,
    /// What is counted.
    pub measure: Measure,
    /// Per what.
    pub span: Span,
    /// The most that may be used and held at this instant; see [`Allowance::capacity_at`].
    pub amount: u64,
    /// The allowance's own amount, raises left aside.
    pub base_amount: u64,
    /// What is used, in the unit of the measure.
    pub used: u64,
    /// What is held for requests that run.
    pub held: u64,
    /// The first instant that counts, of a period or a window.
    pub from: Option<UnixMs>,
    /// When it starts afresh; none for requests at once.
    pub resets_at: Option<UnixMs>,
    /// What will be used at the end of the period if it goes on as so far; from a hundredth of the period on.
    pub forecast: Option<u64>,
}

impl Books {
    /// How much is used of the allowances that count this request: of those that count the same per the same kind of
    /// span, the one of which the largest part is taken.
    #[must_use]
    pub fn shares(&mut self, now: UnixMs, reservation: &Reservation) -> Vec<Share> {
        let now = self.tick(now);
        let Self { allowances, entries, counters, reservations, .. } = self;
        let open = reservation
            .ticket
            .and_then(|(place, serial)| reservations.at(place).filter(|open| open.serial == serial));
        let holds = open.map_or(&[][..], |open| &open.holds);
        let mut fullest: Vec<Fill<'_>> = Vec::new();
        for hold in holds {
            let Some(Counter { allowance: Some(number), meter, .. }) = counters.at_mut(hold.counter) else {
                continue;
            };
            let terms = entries[*number as usize].terms(&allowances[*number as usize], now);
            meter.advance(&terms);
            let fill = Fill::new(terms, meter, hold.counter);
            match fullest.iter_mut().find(|other| other.is_like(&fill)) {
                Some(other) if fill.is_fuller(other) => *other = fill,
                Some(_) => {}
                None => fullest.push(fill),
            }
        }
        let share = |fill: Fill<'_>| Some(share(&fill.terms, &counters.at(fill.counter)?.meter));
        fullest.into_iter().filter_map(share).collect()
    }

    /// Where the chosen allowances stand: one line for each that all share, and one for each counter of those that have
    /// one each. Looks at `PAGE` places from this one on, and tells from which to go on; from none when all is told.
    #[must_use]
    pub fn standing_from(
        &self,
        now: UnixMs,
        place: u32,
        filter: impl Fn(&Allowance) -> bool,
    ) -> (Vec<Standing>, Option<u32>) {
        let now = now.max(self.clock);
        let end = place.saturating_add(PAGE);
        let line = |counter: &Counter| {
            let number = counter.allowance? as usize;
            let (allowance, entry) = (&self.allowances[number], &self.entries[number]);
            let line = || standing(&terms(allowance, entry, now), &counter.subject, counter.meter.clone());
            filter(allowance).then(line)
        };
        let counters = (place..end.min(self.counters.places())).filter_map(|place| self.counters.at(place));
        let mut lines: Vec<Standing> = counters.filter_map(line).collect();
        if end < self.counters.places() {
            return (lines, Some(end));
        }
        // Those that all share and nobody has used.
        let unused = self.allowances.iter().zip(&self.entries).filter(|(allowance, entry)| {
            allowance.each.is_none() && entry.pool.is_none() && filter(allowance)
        });
        lines.extend(unused.map(|(allowance, entry)| {
            standing(&terms(allowance, entry, now), &allowance.on, Meter::new(&allowance.span))
        }));
        (lines, None)
    }
}

/// How much of an allowance is taken.
struct Fill<'a> {
    terms: Terms<'a>,
    counter: u32,
    /// At most the amount.
    taken: u64,
    amount: u64,
}

impl<'a> Fill<'a> {
    fn new(terms: Terms<'a>, meter: &Meter, counter: u32) -> Self {
        let Level { used, held } = meter.level();
        // What is held of a budget is mostly given back; of a rate, it is gone for as long as the request runs.
        let is_rate = matches!(terms.allowance.span, Span::Rate { .. });
        let taken = if is_rate { used.saturating_add(held) } else { used };
        let amount = terms.allowance.capacity_at(terms.now);
        Self { taken: taken.min(amount), amount, terms, counter }
    }

    fn is_like(&self, other: &Self) -> bool {
        let (one, other) = (self.terms.allowance, other.terms.allowance);
        one.measure == other.measure && discriminant(&one.span) == discriminant(&other.span)
    }

    /// Whether a larger part of it is taken. Of nothing, all is.
    fn is_fuller(&self, other: &Self) -> bool {
        match (self.amount, other.amount) {
            (_, 0) => false,
            (0, _) => true,
            (amount, others) => {
                u128::from(self.taken) * u128::from(others) > u128::from(other.taken) * u128::from(amount)
            }
        }
    }
}

/// The terms at an instant, without remembering the period.
pub(super) fn terms<'a>(allowance: &'a Allowance, entry: &Entry, now: UnixMs) -> Terms<'a> {
    let current = match &allowance.span {
        Span::Period { period, calendar } if !entry.period.contains(&now) => {
            period::period_of(*period, calendar, now)
        }
        _ => entry.period.clone(),
    };
    Terms { allowance, period: current, now }
}

fn share(terms: &Terms<'_>, meter: &Meter) -> Share {
    let allowance = terms.allowance;
    let amount = allowance.capacity_at(terms.now);
    let level = meter.level();
    let reached = |percent: &&u8| reaches(level.used.into(), **percent, amount.into());
    Share {
        allowance: allowance.name.clone(),
        measure: allowance.measure,
        span: allowance.span.clone(),
        amount,
        used: level.used,
        held: level.held,
        resets_at: meter.resets_at(terms),
        passed: allowance.warn_at.iter().rev().find(reached).copied(),
    }
}

fn standing(terms: &Terms<'_>, subject: &Selector, mut meter: Meter) -> Standing {
    meter.advance(terms);
    let share = share(terms, &meter);
    let (from, forecast) = match terms.allowance.span {
        Span::Period { .. } => (Some(terms.period.start), forecast(terms, share.used)),
        Span::Rolling { ms } => (Some(terms.now.saturating_add_ms(-ms)), None),
        Span::Rate { .. } | Span::AtOnce => (None, None),
    };
    Standing {
        whose: whose(subject),
        subject: subject.clone(),
        base_amount: terms.allowance.amount,
        from,
        resets_at: (terms.allowance.span != Span::AtOnce).then_some(share.resets_at),
        forecast,
        allowance: share.allowance,
        measure: share.measure,
        span: share.span,
        amount: share.amount,
        used: share.used,
        held: share.held,
    }
}

fn forecast(terms: &Terms<'_>, used: u64) -> Option<u64> {
    let length = terms.period.end.ms_since(terms.period.start);
    let passed = terms.now.ms_since(terms.period.start);
    if passed <= 0 || passed < length / FORECAST_PARTS {
        return None;
    }
    let (length, passed) = (u128::try_from(length).ok()?, u128::try_from(passed).ok()?);
    u64::try_from((u128::from(used) * length).div_ceil(passed)).ok()
}
