//! nginx: a whole nginx.conf, with the keys in files of their own.
//!
//! Sources: <https://nginx.org/en/docs/http/ngx_http_proxy_module.html>,
//! <https://nginx.org/en/docs/http/ngx_http_map_module.html>,
//! <https://nginx.org/en/docs/http/ngx_http_limit_req_module.html>.

use super::{
    Comment, File, Output, Plan, Product, Refusal,
    facts::{self, OwnError, named, prove, removed_from_answers, removed_from_requests, unread, usual_names},
    plan::{Admits, Member, Upstream, variable},
    template::render,
};

pub(super) const PRODUCT: Product = Product {
    name: "nginx",
    help: "https://nginx.org/en/support.html",
    versions: "1.22 and later",
    is_gateway: true,
};

const CONFIG: &str = include_str!("nginx/nginx.conf");
const HASH: Comment = Comment::Line("#");

pub(super) fn generate(plan: &Plan) -> Result<Output, Refusal> {
    let Admits::Keys(members) = plan.admits() else {
        return Err(Refusal {
            why: "its free edition does not verify tokens of an issuer",
            cure: "give each member a key under auth.keys, or generate envoy, which verifies tokens.",
        });
    };
    named(plan)?;
    Ok(Output {
        files: vec![
            File::new("nginx.conf", HASH, config(plan)),
            File::secret("secrets/members.map", HASH, members_map(members)),
            File::secret("secrets/upstream.conf", HASH, upstream_conf(&plan.upstream)),
        ],
        cannot: cannot(plan),
        next: next(plan),
    })
}

fn config(plan: &Plan) -> String {
    let url = &plan.upstream.url;
    let scheme = if url.tls() { "https" } else { "http" };
    // With a path of its own, the whole target must be written out; without one, nginx passes it as it came.
    let proxy_pass = match url.base_path() {
        "" => format!("{scheme}://anthropic"),
        path => format!("{scheme}://anthropic{path}$request_uri"),
    };
    let host = if url.host().contains(':') { format!("[{}]", url.host()) } else { url.host().to_owned() };
    // Without a burst nginx demands an even spacing: then already the second of two requests at once is refused.
    let burst = match plan.limits.burst {
        0 => String::new(),
        burst => format!(" burst={burst} nodelay"),
    };
    render(
        CONFIG,
        &[
            ("rpm", &plan.limits.requests_per_minute.to_string()),
            ("burst", &burst),
            ("upstream_address", &format!("{host}:{}", url.port())),
            ("upstream_host", &url.authority()),
            ("listen", &plan.listen.to_string()),
            ("ssl", if plan.tls.is_some() { " ssl" } else { "" }),
            ("tls", &tls(plan)),
            ("body_mb", &plan.body_mb.to_string()),
            ("timeout_s", &plan.timeout_s.to_string()),
            ("proxy_ssl", &proxy_ssl(&plan.upstream)),
            (
                "removed",
                &directives(
                    "proxy_set_header",
                    removed_from_requests().filter(|name| *name != "x-api-key"),
                    " \"\"",
                ),
            ),
            ("hidden", &directives("proxy_hide_header", removed_from_answers(), "")),
            ("proxy_pass", &proxy_pass),
            ("errors", &errors(plan)),
        ],
    )
}

fn tls(plan: &Plan) -> String {
    plan.tls.as_ref().map_or_else(String::new, |tls| {
        format!(
            "ssl_certificate {};\nssl_certificate_key {};\nssl_protocols TLSv1.2 TLSv1.3;",
            tls.cert, tls.key
        )
    })
}

fn proxy_ssl(upstream: &Upstream) -> String {
    if !upstream.url.tls() {
        return String::new();
    }
    format!(
        "# nginx neither names the host it wants (SNI) nor looks at the certificate unless it is told to.\n\
         proxy_ssl_server_name on;\n\
         proxy_ssl_name {};\n\
         proxy_ssl_verify on;\n\
         proxy_ssl_verify_depth 4;\n\
         proxy_ssl_trusted_certificate {};\n\
         proxy_ssl_protocols TLSv1.2 TLSv1.3;",
        upstream.url.host(),
        upstream.ca_file
    )
}

fn directives(directive: &str, names: impl Iterator<Item = &'static str>, value: &str) -> String {
    names.flat_map(usual_names).map(|name| format!("{directive} {name}{value};\n")).collect()
}

/// The named locations of `error_page`. Claude Code asks again after a 401, for minutes, unless it is told not to.
fn errors(plan: &Plan) -> String {
    let retry_after = format!("add_header retry-after {} always;", plan.retry_after_s());
    let rows = [
        ("bad_request", 400, ""),
        ("unauthorized", 401, "add_header x-should-retry false always;"),
        ("not_found", 404, ""),
        ("too_large", 413, ""),
        ("limited", 429, retry_after.as_str()),
        ("unreachable", 502, ""),
        ("silent", 504, ""),
    ];
    rows.map(|(name, status, more)| {
        let body = OwnError::of(status).body("$request_id");
        let more = if more.is_empty() { String::new() } else { format!("    {more}\n") };
        format!(
            "location @{name} {{\n    default_type application/json;\n    add_header request-id $request_id always;\n\
             {more}    return {status} '{body}';\n}}\n"
        )
    })
    .concat()
}

fn members_map(members: &[Member]) -> String {
    let line = |member: &Member| {
        let key = format!("${{{}}}", variable(&member.key));
        format!("\"{key}\" \"{}:{key}\";\n", member.name)
    };
    members.iter().map(line).collect()
}

fn upstream_conf(upstream: &Upstream) -> String {
    format!(
        "# The API takes its keys in x-api-key; Authorization is for tokens of people.\nproxy_set_header x-api-key \"${{{}}}\";\n",
        variable(&upstream.key)
    )
}

fn cannot(plan: &Plan) -> Vec<String> {
    let mut cannot = unread(plan);
    cannot.extend(
        [
            "Each nginx counts requests for itself: behind a load balancer a member may use the limit once for each.",
            "Requests at the pace of the limit pass, and so many more at once as burst says; there is no fixed window.",
            "Names are resolved at its start and when it reloads: reload it once a day, or when the API's addresses change.",
            facts::NO_ACCOUNT_BUT_A_LOG,
            facts::NAMED_ONE_BY_ONE,
        ]
        .map(str::to_owned),
    );
    cannot
}

fn next(plan: &Plan) -> Vec<String> {
    vec![
        "Check the files: `nginx -t -c \"$PWD/nginx.conf\"`".to_owned(),
        "Put them in /etc/nginx, with secrets/ readable by root alone, and reload: `nginx -s reload`"
            .to_owned(),
        prove(plan),
    ]
}
