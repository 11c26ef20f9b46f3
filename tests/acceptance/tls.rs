//! TLS on both sides, HTTP/2 on both sides, and the egress proxy, against real nginx.

use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsConnector;
use tollgate_acceptance::{Certificate, House, Nginx, Plan, post};

const BODY: &str = r#"{"model":"claude-opus-5-5","max_tokens":16,"stream":true,"messages":[{"role":"user","content":"hi"}]}"#;
const VERSION: &str = "anthropic-version: 2023-06-01";

fn connector(certificate: &Certificate, alpn: &[&str]) -> TlsConnector {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(&certificate.authority).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    TlsConnector::from(Arc::new(config))
}

fn tls_plan(certificate: &Certificate) -> Plan {
    Plan { listen: certificate.listen(), ..Plan::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_speak_tls_in_either_version_of_http() {
    let folder = tempfile::tempdir().unwrap();
    let certificate = Certificate::make(folder.path());
    let house = House::build(tls_plan(&certificate)).await;
    let key = house.key("red").await;
    for alpn in [&["http/1.1"][..], &["h2", "http/1.1"], &[]] {
        let tcp = TcpStream::connect(house.address()).await.unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        let tls = connector(&certificate, alpn).connect(name, tcp).await.unwrap();
        let is_http2 = tls.get_ref().1.alpn_protocol() == Some(b"h2");
        assert_eq!(is_http2, alpn.contains(&"h2"));
        let text =
            if is_http2 { over_http2(tls, &key, "").await.unwrap() } else { over_http1(tls, &key).await };
        assert!(text.contains("message_stop"), "{alpn:?}: {text}");
    }
    // Without TLS nobody is served.
    let plain = tollgate_acceptance::client::request(
        house.address(),
        "GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n",
        b"",
    )
    .await;
    assert!(plain.is_none());
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_speak_http2_by_prior_knowledge_and_cuts_stay_cuts() {
    let house = House::open().await;
    let key = house.key("red").await;
    let open = async || TcpStream::connect(house.address()).await.unwrap();
    let text = over_http2(open().await, &key, "events=20;size=100kb").await.unwrap();
    assert!(text.contains("message_stop"));
    let seen = house.simulator.record().last().unwrap();
    assert_eq!(seen.header("anthropic-version"), Some("2023-06-01"));
    assert!(
        over_http2(open().await, &key, "events=20;cut").await.is_err(),
        "a cut is an error of the stream"
    );
    let settled = house.wait_for("settled", 2).await;
    assert_eq!((&settled[0]["outcome"], &settled[1]["outcome"]), (&"complete".into(), &"cut".into()));
    house.close().await;
}

async fn over_http1<S: AsyncReadExt + AsyncWriteExt + Unpin>(mut stream: S, key: &str) -> String {
    let request = format!(
        "POST /v1/messages HTTP/1.1\r\nHost: localhost\r\nx-api-key: {key}\r\n{VERSION}\r\nConnection: close\r\n\
         Content-Length: {}\r\n\r\n{BODY}",
        BODY.len()
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}

async fn over_http2<S>(stream: S, key: &str, directive: &str) -> Result<String, hyper::Error>
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    let builder = hyper::client::conn::http2::Builder::new(TokioExecutor::new());
    let (mut sender, connection) = builder.handshake(TokioIo::new(stream)).await?;
    let driver = tokio::spawn(connection);
    let request = hyper::Request::post("http://localhost/v1/messages?beta=true")
        .header("x-api-key", key)
        .header("anthropic-version", "2023-06-01")
        .header("x-simulator", directive)
        .body(Full::new(Bytes::from_static(BODY.as_bytes())))
        .unwrap();
    let answer = sender.send_request(request).await?;
    assert_eq!(answer.status(), 200);
    let collected = answer.into_body().collect().await;
    driver.abort();
    Ok(String::from_utf8_lossy(&collected?.to_bytes()).into_owned())
}

/// nginx with TLS before the simulator, as the upstream's edge.
async fn edge(simulator: &str, http2: bool) -> (Nginx, Certificate) {
    let folder = tempfile::tempdir().unwrap();
    let certificate = Certificate::make(folder.path());
    let server = format!(
        "listen {{listen}} ssl {};\nssl_certificate {};\nssl_certificate_key {};\nclient_max_body_size 64m;\n\
         location / {{ proxy_pass {simulator}; proxy_http_version 1.1; proxy_buffering off; proxy_set_header Host $host;\
         proxy_set_header X-Edge-Protocol $server_protocol; }}",
        if http2 { "http2" } else { "" },
        certificate.cert.display(),
        certificate.key.display(),
    );
    (Nginx::start(folder, &server).await, certificate)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_upstreams_certificate_is_verified_and_http2_is_an_option() {
    let simulated = House::open().await;
    for http2 in [false, true] {
        let (nginx, certificate) = edge(&simulated.simulator.url(), http2).await;
        let url = format!("https://localhost:{}", nginx.address.port());
        let trusting = Plan {
            upstream_url: Some(url.clone()),
            upstream: format!("ca_file: {}\nhttp2: {http2}", certificate.authority.display()),
            ..Plan::default()
        };
        let house = House::build(trusting).await;
        let key = format!("x-api-key: {}", house.key("red").await);
        let sizes = ["events=3", "size=300kb;events=50"];
        for directive in sizes {
            let headers = [key.as_str(), VERSION, &format!("x-simulator: {directive}")];
            let answer = post(house.address(), "/v1/messages", &headers, BODY).await;
            assert_eq!((answer.status, answer.whole), (200, true), "http2={http2}: {}", answer.text());
            assert!(answer.text().contains("message_stop"));
        }
        let seen = simulated.simulator.record().last().unwrap();
        assert_eq!(seen.header("x-edge-protocol"), Some(if http2 { "HTTP/2.0" } else { "HTTP/1.1" }));
        let settled = house.wait_for("settled", sizes.len()).await;
        assert!(settled.iter().all(|entry| entry["outcome"] == "complete" && entry["estimated"].is_null()));
        house.close().await;

        let wary = House::build(Plan { upstream_url: Some(url), ..Plan::default() }).await;
        let key = format!("x-api-key: {}", wary.key("red").await);
        let answer = post(wary.address(), "/v1/messages", &[&key, VERSION], BODY).await;
        assert_eq!(answer.status, 502, "an unknown authority is refused");
        wary.close().await;
    }
    simulated.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_way_out_may_lead_through_a_proxy() {
    let simulated = House::open().await;
    let (nginx, certificate) = edge(&simulated.simulator.url(), false).await;
    let proxy = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://ann:canary@{}", proxy.local_addr().unwrap());
    let secret = certificate.authority.with_file_name("proxy");
    std::fs::write(&secret, url).unwrap();
    let heads = tokio::spawn(tunnel_twice(proxy));
    let plan = Plan {
        upstream_url: Some(format!("https://localhost:{}", nginx.address.port())),
        upstream: format!("ca_file: {}\n", certificate.authority.display()),
        proxy: Some(format!("file:{}", secret.display())),
        ..Plan::default()
    };
    let house = House::build(plan).await;
    let key = format!("x-api-key: {}", house.key("red").await);
    let refused = post(house.address(), "/v1/messages", &[&key, VERSION], BODY).await;
    assert_eq!(refused.status, 200, "the first tunnel is refused, the second is open: {}", refused.text());
    for head in heads.await.unwrap() {
        let expected = format!("CONNECT localhost:{} HTTP/1.1\r\n", nginx.address.port());
        assert!(head.starts_with(&expected), "{head}");
        assert!(head.contains("proxy-authorization: Basic YW5uOmNhbmFyeQ=="), "{head}");
    }
    house.close().await;
    simulated.close().await;
}

/// A proxy that refuses one tunnel and opens the next; it gives the heads that it read.
async fn tunnel_twice(listener: TcpListener) -> Vec<String> {
    let mut heads = Vec::new();
    for refuse in [true, false] {
        let (mut client, _) = listener.accept().await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(client.read_u8().await.unwrap());
        }
        heads.push(String::from_utf8(head).unwrap());
        if refuse {
            client.write_all(b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n").await.unwrap();
            continue;
        }
        let target = heads[1].split(' ').nth(1).unwrap().to_owned();
        let mut upstream = TcpStream::connect(target).await.unwrap();
        client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await.unwrap();
        tokio::spawn(async move { tokio::io::copy_bidirectional(&mut client, &mut upstream).await });
    }
    heads
}
