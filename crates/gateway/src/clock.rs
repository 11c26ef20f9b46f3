//! The clock of the books: the system's, made to go forward.
//!
//! The books refuse to go back in time. If the system's clock is set back, they would stand still until it has caught
//! up, and every rate would stay as it is for so long. So this clock then goes on at half its pace until the system's
//! has caught up: nothing is granted twice, and nobody waits for more than twice as long.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tollgate_policy::unit::UnixMs;

/// A clock that goes forward.
pub(crate) struct Steady(Mutex<Reading>);

/// What it said last, and when that was.
#[derive(Debug, Clone, Copy)]
struct Reading {
    at: UnixMs,
    when: Instant,
}

impl Steady {
    pub(crate) fn new(wall: UnixMs) -> Self {
        Steady(Mutex::new(Reading { at: wall, when: Instant::now() }))
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
    if wall >= last.at {
        return Reading { at: wall, when: last.when + elapsed };
    }
    // Whole milliseconds are taken, the rest stays for the next time.
    let half = i64::try_from(elapsed.as_millis() / 2).unwrap_or(i64::MAX);
    let taken = Duration::from_millis(u64::try_from(half).unwrap_or_default().saturating_mul(2));
    Reading { at: last.at.saturating_add_ms(half), when: last.when + taken }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_is_set_back_slows_this_one_down_until_they_agree() {
        let mut reading = Reading { at: UnixMs(1_000_000), when: Instant::now() };
        let mut tick = |wall: i64, ms: u64| {
            let elapsed = Duration::from_millis(ms);
            reading = step(reading, UnixMs(wall), elapsed);
            // What was not taken is seen again with the next reading.
            reading.at.0
        };
        assert_eq!(tick(1_000_100, 100), 1_000_100, "it follows");
        assert_eq!(tick(4_600_100, 0), 4_600_100, "also a leap forward");
        let mut wall = 1_000_100;
        let mut last = 4_600_100;
        for _ in 0..7200 {
            wall += 1_000;
            let now = tick(wall, 1_000);
            assert!(now == last + 500 || now == wall, "{now} after {last}");
            last = now;
        }
        assert_eq!(last, wall, "an hour is caught up in two");
    }

    #[test]
    fn time_asked_for_often_still_passes() {
        let start = Instant::now();
        let mut reading = Reading { at: UnixMs(1_000_000), when: start };
        for micros in (0..1_000_000).step_by(300) {
            let elapsed = (start + Duration::from_micros(micros)).saturating_duration_since(reading.when);
            reading = step(reading, UnixMs(0), elapsed);
        }
        assert_eq!(reading.at, UnixMs(1_000_499));
    }
}
