//! The book as it is written: what is refused, and what an operator can say in it.

use super::*;

/// A small valid book, with one part replaced.
fn book_with(from: &str, to: &str) -> Result<PriceBook, PriceProblem> {
    let book = r#"{
      "version": "test-1",
      "multipliers": { "batch": "0.5", "fast": "2", "us_inference": "1.1", "regional": "1.1", "contract": "1" },
      "usd_per_thousand": { "web_search": "10", "code_execution": "0" },
      "models": [
        { "model": "one", "aliases": ["uno"], "periods": [
          { "usd_per_million": { "input": "1", "output": "5", "cache_write_5m": "1.25", "cache_write_1h": "2", "cache_read": "0.10" } },
          { "from": "2026-10-07", "usd_per_million": { "input": "2", "output": "5", "cache_write_5m": "1.25", "cache_write_1h": "2", "cache_read": "0.10" },
            "long_prompt": { "above_tokens": 10, "usd_per_million": { "input": "3", "output": "5", "cache_write_5m": "1.25", "cache_write_1h": "2", "cache_read": "0.10" } } } ] },
        { "model": "two", "periods": [
          { "usd_per_million": { "input": "0", "output": "0", "cache_write_5m": "0", "cache_write_1h": "0", "cache_read": "0" } } ] }
      ] }"#;
    assert!(book.contains(from), "{from}");
    PriceBook::parse(&book.replacen(from, to, 1))
}

#[test]
fn a_bad_book_is_refused_with_the_place_and_the_rule() {
    assert_eq!(book_with("", "").unwrap().version(), "test-1");
    let input = "models[0].periods[0].usd_per_million.input";
    let read = "models[0].periods[0].usd_per_million.cache_read";
    let rows = [
        (r#""input": "1""#, r#""input": "-1""#, input, "negative"),
        (r#""input": "1""#, r#""input": "1,5""#, input, "decimal number"),
        (r#""input": "1""#, r#""input": "1e3""#, input, "decimal number"),
        (r#""input": "1""#, r#""input": "1.""#, input, "decimal number"),
        (r#""input": "1""#, r#""input": ".5""#, input, "decimal number"),
        (r#""input": "1""#, r#""input": """#, input, "decimal number"),
        (r#""input": "1""#, r#""input": "0.0000000001""#, input, "at most 9 decimals"),
        (r#""input": "1""#, r#""input": "1000001""#, input, "believed"),
        (r#""input": "1""#, r#""input": "99999999999999999999""#, input, "believed"),
        (r#", "cache_read": "0.10""#, "", read, "missing"),
        (r#""from": "2026-10-07""#, r#""from": "0000-01-01""#, "models[0].periods[1].from", "later than"),
        (r#""from": "2026-10-07""#, r#""from": "2026-02-30""#, "models[0].periods[1].from", "a date"),
        (r#""from": "2026-10-07","#, "", "models[0].periods[1].from", "only the first period"),
        (
            r#""input": "3""#,
            r#""input": "1.999""#,
            "models[0].periods[1].long_prompt.usd_per_million.input",
            "lower",
        ),
        (r#""model": "two""#, r#""model": "UNO""#, "models[1].model", "already"),
        (r#"["uno"]"#, r#"["one"]"#, "models[0].aliases[0]", "already"),
        (r#"["uno"]"#, r#"["u no"]"#, "models[0].aliases[0]", "blanks"),
        (r#""model": "two""#, r#""model": """#, "models[1].model", "blanks"),
        (r#""batch": "0.5", "#, "", "multipliers.batch", "missing"),
        (r#""contract": "1""#, r#""contract": "0""#, "multipliers.contract", "more than 0"),
        (r#""contract": "1""#, r#""contract": "0.9995""#, "multipliers.contract", "at most 3 decimals"),
        (r#""fast": "2""#, r#""fast": "11""#, "multipliers.fast", "believed"),
        (r#""web_search": "10""#, r#""web_search": "-10""#, "usd_per_thousand.web_search", "negative"),
        (r#""version": "test-1""#, r#""version": """#, "version", "printable"),
        (r#""input": "1""#, r#""input": 1"#, "line 7", "expected a string"),
        (r#""input": "1""#, r#""inputs": "1""#, "line 7", "unknown field `inputs`"),
        (r#""input": "1""#, r#""input": "1", "input": "2""#, "line 7", "duplicate field"),
        (r#""model": "one""#, r#""model" "one""#, "line 6", "expected `:`"),
    ];
    for (from, to, path, rule) in rows {
        let problem = book_with(from, to).err().unwrap_or_else(|| panic!("{to} was accepted"));
        assert!(problem.path.starts_with(path), "{to}: {problem}");
        assert!(problem.rule.contains(rule), "{to}: {problem}");
        assert!(!problem.rule.contains("at line"), "the place stands in the path: {problem}");
    }
    let no_models = r#""models": []}"#;
    let start = r#"{"version":"1","multipliers":{},"usd_per_thousand":{},"#;
    assert_eq!(PriceBook::parse(&format!("{start}{no_models}")).err().unwrap().path, "models");
}

#[test]
fn a_contract_multiplier_applies_to_tokens_and_tools() {
    let book = book_with(r#""contract": "1""#, r#""contract": "0.925""#).unwrap();
    let usage = Usage { web_search_requests: 1, ..tokens([0, 1_000, 0, 0, 0]) };
    let priced = book.price(&Sale { batch: true, ..sale("one", &usage) });
    let amounts: Vec<_> =
        priced.lines.iter().map(|line| (line.multiplier.to_string(), line.amount)).collect();
    assert_eq!(
        amounts,
        [("0.4625".to_owned(), NanoUsd(2_312_500)), ("0.925".to_owned(), NanoUsd(9_250_000))]
    );
}

#[test]
fn an_operator_can_give_an_opaque_id_a_price() {
    let arn = "arn:aws:bedrock:eu-west-1:123456789012:application-inference-profile/abc123";
    let book = book_with(r#"["uno"]"#, &format!(r#"["{arn}"]"#)).unwrap();
    assert!(book.knows(arn, NOW, ""));
    assert!(!PriceBook::builtin().knows(arn, NOW, ""));
}

/// The small book with a part for upstreams at its end.
fn book_with_upstreams(upstreams: &str) -> Result<PriceBook, PriceProblem> {
    book_with(
        r#""cache_read": "0" } } ] }
      ] }"#,
        &format!(
            r#""cache_read": "0" }} }} ] }}
      ], "upstreams": {upstreams} }}"#
        ),
    )
}

const RATES: &str =
    r#"{ "input": "1", "output": "1", "cache_write_5m": "1", "cache_write_1h": "1", "cache_read": "1" }"#;

#[test]
fn a_bad_upstream_is_refused_with_the_place_and_the_rule() {
    let row = |part: &str| part.replace("RATES", RATES);
    let rows = [
        (r#"{"a b": {}}"#.to_owned(), "upstreams.a b", "without blanks"),
        (r#"{"": {}}"#.to_owned(), "upstreams.", "without blanks"),
        (r#"{"a": {}, "a": {}}"#.to_owned(), "line", "duplicate upstream `a`"),
        (r#"{"a": {"multiplyer": "1"}}"#.to_owned(), "line", "unknown field `multiplyer`"),
        (r#"{"a": {"multiplier": 1}}"#.to_owned(), "line", "in quotes, or a list of periods"),
        (r#"{"a": {"multiplier": "0"}}"#.to_owned(), "upstreams.a.multiplier", "more than 0"),
        (r#"{"a": {"multiplier": "10.001"}}"#.to_owned(), "upstreams.a.multiplier", "believed"),
        (r#"{"a": {"multiplier": "1.0001"}}"#.to_owned(), "upstreams.a.multiplier", "at most 3 decimals"),
        (
            r#"{"a": {"models": [{"model": "x", "periods": []}]}}"#.to_owned(),
            "upstreams.a.models[0].periods",
            "at least one",
        ),
        (
            row(
                r#"{"a": {"models": [{"model": "x", "periods": [{"usd_per_million": RATES}]}, {"model": "X", "periods": [{"usd_per_million": RATES}]}]}}"#,
            ),
            "upstreams.a.models[1].model",
            "already",
        ),
        (
            row(
                r#"{"a": {"models": [{"model": "x", "periods": [{"from": "2027-01-01", "usd_per_million": RATES}, {"from": "2026-01-01", "usd_per_million": RATES}]}]}}"#,
            ),
            "upstreams.a.models[0].periods[1].from",
            "order of time",
        ),
        (
            row(
                r#"{"a": {"models": [{"model": "x", "periods": [{"from": "2027-01-01", "usd_per_million": RATES}, {"from": "2027-01-01T00:00:00Z", "usd_per_million": RATES}]}]}}"#,
            ),
            "upstreams.a.models[0].periods[1].from",
            "overlap",
        ),
    ];
    for (upstreams, path, rule) in rows {
        let problem =
            book_with_upstreams(&upstreams).err().unwrap_or_else(|| panic!("{upstreams} was accepted"));
        assert!(problem.path.starts_with(path), "{upstreams}: {problem}");
        assert!(problem.rule.contains(rule), "{upstreams}: {problem}");
    }
    assert!(book_with_upstreams(r#"{"a": {}}"#).is_ok());
}

#[test]
fn an_unknown_model_is_as_dear_as_the_dearest_of_any_upstream() {
    let dear = RATES.replace(r#""output": "1""#, r#""output": "99""#);
    let book = book_with_upstreams(&format!(
        r#"{{"a": {{"models": [{{"model": "x", "periods": [{{"usd_per_million": {dear}}}]}}]}}}}"#
    ));
    let book = book.unwrap();
    let usage = tokens([1, 1, 0, 0, 0]);
    for upstream in ["", "a", "b"] {
        let cost = book.cost(&Sale { upstream, ..sale("mystery", &usage) });
        assert_eq!(cost, Cost { amount: NanoUsd(3_000 + 99_000), unknown_model: true }, "{upstream}");
    }
}

#[test]
fn a_multiplier_changes_on_a_date_or_at_an_instant_and_never_in_the_past() {
    let with = |periods: &str| book_with(r#""contract": "1""#, &format!(r#""contract": {periods}"#));
    let bad = [
        ("[]", "multipliers.contract", "at least one period"),
        (r#"[{"from": "2027-01-01", "value": "1"}]"#, "multipliers.contract[0].from", "what holds before"),
        (r#"[{"value": "1"}, {"value": "2"}]"#, "multipliers.contract[1].from", "only the first"),
        (
            r#"[{"value": "1"}, {"from": "soon", "value": "2"}]"#,
            "multipliers.contract[1].from",
            "a date such as",
        ),
        (
            r#"[{"value": "1"}, {"from": "2027-01-01T00:00:00+01:00", "value": "2"}]"#,
            "multipliers.contract[1].from",
            "in UTC",
        ),
        (
            r#"[{"value": "1"}, {"from": "2027-01-01", "value": "x"}]"#,
            "multipliers.contract[1].value",
            "decimal",
        ),
        (
            r#"[{"value": "1"}, {"from": "2027-01-02", "value": "2"}, {"from": "2027-01-01", "value": "3"}]"#,
            "multipliers.contract[2].from",
            "order of time",
        ),
        (r#"[{"value": "1", "until": "2027-01-01"}]"#, "line", "unknown field `until`"),
        ("0.9", "line", "a decimal number in quotes"),
    ];
    for (periods, path, rule) in bad {
        let problem = with(periods).err().unwrap_or_else(|| panic!("{periods} was accepted"));
        assert!(problem.path.starts_with(path), "{periods}: {problem}");
        assert!(problem.rule.contains(rule), "{periods}: {problem}");
    }
    let book = with(
        r#"[{"value": "1"}, {"from": "2027-01-01", "value": "2"}, {"from": "2027-01-01T09:30:00Z", "value": "3"},
            {"from": "2027-01-01T09:30:00.001Z", "value": "4"}]"#,
    );
    let book = book.unwrap();
    let usage = tokens([1, 0, 0, 0, 0]);
    let rows = [
        ("0000-01-01T00:00:00.000Z", 1),
        ("2026-12-31T23:59:59.999Z", 1),
        ("2027-01-01T00:00:00.000Z", 2),
        ("2027-01-01T09:29:59.999Z", 2),
        ("2027-01-01T09:30:00.000Z", 3),
        ("2027-01-01T09:30:00.001Z", 4),
        ("9999-12-31T23:59:59.999Z", 4),
    ];
    for (at, factor) in rows {
        let rate = if at < "2026-10-07" { 1_000 } else { 2_000 };
        let cost = book.cost(&Sale { at: instant(at), ..sale("one", &usage) }).amount;
        assert_eq!(cost, NanoUsd(rate * factor), "{at}");
    }
}
