//! Budgets and limits as LiteLLM writes them, and the allowances that they become. Where the two do not mean the same,
//! the allowance is the stricter one.

use super::{Notes, rules};
use crate::money;
use jiff::{Timestamp, civil::DateTime, tz::TimeZone};
use std::fmt::Write;
use tollgate_config::problem::Place;
use tollgate_policy::unit::UnixMs;

/// What somebody may use.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Limits {
    /// The budget, in nano-dollars.
    max: Option<u64>,
    /// How long it lasts; for ever if not given.
    duration: Option<String>,
    /// What is spent of it, in nano-dollars.
    spend: u64,
    /// When it begins anew.
    reset_at: Option<UnixMs>,
    /// Requests a minute.
    rpm: Option<u64>,
    /// Tokens a minute.
    tpm: Option<u64>,
    /// Requests at once.
    parallel: Option<u64>,
    /// A field that holds something, and nothing that can be read: what it bounds must not become open.
    pub(super) unreadable: Option<&'static str>,
}

/// One allowance, as an entry of a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Grant {
    /// Its name.
    pub(crate) name: String,
    /// All of it, as one line of YAML.
    pub(crate) line: String,
}

impl Grant {
    /// An allowance of this name; `whose` and `what` are fields in YAML, the first may be empty.
    pub(super) fn new(name: String, whose: &str, what: &str) -> Self {
        let comma = if whose.is_empty() { "" } else { ", " };
        let line = format!("{{ name: \"{name}\"{comma}{whose}, {what} }}");
        Self { name, line }
    }
}

impl Limits {
    /// Reads them by the names of their fields.
    pub(super) fn of(field: impl Fn(&str) -> Option<String>) -> Self {
        let mut unreadable = None;
        let mut read = |name: &'static str, parse: &dyn Fn(&str) -> Option<u64>| {
            let text = field(name).filter(|text| !text.is_empty())?;
            let read = parse(&text);
            if read.is_none() {
                unreadable = Some(name);
            }
            read
        };
        let count = |text: &str| nano_usd(text).map(|nano| nano / NANO);
        let max = read("max_budget", &nano_usd);
        let spend = read("spend", &nano_usd).unwrap_or(0);
        let [rpm, tpm, parallel] =
            ["rpm_limit", "tpm_limit", "max_parallel_requests"].map(|name| read(name, &count));
        let reset = field("budget_reset_at").filter(|text| !text.is_empty());
        let reset_at = reset.as_deref().and_then(instant);
        if reset.is_some() && reset_at.is_none() {
            unreadable = Some("budget_reset_at");
        }
        let duration = field("budget_duration").filter(|text| !text.is_empty());
        Self { max, duration, spend, reset_at, rpm, tpm, parallel, unreadable }
    }

    /// Where these say nothing, the others.
    pub(super) fn or(self, other: Self) -> Self {
        let (duration, reset_at) = match self.max {
            Some(_) => (self.duration, self.reset_at),
            None => (other.duration.or(self.duration), other.reset_at.or(self.reset_at)),
        };
        Self {
            max: self.max.or(other.max),
            duration,
            reset_at,
            rpm: self.rpm.or(other.rpm),
            tpm: self.tpm.or(other.tpm),
            parallel: self.parallel.or(other.parallel),
            unreadable: self.unreadable.or(other.unreadable),
            ..self
        }
    }

    /// Whether nothing can pass any more, until somebody grants more.
    pub(super) fn is_shut(&self) -> bool {
        let is_spent = self.is_for_ever() && self.max.is_some_and(|max| max <= self.spend);
        is_spent || [self.max, self.rpm, self.tpm, self.parallel].contains(&Some(0))
    }

    fn is_for_ever(&self) -> bool {
        self.duration.as_deref().and_then(span).is_none()
    }

    /// Says what of them comes over changed. `whose` begins the sentence.
    pub(super) fn tell(&self, whose: &str, at: Place, notes: &mut Notes<'_>) {
        if let Some(field) = self.unreadable {
            let says = format!("`{field}` of {whose} can not be read");
            notes.add(&rules::BUDGET, at, says, "write it as a number, or the allowance by hand.");
        }
        if self.max.is_none() {
            return;
        }
        if self.is_for_ever() {
            let why = match &self.duration {
                None => "has no duration, so it never begins anew",
                Some(_) => "has a duration that no allowance has",
            };
            let says =
                format!("the budget of {whose} {why}: what is left of it is granted for this calendar year");
            notes.add(
                &rules::BUDGET,
                at,
                says,
                "see to it before January: `tollgate allowance set` or `remove`.",
            );
        } else if let Some(Span { is_same: false, yaml }) = self.duration.as_deref().and_then(span) {
            let says =
                format!("the budget of {whose} lasts for a span that no calendar has: it became `{yaml}`");
            notes.add(
                &rules::BUDGET,
                at,
                says,
                "it is never wider than before; choose another span if it is too narrow.",
            );
        }
    }

    /// The allowances that they become: their names begin with `name`, `whose` is the field that says whose use counts.
    pub(crate) fn grants(&self, name: &str, whose: &str, now: UnixMs) -> Vec<Grant> {
        let mut grants = Vec::new();
        let mut add =
            |kind: &str, what: String| grants.push(Grant::new(format!("{name}-{kind}"), whose, &what));
        if let Some(max) = self.max {
            add("usd", self.budget(max, now));
        }
        if let Some(rpm) = self.rpm {
            add("rpm", format!("requests: {rpm}, per: minute"));
        }
        if let Some(tpm) = self.tpm {
            // By the most that requests could use, a client that asks for 128000 tokens would never pass.
            add("tpm", format!("tokens: {tpm}, per: minute, reserve: learned"));
        }
        if let Some(parallel) = self.parallel {
            add("parallel", format!("concurrent: {parallel}"));
        }
        grants
    }

    fn budget(&self, max: u64, now: UnixMs) -> String {
        let left = max.saturating_sub(self.spend).clamp(1, MOST);
        let Some(span) = self.duration.as_deref().and_then(span) else {
            return format!("usd: \"{}\", per: year", decimal(left));
        };
        let mut what = format!("usd: \"{}\", {}", decimal(max.clamp(1, MOST)), span.yaml);
        if let Some(until) = self.reset_at.filter(|until| self.spend > 0 && *until > now) {
            // The rest of the running period: what was spent before is not in the books here.
            let _ =
                write!(what, ", raises: [{{ to: \"{}\", until: \"{until}\", by: import }}]", decimal(left));
        }
        what
    }
}

/// A span of an allowance.
#[derive(Debug, PartialEq, Eq)]
struct Span {
    yaml: String,
    /// Whether it is the same span as before.
    is_same: bool,
}

/// The span for a duration; none if it is longer than a year, or unreadable. LiteLLM begins days, weeks and months anew
/// by the calendar where they are one of each, so do allowances.
fn span(duration: &str) -> Option<Span> {
    let same = |yaml: &str| Some(Span { yaml: yaml.to_owned(), is_same: true });
    match duration {
        "1d" | "24h" | "daily" => return same("per: day"),
        "7d" | "1w" | "weekly" => return same("per: week"),
        "30d" | "1mo" | "monthly" => return same("per: month"),
        "365d" | "12mo" | "1y" => return same("per: year"),
        _ => {}
    }
    let year = Some(Span { yaml: "per: year".to_owned(), is_same: false });
    let (number, unit) = duration.split_at(duration.find(|c: char| !c.is_ascii_digit())?);
    let number: u64 = number.parse().ok().filter(|number| *number > 0)?;
    // A longer window with the same amount is the stricter one.
    let (number, unit, minutes) = match unit {
        "s" => (number.div_ceil(60), "m", 1),
        "m" => (number, "m", 1),
        "h" => (number, "h", 60),
        "d" => (number, "d", DAY_MINUTES),
        "w" => (number.checked_mul(7)?, "d", DAY_MINUTES),
        "mo" if number <= 12 => return year,
        _ => return None,
    };
    match number.checked_mul(minutes)?.div_ceil(DAY_MINUTES) {
        ..=92 => Some(Span { yaml: format!("rolling: {number}{unit}"), is_same: false }),
        93..=365 => year,
        _ => None,
    }
}

const DAY_MINUTES: u64 = 24 * 60;
const NANO: u64 = 1_000_000_000;
/// The most that an allowance can grant, in nano-dollars: a billion dollars.
const MOST: u64 = 1_000_000_000 * NANO;
/// More digits than any number that a program prints.
const DIGITS_MAX: usize = 40;

/// Nano-dollars from a number as programs print it, exponent and all; what is less than a nano-dollar is rounded up.
pub(super) fn nano_usd(text: &str) -> Option<u64> {
    let (number, exponent) = match text.split_once(['e', 'E']) {
        Some((number, exponent)) => (number, exponent.trim_start_matches('+').parse::<i32>().ok()?),
        None => (text, 0),
    };
    let (whole, decimals) = number.split_once('.').unwrap_or((number, ""));
    let digits = format!("{whole}{decimals}");
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    if !is_number || digits.len() > DIGITS_MAX || exponent.abs() > 100 {
        return None;
    }
    let digits: u128 = digits.parse().ok()?;
    let shift = 9 + exponent - i32::try_from(decimals.len()).ok()?;
    let power = 10_u128.checked_pow(shift.unsigned_abs());
    let nano = match (shift < 0, power) {
        (false, Some(power)) => digits.checked_mul(power)?,
        (true, Some(power)) => digits.div_ceil(power),
        (false, None) if digits > 0 => return None,
        (_, None) => u128::from(digits > 0),
    };
    u64::try_from(nano).ok()
}

/// An instant as LiteLLM prints it: with an offset, or without one in UTC.
pub(super) fn instant(text: &str) -> Option<UnixMs> {
    let timestamp = text.parse::<Timestamp>().ok().or_else(|| {
        let civil: DateTime = text.parse().ok()?;
        civil.to_zoned(TimeZone::UTC).ok().map(|zoned| zoned.timestamp())
    })?;
    Some(UnixMs(timestamp.as_millisecond()))
}

fn decimal(nano_usd: u64) -> String {
    money::dollars(nano_usd.into()).trim_start_matches('$').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn money_is_read_exactly_and_rounded_up_below_a_nano_dollar() {
        let rows = [
            ("0", Some(0)),
            ("12", Some(12 * NANO)),
            ("0.1", Some(NANO / 10)),
            ("12.50", Some(12_500_000_000)),
            ("1e-05", Some(10_000)),
            ("1.5E+2", Some(150 * NANO)),
            ("0.0000000001", Some(1)),
            ("1e-100", Some(1)),
            ("0e99", Some(0)),
            ("1e99", None),
            ("-1", None),
            ("nan", None),
            ("1.2.3", None),
            ("", None),
            (".", None),
        ];
        for (text, expected) in rows {
            assert_eq!(nano_usd(text), expected, "{text}");
        }
    }

    #[test]
    fn a_duration_becomes_the_same_span_or_a_stricter_one() {
        let rows = [
            ("1d", Some(("per: day", true))),
            ("24h", Some(("per: day", true))),
            ("7d", Some(("per: week", true))),
            ("30d", Some(("per: month", true))),
            ("1mo", Some(("per: month", true))),
            ("90d", Some(("rolling: 90d", false))),
            ("93d", Some(("per: year", false))),
            ("6mo", Some(("per: year", false))),
            ("30s", Some(("rolling: 1m", false))),
            ("5h", Some(("rolling: 5h", false))),
            ("2w", Some(("rolling: 14d", false))),
            ("2208h", Some(("rolling: 2208h", false))),
            ("2209h", Some(("per: year", false))),
            ("99999999s", None),
            ("18446744073709551615h", None),
            ("0d", None),
            ("400d", None),
            ("soon", None),
            ("12", None),
        ];
        for (text, expected) in rows {
            let expected = expected.map(|(yaml, is_same)| Span { yaml: yaml.to_owned(), is_same });
            assert_eq!(span(text), expected, "{text}");
        }
    }

    #[test]
    fn whatever_the_figure_is_an_allowance_may_have_it() {
        for (max, duration) in
            [("18000000000", "1d"), ("9999999999", ""), ("0.0000000001", "5000h"), ("5", "99999w")]
        {
            let field = |name: &str| match name {
                "max_budget" => Some(max.to_owned()),
                "budget_duration" => Some(duration.to_owned()),
                "rpm_limit" | "tpm_limit" | "max_parallel_requests" => Some("18000000000".to_owned()),
                _ => None,
            };
            for grant in Limits::of(field).grants("key", "", UnixMs(1_795_347_000_000)) {
                let calendar = tollgate_policy::allowance::Calendar::default();
                assert!(
                    tollgate_config::load_allowance(&grant.line, "key", &calendar).is_ok(),
                    "{}",
                    grant.line
                );
            }
        }
    }

    #[test]
    fn an_instant_without_an_offset_is_in_utc() {
        let at = Some(UnixMs(1_798_675_200_000));
        for text in ["2026-12-31T00:00:00Z", "2026-12-31 00:00:00", "2026-12-31T01:00:00.000+01:00"] {
            assert_eq!(instant(text), at, "{text}");
        }
        assert_eq!(instant("tomorrow"), None);
    }
}
