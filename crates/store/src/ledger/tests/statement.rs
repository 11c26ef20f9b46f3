//! Statements that follow each other state everything once.

use tollgate_policy::entry::Event;
use tollgate_policy::unit::{NanoUsd, UnixMs};

use super::{adjustment, at, book};
use crate::fixture::{folder, open, options, request};
use crate::ledger::{StatementFigures, StatementLine};
use crate::store::Store;

fn start(month: u32) -> UnixMs {
    at(&format!("2026-{month:02}-01T00:00:00.000Z"))
}

fn costs(lines: &[StatementLine]) -> i64 {
    lines.iter().map(|line| line.cost.0).sum()
}

fn seq_of(store: &Store, number: u64) -> u64 {
    store.ledger.request(request(number)).unwrap().record.unwrap().seq
}

fn correct(store: &Store, now: UnixMs, number: u64, difference: i64) {
    let record = store.ledger.request(request(number)).unwrap().record.unwrap();
    let mut entry = crate::fixture::settled(number, 0);
    entry.admitted_at = Some(record.at);
    entry.scope = record.attribution.scope.clone();
    entry.cost_centre = record.attribution.cost_centre.clone();
    store
        .journal
        .append_synced(now, Event::Adjusted(adjustment(&entry, record.seq, difference)))
        .wait()
        .unwrap();
}

#[test]
fn what_comes_late_is_in_the_next_statement() {
    let folder = folder();
    let store = open(&options(folder.path()));
    // Costs are powers of ten, so that a sum names what is in it.
    let cost = |number: u32| 10_i64.pow(number);
    let serve = |booked_at: UnixMs, number: u32| {
        book(&store, booked_at, number.into(), |settled| settled.cost = NanoUsd(cost(number)));
    };
    serve(start(9), 0);
    serve(start(10).saturating_add_ms(-1), 1);
    serve(start(10), 2);
    correct(&store, start(10), 0, 1_000_000);
    let first = seq_of(&store, 2);
    // After the first was closed: something late for September, more for October, which was begun before.
    serve(start(9).saturating_add_ms(5), 3);
    serve(start(10).saturating_add_ms(7), 4);
    correct(&store, start(10).saturating_add_ms(9), 1, 7_000_000);
    let second = store.journal.state().synced_seq;
    serve(start(9).saturating_add_ms(6), 5);
    let third = seq_of(&store, 5);

    let state = |month, after, upto| {
        let StatementFigures { lines, late, adjustments } =
            store.ledger.statement(start(month), start(month + 1), after, upto).unwrap();
        [costs(&lines), costs(&late), costs(&adjustments)]
    };
    assert_eq!(state(9, 0, first), [cost(0) + cost(1), 0, 0]);
    assert_eq!(state(10, first, second), [cost(2) + cost(4), cost(3), 8_000_000]);
    assert_eq!(state(11, second, third), [0, cost(5), 0]);
    // An entry that the statement does not cover is not in it, whenever it was admitted.
    assert_eq!(state(10, first, first), [cost(2), 0, 0]);
}

#[test]
fn a_statement_has_a_line_for_each_who_pays() {
    let folder = folder();
    let store = open(&options(folder.path()));
    let payers: [(Option<&str>, &str, Option<&str>); 5] = [
        (Some("4711"), "platform", Some("ada")),
        (Some("4711"), "platform", Some("ada")),
        (Some("4711"), "platform", None),
        (None, "research", Some("bob")),
        (Some("0815"), "platform", Some("ada")),
    ];
    for (number, (cost_centre, team, user)) in (0..).zip(payers) {
        book(&store, start(11).saturating_add_ms(number), number as u64, |settled| {
            settled.cost_centre = cost_centre.map(|name| name.parse().unwrap());
            settled.scope.team = team.parse().unwrap();
            settled.scope.user = user.map(|name| name.parse().unwrap());
            settled.session = Some(number.to_string());
        });
    }
    correct(&store, start(11), 4, -500);
    let upto = store.journal.state().synced_seq;
    let StatementFigures { lines, late, adjustments } =
        store.ledger.statement(start(11), start(12), 0, upto).unwrap();
    let found: Vec<_> = lines
        .iter()
        .map(|line| {
            let name = |name: &Option<_>| name.as_ref().map(tollgate_policy::scope::Name::to_string);
            (name(&line.cost_centre), line.team.to_string(), name(&line.user), line.requests, line.cost.0)
        })
        .collect();
    let text = |text: &str| Some(text.to_owned());
    let expected = [
        (None, "research".into(), text("bob"), 1, 1_200_003),
        (text("0815"), "platform".into(), text("ada"), 1, 1_200_004),
        (text("4711"), "platform".into(), None, 1, 1_200_002),
        (text("4711"), "platform".into(), text("ada"), 2, 2_400_001),
    ];
    assert_eq!(found, expected);
    assert_eq!((lines[3].input_tokens, lines[3].output_tokens), (600, 40));
    assert_eq!(late, []);
    assert_eq!(adjustments.len(), 1);
    assert_eq!(
        (adjustments[0].requests, adjustments[0].cost, adjustments[0].input_tokens),
        (1, NanoUsd(-500), 0)
    );
    assert_eq!(adjustments[0].cost_centre, lines[1].cost_centre);
}
