//! `tollgate simulate`.

use crate::run::{Server, Simulator, message, run, text, tollgate};
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

#[test]
fn a_gateway_of_the_zoo_stands_before_an_upstream_until_ctrl_c() {
    let simulator = Simulator::start();
    let gateway = |animal: &str| {
        let args = ["simulate", "--animal", animal, "--upstream", &simulator.url, "--listen", "127.0.0.1:0"];
        let mut command = tollgate(&args);
        command.args(["--api-key-env", "KEY", "--rpm", "1"]).env("KEY", "a-client");
        Server::start(command)
    };
    let server = gateway("fixed-window");
    let url = server.line("http://");
    let address = url.trim_start_matches("http://");
    assert!(message(address, "nobody", "").starts_with("HTTP/1.1 401 "));
    assert!(message(address, "a-client", "text=Good morning.").contains("Good morning."));
    assert!(message(address, "a-client", "").starts_with("HTTP/1.1 429 "));
    server.signal("INT");
    assert_eq!(server.end().code(), Some(0));
}

#[test]
fn the_zoo_is_listed_and_what_it_can_not_do_is_told() {
    let list = run(&["simulate", "--animal", "list"]);
    assert_eq!((list.status, list.err.as_str()), (0, ""));
    assert!(list.out.starts_with("faithful: does everything right\n    fails nothing\n"), "{}", list.out);
    assert!(list.out.contains("swallows-pings: drops pings\n    fails body.answer, stream.pings\n"));
    for (args, says) in [
        (&["--animal", "unicorn", "--upstream", "http://127.0.0.1:1"][..], "there is none of this name"),
        (&["--animal", "faithful"], "a gateway needs an upstream"),
        (&["--animal", "faithful", "--upstream", "https://127.0.0.1:1"], "speaks http to its upstream"),
        (&["--upstream", "http://127.0.0.1:1"], "--animal <NAME>"),
        (
            &["--animal", "faithful", "--upstream", "http://127.0.0.1:1", "--upstream-key-env", "NO_KEY"],
            "NO_KEY is not set",
        ),
    ] {
        let refused = run(&[&["simulate"], args].concat());
        assert_eq!(refused.status, 2, "{args:?}");
        assert!(refused.err.contains(says), "{args:?}: {}", refused.err);
    }
    let args =
        ["simulate", "--animal", "faithful", "--upstream", "http://127.0.0.1:1", "--upstream-key-env", "KEY"];
    let refused = tollgate(&args).env("KEY", "two canaries").output().unwrap();
    let err = String::from_utf8(refused.stderr).unwrap();
    assert_eq!(refused.status.code(), Some(2));
    assert!(err.contains("more than a key") && !err.contains("canaries"), "{err}");
}
