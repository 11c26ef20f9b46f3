//! What one counter holds, for each kind of span.

use std::ops::Range;

use crate::allowance::{Allowance, Span};
use crate::unit::UnixMs;

use super::bucket::Bucket;
use super::window::Window;

/// What a counter is read and written with.
#[derive(Debug, Clone)]
pub(super) struct Terms<'a> {
    pub(super) allowance: &'a Allowance,
    /// The current period, where the allowance has periods.
    pub(super) period: Range<UnixMs>,
    pub(super) now: UnixMs,
}

impl Terms<'_> {
    /// The place of a charge for a request that was admitted at this instant and held nothing: none if its period is
    /// over.
    pub(super) fn place(&self, at: UnixMs) -> Option<UnixMs> {
        match self.allowance.span {
            Span::Period { .. } => (at >= self.period.start).then_some(self.period.start),
            _ => Some(at),
        }
    }
}

/// How long something that does not fit has to wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Wait {
    /// Only for requests that run: without what they hold it would fit now.
    Running,
    /// Until this instant, if nothing else comes and what is held is given back.
    Until(UnixMs),
    /// It asks for more than the whole amount.
    Never,
}

/// What is used and held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Level {
    pub(super) used: u64,
    pub(super) held: u64,
}

/// What is counted.
#[derive(Debug, Clone)]
pub(super) enum Meter {
    /// Requests at once.
    AtOnce {
        /// How many run.
        held: u128,
    },
    /// A rate.
    Bucket(Bucket),
    /// A period of the calendar: the current one, and earlier ones that requests which began in them still hold.
    Period(Tally, Vec<Tally>),
    /// A rolling window.
    Window(Box<Window>),
}

/// What is counted in one period.
#[derive(Debug, Clone)]
pub(super) struct Tally {
    /// The first instant of the period.
    start: UnixMs,
    used: u128,
    held: u128,
    /// How many reservations belong to it.
    reservations: u32,
    /// The highest threshold that was told of.
    passed: u8,
}

impl Tally {
    fn new(start: UnixMs) -> Self {
        Self { start, used: 0, held: 0, reservations: 0, passed: 0 }
    }
}

impl Meter {
    pub(super) fn new(span: &Span) -> Self {
        match span {
            Span::AtOnce => Self::AtOnce { held: 0 },
            Span::Rate { per_ms, .. } => Self::Bucket(Bucket::new(*per_ms)),
            Span::Period { .. } => Self::Period(Tally::new(UnixMs(i64::MIN)), Vec::new()),
            Span::Rolling { ms } => Self::Window(Box::new(Window::new(*ms))),
        }
    }

    /// Brings the counter to the present. Everything else expects that.
    pub(super) fn advance(&mut self, terms: &Terms<'_>) {
        match self {
            Self::AtOnce { .. } => {}
            Self::Bucket(bucket) => bucket.advance(terms.allowance, terms.now),
            Self::Window(window) => window.advance(terms.now),
            Self::Period(current, earlier) => {
                if current.start < terms.period.start {
                    let ended = std::mem::replace(current, Tally::new(terms.period.start));
                    if ended.reservations > 0 {
                        earlier.push(ended);
                    }
                }
            }
        }
    }

    /// The amount or the raises of the allowance, which are still the old ones here, change at this instant.
    pub(super) fn repace(&mut self, terms: &Terms<'_>) {
        self.advance(terms);
        if let Self::Bucket(bucket) = self {
            bucket.repace();
        }
    }

    pub(super) fn level(&self) -> Level {
        let (used, held) = match self {
            Self::AtOnce { held } => (0, *held),
            Self::Bucket(bucket) => (bucket.used(), bucket.held),
            Self::Period(current, _) => (current.used, current.held),
            Self::Window(window) => (window.used, window.held),
        };
        Level { used: saturate(used), held: saturate(held) }
    }

    /// Whether nothing would be lost if the counter were gone.
    pub(super) fn is_idle(&self) -> bool {
        match self {
            Self::AtOnce { held } => *held == 0,
            Self::Bucket(bucket) => bucket.is_empty() && bucket.held == 0,
            Self::Period(current, earlier) => {
                current.used == 0 && current.reservations == 0 && earlier.is_empty()
            }
            Self::Window(window) => window.used == 0 && window.held == 0,
        }
    }

    /// Whether this much more may be held. An amount of zero lets nothing pass, not even what asks for nothing.
    pub(super) fn fits(&self, terms: &Terms<'_>, units: u64) -> bool {
        let total = match self {
            Self::Bucket(bucket) => return bucket.fits(terms.allowance, units),
            Self::AtOnce { held } => *held,
            Self::Period(current, _) => current.used + current.held,
            Self::Window(window) => window.used + window.held,
        };
        let amount = u128::from(terms.allowance.amount_at(terms.now));
        amount > 0 && total + u128::from(units) <= amount
    }

    /// When this much fits, if nothing else comes and everything held is given back.
    pub(super) fn wait(&self, terms: &Terms<'_>, units: u64) -> Wait {
        let (allowance, now) = (terms.allowance, terms.now);
        match self {
            Self::Bucket(bucket) => bucket.wait(allowance, units),
            Self::Window(window) => window.wait(allowance, now, units),
            Self::AtOnce { .. } => first_fit(allowance, now, [], units, |_| 0),
            Self::Period(current, _) => {
                let end = terms.period.end;
                first_fit(allowance, now, [end], units, |at| if at < end { current.used } else { 0 })
            }
        }
    }

    /// When it starts afresh: the end of the period; when all has drained or left; now, for requests at once.
    pub(super) fn resets_at(&self, terms: &Terms<'_>) -> UnixMs {
        match self {
            Self::AtOnce { .. } => terms.now,
            Self::Bucket(bucket) => bucket.full_again(terms.allowance),
            Self::Period(..) => terms.period.end,
            Self::Window(window) => window.empty_again(terms.now),
        }
    }

    /// Books a reservation, and tells the instant that names the place of its charge from then on.
    pub(super) fn hold(&mut self, terms: &Terms<'_>, units: u64) -> UnixMs {
        let more = u128::from(units);
        match self {
            Self::AtOnce { held } => *held += more,
            Self::Bucket(bucket) => bucket.held += more,
            Self::Window(window) => window.held += more,
            Self::Period(current, _) => {
                current.held += more;
                current.reservations += 1;
                return current.start;
            }
        }
        terms.now
    }

    /// Gives back what a reservation holds.
    pub(super) fn unhold(&mut self, since: UnixMs, units: u64) {
        let less = u128::from(units);
        let held = match self {
            Self::AtOnce { held } => Some(held),
            Self::Bucket(bucket) => Some(&mut bucket.held),
            Self::Window(window) => Some(&mut window.held),
            Self::Period(current, earlier) => tally(current, earlier, since).map(|tally| &mut tally.held),
        };
        if let Some(held) = held {
            *held -= less;
        }
    }

    /// Charges, and tells the instant that names the place of the charge.
    pub(super) fn charge(&mut self, terms: &Terms<'_>, since: UnixMs, units: u64) -> UnixMs {
        match self {
            Self::AtOnce { .. } => {}
            Self::Bucket(bucket) => return bucket.charge(units),
            Self::Window(window) => window.charge(terms.now, since, u128::from(units)),
            Self::Period(current, earlier) => {
                if let Some(tally) = tally(current, earlier, since) {
                    tally.used += u128::from(units);
                }
            }
        }
        since
    }

    /// Charges what was used before, at an earlier instant.
    pub(super) fn recall(&mut self, terms: &Terms<'_>, at: UnixMs, units: u64) {
        if let Self::Bucket(bucket) = self {
            return bucket.recall(terms.allowance, at, units, terms.now);
        }
        self.advance(terms);
        if let Some(since) = terms.place(at.max(terms.period.start)) {
            self.charge(terms, since, units);
        }
    }

    /// Makes a charge that was `was` into `is`.
    pub(super) fn correct(&mut self, terms: &Terms<'_>, since: UnixMs, was: u64, is: u64) {
        match self {
            Self::AtOnce { .. } => {}
            Self::Bucket(bucket) => bucket.correct(terms.allowance, since, was, is),
            Self::Window(window) => window.correct(terms.now, since, was, is),
            Self::Period(current, earlier) => {
                if let Some(tally) = tally(current, earlier, since) {
                    tally.used = tally.used - u128::from(was) + u128::from(is);
                }
            }
        }
    }

    /// A reservation is gone for good: nothing of it will be charged or corrected any more.
    pub(super) fn forget(&mut self, since: UnixMs) {
        if let Self::Period(current, earlier) = self {
            if let Some(tally) = tally(current, earlier, since) {
                tally.reservations -= 1;
            }
            earlier.retain(|tally| tally.reservations > 0);
        }
    }

    /// The thresholds that the use at the place of a charge has newly passed, and that use. Each is told once in a
    /// period, or in the length of a window. Rates and requests at once come and go too fast to tell of.
    pub(super) fn newly_passed(&mut self, terms: &Terms<'_>, since: UnixMs) -> (Vec<u8>, u64) {
        let amount = u128::from(terms.allowance.amount_at(terms.now));
        let (passed, used, passed_at) = match self {
            Self::AtOnce { .. } | Self::Bucket(_) => return (Vec::new(), 0),
            Self::Window(window) => (&mut window.passed, window.used, Some(&mut window.passed_at)),
            Self::Period(current, earlier) => match tally(current, earlier, since) {
                Some(tally) => (&mut tally.passed, tally.used, None),
                None => return (Vec::new(), 0),
            },
        };
        let mut further = terms.allowance.warn_at.iter().copied().filter(|percent| *percent > *passed);
        let reached = |percent: &u8| reaches(used, *percent, amount);
        // They rise: nearly always the next one is not reached, and that is all there is to see.
        let Some(next) = further.next().filter(reached) else {
            return (Vec::new(), 0);
        };
        let newly: Vec<u8> = std::iter::once(next).chain(further.take_while(reached)).collect();
        if let Some(highest) = newly.last() {
            *passed = *highest;
            if let Some(passed_at) = passed_at {
                *passed_at = terms.now;
            }
        }
        (newly, saturate(used))
    }
}

/// Whether this much is at least so many percent of an amount.
pub(super) fn reaches(used: u128, percent: u8, amount: u128) -> bool {
    used > 0 && used.saturating_mul(100) >= amount * u128::from(percent)
}

fn tally<'a>(current: &'a mut Tally, earlier: &'a mut [Tally], start: UnixMs) -> Option<&'a mut Tally> {
    if current.start == start {
        return Some(current);
    }
    earlier.iter_mut().find(|tally| tally.start == start)
}

fn saturate(units: u128) -> u64 {
    u64::try_from(units).unwrap_or(u64::MAX)
}

/// The instants after `now` at which the amount changes, in their order.
pub(super) fn boundaries(allowance: &Allowance, now: UnixMs) -> impl Iterator<Item = UnixMs> {
    allowance.raises.iter().flat_map(|raise| [raise.from, raise.until]).filter(move |at| *at > now)
}

/// The first instant at which this much fits, among now, those at which the amount changes, and those given.
pub(super) fn first_fit(
    allowance: &Allowance,
    now: UnixMs,
    others: impl IntoIterator<Item = UnixMs>,
    units: u64,
    used_at: impl Fn(UnixMs) -> u128,
) -> Wait {
    let mut instants: Vec<UnixMs> = boundaries(allowance, now).chain(others).chain([now]).collect();
    instants.sort_unstable();
    let fits = |at: &UnixMs| {
        let amount = u128::from(allowance.amount_at(*at));
        amount > 0 && used_at(*at) + u128::from(units) <= amount
    };
    match instants.into_iter().find(fits) {
        Some(at) if at <= now => Wait::Running,
        Some(at) => Wait::Until(at),
        None => Wait::Never,
    }
}
