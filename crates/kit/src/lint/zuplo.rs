//! What is wrong with a project of Zuplo: its routes, and the policies that they name.

mod policy;

use super::{
    Notes, Subject,
    headers::{CREDENTIALS, NOBODY_ASKED, leaks, no_credential},
    listed, rules,
};
use policy::Policy;
use std::collections::BTreeMap;
use tollgate_config::{
    problem::Place,
    tree::{self, Key, Node, Value},
};

const MODULE: &str = "\"module\": \"$import(@zuplo/runtime)\",";

const ROUTES: &str = "config/routes.oas.json and config/policies.json   # JSON; `zup lint` looks at both";

/// Looks at one document.
pub(super) fn lint(tree: &Node, subject: &Subject<'_>, notes: &mut Notes<'_>) {
    if !subject.text.trim_start().starts_with(['{', '[']) {
        let says = "Zuplo reads no YAML: a project is made of files in JSON";
        notes.add(&rules::ZUPLO_FILE, tree.place, says, ROUTES);
        return;
    }
    if tree.get("paths").is_some() {
        let defined = subject.policies.map(tree::read_all).and_then(Result::ok).unwrap_or_default();
        let policies = defined.iter().flat_map(Policy::all);
        let defined: BTreeMap<&str, Policy<'_>> = policies.map(|policy| (policy.name, policy)).collect();
        routes(tree, &defined, notes);
    } else if let Some(policies) = tree.get("policies") {
        policies.items().iter().for_each(|policy| policy::lint(policy, notes));
    } else if tree.get("export").is_some() {
        let says = "a policy stands in `policies`, with a `name`, a `policyType` and a `handler`";
        notes.add(&rules::ZUPLO_POLICY, tree.place, says, policy::EXAMPLE);
        policy::handler(tree, notes);
    }
}

fn routes(tree: &Node, defined: &BTreeMap<&str, Policy<'_>>, notes: &mut Notes<'_>) {
    let missing: Vec<&str> =
        ["openapi", "info"].into_iter().filter(|name| tree.get(name).is_none()).collect();
    if !missing.is_empty() {
        let says = format!("this is no OpenAPI document: there is no {}", listed(&missing));
        let cure = "\"openapi\": \"3.1.0\",\n\"info\": { \"title\": \"gateway\", \"version\": \"1.0.0\" },";
        notes.add(&rules::ZUPLO_OPENAPI, tree.place, says, cure);
    }
    let paths = tree.get("paths").map(Node::fields).unwrap_or_default();
    let mut served = Vec::new();
    for (path, item) in paths {
        for (_, operation) in item.fields() {
            let Some(route) = operation.get("x-zuplo-route") else { continue };
            self::route(route, notes);
            if path.name.contains("/v1/") || mentions(route, "anthropic") {
                served.push(path);
                chain(route, defined, notes);
            }
        }
    }
    endpoints(&served, notes);
}

/// A route by itself.
fn route(route: &Node, notes: &mut Notes<'_>) {
    if route.get("corsPolicy").is_none() {
        let says = "the route does not say its `corsPolicy`";
        notes.add(&rules::ZUPLO_CORS, route.place, says, "\"corsPolicy\": \"none\",");
    }
    let Some(handler) = route.get("handler") else {
        notes.add(&rules::ZUPLO_HANDLER, route.place, "the route has no `handler`", MODULE);
        return;
    };
    for (name, cure) in [("module", MODULE), ("export", "\"export\": \"urlForwardHandler\",")] {
        if handler.get(name).is_none() {
            let says = format!("the handler has no `{name}`, so the build fails");
            notes.add(&rules::ZUPLO_HANDLER, handler.place, says, cure);
        }
    }
    for (key, value) in handler.get("options").map(Node::fields).unwrap_or_default() {
        option(key, value, notes);
    }
}

fn option(key: &Key, value: &Node, notes: &mut Notes<'_>) {
    let text = value.text().unwrap_or_default();
    if let Some(rest) = text.split_once("$env(").map(|(_, rest)| rest) {
        let name = rest.split(')').next().unwrap_or_default();
        let says = "`$env()` is for policies: here it makes a URL that is none";
        notes.add(&rules::REFERENCE, value.place, says, format!("${{env.{name}}}"));
    }
    if text.starts_with("http://") && text.contains("anthropic.com") {
        let says = "the connection to the API is not encrypted";
        notes.add(&rules::TLS, value.place, says, "\"baseUrl\": \"https://api.anthropic.com\"");
    }
    if key.name == "forwardSearch" && matches!(value.value, Value::Bool(false)) {
        let says = "the query is dropped, and `?beta=true` with it";
        notes.add(&rules::QUERY, value.place, says, "\"forwardSearch\": true");
    }
}

/// The policies of a route that leads to the API, in their order.
fn chain(route: &Node, defined: &BTreeMap<&str, Policy<'_>>, notes: &mut Notes<'_>) {
    let inbound = route.find(&["policies", "inbound"]);
    let names = inbound.map(Node::items).unwrap_or_default();
    let mut policies = Vec::new();
    for name in names {
        let text = name.text().unwrap_or_default();
        match defined.get(text) {
            Some(policy) => policies.push((name.place, policy)),
            None => {
                let says = format!("no `policies.json` beside this file defines `{text}`");
                notes.add(&rules::ZUPLO_UNDEFINED, name.place, says, policy::example(text));
            }
        }
    }
    let place = inbound.map_or(route.place, |inbound| inbound.place);
    // Code of one's own may do anything.
    if policies.iter().any(|(_, policy)| policy.is_custom()) {
        return;
    }
    let identifies = policies.iter().any(|(_, policy)| policy.identifies());
    credentials(place, &policies, identifies || policies.len() < names.len(), notes);
    order(&policies, notes);
}

/// Who pays, and who is let in. `asks` is whether clients are asked for a credential, or may be.
fn credentials(place: Place, policies: &[(Place, &Policy<'_>)], asks: bool, notes: &mut Notes<'_>) {
    let sets = |name: &str| policies.iter().any(|(_, policy)| policy.sets(name));
    let removes = |name: &str| policies.iter().any(|(_, policy)| policy.removes(name));
    if !CREDENTIALS.iter().any(|name| sets(name)) {
        let is_touched = asks || CREDENTIALS.iter().any(|name| removes(name));
        no_credential(is_touched, place, policy::UPSTREAM, notes);
        return;
    }
    for name in CREDENTIALS.iter().filter(|name| !sets(name) && !removes(name)) {
        leaks(name, place, policy::UPSTREAM, notes);
    }
    if !asks {
        let cure = "\"inbound\": [\"api-key-inbound\", \"rate-limit-inbound\", ...]";
        notes.add(&rules::AUTH, place, NOBODY_ASKED, cure);
    }
}

/// Identify, limit, remove, set: in this order.
fn order(policies: &[(Place, &Policy<'_>)], notes: &mut Notes<'_>) {
    let mut last = (0, "");
    for (place, policy) in policies {
        let Some(step) = policy.step() else { continue };
        if step < last.0 {
            let says =
                format!("`{}` works after `{}`, which leaves it nothing to work on", policy.name, last.1);
            let cure = "# identify, then limit, then remove the client's credential, then set the upstream's";
            notes.add(&rules::ZUPLO_ORDER, *place, says, cure);
        } else {
            last = (step, policy.name);
        }
    }
}

fn endpoints(served: &[&Key], notes: &mut Notes<'_>) {
    let Some(first) = served.first() else { return };
    let serves = |wanted: &str| {
        served.iter().any(|path| match path.name.split_once(['{', '(', '*', ':']) {
            Some((start, _)) => wanted.starts_with(start),
            None => path.name == wanted,
        })
    };
    let missing: Vec<&str> =
        ["/v1/messages/count_tokens", "/v1/models"].into_iter().filter(|path| !serves(path)).collect();
    if !missing.is_empty() {
        let says = format!("there is no route for {}", listed(&missing));
        let cure: Vec<String> = missing.iter().map(|path| format!("\"{path}\": {{ ... }},")).collect();
        notes.add(&rules::ENDPOINTS, first.place, says, cure.join("\n"));
    }
}

/// Whether a text in it holds this one.
fn mentions(node: &Node, part: &str) -> bool {
    node.text().is_some_and(|text| text.contains(part))
        || node.items().iter().any(|item| mentions(item, part))
        || node.fields().iter().any(|(_, value)| mentions(value, part))
}
