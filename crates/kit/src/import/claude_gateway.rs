//! The configuration of the Claude apps gateway, `gateway.yaml` (code.claude.com, claude-apps-gateway-config).

use super::{Draft, Notes, document, draft::quoted, is_variable, rules, scalar, secrets};
use crate::finding::Rule;
use std::net::IpAddr;
use tollgate_config::{
    Url,
    tree::{Node, Value},
};

/// What has its place elsewhere here: the section, the place, and the rule: what bounds somebody there and not yet here
/// is more than a note.
static ELSEWHERE: &[(&str, &Rule, &str)] = &[
    (
        "oidc",
        &rules::FIELD,
        "give each person a virtual key: `tollgate key create --team TEAM --user PERSON`.",
    ),
    (
        "managed",
        &rules::FIELD,
        "give keys the models of their group: `tollgate key create --model`. Settings of Claude \
                                Code: `tollgate generate claude-code`.",
    ),
    ("access_control", &rules::FIELD, "let a firewall or the load balancer refuse addresses."),
    (
        "admin",
        &rules::FIELD,
        "operators have roles: `tollgate operator`. Spend limits are in its database: ask \
                              `GET /v1/organizations/spend_limits`, and write them as `allowances`.",
    ),
    (
        "enforcement",
        &rules::REPLACED,
        "budgets need no store that could be down: what can not be recorded does not pass.",
    ),
    ("pricing", &rules::FIELD, "prices: { file: ... }; docs/guide/prices.md."),
    (
        "session",
        &rules::REPLACED,
        "there are no sessions to sign; a key ends at once: `tollgate key revoke`.",
    ),
    ("store", &rules::REPLACED, "all state is in the data folder; there is no database."),
    ("telemetry", &rules::REPLACED, "usage is in the ledger and in the metrics of the admin listener."),
    ("rate_limits", &rules::REPLACED, "it is about signing in, which is not done here."),
    ("login_notice", &rules::REPLACED, "it is about signing in, which is not done here."),
];

/// Reads a configuration; nothing if it is none, or has no upstream that is the Anthropic API.
pub(crate) fn read(text: &str, notes: &mut Notes<'_>) -> Option<Draft> {
    let tree = document(text, notes)?;
    let Some(upstreams) = tree.get("upstreams").filter(|list| !list.items().is_empty()) else {
        let says = "there is no list `upstreams`, so this is no configuration of the Claude apps gateway";
        notes.add(&rules::SYNTAX, tree.place, says, "name the file that `claude gateway --config` is given.");
        return None;
    };
    notes.read_as("a configuration of the Claude apps gateway");
    secrets(&tree, is_reference, notes);
    let mut draft = Draft::default();
    listen(&tree, &mut draft, notes);
    upstream(upstreams, &mut draft, notes)?;
    bounds(&tree, &mut draft, notes);
    models(&tree, &mut draft, notes);
    let known = ["listen", "upstreams", "limits", "timeouts", "models", "auto_include_builtin_models"];
    for (key, _) in tree.fields().iter().filter(|(key, _)| !known.contains(&key.name.as_str())) {
        let says = format!("`{}` is not carried over", key.name);
        match ELSEWHERE.iter().find(|(name, ..)| *name == key.name) {
            Some((_, rule, way)) => notes.add(rule, key.place, says, way),
            None => notes.add(&rules::FIELD, key.place, says, "decide whether you miss it."),
        }
    }
    Some(draft)
}

fn listen(tree: &Node, draft: &mut Draft, notes: &mut Notes<'_>) {
    let Some(listen) = tree.get("listen") else { return };
    let host = listen.get("host").and_then(Node::text).unwrap_or("127.0.0.1");
    let port = listen.get("port").and_then(scalar).and_then(|port| port.parse::<u16>().ok());
    match (host.parse::<IpAddr>(), port) {
        (Ok(ip), Some(port)) => {
            draft.set("listen", "address", quoted(&std::net::SocketAddr::new(ip, port).to_string()));
        }
        (_, None) if listen.get("port").is_none() => {}
        _ => {
            let says = "`listen.host` is no address, or `listen.port` is no port";
            notes.add(&rules::FIELD, listen.place, says, "listen: { address: \"0.0.0.0:8080\" }");
        }
    }
    if let Some(tls) = listen.get("tls") {
        let part = |name: &str| tls.get(name).and_then(Node::text).and_then(path);
        match (part("cert"), part("key")) {
            (Some(cert), Some(key)) => {
                draft.set("listen", "tls", format!("{{ cert: {}, key: {} }}", quoted(cert), quoted(key)));
            }
            _ => {
                let says = "the certificate is not in files, so TLS is off in the new document";
                notes.add(&rules::FIELD, tls.place, says, "listen: { tls: { cert: /path, key: /path } }");
            }
        }
    }
    rest("listen", listen, &["host", "port", "tls"], notes);
}

/// The first upstream that is the Anthropic API.
fn upstream(list: &Node, draft: &mut Draft, notes: &mut Notes<'_>) -> Option<()> {
    let mut first = None;
    for item in list.items() {
        let provider = item.get("provider").and_then(Node::text).unwrap_or("no provider");
        if provider == "anthropic" && first.is_none() {
            first = Some(item);
            continue;
        }
        let says = format!("the upstream of `{provider}` is not carried over, and nothing fails over to it");
        notes.add(
            &rules::OTHER,
            item.place,
            says,
            "there is one upstream: the first that is `provider: anthropic`.",
        );
    }
    let Some(item) = first else {
        let says = "no upstream is the Anthropic API";
        notes.add(
            &rules::UPSTREAM,
            list.place,
            says,
            "- { provider: anthropic, auth: { api_key: \"${ANTHROPIC_API_KEY}\" } }",
        );
        return None;
    };
    let base = item.get("base_url");
    let url = base.and_then(Node::text).unwrap_or("https://api.anthropic.com").trim_end_matches('/');
    if url.parse::<Url>().is_ok() {
        draft.set("upstream", "url", quoted(url));
        if url.parse::<Url>().is_ok_and(|url| !url.tls() && !url.is_loopback()) {
            draft.set("upstream", "allow_plaintext", true);
            let says = "prompts and the API key go to the upstream unencrypted, as before";
            notes.add(&rules::OTHER, item.place, says, "name an `https` URL.");
        }
    } else {
        let says = "`base_url` is a reference, or no URL of a form that is taken here";
        notes.add(
            &rules::OTHER,
            base.map_or(item.place, |base| base.place),
            says,
            "write it under `upstream.url`.",
        );
    }
    let key = item.find(&["auth", "api_key"]).and_then(Node::text);
    let found = key.and_then(reference);
    if found.is_none() {
        notes.add(&rules::SECRET, item.place, super::UNREFERRED, super::SET_VARIABLE);
    }
    let credential = found.unwrap_or_else(|| format!("env:{}", super::VARIABLE));
    draft.set("upstream", "credential", quoted(&credential));
    if let Some(auth) = item.get("auth") {
        rest("auth", auth, &["api_key"], notes);
    }
    rest("upstreams", item, &["name", "provider", "base_url", "auth"], notes);
    Some(())
}

/// Sizes and times.
fn bounds(tree: &Node, draft: &mut Draft, notes: &mut Notes<'_>) {
    let rows = [
        ("limits", "max_request_bytes", "limits", "body", "B"),
        ("limits", "max_request_header_bytes", "limits", "head", "B"),
        ("limits", "max_url_length", "limits", "uri", "B"),
        ("timeouts", "upstream_ttfb_ms", "timeouts", "first_byte", "ms"),
    ];
    for (section, name, there, field, unit) in rows {
        let Some(node) = tree.find(&[section, name]) else { continue };
        if let Value::Integer(number) = node.value {
            draft.set(there, field, format!("{number}{unit}"));
        } else {
            let says = format!("`{section}.{name}` is no number");
            notes.add(&rules::FIELD, node.place, says, format!("{there}: {{ {field}: ... }}"));
        }
    }
    for section in ["limits", "timeouts"] {
        if let Some(node) = tree.get(section) {
            let known: Vec<&str> = rows.iter().filter(|row| row.0 == section).map(|row| row.1).collect();
            rest(section, node, &known, notes);
        }
    }
}

fn models(tree: &Node, draft: &mut Draft, notes: &mut Notes<'_>) {
    let Some(list) = tree.get("models") else { return };
    let says = "`models` decided what may be asked for; here it is what `GET /v1/models` lists";
    notes.add(
        &rules::MODEL,
        list.place,
        says,
        "give keys their models: `tollgate key create --model 'claude-sonnet-*'`.",
    );
    let builtin = tree.get("auto_include_builtin_models").map(|node| &node.value);
    for item in list.items() {
        let Some(id) = item.get("id").and_then(Node::text) else { continue };
        if matches!(builtin, Some(Value::Bool(false))) {
            let label = item.get("label").and_then(Node::text).map(str::to_owned);
            draft.models.push((id.to_owned(), label));
        }
        let other = item.get("upstream_model").map(Node::fields).unwrap_or_default();
        for (key, value) in other.iter().filter(|(_, value)| value.text().is_some_and(|text| text != id)) {
            let says = format!("`{id}` was asked for under another id at `{}`", key.name);
            notes.add(
                &rules::MODEL,
                value.place,
                says,
                "let clients ask for the id that the Anthropic API knows.",
            );
        }
    }
}

/// Names what else is in a section.
fn rest(section: &str, node: &Node, known: &[&str], notes: &mut Notes<'_>) {
    for (key, _) in node.fields().iter().filter(|(key, _)| !known.contains(&key.name.as_str())) {
        let says = format!("`{section}.{}` is not carried over", key.name);
        notes.add(&rules::FIELD, key.place, says, "decide whether you miss it.");
    }
}

fn is_reference(text: &str) -> bool {
    text.contains("${")
}

/// How a document refers to the same secret.
fn reference(text: &str) -> Option<String> {
    let inner = text.strip_prefix("${")?.strip_suffix('}')?;
    match inner.strip_prefix("file:") {
        Some(path) => Some(format!("file:{path}")),
        None => is_variable(inner).then(|| format!("env:{inner}")),
    }
}

/// The path of a file that is named as such, or by a reference.
fn path(text: &str) -> Option<&str> {
    if text.contains("-----") {
        return None;
    }
    match text.strip_prefix("${") {
        Some(inner) => inner.strip_prefix("file:")?.strip_suffix('}'),
        None => Some(text),
    }
}
