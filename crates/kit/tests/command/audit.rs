//! `tollgate audit`.

use crate::run::{Gateway, run, text};
use serde_json::Value;
use std::{fs, path::PathBuf};

#[test]
fn a_journal_is_verified_with_and_without_its_gateway() {
    let gateway = Gateway::start("http://127.0.0.1:9");
    gateway.key("platform");
    let running = gateway.run(&["audit", "verify"]);
    assert_eq!(running.status, 0, "{}{}", running.out, running.err);
    assert!(running.out.contains("as it was written"), "{}", running.out);

    let folder = gateway.stop();
    let data = folder.path().join("data");
    let stopped = run(&["audit", "verify", text(&data)]);
    assert_eq!(stopped.status, 0, "{}", stopped.err);
    assert!(stopped.out.contains("in good order") && stopped.out.contains("no anchor"), "{}", stopped.out);
    let kept = folder.path().join("kept");
    fs::copy(data.join("journal/checkpoints"), &kept).unwrap();
    let key = folder.path().join("key.pub");
    fs::copy(data.join("secrets/journal.pub"), &key).unwrap();
    let args =
        ["audit", "verify", text(&data), "--anchor", text(&kept), "--public-key", text(&key), "--json"];
    let report: Value = serde_json::from_str(&run(&args).out).unwrap();
    assert_eq!((&report["fault"], &report["closed"]), (&Value::Null, &true.into()));
    assert_eq!(report["unchecked"], Value::Array(Vec::new()));
}

#[test]
fn the_first_bad_entry_is_named_with_status_1() {
    let gateway = Gateway::start("http://127.0.0.1:9");
    gateway.key("platform");
    let folder = gateway.stop();
    let data = folder.path().join("data");
    let segment = segment(&data.join("journal"));
    let text_before = fs::read_to_string(&segment).unwrap();
    assert!(text_before.contains("platform"));
    fs::write(&segment, text_before.replacen("platform", "platfern", 1)).unwrap();
    let line = text_before.lines().position(|line| line.contains("platform")).unwrap() + 1;
    let edited = run(&["audit", "verify", text(&data)]);
    assert_eq!(edited.status, 1, "{}", edited.err);
    assert!(edited.out.contains(&format!("WRONG: entry {line} (")), "{}", edited.out);
    let report: Value = serde_json::from_str(&run(&["audit", "verify", text(&data), "--json"]).out).unwrap();
    assert_eq!((&report["fault"]["seq"], &report["fault"]["kind"]), (&line.into(), &"edited".into()));
}

#[test]
fn what_can_not_be_verified_is_no_verdict() {
    let folder = tempfile::tempdir().unwrap();
    let empty = run(&["audit", "verify", text(folder.path())]);
    insta::assert_snapshot!(empty.shown(&[(text(folder.path()), "FOLDER")]));
    assert_eq!(run(&["audit", "verify", "no-such-folder"]).status, 3);
    let no_key = folder.path().join("no-key");
    fs::write(&no_key, "ed25519 AAAA").unwrap();
    let no_key = run(&["audit", "verify", text(folder.path()), "--public-key", text(&no_key)]);
    insta::assert_snapshot!(no_key.shown(&[(text(folder.path()), "FOLDER")]));
}

/// The one segment of a young journal.
fn segment(journal: &std::path::Path) -> PathBuf {
    let mut files = fs::read_dir(journal).unwrap().map(|entry| entry.unwrap().path());
    files.find(|path| path.extension().is_some_and(|extension| extension == "jsonl")).unwrap()
}
