//! The use of which models counts where.

use super::*;

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
