//! Envoy.

use crate::behaviour::{self, faults};
use crate::issuer::Issuer;
use crate::stage::{ADA, Product, api, make, make_of};
use tollgate_acceptance::nginx::free_address;
use tollgate_acceptance::post;

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
    behaviour::is_found_without_sni(&ENVOY, "sni: \"localhost\"").await;
}

/// `envsubst` makes an empty text of a variable that is not set.
#[test]
fn envoy_does_not_start_with_an_empty_key() {
    let made = make(&ENVOY, "http://127.0.0.1:9", "");
    made.change(ENVOY.file, ADA, "");
    assert!(!made.check_without("NOTHING").status.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn envoy_takes_the_tokens_of_an_issuer_and_limits_their_subjects() {
    let (api, issuer, other) = (api().await, Issuer::open().await, Issuer::open().await);
    let listen = free_address();
    let plan = format!(
        "listen: {listen}\nupstream: {{ url: '{}' }}\nlimits: {{ requests_per_minute: 3, burst: 1 }}\nauth:\n  oidc:\n    \
         issuer: https://login.example.com/\n    audience: gateway\n    jwks: http://{}/keys\n",
        api.url(),
        issuer.jwks
    );
    let serving = make_of(&ENVOY, listen, &plan).serve().await;
    let ask = async |header: &str, token: &str| {
        let body =
            r#"{"model":"claude-opus-5-5","max_tokens":9,"messages":[{"role":"user","content":"hi"}]}"#;
        let headers =
            [&format!("{header}{token}"), "anthropic-version: 2023-06-01", "x-gateway-member: somebody"];
        post(serving.address(), "/v1/messages", &headers, body).await
    };
    let bearer = "authorization: Bearer ";
    for bad in [
        issuer.token("ada", "another", 60),
        issuer.token("ada", "gateway", -300),
        other.token("ada", "gateway", 60),
        "not-a-token".to_owned(),
    ] {
        let refused = ask(bearer, &bad).await;
        assert_eq!(
            (refused.status, refused.error_type().as_str()),
            (401, "authentication_error"),
            "{}",
            refused.text()
        );
    }
    assert_eq!(api.record().served().requests, 0);
    for subject in ["ada", "bob"] {
        let token = issuer.token(subject, "gateway", 60);
        assert_eq!(ask(bearer, &token).await.status, 200);
        assert_eq!(ask("x-api-key: ", &token).await.status, 200);
        let limited = ask(bearer, &token).await;
        assert_eq!((limited.status, limited.error_type().as_str()), (429, "rate_limit_error"));
    }
    for seen in api.record().requests() {
        assert!(
            seen.header("authorization").is_none() && seen.header("x-gateway-member").is_none(),
            "{seen:?}"
        );
        assert_eq!(seen.header("x-api-key"), Some(tollgate_acceptance::house::UPSTREAM_KEY));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_broken_in_envoy_is_found() {
    let rows: [(&str, &str, &[&str]); 2] = [
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
