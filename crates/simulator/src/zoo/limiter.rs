//! Rate limits, in the ways in which gateways count.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::Terms;
use super::relay::Sieve;

/// How a gateway limits.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limit {
    pub(super) way: Way,
    pub(super) by: By,
    /// What is let through, in percent of what should be.
    pub(super) percent: u32,
}

/// How it is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// So many requests in the minute that begins with the first; then anew.
    FixedWindow,
    /// So many requests in each minute of the clock.
    ClockWindow,
    /// So many requests in any minute.
    SlidingWindow,
    /// So many requests in any minute, those among them that are refused.
    CountsRefused,
    /// So many requests at once: `burst` of them.
    AtOnce,
    /// A request takes a piece out of a bucket of `burst` pieces, which is filled at the rate.
    TokenBucket,
    /// The generic cell rate algorithm: a request may come early by the time of `burst` requests
    /// (ITU-T I.371).
    Gcra,
    /// A request is let in while fewer than so many tokens were used in the fixed minute. What it used is counted when
    /// its answer tells it.
    Tokens,
}

/// What has an account of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum By {
    Client,
    Connection,
    /// All have one together.
    Nothing,
}

/// What is said where nobody knows when there is room.
const UNKNOWN: Duration = Duration::from_secs(1);

/// Where there are more accounts, all are forgotten. A zoo has few visitors.
const MOST_ACCOUNTS: usize = 10_000;

/// A limit at work.
#[derive(Debug)]
pub(super) struct Limiter {
    limit: Limit,
    /// Requests, or tokens, of one minute.
    most: u64,
    burst: u64,
    minute: Duration,
    /// The time between two requests that come at the rate.
    step: Duration,
    /// The time in which an empty bucket fills.
    full: Duration,
    began: Instant,
    accounts: Mutex<HashMap<String, Account>>,
}

/// What one client has used.
#[derive(Debug)]
enum Account {
    /// So much in the window that began then.
    Window { since: Instant, used: u64 },
    /// The requests of the last minute.
    Log(VecDeque<Instant>),
    /// The requests under way.
    UnderWay(u64),
    /// What was in the bucket then, as the time that it took to fill in.
    Bucket { since: Instant, level: Duration },
    /// When the next request would come if all came at the rate.
    Schedule { due: Instant },
}

impl Limiter {
    pub(super) fn new(limit: Limit, terms: &Terms) -> Self {
        let rpm = (terms.rpm * limit.percent / 100).max(1);
        let step = terms.minute / rpm;
        Self {
            limit,
            most: if limit.way == Way::Tokens { terms.tokens_per_minute } else { rpm.into() },
            burst: terms.burst.max(1).into(),
            minute: terms.minute,
            step,
            full: step * terms.burst.max(1),
            began: Instant::now(),
            accounts: Mutex::default(),
        }
    }

    /// The name of the account on which a request is counted.
    pub(super) fn account(&self, credential: &str, connection: u64) -> String {
        match self.limit.by {
            By::Client => credential.to_owned(),
            By::Connection => connection.to_string(),
            By::Nothing => String::new(),
        }
    }

    /// Lets a request in, or says after what time there is room for one.
    pub(super) fn take(&self, account: &str, now: Instant) -> Result<(), Duration> {
        let mut accounts = self.accounts();
        if accounts.len() >= MOST_ACCOUNTS {
            accounts.clear();
        }
        match accounts.entry(account.to_owned()).or_insert_with(|| self.open(now)) {
            Account::Window { since, used } => {
                if now >= *since + self.minute {
                    (*since, *used) = (self.window(now), 0);
                }
                if *used >= self.most {
                    return Err(*since + self.minute - now);
                }
                *used += u64::from(self.limit.way != Way::Tokens);
            }
            Account::Log(log) => {
                while log.front().is_some_and(|at| now >= *at + self.minute) {
                    log.pop_front();
                }
                let most = usize::try_from(self.most).unwrap_or(usize::MAX);
                let excess = (log.len() + 1).checked_sub(most).filter(|excess| *excess > 0);
                if excess.is_none() || self.limit.way == Way::CountsRefused {
                    log.push_back(now);
                }
                if let Some(excess) = excess {
                    // As many have to leave, and where this one counts, too, one more.
                    let last =
                        log.get(if self.limit.way == Way::CountsRefused { excess } else { excess - 1 });
                    return Err(*last.unwrap_or(&now) + self.minute - now);
                }
            }
            Account::UnderWay(count) => {
                if *count >= self.burst {
                    return Err(UNKNOWN);
                }
                *count += 1;
            }
            Account::Bucket { since, level } => {
                let filled = self.full.min(*level + (now - *since));
                (*since, *level) = (now, filled);
                *level = filled.checked_sub(self.step).ok_or_else(|| self.step - filled)?;
            }
            Account::Schedule { due } => {
                let next = now.max(*due) + self.step;
                let early = next.saturating_duration_since(now + self.full);
                if !early.is_zero() {
                    return Err(early);
                }
                *due = next;
            }
        }
        Ok(())
    }

    fn open(&self, now: Instant) -> Account {
        match self.limit.way {
            Way::FixedWindow | Way::ClockWindow | Way::Tokens => {
                Account::Window { since: self.window(now), used: 0 }
            }
            Way::SlidingWindow | Way::CountsRefused => Account::Log(VecDeque::new()),
            Way::AtOnce => Account::UnderWay(0),
            Way::TokenBucket => Account::Bucket { since: now, level: self.full },
            Way::Gcra => Account::Schedule { due: now },
        }
    }

    /// The start of a window that holds this instant.
    fn window(&self, now: Instant) -> Instant {
        if self.limit.way != Way::ClockWindow {
            return now;
        }
        let minutes = (now - self.began).as_nanos() / self.minute.as_nanos().max(1);
        self.began + self.minute * u32::try_from(minutes).unwrap_or(u32::MAX)
    }

    /// Counts what an answer says that it used, where tokens are counted.
    pub(super) fn meter(self: &Arc<Self>, account: String) -> Option<Box<dyn Sieve>> {
        let counts = self.limit.way == Way::Tokens;
        counts.then(|| Box::new(Meter { limiter: Arc::clone(self), account, seen: Vec::new() }) as _)
    }

    /// Holds the place of a request that was let in, where places are counted.
    pub(super) fn place(self: &Arc<Self>, account: String) -> Option<Place> {
        (self.limit.way == Way::AtOnce).then(|| Place { limiter: Arc::clone(self), account })
    }

    fn accounts(&self) -> MutexGuard<'_, HashMap<String, Account>> {
        self.accounts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The place of a request under way, which is free when this is dropped.
#[derive(Debug)]
pub(super) struct Place {
    limiter: Arc<Limiter>,
    account: String,
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(Account::UnderWay(count)) = self.limiter.accounts().get_mut(&self.account) {
            *count = count.saturating_sub(1);
        }
    }
}

/// Reads the usage in passing.
struct Meter {
    limiter: Arc<Limiter>,
    account: String,
    seen: Vec<u8>,
}

impl Sieve for Meter {
    fn piece(&mut self, piece: Bytes) -> Bytes {
        self.seen.extend_from_slice(&piece);
        piece
    }

    fn end(&mut self) -> Bytes {
        let text = String::from_utf8_lossy(&self.seen);
        // A stream tells its output more than once; the last is the sum.
        let tokens = last_number(&text, "\"input_tokens\":") + last_number(&text, "\"output_tokens\":");
        if let Some(Account::Window { used, .. }) = self.limiter.accounts().get_mut(&self.account) {
            *used += tokens;
        }
        Bytes::new()
    }
}

/// The number behind the last of these keys, or 0.
fn last_number(text: &str, key: &str) -> u64 {
    let Some((_, rest)) = text.rsplit_once(key) else {
        return 0;
    };
    let digits = rest.trim_start();
    let end = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
    digits[..end].parse().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn limiter(way: Way) -> Limiter {
        let terms = Terms { rpm: 60, burst: 10, tokens_per_minute: 60, ..Terms::default() };
        Limiter::new(Limit { way, by: By::Client, percent: 100 }, &terms)
    }

    /// How many of a flood are let in at these seconds of the first two minutes.
    fn admitted(limiter: &Limiter, seconds: impl Iterator<Item = u64>) -> usize {
        let at = |second| limiter.began + Duration::from_secs(second);
        seconds.map(|second| (0..200).filter(|_| limiter.take("a", at(second)).is_ok()).count()).sum()
    }

    #[test]
    fn each_way_lets_in_what_its_rule_says() {
        let rows = [
            // At once; in one minute; from second 50 to 70.
            (Way::FixedWindow, 60, 60, 60),
            (Way::ClockWindow, 60, 60, 120),
            (Way::SlidingWindow, 60, 60, 60),
            (Way::TokenBucket, 10, 69, 30),
            (Way::Gcra, 10, 69, 30),
        ];
        for (way, at_once, minute, border) in rows {
            assert_eq!(admitted(&limiter(way), 0..1), at_once, "{way:?}");
            assert_eq!(admitted(&limiter(way), 0..60), minute, "{way:?}");
            assert_eq!(admitted(&limiter(way), 50..71), border, "{way:?}");
        }
    }

    #[test]
    fn a_place_is_free_when_its_request_ends() {
        let limiter = Arc::new(limiter(Way::AtOnce));
        let now = limiter.began;
        let mut places: Vec<_> = (0..10)
            .map(|_| {
                assert_eq!(limiter.take("a", now), Ok(()));
                limiter.place("a".into()).unwrap()
            })
            .collect();
        assert_eq!(limiter.take("a", now), Err(UNKNOWN));
        assert_eq!(limiter.take("b", now), Ok(()));
        places.pop();
        assert_eq!(limiter.take("a", now), Ok(()));
        assert_eq!(limiter.take("a", now), Err(UNKNOWN));
    }

    #[test]
    fn refused_requests_take_room_where_they_count() {
        let limiter = limiter(Way::CountsRefused);
        let at = |second| limiter.began + Duration::from_secs(second);
        for _ in 0..60 {
            assert_eq!(limiter.take("a", at(0)), Ok(()));
        }
        assert_eq!(limiter.take("a", at(30)), Err(Duration::from_secs(30)));
        let admitted = (0..200).filter(|_| limiter.take("a", at(60)).is_ok()).count();
        assert_eq!(admitted, 59);
        assert_eq!(limiter.take("a", at(120)), Ok(()));
    }

    #[test]
    fn who_waits_as_told_finds_room_and_not_before() {
        let ways = [Way::FixedWindow, Way::ClockWindow, Way::SlidingWindow, Way::TokenBucket, Way::Gcra];
        for way in ways {
            let limiter = limiter(way);
            let now = limiter.began + Duration::from_millis(100);
            let wait = (0..).find_map(|_| limiter.take("a", now).err()).unwrap();
            assert!(wait > Duration::ZERO && wait <= MINUTE, "{way:?}: {wait:?}");
            assert!(limiter.take("a", now + wait - Duration::from_nanos(1)).is_err(), "{way:?}");
            assert_eq!(limiter.take("a", now + wait), Ok(()), "{way:?}");
            assert_eq!(limiter.take("b", now), Ok(()), "{way:?}: another client");
        }
    }

    #[test]
    fn tokens_are_counted_when_the_answer_tells_them() {
        let limiter = Arc::new(limiter(Way::Tokens));
        let now = limiter.began;
        for answer in [
            r#"{"usage":{"input_tokens":9,"output_tokens":1}} {"output_tokens": 30}"#,
            "{}",
            r#""input_tokens":21}"#,
        ] {
            assert_eq!(limiter.take("a", now), Ok(()));
            let mut meter = limiter.meter("a".into()).unwrap();
            assert_eq!(meter.piece(answer.into()), answer);
            assert_eq!(meter.end(), "");
        }
        assert_eq!(limiter.take("a", now), Err(MINUTE));
        assert_eq!(limiter.take("a", now + MINUTE), Ok(()));
    }
}
