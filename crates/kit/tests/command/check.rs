//! `tollgate check`.

use std::{
    net::TcpListener,
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::run::{Gateway, Ran, Server, ran, tollgate};

const TOKEN: &str = "canary-client-token-51";
const UPSTREAM_KEY: &str = "sk-ant-canary-upstream-52";

/// A port where nothing listens, for a probe to take.
fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Checks a gateway with a credential from the environment, away from any proxy.
fn check(url: &str, token: &str, more: &[&str]) -> Ran {
    let mut command = tollgate(&["check", "--url", url, "--token-env", "CHECK_TOKEN"]);
    ran(command.args(more).env("CHECK_TOKEN", token).env("NO_PROXY", "*").output().unwrap())
}

/// The findings of a report, as rule and outcome.
fn findings(report: &str) -> Vec<(String, String)> {
    let report: Value = serde_json::from_str(report).unwrap();
    let text = |row: &Value, name: &str| row[name].as_str().unwrap_or_default().to_owned();
    let rows = report["findings"].as_array().unwrap();
    rows.iter().map(|row| (text(row, "rule"), text(row, "outcome"))).collect()
}

fn outcome(report: &str, rule: &str) -> String {
    let found = findings(report).into_iter().find(|(id, _)| id == rule);
    found.unwrap_or_else(|| panic!("no {rule} in {report}")).1
}

#[test]
fn tollgate_itself_is_compatible_line_for_line_and_all_of_it_is_proven() {
    let probe = format!("127.0.0.1:{}", free_port());
    let gateway = Gateway::start(&format!("http://{probe}"));
    let key = gateway.key("platform");
    let url = format!("http://{}", gateway.clients);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("report.json");
    let more = ["--probe-listen", &probe, "--format", "json", "--output", file.to_str().unwrap(), "--strict"];
    let checked = check(&url, &key, &more);
    assert_eq!(checked.status, 0, "{}{}", checked.out, checked.err);
    let first: Vec<&str> = checked.out.lines().take(8).collect();
    assert_eq!(
        first,
        [
            "\u{2713} PASS - Endpoint Support: Gateway supports /v1/messages endpoint",
            "\u{2713} PASS - Header Forwarding: All required headers forwarded correctly",
            "\u{2713} PASS - Body Preservation: Response body structure preserved correctly",
            "\u{2713} PASS - Status Codes: Gateway returns standard auth error: 401",
            "\u{2713} PASS - SSE Streaming: Gateway supports SSE streaming (3 chunks received)",
            "\u{2713} PASS - Authentication: Bearer token authentication working correctly",
            "",
            "\u{2713} Gateway is COMPATIBLE with Claude Code",
        ]
    );
    let report = std::fs::read_to_string(&file).unwrap();
    let report: Value = serde_json::from_str(&report).unwrap();
    assert_eq!((report["verdict"].as_str(), report["product"].as_str()), (Some("good"), Some("Tollgate")));
    for row in report["findings"].as_array().unwrap() {
        assert_eq!(
            (row["outcome"].as_str(), row["ground"].as_str()),
            (Some("pass"), Some("proven")),
            "{row}"
        );
    }
    for text in [&checked.out, &checked.err, &report.to_string()] {
        assert!(!text.contains(&key) && !text.contains("canary"), "{text}");
    }

    let headers = tollgate(&["check", "headers", "--url", &url, "--token-env", "CHECK_TOKEN"])
        .args(["--probe-listen", &probe])
        .env("CHECK_TOKEN", &key)
        .env("NO_PROXY", "*")
        .output();
    let headers = ran(headers.unwrap());
    assert_eq!(headers.status, 0, "{}{}", headers.out, headers.err);
    let first: Vec<&str> = headers.out.lines().take(3).collect();
    assert_eq!(
        first,
        [
            "\u{2713} PASS - anthropic-version header forwarded correctly",
            "\u{2713} PASS - anthropic-beta header forwarded correctly",
            "\u{2713} PASS - Content-Type header preserved correctly",
        ]
    );
    let fate = |name: &str| headers.out.lines().find(|line| line.starts_with(name)).unwrap().to_owned();
    assert!(fate("authorization").contains("dropped") || fate("authorization").contains("replaced"));
    assert!(fate("cookie").contains("dropped"), "{}", headers.out);
    assert!(!headers.out.contains(&key) && !headers.out.contains("canary"), "{}", headers.out);
}

#[test]
fn a_gateway_that_does_not_point_at_the_probe_is_undetermined_and_told_so() {
    let elsewhere = Server::start(tollgate(&["simulate", "--listen", "127.0.0.1:0"]));
    let url = elsewhere.line("http://");
    let checked = check(&url, TOKEN, &["--probe-listen", "127.0.0.1:0"]);
    // The simulator takes any credential, which is a fault of its own.
    assert_eq!(checked.status, 1, "{}", checked.out);
    assert!(checked.out.contains("nothing reaches the probe"), "{}", checked.out);
    let keyed = keyed_provider("{\"rules\":[]}");
    let checked = check(&keyed.1, TOKEN, &["--probe-listen", "127.0.0.1:0"]);
    assert_eq!(checked.status, 2, "{}", checked.out);
    assert!(!checked.out.contains(TOKEN), "{}", checked.out);
}

/// A provider that takes the token alone, with a script.
fn keyed_provider(script: &str) -> (Server, String, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("script.json");
    std::fs::write(&file, script).unwrap();
    let mut command = tollgate(&["simulate", "--listen", "127.0.0.1:0", "--api-key-env", "KEY", "--script"]);
    command.arg(&file).env("KEY", TOKEN);
    let server = Server::start(command);
    let url = server.line("http://");
    (server, url, folder)
}

#[test]
fn a_live_provider_is_compared_within_a_bound_that_is_printed() {
    let script = r#"{"rules":[
        {"match":{"header":{"anthropic-beta":"*tollgate-check-2099*"}},
         "do":"status=400; message=\"unexpected value `tollgate-check-2099-01-01` for anthropic-beta\""},
        {"match":{"stream":true},"do":"events=8; pace_ms=40"}]}"#;
    let (_server, url, _folder) = keyed_provider(script);
    let checked = check(&url, TOKEN, &["--format", "json"]);
    assert!(checked.err.contains("at most 14 requests may be billed, at most $0.0"), "{}", checked.err);
    assert_eq!(checked.status, 0, "{}{}", checked.out, checked.err);
    for (rule, expected) in [
        ("headers", "pass"),
        ("headers.version", "pass"),
        ("headers.beta", "pass"),
        ("body", "pass"),
        ("stream", "pass"),
        ("stream.arrival", "pass"),
        ("status", "pass"),
        ("auth.refused", "pass"),
        ("errors.verbatim", "pass"),
        ("body.bytes", "unknown"),
        ("auth.leak", "unknown"),
    ] {
        assert_eq!(outcome(&checked.out, rule), expected, "{rule}");
    }
    assert!(!checked.out.contains("proven") || checked.out.contains("tls.used"), "{}", checked.out);

    let dear = check(&url, TOKEN, &["--max-cost", "0.000001"]);
    assert_eq!(dear.status, 3);
    assert!(dear.err.contains("--max-cost is $0.000001"), "{}", dear.err);

    // A provider that takes the nonsense never saw it.
    let (_server, url, _folder) = keyed_provider("{\"rules\":[]}");
    let stripped = check(&url, TOKEN, &["--format", "json"]);
    assert_eq!((stripped.status, outcome(&stripped.out, "headers.beta")), (1, "fail".to_owned()));
}

#[test]
fn what_can_not_be_reached_says_why_and_ends_with_four() {
    let simulator = Server::start(tollgate(&["simulate", "--listen", "127.0.0.1:0"]));
    let plain = simulator.line("http://").replace("http://", "https://");
    let closed = format!("http://127.0.0.1:{}", free_port());
    let rows = [
        ("http://no-such-host.invalid".to_owned(), "can not be resolved"),
        (closed, "takes no connection"),
        (plain, "TLS with 127.0.0.1 failed"),
    ];
    for (url, says) in rows {
        let checked = check(&url, TOKEN, &["--timeout", "2s"]);
        assert_eq!(checked.status, 4, "{url}: {}{}", checked.out, checked.err);
        assert!(checked.out.contains(says), "{url}: {}", checked.out);
        assert!(!checked.out.contains(TOKEN) && !checked.err.contains("panicked"), "{}", checked.err);
    }
}

#[test]
fn a_page_of_html_is_no_gateway() {
    let (_server, url, _folder) = keyed_provider(r#"{"rules":[{"do":"html200"}]}"#);
    let checked = check(&url, TOKEN, &["--max-cost", "1"]);
    assert_eq!(checked.status, 1, "{}", checked.out);
    assert!(checked.out.contains("the answer with status 200 is no message"), "{}", checked.out);
}

#[test]
fn an_address_in_brackets_is_taken() {
    let server = Server::start(tollgate(&["simulate", "--listen", "[::1]:0"]));
    let url = server.line("http://");
    assert!(url.contains("[::1]"), "{url}");
    let checked = check(&url, TOKEN, &["--format", "json"]);
    assert_eq!(outcome(&checked.out, "endpoint"), "pass", "{}", checked.out);
}

/// Takes connections and says nothing.
fn mute() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    (listener, url)
}

#[test]
fn a_gateway_that_hangs_does_not_hang_the_check() {
    let (_listener, url) = mute();
    let began = Instant::now();
    let checked = check(&url, TOKEN, &["--timeout", "1s"]);
    assert_eq!(checked.status, 4, "{}", checked.out);
    assert!(checked.out.contains("no answer within 1 s"), "{}", checked.out);
    assert!(began.elapsed() < Duration::from_secs(15), "{:?}", began.elapsed());
}

#[test]
fn ctrl_c_ends_it_at_once() {
    let (listener, url) = mute();
    let mut command = tollgate(&["check", "--url", &url, "--token-env", "CHECK_TOKEN", "--timeout", "60s"]);
    command.env("CHECK_TOKEN", TOKEN).env("NO_PROXY", "*");
    let server = Server::start(command);
    let connection = listener.accept().unwrap();
    let began = Instant::now();
    server.signal("INT");
    server.line("the check was stopped before it was done");
    assert_eq!(server.end().code(), Some(2));
    assert!(began.elapsed() < Duration::from_secs(10));
    drop(connection);
}

#[test]
fn wrong_words_end_with_three() {
    for args in [&["check"][..], &["check", "--url", "gateway"], &["check", "headers", "--max-cost", "1"]] {
        let refused = ran(tollgate(args).output().unwrap());
        assert_eq!(refused.status, 3, "{args:?}: {}", refused.err);
    }
    let unset = check("http://127.0.0.1:9", TOKEN, &["--ca-file", "/no/such/file"]);
    assert_eq!(unset.status, 4, "a plain URL needs no authorities: {}", unset.err);
    let mut command = tollgate(&["check", "--url", "http://127.0.0.1:9", "--token-env", "NOT_SET_ANYWHERE"]);
    assert_eq!(ran(command.output().unwrap()).status, 3);
    let shown = tollgate(&["check", "--url", "http://127.0.0.1:9", "--token", TOKEN]).output().unwrap();
    let shown = ran(shown);
    assert!(shown.err.contains("use --token-env") && !shown.err.contains(TOKEN), "{}", shown.err);
}

#[test]
fn no_form_of_the_report_shows_what_a_leaking_gateway_gave_away() {
    for animal in ["keeps-authorization", "leaks-upstream-key"] {
        let probe = format!("127.0.0.1:{}", free_port());
        let upstream = format!("http://{probe}");
        let mut command = tollgate(&["simulate", "--animal", animal, "--upstream", &upstream]);
        command.args(["--listen", "127.0.0.1:0", "--api-key-env", "KEY", "--upstream-key-env", "UPSTREAM"]);
        command.env("KEY", TOKEN).env("UPSTREAM", UPSTREAM_KEY);
        let server = Server::start(command);
        let url = server.line("http://");
        for format in ["text", "json", "junit", "sarif", "markdown"] {
            let checked = check(&url, TOKEN, &["--probe-listen", &probe, "--format", format, "--verbose"]);
            assert_eq!(checked.status, 1, "{}", checked.out);
            for secret in [TOKEN, UPSTREAM_KEY] {
                assert!(!checked.out.contains(secret) && !checked.err.contains(secret), "{animal} {format}");
            }
        }
    }
}

#[test]
fn no_form_of_the_report_shows_a_credential_that_an_answer_quotes() {
    let script = format!(r#"{{"rules":[{{"do":"status=403; message=\"{TOKEN} may not\""}}]}}"#);
    let (_server, url, _folder) = keyed_provider(&script);
    for format in ["text", "json", "junit", "sarif", "markdown"] {
        let checked = check(&url, TOKEN, &["--format", format, "--verbose"]);
        assert_eq!(checked.status, 1, "{}", checked.out);
        assert!(checked.out.contains("hidden") && !checked.out.contains(TOKEN), "{format}: {}", checked.out);
    }
}

#[test]
fn a_gateway_with_tls_is_looked_at_for_its_version_and_its_certificate() {
    let key = rcgen::KeyPair::generate().unwrap();
    let params = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let certificate = params.self_signed(&key).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: String| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let (cert, key) = (file("cert.pem", certificate.pem()), file("key.pem", key.serialize_pem()));
    let config = file("tollgate.yaml", format!("listen:\n  tls: {{ cert: {cert}, key: {key} }}\n"));
    let probe = format!("127.0.0.1:{}", free_port());
    let gateway = Gateway::start_with(&format!("http://{probe}"), &["--config", &config]);
    let token = gateway.key("platform");
    let port = gateway.clients.rsplit(':').next().unwrap().to_owned();
    let url = format!("https://localhost:{port}");
    let checked = check(&url, &token, &["--probe-listen", &probe, "--ca-file", &cert, "--format", "json"]);
    assert_eq!(checked.status, 0, "{}{}", checked.out, checked.err);
    for rule in ["tls.used", "tls.version", "tls.chain"] {
        assert_eq!(outcome(&checked.out, rule), "pass", "{rule}");
    }
    let stranger = check(&url, &token, &["--probe-listen", &probe]);
    assert_eq!(stranger.status, 1, "{}", stranger.out);
    assert!(stranger.out.contains("NODE_EXTRA_CA_CERTS"), "{}", stranger.out);
}
