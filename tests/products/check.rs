//! `tollgate check` before each product, proven: the probe stands where the API would.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use tollgate_acceptance::Certificate;
use tollgate_acceptance::nginx::free_address;
use tollgate_acceptance::serve::tollgate;

use crate::behaviour::tls_door;
use crate::caddy::CADDY;
use crate::envoy::ENVOY;
use crate::haproxy::HAPROXY;
use crate::nginx::NGINX;
use crate::stage::{ADA, Made, Product, make};

/// More than a check sends in a minute.
const LIMITS: &str = "limits: { requests_per_minute: 6000, burst: 1000 }";

/// A product's file, what is changed in it and into what, and the rules that then fail.
type Break =
    (&'static Product, &'static str, &'static [(&'static str, &'static str)], &'static [&'static str]);

/// The rules that are errors and fail, as the generated file says about itself.
const PRODUCTS: [(&Product, &[&str]); 4] =
    [(&NGINX, &[]), (&HAPROXY, &[]), (&CADDY, &["stream.cut"]), (&ENVOY, &[])];

#[tokio::test(flavor = "multi_thread")]
async fn what_is_generated_is_proven_by_check() {
    for (product, expected) in PRODUCTS {
        let mut failed = checked(product, |_| {}).await;
        if failed != expected {
            // Streams are judged by the clock, which a busy machine may spoil; and Caddy 2.6 now and then closes its
            // own connection to the upstream in the middle of one.
            failed = checked(product, |_| {}).await;
        }
        assert_eq!(failed, expected, "{}", product.target);
    }
}

/// As where its clients are on other machines.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_generated_with_a_certificate_is_proven_by_check() {
    let folder = tempfile::tempdir().unwrap();
    let certificate = Certificate::make(folder.path());
    // What the command says is left to do for HAProxy.
    std::os::unix::fs::symlink(&certificate.key, folder.path().join("server.pem.key")).unwrap();
    let trusted = ["--ca-file", certificate.authority.to_str().unwrap()];
    let more = format!("{}\n{LIMITS}", certificate.listen());
    for (product, _) in PRODUCTS {
        let probe = free_address();
        let serving = make(product, &format!("http://{probe}"), &more).serve().await;
        let url = format!("https://{}", serving.address());
        let (_, report) = check(&url, ADA, probe, folder.path(), &trusted).await;
        // How streams come through is shown above.
        for rule in ["endpoint", "headers", "body", "status", "auth", "tls.version", "tls.chain", "tls.used"]
        {
            let findings = report["findings"].as_array().unwrap();
            let finding = findings.iter().find(|finding| finding["rule"] == rule).unwrap();
            assert_eq!(finding["outcome"], "pass", "{}: {finding:#}", product.target);
        }
        // The authority is of this test alone: nobody else trusts it.
        let (_, report) = check(&url, ADA, probe, folder.path(), &[]).await;
        assert!(failed(&report, "error").contains(&"tls.chain".to_owned()), "{report:#}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_broken_in_it_fails_the_check() {
    const ADDED: (&str, &str) = ("http-request set-header x-api-key", "http-request add-header x-api-key");
    let rows: [Break; 9] = [
        (&NGINX, "nginx.conf", &[("proxy_buffering off;", "")], &["stream.close"]),
        (&NGINX, "nginx.conf", &[("client_max_body_size 32m;", "")], &["body.large"]),
        (&NGINX, "nginx.conf", &[("proxy_set_header authorization \"\";", "")], &["auth.leak", "auth.two"]),
        (
            &NGINX,
            "secrets/upstream.conf",
            &[("proxy_set_header x-api-key", "proxy_set_header x-added")],
            &["auth.leak"],
        ),
        (
            &HAPROXY,
            "haproxy.cfg",
            &[("http-request del-header authorization", "")],
            &["auth.leak", "auth.two"],
        ),
        (
            &HAPROXY,
            "haproxy.cfg",
            &[("http-request del-header x-api-key", ""), ADDED],
            &["auth.leak", "auth.two"],
        ),
        (&CADDY, "Caddyfile", &[("header_up -authorization", "")], &["auth.leak", "auth.two"]),
        (
            &ENVOY,
            "envoy.yaml",
            &[("hide_credentials: true", "hide_credentials: false"), ("OVERWRITE_IF", "APPEND_IF")],
            &["auth.leak", "auth.two"],
        ),
        (&ENVOY, "envoy.yaml", &[("timeout: 0s", "timeout: 1s")], &["stream.silence"]),
    ];
    for (product, file, changes, expected) in rows {
        let change = |made: &Made| changes.iter().for_each(|(from, to)| made.change(file, from, to));
        let failed = checked(product, change).await;
        for rule in expected {
            assert!(failed.iter().any(|one| one == rule), "{file}: {changes:?}: {failed:?}");
        }
    }
}

/// Without SNI the API's edge does not know whom to be, and nothing arrives.
#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_names_no_host_fails_the_check() {
    let folder = tempfile::tempdir().unwrap();
    let certificate = Certificate::make(folder.path());
    let ca_file = format!("  ca_file: {}\n{LIMITS}", certificate.authority.display());
    for (is_named, expected) in [(true, Some(0)), (false, Some(1))] {
        let probe = free_address();
        let port = tls_door(&certificate, probe).await;
        let made = make(&NGINX, &format!("https://localhost:{port}"), &ca_file);
        if !is_named {
            made.change("nginx.conf", "proxy_ssl_server_name on;", "");
        }
        let serving = made.serve().await;
        let url = format!("http://{}", serving.address());
        let (status, report) = check(&url, ADA, probe, folder.path(), &[]).await;
        assert_eq!(status, expected, "{report:#}");
    }
}

/// The rules whose severity is an error and that fail, once something is changed.
async fn checked(product: &'static Product, change: impl FnOnce(&Made)) -> Vec<String> {
    let probe = free_address();
    let made = make(product, &format!("http://{probe}"), LIMITS);
    change(&made);
    let serving = made.serve().await;
    let url = format!("http://{}", serving.address());
    let (status, report) = check(&url, ADA, probe, serving.made.folder.path(), &[]).await;
    let failed = failed(&report, "error");
    assert_eq!(status, Some(i32::from(!failed.is_empty())), "{report:#}");
    let findings = report["findings"].as_array().unwrap().iter();
    let unproven: Vec<&Value> =
        findings.filter(|one| one["outcome"] == "pass" && one["ground"] != "proven").collect();
    assert!(unproven.is_empty(), "{unproven:#?}");
    failed
}

/// The rules that fail and are this bad or worse.
pub(crate) fn failed(report: &Value, least: &str) -> Vec<String> {
    const SEVERITIES: [&str; 3] = ["note", "warning", "error"];
    let rank = |severity: &str| SEVERITIES.iter().position(|one| *one == severity);
    let findings = report["findings"].as_array().unwrap().iter();
    let failed = findings
        .filter(|one| one["outcome"] == "fail" && rank(one["severity"].as_str().unwrap()) >= rank(least));
    failed.map(|finding| finding["rule"].as_str().unwrap().to_owned()).collect()
}

/// The exit status and the report of `check` with the probe.
pub(crate) async fn check(
    url: &str,
    key: &str,
    probe: SocketAddr,
    folder: &Path,
    more: &[&str],
) -> (Option<i32>, Value) {
    let report = folder.join("report.json");
    let mut command = Command::new(tollgate());
    command.args(["check", "--url", url, "--token-env", "GATEWAY_KEY", "--format", "json"]).args(more);
    command.args(["--probe-listen", &probe.to_string(), "--output"]).arg(&report).env("GATEWAY_KEY", key);
    let output = tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap();
    let text = std::fs::read_to_string(&report);
    let text = text.unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)));
    assert!(!text.contains(key), "the report holds a credential");
    (output.status.code(), serde_json::from_str(&text).unwrap())
}
