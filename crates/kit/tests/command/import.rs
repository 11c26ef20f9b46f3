//! `tollgate import`.

use crate::run::{Server, Simulator, ran, run, run_with_input, text, tollgate};
use serde_json::Value;
use std::{
    fs,
    io::{Read, Write},
    net::TcpStream,
    path::Path,
};

fn fixture(name: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/import").join(name).display().to_string()
}

#[test]
fn the_proxy_of_a_company_comes_over_and_what_does_not_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("tollgate.yaml");
    let [config, teams, keys] = ["litellm.yaml", "teams.json", "keys.json"].map(fixture);
    let args = ["import", "litellm", &config, "--teams", &teams, "--keys", &keys, "--out", text(&out)];
    let made = run(&args);
    let document = fs::read_to_string(&out).unwrap();
    let shown = made.shown(&[(&config, "config"), (&teams, "teams"), (&keys, "keys"), (text(&out), "out")]);
    assert_eq!(made.status, 0, "{shown}");
    insta::assert_snapshot!("litellm_report", shown);
    let fixtures = fixture("");
    insta::assert_snapshot!("litellm_document", document.replace(&fixtures, ""));
    assert!(!shown.contains("canary") && !document.contains("canary"));
    let checked = run(&["config", "check", text(&out)]);
    assert_eq!(checked.status, 0, "{}", checked.shown(&[]));
    let again = run(&args);
    assert_eq!(again.status, 2);
    assert!(again.err.contains("--force"), "{}", again.err);
    assert_eq!(run(&[&args[..], &["--force", "-q"]].concat()).status, 0);
}

#[test]
fn the_file_of_a_claude_apps_gateway_comes_over() {
    let config = fixture("gateway.yaml");
    let made = run(&["import", "claude-gateway", &config, "--out", "-"]);
    assert_eq!(made.status, 0, "{}", made.err);
    insta::assert_snapshot!(made.shown(&[(&config, "gateway.yaml")]));
    assert!(!made.shown(&[]).contains("canary"));
    let checked = run_with_input(&["config", "check", "-"], &made.out);
    assert_eq!(checked.status, 0, "{}", checked.shown(&[]));
}

#[test]
fn the_status_says_how_it_went() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, what: &str| {
        let path = folder.path().join(name);
        fs::write(&path, what).unwrap();
        text(&path).to_owned()
    };
    let good = fixture("litellm.yaml");
    let [broken, huge] = [file("broken.yaml", "model_list: ["), file("huge.yaml", &"#\n".repeat(3 << 20))];
    // A size that no document takes.
    let limit = "general_settings:\n  max_request_size_mb: 0.0001\n";
    let odd = file(
        "odd.yaml",
        &format!("model_list:\n- model_name: a\n  litellm_params: {{ model: claude-a }}\n{limit}"),
    );
    let out = text(&folder.path().join("out.yaml")).to_owned();
    let rows: [(&[&str], i32, &str); 9] = [
        (&[&good, "--out", &out], 0, "is written"),
        (&[&good, "--out", "-"], 0, "upstream:"),
        (&[&good], 2, "--out"),
        (&[&good, "--apply"], 2, "--keys"),
        (&[&good, "--out", "-", "--format", "json"], 2, "standard output"),
        (&[&broken, "--out", "-"], 1, "broken.yaml:1:"),
        (&[&odd, "--out", "-"], 1, "limits.body"),
        (&[&huge, "--out", "-"], 2, "larger than 4194304 bytes"),
        (&[&good, "--keys", &broken, "--out", "-"], 1, "neither JSON nor CSV"),
    ];
    for (args, status, says) in rows {
        let ran = run(&[&["import", "litellm"], args].concat());
        let shown = ran.shown(&[]);
        assert_eq!(ran.status, status, "{args:?}: {shown}");
        assert!(shown.contains(says), "{args:?}: {shown}");
        assert!(status == 0 || !ran.out.contains("upstream:"), "nothing is written: {shown}");
    }
}

/// Asks a gateway for a message of a model, and gives the status and the body.
fn ask(clients: &str, key: &str, model: &str) -> (u16, String) {
    let body =
        format!(r#"{{"model":"{model}","max_tokens":9,"messages":[{{"role":"user","content":"Hi"}}]}}"#);
    let mut stream = TcpStream::connect(clients).unwrap();
    let head = format!(
        "POST /v1/messages HTTP/1.1\r\nhost: {clients}\r\nauthorization: Bearer {key}\r\nanthropic-version: 2023-06-01\r\n\
         content-type: application/json\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(format!("{head}{body}").as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    (answer[9..12].parse().unwrap(), answer)
}

/// Starts a gateway with this document, and gives the address for clients.
fn serve(document: &str, data: &str) -> (Server, String) {
    let mut command = tollgate(&["serve", "--config", document, "--data", data, "--log-format", "json"]);
    command.args(["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"]);
    command.env("ANTHROPIC_API_KEY_PROD", "sk-ant-canary-upstream");
    let server = Server::start(command);
    let up: Value = serde_json::from_str(&server.line("the gateway is up")).unwrap();
    let clients = up["clients"].as_str().unwrap().trim_start_matches("http://").to_owned();
    (server, clients)
}

#[test]
fn whoever_holds_a_key_of_litellm_goes_on_using_it_within_its_budget() {
    let simulator = Simulator::start();
    let folder = tempfile::tempdir().unwrap();
    let [out, data, config] = ["tollgate.yaml", "data", "config.yaml"].map(|name| folder.path().join(name));
    let [out, data, config] = [&out, &data, &config].map(|path| text(path));
    let mark = "      api_key: os.environ/ANTHROPIC_API_KEY_PROD\n";
    let before = fs::read_to_string(fixture("litellm.yaml")).unwrap();
    fs::write(config, before.replace(mark, &format!("{mark}      api_base: {}\n", simulator.url))).unwrap();
    let [teams, keys] = ["teams.json", "keys.json"].map(fixture);
    let files = ["import", "litellm", config, "--teams", &teams, "--keys", &keys];
    let made = run(&[&files[..], &["--out", out]].concat());
    assert_eq!(made.status, 0, "{}", made.shown(&[]));

    let (server, clients) = serve(out, data);
    let ask = |key: &str, model: &str| ask(&clients, key, model);
    let alpha = "sk-canary-alpha-0001";
    assert_eq!(ask(alpha, "claude-sonnet-4-5").0, 401, "before it came over");

    let run = |args: &[&str]| ran(tollgate(args).env("TOLLGATE_DATA", data).output().unwrap());
    let applied = run(&[&files[..], &["--apply"]].concat());
    assert_eq!(applied.status, 0, "{}", applied.shown(&[]));
    assert!(applied.err.contains("keys: 3 new, 0 known before; allowances: 6 new"), "{}", applied.err);
    let again = run(&[&files[..], &["--apply"]].concat());
    assert!(again.err.contains("keys: 0 new, 3 known before; allowances: 0 new"), "{}", again.err);

    // Whoever keeps one team brings over its keys, with what bounds them.
    let [token, rows] = ["token", "keys.csv"].map(|name| folder.path().join(name));
    let made = run(&["operator", "create", "tess", "--role", "team-admin", "--team", "litellm"]);
    fs::write(&token, made.out.split_whitespace().last().unwrap()).unwrap();
    fs::write(&rows, format!("token,rpm_limit\n{},5\n", "0123456789abcdef".repeat(4))).unwrap();
    let hers =
        ["import", "litellm", config, "--keys", text(&rows), "--apply", "--admin-token-file", text(&token)];
    let hers = run(&hers);
    assert!(hers.err.contains("keys: 1 new, 0 known before; allowances: 1 new"), "{}", hers.shown(&[]));

    assert_eq!(ask(alpha, "claude-sonnet-4-5").0, 200);
    assert_eq!(ask(alpha, "claude-opus-5-5").0, 403, "its team has not that model");
    let (status, said) = ask("sk-canary-india-0009", "claude-sonnet-4-5");
    assert!(status == 429 && said.contains("billing_error"), "a budget of $0.00001 bites: {said}");
    // Blocked, of a blocked team, used up, of another provider, in clear in the file; and hashes.
    let bravo = "9b657ee7038ddd1ace7d8140aa574ad707150e5108d79a1690b7806b03eb876f";
    let hash = "b299ff18ca7faa7cabe4a06ba569a590cc9ee3d37390b5020548c03c29da52db";
    for key in [
        "sk-canary-bravo-0002",
        "sk-canary-golf-00007",
        "sk-canary-echo-00005",
        "sk-canary-foxtrot-06",
        "sk-canary-in-clear-10",
        bravo,
        hash,
        &format!("sha256:{hash}"),
    ] {
        assert_eq!(ask(key, "claude-sonnet-4-5").0, 401, "{key}");
    }
    let listed = run(&["key", "list", "--json"]);
    let listed: Vec<Value> = serde_json::from_str(&listed.out).unwrap();
    let key = listed.iter().find(|key| key["note"] == "ci of platform").unwrap();
    assert_eq!((&key["team"], &key["user"]), (&"Platform-Team".into(), &"ada@example.org".into()));
    assert_eq!(key["hint"], format!("sha256:{}\u{2026}", &hash[..8]));
    assert_eq!(run(&["key", "revoke", key["id"].as_str().unwrap()]).status, 0);
    assert_eq!(ask(alpha, "claude-sonnet-4-5").0, 401, "revoked");
    let again = run(&[&files[..], &["--apply"]].concat());
    assert_eq!((again.status, ask(alpha, "claude-sonnet-4-5").0), (0, 401), "and stays so");
    server.signal("TERM");
    assert_eq!(server.end().code(), Some(0));
    for entry in fs::read_dir(Path::new(data).join("journal")).unwrap() {
        let journal = fs::read(entry.unwrap().path()).unwrap();
        assert!(!String::from_utf8_lossy(&journal).contains("canary"));
    }
}

#[test]
fn no_key_comes_over_whose_allowances_find_no_room() {
    let folder = tempfile::tempdir().unwrap();
    let [document, data, rows] = ["tollgate.yaml", "data", "keys.csv"].map(|name| folder.path().join(name));
    let (config, data) = (fixture("litellm.yaml"), text(&data));
    fs::write(&document, "upstream: { credential: env:ANTHROPIC_API_KEY_PROD }\n").unwrap();
    let (server, _) = serve(text(&document), data);
    let run = |args: &[&str]| ran(tollgate(args).env("TOLLGATE_DATA", data).output().unwrap());
    let import = |count: usize| {
        let keys: String = (0..count).map(|number| format!("{number:08x}{:056},5\n", 0)).collect();
        fs::write(&rows, format!("token,rpm_limit\n{keys}")).unwrap();
        run(&["import", "litellm", &config, "--keys", text(&rows), "--apply"])
    };
    let one = import(1);
    assert!(one.err.contains("keys: 1 new, 0 known before; allowances: 1 new"), "{}", one.shown(&[]));
    let many = import(10_001);
    assert!(many.status == 2 && many.err.contains("need 10000 more allowances"), "{}", many.shown(&[]));
    assert!(many.err.contains("room for 9999 of them; nothing was made"), "{}", many.shown(&[]));
    let listed: Vec<Value> = serde_json::from_str(&run(&["key", "list", "--json"]).out).unwrap();
    assert_eq!(listed.len(), 1);
    server.signal("TERM");
    assert_eq!(server.end().code(), Some(0));
}
