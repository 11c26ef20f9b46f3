//! The token bucket, in exact integers, as debt that drains.
//!
//! A bucket that holds `burst` and is refilled with `amount` in `per_ms` milliseconds is the same as a debt that may grow
//! to `burst` and drains at that pace. Debt is counted in units of 1/`per_ms`, so that one millisecond drains
//! `amount` of them and nothing is ever rounded. So in every stretch of `t` milliseconds no more than
//! `burst + amount * t / per_ms` is charged.

use crate::allowance::{Allowance, ROLLING_MS_MAX};
use crate::unit::UnixMs;

use super::meter::{Wait, boundaries};

/// How many times its largest debt drains in the time that is recalled of a bucket.
const DRAINS: u128 = 8;

/// A bucket, as debt.
#[derive(Debug, Clone)]
pub(super) struct Bucket {
    /// What was charged and has not drained, in units of 1/`per_ms`.
    debt: u128,
    /// The instant up to which it has drained.
    at: UnixMs,
    /// The instant at which it began to drain at the pace that is in force.
    paced_at: UnixMs,
    /// What was recalled since, and up to when that has drained: it is added when time goes on.
    recalled: Option<Box<(u128, UnixMs)>>,
    per_ms: u128,
    /// What is set aside and not yet charged, in whole units. It does not drain.
    pub(super) held: u128,
}

impl Bucket {
    pub(super) fn new(per_ms: i64) -> Self {
        let per_ms = u128::try_from(per_ms.max(1)).unwrap_or(1);
        Self { debt: 0, at: UnixMs(i64::MIN), paced_at: UnixMs(i64::MIN), recalled: None, per_ms, held: 0 }
    }

    /// From here on it drains at another pace.
    pub(super) fn repace(&mut self) {
        self.paced_at = self.at;
    }

    /// Drains the debt up to an instant, which is never before the last one.
    pub(super) fn advance(&mut self, allowance: &Allowance, now: UnixMs) {
        if self.debt > 0 {
            self.debt = self.debt.saturating_sub(drained(allowance, self.at, now));
        }
        self.at = now;
        if let Some((debt, at)) = self.recalled.take().map(|recalled| *recalled) {
            self.debt = self.debt.saturating_add(debt.saturating_sub(drained(allowance, at, self.at)));
        }
    }

    /// Charges what was used at an earlier instant, the oldest first. It drains by itself until it meets what is charged
    /// already: two debts that drain side by side are never less than one that had both.
    pub(super) fn recall(&mut self, allowance: &Allowance, at: UnixMs, units: u64, now: UnixMs) {
        let begin = || {
            let per_ms = i64::try_from(self.per_ms).unwrap_or(i64::MAX);
            let (since, debt) = recall_from(allowance, per_ms, now);
            (debt, since)
        };
        let (debt, since) = self.recalled.take().map_or_else(begin, |recalled| *recalled);
        let at = at.max(since);
        let debt = debt.saturating_sub(drained(allowance, since, at));
        self.recalled = Some(Box::new((debt.saturating_add(u128::from(units) * self.per_ms), at)));
    }

    /// What has been charged and not drained, a part of a unit counting as a whole one.
    pub(super) fn used(&self) -> u128 {
        self.debt.div_ceil(self.per_ms)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.debt == 0
    }

    pub(super) fn fits(&self, allowance: &Allowance, units: u64) -> bool {
        let capacity = u128::from(allowance.capacity_at(self.at));
        let wanted = (self.held + u128::from(units)) * self.per_ms;
        capacity > 0 && self.debt.saturating_add(wanted) <= capacity * self.per_ms
    }

    /// Charges, and tells when: the instant that [`Bucket::correct`] wants to know.
    pub(super) fn charge(&mut self, units: u64) -> UnixMs {
        self.debt = self.debt.saturating_add(u128::from(units) * self.per_ms);
        self.at
    }

    /// Corrects a charge that was made at an instant. What is too little is charged now. Of what was too much, only that
    /// is given back which cannot have drained since: the rest has already let others pass, and would do so twice.
    /// What was charged while debt drained at another pace is not given back.
    pub(super) fn correct(&mut self, allowance: &Allowance, since: UnixMs, was: u64, is: u64) {
        if is >= was {
            self.charge(is - was);
            return;
        }
        if since < self.paced_at {
            return;
        }
        let surplus = u128::from(was - is) * self.per_ms;
        self.debt = self.debt.saturating_sub(surplus.saturating_sub(drained(allowance, since, self.at)));
    }

    /// When this much fits, if nothing else comes and everything held is given back.
    pub(super) fn wait(&self, allowance: &Allowance, units: u64) -> Wait {
        let changes: Vec<UnixMs> = boundaries(allowance, self.at).collect();
        let mut debt = self.debt;
        let mut from = self.at;
        for until in changes.into_iter().map(Some).chain([None]) {
            let (capacity, pace) = (allowance.capacity_at(from), u128::from(allowance.amount_at(from)));
            let most = u128::from(capacity.saturating_sub(units)) * self.per_ms;
            if capacity >= units && capacity > 0 {
                let fits = drained_at(from, debt.saturating_sub(most), pace);
                if let Some(at) = fits.filter(|at| until.is_none_or(|until| *at < until)) {
                    return if at <= self.at { Wait::Running } else { Wait::Until(at) };
                }
            }
            let Some(until) = until else { break };
            debt = debt.saturating_sub(drained(allowance, from, until));
            from = until;
        }
        Wait::Never
    }

    /// When all debt has drained, if nothing else comes; the end of time where nothing drains.
    pub(super) fn full_again(&self, allowance: &Allowance) -> UnixMs {
        let pace = u128::from(allowance.amount_at(self.at));
        drained_at(self.at, self.debt, pace).unwrap_or(UnixMs::MAX)
    }
}

/// The first instant at which this much debt has drained at this pace; never, if that is too slow to tell.
fn drained_at(from: UnixMs, debt: u128, pace: u128) -> Option<UnixMs> {
    if debt == 0 {
        return Some(from);
    }
    if pace == 0 {
        return None;
    }
    i64::try_from(debt.div_ceil(pace))
        .ok()
        .map(|ms| from.saturating_add_ms(ms))
        .filter(|at| *at <= UnixMs::MAX)
}

/// What drains between two instants, raises counted while they are in force.
fn drained(allowance: &Allowance, from: UnixMs, to: UnixMs) -> u128 {
    let ms = |from: UnixMs, to: UnixMs| u128::try_from(to.ms_since(from)).unwrap_or(0);
    let mut plain_ms = ms(from, to);
    let mut drained = 0;
    for raise in &allowance.raises {
        let raised_ms = ms(raise.from.max(from), raise.until.min(to)).min(plain_ms);
        plain_ms -= raised_ms;
        drained += u128::from(raise.amount) * raised_ms;
    }
    drained + u128::from(allowance.amount) * plain_ms
}

/// From where a bucket is recalled: an instant before which nothing matters any more but how much debt there was then,
/// and the most that it can have been.
///
/// What was charged long ago may matter as long as the bucket never ran empty since. So this goes back until [`DRAINS`]
/// times the largest debt has drained, and takes the debt of then at its largest: whoever used less than the pace by
/// one part in so many has had that drained, and is recalled exactly; others may find more used than there was, never
/// less.
pub(super) fn recall_from(allowance: &Allowance, per_ms: i64, now: UnixMs) -> (UnixMs, u128) {
    let changes = allowance.raises.iter().flat_map(|raise| [raise.from, raise.until]);
    let starts: Vec<UnixMs> = [UnixMs(i64::MIN)].into_iter().chain(changes.filter(|at| *at <= now)).collect();
    let ends = starts[1..].iter().copied().chain([now]);
    let mut most = 0;
    // Stretch by stretch of one pace, the oldest first. What was held under one amount may be charged under the next:
    // so the debt was at most the largest capacity until then.
    for (start, end) in starts.iter().copied().zip(ends).filter(|(start, end)| start < end) {
        let (capacity, pace) = (allowance.capacity_at(start), allowance.amount_at(start));
        let before = most;
        most = most.max(u128::from(capacity) * u128::try_from(per_ms).unwrap_or(0));
        let left = (most * DRAINS).saturating_sub(drained(allowance, end, now));
        if left > 0 {
            let back_ms = left
                .checked_div(u128::from(pace))
                .map_or(i64::MAX, |ms| i64::try_from(ms).unwrap_or(i64::MAX).saturating_add(1));
            let earliest = now.saturating_add_ms(-ROLLING_MS_MAX);
            let since = end.saturating_add_ms(back_ms.saturating_neg()).max(earliest);
            return if since <= start { (start.max(earliest), before) } else { (since, most) };
        }
    }
    (now, 0)
}
