//! What a running period will have cost at its end, if it goes on as so far.

use crate::{fault::Fault, time::Instant};

/// A period that has begun and not ended.
#[derive(Debug, Clone, Copy)]
pub(super) struct Running {
    from: Instant,
    to: Instant,
    now: Instant,
}

impl Running {
    /// The period from one instant to another, or where neither is given the running month in UTC.
    ///
    /// # Errors
    ///
    /// [`Fault::Unfit`] unless the period has begun and not ended.
    pub(super) fn of(from: Option<Instant>, to: Option<Instant>, now: Instant) -> Result<Self, Fault> {
        let (from, to) = match (from, to) {
            (None, None) => now.month(),
            (Some(from), Some(to)) => (from, to),
            _ => {
                return Err(unfit(
                    "a period has a beginning and an end",
                    "give both --from and --to, or neither.",
                ));
            }
        };
        if from < now && now < to {
            Ok(Self { from, to, now })
        } else {
            let cure = "let --from lie in the past and --to in the future.";
            Err(unfit("only a period that runs can be forecast", cure))
        }
    }

    /// The first instant that counts.
    pub(super) fn from(&self) -> Instant {
        self.from
    }

    /// The first instant after the period.
    pub(super) fn to(&self) -> Instant {
        self.to
    }

    /// What so much so far will have become at the end: in proportion to the time, rounded half away from zero.
    pub(super) fn at_end(&self, so_far: i128) -> i128 {
        let whole = i128::from(self.to.ms_since(self.from));
        // At least 1, since the period has begun.
        let past = i128::from(self.now.ms_since(self.from)).max(1);
        // Both factors are far below the square root of the range: 64 bits of money, 48 bits of time.
        let (product, half) = (so_far * whole, past / 2);
        if product < 0 { (product - half) / past } else { (product + half) / past }
    }
}

fn unfit(rule: &str, cure: &str) -> Fault {
    Fault::Unfit { what: "--forecast", rule: rule.to_owned(), cure: cure.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Instant {
        text.parse().unwrap()
    }

    #[test]
    fn what_was_used_grows_in_proportion_to_the_time() {
        let now = at("2026-11-22T12:00:00Z");
        let running = Running::of(None, None, now).unwrap();
        assert_eq!((running.from(), running.to()), (at("2026-11-01"), at("2026-12-01")));
        // 21.5 of 30 days.
        let most = i128::from(i64::MAX);
        let rows =
            [(0, 0), (215, 300), (1, 1), (2, 3), (-2, -3), (-215, -300), (most, 12_869_821_446_774_105_777)];
        for (so_far, end) in rows {
            assert_eq!(running.at_end(so_far), end, "{so_far}");
        }
        let halves = Running::of(Some(at("2026-11-21")), Some(at("2026-11-25")), at("2026-11-23")).unwrap();
        assert_eq!(halves.at_end(21), 42);
        let first = Running::of(Some(now), Some(at("2026-12-01")), at("2026-11-22T12:00:00.001Z")).unwrap();
        assert_eq!(first.at_end(1), i128::from(at("2026-12-01").ms_since(now)));
    }

    #[test]
    fn only_a_running_period_is_forecast() {
        let now = at("2026-12-31T23:59:59Z");
        assert_eq!(Running::of(None, None, now).unwrap().to(), at("2027-01-01"));
        for (from, to) in [
            (Some("2026-12-01"), None),
            (None, Some("2027-01-01")),
            (Some("2026-11-01"), Some("2026-12-01")),
            (Some("2027-01-01"), Some("2027-02-01")),
            (Some("2027-01-01"), Some("2026-01-01")),
        ] {
            let read = |text: Option<&str>| text.map(at);
            assert!(Running::of(read(from), read(to), now).is_err(), "{from:?} {to:?}");
        }
    }
}
