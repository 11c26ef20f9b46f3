//! Money for people: exact, from whole nano-dollars.

const NANO_PER_DOLLAR: u128 = 1_000_000_000;

/// Dollars with as many decimals as needed, two at least: `$0.001234567`, `$1.50`, `-$0.10`.
pub(crate) fn dollars(nano_usd: i128) -> String {
    let sign = if nano_usd < 0 { "-" } else { "" };
    let plain = decimal(nano_usd.abs());
    let (whole, decimals) = plain.split_at(plain.len() - 9);
    let (cents, rest) = decimals.split_at(2);
    format!("{sign}${whole}{cents}{}", rest.trim_end_matches('0'))
}

/// Dollars as a number with nine decimals, as programs read them: `0.001234567`.
pub(crate) fn decimal(nano_usd: i128) -> String {
    let sign = if nano_usd < 0 { "-" } else { "" };
    let (dollars, rest) =
        (nano_usd.unsigned_abs() / NANO_PER_DOLLAR, nano_usd.unsigned_abs() % NANO_PER_DOLLAR);
    format!("{sign}{dollars}.{rest:09}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn money_is_written_to_the_last_nano_dollar() {
        let rows = [
            (0, "$0.00", "0.000000000"),
            (1, "$0.000000001", "0.000000001"),
            (10_000_000, "$0.01", "0.010000000"),
            (1_234_567, "$0.001234567", "0.001234567"),
            (1_500_000_000, "$1.50", "1.500000000"),
            (123_456_789_012, "$123.456789012", "123.456789012"),
            (-100_000_000, "-$0.10", "-0.100000000"),
            (i128::from(i64::MAX), "$9223372036.854775807", "9223372036.854775807"),
        ];
        for (nano_usd, shown, plain) in rows {
            assert_eq!(dollars(nano_usd), shown);
            assert_eq!(decimal(nano_usd), plain);
        }
    }
}
