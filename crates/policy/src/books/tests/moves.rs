//! The moves of the books one by one: what passes, what is held, what is charged.

use super::*;
use crate::usage::{COUNT_MAX, Iteration, Usage};

#[test]
fn only_what_was_not_read_from_the_cache_counts_as_input() {
    let totals = Usage {
        input_tokens: 1,
        output_tokens: 20,
        cache_write_5m_tokens: 300,
        cache_write_1h_tokens: 4_000,
        cache_read_tokens: 50_000,
        ..Usage::default()
    };
    let part = Iteration {
        input_tokens: 2,
        output_tokens: 3,
        cache_write_5m_tokens: 4,
        cache_write_1h_tokens: 5,
        cache_read_tokens: 6,
        ..Iteration::default()
    };
    let with = |iterations: &[Iteration]| Usage { iterations: iterations.to_vec(), ..totals.clone() };
    let huge = Usage { input_tokens: u64::MAX, output_tokens: u64::MAX, ..Usage::default() };
    let rows = [
        (totals.clone(), (4_301, 20)),
        (with(&[Iteration::default()]), (4_301, 20)),
        (with(&[part.clone(), part]), (22, 6)),
        (huge, (COUNT_MAX, COUNT_MAX)),
    ];
    for (usage, (input_tokens, output_tokens)) in rows {
        let expected = amounts(input_tokens, output_tokens, 7);
        assert_eq!(Amounts::of(&usage, NanoUsd(7)), expected, "{usage:?}");
    }
    assert_eq!(amounts(0, 0, -5).count(Measure::Cost), 0);
}

#[test]
fn each_kind_of_request_counts_in_its_measures() {
    use Measure::{Concurrency, Cost, CountTokens, InputTokens, OutputTokens, Requests, Tokens};
    let all = [Requests, CountTokens, InputTokens, OutputTokens, Tokens, Cost, Concurrency];
    let rows: [(Kind, &[Measure]); 3] = [
        (Kind::Messages, &[Requests, InputTokens, OutputTokens, Tokens, Cost, Concurrency]),
        (Kind::CountTokens, &[CountTokens]),
        (Kind::Other, &[Requests, Concurrency]),
    ];
    for (kind, counted) in rows {
        for measure in all {
            let span = if measure == Concurrency { Span::AtOnce } else { per(Period::Day) };
            let mut desk = Desk::new(vec![allowance("a", measure, 1_000, span)]);
            desk.kind = kind;
            let reservation = desk.ask(0, amounts(10, 20, 30)).unwrap();
            let held = match measure {
                Requests | CountTokens | Concurrency => 1,
                InputTokens => 10,
                OutputTokens => 20,
                Tokens => 30,
                Cost => 30,
            };
            let expected = if counted.contains(&measure) { (0, held) } else { (0, 0) };
            assert_eq!(desk.level(0), expected, "{kind:?} {measure:?}");
            desk.books.release(later(0), reservation);
            assert_eq!((desk.level(0), desk.books.open()), ((0, 0), 0));
        }
    }
}

#[test]
fn a_request_waits_exactly_as_long_as_it_is_told() {
    // The amount and the burst; how long after three requests at once the fourth fits.
    let rows = [(60, 3, 1_000), (7, 3, 8_572), (1, 3, 60_000), (59_999, 3, 2), (60_000, 3, 1)];
    for (amount, burst, wait_ms) in rows {
        let mut desk = Desk::new(vec![allowance("a", Measure::Requests, amount, per_minute(burst))]);
        for _ in 0..burst {
            let _ = desk.output(0, 1).unwrap();
        }
        let overdrawn = desk.output(0, 1).unwrap_err();
        assert_eq!(overdrawn.retry_ms, Some(wait_ms), "{amount}");
        assert_eq!(overdrawn.resets_at, Some(later(wait_ms)));
        assert_eq!(desk.output(wait_ms - 1, 1).unwrap_err().retry_ms, Some(1), "{amount}");
        let _ = desk.output(wait_ms, 1).unwrap();
        assert!(desk.output(wait_ms, 1).is_err());
    }
}

#[test]
fn a_window_counts_to_the_end_of_a_sixtieth_of_it() {
    // What was booked in a second counts until all of that second is a minute old.
    for at_ms in [0, 500, 999] {
        let rolling = Span::Rolling { ms: MINUTE_MS };
        let mut desk = Desk::new(vec![allowance("a", Measure::Requests, 1, rolling)]);
        let reservation = desk.output(at_ms, 1).unwrap();
        desk.settle(at_ms, reservation, 1);
        let leaves_ms = 999 + MINUTE_MS;
        assert_eq!(desk.output(at_ms, 1).unwrap_err().retry_ms, Some(leaves_ms - at_ms));
        assert_eq!(desk.output(leaves_ms - 1, 1).unwrap_err().retry_ms, Some(1));
        let _ = desk.output(leaves_ms, 1).unwrap();
    }
}

#[test]
fn a_request_that_outlasts_its_window_is_not_counted_in_the_next() {
    let like = allowance("a", Measure::OutputTokens, 100, Span::Rolling { ms: MINUTE_MS });
    let mut desk = Desk::new(vec![Allowance { warn_at: vec![50], ..like }]);
    let reservation = desk.output(0, 100).unwrap();
    // It holds as long as it runs.
    assert_eq!(desk.output(5 * MINUTE_MS, 1).unwrap_err().retry_ms, None);
    assert_eq!(desk.settle(5 * MINUTE_MS, reservation, 100), []);
    assert_eq!(desk.level(5 * MINUTE_MS), (0, 0));
}

#[test]
fn nothing_is_held_anywhere_when_one_allowance_refuses() {
    let day = |text, amount| allowance(text, Measure::OutputTokens, amount, per(Period::Day));
    let slow = allowance("slow", Measure::Requests, 1, per_minute(1));
    let mut desk = Desk::new(vec![day("wide", 100), slow, day("narrow", 60)]);
    let first = desk.output(0, 20).unwrap();
    desk.settle(0, first, 20);
    let levels = |desk: &Desk| {
        let lines = desk.books.standing(NOW, |_| true);
        lines.iter().map(|line| (line.used, line.held)).collect::<Vec<_>>()
    };
    let before = levels(&desk);
    // Of those that refuse, the one with the longest wait is named.
    let midnight_ms = 12 * HOUR_MS + 30 * MINUTE_MS;
    for (asked, expected) in
        [(40, ("slow", Some(MINUTE_MS))), (41, ("narrow", Some(midnight_ms))), (61, ("narrow", None))]
    {
        let overdrawn = desk.output(0, asked).unwrap_err();
        assert_eq!((overdrawn.allowance.as_str(), overdrawn.retry_ms), expected);
        assert_eq!(overdrawn.never, asked > 60);
        assert_eq!((levels(&desk), desk.books.open()), (before.clone(), 0));
    }
    let _ = desk.output(MINUTE_MS, 40).unwrap();
}

#[test]
fn what_a_request_began_in_one_day_it_is_charged_to_that_day() {
    let mut desk = Desk::new(vec![allowance("a", Measure::OutputTokens, 100, per(Period::Day))]);
    let midnight_ms = 12 * HOUR_MS + 30 * MINUTE_MS;
    let long = desk.output(midnight_ms - 1, 80).unwrap();
    assert_eq!(desk.output(midnight_ms - 1, 21).unwrap_err().retry_ms, None);
    assert_eq!(desk.level(midnight_ms - 1), (0, 80));
    assert_eq!(desk.level(midnight_ms), (0, 0));
    let next = desk.output(midnight_ms, 100).unwrap();
    assert!(desk.settle(midnight_ms + 5, long, 70).is_empty());
    assert_eq!(desk.level(midnight_ms + 5), (0, 100));
    desk.settle(midnight_ms + 6, next, 60);
    assert_eq!(desk.level(midnight_ms + 6), (60, 0));
}

#[test]
fn a_clock_that_is_set_back_gives_nothing() {
    let spans = [per_minute(10), per(Period::Day), Span::Rolling { ms: HOUR_MS }];
    for span in spans {
        let mut desk = Desk::new(vec![allowance("a", Measure::OutputTokens, 10, span.clone())]);
        let reservation = desk.output(0, 10).unwrap();
        desk.settle(0, reservation, 10);
        for at_ms in [-1, -HOUR_MS, -40 * DAY_MS, 0] {
            let overdrawn = desk.output(at_ms, 1).unwrap_err();
            assert!(overdrawn.retry_ms.unwrap() >= -at_ms, "{span:?} {overdrawn:?}");
            assert_eq!(desk.level(at_ms), (10, 0), "{span:?} {at_ms}");
        }
    }
}

#[test]
fn a_new_amount_keeps_what_is_used() {
    for span in [per_minute(100), per(Period::Day), Span::Rolling { ms: HOUR_MS }] {
        let of = |amount| {
            let span = if matches!(span, Span::Rate { .. }) { per_minute(amount) } else { span.clone() };
            vec![allowance("a", Measure::OutputTokens, amount, span)]
        };
        let mut desk = Desk::new(of(100));
        let ended = desk.output(0, 60).unwrap();
        desk.settle(0, ended, 60);
        let running = desk.output(0, 30).unwrap();
        desk.books.replace(of(50), NOW);
        assert_eq!(desk.level(0), (60, 30));
        assert!(desk.output(0, 0).is_err(), "more is used than granted, yet something passes");
        desk.settle(0, running, 40);
        assert_eq!(desk.level(0), (100, 0));
        assert!(desk.output(0, 51).unwrap_err().never);
        desk.books.replace(of(101), NOW);
        let last = desk.output(0, 1).unwrap();
        assert!(desk.output(0, 1).is_err());
        desk.books.release(NOW, last);
        assert_eq!(desk.level(0), (100, 0));
    }
}

#[test]
fn a_raise_grants_more_while_it_lasts() {
    let raise = Raise { amount: 200, from: later(10), until: later(20), by: "ada".into(), note: None };
    let stop = Raise { amount: 0, from: later(30), until: later(40), by: "ada".into(), note: None };
    let like = allowance("a", Measure::OutputTokens, 100, per(Period::Day));
    let mut desk = Desk::new(vec![Allowance { raises: vec![raise, stop], ..like }]);
    let first = desk.output(9, 100).unwrap();
    desk.settle(9, first, 100);
    assert_eq!(desk.output(9, 50).unwrap_err().retry_ms, Some(1));
    let second = desk.output(10, 100).unwrap();
    assert_eq!(desk.output(10, 1).unwrap_err().retry_ms, None);
    desk.settle(19, second, 90);
    // The raise is over, and more is used than granted.
    let overdrawn = desk.output(20, 0).unwrap_err();
    assert_eq!((overdrawn.amount, overdrawn.used), (100, 190));
    assert_eq!(overdrawn.resets_at, Some(later(12 * HOUR_MS + 30 * MINUTE_MS)));
    let overdrawn = desk.output(30, 0).unwrap_err();
    assert_eq!((overdrawn.amount, overdrawn.never), (0, false));
}

#[test]
fn an_amount_of_zero_lets_nothing_pass() {
    for span in [Span::AtOnce, per_minute(5), per(Period::Year), Span::Rolling { ms: HOUR_MS }] {
        let measure = if span == Span::AtOnce { Measure::Concurrency } else { Measure::OutputTokens };
        let mut desk = Desk::new(vec![allowance("a", measure, 0, span)]);
        for asked in [0, 1] {
            assert!(desk.output(0, asked).unwrap_err().never);
        }
    }
}

#[test]
fn a_lost_reservation_is_charged_in_full_and_corrected_if_it_ends_after_all() {
    for span in [per(Period::Month), Span::Rolling { ms: 30 * DAY_MS }] {
        let mut desk = Desk::new(vec![allowance("a", Measure::OutputTokens, 100, span)]);
        let [less, more, lost] = [10, 20, 30].map(|tokens| desk.output(0, tokens).unwrap());
        assert_eq!(desk.books.expire(later(TERM_MS - 1)), 0);
        assert_eq!((desk.level(TERM_MS - 1), desk.books.open()), ((0, 60), 3));
        assert_eq!(desk.books.expire(later(TERM_MS)), 3);
        assert_eq!((desk.level(TERM_MS), desk.books.open()), ((60, 0), 0));
        assert_eq!(desk.books.expire(later(TERM_MS)), 0);
        desk.settle(TERM_MS + 1, less, 4);
        desk.books.release(later(TERM_MS + 1), more);
        assert_eq!(desk.level(TERM_MS + 1), (34, 0));
        // After a second term it is too late.
        assert_eq!(desk.books.expire(later(2 * TERM_MS)), 0);
        desk.settle(2 * TERM_MS, lost, 1);
        assert_eq!(desk.level(2 * TERM_MS), (34, 0));
        assert_eq!(desk.books.reservations.iter_mut().count(), 0);
    }
}

#[test]
fn a_rate_gives_back_only_what_cannot_have_drained() {
    let mut desk = Desk::new(vec![allowance("a", Measure::Requests, 60, per_minute(2))]);
    let [one, other] = [0, 0].map(|at_ms| desk.output(at_ms, 1).unwrap());
    desk.books.release(NOW, one);
    assert_eq!(desk.level(0), (1, 0));
    // A quarter of it may have drained: three quarters are given back.
    let third = desk.output(0, 1).unwrap();
    desk.books.release(later(250), third);
    assert_eq!(desk.level(250), (1, 0));
    let _ = desk.output(250, 1).unwrap();
    assert_eq!(desk.output(250, 1).unwrap_err().retry_ms, Some(1_000));
    // One that was sent is not given back, whatever it used.
    desk.settle(250, other, 0);
    assert_eq!(desk.output(1_249, 1).unwrap_err().retry_ms, Some(1));
}

#[test]
fn thresholds_are_told_once_in_a_period() {
    let warned = |span| {
        let like = allowance("a", Measure::OutputTokens, 100, span);
        Desk::new(vec![Allowance { warn_at: vec![50, 75, 100], each: Some(Level::User), ..like }])
    };
    for (span, next_ms) in [(per(Period::Day), DAY_MS), (Span::Rolling { ms: DAY_MS }, 2 * DAY_MS)] {
        let mut desk = warned(span);
        let mut spend = |at_ms, tokens| {
            let reservation = desk.output(at_ms, tokens).unwrap();
            let passed = desk.settle(at_ms, reservation, tokens);
            passed.into_iter().map(|passed| (passed.percent, passed.used)).collect::<Vec<_>>()
        };
        assert_eq!(spend(0, 49), []);
        assert_eq!(spend(0, 1), [(50, 50)]);
        assert_eq!(spend(0, 10), []);
        assert_eq!(spend(0, 40), [(75, 100), (100, 100)]);
        assert_eq!(spend(next_ms, 60), [(50, 60)]);
    }
    // One that ends in the next day may pass a threshold of its own.
    let mut desk = warned(per(Period::Day));
    let reservation = desk.output(0, 60).unwrap();
    desk.output(DAY_MS, 10).map(|next| desk.settle(DAY_MS, next, 10)).unwrap();
    let passed = desk.settle(DAY_MS, reservation, 60);
    assert_eq!(passed.iter().map(|passed| (passed.percent, passed.used)).collect::<Vec<_>>(), [(50, 60)]);
    let mut desk = warned(per(Period::Day));
    let reservation = desk.output(0, 100).unwrap();
    let passed = desk.settle(0, reservation, 50).remove(0);
    let expected = ThresholdPassed {
        allowance: name("a"),
        whose: "user ada of org default".to_owned(),
        percent: 50,
        used: 50,
        amount: 100,
    };
    assert_eq!(passed, expected);
    assert!(spend_all(warned(per_minute(100))).is_empty());
}

fn spend_all(mut desk: Desk) -> Vec<ThresholdPassed> {
    let reservation = desk.output(0, 100).unwrap();
    desk.settle(0, reservation, 100)
}

#[test]
fn a_model_counts_if_it_was_asked_for_or_answered() {
    let of = |text, pattern| {
        let like = allowance(text, Measure::OutputTokens, 100, per(Period::Day));
        Allowance { models: models(&[pattern]), ..like }
    };
    // What answered; what is used of the allowances of the requested model, the reserve, and another one.
    let rows = [
        (None, [40, 0, 0]),
        (Some("claude-opus-5"), [40, 0, 0]),
        (Some("claude-sonnet-5"), [40, 40, 0]),
        (Some("claude-haiku-5-5"), [40, 0, 40]),
    ];
    for (served, expected) in rows {
        let mut desk =
            Desk::new(vec![of("opus", "*opus*"), of("sonnet", "*sonnet*"), of("haiku", "*haiku*")]);
        desk.models.push("claude-sonnet-5");
        let reservation = desk.output(0, 50).unwrap();
        let levels = |desk: &Desk| {
            let lines = desk.books.standing(NOW, |_| true);
            lines.iter().map(|line| (line.used, line.held)).collect::<Vec<_>>()
        };
        assert_eq!(levels(&desk), [(0, 50), (0, 50), (0, 0)]);
        desk.books.settle(NOW, reservation, served.as_slice(), amounts(0, 40, 0));
        assert_eq!(levels(&desk), expected.map(|used| (used, 0)), "{served:?}");
    }
}

#[test]
fn an_allowance_that_observes_notes_what_is_over_and_refuses_nothing() {
    let like = allowance("a", Measure::OutputTokens, 10, per(Period::Day));
    let mut desk = Desk::new(vec![Allowance { mode: Mode::Observe, ..like }]);
    let first = desk.output(0, 10).unwrap();
    assert!(first.over().is_empty());
    let second = desk.output(0, 5).unwrap();
    assert_eq!(second.over(), [name("a")]);
    desk.settle(0, first, 10);
    desk.settle(0, second, 5);
    assert_eq!(desk.level(0), (15, 0));
}

#[test]
fn counters_go_on_where_the_same_use_is_counted() {
    let day = allowance("a", Measure::OutputTokens, 100, per(Period::Day));
    let observed = Allowance { mode: Mode::Observe, warn_at: vec![5], amount: 7, ..day.clone() };
    let weekly = allowance("a", Measure::OutputTokens, 100, per(Period::Week));
    let other = Allowance { name: name("b"), ..day.clone() };
    for (after, expected) in [(observed, (10, 20)), (weekly, (0, 0)), (other, (0, 0))] {
        let mut desk = Desk::new(vec![day.clone()]);
        let ended = desk.output(0, 10).unwrap();
        desk.settle(0, ended, 10);
        let running = desk.output(0, 20).unwrap();
        desk.books.replace(vec![after.clone()], NOW);
        assert_eq!(desk.level(0), expected, "{after:?}");
        // A request that began before is charged to the new allowance at its end, and the old counter leaves.
        desk.settle(0, running, 15);
        assert_eq!(desk.level(0), (expected.0 + 15, 0), "{after:?}");
        assert_eq!(desk.books.counters.iter_mut().count(), 1);
    }
}

#[test]
fn what_was_learned_lets_more_requests_in() {
    let like = allowance("a", Measure::OutputTokens, 10_000, per(Period::Day));
    let cost = allowance("b", Measure::Cost, 1_000_000, per(Period::Day));
    let learned = |like| Allowance { reserve: Reserve::Learned, ..like };
    let mut desk = Desk::new(vec![learned(like), learned(cost)]);
    let full = amounts(200, 800, 999);
    let held =
        |desk: &Desk| desk.books.standing(NOW, |_| true).iter().map(|line| line.held).collect::<Vec<_>>();
    // Half of the input is likely; of the output all of it, as long as nothing is known.
    let reservation = desk.ask(0, full).unwrap();
    assert_eq!(held(&desk), [800, 900]);
    desk.books.release(NOW, reservation);
    for _ in 0..50 {
        let reservation = desk.ask(0, full).unwrap();
        desk.books.settle(NOW, reservation, &["claude-opus-5"], amounts(0, 7, 0));
    }
    let reservation = desk.ask(0, full).unwrap();
    // 107 of 1000 tokens, so 107 of 1000 parts of the money, rounded up.
    assert_eq!(held(&desk), [7, 107]);
    desk.books.release(NOW, reservation);
    desk.models = vec!["claude-sonnet-5"];
    let _ = desk.ask(0, full).unwrap();
    assert_eq!(held(&desk), [800, 900]);
}

#[test]
fn an_answer_tells_the_shares_of_its_request() {
    let day = allowance("day", Measure::OutputTokens, 100, per(Period::Day));
    let day = Allowance { warn_at: vec![10, 20, 90], ..day };
    let rate = allowance("rate", Measure::Requests, 60, per_minute(5));
    let other = allowance("other", Measure::Requests, 60, per_minute(5));
    let other = Allowance { on: Selector { user: Some(name("bob")), ..Selector::default() }, ..other };
    let mut desk = Desk::new(vec![day, other, rate]);
    let first = desk.output(0, 30).unwrap();
    desk.settle(0, first, 25);
    let second = desk.output(0, 40).unwrap();
    let shares = desk.books.shares(later(500), &second);
    let told: Vec<_> = shares
        .iter()
        .map(|share| (share.allowance.as_str(), share.amount, share.used, share.held, share.passed))
        .collect();
    assert_eq!(told, [("day", 100, 25, 40, Some(20)), ("rate", 5, 2, 0, None)]);
    assert_eq!(shares[0].resets_at, later(12 * HOUR_MS + 30 * MINUTE_MS));
    assert_eq!(shares[1].resets_at, later(2_000));
    assert!(desk.books.shares(NOW, &Reservation::default()).is_empty());
}

#[test]
fn of_allowances_that_count_alike_the_fullest_is_told() {
    let day = |text, amount| allowance(text, Measure::OutputTokens, amount, per(Period::Day));
    let rate = |text, amount| allowance(text, Measure::OutputTokens, amount, per_minute(amount));
    let nothing = Allowance { mode: Mode::Observe, ..day("nothing", 0) };
    let rows: [(Vec<Allowance>, &[&str]); 4] = [
        (vec![day("wide", 1_000), day("narrow", 200)], &["narrow"]),
        (vec![day("first", 200), day("second", 200)], &["first"]),
        (vec![day("narrow", 200), nothing, day("wide", 1_000)], &["nothing"]),
        // What is held counts in a rate.
        (vec![day("day", 200), rate("wide", 1_000), rate("narrow", 200)], &["day", "narrow"]),
    ];
    for (allowances, told) in rows {
        let mut desk = Desk::new(allowances);
        let first = desk.output(0, 30).unwrap();
        desk.settle(0, first, 25);
        let second = desk.output(0, 40).unwrap();
        let shares = desk.books.shares(NOW, &second);
        let names: Vec<_> = shares.iter().map(|share| share.allowance.as_str()).collect();
        assert_eq!(names, told);
    }
}

#[test]
fn a_report_foretells_the_end_of_the_period() {
    let like = allowance("a", Measure::OutputTokens, 1_000, per(Period::Day));
    let each = Allowance { each: Some(Level::Team), name: name("b"), ..like.clone() };
    let mut desk = Desk::new(vec![each, like]);
    let line =
        |desk: &Desk, at_ms: i64| desk.books.standing(later(at_ms), |one| one.name == name("a")).remove(0);
    // 22 November 2026 is eleven and a half hours old.
    assert_eq!(line(&desk, 0).forecast, Some(0));
    let reservation = desk.output(0, 230).unwrap();
    desk.settle(0, reservation, 230);
    let found = line(&desk, 0);
    assert_eq!((found.forecast, found.whose.as_str()), (Some(480), "everyone"));
    assert_eq!(found.from, Some(later(-11 * HOUR_MS - 30 * MINUTE_MS)));
    assert_eq!(found.resets_at, Some(later(12 * HOUR_MS + 30 * MINUTE_MS)));
    // A hundredth of the next day is 14.4 minutes.
    let midnight_ms = 12 * HOUR_MS + 30 * MINUTE_MS;
    assert_eq!(line(&desk, midnight_ms + 863_999).forecast, None);
    assert_eq!(line(&desk, midnight_ms + 864_000).forecast, Some(0));
    let whose: Vec<_> = desk.books.standing(NOW, |_| true).into_iter().map(|line| line.whose).collect();
    assert_eq!(whose, ["team red of org default", "everyone"]);
}
