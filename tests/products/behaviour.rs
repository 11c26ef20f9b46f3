//! What a gateway must do, as questions whose answers are faults.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tollgate_acceptance::house::UPSTREAM_KEY;
use tollgate_acceptance::{Answer, Certificate, Connection, client, get, post};
use tollgate_simulator::{Running, Seen};
use tollgate_wire::header::{Action, TABLE, request_action};

use crate::stage::{ADA, BOB, Product, Serving, api, make};

const VERSION: &str = "anthropic-version: 2023-06-01";
const BODY: &str = r#"{"model":"claude-opus-5-5","max_tokens":64,"stream":true,"messages":[{"role":"user","content":"hi"}]}"#;
const MB: usize = 1024 * 1024;

/// How long something may take that is not held back.
const PATIENCE: Duration = Duration::from_secs(3);

type Faults = BTreeSet<&'static str>;

/// The configuration as it is made has no fault, keeps its secrets, and reports an API that is not there.
pub(crate) async fn holds(product: &'static Product) {
    let api = api().await;
    let serving = make(product, &api.url(), "").serve().await;
    assert_eq!(faults(&serving, &api).await, Faults::new());
    api.stop().await;
    let gone = post(serving.address(), "/v1/messages", &[&bearer(ADA), VERSION], BODY).await;
    assert!(is_unreachable(&gone), "{} {}", gone.status, gone.text());
    let log = log_with(&serving, if product.target == "caddy" { "/v1/messages" } else { " ada " }).await;
    assert!([ADA, BOB, UPSTREAM_KEY, BODY, "%2F"].iter().all(|text| !log.contains(text)), "{log}");
}

/// The log, once it holds the text: some products write it late.
async fn log_with(serving: &Serving, text: &str) -> String {
    for _ in 0..300 {
        let log = serving.log();
        if log.contains(text) {
            return log;
        }
        sleep(Duration::from_millis(10)).await;
    }
    panic!("the log has no {text:?}");
}

/// Every fault of a gateway that the API sees or a client.
pub(crate) async fn faults(serving: &Serving, api: &Running) -> Faults {
    let mut found = strangers(serving, api).await;
    found.extend(passage(serving, api).await);
    found.extend(endpoints(serving).await);
    found.extend(sizes(serving, api).await);
    found.extend(errors(serving, api).await);
    for shape in ["", "close; ", "gzip; "] {
        found.extend(stream(serving, shape).await);
    }
    found.extend(leaving(serving, api).await);
    found
}

/// Nobody without a key is served, nor does the API hear of them.
pub(crate) async fn strangers(serving: &Serving, api: &Running) -> BTreeSet<&'static str> {
    let mut found = Faults::new();
    let upper = ADA.to_ascii_uppercase();
    let others = [
        vec![],
        vec![bearer("nobody")],
        vec![bearer(&upper)],
        vec![bearer("ada")],
        vec![bearer("")],
        vec!["x-api-key: ".to_owned()],
        vec!["x-api-key: nobody".to_owned()],
        vec![format!("authorization: Basic {ADA}")],
        vec![bearer(UPSTREAM_KEY)],
    ];
    let before = api.record().served().requests;
    for headers in &others {
        let headers: Vec<&str> = headers.iter().map(String::as_str).chain([VERSION]).collect();
        let answer = post(serving.address(), "/v1/messages", &headers, BODY).await;
        let is_refused = answer.status == 401 && is_envelope(&answer, "authentication_error");
        if !is_refused || answer.header("x-should-retry") != Some("false") {
            found.insert("auth.refused");
        }
    }
    if api.record().served().requests != before {
        found.insert("auth.leak");
    }
    found
}

/// What reaches the API: one credential, its own, and everything else as it was sent.
async fn passage(serving: &Serving, api: &Running) -> Faults {
    let mut found = Faults::new();
    let beta = format!("anthropic-beta: {}", vec!["made-up-2026-11-22"; 1080].join(","));
    let noise: Vec<String> = TABLE
        .iter()
        .filter(|row| row.request != Action::Forward)
        .filter(|row| !row.name.ends_with('*') && !is_of_one_hop(row.name))
        .filter(|row| !matches!(row.name, "authorization" | "x-api-key"))
        .map(|row| format!("{}: canary-noise", row.name))
        .collect();
    let ways = [
        vec![bearer(ADA)],
        vec![format!("x-api-key: {ADA}")],
        vec![bearer(ADA), format!("x-api-key: {ADA}")],
        vec![bearer(ADA), "x-api-key: sk-ant-somebody-elses".to_owned()],
    ];
    for credentials in ways {
        api.record().clear();
        let headers = credentials.iter().chain(&noise).map(String::as_str);
        let headers: Vec<&str> = headers
            .chain([
                VERSION,
                &beta,
                "x-app: cli",
                "anthropic-new: 1",
                "x-claude-code-session-id: s",
                "x-forwarded-for: 10.0.0.1",
            ])
            .collect();
        let answer = post(serving.address(), "/v1/messages?beta=true&x=%2F", &headers, BODY).await;
        let Some(seen) = api.record().last() else {
            found.insert(if answer.status == 401 { "auth.both" } else { "headers.beta" });
            continue;
        };
        if answer.status != 200 {
            found.insert("auth.swap");
        }
        if answer.text().contains(UPSTREAM_KEY) {
            found.insert("auth.leak");
        }
        found.extend(arrival(&seen, &beta));
    }
    found
}

fn arrival(seen: &Seen, beta: &str) -> Faults {
    let mut found = Faults::new();
    if seen.target != "/v1/messages?beta=true&x=%2F" {
        found.insert("query");
    }
    if seen.header("x-api-key") != Some(UPSTREAM_KEY) {
        found.insert("auth.swap");
    }
    let credentials = seen.headers.iter().filter(|(name, _)| {
        name.eq_ignore_ascii_case("authorization") || name.eq_ignore_ascii_case("x-api-key")
    });
    if credentials.count() != 1 || seen.headers.iter().any(|(_, value)| value.contains(ADA)) {
        found.insert("auth.two");
    }
    let is_noise = |(name, _): &&(String, String)| {
        let is_removed =
            request_action(name.as_bytes()) == Action::Drop && !is_of_one_hop(&name.to_ascii_lowercase());
        is_removed && !name.eq_ignore_ascii_case("x-api-key")
    };
    if seen.headers.iter().any(|header| is_noise(&header)) {
        found.insert("headers.removed");
    }
    if seen.header("anthropic-beta").map(|value| format!("anthropic-beta: {value}")).as_deref() != Some(beta)
    {
        found.insert("headers.beta");
    }
    let open = [
        ("anthropic-new", "1"),
        ("x-app", "cli"),
        ("x-claude-code-session-id", "s"),
        ("anthropic-version", "2023-06-01"),
    ];
    if open.iter().any(|(name, value)| seen.header(name) != Some(value)) {
        found.insert("headers.open");
    }
    if seen.body != BODY.as_bytes() {
        found.insert("body.bytes");
    }
    found
}

/// Headers that every proxy makes for its own connection.
fn is_of_one_hop(name: &str) -> bool {
    let own =
        ["host", "accept-encoding", "content-length", "transfer-encoding", "connection", "upgrade", "expect"];
    own.contains(&name) || name == "http2-settings"
}

async fn endpoints(serving: &Serving) -> Faults {
    let mut found = Faults::new();
    let (address, ada) = (serving.address(), bearer(ADA));
    for (name, answer, status) in [
        ("endpoint.models", get(address, "/v1/models?limit=1000", &[&ada, VERSION]).await, 200),
        ("endpoint.models", get(address, "/v1/models/claude-opus-5-5", &[&ada, VERSION]).await, 200),
        ("endpoint.health", get(address, "/health", &[]).await, 200),
        ("endpoint.hello", get(address, "/api/hello", &[]).await, 200),
        ("endpoint.control", get(address, "/v1/nothing", &[&ada, VERSION]).await, 404),
        ("endpoint.control", post(address, "/v1/messagesX", &[&ada, VERSION], BODY).await, 404),
        ("endpoint.control", get(address, "/v1/messages", &[&ada, VERSION]).await, 404),
        ("endpoint.control", get(address, "/v1/models", &[VERSION]).await, 401),
    ] {
        if answer.status != status || (status == 404 && !is_envelope(&answer, "not_found_error")) {
            found.insert(name);
        }
    }
    for _ in 0..26 {
        let counted = post(address, "/v1/messages/count_tokens?beta=true", &[&ada, VERSION], BODY).await;
        if counted.status != 200 {
            found.insert("endpoint.count_tokens");
        }
    }
    found
}

async fn sizes(serving: &Serving, api: &Running) -> Faults {
    let mut found = Faults::new();
    let sized = |bytes: usize| {
        let frame = r#"{"model":"claude-opus-5-5","max_tokens":9,"messages":[{"role":"user","content":""}]}"#;
        let (head, tail) = frame.split_at(frame.len() - 4);
        format!("{head}{}{tail}", " ".repeat(bytes - frame.len()))
    };
    let headers = [bearer(ADA), VERSION.to_owned()];
    let headers: Vec<&str> = headers.iter().map(String::as_str).collect();
    api.record().clear();
    let most = post(serving.address(), "/v1/messages", &headers, sized(32 * MB)).await;
    let arrived = api.record().last().map(|seen| seen.body_bytes);
    if most.status != 200 || arrived != Some(32 * MB as u64) {
        found.insert("body.large");
    }
    api.record().clear();
    let over = post(serving.address(), "/v1/messages", &headers, sized(32 * MB + 1)).await;
    if over.status != 413 || !is_envelope(&over, "request_too_large") || api.record().last().is_some() {
        found.insert("body.over");
    }
    found
}

/// Errors of the API arrive as they were sent.
async fn errors(serving: &Serving, api: &Running) -> Faults {
    let mut found = Faults::new();
    for status in [400, 401, 403, 404, 413, 429, 500, 502, 504, 529] {
        let directive = format!(
            "x-simulator: status={status}; message=of the API itself; retry_after=7; should_retry=true"
        );
        let answer =
            post(serving.address(), "/v1/messages", &[&bearer(ADA), VERSION, &directive], BODY).await;
        let request_id = api.record().last().and_then(|seen| seen.answer.request_id);
        let is_same = answer.status == status
            && answer.text().contains("of the API itself")
            && answer.header("retry-after") == Some("7")
            && answer.header("x-should-retry") == Some("true")
            && request_id.is_some_and(|id| answer.header("request-id") == Some(&id));
        if !is_same {
            found.insert("errors.verbatim");
        }
    }
    found
}

/// A stream that never ends by itself: its first events and the pings after them come, or they are held back. It begins
/// after a while, as the API's do: Caddy may break off one that begins before it has noted the end of the request.
async fn stream(serving: &Serving, shape: &str) -> Faults {
    let directive = format!("x-simulator: {shape}first_byte_ms=100; events=4; stall; at=3; pings_ms=100");
    let headers = [&bearer(ADA), VERSION, &directive, "accept-encoding: gzip, deflate, br, zstd"];
    let head = client::head("POST", "/v1/messages", &headers, Some(BODY.len()));
    let mut connection = Connection::open(serving.address()).await;
    connection.send(format!("{head}{BODY}").as_bytes()).await;
    let come = async {
        let status = connection.head().await.map(|(status, _)| status);
        let mut pieces = 0;
        let mut buffer = [0; 4096];
        while status == Some(200) && pieces < 4 {
            match tokio::io::AsyncReadExt::read(&mut connection.stream, &mut buffer).await {
                Ok(0) | Err(_) => break,
                Ok(_) => pieces += 1,
            }
        }
        pieces
    };
    match timeout(PATIENCE, come).await {
        Ok(4) => Faults::new(),
        _ => Faults::from(["stream"]),
    }
}

/// When the client leaves, the API is told.
async fn leaving(serving: &Serving, api: &Running) -> Faults {
    let before = api.record().served().aborted;
    let headers = [&bearer(ADA), VERSION, "x-simulator: events=4; stall; at=3; pings_ms=100"];
    let head = client::head("POST", "/v1/messages", &headers, Some(BODY.len()));
    let mut connection = Connection::open(serving.address()).await;
    connection.send(format!("{head}{BODY}").as_bytes()).await;
    let came = timeout(PATIENCE, connection.until(b"event: ping")).await;
    drop(connection);
    let told =
        timeout(PATIENCE, api.record().until(|served| served.aborted > before && served.open == 0)).await;
    if came.is_err() || told.is_err() { Faults::from(["stream.cancel"]) } else { Faults::new() }
}

/// Three a minute for each member: the fourth at once is refused in due form, and the other member is not.
pub(crate) async fn limits_each_member(product: &'static Product) {
    let api = api().await;
    let serving = make(product, &api.url(), "limits: { requests_per_minute: 3, burst: 2 }").serve().await;
    let ask = async |key: &str| post(serving.address(), "/v1/messages", &[&bearer(key), VERSION], BODY).await;
    for key in [ADA, BOB] {
        for _ in 0..3 {
            assert_eq!(ask(key).await.status, 200, "{key}");
        }
        let refused = ask(key).await;
        assert!(refused.status == 429 && is_envelope(&refused, "rate_limit_error"), "{}", refused.text());
        let wait: u32 = refused.header("retry-after").unwrap().parse().unwrap();
        assert!((20..=60).contains(&wait), "{wait}");
    }
    assert_eq!(api.record().served().requests, 6);
    let counted = post(serving.address(), "/v1/messages/count_tokens", &[&bearer(ADA), VERSION], BODY).await;
    assert_eq!(counted.status, 200);
}

/// An API behind TLS is reached by its name, and one with a certificate of somebody else is not.
pub(crate) async fn trusts_the_right_certificate_only(product: &'static Product) {
    for is_right in [true, false] {
        let api = api().await;
        let folder = tempfile::tempdir().unwrap();
        let other = folder.path().join("other");
        std::fs::create_dir(&other).unwrap();
        let certificate = Certificate::make(folder.path());
        let trusted =
            if is_right { certificate.authority.clone() } else { Certificate::make(&other).authority };
        let port = tls_door(&certificate, api.addr()).await;
        let ca_file = format!("  ca_file: {}", trusted.display());
        let serving = make(product, &format!("https://localhost:{port}"), &ca_file).serve().await;
        let answer = post(serving.address(), "/v1/messages", &[&bearer(ADA), VERSION], BODY).await;
        let is_as_it_should = if is_right { answer.status == 200 } else { is_unreachable(&answer) };
        assert!(is_as_it_should, "{is_right}: {} {}", answer.status, answer.text());
        assert_eq!(api.record().served().requests, u64::from(is_right));
    }
}

/// Without the line that names the host, the API is not reached.
pub(crate) async fn is_found_without_sni(product: &'static Product, line: &str) {
    let api = api().await;
    let folder = tempfile::tempdir().unwrap();
    let certificate = Certificate::make(folder.path());
    let port = tls_door(&certificate, api.addr()).await;
    let ca_file = format!("  ca_file: {}", certificate.authority.display());
    let made = make(product, &format!("https://localhost:{port}"), &ca_file);
    made.change(product.file, line, "");
    let serving = made.serve().await;
    let answer = post(serving.address(), "/v1/messages", &[&bearer(ADA), VERSION], BODY).await;
    assert!(is_unreachable(&answer), "{} {}", answer.status, answer.text());
}

/// TLS before the API, as its edge does it: only for those who name it (RFC 6066 section 3).
pub(crate) async fn tls_door(certificate: &Certificate, api: SocketAddr) -> u16 {
    let chain = vec![CertificateDer::from_pem_file(&certificate.cert).unwrap()];
    let key = PrivateKeyDer::from_pem_file(&certificate.key).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                // A client that does not trust the certificate hangs up here.
                let Ok(mut tls) = acceptor.accept(tcp).await else { return };
                if tls.get_ref().1.server_name() == Some("localhost")
                    && let Ok(mut api) = TcpStream::connect(api).await
                {
                    let _ = copy_bidirectional(&mut tls, &mut api).await;
                }
            });
        }
    });
    port
}

/// A product that takes its secrets from the environment refuses to start while one is missing.
pub(crate) fn does_not_start_without_its_secrets(product: &'static Product) {
    let made = make(product, "http://127.0.0.1:9", "");
    assert!(made.check_without("NOTHING").status.success());
    for variable in ["ADA_KEY", "BOB_KEY", "ANTHROPIC_API_KEY"] {
        assert!(!made.check_without(variable).status.success(), "{variable}");
    }
}

fn is_envelope(answer: &Answer, kind: &str) -> bool {
    let Ok(body) = serde_json::from_slice::<serde_json::Value>(&answer.body) else {
        return false;
    };
    let has_id =
        body["request_id"].as_str().is_some_and(|id| id.len() > 8 && answer.header("request-id") == Some(id));
    body["type"] == "error" && body["error"]["type"] == kind && has_id
}

/// HAProxy has a status of its own for it.
fn is_unreachable(answer: &Answer) -> bool {
    matches!(answer.status, 502 | 503) && is_envelope(answer, "api_error")
}

fn bearer(key: &str) -> String {
    format!("authorization: Bearer {key}")
}
