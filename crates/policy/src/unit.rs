//! Money and time as integers: nano-dollars and milliseconds.

use std::fmt;
use std::iter::Sum;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::text;

/// An amount of US dollars in billionths (1 NanoUsd = $0.000000001).
///
/// The cheapest published rate is $0.01 per million tokens, that is 10 nano-dollars per token, so the
/// price of one token is always a whole number here. The range is about nine billion dollars each way;
/// arithmetic saturates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct NanoUsd(pub i64);

impl NanoUsd {
    /// No money.
    pub const ZERO: Self = Self(0);
    /// One dollar.
    pub const DOLLAR: Self = Self(1_000_000_000);

    /// The sum, held at the ends of the range: a counter may stand still, it may not wrap to nothing.
    #[must_use]
    pub fn saturating_add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    /// The difference, held at the ends of the range.
    #[must_use]
    pub fn saturating_sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }

    /// The nearest amount that fits.
    #[must_use]
    pub fn saturating_from(nano_usd: i128) -> Self {
        let held = nano_usd.clamp(i128::from(i64::MIN), i128::from(i64::MAX));
        Self(i64::try_from(held).unwrap_or(i64::MAX))
    }
}

impl Sum for NanoUsd {
    fn sum<I: Iterator<Item = Self>>(amounts: I) -> Self {
        amounts.fold(Self::ZERO, Self::saturating_add)
    }
}

/// Dollars with as many decimals as needed, and at least two: `$0.001234567`, `$1.50`, `-$0.10`.
impl fmt::Display for NanoUsd {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nano_usd = self.0.unsigned_abs();
        let decimals = format!("{:09}", nano_usd % 1_000_000_000);
        let (cents, rest) = decimals.split_at(2);
        let sign = if self.0 < 0 { "-" } else { "" };
        let dollars = nano_usd / 1_000_000_000;
        formatter.pad(&format!("{sign}${dollars}.{cents}{}", rest.trim_end_matches('0')))
    }
}

/// An instant, in milliseconds since 1970-01-01T00:00:00Z, leap seconds not counted (POSIX time).
///
/// Its text form, in `Display` and in serde, is RFC 3339 in UTC with milliseconds:
/// `2026-11-22T11:30:00.123Z`. That form has years 0000 to 9999 only; an instant outside is written as the
/// nearest one inside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct UnixMs(pub i64);

/// Bytes of an instant's text.
pub(crate) const INSTANT_BYTES: usize = 24;
const DAY_MS: i64 = 86_400_000;

impl UnixMs {
    /// The earliest instant with a text form, 0000-01-01T00:00:00.000Z.
    pub const MIN: Self = Self(-62_167_219_200_000);
    /// The latest instant with a text form, 9999-12-31T23:59:59.999Z.
    pub const MAX: Self = Self(253_402_300_799_999);

    /// The instant `ms` later (earlier when negative), held at the ends of the range.
    #[must_use]
    pub fn saturating_add_ms(self, ms: i64) -> Self {
        Self(self.0.saturating_add(ms))
    }

    /// Milliseconds from `earlier` to this instant; negative when `earlier` is in fact later.
    #[must_use]
    pub fn ms_since(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0)
    }

    /// The 24 bytes of the text form.
    pub(crate) fn to_text(self) -> [u8; INSTANT_BYTES] {
        let ms = self.0.clamp(Self::MIN.0, Self::MAX.0);
        let (year, month, day) = civil_from_days(ms.div_euclid(DAY_MS));
        let ms = ms.rem_euclid(DAY_MS);
        let mut text = *b"0000-00-00T00:00:00.000Z";
        put_digits(&mut text[0..4], year);
        put_digits(&mut text[5..7], month);
        put_digits(&mut text[8..10], day);
        put_digits(&mut text[11..13], ms / 3_600_000);
        put_digits(&mut text[14..16], ms / 60_000 % 60);
        put_digits(&mut text[17..19], ms / 1000 % 60);
        put_digits(&mut text[20..23], ms % 1000);
        text
    }

    /// Reads the text form strictly: exactly what `Display` writes, and nothing else.
    pub(crate) fn from_text(text: &[u8]) -> Option<Self> {
        let text: &[u8; INSTANT_BYTES] = text.try_into().ok()?;
        let marks = [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':'), (19, b'.'), (23, b'Z')];
        if marks.iter().any(|(place, mark)| text[*place] != *mark) {
            return None;
        }
        let (year, month, day) = (digits(&text[0..4])?, digits(&text[5..7])?, digits(&text[8..10])?);
        let (hour, minute) = (digits(&text[11..13])?, digits(&text[14..16])?);
        let (second, ms) = (digits(&text[17..19])?, digits(&text[20..23])?);
        if !(1..=12).contains(&month) || hour > 23 || minute > 59 || second > 59 {
            return None;
        }
        let days = days_from_civil(year, month, day);
        // A day the month does not have (30 February, or 0) comes back as another date.
        (civil_from_days(days) == (year, month, day))
            .then(|| Self(days * DAY_MS + hour * 3_600_000 + minute * 60_000 + second * 1000 + ms))
    }
}

/// A text that is not an instant in the form of [`UnixMs`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an instant; write it as 2026-11-22T11:30:00.123Z (RFC 3339, UTC, milliseconds)")]
pub struct NotAnInstant;

impl FromStr for UnixMs {
    type Err = NotAnInstant;
    fn from_str(text: &str) -> Result<Self, NotAnInstant> {
        Self::from_text(text.as_bytes()).ok_or(NotAnInstant)
    }
}

impl fmt::Display for UnixMs {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(std::str::from_utf8(&self.to_text()).map_err(|_| fmt::Error)?)
    }
}

impl Serialize for UnixMs {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        text::write_ascii(&self.to_text(), serializer)
    }
}

impl<'de> Deserialize<'de> for UnixMs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        text::parse(deserializer, "an instant such as 2026-11-22T11:30:00.123Z")
    }
}

fn put_digits(place: &mut [u8], mut number: i64) {
    for digit in place.iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
    }
}

fn digits(text: &[u8]) -> Option<i64> {
    text.iter().try_fold(0, |number, character| {
        character.is_ascii_digit().then(|| number * 10 + i64::from(character - b'0'))
    })
}

/// Year, month and day of a day number counted from 1970-01-01, in the proleptic Gregorian calendar.
///
/// Counts in years that begin in March, so that the leap day is the last day of a year, and in eras of
/// 400 years, which all have 146 097 days.
fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let (era, day_of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (era * 400 + year_of_era + i64::from(month <= 2), month, day)
}

/// The inverse of [`civil_from_days`].
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = year - i64::from(month <= 2);
    let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let month_from_march = (month + 9) % 12;
    let day_of_year = (153 * month_from_march + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn money_reads_as_dollars() {
        let rows = [
            (0, "$0.00"),
            (1, "$0.000000001"),
            (1_234_567, "$0.001234567"),
            (10_000_000, "$0.01"),
            (1_500_000_000, "$1.50"),
            (-100_000_000, "-$0.10"),
            (i64::MAX, "$9223372036.854775807"),
            (i64::MIN, "-$9223372036.854775808"),
        ];
        for (nano_usd, text) in rows {
            assert_eq!(NanoUsd(nano_usd).to_string(), text);
        }
    }

    #[test]
    fn money_holds_at_the_ends_of_its_range() {
        let (most, least) = (NanoUsd(i64::MAX), NanoUsd(i64::MIN));
        assert_eq!(most.saturating_add(NanoUsd(1)), most);
        assert_eq!(least.saturating_sub(NanoUsd(1)), least);
        assert_eq!([most, NanoUsd(5)].into_iter().sum::<NanoUsd>(), most);
        assert_eq!(NanoUsd::saturating_from(i128::MAX), most);
        assert_eq!(NanoUsd::saturating_from(i128::MIN), least);
        assert_eq!(NanoUsd::saturating_from(-7), NanoUsd(-7));
    }

    #[test]
    fn instants_are_read_in_one_form_only() {
        let good = [
            ("1970-01-01T00:00:00.000Z", 0),
            ("1969-12-31T23:59:59.999Z", -1),
            ("2024-02-29T12:00:00.001Z", 1_709_208_000_001),
            ("2026-11-22T11:30:00.123Z", 1_795_347_000_123),
            ("0000-01-01T00:00:00.000Z", UnixMs::MIN.0),
            ("9999-12-31T23:59:59.999Z", UnixMs::MAX.0),
        ];
        for (text, ms) in good {
            assert_eq!(text.parse(), Ok(UnixMs(ms)), "{text}");
            assert_eq!(UnixMs(ms).to_string(), text);
        }
        let bad = [
            "",
            "2026-11-22",
            "2026-11-22T11:30:00Z",
            "2026-11-22T11:30:00.123z",
            "2026-11-22t11:30:00.123Z",
            "2026-11-22 11:30:00.123Z",
            "2026-11-22T11:30:00.123+00:00",
            "2026-11-22T11:30:00.1234Z",
            "2026-00-22T11:30:00.123Z",
            "2026-13-22T11:30:00.123Z",
            "2026-11-00T11:30:00.123Z",
            "2026-11-31T11:30:00.123Z",
            "2025-02-29T11:30:00.123Z",
            "1900-02-29T11:30:00.123Z",
            "2026-11-22T24:00:00.000Z",
            "2026-11-22T11:60:00.000Z",
            "2026-11-22T11:30:60.000Z",
            "2026-11-22T11:30:00.-12Z",
            "+026-11-22T11:30:00.123Z",
        ];
        for text in bad {
            assert_eq!(text.parse::<UnixMs>(), Err(NotAnInstant), "{text}");
        }
    }

    #[test]
    fn an_instant_without_a_year_of_four_digits_is_written_as_the_nearest_one() {
        assert_eq!(UnixMs(i64::MAX).to_string(), UnixMs::MAX.to_string());
        assert_eq!(UnixMs(i64::MIN).to_string(), UnixMs::MIN.to_string());
    }

    proptest! {
        #[test]
        fn instants_agree_with_an_independent_calendar(ms in UnixMs::MIN.0..=UnixMs::MAX.0) {
            let text = UnixMs(ms).to_string();
            prop_assert_eq!(text.parse(), Ok(UnixMs(ms)));
            // jiff ends a little before the year 10 000, in the time zones that are ahead.
            if let Ok(instant) = jiff::Timestamp::from_millisecond(ms) {
                prop_assert_eq!(text, format!("{instant:.3}"));
            }
        }

        #[test]
        fn any_text_is_refused_or_read_exactly(text in "[0-9TZ:. -]{20,26}") {
            if let Ok(instant) = text.parse::<UnixMs>() {
                prop_assert_eq!(instant.to_string(), text);
            }
        }
    }
}
