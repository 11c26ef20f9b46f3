//! Days and months of UTC, and how a range of time is put together from them.

use std::fmt;
use std::str::FromStr;

use serde::Serialize;
use tollgate_policy::unit::UnixMs;

const DAY_MS: i64 = 86_400_000;

/// A day in UTC, counted from 1970-01-01.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Day(pub(super) i64);

impl Day {
    /// The day of an instant that has a text form.
    pub(super) fn of(at: UnixMs) -> Self {
        Self(at.0.div_euclid(DAY_MS))
    }

    /// Its first instant.
    pub(super) fn start(self) -> UnixMs {
        UnixMs(self.0.saturating_mul(DAY_MS))
    }

    /// The first day of its month.
    pub(super) fn month(self) -> Self {
        let mut text = self.start().to_string();
        text.replace_range(7.., "-01T00:00:00.000Z");
        // The text of an instant with another day of the month, the first, which every month has.
        text.parse().map_or(self, Self::of)
    }

    /// The first day of the month after.
    pub(super) fn next_month(self) -> Self {
        Self(self.month().0.saturating_add(32)).month()
    }
}

/// `2026-11-22`
impl fmt::Display for Day {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(&self.start().to_string()[..10])
    }
}

/// A calendar month in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Month(Day);

impl Month {
    /// The month of an instant.
    #[must_use]
    pub fn of(at: UnixMs) -> Self {
        Self(Day::of(at.clamp(UnixMs::MIN, UnixMs::MAX)).month())
    }

    /// Its first instant.
    #[must_use]
    pub fn start(self) -> UnixMs {
        self.0.start()
    }

    /// The month that lies so many months before.
    #[must_use]
    pub fn before(self, months: u32) -> Self {
        (0..months).fold(self, |month, _| Self::of_day(Day(month.0.0.saturating_sub(1))))
    }

    /// Its first day.
    pub(super) fn first(self) -> Day {
        self.0
    }

    /// The month of a day.
    pub(super) fn of_day(day: Day) -> Self {
        Self(day.month())
    }
}

/// `2026-11`
impl fmt::Display for Month {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(&self.start().to_string()[..7])
    }
}

/// A text that is not a [`Month`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a month; write it as 2026-11")]
pub struct NotAMonth;

impl FromStr for Month {
    type Err = NotAMonth;
    fn from_str(text: &str) -> Result<Self, NotAMonth> {
        // The instant is read strictly, so the month is too.
        format!("{text}-01T00:00:00.000Z").parse().map(Self::of).map_err(|_| NotAMonth)
    }
}

impl Serialize for Month {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A part of a range of time, by what is kept of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Piece {
    /// Whole months, by the first days of the first one and of the one after the last.
    Months(Day, Day),
    /// Whole days, by the first one and the one after the last.
    Days(Day, Day),
    /// A part of one day, by its first instant and the one after its last.
    Part(Day, UnixMs, UnixMs),
}

/// The beginning and the end of a range of time, held where instants have a text form.
pub(super) fn bounds(from: Option<UnixMs>, to: Option<UnixMs>) -> (UnixMs, UnixMs) {
    let end = UnixMs(UnixMs::MAX.0 + 1);
    let held = |at: UnixMs| at.clamp(UnixMs::MIN, end);
    (from.map_or(UnixMs::MIN, held), to.map_or(end, held))
}

/// Puts the range together from pieces as large as they can be, in the order of time.
pub(super) fn cover(from: UnixMs, to: UnixMs, use_months: bool) -> Vec<Piece> {
    if from >= to {
        return Vec::new();
    }
    let (first, last) = (Day((from.0 + DAY_MS - 1).div_euclid(DAY_MS)), Day::of(to));
    if first > last {
        return vec![Piece::Part(last, from, to)];
    }
    let mut pieces = Vec::new();
    if from < first.start() {
        pieces.push(Piece::Part(Day(first.0 - 1), from, first.start()));
    }
    let first_month = if first.month() == first { first } else { first.next_month() };
    let last_month = last.month();
    if use_months && first_month < last_month {
        pieces.push(Piece::Days(first, first_month));
        pieces.push(Piece::Months(first_month, last_month));
        pieces.push(Piece::Days(last_month, last));
    } else {
        pieces.push(Piece::Days(first, last));
    }
    if last.start() < to {
        pieces.push(Piece::Part(last, last.start(), to));
    }
    pieces.retain(|piece| !matches!(piece, Piece::Days(from, to) if from == to));
    pieces
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(text: &str) -> UnixMs {
        text.parse().unwrap()
    }

    #[test]
    fn a_month_is_read_and_written_in_one_form() {
        for text in ["2026-11", "0000-01", "1969-12", "9999-12"] {
            assert_eq!(text.parse::<Month>().unwrap().to_string(), text);
        }
        for text in ["", "2026", "2026-1", "2026-13", "2026-11-01", "2026/11", "x", "+026-11"] {
            assert_eq!(text.parse::<Month>(), Err(NotAMonth), "{text}");
        }
        assert_eq!(Month::of(UnixMs(i64::MAX)).to_string(), "9999-12");
        assert_eq!(Month::of(UnixMs(i64::MIN)).to_string(), "0000-01");
    }

    #[test]
    fn a_range_is_put_together_from_the_largest_pieces() {
        let rows: &[(&str, &str, &[&str])] = &[
            ("2026-11-22T11:30:00.000Z", "2026-11-22T11:30:00.000Z", &[]),
            ("2026-11-22T11:30:00.000Z", "2026-11-22T12:00:00.000Z", &["part 2026-11-22"]),
            ("2026-11-22T00:00:00.000Z", "2026-11-23T00:00:00.000Z", &["days 2026-11-22 2026-11-23"]),
            ("2026-11-21T00:00:00.001Z", "2026-11-22T00:00:00.001Z", &["part 2026-11-21", "part 2026-11-22"]),
            ("2026-11-01T00:00:00.000Z", "2026-12-01T00:00:00.000Z", &["months 2026-11-01 2026-12-01"]),
            (
                "2025-10-31T23:59:59.999Z",
                "2026-12-02T00:00:00.001Z",
                &[
                    "part 2025-10-31",
                    "months 2025-11-01 2026-12-01",
                    "days 2026-12-01 2026-12-02",
                    "part 2026-12-02",
                ],
            ),
            (
                "2026-01-02T00:00:00.000Z",
                "2026-03-01T00:00:00.000Z",
                &["days 2026-01-02 2026-02-01", "months 2026-02-01 2026-03-01"],
            ),
        ];
        for (from, to, expected) in rows {
            let words = |piece: &Piece| match piece {
                Piece::Months(from, to) => format!("months {from} {to}"),
                Piece::Days(from, to) => format!("days {from} {to}"),
                Piece::Part(day, ..) => format!("part {day}"),
            };
            let found: Vec<_> = cover(at(from), at(to), true).iter().map(words).collect();
            assert_eq!(found, *expected, "{from} {to}");
        }
    }

    proptest! {
        #[test]
        fn pieces_follow_each_other_without_a_gap(
            from in UnixMs::MIN.0..=UnixMs::MAX.0 + 1,
            length in prop_oneof![0..3 * DAY_MS, 0..1000 * DAY_MS],
            use_months: bool,
        ) {
            let (from, to) = bounds(Some(UnixMs(from)), Some(UnixMs(from + length)));
            let mut reached = from;
            for piece in cover(from, to, use_months) {
                let (start, end) = match piece {
                    Piece::Months(first, next) => {
                        prop_assert!(use_months && first.month() == first && next.month() == next);
                        (first.start(), next.start())
                    }
                    Piece::Days(first, next) => (first.start(), next.start()),
                    Piece::Part(day, start, end) => {
                        prop_assert_eq!((Day::of(start), Day::of(UnixMs(end.0 - 1))), (day, day));
                        prop_assert!(end.ms_since(start) < DAY_MS);
                        (start, end)
                    }
                };
                prop_assert!(start == reached && start < end);
                reached = end;
            }
            prop_assert_eq!(reached, to.max(from));
        }
    }
}
