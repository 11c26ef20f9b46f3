//! The books against the oracle: any allowances, any requests, any order of ends, any clock.

use proptest::prelude::*;
use proptest::sample::{Index as Pick, select};

use super::play::{MODELS, Move, Play, people};
use super::*;

/// Sums that are small, so that they meet the amounts, or large.
pub(super) fn any_scale() -> impl Strategy<Value = u64> {
    select(&[4_u64, 30, 1_000, 1_000_000])
}

prop_compose! {
    fn any_selector()(
        org in prop::option::weighted(0.2, select(&["default", "other"])),
        team in prop::option::weighted(0.2, select(&["red", "blue"])),
        project in prop::option::weighted(0.1, Just("web")),
        user in prop::option::weighted(0.2, select(&["ada", "bob"])),
        number in prop::option::weighted(0.2, 1..=5_u8),
    ) -> Selector {
        let [org, team, project, user] = [org, team, project, user].map(|text| text.map(name));
        Selector { org, team, project, user, key: number.map(key) }
    }
}

fn any_span(scale: u64) -> impl Strategy<Value = Span> {
    const PERIODS: [Period; 5] = [Period::Day, Period::Week, Period::Month, Period::Quarter, Period::Year];
    prop_oneof![
        4 => (select(&[1_000, MINUTE_MS, HOUR_MS]), 1..=scale)
            .prop_map(|(per_ms, burst)| Span::Rate { per_ms, burst }),
        2 => (select(&PERIODS), select(&["UTC", "Europe/Berlin", "America/Sao_Paulo"]))
            .prop_map(|(period, zone)| in_zone(period, zone)),
        2 => select(&[MINUTE_MS, 61_234, HOUR_MS, DAY_MS, 7 * DAY_MS]).prop_map(|ms| Span::Rolling { ms }),
    ]
}

fn any_raises(scale: u64) -> impl Strategy<Value = Vec<Raise>> {
    let raise = (0..3 * HOUR_MS, 1..DAY_MS, 0..=2 * scale);
    prop::collection::vec(raise, 0..=2).prop_map(|raises| {
        let mut at = NOW;
        let raise = |(gap_ms, ms, amount)| {
            let from = at.saturating_add_ms(gap_ms);
            at = from.saturating_add_ms(ms);
            Raise { amount, from, until: at, by: "ada".to_owned(), note: None }
        };
        raises.into_iter().map(raise).collect()
    })
}

prop_compose! {
    pub(super) fn any_allowance(scale: u64, raised: bool)(
        on in any_selector(),
        each in prop::option::of(select(&[Level::Org, Level::Team, Level::Project, Level::User, Level::Key])),
        patterns in prop_oneof![
            3 => Just(&[] as &[&str]), 1 => Just(&["*opus*"] as &[&str]),
            1 => Just(&["claude-sonnet-5", "*haiku*"] as &[&str]),
        ],
        measure in select(&[
            Measure::Requests, Measure::CountTokens, Measure::InputTokens, Measure::OutputTokens, Measure::Tokens,
            Measure::Cost, Measure::Concurrency,
        ]),
        amount in prop_oneof![1 => Just(0), 9 => 0..=scale],
        span in any_span(scale),
        mode in prop_oneof![4 => Just(Mode::Block), 1 => Just(Mode::Observe)],
        raises in any_raises(scale),
    ) -> Allowance {
        let span = if measure == Measure::Concurrency { Span::AtOnce } else { span };
        let raises = if raised { raises } else { Vec::new() };
        let like = allowance("unnamed", measure, amount, span);
        Allowance { on, each, models: models(patterns), mode, raises, ..like }
    }
}

/// A move after which the ledger knows all that the books know.
pub(super) fn any_settled_move(scale: u64) -> impl Strategy<Value = Move> {
    let amount = || prop_oneof![3 => 0..=scale / 4 + 1, 1 => 0..=2 * scale];
    const KINDS: [Kind; 6] =
        [Kind::Messages, Kind::Messages, Kind::Messages, Kind::Messages, Kind::CountTokens, Kind::Other];
    let asked = (0..5_usize, select(&KINDS), prop::sample::subsequence(&MODELS[..], 0..=3).prop_shuffle());
    let waits = prop_oneof![
        3 => 0..100_i64, 3 => 0..3 * MINUTE_MS, 2 => 0..3 * HOUR_MS, 1 => 0..3 * DAY_MS, 1 => -HOUR_MS..0,
    ];
    prop_oneof![
        3 => waits.prop_map(Move::Wait),
        6 => (asked, amount(), amount(), amount()).prop_map(|((person, kind, models), input, output, cost)| {
            let full = amounts(input, output, i64::try_from(cost).unwrap());
            Move::Ask { person, kind, models, full }
        }),
        3 => (any::<Pick>(), any_models(), [0..=1000_u64, 0..=1000, 0..=1000])
            .prop_map(|(which, ran, permille)| Move::Settle { which, ran, permille }),
    ]
}

/// The models that ran a request: none, one, or a second one for a part of it.
fn any_models() -> impl Strategy<Value = Vec<Pick>> {
    prop::collection::vec(any::<Pick>(), 0..=2)
}

fn any_move(scale: u64) -> impl Strategy<Value = Move> {
    prop_oneof![
        12 => any_settled_move(scale),
        1 => any::<Pick>().prop_map(|which| Move::Release { which }),
        1 => Just(Move::Expire),
    ]
}

fn any_wild_move(scale: u64) -> impl Strategy<Value = Move> {
    prop_oneof![
        12 => any_move(scale),
        1 => (any::<Pick>(), any_models(), [0..=3000_u64, 0..=3000, 0..=3000])
            .prop_map(|(which, ran, permille)| Move::Settle { which, ran, permille }),
        1 => (any::<Pick>(), 0..=scale, 1..=scale)
            .prop_map(|(which, amount, burst)| Move::Change { which, amount, burst }),
    ]
}

pub(super) fn named(allowances: Vec<Allowance>) -> Vec<Allowance> {
    let rename = |(number, allowance)| Allowance { name: name(&format!("a{number}")), ..allowance };
    (0..).zip(allowances).map(|(number, allowance): (usize, _)| rename((number, allowance))).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    #[test]
    fn a_request_is_admitted_if_and_only_if_it_fits_everywhere(
        (allowances, moves) in any_scale().prop_flat_map(|scale| (
            prop::collection::vec(any_allowance(scale, true), 0..6),
            prop::collection::vec(any_wild_move(scale), 1..40),
        )),
    ) {
        Play::new(named(allowances), people(), false).run(moves);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2048))]

    #[test]
    fn no_allowance_is_ever_over_by_a_single_unit(
        (allowances, moves) in any_scale().prop_flat_map(|scale| (
            prop::collection::vec(any_allowance(scale, false), 1..6),
            prop::collection::vec(any_move(scale), 1..40),
        )),
    ) {
        Play::new(named(allowances), people(), true).run(moves);
    }

    #[test]
    fn every_allowance_that_fits_is_found_once(
        selectors in prop::collection::vec(any_selector(), 0..30),
        person in 0..5_usize,
    ) {
        let of = |on| Allowance { on, ..allowance("a", Measure::Requests, 1, per_minute(1)) };
        let allowances: Vec<Allowance> = selectors.into_iter().map(of).collect();
        let (scope, key) = people().remove(person);
        let fitting = |numbers: &mut dyn Iterator<Item = u32>| {
            let fits = |number: &u32| allowances[*number as usize].on.fits(&scope, key);
            let mut numbers: Vec<u32> = numbers.filter(fits).collect();
            numbers.sort_unstable();
            numbers
        };
        let found = fitting(&mut Index::new(&allowances).candidates(&scope, key));
        let all = u32::try_from(allowances.len()).unwrap();
        prop_assert_eq!(found, fitting(&mut (0..all)));
    }
}

#[test]
fn a_request_looks_at_no_allowance_of_others() {
    let on = |text: &str| serde_json::from_str::<Selector>(text).unwrap();
    let others = [
        r#"{"org":"other"}"#,
        r#"{"org":"default","team":"blue"}"#,
        r#"{"org":"default","team":"red","project":"app"}"#,
        r#"{"team":"red","project":"web","user":"bob"}"#,
        r#"{"user":"ada","key":"key_00000000000000000000000000"}"#,
    ];
    let of = |text: &&str| Allowance { on: on(text), ..allowance("a", Measure::Requests, 1, per_minute(1)) };
    let index = Index::new(&others.iter().map(of).collect::<Vec<_>>());
    assert_eq!(index.candidates(&scope("default/red/web/ada"), key(1)).count(), 0);
}
