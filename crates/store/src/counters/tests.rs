//! Counters before a restart, after it, and while allowances change.

use std::fs;
use std::sync::Arc;

use tempfile::TempDir;
use tollgate_policy::access::Models;
use tollgate_policy::allowance::{
    Allowance, Calendar, Level, Measure, Mode, Period, Reserve, Selector, Span,
};
use tollgate_policy::books::{Amounts, Claim, Kind};
use tollgate_policy::entry::{Admitted, Settled};
use tollgate_policy::id::KeyId;
use tollgate_policy::unit::{NanoUsd, UnixMs};
use tollgate_policy::usage::Iteration;

use super::Counters;
use crate::expect::Expect;
use crate::fault::LedgerFault;
use crate::fixture::{NOW, admitted, folder, new_key, open, options, scope, settled};
use crate::ledger::Month;
use crate::store::Store;

const DAY_MS: i64 = 86_400_000;

fn allowance(name: &str, span: Span) -> Allowance {
    Allowance {
        name: name.parse().unwrap(),
        on: Selector::default(),
        each: None,
        models: Models::default(),
        measure: Measure::OutputTokens,
        amount: 1_000,
        span,
        reserve: Reserve::Full,
        mode: Mode::Block,
        warn_at: Vec::new(),
        message: None,
        raises: Vec::new(),
    }
}

fn per(period: Period) -> Span {
    Span::Period { period, calendar: Calendar::default() }
}

struct Desk {
    folder: TempDir,
    store: Store,
    counters: Counters,
}

impl Desk {
    fn open() -> Self {
        let folder = folder();
        let store = open(&options(folder.path()));
        let counters = counters(&store, UnixMs(0));
        Self { folder, store, counters }
    }

    fn replace(&self, allowances: &[Allowance]) -> Result<(), LedgerFault> {
        self.replace_at(NOW, allowances)
    }

    fn replace_at(&self, now: UnixMs, allowances: &[Allowance]) -> Result<(), LedgerFault> {
        self.counters.replace(allowances.to_vec(), now)
    }

    /// A request that uses twenty output tokens, from its reservation to its end. Gives the thresholds that it passes.
    fn serve(&self, at: UnixMs, number: u64) -> Vec<u8> {
        serve(&self.store, &self.counters, at, number, |_| {})
    }

    fn used(&self) -> Vec<u64> {
        used(&self.counters)
    }
}

fn serve(
    store: &Store,
    counters: &Counters,
    at: UnixMs,
    number: u64,
    differ: impl FnOnce(&mut Settled),
) -> Vec<u8> {
    let (scope, full) = (scope(), Amounts { output_tokens: 100, ..Amounts::default() });
    let mut settled = settled(number, 0);
    differ(&mut settled);
    let record = Admitted { key: settled.key, ..admitted(number) };
    let key = store.directory.counted_as(record.key);
    let claim = Claim { scope: &scope, key, kind: Kind::Messages, models: &[], full, input_likely: 0 };
    let reserved = counters.reserve(at, &claim).unwrap();
    settled.admitted = store.journal.admit(at, record).wait().unwrap();
    settled.admitted_at = Some(reserved.at);
    settled.cost = NanoUsd(20);
    let (append, passed) = counters.settle(at, settled, reserved.reservation);
    append.wait().unwrap();
    passed.iter().map(|passed| passed.percent).collect()
}

fn counters(store: &Store, now: UnixMs) -> Counters {
    let (journal, ledger, directory) = (&store.journal, &store.ledger, &store.directory);
    Counters::new(Arc::clone(journal), Arc::clone(ledger), Arc::clone(directory), now)
}

fn used(counters: &Counters) -> Vec<u64> {
    counters.standing(NOW, |_| true).iter().map(|standing| standing.used).collect()
}

#[test]
fn counters_are_restored_from_a_ledger_that_has_dropped_records() {
    let desk = Desk::open();
    let allowances = [
        allowance("year", per(Period::Year)),
        allowance("day", per(Period::Day)),
        allowance("rolling", Span::Rolling { ms: 60 * DAY_MS }),
    ];
    desk.replace_at(NOW.saturating_add_ms(-80 * DAY_MS), &allowances).unwrap();
    // In September, outside of the window; in October, in it; and in November.
    for (number, days) in (1..).zip([-70, -40, -1, 0]) {
        desk.serve(NOW.saturating_add_ms(days * DAY_MS), number);
    }
    let before = desk.used();
    assert_eq!(before, [20, 60, 80]);
    desk.store.ledger.catch_up().unwrap();
    desk.store.ledger.drop_raw_before(Month::of(NOW)).unwrap();

    let restarted = counters(&desk.store, NOW);
    restarted.replace(allowances.to_vec(), NOW).unwrap();
    assert_eq!(used(&restarted), before);
}

#[test]
fn a_change_that_fails_leaves_what_was_used() {
    let desk = Desk::open();
    let old = allowance("budget", per(Period::Month));
    desk.replace(std::slice::from_ref(&old)).unwrap();
    desk.serve(NOW, 1);
    let ledger = desk.folder.path().join("data/ledger.db");
    let aside = ledger.with_extension("aside");
    fs::rename(&ledger, &aside).unwrap();
    fs::create_dir(&ledger).unwrap();
    let other = allowance("budget", per(Period::Year));
    desk.replace(std::slice::from_ref(&other)).unwrap_err();
    assert_eq!(desk.used(), [20], "the allowance of before, with what it had counted");

    fs::remove_dir(&ledger).unwrap();
    fs::rename(&aside, &ledger).unwrap();
    desk.serve(NOW, 2);
    desk.replace(&[old, allowance("more", per(Period::Day))]).unwrap();
    assert_eq!(desk.used(), [40, 40], "what it counted itself is not counted in once more");
}

#[test]
fn what_was_served_while_a_change_waited_counts() {
    let desk = Desk::open();
    desk.replace(&[]).unwrap();
    // The change was asked for before the request came; it had to wait for another change.
    desk.serve(NOW.saturating_add_ms(1_000), 1);
    desk.replace(&[allowance("budget", per(Period::Day))]).unwrap();
    assert_eq!(desk.used(), [20]);
}

#[test]
fn a_threshold_is_told_once_also_across_a_restart() {
    let desk = Desk::open();
    let warned = |name, warn_at: &[u8]| Allowance {
        amount: 200,
        warn_at: warn_at.to_vec(),
        ..allowance(name, per(Period::Day))
    };
    let budget = || warned("budget", &[10, 15, 30]);
    desk.replace(&[budget()]).unwrap();
    assert_eq!(desk.serve(NOW, 1), [10]);
    assert_eq!(desk.serve(NOW, 2), [15]);

    let restarted = counters(&desk.store, NOW);
    restarted.replace(vec![budget()], NOW).unwrap();
    let serve = |number| serve(&desk.store, &restarted, NOW, number, |_| {});
    assert_eq!(serve(3), [30], "what was told is not told again, what is passed now is");
    // One that is made while the gateway runs tells where it stands.
    restarted.replace(vec![budget(), warned("new", &[35, 90])], NOW).unwrap();
    assert_eq!(serve(4), [35]);
}

#[test]
fn a_rotated_key_goes_on_where_it_was_also_after_a_restart() {
    let desk = Desk::open();
    let (record, _) = desk.store.directory.create("ada", new_key(), NOW).unwrap();
    let (rotated, _) = desk.store.directory.rotate("ada", record.id, Expect::Present, 0, NOW).unwrap();
    let each = || vec![Allowance { each: Some(Level::Key), ..allowance("each", per(Period::Day)) }];
    desk.replace(&each()).unwrap();
    let by = |key: KeyId| move |settled: &mut Settled| settled.key = key;
    serve(&desk.store, &desk.counters, NOW, 1, by(record.id));
    serve(&desk.store, &desk.counters, NOW, 2, by(rotated.id));
    assert_eq!(desk.used(), [40]);

    let restarted = counters(&desk.store, NOW);
    restarted.replace(each(), NOW).unwrap();
    assert_eq!(used(&restarted), [40]);
}

#[test]
fn what_another_model_ran_counts_for_its_cap_also_after_a_restart() {
    let desk = Desk::open();
    let cap = |span| Allowance {
        models: Models::new(vec!["claude-opus-*".to_owned()]).unwrap(),
        ..allowance("cap", span)
    };
    for span in [per(Period::Day), Span::Rolling { ms: DAY_MS }] {
        let desk_counters = counters(&desk.store, NOW);
        desk_counters.replace(vec![cap(span.clone())], NOW).unwrap();
        let before = used(&desk_counters);
        let number = 1 + before[0];
        serve(&desk.store, &desk_counters, NOW, number, |settled| {
            let advisor = Iteration {
                kind: "advisor_message".to_owned(),
                model: Some("us.anthropic.claude-opus-4-5-20251101-v1:0".to_owned()),
                output_tokens: 20,
                ..Iteration::default()
            };
            settled.usage.iterations = vec![advisor];
        });
        serve(&desk.store, &desk_counters, NOW, number + 1, |_| {});
        assert_eq!(used(&desk_counters), [before[0] + 20], "the second one had no advisor");

        let restarted = counters(&desk.store, NOW);
        restarted.replace(vec![cap(span)], NOW).unwrap();
        assert_eq!(used(&restarted), used(&desk_counters));
    }
}
