//! What stays and what goes: months, retention, a ledger made again.

use std::path::Path;

use rusqlite::Connection;
use rusqlite::types::Value;
use tollgate_policy::entry::{Event, StatementClosed};
use tollgate_policy::unit::{NanoUsd, UnixMs};

use super::{DAY_MS, adjustment, at, book, report, varied};
use crate::audit;
use crate::fault::LedgerFault;
use crate::fixture::{NOW, admitted, folder, open, options, request, settled};
use crate::ledger::{Dimension, Filter, Month, Query};
use crate::store::{Options, Store};

/// Requests in four months, one of them corrected, and a statement.
fn four_months(store: &Store) {
    varied(store);
    for (number, booked_at) in (10..).zip(["2026-08-31T23:59:59.999Z", "2026-09-01T00:00:00.000Z"]) {
        book(store, at(booked_at), number, |_| {});
    }
    book(store, at("2026-10-15T12:00:00.000Z"), 12, |settled| settled.session = Some("s-12".into()));
    let corrected = store.ledger.request(request(12)).unwrap().record.unwrap();
    let entry = settled(12, 0);
    let mut adjusted = adjustment(&entry_at(entry, corrected.at), corrected.seq, -5_000);
    adjusted.request = request(12);
    store.journal.append_synced(NOW, Event::Adjusted(adjusted)).wait().unwrap();
    let closed = StatementClosed {
        by: "finance".into(),
        period: "2026-10".into(),
        from: at("2026-10-01T00:00:00.000Z"),
        to: at("2026-11-01T00:00:00.000Z"),
        upto: corrected.seq,
        total: NanoUsd(17),
        statement: tollgate_policy::entry::Hash::of(b"text"),
    };
    store.journal.append_synced(NOW, Event::StatementClosed(closed)).wait().unwrap();
}

fn entry_at(entry: tollgate_policy::entry::Settled, at: UnixMs) -> tollgate_policy::entry::Settled {
    tollgate_policy::entry::Settled { admitted_at: Some(at), ..entry }
}

fn month(text: &str) -> Month {
    text.parse().unwrap()
}

fn tables(options: &Options) -> Vec<String> {
    let database = Connection::open(options.data.join("ledger.db")).unwrap();
    let sql = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name GLOB 'usage_*' ORDER BY 1";
    database.prepare(sql).unwrap().query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
}

/// Every row of every table, but for the place in the journal.
fn dump(path: &Path) -> Vec<String> {
    let database = Connection::open(path).unwrap();
    let sql = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name <> 'place' ORDER BY 1";
    let names: Vec<String> =
        database.prepare(sql).unwrap().query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    let mut dump = Vec::new();
    for name in names {
        let mut statement = database.prepare(&format!("SELECT * FROM {name}")).unwrap();
        let columns = statement.column_count();
        let mut rows = statement.query([]).unwrap();
        while let Some(row) = rows.next().unwrap() {
            let values: Vec<Value> = (0..columns).map(|column| row.get(column).unwrap()).collect();
            dump.push(format!("{name} {values:?}"));
        }
    }
    dump
}

#[test]
fn a_ledger_made_again_in_one_step_has_the_rows_of_one_made_in_many() {
    let folder = folder();
    let options = Options { segment_bytes: 3000, ..options(folder.path()) };
    let store = open(&options);
    four_months(&store);
    store.close(NOW).unwrap();
    let path = options.data.join("ledger.db");
    let before = dump(&path);
    assert!(before.len() > 40, "{before:#?}");
    std::fs::remove_file(&path).unwrap();
    open(&options).close(NOW).unwrap();
    assert_eq!(dump(&path), before);
}

#[test]
fn records_that_the_next_statement_needs_are_not_old() {
    let folder = folder();
    let options = options(folder.path());
    let store = open(&options);
    for (number, booked_at) in (1..).zip(["2026-07-15T00:00:00.000Z", "2026-09-30T22:30:00.000Z"]) {
        book(&store, at(booked_at), number, |_| {});
    }
    // In Berlin, where it is October already half past ten in the evening.
    let [from, to, end] =
        ["2026-08-31T22:00:00.000Z", "2026-09-30T22:00:00.000Z", "2026-10-31T23:00:00.000Z"].map(at);
    let upto = store.journal.state().written_seq;
    let closed = StatementClosed {
        by: "finance".into(),
        period: "2026-09".into(),
        from,
        to,
        upto,
        total: NanoUsd(0),
        statement: tollgate_policy::entry::Hash::of(b"text"),
    };
    store.journal.append_synced(NOW, Event::StatementClosed(closed)).wait().unwrap();
    report(&store, &[]);
    assert_eq!(store.ledger.drop_raw_before(month("2026-11")), Ok(1));
    assert_eq!(tables(&options), ["usage_2026_09"], "its last hours are of the next period");
    let october = store.ledger.statement(to, end, upto, upto + 1).unwrap();
    assert_eq!(october.lines.iter().map(|line| line.requests).sum::<u64>(), 1);

    // Late for a period that is closed: it comes into the next statement too.
    let folder = crate::fixture::folder();
    let options = crate::fixture::options(folder.path());
    let store = open(&options);
    four_months(&store);
    book(&store, at("2026-09-15T00:00:00.000Z"), 20, |_| {});
    report(&store, &[]);
    assert_eq!(store.ledger.drop_raw_before(month("2026-11")), Ok(1));
    assert_eq!(tables(&options), ["usage_2026_09", "usage_2026_10", "usage_2026_11"]);
}

#[test]
fn records_of_old_months_go_and_their_sums_stay() {
    let folder = folder();
    let options = options(folder.path());
    let store = open(&options);
    four_months(&store);
    let by = [Dimension::Month, Dimension::Team, Dimension::Session];
    let before = report(&store, &by);
    assert_eq!(tables(&options), ["usage_2026_08", "usage_2026_09", "usage_2026_10", "usage_2026_11"]);
    assert_eq!(store.ledger.drop_raw_before(month("2026-10")), Ok(2));
    assert_eq!(store.ledger.drop_raw_before(month("2026-09")), Ok(0), "what was dropped stays dropped");
    assert_eq!(tables(&options), ["usage_2026_10", "usage_2026_11"]);
    assert_eq!(report(&store, &by), before);
    // Settled late: in the sums, and nowhere else.
    book(&store, at("2026-09-15T00:00:00.000Z"), 20, |_| {});
    assert_eq!(report(&store, &[])[0].requests, before.iter().map(|row| row.requests).sum::<u64>() + 1);
    assert_eq!(tables(&options), ["usage_2026_10", "usage_2026_11"]);
    assert_eq!(store.ledger.request(request(20)).unwrap().record, None);
    store.close(NOW).unwrap();
    let statement = options.data.join("statements/2026-10.json");
    std::fs::create_dir(statement.parent().unwrap()).unwrap();
    std::fs::write(statement, "text").unwrap();
    let verdict = audit::verify(&options.data, &audit::Options::default()).unwrap();
    assert!(verdict.is_proven(), "{verdict:?}");
    let left_out = verdict.unchecked.iter().any(|text| text.contains("before 2026-10"));
    assert!(left_out, "{:?}", verdict.unchecked);
    // The next process knows it too, also if it has to make the ledger again.
    let store = open(&options);
    assert_eq!(tables(&options), ["usage_2026_10", "usage_2026_11"]);
    store.ledger.shared.ask_for_rebuild();
    assert_eq!(report(&store, &[Dimension::Month]).len(), 4);
    assert_eq!(tables(&options), ["usage_2026_10", "usage_2026_11"]);
}

#[test]
fn a_question_that_needs_dropped_records_is_refused_with_a_cure() {
    let folder = folder();
    let store = open(&options(folder.path()));
    four_months(&store);
    store.ledger.drop_raw_before(month("2026-10")).unwrap();
    let range = |from: &str, to: &str| Filter::between(at(from), at(to));
    let rows = [
        (range("2026-09-01T00:00:00.000Z", "2026-11-01T00:00:00.000Z"), true),
        (range("2026-09-01T00:00:00.001Z", "2026-11-01T00:00:00.000Z"), false),
        (range("2026-08-01T00:00:00.000Z", "2026-09-01T12:00:00.000Z"), false),
        // A divided day without requests misses none.
        (range("2026-09-03T00:00:00.001Z", "2026-11-01T00:00:00.000Z"), true),
        (range("2026-10-15T11:00:00.000Z", "2026-10-15T13:00:00.000Z"), true),
    ];
    for (filter, is_answered) in rows {
        let query = Query { filter: filter.clone(), ..Query::default() };
        let answer = store.ledger.report(&query);
        assert_eq!(answer.is_ok(), is_answered, "{filter:?}: {answer:?}");
        if let Err(fault) = answer {
            assert_eq!(fault, LedgerFault::Dropped { kept_from: at("2026-10-01T00:00:00.000Z") });
            assert!(fault.to_string().contains("whole days in UTC"), "{fault}");
        }
    }
    let dropped =
        |answer: Result<(), LedgerFault>| assert!(matches!(answer, Err(LedgerFault::Dropped { .. })));
    let september = at("2026-09-30T00:00:00.000Z");
    dropped(store.ledger.recent(september, &mut |_| {}));
    dropped(store.ledger.records(&Filter { from: Some(september), ..Filter::default() }, 0, 9).map(|_| ()));
    dropped(store.ledger.records(&Filter::default(), 0, 9).map(|_| ()));
    dropped(store.ledger.statement(september, NOW, 0, 99).map(|_| ()));
    // In its period everything is kept, but something before it came after entry 0.
    let october = at("2026-10-01T00:00:00.000Z");
    dropped(store.ledger.statement(october, NOW, 0, 99).map(|_| ()));
    let upto = store.ledger.projected_seq();
    // The statement, the adjustment, and the one request of October came last.
    assert!(store.ledger.statement(october, NOW, upto - 4, upto).is_ok());
}

#[test]
fn a_mad_clock_makes_few_tables() {
    let folder = folder();
    let options = options(folder.path());
    let store = open(&options);
    let years = [0, 1969, 1970, 2019, 2020, 2026, 2059, 2060, 9999];
    for (number, year) in (1..).zip(years) {
        book(&store, at(&format!("{year:04}-12-31T12:00:00.000Z")), number, |_| {});
    }
    assert_eq!(report(&store, &[Dimension::Day]).len(), years.len());
    let expected = ["usage_2020_01", "usage_2020_12", "usage_2026_12", "usage_2059_12"];
    assert_eq!(tables(&options), expected);
    // The true times are kept, and found.
    for (number, year) in (1..).zip(years) {
        let from = at(&format!("{year:04}-12-31T11:59:59.999Z"));
        let filter = Filter::between(from, from.saturating_add_ms(2));
        let query = Query { filter: filter.clone(), ..Query::default() };
        assert_eq!(store.ledger.report(&query).unwrap()[0].requests, 1, "{year}");
        assert_eq!(store.ledger.records(&filter, 0, 9).unwrap()[0].request, request(number), "{year}");
    }
    assert_eq!(store.ledger.records(&Filter::default(), 0, 99).unwrap().len(), years.len());
}

#[test]
fn a_settlement_without_its_admission_is_booked_where_it_began() {
    let folder = folder();
    let store = open(&options(folder.path()));
    let seq = store.journal.admit(NOW, admitted(1)).wait().unwrap();
    // As written by versions that did not note the admission.
    let midnight = UnixMs(NOW.0 / DAY_MS * DAY_MS);
    store.journal.settle(midnight.saturating_add_ms(811), settled(1, seq)).wait().unwrap();
    assert_eq!(report(&store, &[Dimension::Day])[0].group, [Some("2026-11-21".to_owned())]);
    let record = store.ledger.request(request(1)).unwrap().record.unwrap();
    assert_eq!((record.at, record.ms_total), (midnight.saturating_add_ms(-1), 812));
}

#[test]
fn a_ledger_catches_up_with_what_is_durable_before_it_says_so() {
    let folder = folder();
    let options = options(folder.path());
    let store = open(&options);
    for number in 0..50 {
        crate::fixture::serve(&store, number);
    }
    store.journal.append_synced(NOW, Event::Closed).wait().unwrap();
    let synced = store.journal.state().synced_seq;
    store.ledger.catch_up().unwrap();
    assert!(store.ledger.projected_seq() >= synced);
}
