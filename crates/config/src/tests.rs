//! Tests of the whole room: text in, snapshot or problems out.

use crate::{Document, Problem, Snapshot, check, compile, load, parse, reference, schema};
use std::{fmt::Write, fs, path::PathBuf};
use tollgate_policy::entry::Durability;

mod books;

/// Documents that are refused or warned about, each with what it shows.
const BAD: &[(&str, &str)] = &[
    ("not YAML", "listen: {address: 127.0.0.1:8080\nadmin: ]"),
    ("tabs", "limits:\n\tbody: 32MB"),
    ("not a section", "just a text"),
    ("a list at the top", "- listen"),
    ("two documents", "data: a\n---\ndata: b"),
    ("a slip of the hand", "limits:\n  bdy: 32MB"),
    ("a hyphen for an underscore", "timeouts:\n  first-byte: 600s"),
    ("the right field in the wrong section", "listen:\n  credential: env:KEY"),
    ("no such field at all", "frobnicate: true"),
    ("a field twice", "data: ./a\ndata: ./b"),
    ("a merge key", "log:\n  <<: {level: debug}"),
    ("a number without a unit", "timeouts:\n  connect: 10"),
    ("an unknown unit", "limits:\n  body: 32MiB\ntimeouts:\n  connect: 1.5s"),
    ("too long and too large", "limits:\n  buffered: 2000GB\ntimeouts:\n  drain: 48h"),
    ("no time at all", "timeouts:\n  connect: 0s\n  keep_alive: 0ms"),
    ("a host name to listen at", "listen:\n  address: localhost:8080"),
    ("an empty section", "upstream:"),
    ("a text for a flag", "upstream:\n  http2: \"yes\""),
    ("not one of the choices", "journal:\n  durability: eventually\nlog:\n  level: verbose"),
    ("numbers out of range", "limits:\n  headers: 3\n  connections: 0"),
    ("a number that is not whole", "limits:\n  headers: 200.5"),
    ("a literal secret", "upstream:\n  credential: sk-ant-api03-c2VjcmV0LXNlY3JldA"),
    ("a literal secret after env:", "upstream:\n  credential: env:sk-ant-api03-c2VjcmV0LXNlY3JldA"),
    ("a literal secret as a field", "upstream:\n  sk-ant-api03-c2VjcmV0LXNlY3JldA: 1"),
    ("another literal secret", "upstream:\n  credential: c2VjcmV0LXNlY3JldA"),
    (
        "a key in place of its path",
        "listen:\n  tls:\n    cert: a.pem\n    key: |\n      -----BEGIN PRIVATE KEY-----\n      c2VjcmV0LXNlY3JldA",
    ),
    (
        "a certificate in place of its path",
        "upstream:\n  ca_file: |\n    -----BEGIN CERTIFICATE-----\n    MIIB",
    ),
    (
        "a password in a URL",
        "upstream:\n  url: https://me:c2VjcmV0LXNlY3JldA@api.example.com\n  proxy: http://me:c2VjcmV0LXNlY3JldA@proxy:3128",
    ),
    ("a URL with a query", "upstream:\n  url: https://api.example.com/?key=c2VjcmV0LXNlY3JldA"),
    ("a URL without scheme", "upstream:\n  url: api.anthropic.com"),
    ("a URL that ends in /v1", "upstream:\n  url: https://api.anthropic.com/v1/"),
    ("plain http to another machine", "upstream:\n  url: http://10.1.2.3:8000"),
    ("plain http, allowed", "upstream:\n  url: http://10.1.2.3:8000\n  allow_plaintext: true"),
    (
        "HTTP/2 and authorities without TLS",
        "upstream:\n  url: http://127.0.0.1:9000\n  http2: true\n  ca_file: ca.pem",
    ),
    ("the gateway before itself", "upstream:\n  url: http://localhost:8080"),
    ("one address for all", "listen:\n  address: 127.0.0.1:8081"),
    ("administration for everyone", "admin:\n  address: 0.0.0.0:8081"),
    ("clients without TLS", "listen:\n  address: 0.0.0.0:8080"),
    ("half a certificate", "listen:\n  tls:\n    cert: a.pem"),
    ("impatience", "timeouts:\n  first_byte: 60s\n  stream_idle: 5m"),
    ("a small body", "limits:\n  body: 1MB"),
    ("limits that contradict", "limits:\n  uri: 128KB\n  head: 64KB\n  body: 64MB\n  buffered: 32MB"),
    ("models without and with", "models:\n  - id: a b\n  - id: claude\n  - id: claude\n  - name: x\n  - 5"),
    ("no models", "models: []"),
    (
        "everything at once",
        "lissten: 1\nupstream:\n  url: http://example.com\n  http2: maybe\nlimits:\n  body: 1\nadmin:\n  address: 0.0.0.0:1\nlisten:\n  address: 5",
    ),
];

#[test]
fn problems_say_where_what_and_how_to_repair() {
    insta::assert_snapshot!(show(BAD));
}

/// Every document with its problems.
fn show(bad: &[(&str, &str)]) -> String {
    let mut shown = String::new();
    for (title, text) in bad {
        let problems = match load(text, "tollgate.yaml") {
            Err(problems) => problems,
            Ok(snapshot) => snapshot.warnings,
        };
        assert!(!problems.is_empty(), "{title}: nothing was found");
        let _ = writeln!(shown, "### {title}\n{text}\n---");
        for problem in problems {
            let _ = writeln!(shown, "{problem}");
        }
        shown.push('\n');
    }
    shown
}

#[test]
fn no_problem_repeats_a_secret() {
    for (title, text) in BAD.iter().chain(books::BAD).filter(|(_, text)| text.contains("c2VjcmV0")) {
        let problems = load(text, "tollgate.yaml").unwrap_err();
        for problem in &problems {
            assert!(!format!("{problem} {problem:?}").contains("c2VjcmV0"), "{title}: {problem:?}");
        }
    }
}

#[test]
fn an_empty_text_is_the_default_document() {
    for text in ["", "\n", "# nothing\n", "---\n", "{}", "\u{feff}# bom"] {
        assert_eq!(parse(text, "t").unwrap(), Document::default(), "{text:?}");
    }
}

#[test]
fn the_defaults_are_without_warning_and_survive_writing() {
    let document = Document::default();
    assert_eq!(compile(&document).unwrap().warnings, []);
    assert_eq!(parse(&document.to_yaml(), "t").unwrap(), document);
    assert_eq!(load("", "t").unwrap(), compile(&document).unwrap());
}

#[test]
fn json_is_read_too() {
    let snapshot = load(r#"{"journal": {"durability": "strict"}, "limits": {"body": "64MB"}}"#, "t").unwrap();
    assert_eq!(snapshot.durability, Durability::Strict);
    assert_eq!(snapshot.limits.body_bytes, 64 << 20);
}

#[test]
fn a_full_document_reaches_the_snapshot() {
    let text = "
listen: {address: '0.0.0.0:443', tls: {cert: c.pem, key: k.pem}}
admin: {address: '[::1]:0'}
upstream:
  url: https://gw.example.com:8443/anthropic/
  credential: file:/run/secrets/key
  http2: true
  ca_file: ca.pem
  proxy: none
access: {other_v1: allow}
models: [{id: claude-a}, {id: claude-b, display_name: B}]
data: /var/lib/tollgate
prices: {file: book.json}
log: {format: json, level: debug}
";
    let snapshot = load(text, "t").unwrap();
    assert_eq!(snapshot.warnings, []);
    assert_eq!(snapshot.listen.tls.unwrap().key, PathBuf::from("k.pem"));
    assert_eq!(snapshot.upstream.url.to_string(), "https://gw.example.com:8443/anthropic");
    assert!(snapshot.other_v1_allowed);
    assert_eq!(snapshot.models.unwrap()[1].display_name.as_deref(), Some("B"));
    assert_eq!(snapshot.price_file, Some(PathBuf::from("book.json")));
}

#[test]
fn aliases_are_read_and_bombs_are_refused() {
    let snapshot = load("data: &d ./x\nprices: {file: *d}", "t").unwrap();
    assert_eq!(snapshot.price_file, Some(PathBuf::from("./x")));
    let problems = load("upstream:\n  url: &u nonsense\n  ca_file: *u\nlisten:\n  address: *u", "t");
    let lines: Vec<_> = problems.unwrap_err().iter().map(|problem| problem.line).collect();
    assert_eq!(lines, [Some(2), Some(5)], "a problem stands where the alias does");
    let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..12 {
        let item = format!("*a{}, ", level - 1).repeat(10);
        let _ = writeln!(bomb, "a{level}: &a{level} [{item}]");
    }
    assert_eq!(load(&bomb, "t").unwrap_err().len(), 1);
    assert_eq!(load(&"[".repeat(100_000), "t").unwrap_err().len(), 1);
}

#[test]
fn a_text_cut_off_anywhere_is_judged_without_panic() {
    let text = Document::default().to_yaml();
    for end in 0..text.len() {
        let cut = load(&text[..end], "t");
        let placed = |problem: &Problem| problem.line.is_some();
        assert!(cut.is_ok() || cut.unwrap_err().iter().all(placed), "{}", &text[..end]);
    }
}

/// The loader checks against the schema and then reads by the types. A document that passes the
/// first and fails the second would be blamed on Tollgate; there must be none.
#[test]
fn schema_and_types_agree() {
    for (title, text) in BAD.iter().chain(books::BAD) {
        for problem in check::read(text).problems {
            assert!(!problem.cure.contains("bug of Tollgate"), "{title}: {problem}");
        }
    }
}

#[test]
fn a_reload_may_change_all_but_what_is_bound_or_running() {
    let rows: [(&str, &[&str]); 10] = [
        ("", &[]),
        ("listen: {address: 127.0.0.1:1}", &["listen.address"]),
        ("listen: {tls: {cert: a, key: b}}", &["listen.tls"]),
        ("admin: {address: 127.0.0.1:1}", &["admin.address"]),
        ("data: /else\njournal: {durability: strict}", &["data", "journal.durability"]),
        ("limits: {connections: 1}", &["limits.connections"]),
        ("log: {format: json}", &["log.format"]),
        ("log: {level: debug}", &[]),
        ("upstream: {url: 'https://b.example.com', credential: env:B}", &[]),
        ("limits: {body: 64MB}\ntimeouts: {drain: 1s}\nmodels: [{id: a}]", &[]),
    ];
    let running = load("", "t").unwrap();
    for (text, fields) in rows {
        let next: Snapshot = load(text, "t").unwrap();
        assert_eq!(running.restart_needed(&next), fields, "{text}");
    }
    let tls = load("listen: {tls: {cert: a, key: b}}", "t").unwrap();
    let renewed = load("listen: {tls: {cert: c, key: d}}", "t").unwrap();
    assert_eq!(tls.restart_needed(&renewed), [""; 0]);
}

#[test]
fn a_problem_without_a_text_has_no_place() {
    let document = Document { models: Some(Vec::new()), ..Document::default() };
    let problems = compile(&document).unwrap_err();
    assert_eq!(
        problems.iter().map(|problem: &Problem| (problem.line, problem.path.as_str())).collect::<Vec<_>>(),
        [(None, "models")]
    );
}

/// The committed page and schema are what the types say. `TOLLGATE_UPDATE=1` writes them anew.
#[test]
#[allow(clippy::disallowed_methods)] // A test may read the files that it keeps true.
fn the_reference_is_current() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference");
    for (name, text) in [("configuration.md", reference()), ("config.schema.json", schema())] {
        let path = folder.join(name);
        if std::env::var_os("TOLLGATE_UPDATE").is_some() {
            fs::create_dir_all(&folder).unwrap();
            fs::write(&path, &text).unwrap();
        }
        let committed = fs::read_to_string(&path).unwrap_or_default();
        assert!(committed == text, "docs/reference/{name} is stale: run the tests with TOLLGATE_UPDATE=1");
    }
}
