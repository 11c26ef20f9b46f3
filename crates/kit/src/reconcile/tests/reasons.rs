//! The likely reason of every kind of difference.

use super::*;
use tollgate_policy::price::Class;

const DAY: &str = "2026-11-02";
const OPUS: &str = "claude-opus-5";

/// The reason of the only difference.
fn reason(export: &Export, ledger: &[Booked]) -> &'static str {
    let comparison = compared(export, ledger, |_| {});
    assert_eq!(comparison.differences.len(), 1, "{:?}", differences(&comparison));
    comparison.differences[0].reason.code()
}

fn usage(input: u64) -> Telling {
    Telling::new().usage(DAY, OPUS, [input, 100, 0, 0, 0])
}

fn ours(input: u64) -> Booked {
    booked(DAY, OPUS, [input, 100, 0, 0], 1_000_000)
}

fn changed(mut row: Booked, change: impl FnOnce(&mut Figures)) -> Booked {
    change(&mut row.figures);
    row
}

#[test]
fn when_tokens_differ() {
    let rows = [
        ("only the provider has it", usage(1_000).0, vec![], "past_the_gateway"),
        ("the provider has more", usage(2_000).0, vec![ours(1_000)], "past_the_gateway"),
        ("the provider has less", usage(1_000).0, vec![ours(2_000)], "missing_at_provider"),
        (
            "the provider has nothing",
            usage(0).with(|fact| fact.what = What::Usage([0; 7])).0,
            vec![ours(1)],
            "missing_at_provider",
        ),
        (
            "a crash: more was booked",
            usage(1_000).0,
            vec![changed(ours(2_000), |figures| (figures.unknown, figures.estimated) = (1, 1))],
            "unknown_end",
        ),
        (
            "a crash can not explain less",
            usage(2_000).0,
            vec![changed(ours(1_000), |figures| figures.unknown = 1)],
            "past_the_gateway",
        ),
        (
            "streams that broke off",
            usage(2_000).0,
            vec![changed(ours(1_000), |figures| figures.estimated = 1)],
            "estimated",
        ),
    ];
    for (what, export, ledger, expected) in rows {
        assert_eq!(reason(&export, &ledger), expected, "{what}");
    }
}

#[test]
fn a_model_that_the_export_does_not_mention_was_not_used_there() {
    let ledger = [ours(1_000), booked(DAY, "claude-opus-4-8", [7, 0, 0, 0], 3)];
    let told = usage(1_000).0;
    assert_eq!(
        differences(&compared(&told, &ledger, |_| {})),
        ["2026-11-02 claude-opus-4-8 input: missing_at_provider"]
    );
    let told = Telling::new().cost(DAY, Some(OPUS), 1_000_000).0;
    assert_eq!(
        differences(&compared(&told, &ledger, |_| {})),
        ["2026-11-02 claude-opus-4-8 cost: missing_at_provider"]
    );
}

#[test]
fn a_day_that_is_not_over_for_long_is_not_final() {
    let hours_after = |hours: i64| UnixMs(1_793_577_600_000 + (24 + hours) * 3_600_000);
    let rows = [
        (1_000, 2_000, -5, "not_final"),
        (1_000, 2_000, 23, "not_final"),
        (1_000, 2_000, 24, "missing_at_provider"),
        (2_000, 1_000, 0, "past_the_gateway"),
    ];
    for (theirs, booked, hours, expected) in rows {
        let comparison = compared(&usage(theirs).0, &[ours(booked)], |terms| terms.now = hours_after(hours));
        assert_eq!(comparison.differences[0].reason.code(), expected, "{theirs} {booked} {hours}");
    }
}

#[test]
fn what_is_missing_on_one_day_may_be_on_the_next() {
    let next = "2026-11-03";
    let export = usage(1_000).usage(next, OPUS, [3_000, 0, 0, 0, 0]).0;
    let ledger = |second: u64| [ours(2_000), booked(next, OPUS, [second, 0, 0, 0], 1)];
    let comparison = compared(&export, &ledger(2_000), |_| {});
    let both = ["2026-11-02 claude-opus-5 input: midnight", "2026-11-03 claude-opus-5 input: midnight"];
    assert_eq!(differences(&comparison), both);
    assert!(comparison.differences[0].reason.sentence().contains(next));
    // Another amount, or another model, is no such thing.
    let comparison = compared(&export, &ledger(1_000), |_| {});
    assert_eq!(differences(&comparison)[0], "2026-11-02 claude-opus-5 input: missing_at_provider");
    let export = usage(1_000).usage(next, "claude-opus-4-8", [3_000, 0, 0, 0, 0]).0;
    let ledger = [ours(2_000), booked(next, "claude-opus-4-8", [2_000, 0, 0, 0], 1)];
    assert_eq!(
        differences(&compared(&export, &ledger, |_| {}))[0],
        "2026-11-02 claude-opus-5 input: missing_at_provider"
    );
}

#[test]
fn when_only_the_cost_differs() {
    let told = |nano_usd| usage(1_000).cost(DAY, Some(OPUS), nano_usd);
    let modes = |set: fn(&mut Modes), nano_usd| told(nano_usd).with(|fact| set(&mut fact.modes));
    let rows = [
        ("nothing is known", told(700_000), ours(1_000), "price"),
        (
            "no price",
            told(700_000),
            changed(ours(1_000), |figures| figures.unknown_price = 1),
            "unknown_price",
        ),
        (
            "broken off, with the right tokens",
            told(700_000),
            changed(ours(1_000), |figures| figures.estimated = 1),
            "price",
        ),
        ("a batch", modes(|modes| modes.batch = true, 500_000), ours(1_000), "served"),
        ("a batch is not dearer", modes(|modes| modes.batch = true, 2_000_000), ours(1_000), "price"),
        ("fast", modes(|modes| modes.fast = true, 2_000_000), ours(1_000), "served"),
        ("fast is not cheaper", modes(|modes| modes.fast = true, 500_000), ours(1_000), "price"),
        ("the US", modes(|modes| modes.us = true, 1_100_000), ours(1_000), "served"),
        ("priority", modes(|modes| modes.priority = true, 0), ours(1_000), "served"),
        ("a crash", told(700_000), changed(ours(1_000), |figures| figures.unknown = 1), "unknown_end"),
    ];
    for (what, export, row, expected) in rows {
        assert_eq!(reason(&export.0, &[row]), expected, "{what}");
    }
    let comparison = compared(&told(700_000).0, &[ours(1_000)], |_| {});
    assert!(comparison.differences[0].reason.sentence().contains("70% of ours"));
}

#[test]
fn one_ratio_everywhere_is_a_contract() {
    let other = "claude-opus-4-8";
    let told = |first, second| {
        usage(1_000)
            .usage(DAY, other, [1_000, 100, 0, 0, 0])
            .cost(DAY, Some(OPUS), first)
            .cost(DAY, Some(other), second)
            .0
    };
    let ledger = [ours(1_000), booked(DAY, other, [1_000, 100, 0, 0], 4_000_000)];
    let comparison = compared(&told(925_000, 3_700_000), &ledger, |_| {});
    assert_eq!(differences(&comparison).len(), 2);
    for difference in &comparison.differences {
        assert_eq!(difference.reason.code(), "contract");
        assert!(difference.reason.sentence().contains("92.5% of ours"), "{}", difference.reason.sentence());
    }
    for difference in compared(&told(925_000, 3_000_000), &ledger, |_| {}).differences {
        assert_eq!(difference.reason.code(), "price");
    }
}

#[test]
fn a_rate_that_is_not_the_books_is_named() {
    // Ten million tokens read for $0.50 are $0.05 for a million; the book says $0.10 since October.
    let part = |nano_usd, class| What::Cost { nano_usd, rounding: 0, class: Some(class) };
    let told = |read: i128| {
        Telling::new()
            .usage(DAY, "claude-sonnet-5-5", [1_000_000, 0, 0, 0, 10_000_000])
            .cost(DAY, Some("claude-sonnet-5-5"), 0)
            .with(|fact| fact.what = part(2_000_000_000, Class::Input))
            .cost(DAY, Some("claude-sonnet-5-5"), 0)
            .with(|fact| fact.what = part(read, Class::CacheRead))
            .0
    };
    let ledger = [booked(DAY, "claude-sonnet-5-5", [1_000_000, 0, 0, 10_000_000], 3_000_000_000)];
    assert!(compared(&told(1_000_000_000), &ledger, |_| {}).is_equal());
    let comparison = compared(&told(500_000_000), &ledger, |_| {});
    let sentence = comparison.differences[0].reason.sentence();
    assert_eq!(comparison.differences[0].reason.code(), "rate");
    assert!(sentence.contains("$0.05 for a million cache_read, the price book $0.10"), "{sentence}");
}

#[test]
fn without_usage_the_cost_tells_how_much_was_used() {
    let told = |nano_usd| Telling::new().cost(DAY, Some(OPUS), nano_usd).0;
    let with = |change: fn(&mut Figures)| vec![changed(ours(1_000), change)];
    let rows = [
        ("only the provider", told(5), vec![], "past_the_gateway"),
        ("only the ledger", told(0), vec![ours(1_000)], "missing_at_provider"),
        ("broken off", told(900_000), with(|figures| figures.estimated = 1), "estimated"),
        ("a crash", told(900_000), with(|figures| figures.unknown = 1), "unknown_end"),
        ("nothing is known", told(900_000), vec![ours(1_000)], "price"),
    ];
    for (what, export, ledger, expected) in rows {
        assert_eq!(reason(&export, &ledger), expected, "{what}");
    }
}

#[test]
fn the_cost_of_a_day_as_a_whole_follows_from_its_models() {
    let told = |input| usage(input).cost(DAY, None, 2_000_000).0;
    let comparison = compared(&told(5_000), &[ours(1_000)], |_| {});
    let both = ["2026-11-02 all cost: past_the_gateway", "2026-11-02 claude-opus-5 input: past_the_gateway"];
    assert_eq!(differences(&comparison), both);
    // The tokens are equal, so that it must be the price.
    let row = changed(ours(1_000), |figures| figures.estimated = 1);
    assert_eq!(differences(&compared(&told(1_000), &[row], |_| {})), ["2026-11-02 all cost: price"]);
}
