//! A sum over the last window.

use std::collections::VecDeque;

use crate::unit::UnixMs;

/// Into how many parts a window is cut.
const PARTS: i64 = 10;

/// What was added in the last window, in tenths of it, the oldest first.
#[derive(Debug, Default)]
pub(super) struct Recent {
    parts: VecDeque<(i64, u128)>,
}

impl Recent {
    /// Leaves out the parts that have begun to leave the window, each given to `left` with the number of its window,
    /// windows counted from 1970 on.
    pub(super) fn advance(&mut self, now: UnixMs, window_ms: i64, mut left: impl FnMut(i64, u128)) {
        while let Some((part, amount)) = self.parts.front().copied() {
            let begins = UnixMs(part.saturating_mul(part_ms(window_ms)));
            if now.ms_since(begins) < window_ms {
                break;
            }
            left(part.div_euclid(PARTS), amount);
            self.parts.pop_front();
        }
    }

    /// Adds an amount now. The clock never goes back.
    pub(super) fn add(&mut self, now: UnixMs, window_ms: i64, amount: u128) {
        let part = now.0.div_euclid(part_ms(window_ms));
        match self.parts.back_mut() {
            Some((last, sum)) if *last == part => *sum = sum.saturating_add(amount),
            _ => self.parts.push_back((part, amount)),
        }
    }

    pub(super) fn sum(&self) -> u128 {
        self.parts.iter().fold(0, |sum, (_, amount)| sum.saturating_add(*amount))
    }
}

fn part_ms(window_ms: i64) -> i64 {
    (window_ms / PARTS).max(1)
}
