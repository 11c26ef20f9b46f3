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
