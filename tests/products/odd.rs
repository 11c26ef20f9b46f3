//! Plans that are odd and right: names that look like numbers, upstreams with a path or an address of IPv6, extremes.

use crate::caddy::CADDY;
use crate::envoy::ENVOY;
use crate::haproxy::HAPROXY;
use crate::nginx::NGINX;
use crate::stage::{ADA, api, make};
use tollgate_acceptance::post;

const ODD: &str = "\
name: '123'
body_mb: 1024
timeout_s: 3600
limits: { requests_per_minute: 1000000, burst: 1000000 }
models: ['1e3', 'claude-*']
";

#[test]
fn products_accept_what_is_made_of_odd_plans() {
    for (product, upstream) in [
        (&NGINX, "http://[::1]:9/a/b"),
        (&HAPROXY, "http://[::1]:9/a/b"),
        (&CADDY, "http://[::1]:9"),
        (&ENVOY, "https://[::1]:9/a/b"),
    ] {
        let more = format!("  ca_file: /etc/ssl/certs/ca-certificates.crt\n{ODD}");
        for more in [more, ODD.replace("1000000", "1")] {
            let checked = make(product, upstream, &more).check_without("NOTHING");
            assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_path_of_an_upstream_stands_before_that_of_the_request() {
    for product in [&NGINX, &HAPROXY, &ENVOY] {
        let api = api().await;
        let serving = make(product, &format!("{}/a/b", api.url()), "").serve().await;
        let headers = [format!("authorization: Bearer {ADA}"), "anthropic-version: 2023-06-01".to_owned()];
        let headers: Vec<&str> = headers.iter().map(String::as_str).collect();
        post(serving.address(), "/v1/messages?beta=true&x=%2F", &headers, "{}").await;
        let seen = api.record().last().map(|seen| seen.target.clone());
        assert_eq!(seen.as_deref(), Some("/a/b/v1/messages?beta=true&x=%2F"), "{}", product.target);
    }
}
