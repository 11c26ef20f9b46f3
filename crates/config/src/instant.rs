//! Instants: a day, or a day and a time.

use crate::leaf::{Fault, leaf, quote};
use jiff::{Timestamp, civil::Date};
use std::{fmt, str::FromStr};
use tollgate_policy::{allowance::Zone, unit::UnixMs};

/// An instant as people write it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Instant {
    /// The beginning of a day, in a time zone that stands elsewhere.
    Day(Date),
    /// An instant that stands for itself.
    At(UnixMs),
}

impl Instant {
    /// The instant itself. A day begins at its first instant in the zone, which is not always midnight.
    #[must_use]
    pub fn resolve(self, zone: &Zone) -> UnixMs {
        match self {
            Self::At(at) => at,
            Self::Day(date) => date
                .to_zoned(zone.rules().clone())
                // Only the very first and last days of all time have no instant in every zone.
                .map_or(UnixMs::MAX, |start| UnixMs(start.timestamp().as_millisecond())),
        }
    }
}

impl FromStr for Instant {
    type Err = Fault;

    fn from_str(text: &str) -> Result<Self, Fault> {
        let day = text.parse::<Date>().ok().filter(|date| date.to_string() == text).map(Self::Day);
        let at = || text.parse::<Timestamp>().ok().map(|at| Self::At(UnixMs(at.as_millisecond())));
        let in_range = |instant: &Self| match instant {
            Self::Day(date) => date.year() >= 0,
            Self::At(at) => (UnixMs::MIN..=UnixMs::MAX).contains(at),
        };
        day.or_else(at).filter(in_range).ok_or_else(|| {
            let cure =
                "write a day as in 2026-12-31, or a day, a time and a zone as in 2026-12-31T18:00:00Z.";
            Fault::new(format!("{} is not an instant", quote(text)), cure)
        })
    }
}

impl fmt::Display for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Day(date) => date.fmt(f),
            Self::At(at) => at.fmt(f),
        }
    }
}

leaf!(Instant, "tollgate-instant");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_begins_where_the_zone_says() {
        let rows = [
            ("2026-12-31", "UTC", "2026-12-31T00:00:00.000Z"),
            ("2026-12-31", "Europe/Berlin", "2026-12-30T23:00:00.000Z"),
            // Midnight did not happen on this day: clocks went from 24:00 to 01:00.
            ("2026-04-24", "Africa/Cairo", "2026-04-23T22:00:00.000Z"),
            ("2026-12-31T18:00:00Z", "Europe/Berlin", "2026-12-31T18:00:00.000Z"),
            ("2026-12-31T18:00:00+02:00", "UTC", "2026-12-31T16:00:00.000Z"),
            ("2026-12-31T18:00:00.250Z", "UTC", "2026-12-31T18:00:00.250Z"),
        ];
        for (text, zone, at) in rows {
            let instant: Instant = text.parse().unwrap();
            assert_eq!(instant.resolve(&zone.parse().unwrap()).to_string(), at, "{text} in {zone}");
            assert_eq!(instant.to_string().parse(), Ok(instant), "{text}");
        }
    }

    #[test]
    fn other_texts_are_refused() {
        let bad =
            ["", "tomorrow", "2026-13-01", "2026-02-30", "31.12.2026", "2026-12", "2026-12-31T18:00:00"];
        for text in bad {
            assert!(text.parse::<Instant>().is_err(), "{text:?}");
        }
    }
}
