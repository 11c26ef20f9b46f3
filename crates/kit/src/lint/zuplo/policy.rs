//! Zuplo's policies: what each is made of, and what it does to a request (zuplo.com, policy catalogue).

use crate::lint::{
    Kind, Notes,
    headers::{CREDENTIALS, Set, is_literal_secret, judge},
    listed, rules,
    text::secret_cure,
};
use tollgate_config::tree::{Node, Value};

/// A whole policy.
pub(super) const EXAMPLE: &str = "{\n  \"name\": \"rate-limit-inbound\",\n  \"policyType\": \"rate-limit-inbound\",\n  \
                                  \"handler\": {\n    \"module\": \"$import(@zuplo/runtime)\",\n    \"export\": \
                                  \"RateLimitInboundPolicy\",\n    \"options\": { \"rateLimitBy\": \"user\", \
                                  \"requestsAllowed\": 100, \"timeWindowMinutes\": 1 }\n  }\n}";

/// The policy that finds out who asks.
const IDENTIFY: &str = "{\n  \"name\": NAME,\n  \"policyType\": \"api-key-inbound\",\n  \"handler\": {\n    \"module\": \
                        \"$import(@zuplo/runtime)\",\n    \"export\": \"ApiKeyInboundPolicy\",\n    \"options\": { \
                        \"allowUnauthenticatedRequests\": false, \"authHeader\": \"authorization\", \"authScheme\": \
                        \"Bearer\" }\n  }\n}";

/// A policy that a route may mean by this name.
pub(super) fn example(name: &str) -> String {
    let lower = name.to_ascii_lowercase();
    if lower.contains("remove") || lower.contains("set") {
        return UPSTREAM.to_owned();
    }
    let name = serde_json::Value::from(name).to_string();
    if lower.contains("limit") {
        EXAMPLE.replacen("\"rate-limit-inbound\"", &name, 1)
    } else {
        IDENTIFY.replacen("NAME", &name, 1)
    }
}

/// The two policies that give a request its upstream credential.
pub(super) const UPSTREAM: &str = "{ \"name\": \"remove-credentials\", \"policyType\": \"remove-headers-inbound\", \"handler\": \
                                   { \"module\": \"$import(@zuplo/runtime)\", \"export\": \"RemoveHeadersInboundPolicy\", \
                                   \"options\": { \"headers\": [\"authorization\", \"x-api-key\"] } } },\n{ \"name\": \
                                   \"set-upstream-key\", \"policyType\": \"set-headers-inbound\", \"handler\": { \"module\": \
                                   \"$import(@zuplo/runtime)\", \"export\": \"SetHeadersInboundPolicy\", \"options\": { \
                                   \"headers\": [{ \"name\": \"x-api-key\", \"value\": \"$env(ANTHROPIC_API_KEY)\", \
                                   \"overwrite\": true }] } } }";

const KEEP: &str = "Remove the entry: all headers of the client pass by themselves.";

/// Types of policies with their exports.
const TYPES: [(&str, &str); 8] = [
    ("api-key-inbound", "ApiKeyInboundPolicy"),
    ("rate-limit-inbound", "RateLimitInboundPolicy"),
    ("open-id-jwt-auth-inbound", "OpenIdJwtInboundPolicy"),
    ("okta-jwt-auth-inbound", "OktaJwtInboundPolicy"),
    ("remove-headers-inbound", "RemoveHeadersInboundPolicy"),
    ("set-headers-inbound", "SetHeadersInboundPolicy"),
    ("request-size-limit-inbound", "RequestSizeLimitInboundPolicy"),
    ("complex-rate-limit-inbound", "ComplexRateLimitInboundPolicy"),
];

/// A policy that is defined.
#[derive(Debug, Clone, Copy)]
pub(super) struct Policy<'a> {
    pub(super) name: &'a str,
    export: &'a str,
    options: Option<&'a Node>,
}

impl<'a> Policy<'a> {
    /// Those of a document.
    pub(super) fn all(tree: &'a Node) -> Vec<Self> {
        let policies = tree.get("policies").map(Node::items).unwrap_or_default();
        policies.iter().filter_map(Self::of).collect()
    }

    fn of(node: &'a Node) -> Option<Self> {
        let handler = node.get("handler")?;
        Some(Self {
            name: node.get("name")?.text()?,
            export: handler.get("export")?.text()?,
            options: handler.get("options"),
        })
    }

    /// Whether it is code of the project's own, or one that is not known here.
    pub(super) fn is_custom(&self) -> bool {
        !TYPES.iter().any(|(_, export)| *export == self.export) && !self.identifies()
    }

    /// Whether it finds out who a client is.
    pub(super) fn identifies(&self) -> bool {
        ["ApiKey", "Jwt", "Auth", "MTls"].iter().any(|mark| self.export.contains(mark))
            && !self.export.starts_with("Upstream")
    }

    fn headers(&self) -> &'a [Node] {
        self.options.and_then(|options| options.get("headers")).map(Node::items).unwrap_or_default()
    }

    /// Whether it sets this header.
    pub(super) fn sets(&self, name: &str) -> bool {
        let is = |entry: &Node| {
            entry.get("name").and_then(Node::text).is_some_and(|one| one.eq_ignore_ascii_case(name))
        };
        self.export == "SetHeadersInboundPolicy" && self.headers().iter().any(is)
    }

    /// Whether it removes this header.
    pub(super) fn removes(&self, name: &str) -> bool {
        let is = |entry: &Node| entry.text().is_some_and(|one| one.eq_ignore_ascii_case(name));
        self.export == "RemoveHeadersInboundPolicy" && self.headers().iter().any(is)
    }

    /// Its place in the order in which policies work.
    pub(super) fn step(&self) -> Option<u8> {
        let about_credentials = CREDENTIALS.iter().any(|name| self.sets(name) || self.removes(name));
        match self.export {
            _ if self.identifies() => Some(1),
            "RateLimitInboundPolicy" | "ComplexRateLimitInboundPolicy" => Some(2),
            "RemoveHeadersInboundPolicy" if about_credentials => Some(3),
            "SetHeadersInboundPolicy" if about_credentials => Some(4),
            _ => None,
        }
    }
}

/// Looks at one entry of `policies`.
pub(super) fn lint(policy: &Node, notes: &mut Notes<'_>) {
    let missing: Vec<&str> =
        ["name", "policyType", "handler"].into_iter().filter(|name| policy.get(name).is_none()).collect();
    if !missing.is_empty() {
        let says = format!("the policy has no {}", listed(&missing));
        notes.add(&rules::ZUPLO_POLICY, policy.place, says, EXAMPLE);
    }
    let Some(handler) = policy.get("handler") else { return };
    let missing: Vec<&str> =
        ["module", "export"].into_iter().filter(|name| handler.get(name).is_none()).collect();
    if !missing.is_empty() {
        let says = format!("the handler has no {}", listed(&missing));
        notes.add(&rules::ZUPLO_POLICY, handler.place, says, "\"module\": \"$import(@zuplo/runtime)\",");
    }
    let text = |node: &Node, name: &str| node.get(name).and_then(Node::text).map(str::to_owned);
    if let (Some(kind), Some(export)) = (text(policy, "policyType"), text(handler, "export"))
        && let Some((_, belongs)) = TYPES.iter().find(|(one, _)| *one == kind)
        && *belongs != export
    {
        let says = format!("the export of `{kind}` is `{belongs}`");
        notes.add(&rules::ZUPLO_POLICY, handler.place, says, format!("\"export\": \"{belongs}\","));
    }
    self::handler(handler, notes);
}

/// The options of a handler, by its export.
pub(super) fn handler(handler: &Node, notes: &mut Notes<'_>) {
    let Some(options) = handler.get("options") else { return };
    references(options, "", notes);
    let headers = || options.get("headers").map(Node::items).unwrap_or_default();
    match handler.get("export").and_then(Node::text).unwrap_or_default() {
        "RateLimitInboundPolicy" => limit(options, notes),
        "SetHeadersInboundPolicy" => headers().iter().for_each(|entry| set_header(entry, notes)),
        "RemoveHeadersInboundPolicy" => {
            headers()
                .iter()
                .for_each(|entry| judge(&set(entry.text().unwrap_or_default(), "", entry), notes));
        }
        "RequestSizeLimitInboundPolicy" => {
            if let Some(size) = options.get("maxSizeInBytes")
                && matches!(size.value, Value::Integer(..32_000_000))
            {
                let says = "requests smaller than the API's 32 MB are refused";
                notes.add(&rules::BODY_SIZE, size.place, says, "\"maxSizeInBytes\": 33554432");
            }
        }
        "ApiKeyInboundPolicy" => {
            if let Some(open) = options.get("allowUnauthenticatedRequests")
                && matches!(open.value, Value::Bool(true))
            {
                let says = "requests without a key pass";
                notes.add(&rules::AUTH, open.place, says, "\"allowUnauthenticatedRequests\": false");
            }
        }
        _ => {}
    }
}

fn limit(options: &Node, notes: &mut Notes<'_>) {
    const KNOWN: [&str; 7] = [
        "rateLimitBy",
        "requestsAllowed",
        "timeWindowMinutes",
        "identifier",
        "headerMode",
        "mode",
        "throwOnFailure",
    ];
    const BY: [&str; 4] = ["user", "ip", "function", "all"];
    for (key, _) in options.fields() {
        if !KNOWN.contains(&key.name.as_str()) {
            let says = format!("`RateLimitInboundPolicy` has no option `{}`", key.name);
            let cure = "\"requestsAllowed\": 100,\n\"timeWindowMinutes\": 1";
            notes.add(&rules::ZUPLO_OPTION, key.place, says, cure);
        }
    }
    for (name, cure) in
        [("requestsAllowed", "\"requestsAllowed\": 100"), ("timeWindowMinutes", "\"timeWindowMinutes\": 1")]
    {
        match options.get(name) {
            None => {
                let says = format!("`RateLimitInboundPolicy` needs `{name}`");
                notes.add(&rules::ZUPLO_OPTION, options.place, says, cure);
            }
            Some(node) if !matches!(node.value, Value::Integer(1..)) && node.text().is_none() => {
                notes.add(
                    &rules::ZUPLO_OPTION,
                    node.place,
                    format!("`{name}` is a whole number from 1"),
                    cure,
                );
            }
            Some(_) => {}
        }
    }
    let Some(by) = options.get("rateLimitBy") else { return };
    match by.text().unwrap_or_default() {
        "ip" | "all" => {
            let says = "the limit does not count by consumer";
            notes.add(&rules::LIMIT_KEY, by.place, says, "\"rateLimitBy\": \"user\"");
        }
        text if !BY.contains(&text) => {
            let says = format!("`rateLimitBy` is one of {}", listed(&BY));
            notes.add(&rules::ZUPLO_OPTION, by.place, says, "\"rateLimitBy\": \"user\"");
        }
        _ => {}
    }
}

fn set_header(entry: &Node, notes: &mut Notes<'_>) {
    let text = |name: &str| entry.get(name).and_then(Node::text).unwrap_or_default();
    let name = text("name");
    judge(&set(name, text("value"), entry), notes);
    if let Some(overwrite) = entry.get("overwrite")
        && matches!(overwrite.value, Value::Bool(false))
        && CREDENTIALS.contains(&name.to_ascii_lowercase().as_str())
    {
        let says = format!("the client's `{name}` stays where it sent one");
        notes.add(&rules::APPEND, overwrite.place, says, "\"overwrite\": true");
    }
}

fn set<'a>(name: &'a str, value: &'a str, entry: &Node) -> Set<'a> {
    Set { kind: Kind::Zuplo, name, value, place: entry.place, keep: KEEP, api_key: UPSTREAM }
}

/// References of the other form, and secrets, wherever they stand.
fn references(node: &Node, key: &str, notes: &mut Notes<'_>) {
    if let Some(text) = node.text() {
        if let Some((_, rest)) = text.split_once("${") {
            let name = rest.split('}').next().unwrap_or_default().trim_start_matches("env.");
            let says = "options of policies refer to the environment by `$env()`: this is sent as it stands";
            notes.add(&rules::REFERENCE, node.place, says, format!("$env({name})"));
        }
        if key == "secret" && is_literal_secret(text) {
            let says = "`secret` stands here in clear text";
            notes.add(&rules::SECRET, node.place, says, secret_cure(Kind::Zuplo));
        }
    }
    node.items().iter().for_each(|item| references(item, key, notes));
    node.fields().iter().for_each(|(key, value)| references(value, &key.name, notes));
}
