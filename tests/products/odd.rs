//! Plans that are odd and right: names that look like numbers, an upstream with an address of IPv6, extremes.

use crate::caddy::CADDY;
use crate::envoy::ENVOY;
use crate::haproxy::HAPROXY;
use crate::nginx::NGINX;
use crate::stage::make;

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
