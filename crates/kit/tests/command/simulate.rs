//! `tollgate simulate`.

use crate::run::{Simulator, message, run, text, tollgate};
use std::fs;

#[test]
fn the_simulated_api_answers_until_ctrl_c() {
    let simulator = Simulator::start();
    let address = simulator.url.trim_start_matches("http://");
    let answer = message(address, "any", "text=Good morning.");
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.contains("Good morning."), "{answer}");
    let taken = run(&["simulate", "--listen", address]);
    assert_eq!(taken.status, 3);
    assert!(taken.err.contains("another program listens there"), "{}", taken.err);
    simulator.server.signal("INT");
    simulator.server.line("1 requests were answered");
    assert_eq!(simulator.server.end().code(), Some(0));
}

#[test]
fn scripts_and_keys_that_can_not_be_had_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let script = folder.path().join("script.json");
    for bad in ["{", r#"{"rules":[{"do":"dance"}]}"#] {
        fs::write(&script, bad).unwrap();
        let refused = run(&["simulate", "--listen", "127.0.0.1:0", "--script", text(&script)]);
        assert_eq!(refused.status, 2);
        assert!(refused.err.contains("script.json: "), "{}", refused.err);
    }
    let unset = run(&["simulate", "--api-key-env", "TOLLGATE_NO_SUCH_VARIABLE"]);
    assert_eq!(unset.status, 2);
    assert!(unset.err.contains("TOLLGATE_NO_SUCH_VARIABLE is not set"), "{}", unset.err);
    let empty = tollgate(&["simulate", "--api-key-env", "EMPTY"]).env("EMPTY", " ").output().unwrap();
    assert_eq!(empty.status.code(), Some(2));
}
