//! The clock of the books: the system's, made to go forward, and not to leap.
//!
//! A leap forward would end periods and let rates drain that are not over, and could not be taken back. So a leap is
//! believed only when it has lasted for five minutes; until then this clock goes on from where it was. A fault of the
//! time service that is mended meanwhile is never noticed; after a real leap, as when a machine wakes up, the books are
//! those minutes late.
//!
//! The books refuse to go back in time. If the system's clock is set back, they would stand still until it has caught
//! up, and every rate would stay as it is for so long. So this clock then goes on at half its pace until the system's
//! has caught up: nothing is granted twice, and nobody waits for more than twice as long. A restart takes
//! the system's time at once, and counts again from the ledger.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tollgate_policy::unit::UnixMs;

/// A system's clock that is ahead by more than this has leapt.
const LEAP_MS: i64 = 10_000;
/// How long a leap has to last before it is believed.
const TRIAL: Duration = Duration::from_secs(300);

/// A clock that goes forward.
pub(crate) struct Steady(Mutex<Reading>);

/// What it said last, and when that was.
#[derive(Debug, Clone, Copy)]
struct Reading {
    at: UnixMs,
    when: Instant,
    /// Since when the system's clock has been ahead, if it has.
    leapt: Option<Instant>,
}

impl Steady {
    pub(crate) fn new(wall: UnixMs) -> Self {
        Steady(Mutex::new(Reading { at: wall, when: Instant::now(), leapt: None }))
    }

    /// The time, where the system's clock says `wall`.
    pub(crate) fn now(&self, wall: UnixMs) -> UnixMs {
        let mut reading = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let elapsed = reading.when.elapsed();
        *reading = step(*reading, wall, elapsed);
        reading.at
    }
}

fn step(last: Reading, wall: UnixMs, elapsed: Duration) -> Reading {
    // Whole milliseconds are taken, the rest stays for the next time.
    let own = |parts: u64| {
        let ms = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX) / parts;
        let taken = Duration::from_millis(ms.saturating_mul(parts));
        let at = last.at.saturating_add_ms(i64::try_from(ms).unwrap_or(i64::MAX));
        Reading { at, when: last.when + taken, leapt: None }
    };
    let now = last.when + elapsed;
    if wall < last.at {
        return own(2);
    }
    let leapt = last.leapt.unwrap_or(now);
    if wall.ms_since(own(1).at) > LEAP_MS && now.saturating_duration_since(leapt) < TRIAL {
        return Reading { leapt: Some(leapt), ..own(1) };
    }
    Reading { at: wall, when: now, leapt: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_is_set_back_slows_this_one_down_until_they_agree() {
        let mut reading = Reading { at: UnixMs(1_000_000), when: Instant::now(), leapt: None };
        let mut tick = |wall: i64, ms: u64| {
            let elapsed = Duration::from_millis(ms);
            reading = step(reading, UnixMs(wall), elapsed);
            // What was not taken is seen again with the next reading.
            reading.at.0
        };
        assert_eq!(tick(1_000_100, 100), 1_000_100, "it follows");
        assert_eq!(tick(1_010_100, 0), 1_010_100, "also a little ahead");
        for second in 1..=300 {
            assert_eq!(tick(4_600_100 + second * 1_000, 1_000), 1_010_100 + second * 1_000, "not far ahead");
        }
        assert_eq!(tick(4_901_100, 1_000), 4_901_100, "but in the end");
        let mut wall = 1_301_100;
        let mut last = 4_901_100;
        for _ in 0..7200 {
            wall += 1_000;
            let now = tick(wall, 1_000);
            assert!(now == last + 500 || now == wall, "{now} after {last}");
            last = now;
        }
        assert_eq!(last, wall, "an hour is caught up in two");
    }

    #[test]
    fn a_leap_that_is_taken_back_is_never_seen() {
        let day_ms = 86_400_000;
        let mut reading = Reading { at: UnixMs(1_000_000), when: Instant::now(), leapt: None };
        for half_second in 1..=1_200 {
            // Twice, for four minutes at most.
            let ahead = half_second % 600 < 480 && half_second < 1_100;
            let wall = 1_000_000 + half_second * 500 + if ahead { day_ms } else { 0 };
            reading = step(reading, UnixMs(wall), Duration::from_micros(500_000));
            assert_eq!(reading.at.0, 1_000_000 + half_second * 500);
        }
    }

    #[test]
    fn time_asked_for_often_still_passes() {
        let start = Instant::now();
        let mut reading = Reading { at: UnixMs(1_000_000), when: start, leapt: None };
        for micros in (0..1_000_000).step_by(300) {
            let elapsed = (start + Duration::from_micros(micros)).saturating_duration_since(reading.when);
            reading = step(reading, UnixMs(0), elapsed);
        }
        assert_eq!(reading.at, UnixMs(1_000_499));
        // While a leap is on trial, too.
        let mut reading = Reading { at: UnixMs(1_000_000), when: start, leapt: None };
        for micros in (0..1_000_000).step_by(300) {
            let elapsed = (start + Duration::from_micros(micros)).saturating_duration_since(reading.when);
            reading = step(reading, UnixMs(9_000_000), elapsed);
        }
        assert_eq!(reading.at, UnixMs(1_000_999));
    }
}
