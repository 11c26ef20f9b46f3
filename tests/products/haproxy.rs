//! HAProxy.

use crate::behaviour::{self, faults};
use crate::stage::{Product, api, make};

pub(crate) static HAPROXY: Product = Product {
    target: "haproxy",
    file: "haproxy.cfg",
    check: &["haproxy", "-c", "-f", "DIR/haproxy.cfg"],
    serve: &["haproxy", "-db", "-f", "DIR/haproxy.cfg"],
};

#[tokio::test(flavor = "multi_thread")]
async fn haproxy_serves_as_a_gateway_must() {
    behaviour::holds(&HAPROXY).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn haproxy_limits_each_member() {
    behaviour::limits_each_member(&HAPROXY).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn haproxy_trusts_the_right_certificate_only() {
    behaviour::trusts_the_right_certificate_only(&HAPROXY).await;
    behaviour::is_found_without_sni(&HAPROXY, "sni str(localhost)").await;
}

#[test]
fn haproxy_does_not_start_without_its_secrets() {
    behaviour::does_not_start_without_its_secrets(&HAPROXY);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_broken_in_haproxy_is_found() {
    let rows: [(&str, &str, &[&str]); 4] = [
        ("http-request del-header authorization", "", &["auth.two"]),
        ("http-request set-header x-api-key", "http-request add-header x-other", &["auth.swap"]),
        ("tune.bufsize 65536", "", &["headers.beta"]),
        ("gt 33554432", "gt 33554433", &["body.over"]),
    ];
    for (from, to, expected) in rows {
        let api = api().await;
        let made = make(&HAPROXY, &api.url(), "");
        made.change(HAPROXY.file, from, to);
        let found = faults(&made.serve().await, &api).await;
        for one in expected {
            assert!(found.contains(one), "{from} -> {to}: {found:?}");
        }
    }
}
