//! `tollgate key`.

use crate::run::{Gateway, Simulator, message, ran, run, text, tollgate};
use serde_json::Value;
use std::fs;

#[test]
fn a_key_is_made_used_rotated_and_revoked() {
    let simulator = Simulator::start();
    let gateway = Gateway::start(&simulator.url);
    let made = gateway.run(&[
        "key",
        "create",
        "--team",
        "support",
        "--user",
        "helpdesk",
        "--model",
        "claude-opus-*",
        "--expires",
        "90d",
        "--note",
        "for the test",
    ]);
    assert_eq!(made.status, 0, "{}", made.err);
    let fact = |name: &str| {
        let line = made.out.lines().find(|line| line.starts_with(name)).unwrap();
        line[name.len()..].trim().to_owned()
    };
    let (id, secret) = (fact("key"), fact("secret"));
    assert!(secret.starts_with("tg_") && secret.len() > 40, "{secret}");
    assert!(fact("expires").len() == 19 && fact("models") == "claude-opus-*" && fact("user") == "helpdesk");
    assert!(made.err.contains("can not be shown again"), "{}", made.err);
    let status = |key: &str| message(&gateway.clients, key, "text=Hi.")[9..12].to_owned();
    assert_eq!(status(&secret), "200");

    let rotated = gateway.run(&["key", "rotate", &id, "--grace", "0s", "--quiet"]);
    assert_eq!((rotated.status, rotated.err.as_str()), (0, ""));
    let fresh = rotated.out.trim_end();
    assert_eq!((status(&secret), status(fresh)), ("401".to_owned(), "200".to_owned()));

    let listed: Vec<Value> = serde_json::from_str(&gateway.run(&["key", "list", "--json"]).out).unwrap();
    let listed = listed.iter().find(|key| key["rotated_from"] == id.as_str()).unwrap();
    let revoked = gateway.run(&["key", "revoke", listed["id"].as_str().unwrap()]);
    assert_eq!(revoked.status, 0, "{}", revoked.err);
    assert_eq!(status(fresh), "401");
    let table = gateway.run(&["key", "list"]).out;
    assert!(table.contains("revoked 20") && table.contains("support") && !table.contains(&secret), "{table}");
}

#[test]
fn a_new_key_can_be_read_by_programs() {
    let gateway = Gateway::start("http://127.0.0.1:9");
    assert_eq!(gateway.run(&["key", "list"]).out, "no keys\n");
    let made = gateway.run(&["key", "create", "--team", "a", "--org", "b", "--project", "c", "--json"]);
    let made: Value = serde_json::from_str(&made.out).unwrap();
    assert!(made["secret"].as_str().unwrap().starts_with("tg_"));
    assert_eq!((&made["key"]["org"], &made["key"]["project"]), (&"b".into(), &"c".into()));
    assert_eq!(made["key"]["expires_at"], Value::Null);
}

#[test]
fn what_the_gateway_refuses_is_told_as_it_says_it() {
    let gateway = Gateway::start("http://127.0.0.1:9");
    let nobody = "key_00000000000000000000000000";
    let rows: [(&[&str], i32, &str); 8] = [
        (&["create", "--team", "no spaces"], 2, "team"),
        (&["create", "--team", ""], 2, "team"),
        (&["create", "--team", "a", "--user", "../b"], 2, "user"),
        (&["create", "--team", "a", "--model", "a*b"], 2, "models"),
        (&["create", "--team", "a", "--expires", "0d"], 2, "expires_in_seconds"),
        (&["rotate", nobody, "--grace", "99w"], 2, "grace_seconds"),
        (&["revoke", nobody], 1, nobody),
        (&["revoke", "../usage?by=team"], 1, "no key has the id"),
    ];
    for (args, status, says) in rows {
        let args: Vec<&str> = ["key"].iter().chain(args).copied().collect();
        let refused = gateway.run(&args);
        assert_eq!((refused.status, refused.out.as_str()), (status, ""), "{args:?}: {}", refused.err);
        assert!(refused.err.contains(says), "{args:?}: {}", refused.err);
    }
}

#[test]
fn without_a_running_gateway_it_says_how_to_find_one() {
    let folder = tempfile::tempdir().unwrap();
    let data = text(folder.path());
    let missing = run(&["key", "list", "--data", data]);
    insta::assert_snapshot!(missing.shown(&[(data, "FOLDER")]));

    let instance = folder.path().join("instance.json");
    fs::write(&instance, r#"{"admin":"http://127.0.0.1:1","token":"canary","pid":4711}"#).unwrap();
    let gone = run(&["key", "list", "--data", data]);
    insta::assert_snapshot!(gone.shown(&[(data, "FOLDER")]));

    fs::write(&instance, r#"{"token":"canary"#).unwrap();
    let broken = run(&["usage", "report", "--data", data]);
    insta::assert_snapshot!(broken.shown(&[(data, "FOLDER")]));
}

#[test]
fn the_token_of_another_start_is_not_taken() {
    let gateway = Gateway::start("http://127.0.0.1:9");
    let own = fs::read_to_string(gateway.data().join("instance.json")).unwrap();
    let mut stale: Value = serde_json::from_str(&own).unwrap();
    stale["token"] = "0".repeat(64).into();
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("instance.json"), stale.to_string()).unwrap();
    let refused = ran(tollgate(&["key", "list", "--data", text(folder.path())]).output().unwrap());
    assert_eq!(refused.status, 3, "{}", refused.err);
    assert!(refused.err.contains("token"), "{}", refused.err);
}
