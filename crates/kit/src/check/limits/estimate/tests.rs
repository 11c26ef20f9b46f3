//! The estimator against simulated limiters, by a simulated clock.

use std::collections::{BTreeMap, VecDeque};

use proptest::{prelude::*, test_runner::RngSeed};

use super::*;

mod few;
mod honesty;

/// A limiter, told at what second a request comes.
#[derive(Debug, Clone)]
enum Limiter {
    Fixed {
        most: u32,
        window: f64,
        since: f64,
        used: u32,
    },
    Clock {
        most: u32,
        window: f64,
        phase: f64,
        number: i64,
        used: u32,
    },
    Log {
        most: u32,
        window: f64,
        log: VecDeque<f64>,
    },
    Counter {
        most: u32,
        window: f64,
        phase: f64,
        number: i64,
        used: u32,
        before: u32,
    },
    Bucket {
        step: f64,
        depth: f64,
        due: f64,
    },
    /// So many at once, each of which takes so many seconds.
    Crowd {
        most: usize,
        takes: f64,
        ends: Vec<f64>,
    },
    /// The same, and a rate of one's own behind it.
    Both {
        crowd: Box<Limiter>,
        rate: Box<Limiter>,
    },
    /// A log in which refused requests stand, too.
    CountedLog {
        most: usize,
        window: f64,
        log: VecDeque<f64>,
    },
    /// A fixed window that begins anew with each refused request.
    Prolonged {
        most: u32,
        window: f64,
        since: f64,
        used: u32,
    },
    Open,
}

impl Limiter {
    fn fixed(most: u32, window: f64) -> Self {
        Self::Fixed { most, window, since: f64::NEG_INFINITY, used: 0 }
    }

    fn clock(most: u32, window: f64, phase: f64) -> Self {
        Self::Clock { most, window, phase, number: i64::MIN, used: 0 }
    }

    fn log(most: u32, window: f64) -> Self {
        Self::Log { most, window, log: VecDeque::new() }
    }

    fn counter(most: u32, window: f64, phase: f64) -> Self {
        Self::Counter { most, window, phase, number: i64::MIN, used: 0, before: 0 }
    }

    /// So many a minute, so many at once.
    fn bucket(rpm: f64, burst: u32) -> Self {
        let step = 60.0 / rpm;
        Self::Bucket { step, depth: step * f64::from(burst), due: f64::NEG_INFINITY }
    }

    /// Lets it in, or says after how many seconds there is room.
    fn take(&mut self, now: f64) -> Result<(), f64> {
        match self {
            Self::Fixed { most, window, since, used } => {
                if now >= *since + *window {
                    (*since, *used) = (now, 0);
                }
                *used += 1;
                if *used > *most { Err(*since + *window - now) } else { Ok(()) }
            }
            Self::Clock { most, window, phase, number, used } => {
                let current = ((now + *phase) / *window).floor() as i64;
                if current != *number {
                    (*number, *used) = (current, 0);
                }
                *used += 1;
                if *used > *most { Err((current + 1) as f64 * *window - *phase - now) } else { Ok(()) }
            }
            Self::Log { most, window, log } => {
                while log.front().is_some_and(|at| now >= at + *window) {
                    log.pop_front();
                }
                if log.len() >= *most as usize {
                    return Err(log[0] + *window - now);
                }
                log.push_back(now);
                Ok(())
            }
            Self::Counter { most, window, phase, number, used, before } => {
                let at = (now + *phase) / *window;
                let current = at.floor() as i64;
                if current != *number {
                    *before = if number.checked_add(1) == Some(current) { *used } else { 0 };
                    (*number, *used) = (current, 0);
                }
                let weight = 1.0 - at.fract();
                if f64::from(*before) * weight + f64::from(*used) + 1.0 > f64::from(*most) {
                    return Err(1.0);
                }
                *used += 1;
                Ok(())
            }
            Self::Bucket { step, depth, due } => {
                let next = now.max(*due) + *step;
                let early = next - now - *depth;
                if early > 1e-9 {
                    return Err(early);
                }
                *due = next;
                Ok(())
            }
            _ => self.take_otherwise(now),
        }
    }

    /// The same for those that do not count what was let in within some time.
    fn take_otherwise(&mut self, now: f64) -> Result<(), f64> {
        match self {
            Self::Crowd { most, takes, ends } => {
                ends.retain(|end| *end > now);
                if ends.len() >= *most {
                    return Err(1.0);
                }
                ends.push(now + *takes);
                Ok(())
            }
            Self::Both { crowd, rate } => {
                let before = (**crowd).clone();
                crowd.take(now)?;
                rate.take(now).inspect_err(|_| **crowd = before)
            }
            Self::CountedLog { most, window, log } => {
                while log.front().is_some_and(|at| now >= at + *window) {
                    log.pop_front();
                }
                log.push_back(now);
                if log.len() <= *most { Ok(()) } else { Err(log[log.len() - *most] + *window - now) }
            }
            Self::Prolonged { most, window, since, used } => {
                if now >= *since + *window {
                    (*since, *used) = (now, 0);
                }
                *used += 1;
                if *used > *most {
                    *since = now;
                    return Err(*window);
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn crowd(most: usize) -> Self {
        Self::Crowd { most, takes: 0.0, ends: Vec::new() }
    }

    /// How long a request takes that is let in. One that should take its time takes half a second.
    fn takes(&mut self, is_held: bool, least: f64) -> f64 {
        let time = if is_held { 0.5 } else { least };
        match self {
            Self::Crowd { takes, .. } => *takes = time,
            Self::Both { crowd, .. } => {
                crowd.takes(is_held, least);
            }
            _ => {}
        }
        time
    }
}

/// A network and what refusals say.
#[derive(Debug, Clone, Copy)]
struct Net {
    /// Seconds there and back at least.
    round_trip: f64,
    /// And so much more at most.
    jitter: f64,
    tells: bool,
    /// Seconds that a request takes at the upstream.
    takes: f64,
    seed: u64,
}

impl Net {
    fn new(round_trip: f64, jitter: f64) -> Self {
        Self { round_trip, jitter, tells: true, takes: 0.0, seed: 1 }
    }

    /// From 0 to 1 (xorshift).
    fn chance(&mut self) -> f64 {
        self.seed ^= self.seed << 13;
        self.seed ^= self.seed >> 7;
        self.seed ^= self.seed << 17;
        (self.seed >> 11) as f64 / (1_u64 << 53) as f64
    }
}

const TERMS: Terms = Terms {
    most_calls: 30_000,
    most_unlimited: 21_000,
    most_alone: 400,
    most_at_once: 64,
    longest_wait: Duration::from_secs(600),
    longest: Duration::from_secs(36_000),
    hold: Duration::from_millis(500),
};

/// Sending a call takes the client so many seconds.
const SENDING: f64 = 0.0002;

/// Estimates this limiter through this network.
fn estimate(mut limiter: Limiter, mut net: Net, terms: Terms) -> Estimator {
    let mut estimator = Estimator::new(terms);
    let mut now = 5.0;
    let start = now;
    let nanos = |seconds: f64| (seconds * 1e9) as u64;
    // By the nanosecond: a call that arrives at the limiter, and an answer that arrives at the client.
    let mut arrivals: BTreeMap<(u64, u32), (f64, bool)> = BTreeMap::new();
    let mut answers: BTreeMap<(u64, u32), (f64, Result<(), f64>)> = BTreeMap::new();
    for number in 0..1_000_000_u32 {
        let at = |seconds: f64| Duration::from_secs_f64(seconds - start);
        let until = match estimator.next(at(now)) {
            Step::Send => {
                let arrives = now + net.round_trip / 2.0 + net.jitter * net.chance();
                arrivals.insert((nanos(arrives), number), (now, estimator.is_crowding()));
                now += SENDING;
                now
            }
            Step::Wait(until) => (start + until.as_secs_f64() + 1e-6).max(now),
            Step::Listen => f64::INFINITY,
            Step::Done => return estimator,
        };
        // The world goes on until then, or until the next answer.
        loop {
            let arrival = arrivals.first_key_value().map_or(f64::INFINITY, |(key, _)| key.0 as f64 / 1e9);
            let answer = answers.first_key_value().map_or(f64::INFINITY, |(key, _)| key.0 as f64 / 1e9);
            if until < arrival && until < answer {
                now = until;
                break;
            }
            assert!(arrival.is_finite() || answer.is_finite(), "it listens, and nothing is under way");
            if arrival <= answer {
                let ((_, number), (sent, is_held)) = arrivals.pop_first().unwrap();
                let takes = limiter.takes(is_held, net.takes);
                let came = limiter.take(arrival);
                let back = arrival
                    + if came.is_ok() { takes } else { 0.0 }
                    + net.round_trip / 2.0
                    + net.jitter * net.chance();
                answers.insert((nanos(back), number), (sent, came));
                continue;
            }
            let (_, (sent, came)) = answers.pop_first().unwrap();
            now = now.max(answer);
            estimator.answered(Call {
                sent_at: at(sent),
                answered_at: at(now),
                is_admitted: came.is_ok(),
                retry_after: came.err().filter(|_| net.tells).map(|wait| wait.ceil().max(1.0) as u64),
            });
            break;
        }
    }
    panic!("it does not end: {estimator:?}");
}

/// The limit that was found.
fn limit(estimator: &Estimator) -> Limit {
    match estimator.estimate() {
        Estimate::Limit(limit) => limit,
        other => panic!("{other:?} after {} calls", estimator.calls),
    }
}

/// Panics unless the figure is right within 5 %, and not more calls were sent than this.
fn check(name: &str, limiter: Limiter, net: Net, per_minute: f64, kind: Option<Kind>, most_calls: u32) {
    let estimator = estimate(limiter, net, TERMS);
    let found = limit(&estimator);
    let off = found.per_minute / per_minute - 1.0;
    assert!(off.abs() <= 0.05, "{name}: {:+.1} %, {found:?} instead of {per_minute}, {net:?}", off * 100.0);
    assert!(kind.is_none_or(|kind| kind == found.kind), "{name}: {found:?}, {net:?}");
    assert!(estimator.calls <= most_calls, "{name}: {} calls, {net:?}", estimator.calls);
}

#[test]
fn every_kind_of_limit_is_told_from_the_others() {
    for tells in [true, false] {
        let net = Net { tells, ..Net::new(0.02, 0.01) };
        for rpm in [5, 60, 100, 1000] {
            let name = format!("{rpm} per minute");
            let most = 3 * rpm + 180;
            let rate = f64::from(rpm);
            check(&name, Limiter::fixed(rpm, 60.0), net, rate, Some(Kind::FixedWindow), most);
            check(&name, Limiter::clock(rpm, 60.0, 30.0), net, rate, Some(Kind::ClockWindow), most);
            check(&name, Limiter::log(rpm, 60.0), net, rate, Some(Kind::SlidingWindow), most);
            check(&name, Limiter::bucket(rate, rpm / 5), net, rate, Some(Kind::Bucket), most);
            // With few requests, such a counter lets in less than it says.
            if rpm >= 60 {
                check(&name, Limiter::counter(rpm, 60.0, 30.0), net, rate, Some(Kind::SlidingCounter), most);
            }
        }
    }
}

#[test]
fn so_many_at_once_are_told_from_so_many_in_some_time() {
    for most in [1, 2, 4, 10, 40] {
        // Where requests take no time, 64 under way of us are not 40 at the gateway.
        for takes in [if most == 40 { 0.1 } else { 0.003 }, 1.0] {
            let net = Net { takes, ..Net::new(0.01, 0.004) };
            let estimator = estimate(Limiter::crowd(most), net, TERMS);
            let at_once = estimator.at_once_limit().map(|found| found as usize);
            assert_eq!(at_once, Some(most), "{takes}: {:?}", estimator.estimate());
            assert!(
                matches!(estimator.estimate(), Estimate::NoLimit { calls: 400, .. }),
                "{most}, {takes}: {:?}",
                estimator.estimate()
            );
        }
    }
    // Others let in one after the other, too, and are none.
    for limiter in [Limiter::bucket(30_000.0, 10), Limiter::bucket(6_000.0, 4), Limiter::fixed(4, 0.02)] {
        for takes in [0.003, 0.1] {
            let net = Net { takes, ..Net::new(0.01, 0.004) };
            let estimator = estimate(limiter.clone(), net, TERMS);
            assert_eq!(estimator.at_once_limit(), None, "{limiter:?}, {takes}: {:?}", estimator.estimate());
        }
    }
}

#[test]
fn a_rate_behind_so_many_at_once_is_found() {
    let rate = Limiter::fixed(200, 60.0);
    let both = Limiter::Both { crowd: Box::new(Limiter::crowd(4)), rate: Box::new(rate) };
    let estimator = estimate(both, Net { takes: 0.05, ..Net::new(0.01, 0.004) }, TERMS);
    assert_eq!(estimator.at_once_limit(), Some(4), "{:?}", estimator.estimate());
    let found = limit(&estimator);
    assert!((found.per_minute / 200.0 - 1.0).abs() <= 0.05, "{found:?}");
}

#[test]
fn a_limit_that_counts_refused_requests_is_measured_or_left_open() {
    for tells in [true, false] {
        let net = Net { tells, ..Net::new(0.02, 0.01) };
        for most in [60, 100, 1000] {
            let log = Limiter::CountedLog { most, window: 60.0, log: VecDeque::new() };
            let found = limit(&estimate(log, net, TERMS));
            let off = found.per_minute / most as f64 - 1.0;
            assert!(off.abs() <= 0.05 && found.counts_refused, "{most}: {found:?}, {net:?}");
        }
        let terms = Terms { longest_wait: Duration::from_secs(130), ..TERMS };
        for most in [1, 5, 100] {
            let prolonged = Limiter::Prolonged { most, window: 60.0, since: f64::NEG_INFINITY, used: 0 };
            let estimator = estimate(prolonged, net, terms);
            let found = estimator.estimate();
            assert!(
                matches!(found, Estimate::Unfinished(Gap::CountsRefused { admitted, .. }) if admitted == most),
                "{most}: {found:?}, {net:?}"
            );
        }
    }
}

#[test]
fn a_gateway_without_a_limit_is_asked_no_more_than_was_allowed() {
    let terms = Terms { most_unlimited: 220, ..TERMS };
    let estimator = estimate(Limiter::Open, Net::new(0.05, 0.02), terms);
    assert!(
        matches!(estimator.estimate(), Estimate::NoLimit { calls: 220, .. }),
        "{:?}",
        estimator.estimate()
    );
    assert_eq!(estimator.calls, 220);
}

#[test]
fn calls_are_bounded_whatever_the_limit() {
    for most_calls in [1, 2, 10, 105, 150, 230] {
        let terms = Terms { most_calls, ..TERMS };
        for limiter in [Limiter::fixed(100, 60.0), Limiter::bucket(100.0, 10), Limiter::log(100, 60.0)] {
            assert!(estimate(limiter, Net::new(0.02, 0.01), terms).calls <= most_calls);
        }
    }
}

#[test]
fn who_refuses_everything_for_too_long_is_left_alone() {
    let terms = Terms { longest_wait: Duration::from_secs(60), ..TERMS };
    let estimator = estimate(Limiter::fixed(5, 86_400.0), Net::new(0.02, 0.01), terms);
    assert_eq!(estimator.estimate(), Estimate::Unfinished(Gap::Shut));
}

prop_compose! {
    fn nets()(round_trip in 0.001..0.1_f64, jitter in 0.0..0.3_f64, tells: bool, seed in 1..u64::MAX) -> Net {
        Net { round_trip, jitter: jitter * round_trip, tells, takes: 0.0, seed }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, rng_seed: RngSeed::Fixed(4), ..ProptestConfig::default() })]

    #[test]
    fn windows_are_measured(
        rpm in 2_u32..1500, net in nets(), sliding: bool, window in prop_oneof![Just(60.0), Just(10.0)],
    ) {
        // A network that is too slow to reach the limit can not find it.
        let speed = 50.0 / (net.round_trip + net.jitter);
        prop_assume!(f64::from(rpm) / window < speed / 8.0);
        let limiter = if sliding { Limiter::log(rpm, window) } else { Limiter::fixed(rpm, window) };
        check("window", limiter, net, f64::from(rpm) * 60.0 / window, None, 3 * rpm + 300);
    }

    #[test]
    fn windows_by_the_clock_are_measured(rpm in 4_u32..1500, net in nets(), phase in 0.0..60.0_f64) {
        let speed = 50.0 / (net.round_trip + net.jitter);
        prop_assume!(f64::from(rpm) / 60.0 < speed / 8.0);
        // Without a word of when it ends, the first window is measured coarsely, and may look like a whole one.
        let net = Net { tells: true, ..net };
        check("clock", Limiter::clock(rpm, 60.0, phase), net, f64::from(rpm), None, 5 * rpm + 300);
    }

    #[test]
    fn buckets_are_measured(rpm in 1_u32..10_000, part in 0.0..1.0_f64, net in nets()) {
        let burst = 1 + (f64::from(rpm) * part * part) as u32;
        let speed = 50.0 / (net.round_trip + net.jitter);
        prop_assume!(f64::from(rpm) / 60.0 < speed / 8.0);
        // Without a burst, requests that overtake each other hide what is closer than a round trip.
        prop_assume!(burst > 2 || 60.0 / f64::from(rpm) > 5.0 * (net.round_trip + 2.0 * net.jitter));
        let most = 2 * burst + 1200;
        check("bucket", Limiter::bucket(f64::from(rpm), burst), net, f64::from(rpm), None, most);
    }

    #[test]
    fn counters_of_two_windows_are_measured(rpm in 60_u32..1500, net in nets(), phase in 0.0..45.0_f64) {
        let speed = 50.0 / (net.round_trip + net.jitter);
        prop_assume!(f64::from(rpm) / 60.0 < speed / 8.0);
        let estimator = estimate(Limiter::counter(rpm, 60.0, phase), net, TERMS);
        // It lets in less than its figure where the window before was not used up.
        let found = limit(&estimator).per_minute / f64::from(rpm);
        prop_assert!((0.75..=1.05).contains(&found), "{found}: {:?}", estimator.estimate());
        prop_assert!(estimator.calls <= 3 * rpm + 600, "{}", estimator.calls);
    }
}
