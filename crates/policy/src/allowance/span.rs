//! Spans of time: rates, periods of the calendar in a time zone, rolling windows.

use std::fmt;
use std::str::FromStr;

use jiff::tz::TimeZone;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::text;

/// Per what an amount is granted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Span {
    /// At the same time.
    AtOnce,
    /// Refilled steadily, the amount in `per_ms` milliseconds, up to `burst` in store.
    Rate {
        /// The time in which the whole amount is refilled, in milliseconds.
        per_ms: i64,
        /// The most that can be in store.
        burst: u64,
    },
    /// Granted anew at the start of each calendar period.
    Period {
        /// The kind of period.
        period: Period,
        /// Where days begin, and where years do.
        calendar: Calendar,
    },
    /// In every window of this length, whenever it begins.
    Rolling {
        /// The length, in milliseconds.
        ms: i64,
    },
}

/// A period of the calendar.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Period {
    /// From midnight to midnight.
    Day,
    /// Seven days.
    Week,
    /// From the first of a month to the first of the next.
    Month,
    /// Three months of the fiscal year.
    Quarter,
    /// Twelve months from the first of the fiscal year.
    Year,
}

impl Period {
    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Day => "day",
            Self::Week => "week",
            Self::Month => "month",
            Self::Quarter => "quarter",
            Self::Year => "year",
        }
    }
}

/// Where days, weeks and years begin.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Calendar {
    /// The zone in whose local time days begin.
    pub zone: Zone,
    /// The first day of a week.
    pub week_starts: Weekday,
    /// The month on whose first day the fiscal year begins.
    pub year_starts: MonthNumber,
}

/// A day of the week.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Weekday {
    /// As ISO 8601 has it.
    #[default]
    Monday,
    /// As in North America.
    Sunday,
    /// As in much of the Arab world.
    Saturday,
}

/// A month of the year, 1 to 12.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "u8", into = "u8")]
pub struct MonthNumber(u8);

impl MonthNumber {
    /// The number, 1 to 12.
    #[must_use]
    pub fn number(self) -> u8 {
        self.0
    }
}

impl Default for MonthNumber {
    fn default() -> Self {
        Self(1)
    }
}

impl TryFrom<u8> for MonthNumber {
    type Error = &'static str;
    fn try_from(number: u8) -> Result<Self, Self::Error> {
        if (1..=12).contains(&number) { Ok(Self(number)) } else { Err("a month is a number from 1 to 12") }
    }
}

impl From<MonthNumber> for u8 {
    fn from(month: MonthNumber) -> Self {
        month.0
    }
}

/// A time zone of the IANA database, such as `Europe/Berlin`. Its rules, daylight saving included, are built into the
/// program, so that all instances agree whatever their machines know.
#[derive(Clone, PartialEq, Eq)]
pub struct Zone(TimeZone);

/// A text that names no time zone.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no such time zone; write an IANA name such as Europe/Berlin, or UTC")]
pub struct NoSuchZone;

impl Zone {
    /// Coordinated universal time.
    #[must_use]
    pub fn utc() -> Self {
        Self(TimeZone::UTC)
    }

    /// Its rules.
    #[must_use]
    pub fn rules(&self) -> &TimeZone {
        &self.0
    }

    /// Its IANA name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.0.iana_name().unwrap_or("UTC")
    }
}

impl Default for Zone {
    fn default() -> Self {
        Self::utc()
    }
}

impl FromStr for Zone {
    type Err = NoSuchZone;
    fn from_str(text: &str) -> Result<Self, NoSuchZone> {
        let zone = jiff::tz::TimeZoneDatabase::bundled().get(text).map_err(|_| NoSuchZone)?;
        Ok(Self(zone))
    }
}

impl fmt::Display for Zone {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.name())
    }
}

impl fmt::Debug for Zone {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.name(), formatter)
    }
}

impl Serialize for Zone {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl<'de> Deserialize<'de> for Zone {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        text::parse(deserializer, "the IANA name of a time zone")
    }
}
