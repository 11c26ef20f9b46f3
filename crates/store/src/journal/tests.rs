//! The journal when disks fail, when many append at once, and when nobody closes it.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::{Duration, Instant};

use proptest::prelude::{Strategy, any};
use proptest::sample::Index;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use tempfile::TempDir;
use tollgate_policy::entry::{Durability, Event, read_line};

use super::checkpoint::SIDECAR;
use super::recovery::recover;
use super::{Journal, JournalState, segment};
use crate::audit;
use crate::fault::JournalFault;
use crate::fixture::{NOW, admitted, folder, new_key, options, settled};
use crate::ledger::Query;
use crate::store::{Options, Store};

mod faulty;

use faulty::{Faults, FaultyDisks, Stuck};

struct Bench {
    _folder: TempDir,
    options: Options,
    faults: Arc<Faults>,
    store: Store,
}

fn bench(durability: Durability) -> Bench {
    let folder = folder();
    let options = Options { durability, ..options(folder.path()) };
    let faults = Arc::new(Faults::default());
    let store = Store::open_on(&options, NOW, Arc::new(FaultyDisks(Arc::clone(&faults)))).unwrap();
    Bench { _folder: folder, options, faults, store }
}

impl Bench {
    fn journal(&self) -> &Journal {
        &self.store.journal
    }

    fn verify(&self) -> audit::Report {
        let report = audit::verify(&self.options.data, &audit::Options::default()).unwrap();
        assert_eq!(report.fault, None);
        report
    }

    fn events(&self) -> Vec<Event> {
        let journal = self.options.data.join("journal");
        let mut events = Vec::new();
        for segment in segment::list(&journal).unwrap() {
            let text = std::fs::read(segment::path(&journal, segment)).unwrap();
            let lines = text.split_inclusive(|byte| *byte == b'\n');
            events.extend(lines.map(|line| read_line(line).unwrap().event));
        }
        events
    }
}

/// Asks until it is so.
fn eventually(what: &str, is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !is_so() {
        assert!(Instant::now() < deadline, "never happened: {what}");
        thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn a_full_disk_refuses_admissions_keeps_settlements_and_resumes_by_itself() {
    let bench = bench(Durability::Group);
    let journal = bench.journal();
    let running: Vec<_> =
        (0..5).map(|number| (number, journal.admit(NOW, admitted(number)).wait().unwrap())).collect();
    bench.faults.fill_after(0);
    let refused = journal.admit(NOW, admitted(100)).wait().unwrap_err();
    assert!(matches!(refused, JournalFault::Unwritable { .. }), "{refused}");
    let began = Instant::now();
    assert!(journal.admit(NOW, admitted(101)).wait().is_err());
    assert!(began.elapsed() < Duration::from_millis(100), "refused fast");

    let settlements: Vec<_> =
        running.iter().map(|(number, seq)| journal.settle(NOW, settled(*number, *seq))).collect();
    let again = journal.settle(NOW, settled(0, running[0].1)).wait();
    assert_eq!(again, Err(JournalFault::NotOpen { admitted: running[0].1 }));
    let state = journal.state();
    assert_eq!((state.writable, state.backlog, state.open), (false, 5, 5));
    bench.verify();

    bench.faults.free();
    for settlement in settlements {
        settlement.wait().unwrap();
    }
    let state = journal.state();
    assert_eq!((state.writable, state.backlog, state.open), (true, 0, 0));
    journal.admit(NOW, admitted(7)).wait().unwrap();
    let report = bench.verify();
    assert_eq!(report.open, 1);
    let events = bench.events();
    let resumed = events.iter().position(|event| matches!(event, Event::Resumed(_))).unwrap();
    let first_settled = events.iter().position(|event| matches!(event, Event::Settled(_))).unwrap();
    assert!(resumed < first_settled, "the gap is recorded first");
    assert!(matches!(&events[resumed], Event::Resumed(gap) if gap.refused == 2 && gap.since == NOW));
    let total = bench.store.ledger.report(&Query::default()).unwrap();
    assert_eq!(total[0].requests, 5);
}

#[test]
fn no_settlement_is_lost_wherever_the_disk_becomes_full() {
    // Past the length of three entries in steps that hit every kind of place in a line.
    for room in (0..2600).step_by(131) {
        let bench = bench(Durability::Group);
        let journal = bench.journal();
        let first = journal.admit(NOW, admitted(1)).wait().unwrap();
        bench.faults.fill_after(room);
        let second = journal.admit(NOW, admitted(2)).wait();
        let settlement = journal.settle(NOW, settled(1, first));
        let third = journal.admit(NOW, admitted(3)).wait();
        bench.verify();
        bench.faults.free();
        settlement.wait().unwrap();
        eventually("the journal is writable", || journal.state().writable);
        let mut settled_count = 1;
        for (number, admission) in [(2, second), (3, third)] {
            if let Ok(seq) = admission {
                journal.settle(NOW, settled(number, seq)).wait().unwrap();
                settled_count += 1;
            }
        }
        let Bench { _folder, options, faults: _, store } = bench;
        store.close(NOW).unwrap();
        let report = audit::verify(&options.data, &audit::Options::default()).unwrap();
        assert_eq!((report.fault, report.open), (None, 0), "room {room}");
        let store = Store::open(&options, NOW).unwrap();
        let total = store.ledger.report(&Query::default()).unwrap();
        assert_eq!(total[0].requests, settled_count, "room {room}");
    }
}

#[test]
fn a_segment_that_cannot_be_begun_is_begun_later() {
    let folder = folder();
    let options = Options { segment_bytes: 1, ..options(folder.path()) };
    let faults = Arc::new(Faults::default());
    let store = Store::open_on(&options, NOW, Arc::new(FaultyDisks(Arc::clone(&faults)))).unwrap();
    let seq = store.journal.admit(NOW, admitted(1)).wait().unwrap();
    Faults::set(&faults.open_fails, true);
    let settlement = store.journal.settle(NOW, settled(1, seq));
    assert!(store.journal.admit(NOW, admitted(2)).wait().is_err());
    Faults::set(&faults.open_fails, false);
    settlement.wait().unwrap();
    store.close(NOW).unwrap();
    let report = audit::verify(&options.data, &audit::Options::default()).unwrap();
    assert_eq!((report.fault, report.open, report.closed), (None, 0, true));
    assert!(report.segments >= 4, "{}", report.segments);
}

#[test]
fn administrative_changes_are_refused_while_the_disk_is_full() {
    let bench = bench(Durability::Group);
    bench.faults.fill_after(10);
    assert!(bench.store.directory.create("ada", new_key(), NOW).is_err());
    assert!(bench.store.directory.list().is_empty());
    bench.faults.free();
    eventually("a key can be made", || bench.store.directory.create("ada", new_key(), NOW).is_ok());
    assert_eq!(bench.store.directory.list().len(), 1);
    bench.verify();
}

#[test]
fn a_failed_sync_stops_the_journal_for_good() {
    for durability in [Durability::Group, Durability::Strict] {
        let bench = bench(durability);
        let journal = bench.journal();
        let seq = journal.admit(NOW, admitted(1)).wait().unwrap();
        Faults::set(&bench.faults.sync_fails, true);
        let unsure = journal.settle(NOW, settled(1, seq)).wait();
        assert_eq!(unsure.is_ok(), durability == Durability::Group);
        eventually("the journal is poisoned", || journal.state().poisoned);
        // A later sync would report success: the kernel has forgotten the pages it could not write.
        Faults::set(&bench.faults.sync_fails, false);
        let refused = journal.admit(NOW, admitted(2)).wait().unwrap_err();
        assert!(matches!(refused, JournalFault::Poisoned { .. }), "{refused}");
        assert!(bench.store.close(NOW).is_err());
    }
}

#[test]
fn a_line_that_cannot_be_taken_back_stops_the_journal_for_good() {
    let bench = bench(Durability::Group);
    Faults::set(&bench.faults.truncate_fails, true);
    bench.faults.fill_after(10);
    let refused = bench.journal().admit(NOW, admitted(1)).wait().unwrap_err();
    assert!(matches!(refused, JournalFault::Poisoned { .. }), "{refused}");
    let Bench { _folder, options, store, .. } = bench;
    drop(store);
    // What could not be taken back is a torn end for the next start.
    let store = Store::open(&options, NOW).unwrap();
    assert!(store.journal.state().writable);
}

#[test]
fn a_stuck_disk_refuses_within_two_seconds_and_the_gap_is_recorded() {
    for what in [Stuck::Write, Stuck::Sync] {
        let bench = bench(Durability::Group);
        let journal = bench.journal();
        bench.faults.stick(what);
        thread::scope(|scope| {
            // With a stuck write this thread is caught in it; others are not.
            let caught = scope.spawn(|| journal.admit(NOW, admitted(1)).wait());
            thread::sleep(Duration::from_millis(2100));
            let refused = journal.admit(NOW, admitted(2)).wait();
            assert!(matches!(refused, Err(JournalFault::Stuck { ms }) if ms >= 2000), "{refused:?}");
            assert!(!journal.state().writable);
            bench.faults.stick(Stuck::Not);
            caught.join().unwrap().unwrap();
        });
        eventually("the gap is recorded", || {
            bench.events().iter().any(|event| matches!(event, Event::Resumed(gap) if gap.refused == 1))
        });
        assert!(journal.state().writable);
        bench.verify();
    }
}

#[test]
fn strict_acknowledges_only_what_is_synced() {
    let bench = bench(Durability::Strict);
    let journal = bench.journal();
    bench.faults.stick(Stuck::Sync);
    let (sent, received) = std::sync::mpsc::channel();
    thread::scope(|scope| {
        scope.spawn(move || sent.send(journal.admit(NOW, admitted(1)).wait()).unwrap());
        assert!(received.recv_timeout(Duration::from_millis(100)).is_err(), "acknowledged before the sync");
        let state = journal.state();
        assert!(state.written_seq > state.synced_seq);
        bench.faults.stick(Stuck::Not);
        let seq = received.recv().unwrap().unwrap();
        assert!(journal.state().synced_seq >= seq);
    });
}

#[test]
fn group_does_not_wait_for_a_sync_but_one_follows() {
    let bench = bench(Durability::Group);
    let journal = bench.journal();
    bench.faults.stick(Stuck::Sync);
    let seq = journal.admit(NOW, admitted(1)).wait().unwrap();
    assert!(journal.state().synced_seq < seq);
    bench.faults.stick(Stuck::Not);
    eventually("it is synced", || journal.state().synced_seq >= seq);
}

#[test]
fn an_idle_journal_does_not_sync() {
    let bench = bench(Durability::Group);
    bench.journal().admit(NOW, admitted(1)).wait().unwrap();
    let synced = |state: JournalState| state.synced_seq == state.written_seq;
    eventually("it is synced", || synced(bench.journal().state()));
    let syncs = bench.faults.syncs.load(Ordering::SeqCst);
    thread::sleep(Duration::from_millis(100));
    assert_eq!(bench.faults.syncs.load(Ordering::SeqCst), syncs);
}

#[test]
fn many_threads_make_one_chain() {
    const THREADS: u64 = 64;
    const EACH: u64 = 60;
    let folder = folder();
    // Short segments and real checkpoints, so that both happen in the middle of it.
    let options = Options { segment_bytes: 100_000, checkpoint_ms: 5, ..options(folder.path()) };
    let store = Store::open(&options, NOW).unwrap();
    let barrier = Barrier::new(usize::try_from(THREADS).unwrap());
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let (store, barrier) = (&store, &barrier);
            scope.spawn(move || {
                barrier.wait();
                for number in thread * EACH..(thread + 1) * EACH {
                    let seq = store.journal.admit(NOW, admitted(number)).wait().unwrap();
                    // Some do not wait for the end: it is recorded all the same.
                    let settlement = store.journal.settle(NOW, settled(number, seq));
                    if number % 3 != 0 {
                        settlement.wait().unwrap();
                    }
                }
            });
        }
    });
    eventually("all are settled", || store.journal.state().open == 0);
    let total = store.ledger.report(&Query::default()).unwrap();
    assert_eq!(total[0].requests, THREADS * EACH);
    let cost: i64 = (0..THREADS * EACH).map(|number| settled(number, 0).cost.0).sum();
    assert_eq!(total[0].cost.0, cost);
    store.close(NOW).unwrap();
    let report = audit::verify(&options.data, &audit::Options::default()).unwrap();
    assert_eq!((report.fault, report.open, report.closed), (None, 0, true));
    assert!(report.segments > 10 && report.checkpoints >= 7, "{} {}", report.segments, report.checkpoints);
    assert_eq!(report.signed_seq, report.head_seq);
}

#[test]
fn checkpoints_come_after_at_most_a_thousand_entries_and_after_a_second() {
    let folder = folder();
    let store = Store::open(&options(folder.path()), NOW).unwrap();
    for number in 0..2500 {
        drop(store.journal.admit(NOW, admitted(number)));
    }
    let path = options(folder.path()).data;
    let report = audit::verify(&path, &audit::Options::default()).unwrap();
    assert_eq!((report.fault, report.checkpoints), (None, 3));
    drop(store);

    let folder = tempfile::tempdir().unwrap();
    let options = Options { checkpoint_ms: 20, ..options(folder.path()) };
    let store = Store::open(&options, NOW).unwrap();
    let seq = store.journal.admit(NOW, admitted(1)).wait().unwrap();
    eventually("a checkpoint covers it", || {
        audit::verify(&options.data, &audit::Options::default()).unwrap().signed_seq > seq
    });
    let sidecar = options.data.join("journal").join(SIDECAR);
    eventually("the sidecar has it", || std::fs::read_to_string(&sidecar).unwrap().lines().count() == 2);
    // Nothing new, no checkpoint.
    let before = store.journal.state().written_seq;
    thread::sleep(Duration::from_millis(100));
    assert_eq!(store.journal.state().written_seq, before);
}

/// What the disk holds at some instant.
struct Instance {
    bytes: Vec<u8>,
    durable: usize,
    acknowledged: u64,
}

/// Instants of a strict journal under load.
fn instants(bench: &Bench) -> Vec<Instance> {
    let path = segment::path(&bench.options.data.join("journal"), 1);
    let acknowledged = AtomicU64::new(0);
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let threads: Vec<_> = (0..4u64)
            .map(|thread| {
                let acknowledged = &acknowledged;
                scope.spawn(move || {
                    for number in 0..25 {
                        let seq = bench.journal().admit(NOW, admitted(thread * 100 + number)).wait().unwrap();
                        acknowledged.fetch_max(seq, Ordering::SeqCst);
                    }
                })
            })
            .collect();
        let watch = scope.spawn(|| {
            let mut instants = Vec::new();
            while !done.load(Ordering::SeqCst) {
                // In this order: what was acknowledged was durable before, and what is durable was written before.
                let acknowledged = acknowledged.load(Ordering::SeqCst);
                let durable = usize::try_from(bench.faults.durable.load(Ordering::SeqCst)).unwrap();
                instants.push(Instance { bytes: std::fs::read(&path).unwrap(), durable, acknowledged });
            }
            instants
        });
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        done.store(true, Ordering::SeqCst);
        watch.join().unwrap()
    })
}

#[test]
fn a_power_cut_takes_nothing_that_strict_acknowledged() {
    let bench = bench(Durability::Strict);
    let instants = instants(&bench);
    let public = std::fs::read_to_string(bench.options.data.join("secrets/journal.pub")).unwrap();
    let public = public.parse().unwrap();
    let after = folder();
    let path = segment::path(after.path(), 1);
    let (mut runner, mut torn) = (TestRunner::deterministic(), 0);
    let pick = (any::<Index>(), proptest::collection::vec(any::<bool>(), 64), any::<Index>());
    for _ in 0..400 {
        let (instant, sectors_kept, length) = pick.new_tree(&mut runner).unwrap().current();
        let instant = &instants[instant.index(instants.len())];
        // Of what was not synced, the disk has some length, and in it some sectors; the others read as zeros.
        let unsynced = instant.bytes.len() - instant.durable;
        let mut bytes = instant.bytes[..instant.durable + length.index(unsynced + 1)].to_vec();
        for (place, byte) in bytes.iter_mut().enumerate().skip(instant.durable) {
            if !sectors_kept[place / 512 % sectors_kept.len()] {
                *byte = 0;
            }
        }
        std::fs::write(&path, bytes).unwrap();
        let recovered = recover(after.path(), &public, &[]).unwrap();
        assert!(recovered.chain.next_seq > instant.acknowledged);
        torn += u32::from(recovered.torn_bytes > 0);
    }
    assert!(torn > 20, "the cases are worth something: {torn}");
}
