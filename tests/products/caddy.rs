//! Caddy.

use crate::behaviour::{self, faults};
use crate::stage::{Product, api, make};

pub(crate) static CADDY: Product = Product {
    target: "caddy",
    file: "Caddyfile",
    check: &["caddy", "validate", "--config", "DIR/Caddyfile", "--adapter", "caddyfile"],
    serve: &["caddy", "run", "--config", "DIR/Caddyfile", "--adapter", "caddyfile"],
};

#[tokio::test(flavor = "multi_thread")]
async fn caddy_serves_as_a_gateway_must() {
    behaviour::holds(&CADDY).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn caddy_trusts_the_right_certificate_only() {
    behaviour::trusts_the_right_certificate_only(&CADDY).await;
}

#[test]
fn caddy_does_not_start_without_its_secrets() {
    behaviour::does_not_start_without_its_secrets(&CADDY);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_broken_in_caddy_is_found() {
    let rows: [(&str, &str, &[&str]); 3] = [
        ("header_up -authorization", "", &["auth.two"]),
        ("header_up x-api-key", "header_up x-other", &["auth.swap"]),
        ("error @stranger 401", "", &["auth.refused"]),
    ];
    for (from, to, expected) in rows {
        let api = api().await;
        let made = make(&CADDY, &api.url(), "");
        made.change(CADDY.file, from, to);
        let found = faults(&made.serve().await, &api).await;
        for one in expected {
            assert!(found.contains(one), "{from} -> {to}: {found:?}");
        }
    }
}
