//! What `PriceBook::show` says.

use super::*;

fn contract() -> PriceBook {
    PriceBook::parse(bodies::CONTRACT).unwrap()
}

/// Each multiplier as one text: what, how much, when it applies, what follows.
fn multipliers(shown: &Shown) -> Vec<String> {
    let one = |multiplier: &ShownMultiplier| {
        let ShownMultiplier { factor, always, next } = multiplier;
        let (reason, when) = (factor.reason.as_str(), if *always { "always" } else { "may" });
        let next = next.map_or_else(String::new, |(from, next)| format!(", {next} from {from}"));
        format!("{reason} {} {when}{next}", factor.multiplier)
    };
    shown.multipliers.iter().map(one).collect()
}

#[test]
fn a_model_is_shown_with_the_rates_in_force_and_those_that_follow() {
    let before = PriceBook::builtin().show("us.claude-sonnet-5-5", instant("2026-10-06T00:00:00.000Z"), "");
    assert!(before.is_unknown(), "`us.` alone is no platform");

    let at = instant("2026-10-06T23:59:59.999Z");
    let shown = PriceBook::builtin().show("us.anthropic.Claude-Sonnet-5-5", at, "");
    assert_eq!((shown.model.as_str(), shown.source), ("claude-sonnet-5-5", Source::List));
    assert_eq!(shown.version, PriceBook::builtin().version());
    let read = |period: &ShownPeriod| (period.from, period.per_million[Class::CacheRead as usize]);
    assert_eq!(read(&shown.in_force), (None, (Class::CacheRead, NanoUsd(200_000_000))));
    let october = Some(instant("2026-10-07T00:00:00.000Z"));
    assert_eq!(
        shown.next.as_ref().map(read),
        Some((october, (Class::CacheRead, NanoUsd(100_000_000)))),
        "the next period"
    );
    let after = PriceBook::builtin().show("claude-sonnet-5-5", NOW, "");
    assert_eq!((read(&after.in_force).0, after.next.is_some()), (october, false));
    assert_eq!(
        multipliers(&shown),
        ["fast 2 may", "batch 0.5 may", "us_inference 1.1 may", "regional 1.1 always"],
        "the id names a region"
    );
    assert_eq!(multipliers(&after)[3], "regional 1.1 may");
    assert_eq!(
        shown.per_thousand,
        [(Class::WebSearch, NanoUsd(10_000_000_000)), (Class::CodeExecution, NanoUsd(4_166_667_000))]
    );
    assert!(!shown.sources.is_empty() && shown.note.is_none());
}

#[test]
fn names_notes_and_bands_are_shown() {
    let shown = PriceBook::builtin().show("claude-sonnet-4-20250514", NOW, "");
    assert_eq!(
        (shown.model.as_str(), shown.aliases),
        ("claude-sonnet-4", vec!["claude-sonnet-4-0".to_owned()])
    );
    assert!(shown.note.unwrap().contains("context-1m"));
    let (above, rates) = shown.in_force.long_prompt.unwrap();
    assert_eq!(
        (above, rates[0], rates[1]),
        (200_000, (Class::Input, NanoUsd(6_000_000_000)), (Class::Output, NanoUsd(22_500_000_000)),)
    );
}

#[test]
fn an_unknown_model_is_shown_at_the_rates_it_is_charged() {
    let shown = PriceBook::builtin().show("claude-nova-9", NOW, "");
    assert_eq!((shown.model.as_str(), shown.source, shown.is_unknown()), ("unknown", Source::Dearest, true));
    let usage = tokens([MILLION, 0, 0, 0, 0]);
    assert_eq!(shown.in_force.per_million[0].1, cost("claude-nova-9", &usage));
}

#[test]
fn what_differs_at_an_upstream_is_shown() {
    let book = contract();
    let november = instant("2026-11-30T23:59:59.999Z");
    let december = instant("2026-12-01T00:00:00.000Z");
    let input = |shown: &Shown| shown.in_force.per_million[0].1.0;

    let list = book.show("claude-opus-5", november, "reseller");
    assert_eq!((list.source, input(&list), list.next), (Source::List, 5_000_000_000, None));
    let own = book.show("claude-opus-5", december, "reseller");
    assert_eq!(
        (own.source, input(&own), own.in_force.from),
        (Source::Upstream, 4_500_000_000, Some(december))
    );
    assert_eq!(own.next.as_ref().and_then(|next| next.from), Some(instant("2027-01-01T00:00:00.000Z")));
    assert_eq!(
        multipliers(&own),
        [
            "fast 2 may",
            "batch 0.5 may",
            "contract 1 always, 0.925 from 2027-01-01T00:00:00.000Z",
            "upstream 1 always, 1.2 from 2027-01-01T00:00:00.000Z",
        ]
    );
    let in_region = book.show("claude-opus-5", instant("2027-04-01T00:00:00.000Z"), "bedrock-eu");
    assert_eq!(
        multipliers(&in_region)[2..],
        ["us_inference 1.1 may", "regional 1.1 always", "contract 0.8 always", "upstream 0.95 always"]
    );
    assert_eq!(book.show("prod-deployment-7", NOW, "reseller").model, "house-model");
    assert!(book.show("prod-deployment-7", NOW, "bedrock-eu").is_unknown());
}

#[test]
fn every_spelling_has_one_name() {
    let rows = [
        ("us.anthropic.claude-opus-4-5-20251101-v1:0", "claude-opus-4-5"),
        ("claude-sonnet-3-5", "claude-3-5-sonnet"),
        ("claude-opus-5-fast", "claude-opus-5"),
        ("claude-nova-9@20270101", "claude-nova-9"),
        ("", ""),
    ];
    for (model, name) in rows {
        assert_eq!(PriceBook::builtin().name(model), name);
    }
    assert_eq!(contract().upstreams().collect::<Vec<_>>(), ["bedrock-eu", "reseller"]);
}
