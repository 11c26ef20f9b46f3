//! `tollgate config`.

use crate::run::{HOUSE_BOOK, run, run_with_input, text};

const BAD: &str = "\
listen:
  address: 8080
admin:
  address: 0.0.0.0:8081
upstream:
  url: ftp://api.anthropic.com
  credential: sk-ant-api03-canary-canary-canary
timeouts:
  drian: 5s
";

#[test]
fn every_problem_is_reported_at_once_with_its_place_and_its_cure() {
    let checked = run_with_input(&["config", "check", "-"], BAD);
    assert!(!checked.shown(&[]).contains("canary"));
    insta::assert_snapshot!(checked.shown(&[]));
}

/// Limits and budgets as a hurried hand writes them.
const BAD_BOOKS: &str = "\
books:
  time_zone: Europe/Munich
allowances:
  - { name: negative, requests: -5, per: minute }
  - { name: overflowing, usd: 1000000000.01, per: month }
  - { name: endless, tokens: 99999999999999999999, per: day }
  - { name: nowhere, requests: 5, per: day, on: { department: research } }
  - { name: nobody, requests: 5, per: day, each: person }
  - { name: zoned, usd: 5, per: day, time_zone: CEST }
  - { name: unserved, usd: 5, per: day, models: [claude-opsu-5-5] }
  - { name: nothing, requests: 0, per: minute }
  - name: raised
    usd: 5
    per: month
    raises:
      - { to: 9, from: 2026-12-01, until: 2027-01-01, by: ada }
      - { to: 8, from: 2026-12-31, until: 2027-02-01, by: ada }
";

#[test]
fn limits_that_no_one_can_mean_are_refused_with_their_place_and_their_cure() {
    let checked = run_with_input(&["config", "check", "-"], BAD_BOOKS);
    assert_eq!(checked.status, 2);
    insta::assert_snapshot!(checked.shown(&[]));
}

#[test]
fn a_limit_of_nothing_is_good_and_warned_about() {
    let nothing = "allowances:\n  - { name: frozen, usd: 0, per: month, on: { team: research } }\n";
    insta::assert_snapshot!(run_with_input(&["config", "check", "-"], nothing).shown(&[]));
}

#[test]
fn a_good_configuration_is_said_to_be_good() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tollgate.yaml");
    std::fs::write(&path, "listen:\n  address: 0.0.0.0:8080\n").unwrap();
    let checked = run(&["config", "check", text(&path)]);
    insta::assert_snapshot!(checked.shown(&[(text(folder.path()), "FOLDER")]));
}

#[test]
fn a_limit_on_a_model_that_nobody_serves_is_refused_before_and_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    std::fs::write(path("book.json"), HOUSE_BOOK).unwrap();
    let check = |prices: &str, model: &str| {
        let document = format!("{prices}\nallowances: [{{name: a, usd: 5, per: day, models: ['{model}']}}]");
        std::fs::write(path("tollgate.yaml"), document).unwrap();
        run(&["config", "check", text(&path("tollgate.yaml"))])
    };
    let own = format!("prices: {{file: {}}}", text(&path("book.json")));
    for (prices, model, good) in [
        ("", "claude-opus-5", true),
        ("", "house-model", false),
        (own.as_str(), "house-*", true),
        (own.as_str(), "claude-opus-5", false),
        ("prices: {file: elsewhere.json}", "anything", true),
    ] {
        let checked = check(prices, model);
        assert_eq!(checked.status == 0, good, "{prices} {model}: {}", checked.err);
        assert!(good || checked.err.contains("yaml:2:"), "{}", checked.err);
    }
    check(&own, "claude-opus-5");
    let started = run(&["serve", "--config", text(&path("tollgate.yaml")), "--data", text(&path("data"))]);
    assert!(started.status == 2 && started.err.contains("fits no model"), "{}", started.err);
}

#[test]
fn what_is_shown_can_be_checked_and_shown_again() {
    let defaults = run(&["config", "show"]);
    assert_eq!((defaults.status, defaults.err.as_str()), (0, ""));
    assert_eq!(run_with_input(&["config", "show", "-"], &defaults.out).out, defaults.out);
    let mine = run_with_input(&["config", "show", "-"], "timeouts: { drain: 5s }");
    assert!(mine.out.contains("drain: 5s") && mine.out.contains("connect: "), "{}", mine.out);
    assert_eq!(run_with_input(&["config", "check", "-"], &mine.out).out, "stdin: good\n");
    assert_eq!(run_with_input(&["config", "show", "-"], BAD).status, 2);
}

#[test]
fn the_schema_and_the_reference_are_those_that_are_kept() {
    let kept = |name| {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference").join(name);
        std::fs::read_to_string(path).unwrap()
    };
    assert_eq!(run(&["config", "schema"]).out.trim_end(), kept("config.schema.json").trim_end());
    assert_eq!(run(&["config", "reference"]).out, kept("configuration.md"));
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let missing = run(&["config", "check", "no-such-file.yaml"]);
    assert_eq!(missing.status, 2);
    assert!(missing.err.contains("no-such-file.yaml can not be read"), "{}", missing.err);
}
