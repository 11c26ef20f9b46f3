//! What Kong's own schemas accept, and nothing else: a key that is not here is an error there.
//!
//! Sources: the entity pages and plugin schemas at <https://developer.konghq.com>, version 3.

use crate::generate::{Target, tests::made};
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeSet;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    _format_version: String,
    services: Vec<Service>,
    routes: Vec<Route>,
    consumers: Vec<Consumer>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Service {
    name: String,
    url: String,
    connect_timeout: u32,
    read_timeout: u32,
    write_timeout: u32,
    retries: u16,
    tls_verify: bool,
    #[serde(rename = "tls_verify_depth")]
    _tls_verify_depth: u8,
    routes: Vec<Route>,
    plugins: Vec<Plugin>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Route {
    name: String,
    paths: Vec<String>,
    #[serde(default)]
    methods: Vec<String>,
    strip_path: bool,
    preserve_host: bool,
    request_buffering: bool,
    response_buffering: bool,
    #[serde(default)]
    plugins: Vec<Plugin>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Plugin {
    name: String,
    config: Value,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Consumer {
    username: String,
    keyauth_credentials: Vec<Credential>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Credential {
    key: String,
}

/// The fields of the plugins that are used, by their schemas.
const PLUGINS: [(&str, &[&str]); 8] = [
    (
        "rate-limiting",
        &["second", "minute", "hour", "limit_by", "policy", "fault_tolerant", "error_code", "error_message"],
    ),
    ("pre-function", &["access", "header_filter", "body_filter"]),
    ("post-function", &["access", "header_filter", "body_filter"]),
    ("key-auth", &["key_names", "key_in_header", "key_in_query", "key_in_body", "hide_credentials"]),
    ("request-size-limiting", &["allowed_payload_size", "size_unit", "require_content_length"]),
    ("request-transformer", &["remove", "rename", "replace", "add", "append"]),
    ("response-transformer", &["remove", "rename", "replace", "add", "append"]),
    ("request-termination", &["status_code", "content_type", "body"]),
];

/// Every fault of a file.
fn faults(text: &str) -> Vec<String> {
    let document: Document = match serde_saphyr::from_str(text) {
        Ok(document) => document,
        Err(fault) => return vec![fault.to_string()],
    };
    let mut faults = Vec::new();
    let mut must = |holds: bool, what: String| {
        if !holds {
            faults.push(what);
        }
    };
    must(document._format_version == "3.0", "_format_version".to_owned());
    let routes: Vec<&Route> =
        document.routes.iter().chain(document.services.iter().flat_map(|service| &service.routes)).collect();
    let names: BTreeSet<&str> = routes.iter().map(|route| route.name.as_str()).collect();
    must(names.len() == routes.len(), "names of routes".to_owned());
    for route in &routes {
        let name = &route.name;
        must(
            route.paths.iter().all(|path| path.starts_with('/') || path.starts_with("~/")),
            format!("{name}.paths"),
        );
        let verbs = |verb: &String| verb.bytes().all(|b| b.is_ascii_uppercase());
        must(route.methods.iter().all(verbs), format!("{name}.methods"));
        must(!route.strip_path && !route.preserve_host, format!("{name}: path and host"));
        must(!route.request_buffering && !route.response_buffering, format!("{name}: buffering"));
    }
    for service in &document.services {
        must(service.url.starts_with("https://") && service.tls_verify, service.name.clone());
        must(service.retries == 0 && service.connect_timeout < service.read_timeout, service.name.clone());
        must(service.read_timeout >= 600_000 && service.write_timeout >= 600_000, service.name.clone());
    }
    for consumer in &document.consumers {
        let keys = &consumer.keyauth_credentials;
        must(keys.iter().all(|one| one.key.contains("${")), consumer.username.clone());
    }
    let plugins = routes
        .iter()
        .flat_map(|route| &route.plugins)
        .chain(document.services.iter().flat_map(|one| &one.plugins));
    for plugin in plugins {
        let known = PLUGINS.iter().find(|(name, _)| *name == plugin.name).map(|(_, fields)| fields);
        must(known.is_some(), format!("plugin {}", plugin.name));
        for field in plugin.config.as_object().into_iter().flat_map(serde_json::Map::keys) {
            must(
                known.is_some_and(|known| known.contains(&field.as_str())),
                format!("{}.{field}", plugin.name),
            );
        }
        if plugin.name.ends_with("-transformer") {
            for change in plugin.config.as_object().into_iter().flat_map(serde_json::Map::values) {
                let fields: Vec<&String> =
                    change.as_object().into_iter().flat_map(serde_json::Map::keys).collect();
                must(fields == ["headers"], format!("{}: {fields:?}", plugin.name));
            }
        }
    }
    faults
}

#[test]
fn what_kong_is_given_its_schemas_accept() {
    let files = made(Target::Kong, "");
    assert_eq!(faults(&files["deck/kong.yaml"]), [""; 0]);
    assert_eq!(faults(&files["db-less/kong.yaml.template"]), [""; 0]);
}

#[test]
fn what_its_schemas_refuse_is_found() {
    let good = &made(Target::Kong, "")["deck/kong.yaml"];
    for (from, to) in [
        ("_format_version: \"3.0\"", "_format_version: \"1.0\""),
        ("retries: 0", "retries: 5"),
        ("read_timeout: 600000", "read_timeout: 60000"),
        ("response_buffering: false", "response_buffering: true"),
        ("hide_credentials: true", "pass: true"),
        ("- name: response-transformer", "- name: response-buffering"),
        ("methods: [POST]", "methods: [post]"),
        ("paths: [\"~/v1/messages$\"]", "paths: [\"v1/messages\"]"),
        ("limit_by: consumer", "limit_by_consumer: true"),
        ("tls_verify: true", "tls_verify: false"),
        ("consumers:", "members:"),
        ("claude-gateway-hello", "claude-gateway-health"),
    ] {
        assert!(good.contains(from), "{from}");
        assert!(!faults(&good.replace(from, to)).is_empty(), "{from} -> {to}");
    }
}
