//! Counters before a restart, after it, and while allowances change.

use std::fs;
use std::sync::Arc;

use tempfile::TempDir;
use tollgate_policy::access::Models;
use tollgate_policy::allowance::{Allowance, Calendar, Measure, Mode, Period, Reserve, Selector, Span};
use tollgate_policy::books::{Amounts, Claim, Kind};
use tollgate_policy::unit::{NanoUsd, UnixMs};

use super::Counters;
use crate::fault::LedgerFault;
use crate::fixture::{NOW, admitted, folder, open, options, scope, settled};
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

    /// A request that uses twenty output tokens, from its reservation to its end.
    fn serve(&self, at: UnixMs, number: u64) {
        let (scope, full) = (scope(), Amounts { output_tokens: 100, ..Amounts::default() });
        let record = admitted(number);
        let claim = Claim {
            scope: &scope,
            key: record.key,
            kind: Kind::Messages,
            models: &[],
            full,
            input_likely: 0,
        };
        let reserved = self.counters.reserve(at, &claim).unwrap();
        let seq = self.store.journal.admit(at, record).wait().unwrap();
        let mut settled = settled(number, seq);
        settled.admitted_at = Some(reserved.at);
        settled.cost = NanoUsd(20);
        self.counters.settle(at, settled, reserved.reservation).0.wait().unwrap();
    }

    fn used(&self) -> Vec<u64> {
        used(&self.counters)
    }
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
    assert_eq!(before, [80, 20, 60]);
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
