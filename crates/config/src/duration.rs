//! Durations, written with their unit: `310s`, `10m`, `250ms`, `2h`.

use crate::leaf::{Fault, leaf, quote};
use std::{fmt, str::FromStr};

/// A length of time, exact to the millisecond, at most one day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Duration {
    ms: u64,
}

/// Units, longest first, so that a value is shown with the largest unit that is exact.
const UNITS: [(&str, u64); 4] = [("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

impl Duration {
    /// The longest duration: 24 hours. Longer waits are mistakes of a unit.
    pub const LONGEST: Self = Self { ms: 86_400_000 };

    /// A duration of whole seconds; more than a day counts as a day.
    #[must_use]
    pub const fn from_secs(seconds: u64) -> Self {
        let ms = seconds.saturating_mul(1_000);
        if ms > Self::LONGEST.ms { Self::LONGEST } else { Self { ms } }
    }

    /// The same length as the standard library counts it.
    #[must_use]
    pub const fn as_std(self) -> std::time::Duration {
        std::time::Duration::from_millis(self.ms)
    }

    /// Whether it is no time at all.
    #[must_use]
    pub const fn is_zero(self) -> bool {
        self.ms == 0
    }
}

impl FromStr for Duration {
    type Err = Fault;

    fn from_str(text: &str) -> Result<Self, Fault> {
        let (digits, unit) = split_number(text);
        let factor = UNITS.iter().find(|(name, _)| *name == unit).map(|(_, factor)| *factor);
        let (Some(factor), false) = (factor, digits.is_empty()) else {
            let cure = "write a whole number and a unit, as in 310s, 10m, 250ms or 2h.";
            return Err(Fault::new(format!("{} is not a duration", quote(text)), cure));
        };
        let ms = digits.parse::<u64>().ok().and_then(|number| number.checked_mul(factor));
        match ms {
            Some(ms) if ms <= Self::LONGEST.ms => Ok(Self { ms }),
            _ => Err(Fault::new(format!("{} is longer than a day", quote(text)), "write at most 24h.")),
        }
    }
}

impl fmt::Display for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        show(f, self.ms, &UNITS, "0s")
    }
}

leaf!(Duration, "tollgate-duration");

/// Splits `310s` into its leading ASCII digits and the rest.
pub(crate) fn split_number(text: &str) -> (&str, &str) {
    text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()))
}

/// Shows `amount` with the largest of `units` that divides it.
pub(crate) fn show(
    f: &mut fmt::Formatter<'_>,
    amount: u64,
    units: &[(&str, u64)],
    zero: &str,
) -> fmt::Result {
    if amount == 0 {
        return f.write_str(zero);
    }
    for (name, factor) in units {
        if amount.is_multiple_of(*factor) {
            return write!(f, "{}{name}", amount / factor);
        }
    }
    write!(f, "{amount}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_exact() {
        let rows = [
            ("0s", 0, "0s"),
            ("250ms", 250, "250ms"),
            ("1000ms", 1_000, "1s"),
            ("310s", 310_000, "310s"),
            ("600s", 600_000, "10m"),
            ("24h", 86_400_000, "24h"),
        ];
        for (text, ms, shown) in rows {
            let duration: Duration = text.parse().unwrap();
            assert_eq!(duration.as_std().as_millis(), ms, "{text}");
            assert_eq!(duration.to_string(), shown, "{text}");
        }
    }

    #[test]
    fn other_texts_are_refused() {
        let bad = [
            "",
            "s",
            "310",
            "-1s",
            "+1s",
            "1.5s",
            "1 s",
            "1S",
            "1m30s",
            "25h",
            "1d",
            "\u{0663}s",
            "99999999999999999999s",
            "18446744073709551615h",
        ];
        for text in bad {
            assert!(text.parse::<Duration>().is_err(), "{text:?}");
        }
    }
}
