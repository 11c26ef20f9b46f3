//! Amounts: of dollars, tokens or requests, by the field that they stand in.

use crate::leaf::{Fault, leaf, quote};
use std::{fmt, str::FromStr};
use tollgate_policy::allowance::AMOUNT_MAX;

/// An amount with up to nine decimals, exact. It is never a floating-point number, not even on the way in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Amount {
    billionths: u128,
}

const BILLION: u128 = 1_000_000_000;
const DECIMALS: usize = 9;

impl Amount {
    /// So many whole dollars.
    pub(crate) const fn dollars(count: u32) -> Self {
        Self { billionths: count as u128 * BILLION }
    }

    /// So many whole ones.
    pub(crate) const fn whole(count: u64) -> Self {
        Self { billionths: count as u128 * BILLION }
    }

    /// The amount in billionths, so dollars as nano-dollars; `None` above [`AMOUNT_MAX`] of them.
    #[must_use]
    pub fn billionths(self) -> Option<u64> {
        u64::try_from(self.billionths).ok().filter(|amount| *amount <= AMOUNT_MAX)
    }

    /// The amount as a count, such as of tokens; `None` if it is not whole, or above [`AMOUNT_MAX`].
    #[must_use]
    pub fn count(self) -> Option<u64> {
        let whole = self.billionths.is_multiple_of(BILLION).then_some(self.billionths / BILLION)?;
        u64::try_from(whole).ok().filter(|amount| *amount <= AMOUNT_MAX)
    }
}

impl FromStr for Amount {
    type Err = Fault;

    fn from_str(text: &str) -> Result<Self, Fault> {
        let shape = || {
            let cure = "write digits, with a point before up to nine decimals, as in 500 or 0.25.";
            Fault::new(format!("{} is not an amount", quote(text)), cure)
        };
        if text.starts_with('-') {
            return Err(Fault::new("an amount is not negative", "write 0 or more."));
        }
        let (whole, decimals) = text.split_once('.').unwrap_or((text, "0"));
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        if !digits(whole) || !digits(decimals) {
            return Err(shape());
        }
        if decimals.len() > DECIMALS {
            let cure =
                "write at most nine decimals; a billionth of a dollar is the smallest amount there is.";
            return Err(Fault::new(format!("{} has more than nine decimals", quote(text)), cure));
        }
        let parsed = format!("{whole}{decimals:0<DECIMALS$}").parse().ok();
        let too_large =
            || Fault::new(format!("{} is too large an amount", quote(text)), "write a smaller one.");
        parsed.map(|billionths| Self { billionths }).ok_or_else(too_large)
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, decimals) = (self.billionths / BILLION, self.billionths % BILLION);
        if decimals == 0 {
            return write!(f, "{whole}");
        }
        let decimals = format!("{decimals:09}");
        write!(f, "{whole}.{}", decimals.trim_end_matches('0'))
    }
}

leaf!(Amount, "tollgate-amount", "string", "number");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_exact() {
        let rows = [
            ("0", Some(0), Some(0), "0"),
            ("500", Some(500_000_000_000), Some(500), "500"),
            ("0.25", Some(250_000_000), None, "0.25"),
            ("007.50", Some(7_500_000_000), None, "7.5"),
            ("1.000000001", Some(1_000_000_001), None, "1.000000001"),
            ("123456789.123456789", Some(123_456_789_123_456_789), None, "123456789.123456789"),
            ("1000000000", Some(AMOUNT_MAX), Some(1_000_000_000), "1000000000"),
            ("1000000000.000000001", None, None, "1000000000.000000001"),
            ("1000000000000000000", None, Some(AMOUNT_MAX), "1000000000000000000"),
            ("1000000000000000001", None, None, "1000000000000000001"),
        ];
        for (text, billionths, count, shown) in rows {
            let amount: Amount = text.parse().unwrap();
            assert_eq!((amount.billionths(), amount.count()), (billionths, count), "{text}");
            assert_eq!(amount.to_string(), shown, "{text}");
        }
    }

    #[test]
    fn other_texts_are_refused() {
        let huge = "9".repeat(60);
        let bad = [
            "",
            "-1",
            "-0.5",
            "+1",
            ".5",
            "5.",
            "1e3",
            "1,000",
            "$5",
            "1 000",
            "0.0000000001",
            "1.2.3",
            &huge,
        ];
        for text in bad {
            assert!(text.parse::<Amount>().is_err(), "{text:?}");
        }
    }
}
