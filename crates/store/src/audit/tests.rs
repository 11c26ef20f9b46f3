//! Whatever is done to a journal is found, and the first wrong entry is named.

use std::fs;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use proptest::sample::Index;
use tempfile::TempDir;
use tollgate_policy::entry::{Event, Hash, read_line, write_line};

use super::*;
use crate::fixture::{NOW, admitted, folder, new_key, open, options, serve, settled};
use crate::store::Store;

mod ledger;

/// A data folder whose journal was closed in good order.
fn closed_folder(requests: u64) -> (TempDir, PathBuf) {
    let folder = folder();
    let options = options(folder.path());
    let store = open(&options);
    for number in 0..requests {
        serve(&store, number);
    }
    store.directory.create("ada", new_key(), NOW).unwrap();
    store.close(NOW).unwrap();
    (folder, options.data)
}

fn first_segment(data: &Path) -> PathBuf {
    segment::path(&data.join("journal"), 1)
}

fn lines_of(path: &Path) -> Vec<Vec<u8>> {
    fs::read(path).unwrap().split_inclusive(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect()
}

fn put(path: &Path, lines: &[Vec<u8>]) {
    fs::write(path, lines.concat()).unwrap();
}

fn verdict(data: &Path) -> Report {
    verify(data, &Options::default()).unwrap()
}

fn fault(data: &Path) -> Fault {
    verdict(data).fault.expect("a fault")
}

/// The line with another event and a hash that fits: what somebody can write who knows the format.
fn rewritten(line: &[u8], event: &Event) -> Vec<u8> {
    let link = read_line(line).unwrap().link;
    let mut out = Vec::new();
    write_line(&mut out, link.seq, link.at, &link.prev, event);
    out
}

/// Writes all lines from `from` on anew, so that they chain again.
fn rechain(lines: &mut [Vec<u8>], from: usize) {
    let mut prev = match from {
        0 => Hash::from_bytes([0; 32]),
        _ => read_line(&lines[from - 1]).unwrap().link.hash,
    };
    for (seq, line) in (from as u64 + 1..).zip(&mut lines[from..]) {
        let entry = read_line(line).unwrap();
        line.clear();
        prev = write_line(line, seq, entry.link.at, &prev, &entry.event);
    }
}

#[test]
fn an_untouched_journal_verifies() {
    let (_folder, data) = closed_folder(20);
    let report = verdict(&data);
    assert!(report.is_proven(), "{report:?}");
    // Opened, checkpoint, 20 times two, a key, closed, checkpoint.
    assert_eq!((report.head_seq, report.checkpoints, report.signed_seq), (45, 2, 45));
    assert_eq!((report.open, report.closed, report.torn_bytes), (0, true, 0));
}

#[test]
fn a_running_journal_verifies_without_its_lock() {
    let folder = folder();
    let options = options(folder.path());
    let store = open(&options);
    serve(&store, 1);
    let _open = store.journal.admit(NOW, admitted(2)).wait().unwrap();
    let report = verdict(&options.data);
    assert!(report.is_proven(), "{report:?}");
    assert_eq!((report.open, report.closed), (1, false));
}

type Forgery = fn(&mut Vec<Vec<u8>>);

fn check(rows: &[(&str, Forgery, Kind, u64)]) {
    for (name, forge, kind, seq) in rows {
        let (_folder, data) = closed_folder(20);
        let path = first_segment(&data);
        let mut lines = lines_of(&path);
        forge(&mut lines);
        put(&path, &lines);
        let fault = fault(&data);
        assert_eq!((fault.kind, fault.seq), (*kind, *seq), "{name}: {fault}");
    }
}

#[test]
fn what_is_forged_by_hand_is_found() {
    let cheaper: Forgery = |lines| {
        let at = 5;
        let Event::Settled(mut settled) = read_line(&lines[at]).unwrap().event else { panic!() };
        settled.cost.0 = 1;
        lines[at] = rewritten(&lines[at], &Event::Settled(settled));
    };
    check(&[
        ("a cheaper settlement, hash fitted", cheaper, Kind::Edited, 6),
        (
            "a cheaper settlement, all chained anew",
            |lines| {
                let Event::Settled(mut settled) = read_line(&lines[5]).unwrap().event else { panic!() };
                settled.cost.0 = 1;
                lines[5] = rewritten(&lines[5], &Event::Settled(settled));
                rechain(lines, 6);
            },
            Kind::Forged,
            // The last checkpoint of 45 entries: the ledger's head and the sidecar agree that it was another.
            45,
        ),
        (
            "an entry put in, hash fitted",
            |lines| {
                let line = rewritten(&lines[4], &Event::Closed);
                lines.insert(4, line);
            },
            Kind::Inserted,
            5,
        ),
    ]);
}

#[test]
fn what_is_cut_or_counted_twice_is_found() {
    check(&[
        ("the end cut at an entry", |lines| lines.truncate(30), Kind::Truncated, 31),
        (
            "the end cut in an entry",
            |lines| {
                lines.truncate(30);
                lines[29].truncate(100);
            },
            Kind::Truncated,
            30,
        ),
        ("everything cut", Vec::clear, Kind::Truncated, 1),
        (
            "a request settled twice, all chained anew",
            |lines| {
                let line = lines[5].clone();
                lines.insert(6, line);
                rechain(lines, 6);
            },
            Kind::Unmatched,
            7,
        ),
        (
            "a request taken out, all chained anew",
            |lines| {
                lines.drain(4..6);
                rechain(lines, 4);
            },
            Kind::Unmatched,
            // Settlements name their admissions by number, so the next one gives it away.
            6,
        ),
        (
            "the first entry exchanged, hash fitted",
            |lines| lines[0] = rewritten(&lines[0], &Event::Closed),
            Kind::Edited,
            1,
        ),
        ("a blank line put in", |lines| lines.insert(7, b"\n".to_vec()), Kind::Edited, 8),
    ]);
}

#[test]
fn a_rewritten_history_is_found_by_what_was_kept_elsewhere() {
    let (folder, data) = closed_folder(20);
    let sidecar = data.join("journal").join(SIDECAR);
    let anchor = folder.path().join("anchor");
    fs::copy(&sidecar, &anchor).unwrap();
    let path = first_segment(&data);
    let mut lines = lines_of(&path);
    // The forger removes every signature and every witness in the folder.
    lines.retain(|line| !matches!(read_line(line).unwrap().event, Event::Checkpoint(_)));
    lines.truncate(2);
    rechain(&mut lines, 1);
    put(&path, &lines);
    fs::remove_file(&sidecar).unwrap();
    fs::remove_file(data.join(LEDGER)).unwrap();
    let alone = verdict(&data);
    assert_eq!((alone.fault, alone.signed_seq), (None, 0));
    assert_eq!(
        (alone.unchecked.len(), alone.doubts.len()),
        (2, 2),
        "{:?} {:?}",
        alone.unchecked,
        alone.doubts
    );
    let anchored = Options { anchor: Some(anchor), ..Options::default() };
    let fault = verify(&data, &anchored).unwrap().fault.unwrap();
    assert_eq!(fault.kind, Kind::Forged);
}

/// Makes the sixth entry cheaper and everything after it fit, but for signatures.
fn cheapen(lines: &mut [Vec<u8>]) {
    let Event::Settled(mut settled) = read_line(&lines[5]).unwrap().event else { panic!() };
    settled.cost.0 = 1;
    lines[5] = rewritten(&lines[5], &Event::Settled(settled));
    for at in 6..lines.len() {
        rechain(lines, at);
        let Event::Checkpoint(mut checkpoint) = read_line(&lines[at]).unwrap().event else { continue };
        let before = read_line(&lines[at - 1]).unwrap().link;
        (checkpoint.head_seq, checkpoint.head) = (before.seq, before.hash);
        lines[at] = rewritten(&lines[at], &Event::Checkpoint(checkpoint));
    }
}

#[test]
fn each_witness_alone_convicts_a_forger_without_the_key() {
    for witness in ["signature", "ledger", "sidecar"] {
        let (_folder, data) = closed_folder(20);
        let path = first_segment(&data);
        let mut lines = lines_of(&path);
        cheapen(&mut lines);
        put(&path, &lines);
        if witness != "ledger" {
            fs::remove_file(data.join(LEDGER)).unwrap();
        }
        if witness != "sidecar" {
            fs::remove_file(data.join("journal").join(SIDECAR)).unwrap();
        }
        if witness != "signature" {
            fs::remove_file(data.join("secrets").join(PUBLIC_KEY)).unwrap();
        }
        let fault = fault(&data);
        assert_eq!((fault.kind, fault.seq), (Kind::Forged, 45), "{witness}: {fault}");
        assert!(fault.detail.contains(match witness {
            "signature" => "the signature does not fit; entries after 2 ",
            "ledger" => "the ledger booked",
            _ => "the checkpoint here has hash",
        }));
    }
}

#[test]
fn entries_without_a_signature_among_them_are_suspect() {
    let folder = folder();
    let options = options(folder.path());
    let store = open(&options);
    for number in 0..1100 {
        drop(store.journal.admit(NOW, admitted(number)));
    }
    store.close(NOW).unwrap();
    assert_eq!(verdict(&options.data).fault, None);
    let path = first_segment(&options.data);
    let mut lines = lines_of(&path);
    lines.retain(|line| !matches!(read_line(line).unwrap().event, Event::Checkpoint(_)));
    rechain(&mut lines, 1);
    put(&path, &lines);
    fs::remove_file(options.data.join(LEDGER)).unwrap();
    fs::remove_file(options.data.join("journal").join(SIDECAR)).unwrap();
    let fault = fault(&options.data);
    assert_eq!((fault.kind, fault.seq), (Kind::Forged, 1001), "{fault}");
}

#[test]
fn an_old_copy_put_back_is_found_by_its_anchor() {
    let folder = folder();
    let options = options(folder.path());
    open(&options).close(NOW).unwrap();
    let old = fs::read(first_segment(&options.data)).unwrap();
    let old_sidecar = fs::read(options.data.join("journal").join(SIDECAR)).unwrap();
    let store = open(&options);
    serve(&store, 1);
    store.close(NOW).unwrap();
    let sidecar = options.data.join("journal").join(SIDECAR);
    let anchor = folder.path().join("anchor");
    fs::copy(&sidecar, &anchor).unwrap();
    fs::write(first_segment(&options.data), old).unwrap();
    fs::write(&sidecar, old_sidecar).unwrap();
    fs::remove_file(options.data.join(LEDGER)).unwrap();
    assert_eq!(verdict(&options.data).fault, None);
    let anchored = Options { anchor: Some(anchor), ..Options::default() };
    let fault = verify(&options.data, &anchored).unwrap().fault.unwrap();
    assert_eq!((fault.kind, fault.seq), (Kind::Truncated, 5), "{fault}");
}

#[test]
fn signatures_are_checked_against_the_key_that_is_known() {
    let (_folder, data) = closed_folder(1);
    let (_other, stranger) = closed_folder(1);
    let key = fs::read_to_string(stranger.join("secrets").join(PUBLIC_KEY)).unwrap();
    let options = Options { public_key: Some(key.parse().unwrap()), ..Options::default() };
    let fault = verify(&data, &options).unwrap().fault.unwrap();
    assert_eq!((fault.kind, fault.seq), (Kind::Forged, 2), "{fault}");
}

#[test]
fn a_missing_segment_is_named() {
    let folder = folder();
    let options = crate::Options { segment_bytes: 4000, ..options(folder.path()) };
    let store = open(&options);
    for number in 0..20 {
        serve(&store, number);
    }
    store.close(NOW).unwrap();
    let journal = options.data.join("journal");
    let segments = segment::list(&journal).unwrap();
    assert!(segments.len() > 5, "{segments:?}");
    assert_eq!(verdict(&options.data).fault, None);
    for missing in [0, 2, segments.len() - 1] {
        let path = segment::path(&journal, segments[missing]);
        let bytes = fs::read(&path).unwrap();
        fs::remove_file(&path).unwrap();
        let fault = fault(&options.data);
        assert_eq!(fault.seq, segments[missing], "{fault}");
        fs::write(&path, bytes).unwrap();
    }
}

/// What can be done to a journal without knowing its format.
#[derive(Debug, Clone)]
enum Mutation {
    Flip(Index, u8),
    Drop(Index),
    Swap(Index, Index),
    Repeat(Index, Index),
    Cut(Index),
}

fn mutation() -> impl Strategy<Value = Mutation> {
    prop_oneof![
        (any::<Index>(), 0..8u8).prop_map(|(at, bit)| Mutation::Flip(at, bit)),
        any::<Index>().prop_map(Mutation::Drop),
        (any::<Index>(), any::<Index>()).prop_map(|(one, other)| Mutation::Swap(one, other)),
        (any::<Index>(), any::<Index>()).prop_map(|(from, to)| Mutation::Repeat(from, to)),
        any::<Index>().prop_map(Mutation::Cut),
    ]
}

/// Mutates the lines; gives the first wrong place, unless nothing changed.
fn mutate(lines: &mut Vec<Vec<u8>>, mutation: &Mutation) -> Option<u64> {
    let whole = lines.concat();
    match mutation {
        Mutation::Flip(at, bit) => {
            let at = at.index(whole.len());
            let mut bytes = whole.clone();
            bytes[at] ^= 1 << bit;
            *lines = vec![bytes];
            Some(whole[..at].iter().filter(|byte| **byte == b'\n').count() as u64 + 1)
        }
        Mutation::Drop(at) => {
            let at = at.index(lines.len());
            lines.remove(at);
            Some(at as u64 + 1)
        }
        Mutation::Swap(one, other) => {
            let (one, other) = (one.index(lines.len()), other.index(lines.len()));
            lines.swap(one, other);
            (one != other).then(|| one.min(other) as u64 + 1)
        }
        Mutation::Repeat(from, to) => {
            let (from, to) = (from.index(lines.len()), to.index(lines.len() + 1));
            lines.insert(to, lines[from].clone());
            // A copy beside its original: the second of the two is the one too many.
            Some(if from == to { to as u64 + 2 } else { to as u64 + 1 })
        }
        Mutation::Cut(at) => {
            let at = at.index(whole.len());
            *lines = vec![whole[..at].to_vec()];
            Some(whole[..at].iter().filter(|byte| **byte == b'\n').count() as u64 + 1)
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]
    #[test]
    fn any_mutation_is_found_at_its_place(mutation in mutation()) {
        thread_local! {
            static FOLDER: (TempDir, PathBuf) = closed_folder(12);
        }
        FOLDER.with(|(_folder, data)| {
            let path = first_segment(data);
            let original = lines_of(&path);
            let mut lines = original.clone();
            let expected = mutate(&mut lines, &mutation);
            put(&path, &lines);
            let report = verdict(data);
            put(&path, &original);
            prop_assert_eq!(report.fault.as_ref().map(|fault| fault.seq), expected, "{:?}", report.fault);
            Ok(())
        })?;
    }
}

#[test]
fn a_store_that_was_never_closed_verifies_after_recovery() {
    let folder = folder();
    let options = options(folder.path());
    let store = open(&options);
    let seq = store.journal.admit(NOW, admitted(1)).wait().unwrap();
    store.journal.settle(NOW, settled(1, seq)).wait().unwrap();
    let _open = store.journal.admit(NOW, admitted(2)).wait().unwrap();
    drop(store);
    Store::open(&options, NOW).unwrap().close(NOW).unwrap();
    let report = verdict(&options.data);
    assert_eq!((report.fault, report.open), (None, 0));
}

type Harm = fn(&Path);

fn remove(data: &Path, names: &[&str]) {
    names.iter().for_each(|name| fs::remove_file(data.join(name)).unwrap());
}

fn append(data: &Path, bytes: &[u8]) {
    let path = first_segment(data);
    fs::write(&path, [fs::read(&path).unwrap(), bytes.to_vec()].concat()).unwrap();
}

fn alter(data: &Path, sql: &str) {
    rusqlite::Connection::open(data.join(LEDGER)).unwrap().execute_batch(sql).unwrap();
}

fn cut_end(data: &Path) {
    let path = first_segment(data);
    let mut lines = lines_of(&path);
    lines.truncate(lines.len() - 5);
    put(&path, &lines);
}

#[test]
fn what_cannot_be_proven_is_not_called_good() {
    let rows: [(&str, Harm, &str); 10] = [
        (
            "cut, and every witness removed",
            |data| {
                cut_end(data);
                remove(data, &[LEDGER, "journal/checkpoints"]);
            },
            "cannot be proven",
        ),
        ("the sidecar gone", |data| remove(data, &["journal/checkpoints"]), "checkpoints is missing"),
        ("the public key gone", |data| remove(data, &["secrets/journal.pub"]), "journal.pub is missing"),
        ("junk at the end", |data| append(data, b"junk"), "4 bytes after the last entry"),
        ("zeros at the end", |data| append(data, &[0; 512]), "512 bytes after the last entry"),
        (
            "cheaper",
            |data| alter(data, "UPDATE usage_2026_11 SET cost_nano_usd = 1 WHERE seq = 4"),
            "was altered",
        ),
        ("another team", |data| alter(data, "UPDATE dims SET team = 'x'"), "was altered"),
        ("one less", |data| alter(data, "DELETE FROM usage_2026_11 WHERE seq = 4"), "was altered"),
        (
            "a row to come",
            |data| alter(data, "UPDATE usage_2026_11 SET seq = 999 WHERE seq = 42"),
            "requests of 2026-11: 20 of $",
        ),
        (
            "a trigger",
            |data| alter(data, "CREATE TRIGGER t AFTER INSERT ON daily BEGIN DELETE FROM daily; END"),
            "cannot be compared",
        ),
    ];
    for (name, harm, expected) in rows {
        let (_folder, data) = closed_folder(20);
        harm(&data);
        let report = verdict(&data);
        assert_eq!(report.fault, None, "{name}");
        assert!(report.doubts.iter().any(|doubt| doubt.contains(expected)), "{name}: {:?}", report.doubts);
        assert!(!report.is_proven());
    }
}

#[test]
fn a_ledger_that_was_deleted_leaves_the_proof_to_the_sidecar() {
    let (_folder, data) = closed_folder(20);
    remove(&data, &[LEDGER]);
    let report = verdict(&data);
    assert!(report.is_proven(), "{report:?}");
    cut_end(&data);
    assert_eq!(fault(&data).kind, Kind::Truncated);
}
