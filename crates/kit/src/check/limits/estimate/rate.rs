//! The rate of a bucket, from what it let in and what it refused.
//!
//! A bucket of any kind lets a request in if it is not too early: if the instant at which it would be due, had all come
//! at the rate, is not further ahead than the depth of the bucket (the virtual scheduling of GCRA, ITU-T I.371, to
//! which a token bucket is equal). For a rate that is supposed, the calls that were let in say when each was due. The
//! rate is right if one depth lies between how early those were that were let in and those that were refused.

use std::time::Duration;

use super::Call;

/// Rates are tried that are so many times higher and lower than the guess.
const SPREAD: f64 = 1.6;

/// So many of them.
const TRIES: u32 = 120;

/// What is supposed of the bucket before the first call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Start {
    /// It was full.
    Full,
    /// It was in use, and is never full.
    Deep,
}

/// The time between two requests at the rate, in seconds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fit {
    pub(super) step: f64,
    pub(super) least: f64,
    pub(super) most: f64,
    /// By how much the calls contradict the best rate.
    pub(super) excess: f64,
}

/// Finds the rate that these calls contradict least. Rates that are contradicted by `slack` more may be right, too.
pub(super) fn fit(log: &[Call], guess: Duration, slack: Duration, start: Start) -> Option<Fit> {
    // Nobody knows in which order calls came that were under way together. In this one a refusal is best explained.
    let order = |call: &&Call| if call.is_admitted { call.sent_at } else { call.answered_at };
    let mut calls: Vec<&Call> = log.iter().collect();
    calls.sort_by_key(order);
    let calls: Vec<(f64, bool)> =
        calls.iter().map(|call| (call.sent_at.as_secs_f64(), call.is_admitted)).collect();
    let guess = guess.as_secs_f64();
    let tried = |number: u32| guess * SPREAD.powf(f64::from(number) / f64::from(TRIES / 2) - 1.0);
    let tried: Vec<(f64, f64)> =
        (0..=TRIES).map(tried).map(|step| (step, contradiction(&calls, step, start))).collect();
    let excess = tried.iter().map(|(_, excess)| *excess).fold(f64::INFINITY, f64::min);
    let within = |most: f64| {
        let fits = || tried.iter().filter(move |(_, excess)| *excess <= most).map(|(step, _)| *step);
        Some((fits().reduce(f64::min)?, fits().reduce(f64::max)?))
    };
    let best = within(excess)?;
    let (least, most) = within(excess + slack.as_secs_f64())?;
    (guess > 0.0 && excess.is_finite()).then(|| Fit {
        step: f64::midpoint(best.0, best.1),
        least,
        most,
        excess,
    })
}

/// By how many seconds the calls contradict this rate: those that were let in and were earlier than the depth allows,
/// and those that were refused and were not, with the depth that is contradicted least. A single call that was held up on
/// its way does not spoil the sum.
fn contradiction(calls: &[(f64, bool)], step: f64, start: Start) -> f64 {
    let mut due = match (start, calls.first()) {
        (Start::Deep, Some((first, _))) => first + step * calls.len() as f64,
        _ => f64::NEG_INFINITY,
    };
    let early = |(at, is_admitted): &(f64, bool)| {
        if *is_admitted || due == f64::NEG_INFINITY {
            due = at.max(due) + step;
            return (due - at, *is_admitted);
        }
        // The longer the bucket has been full, the less a refusal is to be understood.
        (due + step - at, false)
    };
    let mut early: Vec<(f64, bool)> = calls.iter().map(early).collect();
    let admitted = early.iter().filter(|(_, is_admitted)| *is_admitted).count();
    if admitted == 0 || admitted == early.len() {
        return f64::INFINITY;
    }
    // As many that were let in lie above it as others below: the sum has its least there.
    let (_, (depth, _), _) =
        early.select_nth_unstable_by(admitted - 1, |one, other| one.0.total_cmp(&other.0));
    let depth = *depth;
    let beyond = |(early, is_admitted): &(f64, bool)| {
        if *is_admitted { (early - depth).max(0.0) } else { (depth - early).max(0.0) }
    };
    early.iter().map(beyond).sum()
}
