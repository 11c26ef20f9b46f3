//! The part of the estimator that tells a limit of requests at once from one of requests in some time.
//!
//! Both may let something in as soon as nothing is under way. So requests are sent one after the other; if all of them
//! are let in, more are sent at once than were let in before, and while those that are let in are under way, one after
//! the other is tried. What lets in one after the other at a rate has room for one within the time that one takes. A
//! limit of requests at once has none before one of them ends.

use std::time::Duration;

use super::{Call, Estimator, Stage, Step};

/// Requests that must be let in one after the other.
const ALONE: u32 = 12;

/// So many more are sent at once than were under way when the first was refused.
const MORE: u32 = 4;

/// So often that is done.
const ROUNDS: u32 = 2;

/// Tries that must be refused while all are under way, and the most that are sent.
const TRIES: (u32, u32) = (3, 6);

/// What is seen of a limit of requests at once.
#[derive(Debug, Default)]
pub(super) struct Crowd {
    /// Requests that were let in one after the other.
    alone: u32,
    is_refused_alone: bool,
    /// How many were let in at once, in each round before this one.
    rounds: Vec<u32>,
    /// Requests of this round, and tries among them.
    sent: u32,
    tries: u32,
    calls: Vec<Call>,
    /// When the next try is due.
    due: Duration,
}

impl Crowd {
    /// When the first refusal of this round came.
    fn full_at(&self) -> Option<Duration> {
        self.calls.iter().filter(|call| !call.is_admitted).map(|call| call.answered_at).min()
    }

    /// When the first that was let in ended.
    fn ended_at(&self) -> Option<Duration> {
        self.calls.iter().filter(|call| call.is_admitted).map(|call| call.answered_at).min()
    }

    /// Tries that were refused.
    fn refused(&self, full_at: Duration) -> usize {
        self.calls.iter().filter(|call| !call.is_admitted && call.sent_at > full_at).count()
    }
}

impl Estimator {
    /// Whether as many requests are under way as are let in at once, as far as is known.
    pub(crate) fn is_full(&self) -> bool {
        let crowd = &self.crowd;
        let is_refused = crowd.full_at().is_some_and(|full_at| crowd.refused(full_at) >= TRIES.0 as usize);
        self.stage == Stage::Crowd && is_refused && crowd.ended_at().is_none()
    }

    /// Whether the next request should take its time.
    pub(crate) fn is_crowding(&self) -> bool {
        self.stage == Stage::Crowd
    }

    /// How many requests are let in at once, whatever their rate.
    pub(crate) fn at_once_limit(&self) -> Option<u32> {
        self.at_once_limit
    }

    /// Sends one after the other.
    pub(super) fn alone(&mut self, now: Duration) -> Option<Step> {
        if self.at_once > 0 {
            Some(Step::Listen)
        } else if self.crowd.is_refused_alone {
            self.go(Stage::Pause { until: now })
        } else if self.crowd.alone >= ALONE {
            self.go(Stage::Crowd)
        } else {
            Some(Step::Send)
        }
    }

    pub(super) fn alone_answered(&mut self, call: Call) {
        self.crowd.alone += u32::from(call.is_admitted);
        self.crowd.is_refused_alone |= !call.is_admitted;
    }

    /// Sends too many at once, and then one after the other while they are under way.
    pub(super) fn crowd(&mut self, now: Duration) -> Option<Step> {
        let pace = (self.time_alone().max(self.terms.hold) / 10).max(self.round_trip() * 3 / 2);
        let crowd = &mut self.crowd;
        if crowd.ended_at().is_some() {
            return if self.at_once > 0 { Some(Step::Listen) } else { self.crowd_ended(now) };
        }
        if crowd.sent < self.most_under_way + MORE {
            crowd.sent += 1;
            crowd.due = now + pace;
            return Some(Step::Send);
        }
        if crowd.full_at().is_none() || crowd.tries >= TRIES.1 {
            return if self.at_once > 0 { Some(Step::Listen) } else { self.crowd_ended(now) };
        }
        if now < crowd.due {
            return Some(Step::Wait(crowd.due));
        }
        crowd.tries += 1;
        crowd.due = now + pace;
        Some(Step::Send)
    }

    pub(super) fn crowd_answered(&mut self, call: Call) {
        self.crowd.calls.push(call);
    }

    fn crowd_ended(&mut self, now: Duration) -> Option<Step> {
        let Some(admitted) = self.admitted_at_once() else { return self.go(Stage::Pause { until: now }) };
        let rounds = [&self.crowd.rounds[..], &[admitted]].concat();
        self.crowd = Crowd { alone: self.crowd.alone, rounds, ..Crowd::default() };
        if self.crowd.rounds.len() < ROUNDS as usize {
            return None;
        }
        if self.crowd.rounds.iter().any(|round| round.abs_diff(admitted) > admitted / 10) {
            return self.go(Stage::Pause { until: now });
        }
        // What is left is to find out whether there is a rate besides, by few enough at once to meet it alone.
        self.at_once_limit = Some(admitted);
        self.terms.most_at_once = (admitted / 2).max(1);
        self.terms.most_unlimited = self.terms.most_alone;
        (self.bursts, self.resumes) = (Vec::new(), Vec::new());
        self.log.clear();
        self.go(Stage::Burst)
    }

    /// How many requests were let in at once in this round, if none was beside them before one of them ended.
    fn admitted_at_once(&self) -> Option<u32> {
        let crowd = &self.crowd;
        let (full_at, ended_at) = (crowd.full_at()?, crowd.ended_at()?);
        let admitted = || crowd.calls.iter().filter(|call| call.is_admitted);
        // What was on its way when the first ended tells nothing.
        let tells = ended_at.saturating_sub(self.round_trip() * 2);
        let is_beside = admitted().any(|call| call.sent_at > full_at && call.sent_at < tells);
        let at_once = admitted().filter(|call| call.sent_at <= full_at).count();
        let is_told = crowd.refused(full_at) >= TRIES.0 as usize && !is_beside;
        is_told.then(|| u32::try_from(at_once).unwrap_or(u32::MAX))
    }

    /// How long a request took that was let in alone: the middle of the last few.
    fn time_alone(&self) -> Duration {
        let admitted = self.log.iter().rev().filter(|call| call.is_admitted);
        let took =
            admitted.take(ALONE as usize / 2).map(|call| call.answered_at.saturating_sub(call.sent_at));
        let mut took: Vec<Duration> = took.collect();
        took.sort_unstable();
        took.get(took.len() / 2).copied().unwrap_or_default()
    }
}
