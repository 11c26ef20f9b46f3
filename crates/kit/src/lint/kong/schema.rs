//! What Kong knows: the keys of its entities and of the plugins that a gateway before the API needs, from the schemas of
//! Kong 3.9 and the documentation of 3.14 (developer.konghq.com). Files of decK hold the same and a few keys more.

/// Lists of entities and marks at the top of a file.
pub(super) const TOP: &[&str] = &[
    "_format_version",
    "_transform",
    "_info",
    "_workspace",
    "_konnect",
    "_comment",
    "_ignore",
    "_plugin_configs",
    "services",
    "routes",
    "consumers",
    "consumer_groups",
    "plugins",
    "upstreams",
    "targets",
    "certificates",
    "ca_certificates",
    "snis",
    "vaults",
    "keys",
    "key_sets",
    "tags",
    "licenses",
    "partials",
    "filter_chains",
    "custom_entities",
    "keyauth_credentials",
    "basicauth_credentials",
    "hmacauth_credentials",
    "jwt_secrets",
    "acls",
    "oauth2_credentials",
    "rbac_roles",
    "files",
];

/// What every entity may have.
const COMMON: &[&str] = &["id", "name", "tags", "created_at", "updated_at", "_comment", "_ignore"];

const SERVICE: &[&str] = &[
    "url",
    "protocol",
    "host",
    "port",
    "path",
    "connect_timeout",
    "read_timeout",
    "write_timeout",
    "retries",
    "enabled",
    "ca_certificates",
    "client_certificate",
    "tls_verify",
    "tls_verify_depth",
    "tls_sans",
    "routes",
    "plugins",
    "filter_chains",
];

const ROUTE: &[&str] = &[
    "paths",
    "methods",
    "hosts",
    "headers",
    "protocols",
    "snis",
    "sources",
    "destinations",
    "strip_path",
    "preserve_host",
    "regex_priority",
    "path_handling",
    "request_buffering",
    "response_buffering",
    "https_redirect_status_code",
    "service",
    "plugins",
    "expression",
    "priority",
    "filter_chains",
];

const CONSUMER: &[&str] = &[
    "username",
    "custom_id",
    "plugins",
    "groups",
    "keyauth_credentials",
    "basicauth_credentials",
    "hmacauth_credentials",
    "jwt_secrets",
    "acls",
    "oauth2_credentials",
    "mtls_auth_credentials",
];

const PLUGIN: &[&str] = &[
    "config",
    "enabled",
    "protocols",
    "service",
    "route",
    "consumer",
    "consumer_group",
    "instance_name",
    "ordering",
    "condition",
    "partials",
    "run_on",
    "_config",
];

/// The keys of an entity of this kind; none where the kind is not looked into.
pub(super) fn entity(kind: &str) -> Option<impl Iterator<Item = &'static str> + Clone> {
    let own = match kind {
        "services" => SERVICE,
        "routes" => ROUTE,
        "consumers" => CONSUMER,
        "plugins" => PLUGIN,
        _ => return None,
    };
    Some(own.iter().chain(COMMON).copied())
}

/// What a value must be.
#[derive(Debug, Clone, Copy)]
pub(super) enum Form {
    /// Anything.
    Any,
    /// `true` or `false`.
    Flag,
    /// A whole number from the first to the second.
    Number(i64, i64),
    /// A text.
    Text,
    /// One of these texts.
    One(&'static [&'static str]),
    /// A list of texts.
    Texts,
    /// A section with these keys.
    Section(&'static [(&'static str, Form)]),
}

use Form::{Any, Flag, Number, One, Section, Text, Texts};

/// The forms of fields of services and routes (in milliseconds where they are times).
pub(super) const FIELDS: &[(&str, Form)] = &[
    ("connect_timeout", Number(1, 2_147_483_646)),
    ("read_timeout", Number(1, 2_147_483_646)),
    ("write_timeout", Number(1, 2_147_483_646)),
    ("retries", Number(0, 32_767)),
    ("port", Number(0, 65_535)),
    ("enabled", Flag),
    ("tls_verify", Flag),
    ("strip_path", Flag),
    ("preserve_host", Flag),
    ("request_buffering", Flag),
    ("response_buffering", Flag),
    ("url", Text),
    ("host", Text),
    ("paths", Texts),
    ("methods", Texts),
    ("hosts", Texts),
    ("protocols", Texts),
];

const POSITIVE: Form = Number(1, i64::MAX);

const REDIS: Form = Section(&[
    ("host", Text),
    ("port", Number(0, 65_535)),
    ("username", Text),
    ("password", Text),
    ("database", Number(0, i64::MAX)),
    ("timeout", Number(0, 2_147_483_646)),
    ("ssl", Flag),
    ("ssl_verify", Flag),
    ("server_name", Text),
    ("cloud_authentication", Any),
]);

const LISTS: Form = Section(&[("headers", Texts), ("querystring", Texts), ("body", Texts)]);

/// The configuration of a plugin; none for those whose configuration is not looked into.
pub(super) fn config(plugin: &str) -> Option<&'static [(&'static str, Form)]> {
    let fields = match plugin {
        "key-auth" => KEY_AUTH,
        "rate-limiting" => RATE_LIMITING,
        "request-transformer" => REQUEST_TRANSFORMER,
        "response-transformer" => RESPONSE_TRANSFORMER,
        "request-size-limiting" => REQUEST_SIZE_LIMITING,
        "request-termination" => REQUEST_TERMINATION,
        "jwt" => JWT,
        "acl" => ACL,
        "pre-function" | "post-function" => FUNCTION,
        _ => return None,
    };
    Some(fields)
}

const KEY_AUTH: &[(&str, Form)] = &[
    ("key_names", Texts),
    ("hide_credentials", Flag),
    ("anonymous", Text),
    ("key_in_header", Flag),
    ("key_in_query", Flag),
    ("key_in_body", Flag),
    ("run_on_preflight", Flag),
    ("realm", Text),
    ("identity_realms", Any),
];

const RATE_LIMITING: &[(&str, Form)] = &[
    ("second", POSITIVE),
    ("minute", POSITIVE),
    ("hour", POSITIVE),
    ("day", POSITIVE),
    ("month", POSITIVE),
    ("year", POSITIVE),
    ("limit_by", One(&["consumer", "credential", "ip", "service", "header", "path", "consumer-group"])),
    ("policy", One(&["local", "cluster", "redis"])),
    ("fault_tolerant", Flag),
    ("hide_client_headers", Flag),
    ("header_name", Text),
    ("path", Text),
    ("error_code", Number(100, 599)),
    ("error_message", Text),
    ("sync_rate", Any),
    ("redis", REDIS),
    ("redis_host", Text),
    ("redis_port", Number(0, 65_535)),
    ("redis_username", Text),
    ("redis_password", Text),
    ("redis_ssl", Flag),
    ("redis_ssl_verify", Flag),
    ("redis_server_name", Text),
    ("redis_timeout", Any),
    ("redis_database", Any),
];

const REQUEST_TRANSFORMER: &[(&str, Form)] = &[
    ("http_method", Text),
    ("remove", LISTS),
    ("rename", LISTS),
    ("replace", Section(&[("headers", Texts), ("querystring", Texts), ("body", Texts), ("uri", Text)])),
    ("add", LISTS),
    ("append", LISTS),
];

const ANSWER_LISTS: Form = Section(&[("headers", Texts), ("json", Texts), ("json_types", Texts)]);

const RESPONSE_TRANSFORMER: &[(&str, Form)] = &[
    ("remove", ANSWER_LISTS),
    ("rename", ANSWER_LISTS),
    ("replace", ANSWER_LISTS),
    ("add", ANSWER_LISTS),
    ("append", ANSWER_LISTS),
];

const REQUEST_TERMINATION: &[(&str, Form)] = &[
    ("status_code", Number(100, 599)),
    ("message", Text),
    ("content_type", Text),
    ("body", Text),
    ("echo", Flag),
    ("trigger", Text),
];

const REQUEST_SIZE_LIMITING: &[(&str, Form)] = &[
    ("allowed_payload_size", Number(0, i64::MAX)),
    ("size_unit", One(&["megabytes", "kilobytes", "bytes"])),
    ("require_content_length", Flag),
];

const JWT: &[(&str, Form)] = &[
    ("uri_param_names", Texts),
    ("cookie_names", Texts),
    ("header_names", Texts),
    ("key_claim_name", Text),
    ("secret_is_base64", Flag),
    ("claims_to_verify", Texts),
    ("anonymous", Text),
    ("run_on_preflight", Flag),
    ("maximum_expiration", Number(0, 31_536_000)),
    ("realm", Text),
];

const ACL: &[(&str, Form)] = &[
    ("allow", Texts),
    ("deny", Texts),
    ("hide_groups_header", Flag),
    ("always_use_authenticated_groups", Flag),
    ("include_consumer_groups", Flag),
];

const FUNCTION: &[(&str, Form)] = &[
    ("certificate", Texts),
    ("rewrite", Texts),
    ("access", Texts),
    ("header_filter", Texts),
    ("body_filter", Texts),
    ("log", Texts),
    ("ws_handshake", Texts),
    ("ws_client_frame", Texts),
    ("ws_upstream_frame", Texts),
    ("ws_close", Texts),
];

/// Plugins that find out who a client is.
pub(super) const IDENTIFIES: &[&str] = &[
    "key-auth",
    "key-auth-enc",
    "jwt",
    "openid-connect",
    "oauth2",
    "oauth2-introspection",
    "basic-auth",
    "hmac-auth",
    "ldap-auth",
    "ldap-auth-advanced",
    "mtls-auth",
    "header-cert-auth",
    "jwt-signer",
    "saml",
    "vault-auth",
];

/// The other plugins of Kong and Kong Enterprise, by name.
const OTHERS: &[&str] = &[
    "acl",
    "acme",
    "application-registration",
    "aws-lambda",
    "azure-functions",
    "bot-detection",
    "canary",
    "confluent",
    "confluent-consume",
    "correlation-id",
    "cors",
    "datadog",
    "datakit",
    "degraphql",
    "exit-transformer",
    "file-log",
    "forward-proxy",
    "graphql-proxy-cache-advanced",
    "graphql-rate-limiting-advanced",
    "grpc-gateway",
    "grpc-web",
    "http-log",
    "injection-protection",
    "ip-restriction",
    "jq",
    "json-threat-protection",
    "jwe-decrypt",
    "kafka-consume",
    "kafka-log",
    "kafka-upstream",
    "konnect-application-auth",
    "loggly",
    "mocking",
    "oas-validation",
    "opa",
    "opentelemetry",
    "post-function",
    "pre-function",
    "prometheus",
    "proxy-cache",
    "proxy-cache-advanced",
    "rate-limiting",
    "rate-limiting-advanced",
    "redirect",
    "request-callout",
    "request-size-limiting",
    "request-termination",
    "request-transformer",
    "request-transformer-advanced",
    "request-validator",
    "response-ratelimiting",
    "response-transformer",
    "response-transformer-advanced",
    "route-by-header",
    "route-transformer-advanced",
    "service-protection",
    "session",
    "solace-upstream",
    "standard-webhooks",
    "statsd",
    "statsd-advanced",
    "syslog",
    "tcp-log",
    "tls-handshake-modifier",
    "tls-metadata-headers",
    "udp-log",
    "upstream-oauth",
    "upstream-timeout",
    "websocket-size-limit",
    "websocket-validator",
    "xml-threat-protection",
    "zipkin",
];

/// Whether a plugin of this name comes with Kong.
pub(in crate::lint) fn is_plugin(name: &str) -> bool {
    // Those for models are many, and new ones come with each release.
    IDENTIFIES.contains(&name) || OTHERS.contains(&name) || name.starts_with("ai-")
}
