//! What a start makes of every way a journal can end.

use std::collections::BTreeSet;
use std::fs::{self, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tollgate_policy::entry::{Entry, Event, Hash, Outcome, read_line, write_line};

use super::recover;
use crate::audit;
use crate::fault::{JournalFault, StoreFault};
use crate::fixture::{NOW, admitted, folder, new_key, open, options, serve, settled};
use crate::journal::segment;
use crate::ledger::Query;
use crate::store::{Options, Store};

fn journal_of(options: &Options) -> PathBuf {
    options.data.join("journal")
}

fn entries(options: &Options) -> Vec<Entry> {
    let journal = journal_of(options);
    let segments = segment::list(&journal).unwrap();
    let text: Vec<u8> =
        segments.iter().flat_map(|first| fs::read(segment::path(&journal, *first)).unwrap()).collect();
    text.split_inclusive(|byte| *byte == b'\n').map(|line| read_line(line).unwrap()).collect()
}

fn verified(options: &Options) -> audit::Report {
    let report = audit::verify(&options.data, &audit::Options::default()).unwrap();
    assert_eq!(report.fault, None);
    report
}

/// A folder whose process ended without closing: one request done, one admitted. Without the ledger, as after a power
/// cut in which the ledger did not reach the disk.
fn crashed() -> (TempDir, Options) {
    let folder = folder();
    let options = options(folder.path());
    let store = open(&options);
    serve(&store, 1);
    store.journal.admit(NOW, admitted(2)).wait().unwrap();
    drop(store);
    fs::remove_file(options.data.join("ledger.db")).unwrap();
    (folder, options)
}

fn last_segment(options: &Options) -> PathBuf {
    let journal = journal_of(options);
    segment::path(&journal, *segment::list(&journal).unwrap().last().unwrap())
}

#[test]
fn what_a_crash_left_open_is_settled_as_unknown_at_its_reservation() {
    let (_folder, options) = crashed();
    let store = open(&options);
    let total = store.ledger.report(&Query::default()).unwrap();
    assert_eq!((total[0].requests, total[0].unknown, total[0].estimated), (2, 1, 1));
    assert_eq!(total[0].cost.0, 1_200_001 + 61_000_000);
    store.close(NOW).unwrap();
    let closed: Vec<_> = entries(&options)
        .into_iter()
        .filter_map(|entry| match entry.event {
            Event::Settled(settled) if settled.outcome == Outcome::Unknown => Some(settled),
            _ => None,
        })
        .collect();
    assert_eq!(closed.len(), 1);
    assert_eq!((closed[0].admitted, closed[0].request), (5, admitted(2).request));
    // And only once.
    open(&options).close(NOW).unwrap();
    assert_eq!(verified(&options).open, 0);
    let unknown =
        |entry: &Entry| matches!(&entry.event, Event::Settled(it) if it.outcome == Outcome::Unknown);
    assert_eq!(entries(&options).iter().filter(|entry| unknown(entry)).count(), 1);
}

#[test]
fn a_journal_cut_at_any_byte_recovers_to_its_last_whole_entry() {
    let (_folder, options) = crashed();
    let path = last_segment(&options);
    let whole = fs::read(&path).unwrap();
    let ends: Vec<usize> =
        whole.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(at, _)| at + 1).collect();
    let public = fs::read_to_string(options.data.join("secrets/journal.pub")).unwrap().parse().unwrap();
    // Before that the journal is covered by the checkpoint, which is the second entry.
    for length in ends[3]..=whole.len() {
        fs::write(&path, &whole[..length]).unwrap();
        let recovered = recover(&journal_of(&options), &public, &[]).unwrap();
        let kept = ends.iter().filter(|end| **end <= length).count();
        assert_eq!(recovered.chain.next_seq, kept as u64 + 1, "cut at {length}");
        assert_eq!(recovered.torn_bytes, (length - ends[kept - 1]) as u64);
        assert_eq!(fs::read(&path).unwrap(), &whole[..ends[kept - 1]]);
        assert_eq!(recovered.open.len(), kept - 4);
    }
}

#[test]
fn what_was_torn_is_kept_and_reported() {
    let (_folder, options) = crashed();
    let path = last_segment(&options);
    let whole = fs::read(&path).unwrap();
    fs::write(&path, &whole[..whole.len() - 20]).unwrap();
    open(&options).close(NOW).unwrap();
    let aside = fs::read(journal_of(&options).join("torn-5")).unwrap();
    assert!(whole[..whole.len() - 20].ends_with(&aside));
    let Event::Opened(opened) = &entries(&options)[4].event else { panic!() };
    assert_eq!(opened.torn_bytes, aside.len() as u64);
    assert_eq!(verified(&options).open, 0);
}

// Lines: 0 opened, 1 checkpoint, 2 admitted, 3 settled, 4 admitted.
type Damage = fn(&mut Vec<Vec<u8>>);

#[test]
fn what_a_crash_can_leave_is_cut() {
    let cut: &[(&str, Damage, usize)] = &[
        ("half a line", |lines| lines[4].truncate(200), 4),
        ("no line end", |lines| assert_eq!(lines[4].pop(), Some(b'\n')), 4),
        ("zeros at the end", |lines| lines.push(vec![0; 4096]), 5),
        ("zeros and a line end", |lines| lines.push(b"\0\0\0\n".to_vec()), 5),
        ("a sector of zeros in the middle", |lines| lines[3][100..400].fill(0), 3),
        ("a last line that is not an entry", |lines| lines.push(b"{\"seq\":6}\n".to_vec()), 5),
        ("a last line with a flipped bit", |lines| lines[4][150] ^= 1, 4),
    ];
    for (name, damage, kept) in cut {
        let (_folder, options) = crashed();
        damaged(&options, *damage);
        open(&options).close(NOW).unwrap();
        assert!(matches!(entries(&options)[*kept].event, Event::Opened(_)), "{name}");
        verified(&options);
    }
}

#[test]
fn what_no_crash_can_leave_is_refused_and_not_touched() {
    let refused: &[(&str, Damage, u64)] = &[
        ("a flipped bit in the middle", |lines| lines[3][150] ^= 1, 4),
        ("an entry taken out", |lines| drop(lines.remove(3)), 4),
        ("entries in another order", |lines| lines.swap(2, 3), 3),
        ("an entry twice", |lines| lines.insert(3, lines[2].clone()), 4),
        ("a blank line", |lines| lines.insert(3, b"\n".to_vec()), 4),
        ("a flipped bit in the checkpoint", |lines| lines[1][300] ^= 1, 2),
        (
            "a forged checkpoint, hash fitted",
            |lines| {
                let Entry { link, event: Event::Checkpoint(mut checkpoint) } = read_line(&lines[1]).unwrap()
                else {
                    panic!()
                };
                checkpoint.oldest_open = Some(1);
                lines[1].clear();
                write_line(&mut lines[1], link.seq, link.at, &link.prev, &Event::Checkpoint(checkpoint));
            },
            2,
        ),
        ("zeros in what was synced", |lines| lines[1][100..200].fill(0), 2),
        (
            "half a line in what was synced",
            |lines| {
                lines.truncate(2);
                lines[1].truncate(90);
            },
            2,
        ),
        (
            "an entry of a newer version",
            |lines| {
                let text =
                    String::from_utf8(lines[2].clone()).unwrap().replace("\"admitted\"", "\"admired\"");
                let hashed = text.split(",\"hash\":").next().unwrap();
                let hash = Hash::of(hashed.as_bytes());
                lines[2] = format!("{hashed},\"hash\":\"{hash}\"}}\n").into_bytes();
            },
            3,
        ),
    ];
    for (name, damage, line) in refused {
        let (_folder, options) = crashed();
        damaged(&options, *damage);
        let before = fs::read(last_segment(&options)).unwrap();
        let fault = Store::open(&options, NOW).unwrap_err();
        let (at, text) = match &fault {
            StoreFault::Damaged { line, .. } | StoreFault::Newer { line, .. } => (*line, fault.to_string()),
            other => panic!("{name}: {other}"),
        };
        assert_eq!(at, *line, "{name}: {text}");
        assert!(text.contains(&last_segment(&options).display().to_string()), "{text}");
        assert_eq!(fs::read(last_segment(&options)).unwrap(), before, "{name}: nothing is changed");
    }
}

fn damaged(options: &Options, damage: impl Fn(&mut Vec<Vec<u8>>)) {
    let path = last_segment(options);
    let mut lines: Vec<Vec<u8>> =
        fs::read(&path).unwrap().split_inclusive(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
    damage(&mut lines);
    fs::write(path, lines.concat()).unwrap();
}

#[test]
fn a_journal_that_lost_what_was_safe_is_refused() {
    for witness in ["ledger.db", "journal/checkpoints"] {
        let folder = folder();
        let options = options(folder.path());
        let store = open(&options);
        serve(&store, 1);
        store.close(NOW).unwrap();
        damaged(&options, |lines| lines.truncate(2));
        for other in ["ledger.db", "journal/checkpoints"].into_iter().filter(|other| *other != witness) {
            fs::remove_file(options.data.join(other)).unwrap();
        }
        let text = Store::open(&options, NOW).unwrap_err().to_string();
        assert!(text.contains("ends at entry 2") && text.contains(witness), "{text}");
        // The cure that the text names.
        fs::remove_file(options.data.join(witness)).unwrap();
        open(&options);
    }
}

#[test]
fn secrets_that_are_gone_are_not_made_anew_under_a_journal() {
    for name in ["pepper", "journal.key"] {
        let (_folder, options) = crashed();
        fs::remove_file(options.data.join("secrets").join(name)).unwrap();
        let fault = Store::open(&options, NOW).unwrap_err();
        assert!(matches!(fault, StoreFault::SecretMissing { .. }), "{fault}");
    }
    let (_folder, options) = crashed();
    fs::write(options.data.join("secrets/pepper"), "short").unwrap();
    assert!(matches!(Store::open(&options, NOW).unwrap_err(), StoreFault::BadSecret { .. }));
}

#[test]
fn a_torn_sidecar_does_not_stop_a_start() {
    for tail in [&b"{\"seq\":"[..], &[0; 600], b"\0\0\n"] {
        let (_folder, options) = crashed();
        let sidecar = journal_of(&options).join("checkpoints");
        OpenOptions::new().append(true).open(sidecar).unwrap().write_all(tail).unwrap();
        open(&options).close(NOW).unwrap();
        verified(&options);
    }
}

#[test]
fn an_admission_older_than_the_last_checkpoint_and_segment_is_still_closed() {
    let folder = folder();
    let options = Options { segment_bytes: 20_000, ..options(folder.path()) };
    let store = open(&options);
    let old = store.journal.admit(NOW, admitted(1)).wait().unwrap();
    for number in 2..1200 {
        serve(&store, number);
    }
    let state = store.journal.state();
    assert_eq!(state.open, 1);
    drop(store);
    let store = open(&options);
    let refused = store.journal.settle(NOW, settled(1, old)).wait();
    assert!(refused.is_err(), "it is settled already");
    let total = store.ledger.report(&Query::default()).unwrap();
    assert_eq!((total[0].requests, total[0].unknown), (1199, 1));
    drop(store);
    verified(&options);
}

/// The process that [`kill_9_loses_nothing_that_was_acknowledged`] kills: serves and says what was acknowledged.
#[test]
fn serves_until_it_is_killed() {
    let Ok(data) = std::env::var("STORE_TEST_VICTIM") else { return };
    let options = Options { checkpoint_ms: 10, segment_bytes: 200_000, ..Options::new(data) };
    let store = open(&options);
    thread::scope(|scope| {
        for thread in 0..4u64 {
            let store = &store;
            scope.spawn(move || {
                for number in (thread << 32).. {
                    let seq = store.journal.admit(NOW, admitted(number)).wait().unwrap();
                    println!("\nadmitted {seq}");
                    store.journal.settle(NOW, settled(number, seq)).wait().unwrap();
                    println!("\nsettled {seq}");
                    if number % 50 == 0 {
                        let (record, _) = store.directory.create("ada", new_key(), NOW).unwrap();
                        println!("\nkey {}", record.id);
                    }
                }
            });
        }
    });
}

#[test]
fn kill_9_loses_nothing_that_was_acknowledged() {
    let folder = folder();
    let data = folder.path().join("data");
    let (mut admitted, mut settled, mut keys) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for life in 0..8 {
        let mut victim = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "--nocapture", "journal::recovery::tests::serves_until_it_is_killed"])
            .env("STORE_TEST_VICTIM", &data)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let said = BufReader::new(victim.stdout.take().unwrap());
        let reader = thread::spawn(move || said.lines().map_while(Result::ok).collect::<Vec<_>>());
        thread::sleep(Duration::from_millis(150 + 60 * life));
        victim.kill().unwrap();
        victim.wait().unwrap();
        for line in reader.join().unwrap() {
            match line.split_once(' ') {
                Some(("admitted", seq)) => drop(admitted.insert(seq.parse::<u64>().unwrap())),
                Some(("settled", seq)) => drop(settled.insert(seq.parse::<u64>().unwrap())),
                Some(("key", id)) => drop(keys.insert(id.to_owned())),
                _ => {}
            }
        }
    }
    assert!(settled.len() > 100, "{}", settled.len());
    let options = Options::new(&data);
    let store = open(&options);
    let known: BTreeSet<_> = store.directory.list().iter().map(|key| key.id.to_string()).collect();
    assert!(keys.is_subset(&known));
    let total = store.ledger.report(&Query::default()).unwrap();
    store.close(NOW).unwrap();
    verified(&options);
    let (mut in_journal, mut outcomes) = (BTreeSet::new(), std::collections::BTreeMap::new());
    for entry in entries(&options) {
        match entry.event {
            Event::Admitted(_) => drop(in_journal.insert(entry.link.seq)),
            Event::Settled(settled) => {
                assert_eq!(outcomes.insert(settled.admitted, settled.outcome), None, "settled twice");
            }
            _ => {}
        }
    }
    assert!(admitted.is_subset(&in_journal));
    assert!(settled.iter().all(|seq| outcomes.get(seq) == Some(&Outcome::Complete)));
    assert_eq!(in_journal.len(), outcomes.len(), "one settlement for each admission");
    assert_eq!(total[0].requests, outcomes.len() as u64);
}

#[test]
fn a_start_reads_only_the_end_of_a_long_journal() {
    let folder = folder();
    let options = Options { segment_bytes: 1 << 20, ..options(folder.path()) };
    let store = open(&options);
    for number in 0..6000 {
        serve(&store, number);
    }
    store.ledger.report(&Query::default()).unwrap();
    drop(store);
    // Damage far before the end is not seen by a start, which must not take the time; it is the audit's to find.
    let first = segment::path(&journal_of(&options), 1);
    let mut bytes = fs::read(&first).unwrap();
    let cost = memchr::memmem::find(&bytes, b"cost_nano_usd\":").unwrap() + 17;
    bytes[cost] ^= 1;
    fs::write(&first, &bytes).unwrap();
    let began = Instant::now();
    open(&options);
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    let fault = audit::verify(&options.data, &audit::Options::default()).unwrap().fault.unwrap();
    assert_eq!((fault.kind, &fault.file), (audit::Kind::Edited, &first));
    // A ledger made again reads everything, so it sees the damage; without it, it books all of it.
    fs::remove_file(options.data.join("ledger.db")).unwrap();
    let text = Store::open(&options, NOW).unwrap_err().to_string();
    assert!(text.contains(&first.display().to_string()), "{text}");
    bytes[cost] ^= 1;
    fs::write(&first, bytes).unwrap();
    assert_eq!(open(&options).ledger.report(&Query::default()).unwrap()[0].requests, 6000);
}

/// The process of [`a_disk_that_is_really_full_refuses_and_stays_whole`]: admits until it is refused.
#[test]
fn fills_its_disk() {
    let Ok(data) = std::env::var("STORE_TEST_FILLER") else { return };
    let store = open(&Options::new(data));
    let mut last = 0;
    for number in 0..10_000 {
        match store.journal.admit(NOW, admitted(number)).wait() {
            Ok(seq) => last = seq,
            Err(fault) => {
                assert!(matches!(fault, JournalFault::Unwritable { .. }), "{fault}");
                drop(store.journal.settle(NOW, settled(number - 1, last)));
                assert_eq!(store.journal.state().backlog, 1);
                println!("\nrefused after {last}");
                return;
            }
        }
    }
    panic!("the limit has no effect");
}

#[test]
fn a_disk_that_is_really_full_refuses_and_stays_whole() {
    let folder = folder();
    let data = folder.path().join("data");
    // A limit on the length of files: works for every user, unlike a small file system.
    let victim = Command::new("sh")
        .args(["-c", "trap '' XFSZ; ulimit -f 400; exec \"$0\" \"$@\""])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "--nocapture", "journal::recovery::tests::fills_its_disk"])
        .env("STORE_TEST_FILLER", &data)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&victim.stdout).into_owned();
    let last: u64 = said
        .lines()
        .find_map(|line| line.strip_prefix("refused after "))
        .unwrap_or_else(|| panic!("{said}"))
        .parse()
        .unwrap();
    let options = Options::new(&data);
    let before = verified(&options);
    assert_eq!((before.head_seq, before.torn_bytes), (last, 0), "taken back to the last whole entry");
    open(&options).close(NOW).unwrap();
    assert_eq!(verified(&options).open, 0);
}
