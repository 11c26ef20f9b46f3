//! The part of the estimator that waits for room, and what that tells of a window.

use std::time::Duration;

use super::{Burst, Call, Crowd, Estimate, Estimator, Gap, Kind, Limit, Resume, Stage, Step};

/// How exactly a moment is looked for: a part of the time that has passed.
const FINE: f64 = 0.02;

/// Windows that people configure, in seconds.
const ROUND: [u64; 17] = [1, 2, 5, 10, 15, 20, 30, 60, 120, 300, 600, 900, 1200, 1800, 3600, 43_200, 86_400];

impl Estimator {
    pub(super) fn look_from(&mut self, since: Duration) -> Option<Step> {
        let last_refused = self.last_refused().unwrap_or(since);
        self.deadline.get_or_insert(since + self.terms.longest);
        self.resumes.push(Resume { since, last_refused, at: None, polls: 0 });
        self.go(Stage::Search)
    }

    pub(super) fn search(&mut self, now: Duration) -> Option<Step> {
        if self.at_once > 0 {
            return Some(Step::Listen);
        }
        let resume = *self.resumes.last()?;
        if let Some(at) = resume.at {
            return self.search_ended(resume, at);
        }
        if now.saturating_sub(resume.since) > self.terms.longest_wait {
            return if self.resumes.len() == 1 { self.leave_alone(now) } else { self.end_early(Gap::Shut) };
        }
        let poll = self.poll(resume);
        Some(if now < poll { Step::Wait(poll) } else { Step::Send })
    }

    /// When to look next.
    fn poll(&self, resume: Resume) -> Duration {
        let passed = resume.last_refused.saturating_sub(resume.since);
        let by = |part: f64| resume.last_refused + self.least_step().max(passed.mul_f64(part));
        if let (Some(burst), [before, _]) = (self.bursts.last(), &self.resumes[..]) {
            // The window opened before: its length is known from there, or is longer if it follows the clock.
            let first = &self.bursts[0];
            let lengths = (before.last_refused, before.at.unwrap_or(before.last_refused));
            // It may have opened at any time of the first burst.
            let shortest = lengths.0.saturating_sub(first.last_admitted).mul_f64(0.97);
            let earliest = burst.began + shortest;
            let length = lengths.1.saturating_sub(first.began);
            if resume.last_refused < earliest {
                return earliest;
            }
            let told = self.told(*burst, resume);
            if resume.last_refused < burst.began + length.mul_f64(1.05) {
                return resume.last_refused + length.mul_f64(FINE).max(self.least_step());
            }
            let waited = resume.last_refused.saturating_sub(burst.began);
            let next = resume.last_refused + waited.mul_f64(2.0 * FINE).max(self.least_step());
            return told.unwrap_or(next);
        }
        let coarse = by(0.5);
        match self.bursts.last().and_then(|burst| self.told(*burst, resume)) {
            Some(told) => told.min(coarse.max(resume.last_refused + self.least_step())),
            // Once more time has passed than the burst took, this may be a window.
            // The more requests were let in, the less it matters to ask some more.
            None if passed > self.bursts[0].last_admitted.saturating_sub(self.bursts[0].began) => {
                by((8.0 / f64::from(self.bursts[0].admitted.max(1))).clamp(0.03, 0.1))
            }
            None => coarse,
        }
    }

    /// When to look next by what the refusal says: in small steps within the second that it leaves open. None where it
    /// says nothing, or turned out to be wrong.
    fn told(&self, burst: Burst, resume: Resume) -> Option<Duration> {
        let said = resume.since + Duration::from_secs(burst.retry_after?);
        let open = said.saturating_sub(Duration::from_secs(1));
        let step = (Duration::from_secs(1) / 8).max(self.least_step());
        if resume.last_refused < open {
            Some(open)
        } else if resume.last_refused < said {
            Some((resume.last_refused + step).min(said + self.least_step()))
        } else if resume.last_refused < said + step * 2 {
            // A little late is nearly right.
            Some(resume.last_refused + step)
        } else {
            None
        }
    }

    pub(super) fn search_answered(&mut self, call: Call) {
        let Some(resume) = self.resumes.last_mut() else { return };
        if call.is_admitted {
            resume.at = Some(call.sent_at);
        } else {
            resume.polls += 1;
            resume.last_refused = call.sent_at;
        }
    }

    fn search_ended(&mut self, resume: Resume, at: Duration) -> Option<Step> {
        if self.resumes.len() > 1 {
            return self.go(Stage::Follow);
        }
        if resume.polls == 0 && self.at_once_limit.is_none() && self.terms.most_at_once > 1 {
            self.crowd = Crowd::default();
            return self.go(Stage::Alone);
        }
        let gap = at.saturating_sub(resume.since);
        self.go(Stage::Pause { until: at + gap.mul_f64(3.0 * FINE) })
    }

    /// The window that three bursts show.
    pub(super) fn window(&self) -> Estimate {
        let ([first, second], [one, two]) = (&self.bursts[..], &self.resumes[..]) else {
            return Estimate::Unfinished(Gap::Strange);
        };
        let (opened, opened_again) = (one.at.unwrap_or_default(), two.at.unwrap_or_default());
        let length = (two.last_refused.saturating_sub(opened), opened_again.saturating_sub(opened));
        let before = (one.last_refused.saturating_sub(first.began), opened.saturating_sub(first.began));
        let slack = self.round_trip() + length.1.mul_f64(FINE);
        let by_clock = (length.0, opened_again.saturating_sub(one.last_refused));
        let by_request = (length.0.max(before.0), length.1.min(before.1));
        let opened_slowly = second.ramp_from * 10 > second.admitted && second.ramp_from < second.admitted;
        let is_sliding = self.second_follows == Some(false) || opened_slowly;
        // The first window was shorter than the second if it had begun before. Where that can not be told, the round
        // one is right.
        let was_shorter = before.1 + slack < length.0
            || round(by_request).is_none() && round(by_clock).is_some() && by_clock.1 > by_request.1 + slack;
        let (kind, (least, most)) = match (is_sliding, was_shorter) {
            (true, _) => (Kind::SlidingWindow, by_request),
            (false, true) => (Kind::ClockWindow, by_clock),
            (false, false) => (Kind::FixedWindow, by_request),
        };
        let (least, most) = (least.min(most), least.max(most));
        let window = round((least, most)).unwrap_or((least + most) / 2);
        let per_minute = |window: Duration| f64::from(second.admitted) * 60.0 / window.as_secs_f64();
        Estimate::Limit(Limit {
            kind,
            per_minute: per_minute(window),
            range: (per_minute(most), per_minute(least.max(Duration::from_millis(1)))),
            burst: second.admitted,
            window: Some(window),
            counts_refused: false,
        })
    }
}

/// The round window between these two, if they are close.
pub(super) fn round((least, most): (Duration, Duration)) -> Option<Duration> {
    let is_close = most < least.mul_f64(1.15);
    ROUND
        .iter()
        .map(|seconds| Duration::from_secs(*seconds))
        .find(|round| is_close && (least..=most).contains(round))
}
