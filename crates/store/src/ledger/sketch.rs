//! A short value that tells whether two tables of sums are equal, in constant memory.
//!
//! The value is a sum over all figures of all rows, each multiplied by two factors: one that a keyed hash gives the row,
//! one that it gives the column; modulo a prime. Because it is a sum, it can be made from the rows of a table of sums, or
//! from the single records that were added up there, in any order, without remembering any of them. For two tables that
//! differ, it is a polynomial of degree two in the factors that is not zero; so with factors that nobody could know
//! before, the values are equal with a probability of less than one in 2^59 (the lemma of Schwartz and Zippel).

use aws_lc_rs::digest::{SHA256, digest};

use super::sums::Sums;

/// A Mersenne prime.
const PRIME: u64 = (1 << 61) - 1;

/// What makes the factors unpredictable: chance, once for both tables.
#[derive(Clone, Copy)]
pub(super) struct Key(pub(super) [u8; 16]);

/// The value of what was added so far.
#[derive(Clone)]
pub(super) struct Sketch {
    key: Key,
    columns: [u64; FIGURES],
    value: u64,
}

/// The figures of a row: three counts, five of tokens, cost; adjustments, what they add.
const FIGURES: usize = 11;

impl Sketch {
    /// The value of an empty table.
    pub(super) fn new(key: Key) -> Self {
        let mut columns = [0; FIGURES];
        for (number, column) in (0_u8..).zip(&mut columns) {
            *column = factor(key, &[number]);
        }
        Self { key, columns, value: 0 }
    }

    /// Adds figures to the row of this name.
    pub(super) fn add(&mut self, row: &[u8], sums: &Sums) {
        let [requests, estimated, unknown_price] = sums.counts.map(i128::from);
        let [input, output, write_5m, write_1h, read] = sums.tokens.0.map(i128::from);
        let figures = [
            requests,
            estimated,
            unknown_price,
            input,
            output,
            write_5m,
            write_1h,
            read,
            sums.cost,
            sums.adjustments.into(),
            sums.adjusted,
        ];
        let mut of_row = 0;
        for (figure, column) in figures.into_iter().zip(self.columns) {
            of_row = plus(of_row, times(residue(figure), column));
        }
        self.value = plus(self.value, times(of_row, factor(self.key, row)));
    }

    pub(super) fn value(&self) -> u64 {
        self.value
    }
}

/// The factor of a name.
fn factor(key: Key, name: &[u8]) -> u64 {
    let hash = digest(&SHA256, &[&key.0, name].concat());
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&hash.as_ref()[..16]);
    // Of 128 bits, so that no residue is noticeably likelier than another.
    (u128::from_be_bytes(bytes) % u128::from(PRIME)) as u64
}

fn residue(figure: i128) -> u64 {
    figure.rem_euclid(i128::from(PRIME)) as u64
}

fn plus(one: u64, other: u64) -> u64 {
    (one + other) % PRIME
}

fn times(one: u64, other: u64) -> u64 {
    (u128::from(one) * u128::from(other) % u128::from(PRIME)) as u64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::sums::Tokens;
    use super::*;

    const KEY: Key = Key([7; 16]);

    fn sums(figures: [i64; FIGURES]) -> Sums {
        let [
            requests,
            estimated,
            unknown_price,
            input,
            output,
            write_5m,
            write_1h,
            read,
            cost,
            adjustments,
            adjusted,
        ] = figures;
        Sums {
            counts: [requests, estimated, unknown_price],
            tokens: Tokens([input, output, write_5m, write_1h, read]),
            cost: cost.into(),
            adjustments,
            adjusted: adjusted.into(),
        }
    }

    fn value(rows: &[(u8, [i64; FIGURES])]) -> u64 {
        let mut sketch = Sketch::new(KEY);
        rows.iter().for_each(|(row, figures)| sketch.add(&[*row], &sums(*figures)));
        sketch.value()
    }

    proptest! {
        #[test]
        fn parts_in_any_order_have_the_value_of_their_sums(
            rows in proptest::collection::vec((0..5_u8, proptest::array::uniform11(-1_000_000..1_000_000_i64)), 0..30),
        ) {
            let mut totals = [[0; FIGURES]; 5];
            for (row, figures) in &rows {
                totals[usize::from(*row)].iter_mut().zip(figures).for_each(|(sum, more)| *sum += more);
            }
            let totals: Vec<_> = (0_u8..).zip(totals).collect();
            let reversed: Vec<_> = rows.iter().rev().copied().collect();
            prop_assert_eq!(value(&rows), value(&totals));
            prop_assert_eq!(value(&reversed), value(&totals));
        }

        #[test]
        fn another_figure_or_another_place_has_another_value(
            figures in proptest::array::uniform11(any::<i64>()),
            places in proptest::sample::subsequence((0..FIGURES).collect::<Vec<_>>(), 2),
            more in 1..i64::MAX,
        ) {
            let mut other = figures;
            other[places[0]] = figures[places[0]].wrapping_add(more);
            prop_assert_ne!(value(&[(1, figures)]), value(&[(1, other)]));
            prop_assert_ne!(value(&[(1, figures)]), value(&[(2, figures)]));
            let mut moved = figures;
            moved.swap(places[0], places[1]);
            prop_assert_ne!(value(&[(1, figures)]), value(&[(1, moved)]));
        }
    }
}
