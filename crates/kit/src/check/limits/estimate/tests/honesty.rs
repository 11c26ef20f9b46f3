//! Limits that can not always be measured are left open then, and never taken for others.

use super::*;

#[test]
fn a_log_of_all_requests_is_never_taken_for_a_longer_one() {
    for (most, window) in [(3, 60.0), (12, 60.0), (20, 60.0), (30, 8.0), (100, 12.0)] {
        for tells in [true, false] {
            let terms = Terms { longest_wait: Duration::from_secs_f64(window * 2.0 + 10.0), ..TERMS };
            let log = Limiter::CountedLog { most, window, log: VecDeque::new() };
            match estimate(log, Net { tells, ..Net::new(0.02, 0.01) }, terms).estimate() {
                Estimate::Limit(found) => {
                    let off = found.per_minute * window / 60.0 / most as f64 - 1.0;
                    assert!(off.abs() <= 0.05 && found.counts_refused, "{most} in {window} s: {found:?}");
                }
                found => assert!(
                    matches!(found, Estimate::Unfinished(Gap::CountsRefused { .. })) && most < 20,
                    "{most} in {window} s: {found:?}"
                ),
            }
        }
    }
}

#[test]
fn a_counter_of_two_windows_is_measured_or_left_open_wherever_its_windows_begin() {
    for (most, window) in [(20, 60.0), (40, 8.0), (60, 60.0), (100, 60.0)] {
        for (part, tells) in (0..12).flat_map(|part| [(part, true), (part, false)]) {
            let phase = window * f64::from(part) / 12.0;
            let net = Net { tells, ..Net::new(0.02, 0.01) };
            let estimator = estimate(Limiter::counter(most, window, phase), net, TERMS);
            let what = format!("{most} in {window} s, {phase}, {tells}: {:?}", estimator.estimate());
            match estimator.estimate() {
                Estimate::Limit(found) => {
                    let share = found.per_minute * window / 60.0 / f64::from(most);
                    assert!((0.7..=1.05).contains(&share), "{what}");
                }
                found => assert!(found == Estimate::Unfinished(Gap::Strange) && most < 60, "{what}"),
            }
        }
    }
}
