//! Trouble with TLS as people meet it: what `tollgate check` and `tollgate doctor auth` say, and that they end.

use std::{
    io::Write,
    net::TcpListener,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::{
    listener::{Identity, answer, exchange, listen},
    run::{Ran, Server, ran, text, tollgate},
};

const TOKEN: &str = "canary-client-token-61";

/// An animal of the zoo that speaks TLS, before a probe that a check may run; and the file of its authority.
struct Animal {
    url: String,
    probe: String,
    authority: tempfile::NamedTempFile,
    _server: Server,
}

impl Animal {
    fn start(name: &str, listen: &str) -> Self {
        let probe = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
        let authority = tempfile::NamedTempFile::new().unwrap();
        let upstream = format!("http://{probe}");
        let mut command = tollgate(&["simulate", "--animal", name, "--upstream", &upstream]);
        command.args(["--listen", listen, "--api-key-env", "KEY", "--ca-out"]).arg(authority.path());
        command.env("KEY", TOKEN);
        let server = Server::start(command);
        let url = server.line("https://");
        Self { url, probe, authority, _server: server }
    }

    fn authority(&self) -> &str {
        text(self.authority.path())
    }
}

/// A command for a URL, away from any proxy.
fn tool(args: &[&str], url: &str, more: &[&str]) -> Ran {
    let mut command = tollgate(args);
    command.args(["--url", url, "--token-env", "TOKEN", "--format", "json"]).args(more);
    let ran = ran(command.env("TOKEN", TOKEN).env("NO_PROXY", "*").output().unwrap());
    let said = format!("{}{}", ran.out, ran.err);
    assert!(!said.contains(TOKEN) && !said.contains("panicked"), "{said}");
    ran
}

fn check(url: &str, more: &[&str]) -> Ran {
    tool(&["check"], url, more)
}

fn doctor(url: &str, more: &[&str]) -> Ran {
    tool(&["doctor", "auth"], url, more)
}

/// That this rule fails, and its finding holds this text.
fn fails(ran: &Ran, rule: &str, part: &str) {
    let report: Value = serde_json::from_str(&ran.out).unwrap_or_else(|_| panic!("{}{}", ran.out, ran.err));
    let row = report["findings"].as_array().unwrap().iter().find(|row| row["rule"] == rule);
    let row = row.unwrap_or_else(|| panic!("no {rule}: {}", ran.out));
    assert!(row["outcome"] == "fail" && row.to_string().contains(part), "{rule} without {part:?}: {row}");
}

#[test]
fn a_certificate_that_is_wrong_is_named_with_what_is_wrong_by_both_tools() {
    // In days from now, as the zoo counts them, to the date.
    let day = |days: i64| {
        (jiff::Timestamp::now() + jiff::SignedDuration::from_hours(24 * days)).to_string()[..10].to_owned()
    };
    let rows = [
        ("expired-certificate", "line.tls", format!("A gateway of the zoo expired on {}", day(-1))),
        ("future-certificate", "line.tls", format!("A gateway of the zoo is good from {} on only", day(1))),
        ("certificate-ends-soon", "line.expiry", format!("A gateway of the zoo expires on {}, in ", day(5))),
        ("certificate-of-another", "line.tls", "is not for 127.0.0.1: it is for another.example".to_owned()),
        ("incomplete-chain", "line.tls", "does not know CN=An intermediate of the zoo".to_owned()),
        ("unknown-authority", "line.tls", "does not know CN=A stranger to the zoo".to_owned()),
        ("self-signed", "line.tls", "A gateway of the zoo is signed by itself".to_owned()),
    ];
    for (name, rule, part) in rows {
        let animal = Animal::start(name, "127.0.0.1:0");
        let checked = check(&animal.url, &["--ca-file", animal.authority(), "--probe-listen", &animal.probe]);
        assert_eq!(checked.status, 1, "{name}: {}", checked.err);
        fails(&checked, "tls.chain", &part);
        let examined = doctor(&animal.url, &["--ca", animal.authority()]);
        assert_eq!(examined.status, 1, "{name}: {}", examined.err);
        fails(&examined, rule, &part);
    }
}

#[test]
fn a_gateway_with_tls_on_ipv6_is_well_for_those_who_know_its_authority_and_no_others() {
    let animal = Animal::start("faithful-over-tls", "[::1]:0");
    assert!(animal.url.starts_with("https://[::1]:"), "{}", animal.url);
    let probe = ["--probe-listen", &animal.probe];
    let known = check(&animal.url, &[&["--ca-file", animal.authority()][..], &probe].concat());
    assert_eq!(known.status, 0, "{}{}", known.out, known.err);
    let unknown = check(&animal.url, &probe);
    assert_eq!(unknown.status, 1, "{}", unknown.out);
    fails(&unknown, "tls.chain", "does not know CN=The authority of the zoo");
    fails(&unknown, "tls.chain", "(here: --ca-file)");
    fails(&doctor(&animal.url, &[]), "line.tls", "(here: --ca)");
}

#[test]
fn a_gateway_that_agrees_to_an_old_version_is_caught() {
    let animal = Animal::start("takes-old-tls", "127.0.0.1:0");
    let checked = check(&animal.url, &["--ca-file", animal.authority(), "--probe-listen", &animal.probe]);
    assert_eq!(checked.status, 1, "{}", checked.err);
    fails(&checked, "tls.version", "TLS 1.1 is accepted");
}

#[test]
fn a_gateway_that_speaks_old_versions_only_is_incompatible_and_not_unreachable() {
    let animal = Animal::start("speaks-old-tls-only", "127.0.0.1:0");
    let checked = check(&animal.url, &["--ca-file", animal.authority(), "--probe-listen", &animal.probe]);
    assert_eq!(checked.status, 1, "{}{}", checked.out, checked.err);
    fails(&checked, "tls.version", "no version from TLS 1.2 on is spoken");
    fails(&checked, "tls.version", "received fatal alert: ProtocolVersion");
    fails(&checked, "tls.version", "TLS 1.1 is accepted");
    fails(&checked, "tls.version", "allow TLS 1.2 and 1.3 only");
    fails(&doctor(&animal.url, &[]), "line.tls", "speaks no version of TLS from 1.2 on");

    // One that says so by a hello of its own, which is no answer to ours.
    let hello = [&[22, 3, 2, 0, 42, 2, 0, 0, 38, 3, 2][..], &[0x5a; 32], &[0, 0, 0x2f, 0]].concat();
    let at = listen("127.0.0.1:0", move |mut stream| {
        let _ = std::io::Read::read(&mut stream, &mut [0; 4096]);
        // The other side may have gone.
        let _ = stream.write_all(&hello);
    });
    let checked = check(&format!("https://{at}"), &[]);
    assert_eq!(checked.status, 1, "{}{}", checked.out, checked.err);
    fails(&checked, "tls.version", "ServerDoesNotSupportTls12Or13");
}

#[test]
fn a_certificate_of_the_client_that_is_demanded_is_asked_for() {
    let identity = Arc::new(Identity::demanding("House CA", (2025, 2035)));
    let folder = tempfile::tempdir().unwrap();
    let ca = folder.path().join("ca.pem");
    std::fs::write(&ca, &identity.authority).unwrap();
    let at = listen("127.0.0.1:0", move |stream| {
        let mut rest = stream.try_clone().unwrap();
        exchange(&mut identity.over(stream), &|_: &str| answer(200, "", "{}"));
        // What is closed with something unread is reset, and the alert may be lost with it.
        let _ = std::io::copy(&mut rest, &mut std::io::sink());
    });
    let url = format!("https://{at}");
    let checked = check(&url, &["--ca-file", text(&ca)]);
    assert_eq!(checked.status, 4, "{}", checked.out);
    fails(&checked, "endpoint", "the gateway demands a certificate of the client");
    fails(&checked, "endpoint", "--client-cert");
    let examined = doctor(&url, &["--ca", text(&ca)]);
    assert_eq!(examined.status, 1, "{}", examined.out);
    fails(&examined, "access.credential", "the gateway demands a certificate of the client");
}

#[test]
fn http_and_https_at_the_wrong_port_are_told() {
    let plain = listen("127.0.0.1:0", |mut stream| {
        let _ = std::io::Read::read(&mut stream, &mut [0; 512]);
        // The other side may have gone.
        let _ = stream.write_all(answer(400, "", "").as_bytes());
    });
    let checked = check(&format!("https://{plain}"), &[]);
    assert_eq!(checked.status, 4, "{}", checked.out);
    fails(&checked, "endpoint", "what listens at this port does not speak TLS");

    let identity = Arc::new(Identity::new("House CA", (2025, 2035)));
    let secure = listen("127.0.0.1:0", move |stream| {
        exchange(&mut identity.over(stream), &|_: &str| answer(200, "", "{}"));
    });
    let url = format!("http://{secure}");
    let checked = check(&url, &[]);
    assert_eq!(checked.status, 4, "{}", checked.out);
    fails(&checked, "endpoint", "https://");
    fails(&doctor(&url, &[]), "line.http", "https://");
}

#[test]
fn a_port_that_never_answers_to_tls_holds_nobody_up() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}", silent.local_addr().unwrap());
    let began = Instant::now();
    let checked = check(&url, &["--timeout", "1s"]);
    assert_eq!(checked.status, 4, "{}", checked.out);
    fails(&checked, "endpoint", "what listens at this port does not answer to TLS");
    let examined = doctor(&url, &["--timeout", "1s"]);
    fails(&examined, "line.tls", "what listens at this port does not answer to TLS");
    assert!(began.elapsed() < Duration::from_secs(15), "{:?}", began.elapsed());
}

#[test]
fn where_the_authority_goes_is_asked_of_those_animals_that_have_one() {
    let run = |name: &str, more: &[&str]| {
        let mut command = tollgate(&["simulate", "--animal", name, "--upstream", "http://127.0.0.1:1"]);
        ran(command.args(["--listen", "127.0.0.1:0"]).args(more).output().unwrap())
    };
    let without = run("faithful-over-tls", &[]);
    assert!(without.status == 2 && without.err.contains("add --ca-out FILE"), "{}", without.err);
    let needless = run("faithful", &["--ca-out", "authority.pem"]);
    assert!(needless.status == 2 && needless.err.contains("speaks http"), "{}", needless.err);
    assert!(!Path::new("authority.pem").exists());
    let nowhere = run("faithful-over-tls", &["--ca-out", "/no/such/folder/authority.pem"]);
    assert!(nowhere.status == 3 && nowhere.err.contains("can not be written"), "{}", nowhere.err);
}
