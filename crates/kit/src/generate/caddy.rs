//! Caddy: a Caddyfile that takes its secrets from the environment.
//!
//! Sources: <https://caddyserver.com/docs/caddyfile/directives/reverse_proxy>,
//! <https://caddyserver.com/docs/caddyfile/directives/map>.

use super::{
    Comment, File, Output, Plan, Product, Refusal,
    facts::{self, OwnError, prove, removed_from_answers, removed_from_requests, unread},
    fill,
    plan::{Admits, Member, Upstream, variable},
    template::render,
};
use tollgate_config::SecretRef;

pub(super) const PRODUCT: Product =
    Product { name: "Caddy", help: "https://caddy.community", versions: "2.6 and later", is_gateway: true };

const CONFIG: &str = include_str!("caddy/Caddyfile");

pub(super) fn generate(plan: &Plan) -> Result<Output, Refusal> {
    let Admits::Keys(members) = plan.admits() else {
        return Err(Refusal {
            why: "its standard build does not verify tokens of an issuer",
            cure: "give each member a key under auth.keys, or generate envoy, which verifies tokens.",
        });
    };
    if !plan.upstream.url.base_path().is_empty() {
        return Err(Refusal {
            why: "its reverse_proxy takes no path in an upstream",
            cure: "remove the path from upstream.url, or generate nginx.",
        });
    }
    Ok(Output {
        files: vec![File::new("Caddyfile", Comment::Line("#"), config(plan, members))],
        cannot: cannot(plan),
        next: vec![
            fill::exports(plan),
            "Check the file: `caddy validate --config Caddyfile --adapter caddyfile`".to_owned(),
            "Put it in /etc/caddy, and the variables in a file that `systemctl edit caddy` names as EnvironmentFile, \
             readable by root alone; then `systemctl restart caddy`"
                .to_owned(),
            prove(plan),
        ],
    })
}

fn config(plan: &Plan, members: &[Member]) -> String {
    let listen = plan.listen.socket();
    let scheme = if plan.tls.is_some() { "https" } else { "http" };
    let tls = plan.tls.as_ref().map_or_else(String::new, |tls| format!("tls {} {}", tls.cert, tls.key));
    let url = &plan.upstream.url;
    let upstream = format!("{}://{}", if url.tls() { "https" } else { "http" }, url.authority());
    render(
        CONFIG,
        &[
            ("site", &format!("{scheme}://:{}", listen.port())),
            ("bind", &listen.ip().to_string()),
            ("tls", &tls),
            ("demands", &plan.secrets().into_iter().map(demand).collect::<String>()),
            ("members", &members.iter().map(member).collect::<String>()),
            ("body_mb", &plan.body_mb.to_string()),
            ("body_bytes", &plan.body_bytes().to_string()),
            ("upstream", &upstream),
            ("removed", &deletions("header_up", removed_from_requests().filter(|name| *name != "x-api-key"))),
            ("upstream_key", &format!("{{${}}}", variable(&plan.upstream.key))),
            ("upstream_host", &url.authority()),
            ("hidden", &deletions("header_down", removed_from_answers())),
            ("timeout_s", &plan.timeout_s.to_string()),
            ("transport_tls", &transport_tls(&plan.upstream)),
            ("errors", &errors()),
        ],
    )
}

fn demand(secret: &SecretRef) -> String {
    let name = variable(secret);
    format!("@{name} header x-never {{${name}}}\n")
}

fn member(member: &Member) -> String {
    format!("{{${}}} {}\n", variable(&member.key), member.name)
}

/// `-NAME*` removes every header that begins so.
fn deletions(directive: &str, names: impl Iterator<Item = &'static str>) -> String {
    names.map(|name| format!("{directive} -{name}\n")).collect()
}

fn transport_tls(upstream: &Upstream) -> String {
    if !upstream.url.tls() {
        return String::new();
    }
    format!("tls\ntls_server_name {}\ntls_trusted_ca_certs {}", upstream.url.host(), upstream.ca_file)
}

fn errors() -> String {
    [400, 401, 404, 413, 502, 504]
        .map(|status| {
            let body = OwnError::of(status).body("{http.request.uuid}");
            // Claude Code asks again after a 401, for minutes, unless it is told not to.
            let more = if status == 401 { "header @401 x-should-retry false\n" } else { "" };
            format!("@{status} expression {{err.status_code}} == {status}\n{more}respond @{status} `{body}` {status}\n")
        })
        .concat()
}

fn cannot(plan: &Plan) -> Vec<String> {
    let limit = plan.limits.requests_per_minute;
    let mut cannot = vec![format!(
        "The {limit} requests a minute are not enforced: the standard build has no limits. Build one with a module for \
         them, or generate another target."
    )];
    cannot.extend(unread(plan));
    cannot.extend(
        [
            "A stream that the API breaks off ends for the client as if it were whole (seen with 2.6): a client may take half \
             of an answer for all of it, and `tollgate check` says so.",
            "An answer that begins within milliseconds of its request may be broken off on a busy machine (seen with 2.6); \
             those of the API begin later.",
            facts::NO_LENGTH_OF_CHUNKS,
            "It keeps no account of tokens, cost or prompts; its log says when something was asked, and not by which member.",
        ]
        .map(str::to_owned),
    );
    cannot
}
