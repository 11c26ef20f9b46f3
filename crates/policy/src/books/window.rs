//! A rolling window, as a row of slots.
//!
//! The window is cut into sixty slots, and a slot leaves it only when all of it is outside. So what is counted is never
//! less than what was booked in the window, and at most a sixtieth of the window more.

use std::collections::VecDeque;

use crate::allowance::Allowance;
use crate::unit::UnixMs;

use super::meter::{Wait, first_fit};

const SLOTS: i64 = 60;

/// What was booked in the last so many milliseconds.
#[derive(Debug, Clone)]
pub(super) struct Window {
    ms: i64,
    /// The slots with something in them, by their number, the oldest first; at most [`SLOTS`] and two.
    slots: VecDeque<(i64, u128)>,
    pub(super) used: u128,
    pub(super) held: u128,
    /// The highest threshold that was told of, and when.
    pub(super) passed: u8,
    pub(super) passed_at: UnixMs,
}

impl Window {
    pub(super) fn new(ms: i64) -> Self {
        let passed_at = UnixMs(i64::MIN);
        Self { ms: ms.max(1), slots: VecDeque::new(), used: 0, held: 0, passed: 0, passed_at }
    }

    fn slot_ms(&self) -> i64 {
        slot_ms(self.ms)
    }

    /// The first instant at which a slot is wholly outside the window. An instant counts for `ms` milliseconds.
    fn leaves(&self, slot: i64) -> UnixMs {
        let last = slot.saturating_add(1).saturating_mul(self.slot_ms()) - 1;
        UnixMs(last.saturating_add(self.ms))
    }

    pub(super) fn advance(&mut self, now: UnixMs) {
        while let Some((slot, units)) = self.slots.front().copied() {
            if now < self.leaves(slot) {
                break;
            }
            self.used -= units;
            self.slots.pop_front();
        }
        if now.ms_since(self.passed_at) >= self.ms {
            self.passed = 0;
        }
    }

    /// Charges what was booked at an instant; nothing if that is outside the window by now.
    pub(super) fn charge(&mut self, now: UnixMs, at: UnixMs, units: u128) {
        let slot = at.0.div_euclid(self.slot_ms());
        if units == 0 || now >= self.leaves(slot) {
            return;
        }
        self.used += units;
        let place = self.slots.partition_point(|(other, _)| *other < slot);
        match self.slots.get_mut(place) {
            Some((other, sum)) if *other == slot => *sum += units,
            _ => self.slots.insert(place, (slot, units)),
        }
    }

    /// Corrects a charge; nothing if it is outside the window by now.
    pub(super) fn correct(&mut self, now: UnixMs, at: UnixMs, was: u64, is: u64) {
        let slot = at.0.div_euclid(self.slot_ms());
        if let Ok(place) = self.slots.binary_search_by_key(&slot, |(slot, _)| *slot) {
            let taken = u128::from(was).min(self.slots[place].1);
            self.slots[place].1 -= taken;
            self.used -= taken;
        }
        self.charge(now, at, u128::from(is));
    }

    /// When this much fits, if nothing else comes and everything held is given back.
    pub(super) fn wait(&self, allowance: &Allowance, now: UnixMs, units: u64) -> Wait {
        let leaving = self.slots.iter().map(|(slot, _)| self.leaves(*slot));
        first_fit(allowance, now, leaving, units, |at| {
            self.slots.iter().filter(|(slot, _)| at < self.leaves(*slot)).map(|(_, units)| units).sum()
        })
    }

    /// When the window is empty, if nothing else comes.
    pub(super) fn empty_again(&self, now: UnixMs) -> UnixMs {
        self.slots.back().map_or(now, |(slot, _)| self.leaves(*slot))
    }
}

fn slot_ms(ms: i64) -> i64 {
    (ms + SLOTS - 1) / SLOTS
}

/// The earliest instant that may still be counted in a window of this length.
pub(super) fn depends_since(ms: i64, now: UnixMs) -> UnixMs {
    now.saturating_add_ms(-ms - slot_ms(ms))
}
