//! Rows C7 and D7: periods are closed into statements that stay as they are, costs are corrected beside the records, and
//! one person's data is given out.

use std::path::Path;

use serde_json::{Value, json};
use tollgate_acceptance::past::{MODEL, live_through};
use tollgate_acceptance::{Answer, House, Plan, post};
use tollgate_policy::entry::{Adjusted, Hash};
use tollgate_policy::price::PriceBook;
use tollgate_policy::unit::{NanoUsd, UnixMs};
use tollgate_store::ledger::Filter;
use tollgate_store::register::Signature;
use tollgate_store::{Options, PublicKey, Store};

fn plan(data: &Path, config: &str) -> Plan {
    Plan { data: Some(data.to_path_buf()), config: config.into(), ..Plan::default() }
}

async fn close(house: &House, period: &str) -> Answer {
    house.admin("POST", "/admin/v1/statements", Some(json!({ "period": period }))).await
}

fn message(answer: &Answer) -> String {
    answer.json()["error"]["message"].as_str().unwrap_or_default().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closed_period_is_stated_for_good_and_signed() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let costs = live_through(
        &data,
        &[
            ("2026-09-10T10:00:00.000Z", "red", "ann", Some("4711")),
            // In Berlin this is October already.
            ("2026-09-30T23:00:00.000Z", "red", "ann", Some("4711")),
            ("2026-10-05T10:00:00.000Z", "blue", "bob", None),
            ("2026-10-31T22:59:59.999Z", "blue", "bob", Some("4711")),
            ("2026-10-31T23:00:00.000Z", "blue", "bob", Some("4711")),
        ],
    );
    let house = House::build(plan(&data, "books: { time_zone: Europe/Berlin }\n")).await;
    for (period, status, word) in [
        ("2026-10", 409, "2026-09"),
        ("2099-01", 409, "ends at"),
        ("2026-13", 400, "month"),
        ("../../x", 400, "month"),
    ] {
        let answer = close(&house, period).await;
        assert_eq!(answer.status, status, "{period}: {}", answer.text());
        assert!(message(&answer).contains(word), "{period}: {}", message(&answer));
    }
    let dry = json!({ "period": "2026-09", "dry_run": true });
    let dry = house.admin("POST", "/admin/v1/statements", Some(dry)).await;
    assert_eq!((dry.status, &dry.json()["total"]["total_nano_usd"]), (200, &json!(costs[0].0)));
    assert!(house.entries("statement_closed").is_empty() && !data.join("statements").exists());

    let september = close(&house, "2026-09").await;
    assert_eq!(september.status, 201, "{}", september.text());
    let october = close(&house, "2026-10").await;
    assert_eq!(october.status, 201, "{}", october.text());
    for period in ["2026-09", "2026-10"] {
        assert_eq!(close(&house, period).await.status, 409, "it is closed");
    }
    let statement = october.json();
    assert_eq!(
        (&statement["from"], &statement["to"]),
        (&json!("2026-09-30T22:00:00.000Z"), &json!("2026-10-31T23:00:00.000Z"))
    );
    let total: i64 = costs[1..4].iter().map(|cost| cost.0).sum();
    assert_eq!(
        statement["total"],
        json!({ "requests": 3, "cost_nano_usd": total, "late_nano_usd": 0,
        "adjusted_nano_usd": 0, "total_nano_usd": total })
    );
    let centres: Vec<_> = statement["cost_centres"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| (one["cost_centre"].as_str(), one["total_nano_usd"].as_i64().unwrap()))
        .collect();
    assert_eq!(centres, [(None, costs[2].0), (Some("4711"), costs[1].0 + costs[3].0)]);
    assert_eq!(statement["after"], september.json()["upto"], "each begins where the one before ends");

    is_one_with_its_record(&house, &statement, total).await;
    house.close().await;
}

/// The file, its hash in the journal, its signature, and what the API shows are one; an altered file is not shown.
async fn is_one_with_its_record(house: &House, statement: &Value, total: i64) {
    let data = &house.data;
    let file = data.join("statements/2026-10.json");
    let text = std::fs::read_to_string(&file).unwrap();
    let shown = house.admin("GET", "/admin/v1/statements/2026-10", None).await;
    assert_eq!(shown.text(), text);
    assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), *statement);
    let closed = house.entries("statement_closed");
    assert_eq!(closed[1]["statement"], Hash::of(text.as_bytes()).to_string());
    assert_eq!((&closed[1]["by"], &closed[1]["total_nano_usd"]), (&json!("local-admin"), &json!(total)));
    let signature = house.admin("GET", "/admin/v1/statements/2026-10/signature", None).await.text();
    let signature: Signature = serde_json::from_str(&signature).unwrap();
    let public: PublicKey =
        std::fs::read_to_string(data.join("secrets/journal.pub")).unwrap().parse().unwrap();
    assert!(signature.verifies(&public, &text) && !signature.verifies(&public, &text.replace("bob", "eve")));
    let listed = house.admin("GET", "/admin/v1/statements?limit=1", None).await.json();
    assert_eq!((&listed["data"][0]["period"], &listed["next"]), (&json!("2026-09"), &json!("2026-09")));

    std::fs::write(&file, text.replace("bob", "eve")).unwrap();
    let altered = house.admin("GET", "/admin/v1/statements/2026-10", None).await;
    assert_eq!(altered.status, 500, "{}", altered.text());
    assert!(message(&altered).contains("altered"));
    assert_eq!(house.admin("GET", "/admin/v1/statements/2026-11", None).await.status, 404);
}

/// The built-in price book with one rate changed, under another version.
fn other_book(folder: &Path) -> String {
    let mut book: Value = serde_json::from_str(PriceBook::builtin_text()).unwrap();
    book["version"] = json!("corrected");
    let models = book["models"].as_array_mut().unwrap();
    let model = models.iter_mut().find(|model| model["model"] == MODEL).unwrap();
    for period in model["periods"].as_array_mut().unwrap() {
        period["usd_per_million"]["output"] = json!("1000.00");
    }
    let path = folder.join("prices.json");
    std::fs::write(&path, book.to_string()).unwrap();
    format!("prices:\n  file: {}\n", path.display())
}

#[tokio::test(flavor = "multi_thread")]
async fn costs_are_corrected_once_beside_records_that_stay() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let costs = live_through(
        &data,
        &[
            ("2026-10-05T10:00:00.000Z", "red", "ann", Some("4711")),
            ("2026-10-06T10:00:00.000Z", "blue", "bob", None),
            ("2026-11-01T10:00:00.000Z", "blue", "bob", None),
        ],
    );
    let house = House::build(plan(&data, "")).await;
    assert_eq!(close(&house, "2026-10").await.status, 201);
    let statement = std::fs::read(data.join("statements/2026-10.json")).unwrap();
    let wish = |dry_run: bool| {
        json!({ "from": "2026-10-01T00:00:00.000Z", "to": "2026-11-01T00:00:00.000Z",
            "reason": "a wrong rate", "dry_run": dry_run })
    };
    let rerate = async |house: &House, dry_run: bool| {
        house.admin("POST", "/admin/v1/adjustments", Some(wish(dry_run))).await
    };
    let same = rerate(&house, false).await;
    assert_eq!(
        (same.status, &same.json()["requests"], &same.json()["adjusted"]),
        (201, &json!(2), &json!(0))
    );
    house.close().await;

    let house = House::build(plan(&data, &other_book(folder.path()))).await;
    let dry = rerate(&house, true).await;
    assert_eq!((dry.status, &dry.json()["adjusted"]), (200, &json!(2)), "{}", dry.text());
    assert!(house.entries("adjusted").is_empty());
    let done = rerate(&house, false).await.json();
    assert_eq!((&done["adjusted"], &done["price_version"]), (&json!(2), &json!("corrected")));
    assert_eq!(rerate(&house, false).await.json()["adjusted"], 0, "it is corrected once");
    let adjusted = house.entries("adjusted");
    assert_eq!(adjusted.len(), 2);
    let new_cost = |place: usize| adjusted[place]["cost_nano_usd"].as_i64().unwrap();
    let difference = new_cost(0) - costs[0].0 + new_cost(1) - costs[1].0;
    assert_eq!(done["difference_nano_usd"], difference);
    assert_eq!((&adjusted[0]["by"], &adjusted[0]["reason"]), (&json!("local-admin"), &json!("a wrong rate")));
    // 100 output tokens at a thousand dollars a million, and the input as before.
    let input = costs[0].0 - (costs[1].0 - costs[0].0);
    assert_eq!(new_cost(0), input + 100_000_000);

    let request = adjusted[0]["request"].as_str().unwrap();
    let shown = house.admin("GET", &format!("/admin/v1/requests/{request}"), None).await.json();
    assert_eq!(
        (&shown["settled"]["cost_nano_usd"], &shown["cost_nano_usd"]),
        (&json!(costs[0].0), &json!(new_cost(0)))
    );
    assert_eq!(shown["adjustments"][0]["price_version"], "corrected");
    let listed = house.admin("GET", "/admin/v1/adjustments?limit=1", None).await.json();
    assert_eq!(
        (listed["data"].as_array().unwrap().len(), &listed["next"]),
        (1, &adjusted[0]["seq"].to_string().into())
    );
    let page =
        house.admin("GET", &format!("/admin/v1/adjustments?after={}", adjusted[0]["seq"]), None).await.json();
    assert_eq!((&page["data"][0]["request"], &page["next"]), (&adjusted[1]["request"], &Value::Null));
    let usage = house.usage("").await;
    let old: i64 = costs.iter().map(|cost| cost.0).sum();
    assert_eq!(
        (&usage[0]["cost_nano_usd"], &usage[0]["total_nano_usd"]),
        (&json!(old), &json!(old + difference))
    );
    assert_eq!(std::fs::read(data.join("statements/2026-10.json")).unwrap(), statement);
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn statements_begin_where_records_are_kept() {
    // In Berlin September begins before its records do.
    for (zone, first, stated) in [("UTC", "2026-09", 2..), ("Europe/Berlin", "2026-10", 3..)] {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        let costs = live_through(
            &data,
            &[
                ("2026-06-10T10:00:00.000Z", "red", "ann", None),
                ("2026-08-31T23:30:00.000Z", "red", "ann", None),
                ("2026-09-10T10:00:00.000Z", "red", "ann", None),
                ("2026-10-10T10:00:00.000Z", "red", "ann", None),
            ],
        );
        let now: UnixMs = "2026-11-01T00:00:00.000Z".parse().unwrap();
        let store = Store::open(&Options::new(&data), now).unwrap();
        assert_eq!(store.ledger.drop_raw_before("2026-09".parse().unwrap()), Ok(2));
        store.close(now).unwrap();

        let house = House::build(plan(&data, &format!("books: {{ time_zone: {zone} }}\n"))).await;
        assert_eq!(close(&house, "2026-06").await.status, 400, "its records are dropped");
        let mut total = 0;
        for period in ["2026-09", "2026-10"].into_iter().filter(|period| *period >= first) {
            let statement = close(&house, period).await;
            assert_eq!(statement.status, 201, "{zone} {period}: {}", statement.text());
            total += statement.json()["total"]["total_nano_usd"].as_i64().unwrap();
        }
        assert_eq!(total, costs[stated].iter().map(|cost| cost.0).sum::<i64>(), "{zone}");
        house.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_month_with_nothing_but_corrections_is_not_passed_over() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let costs = live_through(&data, &[("2026-08-05T10:00:00.000Z", "red", "ann", Some("4711"))]);
    // Made in September, and on record before August is closed.
    let corrected_at: UnixMs = "2026-09-10T10:00:00.000Z".parse().unwrap();
    let store = Store::open(&Options::new(&data), corrected_at).unwrap();
    let record = store.ledger.records(&Filter::default(), 0, 1).unwrap().remove(0);
    let correction = Adjusted {
        by: "finance".into(),
        request: record.request,
        settled: record.seq,
        booked_at: record.at,
        key: record.attribution.key,
        scope: record.attribution.scope,
        cost_centre: record.attribution.cost_centre,
        model: record.attribution.model,
        upstream: record.attribution.upstream,
        difference: NanoUsd(-7),
        cost: NanoUsd(costs[0].0 - 7),
        price_version: "corrected".into(),
        reason: "a wrong rate".into(),
    };
    store.register.adjust(vec![correction], corrected_at).unwrap();
    store.close(corrected_at).unwrap();

    let house = House::build(plan(&data, "")).await;
    assert_eq!(close(&house, "2026-08").await.json()["total"]["total_nano_usd"], costs[0].0);
    let october = close(&house, "2026-10").await;
    assert_eq!(october.status, 409, "{}", october.text());
    assert!(message(&october).contains("2026-09-10"), "{}", message(&october));
    assert_eq!(close(&house, "2026-09").await.json()["total"]["total_nano_usd"], -7);
    assert_eq!(close(&house, "2026-10").await.json()["total"]["total_nano_usd"], 0);
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_correction_that_makes_no_sense_is_refused_by_name() {
    let house = House::open().await;
    let instant = "2026-10-01T00:00:00.000Z";
    let wish = json!({ "from": instant, "to": "2026-11-01T00:00:00.000Z", "reason": "a wrong rate" });
    let rows = [
        ("reason", json!("")),
        ("reason", json!("x".repeat(300))),
        ("to", json!(instant)),
        ("from", json!("yesterday")),
        ("colour", json!("red")),
    ];
    for (field, value) in rows {
        let mut bad = wish.clone();
        bad[field] = value;
        let answer = house.admin("POST", "/admin/v1/adjustments", Some(bad)).await;
        assert!(answer.status == 400 && message(&answer).contains(field), "{}", answer.text());
    }
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_persons_data_is_given_out_whole_and_nobody_elses() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    live_through(
        &data,
        &[("2026-10-05T10:00:00.000Z", "red", "ann", None), ("2026-10-06T10:00:00.000Z", "red", "bob", None)],
    );
    let house = House::build(plan(
        &data,
        "allowances:\n  - { name: anns, on: { user: ann }, requests: 100, per: day, warn_at: [1] }\n",
    ))
    .await;
    let (ann, ann_id) =
        house.mint(json!({ "team": "blue", "user": "ann", "models": ["claude-haiku-*"] })).await;
    let (_, bob_id) = house.mint(json!({ "team": "blue", "user": "bob" })).await;
    let (_, namesake) = house.mint(json!({ "org": "other", "team": "blue", "user": "ann" })).await;
    let body =
        format!(r#"{{"model":"{MODEL}","max_tokens":16,"messages":[{{"role":"user","content":"hi"}}]}}"#);
    let headers = [&format!("x-api-key: {ann}"), "anthropic-version: 2023-06-01"];
    assert_eq!(
        post(house.address(), "/v1/messages", &headers, &body).await.status,
        403,
        "a denial is on record"
    );
    house.wait_for("denied", 1).await;
    let pause = json!({ "key": ann_id, "session": "s", "minutes": 5, "why": "because" });
    assert_eq!(house.admin("POST", "/admin/v1/sessions/pause", Some(pause)).await.status, 201);
    let body = body.replace(MODEL, "claude-haiku-4-5");
    assert_eq!(post(house.address(), "/v1/messages", &headers, body).await.status, 200);
    house.wait_for("threshold_passed", 1).await;
    let annie = json!({ "name": "annie", "role": { "developer": { "org": "default", "user": "ann" } } });
    assert_eq!(house.admin("POST", "/admin/v1/operators", Some(annie)).await.status, 201);
    assert_eq!(house.admin("DELETE", "/admin/v1/operators/annie", None).await.status, 200);
    let resume = json!({ "key": ann_id, "session": "s" });
    assert_eq!(house.admin("POST", "/admin/v1/sessions/resume", Some(resume)).await.status, 200);

    let export = house.admin("GET", "/admin/v1/people/default/ann/export", None).await;
    assert_eq!((export.status, export.header("content-type")), (200, Some("application/x-ndjson")));
    assert!(export.whole);
    let text = export.text();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let kinds: Vec<_> = lines.iter().map(|line| line["kind"].as_str().unwrap()).collect();
    let expected = [
        "person",
        "key",
        "allowance",
        "admitted",
        "settled",
        "key_created",
        "denied",
        "session_paused",
        "admitted",
        "settled",
        "threshold_passed",
        "operator_set",
        "operator_set",
        "session_resumed",
        "end",
    ];
    assert_eq!(kinds, expected);
    assert_eq!(lines.last().unwrap()["lines"], lines.len() - 1);
    assert_eq!((&lines[1]["id"], &lines[3]["peer"]), (&json!(ann_id), &json!("192.0.2.7:50123")));
    for foreign in [bob_id.as_str(), namesake.as_str(), "bob", "digest", &ann] {
        assert!(!text.contains(foreign), "{foreign} in {text}");
    }
    let nobody = house.admin("GET", "/admin/v1/people/default/nobody/export", None).await.text();
    assert_eq!(nobody.lines().count(), 2, "{nobody}");
    assert_eq!(house.admin("GET", "/admin/v1/people/default/a%20b/export", None).await.status, 400);
    house.close().await;
}
