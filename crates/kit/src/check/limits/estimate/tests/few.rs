//! Limits of one, two and three requests a minute, by the terms of `--rpm 1` and so on. Each request tells much there, and
//! each takes up to a minute.

use super::*;
use crate::check::limits::{Claim, Plan};

const MINUTE: Duration = Duration::from_secs(60);
/// More is never sent, though more may be.
const MOST_CALLS: u32 = 250;

/// The plan of `check rate-limit --rpm`, which has to end by itself within nine minutes.
fn plan(rpm: u32) -> Plan {
    let claim = Some(Claim::Requests(rpm));
    let longest_wait = MINUTE * 2 + Duration::from_secs(10);
    let plan = Plan { claim, window: MINUTE, most_calls: Plan::calls_for(claim), longest_wait };
    assert!(plan.longest() < MINUTE * 9);
    plan
}

fn nets() -> impl Iterator<Item = Net> {
    let speeds = [(0.002, 0.0005), (0.02, 0.01), (0.1, 0.05)];
    [(true, 1), (true, 77), (false, 1), (false, 77)].into_iter().flat_map(move |(tells, seed)| {
        speeds.map(|(there, jitter)| Net { tells, seed, ..Net::new(there, jitter) })
    })
}

/// Panics unless it ends in time and with few calls.
fn estimate_few(rpm: u32, limiter: Limiter, net: Net) -> Estimator {
    let name = format!("{rpm} a minute, {limiter:?}, {net:?}");
    let plan = plan(rpm);
    let estimator = estimate(limiter, net, plan.terms(0, TERMS.hold));
    let ended = estimator.log.iter().map(|call| call.answered_at).max().unwrap();
    assert!(ended <= plan.longest() + Duration::from_secs(2), "{name}: {ended:?}");
    assert!(estimator.calls <= MOST_CALLS, "{name}: {} calls", estimator.calls);
    estimator
}

#[test]
fn few_requests_a_minute_are_measured_within_nine_minutes() {
    for (rpm, net) in [1, 2, 3].into_iter().flat_map(|rpm| nets().map(move |net| (rpm, net))) {
        let rate = f64::from(rpm);
        let limiters = [
            Limiter::fixed(rpm, 60.0),
            Limiter::log(rpm, 60.0),
            Limiter::clock(rpm, 60.0, 1.0),
            Limiter::clock(rpm, 60.0, 17.0),
            Limiter::clock(rpm, 60.0, 30.0),
            Limiter::clock(rpm, 60.0, 47.0),
            Limiter::bucket(rate, 1),
            Limiter::bucket(rate, rpm),
            Limiter::bucket(rate, 5),
        ];
        for limiter in limiters {
            let found = limit(&estimate_few(rpm, limiter.clone(), net));
            let off = found.per_minute / rate - 1.0;
            assert!(off.abs() <= 0.05, "{rpm} a minute: {found:?}, {limiter:?}, {net:?}");
        }
    }
}

#[test]
fn few_requests_a_minute_of_which_refused_ones_count_are_left_open() {
    for (rpm, net) in [1, 2, 3].into_iter().flat_map(|rpm| nets().map(move |net| (rpm, net))) {
        let log = Limiter::CountedLog { most: rpm as usize, window: 60.0, log: VecDeque::new() };
        let prolonged = Limiter::Prolonged { most: rpm, window: 60.0, since: f64::NEG_INFINITY, used: 0 };
        for limiter in [log, prolonged] {
            let found = estimate_few(rpm, limiter, net).estimate();
            assert!(
                matches!(found, Estimate::Unfinished(Gap::CountsRefused { admitted, .. }) if admitted == rpm),
                "{rpm} a minute: {found:?}, {net:?}"
            );
        }
    }
}
