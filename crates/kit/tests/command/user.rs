//! `tollgate user`.

use crate::run::{Gateway, Simulator, message, text};
use serde_json::Value;
use std::fs;

#[test]
fn what_is_kept_about_a_person_is_written_whole_or_not_at_all() {
    let simulator = Simulator::start();
    let gateway = Gateway::start(&simulator.url);
    let made = gateway.run(&["key", "create", "--team", "red", "--user", "ada", "--quiet"]);
    message(&gateway.clients, made.out.trim_end(), "usage=in:10,out:2");
    message(&gateway.clients, &gateway.key("blue"), "usage=in:10,out:2");
    gateway.run(&["usage", "report"]);

    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ada.jsonl");
    fs::write(&file, "what was there before").unwrap();
    let written = gateway.run(&["user", "export", "ada", "--output", text(&file)]);
    assert_eq!((written.status, written.out.as_str()), (0, ""), "{}", written.err);
    let lines = fs::read_to_string(&file).unwrap();
    let kinds: Vec<String> = lines
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["kind"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(kinds, ["person", "key", "key_created", "admitted", "settled", "end"]);
    assert_eq!(written.err, format!("wrote 6 lines to {}\n", file.display()));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing else is left there");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    }

    let elsewhere = gateway.run(&["user", "export", "ada", "--org", "other", "--output", text(&file)]);
    assert_eq!(elsewhere.status, 0, "{}", elsewhere.err);
    assert_eq!(fs::read_to_string(&file).unwrap().lines().count(), 2, "another org has another ada");
    let nowhere = folder.path().join("none/ada.jsonl");
    let unwritten = gateway.run(&["user", "export", "ada", "--output", text(&nowhere)]);
    assert!(unwritten.status != 0 && unwritten.err.contains("can not be written"), "{}", unwritten.err);
}
