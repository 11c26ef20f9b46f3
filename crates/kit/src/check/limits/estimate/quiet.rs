//! The part of the estimator that leaves a gateway alone, to see whether refused requests count.
//!
//! Where they do, each look for room takes some of it, or puts it off. Two signs lead here: the second burst was smaller
//! than the first by no more than what was refused in between, or nothing was let in as long as somebody asked. After a
//! time without any request a gateway that counts them lets in as much as at first.

use std::time::Duration;

use super::{Burst, Call, Estimate, Estimator, Gap, Kind, Limit, SAME_BURST, Stage, Step, window::round};

/// A burst is the same as another if it differs by so many percent at most.
const SAME_PERCENT: u32 = 3;

/// Fewer tell nothing: a bucket may have filled up in that time.
const FEWEST: u32 = 3;

/// A burst that is smaller by one part in so many is another one.
const SMALLER: u32 = 200;

/// A window without a round length is known if its bounds are no further apart than this.
const KNOWN: f64 = 1.15;

/// A time without requests, and the burst behind it.
#[derive(Debug)]
pub(super) struct Quiet {
    /// Whether nothing was let in before.
    is_shut: bool,
    /// When the last request before it was refused.
    since: Duration,
    until: Duration,
    began: Duration,
    admitted: u32,
    last_admitted: Duration,
    first_refused: Option<Duration>,
    retry_after: Option<u64>,
    rounds: u32,
}

impl Estimator {
    /// Whether the second burst is so much smaller that refused requests may be what is missing: those within the time
    /// before it that the first wait took, as the window is no longer.
    pub(super) fn may_count_refused(&self, first: Burst, second: Burst) -> bool {
        let missing = first.admitted.saturating_sub(second.admitted);
        let waited = second.began.saturating_sub(first.began);
        let window = second.last_admitted.saturating_sub(waited)..=second.last_admitted;
        let refused =
            self.log.iter().filter(|call| !call.is_admitted && window.contains(&call.sent_at)).count();
        let is_smaller = first.admitted >= FEWEST && missing > first.admitted / SMALLER;
        self.quiet.is_none() && is_smaller && missing as usize <= refused
    }

    /// Waits as long as the first wait took, but without a look.
    pub(super) fn doubt(&mut self, now: Duration) -> Option<Step> {
        let (first, opened) = (self.bursts.first()?, self.resumes.first()?.at?);
        let length = opened.saturating_sub(first.began).mul_f64(1.05);
        self.be_quiet(now, length, false, 1)
    }

    /// Nothing was let in for the longest wait: leaves it alone for half of that, twice. Where it says that it takes
    /// longer, it is believed.
    pub(super) fn leave_alone(&mut self, now: Duration) -> Option<Step> {
        let said = self.log.iter().rev().find(|call| !call.is_admitted).and_then(|call| call.retry_after);
        let said = Duration::from_secs(said.unwrap_or(0));
        if said > self.terms.longest_wait || self.quiet.is_some() {
            return self.end_early(Gap::Shut);
        }
        let length = (self.terms.longest_wait / 2).max(said + self.round_trip());
        self.be_quiet(now, length, true, 1)
    }

    fn be_quiet(&mut self, now: Duration, length: Duration, is_shut: bool, rounds: u32) -> Option<Step> {
        let since = self.last_refused().unwrap_or(now);
        let until = since + length;
        self.quiet = Some(Quiet {
            is_shut,
            since,
            until,
            began: until,
            admitted: 0,
            last_admitted: until,
            first_refused: None,
            retry_after: None,
            rounds,
        });
        self.go(Stage::Quiet)
    }

    pub(super) fn quiet(&mut self, now: Duration) -> Option<Step> {
        let first = self.bursts.first()?.admitted;
        let quiet = self.quiet.as_mut()?;
        if now < quiet.until {
            return Some(Step::Wait(quiet.until));
        }
        if quiet.admitted == 0 && self.at_once == 0 && quiet.first_refused.is_none() {
            (quiet.began, quiet.last_admitted) = (now, now);
        }
        if quiet.first_refused.is_some() || quiet.admitted + self.at_once > most_same(first) {
            return if self.at_once > 0 { Some(Step::Listen) } else { self.quiet_ended(now) };
        }
        let most = (1 + quiet.admitted / 4).min(self.terms.most_at_once);
        Some(if self.at_once < most { Step::Send } else { Step::Listen })
    }

    pub(super) fn quiet_answered(&mut self, call: Call) {
        let Some(quiet) = &mut self.quiet else { return };
        if call.is_admitted {
            quiet.admitted += 1;
            quiet.last_admitted = quiet.last_admitted.max(call.sent_at);
        } else {
            let first = quiet.first_refused.map_or(call.sent_at, |first| first.min(call.sent_at));
            quiet.first_refused = Some(first);
            quiet.retry_after = call.retry_after.or(quiet.retry_after);
        }
    }

    fn quiet_ended(&mut self, now: Duration) -> Option<Step> {
        let Quiet { is_shut, since, until, admitted, rounds, .. } = *self.quiet.as_ref()?;
        let (first, second) = (self.bursts.first()?.admitted, self.bursts.last()?.admitted);
        // As much as at first, and more of what was missing than not.
        let least = (first - first * SAME_PERCENT / 100).max(second.midpoint(first));
        let is_same = (least..=most_same(first)).contains(&admitted);
        match (is_shut, is_same) {
            (true, _) if admitted == 0 => self.end(Estimate::Unfinished(Gap::Shut)),
            // A long window may have ended meanwhile, but not twice.
            (true, _) if rounds == 1 => self.be_quiet(now, until.saturating_sub(since), true, 2),
            (true, _) => {
                let found = self.counts_refused();
                self.end(found)
            }
            (false, true) => {
                let found = self.window_of_all();
                self.end(found)
            }
            (false, false) => self.doubt_ended(),
        }
    }

    /// They do not count.
    fn doubt_ended(&mut self) -> Option<Step> {
        let ([first, second], Some(quiet)) = (&mut self.bursts[..], &self.quiet) else { return None };
        let share = if first.admitted < 8 { SAME_BURST.1 } else { SAME_BURST.0 };
        if f64::from(second.admitted) < f64::from(first.admitted) * share {
            second.last_admitted = quiet.last_admitted;
            return self.measure_rate();
        }
        // The first burst met the border of two windows. This one takes its place.
        let burst = Burst {
            began: quiet.began,
            admitted: quiet.admitted,
            ramp_from: 0,
            last_admitted: quiet.last_admitted,
            first_refused: quiet.first_refused,
            retry_after: quiet.retry_after,
        };
        (self.bursts, self.resumes) = (vec![burst], Vec::new());
        self.go(Stage::Burst)
    }

    /// The window over all requests: what it lets in is known. Within its length there were that many before a look that
    /// was refused, and fewer before the one that was let in.
    fn window_of_all(&self) -> Estimate {
        let (Some(resume), Some(quiet)) = (self.resumes.first(), &self.quiet) else {
            return Estimate::Unfinished(Gap::Strange);
        };
        let until = |at| self.time_of(quiet.admitted, at);
        let (Some(least), Some(most)) =
            (until(resume.last_refused), until(resume.at.unwrap_or(resume.last_refused)))
        else {
            return self.counts_refused();
        };
        let (least, most) = (least.min(most).max(Duration::from_millis(1)), least.max(most));
        let window = match round((least, most)) {
            Some(window) => window,
            None if most <= least.mul_f64(KNOWN) => (least + most) / 2,
            None => return self.counts_refused(),
        };
        let per_minute = |window: Duration| f64::from(quiet.admitted) * 60.0 / window.as_secs_f64();
        Estimate::Limit(Limit {
            kind: Kind::SlidingWindow,
            per_minute: per_minute(window),
            range: (per_minute(most), per_minute(least)),
            burst: quiet.admitted,
            window: Some(window),
            counts_refused: true,
        })
    }

    /// The time in which so many requests were sent, up to this instant.
    fn time_of(&self, count: u32, until: Duration) -> Option<Duration> {
        let mut sent: Vec<Duration> =
            self.log.iter().map(|call| call.sent_at).filter(|at| *at < until).collect();
        sent.sort_unstable();
        let first = sent.len().checked_sub(count as usize)?;
        Some(until.saturating_sub(*sent.get(first)?))
    }

    fn counts_refused(&self) -> Estimate {
        let (Some(quiet), Some(resume)) = (&self.quiet, self.resumes.first()) else {
            return Estimate::Unfinished(Gap::Strange);
        };
        Estimate::Unfinished(Gap::CountsRefused {
            asked: resume.last_refused.saturating_sub(resume.since),
            quiet: quiet.until.saturating_sub(quiet.since),
            admitted: quiet.admitted,
        })
    }

    /// From when on refusals tell how honest they are: each request before put off what they had said.
    pub(super) fn quiet_since(&self) -> Option<Duration> {
        let is_counted = match self.found? {
            Estimate::Limit(limit) => limit.counts_refused,
            Estimate::Unfinished(gap) => matches!(gap, Gap::CountsRefused { .. }),
            Estimate::NoLimit { .. } => false,
        };
        self.quiet.as_ref().filter(|_| is_counted).map(|quiet| quiet.since)
    }
}

/// The most that is still the same as a burst of so many.
fn most_same(first: u32) -> u32 {
    first + first * SAME_PERCENT / 100
}
