//! The estimator: finds out, call by call, how much a gateway lets in and how it counts. It knows no clock and no socket;
//! it is told what was sent when and what came of it, and says what to do next.
//!
//! First as much as possible is sent until something is refused: that counts what is let in at once. Then one call after
//! the other looks for the moment at which something is let in again, and as much as possible is sent again. A window
//! lets in as much as before, and a third such moment tells its length. Otherwise requests are let in one by one, and
//! so many of them in so much time are the rate. Calls that are refused may cost as much as others, so the moments are
//! looked for in steps that grow with the time that has passed, and by what the refusal itself says of its end.
//!
//! Two kinds would be taken for others: a limit of requests at once ([`crowd`]), and one that counts what it refuses
//! ([`quiet`]).

use std::time::Duration;

use bucket::Ticks;
use crowd::Crowd;
use quiet::Quiet;

mod bucket;
mod crowd;
mod quiet;
mod rate;
#[cfg(test)]
mod tests;
mod window;

/// What the estimator may do.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Terms {
    /// Calls in all.
    pub(crate) most_calls: u32,
    /// Calls after which a gateway that has refused none is taken for one without a limit.
    pub(crate) most_unlimited: u32,
    /// The same, where a limit of requests at once is found and these are few.
    pub(crate) most_alone: u32,
    /// Calls at once.
    pub(crate) most_at_once: u32,
    /// How long a gateway may refuse everything.
    pub(crate) longest_wait: Duration,
    /// How long all may take from the first refusal on.
    pub(crate) longest: Duration,
    /// How long a request takes that should take its time, at least.
    pub(crate) hold: Duration,
}

/// One call that was answered. Instants count from the start of the estimate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Call {
    /// When it was sent.
    pub(crate) sent_at: Duration,
    /// When its answer came.
    pub(crate) answered_at: Duration,
    /// Whether it was let in.
    pub(crate) is_admitted: bool,
    /// After how many seconds there is room, if the refusal says so.
    pub(crate) retry_after: Option<u64>,
}

/// What to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// Send a call now, and ask again.
    Send,
    /// Ask again at this instant, or when an answer comes.
    Wait(Duration),
    /// Ask again when an answer comes.
    Listen,
    /// Nothing more.
    Done,
}

/// What was found.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Estimate {
    /// This limit.
    Limit(Limit),
    /// None: so many calls were let in, in so much time.
    NoLimit {
        /// How many calls.
        calls: u32,
        /// From the first to the last.
        took: Duration,
    },
    /// Not enough, for this reason.
    Unfinished(Gap),
}

/// Why there is no estimate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Gap {
    /// It was stopped.
    Stopped,
    /// As many calls as may be sent were sent.
    Calls,
    /// Nothing was let in for the longest wait.
    Shut,
    /// It took longer than it may.
    Time,
    /// Refused requests count, so that what is looked for is put off by each look.
    CountsRefused {
        /// For how long nothing was let in while it was asked.
        asked: Duration,
        /// After how long without a request something was.
        quiet: Duration,
        /// How many requests that was.
        admitted: u32,
    },
    /// What was let in fits no limit that is known here.
    Strange,
}

/// A limit as it is enforced.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Limit {
    /// How it counts.
    pub(crate) kind: Kind,
    /// Requests per minute.
    pub(crate) per_minute: f64,
    /// What these are at least and at most, as far as the calls tell.
    pub(crate) range: (f64, f64),
    /// Requests that are let in at once.
    pub(crate) burst: u32,
    /// The window, where there is one.
    pub(crate) window: Option<Duration>,
    /// Whether requests count that are refused.
    pub(crate) counts_refused: bool,
}

/// How a limit counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Anew in each window, which begins with a request, or with the clock and it could not be told.
    FixedWindow,
    /// Anew in each window, which begins by the clock.
    ClockWindow,
    /// What was let in within the last window.
    SlidingWindow,
    /// The same, estimated from the counts of two windows.
    SlidingCounter,
    /// Room comes back at a rate, up to a burst: a token bucket, a leaky bucket, or GCRA.
    Bucket,
}

/// From this share of the first burst on, the second is a window's: the first may have met the border of two windows.
/// Few requests must be more alike.
const SAME_BURST: (f64, f64) = (0.45, 0.8);

/// The estimator.
#[derive(Debug)]
pub(crate) struct Estimator {
    terms: Terms,
    log: Vec<Call>,
    calls: u32,
    at_once: u32,
    /// The most that were under way in a first burst.
    most_under_way: u32,
    stage: Stage,
    /// By when it must end.
    deadline: Option<Duration>,
    bursts: Vec<Burst>,
    resumes: Vec<Resume>,
    /// Whether a second request was let in right behind the one that ended the second wait.
    second_follows: Option<bool>,
    ticks: Ticks,
    crowd: Crowd,
    /// How many are let in at once, where that is what is limited.
    at_once_limit: Option<u32>,
    quiet: Option<Quiet>,
    found: Option<Estimate>,
}

/// What the estimator is at.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Stage {
    /// Sending as much as possible.
    Burst,
    /// Looking for the moment at which something is let in again.
    Search,
    /// Leaving a pause within a burst: between the first and the second request of a window, by which a sliding one
    /// shows, and between the tries to fill one that opens little by little.
    Pause { until: Duration },
    /// Sending one after the other, as something was let in as soon as nothing was under way.
    Alone,
    /// Sending too many at once.
    Crowd,
    /// Leaving it alone for a time, and sending as much as possible again.
    Quiet,
    /// Sending one more request behind the first of the third window.
    Follow,
    /// Waiting for each tick of a bucket.
    Tick,
    /// Sending more than a fast bucket lets in.
    Saturate { at_once: u32 },
    /// Done.
    Done,
}

/// Requests that were sent as fast as possible, until one was refused.
#[derive(Debug, Clone, Copy)]
struct Burst {
    began: Duration,
    admitted: u32,
    /// How many were let in before the last pause.
    ramp_from: u32,
    last_admitted: Duration,
    first_refused: Option<Duration>,
    retry_after: Option<u64>,
}

/// The moment at which something is let in again: after the last refusal and not after the first admission.
#[derive(Debug, Clone, Copy)]
struct Resume {
    since: Duration,
    last_refused: Duration,
    at: Option<Duration>,
    polls: u32,
}

impl Estimator {
    /// One that has done nothing yet.
    pub(crate) fn new(terms: Terms) -> Self {
        Self {
            terms,
            log: Vec::new(),
            calls: 0,
            at_once: 0,
            most_under_way: 0,
            stage: Stage::Burst,
            deadline: None,
            bursts: Vec::new(),
            resumes: Vec::new(),
            second_follows: None,
            ticks: Ticks::default(),
            crowd: Crowd::default(),
            at_once_limit: None,
            quiet: None,
            found: None,
        }
    }

    /// What to do at this instant.
    pub(crate) fn next(&mut self, now: Duration) -> Step {
        if self.deadline.is_some_and(|deadline| now > deadline) && self.stage != Stage::Done {
            self.out_of_time();
        }
        // Each turn of the loop goes to another stage, and the stages end.
        loop {
            if let Some(step) = self.turn(now) {
                if step == Step::Send {
                    if self.calls >= self.terms.most_calls {
                        self.end_early(Gap::Calls);
                        continue;
                    }
                    self.calls += 1;
                    self.at_once += 1;
                    if self.stage == Stage::Burst && self.resumes.is_empty() {
                        self.most_under_way = self.most_under_way.max(self.at_once);
                    }
                }
                return step;
            }
        }
    }

    /// A call was answered.
    pub(crate) fn answered(&mut self, call: Call) {
        self.at_once -= 1;
        self.log.push(call);
        match self.stage {
            Stage::Burst => self.burst_answered(call),
            Stage::Search => self.search_answered(call),
            Stage::Alone => self.alone_answered(call),
            Stage::Crowd => self.crowd_answered(call),
            Stage::Quiet => self.quiet_answered(call),
            Stage::Follow => self.second_follows = Some(call.is_admitted),
            Stage::Tick | Stage::Saturate { .. } => self.tick_answered(call),
            Stage::Pause { .. } | Stage::Done => {}
        }
    }

    /// A call came to nothing that tells anything.
    pub(crate) fn failed(&mut self) {
        self.at_once -= 1;
    }

    /// What was found, up to now.
    pub(crate) fn estimate(&self) -> Estimate {
        self.found.unwrap_or(Estimate::Unfinished(Gap::Stopped))
    }

    /// All that was answered, in the order of the answers, from where on refusals tell how honest they are.
    pub(crate) fn log(&self) -> Vec<Call> {
        let since = self.quiet_since().unwrap_or_default();
        self.log.iter().filter(|call| call.sent_at >= since).copied().collect()
    }

    /// For how long nothing was let in, while that is waited for.
    pub(crate) fn waited(&self, now: Duration) -> Option<Duration> {
        let is_waiting = matches!(self.stage, Stage::Search | Stage::Quiet | Stage::Tick);
        let last = self.log.iter().filter(|call| call.is_admitted).map(|call| call.sent_at).max();
        is_waiting.then(|| now.saturating_sub(last.unwrap_or_default()))
    }

    /// What the first burst came to, once it was refused and no answer is missing.
    pub(crate) fn is_shut(&self) -> Option<u32> {
        let first = self.bursts.first().filter(|burst| burst.first_refused.is_some())?;
        let is_told = self.at_once == 0 && !matches!(self.stage, Stage::Alone | Stage::Crowd);
        is_told.then_some(first.admitted)
    }

    /// The step at this stage; none if it has just gone to another.
    fn turn(&mut self, now: Duration) -> Option<Step> {
        match self.stage {
            Stage::Burst => self.burst(now),
            Stage::Search => self.search(now),
            Stage::Pause { until } if now < until => Some(Step::Wait(until)),
            Stage::Pause { .. } => self.go(Stage::Burst),
            Stage::Alone => self.alone(now),
            Stage::Crowd => self.crowd(now),
            Stage::Quiet => self.quiet(now),
            Stage::Follow if self.at_once > 0 => Some(Step::Listen),
            Stage::Follow if self.second_follows.is_none() => Some(Step::Send),
            Stage::Follow => {
                let found = self.window();
                self.end(found)
            }
            Stage::Tick => self.tick(now),
            Stage::Saturate { at_once } => self.saturate(now, at_once),
            Stage::Done => Some(Step::Done),
        }
    }

    fn go(&mut self, stage: Stage) -> Option<Step> {
        self.stage = stage;
        None
    }

    fn end(&mut self, found: Estimate) -> Option<Step> {
        self.found = Some(found);
        self.go(Stage::Done)
    }

    /// Ends with what is known if that is something.
    fn end_early(&mut self, gap: Gap) -> Option<Step> {
        let found = if self.has_ticks() { self.bucket() } else { Estimate::Unfinished(gap) };
        self.end(found)
    }

    /// A rate behind a limit of requests at once may not have been met.
    fn out_of_time(&mut self) {
        match self.bursts[..] {
            [Burst { first_refused: None, admitted, began, last_admitted, .. }] => {
                let took = last_admitted.saturating_sub(began);
                self.end(Estimate::NoLimit { calls: admitted, took });
            }
            _ => {
                self.end_early(Gap::Time);
            }
        }
    }

    fn burst(&mut self, now: Duration) -> Option<Step> {
        let is_first = self.resumes.is_empty();
        if self.bursts.len() <= self.resumes.len() {
            // The request that ended the search is the first of the second burst.
            let resumed = self.resumes.last().and_then(|resume| resume.at);
            self.bursts.push(Burst {
                began: resumed.unwrap_or(now),
                admitted: u32::from(resumed.is_some()),
                ramp_from: 0,
                last_admitted: resumed.unwrap_or(now),
                first_refused: None,
                retry_after: None,
            });
        }
        let burst = *self.bursts.last()?;
        if burst.first_refused.is_some() {
            return if self.at_once > 0 { Some(Step::Listen) } else { self.burst_ended(now, burst) };
        }
        let sent = burst.admitted + self.at_once;
        if is_first && sent >= self.terms.most_unlimited {
            let took = burst.last_admitted.saturating_sub(burst.began);
            let none = Estimate::NoLimit { calls: burst.admitted, took };
            return if self.at_once > 0 { Some(Step::Listen) } else { self.end(none) };
        }
        // Few calls more than were let in are refused.
        let most = (1 + (burst.admitted - burst.ramp_from) / 4).min(self.terms.most_at_once);
        Some(if self.at_once < most { Step::Send } else { Step::Listen })
    }

    fn burst_answered(&mut self, call: Call) {
        let Some(burst) = self.bursts.last_mut() else { return };
        if call.is_admitted {
            burst.admitted += 1;
            burst.last_admitted = burst.last_admitted.max(call.sent_at);
        } else {
            let first = burst.first_refused.map_or(call.sent_at, |first| first.min(call.sent_at));
            burst.first_refused = Some(first);
            burst.retry_after = call.retry_after.or(burst.retry_after);
        }
    }

    fn burst_ended(&mut self, now: Duration, burst: Burst) -> Option<Step> {
        let [first, second] = self.bursts[..] else {
            return self.look_from(burst.first_refused.unwrap_or(now));
        };
        let waited = self.resumes[0];
        let took = first.last_admitted.saturating_sub(first.began);
        let gap = waited.last_refused.saturating_sub(waited.since);
        // What a wait can not resolve, or what resumes as fast as it was filled, comes at a rate.
        let is_slow = gap > took * 4 / first.admitted.max(1);
        if waited.polls == 0 || first.admitted < 2 || !is_slow {
            return self.measure_rate();
        }
        let until = second.began + took * 5 / 4 + self.round_trip();
        if second.admitted < first.admitted && now < until {
            // A sliding window opens as it was filled.
            let again = now + (took / 8).max(self.round_trip());
            if let Some(burst) = self.bursts.last_mut() {
                (burst.first_refused, burst.ramp_from) = (None, burst.admitted);
            }
            return self.go(Stage::Pause { until: again });
        }
        if self.may_count_refused(first, second) {
            return self.doubt(now);
        }
        let share = if first.admitted < 8 { SAME_BURST.1 } else { SAME_BURST.0 };
        if f64::from(second.admitted) >= f64::from(first.admitted) * share {
            return self.look_from(second.first_refused.unwrap_or(now));
        }
        self.measure_rate()
    }

    fn last_refused(&self) -> Option<Duration> {
        self.log.iter().filter(|call| !call.is_admitted).map(|call| call.sent_at).max()
    }

    /// How long a refusal takes, or any call while there is none: the middle of the last few.
    fn round_trip(&self) -> Duration {
        let took = |call: &Call| call.answered_at.saturating_sub(call.sent_at);
        let refusals = self.log.iter().rev().filter(|call| !call.is_admitted);
        let mut last: Vec<Duration> = refusals.take(15).map(took).collect();
        if last.is_empty() {
            last = self.log.iter().rev().take(15).map(took).collect();
        }
        last.sort_unstable();
        last.get(last.len() / 2).copied().unwrap_or_default()
    }

    /// Looking more often tells nothing.
    fn least_step(&self) -> Duration {
        (self.round_trip() / 2).max(Duration::from_millis(2))
    }
}
