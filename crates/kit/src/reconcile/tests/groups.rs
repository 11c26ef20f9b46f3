//! What is compared with what, and when it is equal.

use super::*;

/// What the gateway booked for the usage in the fixtures: 0.013275 for the tokens of Opus 5, 0.03 for its searches.
fn ledger() -> Vec<Booked> {
    vec![
        booked("2026-11-02", "claude-opus-5", [1_000, 200, 100, 5_000], 13_275_000 + 30_000_000),
        booked("2026-11-02", "claude-haiku-4-5", [100, 10, 0, 0], 150_000),
        // Requests that use nothing do not count.
        Booked { model: None, ..booked("2026-11-02", "", [0; 4], 0) },
    ]
}

fn keys() -> Vec<(String, String)> {
    vec![("anthropic".to_owned(), "apikey_01GATEWAY".to_owned())]
}

#[test]
fn equal_sides_are_equal() {
    let usage = compared(&export(&[USAGE_JSON]), &ledger(), |terms| terms.keys = keys());
    assert_eq!((differences(&usage), usage.groups), (vec![], 2));
    assert_eq!(usage.notes, ["1 rows of the export are of keys that --key does not name"]);
    assert_eq!(usage.told.tokens(), Some([1_100, 210, 100, 5_000]));
    assert_eq!(usage.booked.cost_nano_usd, 43_425_000);

    // The export tells the cost of searches without a model; by their counts it goes to Opus 5.
    let of_opus = &ledger()[..1];
    let both = compared(
        &export(&[USAGE_CSV.split_inclusive('\n').take(2).collect::<String>().as_str(), COST_JSON]),
        of_opus,
        |_| {},
    );
    assert_eq!((differences(&both), both.groups), (vec![], 1));
    // Without counts the day is compared as a whole.
    let cost = compared(&export(&[COST_JSON]), of_opus, |_| {});
    assert_eq!((differences(&cost), cost.groups), (vec![], 2));
}

#[test]
fn other_spellings_are_the_same_model_and_other_days_are_left_out() {
    let export = Telling::new().usage("2026-11-02", "claude-haiku-4-5-20251001", [100, 0, 0, 0, 0]).0;
    let ledger = [
        booked("2026-11-02", "eu.anthropic.claude-haiku-4-5-20251001-v1:0", [60, 0, 0, 0], 1),
        booked("2026-11-02", "claude-haiku-4-5", [40, 0, 0, 0], 1),
        booked("2026-11-01", "claude-haiku-4-5", [9, 0, 0, 0], 1),
        booked("2026-11-03", "claude-haiku-4-5", [9, 0, 0, 0], 1),
    ];
    let comparison = compared(&export, &ledger, |_| {});
    assert_eq!((differences(&comparison), comparison.groups), (vec![], 1));
    assert_eq!(comparison.booked.requests, 2);
}

#[test]
fn the_tolerance_is_a_part_of_the_larger_side() {
    let export = Telling::new().usage("2026-11-02", "m", [1_000, 0, 0, 0, 0]).0;
    // Provider 1 000; ours, tolerance in millionths, equal.
    let rows = [
        (1_000, 0, true),
        (1_001, 0, false),
        (999, 0, false),
        (990, 10_000, true),
        (989, 10_000, false),
        (1_010, 10_000, true),
        (1_011, 10_000, false),
        (0, 999_999, false),
        (0, 1_000_000, true),
        (u64::MAX, 10_000, false),
    ];
    for (ours, tolerance_ppm, equal) in rows {
        let ledger = [booked("2026-11-02", "m", [ours, 0, 0, 0], 0)];
        let comparison = compared(&export, &ledger, |terms| terms.tolerance_ppm = tolerance_ppm);
        assert_eq!(comparison.is_equal(), equal, "{ours} {tolerance_ppm}");
    }
}

#[test]
fn amounts_written_to_the_cent_differ_by_no_more_than_their_rounding() {
    let sheet = "usage_date_utc,model,token_type,cost_usd,cost_type\n\
        2026-11-02,Claude Opus 5,input_no_cache,0.19,token\n2026-11-02,Claude Opus 5,output,0.30,token\n";
    // Two amounts, half a cent each.
    for (ours, equal) in
        [(490_000_000, true), (500_000_000, true), (500_000_001, false), (479_999_999, false)]
    {
        let ledger = [booked("2026-11-02", "claude-opus-5", [1, 1, 0, 0], ours)];
        let comparison = compared(&export(&[sheet]), &ledger, |terms| terms.tolerance_ppm = 0);
        assert_eq!(comparison.is_equal(), equal, "{ours}");
    }
}

#[test]
fn upstreams_are_compared_apart_if_keys_tell_them_apart() {
    let told = |key: &'static str, input: u64| {
        move |telling: Telling| {
            let telling = telling.usage("2026-11-02", "m", [input, 0, 0, 0, 0]);
            telling.with(|fact| fact.keys = vec![key.to_owned()])
        }
    };
    let export = told("b", 7)(told("a", 5)(Telling::new())).0;
    let at = |upstream: &str, input| Booked {
        upstream: Some(upstream.to_owned()),
        ..booked("2026-11-02", "m", [input, 0, 0, 0], 0)
    };
    let ledger = [at("east", 7), at("west", 5), at("cloud", 100)];
    let keys = |pairs: [(&str, &str); 2]| {
        pairs.map(|(upstream, key)| (upstream.to_owned(), key.to_owned())).to_vec()
    };

    let right = keys([("west", "a"), ("east", "b")]);
    let comparison = compared(&export, &ledger, |terms| terms.keys = right);
    assert_eq!((differences(&comparison), comparison.groups), (vec![], 2));
    assert_eq!(comparison.notes, ["1 requests went to upstreams that are not compared"]);

    let nobodys = keys([("west", "c"), ("nowhere", "d")])[..1].to_vec();
    let comparison = compared(&export, &ledger[..1], |terms| terms.keys = nobodys);
    assert!(comparison.is_empty() && comparison.is_equal() && comparison.left_out == 3);
    assert_eq!(comparison.notes[0], "no row of the export is of the key c, which west presents");

    let wrong = keys([("west", "b"), ("east", "a")]);
    let comparison = compared(&export, &ledger, |terms| terms.keys = wrong);
    assert_eq!(comparison.differences.len(), 2);

    // Without keys everything is one, and `upstreams` chooses.
    let upstreams = ["east", "west"].map(str::to_owned);
    assert!(compared(&export, &ledger, |terms| terms.upstreams = upstreams.to_vec()).is_equal());
    assert!(!compared(&export, &ledger, |_| {}).is_equal());
}

#[test]
fn adjustments_are_told_and_not_compared() {
    let export = Telling::new().cost("2026-11-02", Some("m"), 100).0;
    let mut row = booked("2026-11-02", "m", [1, 0, 0, 0], 100);
    row.figures.adjusted_nano_usd = -30;
    let comparison = compared(&export, &[row], |_| {});
    assert!(comparison.is_equal());
    let note = "adjustments of these days add -$0.00000003; the costs compared are without them";
    assert_eq!(comparison.notes, [note]);
}

#[test]
fn the_ledger_is_read_from_old_and_new_gateways() {
    let old = r#"{"by": ["day"], "rows": [{"day": "2026-11-02", "model": "m", "upstream": "u", "requests": 1, "errors": 0,
        "input_tokens": 1, "output_tokens": 2, "cache_read_tokens": 3, "cache_write_tokens": 9, "cost_nano_usd": 5,
        "estimated": 0, "unknown": 0, "unknown_price": 0}]}"#;
    let new = old.replace(
        r#""cache_write_tokens": 9"#,
        r#""cache_write_5m_tokens": 4, "cache_write_1h_tokens": 5, "adjusted_nano_usd": 7, "total_nano_usd": 12"#,
    );
    for text in [old, &new] {
        let ledger: Ledger = serde_json::from_str(text).unwrap();
        assert_eq!(ledger.rows[0].figures.cache_writes(), 9);
        assert_eq!(ledger.rows[0].day, date("2026-11-02"));
    }
    assert!(serde_json::from_str::<Ledger>(&old.replace("2026-11-02", "today")).is_err());
}
