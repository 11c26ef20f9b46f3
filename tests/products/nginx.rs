//! nginx.

use crate::behaviour::{self, faults};
use crate::stage::{ADA, Product, api, make};

pub(crate) static NGINX: Product = Product {
    target: "nginx",
    file: "nginx.conf",
    check: &["nginx", "-t", "-c", "DIR/nginx.conf", "-p", "DIR", "-g", "pid DIR/pid;"],
    serve: &[
        "nginx",
        "-c",
        "DIR/nginx.conf",
        "-p",
        "DIR",
        "-g",
        "daemon off; master_process off; pid DIR/pid;",
    ],
};

#[tokio::test(flavor = "multi_thread")]
async fn nginx_serves_as_a_gateway_must() {
    behaviour::holds(&NGINX).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nginx_limits_each_member() {
    behaviour::limits_each_member(&NGINX).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nginx_trusts_the_right_certificate_only() {
    behaviour::trusts_the_right_certificate_only(&NGINX).await;
    behaviour::is_found_without_sni(&NGINX, "proxy_ssl_server_name on;").await;
}

/// `envsubst` makes an empty text of a variable that is not set.
#[tokio::test(flavor = "multi_thread")]
async fn an_empty_key_admits_nobody_to_nginx() {
    let api = api().await;
    let made = make(&NGINX, &api.url(), "");
    made.change("secrets/members.map", ADA, "");
    let found = behaviour::strangers(&made.serve().await, &api).await;
    assert!(found.is_empty(), "{found:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_broken_in_nginx_is_found() {
    let rows: [(&str, &str, &str, &[&str]); 6] = [
        ("nginx.conf", "proxy_buffering off;", "", &["stream"]),
        ("nginx.conf", "client_max_body_size 32m;", "", &["body.large"]),
        ("nginx.conf", "proxy_set_header authorization \"\";", "", &["auth.two"]),
        ("nginx.conf", "limit_req zone=messages", "set $args \"\";\nlimit_req zone=messages", &["query"]),
        ("nginx.conf", "proxy_intercept_errors off;", "proxy_intercept_errors on;", &["errors.verbatim"]),
        (
            "secrets/upstream.conf",
            "proxy_set_header x-api-key",
            "proxy_set_header x-other",
            &["auth.swap", "auth.two"],
        ),
    ];
    for (file, from, to, expected) in rows {
        let api = api().await;
        let made = make(&NGINX, &api.url(), "");
        made.change(file, from, to);
        let found = faults(&made.serve().await, &api).await;
        for one in expected {
            assert!(found.contains(one), "{from} -> {to}: {found:?}");
        }
    }
}
