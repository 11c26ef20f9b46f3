//! What is wrong with a file of Kong: one of decK, or of the mode without a database. Kong refuses a whole file for one
//! key that it does not know, so these are looked for first, then what the entities come to.

mod plugin;
mod schema;
mod shape;

pub(super) use schema::is_plugin;

use super::{Kind, Notes, headers::refers, rules, text::secret_cure};
use plugin::{Plugin, Surroundings};
use tollgate_config::{
    problem::Place,
    tree::{Key, Node, Value},
};

/// The silence that Claude Code bears, in milliseconds.
const PATIENCE_MS: i64 = 300_000;

/// The most services before the API that are looked at: each goes through all routes and plugins.
const SERVICES_MAX: usize = 200;

/// Looks at one document.
pub(super) fn lint(tree: &Node, notes: &mut Notes<'_>) {
    shape::lint(tree, notes);
    texts(tree, "", notes);
    let plugins = plugins(tree);
    let around = Surroundings::of(tree, &plugins);
    let services = list(tree, "services");
    let apis: Vec<(&Node, Vec<&Node>)> = services
        .iter()
        .filter(|service| leads_to_api(service))
        .take(SERVICES_MAX)
        .map(|service| (service, routes(tree, service)))
        .collect();
    for plugin in &plugins {
        plugin::exists(plugin, notes);
        // What serves something else follows other rules; where no service is named, all may be about the API.
        if services.is_empty() || apis.iter().any(|(service, routes)| plugin.may_be_at(service, routes)) {
            plugin::lint(plugin, &around, notes);
        }
    }
    if services.is_empty() && list(tree, "routes").is_empty() {
        if !plugins.is_empty() {
            let says = "there is neither a service nor a route, so nothing is proxied";
            notes.add(&rules::UPSTREAM, tree.place, says, SERVICE);
        }
        return;
    }
    for (service, routes) in &apis {
        let mine: Vec<&Plugin<'_>> = plugins.iter().filter(|plugin| plugin.is_at(service, routes)).collect();
        connection(service, notes);
        routes.iter().for_each(|route| self::route(route, service, notes));
        endpoints(service, routes, notes);
        plugin::together(service, &mine, notes);
    }
}

const SERVICE: &str = "services:\n  - name: anthropic\n    url: https://api.anthropic.com\n    read_timeout: 600000\n    \
                       write_timeout: 600000\n    retries: 0\n    routes:\n      - name: messages\n        paths: \
                       [\"~/v1/messages$\"]\n        strip_path: false\n        request_buffering: false\n        \
                       response_buffering: false";

/// The items of a list of entities.
fn list<'a>(node: &'a Node, name: &str) -> &'a [Node] {
    node.get(name).map(Node::items).unwrap_or_default()
}

/// The value of a field that is a whole number.
fn integer(node: &Node, name: &str) -> Option<(i64, Place)> {
    let found = node.get(name)?;
    if let Value::Integer(number) = found.value { Some((number, found.place)) } else { None }
}

/// The value of a field that is a flag.
fn flag(node: &Node, name: &str) -> Option<(bool, Place)> {
    let found = node.get(name)?;
    if let Value::Bool(flag) = found.value { Some((flag, found.place)) } else { None }
}

fn leads_to_api(service: &Node) -> bool {
    ["url", "host", "name"].iter().any(|name| {
        service
            .get(name)
            .and_then(Node::text)
            .is_some_and(|text| text.contains("anthropic") || text.contains("claude"))
    })
}

/// The routes inside of a service, and those that refer to it.
fn routes<'a>(tree: &'a Node, service: &'a Node) -> Vec<&'a Node> {
    let name = service.get("name").and_then(Node::text);
    let refers = |route: &&Node| name.is_some() && reference(route, "service") == name;
    list(service, "routes").iter().chain(list(tree, "routes").iter().filter(refers)).collect()
}

/// The entity that a field names: by its name, or by a section with its name or id.
fn reference<'a>(node: &'a Node, field: &str) -> Option<&'a str> {
    let found = node.get(field)?;
    found.text().or_else(|| ["name", "id"].iter().find_map(|name| found.get(name)?.text()))
}

/// All plugins of a document, with what they stand in.
fn plugins(tree: &Node) -> Vec<Plugin<'_>> {
    let mut all: Vec<Plugin<'_>> = list(tree, "plugins").iter().map(|node| Plugin::of(node, None)).collect();
    let inner = list(tree, "services").iter().flat_map(|service| list(service, "routes"));
    for owner in list(tree, "services").iter().chain(inner).chain(list(tree, "routes")) {
        all.extend(list(owner, "plugins").iter().map(|node| Plugin::of(node, Some(owner))));
    }
    all
}

/// References that are not expanded, and secrets, wherever they stand.
fn texts(node: &Node, key: &str, notes: &mut Notes<'_>) {
    if let Some(text) = node.text() {
        let is_code = text.contains('\n');
        if let Some(start) = text.find("${").filter(|start| !text[*start..].starts_with("${{") && !is_code) {
            let name = text[start + 2..].split('}').next().unwrap_or_default();
            let says = format!("Kong does not expand `${{{name}}}`: it is sent as it stands");
            notes.add(&rules::REFERENCE, node.place, says, format!("${{{{ env \"DECK_{name}\" }}}}"));
        }
        if let Some(start) = text.find("{vault://")
            && (start > 0 || !text.ends_with('}'))
        {
            let says = "a reference to a vault must be the whole value: this one is sent as it stands";
            notes.add(&rules::REFERENCE, node.place, says, secret_cure(Kind::Kong));
        }
        let is_secret = matches!(key, "key" | "secret" | "password" | "redis_password" | "client_secret");
        if is_secret && !refers(text) && super::headers::is_literal_secret(text) {
            notes.add(
                &rules::SECRET,
                node.place,
                format!("`{key}` stands here in clear text"),
                secret_cure(Kind::Kong),
            );
        }
    }
    node.items().iter().for_each(|item| texts(item, key, notes));
    node.fields().iter().for_each(|(Key { name, .. }, value)| texts(value, name, notes));
}

/// How a service reaches the API.
fn connection(service: &Node, notes: &mut Notes<'_>) {
    for name in ["read_timeout", "write_timeout"] {
        let cure = format!("{name}: 600000");
        match integer(service, name) {
            None if service.get(name).is_none() => {
                let says = format!("a stream is cut after 60 s of silence, the default of `{name}`");
                notes.add(&rules::TIMEOUT, service.place, says, cure);
            }
            Some((ms, place)) if ms < PATIENCE_MS => {
                let says = format!("a stream is cut after {ms} ms of silence");
                notes.add(&rules::TIMEOUT, place, says, cure);
            }
            _ => {}
        }
    }
    let retries = integer(service, "retries");
    if retries.is_none_or(|(retries, _)| retries > 0) {
        let says = match retries {
            Some((retries, _)) => format!("a request is sent up to {retries} times more"),
            None => "a request is sent up to 5 times more, the default of `retries`".to_owned(),
        };
        let place = retries.map_or(service.place, |(_, place)| place);
        notes.add(&rules::RETRIES, place, says, "retries: 0");
    }
    let url = service.get("url");
    let protocol = service.get("protocol").and_then(Node::text);
    let scheme = url.and_then(Node::text).and_then(|url| url.split_once("://")).map(|(scheme, _)| scheme);
    if scheme.or(protocol).is_none_or(|scheme| scheme == "http") && mentions_api(service) {
        let place = url.map_or(service.place, |url| url.place);
        let says = "the connection to the API is not encrypted";
        notes.add(&rules::TLS, place, says, "url: https://api.anthropic.com");
    }
    if let Some((false, place)) = flag(service, "tls_verify") {
        notes.add(&rules::VERIFY, place, "the certificate of the API is not checked", "tls_verify: true");
    }
}

fn mentions_api(service: &Node) -> bool {
    ["url", "host"]
        .iter()
        .any(|name| service.get(name).and_then(Node::text).is_some_and(|text| text.contains("anthropic.com")))
}

/// What a route does to requests and answers.
fn route(route: &Node, service: &Node, notes: &mut Notes<'_>) {
    let at = route.place;
    if flag(route, "response_buffering").is_none_or(|(on, _)| on) {
        let place = flag(route, "response_buffering").map_or(at, |(_, place)| place);
        let says = "answers are held back: `response_buffering` is on by default";
        notes.add(&rules::BUFFERING, place, says, "response_buffering: false");
    }
    if flag(route, "request_buffering").is_none_or(|(on, _)| on) {
        let says = "requests are stored before they are sent on";
        notes.add(&rules::REQUEST_BUFFERING, at, says, "request_buffering: false");
    }
    let paths = list(route, "paths");
    let service_path = service.get("url").and_then(Node::text).is_some_and(|url| url.contains("/v1"));
    if flag(route, "strip_path").is_none_or(|(on, _)| on) && !paths.is_empty() && !service_path {
        let place = flag(route, "strip_path").map_or(at, |(_, place)| place);
        let says = "the path that the route matches is cut off before the request goes upstream";
        notes.add(&rules::KONG_STRIP_PATH, place, says, "strip_path: false");
    }
    if let Some((true, place)) = flag(route, "preserve_host") {
        notes.add(
            &rules::HOST,
            place,
            "the API is asked for the name of the gateway",
            "preserve_host: false",
        );
    }
    for path in paths {
        let text = path.text().unwrap_or_default();
        if text.contains("beta=") {
            let says = "a path has no query, so this never matches";
            notes.add(&rules::QUERY, path.place, says, "\"~/v1/messages$\"");
        } else if text == "/v1/messages" {
            let says = "a prefix also serves `/v1/messages/batches` and `/v1/messagesfoo`";
            notes.add(&rules::PREFIX, path.place, says, "\"~/v1/messages$\"");
        }
    }
    if let Some(accept) =
        route.get("headers").and_then(|headers| headers.get("accept").or(headers.get("Accept")))
    {
        let says = "the route depends on `Accept`, which says the same for streams and for other answers";
        notes.add(&rules::ACCEPT, accept.place, says, "# Remove it.");
    }
}

/// Whether routes lead to all endpoints that Claude Code asks for.
fn endpoints(service: &Node, routes: &[&Node], notes: &mut Notes<'_>) {
    let paths: Vec<&str> =
        routes.iter().flat_map(|route| list(route, "paths")).filter_map(Node::text).collect();
    if routes.iter().any(|route| list(route, "paths").is_empty()) {
        return;
    }
    let serves = |wanted: &str| {
        paths.iter().any(|path| match path.strip_prefix('~') {
            // Of patterns only their plain beginning is understood.
            Some(pattern) => {
                let pattern = pattern.trim_start_matches('^');
                let plain = pattern.split(['$', '(', '[', '?', '*', '\\', '.']).next().unwrap_or_default();
                if pattern.strip_suffix('$') == Some(plain) {
                    wanted == plain
                } else {
                    wanted.starts_with(plain)
                }
            }
            None => wanted.starts_with(path),
        })
    };
    let missing: Vec<&str> =
        ["/v1/messages/count_tokens", "/v1/models"].into_iter().filter(|path| !serves(path)).collect();
    if !missing.is_empty() {
        let says = format!("no route leads to {}", super::listed(&missing));
        let cure: Vec<String> = missing.iter().map(|path| format!("\"~{path}$\"")).collect();
        notes.add(&rules::ENDPOINTS, service.place, says, format!("paths: [{}]", cure.join(", ")));
    }
}
