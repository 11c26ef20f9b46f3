//! Pausing one session that has run away: one that burns money too fast, suddenly costs far more than it used to, or
//! sends the same request over and over.
//!
//! Only that session is refused, and only for a while; everybody else, the other sessions of its key included, goes on.
//! What was seen is counted in tenths of the window, and a tenth is left out as soon as it begins to leave the window: so
//! what a sentence says has happened within the window. An instant before the latest one counts as that one.

use crate::id::KeyId;
use crate::text::duration;
use crate::unit::{NanoUsd, UnixMs};

use recent::Recent;
use sessions::Sessions;

mod recent;
mod sessions;

/// Who pauses sessions that run away, in the journal.
pub const BRAKE: &str = "brake";

/// The most sessions that are watched at a time. When there are more, those seen last are kept.
pub const SESSIONS_MAX: usize = 10_000;
/// The most pauses that are remembered. When there are more, those that would end first are forgotten.
pub const PAUSES_MAX: usize = 10_000;
/// The most different requests of one session that are watched for repetition.
pub const REQUESTS_MAX: usize = 16;
/// A session has a mean once it cost something in so many windows before.
pub const MEAN_WINDOWS_MIN: u64 = 3;

/// When a session is paused. The default pauses none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Brake {
    /// The length of the window in which things are counted, in milliseconds.
    pub window_ms: i64,
    /// What a session may cost in a window.
    pub cost: Option<NanoUsd>,
    /// How often a session may send the same request in a window.
    pub repeats: Option<u32>,
    /// How much more than before a session may cost in a window.
    pub rising: Option<Rising>,
    /// How long a session is paused, in milliseconds.
    pub pause_ms: i64,
}

/// How much more than before a session may cost in a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rising {
    /// The most, in percent of the mean of its windows before, those in which it cost nothing left out.
    pub percent: u32,
    /// A window that costs less than this is never too dear.
    pub floor: NanoUsd,
}

impl Default for Brake {
    fn default() -> Self {
        Self { window_ms: 600_000, cost: None, repeats: None, rising: None, pause_ms: 900_000 }
    }
}

/// A session is paused: its requests are refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pause {
    /// Who paused it: `brake`, or a person.
    pub by: String,
    /// What to tell the client: what was seen, until when it is paused, and who can resume it.
    pub why: String,
    /// The first instant at which it may go on by itself.
    pub until: UnixMs,
}

/// A request is refused because its session is paused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Paused {
    /// The pause.
    pub pause: Pause,
    /// Whether it begins with this request, and so is to be written down.
    pub begins: bool,
}

/// What is watched, and who is paused.
#[derive(Debug)]
pub struct Brakes {
    brake: Brake,
    watched: Sessions<Watch>,
    pauses: Sessions<Pause>,
    clock: UnixMs,
}

/// What was seen of one session.
#[derive(Debug)]
struct Watch {
    seen_at: UnixMs,
    cost: Recent,
    requests: Vec<(u64, UnixMs, Recent)>,
    /// What the windows before cost that are complete, and how many they are.
    before: (u128, u64),
    /// The window before that is not complete: its number, and its cost so far.
    forming: (i64, u128),
}

impl Brakes {
    /// Watches sessions, with none paused.
    #[must_use]
    pub fn new(brake: Brake) -> Self {
        let clock = UnixMs(i64::MIN);
        Self { brake, watched: Sessions::default(), pauses: Sessions::default(), clock }
    }

    /// Puts another brake in force. Pauses go on; sessions are watched anew if the window has another length.
    pub fn replace(&mut self, brake: Brake) {
        if brake.window_ms != self.brake.window_ms {
            self.watched = Sessions::default();
        }
        self.brake = brake;
    }

    /// Asks whether a request of a session may go on. `digest` stands for its body: the same digest means the same
    /// request.
    ///
    /// # Errors
    /// [`Paused`]: the session is paused, or is from here on, because it repeats itself.
    pub fn check(&mut self, now: UnixMs, key: KeyId, session: &str, digest: u64) -> Result<(), Paused> {
        let now = self.tick(now);
        if let Some(pause) = self.paused(now, key, session) {
            return Err(Paused { pause, begins: false });
        }
        let Some(repeats) = self.brake.repeats else {
            return Ok(());
        };
        let window_ms = self.brake.window_ms;
        let times = self.watch(now, key, session).repeat(now, window_ms, digest);
        if times <= u128::from(repeats) {
            return Ok(());
        }
        let seen = format!("it sent the same request {times} times within {}", duration(window_ms));
        Err(Paused { pause: self.begin(now, key, session, &seen), begins: true })
    }

    /// Takes in what a request of a session cost. Gives the pause if the session is paused from here on.
    pub fn settled(&mut self, now: UnixMs, key: KeyId, session: &str, cost: NanoUsd) -> Option<Pause> {
        let now = self.tick(now);
        if self.brake.cost.is_none() && self.brake.rising.is_none() || cost <= NanoUsd::ZERO {
            return None;
        }
        if self.paused(now, key, session).is_some() {
            return None;
        }
        let (brake, window_ms) = (self.brake.clone(), self.brake.window_ms);
        let watch = self.watch(now, key, session);
        watch.spend(now, window_ms, u128::from(cost.0.unsigned_abs()));
        let spent = NanoUsd::saturating_from(i128::try_from(watch.cost.sum()).unwrap_or(i128::MAX));
        let within = duration(window_ms);
        let seen = match (brake.cost, brake.rising) {
            (Some(most), _) if spent > most => {
                format!("it cost {spent} within {within}, and {most} is the most")
            }
            (_, Some(rising)) => {
                let mean = watch.mean().filter(|mean| rising.is_passed(spent, *mean))?;
                format!("it cost {spent} within {within}, and {mean} in its windows before on average")
            }
            _ => return None,
        };
        Some(self.begin(now, key, session, &seen))
    }

    /// Lets a session go on, and watches it as if it were new. Gives the pause that it was in, if it was.
    pub fn resume(&mut self, now: UnixMs, key: KeyId, session: &str) -> Option<Pause> {
        let now = self.tick(now);
        self.watched.remove(key, session);
        self.pauses.remove(key, session).filter(|pause| now < pause.until)
    }

    fn tick(&mut self, now: UnixMs) -> UnixMs {
        self.clock = self.clock.max(now);
        self.clock
    }

    /// The pause that a session is in. One that is over is forgotten, and the session watched as if it were new.
    fn paused(&mut self, now: UnixMs, key: KeyId, session: &str) -> Option<Pause> {
        let pause = self.pauses.at_mut(key, session)?;
        if now < pause.until {
            return Some(pause.clone());
        }
        self.pauses.remove(key, session);
        self.watched.remove(key, session);
        None
    }

    fn begin(&mut self, now: UnixMs, key: KeyId, session: &str, seen: &str) -> Pause {
        let until = now.saturating_add_ms(self.brake.pause_ms);
        let pause = Pause { by: BRAKE.to_owned(), why: sentence(until, seen), until };
        self.put(now, key, session, pause)
    }

    fn put(&mut self, now: UnixMs, key: KeyId, session: &str, pause: Pause) -> Pause {
        if self.pauses.len() >= PAUSES_MAX {
            self.pauses.thin(|pause| if now < pause.until { pause.until } else { UnixMs(i64::MIN) });
        }
        self.pauses.insert(key, session, pause.clone());
        pause
    }

    fn watch(&mut self, now: UnixMs, key: KeyId, session: &str) -> &mut Watch {
        if self.watched.len() >= SESSIONS_MAX && self.watched.at_mut(key, session).is_none() {
            self.watched.thin(|watch| watch.seen_at);
        }
        let watch = self.watched.at_or_insert(key, session, || Watch {
            seen_at: now,
            cost: Recent::default(),
            requests: Vec::new(),
            before: (0, 0),
            forming: (0, 0),
        });
        watch.seen_at = now;
        watch
    }
}

impl Rising {
    fn is_passed(&self, spent: NanoUsd, mean: NanoUsd) -> bool {
        spent >= self.floor && i128::from(spent.0) * 100 > i128::from(mean.0) * i128::from(self.percent)
    }
}

impl Watch {
    /// Counts a request. Gives how often it was sent in the window.
    fn repeat(&mut self, now: UnixMs, window_ms: i64, digest: u64) -> u128 {
        let place = self.requests.iter().position(|(known, ..)| *known == digest).unwrap_or_else(|| {
            if self.requests.len() >= REQUESTS_MAX {
                let oldest = (0..).zip(&self.requests).min_by_key(|(_, (_, seen_at, _))| *seen_at);
                self.requests.swap_remove(oldest.map_or(0, |(place, _)| place));
            }
            self.requests.push((digest, now, Recent::default()));
            self.requests.len() - 1
        });
        let (_, seen_at, times) = &mut self.requests[place];
        *seen_at = now;
        times.advance(now, window_ms, |_, _| {});
        times.add(now, window_ms, 1);
        times.sum()
    }

    fn spend(&mut self, now: UnixMs, window_ms: i64, nano_usd: u128) {
        let (before, forming) = (&mut self.before, &mut self.forming);
        self.cost.advance(now, window_ms, |window, left| {
            if forming.0 != window && forming.1 > 0 {
                *before = (before.0.saturating_add(forming.1), before.1 + 1);
                forming.1 = 0;
            }
            *forming = (window, forming.1.saturating_add(left));
        });
        self.cost.add(now, window_ms, nano_usd);
    }

    /// What a window before cost on average, of those in which it cost anything.
    fn mean(&self) -> Option<NanoUsd> {
        let (sum, windows) = self.before;
        let mean = sum.checked_div(u128::from(windows)).filter(|_| windows >= MEAN_WINDOWS_MIN)?;
        Some(NanoUsd::saturating_from(i128::try_from(mean).unwrap_or(i128::MAX)))
    }
}

fn sentence(until: UnixMs, seen: &str) -> String {
    format!("This session is paused until {until}: {seen}. The gateway's operator can resume it earlier.")
}

#[cfg(test)]
mod tests;
