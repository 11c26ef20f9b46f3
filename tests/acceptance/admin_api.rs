//! The admin API: its first operator, changes that are made once and undo nobody's work, lists in pages, allowances and
//! pauses that are in force at once.

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use tollgate_acceptance::{Answer, House, Plan, client, post};

use crate::roles::{call, operator};

const BODY: &str =
    r#"{"model":"claude-opus-5-5","max_tokens":16,"messages":[{"role":"user","content":"hi"}]}"#;
const VERSION: &str = "anthropic-version: 2023-06-01";

/// Calls the admin API as a local command would, with headers.
async fn local(house: &House, target: &str, headers: &[&str], body: Option<Value>) -> Answer {
    let instance = std::fs::read_to_string(house.data.join("instance.json")).unwrap();
    let instance: Value = serde_json::from_str(&instance).unwrap();
    call(house, instance["token"].as_str().unwrap(), target, headers, body.as_ref()).await
}

async fn ask(house: &House, key: &str, headers: &[&str]) -> Answer {
    let key = format!("x-api-key: {key}");
    let headers: Vec<&str> = [key.as_str(), VERSION].into_iter().chain(headers.iter().copied()).collect();
    post(house.address(), "/v1/messages", &headers, BODY).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_operator_is_made_once_with_a_code_that_ends_with_the_process() {
    let folder = tempfile::tempdir().unwrap();
    let plan = Plan { data: Some(folder.path().join("data")), ..Plan::default() };
    let house = House::build(plan.clone()).await;
    let setup = async |house: &House, code: &str| {
        let body = json!({ "code": code, "name": "ada" }).to_string();
        let head = client::head("POST", "/admin/v1/setup", &[], Some(body.len()));
        client::request(house.gateway.admin_address(), &head, body.as_bytes()).await.unwrap()
    };
    let old = house.gateway.setup_code().unwrap().to_string();
    house.close().await;

    let house = House::build(plan.clone()).await;
    let code = house.gateway.setup_code().unwrap().to_string();
    for wrong in ["", &old, &code[1..]] {
        assert_eq!(setup(&house, wrong).await.status, 401, "{wrong}");
    }
    let made = setup(&house, &code.to_lowercase()).await;
    assert_eq!(made.status, 201, "{}", made.text());
    assert_eq!(made.json()["operator"]["role"], "admin");
    let token = made.json()["token"].as_str().unwrap().to_owned();
    assert!(token.starts_with("tga_"));
    assert_eq!(call(&house, &token, "GET /admin/v1/state", &[], None).await.status, 200);
    assert_eq!(setup(&house, &code).await.status, 410);
    assert!(house.gateway.setup_code().is_none());
    assert_eq!(house.entries("operator_set")[0]["by"], "setup");
    house.close().await;

    let house = House::build(plan).await;
    assert!(house.gateway.setup_code().is_none());
    assert_eq!(setup(&house, &code).await.status, 410);
    assert_eq!(call(&house, &token, "GET /admin/v1/self", &[], None).await.json()["name"], "ada");
    house.close().await;
    assert_eq!(holds(folder.path(), &token) + holds(folder.path(), &code), 0, "neither is on the disk");
}

/// How many files below a folder hold a text.
fn holds(folder: &Path, text: &str) -> usize {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries
        .map(|path| match path.is_dir() {
            true => holds(&path, text),
            false => usize::from(String::from_utf8_lossy(&std::fs::read(&path).unwrap()).contains(text)),
        })
        .sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn codes_can_not_be_tried_out() {
    let house = House::open().await;
    let code = house.gateway.setup_code().unwrap().to_string();
    let mut last = Vec::new();
    for code in [["x"; 6].as_slice(), &[code.as_str()]].concat() {
        let wish = json!({ "code": code, "name": "eve" });
        last.push(call(&house, "", "POST /admin/v1/setup", &[], Some(&wish)).await);
    }
    let statuses: Vec<_> = last.iter().map(|answer| answer.status).collect();
    assert_eq!(statuses, [401, 401, 401, 401, 401, 429, 429]);
    assert_eq!(last[6].header("retry-after"), Some("60"));
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_is_sent_twice_is_done_once() {
    let house = House::open().await;
    let wish = json!({ "team": "red" });
    let key = "Idempotency-Key: 0b1f6f9e";
    let first = local(&house, "POST /admin/v1/keys", &[key], Some(wish.clone())).await;
    let again = local(&house, "POST /admin/v1/keys", &[key], Some(wish.clone())).await;
    assert_eq!((first.status, again.status), (201, 201));
    assert_eq!((first.text(), first.header("etag")), (again.text(), again.header("etag")));
    let replayed = |answer: &Answer| answer.header("idempotent-replayed").map(str::to_owned);
    assert_eq!((replayed(&first), replayed(&again).as_deref()), (None, Some("true")));
    assert_eq!(house.entries("key_created").len(), 1);

    let other = local(&house, "POST /admin/v1/keys", &[key], Some(json!({ "team": "blue" }))).await;
    assert_eq!(other.status, 422, "{}", other.text());
    // Keys are each caller's own.
    let ada = operator(&house, "ada", json!("admin")).await;
    let hers = call(&house, &ada, "POST /admin/v1/keys", &[key], Some(&wish)).await;
    assert_eq!((hers.status, replayed(&hers)), (201, None));
    assert_ne!(hers.text(), first.text());
    // What failed is not kept: it may be done yet.
    let key = "Idempotency-Key: second";
    let refused = local(&house, "POST /admin/v1/keys", &[key], Some(json!({}))).await;
    assert_eq!(refused.status, 400);
    assert_eq!(local(&house, "POST /admin/v1/keys", &[key], Some(json!({}))).await.status, 400);
    assert_eq!(local(&house, "POST /admin/v1/keys", &[key], Some(wish.clone())).await.status, 201);
    let long = format!("Idempotency-Key: {}", "x".repeat(300));
    assert_eq!(local(&house, "POST /admin/v1/keys", &[&long], Some(wish)).await.status, 400);
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_at_once_with_one_idempotency_key_make_one_key() {
    let house = House::open().await;
    let calls = (0..20).map(|_| async {
        local(&house, "POST /admin/v1/keys", &["Idempotency-Key: k"], Some(json!({ "team": "red" }))).await
    });
    let mut secrets = Vec::new();
    for answer in futures(calls.collect()).await {
        match answer.status {
            201 => secrets.push(answer.json()["secret"].as_str().unwrap().to_owned()),
            other => assert_eq!(other, 409, "{}", answer.text()),
        }
    }
    secrets.dedup();
    assert_eq!((secrets.len(), house.entries("key_created").len()), (1, 1));
    house.close().await;
}

/// Polls all of them together.
async fn futures<T>(futures: Vec<impl Future<Output = T>>) -> Vec<T> {
    let mut running: Vec<_> = futures.into_iter().map(|future| (Box::pin(future), None)).collect();
    std::future::poll_fn(|context| {
        for (future, done) in running.iter_mut().filter(|(_, done)| done.is_none()) {
            if let std::task::Poll::Ready(value) = future.as_mut().poll(context) {
                *done = Some(value);
            }
        }
        match running.iter().all(|(_, done)| done.is_some()) {
            true => std::task::Poll::Ready(()),
            false => std::task::Poll::Pending,
        }
    })
    .await;
    running.into_iter().filter_map(|(_, done)| done).collect()
}

fn allowance(name: &str, amount: u64) -> Value {
    let span = json!({ "period": { "period": "year", "calendar": {} } });
    json!({ "name": name, "on": { "team": "red" }, "measure": "requests", "amount": amount, "span": span })
}

#[tokio::test(flavor = "multi_thread")]
async fn an_allowance_is_in_force_when_the_answer_says_so() {
    let house = House::open().await;
    let (red, blue) = (house.key("red").await, house.key("blue").await);
    assert_eq!(ask(&house, &red, &[]).await.status, 200);
    let target = "PUT /admin/v1/allowances/two";
    let made = local(&house, target, &["If-None-Match: *"], Some(allowance("two", 2))).await;
    assert_eq!(made.status, 201, "{}", made.text());
    let standing = &made.json()["standing"];
    assert_eq!(
        (&standing[0]["used"], &standing[0]["amount"]),
        (&json!(1), &json!(2)),
        "the past counts: {standing}"
    );
    assert_eq!((ask(&house, &red, &[]).await.status, ask(&house, &red, &[]).await.status), (200, 429));
    assert_eq!(ask(&house, &blue, &[]).await.status, 200);

    let raise = json!({ "amount": 3, "until": "2099-01-01T00:00:00.000Z", "note": "launch" });
    let raised = local(&house, "POST /admin/v1/allowances/two/raises", &[], Some(raise)).await;
    assert_eq!(raised.status, 201, "{}", raised.text());
    assert_eq!((ask(&house, &red, &[]).await.status, ask(&house, &red, &[]).await.status), (200, 429));

    assert_eq!(local(&house, "DELETE /admin/v1/allowances/two", &[], None).await.status, 200);
    assert_eq!(ask(&house, &red, &[]).await.status, 200);
    let changes = house.entries("allowance_set");
    let amounts: Vec<_> =
        changes.iter().map(|change| (&change["before"]["amount"], &change["after"]["amount"])).collect();
    let (two, null) = (json!(2), Value::Null);
    assert_eq!(amounts, [(&null, &two), (&two, &two), (&two, &null)]);
    assert!(changes.iter().all(|change| change["by"] == "local-admin"));
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_undoes_work_that_they_have_not_seen() {
    let house = House::open().await;
    let set = async |headers: &[&str], amount: u64| {
        local(&house, "PUT /admin/v1/allowances/a", headers, Some(allowance("a", amount))).await
    };
    let first = set(&[], 5).await;
    assert_eq!(first.status, 201);
    let seen = format!("If-Match: {}", first.header("etag").unwrap());
    assert_eq!(format!("If-Match: {}", first.json()["etag"].as_str().unwrap()), seen);
    assert_eq!(set(&[], 6).await.status, 428, "say what you have seen");
    assert_eq!(set(&["If-None-Match: *"], 6).await.status, 412);
    assert_eq!(set(&[&seen], 6).await.status, 200);
    assert_eq!(set(&[&seen], 7).await.status, 412, "it has changed since");
    assert_eq!(set(&["If-Match: nonsense"], 7).await.status, 400);
    assert_eq!(local(&house, "DELETE /admin/v1/allowances/a", &[&seen], None).await.status, 412);

    let shown = local(&house, "GET /admin/v1/allowances/a", &[], None).await;
    assert_eq!(shown.json()["allowance"]["amount"], 6);
    let known = format!("If-None-Match: {}", shown.header("etag").unwrap());
    let unchanged = local(&house, "GET /admin/v1/allowances/a", &[&known], None).await;
    assert_eq!((unchanged.status, unchanged.body.len()), (304, 0));

    let (_, id) = house.mint(json!({ "team": "red" })).await;
    let key = local(&house, &format!("GET /admin/v1/keys/{id}"), &[], None).await;
    let seen = format!("If-Match: {}", key.header("etag").unwrap());
    let rotation = Some(json!({ "grace_seconds": 60 }));
    let rotated = local(&house, &format!("POST /admin/v1/keys/{id}/rotate"), &[&seen], rotation).await;
    assert_eq!(rotated.status, 201, "{}", rotated.text());
    assert_eq!(local(&house, &format!("POST /admin/v1/keys/{id}/revoke"), &[&seen], None).await.status, 412);
    assert!(house.entries("key_revoked").is_empty());
    // A protection that a call does not have is not pretended.
    let unguarded = local(&house, "POST /admin/v1/keys", &[&seen], Some(json!({ "team": "red" }))).await;
    assert_eq!(unguarded.status, 400, "{}", unguarded.text());
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_allowance_that_makes_no_sense_is_refused_with_every_reason_and_its_cure() {
    let config = "allowances:\n  - { name: fixed, requests: 100, per: day }\n";
    let house = House::build(Plan { config: config.into(), ..Plan::default() }).await;
    let mut wish = allowance("bad", 2_000_000_000_000_000_000);
    wish["models"] = json!(["claude-nobody-*"]);
    wish["warn_at"] = json!([0, 95, 95]);
    wish["measure"] = json!("concurrency");
    let until = "2026-01-01T00:00:00.000Z";
    wish["raises"] = json!([{ "amount": 1, "from": until, "until": until, "by": "ada" }]);
    let refused = local(&house, "PUT /admin/v1/allowances/bad", &[], Some(wish)).await;
    assert_eq!(refused.status, 422, "{}", refused.text());
    let problems = refused.json()["error"]["problems"].as_array().unwrap().clone();
    let mut fields: Vec<_> = problems.iter().map(|problem| problem["field"].as_str().unwrap()).collect();
    fields.dedup();
    assert_eq!(fields, ["amount", "span", "warn_at", "raises", "models"], "{problems:?}");
    let has_text = |value: &Value| value.as_str().is_some_and(|text| text.len() > 5);
    assert!(problems.iter().all(|problem| has_text(&problem["rule"]) && has_text(&problem["cure"])));

    let mut unknown_zone = allowance("bad", 5);
    unknown_zone["span"]["period"]["calendar"] = json!({ "zone": "Europe/Atlantis" });
    let mut unknown_level = allowance("bad", 5);
    unknown_level["each"] = json!("planet");
    let mut negative = allowance("bad", 5);
    negative["amount"] = json!(-1);
    for (wish, word) in [
        (unknown_zone, "IANA"),
        (unknown_level, "planet"),
        (negative, "amount"),
        (allowance("other", 5), "other"),
        (json!({ "name": "bad", "budget": 5 }), "budget"),
    ] {
        let refused = local(&house, "PUT /admin/v1/allowances/bad", &[], Some(wish)).await;
        assert_eq!(refused.status, 400, "{}", refused.text());
        assert!(refused.text().contains(word), "{word}: {}", refused.text());
    }
    let configured = local(&house, "PUT /admin/v1/allowances/fixed", &[], Some(allowance("fixed", 5))).await;
    assert_eq!(configured.status, 409, "{}", configured.text());
    assert_eq!(local(&house, "DELETE /admin/v1/allowances/fixed", &[], None).await.status, 409);
    assert_eq!(local(&house, "DELETE /admin/v1/allowances/none", &[], None).await.status, 404);
    assert!(house.entries("allowance_set").is_empty());
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_row_of_a_list_is_on_one_page() {
    let house = House::open().await;
    let mut made = Vec::new();
    for number in 0..7 {
        let user = if number % 2 == 0 { "ann" } else { "bob" };
        made.push((house.mint(json!({ "team": "red", "user": user })).await.1, user));
    }
    // By their ids, which need not rise within a millisecond.
    made.sort();
    let revoked = made.iter().position(|(_, user)| *user == "ann").unwrap();
    local(&house, &format!("POST /admin/v1/keys/{}/revoke", made[revoked].0), &[], None).await;
    let pages = async |query: &str| {
        let (mut seen, mut after) = (Vec::new(), String::new());
        for _ in 0..10 {
            let page =
                local(&house, &format!("GET /admin/v1/keys?limit=3{query}{after}"), &[], None).await.json();
            let rows = page["data"].as_array().unwrap();
            assert!(rows.len() <= 3);
            seen.extend(rows.iter().map(|row| row["id"].as_str().unwrap().to_owned()));
            match page["next"].as_str() {
                Some(next) => after = format!("&after={next}"),
                None => break,
            }
        }
        seen
    };
    let of = |user: &str| -> Vec<String> {
        made.iter().filter(|(_, owner)| user.is_empty() || *owner == user).map(|(id, _)| id.clone()).collect()
    };
    assert_eq!(pages("").await, of(""));
    assert_eq!(pages("&user=ann").await, of("ann"));
    assert_eq!(pages("&user=ann&state=active").await, of("ann")[1..]);
    assert_eq!(pages("&team=blue").await, of("nobody"));
    for bad in ["limit=0", "limit=1001", "limit=x", "after=nonsense", "state=lost", "colour=red"] {
        let answer = local(&house, &format!("GET /admin/v1/keys?{bad}"), &[], None).await;
        assert_eq!(answer.status, 400, "{bad}: {}", answer.text());
    }
    for number in 0..5 {
        let name = format!("a{number}");
        let target = format!("PUT /admin/v1/allowances/{name}");
        assert_eq!(local(&house, &target, &[], Some(allowance(&name, 5))).await.status, 201);
    }
    let page = local(&house, "GET /admin/v1/allowances?limit=2", &[], None).await.json();
    assert_eq!((page["data"].as_array().unwrap().len(), &page["next"]), (2, &json!("a1")));
    let rest = local(&house, "GET /admin/v1/allowances?after=a1", &[], None).await.json();
    assert_eq!((rest["data"].as_array().unwrap().len(), &rest["next"]), (3, &Value::Null));
    let report = local(&house, "GET /admin/v1/usage?by=team&limit=1", &[], None).await.json();
    assert_eq!((&report["rows"], &report["next"]), (&json!([]), &Value::Null));
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_a_person_pauses_is_told_why_and_goes_on_when_it_may() {
    let folder = tempfile::tempdir().unwrap();
    let plan = Plan { data: Some(folder.path().join("data")), ..Plan::default() };
    let house = House::build(plan.clone()).await;
    let (key, id) = house.mint(json!({ "team": "red" })).await;
    let session = "x-claude-code-session-id: s-1";
    assert_eq!(ask(&house, &key, &[session]).await.status, 200);
    let wish = json!({ "key": id, "session": "s-1", "minutes": 5, "why": "it runs in circles" });
    let paused = local(&house, "POST /admin/v1/sessions/pause", &[], Some(wish)).await;
    assert_eq!(paused.status, 201, "{}", paused.text());
    let refused = ask(&house, &key, &[session]).await;
    assert_eq!(refused.status, 429, "{}", refused.text());
    assert!(refused.text().contains("it runs in circles"), "{}", refused.text());
    assert_eq!(ask(&house, &key, &["x-claude-code-session-id: s-2"]).await.status, 200);
    house.close().await;

    let house = House::build(plan).await;
    assert_eq!(ask(&house, &key, &[session]).await.status, 429, "a restart does not let it go on");
    let listed = local(&house, "GET /admin/v1/sessions/paused", &[], None).await.json();
    assert_eq!(
        (&listed["data"][0]["session"], &listed["data"][0]["by"]),
        (&json!("s-1"), &json!("local-admin"))
    );
    let resume = json!({ "key": id, "session": "s-1" });
    let target = "POST /admin/v1/sessions/resume";
    assert_eq!(local(&house, target, &[], Some(resume.clone())).await.status, 200);
    assert_eq!(local(&house, target, &[], Some(resume)).await.status, 404);
    assert_eq!(ask(&house, &key, &[session]).await.status, 200);
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_call_of_this_api_is_refused_in_its_own_words() {
    let house = House::open().await;
    let rows = [
        ("GET /admin/v1/nothing", 404),
        ("PUT /admin/v1/keys", 405),
        ("GET /admin/v1/keys/%ff", 404),
        ("GET /admin/v1/prices?x=1", 400),
    ];
    for (target, status) in rows {
        let answer = local(&house, target, &[], None).await;
        assert_eq!(answer.status, status, "{target}: {}", answer.text());
        assert!(answer.json()["error"]["message"].as_str().is_some(), "{target}");
    }
    let plain = client::head("POST", "/admin/v1/keys", &[], None);
    let instance = std::fs::read_to_string(house.data.join("instance.json")).unwrap();
    let instance: Value = serde_json::from_str(&instance).unwrap();
    let bearer = format!("Authorization: Bearer {}\r\n", instance["token"].as_str().unwrap());
    for (fields, body, status) in [
        ("Content-Type: text/plain\r\nContent-Length: 14\r\n", "{\"team\":\"red\"}".to_owned(), 415),
        ("Content-Type: application/json\r\nContent-Length: 70000\r\n", "x".repeat(70_000), 413),
        ("Content-Type: application/json\r\nContent-Length: 2\r\n", "{]".to_owned(), 400),
    ] {
        let head = plain.replacen("\r\n\r\n", &format!("\r\n{bearer}{fields}\r\n"), 1);
        let answer = client::request(house.gateway.admin_address(), &head, body.as_bytes()).await.unwrap();
        assert_eq!(answer.status, status, "{fields}: {}", answer.text());
        assert_eq!(answer.header("cache-control"), Some("no-store"));
    }
    let served = local(&house, "GET /admin/v1/openapi.json", &[], None).await.json();
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/reference/admin-api.json");
    assert_eq!(served, serde_json::from_str::<Value>(&std::fs::read_to_string(page).unwrap()).unwrap());
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_reads_no_answer_holds_no_connection() {
    let house = House::open().await;
    let mut connection = client::Connection::open(house.gateway.admin_address()).await;
    connection.send(client::head("GET", "/metrics", &[], None).repeat(2).as_bytes()).await;
    let answer = connection.answer().await.unwrap();
    assert_eq!((answer.status, answer.header("connection")), (200, Some("close")));
    assert!(connection.answer().await.is_none(), "one answer each");
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_sends_no_body_holds_no_connection() {
    let house = House::open().await;
    // Whoever can connect may begin this call.
    let head = client::head("POST", "/admin/v1/setup", &["Content-Type: application/json"], Some(20));
    let mut connection = client::Connection::open(house.gateway.admin_address()).await;
    connection.send(format!("{head}{{").as_bytes()).await;
    let answer = tokio::time::timeout(Duration::from_secs(30), connection.answer()).await;
    let answer = answer.expect("an answer before patience ends").unwrap();
    assert_eq!(answer.status, 408, "{}", answer.text());
    assert!(connection.is_closed().await);
    house.close().await;
}
