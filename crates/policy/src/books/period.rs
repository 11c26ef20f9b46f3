//! When a period of the calendar begins and ends in a time zone.
//!
//! A day begins at its first instant: at midnight, or where clocks are set forward over midnight, when they have been;
//! where midnight comes twice, at the first. So a day may last 23 or 25 hours, or any other time.

use std::ops::Range;

use jiff::Timestamp;
use jiff::civil::{Date, Weekday as CivilWeekday};
use jiff::tz::{AmbiguousOffset, TimeZone};

use crate::allowance::{Calendar, Period, Weekday};
use crate::unit::UnixMs;

/// The last instant whose periods are known, 9990-01-01T00:00:00Z: all of them end while years have four digits.
const LAST: UnixMs = UnixMs(253_086_940_800_000);

/// The period that an instant belongs to: its first instant, and the first after it. Instants before the year 0 and
/// after 9990 belong to the nearest period that is known.
#[must_use]
pub fn period_of(period: Period, calendar: &Calendar, at: UnixMs) -> Range<UnixMs> {
    let at = at.clamp(UnixMs::MIN, LAST);
    let zone = calendar.zone.rules();
    let instant = Timestamp::from_millisecond(at.0).expect("it is held within the calendar");
    let mut first = first_day(period, calendar, zone.to_datetime(instant).date());
    let mut start = first_instant(zone, first);
    loop {
        let next = next_first_day(period, first);
        let end = first_instant(zone, next);
        // Where clocks are set back over midnight, the old day comes again after the new one has begun. What has
        // begun goes on.
        if at < end {
            return start..end;
        }
        (first, start) = (next, end);
    }
}

/// The day on which the period of this day begins.
fn first_day(period: Period, calendar: &Calendar, day: Date) -> Date {
    match period {
        Period::Day => day,
        Period::Week => {
            let starts = match calendar.week_starts {
                Weekday::Monday => CivilWeekday::Monday,
                Weekday::Sunday => CivilWeekday::Sunday,
                Weekday::Saturday => CivilWeekday::Saturday,
            };
            add_days(day, -i32::from(day.weekday().since(starts)))
        }
        Period::Month => day.first_of_month(),
        Period::Quarter => add_months(day.first_of_month(), -(months_into_year(calendar, day) % 3)),
        Period::Year => add_months(day.first_of_month(), -months_into_year(calendar, day)),
    }
}

fn next_first_day(period: Period, first: Date) -> Date {
    match period {
        Period::Day => add_days(first, 1),
        Period::Week => add_days(first, 7),
        Period::Month => add_months(first, 1),
        Period::Quarter => add_months(first, 3),
        Period::Year => add_months(first, 12),
    }
}

/// How many whole months of the fiscal year have passed before the month of this day.
fn months_into_year(calendar: &Calendar, day: Date) -> i32 {
    (i32::from(day.month()) - i32::from(calendar.year_starts.number())).rem_euclid(12)
}

fn add_days(day: Date, days: i32) -> Date {
    day.saturating_add(jiff::Span::new().days(days))
}

fn add_months(day: Date, months: i32) -> Date {
    day.saturating_add(jiff::Span::new().months(months))
}

fn first_instant(zone: &TimeZone, day: Date) -> UnixMs {
    let midnight = zone.to_ambiguous_timestamp(day.at(0, 0, 0, 0));
    let instant = match midnight.offset() {
        // Clocks jump over midnight: the day begins when they do. That is the next change of the zone's rules after
        // the instant that would be midnight by the clock that is set forward already.
        AmbiguousOffset::Gap { after, .. } => {
            let before_jump = after.to_timestamp(day.at(0, 0, 0, 0)).ok();
            let jump = before_jump.and_then(|before| zone.following(before).next());
            jump.map(|jump| jump.timestamp())
        }
        AmbiguousOffset::Unambiguous { .. } | AmbiguousOffset::Fold { .. } => None,
    };
    // `compatible` takes the earlier of two midnights.
    let instant = instant.or_else(|| midnight.compatible().ok());
    UnixMs(instant.expect("years from 0 to 9999 are within the calendar").as_millisecond())
}
