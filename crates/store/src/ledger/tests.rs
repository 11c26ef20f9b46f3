//! The ledger says what the journal says, however it came to be.

use std::fs;
use std::os::unix::fs::MetadataExt;

use tollgate_policy::entry::{Adjusted, Outcome, Settled};
use tollgate_policy::scope::Scope;
use tollgate_policy::unit::{NanoUsd, UnixMs};
use tollgate_policy::usage::{COUNT_MAX, Iteration, Usage};

use super::{Dimension, Filter, GROUPS_MAX, Query, ReportRow};
use crate::expect::Expect;
use crate::fault::LedgerFault;
use crate::fixture::{NOW, admitted, folder, new_key, open, options, serve, settled};
use crate::store::{Options, Store};

mod kept;
mod oracle;
mod records;
mod statement;

const DAY_MS: i64 = 86_400_000;

fn at(text: &str) -> UnixMs {
    text.parse().unwrap()
}

/// A correction of what the settlement in entry `seq` says.
fn adjustment(settled: &Settled, seq: u64, difference: i64) -> Adjusted {
    Adjusted {
        by: "finance".into(),
        request: settled.request,
        settled: seq,
        booked_at: settled.admitted_at.unwrap(),
        key: settled.key,
        scope: settled.scope.clone(),
        cost_centre: settled.cost_centre.clone(),
        model: settled.served_model.clone().or_else(|| settled.model.clone()),
        upstream: settled.upstream.clone(),
        difference: NanoUsd(difference),
        cost: settled.cost.saturating_add(NanoUsd(difference)),
        price_version: "2026-12-01".into(),
        reason: "contract price from november on".into(),
    }
}

fn book(store: &Store, at: UnixMs, number: u64, change: impl FnOnce(&mut Settled)) {
    let seq = store.journal.admit(at, admitted(number)).wait().unwrap();
    let mut settled = Settled { admitted_at: Some(at), ..settled(number, seq) };
    change(&mut settled);
    store.journal.settle(at, settled).wait().unwrap();
}

fn report(store: &Store, by: &[Dimension]) -> Vec<ReportRow> {
    store.ledger.report(&Query { by: by.to_vec(), ..Query::default() }).unwrap()
}

/// A few requests that differ in everything that can be grouped by.
fn varied(store: &Store) {
    book(store, NOW, 1, |_| {});
    book(store, NOW, 2, |settled| {
        settled.scope.project = Some("search".parse().unwrap());
        settled.scope.user = Some("ada@example.org".parse().unwrap());
        settled.served_model = None;
        settled.outcome = Outcome::UpstreamError;
        settled.session = None;
    });
    book(store, NOW.saturating_add_ms(DAY_MS), 3, |settled| {
        settled.scope = Scope::team("research".parse().unwrap());
        settled.upstream = "bedrock".into();
        settled.agent = Some("reviewer".into());
        settled.outcome = Outcome::Aborted;
        settled.estimated = true;
    });
    book(store, NOW.saturating_add_ms(2 * DAY_MS), 4, |settled| {
        settled.scope.org = "subsidiary".parse().unwrap();
        settled.outcome = Outcome::Cut;
        settled.unknown_price = true;
        settled.cost = NanoUsd(9_000_000_000);
        settled.usage = Usage {
            input_tokens: 1,
            output_tokens: 2,
            cache_write_5m_tokens: 3,
            cache_write_1h_tokens: 4,
            cache_read_tokens: 5,
            ..Usage::default()
        };
    });
    book(store, NOW, 5, |settled| settled.outcome = Outcome::Failed);
}

#[test]
fn usage_is_summed_by_every_dimension() {
    let folder = folder();
    let store = open(&options(folder.path()));
    varied(&store);
    type Groups<'a> = &'a [(Option<&'a str>, u64)];
    let key = admitted(1).key.to_string();
    let rows: &[(Dimension, Groups<'_>)] = &[
        (Dimension::Org, &[(Some("subsidiary"), 1), (Some("default"), 4)]),
        (Dimension::Team, &[(Some("platform"), 4), (Some("research"), 1)]),
        (Dimension::Project, &[(None, 4), (Some("search"), 1)]),
        (Dimension::User, &[(None, 4), (Some("ada@example.org"), 1)]),
        (Dimension::Key, &[(Some(&key), 5)]),
        (Dimension::Model, &[(Some("claude-sonnet-4-5-20250929"), 4), (Some("claude-sonnet-4-5"), 1)]),
        (Dimension::Upstream, &[(Some("anthropic"), 4), (Some("bedrock"), 1)]),
        (Dimension::Session, &[(Some("a \"quoted\" session"), 4), (None, 1)]),
        (Dimension::Agent, &[(None, 4), (Some("reviewer"), 1)]),
        (Dimension::Day, &[(Some("2026-11-24"), 1), (Some("2026-11-22"), 3), (Some("2026-11-23"), 1)]),
        (
            Dimension::Outcome,
            &[
                (Some("cut"), 1),
                (Some("failed"), 1),
                (Some("aborted"), 1),
                (Some("upstream_error"), 1),
                (Some("complete"), 1),
            ],
        ),
    ];
    for (dimension, expected) in rows {
        let report = report(&store, std::slice::from_ref(dimension));
        let found: Vec<_> = report.iter().map(|row| (row.group[0].as_deref(), row.requests)).collect();
        assert_eq!(found, *expected, "{dimension:?}, dearest first");
        let cost: NanoUsd = report.iter().map(|row| row.cost).sum();
        assert_eq!(cost.0, 9_000_000_000 + 4 * 1_200_000 + 1 + 2 + 3 + 5, "{dimension:?}");
    }
    assert_eq!(report(&store, &[Dimension::Team, Dimension::Outcome]).len(), 5);
}

#[test]
fn the_total_counts_what_went_wrong() {
    let folder = folder();
    let store = open(&options(folder.path()));
    assert_eq!(report(&store, &[]), [ReportRow::default()]);
    assert_eq!(report(&store, &[Dimension::Team]), []);
    varied(&store);
    let total = ReportRow {
        group: vec![],
        requests: 5,
        errors: 3,
        aborted: 1,
        unknown: 0,
        estimated: 1,
        unknown_price: 1,
        input_tokens: 1201,
        output_tokens: 82,
        cache_write_5m_tokens: 3,
        cache_write_1h_tokens: 4,
        cache_read_tokens: 5,
        cost: NanoUsd(9_004_800_011),
        total: NanoUsd(9_004_800_011),
        ..ReportRow::default()
    };
    assert_eq!(report(&store, &[]), [total]);
}

#[test]
fn a_range_begins_with_its_first_instant_and_ends_before_its_last() {
    let folder = folder();
    let store = open(&options(folder.path()));
    for ms in 0..4 {
        book(&store, UnixMs(1000 + ms), u64::try_from(ms).unwrap(), |_| {});
    }
    let rows = [
        (None, None, 4),
        (Some(1001), None, 3),
        (None, Some(1001), 1),
        (Some(1001), Some(1003), 2),
        (Some(1003), Some(1003), 0),
        (Some(i64::MIN), Some(i64::MAX), 4),
    ];
    for (from, to, requests) in rows {
        let filter = Filter { from: from.map(UnixMs), to: to.map(UnixMs), ..Filter::default() };
        let query = Query { filter, ..Query::default() };
        assert_eq!(store.ledger.report(&query).unwrap()[0].requests, requests, "{query:?}");
    }
}

#[test]
fn days_are_those_of_utc_on_both_sides_of_1970() {
    let folder = folder();
    let store = open(&options(folder.path()));
    let rows = [(-1, "1969-12-31"), (0, "1970-01-01"), (DAY_MS - 1, "1970-01-01"), (DAY_MS, "1970-01-02")];
    for (number, (at, _)) in (0..).zip(rows) {
        book(&store, UnixMs(at), number, |_| {});
    }
    let mut days: Vec<_> = report(&store, &[Dimension::Day])
        .into_iter()
        .map(|row| (row.group[0].clone().unwrap(), row.requests))
        .collect();
    days.sort();
    let expected = [("1969-12-31", 1), ("1970-01-01", 2), ("1970-01-02", 1)];
    assert_eq!(days, expected.map(|(day, requests)| (day.to_owned(), requests)));
}

#[test]
fn iterations_are_the_truth_about_tokens() {
    let folder = folder();
    let store = open(&options(folder.path()));
    let iteration = Iteration { input_tokens: 10, cache_read_tokens: 7, ..Iteration::default() };
    book(&store, NOW, 1, |settled| settled.usage.iterations = vec![iteration.clone(), iteration]);
    let total = &report(&store, &[])[0];
    assert_eq!((total.input_tokens, total.output_tokens, total.cache_read_tokens), (20, 0, 14));
}

#[test]
fn sums_hold_at_the_end_of_their_range() {
    let folder = folder();
    let options = options(folder.path());
    let store = open(&options);
    for (number, cost) in [(1, i64::MAX), (2, i64::MAX), (3, 5), (4, -7)] {
        book(&store, NOW, number, |settled| {
            settled.cost = NanoUsd(cost);
            settled.usage = Usage { input_tokens: u64::MAX, output_tokens: 3, ..Usage::default() };
            settled.session = Some(number.to_string());
        });
    }
    let total = &report(&store, &[])[0];
    assert_eq!((total.requests, total.cost), (4, NanoUsd(i64::MAX)));
    assert_eq!((total.input_tokens, total.output_tokens), (4 * COUNT_MAX, 12));
    let costs: Vec<_> = report(&store, &[Dimension::Session]).iter().map(|row| row.cost.0).collect();
    assert_eq!(costs, [i64::MAX, i64::MAX, 5, -7]);
}

#[test]
fn a_question_that_cannot_be_answered_leaves_the_ledger_alone() {
    let folder = folder();
    let options = options(folder.path());
    let store = open(&options);
    varied(&store);
    report(&store, &[]);
    let inode = || fs::metadata(options.data.join("ledger.db")).unwrap().ino();
    let before = inode();
    let after = Some(vec![Some("nobody".to_owned())]);
    let query = Query { by: vec![Dimension::Team], after, ..Query::default() };
    assert_eq!(store.ledger.report(&query), Err(LedgerFault::NoSuchGroup));
    assert_eq!(report(&store, &[])[0].requests, 5);
    assert_eq!(inode(), before);
}

#[test]
fn a_report_has_a_bounded_number_of_groups() {
    let folder = folder();
    let store = open(&options(folder.path()));
    let most = u64::try_from(GROUPS_MAX).unwrap();
    let by = [Dimension::Session];
    for number in 0..most {
        book(&store, NOW, number, |settled| settled.session = Some(number.to_string()));
    }
    assert_eq!(report(&store, &by).len(), GROUPS_MAX);
    book(&store, NOW, most, |settled| settled.session = None);
    let query = Query { by: by.to_vec(), limit: Some(1), ..Query::default() };
    assert_eq!(store.ledger.report(&query), Err(LedgerFault::TooManyGroups));
    assert_eq!(report(&store, &[])[0].requests, most + 1);
}

/// Everything the ledger can say.
fn all(store: &Store) -> (Vec<ReportRow>, Vec<String>) {
    let keys = store.directory.list().iter().map(|key| format!("{key:?}")).collect();
    (report(store, &Dimension::PLAIN), keys)
}

#[test]
fn a_ledger_made_again_equals_the_first() {
    type Harm = fn(&Options);
    let harms: &[(&str, Harm)] = &[
        ("deleted", |options| fs::remove_file(options.data.join("ledger.db")).unwrap()),
        ("emptied", |options| fs::write(options.data.join("ledger.db"), "").unwrap()),
        ("not a database", |options| fs::write(options.data.join("ledger.db"), "x".repeat(9000)).unwrap()),
        ("overwritten in the middle", |options| {
            let path = options.data.join("ledger.db");
            let mut bytes = fs::read(&path).unwrap();
            let length = bytes.len();
            bytes[4096..length].fill(0xA5);
            fs::write(path, bytes).unwrap();
        }),
        ("of another layout", |options| {
            let database = rusqlite::Connection::open(options.data.join("ledger.db")).unwrap();
            database.pragma_update(None, "user_version", 99).unwrap();
        }),
        ("without a table", |options| {
            let database = rusqlite::Connection::open(options.data.join("ledger.db")).unwrap();
            database.execute_batch("DROP TABLE usage_2026_11").unwrap();
        }),
        ("without its place", |options| {
            let database = rusqlite::Connection::open(options.data.join("ledger.db")).unwrap();
            database.execute_batch("DELETE FROM place").unwrap();
        }),
        ("with a trigger", |options| {
            let database = rusqlite::Connection::open(options.data.join("ledger.db")).unwrap();
            database
                .execute_batch(
                    "CREATE TRIGGER cheap AFTER INSERT ON daily BEGIN UPDATE daily SET cost_low = 0; END",
                )
                .unwrap();
        }),
    ];
    for (name, harm) in harms {
        let folder = folder();
        // Short segments, so that it is made again from several.
        let options = Options { segment_bytes: 3000, ..options(folder.path()) };
        let store = open(&options);
        varied(&store);
        let (key, _) = store.directory.create("ada", new_key(), NOW).unwrap();
        store.directory.rotate("ada", key.id, Expect::Present, 1000, NOW).unwrap();
        let before = all(&store);
        store.close(NOW).unwrap();
        harm(&options);
        let store = open(&options);
        assert_eq!(all(&store), before, "{name}");
        store.ledger.catch_up().unwrap();
    }
}

#[test]
fn a_ledger_deleted_after_a_crash_is_not_made_of_its_side_files() {
    let folder = folder();
    let options = options(folder.path());
    let store = open(&options);
    varied(&store);
    let before = all(&store);
    // The side files as they are while the database is in use.
    let wal = fs::read(options.data.join("ledger.db-wal")).unwrap();
    assert!(!wal.is_empty());
    store.close(NOW).unwrap();
    fs::remove_file(options.data.join("ledger.db")).unwrap();
    fs::write(options.data.join("ledger.db-wal"), wal).unwrap();
    assert_eq!(all(&open(&options)), before);
}

#[test]
fn a_ledger_that_is_deleted_while_in_use_is_made_again() {
    let folder = folder();
    let options = options(folder.path());
    let store = open(&options);
    varied(&store);
    let before = all(&store);
    for suffix in ["", "-wal", "-shm"] {
        fs::remove_file(options.data.join(format!("ledger.db{suffix}"))).unwrap();
    }
    assert_eq!(all(&store), before);
    serve(&store, 9);
    assert_eq!(report(&store, &[])[0].requests, 6);
}

#[test]
fn a_report_covers_what_was_written_before_it() {
    let folder = folder();
    let store = open(&options(folder.path()));
    for number in 0..30 {
        serve(&store, number);
        assert_eq!(report(&store, &[])[0].requests, number + 1);
    }
    assert!(store.ledger.projected_seq() >= store.journal.state().synced_seq - 1);
}

#[test]
fn the_ledger_refuses_a_journal_that_it_does_not_continue() {
    let folder = folder();
    let options = options(folder.path());
    let store = open(&options);
    varied(&store);
    store.close(NOW).unwrap();
    let database = rusqlite::Connection::open(options.data.join("ledger.db")).unwrap();
    database.execute_batch("UPDATE place SET seq = 3, offset = 10, hash = 'another'").unwrap();
    drop(database);
    let text = Store::open(&options, NOW).unwrap_err().to_string();
    assert!(text.contains("byte 10"), "{text}");
}
