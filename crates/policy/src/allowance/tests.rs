//! What an allowance says, and when it is unsound.

use super::*;

fn sound() -> Allowance {
    Allowance {
        name: "a".parse().unwrap(),
        on: Selector::default(),
        each: None,
        models: Models::default(),
        measure: Measure::Requests,
        amount: 100,
        span: Span::Rate { per_ms: 60_000, burst: 50 },
        reserve: Reserve::Full,
        mode: Mode::Block,
        warn_at: vec![50, 100],
        message: None,
        raises: Vec::new(),
    }
}

fn raise(from: i64, until: i64, amount: u64) -> Raise {
    Raise { amount, from: UnixMs(from), until: UnixMs(until), by: "ada".to_owned(), note: None }
}

#[test]
fn every_fault_is_found_with_its_field() {
    let period = |zone: &str| Span::Period {
        period: Period::Month,
        calendar: Calendar { zone: zone.parse().unwrap(), ..Calendar::default() },
    };
    let with = |change: &dyn Fn(&mut Allowance)| {
        let mut allowance = sound();
        change(&mut allowance);
        allowance
    };
    let span = |span: Span| with(&move |one| one.span = span.clone());
    let rate = |per_ms, burst| span(Span::Rate { per_ms, burst });
    let raises = |raises: Vec<Raise>| with(&move |one| one.raises = raises.clone());
    let rows: Vec<(Allowance, &[&str])> = vec![
        (sound(), &[]),
        (span(period("Europe/Berlin")), &[]),
        (with(&|one| one.amount = 0), &["amount"]),
        (with(&|one| (one.amount, one.mode) = (0, Mode::Observe)), &["amount"]),
        (with(&|one| one.amount = 1), &[]),
        (with(&|one| one.amount = AMOUNT_MAX), &[]),
        (with(&|one| one.amount = AMOUNT_MAX + 1), &["amount"]),
        (with(&|one| one.measure = Measure::Concurrency), &["span"]),
        (with(&|one| (one.measure, one.span) = (Measure::Concurrency, Span::AtOnce)), &[]),
        (span(Span::AtOnce), &["span"]),
        (rate(1_000, 1), &[]),
        (rate(999, 1), &["span"]),
        (rate(3_600_000, 1), &[]),
        (rate(3_600_001, 1), &["span"]),
        (rate(60_000, 0), &["burst"]),
        (rate(60_000, AMOUNT_MAX + 1), &["burst"]),
        (with(&|one| (one.amount, one.span) = (0, Span::Rate { per_ms: 60_000, burst: 0 })), &["amount"]),
        (span(Span::Rolling { ms: ROLLING_MS_MIN }), &[]),
        (span(Span::Rolling { ms: ROLLING_MS_MIN - 1 }), &["span"]),
        (span(Span::Rolling { ms: ROLLING_MS_MAX }), &[]),
        (span(Span::Rolling { ms: ROLLING_MS_MAX + 1 }), &["span"]),
        (with(&|one| one.warn_at = vec![0]), &["warn_at"]),
        (with(&|one| one.warn_at = vec![101]), &["warn_at"]),
        (with(&|one| one.warn_at = (1..=8).collect()), &[]),
        (with(&|one| one.warn_at = (1..=9).collect()), &["warn_at"]),
        (with(&|one| one.warn_at = vec![50, 50]), &["warn_at"]),
        (with(&|one| one.message = Some("\u{e9}".repeat(MESSAGE_CHARS_MAX))), &[]),
        (with(&|one| one.message = Some("\u{e9}".repeat(MESSAGE_CHARS_MAX + 1))), &["message"]),
        (raises(vec![raise(0, 10, 5), raise(10, 20, 1)]), &[]),
        (raises(vec![raise(0, 10, 5), raise(10, 20, 0)]), &["raises"]),
        (raises(vec![raise(0, 11, 5), raise(10, 20, 1)]), &["raises"]),
        (raises(vec![raise(10, 20, 5), raise(0, 10, 1)]), &["raises"]),
        (raises(vec![raise(10, 10, 5)]), &["raises"]),
        (raises(vec![raise(0, 10, AMOUNT_MAX + 1)]), &["raises"]),
        (raises((0..32).map(|at| raise(at, at + 1, 5)).collect()), &[]),
        (raises((0..33).map(|at| raise(at, at + 1, 5)).collect()), &["raises"]),
        (with(&|one| (one.amount, one.warn_at) = (AMOUNT_MAX + 1, vec![0])), &["amount", "warn_at"]),
    ];
    for (allowance, expected) in rows {
        let faults = allowance.faults();
        let fields: Vec<&str> = faults.iter().map(|fault| fault.field).collect();
        assert_eq!(fields, expected, "{allowance:?}");
        assert!(faults.iter().all(|fault| !fault.rule.is_empty() && !fault.rule.contains("  ")));
    }
}

#[test]
fn a_raise_counts_from_its_first_instant_until_its_end() {
    let allowance = Allowance { raises: vec![raise(10, 20, 300), raise(20, 30, 0)], ..sound() };
    // The instant, the amount, and the burst in proportion.
    let rows = [(9, 100, 50), (10, 300, 150), (19, 300, 150), (20, 0, 0), (29, 0, 0), (30, 100, 50)];
    for (at, amount, capacity) in rows {
        assert_eq!(allowance.amount_at(UnixMs(at)), amount, "{at}");
        assert_eq!(allowance.capacity_at(UnixMs(at)), capacity, "{at}");
    }
}

#[test]
fn a_burst_keeps_its_proportion_and_never_rounds_to_nothing() {
    // The amount, the burst, the raised amount, and what may be used at once.
    let rows = [
        (100, 100, 250, 250),
        (100, 1, 50, 1),
        (3, 10, 4, 13),
        (0, 0, 5, 5),
        (0, 7, 5, 5),
        (1, AMOUNT_MAX, AMOUNT_MAX, u64::MAX),
    ];
    for (amount, burst, raised, capacity) in rows {
        let span = Span::Rate { per_ms: 60_000, burst };
        let allowance = Allowance { amount, span, raises: vec![raise(0, 1, raised)], ..sound() };
        assert_eq!(allowance.capacity_at(UnixMs(0)), capacity, "{allowance:?}");
        assert_eq!(allowance.capacity_at(UnixMs(1)), if amount == 0 { 0 } else { burst }, "{allowance:?}");
    }
    let monthly = Allowance { span: Span::Rolling { ms: ROLLING_MS_MAX }, ..sound() };
    assert_eq!(monthly.capacity_at(UnixMs(0)), 100);
}

#[test]
fn counters_go_on_if_the_same_use_of_the_same_people_counts() {
    let change = |change: &dyn Fn(&mut Allowance)| {
        let mut allowance = sound();
        change(&mut allowance);
        sound().counts_like(&allowance)
    };
    let weekly = Span::Period { period: Period::Week, calendar: Calendar::default() };
    assert!(change(&|_| {}));
    assert!(change(&|one| one.amount = 7));
    assert!(change(&|one| one.span = Span::Rate { per_ms: 60_000, burst: 9 }));
    assert!(change(&|one| one.mode = Mode::Observe));
    assert!(change(&|one| one.reserve = Reserve::Learned));
    assert!(change(&|one| one.warn_at = Vec::new()));
    assert!(change(&|one| one.message = Some("hm".to_owned())));
    assert!(change(&|one| one.raises = vec![raise(0, 1, 2)]));
    assert!(!change(&|one| one.span = Span::Rate { per_ms: 1_000, burst: 50 }));
    assert!(!change(&|one| one.span = weekly.clone()));
    assert!(!change(&|one| one.name = "b".parse().unwrap()));
    assert!(!change(&|one| one.measure = Measure::Tokens));
    assert!(!change(&|one| one.each = Some(Level::User)));
    assert!(!change(&|one| one.on.team = Some("red".parse().unwrap())));
    assert!(!change(&|one| one.models = Models::new(vec!["*".to_owned()]).unwrap()));
}

#[test]
fn a_selector_fits_where_all_its_fields_do() {
    let key = KeyId::new(UnixMs(0), [1; 10]);
    let scope: Scope = serde_json::from_str(r#"{"team":"red","user":"ada"}"#).unwrap();
    let other_key = KeyId::new(UnixMs(0), [2; 10]);
    let rows = [
        ("{}".to_owned(), true, "everyone"),
        (r#"{"org":"default"}"#.to_owned(), true, "org default"),
        (r#"{"org":"other"}"#.to_owned(), false, "org other"),
        (r#"{"team":"red","user":"ada"}"#.to_owned(), true, "team red, user ada"),
        (r#"{"team":"red","user":"bob"}"#.to_owned(), false, "team red, user bob"),
        (r#"{"team":"blue","user":"ada"}"#.to_owned(), false, "team blue, user ada"),
        // A scope without a project is in none.
        (r#"{"project":"web"}"#.to_owned(), false, "project web"),
        (format!(r#"{{"key":"{key}"}}"#), true, "key"),
        (format!(r#"{{"key":"{other_key}"}}"#), false, "key"),
    ];
    for (text, fits, words) in rows {
        let selector: Selector = serde_json::from_str(&text).unwrap();
        assert_eq!(selector.fits(&scope, key), fits, "{text}");
        assert!(selector.to_string().starts_with(words), "{selector}");
        assert_eq!(serde_json::to_string(&selector).unwrap(), text);
        assert_eq!(selector.is_everyone(), text == "{}");
    }
}

#[test]
fn an_allowance_comes_back_from_its_text() {
    let calendar = Calendar {
        zone: "Europe/Berlin".parse().unwrap(),
        week_starts: Weekday::Sunday,
        year_starts: 4.try_into().unwrap(),
    };
    let spans = [
        sound().span,
        Span::AtOnce,
        Span::Rolling { ms: 86_400_000 },
        Span::Period { period: Period::Quarter, calendar },
    ];
    for span in spans {
        let full = Allowance {
            on: Selector { team: Some("red".parse().unwrap()), ..Selector::default() },
            each: Some(Level::User),
            models: Models::new(vec!["*opus*".to_owned()]).unwrap(),
            span,
            reserve: Reserve::Learned,
            mode: Mode::Observe,
            message: Some("Ask #finance.".to_owned()),
            raises: vec![raise(0, 10, 5)],
            ..sound()
        };
        let text = serde_json::to_string(&full).unwrap();
        assert_eq!(serde_json::from_str::<Allowance>(&text).unwrap(), full, "{text}");
    }
    let plain = r#"{"name":"a","measure":"cost","amount":1,"span":"at_once"}"#;
    let allowance: Allowance = serde_json::from_str(plain).unwrap();
    assert_eq!((allowance.reserve, allowance.mode), (Reserve::Full, Mode::Block));
    let unknown = r#"{"name":"a","measure":"cost","amount":1,"span":"at_once","burst":2}"#;
    assert!(serde_json::from_str::<Allowance>(unknown).is_err());
}

#[test]
fn zones_and_months_are_those_that_exist() {
    for (text, name) in
        [("UTC", "UTC"), ("Europe/Berlin", "Europe/Berlin"), ("europe/berlin", "Europe/Berlin")]
    {
        assert_eq!(text.parse::<Zone>().unwrap().to_string(), name);
    }
    for text in ["", "Berlin", "Europe/Atlantis", "+01:00", "../UTC", "Local"] {
        assert_eq!(text.parse::<Zone>(), Err(NoSuchZone), "{text}");
    }
    assert_eq!(serde_json::from_str::<MonthNumber>("12").unwrap().number(), 12);
    for text in ["0", "13", "-1", "\"April\""] {
        assert!(serde_json::from_str::<MonthNumber>(text).is_err(), "{text}");
    }
}

#[test]
fn each_word_of_data_is_the_word_that_serde_writes() {
    use Measure::{Concurrency, Cost, CountTokens, InputTokens, OutputTokens, Requests, Tokens};
    let quoted = |word: &str| format!("\"{word}\"");
    for measure in [Requests, CountTokens, InputTokens, OutputTokens, Tokens, Cost, Concurrency] {
        assert_eq!(serde_json::to_string(&measure).unwrap(), quoted(measure.as_str()));
        assert!(!measure.words().is_empty());
    }
    for level in [Level::Org, Level::Team, Level::Project, Level::User, Level::Key] {
        assert_eq!(serde_json::to_string(&level).unwrap(), quoted(level.as_str()));
    }
    for period in [Period::Day, Period::Week, Period::Month, Period::Quarter, Period::Year] {
        assert_eq!(serde_json::to_string(&period).unwrap(), quoted(period.as_str()));
    }
}
