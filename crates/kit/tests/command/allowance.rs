//! `tollgate allowance` and `tollgate session`.

use crate::run::{Gateway, Ran, Simulator, message, ran, text, tollgate};
use serde_json::Value;
use std::{
    fs,
    io::Write,
    process::{ChildStdin, Stdio},
};

const MONTH: &str =
    "name: team-month\non: {team: red}\neach: user\nusd: 500\nper: month\nwarn_at: [75, 95]\n";

/// Sets an allowance that is given on standard input.
fn set(gateway: &Gateway, document: &str) -> Ran {
    let mut command = tollgate(&["allowance", "set", "-"]);
    command.env("TOLLGATE_DATA", gateway.data());
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdin: ChildStdin = child.stdin.take().unwrap();
    stdin.write_all(document.as_bytes()).unwrap();
    drop(stdin);
    ran(child.wait_with_output().unwrap())
}

fn show(gateway: &Gateway, name: &str) -> Value {
    let shown = gateway.run(&["allowance", "show", name, "--format", "json"]);
    assert_eq!((shown.status, shown.err.as_str()), (0, ""));
    serde_json::from_str(&shown.out).unwrap()
}

#[test]
fn an_allowance_is_set_shown_raised_replaced_and_removed() {
    let gateway = Gateway::start("http://127.0.0.1:9");
    assert_eq!(gateway.run(&["allowance", "list"]).out, "no allowances\n");
    let made = set(&gateway, MONTH);
    assert_eq!((made.status, made.err.as_str()), (0, "team-month is in force\n"));
    assert_eq!(show(&gateway, "team-month")["allowance"]["amount"], 500_000_000_000_u64);

    let until = "2099-12-31";
    let raise = ["allowance", "raise", "team-month", "--to", "800.5", "--until", until, "--note", "launch"];
    let raised = gateway.run(&raise);
    assert_eq!((raised.status, raised.err.as_str()), (0, "team-month: $800.50 until 2099-12-31 00:00:00\n"));
    let raises = &show(&gateway, "team-month")["allowance"]["raises"];
    assert_eq!(raises[0]["amount"], 800_500_000_000_u64);
    assert_eq!((&raises[0]["by"], &raises[0]["note"]), (&"local-admin".into(), &"launch".into()));
    let facts = gateway.run(&["allowance", "show", "team-month"]).out;
    assert!(facts.contains("$500.00 per month") && facts.contains("$800.50 from"), "{facts}");

    assert_eq!(set(&gateway, &MONTH.replace("500", "700")).status, 0);
    assert_eq!(show(&gateway, "team-month")["allowance"]["amount"], 700_000_000_000_u64);
    let table = gateway.run(&["allowance", "list"]).out;
    assert!(table.contains("team-month") && table.contains("$700.00"), "{table}");

    assert_eq!(gateway.run(&["allowance", "remove", "team-month"]).status, 0);
    let gone = gateway.run(&["allowance", "show", "team-month"]);
    assert_eq!((gone.status, gone.out.as_str()), (1, ""));
    assert!(gone.err.contains("team-month"), "{}", gone.err);
}

#[test]
fn days_of_a_raise_begin_in_the_zone_of_the_allowance() {
    let gateway = Gateway::start("http://127.0.0.1:9");
    assert_eq!(set(&gateway, &format!("{MONTH}time_zone: Asia/Tokyo\n")).status, 0);
    let raise =
        ["allowance", "raise", "team-month", "--to", "9", "--from", "2099-12-01", "--until", "2099-12-31"];
    assert_eq!(gateway.run(&raise).status, 0);
    let raise = &show(&gateway, "team-month")["allowance"]["raises"][0];
    assert_eq!(raise["from"], "2099-11-30T15:00:00.000Z");
    assert_eq!(raise["until"], "2099-12-30T15:00:00.000Z");
}

#[test]
fn an_allowance_that_is_set_binds_at_once_and_shows_what_is_used() {
    let simulator = Simulator::start();
    let gateway = Gateway::start(&simulator.url);
    let key = gateway.key("red");
    let status = || message(&gateway.clients, &key, "text=Hi.")[9..12].to_owned();
    assert_eq!(status(), "200");
    assert_eq!(set(&gateway, "{name: few, requests: 2, per: day}").status, 0);
    // The first request was made on the same day, before there was a limit.
    assert_eq!((status(), status()), ("200".to_owned(), "429".to_owned()));
    let standing = &show(&gateway, "few")["standing"][0];
    assert_eq!((&standing["used"], &standing["held"]), (&2.into(), &0.into()));
    let row = gateway.run(&["allowance", "list"]).out;
    assert!(row.contains("100%"), "{row}");
    let more = ["allowance", "raise", "few", "--to", "3", "--until", "2099-12-31"];
    assert_eq!(gateway.run(&more).status, 0);
    assert_eq!((status(), status()), ("200".to_owned(), "429".to_owned()));
}

#[test]
fn what_is_wrong_with_an_allowance_is_said_with_its_place() {
    let gateway = Gateway::start("http://127.0.0.1:9");
    let wrong = set(&gateway, "name: a\nusd: -5\nper: fortnight\n");
    assert_eq!((wrong.status, wrong.out.as_str()), (2, ""));
    for says in ["stdin:2:6: error: usd: an amount is not negative", "stdin:3:6: error: per: `fortnight`"] {
        assert!(wrong.err.contains(says), "{}", wrong.err);
    }
    // Only the gateway knows which models are served.
    let unserved = set(&gateway, "{name: a, usd: 5, per: day, models: [claude-opsu-5]}");
    assert!(unserved.status != 0 && unserved.err.contains("claude-opsu-5"), "{}", unserved.err);
    let warned = set(&gateway, "{name: b, tokens: 500, per: minute}");
    assert!(warned.status == 0 && warned.err.contains("128000"), "{}", warned.err);
    assert!(warned.err.starts_with("stdin:1:19: warning: tokens: "), "once: {}", warned.err);

    let rows: [(&[&str], i32, &str); 6] = [
        (&["raise", "b", "--to", "0.5", "--until", "2099-01-01"], 2, "--to"),
        (&["raise", "b", "--to", "-5", "--until", "2099-01-01"], 2, "--to"),
        (&["raise", "b", "--to", "5", "--until", "tomorrow"], 2, "--until"),
        (&["raise", "c", "--to", "5", "--until", "2099-01-01"], 1, "c"),
        (&["remove", "c"], 1, "c"),
        (&["show", "../usage?by=team"], 2, "not a name"),
    ];
    for (args, status, says) in rows {
        let args: Vec<&str> = ["allowance"].iter().chain(args).copied().collect();
        let refused = gateway.run(&args);
        assert_eq!((refused.status, refused.out.as_str()), (status, ""), "{args:?}: {}", refused.err);
        assert!(refused.err.contains(says), "{args:?}: {}", refused.err);
    }
}

#[test]
fn what_the_configuration_says_is_shown_and_not_changed_here() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("tollgate.yaml");
    fs::write(&config, format!("allowances:\n  - {{{}}}\n", MONTH.trim_end().replace('\n', ", "))).unwrap();
    let gateway = Gateway::start_with("http://127.0.0.1:9", &["--config", text(&config)]);
    assert_eq!(show(&gateway, "team-month")["origin"], "configuration");
    for args in
        [&["remove", "team-month"][..], &["raise", "team-month", "--to", "9", "--until", "2099-01-01"]]
    {
        let args: Vec<&str> = ["allowance"].iter().chain(args).copied().collect();
        let refused = gateway.run(&args);
        assert!(refused.status == 1 && refused.err.contains("configuration"), "{}", refused.err);
    }
    let refused = set(&gateway, MONTH);
    assert!(refused.status == 1 && refused.err.contains("configuration"), "{}", refused.err);
}

#[test]
fn a_session_is_paused_and_resumed() {
    let gateway = Gateway::start("http://127.0.0.1:9");
    assert_eq!(gateway.run(&["session", "list"]).out, "no paused sessions\n");
    let made = gateway.run(&["key", "create", "--team", "red", "--json"]).out;
    let made: Value = serde_json::from_str(&made).unwrap();
    let id = made["key"]["id"].as_str().unwrap();
    let pause = ["session", "pause", id, "s 1/\u{1b}[2J", "--why", "loops", "--for", "30m"];
    assert_eq!(gateway.run(&pause).status, 0);
    let table = gateway.run(&["session", "list"]).out;
    assert!(table.contains(id) && table.contains("loops") && table.contains("local-admin"), "{table}");
    assert!(!table.contains('\u{1b}'), "{table}");
    let listed: Value = serde_json::from_str(&gateway.run(&["session", "list", "--json"]).out).unwrap();
    assert_eq!(listed[0]["session"], "s 1/\u{1b}[2J");
    assert_eq!(gateway.run(&["session", "resume", id, "s 1/\u{1b}[2J"]).status, 0);
    assert_eq!(gateway.run(&["session", "list", "--json"]).out.trim_end(), "[]");
    assert_eq!(gateway.run(&["session", "resume", id, "other"]).status, 1);
}
