//! Time as people write it on the command line.

use jiff::{Timestamp, ToSpan, civil::Date, tz::TimeZone};
use std::str::FromStr;
use tollgate_policy::unit::UnixMs;

/// A length of time: a whole number and one unit, as in `90d`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span {
    seconds: u64,
}

impl Span {
    /// Its length in seconds.
    pub(crate) fn seconds(self) -> u64 {
        self.seconds
    }
}

impl FromStr for Span {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const RULE: &str = "write a whole number and a unit, s, m, h, d or w, as in 90d";
        let unit = text.chars().last().ok_or(RULE)?;
        let unit_seconds = match unit {
            's' => 1,
            'm' => 60,
            'h' => 3600,
            'd' => 24 * 3600,
            'w' => 7 * 24 * 3600,
            _ => return Err(RULE),
        };
        let number = &text[..text.len() - 1];
        if !number.bytes().all(|b| b.is_ascii_digit()) {
            return Err(RULE);
        }
        let number: u64 = number.parse().map_err(|_| RULE)?;
        let seconds = number.checked_mul(unit_seconds).ok_or("this is longer than time itself")?;
        Ok(Self { seconds })
    }
}

/// A point in time: a date, which is its first instant in UTC, or an instant as RFC 3339 writes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Instant(Timestamp);

impl Instant {
    /// The present.
    pub(crate) fn now() -> Self {
        Self(Timestamp::now())
    }

    /// The same for the rooms that decide.
    pub(crate) fn unix_ms(self) -> UnixMs {
        UnixMs(self.0.as_millisecond())
    }

    /// Milliseconds from `earlier` to this instant.
    pub(crate) fn ms_since(self, earlier: Self) -> i64 {
        self.0.as_millisecond() - earlier.0.as_millisecond()
    }

    /// The month in UTC that it lies in: its first instant, and the first instant after it.
    pub(crate) fn month(self) -> (Self, Self) {
        let first = self.0.to_zoned(TimeZone::UTC).date().first_of_month();
        // The last month that there is has no next one; its days go on to the end of time.
        let next = first.checked_add(1.month()).unwrap_or(Date::MAX);
        (Self::at_start_of(first), Self::at_start_of(next))
    }

    fn at_start_of(date: Date) -> Self {
        let start = date.to_zoned(TimeZone::UTC).map(|start| start.timestamp());
        Self(start.unwrap_or(Timestamp::MAX))
    }

    /// In UTC with milliseconds, the one form that the admin API reads.
    pub(crate) fn to_utc(self) -> String {
        self.0.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string()
    }
}

impl FromStr for Instant {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const RULE: &str = "write a date, as in 2026-11-01, or an instant, as in 2026-11-01T08:30:00Z";
        // The parser of dates also takes an instant and drops its time.
        let timestamp = if text.len() == "2026-11-01".len() {
            let date: Date = text.parse().map_err(|_| RULE)?;
            date.to_zoned(TimeZone::UTC).map_err(|_| RULE)?.timestamp()
        } else {
            text.parse().map_err(|_| RULE)?
        };
        Ok(Self(timestamp))
    }
}

/// An instant of the admin API without what nobody reads in a table: `2026-11-01 08:30:00`.
pub(crate) fn brief(instant: &str) -> String {
    let seconds = instant.get(..19).unwrap_or(instant);
    seconds.replace('T', " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_a_number_and_a_unit() {
        let rows = [
            ("0s", Some(0)),
            ("45s", Some(45)),
            ("30m", Some(1800)),
            ("24h", Some(86_400)),
            ("90d", Some(7_776_000)),
            ("2w", Some(1_209_600)),
            ("", None),
            ("d", None),
            ("90", None),
            ("90 d", None),
            ("-1d", None),
            ("+1d", None),
            ("1.5h", None),
            ("1h30m", None),
            ("9\u{e9}", None),
            ("99999999999999999999d", None),
            ("18446744073709551615w", None),
        ];
        for (text, seconds) in rows {
            assert_eq!(text.parse().ok().map(Span::seconds), seconds, "{text:?}");
        }
    }

    #[test]
    fn instants_are_dates_or_instants() {
        let rows = [
            ("2026-11-01", Some("2026-11-01T00:00:00.000Z")),
            ("2026-11-01T08:30:00Z", Some("2026-11-01T08:30:00.000Z")),
            ("2026-11-01T08:30:00.1239Z", Some("2026-11-01T08:30:00.123Z")),
            ("2026-11-01T08:30:00+02:00", Some("2026-11-01T06:30:00.000Z")),
            ("2024-02-29", Some("2024-02-29T00:00:00.000Z")),
            ("2026-02-29", None),
            ("2026-13-01", None),
            ("2026-11-01T08:30:00", None),
            ("yesterday", None),
            ("", None),
        ];
        for (text, utc) in rows {
            let read = text.parse().ok().map(Instant::to_utc);
            assert_eq!(read.as_deref(), utc, "{text:?}");
        }
    }

    #[test]
    fn brief_instants_have_no_fraction() {
        assert_eq!(brief("2026-11-01T08:30:00.123Z"), "2026-11-01 08:30:00");
        assert_eq!(brief("soon"), "soon");
    }
}
