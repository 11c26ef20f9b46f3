//! `tollgate shadow`.

use std::{
    net::TcpListener,
    time::{Duration, Instant},
};

use crate::listener::{answer, http};
use crate::run::{Ran, Server, ran, text, tollgate};

const NEW: &str = "canary-credential-of-the-new-61";
const OLD: &str = "canary-credential-of-the-old-62";

/// A provider that takes one credential alone, with a script.
fn provider(key: &str, script: &str) -> (Server, String) {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), script).unwrap();
    let mut command = tollgate(&["simulate", "--listen", "127.0.0.1:0", "--api-key-env", "KEY", "--script"]);
    let server = Server::start({
        command.arg(file.path()).env("KEY", key);
        command
    });
    let url = server.line("http://");
    (server, url)
}

fn shadow(new: &str, old: &str, more: &[&str]) -> Ran {
    let mut command = tollgate(&["shadow", "--url", new, "--token-env", "NEW", "--against", old]);
    command.args(["--against-token-env", "OLD"]).args(more);
    ran(command.env("NEW", NEW).env("OLD", OLD).env("NO_PROXY", "*").output().unwrap())
}

const PLAIN: &str = r#"{"rules":[]}"#;

#[test]
fn gateways_that_are_alike_are_told_so_within_a_bound_that_is_printed() {
    let ((_new, new), (_old, old)) = (provider(NEW, PLAIN), provider(OLD, PLAIN));
    let ran = shadow(&new, &old, &[]);
    assert_eq!(ran.status, 0, "{}{}", ran.out, ran.err);
    assert!(
        ran.err.contains("at most 10 requests may be billed on both sides together, at most $0.0"),
        "{}",
        ran.err
    );
    assert!(ran.err.contains("by claude-haiku-5-5"), "{}", ran.err);
    assert!(ran.out.contains("refused by both: invalid body (400)"), "{}", ran.out);
    assert!(ran.out.contains("The new gateway answers like the old one"), "{}", ran.out);
    let strict = shadow(&new, &old, &["--strict"]);
    assert_eq!(strict.status, 1, "a stream without pauses does not tell: {}", strict.out);
    let dear = shadow(&new, &old, &["--repeat", "20"]);
    assert_eq!(dear.status, 3, "{}", dear.out);
    assert!(dear.err.contains("--max-cost is $0.05"), "{}", dear.err);
}

#[test]
fn what_differs_is_named_in_every_form_of_the_report_and_no_secret_is() {
    let told = format!(
        r#"{{"rules":[{{"match":{{"path":"/v1/messages"}},"do":"status=403; message=\"{OLD} {NEW} no\""}}]}}"#
    );
    let other = told.replace(" no", " never");
    let ((_new, new), (_old, old)) = (provider(NEW, &other), provider(OLD, &told));
    let (_plain, plain) = provider(OLD, PLAIN);
    for format in ["text", "json", "junit", "sarif", "markdown"] {
        for old in [&old, &plain] {
            let ran = shadow(&new, old, &["--format", format, "--verbose"]);
            assert!(!ran.out.contains("canary") && !ran.err.contains("canary"), "{}{}", ran.out, ran.err);
            if old == &plain {
                assert_eq!(ran.status, 1, "{}", ran.out);
                assert!(ran.out.contains("200 of the old, 403 of the new"), "{}", ran.out);
            } else {
                assert_eq!(ran.status, 2, "what both refuse is alike, and tells nothing: {}", ran.out);
                assert!(ran.out.contains("hidden"), "{}", ran.out);
                assert!(format != "text" || ran.out.contains("plain (403)"), "{}", ran.out);
            }
        }
    }
}

#[test]
fn where_both_refuse_every_message_nothing_was_compared_and_the_credential_that_is_refused_is_named() {
    let ((_new, new), (_old, old)) = (provider("another", PLAIN), provider("another", PLAIN));
    let ran = shadow(&new, &old, &[]);
    assert_eq!(ran.status, 2, "{}", ran.out);
    for part in [
        "both refuse every message",
        "models (401)",
        "taken by the old gateway (--against-token-env) and by the new gateway (--token-env)",
        "can not be told",
    ] {
        assert!(ran.out.contains(part), "{part}: {}", ran.out);
    }
    assert_eq!(shadow(&new, &old, &["--strict"]).status, 1);
    let (_plain, plain) = provider(OLD, PLAIN);
    let ran = shadow(&new, &plain, &[]);
    assert_eq!(ran.status, 1, "one that refuses is different: {}", ran.out);
}

#[test]
fn a_proxy_that_demands_a_credential_is_not_taken_for_a_gateway() {
    let proxy =
        format!("http://ann:canary-password@{}", http(|_| answer(407, "proxy-authenticate: Basic", "")));
    for scheme in ["http", "https"] {
        let [new, old] = ["new", "old"].map(|name| format!("{scheme}://{name}.example"));
        let mut command = tollgate(&["shadow", "--url", &new, "--against", &old]);
        command.env("http_proxy", &proxy).env("https_proxy", &proxy);
        let ran = ran(command.env_remove("NO_PROXY").env_remove("no_proxy").output().unwrap());
        assert_eq!(ran.status, 4, "{}{}", ran.out, ran.err);
        assert!(ran.out.contains(&format!("{scheme}_proxy")) && ran.out.contains("407"), "{}", ran.out);
        assert!(!ran.out.contains("canary") && !ran.err.contains("billed"), "{}{}", ran.out, ran.err);
    }
}

#[test]
fn requests_of_a_file_are_sent_and_its_faults_are_told_by_their_lines() {
    let ((_new, new), (_old, old)) = (provider(NEW, PLAIN), provider(OLD, PLAIN));
    let file = tempfile::NamedTempFile::new().unwrap();
    let with = |lines: &str, more: &[&str]| {
        std::fs::write(file.path(), lines).unwrap();
        shadow(&new, &old, &[&["--requests", text(file.path())], more].concat())
    };
    let line = r#"{"method":"POST","path":"/v1/messages","headers":{"anthropic-version":"2023-06-01"},"body":{"model":"claude-haiku-5-5","max_tokens":9,"messages":[{"role":"user","content":"hi"}]}}"#;
    let good = with(&format!("{line}\n\n{line}\n"), &["--repeat", "2"]);
    assert_eq!(good.status, 0, "{}{}", good.out, good.err);
    assert!(
        good.err.contains("at most 8 requests") && good.out.contains("alike for 3 requests"),
        "{}",
        good.out
    );
    let dear = with(&line.replace(":9,", ":60000,"), &[]);
    assert_eq!(dear.status, 3, "{}", dear.err);
    let bad = with(&format!("{line}\n{}", line.replace("anthropic-version", "x-api-key")), &[]);
    assert_eq!(bad.status, 3, "{}", bad.err);
    assert!(bad.err.contains("line 2: the header `x-api-key` is a credential"), "{}", bad.err);
    assert_eq!(with(line, &["--model", "m"]).status, 3);
}

#[test]
fn what_can_not_be_reached_or_hangs_ends_with_four_before_anything_costs() {
    let (_old, old) = provider(OLD, PLAIN);
    let mute = TcpListener::bind("127.0.0.1:0").unwrap();
    let hangs = format!("http://{}", mute.local_addr().unwrap());
    for (new, says) in
        [("http://no-such-host.invalid", "can not be resolved"), (&hangs, "no answer within 1 s")]
    {
        for (new, old) in [(new, old.as_str()), (&old, new)] {
            let ran = shadow(new, old, &["--timeout", "1s"]);
            assert_eq!(ran.status, 4, "{}{}", ran.out, ran.err);
            assert!(ran.out.contains(says) && ran.out.contains("can not be reached"), "{}", ran.out);
            assert!(!ran.err.contains("billed"), "{}", ran.err);
        }
    }
}

#[test]
fn ctrl_c_ends_it_at_once() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let mut command = tollgate(&["shadow", "--url", &url, "--against", &url, "--timeout", "60s"]);
    command.env("NO_PROXY", "*");
    let server = Server::start(command);
    let connection = listener.accept().unwrap();
    let began = Instant::now();
    server.signal("INT");
    server.line("the comparison was stopped before it was done");
    assert_eq!(server.end().code(), Some(2));
    assert!(began.elapsed() < Duration::from_secs(10));
    drop(connection);
}

#[test]
fn wrong_words_end_with_three() {
    for args in [
        &["shadow"][..],
        &["shadow", "--url", "a"],
        &["shadow", "--url", "http://a", "--against", "http://b", "--repeat", "0"],
    ] {
        assert_eq!(ran(tollgate(args).output().unwrap()).status, 3, "{args:?}");
    }
    let unset = [
        "shadow",
        "--url",
        "http://127.0.0.1:9",
        "--against",
        "http://127.0.0.1:9",
        "--against-token-env",
        "NOT_SET",
    ];
    assert_eq!(ran(tollgate(&unset).output().unwrap()).status, 3);
}
