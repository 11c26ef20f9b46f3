//! HAProxy: a whole haproxy.cfg that takes its secrets from the environment.
//!
//! Source: <https://docs.haproxy.org/2.6/configuration.html>.

use super::{
    Comment, File, Output, Plan, Product, Refusal,
    facts::{self, OwnError, named, prove, removed_from_answers, removed_from_requests, unread},
    fill,
    plan::{Admits, Member, variable},
    template::render,
};

pub(super) const PRODUCT: Product = Product {
    name: "HAProxy",
    help: "https://www.haproxy.org/",
    versions: "2.6 and later",
    is_gateway: true,
};

const CONFIG: &str = include_str!("haproxy/haproxy.cfg");

/// What stands for the id of the request in a text.
const REQUEST_ID: &str = "%[unique-id]";

pub(super) fn generate(plan: &Plan) -> Result<Output, Refusal> {
    let Admits::Keys(members) = plan.admits() else {
        return Err(Refusal {
            why: "it verifies tokens with a key in a file only, and does not follow an issuer that changes its keys",
            cure: "give each member a key under auth.keys, or generate envoy, which follows issuers.",
        });
    };
    named(plan)?;
    let mut next = vec![fill::exports(plan)];
    if let Some(tls) = &plan.tls {
        // HAProxy looks for the key of a certificate in the file of the same name with `.key` behind it.
        next.push(format!(
            "Let HAProxy find the key of the certificate: `ln -s {} {}.key`",
            tls.key, tls.cert
        ));
    }
    next.extend([
        "Check the file: `haproxy -c -f haproxy.cfg`".to_owned(),
        "Put it in /etc/haproxy, and the variables in /etc/default/haproxy, readable by root alone; then `systemctl \
         restart haproxy`"
            .to_owned(),
        prove(plan),
    ]);
    Ok(Output {
        files: vec![File::new("haproxy.cfg", Comment::Line("#"), config(plan, members))],
        cannot: cannot(plan),
        next,
    })
}

fn config(plan: &Plan, members: &[Member]) -> String {
    let url = &plan.upstream.url;
    let base_path = match url.base_path() {
        "" => String::new(),
        path => format!("http-request set-path {path}%[path]"),
    };
    let ssl = plan.tls.as_ref().map_or_else(String::new, |tls| {
        format!(" ssl crt {} ssl-min-ver TLSv1.2 alpn h2,http/1.1", tls.cert)
    });
    let own = |status| OwnError::of(status).body(REQUEST_ID);
    render(
        CONFIG,
        &[
            ("demands", &demands(plan)),
            ("timeout_s", &plan.timeout_s.to_string()),
            ("errors", &errors()),
            ("listen", &plan.listen.to_string()),
            ("ssl", &ssl),
            ("members", &members.iter().map(admission).collect::<String>()),
            ("unauthorized", &own(401)),
            ("not_found", &own(404)),
            ("too_large", &own(413)),
            ("limited", &own(429)),
            ("body_mb", &plan.body_mb.to_string()),
            ("body_bytes", &plan.body_bytes().to_string()),
            ("rpm", &plan.limits.requests_per_minute.to_string()),
            ("removed", &deletions("http-request", removed_from_requests())),
            ("hidden", &deletions("http-response", removed_from_answers())),
            ("upstream_key", &fill::place(&plan.upstream.key)),
            ("upstream_host", &url.authority()),
            ("base_path", &base_path),
            ("server", &server(plan)),
        ],
    )
}

/// Refuses the start without a secret.
fn demands(plan: &Plan) -> String {
    let demand = |name: String| {
        format!(
            ".if !defined({name}) || streq(\"${name}\",)\n    .alert \"the environment variable {name} is not set\"\n.endif\n"
        )
    };
    plan.secrets().into_iter().map(variable).map(demand).collect()
}

fn admission(member: &Member) -> String {
    let (name, key) = (&member.name, variable(&member.key));
    format!(
        "http-request set-var(txn.member) str({name}) if {{ var(txn.bearer) -m str -- \"${{{key}}}\" }} or \
         {{ req.fhdr(x-api-key) -m str -- \"${{{key}}}\" }}\n"
    )
}

fn errors() -> String {
    // HAProxy answers 503 where no connection to the API comes about.
    [(400, 400), (502, 502), (503, 502), (504, 504)]
        .map(|(status, of)| {
            let body = OwnError::of(of).body(REQUEST_ID);
            format!("http-error status {status} content-type application/json hdr request-id {REQUEST_ID} lf-string '{body}'\n")
        })
        .concat()
}

fn deletions(rule: &str, names: impl Iterator<Item = &'static str>) -> String {
    names
        .map(|name| match name.strip_suffix('*') {
            Some(start) => format!("{rule} del-header {start} -m beg\n"),
            None => format!("{rule} del-header {name}\n"),
        })
        .collect()
}

fn server(plan: &Plan) -> String {
    let url = &plan.upstream.url;
    let host = if url.host().contains(':') { format!("[{}]", url.host()) } else { url.host().to_owned() };
    let address = format!("{host}:{}", url.port());
    let tls = if url.tls() {
        format!(
            " ssl sni str({host}) verify required verifyhost {host} ca-file {} ssl-min-ver TLSv1.2 alpn http/1.1",
            plan.upstream.ca_file
        )
    } else {
        String::new()
    };
    format!("server anthropic {address}{tls} resolvers system init-addr last,libc,none\n")
}

fn cannot(plan: &Plan) -> Vec<String> {
    let mut cannot = unread(plan);
    cannot.extend(
        [
            "Each HAProxy counts requests for itself, unless a `peers` section makes several share the table.",
            "Limits are counted over a window of the last 60 seconds; a burst is not limited apart.",
            facts::NO_LENGTH_OF_CHUNKS,
            facts::NO_ACCOUNT_BUT_A_LOG,
        ]
        .map(str::to_owned),
    );
    cannot
}
