//! Row B5: every route of the admin API, with every role and every bad credential; and what a role sees of what others
//! have.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use tollgate_acceptance::{Answer, House, Plan, client, post};

/// Who may call what, written down here a second time: a for admins, u for auditors, t for team admins, d for
/// developers. Nothing else may be there.
const MATRIX: &[(&str, &str)] = &[
    ("GET /admin/v1/keys", "autd"),
    ("POST /admin/v1/keys", "at"),
    ("POST /admin/v1/keys/import", "at"),
    ("GET /admin/v1/keys/{id}", "autd"),
    ("POST /admin/v1/keys/{id}/rotate", "atd"),
    ("POST /admin/v1/keys/{id}/revoke", "at"),
    ("GET /admin/v1/self", "autd"),
    ("GET /admin/v1/operators", "au"),
    ("POST /admin/v1/operators", "a"),
    ("POST /admin/v1/operators/{name}/rotate", "a"),
    ("DELETE /admin/v1/operators/{name}", "a"),
    ("GET /admin/v1/allowances", "aut"),
    ("GET /admin/v1/allowances/{name}", "aut"),
    ("PUT /admin/v1/allowances/{name}", "at"),
    ("DELETE /admin/v1/allowances/{name}", "at"),
    ("POST /admin/v1/allowances/{name}/raises", "at"),
    ("GET /admin/v1/sessions/paused", "aut"),
    ("POST /admin/v1/sessions/pause", "at"),
    ("POST /admin/v1/sessions/resume", "at"),
    ("GET /admin/v1/usage", "autd"),
    ("GET /admin/v1/requests/{id}", "autd"),
    ("GET /admin/v1/people/{org}/{user}/export", "au"),
    ("GET /admin/v1/prices", "aut"),
    ("GET /admin/v1/prices/{model}", "aut"),
    ("GET /admin/v1/statements", "au"),
    ("POST /admin/v1/statements", "a"),
    ("GET /admin/v1/statements/{period}", "au"),
    ("GET /admin/v1/statements/{period}/signature", "au"),
    ("GET /admin/v1/adjustments", "au"),
    ("POST /admin/v1/adjustments", "a"),
    ("GET /admin/v1/state", "au"),
    ("GET /admin/v1/openapi.json", "autd"),
];

/// Calls the admin API with a credential.
pub(crate) async fn call(
    house: &House,
    token: &str,
    call: &str,
    headers: &[&str],
    body: Option<&Value>,
) -> Answer {
    let (method, target) = call.split_once(' ').unwrap();
    let bearer = format!("Authorization: Bearer {token}");
    let mut all = vec![bearer.as_str()];
    all.extend(headers);
    let body = body.map(Value::to_string);
    let head = client::head(method, target, &all, body.as_ref().map(String::len));
    client::request(house.gateway.admin_address(), &head, body.unwrap_or_default().as_bytes()).await.unwrap()
}

/// Makes an operator and gives their token.
pub(crate) async fn operator(house: &House, name: &str, role: Value) -> String {
    let wish = json!({ "name": name, "role": role });
    let answer = house.admin("POST", "/admin/v1/operators", Some(wish)).await;
    assert_eq!(answer.status, 201, "{}", answer.text());
    answer.json()["token"].as_str().unwrap().to_owned()
}

fn team_admin(team: &str) -> Value {
    json!({ "team_admin": { "org": "default", "team": team } })
}

fn developer(user: &str) -> Value {
    json!({ "developer": { "org": "default", "user": user } })
}

/// A call of this route that changes nothing, whoever makes it.
fn harmless(route: &str) -> (String, Option<Value>) {
    let route = route
        .replace("{id}", "key_00000000000000000000000000")
        .replace("{name}", "nobody")
        .replace("{org}", "default")
        .replace("{user}", "nobody")
        .replace("{model}", "claude-opus-5")
        .replace("{period}", "1999-01");
    let takes_body = route.starts_with("POST") || route.starts_with("PUT");
    (route, takes_body.then(|| json!({})))
}

#[tokio::test(flavor = "multi_thread")]
async fn every_route_is_open_to_the_roles_it_names_and_to_nobody_else() {
    let house = House::open().await;
    let tokens = [
        ('a', operator(&house, "ada", json!("admin")).await),
        ('u', operator(&house, "una", json!("auditor")).await),
        ('t', operator(&house, "tim", team_admin("red")).await),
        ('d', operator(&house, "dora", developer("dora")).await),
    ];
    let described = house.admin("GET", "/admin/v1/openapi.json", None).await.json();
    let mut routes: Vec<String> = Vec::new();
    for (path, item) in described["paths"].as_object().unwrap() {
        routes.extend(item.as_object().unwrap().keys().map(|verb| format!("{} {path}", verb.to_uppercase())));
    }
    let expected: BTreeMap<&str, &str> =
        MATRIX.iter().copied().chain([("POST /admin/v1/setup", "")]).collect();
    routes.sort();
    let mut names: Vec<_> = expected.keys().copied().collect();
    names.sort_unstable();
    assert_eq!(routes, names, "every route is in the matrix");
    for (route, roles) in MATRIX {
        let (target, body) = harmless(route);
        for (role, token) in &tokens {
            let answer = call(&house, token, &target, &[], body.as_ref()).await;
            let may = roles.contains(*role);
            assert_eq!(answer.status == 403, !may, "{route} as {role}: {} {}", answer.status, answer.text());
            assert!(answer.status != 401 && answer.status < 500, "{route} as {role}: {}", answer.text());
        }
    }
    assert_eq!(house.entries("operator_set").len(), 4, "nothing was changed");
    assert!(house.entries("key_created").is_empty() && house.entries("allowance_set").is_empty());
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_route_refuses_every_bad_credential() {
    let house = House::open().await;
    let stranger = House::open().await;
    let foreign = operator(&stranger, "ada", json!("admin")).await;
    let removed = operator(&house, "gone", json!("admin")).await;
    assert_eq!(house.admin("DELETE", "/admin/v1/operators/gone", None).await.status, 200);
    let rotated = operator(&house, "rose", json!("admin")).await;
    let fresh = house.admin("POST", "/admin/v1/operators/rose/rotate", None).await.json();
    let expiring = json!({ "name": "brief", "role": "admin", "expires_in_seconds": 1 });
    let expired = house.admin("POST", "/admin/v1/operators", Some(expiring)).await.json();
    let expired = expired["token"].as_str().unwrap().to_owned();
    let (virtual_key, _) = house.mint(json!({ "team": "red" })).await;
    for _ in 0..300 {
        if call(&house, &expired, "GET /admin/v1/self", &[], None).await.status == 401 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    let forged = format!("{}0", &foreign[..foreign.len() - 1]);
    let long = "a".repeat(8000);
    let bad = ["", "null", &forged, &foreign, &removed, &rotated, &expired, &virtual_key, &long];
    for (route, _) in MATRIX {
        let (target, body) = harmless(route);
        for token in bad {
            let answer = call(&house, token, &target, &[], body.as_ref()).await;
            assert_eq!(answer.status, 401, "{route} with {token:.12}: {}", answer.text());
            assert_eq!(answer.error_type(), "authentication_error");
            assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
        }
        let (method, path) = target.split_once(' ').unwrap();
        for headers in [&[][..], &["Authorization: Basic YTpi"], &["x-api-key: x"]] {
            let head = client::head(method, path, headers, None);
            let answer = client::request(house.gateway.admin_address(), &head, b"").await.unwrap();
            assert_eq!(answer.status, 401, "{route} with {headers:?}");
        }
    }
    let fresh = fresh["token"].as_str().unwrap();
    assert_eq!(call(&house, fresh, "GET /admin/v1/self", &[], None).await.json()["name"], "rose");
    house.close().await;
    stranger.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_team_admin_has_the_keys_of_one_team_and_no_others() {
    let house = House::open().await;
    let tim = operator(&house, "tim", team_admin("red")).await;
    let (_, red) = house.mint(json!({ "team": "red", "user": "ann" })).await;
    let (_, blue) = house.mint(json!({ "team": "blue" })).await;
    let (_, other_red) = house.mint(json!({ "org": "other", "team": "red" })).await;
    let made = call(&house, &tim, "POST /admin/v1/keys", &[], Some(&json!({ "team": "red" }))).await;
    assert_eq!(made.status, 201, "{}", made.text());
    for wish in [json!({ "team": "blue" }), json!({ "org": "other", "team": "red" })] {
        let answer = call(&house, &tim, "POST /admin/v1/keys", &[], Some(&wish)).await;
        assert_eq!(answer.status, 403, "{wish}: {}", answer.text());
    }
    let listed = call(&house, &tim, "GET /admin/v1/keys", &[], None).await.json();
    let mut seen: Vec<_> = listed["data"].as_array().unwrap().iter().map(|key| &key["id"]).collect();
    seen.sort_by_key(|id| id.as_str());
    assert_eq!(seen, [&json!(red), &made.json()["key"]["id"]]);
    for foreign in [&blue, &other_red] {
        let rotation = json!({ "grace_seconds": 0 });
        let calls = [
            (format!("GET /admin/v1/keys/{foreign}"), None),
            (format!("POST /admin/v1/keys/{foreign}/rotate"), Some(&rotation)),
            (format!("POST /admin/v1/keys/{foreign}/revoke"), None),
        ];
        for (target, body) in calls {
            let answer = call(&house, &tim, &target, &[], body).await;
            assert_eq!(answer.status, 404, "{target}: {}", answer.text());
        }
        let pause = json!({ "key": foreign, "session": "s", "minutes": 5, "why": "x" });
        assert_eq!(call(&house, &tim, "POST /admin/v1/sessions/pause", &[], Some(&pause)).await.status, 404);
    }
    let target = format!("POST /admin/v1/keys/{red}/rotate");
    let rotated = call(&house, &tim, &target, &[], Some(&json!({ "grace_seconds": 0 }))).await;
    assert_eq!(rotated.status, 201, "{}", rotated.text());
    assert_eq!(house.entries("key_rotated")[0]["by"], "tim", "changes are signed");
    house.close().await;
}

const BODY: &str =
    r#"{"model":"claude-opus-5-5","max_tokens":16,"messages":[{"role":"user","content":"hi"}]}"#;

#[tokio::test(flavor = "multi_thread")]
async fn each_sees_the_use_that_is_theirs() {
    let house = House::open().await;
    let scopes = [
        ("ann", json!({ "team": "red", "user": "ann" })),
        ("ann", json!({ "team": "blue", "user": "ann" })),
        ("bob", json!({ "team": "red", "user": "bob" })),
        ("ann", json!({ "org": "other", "team": "red", "user": "ann" })),
    ];
    let mut ids = Vec::new();
    for (_, scope) in &scopes {
        let (key, id) = house.mint(scope.clone()).await;
        let headers = [&format!("x-api-key: {key}"), "anthropic-version: 2023-06-01"];
        let answer = post(house.address(), "/v1/messages", &headers, BODY).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        ids.push((id, answer.header("x-tollgate-request-id").unwrap().to_owned()));
    }
    let rows = [
        (operator(&house, "una", json!("auditor")).await, vec![0, 1, 2, 3]),
        (operator(&house, "tim", team_admin("red")).await, vec![0, 2]),
        (operator(&house, "annie", developer("ann")).await, vec![0, 1]),
        (operator(&house, "carl", developer("carl")).await, vec![]),
    ];
    for (token, expected) in rows {
        let report = call(&house, &token, "GET /admin/v1/usage?by=key", &[], None).await.json();
        let mut seen: Vec<_> = report["rows"]
            .as_array()
            .unwrap()
            .iter()
            .map(|row| row["key"].as_str().unwrap().to_owned())
            .collect();
        seen.sort();
        let mut wanted: Vec<_> = expected.iter().map(|place| ids[*place].0.clone()).collect();
        wanted.sort();
        assert_eq!(seen, wanted);
        // What one asks for narrows what one sees, and never widens it.
        let other = call(&house, &token, "GET /admin/v1/usage?by=key&org=other", &[], None).await.json();
        assert_eq!(other["rows"].as_array().unwrap().len(), usize::from(expected.contains(&3)));
        for (place, (_, request)) in ids.iter().enumerate() {
            let answer = call(&house, &token, &format!("GET /admin/v1/requests/{request}"), &[], None).await;
            let status = if expected.contains(&place) { 200 } else { 404 };
            assert_eq!(answer.status, status, "{place}: {}", answer.text());
        }
    }
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_developer_rotates_their_own_keys() {
    let house = House::open().await;
    let dora = operator(&house, "dora", developer("dora")).await;
    let (_, own) = house.mint(json!({ "team": "red", "user": "dora" })).await;
    let (_, other) = house.mint(json!({ "team": "red", "user": "ann" })).await;
    let rotation = json!({ "grace_seconds": 60 });
    let rotate = |id: String| {
        let (house, dora, rotation) = (&house, &dora, &rotation);
        async move {
            call(house, dora, &format!("POST /admin/v1/keys/{id}/rotate"), &[], Some(rotation)).await.status
        }
    };
    assert_eq!((rotate(own.clone()).await, rotate(other).await), (201, 404));
    let listed = call(&house, &dora, "GET /admin/v1/keys", &[], None).await.json();
    let states: Vec<_> = listed["data"].as_array().unwrap().iter().map(|key| &key["state"]).collect();
    assert_eq!(states, ["grace", "active"]);
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rotating_a_key_gives_nobody_a_fresh_allowance() {
    let folder = tempfile::tempdir().unwrap();
    let config = "allowances:\n  - { name: each, each: key, requests: 3, per: day }\n";
    let plan = Plan { config: config.into(), data: Some(folder.path().join("data")), ..Plan::default() };
    let house = House::build(plan.clone()).await;
    let dora = operator(&house, "dora", developer("dora")).await;
    let (first, first_id) = house.mint(json!({ "team": "red", "user": "dora" })).await;
    let ask = async |house: &House, key: &str| {
        let headers = [&format!("x-api-key: {key}"), "anthropic-version: 2023-06-01"];
        post(house.address(), "/v1/messages", &headers, BODY).await.status
    };
    let rotate = async |house: &House, id: &str| {
        let target = format!("POST /admin/v1/keys/{id}/rotate");
        let rotated = call(house, &dora, &target, &[], Some(&json!({ "grace_seconds": 600 }))).await.json();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        (text(&rotated["secret"]), text(&rotated["key"]["id"]))
    };
    assert_eq!(ask(&house, &first).await, 200);
    let (second, second_id) = rotate(&house, &first_id).await;
    assert_eq!(ask(&house, &second).await, 200);
    let (third, third_id) = rotate(&house, &second_id).await;
    assert_eq!((ask(&house, &third).await, ask(&house, &third).await), (200, 429), "three, and no more");
    assert_eq!(ask(&house, &first).await, 429, "the one that it replaces shares them");
    house.close().await;

    // What binds one of them binds the line, and all of its use counts.
    let house = House::build(plan).await;
    assert_eq!(ask(&house, &third).await, 429, "a restart counts what they used together");
    let by_id = allowance("by-id", json!({ "key": third_id }), 5);
    let set = house.admin("PUT", "/admin/v1/allowances/by-id", Some(by_id)).await;
    assert_eq!((set.status, &set.json()["standing"][0]["used"]), (201, &json!(3)), "{}", set.text());
    house.close().await;
}

fn allowance(name: &str, on: Value, amount: u64) -> Value {
    let span = json!({ "period": { "period": "day", "calendar": {} } });
    json!({ "name": name, "on": on, "measure": "requests", "amount": amount, "span": span })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_team_admin_grants_within_the_team_and_never_raises_what_binds_it_from_above() {
    let config =
        "allowances:\n  - { name: fixed, on: { org: default, team: red }, requests: 100, per: day }\n";
    let house = House::build(Plan { config: config.into(), ..Plan::default() }).await;
    let (tim, una) = (
        operator(&house, "tim", team_admin("red")).await,
        operator(&house, "tina", team_admin("blue")).await,
    );
    let team = json!({ "org": "default", "team": "red" });
    let path = |name: &str| format!("PUT /admin/v1/allowances/{name}");
    let granted = allowance("granted", team.clone(), 50);
    assert_eq!(house.admin("PUT", "/admin/v1/allowances/granted", Some(granted.clone())).await.status, 201);

    let own = allowance("own", json!({ "org": "default", "team": "red", "user": "ann" }), 5);
    let made = call(&house, &tim, &path("own"), &[], Some(&own)).await;
    assert_eq!(made.status, 201, "{}", made.text());
    let etag = format!("If-Match: {}", made.header("etag").unwrap());
    let more = allowance("own", team.clone(), 9);
    assert_eq!(call(&house, &tim, &path("own"), &[&etag], Some(&more)).await.status, 200);

    for (name, on) in [
        ("w1", json!({})),
        ("w2", json!({ "team": "red" })),
        ("w3", json!({ "org": "default" })),
        ("w4", json!({ "org": "default", "team": "blue" })),
        ("w5", json!({ "org": "other", "team": "red" })),
    ] {
        let answer = call(&house, &tim, &path(name), &[], Some(&allowance(name, on.clone(), 5))).await;
        assert_eq!(answer.status, 403, "{on}: {}", answer.text());
    }
    // What exists is not widened beyond the team, nor is what came from above touched.
    let shown = call(&house, &tim, "GET /admin/v1/allowances/own", &[], None).await;
    let etag = format!("If-Match: {}", shown.header("etag").unwrap());
    let wide = allowance("own", json!({ "org": "default" }), 9);
    assert_eq!(call(&house, &tim, &path("own"), &[&etag], Some(&wide)).await.status, 403);
    let raise = json!({ "amount": 1000, "until": "2099-01-01T00:00:00.000Z" });
    for (name, status) in [("granted", 403), ("fixed", 409)] {
        let shown = call(&house, &tim, &format!("GET /admin/v1/allowances/{name}"), &[], None).await;
        assert_eq!(shown.status, 200, "a team admin sees what binds the team");
        let etag = format!("If-Match: {}", shown.header("etag").unwrap());
        let lavish = allowance(name, team.clone(), 1000);
        let calls = [
            call(&house, &tim, &path(name), &[&etag], Some(&lavish)).await,
            call(&house, &tim, &format!("DELETE /admin/v1/allowances/{name}"), &[&etag], None).await,
            call(&house, &tim, &format!("POST /admin/v1/allowances/{name}/raises"), &[], Some(&raise)).await,
        ];
        for answer in calls {
            assert_eq!(answer.status, status, "{name}: {}", answer.text());
        }
    }
    // Another team's admin does not even see it, nor what is on a key of this one.
    let (_, key) = house.mint(json!({ "team": "red" })).await;
    let on_key = allowance("on-key", json!({ "key": key }), 5);
    assert_eq!(house.admin("PUT", "/admin/v1/allowances/on-key", Some(on_key)).await.status, 201);
    for name in ["own", "on-key"] {
        for verb in ["GET", "DELETE"] {
            let target = format!("{verb} /admin/v1/allowances/{name}");
            assert_eq!(call(&house, &una, &target, &[], None).await.status, 404, "{target}");
        }
    }
    for (token, expected) in [(&una, vec![]), (&tim, vec!["fixed", "granted", "on-key", "own"])] {
        let listed = call(&house, token, "GET /admin/v1/allowances", &[], None).await.json();
        let listed = listed["data"].as_array().unwrap().iter();
        let names: Vec<_> = listed.map(|one| one["allowance"]["name"].as_str().unwrap()).collect();
        assert_eq!(names, expected);
    }
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_grant_is_signed_by_who_makes_it_and_a_name_lends_no_power() {
    let house = House::open().await;
    let tim = operator(&house, "tim", team_admin("red")).await;
    let team = json!({ "org": "default", "team": "red" });
    let path = |name: &str| format!("PUT /admin/v1/allowances/{name}");
    let mut signed = allowance("own", team.clone(), 9);
    // A raise is signed by who grants it, whatever the body says.
    signed["raises"] = json!([{ "amount": 12, "from": "2026-01-01T00:00:00.000Z",
        "until": "2099-01-01T00:00:00.000Z", "by": "the-chief" }]);
    let answer = call(&house, &tim, &path("own"), &[], Some(&signed)).await;
    assert_eq!(answer.json()["allowance"]["raises"][0]["by"], "tim", "{}", answer.text());
    // Whoever takes the name of a former admin takes none of the admin's powers.
    operator(&house, "kim", json!("admin")).await;
    let kim = house.admin("POST", "/admin/v1/operators/kim/rotate", None).await.json();
    let kim = kim["token"].as_str().unwrap();
    let by_kim = allowance("kims", team.clone(), 5);
    assert_eq!(call(&house, kim, &path("kims"), &[], Some(&by_kim)).await.status, 201);
    assert_eq!(house.admin("DELETE", "/admin/v1/operators/kim", None).await.status, 200);
    let kim = operator(&house, "kim", team_admin("red")).await;
    let answer = call(&house, &kim, "DELETE /admin/v1/allowances/kims", &[], None).await;
    assert_eq!(answer.status, 403, "{}", answer.text());
    house.close().await;
}
