//! What is wrong with a bootstrap of Envoy, or with a part of one.

mod upstream;

use super::{
    Kind, Notes,
    headers::{CREDENTIALS, NOBODY_ASKED, Set, judge, leaks, no_credential},
    listed, rules,
};
use tollgate_config::tree::{Node, Value};

const KEEP: &str = "# Remove it: Envoy passes all headers of the client by itself.";
const API_KEY: &str = "request_headers_to_remove: [authorization]\nrequest_headers_to_add:\n  - header: { key: x-api-key, \
                       value: \"%ENVIRONMENT(ANTHROPIC_API_KEY)%\" }\n    append_action: OVERWRITE_IF_EXISTS_OR_ADD";

/// The silence that Claude Code bears, in seconds.
const PATIENCE_S: f64 = 300.0;

/// The most routes of a host that are looked at: each goes through the headers of all around it.
const ROUTES_MAX: usize = 1000;

/// Looks at one document.
pub(super) fn lint(tree: &Node, notes: &mut Notes<'_>) {
    texts(tree, notes);
    let apis = upstream::lint(tree, notes);
    let mut managers = Vec::new();
    with_field(tree, "route_config", &mut managers);
    for manager in managers {
        let mut is_of_api = false;
        let Some(config) = manager.get("route_config") else { continue };
        for host in config.get("virtual_hosts").map(Node::items).unwrap_or_default() {
            let routes = host.get("routes").map(Node::items).unwrap_or_default();
            let leads_to_api = |route: &&Node| {
                let cluster = route.find(&["route", "cluster"]).and_then(Node::text);
                cluster.is_some_and(|cluster| apis.contains(cluster))
            };
            let mine: Vec<&Node> = routes.iter().filter(leads_to_api).take(ROUTES_MAX).collect();
            is_of_api |= !mine.is_empty();
            for route in &mine {
                self::route(
                    &Way { manager, config, host, route, has_certificates: has_certificates(tree) },
                    notes,
                );
            }
            endpoints(host, &mine, notes);
        }
        // What serves something else follows other rules.
        if is_of_api {
            filters(manager, notes);
        }
    }
}

/// Gives the fields the names that the documentation has: JSON may write them in camel case
/// (<https://protobuf.dev/programming-guides/json/>).
pub(super) fn rename(node: &mut Node) {
    match &mut node.value {
        Value::List(items) => items.iter_mut().for_each(rename),
        Value::Map(fields) => {
            for (key, value) in fields {
                key.name = key.name.chars().fold(String::new(), |mut name, c| {
                    if c.is_ascii_uppercase() {
                        name.push('_');
                    }
                    name.push(c.to_ascii_lowercase());
                    name
                });
                rename(value);
            }
        }
        _ => {}
    }
}

/// The nodes in which a field of this name stands.
fn with_field<'a>(node: &'a Node, name: &str, found: &mut Vec<&'a Node>) {
    if node.get(name).is_some() {
        found.push(node);
    }
    node.items().iter().for_each(|item| with_field(item, name, found));
    node.fields().iter().for_each(|(_, value)| with_field(value, name, found));
}

/// What is wrong with single texts.
fn texts(node: &Node, notes: &mut Notes<'_>) {
    if let Some(text) = node.text() {
        if let Some(start) = text.find("${") {
            let name = text[start + 2..].split('}').next().unwrap_or_default();
            let says = format!("Envoy does not expand `${{{name}}}`: it is sent as it stands");
            notes.add(&rules::REFERENCE, node.place, says, format!("%ENVIRONMENT({name})%"));
        }
        let upper = text.to_ascii_uppercase();
        if CREDENTIALS.iter().any(|name| upper.contains(&format!("%REQ({}", name.to_ascii_uppercase()))) {
            let says = "a credential is written to the log or to another header";
            notes.add(&rules::LOG, node.place, says, "\"%REQ(:METHOD)% %RESPONSE_CODE% %DURATION%\"");
        }
    }
    node.items().iter().for_each(|item| texts(item, notes));
    node.fields().iter().for_each(|(_, value)| texts(value, notes));
}

/// The filters of a connection manager, each with the type of its configuration.
fn http_filters(manager: &Node) -> impl Iterator<Item = (&Node, String)> {
    manager.get("http_filters").map(Node::items).unwrap_or_default().iter().map(|filter| {
        let named = filter.get("name").and_then(Node::text).unwrap_or_default();
        let typed = filter.find(&["typed_config", "@type"]).and_then(Node::text).unwrap_or_default();
        (filter, format!("{named} {typed}"))
    })
}

fn filters(manager: &Node, notes: &mut Notes<'_>) {
    for (filter, kind) in http_filters(manager) {
        if kind.contains("http.buffer") || kind.contains("file_system_buffer") {
            let says = "a filter holds requests back";
            notes.add(&rules::BUFFERING, filter.place, says, "# Remove the filter.");
        }
        let types = ["response_direction_config", "common_config", "content_type"];
        let types =
            filter.get("typed_config").and_then(|config| config.find(&types).or(config.get("content_type")));
        let is_stream = |kind: &&Node| kind.text().is_some_and(|text| text.starts_with("text/event-stream"));
        if kind.contains("compressor")
            && let Some(stream) = types.into_iter().flat_map(Node::items).find(is_stream)
        {
            let says = "streams are compressed, which holds them back";
            notes.add(&rules::COMPRESSION, stream.place, says, "content_type: [application/json]");
        }
    }
}

/// A route and what is around it.
struct Way<'a> {
    manager: &'a Node,
    config: &'a Node,
    host: &'a Node,
    route: &'a Node,
    has_certificates: bool,
}

impl<'a> Way<'a> {
    /// The items of a list that a route, its host and the configuration of routes may have.
    fn lists(&self, name: &'a str) -> impl Iterator<Item = &'a Node> {
        let levels = [self.route, self.host, self.config];
        levels.into_iter().flat_map(move |level| level.get(name).map(Node::items).unwrap_or_default())
    }

    fn adds(&self, name: &'a str) -> impl Iterator<Item = &'a Node> {
        let is = move |entry: &&Node| key_of(entry).eq_ignore_ascii_case(name);
        self.lists("request_headers_to_add").filter(is)
    }

    fn removes(&self, name: &str) -> bool {
        let is = |entry: &Node| entry.text().is_some_and(|text| text.eq_ignore_ascii_case(name));
        self.lists("request_headers_to_remove").any(is)
    }

    fn has_filter(&self, kinds: &[&str]) -> bool {
        http_filters(self.manager).any(|(_, kind)| kinds.iter().any(|one| kind.contains(one)))
    }

    /// Whether a filter takes the credential in this header away once it has looked at it.
    fn is_taken(&self, name: &str) -> bool {
        http_filters(self.manager).any(|(filter, kind)| {
            let on =
                |path: &[&str]| matches!(filter.find(path).map(|node| &node.value), Some(Value::Bool(true)));
            (kind.contains("jwt_authn") && name == "authorization" && !holds_true(filter, "forward"))
                || on(&["typed_config", "forwarding", "hide_client_credentials"])
        })
    }
}

/// The name of the header of an entry of `request_headers_to_add`.
fn key_of(entry: &Node) -> &str {
    entry.find(&["header", "key"]).and_then(Node::text).unwrap_or_default()
}

fn holds_true(node: &Node, name: &str) -> bool {
    node.items().iter().any(|item| holds_true(item, name))
        || node.fields().iter().any(|(key, value)| {
            (key.name == name && matches!(value.value, Value::Bool(true))) || holds_true(value, name)
        })
}

fn has_certificates(tree: &Node) -> bool {
    holds_true(tree, "require_client_certificate")
}

/// What a route to the API does.
fn route(way: &Way<'_>, notes: &mut Notes<'_>) {
    let Some(action) = way.route.get("route") else { return };
    let at = action.place;
    let timeout = action.get("timeout");
    match timeout.map(|timeout| (timeout, seconds(timeout))) {
        None => {
            let says = "a stream is cut after 15 s, the default of `timeout`";
            notes.add(&rules::TIMEOUT, at, says, "timeout: 0s");
        }
        Some((timeout, Some(seconds))) if seconds > 0.0 && seconds < PATIENCE_S => {
            let says = format!("a stream is cut after {seconds} s");
            notes.add(&rules::TIMEOUT, timeout.place, says, "timeout: 0s");
        }
        Some(_) => {}
    }
    let idle = action.get("idle_timeout").or(way.manager.get("stream_idle_timeout"));
    match idle.map(|idle| (idle, seconds(idle))) {
        None => {
            let says = "a stream is cut after 300 s of silence, the default of `stream_idle_timeout`";
            notes.add(&rules::ENVOY_IDLE, way.manager.place, says, "stream_idle_timeout: 600s");
        }
        Some((idle, Some(seconds))) if seconds > 0.0 && seconds <= PATIENCE_S => {
            let says = format!("a stream is cut after {seconds} s of silence");
            notes.add(&rules::ENVOY_IDLE, idle.place, says, "stream_idle_timeout: 600s");
        }
        Some(_) => {}
    }
    let rewrites = ["host_rewrite_literal", "auto_host_rewrite", "host_rewrite_header"];
    if !rewrites.iter().any(|name| action.get(name).is_some()) {
        let says = "the API is asked for the name of the gateway";
        notes.add(&rules::HOST, at, says, "host_rewrite_literal: api.anthropic.com");
    }
    for policy in [action, way.host].into_iter().filter_map(|level| level.get("retry_policy")) {
        let on = policy.get("retry_on").and_then(Node::text).unwrap_or_default();
        if on.split(',').any(|one| !matches!(one.trim(), "connect-failure" | "refused-stream" | "")) {
            let says = "a request is sent again that may be billed already";
            notes.add(&rules::RETRIES, policy.place, says, "retry_policy: { retry_on: connect-failure }");
        }
    }
    matches(way.route, notes);
    headers(way, notes);
    credentials(way, notes);
}

fn matches(route: &Node, notes: &mut Notes<'_>) {
    let Some(path) = route.get("match") else { return };
    if let Some(prefix) = path.get("prefix").filter(|prefix| prefix.text() == Some("/v1/messages")) {
        let says = "a prefix also serves `/v1/messages/batches` and `/v1/messagesfoo`";
        notes.add(&rules::PREFIX, prefix.place, says, "path: /v1/messages");
    }
    if let Some(exact) = path.get("path").filter(|exact| exact.text().is_some_and(|text| text.contains('?')))
    {
        let says = "a path has no query, so this never matches";
        notes.add(&rules::QUERY, exact.place, says, "path: /v1/messages");
    }
    for header in path.get("headers").map(Node::items).unwrap_or_default() {
        if header.get("name").and_then(Node::text).is_some_and(|name| name.eq_ignore_ascii_case("accept")) {
            let says = "the route depends on `Accept`, which says the same for streams and for other answers";
            notes.add(&rules::ACCEPT, header.place, says, "# Remove it.");
        }
    }
}

fn headers(way: &Way<'_>, notes: &mut Notes<'_>) {
    for entry in way.lists("request_headers_to_add") {
        let value = entry.find(&["header", "value"]).and_then(Node::text).unwrap_or_default();
        let name = key_of(entry);
        let set = Set { kind: Kind::Envoy, name, value, place: entry.place, keep: KEEP, api_key: API_KEY };
        judge(&set, notes);
        let overwrites = entry.get("append_action").and_then(Node::text)
            == Some("OVERWRITE_IF_EXISTS_OR_ADD")
            || matches!(entry.get("append").map(|append| &append.value), Some(Value::Bool(false)));
        let is_credential = CREDENTIALS.contains(&name.to_ascii_lowercase().as_str());
        // What is to be removed is removed before anything is added.
        if is_credential && !overwrites && !way.removes(name) {
            let says =
                format!("the client's `{name}` stays beside the new one: a header is appended by default");
            notes.add(&rules::APPEND, entry.place, says, "append_action: OVERWRITE_IF_EXISTS_OR_ADD");
        }
    }
    for entry in way.lists("request_headers_to_remove") {
        let name = entry.text().unwrap_or_default();
        let set =
            Set { kind: Kind::Envoy, name, value: "", place: entry.place, keep: KEEP, api_key: API_KEY };
        judge(&set, notes);
    }
}

/// Who pays, and who is let in.
fn credentials(way: &Way<'_>, notes: &mut Notes<'_>) {
    let at = way.route.place;
    // These may do anything with a request.
    if way.has_filter(&[
        "ext_proc",
        "ext_authz",
        "lua",
        "wasm",
        "golang",
        "header_mutation",
        "credential_injector",
    ]) {
        return;
    }
    let asks = way.has_filter(&["api_key_auth", "jwt_authn", "oauth2", "basic_auth"]);
    if !CREDENTIALS.iter().any(|name| way.adds(name).next().is_some()) {
        let is_touched = asks || CREDENTIALS.iter().any(|name| way.removes(name));
        no_credential(is_touched, at, API_KEY, notes);
        return;
    }
    for name in CREDENTIALS {
        if way.adds(name).next().is_none() && !way.removes(name) && !way.is_taken(name) {
            leaks(name, at, &format!("request_headers_to_remove: [{name}]"), notes);
        }
    }
    if !asks && !way.has_filter(&["rbac"]) && !way.has_certificates {
        let cure = "- name: envoy.filters.http.api_key_auth\n  typed_config:\n    \"@type\": \
                    type.googleapis.com/envoy.extensions.filters.http.api_key_auth.v3.ApiKeyAuth\n    key_sources: [{ \
                    header: authorization }, { header: x-api-key }]";
        notes.add(&rules::AUTH, at, NOBODY_ASKED, cure);
    }
}

/// Whether routes lead to all endpoints that Claude Code asks for.
fn endpoints(host: &Node, routes: &[&Node], notes: &mut Notes<'_>) {
    let serves = |wanted: &str| {
        routes.iter().filter_map(|route| route.get("match")).any(|path| {
            let is = |name: &str, fits: &dyn Fn(&str) -> bool| path.get(name).and_then(Node::text).is_some_and(fits);
            is("path", &|text| text == wanted)
                || is("prefix", &|text| wanted.starts_with(text))
                || is("path_separated_prefix", &|text| wanted.starts_with(text))
                // A pattern is taken at its plain beginning.
                || path.find(&["safe_regex", "regex"]).and_then(Node::text).is_some_and(|text| {
                    let plain = text.trim_start_matches('^').split(['(', '[', '.', '$', '?', '*', '\\']).next();
                    plain.is_some_and(|plain| wanted.starts_with(plain))
                })
        })
    };
    let missing: Vec<&str> =
        ["/v1/messages/count_tokens", "/v1/models"].into_iter().filter(|path| !serves(path)).collect();
    if !missing.is_empty() && !routes.is_empty() {
        let says = format!("no route leads to {}", listed(&missing));
        let cure: Vec<String> = missing.iter().map(|path| format!("- match: {{ path: {path} }}")).collect();
        notes.add(&rules::ENDPOINTS, host.place, says, cure.join("\n"));
    }
}

/// A duration of Envoy: `600s`, `0.5s`.
fn seconds(node: &Node) -> Option<f64> {
    node.text()?.strip_suffix('s')?.parse().ok()
}
