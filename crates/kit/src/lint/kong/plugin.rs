//! What Kong's plugins come to, alone and together.

use super::{flag, integer, list, reference, schema};
use crate::lint::{
    Kind, Notes,
    headers::{CREDENTIALS, NOBODY_ASKED, Set, is_open, judge, no_credential},
    rules,
};
use tollgate_config::tree::Node;

const KEEP: &str = "# Remove the entry: Kong passes all headers of the client by itself.";
const API_KEY: &str = "remove:\n  headers: [authorization]\nreplace:\n  headers: ['x-api-key:${{ env \
                       \"DECK_ANTHROPIC_API_KEY\" }}']\nadd:\n  headers: ['x-api-key:${{ env \"DECK_ANTHROPIC_API_KEY\" \
                       }}']";
const KEY_AUTH: &str = "- name: key-auth\n  config:\n    key_names: [x-api-key]\n    hide_credentials: true\n    key_in_query: false";

/// A plugin and what it is attached to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Plugin<'a> {
    node: &'a Node,
    /// The service or the route that it stands in.
    owner: Option<&'a Node>,
    name: &'a str,
}

impl<'a> Plugin<'a> {
    pub(super) fn of(node: &'a Node, owner: Option<&'a Node>) -> Self {
        Self { node, owner, name: node.get("name").and_then(Node::text).unwrap_or_default() }
    }

    /// Whether it works on requests of these routes of this service.
    pub(super) fn is_at(&self, service: &Node, routes: &[&Node]) -> bool {
        if let Some(owner) = self.owner {
            return std::ptr::eq(owner, service) || routes.iter().any(|route| std::ptr::eq(owner, *route));
        }
        let named = |field: &str, node: &Node| {
            reference(self.node, field).is_some_and(|name| {
                ["name", "id"].iter().any(|key| node.get(key).and_then(Node::text) == Some(name))
            })
        };
        let is_global = ["service", "route", "consumer"].iter().all(|field| self.node.get(field).is_none());
        is_global || named("service", service) || routes.iter().any(|route| named("route", route))
    }

    /// The same, or whether it works on those of one consumer, whatever the service.
    pub(super) fn may_be_at(&self, service: &Node, routes: &[&Node]) -> bool {
        let is_bound = ["service", "route"].iter().any(|field| self.node.get(field).is_some());
        self.is_at(service, routes) || (self.owner.is_none() && !is_bound)
    }

    /// The headers of one of the lists of request-transformer.
    fn headers(&self, action: &str) -> &'a [Node] {
        self.node.find(&["config", action, "headers"]).map(Node::items).unwrap_or_default()
    }

    /// Whether the list has a header of this name.
    fn has(&self, action: &str, header: &str) -> bool {
        self.headers(action).iter().any(|entry| name_of(entry).eq_ignore_ascii_case(header))
    }

    fn transforms(&self) -> bool {
        self.name.starts_with("request-transformer")
    }
}

/// The name of an entry `name:value`.
fn name_of(entry: &Node) -> &str {
    entry.text().unwrap_or_default().split(':').next().unwrap_or_default().trim()
}

/// What a file says that matters to each of its plugins.
#[derive(Debug)]
pub(super) struct Surroundings {
    /// Whether a plugin finds out who a client is.
    identifies: bool,
    /// Whether only decK reads the file, which knows a database.
    is_of_deck: bool,
}

impl Surroundings {
    pub(super) fn of(tree: &Node, plugins: &[Plugin<'_>]) -> Self {
        Self {
            identifies: plugins.iter().any(|plugin| schema::IDENTIFIES.contains(&plugin.name)),
            is_of_deck: is_of_deck(tree),
        }
    }
}

/// Looks at what one plugin does.
pub(super) fn lint(plugin: &Plugin<'_>, around: &Surroundings, notes: &mut Notes<'_>) {
    let at = plugin.node.place;
    match plugin.name {
        "request-transformer" | "request-transformer-advanced" => transformer(plugin, notes),
        "rate-limiting" => limit(plugin, around, notes),
        "key-auth" => key_auth(plugin, notes),
        "request-size-limiting" => size(plugin, notes),
        "ai-proxy" | "ai-proxy-advanced" => {
            let says = "`ai-proxy` speaks OpenAI's format to clients, which Claude Code does not";
            notes.add(&rules::KONG_AI_PROXY, at, says, "# Remove the plugin: a plain service is enough.");
        }
        _ => {}
    }
}

/// Looks whether there is such a plugin.
pub(super) fn exists(plugin: &Plugin<'_>, notes: &mut Notes<'_>) {
    let at = plugin.node.place;
    match plugin.name {
        "response-buffering" | "request-buffering" => {
            let says = format!("there is no plugin `{}`: it is a field of routes", plugin.name);
            notes.add(&rules::KONG_PLUGIN, at, says, "response_buffering: false\nrequest_buffering: false");
        }
        "oidc" => {
            let says = "there is no plugin `oidc`: Kong's own is `openid-connect`, of the enterprise edition";
            notes.add(&rules::KONG_PLUGIN, at, says, "- name: openid-connect");
        }
        name if !schema::is_plugin(name) => {
            let says = format!("`{name}` is no plugin of Kong's, and Kong refuses the whole file for it");
            notes.add(
                &rules::KONG_PLUGIN,
                at,
                says,
                format!("KONG_PLUGINS=bundled,{name}   # if it is your own"),
            );
        }
        _ => {}
    }
}

fn transformer(plugin: &Plugin<'_>, notes: &mut Notes<'_>) {
    for entry in plugin.headers("add").iter().chain(plugin.headers("append")) {
        let (name, value) = split(entry);
        let lower = name.to_ascii_lowercase();
        let is_replaced = plugin.has("replace", name) || plugin.has("remove", name);
        if CREDENTIALS.contains(&lower.as_str()) && !is_replaced {
            let says =
                format!("`add` does nothing where the client sends `{name}`: its own value goes upstream");
            notes.add(&rules::APPEND, entry.place, says, API_KEY);
        } else if lower == "anthropic-version" && !is_replaced {
            let says = "`add` sets only what the client left out, and clients always send their version";
            notes.add(&rules::DEFAULT, entry.place, says, KEEP);
        }
        // What is added where nothing was sent harms no header of the open list.
        if !is_open(name) {
            judge(&set(name, value, entry), notes);
        }
    }
    for entry in plugin.headers("replace") {
        let (name, value) = split(entry);
        judge(&set(name, value, entry), notes);
    }
    for entry in plugin.headers("remove") {
        judge(&set(name_of(entry), "", entry), notes);
    }
    let sets = |name: &&str| plugin.has("replace", name) || plugin.has("add", name);
    let goes = |name: &&str| plugin.has("replace", name) || plugin.has("remove", name);
    if CREDENTIALS.iter().any(sets) {
        for name in CREDENTIALS.iter().filter(|name| !goes(name)) {
            let says = format!("the client's `{name}` goes upstream");
            notes.add(&rules::LEAK, plugin.node.place, says, format!("remove:\n  headers: [{name}]"));
        }
    }
}

fn set<'a>(name: &'a str, value: &'a str, entry: &Node) -> Set<'a> {
    Set { kind: Kind::Kong, name, value, place: entry.place, keep: KEEP, api_key: API_KEY }
}

fn split(entry: &Node) -> (&str, &str) {
    let text = entry.text().unwrap_or_default();
    text.split_once(':').map_or((text, ""), |(name, value)| (name.trim(), value.trim()))
}

fn limit(plugin: &Plugin<'_>, around: &Surroundings, notes: &mut Notes<'_>) {
    let at = plugin.node.place;
    let config = plugin.node.get("config").unwrap_or(plugin.node);
    let windows = ["second", "minute", "hour", "day", "month", "year"];
    if !windows.iter().any(|window| config.get(window).is_some()) {
        let says = "a limit needs one of `second`, `minute`, `hour`, `day`, `month` and `year`";
        notes.add(&rules::KONG_LIMIT, at, says, "minute: 100");
    }
    let policy = config.get("policy");
    match policy.and_then(Node::text) {
        None | Some("local") => {
            let says = "each node of Kong counts for itself";
            let place = policy.map_or(at, |policy| policy.place);
            notes.add(&rules::LIMIT_SHARED, place, says, "policy: redis\nredis:\n  host: redis.example.com");
        }
        Some("cluster") if !around.is_of_deck => {
            let says = "without a database there is no `cluster`, and Kong refuses the whole file for it";
            let place = policy.map_or(at, |policy| policy.place);
            notes.add(&rules::KONG_LIMIT, place, says, "policy: redis\nredis:\n  host: redis.example.com");
        }
        Some("redis") if config.find(&["redis", "host"]).or(config.get("redis_host")).is_none() => {
            let says = "the policy `redis` needs the host of a Redis";
            let place = policy.map_or(at, |policy| policy.place);
            notes.add(&rules::KONG_LIMIT, place, says, "redis:\n  host: redis.example.com");
        }
        Some(_) => {}
    }
    let by = config.get("limit_by");
    match by.and_then(Node::text) {
        Some("ip") => {
            let place = by.map_or(at, |by| by.place);
            notes.add(&rules::LIMIT_KEY, place, "the limit counts by address", "limit_by: consumer");
        }
        None | Some("consumer" | "credential") if !around.identifies => {
            let says = "no plugin finds out who the consumer is, so the limit counts by address";
            notes.add(&rules::LIMIT_KEY, at, says, KEY_AUTH);
        }
        _ => {}
    }
    if let Some((code, place)) = integer(config, "error_code")
        && code != 429
    {
        let says = format!("a limit that is reached answers with {code}");
        notes.add(&rules::LIMIT_STATUS, place, says, "error_code: 429");
    }
}

/// Whether it has what only decK reads.
fn is_of_deck(tree: &Node) -> bool {
    fn refers(node: &Node) -> bool {
        node.text().is_some_and(|text| text.contains("${{ env"))
            || node.items().iter().any(refers)
            || node.fields().iter().any(|(_, value)| refers(value))
    }
    tree.get("_info").is_some() || tree.get("_workspace").is_some() || refers(tree)
}

fn key_auth(plugin: &Plugin<'_>, notes: &mut Notes<'_>) {
    let at = plugin.node.place;
    let config = plugin.node.get("config").unwrap_or(plugin.node);
    if flag(config, "hide_credentials").is_none_or(|(hides, _)| !hides) {
        let says = "the key of the client goes upstream: `hide_credentials` is off by default";
        let place = flag(config, "hide_credentials").map_or(at, |(_, place)| place);
        notes.add(&rules::LEAK, place, says, "hide_credentials: true");
    }
    let names = list(config, "key_names");
    let is = |name: &Node, wanted: &str| name.text().is_some_and(|text| text.eq_ignore_ascii_case(wanted));
    if let Some(name) = names.iter().find(|name| is(name, "authorization")) {
        let says = "the whole value is compared, so `Bearer KEY` is never the key";
        notes.add(&rules::KONG_KEY_AUTH, name.place, says, "key_names: [x-api-key]");
    } else if !names.iter().any(|name| is(name, "x-api-key")) {
        let says =
            "keys are read from `apikey`, the default of `key_names`, which no client of the API sends";
        let says = if names.is_empty() {
            says
        } else {
            "keys are read from headers that no client of the API sends"
        };
        let place = config.get("key_names").map_or(at, |names| names.place);
        notes.add(&rules::KONG_KEY_AUTH, place, says, "key_names: [x-api-key]");
    }
}

fn size(plugin: &Plugin<'_>, notes: &mut Notes<'_>) {
    let Some(config) = plugin.node.get("config") else { return };
    let Some((number, place)) = integer(config, "allowed_payload_size") else { return };
    let unit = match config.get("size_unit").and_then(Node::text) {
        Some("bytes") => 1,
        Some("kilobytes") => 1000,
        _ => 1_000_000,
    };
    if number.saturating_mul(unit) < 32_000_000 {
        let says = "requests smaller than the API's 32 MB are refused";
        notes.add(&rules::BODY_SIZE, place, says, "allowed_payload_size: 32");
    }
}

/// What the plugins of a service that leads to the API come to.
pub(super) fn together(service: &Node, plugins: &[&Plugin<'_>], notes: &mut Notes<'_>) {
    let code = |plugin: &&&Plugin<'_>| matches!(plugin.name, "pre-function" | "post-function");
    let transforms = plugins.iter().any(|plugin| {
        let sets = |name: &&str| plugin.has("replace", name) || plugin.has("add", name);
        plugin.transforms() && CREDENTIALS.iter().any(sets)
    });
    // Code may do anything.
    if !transforms && !plugins.iter().any(|plugin| code(&plugin)) {
        let is_touched = plugins.iter().any(|plugin| {
            let goes = |name: &&str| plugin.has("remove", name) || plugin.has("rename", name);
            let by_certificate = ["mtls-auth", "header-cert-auth"].contains(&plugin.name);
            CREDENTIALS.iter().any(goes) || (schema::IDENTIFIES.contains(&plugin.name) && !by_certificate)
        });
        let cure = format!("- name: request-transformer\n  config:\n    {}", API_KEY.replace('\n', "\n    "));
        no_credential(is_touched, service.place, &cure, notes);
    }
    if transforms && !plugins.iter().any(|plugin| schema::IDENTIFIES.contains(&plugin.name)) {
        notes.add(&rules::AUTH, service.place, NOBODY_ASKED, KEY_AUTH);
    }
}
