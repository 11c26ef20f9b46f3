//! Remembering: what was used before the books were opened, or before an allowance was made.
//!
//! The history comes from the ledger. Only counters of allowances that are new take it in: all of them when the books
//! are opened, later those that [`Books::replace`] added. [`Books::recalled`] ends that.

use crate::allowance::{Allowance, Span};
use crate::unit::UnixMs;

use super::index::subject;
use super::{Books, Past, bucket, is_charged_at_once, period, window};

impl Books {
    /// The starts of the current periods whose use is to be recalled, each once, the earliest first.
    #[must_use]
    pub fn starts(&self, now: UnixMs) -> Vec<UnixMs> {
        let now = now.max(self.clock);
        let mut starts: Vec<UnixMs> = self
            .awaiting()
            .filter_map(|number| match &self.allowances[number].span {
                Span::Period { period, calendar } => Some(period::period_of(*period, calendar, now).start),
                Span::AtOnce | Span::Rate { .. } | Span::Rolling { .. } => None,
            })
            .collect();
        starts.sort_unstable();
        starts.dedup();
        starts
    }

    /// The earliest instant whose use rates and rolling windows that are to be recalled may still depend on; none if
    /// there are no such allowances.
    #[must_use]
    pub fn recent_since(&self, now: UnixMs) -> Option<UnixMs> {
        let now = now.max(self.clock);
        self.awaiting().filter_map(|number| depends_since(&self.allowances[number], now)).min()
    }

    /// Adds what was used in the periods that begin at `start`. The caller hands over all that was booked since then,
    /// in any order.
    pub fn recall_period(&mut self, start: UnixMs, past: &Past<'_>, now: UnixMs) {
        self.recall(past, now, |allowance, period_start| {
            (matches!(allowance.span, Span::Period { .. }) && period_start == start).then_some(start)
        });
    }

    /// Adds to rates and rolling windows what was used since [`Books::recent_since`]. The caller hands over all that
    /// was settled since then, the oldest first: a rate takes what comes in another order as if it had come later. So
    /// it may be stricter than it was, never laxer.
    pub fn recall_recent(&mut self, past: &Past<'_>, now: UnixMs) {
        self.recall(past, now, |allowance, _| match &allowance.span {
            Span::Rate { .. } => {
                let models = &allowance.models;
                let named = models.is_empty() || past.requested.is_some_and(|model| models.covers(model));
                Some(if named && is_charged_at_once(allowance) { past.at } else { past.settled_at })
            }
            Span::Rolling { .. } => Some(past.at),
            Span::Period { .. } | Span::AtOnce => None,
        });
    }

    /// Takes the thresholds that are passed by now for told: they were, before the books were opened again.
    pub fn thresholds_told(&mut self, now: UnixMs) {
        let now = self.tick(now);
        for (_, counter) in self.counters.iter_mut() {
            let Some(number) = counter.allowance else { continue };
            let allowance = &self.allowances[number as usize];
            let terms = self.entries[number as usize].terms(allowance, now);
            counter.meter.advance(&terms);
            let _told = counter.meter.newly_passed(&terms, terms.period.start);
        }
    }

    /// All has been recalled: the counters of the allowances in force go on from here.
    pub fn recalled(&mut self) {
        for entry in &mut self.entries {
            entry.awaits_recall = false;
        }
    }

    fn awaiting(&self) -> impl Iterator<Item = usize> {
        (0..).zip(&self.entries).filter(|(_, entry)| entry.awaits_recall).map(|(number, _)| number)
    }

    /// Charges the past to every counter that counts it. `when` tells the instant of the charge for an allowance and
    /// the start of its current period; where it tells none, nothing is charged.
    fn recall(&mut self, past: &Past<'_>, now: UnixMs, when: impl Fn(&Allowance, UnixMs) -> Option<UnixMs>) {
        let now = self.tick(now);
        for number in self.index.candidates(past.scope, past.key) {
            let allowance = &self.allowances[number as usize];
            let entry = &mut self.entries[number as usize];
            let mut models = past.requested.iter().chain(past.ran);
            let counts = entry.awaits_recall
                && past.kind.counts_in(allowance.measure)
                && (allowance.models.is_empty() || models.any(|model| allowance.models.covers(model)));
            let terms = entry.terms(allowance, now);
            let Some(at) = when(allowance, terms.period.start).filter(|_| counts) else { continue };
            let subject = subject(allowance, past.scope, past.key);
            let place =
                subject.map(|subject| entry.counter((number, allowance), &mut self.counters, subject));
            if let Some(counter) = place.and_then(|place| self.counters.at_mut(place)) {
                counter.meter.recall(&terms, at.min(now), past.count(allowance.measure));
            }
        }
    }
}

/// The earliest instant that a rate or a rolling window depends on.
fn depends_since(allowance: &Allowance, now: UnixMs) -> Option<UnixMs> {
    match allowance.span {
        Span::Rolling { ms } => Some(window::depends_since(ms, now)),
        Span::Rate { per_ms, .. } => Some(bucket::recall_from(allowance, per_ms, now).0),
        Span::Period { .. } | Span::AtOnce => None,
    }
}
