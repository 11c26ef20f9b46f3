//! What a refused client reads.

use super::*;

/// An allowance, what is used of it before, whether a request runs, and what the next one is told.
type Row = (Allowance, Option<Amounts>, bool, &'static str);

fn rows() -> Vec<Row> {
    let zone = in_zone(Period::Month, "Europe/Berlin");
    let dollars = |span| {
        let on = Selector { team: Some(name("red")), ..Selector::default() };
        let like = allowance("opus-budget", Measure::Cost, 100_000_000_000, span);
        Allowance { on, message: Some("Ask #finance for more.".to_owned()), ..like }
    };
    let each = |measure, amount, span| Allowance {
        each: Some(Level::User),
        ..allowance("mine", measure, amount, span)
    };
    vec![
        (
            dollars(zone),
            Some(amounts(0, 0, 99_980_000_000)),
            false,
            "The allowance `opus-budget` of team red does not have enough left for this request: $100.00 per month, \
             $99.98 used, and this request may need $0.50. It resets at 2026-11-30T23:00:00.000Z (2026-12-01 00:00 in \
             Europe/Berlin). Wait until then, or ask the gateway's operator for a higher amount. Ask #finance for more.",
        ),
        (
            each(Measure::Tokens, 1_500, per(Period::Week)),
            None,
            true,
            "The allowance `mine` of user ada of org default does not have enough left for this request: 1500 tokens per \
             week, 0 tokens used, 1000 tokens set aside for running requests, and this request may need 1000 tokens. Try \
             again when one that is running has ended.",
        ),
        (
            each(Measure::OutputTokens, 599, Span::Rolling { ms: DAY_MS }),
            None,
            false,
            "The allowance `mine` of user ada of org default does not have enough left for this request: 599 output \
             tokens in any 24 hours, 0 output tokens used, and this request may need 600 output tokens. That is more than \
             is granted in all: ask for less, with a smaller `max_tokens` or a shorter prompt, or ask the gateway's \
             operator for a higher amount.",
        ),
        (
            each(Measure::Requests, 4, per_minute(1)),
            None,
            true,
            "The allowance `mine` of user ada of org default does not have enough left for this request: 4 requests per \
             minute, 1 request at a stretch, 1 request used. Try again in 15 seconds, at 2026-11-22T11:30:15.000Z, or ask \
             the gateway's operator for a higher amount.",
        ),
        (
            each(Measure::Concurrency, 1, Span::AtOnce),
            None,
            true,
            "The allowance `mine` of user ada of org default does not have enough left for this request: 1 request at \
             once, and 1 running. Try again when one that is running has ended.",
        ),
        (
            allowance("closed", Measure::InputTokens, 0, per_minute(0)),
            None,
            false,
            "The allowance `closed` of everyone does not have enough left for this request: 0 input tokens per minute, 0 \
             input tokens used, and this request may need 400 input tokens. Nothing is granted here; ask the gateway's \
             operator.",
        ),
    ]
}

#[test]
fn a_refusal_says_what_is_used_up_and_what_to_do() {
    let full = amounts(400, 600, 500_000_000);
    for (allowance, used, running, sentence) in rows() {
        let mut desk = Desk::new(vec![allowance]);
        if let Some(used) = used {
            let reservation = desk.ask(0, used).unwrap();
            desk.books.settle(NOW, reservation, &[], used);
        }
        let running = running.then(|| desk.ask(0, full).unwrap());
        assert_eq!(desk.ask(0, full).unwrap_err().sentence(), sentence);
        drop(running);
    }
}

#[test]
fn whose_it_is_goes_from_the_part_to_the_whole() {
    let on = |team: Option<&str>, user: Option<&str>| Selector {
        team: team.map(name),
        user: user.map(name),
        ..Selector::default()
    };
    let of_key = format!("key {}", key(1));
    let rows = [
        (on(None, None), None, "everyone"),
        (on(Some("red"), None), None, "team red"),
        (on(Some("red"), None), Some(Level::User), "user ada of team red of org default"),
        (on(None, Some("ada")), Some(Level::Team), "user ada of team red of org default"),
        (on(None, None), Some(Level::Project), "project web of team red of org default"),
        (on(None, None), Some(Level::Org), "org default"),
        (on(None, None), Some(Level::Key), &of_key),
    ];
    for (on, each, expected) in rows {
        let like = allowance("a", Measure::Requests, 1, per_minute(1));
        let allowance = Allowance { on, each, ..like };
        let subject = subject(&allowance, &scope("default/red/web/ada"), key(1)).unwrap();
        assert_eq!(whose(&subject), expected);
    }
}
