//! `tollgate serve`.

use crate::run::{self, Gateway, Server, Simulator, message, ran, run, send, text, tollgate};
use std::{fs, io::Read, net::TcpListener, process::Command};

/// Nothing listens there, and nothing is sent there.
const NOWHERE: &str = "http://127.0.0.1:9";

#[test]
fn a_missing_api_key_is_said_in_plain_words() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let started =
        run(&["serve", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", "--data", text(&data)]);
    insta::assert_snapshot!(started.shown(&[]));
}

#[test]
fn a_configuration_with_problems_does_not_start() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tollgate.yaml");
    fs::write(&path, "listen:\n  adress: 127.0.0.1:8080\nlog:\n  level: loud\n").unwrap();
    let started = run(&["serve", "--config", text(&path)]);
    insta::assert_snapshot!(started.shown(&[(text(folder.path()), "FOLDER")]));
    let started = run(&["serve", "--admin-listen", "0.0.0.0:8081"]);
    insta::assert_snapshot!(started.shown(&[]));
}

#[test]
fn what_is_in_the_way_of_a_start_is_named_with_its_cure() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "two words").unwrap();
    let gateway = Gateway::start(NOWHERE);
    let data = gateway.data();
    let credential = folder.path().join("credential.yaml");
    fs::write(&credential, format!("upstream:\n  credential: file:{}\n", text(&file))).unwrap();
    let free = "127.0.0.1:0";
    let other = folder.path().join("data");
    let rows: [(&[&str], i32, &str); 5] = [
        (&["--listen", &taken, "--admin-listen", free, "--data", text(&other)], 3, "--listen"),
        (&["--listen", free, "--admin-listen", &taken, "--data", text(&other)], 3, "--admin-listen"),
        (&["--listen", free, "--admin-listen", free, "--data", text(&data)], 3, "in use by another tollgate"),
        (&["--listen", free, "--admin-listen", free, "--data", text(&file)], 3, "file"),
        (
            &["--listen", free, "--admin-listen", free, "--config", text(&credential)],
            2,
            "holds no credential",
        ),
    ];
    for (args, status, says) in rows {
        let mut command = tollgate(&["serve", "--upstream", NOWHERE]);
        let started = ran(command.args(args).env("ANTHROPIC_API_KEY", "sk-ant-canary").output().unwrap());
        assert_eq!(started.status, status, "{args:?}: {}", started.err);
        assert!(started.err.contains(says), "{args:?}: {}", started.err);
        assert!(!started.err.contains("canary") && !started.err.contains("two words"), "{}", started.err);
    }
}

#[test]
fn a_gateway_serves_until_it_is_told_to_end() {
    let simulator = Simulator::start();
    let gateway = Gateway::start(&simulator.url);
    let key = gateway.key("platform");
    assert!(message(&gateway.clients, &key, "text=Hello.").starts_with("HTTP/1.1 200 "));
    let instance = gateway.data().join("instance.json");
    assert!(instance.exists());
    let folder = gateway.stop();
    assert!(folder.path().exists() && !instance.exists());
}

#[test]
fn a_second_signal_ends_at_once() {
    let simulator = Simulator::start();
    let gateway = Gateway::start(&simulator.url);
    let key = gateway.key("platform");
    let mut silent = send(&gateway.clients, &key, "stall; at=0");
    // The head has arrived: from now on there is a request under way.
    silent.read_exact(&mut [0; 16]).unwrap();
    gateway.server.signal("INT");
    gateway.server.line("a second signal ends at once");
    gateway.server.signal("INT");
    gateway.server.line("ended at once");
    assert_eq!(gateway.server.end().code(), Some(1));
}

#[test]
fn a_hangup_without_a_file_changes_nothing() {
    let gateway = Gateway::start(NOWHERE);
    gateway.server.signal("HUP");
    gateway.server.line("there is no configuration file to read again");
    gateway.stop();
}

#[test]
fn a_changed_file_is_read_again_and_the_command_line_still_holds() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tollgate.yaml");
    fs::write(&path, "timeouts: { drain: 1s }").unwrap();
    let gateway = Gateway::start_with(NOWHERE, &["--config", text(&path)]);
    fs::write(&path, "timeouts: { drain: 2s }").unwrap();
    gateway.server.line("the configuration was reloaded");
    gateway.server.signal("HUP");
    gateway.server.line("the configuration was reloaded");
    fs::write(&path, "timeouts: { drian: 2s }").unwrap();
    gateway.server.line("did you mean");
    fs::write(&path, "limits: { connections: 5 }").unwrap();
    gateway.server.line("limits.connections can change only by a restart");
    gateway.stop();
}

#[test]
fn a_reload_knows_the_models_that_a_start_knows() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    fs::write(path("book.json"), run::HOUSE_BOOK).unwrap();
    let write = |model: &str, usd: &str| {
        let text = format!(
            "prices: {{ file: {} }}\nallowances: [{{ name: a, usd: {usd}, per: day, models: ['{model}'] }}]",
            text(&path("book.json"))
        );
        fs::write(path("tollgate.yaml"), text).unwrap();
    };
    write("house-model", "5");
    let gateway = Gateway::start_with(NOWHERE, &["--config", text(&path("tollgate.yaml"))]);
    write("claude-opus-5", "5");
    gateway.server.line("`claude-opus-5` fits no model of the price book");
    gateway.server.line("the one in force stays");
    write("house-*", "0.5");
    gateway.server.line("the configuration was reloaded");
    gateway.server.line("so none ever passes");
    gateway.stop();
}

#[test]
fn the_limit_of_open_files_is_raised_and_warned_of_if_that_is_not_enough() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -S -n 256; ulimit -H -n 512; exec \"$0\" \"$@\""]);
    command.args([env!("CARGO_BIN_EXE_tollgate"), "serve", "--upstream", NOWHERE, "--data", text(&data)]);
    command.args(["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"]);
    command.env("ANTHROPIC_API_KEY", "sk-ant-canary");
    let server = Server::start(command);
    let warning = server.line("LimitNOFILE=16064");
    assert!(warning.contains("may open only 512"), "{warning}");
    server.signal("TERM");
    assert_eq!(server.end().code(), Some(0));
}

#[test]
fn on_a_terminal_the_start_is_told_in_words() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let mut command = tollgate(&["serve", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"]);
    command.args(["--log-format", "pretty", "--upstream", NOWHERE, "--data", text(&data)]);
    command.env("ANTHROPIC_API_KEY", "sk-ant-canary");
    let server = Server::start(command);
    server.line("the gateway is up");
    server.line("clients   http://127.0.0.1:");
    server.line("metrics   http://127.0.0.1:");
    server.line("tollgate key create --data ");
    server.signal("TERM");
    assert_eq!(server.end().code(), Some(0));
}
