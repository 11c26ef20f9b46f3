//! What is read out of exports, and what is refused.

use super::*;
use tollgate_policy::price::Class;

#[test]
fn the_usage_report_is_read() {
    let read = export(&[USAGE_JSON]);
    assert_eq!(read.facts.len(), 3);
    let first = &read.facts[0];
    assert_eq!((first.day, first.model.as_deref()), (date("2026-11-02"), Some("claude-opus-5")));
    assert_eq!(first.keys, ["apikey_01GATEWAY"]);
    assert_eq!(first.what, What::Usage([1000, 200, 60, 40, 5000, 3, 0]));
    assert_eq!(first.modes, Modes::default());
    assert_eq!(read.facts[1].modes, Modes { batch: true, us: true, ..Modes::default() });
    // A day without use is told of.
    assert_eq!(read.usage_days, BTreeSet::from([date("2026-11-02"), date("2026-11-03")]));
    assert!(read.cost_days.is_empty());
}

#[test]
fn the_cost_report_is_read() {
    let read = export(&[COST_JSON]);
    let costs: Vec<_> = read.facts.iter().map(|fact| (fact.model.as_deref(), fact.what.clone())).collect();
    // Written to the hundred-thousandth of a cent: half of that is 50 nano-dollars.
    let cost = |nano_usd, class| What::Cost { nano_usd, rounding: 50, class: Some(class) };
    let opus = Some("claude-opus-5");
    assert_eq!(
        costs,
        [
            (opus, cost(5_000_000, Class::Input)),
            (opus, cost(5_000_000, Class::Output)),
            (opus, cost(375_000, Class::CacheWrite5m)),
            (opus, cost(400_000, Class::CacheWrite1h)),
            (opus, cost(2_500_000, Class::CacheRead)),
            (None, cost(30_000_000, Class::WebSearch)),
        ]
    );
    assert!(read.usage_days.is_empty() && read.cost_days.len() == 1);
}

#[test]
fn pages_are_read_one_after_the_other_or_in_an_array() {
    let page = |day: u32, more: bool| {
        format!(
            r#"{{"data": [{{"starting_at": "2026-11-0{day}T00:00:00Z", "ending_at": "2026-11-0{day}T01:00:00Z",
                "results": [{{"model": "m", "uncached_input_tokens": 1, "output_tokens": 2}}]}}],
                "has_more": {more}, "next_page": null}}"#
        )
    };
    for text in
        [format!("{}\n{}", page(1, true), page(2, false)), format!("[{},{}]", page(1, true), page(2, false))]
    {
        let read = export(&[&text]);
        assert_eq!(read.usage_days, BTreeSet::from([date("2026-11-01"), date("2026-11-02")]));
        assert_eq!(read.facts[1].what, What::Usage([1, 2, 0, 0, 0, 0, 0]));
    }
    // Another zone, the same day in UTC.
    let shifted = page(1, false).replace("T00:00:00Z", "T05:00:00+05:00").replace("T01:00:00Z", "T02:00:00Z");
    assert_eq!(export(&[&shifted]).facts[0].day, date("2026-11-01"));
}

#[test]
fn the_files_of_the_console_are_read() {
    let usage = export(&[USAGE_CSV]);
    assert_eq!(usage.facts[0].what, What::Usage([1000, 200, 60, 40, 5000, 3, 0]));
    assert_eq!(usage.facts[0].keys, ["gateway"]);
    let modes = Modes { batch: true, fast: true, us: true, priority: false };
    assert_eq!((usage.facts[1].day, usage.facts[1].modes), (date("2026-11-04"), modes));
    // Rows that differ in one cell are two.
    let other = USAGE_CSV.lines().nth(1).unwrap().replacen("Default", "Other", 1);
    assert_eq!(export(&[&format!("{USAGE_CSV}{other}\n")]).facts.len(), 3);
    // The day between is told of: nothing was used on it.
    assert_eq!(usage.usage_days.len(), 3);

    let cost = export(&[COST_CSV]);
    let models: Vec<_> = cost.facts.iter().map(|fact| fact.model.as_deref()).collect();
    assert_eq!(models, [Some("claude-opus-5"), Some("claude-opus-5"), Some("claude-haiku-4-5"), None]);
    assert_eq!(cost.facts[0].keys, ["apikey_01GATEWAY", "gateway"]);
    let rounding = 500_000;
    assert_eq!(cost.facts[1].what, What::Cost { nano_usd: 5_000_000, rounding, class: Some(Class::Output) });
    assert_eq!(
        cost.facts[3].what,
        What::Cost { nano_usd: 30_000_000, rounding, class: Some(Class::WebSearch) }
    );
}

#[test]
fn what_is_no_export_is_refused_with_its_place_and_a_cure() {
    let json = |from: &str, to: &str| {
        assert!(USAGE_JSON.contains(from), "{from}");
        USAGE_JSON.replacen(from, to, 1)
    };
    let cost = |from: &str, to: &str| COST_JSON.replacen(from, to, 1);
    let sheet = |from: &str, to: &str| USAGE_CSV.replacen(from, to, 1);
    let twice = format!("{USAGE_JSON}{USAGE_JSON}");
    let again = |sheet: &str| format!("{sheet}{}\n", sheet.lines().nth(1).unwrap());
    let rows = [
        (String::new(), "the file", "is empty"),
        ("{}".to_owned(), "line 1 column 2", "missing field `data`"),
        (json("\"results\"", "\"result\""), "line 53", "missing field `results`"),
        (json("\"uncached_input_tokens\": 1000", "\"uncached_input_tokens\": -1"), "line 19", "expected u64"),
        (USAGE_JSON[..900].to_owned(), "line", "EOF"),
        (json("\"has_more\": false", "\"has_more\": true"), "has_more", "not the last page"),
        (json("2026-11-02T00:00:00Z", "yesterday"), "data[0].starting_at", "RFC 3339"),
        (json("2026-11-03T00:00:00Z", "2026-11-03T00:00:01Z"), "data[0]", "within one day in UTC"),
        (json("2026-11-02T00:00:00Z", "2026-11-04T00:00:00Z"), "data[0]", "within one day in UTC"),
        (
            USAGE_JSON.replacen("2026-11-02T00", "2026-11-02T10", 1).replacen(
                "2026-11-03T00",
                "2026-11-02T09",
                1,
            ),
            "data[0]",
            "within one day in UTC",
        ),
        (json("2026-11-03T00:00:00Z", "2026-11-02T00:00:00Z"), "data[0]", "within one day in UTC"),
        (
            json("\"model\": \"claude-opus-5\"", "\"model\": null"),
            "data[0].results[0].model",
            "not grouped by model",
        ),
        (twice, "page 2 data[0].starting_at", "twice"),
        (cost("0.50000", "0,5"), "data[0].results[0].amount", "\"0,5\" is no decimal number"),
        (cost("0.50000", "NaN"), "data[0].results[0].amount", "is no decimal number"),
        (cost("USD", "EUR"), "data[0].results[0].currency", "\"EUR\" is not USD"),
        (cost("\"amount\": \"0.50000\",", ""), "data[0].results[0]", "neither a row"),
        (cost("\"0.50000\"", "0.5"), "line 7", "expected a string"),
        ("a,b\n1,2\n".to_owned(), "line 1", "\"usage_date_utc\" is missing"),
        (sheet("usage_output_tokens", "output"), "line 1", "\"usage_output_tokens\" is missing"),
        (sheet("model_version", "model"), "line 1", "\"model_version\" is missing"),
        (sheet("2026-11-04", "04.11.2026"), "line 3 usage_date_utc", "is no date"),
        (sheet("2026-11-04", "2026-11-04x"), "line 3 usage_date_utc", "is no date"),
        (sheet("2026-11-04", "2036-11-04"), "the file", "400 days are the most"),
        (sheet(",7,0", ",7.5,0"), "line 3 usage_input_tokens_no_cache", "\"7.5\" is no whole number"),
        (sheet(",7,0", ",-7,0"), "line 3 usage_input_tokens_no_cache", "is no whole number"),
        (sheet(",us,fast", ",us"), "line 3", "13 fields, and the first line has 14"),
        (sheet("2026-11-04,claude-opus-5", "2026-11-04,"), "line 3 model_version", "is empty"),
        (USAGE_CSV.lines().next().unwrap().to_owned(), "the file", "has no rows"),
        (again(USAGE_CSV), "line 4", "it is line 2 again"),
        (again(COST_CSV), "line 6", "it is line 2 again"),
        (COST_CSV.replacen(",0.01,", ",1e-2,", 1), "line 2 cost_usd", "\"1e-2\" is no decimal number"),
    ];
    for (text, place, why) in rows {
        let fault =
            Export::default().add("november", &text).err().unwrap_or_else(|| panic!("{place}: {why}"));
        let sentence = fault.to_string();
        assert!(sentence.starts_with(&format!("november: {place}")) && sentence.contains(why), "{sentence}");
        assert!(!fault.cure().is_empty());
    }
}

#[test]
fn no_day_is_counted_twice() {
    let mut export = export(&[USAGE_JSON, COST_JSON]);
    let fault = export.add("again", USAGE_CSV).unwrap_err();
    assert_eq!(fault.to_string(), "again: 2026-11-02: another file tells of this day already");
    // What was refused has added nothing.
    assert_eq!(export.facts.len(), 9);
}
