//! The store as a whole: what it remembers across restarts, and whom it refuses.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use tollgate_policy::entry::{Event, Witness, read_line};
use tollgate_policy::key::KeyState;

use crate::expect::Expect;
use crate::fault::{JournalFault, StoreFault};
use crate::fixture::{NOW, admitted, folder, new_key, open, options, serve, settled};
use crate::ledger::Query;
use crate::store::Store;

#[test]
fn what_was_served_is_in_the_ledger() {
    let folder = folder();
    let store = open(&options(folder.path()));
    for number in 0..10 {
        serve(&store, number);
    }
    let total = store.ledger.report(&Query::default()).unwrap();
    assert_eq!(total.len(), 1);
    assert_eq!((total[0].requests, total[0].input_tokens), (10, 3000));
    assert_eq!(total[0].cost.0, 12_000_045);
    store.close(NOW).unwrap();
}

#[test]
fn keys_survive_a_restart_in_their_last_state() {
    let folder = folder();
    let store = open(&options(folder.path()));
    let (kept, kept_key) = store.directory.create("ada", new_key(), NOW).unwrap();
    let (old, old_key) = store.directory.create("ada", new_key(), NOW).unwrap();
    let (new, new_key) = store.directory.rotate("ada", old.id, Expect::Present, 60_000, NOW).unwrap();
    store.directory.revoke("ada", kept.id, Expect::Present, NOW).unwrap();
    let seen = store.directory.list();
    store.close(NOW).unwrap();

    let store = open(&options(folder.path()));
    assert_eq!(store.directory.list(), seen);
    let look = |key: &str| store.directory.lookup(key.as_bytes()).unwrap();
    assert!(matches!(look(kept_key.reveal()).state, KeyState::Revoked { .. }));
    assert!(matches!(look(old_key.reveal()).state, KeyState::Grace { .. }));
    assert_eq!(look(new_key.reveal()), new);
    assert_eq!(new.rotated_from, Some(old.id));
    assert!(store.directory.lookup(b"tg_unknown").is_none());
}

#[test]
fn a_changed_ledger_does_not_bring_a_revoked_key_back() {
    let folder = folder();
    let options = options(folder.path());
    let store = open(&options);
    let (revoked, key) = store.directory.create("ada", new_key(), NOW).unwrap();
    let active = (*revoked).clone();
    store.directory.revoke("ada", revoked.id, Expect::Present, NOW).unwrap();
    store.close(NOW).unwrap();
    let database = rusqlite::Connection::open(options.data.join("ledger.db")).unwrap();
    // The table in which earlier versions kept the keys.
    database
        .execute_batch("CREATE TABLE IF NOT EXISTS keys (id TEXT PRIMARY KEY, record TEXT NOT NULL)")
        .unwrap();
    let record = serde_json::to_string(&active).unwrap();
    let id = active.id.to_string();
    database.execute("INSERT OR REPLACE INTO keys (id, record) VALUES (?1, ?2)", [&id, &record]).unwrap();
    drop(database);
    let store = open(&options);
    let found = store.directory.lookup(key.reveal().as_bytes()).unwrap();
    assert!(matches!(found.state, KeyState::Revoked { .. }), "{found:?}");
}

#[test]
fn a_second_process_is_refused_by_name() {
    let folder = folder();
    let options = options(folder.path());
    let store = open(&options);
    let refused = Store::open(&options, NOW).unwrap_err();
    assert!(matches!(refused, StoreFault::InUse { .. }));
    let text = refused.to_string();
    assert!(text.contains(options.data.to_str().unwrap()), "{text}");
    assert!(text.contains(&std::process::id().to_string()), "{text}");
    drop(store);
    open(&options);
}

#[test]
fn an_admission_is_settled_once() {
    let folder = folder();
    let store = open(&options(folder.path()));
    let seq = store.journal.admit(NOW, admitted(1)).wait().unwrap();
    store.journal.settle(NOW, settled(1, seq)).wait().unwrap();
    for wrong in [seq, seq + 1, 0, 999] {
        let refused = store.journal.settle(NOW, settled(1, wrong)).wait();
        assert_eq!(refused, Err(JournalFault::NotOpen { admitted: wrong }));
    }
}

#[test]
fn exposed_secrets_are_refused_with_a_cure() {
    let folder = folder();
    let options = options(folder.path());
    open(&options).close(NOW).unwrap();
    for (name, mode, cure) in [("pepper", 0o640, 0o600), ("journal.key", 0o604, 0o600)] {
        let path = options.data.join("secrets").join(name);
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        let text = Store::open(&options, NOW).unwrap_err().to_string();
        assert!(text.contains(&format!("chmod {cure:o} {}", path.display())), "{text}");
        fs::set_permissions(&path, fs::Permissions::from_mode(cure)).unwrap();
    }
    open(&options);
}

#[test]
fn nobody_else_may_read_the_folder_and_nothing_secret_is_shown() {
    let folder = folder();
    let options = options(folder.path());
    let store = open(&options);
    let mode = |path: &str| fs::metadata(options.data.join(path)).unwrap().permissions().mode() & 0o777;
    let rows = [
        ("", 0o700),
        ("secrets", 0o700),
        ("journal", 0o700),
        ("secrets/pepper", 0o600),
        ("secrets/journal.key", 0o600),
        ("journal/00000000000000000001.jsonl", 0o600),
        ("ledger.db", 0o600),
    ];
    for (path, expected) in rows {
        assert_eq!(mode(path) & !expected, 0, "{path} {:o}", mode(path));
    }
    let pepper = fs::read_to_string(options.data.join("secrets/pepper")).unwrap();
    assert!(!format!("{store:?}").contains(pepper.trim()));
}

#[test]
fn a_folder_that_others_can_write_is_refused_with_a_cure() {
    for mode in [0o720, 0o702, 0o777, 0o775] {
        let folder = folder();
        let options = options(folder.path());
        fs::create_dir(&options.data).unwrap();
        fs::set_permissions(&options.data, fs::Permissions::from_mode(mode)).unwrap();
        let text = Store::open(&options, NOW).unwrap_err().to_string();
        assert!(text.contains(&format!("chmod 700 {}", options.data.display())), "{text}");
        assert_eq!(fs::read_dir(&options.data).unwrap().count(), 0, "nothing was made in it");
        fs::set_permissions(&options.data, fs::Permissions::from_mode(0o755)).unwrap();
        open(&options);
    }
}

#[test]
fn a_ledger_that_others_can_read_is_taken_from_them() {
    let folder = folder();
    let options = options(folder.path());
    open(&options).close(NOW).unwrap();
    let path = |suffix: &str| options.data.join(format!("ledger.db{suffix}"));
    fs::set_permissions(path(""), fs::Permissions::from_mode(0o644)).unwrap();
    fs::set_permissions(&options.data, fs::Permissions::from_mode(0o755)).unwrap();
    let store = open(&options);
    serve(&store, 1);
    store.ledger.report(&Query::default()).unwrap();
    for suffix in ["", "-wal", "-shm"] {
        assert_eq!(fs::metadata(path(suffix)).unwrap().permissions().mode() & 0o077, 0, "{suffix}");
    }
}

#[test]
fn a_witness_that_is_gone_is_on_record() {
    type Row<'a> = (&'a [&'a str], &'a [Witness]);
    let rows: [Row<'_>; 4] = [
        (&[], &[]),
        (&["ledger.db"], &[Witness::Ledger]),
        (&["journal/checkpoints"], &[Witness::Checkpoints]),
        (&["journal/checkpoints", "ledger.db"], &[Witness::Checkpoints, Witness::Ledger]),
    ];
    for (gone, expected) in rows {
        let folder = folder();
        let options = options(folder.path());
        open(&options).close(NOW).unwrap();
        gone.iter().for_each(|name| fs::remove_file(options.data.join(name)).unwrap());
        open(&options).close(NOW).unwrap();
        let journal = fs::read(options.data.join("journal/00000000000000000001.jsonl")).unwrap();
        let lines = journal.split_inclusive(|byte| *byte == b'\n');
        let lost: Vec<_> = lines
            .filter_map(|line| match read_line(line).unwrap().event {
                Event::WitnessLost(lost) => Some(lost.what),
                _ => None,
            })
            .flatten()
            .collect();
        assert_eq!(lost, expected, "{gone:?}");
    }
}
