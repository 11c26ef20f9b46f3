//! Envoy: a bootstrap configuration for one process, with keys or tokens.
//!
//! Source: <https://www.envoyproxy.io/docs/envoy/latest/api-v3/api>.

use super::{
    Comment, File, Output, Plan, Product, Refusal,
    facts::{self, OwnError, prove, removed_from_answers, removed_from_requests, unread, usual_names},
    fill,
    plan::{Admits, Limits, Member, Oidc},
    template::render,
};
use std::net::IpAddr;
use tollgate_config::Url;

pub(super) const PRODUCT: Product = Product {
    name: "Envoy",
    help: "https://www.envoyproxy.io/community",
    versions: "1.34 and later",
    is_gateway: true,
};

const CONFIG: &str = include_str!("envoy/envoy.yaml");

/// The certificate authorities of the system, for the issuer's own certificate.
const SYSTEM_CA: &str = "/etc/ssl/certs/ca-certificates.crt";

pub(super) fn generate(plan: &Plan) -> Result<Output, Refusal> {
    Ok(Output {
        files: vec![File::secret("envoy.yaml", Comment::Line("#"), config(plan))],
        cannot: cannot(plan),
        next: vec![
            "Check the file: `envoy --mode validate -c envoy.yaml`".to_owned(),
            "Let the user that Envoy runs as, and nobody else, read it; then `envoy -c envoy.yaml`"
                .to_owned(),
            prove(plan),
        ],
    })
}

fn config(plan: &Plan) -> String {
    let listen = plan.listen.socket();
    let url = &plan.upstream.url;
    let bucket = bucket(&plan.limits);
    let (auth_filter, no_auth, descriptors, jwks_cluster) = match plan.admits() {
        Admits::Keys(members) => (
            api_keys(members),
            NO_AUTH.to_owned(),
            members.iter().map(|one| descriptor(Some(one), &bucket)).collect(),
            String::new(),
        ),
        Admits::Tokens(oidc) => (tokens(oidc), String::new(), descriptor(None, &bucket), jwks_cluster(oidc)),
    };
    let items = |names: Vec<&'static str>| names.iter().map(|name| format!("- {name}\n")).collect::<String>();
    let (families, removed): (Vec<_>, Vec<_>) =
        removed_from_requests().filter(|name| *name != "x-api-key").partition(|name| name.ends_with('*'));
    let families = families.iter().map(|name| {
        format!("- remove_on_match: {{ key_matcher: {{ prefix: {} }} }}\n", name.trim_end_matches('*'))
    });
    let hidden = removed_from_answers().flat_map(usual_names).collect();
    render(
        CONFIG,
        &[
            ("address", &listen.ip().to_string()),
            ("port", &listen.port().to_string()),
            ("timeout_s", &plan.timeout_s.to_string()),
            ("errors", &errors()),
            ("auth_filter", &auth_filter),
            ("no_auth", &no_auth),
            ("families", &families.collect::<String>()),
            ("removed", &items(removed)),
            ("hidden", &items(hidden)),
            ("upstream_key", &fill::place(&plan.upstream.key)),
            ("upstream_host", &url.authority()),
            ("upstream_address", url.host()),
            ("upstream_port", &url.port().to_string()),
            ("upstream_tls", &upstream_tls(url, &plan.upstream.ca_file)),
            ("downstream_tls", &downstream_tls(plan)),
            ("base_path", &base_path(url)),
            ("body_mb", &plan.body_mb.to_string()),
            ("first_too_large", &(plan.body_bytes() + 1).to_string()),
            ("retry_after", &plan.retry_after_s().to_string()),
            ("bucket", &bucket),
            ("descriptors", &descriptors),
            ("jwks_cluster", &jwks_cluster),
        ],
    )
}

/// On routes that everybody may ask for.
const NO_AUTH: &str = "\
typed_per_filter_config:
  envoy.filters.http.api_key_auth: { \"@type\": type.googleapis.com/envoy.config.route.v3.FilterConfig, disabled: true }";

fn api_keys(members: &[Member]) -> String {
    let credential = |member: &Member| {
        format!("      - {{ key: \"{}\", client: \"{}\" }}\n", fill::place(&member.key), member.name)
    };
    format!(
        "- name: envoy.filters.http.api_key_auth\n\
         \x20 typed_config:\n\
         \x20   \"@type\": type.googleapis.com/envoy.extensions.filters.http.api_key_auth.v3.ApiKeyAuth\n\
         \x20   # Clients present their key as a bearer token, as x-api-key, or as both.\n\
         \x20   key_sources: [{{ header: authorization }}, {{ header: x-api-key }}]\n\
         \x20   forwarding: {{ header: x-gateway-member, hide_credentials: true }}\n\
         \x20   credentials:\n{}",
        members.iter().map(credential).collect::<String>()
    )
}

fn tokens(oidc: &Oidc) -> String {
    format!(
        "- name: envoy.filters.http.jwt_authn\n\
         \x20 typed_config:\n\
         \x20   \"@type\": type.googleapis.com/envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication\n\
         \x20   providers:\n\
         \x20     issuer:\n\
         \x20       issuer: \"{}\"\n\
         \x20       audiences: [\"{}\"]\n\
         \x20       require_expiration: true\n\
         \x20       # Clients present their token as a bearer token, as x-api-key, or as both.\n\
         \x20       from_headers: [{{ name: authorization, value_prefix: \"Bearer \" }}, {{ name: x-api-key }}]\n\
         \x20       claim_to_headers: [{{ header_name: x-gateway-member, claim_name: sub }}]\n\
         \x20       remote_jwks:\n\
         \x20         http_uri: {{ uri: \"{}\", cluster: issuer, timeout: 5s }}\n\
         \x20         cache_duration: 300s\n\
         \x20   rules:\n\
         \x20     - match: {{ path: /health }}\n\
         \x20     - match: {{ path: /api/hello }}\n\
         \x20     - match: {{ prefix: / }}\n\
         \x20       requires: {{ provider_name: issuer }}\n",
        oidc.issuer, oidc.audience, oidc.jwks
    )
}

/// A token bucket of the limit's pace that holds its burst. Envoy fills no more often than every 50 ms.
fn bucket(limits: &Limits) -> String {
    const LEAST_MS: u64 = 50;
    let pace = u64::from(limits.requests_per_minute);
    let at_once = (LEAST_MS * pace).div_ceil(60_000);
    let most = u64::from(limits.burst) + at_once;
    let ms = at_once * 60_000 / pace;
    format!(
        "{{ max_tokens: {most}, tokens_per_fill: {at_once}, fill_interval: {}.{:03}s }}",
        ms / 1000,
        ms % 1000
    )
}

/// The limit of one member; of each that there is, where the issuer alone knows them.
fn descriptor(member: Option<&Member>, bucket: &str) -> String {
    let value = member.map_or_else(String::new, |member| format!(", value: \"{}\"", member.name));
    format!("- entries: [{{ key: member{value} }}]\n  token_bucket: {bucket}\n")
}

fn errors() -> String {
    // Envoy answers 503 where no connection to the API comes about, 408 where a client is silent, and 403 where a token
    // is meant for somebody else.
    [(400, 400), (401, 401), (403, 401), (404, 404), (408, 504), (413, 413), (429, 429), (503, 502), (504, 504)]
        .map(|(status, of)| {
            // Claude Code asks again after a 401, for minutes, unless it is told not to.
            let more =
                if of == 401 { "\n    - header: { key: x-should-retry, value: \"false\" }" } else { "" };
            let body = OwnError::of(of).body("%STREAM_ID%");
            format!(
                "- filter:\n    status_code_filter:\n      comparison: {{ op: EQ, value: {{ default_value: {status}, runtime_key: \
                 unused }} }}\n  status_code: {of}\n  headers_to_add:\n    - header: {{ key: request-id, value: \"%STREAM_ID%\" \
                 }}{more}\n  body_format_override:\n    content_type: application/json\n    text_format_source:\n      \
                 inline_string: '{body}'\n"
            )
        })
        .concat()
}

fn base_path(url: &Url) -> String {
    match url.base_path() {
        "" => String::new(),
        path => format!("regex_rewrite: {{ pattern: {{ regex: \"^/\" }}, substitution: \"{path}/\" }}"),
    }
}

fn downstream_tls(plan: &Plan) -> String {
    plan.tls.as_ref().map_or_else(String::new, |tls| {
        format!(
            "transport_socket:\n  name: envoy.transport_sockets.tls\n  typed_config:\n    \"@type\": \
             type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext\n    common_tls_context:\n      \
             tls_params: {{ tls_minimum_protocol_version: TLSv1_2 }}\n      alpn_protocols: [h2, http/1.1]\n      \
             tls_certificates:\n        - certificate_chain: {{ filename: {} }}\n          private_key: {{ filename: {} }}\n",
            tls.cert, tls.key
        )
    })
}

/// Envoy neither names the host it wants (SNI) nor looks at the certificate, nor whose it is, unless it is told to.
fn upstream_tls(url: &Url, ca_file: impl std::fmt::Display) -> String {
    if !url.tls() {
        return String::new();
    }
    let host = url.host();
    let (sni, kind) = match host.parse::<IpAddr>() {
        Ok(_) => (String::new(), "IP_ADDRESS"),
        Err(_) => (format!("    sni: \"{host}\"\n"), "DNS"),
    };
    format!(
        "# Envoy neither names the host it wants (SNI) nor looks whose certificate it sees unless it is told to.\n\
         transport_socket:\n  name: envoy.transport_sockets.tls\n  typed_config:\n    \"@type\": \
         type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext\n{sni}    common_tls_context:\n      \
         tls_params: {{ tls_minimum_protocol_version: TLSv1_2 }}\n      validation_context:\n        trusted_ca: {{ filename: \
         {ca_file} }}\n        match_typed_subject_alt_names:\n          - {{ san_type: {kind}, matcher: {{ exact: \"{host}\" }} }}\n"
    )
}

fn jwks_cluster(oidc: &Oidc) -> String {
    let url = &oidc.jwks;
    format!(
        "- name: issuer\n  type: STRICT_DNS\n  dns_lookup_family: V4_PREFERRED\n  connect_timeout: 5s\n  load_assignment:\n    \
         cluster_name: issuer\n    endpoints:\n      - lb_endpoints:\n          - endpoint:\n              address:\n                \
         socket_address: {{ address: \"{}\", port_value: {} }}\n{}",
        url.host(),
        url.port(),
        upstream_tls(url, SYSTEM_CA).lines().map(|line| format!("  {line}\n")).collect::<String>()
    )
}

fn cannot(plan: &Plan) -> Vec<String> {
    let mut cannot = unread(plan);
    cannot.extend(
        [
            "Each Envoy counts requests for itself: shared limits need its rate limit service.",
            facts::NO_LENGTH_OF_CHUNKS,
            facts::NO_ACCOUNT_BUT_A_LOG,
        ]
        .map(str::to_owned),
    );
    cannot.push(
        match plan.admits() {
            Admits::Keys(_) => {
                "Its check of keys (api_key_auth) is marked by its makers as in progress and outside of their threat \
                 model: let no network reach it that you do not trust, or use tokens of an issuer."
            }
            Admits::Tokens(_) => "A token that the issuer revoked is good until it expires: let tokens live for minutes.",
        }
        .to_owned(),
    );
    cannot
}
