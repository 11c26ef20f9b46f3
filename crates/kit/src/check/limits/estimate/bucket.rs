//! The part of the estimator for what is let in one by one.

use std::time::Duration;

use super::{Burst, Call, Estimate, Estimator, Gap, Kind, Limit, Stage, Step, rate};

/// So many ticks are enough for a rate where each is waited for, and where they come too fast for that.
const TICKS: (usize, usize) = (40, 60);

/// The fewest ticks that tell a rate: where they are so far apart, and otherwise.
const FEW: (usize, usize) = (3, 5);
const LONG: Duration = Duration::from_secs(5);

/// So many looks for each of those fall close together, and how close the looks for the first are: a part of the time
/// that has passed.
const CLOSE_LOOKS: u32 = 10;
const CLOSE: f64 = 0.06;

/// A rate that is known so well needs no more ticks: the width of its range as a part of it.
const EXACT: f64 = 0.03;

/// Calls that contradict the best rate by more requests than these come from no bucket.
const CONTRADICTED: f64 = 2.0;

/// Ticks that are so many round trips apart can be waited for.
const ROUND_TRIPS: u32 = 4;

/// Calls after which the number at once is thought over.
const SAMPLE: u32 = 16;

/// Shares of a sample that are refused: below the first there are too few calls, above the second too many.
const REFUSED: (f64, f64) = (0.3, 0.8);

/// So many samples with too few calls, and the gateway lets in more than can be sent.
const TOO_FEW: u32 = 60;

/// The fractions of the multiples of the golden ratio, by which looks fall between those before them.
const GOLDEN: f64 = 0.618_033_988_749_895;

/// Requests that are let in one by one.
#[derive(Debug, Default)]
pub(super) struct Ticks {
    /// When they were sent.
    at: Vec<Duration>,
    /// Calls since the last of them, or since the number at once was changed.
    calls: u32,
    /// How many of these were refused.
    refused: u32,
    /// How many in a row were let in at the first look.
    early: u32,
    /// When the last of those that were refused was sent.
    last_refused: Duration,
    /// When the first of these was sent.
    saturated_at: Option<Duration>,
    /// When that was. Calls that were sent before tell nothing of it.
    changed_at: Duration,
    /// How often there were too few calls.
    too_few: u32,
    /// When the next call is due.
    due: Duration,
}

impl Ticks {
    /// How far they are apart, by the last few; none while there are too few.
    fn step(&self) -> Option<Duration> {
        let last = self.at.len().checked_sub(1).filter(|last| *last >= 1)?;
        // The first comes early: some room was left.
        let first = last.saturating_sub(4).max(usize::from(last >= 2));
        Some(self.at[last].saturating_sub(self.at[first]) / u32::try_from(last - first).unwrap_or(1))
    }
}

impl Estimator {
    /// Goes on to measure a rate.
    pub(super) fn measure_rate(&mut self) -> Option<Step> {
        let last = self.bursts.last().map(|burst| burst.last_admitted).unwrap_or_default();
        let last_refused = self.last_refused().unwrap_or(last);
        let is_resolved = self.resumes.first().is_some_and(|resume| resume.polls > 0);
        self.ticks = Ticks { at: vec![last], last_refused, ..Ticks::default() };
        self.go(if is_resolved { Stage::Tick } else { Stage::Saturate { at_once: 1 } })
    }

    /// Waits for the next tick: looks for it shortly before and after it is due.
    pub(super) fn tick(&mut self, now: Duration) -> Option<Step> {
        if self.at_once > 0 {
            return Some(Step::Listen);
        }
        let (count, last) = (self.ticks.at.len(), *self.ticks.at.last()?);
        let silent = self.ticks.last_refused.saturating_sub(last);
        let Some(step) = self.ticks.step() else {
            if silent > self.terms.longest_wait {
                return self.end(Estimate::Unfinished(Gap::Shut));
            }
            let part = if silent < LONG { 0.3 } else { CLOSE };
            let look = self.ticks.last_refused.max(last) + self.least_step().max(silent.mul_f64(part));
            return Some(if now < look { Step::Wait(look) } else { Step::Send });
        };
        if count > 3 && step < self.round_trip() * ROUND_TRIPS {
            self.ticks = Ticks { at: Vec::new(), ..Ticks::default() };
            return self.go(Stage::Saturate { at_once: 1 });
        }
        if silent > step * 8 && silent > self.round_trip() * 32 {
            return self.take_for_window(last);
        }
        // Where each takes long, no more of them are waited for than it takes.
        let few = if step >= LONG { FEW.0 } else { FEW.1 };
        if count >= TICKS.0 || (count >= few && self.calls_tell_the_rate()) {
            let found = self.bucket();
            return self.end(found);
        }
        let part = |offset: f64| (count as f64 * GOLDEN + offset).fract();
        // Of those that are far apart few can be waited for, so each must tell much.
        let close = if step >= LONG && self.ticks.early < 2 { CLOSE_LOOKS } else { 0 };
        let due = match self.ticks.calls {
            look if look < close => 0.86 + 0.02 * (f64::from(look) + part(0.0)),
            // What was let in at the first look several times comes faster than was thought.
            0 => (0.8 + 0.17 * part(0.0)) * 0.5_f64.powi(self.ticks.early.saturating_sub(1).min(20) as i32),
            1 => 1.0 + 0.06 * part(0.5),
            more => 1.06 + 0.1 * 1.4_f64.powi((more - close).min(40) as i32 - 2),
        };
        let look = last + step.mul_f64(due);
        Some(if now < look { Step::Wait(look) } else { Step::Send })
    }

    /// Sends more than is let in, but not much more: evenly, as calls that arrive together tell one thing together.
    pub(super) fn saturate(&mut self, now: Duration, at_once: u32) -> Option<Step> {
        if self.ticks.at.len() > TICKS.1 || self.ticks.too_few > TOO_FEW {
            if self.at_once > 0 {
                return Some(Step::Listen);
            }
            let found = self.bucket();
            return self.end(found);
        }
        let all_refused = self.ticks.calls >= SAMPLE / 2 && self.ticks.refused == self.ticks.calls;
        if let (0, true, Some(last)) = (self.at_once, all_refused, self.last_admitted())
            && self.ticks.last_refused.saturating_sub(last) > self.silence()
        {
            return self.take_for_window(last);
        }
        if self.ticks.calls >= SAMPLE {
            let share = f64::from(self.ticks.refused) / f64::from(self.ticks.calls);
            (self.ticks.calls, self.ticks.refused) = (0, 0);
            if share < REFUSED.0 {
                self.ticks.at.clear();
                (self.ticks.saturated_at, self.ticks.too_few) = (None, self.ticks.too_few + 1);
                self.ticks.changed_at = now;
                return self.go(Stage::Saturate { at_once: (at_once * 2).min(self.terms.most_at_once) });
            }
            if share > REFUSED.1 && at_once > 1 {
                self.ticks.changed_at = now;
                return self.go(Stage::Saturate { at_once: at_once / 2 });
            }
            if share > REFUSED.1 && self.at_once == 0 {
                if self.ticks.at.is_empty() {
                    self.ticks.at.push(self.ticks.last_refused);
                }
                return self.go(Stage::Tick);
            }
        }
        if self.at_once >= at_once {
            return Some(Step::Listen);
        }
        if now < self.ticks.due {
            return Some(Step::Wait(self.ticks.due));
        }
        let uneven = 0.7 + 0.6 * (f64::from(self.calls) * GOLDEN).fract();
        self.ticks.due = now + (self.round_trip() / at_once).mul_f64(uneven);
        Some(Step::Send)
    }

    /// Longer than a gateway that lets requests in at a rate refuses all.
    fn silence(&self) -> Duration {
        let began = self.resumes.first().and_then(|resume| resume.at).unwrap_or_default();
        let since = self.log.iter().filter(|call| call.is_admitted && call.sent_at >= began).count();
        let took = self.last_admitted().unwrap_or_default().saturating_sub(began);
        let step = took / u32::try_from(since).unwrap_or(u32::MAX).max(1);
        if since < 8 { self.terms.longest_wait } else { (step * 8).max(self.round_trip() * 8) }
    }

    fn last_admitted(&self) -> Option<Duration> {
        self.log.iter().filter(|call| call.is_admitted).map(|call| call.sent_at).max()
    }

    pub(super) fn tick_answered(&mut self, call: Call) {
        let ticks = &mut self.ticks;
        let is_waited_for = self.stage == Stage::Tick;
        // What had gathered before is no tick.
        let is_after = ticks.saturated_at.is_some_and(|first| call.sent_at > first);
        if call.is_admitted && (is_waited_for || is_after) {
            ticks.at.push(call.sent_at);
        }
        if call.sent_at < ticks.changed_at {
            return;
        }
        ticks.calls += 1;
        if !call.is_admitted {
            ticks.saturated_at.get_or_insert(call.sent_at);
            ticks.refused += 1;
            ticks.last_refused = ticks.last_refused.max(call.sent_at);
        } else if is_waited_for {
            ticks.early = if ticks.calls == 1 { ticks.early + 1 } else { 0 };
            ticks.calls = 0;
        }
    }

    /// What was let in since the first wait was all, and a longer wait follows: it was a burst after all.
    fn take_for_window(&mut self, last: Duration) -> Option<Step> {
        let began = self.resumes.first().and_then(|resume| resume.at).unwrap_or(last);
        let since = self.log.iter().filter(|call| call.sent_at >= began);
        let admitted = since.filter(|call| call.is_admitted).count();
        let burst = Burst {
            began,
            admitted: u32::try_from(admitted).unwrap_or(u32::MAX),
            ramp_from: 0,
            last_admitted: last,
            first_refused: Some(self.first_refused_after(last)),
            retry_after: self.log.iter().rev().find_map(|call| call.retry_after),
        };
        (self.bursts, self.resumes) = (vec![burst], Vec::new());
        self.ticks = Ticks::default();
        self.look_from(self.first_refused_after(last))
    }

    fn first_refused_after(&self, at: Duration) -> Duration {
        let refused = self.log.iter().filter(|call| !call.is_admitted && call.sent_at >= at);
        refused.map(|call| call.sent_at).min().unwrap_or(at)
    }

    /// Whether there are ticks enough to say something.
    pub(super) fn has_ticks(&self) -> bool {
        self.ticks.at.len() >= 8 || (self.stage == Stage::Tick && self.ticks.at.len() > 2)
    }

    fn calls_tell_the_rate(&self) -> bool {
        self.fit().is_some_and(|fit| fit.most - fit.least <= fit.step * EXACT)
    }

    fn fit(&self) -> Option<rate::Fit> {
        let guess = self.ticks.step()?;
        let began = self.resumes.first()?.at?;
        let late = self.log.partition_point(|call| call.sent_at < began);
        // One that is let in alone may have come at any time of a window by the clock.
        let since = if self.bursts.first()?.admitted < 2 { late } else { 0 };
        let all = rate::fit(&self.log[since..], guess, self.round_trip(), rate::Start::Full);
        // A counter of two windows first refuses everything, and then lets in at the rate of the one before.
        let late = rate::fit(&self.log[late..], guess, self.round_trip(), rate::Start::Deep);
        match (all, late) {
            (Some(all), Some(late)) if late.excess + guess.as_secs_f64() < all.excess => Some(late),
            (all, late) => all.or(late),
        }
    }

    /// The rate that the ticks show.
    pub(super) fn bucket(&self) -> Estimate {
        let ticks = &self.ticks.at;
        let (Some(first), Some(last)) = (ticks.iter().min(), ticks.iter().max()) else {
            return Estimate::Unfinished(Gap::Strange);
        };
        let count = (ticks.len() - 1) as f64;
        let mean = last.saturating_sub(*first).as_secs_f64() / count.max(1.0);
        let (step, least, most) = match self.fit().filter(|_| self.stage == Stage::Tick) {
            // As a counter does of which the window before was not used up.
            Some(fit) if fit.excess > fit.step * CONTRADICTED => return Estimate::Unfinished(Gap::Strange),
            Some(fit) => (fit.step, fit.least, fit.most),
            None => (mean, mean * (1.0 - 2.0 / count.max(4.0)), mean * (1.0 + 2.0 / count.max(4.0))),
        };
        if step <= 0.0 {
            return Estimate::Unfinished(Gap::Strange);
        }
        let first = self.bursts.first();
        let refilled =
            first.map_or(0.0, |first| first.last_admitted.saturating_sub(first.began).as_secs_f64() / step);
        let admitted = first.map_or(1, |first| first.admitted);
        let waited = self
            .resumes
            .first()
            .map_or(0.0, |resume| resume.last_refused.saturating_sub(resume.since).as_secs_f64());
        let is_counter = waited > 3.0 * step && waited > self.round_trip().as_secs_f64() * 8.0;
        let burst = if is_counter { admitted } else { admitted.saturating_sub(refilled as u32).max(1) };
        Estimate::Limit(Limit {
            kind: if is_counter { Kind::SlidingCounter } else { Kind::Bucket },
            per_minute: 60.0 / step,
            range: (60.0 / most, 60.0 / least),
            burst,
            window: is_counter.then(|| Duration::from_secs_f64(step * f64::from(admitted))),
            counts_refused: false,
        })
    }
}
