//! A week of traffic, and no drift.

use super::play::{MODELS, Play};
use super::*;

/// Numbers that look random and are the same each time (SplitMix64).
struct Numbers(u64);

impl Numbers {
    /// One below `end`.
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % end
    }

    fn one_of<T: Copy>(&mut self, of: &[T]) -> T {
        of[usize::try_from(self.below(of.len() as u64)).unwrap()]
    }
}

/// Thirty people in three teams of two orgs.
fn company() -> Vec<(Scope, KeyId)> {
    let of = |number: u8| {
        let (org, team) =
            [("default", "red"), ("default", "blue"), ("other", "red")][usize::from(number % 3)];
        let project = if number.is_multiple_of(4) { "web" } else { "-" };
        (scope(&format!("{org}/{team}/{project}/user-{}", number / 2)), key(number))
    };
    (0..30).map(of).collect()
}

/// Each kind of span, and each level, with too little for all that is asked.
fn allowances() -> Vec<Allowance> {
    use Measure::{Concurrency, Cost, CountTokens, InputTokens, OutputTokens, Requests, Tokens};
    let each = |text, level, measure, amount, span| Allowance {
        each: Some(level),
        ..allowance(text, measure, amount, span)
    };
    let hourly = |burst| Span::Rate { per_ms: HOUR_MS, burst };
    let opus =
        Allowance { models: models(&["*opus*"]), ..each("opus", Level::Org, Cost, 60_000, per(Period::Day)) };
    let seen = Allowance { mode: Mode::Observe, ..allowance("seen", Tokens, 90_000, per(Period::Day)) };
    vec![
        allowance("at-once", Concurrency, 12, Span::AtOnce),
        each("user-rate", Level::User, Requests, 9, hourly(4)),
        each("key-rate", Level::Key, OutputTokens, 20_000, hourly(5_000)),
        allowance("counting", CountTokens, 6, hourly(3)),
        each("project-day", Level::Project, Tokens, 30_000, in_zone(Period::Day, "Europe/Berlin")),
        each("team-week", Level::Team, Cost, 900_000, per(Period::Week)),
        allowance("all-month", InputTokens, 2_000_000, in_zone(Period::Month, "America/Sao_Paulo")),
        each("org-rolling", Level::Org, OutputTokens, 100_000, Span::Rolling { ms: DAY_MS }),
        each("user-rolling", Level::User, Requests, 20, Span::Rolling { ms: 5 * HOUR_MS }),
        opus,
        seen,
    ]
}

#[test]
fn a_week_of_traffic_drifts_by_nothing_and_refuses_nobody_without_cause() {
    let mut play = Play::new(allowances(), company(), false);
    let mut numbers = Numbers(22);
    for turn in 0..2_000 {
        // Five minutes on average; now and then the clock stands still or goes back.
        let ms = i64::try_from(numbers.below(820_000)).unwrap();
        let ms = numbers.one_of(&[ms, ms, ms, ms, ms, ms, 2 * ms, 0, -ms]);
        play.clock = play.clock.saturating_add_ms(ms);
        let person = usize::try_from(numbers.below(30)).unwrap();
        let kind =
            numbers.one_of(&[Kind::Messages, Kind::Messages, Kind::Messages, Kind::CountTokens, Kind::Other]);
        let model = numbers.one_of(&MODELS);
        let full =
            amounts(numbers.below(4_000), numbers.below(3_000), i64::try_from(numbers.below(9_000)).unwrap());
        // `ask` compares the decision with the oracle's, and whatever a refusal says.
        play.ask(person, kind, vec![model], full);
        while !play.open.is_empty() && numbers.below(3) > 0 {
            let which = usize::try_from(numbers.below(play.open.len() as u64)).unwrap();
            match numbers.below(10) {
                0 => play.release(which),
                1 => {
                    // Lost for ever: it will expire.
                    drop(play.open.remove(which));
                }
                _ => {
                    let permille = [(); 3].map(|()| numbers.below(1_100));
                    play.settle(which, vec![numbers.one_of(&MODELS)], permille);
                }
            }
        }
        if turn % 100 == 0 {
            play.expire();
            play.compare();
        }
    }
    assert!(play.now >= later(7 * DAY_MS), "{}", play.now);
    // Both answers were given often enough to mean something.
    let admitted = play.oracle.requests.len();
    assert!((500..1_500).contains(&admitted), "{admitted} of 2000 were admitted");
    while !play.open.is_empty() {
        play.release(0);
    }
    // A day later the lost ones have expired, and everybody is admitted at once.
    play.clock = play.now.saturating_add_ms(DAY_MS);
    play.expire();
    assert_eq!(play.books.open(), 0);
    for person in 0..30 {
        play.ask(person, Kind::Messages, vec![MODELS[0]], amounts(1, 1, 1));
        assert_eq!(play.open.len(), 1, "person {person} was refused");
        play.settle(0, vec![MODELS[0]], [1_000; 3]);
    }
    play.finish();
}

#[test]
fn idle_counters_leave_and_others_stay() {
    let each = |text, span| {
        let like = allowance(text, Measure::OutputTokens, 100, span);
        Allowance { each: Some(Level::User), ..like }
    };
    let mut desk = Desk::new(vec![each("rate", per_minute(100)), each("day", per(Period::Day))]);
    for number in 0..100 {
        desk.scope.user = Some(name(&format!("user-{number}")));
        let reservation = desk.output(0, 50).unwrap();
        desk.settle(0, reservation, 50);
    }
    let running = desk.output(0, 50).unwrap();
    let count = |desk: &mut Desk, at_ms| {
        desk.books.expire(later(at_ms));
        desk.books.counters.iter_mut().count()
    };
    assert_eq!(count(&mut desk, 0), 200);
    assert_eq!(count(&mut desk, 29_999), 200);
    assert_eq!(count(&mut desk, 30_000), 101);
    assert_eq!(count(&mut desk, 13 * HOUR_MS), 2);
    desk.settle(14 * HOUR_MS, running, 50);
    // What it used drains; the day that it belongs to is over.
    assert_eq!(count(&mut desk, 14 * HOUR_MS), 1);
    assert_eq!(count(&mut desk, 15 * HOUR_MS), 0);
}

#[test]
fn idle_counters_leave_a_few_at_a_time() {
    let like = allowance("a", Measure::Requests, 60, per_minute(60));
    let mut desk = Desk::new(vec![Allowance { each: Some(Level::User), ..like }]);
    let most = usize::try_from(SWEEP_MAX).unwrap();
    for number in 0..2 * most + 10 {
        desk.scope.user = Some(name(&format!("user-{number}")));
        let reservation = desk.output(0, 1).unwrap();
        desk.settle(0, reservation, 1);
    }
    let left = [most + 10, 10, 0, 0].map(|expected| {
        desk.books.expire(later(MINUTE_MS));
        (expected, desk.books.counters.iter_mut().count())
    });
    assert!(left.iter().all(|(expected, found)| expected == found), "{left:?}");
    assert_eq!(desk.books.entries[0].members.len(), 0);
}
