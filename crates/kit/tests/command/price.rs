//! `tollgate price`.

use crate::run::{Gateway, Simulator, message, run, run_with_input, text};
use serde_json::{Value, json};
use std::{
    fs,
    io::{BufRead, BufReader, Write},
    net::TcpListener,
    path::Path,
    thread,
    time::{Duration, Instant},
};
use tollgate_policy::price::PriceBook;

/// A book with contracts and upstreams, as the tests of the prices have it.
const BOOK: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../policy/src/price/tests/contract.json");

#[test]
fn a_model_is_shown_for_people_and_programs() {
    let args =
        ["price", "show", "claude-opus-5", "--at", "2026-12-05", "--book", BOOK, "--upstream", "reseller"];
    insta::assert_snapshot!(run(&args).shown(&[]));
    let long = run(&["price", "show", "eu.anthropic.claude-haiku-5-5", "--at", "2026-12-05", "--file", BOOK]);
    insta::assert_snapshot!(long.shown(&[]));

    let shown =
        run(&["price", "show", "claude-sonnet-5-5", "--at", "2026-10-06T23:59:59.999Z", "--format", "json"]);
    let shown: Value = serde_json::from_str(&shown.out).unwrap();
    assert_eq!(shown["in_force"]["usd_per_million"]["cache_read"], "0.200000000");
    assert_eq!(shown["next"]["from"], "2026-10-07T00:00:00.000Z");
    assert_eq!((&shown["unknown"], &shown["source"]), (&json!(false), &json!("list")));
}

#[test]
fn the_book_of_the_guide_can_be_used() {
    let guide = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/guide/prices.md");
    let guide = fs::read_to_string(guide).unwrap();
    let book = guide.split("```json\n").nth(1).unwrap().split("```").next().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("prices.json");
    fs::write(&path, book).unwrap();
    let args = ["--book", text(&path), "--upstream", "reseller", "--at", "2027-01-01"];
    let shown = run(&[&["price", "show", "claude-opus-5"], &args[..]].concat());
    assert_eq!((shown.status, shown.err.as_str()), (0, ""));
    assert!(shown.out.contains("$22.50") && shown.out.contains("contract        0.925"), "{}", shown.out);
}

#[test]
fn what_is_not_known_is_said() {
    let shown = run(&["price", "show", "claude-nova-9", "--upstream", "nowhere"]);
    assert_eq!(shown.status, 0);
    assert!(shown.out.contains("UNKNOWN MODEL") && shown.out.contains("$75.00"), "{}", shown.out);
    assert!(shown.err.contains("does not know claude-nova-9"), "{}", shown.err);
    assert!(shown.err.contains("nothing about the upstream nowhere"), "{}", shown.err);
}

#[test]
fn a_wrong_book_is_refused_with_its_place_and_a_cure() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("prices.json");
    fs::write(&path, fs::read_to_string(BOOK).unwrap().replace("2027-03-15T12:00:00Z", "2026-03-15"))
        .unwrap();
    for args in [["price", "show", "x"], ["price", "check", "-"]] {
        let args = [&args[..], &["--book", text(&path)]].concat();
        let refused = run(&args);
        assert_eq!((refused.status, refused.out.as_str()), (2, ""), "{args:?}");
        assert!(refused.err.contains("multipliers.contract[2].from: must be later"), "{}", refused.err);
        assert!(refused.err.contains("cure: "), "{}", refused.err);
    }
}

#[test]
fn the_usage_of_an_answer_is_explained() {
    let usage = r#"{"input_tokens": 1200, "output_tokens": 350, "cache_read_input_tokens": 100001,
        "cache_creation": {"ephemeral_5m_input_tokens": 10, "ephemeral_1h_input_tokens": 0}, "service_tier": "batch",
        "inference_geo": "us", "server_tool_use": {"web_search_requests": 2}}"#;
    let args = ["price", "check", "-", "--model", "claude-haiku-5-5", "--at", "2027-02-01", "--book", BOOK];
    let explained = run_with_input(&args, usage);
    insta::assert_snapshot!(explained.shown(&[]));
    let json = run_with_input(&[&args[..], &["--format", "json"]].concat(), usage);
    let json: Value = serde_json::from_str(&json.out).unwrap();
    let sum: i64 =
        json["lines"].as_array().unwrap().iter().map(|line| line["amount_nano_usd"].as_i64().unwrap()).sum();
    assert_eq!((&json["cost_nano_usd"], &json["verdict"]), (&json!(sum), &json!("not_recorded")));

    // A whole answer names its model.
    let answer = format!(r#"{{"type": "message", "model": "claude-opus-5", "usage": {usage}}}"#);
    assert!(run_with_input(&["price", "check", "-"], &answer).out.contains("claude-opus-5"));
}

#[test]
fn what_is_no_record_is_refused() {
    let rows = [
        ("", "EOF"),
        ("[]", "no JSON object"),
        ("{}", "no settled entry, no answer and no usage"),
        (r#"{"input_tokens": 1}"#, "--model"),
        (r#"{"kind": "admitted", "cost_nano_usd": 1}"#, "only a settled one"),
        (r#"{"kind": "settled", "cost_nano_usd": 1}"#, "missing field"),
        (r#"{"input_tokens": 1} {"input_tokens": 1}"#, "trailing characters"),
    ];
    for (input, says) in rows {
        let refused = run_with_input(&["price", "check", "-"], input);
        assert_eq!((refused.status, refused.out.as_str()), (2, ""), "{input}");
        assert!(refused.err.contains(says), "{input}: {}", refused.err);
    }
}

/// The last settled entry of a journal.
fn settled(data: &Path) -> Value {
    let segments = fs::read_dir(data.join("journal")).unwrap().map(|entry| entry.unwrap().path());
    let lines = segments.filter_map(|path| fs::read_to_string(path).ok()).collect::<String>();
    let entry = lines.lines().rfind(|line| line.contains(r#""kind":"settled""#)).unwrap();
    serde_json::from_str(entry).unwrap()
}

#[test]
fn a_record_of_the_journal_is_checked_to_the_nano_dollar() {
    let simulator = Simulator::start();
    let gateway = Gateway::start(&simulator.url);
    let key = gateway.key("red");
    let checked = |directives: &str, change: fn(&mut Value)| {
        message(&gateway.clients, &key, directives);
        gateway.run(&["usage", "report"]);
        let mut entry = settled(&gateway.data());
        change(&mut entry);
        run_with_input(&["price", "check", "-"], &entry.to_string())
    };
    // 1 000 x 5 000 + 200 x 25 000 + 30 x 500 + 4 x 6 250 + 5 x 10 000 nano-dollars.
    let right = checked("usage=in:1000,out:200,cr:30,c5:4,c1:5", |_| {});
    assert_eq!(right.status, 0, "{}{}", right.out, right.err);
    assert!(right.out.contains("$0.01009") && right.out.contains("equal: "), "{}", right.out);

    let wrong = checked("usage=in:1000,out:200", |entry| {
        entry["cost_nano_usd"] = (entry["cost_nano_usd"].as_i64().unwrap() + 1).into();
    });
    assert_eq!(wrong.status, 1);
    assert!(wrong.out.contains("DIFFERS: $0.000000001 were recorded beyond the sum\n"), "{}", wrong.out);
    let elsewhere = checked("usage=in:1000,out:200", |entry| {
        entry["cost_nano_usd"] = 1.into();
        entry["price_version"] = "another".into();
    });
    assert!(elsewhere.out.contains("another book priced it"), "{}", elsewhere.out);
    assert_eq!(elsewhere.status, 1);

    // The same request, asked for by its id.
    let id = settled(&gateway.data())["request"].as_str().unwrap().to_owned();
    let asked = gateway.run(&["price", "check", "--request", &id]);
    assert_eq!(asked.status, 0, "{}{}", asked.out, asked.err);
    assert!(asked.out.contains(&id) && asked.out.contains("equal: "), "{}", asked.out);
    let nobody = gateway.run(&["price", "check", "--request", "req_00000000000000000000000000"]);
    assert_eq!(nobody.status, 1, "{}{}", nobody.out, nobody.err);

    let refusal = checked("refusal", |_| {});
    assert!(refusal.out.contains("not charged"), "{}", refusal.out);
    let crash = checked("usage=in:1000,out:200", |entry| entry["outcome"] = "unknown".into());
    assert_eq!((refusal.status, crash.status), (0, 0));
    assert!(crash.out.contains("what was reserved"), "{}", crash.out);
}

#[test]
fn a_request_is_asked_for_with_its_adjustments() {
    let simulator = Simulator::start();
    let gateway = Gateway::start(&simulator.url);
    message(&gateway.clients, &gateway.key("red"), "usage=in:1000,out:200");
    gateway.run(&["usage", "report"]);
    let entry = settled(&gateway.data());
    drop(gateway);
    let request = entry["request"].as_str().unwrap().to_owned();
    // As if another book had priced it first, and it was re-rated by the one that is built in.
    let right = entry["cost_nano_usd"].clone();
    let mut first = entry.clone();
    (first["cost_nano_usd"], first["price_version"]) = (7.into(), "before".into());
    let adjustment =
        json!({"cost_nano_usd": right, "price_version": entry["price_version"], "reason": "a wrong rate"});
    let rows = [(json!([adjustment]), 0, "equal: "), (json!([]), 1, "another book priced it")];
    for (adjustments, status, says) in rows {
        let answer = json!({"settled": first, "adjustments": adjustments}).to_string();
        let folder = tempfile::tempdir().unwrap();
        let asked = answer_once(folder.path(), answer);
        let data = text(folder.path());
        let checked = run(&["price", "check", "--request", &request, "--data", data]);
        assert_eq!(checked.status, status, "{}{}", checked.out, checked.err);
        assert!(checked.out.contains(says), "{}", checked.out);
        assert_eq!(asked.join().unwrap(), format!("GET /admin/v1/requests/{request} HTTP/1.1"));
    }
    assert_eq!(run(&["price", "check", "--request", "42"]).status, 2);
}

/// Stands in for the admin API of a gateway: writes its instance file and gives one answer. The thread gives the first
/// line of what was asked.
fn answer_once(data: &Path, answer: String) -> thread::JoinHandle<String> {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let instance = json!({"admin": format!("http://{address}"), "token": "canary", "pid": 1});
    fs::write(data.join("instance.json"), instance.to_string()).unwrap();
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut head = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
        let first = head.next().unwrap();
        assert!(head.by_ref().take_while(|line| !line.is_empty()).any(|line| line.contains("canary")));
        let head =
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: ";
        write!(stream, "{head}{}\r\n\r\n{answer}", answer.len()).unwrap();
        first
    })
}

#[test]
fn what_was_priced_wrongly_is_told_and_corrected_once() {
    let folder = tempfile::tempdir().unwrap();
    let (config, book) = (folder.path().join("tollgate.yaml"), folder.path().join("book.json"));
    let twice = PriceBook::builtin_text().replacen(r#""contract": "1""#, r#""contract": "2""#, 1);
    let version = PriceBook::builtin().version();
    fs::write(&book, twice.replacen(version, "own-2", 1)).unwrap();
    fs::write(&config, "books: { time_zone: UTC }\n").unwrap();
    let simulator = Simulator::start();
    let gateway = Gateway::start_with(&simulator.url, &["--config", text(&config)]);
    message(&gateway.clients, &gateway.key("red"), "usage=in:1000,out:200");
    gateway.run(&["usage", "report"]);
    let cost = settled(&gateway.data())["cost_nano_usd"].as_i64().unwrap();

    let rerate = |more: &[&str]| {
        let range = ["price", "rerate", "--from", "2020-01-01", "--to", "2099-01-01", "--why", "wrong rate"];
        let args: Vec<&str> = range.iter().chain(more).copied().collect();
        let ran = gateway.run(&args);
        assert_eq!(ran.status, 0, "{}{}", ran.out, ran.err);
        ran
    };
    let json = |more: &[&str]| -> Value {
        serde_json::from_str(&rerate(&[more, &["--format", "json"]].concat()).out).unwrap()
    };
    assert_eq!(json(&["--dry-run"])["adjusted"], 0);
    fs::write(&config, format!("prices: {{ file: {} }}\n", text(&book))).unwrap();
    let end = Instant::now() + Duration::from_secs(30);
    let told = loop {
        let told = json(&["--dry-run"]);
        if told["price_version"] == "own-2" {
            break told;
        }
        assert!(Instant::now() < end, "the book is not in force: {told}");
    };
    let expected = json!({"price_version": "own-2", "requests": 1, "adjusted": 1, "unknown_price": 0,
        "difference_nano_usd": cost, "dry_run": true});
    assert_eq!(told, expected);
    assert_eq!(json(&["--dry-run", "--model", "claude-haiku-4-5"])["requests"], 0);
    let done = rerate(&[]);
    assert!(done.out.contains("corrected   1\n") && done.err.is_empty(), "{}{}", done.out, done.err);
    assert_eq!(json(&[])["adjusted"], 0, "it was corrected before");
    let report = gateway.run(&["usage", "report", "--format", "json"]);
    let report: Value = serde_json::from_str(&report.out).unwrap();
    assert_eq!(report["rows"][0]["total_nano_usd"], 2 * cost);

    let refused =
        gateway.run(&["price", "rerate", "--from", "2026-11-02", "--to", "2026-11-01", "--why", "x"]);
    assert!(refused.status == 2 && refused.err.contains("to: must be after"), "{}", refused.err);
}
