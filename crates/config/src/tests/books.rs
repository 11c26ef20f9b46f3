//! Limits, quotas, budgets, tags, cost centres and brakes: text in, policy out.

use super::show;
use crate::{
    Document, load, load_allowance, load_priced, parse,
    snapshot::{Brakes, Snapshot, cost_centre, tags},
};
use tollgate_policy::{
    allowance::{Allowance, Calendar, Level, Measure, Mode, Period, Reserve, Span},
    id::KeyId,
    price::PriceBook,
    scope::Scope,
    unit::{NanoUsd, UnixMs},
};

/// Documents that are refused or warned about, each with what it shows.
pub(super) const BAD: &[(&str, &str)] = &[
    (
        "a negative amount",
        "allowances:\n  - {name: a, requests: -5, per: minute}\n  - {name: b, usd: -5, per: day}",
    ),
    (
        "amounts that overflow",
        "allowances:\n  - {name: a, requests: 1000000000000000001, per: minute}\n  - {name: b, tokens: 99999999999999999999, per: day}\n  - {name: c, usd: 1000000000.01, per: month}\n  - {name: d, requests: 5, per: second, burst: 1e3}",
    ),
    ("too many decimals", "allowances:\n  - name: a\n    usd: 0.1234567891\n    per: month"),
    ("tokens have no parts", "allowances:\n  - {name: a, requests: 5, per: minute, burst: 7.5}"),
    (
        "amounts of nothing",
        "allowances:\n  - {name: a, requests: 0, per: minute}\n  - {name: b, usd: 0, per: day}",
    ),
    ("no amount", "allowances:\n  - {name: a, per: day}\n  - {name: b, request: 5, per: day}"),
    ("two amounts", "allowances:\n  - name: a\n    requests: 5\n    usd: 5\n    per: day"),
    ("no span of time", "allowances:\n  - {name: a, requests: 5}"),
    ("two spans of time", "allowances:\n  - name: a\n    requests: 5\n    per: day\n    rolling: 24h"),
    ("a span of time for what has none", "allowances:\n  - {name: a, concurrent: 5, per: day, burst: 9}"),
    (
        "a window that is too short or too long",
        "allowances:\n  - {name: a, usd: 5, rolling: 30s}\n  - {name: b, usd: 5, rolling: 93d}",
    ),
    ("not a period", "allowances:\n  - {name: a, usd: 5, per: fortnight}"),
    (
        "a burst without a rate",
        "allowances:\n  - {name: a, requests: 5, per: day, burst: 9}\n  - {name: b, requests: 5, rolling: 1h, burst: 9}",
    ),
    ("a burst of nothing", "allowances:\n  - {name: a, requests: 5, per: minute, burst: 0}"),
    (
        "names that are none",
        "allowances:\n  - {name: all of us, requests: 5, per: day, on: {team: '', user: a/b}}",
    ),
    (
        "a scope that does not exist",
        "allowances:\n  - {name: a, requests: 5, per: day, on: {department: x}, each: person}",
    ),
    (
        "the secret in place of the id of a key",
        "allowances:\n  - {name: a, requests: 5, per: day, on: {key: tg_c2VjcmV0LXNlY3JldA}}",
    ),
    (
        "one name twice",
        "allowances:\n  - {name: a, requests: 5, per: day}\n  - {name: A, requests: 5, per: day}\n  - {name: a, usd: 5, per: day}",
    ),
    (
        "a good one behind bad ones is judged at its own place",
        "allowances:\n  - 5\n  - {requests: 5, per: day}\n  - name: a\n    requests: 5",
    ),
    (
        "time zones that do not exist",
        "books: {time_zone: Europe/Munich}\nallowances:\n  - {name: a, usd: 5, per: day, time_zone: europe/berln}\n  - {name: b, usd: 5, per: day, time_zone: CEST}",
    ),
    ("a calendar that does not exist", "books: {week_starts: friday, year_starts: 13}"),
    (
        "a calendar for what does not go by it",
        "allowances:\n  - {name: a, usd: 5, rolling: 7d, week_starts: sunday}",
    ),
    (
        "raises that overlap",
        "allowances:\n  - name: a\n    usd: 5\n    per: month\n    raises:\n      - {to: 9, from: 2026-12-01, until: 2027-01-01, by: ada}\n      - {to: 8, from: 2026-11-01, until: 2026-12-02, by: ada}",
    ),
    (
        "raises that are none",
        "allowances:\n  - name: a\n    tokens: 500000\n    per: month\n    raises:\n      - {to: 0.5, until: 2026-13-01, by: ada}\n      - {to: 0.5, until: 2026-12-01, by: ada}\n      - {to: 6, from: 2026-12-02, until: 2026-12-02, by: ada}\n      - {to: 6, from: 2027-12-02}",
    ),
    (
        "percentages",
        "allowances:\n  - {name: a, usd: 5, per: day, warn_at: [0, 101]}\n  - {name: b, usd: 5, per: day, warn_at: [95, 75]}",
    ),
    (
        "a limit on a model that nobody serves",
        "allowances:\n  - name: a\n    usd: 5\n    per: day\n    models: [claude-opus-5, claude-opsu-5, 'claude-instant*', '*']\n  - {name: b, usd: 5, per: day, models: ['claude*opus']}",
    ),
    (
        "output that never fits",
        "allowances:\n  - {name: a, output_tokens: 8000, per: minute}\n  - {name: b, tokens: 200000, per: minute, burst: 100000}\n  - {name: c, tokens: 8000, per: day, each: user}",
    ),
    (
        "budgets into which no request of Claude Code fits",
        "allowances:\n  - {name: a, usd: 1, per: day}\n  - {name: b, usd: 3.28, per: day}\n  - {name: c, usd: 0.5, per: month, models: ['claude-haiku-4-5*']}\n  - {name: d, usd: 100, per: hour, burst: 1}\n  - {name: e, usd: 1, per: day, mode: observe}\n  - {name: f, usd: 1, per: day, reserve: learned}\n  - {name: g, usd: 1, per: day, models: ['claude-haiku-*']}",
    ),
    (
        "what no budget binds",
        "access: {other_v1: allow}\nallowances:\n  - {name: a, requests: 5, per: day}\n  - {name: b, usd: 500, per: month}",
    ),
    ("a brake on trying again", "brakes: {repeats: 10}"),
    ("nothing to learn", "allowances:\n  - {name: a, requests: 5, per: minute, reserve: learned}"),
    (
        "credentials as tags",
        "tags:\n  - {name: a, header: Authorization}\n  - {name: b, header: x-api-key}\n  - {name: c, header: Cookie}",
    ),
    (
        "tags without a value and with two",
        "tags:\n  - {name: a}\n  - {name: b, header: x-b, value: b}\n  - {name: c, value: ' '}\n  - {name: d e, header: 'x d'}",
    ),
    (
        "rules that never count",
        "tags:\n  - {name: a, value: x}\n  - {name: a, header: x-a}\ncost_centres:\n  - {cost_centre: '1'}\n  - {cost_centre: '2', on: {team: a}}",
    ),
    (
        "brakes that pause everything or nothing",
        "brakes: {window: 0s, usd: 0, repeats: 1, rising_percent: 100, pause: 10ms, rising_floor_usd: -1}",
    ),
];

/// One document with everything in it.
const FULL: &str = "
books: {time_zone: Europe/Berlin, week_starts: sunday, year_starts: 4, upstream_limit_headers: show, keep_records_months: 13}
models: [{id: our-own-model}]
allowances:
  - name: platform-month
    on: { team: platform }
    each: user
    usd: \"500\"
    per: month
    warn_at: [75, 95]
    message: Ask finops@example.org for a raise.
    raises:
      - {to: 800.5, from: 2026-12-01, until: 2026-12-31, by: ada, note: launch}
      - {to: 600, until: 2026-11-23T12:00:00Z, by: ada}
  - { name: rpm, each: key, requests: 100, per: minute, burst: 20 }
  - { name: parallel, each: user, concurrent: 8, mode: observe }
  - { name: week, usd: 12.1, per: week, time_zone: UTC, week_starts: saturday, models: ['claude-opus-*', our-own-model] }
  - { name: window, tokens: 5000000, rolling: 24h, reserve: learned, on: {key: key_01KAN5B9V0QZJ8E4M3T7XWYRSC} }
tags:
  - {name: app, header: X-App}
  - {name: app, value: other, on: {team: platform}}
  - {name: stage, value: prod}
cost_centres:
  - {cost_centre: '4711', on: {team: platform, user: ada}}
  - {cost_centre: rest}
brakes: {usd: 20, repeats: 20, rising_percent: 500}
";

#[test]
fn problems_of_the_books_say_where_what_and_how_to_repair() {
    insta::assert_snapshot!(show(BAD));
}

#[test]
fn a_full_document_becomes_policy() {
    let snapshot = load(FULL, "t").unwrap();
    assert_eq!(snapshot.warnings, []);
    let berlin = Calendar {
        zone: "Europe/Berlin".parse().unwrap(),
        week_starts: tollgate_policy::allowance::Weekday::Sunday,
        year_starts: 4.try_into().unwrap(),
    };
    assert_eq!(snapshot.books.calendar, berlin);
    assert_eq!((snapshot.books.hide_upstream_limits, snapshot.books.keep_records_months), (false, 13));
    let [month, rpm, parallel, week, window] = snapshot.allowances.try_into().unwrap();

    let facts = |one: &Allowance| (one.measure, one.amount, one.each);
    assert_eq!(facts(&month), (Measure::Cost, 500_000_000_000, Some(Level::User)));
    assert_eq!(month.on.to_string(), "team platform");
    assert_eq!(month.span, Span::Period { period: Period::Month, calendar: berlin.clone() });
    assert_eq!(
        (month.mode, month.reserve, month.warn_at.as_slice()),
        (Mode::Block, Reserve::Full, &[75, 95][..])
    );
    let raises: Vec<_> = month.raises.iter().map(|raise| (raise.amount, raise.from, raise.until)).collect();
    let at = |text: &str| text.parse::<UnixMs>().unwrap();
    assert_eq!(
        raises,
        [
            (600_000_000_000, UnixMs(0), at("2026-11-23T12:00:00.000Z")),
            (800_500_000_000, at("2026-11-30T23:00:00.000Z"), at("2026-12-30T23:00:00.000Z")),
        ],
        "in the order of time, days in the zone of the allowance"
    );

    assert_eq!((facts(&rpm).1, rpm.span), (100, Span::Rate { per_ms: 60_000, burst: 20 }));
    assert_eq!((facts(&parallel).1, &parallel.span, parallel.mode), (8, &Span::AtOnce, Mode::Observe));
    let Span::Period { period: Period::Week, calendar } = &week.span else { panic!("{week:?}") };
    assert_eq!((calendar.zone.name(), calendar.year_starts), ("UTC", berlin.year_starts));
    assert_eq!((week.amount, week.models.patterns().len()), (12_100_000_000, 2));
    assert_eq!((window.span, window.reserve), (Span::Rolling { ms: 86_400_000 }, Reserve::Learned));
    assert!(window.on.key.is_some());
    assert_eq!(
        snapshot.brakes,
        Some(Brakes {
            window_ms: 600_000,
            cost: Some(NanoUsd(20 * NanoUsd::DOLLAR.0)),
            repeats: Some(20),
            rising_percent: Some(500),
            rising_floor: NanoUsd(5 * NanoUsd::DOLLAR.0),
            pause_ms: 900_000,
        })
    );
}

#[test]
fn the_full_document_survives_writing() {
    let document = parse(FULL, "t").unwrap();
    let written = document.to_yaml();
    assert_eq!(parse(&written, "t").unwrap(), document, "{written}");
    assert_eq!(load(&written, "t").unwrap(), load(FULL, "t").unwrap());
}

#[test]
fn without_a_brake_there_are_none() {
    assert_eq!(load("", "t").unwrap().brakes, None);
    assert_eq!(load("brakes: {window: 1m, pause: 1h}", "t").unwrap().brakes, None);
    assert_eq!(load("brakes: {repeats: 3}", "t").unwrap().brakes.unwrap().repeats, Some(3));
}

/// What a binary fraction can not hold is read to the last digit, wherever the number stands in the text.
#[test]
fn money_is_read_exactly_however_it_is_written() {
    let rows = [
        ("0.1", 100_000_000),
        ("123456789.123456789", 123_456_789_123_456_789),
        ("\"123456789.123456789\"", 123_456_789_123_456_789),
        ("999999999.999999999", 999_999_999_999_999_999),
        ("0.000000001", 1),
        ("500", 500_000_000_000),
        ("1_000", 1_000_000_000_000),
        ("0x10", 16_000_000_000),
        ("1e3", 0),
        (".5", 0),
        (".inf", 0),
    ];
    for (text, nano_usd) in rows {
        for before in ["", "\u{feff}", "# \u{20ac}\u{1f600}\n", "data: \"\u{e4}\u{20ac}\" \n"] {
            let text = format!("{before}allowances: [{{name: \"a\", usd: {text}, per: day}}]");
            let amount = load(&text, "t").map_or(0, |snapshot| snapshot.allowances[0].amount);
            assert_eq!(amount, nano_usd, "{text}");
        }
    }
    let alias = "allowances: [{name: a, usd: &much 0.3, per: day}, {name: b, usd: *much, per: week}]";
    let amounts = load(alias, "t").unwrap().allowances.into_iter().map(|one| one.amount).collect::<Vec<_>>();
    assert_eq!(amounts, [300_000_000, 300_000_000]);
}

#[test]
fn a_model_is_known_by_the_book_or_by_the_list() {
    let book = PriceBook::builtin_text();
    let rows = [
        ("claude-opus-5", true),
        ("claude-haiku-4-5-20251001", true),
        ("claude-haiku-4-5@20251001", true),
        ("us.anthropic.claude-haiku-4-5-20251001-v1:0", true),
        ("claude-haiku-*", true),
        ("claude-haiku-4-5-2025*", true),
        ("us.anthropic.claude-haiku-*", true),
        ("*haiku*", true),
        ("*-5", true),
        ("*", true),
        ("house-model", true),
        ("house-*", true),
        ("claude-hiaku-*", false),
        ("*hiaku*", false),
        ("claude-haiku", false),
        ("haiku-*", false),
        ("claude-haiku-4-5x*", false),
        ("gpt-*", false),
        ("house-model-2", false),
    ];
    for (pattern, known) in rows {
        let text = format!(
            "models: [{{id: house-model}}]\nallowances: [{{name: a, usd: 1, per: day, models: ['{pattern}']}}]"
        );
        assert_eq!(load(&text, "t").is_ok(), known, "{pattern}");
        let text = format!("prices: {{file: b.json}}\n{text}");
        assert_eq!(load_priced(&text, "t", |_| Some(book.to_owned())).is_ok(), known, "{pattern}");
    }
}

#[test]
fn a_price_book_of_ones_own_decides_once_it_is_read() {
    let own = PriceBook::builtin_text().replacen("\"model\": \"claude-", "\"model\": \"house-", 1);
    let book = PriceBook::parse(&own).unwrap();
    let name = book.names().find(|name| name.starts_with("house-")).unwrap();
    let text = |pattern: &str| {
        format!(
            "prices: {{file: b.json}}\nallowances: [{{name: a, usd: 1, per: day, models: ['{pattern}']}}]"
        )
    };
    assert!(load(&text("anything"), "t").is_ok(), "nobody has read the file yet");
    assert!(load_priced(&text(name), "t", |_| Some(own.clone())).is_ok());
    let problems = load_priced(&text("anything"), "t", |_| Some(own)).unwrap_err();
    assert_eq!((problems[0].line, problems[0].path.as_str()), (Some(2), "allowances[0].models[0]"));
    let problems = load_priced(&text("anything"), "t", |_| Some("{}".to_owned())).unwrap_err();
    assert_eq!((problems.len(), problems[0].path.as_str()), (1, "prices.file"));
}

#[test]
fn what_claude_code_needs_is_counted_at_the_prices_in_force() {
    let book = |multiplier: &str| {
        let text = PriceBook::builtin_text();
        let contract = format!("\"contract\": \"{multiplier}\"");
        assert!(text.contains("\"contract\": \"1\""));
        text.replace("\"contract\": \"1\"", &contract)
    };
    let rows = [
        ("1", "3.27", true),
        ("1", "3.28", false),
        ("0.5", "1.63", true),
        ("0.5", "1.64", false),
        ("2", "3.28", true),
    ];
    for (contract, usd, warned) in rows {
        let text = format!("prices: {{file: b}}\nallowances: [{{name: a, usd: {usd}, per: day}}]");
        let snapshot = load_priced(&text, "t", |_| Some(book(contract))).unwrap();
        let fields: Vec<_> = snapshot.warnings.iter().map(|warning| warning.path.as_str()).collect();
        assert_eq!(fields, &["allowances[0].usd"][..usize::from(warned)], "{contract} {usd}");
    }
}

#[test]
fn requests_that_only_come_again_are_no_reason_for_a_brake_or_a_warning() {
    for (repeats, warnings) in [(10, 1), (11, 0), (12, 0)] {
        assert_eq!(
            load(&format!("brakes: {{repeats: {repeats}}}"), "t").unwrap().warnings.len(),
            warnings,
            "{repeats}"
        );
    }
}

#[test]
fn one_allowance_can_be_written_alone() {
    let calendar = Calendar { zone: "Asia/Tokyo".parse().unwrap(), ..Calendar::default() };
    let text = "name: a\nusd: 0\nper: month\nraises: [{to: 5, until: 2026-12-01, by: ada}]";
    let (allowance, warnings) = load_allowance(text, "a.yaml", &calendar).unwrap();
    assert_eq!(allowance.span, Span::Period { period: Period::Month, calendar: calendar.clone() });
    assert_eq!(allowance.raises[0].until.to_string(), "2026-11-30T15:00:00.000Z");
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    let (_, warnings) = load_allowance("{name: a, usd: 1, per: month}", "a.yaml", &calendar).unwrap();
    assert_eq!((warnings.len(), warnings[0].path.as_str()), (1, "usd"), "{warnings:?}");

    let problems = load_allowance("name: a\nusd: 1\nper: months\nonn: {}", "a.yaml", &calendar).unwrap_err();
    let shown: Vec<String> = problems.iter().map(|problem| problem.to_string()).collect();
    assert!(shown[0].starts_with("a.yaml:3:6: error: per: `months` is not one of the choices"), "{shown:?}");
    assert!(shown[1].starts_with("a.yaml:4:1: error: onn: there is no such field"), "{shown:?}");
    let faulty = ["usd: 1\nper: day\nname: a\nonn: {}", "usd: 1\nper: day\nname: a\nwarn_at: [95, 75]"];
    for text in faulty.into_iter().chain([
        "",
        "[]",
        "- {name: a, usd: 1, per: month}",
        "name: a",
        "a: [",
        "allowances: []",
    ]) {
        assert!(!load_allowance(text, "a.yaml", &calendar).unwrap_err().is_empty(), "{text}");
    }
}

#[test]
fn tags_and_cost_centres_go_to_those_whom_the_rules_fit() {
    let Snapshot { tags: rules, cost_centres, .. } = load(FULL, "t").unwrap();
    let key = KeyId::new(UnixMs(0), [0; 10]);
    let scope = |team: &str, user: &str| {
        let team = Scope::team(team.parse().unwrap());
        Scope { user: user.parse().ok(), ..team }
    };
    let long = "x".repeat(99);
    let rows = [
        ("platform", "ada", Some("cli"), Some("cli"), "4711"),
        ("platform", "ada", Some("  "), Some("other"), "4711"),
        ("platform", "bob", None, Some("other"), "rest"),
        ("support", "ada", None, None, "rest"),
        ("support", "", Some(" a\tb "), Some("a?b"), "rest"),
        ("support", "", Some(&long), Some(&long[..64]), "rest"),
    ];
    for (team, user, app, expected, centre) in rows {
        let scope = scope(team, user);
        let header = |name: &str| app.filter(|_| name == "x-app");
        let got = tags(&rules, &scope, key, header);
        assert_eq!(got.get("app").map(String::as_str), expected, "{scope} {app:?}");
        assert_eq!((got["stage"].as_str(), got.len()), ("prod", 1 + usize::from(expected.is_some())));
        assert_eq!(cost_centre(&cost_centres, &scope, key).unwrap().as_str(), centre, "{scope}");
    }
}

#[test]
fn many_rules_are_too_many() {
    let tags = |count: usize| {
        let rules: Vec<String> = (0..count).map(|n| format!("{{name: t{n}, header: x-{n}}}")).collect();
        load(&format!("tags: [{}]", rules.join(", ")), "t")
    };
    assert!(tags(64).is_ok());
    assert_eq!(tags(65).unwrap_err()[0].path, "tags");
    let raises = |count: u32| {
        let raise = |n| format!("{{to: 1, from: {}-01-01, until: {}-01-01, by: a}}", 2000 + n, 2001 + n);
        let raises: Vec<String> = (0..count).map(raise).collect();
        load(&format!("allowances: [{{name: a, usd: 5, per: day, raises: [{}]}}]", raises.join(", ")), "t")
    };
    assert!(raises(32).is_ok());
    assert_eq!(raises(33).unwrap_err()[0].path, "allowances[0].raises");
    let message = |length: usize| {
        load(&format!("allowances: [{{name: a, usd: 5, per: day, message: {}}}]", "x".repeat(length)), "t")
    };
    assert!(message(256).is_ok());
    assert_eq!(message(257).unwrap_err()[0].path, "allowances[0].message");
}

#[test]
fn a_document_of_defaults_has_no_books() {
    let snapshot = load(&Document::default().to_yaml(), "t").unwrap();
    assert_eq!(snapshot.books.calendar, Calendar::default());
    assert!(
        snapshot.books.hide_upstream_limits && snapshot.allowances.is_empty() && snapshot.tags.is_empty()
    );
}

/// What the guides tell people to write can be written.
#[test]
#[allow(clippy::disallowed_methods)] // A test may read the files that it keeps true.
fn the_examples_of_the_guides_are_good() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/guide");
    let mut examples = 0;
    for page in ["budgets.md", "chargeback.md"] {
        let page = std::fs::read_to_string(folder.join(page)).unwrap();
        for block in page.split("```yaml\n").skip(1) {
            let text = block.split("```").next().unwrap();
            let snapshot = load(text, "guide").unwrap_or_else(|problems| panic!("{text}\n{problems:?}"));
            assert_eq!(snapshot.warnings, [], "{text}");
            examples += 1;
        }
    }
    assert!(examples >= 4, "{examples}");
}
