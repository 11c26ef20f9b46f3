//! Whose use counts where, and that of which models.

use super::*;

#[test]
fn a_key_and_what_it_was_rotated_to_share_what_is_granted_to_a_key() {
    let of = |text, on, each| Allowance {
        on: Selector { key: on, ..Selector::default() },
        each,
        ..allowance(text, Measure::Requests, 2, per(Period::Day))
    };
    // For each key; and for one that is named by its first id, by one between, or by the newest.
    let rows = [(None, Some(Level::Key)), (Some(1), None), (Some(2), None), (Some(3), None)];
    for (on, each) in rows {
        // Also where the order in which one learns of the rotations is another.
        for rotations in [[(2, 1), (3, 2)], [(3, 2), (2, 1)]] {
            let mut books = Books::new(vec![of("a", on.map(key), each)], NOW);
            rotations.iter().for_each(|(new, old)| books.rotated(key(*new), key(*old)));
            let scope = scope("default/red/-/ada");
            let mut ask = |number| {
                let (kind, models, full) = (Kind::Messages, &["claude-opus-5"][..], Amounts::default());
                let claim = Claim { scope: &scope, key: key(number), kind, models, full, input_likely: 0 };
                books.reserve(NOW, &claim).map(drop)
            };
            assert_eq!((ask(1), ask(3)), (Ok(()), Ok(())), "{on:?} {rotations:?}");
            let overdrawn = ask(2).unwrap_err();
            assert_eq!((overdrawn.amount, overdrawn.held), (2, 2), "{on:?} {rotations:?}");
        }
    }
}

#[test]
fn a_cap_on_a_model_counts_the_whole_request_of_which_it_ran_a_part() {
    let cap = |pattern: &str| Allowance {
        models: models(&[pattern]),
        ..allowance("a", Measure::OutputTokens, 100, per(Period::Day))
    };
    let (sonnet, opus, bedrock) = ("claude-sonnet-5", "claude-opus-5", "us.anthropic.claude-opus-5-v1:0");
    // The cap, the models that the request names, those that ran it; what is held, and what is charged.
    let rows = [
        ("claude-opus-*", vec![sonnet, opus], vec![sonnet, opus], 60, 50),
        ("claude-opus-*", vec![sonnet, opus], vec![sonnet], 60, 0),
        ("claude-opus-*", vec![sonnet, opus], vec![], 60, 0),
        // The upstream ran it by itself.
        ("claude-opus-*", vec![sonnet], vec![sonnet, opus], 0, 50),
        ("claude-opus-*", vec![sonnet], vec![sonnet, bedrock], 0, 50),
        ("claude-sonnet-*", vec![sonnet, opus], vec![opus], 60, 50),
        ("claude-haiku-*", vec![sonnet, opus], vec![sonnet, opus], 0, 0),
    ];
    for (pattern, named, ran, held, used) in rows {
        let mut desk = Desk::new(vec![cap(pattern)]);
        desk.models = named.clone();
        let reservation = desk.output(0, 60).unwrap();
        assert_eq!(desk.level(0), (0, held), "{pattern} {named:?}");
        desk.books.settle(NOW, reservation, &ran, amounts(0, 50, 0));
        assert_eq!(desk.level(0), (used, 0), "{pattern} {named:?} {ran:?}");
    }
}
