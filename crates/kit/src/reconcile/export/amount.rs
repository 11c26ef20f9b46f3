//! Amounts of money as texts.

const NANO_PER_DOLLAR: i128 = 1_000_000_000;
/// The most digits that are read before the point: a million million is no amount of an account.
const WHOLE_DIGITS_MAX: usize = 12;
/// The most digits that are read at all.
const DIGITS_MAX: usize = 24;

/// An amount, and how exactly it was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Amount {
    /// In nano-dollars, rounded half away from nothing where it was written finer.
    pub(super) nano_usd: i128,
    /// Digits after the point.
    pub(super) decimals: u32,
    /// Nano-dollars of the unit before the point.
    unit: i128,
}

impl Amount {
    /// An amount in dollars.
    pub(super) fn dollars(text: &str) -> Option<Self> {
        Self::read(text, NANO_PER_DOLLAR)
    }

    /// An amount in cents, as the cost report has it: `123.45` is $1.2345.
    pub(super) fn cents(text: &str) -> Option<Self> {
        Self::read(text, NANO_PER_DOLLAR / 100)
    }

    fn read(text: &str, unit: i128) -> Option<Self> {
        let (sign, digits) = text.strip_prefix('-').map_or((1, text), |digits| (-1, digits));
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        let all_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if whole.is_empty() || !all_digits(whole) || !all_digits(fraction) || digits.ends_with('.') {
            return None;
        }
        if whole.len() > WHOLE_DIGITS_MAX || whole.len() + fraction.len() > DIGITS_MAX {
            return None;
        }
        let number: i128 = format!("{whole}{fraction}").parse().ok()?;
        let decimals = fraction.len() as u32;
        let scale = 10_i128.pow(decimals);
        let nano_usd = sign * ((2 * number * unit + scale) / (2 * scale));
        Some(Self { nano_usd, decimals, unit })
    }

    /// Half of the last place that is written, if so many decimals are: by as much the amount may be rounded.
    pub(super) fn half_unit(&self, decimals: u32) -> i128 {
        let scale = 2 * 10_i128.pow(decimals.min(DIGITS_MAX as u32));
        (self.unit + scale - 1) / scale
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_read_exactly() {
        let rows = [
            ("0", Some((0, 0))),
            ("1", Some((1_000_000_000, 0))),
            ("0.01", Some((10_000_000, 2))),
            ("12.345678901", Some((12_345_678_901, 9))),
            ("0.0000000005", Some((1, 10))),
            ("0.00000000049", Some((0, 11))),
            ("-1.50", Some((-1_500_000_000, 2))),
            ("-0.0000000005", Some((-1, 10))),
            ("999999999999.9999999999", Some((1_000_000_000_000_000_000_000, 10))),
            ("1000000000000", None),
            ("1.123456789012345678901234", None),
            ("", None),
            ("-", None),
            (".5", None),
            ("5.", None),
            ("+5", None),
            ("1e3", None),
            ("1,5", None),
            ("$5", None),
            ("1.2.3", None),
            (" 1", None),
            ("1234567890123456789012345", None),
        ];
        for (text, expected) in rows {
            let read = Amount::dollars(text).map(|amount| (amount.nano_usd, amount.decimals));
            assert_eq!(read, expected, "{text:?}");
        }
        assert_eq!(Amount::cents("123.45").map(|amount| amount.nano_usd), Some(1_234_500_000));
    }

    #[test]
    fn an_amount_is_as_exact_as_its_last_place() {
        let dollars = Amount::dollars("0.19").unwrap();
        assert_eq!([0, 2, 9, 30].map(|decimals| dollars.half_unit(decimals)), [500_000_000, 5_000_000, 1, 1]);
        assert_eq!(Amount::cents("12").unwrap().half_unit(0), 5_000_000);
    }
}
