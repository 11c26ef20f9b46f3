//! Envoy.

use crate::behaviour::{self, faults};
use crate::stage::{Product, api, make};

pub(crate) static ENVOY: Product = Product {
    target: "envoy",
    file: "envoy.yaml",
    check: &["envoy", "--mode", "validate", "-c", "DIR/envoy.yaml"],
    serve: &[
        "envoy",
        "--concurrency",
        "1",
        "--disable-hot-restart",
        "--file-flush-interval-msec",
        "50",
        "-c",
        "DIR/envoy.yaml",
    ],
};

#[tokio::test(flavor = "multi_thread")]
async fn envoy_serves_as_a_gateway_must() {
    behaviour::holds(&ENVOY).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn envoy_limits_each_member() {
    behaviour::limits_each_member(&ENVOY).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn envoy_trusts_the_right_certificate_only() {
    behaviour::trusts_the_right_certificate_only(&ENVOY).await;
    behaviour::is_found_without_sni(&ENVOY, "sni: localhost").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_broken_in_envoy_is_found() {
    let rows: [(&str, &str, &[&str]); 3] = [
        ("append_action: OVERWRITE_IF_EXISTS_OR_ADD", "append_action: ADD_IF_ABSENT", &[]),
        ("value: \"sk-ant-api03-canary-upstream-key\"", "value: \"another\"", &["auth.swap"]),
        ("max_request_headers_kb: 96", "max_request_headers_kb: 8", &["headers.beta"]),
    ];
    for (from, to, expected) in rows {
        let api = api().await;
        let made = make(&ENVOY, &api.url(), "");
        made.change(ENVOY.file, from, to);
        let found = faults(&made.serve().await, &api).await;
        for one in expected {
            assert!(found.contains(one), "{from} -> {to}: {found:?}");
        }
    }
}
