//! Row C6: what a request is for and who pays is written down with it, by rules, and whatever clients send.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use tollgate_acceptance::{Answer, Connection, House, Plan, client, post};
use tollgate_wire::header::{Row, TABLE};

const VERSION: &str = "anthropic-version: 2023-06-01";
const BODY: &str =
    r#"{"model":"claude-opus-5-5","max_tokens":16,"messages":[{"role":"user","content":"hi"}]}"#;
const RULES: &str = r#"
tags:
  - { name: app, header: X-App }
  - { name: app, value: web, on: { team: red } }
  - { name: stage, value: prod, on: { project: live } }
  - { name: stage, value: test }
cost_centres:
  - { cost_centre: "4711", on: { team: red, user: ann } }
  - { cost_centre: "4712", on: { team: red } }
  - { cost_centre: "4713", on: { user: ann } }
"#;

async fn house(config: &str) -> House {
    House::build(Plan { config: config.into(), ..Plan::default() }).await
}

/// Sends a request with a header line, or with none, whatever bytes it has.
async fn ask(house: &House, key: &str, line: &[u8]) -> Answer {
    let line = if line.is_empty() { Vec::new() } else { [line, b"\r\n"].concat() };
    let head =
        client::head("POST", "/v1/messages", &[&format!("x-api-key: {key}"), VERSION], Some(BODY.len()));
    let head = head.strip_suffix("\r\n").unwrap().as_bytes();
    let mut connection = Connection::open(house.address()).await;
    connection.send(&[head, &line, b"\r\n", BODY.as_bytes()].concat()).await;
    connection.answer().await.expect("an answer")
}

/// What the last admission and the last settlement say, which must be the same.
async fn attribution(house: &House, count: usize) -> (Value, Value) {
    let both = [house.wait_for("admitted", count).await, house.wait_for("settled", count).await];
    let [admitted, settled] = both.map(|mut entries| {
        let last = entries.pop().unwrap();
        (last["tags"].clone(), last["cost_centre"].clone())
    });
    assert_eq!(admitted, settled);
    settled
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_rule_that_fits_gives_the_tag_and_the_cost_centre() {
    let house = house(RULES).await;
    let rows = [
        (
            json!({ "team": "red", "user": "ann" }),
            "",
            json!({ "app": "web", "stage": "test" }),
            json!("4711"),
        ),
        (
            json!({ "team": "red", "user": "ann", "project": "live" }),
            "x-app: cli",
            json!({ "app": "cli", "stage": "prod" }),
            json!("4711"),
        ),
        (
            json!({ "team": "red", "user": "bob" }),
            "X-APP:cli",
            json!({ "app": "cli", "stage": "test" }),
            json!("4712"),
        ),
        (json!({ "team": "blue", "user": "ann" }), "", json!({ "stage": "test" }), json!("4713")),
        (json!({ "team": "blue" }), "x-application: cli", json!({ "stage": "test" }), Value::Null),
    ];
    let mut expected: BTreeMap<(String, String), u64> = BTreeMap::new();
    for (number, (wanted, header, tags, cost_centre)) in rows.iter().enumerate() {
        let key = house.mint(wanted.clone()).await.0;
        assert_eq!(ask(&house, &key, header.as_bytes()).await.status, 200, "{wanted}");
        assert_eq!(attribution(&house, number + 1).await, (tags.clone(), cost_centre.clone()), "{wanted}");
        *expected.entry((cost_centre.to_string(), tags["app"].to_string())).or_default() += 1;
    }
    let report = house.usage("cost_centre,tag:app").await;
    let reported = report.iter().map(|row| {
        ((row["cost_centre"].to_string(), row["tag:app"].to_string()), row["requests"].as_u64().unwrap())
    });
    assert_eq!(reported.collect::<BTreeMap<_, _>>(), expected);
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_clients_send_as_a_tag_is_made_harmless() {
    let house = house("tags:\n  - { name: app, header: x-app }\n").await;
    let key = house.key("red").await;
    let (long, cut) = (format!("x-app: {}", "\u{fc}".repeat(5000)), "\u{fc}".repeat(64));
    let rows: [(&[u8], Option<&str>); 10] = [
        (b"x-app: a, b;c=\"d\"", Some("a, b;c=\"d\"")),
        (b"x-app: =cmd|' /C calc'!A1", Some("=cmd|' /C calc'!A1")),
        (b"x-app:\t two\twords \t", Some("two?words")),
        // The control characters of Latin 1, which are text to HTTP.
        ("x-app: a\u{85}b\u{9b}c".as_bytes(), Some("a?b?c")),
        (b"x-app: {\"app\":null}\\", Some("{\"app\":null}\\")),
        (b"x-app: one\r\nx-app: two", Some("one")),
        (b"x-app: \xff\xfe", None),
        (b"x-app:   ", None),
        (b"x-app:", None),
        (long.as_bytes(), Some(&cut)),
    ];
    for (number, (line, tag)) in rows.iter().enumerate() {
        let shown = String::from_utf8_lossy(line);
        assert_eq!(ask(&house, &key, line).await.status, 200, "{shown}");
        let tags = tag.map_or(Value::Null, |tag| json!({ "app": tag }));
        assert_eq!(attribution(&house, number + 1).await.0, tags, "{shown}");
        let reported = house.usage("tag:app").await;
        assert!(reported.iter().any(|row| row["tag:app"] == json!(tag)), "{shown}: {reported:#?}");
    }
    // Control characters are none of HTTP, and nothing of them is written down.
    for line in
        [&b"x-app: a\x1b[31m"[..], b"x-app: a\0", b"x-app: a\rx-app: b", b"x-app: a\n b", b"x-app: \x7f"]
    {
        assert_eq!(ask(&house, &key, line).await.status, 400, "{}", String::from_utf8_lossy(line));
    }
    assert_eq!(house.entries("admitted").len(), rows.len());
    let one = house.admin("GET", "/admin/v1/usage?by=tag:app&tag=app:one", None).await.json();
    assert_eq!(one["rows"][0]["requests"], 1, "{one:#}");
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_keeps_the_attribution_that_it_entered_with() {
    let house =
        house("tags:\n  - { name: stage, value: test }\ncost_centres:\n  - { cost_centre: old }\n").await;
    let key = house.key("red").await;
    let streamed = BODY.replace("{\"model\"", "{\"stream\":true,\"model\"");
    let headers = [&format!("x-api-key: {key}"), VERSION, "x-simulator: events=20;pace_ms=20"];
    let head = client::head("POST", "/v1/messages", &headers, Some(streamed.len()));
    let mut running = Connection::open(house.address()).await;
    running.send(format!("{head}{streamed}").as_bytes()).await;
    running.until(b"message_start").await;
    let next = house.text.replace("value: test", "value: prod").replace("old", "new");
    house.reload(&next).await.unwrap();
    running.until(b"message_stop").await;
    assert_eq!(attribution(&house, 1).await, (json!({ "stage": "test" }), json!("old")));
    assert_eq!(post(house.address(), "/v1/messages", &headers[..2], BODY).await.status, 200);
    assert_eq!(attribution(&house, 2).await, (json!({ "stage": "prod" }), json!("new")));
    house.close().await;
}

/// The table of headers says which hold credentials; the configuration has a list of its own.
#[test]
fn no_header_that_holds_a_credential_can_be_made_a_tag() {
    let credentials: Vec<&Row> =
        TABLE.iter().filter(|row| row.why.to_ascii_lowercase().contains("credential")).collect();
    assert!(credentials.len() >= 10, "{}", credentials.len());
    for Row { name, .. } in credentials {
        for name in [(*name).to_owned(), name.to_ascii_uppercase()] {
            let text = format!("tags:\n  - {{ name: who, header: {name} }}\n");
            let Err(problems) = tollgate_config::load(&text, "test") else { panic!("{name} passes") };
            let shown: Vec<_> = problems.iter().map(ToString::to_string).collect();
            assert_eq!((problems.len(), problems[0].path.as_str()), (1, "tags[0].header"), "{shown:?}");
            assert!(
                shown[0].contains("credential") && problems[0].cure.contains("another header"),
                "{name}: {shown:?}"
            );
        }
    }
}
