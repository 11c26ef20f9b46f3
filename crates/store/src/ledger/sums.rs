//! The figures that are added up for each day and month.

use rusqlite::Row;
use tollgate_policy::entry::Settled;
use tollgate_policy::usage::{COUNT_MAX, Usage};

/// The columns of all figures, in the tables of daily and monthly sums. Money has two columns, see [`halves`].
pub(super) const COLUMNS: [&str; 13] = [
    "requests",
    "estimated",
    "unknown_price",
    "input_tokens",
    "output_tokens",
    "cache_write_5m_tokens",
    "cache_write_1h_tokens",
    "cache_read_tokens",
    "cost_high",
    "cost_low",
    "adjustments",
    "adjusted_high",
    "adjusted_low",
];

/// The figures of one record `s`, as [`COLUMNS`].
pub(super) const OF_RECORD: &str = "1, s.estimated, s.unknown_price, s.input_tokens, s.output_tokens,
    s.cache_write_5m_tokens, s.cache_write_1h_tokens, s.cache_read_tokens,
    s.cost_nano_usd >> 32, s.cost_nano_usd & 4294967295, 0, 0, 0";

/// The figures of one adjustment `s`, as [`COLUMNS`].
pub(super) const OF_ADJUSTMENT: &str = "0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    1, s.difference_nano_usd >> 32, s.difference_nano_usd & 4294967295";

/// Bits of the lower half of a sum of money.
const HALF: u32 = 32;

/// Sums of some requests and adjustments. Counts are held at the end of their range; sums of money are exact.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Sums {
    /// Requests; of these, ones with estimated usage; of these, ones without a price.
    pub(super) counts: [i64; 3],
    pub(super) tokens: Tokens,
    /// Nano-dollars.
    pub(super) cost: i128,
    /// How many adjustments, and what they add in nano-dollars.
    pub(super) adjustments: i64,
    pub(super) adjusted: i128,
}

impl Sums {
    /// One request.
    pub(super) fn of(settled: &Settled) -> Self {
        Self {
            counts: [1, settled.estimated.into(), settled.unknown_price.into()],
            tokens: Tokens::of(&settled.usage),
            cost: settled.cost.0.into(),
            ..Self::default()
        }
    }

    /// One adjustment.
    pub(super) fn of_adjustment(difference: i64) -> Self {
        Self { adjustments: 1, adjusted: difference.into(), ..Self::default() }
    }

    /// Adds the others.
    pub(super) fn add(&mut self, other: &Self) {
        for (sum, more) in self.counts.iter_mut().zip(other.counts) {
            *sum = sum.saturating_add(more);
        }
        self.tokens.add(other.tokens);
        self.cost += other.cost;
        self.adjustments = self.adjustments.saturating_add(other.adjustments);
        self.adjusted += other.adjusted;
    }

    /// The sums of a row, whose columns from `first` on are [`COLUMNS`].
    pub(super) fn of_row(row: &Row<'_>, first: usize) -> rusqlite::Result<Self> {
        let figure = |column: usize| row.get::<_, i64>(first + column);
        Ok(Self {
            counts: [figure(0)?, figure(1)?, figure(2)?],
            tokens: Tokens([figure(3)?, figure(4)?, figure(5)?, figure(6)?, figure(7)?]),
            cost: whole(figure(8)?, figure(9)?),
            adjustments: figure(10)?,
            adjusted: whole(figure(11)?, figure(12)?),
        })
    }

    /// The values of [`COLUMNS`].
    pub(super) fn values(&self) -> [i64; COLUMNS.len()] {
        let [requests, estimated, unknown_price] = self.counts;
        let Tokens([input, output, write_5m, write_1h, read]) = self.tokens;
        let [cost_high, cost_low] = halves(self.cost);
        let [adjusted_high, adjusted_low] = halves(self.adjusted);
        [
            requests,
            estimated,
            unknown_price,
            input,
            output,
            write_5m,
            write_1h,
            read,
            cost_high,
            cost_low,
            self.adjustments,
            adjusted_high,
            adjusted_low,
        ]
    }
}

/// A sum of money as two columns: more than 64 bits, for which SQLite has no number. The halves of two thousand million
/// rows of the greatest amount fit.
fn halves(sum: i128) -> [i64; 2] {
    let low = i64::from(sum as u32);
    [i64::try_from(sum >> HALF).unwrap_or(if sum < 0 { i64::MIN } else { i64::MAX }), low]
}

fn whole(high: i64, low: i64) -> i128 {
    (i128::from(high) << HALF) + i128::from(low)
}

/// Token counts as SQLite holds them, each held at [`COUNT_MAX`] as in the price: input outside the cache, output,
/// written to the cache for five minutes, for one hour, read from it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Tokens(pub(super) [i64; 5]);

impl Tokens {
    /// Those of one request.
    pub(super) fn of(usage: &Usage) -> Self {
        let held = |counts: [u64; 5]| {
            Self(counts.map(|count| i64::try_from(count.min(COUNT_MAX)).unwrap_or(i64::MAX)))
        };
        let mut tokens = Self::default();
        if usage.iterations.is_empty() {
            tokens.add(held([
                usage.input_tokens,
                usage.output_tokens,
                usage.cache_write_5m_tokens,
                usage.cache_write_1h_tokens,
                usage.cache_read_tokens,
            ]));
        }
        // Where there are iterations, they are the truth and the totals leave some out.
        for iteration in &usage.iterations {
            tokens.add(held([
                iteration.input_tokens,
                iteration.output_tokens,
                iteration.cache_write_5m_tokens,
                iteration.cache_write_1h_tokens,
                iteration.cache_read_tokens,
            ]));
        }
        tokens
    }

    fn add(&mut self, other: Self) {
        for (sum, more) in self.0.iter_mut().zip(other.0) {
            *sum = sum.saturating_add(more);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sum_of_money_survives_being_halved() {
        let most = i128::from(i64::MAX);
        let rows = [0, 1, -1, 1 << 32, (1 << 32) - 1, -(1 << 32), most, -most - 1, most << 31, -most << 31];
        for sum in rows {
            let [high, low] = halves(sum);
            assert_eq!(whole(high, low), sum);
            assert!((0..1 << HALF).contains(&low), "{sum}: the lower half is never negative");
        }
    }
}
