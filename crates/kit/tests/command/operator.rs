//! `tollgate setup` and `tollgate operator`: who may administer a gateway, and from where.

use crate::run::{Gateway, Ran, ran, run, text, tollgate};
use serde_json::Value;
use std::fs;

/// The address of the gateway's admin API.
fn address(gateway: &Gateway) -> String {
    let instance = fs::read_to_string(gateway.data().join("instance.json")).unwrap();
    let instance: Value = serde_json::from_str(&instance).unwrap();
    instance["admin"].as_str().unwrap().trim_start_matches("http://").to_owned()
}

/// Runs a command as an operator who cannot read the data folder.
fn as_operator(address: &str, token: &str, args: &[&str]) -> Ran {
    let mut command = tollgate(args);
    command.args(["--admin", address, "--data", "/nowhere"]).env("TOLLGATE_ADMIN_TOKEN", token);
    ran(command.output().unwrap())
}

#[test]
fn the_first_operator_is_made_with_the_code_of_the_start_and_only_once() {
    let gateway = Gateway::start("http://127.0.0.1:9");
    let line: Value = serde_json::from_str(&gateway.server.line("tollgate setup")).unwrap();
    let code = line["code"].as_str().unwrap().to_owned();
    let at = address(&gateway);
    let setup = |code: &str| run(&["setup", "--admin", &at, "--name", "ada", "--code", code, "--quiet"]);
    let wrong = setup("00000-00000-00000-00000");
    assert!(wrong.status != 0 && wrong.out.is_empty(), "{}", wrong.err);
    let made = setup(&code);
    assert_eq!((made.status, made.err.as_str()), (0, ""));
    let token = made.out.trim_end();
    assert!(token.starts_with("tga_"), "{token}");
    assert_ne!(setup(&code).status, 0, "a code is good once");

    let listed = as_operator(&at, token, &["operator", "list"]);
    assert!(listed.status == 0 && listed.out.contains("ada"), "{}", listed.err);
    assert!(!listed.out.contains(token), "{}", listed.out);
}

#[test]
fn operators_do_what_their_roles_allow_until_they_are_removed() {
    let gateway = Gateway::start("http://127.0.0.1:9");
    let at = address(&gateway);
    let create = |args: &[&str]| {
        let args: Vec<&str> =
            ["operator", "create"].iter().chain(args).chain(&["--quiet"]).copied().collect();
        let made = gateway.run(&args);
        assert_eq!((made.status, made.err.as_str()), (0, ""), "{args:?}");
        made.out.trim_end().to_owned()
    };
    let auditor = create(&["fin", "--role", "auditor", "--expires-in", "90d"]);
    let lead = create(&["lead", "--role", "team-admin", "--team", "red"]);
    create(&["bob", "--role", "developer", "--user", "bob", "--org", "labs"]);
    let table = gateway.run(&["operator", "list"]).out;
    for part in ["auditor", "admin of team red of org default", "developer bob of org labs"] {
        assert!(table.contains(part), "{part}: {table}");
    }

    let key = |token: &str, team: &str| as_operator(&at, token, &["key", "create", "--team", team]).status;
    assert_eq!(as_operator(&at, &auditor, &["usage", "report"]).status, 0);
    assert_eq!((key(&auditor, "red"), key(&lead, "red"), key(&lead, "blue")), (1, 0, 1));

    let rotated = gateway.run(&["operator", "rotate", "lead", "--quiet"]).out;
    assert_eq!((key(&lead, "red"), key(rotated.trim_end(), "red")), (3, 0));
    assert_eq!(gateway.run(&["operator", "remove", "lead"]).status, 0);
    assert_eq!(key(rotated.trim_end(), "red"), 3);
    assert_eq!(gateway.run(&["operator", "remove", "lead"]).status, 1);
}

#[test]
fn a_credential_is_taken_from_a_file_the_environment_or_the_data_folder() {
    let gateway = Gateway::start("http://127.0.0.1:9");
    let made = gateway.run(&["operator", "create", "ada", "--role", "admin", "--json"]);
    let made: Value = serde_json::from_str(&made.out).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    fs::write(&file, format!("{}\n", made["token"].as_str().unwrap())).unwrap();
    let list = ["operator", "list", "--json"];
    let with_file: Vec<&str> = list.iter().chain(&["--admin-token-file", text(&file)]).copied().collect();

    // A file comes before the environment, and both before the data folder, which still tells the address.
    let mut command = tollgate(&with_file);
    command.env("TOLLGATE_DATA", gateway.data()).env("TOLLGATE_ADMIN_TOKEN", "tga_wrong");
    assert_eq!(ran(command.output().unwrap()).status, 0);
    let mut command = tollgate(&list);
    command.env("TOLLGATE_DATA", gateway.data()).env("TOLLGATE_ADMIN_TOKEN", "tga_wrong");
    assert_eq!(ran(command.output().unwrap()).status, 3);
    assert_eq!(gateway.run(&list).status, 0);

    // The gateway's own credential is sent to nobody else.
    let elsewhere = gateway.run(&["operator", "list", "--admin", &address(&gateway)]);
    assert_eq!((elsewhere.status, elsewhere.out.as_str()), (2, ""));
    assert!(elsewhere.err.contains("TOLLGATE_ADMIN_TOKEN"), "{}", elsewhere.err);
    let silent = as_operator("127.0.0.1:1", "tga_x", &["operator", "list"]);
    assert!(silent.status == 3 && silent.err.contains("does not answer"), "{}", silent.err);
}

#[test]
fn options_that_a_role_has_no_use_for_are_refused() {
    for (args, says) in [
        (&["--role", "team-admin"][..], "--team"),
        (&["--role", "developer"], "--user"),
        (&["--role", "admin", "--team", "red"], "red"),
        (&["--role", "developer", "--user", "bob", "--team", "red"], "red"),
        (&["--role", "boss"], "boss"),
    ] {
        let args: Vec<&str> = ["operator", "create", "ada"].iter().chain(args).copied().collect();
        let folder = tempfile::tempdir().unwrap();
        fs::write(
            folder.path().join("instance.json"),
            r#"{"admin":"http://127.0.0.1:1","token":"canary","pid":4711}"#,
        )
        .unwrap();
        let mut command = tollgate(&args);
        let refused = ran(command.env("TOLLGATE_DATA", folder.path()).output().unwrap());
        assert!(refused.status == 2 && refused.err.contains(says), "{args:?}: {}", refused.err);
    }
}
