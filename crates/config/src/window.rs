//! Windows of time for what is counted: `90m`, `24h`, `30d`.

use crate::{
    duration::{show, split_number},
    leaf::{Fault, leaf, quote},
};
use std::{fmt, str::FromStr};
use tollgate_policy::allowance::{ROLLING_MS_MAX, ROLLING_MS_MIN};

/// A length of time from one minute to 92 days.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Window {
    ms: i64,
}

/// Units, longest first, so that a value is shown with the largest unit that is exact.
const UNITS: [(&str, u64); 3] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000)];

impl Window {
    /// The length in milliseconds.
    #[must_use]
    pub const fn ms(self) -> i64 {
        self.ms
    }
}

impl FromStr for Window {
    type Err = Fault;

    fn from_str(text: &str) -> Result<Self, Fault> {
        let (digits, unit) = split_number(text);
        let factor = UNITS.iter().find(|(name, _)| *name == unit).map(|(_, factor)| *factor);
        let (Some(factor), false) = (factor, digits.is_empty()) else {
            let cure = "write a whole number and a unit, as in 90m, 24h or 30d.";
            return Err(Fault::new(format!("{} is not a window of time", quote(text)), cure));
        };
        let ms = digits.parse::<u64>().ok().and_then(|number| number.checked_mul(factor));
        match ms.and_then(|ms| i64::try_from(ms).ok()) {
            Some(ms) if (ROLLING_MS_MIN..=ROLLING_MS_MAX).contains(&ms) => Ok(Self { ms }),
            _ => Err(Fault::new(format!("{} is out of range", quote(text)), "write 1m to 92d.")),
        }
    }
}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        show(f, self.ms.unsigned_abs(), &UNITS, "0m")
    }
}

leaf!(Window, "tollgate-window");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_are_exact() {
        let rows = [
            ("1m", 60_000, "1m"),
            ("90m", 5_400_000, "90m"),
            ("120m", 7_200_000, "2h"),
            ("24h", 86_400_000, "1d"),
            ("92d", 7_948_800_000, "92d"),
        ];
        for (text, ms, shown) in rows {
            let window: Window = text.parse().unwrap();
            assert_eq!((window.ms(), window.to_string().as_str()), (ms, shown), "{text}");
        }
    }

    #[test]
    fn other_texts_are_refused() {
        let bad = ["", "d", "24", "0m", "30s", "93d", "1w", "-1d", "1.5h", "1 d", "99999999999999999999d"];
        for text in bad {
            assert!(text.parse::<Window>().is_err(), "{text:?}");
        }
    }
}
