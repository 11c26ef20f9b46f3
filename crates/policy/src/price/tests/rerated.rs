//! What `PriceBook::rerate` makes of settled requests.

use std::collections::BTreeMap;

use super::*;
use crate::entry::{Outcome, Settled};
use crate::id::{KeyId, RequestId};
use crate::scope::{Name, Scope};

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

/// A complete request for Opus 5 with a thousand tokens of input.
fn settled(book: &PriceBook) -> Settled {
    let mut settled = Settled {
        request: RequestId::new(NOW, [1; 10]),
        admitted: 7,
        admitted_at: Some(NOW),
        key: KeyId::new(NOW, [2; 10]),
        scope: Scope { org: name("default"), team: name("red"), project: None, user: None },
        endpoint: "messages".to_owned(),
        model: Some("claude-opus-5".to_owned()),
        served_model: Some("claude-opus-5".to_owned()),
        upstream: "reseller".to_owned(),
        region: None,
        outcome: Outcome::Complete,
        status: Some(200),
        usage: tokens([1_000, 0, 0, 0, 0]),
        cost: NanoUsd::ZERO,
        price_version: "before".to_owned(),
        unknown_price: false,
        estimated: false,
        ms_total: 5_000,
        ms_first_byte: None,
        upstream_request_id: None,
        error: None,
        session: None,
        agent: None,
        cost_centre: None,
        tags: BTreeMap::new(),
    };
    settled.cost = book.cost(&Sale::of(&settled, NOW)).amount;
    settled
}

#[test]
fn a_request_is_priced_anew_at_the_instant_of_its_admission() {
    let list = PriceBook::builtin();
    let contract = PriceBook::parse(bodies::CONTRACT).unwrap();
    let before = settled(list);
    assert_eq!(before.cost, NanoUsd(5_000_000));
    // The end of the entry is in December, when the reseller has rates of its own; its admission was before.
    let december = instant("2026-12-01T00:00:00.000Z");
    let rerated = |settled: &Settled, cost_so_far| contract.rerate(settled, december, NanoUsd(cost_so_far));
    let of = |cost, difference| {
        Some(Rerated { cost: NanoUsd(cost), difference: NanoUsd(difference), unknown_model: false })
    };
    assert_eq!(rerated(&before, 5_000_000), of(5_000_000, 0));

    let admitted_at = Some(december);
    let later = Settled { admitted_at, ..before.clone() };
    assert_eq!(rerated(&later, 5_000_000), of(4_500_000, -500_000));
    // What was given back before is not given back again; what was added is taken off.
    assert_eq!(rerated(&later, 4_500_000), of(4_500_000, 0));
    assert_eq!(rerated(&later, 4_000_000), of(4_500_000, 500_000));
    // A record of before admissions had a date: its end less the time it took.
    let old = Settled { admitted_at: None, ..before.clone() };
    assert_eq!(rerated(&old, 5_000_000), of(5_000_000, 0));

    let unknown = Settled { served_model: Some("nova".to_owned()), ..before };
    let dear =
        Some(Rerated { cost: NanoUsd(15_000_000), difference: NanoUsd(10_000_000), unknown_model: true });
    assert_eq!(rerated(&unknown, 5_000_000), dear);
}

#[test]
fn what_no_book_has_priced_stays_as_it_is() {
    let list = PriceBook::builtin();
    let complete = settled(list);
    let rows = [
        ("complete", complete.clone(), true),
        ("it broke off", Settled { outcome: Outcome::Cut, estimated: true, ..complete.clone() }, true),
        // Booked at its reservation.
        ("unknown", Settled { outcome: Outcome::Unknown, ..complete.clone() }, false),
        // A refusal before any output.
        ("not charged", Settled { cost: NanoUsd::ZERO, ..complete.clone() }, false),
        (
            "an error: nothing used, nothing to pay",
            Settled { cost: NanoUsd::ZERO, usage: Usage::default(), ..complete },
            true,
        ),
    ];
    for (what, settled, priced) in rows {
        assert_eq!(list.rerate(&settled, NOW, settled.cost).is_some(), priced, "{what}");
    }
}
