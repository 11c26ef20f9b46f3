//! `tollgate doctor auth` and `tollgate doctor proxy`, against servers that have one fault each.

use std::{net::TcpListener, process::Command, sync::Arc};

use aws_lc_rs::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use crate::{
    listener::{Identity, answer, envelope, exchange, http, join, listen, request},
    run::{Gateway, Ran, Server, ran, text, tollgate},
};

const TOKEN: &str = "canary-0123456789abcdef";

/// The command with nothing of the environment but these.
fn doctor(args: &[&str], variables: &[(&str, &str)]) -> Ran {
    let mut command: Command = tollgate(args);
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap());
    command.env("TOKEN", TOKEN).envs(variables.iter().copied());
    let ran = ran(command.output().unwrap());
    let said = format!("{}{}", ran.out, ran.err);
    assert!(!said.contains("canary") && !said.contains("panicked"), "{said}");
    ran
}

fn auth(url: &str, more: &[&str]) -> Ran {
    doctor(&[&["doctor", "auth", "--url", url, "--token-env", "TOKEN", "--verbose"], more].concat(), &[])
}

/// What came of one rule: `pass`, `fail` or `unknown`, and what was said.
fn finding(ran: &Ran, rule: &str) -> (String, String) {
    let report: Value = serde_json::from_str(&ran.out).unwrap_or_else(|_| panic!("{}{}", ran.out, ran.err));
    let row = report["findings"].as_array().unwrap().iter().find(|row| row["rule"] == rule);
    let row = row.unwrap_or_else(|| panic!("no {rule}: {}", ran.out));
    let said = |key: &str| row[key].as_str().unwrap_or_default().to_owned();
    (said("outcome"), format!("{} | {}", said("says"), said("cure")))
}

fn fails(ran: &Ran, rule: &str, part: &str) {
    let (outcome, says) = finding(ran, rule);
    assert!(outcome == "fail" && says.contains(part), "{rule}: {outcome}: {says}");
    assert_eq!(ran.status, 1, "{}", ran.err);
}

const JSON: &[&str] = &["--format", "json"];

#[test]
fn each_stage_of_the_line_has_its_own_fault() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    fails(&auth(&format!("http://{closed}"), JSON), "line.port", "Nothing listens there");
    fails(&auth("http://no-such-host.invalid", JSON), "line.name", "can not be resolved");
    let silent = listen("127.0.0.1:0", |mut stream| {
        let _ = request(&mut stream);
        std::thread::sleep(std::time::Duration::from_secs(5));
    });
    let patience = ["--timeout", "1s", "--format", "json"];
    fails(&auth(&format!("http://{silent}"), &patience), "line.http", "The gateway hangs");
    let strange = http(|_| "SSH-2.0-OpenSSH_9.2\r\n\r\n".to_owned());
    fails(&auth(&format!("http://{strange}"), JSON), "line.http", "does not speak HTTP");
    fails(&auth(&format!("https://{strange}"), &patience), "line.tls", "does not answer to TLS");
    let plain = listen("127.0.0.1:0", |mut stream| {
        let _ = std::io::Read::read(&mut stream, &mut [0; 512]);
        let _ = std::io::Write::write_all(&mut stream, answer(400, "", "").as_bytes());
    });
    fails(&auth(&format!("https://{plain}"), JSON), "line.tls", "does not speak TLS");
    let page = http(|_| answer(404, "content-type: text/html", "<html><title>Not here</title>"));
    fails(&auth(&format!("http://{page}"), JSON), "access.endpoint", "no /v1/messages below");
    let login = http(|_| answer(302, "location: https://login.example/?t=1", ""));
    fails(&auth(&format!("http://{login}"), JSON), "access.endpoint", "redirect (302)");
}

#[test]
fn certificates_are_shown_and_their_faults_are_told_apart() {
    let folder = tempfile::tempdir().unwrap();
    let secure = |identity: Arc<Identity>| {
        let answered = |_: &str| answer(401, "server: kong/3.9", r#"{"message":"Unauthorized"}"#);
        let at = listen("127.0.0.1:0", move |stream| exchange(&mut identity.over(stream), &answered));
        format!("https://{at}")
    };
    let trust = |identity: &Identity, name: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, &identity.authority).unwrap();
        text(&path).to_owned()
    };
    let good = Arc::new(Identity::new("House CA", (2025, 2035)));
    let ca = trust(&good, "good.pem");
    let url = secure(good);
    fails(&auth(&url, JSON), "line.tls", "does not know CN=House CA");
    let trusted = auth(&url, &["--ca", &ca, "--format", "json"]);
    assert_eq!(finding(&trusted, "line.tls").0, "pass");
    fails(&trusted, "access.credential", "the gateway refuses it");
    let expired = Arc::new(Identity::new("House CA", (2020, 2024)));
    let ca = trust(&expired, "expired.pem");
    let shown = auth(&secure(expired), &["--ca", &ca]);
    assert!(
        shown.out.contains("FAIL - TLS: the certificate of CN=gateway expired on 2024-01-01"),
        "{}",
        shown.out
    );
    assert!(shown.out.contains("certificate: CN=gateway; issued by CN=House CA; until 2024-01-01; EC 256"));
    let missing = auth(&url, &["--ca", "no-such-file.pem", "--format", "json"]);
    fails(&missing, "line.tls", "no-such-file.pem");
}

#[test]
fn a_refusal_is_told_to_be_the_gateways_the_providers_or_a_pages() {
    let provider =
        || answer(401, "request-id: req_01A", &envelope("authentication_error", "invalid x-api-key"));
    // It takes this token, and its own key for the provider is bad.
    let behind = http(move |request| match request.contains(TOKEN) {
        true => provider(),
        false => answer(401, "server: kong/3.9.1", r#"{"message":"No API key found"}"#),
    });
    let ran = auth(&format!("http://{behind}"), JSON);
    fails(&ran, "access.credential", "the provider refuses the credential of the gateway itself");
    assert!(finding(&ran, "access.credential").1.contains("Whoever runs Kong"));

    let through = http(move |_| provider());
    fails(&auth(&format!("http://{through}"), JSON), "access.credential", "it went through to the provider");
    let page = http(|_| answer(401, "content-type: text/html", "<html><title>Sign in</title></html>"));
    fails(&auth(&format!("http://{page}"), JSON), "access.credential", "a page for browsers");
    // What repeats the credential to us must not get it into our report.
    let echo = http(|request| answer(401, "", &json!({"message": request}).to_string()));
    fails(&auth(&format!("http://{echo}"), JSON), "access.credential", "the gateway refuses it");
    // One header alone is read.
    let picky = http(|request| match request.to_ascii_lowercase().contains(&format!("x-api-key: {TOKEN}")) {
        true => answer(404, "request-id: req_01B", &envelope("not_found_error", "model: no-such-model")),
        false => answer(401, "", r#"{"message":"no"}"#),
    });
    let ran = auth(&format!("http://{picky}"), JSON);
    assert_eq!((ran.status, finding(&ran, "access.credential").0.as_str()), (0, "pass"));
    assert_eq!(finding(&ran, "access.bearer").0, "fail");
    assert_eq!(finding(&ran, "access.api_key").0, "pass");
    let open = http(|_| answer(200, "", "{}"));
    fails(&auth(&format!("http://{open}"), JSON), "access.refused", "everybody who reaches it");
}

#[test]
fn the_gateway_itself_is_told_from_its_provider() {
    let mut command = tollgate(&["simulate", "--listen", "127.0.0.1:0", "--api-key-env", "KEY"]);
    command.env("KEY", "sk-ant-canary-upstream");
    let simulator = Server::start(command);
    let gateway = Gateway::start(&simulator.line("http://"));
    let url = format!("http://{}", gateway.clients);
    let key = gateway.key("platform");
    let args = ["doctor", "auth", "--url", &url, "--token-env", "KEY", "--format", "json"];
    let good = doctor(&args, &[("KEY", &key)]);
    assert_eq!(good.status, 0, "{}", good.out);
    assert_eq!(finding(&good, "token.shape").0, "pass");
    assert!(!good.out.contains(&key));
    let report: Value = serde_json::from_str(&good.out).unwrap();
    assert_eq!((report["product"].as_str(), report["verdict"].as_str()), (Some("Tollgate"), Some("good")));
    fails(&auth(&url, JSON), "access.credential", "the provider was not asked");

    let mut command = tollgate(&["simulate", "--listen", "127.0.0.1:0", "--api-key-env", "KEY"]);
    command.env("KEY", "sk-ant-another");
    let other = Server::start(command);
    let gateway = Gateway::start(&other.line("http://"));
    let (url, key) = (format!("http://{}", gateway.clients), gateway.key("platform"));
    let args = ["doctor", "auth", "--url", &url, "--token-env", "KEY", "--format", "json"];
    let refused = doctor(&args, &[("KEY", &key)]);
    assert_eq!(finding(&refused, "access.credential").0, "pass", "{}", refused.out);
    fails(&refused, "access.upstream", "does not get through to the provider");
}

#[test]
fn a_gateway_on_ipv6_is_reached() {
    let refuse = |_: &str| answer(401, "", r#"{"message":"no"}"#);
    let at = listen("[::1]:0", move |mut stream| exchange(&mut stream, &refuse));
    let ran = auth(&format!("http://{at}"), JSON);
    assert_eq!(finding(&ran, "line.port").0, "pass");
    fails(&ran, "access.credential", "the gateway refuses it");
}

/// An issuer with one key, and tokens of it.
struct Issuer {
    pair: EcdsaKeyPair,
    url: String,
}

impl Issuer {
    fn start() -> Self {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        let point = pair.public_key().as_ref();
        let (x, y) = (URL_SAFE_NO_PAD.encode(&point[1..33]), URL_SAFE_NO_PAD.encode(&point[33..]));
        let keys = json!({"keys": [{"kty": "EC", "kid": "k1", "crv": "P-256", "x": x, "y": y}]}).to_string();
        let at = http(move |request| {
            let host = request.lines().find_map(|line| line.strip_prefix("host: ")).unwrap_or_default();
            let document =
                json!({"issuer": format!("http://{host}"), "jwks_uri": format!("http://{host}/keys?v=1")});
            match request.split(' ').nth(1) {
                Some("/.well-known/openid-configuration") => answer(200, "", &document.to_string()),
                Some("/keys?v=1") => answer(200, "", &keys),
                _ => answer(404, "", ""),
            }
        });
        Self { pair, url: format!("http://{at}") }
    }

    fn token(&self, kid: &str, seconds_left: i64) -> String {
        let part = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let now = jiff::Timestamp::now().as_second();
        let claims = json!({"iss": self.url, "aud": "canary-audience", "sub": "canary@corp.example",
            "exp": now + seconds_left, "iat": now - 7200});
        let signed = format!("{}.{}", part(json!({"alg": "ES256", "kid": kid})), part(claims));
        let signature = self.pair.sign(&SystemRandom::new(), signed.as_bytes()).unwrap();
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}

#[test]
fn a_json_web_token_is_judged_by_its_times_its_audience_and_its_issuer() {
    let (issuer, stranger) = (Issuer::start(), Issuer::start());
    let gateway = http(|_| answer(401, "", r#"{"message":"no"}"#));
    let url = format!("http://{gateway}");
    let judged = |token: &str, more: &[&str]| {
        let args = ["doctor", "auth", "--url", &url, "--token-env", "JWT", "--format", "json", "--verbose"];
        doctor(&[&args, more].concat(), &[("JWT", token)])
    };
    let good = judged(&issuer.token("k1", 3600), &["--issuer", &issuer.url]);
    for rule in ["token.shape", "token.time", "token.issuer", "token.signature"] {
        assert_eq!(finding(&good, rule).0, "pass", "{rule}: {}", good.out);
    }
    assert!(good.out.contains("claims aud, exp, iat, iss, sub"), "{}", good.out);
    fails(&judged(&issuer.token("k1", -600), &[]), "token.time", "10 min ago");
    fails(
        &judged(&issuer.token("k1", 3600), &["--audience", "gw"]),
        "token.audience",
        "another than --audience",
    );
    fails(
        &judged(&issuer.token("k1", 3600), &["--issuer", &stranger.url]),
        "token.issuer",
        "another than --issuer",
    );
    fails(&judged(&issuer.token("k2", 3600), &[]), "token.signature", "none of the 1 keys");
    let unvouched = judged(&issuer.token("k1", 3600), &[]);
    assert_eq!(finding(&unvouched, "token.issuer").0, "unknown", "{}", unvouched.out);
    let asked = format!("asking {}/.well-known/openid-configuration ...", issuer.url);
    let asked_keys = format!("asking {}/keys?v=1 ...", issuer.url);
    for part in ["the token itself names the issuer", &asked, &asked_keys] {
        assert!(unvouched.err.contains(part), "{part}: {}", unvouched.err);
    }
    let forged = Issuer { pair: stranger.pair, url: issuer.url.clone() }.token("k1", 3600);
    fails(&judged(&forged, &[]), "token.signature", "not by the key of the issuer");
}

#[test]
fn an_issuer_that_redirects_is_not_followed() {
    let (followed, was_followed) = std::sync::mpsc::channel();
    let elsewhere = http(move |_| {
        followed.send(()).unwrap();
        answer(200, "", "{}")
    });
    let redirecting = http(move |_| answer(302, &format!("location: http://{elsewhere}/keys"), ""));
    let issuer = Issuer { url: format!("http://{redirecting}"), ..Issuer::start() };
    let token = issuer.token("k1", 3600);
    let args = ["doctor", "auth", "--url", "http://127.0.0.1:9", "--token-env", "JWT", "--format", "json"];
    let judged = doctor(&args, &[("JWT", &token)]);
    let (outcome, says) = finding(&judged, "token.signature");
    assert!(outcome == "unknown" && says.contains("a redirect (302), which is not followed"), "{says}");
    assert!(was_followed.try_recv().is_err());
}

#[test]
fn a_proxy_is_told_by_what_it_does_to_a_tunnel() {
    let identity = Arc::new(Identity::new("House CA", (2025, 2035)));
    let folder = tempfile::tempdir().unwrap();
    let ca = folder.path().join("ca.pem");
    std::fs::write(&ca, &identity.authority).unwrap();
    let refuse = |_: &str| answer(401, "", r#"{"message":"no"}"#);
    let gateway = listen("127.0.0.1:0", move |stream| exchange(&mut identity.over(stream), &refuse));
    let url = format!("https://{gateway}");
    let judged = |command: &str, proxy: &str, more: &[(&str, &str)]| {
        let args = ["doctor", command, "--url", &url, "--ca", text(&ca), "--format", "json", "--verbose"];
        doctor(&args, &[&[("HTTPS_PROXY", proxy)], more].concat())
    };
    let demanding = http(|_| answer(407, "proxy-authenticate: Basic", ""));
    let named = format!("http://{demanding}");
    fails(&judged("proxy", &named, &[]), "proxy.tunnel", "HTTPS_PROXY holds none (status 407)");
    fails(&judged("auth", &named, &[]), "line.proxy", "HTTPS_PROXY=http://USER:PASSWORD@PROXY:PORT");
    let wrong = format!("http://ann:canary-password@{demanding}");
    fails(&judged("proxy", &wrong, &[]), "proxy.tunnel", "refuses the credential in HTTPS_PROXY");
    let exempt = judged("proxy", &named, &[("NO_PROXY", "127.0.0.1")]);
    assert_eq!((exempt.status, finding(&exempt, "proxy.exempt").0.as_str()), (0, "pass"), "{}", exempt.out);
    fails(&judged("proxy", "socks5://127.0.0.1:1080", &[]), "proxy.named", "http://");

    let opening = listen("127.0.0.1:0", move |mut stream| {
        if request(&mut stream).is_some() {
            std::io::Write::write_all(&mut stream, b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
            join(stream, std::net::TcpStream::connect(gateway).unwrap());
        }
    });
    let through = judged("proxy", &format!("http://{opening}"), &[]);
    for rule in ["proxy.tunnel", "proxy.inspection", "proxy.gateway"] {
        assert_eq!(finding(&through, rule).0, "pass", "{rule}: {}", through.out);
    }
    let own = Arc::new(Identity::new("Inspection CA", (2025, 2035)));
    let looking = listen("127.0.0.1:0", move |mut stream| {
        if request(&mut stream).is_some() {
            std::io::Write::write_all(&mut stream, b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
            exchange(&mut own.over(stream), &refuse);
        }
    });
    let inspected = judged("proxy", &format!("http://{looking}"), &[]);
    fails(&inspected, "proxy.gateway", "NODE_EXTRA_CA_CERTS");
    assert_eq!(finding(&inspected, "proxy.inspection").0, "fail");
    assert!(inspected.out.contains("issued by CN=Inspection CA"), "{}", inspected.out);
    let page = http(|_| answer(200, "content-type: text/html", "<html>log in</html>"));
    fails(&judged("proxy", &format!("http://{page}"), &[]), "proxy.gateway", "does not speak TLS");
}

#[test]
fn a_certificate_of_the_gateway_itself_is_not_laid_to_the_proxy() {
    let identity = Arc::new(Identity::new("House CA", (2015, 2020)));
    let folder = tempfile::tempdir().unwrap();
    let ca = folder.path().join("ca.pem");
    std::fs::write(&ca, &identity.authority).unwrap();
    let gateway =
        listen("127.0.0.1:0", move |stream| exchange(&mut identity.over(stream), &|_| answer(401, "", "{}")));
    let opening = listen("127.0.0.1:0", move |mut stream| {
        if request(&mut stream).is_some() {
            std::io::Write::write_all(&mut stream, b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
            join(stream, std::net::TcpStream::connect(gateway).unwrap());
        }
    });
    let url = format!("https://{gateway}");
    let args = ["doctor", "proxy", "--url", &url, "--ca", text(&ca), "--format", "json", "--verbose"];
    let through = doctor(&args, &[("HTTPS_PROXY", &format!("http://{opening}"))]);
    assert_eq!(finding(&through, "proxy.inspection").0, "pass", "{}", through.out);
    fails(&through, "proxy.gateway", "expired");
    assert!(!through.out.contains("the proxy's authority, in PEM"), "{}", through.out);
}
