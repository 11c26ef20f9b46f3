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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn instant(minute: &str) -> UnixMs {
        format!("{minute}:00.000Z").parse().unwrap()
    }

    fn calendar(zone: &str, week_starts: Weekday, year_starts: u8) -> Calendar {
        Calendar { zone: zone.parse().unwrap(), week_starts, year_starts: year_starts.try_into().unwrap() }
    }

    #[test]
    fn days_begin_and_end_where_people_say_so() {
        let rows = [
            ("UTC", "2026-11-22T11:30", "2026-11-22T00:00", "2026-11-23T00:00"),
            // 23 and 25 hours.
            ("Europe/Berlin", "2026-03-29T12:00", "2026-03-28T23:00", "2026-03-29T22:00"),
            ("Europe/Berlin", "2026-10-25T12:00", "2026-10-24T22:00", "2026-10-25T23:00"),
            ("America/New_York", "2026-11-01T12:00", "2026-11-01T04:00", "2026-11-02T05:00"),
            ("America/New_York", "2026-03-08T12:00", "2026-03-08T05:00", "2026-03-09T04:00"),
            // Half an hour of daylight saving.
            ("Australia/Lord_Howe", "2026-04-05T00:00", "2026-04-04T13:00", "2026-04-05T13:30"),
            ("Australia/Lord_Howe", "2026-10-04T00:00", "2026-10-03T13:30", "2026-10-04T13:00"),
            // 30 December 2011 did not exist.
            ("Pacific/Apia", "2011-12-30T09:59", "2011-12-29T10:00", "2011-12-30T10:00"),
            ("Pacific/Apia", "2011-12-30T10:00", "2011-12-30T10:00", "2011-12-31T10:00"),
            // Midnight did not exist, the day began at one; and an hour before midnight came twice.
            ("America/Sao_Paulo", "2018-11-04T02:59", "2018-11-03T03:00", "2018-11-04T03:00"),
            ("America/Sao_Paulo", "2018-11-04T03:00", "2018-11-04T03:00", "2018-11-05T02:00"),
            ("America/Sao_Paulo", "2019-02-17T02:30", "2019-02-16T02:00", "2019-02-17T03:00"),
            // The clock went from half past eleven to half past midnight.
            ("America/Toronto", "1919-03-31T12:00", "1919-03-31T04:30", "1919-04-01T04:00"),
            ("America/Toronto", "1919-03-31T04:29", "1919-03-30T05:00", "1919-03-31T04:30"),
            // A minute after midnight it was the day before once more: the new day had begun.
            ("America/St_Johns", "2010-11-07T02:29", "2010-11-06T02:30", "2010-11-07T02:30"),
            ("America/St_Johns", "2010-11-07T02:45", "2010-11-07T02:30", "2010-11-08T03:30"),
        ];
        for (zone, at, start, end) in rows {
            let found = period_of(Period::Day, &calendar(zone, Weekday::Monday, 1), instant(at));
            assert_eq!(found, instant(start)..instant(end), "{zone} {at}");
        }
    }

    #[test]
    fn longer_periods_begin_on_the_first_day_of_the_calendar() {
        use Period::{Month, Quarter, Week, Year};
        use Weekday::{Monday, Saturday, Sunday};
        let now = "2026-11-22T11:30";
        let rows = [
            // 22 November 2026 is a Sunday.
            (Week, "UTC", Monday, 1, now, "2026-11-16T00:00", "2026-11-23T00:00"),
            (Week, "UTC", Sunday, 1, now, "2026-11-22T00:00", "2026-11-29T00:00"),
            (Week, "UTC", Saturday, 1, now, "2026-11-21T00:00", "2026-11-28T00:00"),
            (Week, "Europe/Berlin", Sunday, 1, "2026-10-24T22:00", "2026-10-24T22:00", "2026-10-31T23:00"),
            (Week, "Pacific/Apia", Monday, 1, "2011-12-31T00:00", "2011-12-26T10:00", "2012-01-01T10:00"),
            (Month, "UTC", Monday, 1, "2024-02-29T23:59", "2024-02-01T00:00", "2024-03-01T00:00"),
            (Month, "Europe/Berlin", Monday, 1, "2026-10-31T23:00", "2026-10-31T23:00", "2026-11-30T23:00"),
            (Month, "Europe/Berlin", Monday, 1, "2026-10-31T22:59", "2026-09-30T22:00", "2026-10-31T23:00"),
            (Month, "Pacific/Apia", Monday, 1, "2011-12-31T00:00", "2011-12-01T10:00", "2011-12-31T10:00"),
            (Quarter, "UTC", Monday, 1, now, "2026-10-01T00:00", "2027-01-01T00:00"),
            (Quarter, "UTC", Monday, 2, now, "2026-11-01T00:00", "2027-02-01T00:00"),
            (Quarter, "UTC", Monday, 2, "2026-01-31T23:59", "2025-11-01T00:00", "2026-02-01T00:00"),
            (Quarter, "UTC", Monday, 4, now, "2026-10-01T00:00", "2027-01-01T00:00"),
            (Quarter, "UTC", Monday, 12, now, "2026-09-01T00:00", "2026-12-01T00:00"),
            (Year, "UTC", Monday, 1, now, "2026-01-01T00:00", "2027-01-01T00:00"),
            (Year, "UTC", Monday, 2, "2026-01-31T23:59", "2025-02-01T00:00", "2026-02-01T00:00"),
            (Year, "UTC", Monday, 4, now, "2026-04-01T00:00", "2027-04-01T00:00"),
            (Year, "UTC", Monday, 10, "2026-09-30T23:59", "2025-10-01T00:00", "2026-10-01T00:00"),
            (Year, "America/New_York", Monday, 10, now, "2026-10-01T04:00", "2027-10-01T04:00"),
        ];
        for (period, zone, week_starts, year_starts, at, start, end) in rows {
            let found = period_of(period, &calendar(zone, week_starts, year_starts), instant(at));
            assert_eq!(found, instant(start)..instant(end), "{period:?} {zone} {week_starts:?} {at}");
        }
    }

    #[test]
    fn instants_beyond_the_calendar_belong_to_its_ends() {
        for at in [i64::MIN, UnixMs::MIN.0, LAST.0, UnixMs::MAX.0, i64::MAX] {
            for zone in ["UTC", "Pacific/Kiritimati", "Pacific/Pago_Pago"] {
                let found = period_of(Period::Year, &calendar(zone, Weekday::Monday, 12), UnixMs(at));
                assert!(found.contains(&UnixMs(at).clamp(UnixMs::MIN, LAST)), "{zone} {found:?}");
            }
        }
    }

    proptest! {
        #[test]
        fn periods_follow_one_another_without_a_gap(
            zone in prop::sample::select(&[
                "UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Pacific/Apia",
                "America/Sao_Paulo", "America/St_Johns", "America/Toronto", "Africa/Casablanca", "Asia/Gaza",
                "America/Havana", "Pacific/Kwajalein", "Antarctica/Troll", "Asia/Kathmandu",
            ]),
            period in prop::sample::select(&[
                Period::Day, Period::Week, Period::Month, Period::Quarter, Period::Year,
            ]),
            week_starts in prop::sample::select(&[Weekday::Monday, Weekday::Sunday, Weekday::Saturday]),
            year_starts in 1..=12_u8,
            // The years 1900 to 2100.
            at in -2_208_988_800_000..4_102_444_800_000_i64,
        ) {
            let calendar = calendar(zone, week_starts, year_starts);
            let of = |at| period_of(period, &calendar, at);
            let found = of(UnixMs(at));
            prop_assert!(found.contains(&UnixMs(at)));
            prop_assert_eq!(&of(found.start), &found);
            prop_assert_eq!(&of(UnixMs(found.end.0 - 1)), &found);
            prop_assert_eq!(of(found.end).start, found.end);
            prop_assert_eq!(of(UnixMs(found.start.0 - 1)).end, found.start);
        }
    }
}
