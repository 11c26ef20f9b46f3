//! What nobody can mean is refused by `config check` and by the admin API, with its place and its cure.

use serde_json::{Value, json};
use tollgate_acceptance::House;
use tollgate_config::{load, load_priced};
use tollgate_policy::price::PriceBook;

/// A mistake, as it is written in the configuration and as it is sent to the admin API.
struct Slip {
    what: &'static str,
    /// An entry of `allowances`, and the path below it of the field that is at fault.
    written: (&'static str, &'static str),
    /// Fields in place of those of a good allowance, and the field that is at fault.
    sent: (Value, &'static str),
}

fn slip(what: &'static str, written: (&'static str, &'static str), sent: (Value, &'static str)) -> Slip {
    Slip { what, written, sent }
}

fn amounts() -> Vec<Slip> {
    let rate = |burst: u64| json!({ "span": { "rate": { "per_ms": 60_000, "burst": burst } } });
    vec![
        slip(
            "a negative amount",
            ("requests: -5, per: day", "requests"),
            (json!({ "amount": -5 }), "amount"),
        ),
        slip("negative money", ("usd: -0.5, per: day", "usd"), (json!({ "amount": -0.5 }), "amount")),
        slip(
            "an amount that overflows",
            ("usd: 1000000000.01, per: day", "usd"),
            (json!({ "amount": 1_000_000_010_000_000_000_u64 }), "amount"),
        ),
        slip(
            "an amount that no integer holds",
            ("tokens: 99999999999999999999, per: day", "tokens"),
            (json!({ "amount": 1e20 }), "amount"),
        ),
        slip(
            "a burst that overflows",
            ("requests: 5, per: minute, burst: 1000000000000000001", "burst"),
            (rate(1_000_000_000_000_000_001), "burst"),
        ),
        slip("a burst of zero", ("requests: 5, per: minute, burst: 0", "burst"), (rate(0), "burst")),
        slip(
            "a threshold of zero",
            ("requests: 5, per: day, warn_at: [0]", "warn_at"),
            (json!({ "warn_at": [0] }), "warn_at"),
        ),
    ]
}

fn scopes_and_models() -> Vec<Slip> {
    vec![
        slip(
            "a scope that does not exist",
            ("requests: 5, per: day, on: { department: x }", "on.department"),
            (json!({ "on": { "department": "x" } }), "on.department"),
        ),
        slip(
            "a level that does not exist",
            ("requests: 5, per: day, each: person", "each"),
            (json!({ "each": "person" }), "each"),
        ),
        slip(
            "a measure that does not exist",
            ("euros: 5, per: day", "euros"),
            (json!({ "measure": "euros" }), "measure"),
        ),
        slip(
            "a model that nobody serves",
            ("requests: 5, per: day, models: [claude-opsu-5]", "models"),
            (json!({ "models": ["claude-opsu-5"] }), "models"),
        ),
    ]
}

fn spans_and_raises() -> Vec<Slip> {
    let day = |calendar: Value| json!({ "span": { "period": { "period": "day", "calendar": calendar } } });
    let raise = |from: u32, until: u32| {
        let at = |day: u32| format!("2026-12-{day:02}T00:00:00.000Z");
        json!({ "amount": 9, "from": at(from), "until": at(until), "by": "ada" })
    };
    vec![
        slip(
            "a time zone that does not exist",
            ("requests: 5, per: day, time_zone: Europe/Munich", "time_zone"),
            (day(json!({ "zone": "Europe/Munich" })), "span.period.calendar.zone"),
        ),
        slip(
            "a month that does not exist",
            ("requests: 5, per: year, year_starts: 13", "year_starts"),
            (day(json!({ "year_starts": 13 })), "span.period.calendar.year_starts"),
        ),
        slip(
            "a period that does not exist",
            ("requests: 5, per: fortnight", "per"),
            (
                json!({ "span": { "period": { "period": "fortnight", "calendar": {} } } }),
                "span.period.period",
            ),
        ),
        slip(
            "a window of no length",
            ("requests: 5, rolling: 0s", "rolling"),
            (json!({ "span": { "rolling": { "ms": 0 } } }), "span"),
        ),
        slip(
            "two spans",
            ("requests: 5, per: day, rolling: 24h", "rolling"),
            (json!({ "span": [] }), "span"),
        ),
        slip("no span", ("requests: 5", ""), (json!({ "span": "at_once" }), "span")),
        slip(
            "a span of what has none",
            ("concurrent: 5, per: day", "per"),
            (json!({ "measure": "concurrency" }), "span"),
        ),
        slip(
            "raises that overlap",
            (
                "requests: 5, per: day, raises: [{ to: 9, from: 2026-12-01, until: 2026-12-20, by: ada }, \
                 { to: 8, from: 2026-12-10, until: 2026-12-30, by: ada }]",
                "raises",
            ),
            (json!({ "raises": [raise(1, 20), raise(10, 30)] }), "raises"),
        ),
        slip(
            "a raise that ends before it begins",
            (
                "requests: 5, per: day, raises: [{ to: 9, from: 2026-12-02, until: 2026-12-01, by: ada }]",
                "raises",
            ),
            (json!({ "raises": [raise(2, 1)] }), "raises"),
        ),
    ]
}

fn slips() -> Vec<Slip> {
    [amounts(), scopes_and_models(), spans_and_raises()].into_iter().flatten().collect()
}

#[test]
fn the_configuration_refuses_it_with_its_line_its_field_and_its_cure() {
    for Slip { what, written: (entry, field), .. } in slips() {
        let text = format!("allowances:\n  - {{ name: slip, {entry} }}\n");
        let problems = load(&text, "tollgate.yaml").expect_err(what);
        let path = if field.is_empty() { "allowances[0]" } else { &format!("allowances[0].{field}") };
        let found = problems.iter().find(|problem| problem.is_error() && problem.path.starts_with(path));
        let problem = found.unwrap_or_else(|| panic!("{what}: {problems:?}"));
        assert_eq!((problem.line, problem.column.is_some()), (Some(2), true), "{what}: {problem}");
        assert!(problem.rule.len() > 5 && problem.cure.len() > 5, "{what}: {problem}");
    }
}

#[test]
fn a_price_book_that_contradicts_itself_is_refused_with_its_place_and_its_cure() {
    let contract = |value: &str| (r#""contract": "1""#, format!(r#""contract": {value}"#));
    let rows = [
        (contract(r#""-1""#), "multipliers.contract: must not be negative"),
        (contract(r#""0""#), "multipliers.contract: must be more than 0"),
        (contract(r#""99999""#), "multipliers.contract: is larger than any"),
        (
            contract(
                r#"[{"value": "1"}, {"from": "2027-01-01", "value": "0.8"}, {"from": "2027-01-01", "value": "0.9"}]"#,
            ),
            "multipliers.contract[2].from: must be later than in the period before: the two overlap",
        ),
        (
            contract(
                r#"[{"value": "1"}, {"from": "2027-01-01", "value": "0.8"}, {"from": "2026-06-01", "value": "0.9"}]"#,
            ),
            "multipliers.contract[2].from: must be later than in the period before: periods stand in the order",
        ),
        ((r#""batch": "0.5""#, r#""batch": "0.5", "bulk": "0.5""#.to_owned()), "unknown field `bulk`"),
    ];
    for ((from, to), says) in rows {
        let text = PriceBook::builtin_text();
        assert!(text.contains(from), "{from}");
        let book = text.replacen(from, &to, 1);
        let problems = load_priced("prices: { file: book.json }", "t", |_| Some(book)).expect_err(says);
        assert_eq!((problems.len(), problems[0].path.as_str()), (1, "prices.file"));
        assert!(problems[0].rule.contains(says), "{}", problems[0]);
        assert!(problems[0].cure.contains("repair that file"), "{}", problems[0]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_admin_api_refuses_it_with_its_field_and_its_cure_and_records_nothing() {
    let house = House::open().await;
    for Slip { what, sent: (fields, field), .. } in slips() {
        let mut wish = json!({
            "name": "slip", "measure": "requests", "amount": 5,
            "span": { "period": { "period": "day", "calendar": {} } },
        });
        wish.as_object_mut().unwrap().append(&mut fields.as_object().unwrap().clone());
        let refused = house.admin("PUT", "/admin/v1/allowances/slip", Some(wish)).await;
        let error = &refused.json()["error"];
        match refused.status {
            // It can be no allowance: one sentence names the field, and where to read what it may hold.
            400 => {
                let message = error["message"].as_str().unwrap();
                assert!(message.contains(&format!("{field}: ")), "{what}: {message}");
                assert!(message.contains("openapi.json"), "{what}: {message}");
            }
            // It is one, and makes no sense.
            422 => {
                let problem = &error["problems"][0];
                assert_eq!(problem["field"], field, "{what}: {problem}");
                let says = |part: &str| problem[part].as_str().is_some_and(|text| text.len() > 4);
                assert!(says("rule") && says("cure"), "{what}: {problem}");
            }
            _ => panic!("{what}: {} {}", refused.status, refused.text()),
        }
    }
    assert!(house.entries("allowance_set").is_empty());
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_raise_that_makes_no_sense_changes_nothing() {
    let house = House::open().await;
    let wish = json!({
        "name": "month", "measure": "cost", "amount": 5_000_000_000_u64,
        "span": { "period": { "period": "month", "calendar": {} } },
    });
    assert_eq!(house.admin("PUT", "/admin/v1/allowances/month", Some(wish)).await.status, 201);
    let raise = async |body: Value| {
        let answer = house.admin("POST", "/admin/v1/allowances/month/raises", Some(body)).await;
        (answer.status, answer.text().to_string())
    };
    let at = |day: u32| format!("2099-12-{day:02}T00:00:00.000Z");
    let good = raise(json!({ "amount": 9, "from": at(1), "until": at(20) })).await;
    assert_eq!(good.0, 201, "{}", good.1);
    for (body, status, says) in [
        (json!({ "amount": 9, "from": at(10), "until": at(30) }), 422, "overlap"),
        (json!({ "amount": 9, "from": at(30), "until": at(25) }), 422, "ends after it begins"),
        (json!({ "amount": u64::MAX, "from": at(21), "until": at(30) }), 422, "at most"),
        (json!({ "amount": -9, "from": at(21), "until": at(30) }), 400, "amount: "),
        (json!({ "amount": 9, "from": at(21), "until": "2099-13-01" }), 400, "until: "),
    ] {
        let refused = raise(body.clone()).await;
        assert_eq!(refused.0, status, "{body}: {}", refused.1);
        assert!(refused.1.contains(says), "{body}: {}", refused.1);
    }
    assert_eq!(house.entries("allowance_set").len(), 2, "one for the allowance, one for the good raise");
    house.close().await;
}
