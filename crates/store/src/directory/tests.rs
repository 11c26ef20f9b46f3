//! Keys: made, replaced, withdrawn, and in force at once.

use std::fs;
use std::thread;

use tollgate_policy::access::Models;
use tollgate_policy::credential::ForeignHash;
use tollgate_policy::entry::{Event, read_line};
use tollgate_policy::id::KeyId;
use tollgate_policy::key::KeyState;
use tollgate_policy::unit::UnixMs;

use super::{DirectoryFault, NewKey};
use crate::expect::{Expect, fingerprint};
use crate::fixture::{NOW, folder, new_key, open, options};
use crate::store::Options;

#[test]
fn a_key_is_in_force_as_soon_as_it_is_made_and_only_as_itself() {
    let folder = folder();
    let store = open(&options(folder.path()));
    let wish = NewKey {
        models: Models::new(vec!["claude-*".to_owned()]).unwrap(),
        expires_at: Some(UnixMs(NOW.0 + 5)),
        note: Some("for the build".to_owned()),
        ..new_key()
    };
    let (record, key) = store.directory.create("ada", wish.clone(), NOW).unwrap();
    assert_eq!(store.directory.lookup(key.reveal().as_bytes()).unwrap(), record);
    assert_eq!(store.directory.by_id(record.id).unwrap(), record);
    assert_eq!((&record.scope, &record.models, &record.note), (&wish.scope, &wish.models, &wish.note));
    assert_eq!(
        (record.expires_at, record.created_at, record.state),
        (wish.expires_at, NOW, KeyState::Active)
    );
    for other in ["", "tg_", &key.reveal()[..51], &key.reveal().to_lowercase(), &record.hint] {
        assert!(store.directory.lookup(other.as_bytes()).is_none(), "{other}");
    }
}

#[test]
fn an_imported_key_is_found_by_what_its_holder_presents_and_never_by_its_hash() {
    let folder = folder();
    let options = options(folder.path());
    let key = "sk-canary-of-another-gateway";
    let hash = ForeignHash::of(key.as_bytes()).unwrap();
    let hex = "2316aa6830cb63a60d6a6a661b8900c0a91a006705912cf3d1a6a5f96e87b378";
    let record = {
        let store = open(&options);
        let (record, is_new) = store.directory.import("ada", &hash, new_key(), NOW).unwrap();
        assert_eq!((is_new, record.hint.as_str()), (true, format!("sha256:{}\u{2026}", &hex[..8]).as_str()));
        for other in [hex, &record.hint, &format!("sha256:{hex}")] {
            assert!(store.directory.lookup(other.as_bytes()).is_none(), "{other}");
        }
        let again = NewKey { note: Some("again".to_owned()), ..new_key() };
        let (known, is_new) = store.directory.import("eve", &hash, again, UnixMs(NOW.0 + 1)).unwrap();
        assert_eq!((known, is_new, store.directory.list().len()), (record.clone(), false, 1));
        record
    };
    // After a restart too, from the journal alone.
    let store = open(&options);
    assert_eq!(store.directory.lookup(key.as_bytes()).unwrap(), record);
    let (successor, fresh) = store.directory.rotate("ada", record.id, Expect::Present, 1_000, NOW).unwrap();
    assert_eq!((successor.counted_as(), fresh.reveal().starts_with("tg_")), (record.id, true));
    store.directory.revoke("ada", record.id, Expect::Present, NOW).unwrap();
    let (known, is_new) = store.directory.import("ada", &hash, new_key(), NOW).unwrap();
    assert!(!is_new && matches!(known.state, KeyState::Revoked { .. }), "a revoked key does not come back");
    let journal = fs::read_dir(options.data.join("journal")).unwrap();
    for file in journal.map(|entry| entry.unwrap().path()).filter(|path| path.is_file()) {
        assert!(!String::from_utf8_lossy(&fs::read(file).unwrap()).contains(key));
    }
}

#[test]
fn what_cannot_be_done_is_refused_by_type() {
    let folder = folder();
    let store = open(&options(folder.path()));
    let directory = &store.directory;
    let nobody = KeyId::new(NOW, [9; 10]);
    assert_eq!(
        directory.revoke("ada", nobody, Expect::Present, NOW).unwrap_err(),
        DirectoryFault::UnknownKey(nobody)
    );
    assert_eq!(
        directory.rotate("ada", nobody, Expect::Present, 0, NOW).unwrap_err(),
        DirectoryFault::UnknownKey(nobody)
    );
    assert!(directory.by_id(nobody).is_none());
    let long = NewKey { note: Some("x".repeat(257)), ..new_key() };
    assert_eq!(directory.create("ada", long, NOW).unwrap_err(), DirectoryFault::NoteTooLong);
    let (key, _) = directory.create("ada", new_key(), NOW).unwrap();
    directory.rotate("ada", key.id, Expect::Present, 0, NOW).unwrap();
    assert_eq!(
        directory.rotate("ada", key.id, Expect::Present, 0, NOW).unwrap_err(),
        DirectoryFault::NotActive(key.id)
    );
    let revoked = directory.revoke("ada", key.id, Expect::Present, NOW).unwrap();
    let later = directory.revoke("ada", key.id, Expect::Present, UnixMs(NOW.0 + 1)).unwrap();
    assert_eq!(later, revoked, "the first time stands");
    assert_eq!(directory.list().len(), 2);
}

#[test]
fn nobody_changes_a_key_that_they_have_not_seen() {
    let folder = folder();
    let store = open(&options(folder.path()));
    let (key, _) = store.directory.create("ada", new_key(), NOW).unwrap();
    let seen = Expect::Exactly(fingerprint(&*key));
    let unexpected = DirectoryFault::Unexpected(key.id);
    store.directory.rotate("ada", key.id, seen, 5, NOW).unwrap();
    assert_eq!(store.directory.rotate("ada", key.id, seen, 5, NOW).unwrap_err(), unexpected);
    assert_eq!(store.directory.revoke("ada", key.id, seen, NOW).unwrap_err(), unexpected);
    let seen = Expect::Exactly(fingerprint(&*store.directory.by_id(key.id).unwrap()));
    store.directory.revoke("ada", key.id, seen, NOW).unwrap();
}

#[test]
fn a_rotation_keeps_what_the_key_is_and_ends_the_old_one_in_time() {
    let folder = folder();
    let store = open(&options(folder.path()));
    let wish = NewKey { expires_at: Some(UnixMs(NOW.0 + 99)), note: Some("n".into()), ..new_key() };
    let (old, _) = store.directory.create("ada", wish, NOW).unwrap();
    let (new, key) = store.directory.rotate("ada", old.id, Expect::Present, 7, UnixMs(NOW.0 + 1)).unwrap();
    assert_eq!((&new.scope, new.expires_at, &new.note), (&old.scope, old.expires_at, &old.note));
    assert_eq!((new.rotated_from, new.created_at), (Some(old.id), UnixMs(NOW.0 + 1)));
    assert_eq!(store.directory.lookup(key.reveal().as_bytes()).unwrap(), new);
    let state = store.directory.by_id(old.id).unwrap().state;
    assert_eq!(state, KeyState::Grace { until: UnixMs(NOW.0 + 8), replaced_by: new.id });
    let (last, _) = store.directory.rotate("ada", new.id, Expect::Present, u64::MAX, NOW).unwrap();
    let state = store.directory.by_id(new.id).unwrap().state;
    assert_eq!(state, KeyState::Grace { until: UnixMs::MAX, replaced_by: last.id });
}

#[test]
fn every_change_is_in_the_journal_and_no_key_is() {
    let folder = folder();
    let options = options(folder.path());
    let store = open(&options);
    let (record, key) = store.directory.create("ada", new_key(), NOW).unwrap();
    let (new, new_key) = store.directory.rotate("grace", record.id, Expect::Present, 5, NOW).unwrap();
    store.directory.revoke("edsger", new.id, Expect::Present, NOW).unwrap();
    store.close(NOW).unwrap();
    let mut changes = Vec::new();
    for file in fs::read_dir(options.data.join("journal")).unwrap() {
        let text = fs::read_to_string(file.unwrap().path()).unwrap();
        assert!(!text.contains(key.reveal()) && !text.contains(new_key.reveal()));
        for line in text.lines() {
            match read_line(line.as_bytes()).unwrap().event {
                Event::KeyCreated(change) => changes.push(("created", change)),
                Event::KeyRotated(change) => changes.push(("rotated", change)),
                Event::KeyRevoked(change) => changes.push(("revoked", change)),
                _ => {}
            }
        }
    }
    let words: Vec<_> = changes.iter().map(|(what, change)| (*what, change.by.as_str())).collect();
    assert_eq!(words, [("created", "ada"), ("rotated", "grace"), ("revoked", "edsger")]);
    let (created, rotated, revoked) = (&changes[0].1, &changes[1].1, &changes[2].1);
    assert_eq!((created.before.as_ref(), &created.after), (None, &*record));
    assert_eq!((rotated.before.as_ref(), rotated.also.as_ref()), (Some(&*record), Some(&*new)));
    assert_eq!(revoked.after.state, KeyState::Revoked { at: NOW });
    let ledger = fs::read(options.data.join("ledger.db")).unwrap();
    assert!(!ledger.windows(key.reveal().len()).any(|window| window == key.reveal().as_bytes()));
}

#[test]
fn changes_from_many_threads_all_count() {
    let folder = folder();
    let options = Options { sync_ms: 1, ..options(folder.path()) };
    let store = open(&options);
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..5 {
                    let (record, key) = store.directory.create("ada", new_key(), NOW).unwrap();
                    assert_eq!(store.directory.lookup(key.reveal().as_bytes()).unwrap(), record);
                }
            });
        }
    });
    let seen = store.directory.list();
    assert_eq!(seen.len(), 40);
    store.close(NOW).unwrap();
    assert_eq!(open(&options).directory.list(), seen);
}
