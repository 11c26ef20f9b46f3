//! What is wrong with an API of AWS API Gateway: a template of CloudFormation, or an OpenAPI document with integrations.

use super::{
    Kind, Notes,
    headers::{CREDENTIALS, NOBODY_ASKED, Set, is_open, judge, leaks, no_credential},
    listed, rules,
};
use std::collections::BTreeSet;
use tollgate_config::{
    problem::{Place, conceal},
    tree::{Key, Node, Value},
};

const KEEP: &str = "# Remove the mapping: HTTP_PROXY passes all headers of the client by itself.";
const API_KEY: &str = "integration.request.header.x-api-key: context.authorizer.apiKey";

/// The silence that Claude Code bears, and the longest that AWS lets an integration take, in milliseconds.
const TIMEOUT_MS: std::ops::RangeInclusive<i64> = 300_000..=900_000;

/// Looks at one document.
pub(super) fn lint(tree: &Node, notes: &mut Notes<'_>) {
    open_api(tree, false, notes);
    let template = Template::of(tree);
    let serving = template.serving();
    for (key, resource) in template.resources {
        let Some(properties) = resource.get("Properties") else { continue };
        let serves = serving.contains(key.name.as_str());
        let known = notes.findings.len();
        match kind(resource) {
            "AWS::ApiGateway::RestApi" if serves => rest_api(resource, properties, "Body", notes),
            // The form of AWS SAM, which writes the endpoint as one word or a section with one.
            "AWS::Serverless::Api" if serves => rest_api(resource, properties, "DefinitionBody", notes),
            "AWS::Serverless::HttpApi" | "AWS::ApiGatewayV2::Api" if serves => {
                http_api(resource.place, notes)
            }
            "AWS::ApiGateway::Method" => method(properties, &template, notes),
            _ => {}
        }
        for finding in &mut notes.findings[known..] {
            finding.says = conceal(&format!("{}: {}", key.name, finding.says));
        }
    }
}

fn kind(resource: &Node) -> &str {
    resource.get("Type").and_then(Node::text).unwrap_or_default()
}

/// The types of resources that are APIs.
const APIS: [&str; 4] = [
    "AWS::ApiGateway::RestApi",
    "AWS::Serverless::Api",
    "AWS::Serverless::HttpApi",
    "AWS::ApiGatewayV2::Api",
];

/// A template of CloudFormation, or of AWS SAM.
struct Template<'a> {
    resources: &'a [(Key, Node)],
    /// The parameters in which the API stands.
    parameters: BTreeSet<&'a str>,
    /// Whether the API is in it at all.
    mentions: bool,
}

impl<'a> Template<'a> {
    fn of(tree: &'a Node) -> Self {
        let fields = |name| tree.get(name).map(Node::fields).unwrap_or_default();
        let parameters = fields("Parameters").iter().filter(|(_, one)| is_of_api(one));
        Self {
            resources: fields("Resources"),
            parameters: parameters.map(|(key, _)| key.name.as_str()).collect(),
            mentions: is_of_api(tree),
        }
    }

    /// Whether a part of it is about the API, by itself or by a parameter.
    fn concerns(&self, node: &Node) -> bool {
        let mut named = BTreeSet::new();
        names(node, &mut named);
        is_of_api(node) || !self.parameters.is_disjoint(&named)
    }

    /// The APIs that lead to the Anthropic API: those that mention it, or of which a resource does. Templates hold
    /// others, too, which follow other rules. Where it can not be told which, all of them.
    fn serving(&self) -> BTreeSet<&'a str> {
        let is_socket =
            |one: &Node| one.find(&["Properties", "ProtocolType"]).and_then(Node::text) == Some("WEBSOCKET");
        let apis = self.resources.iter().filter(|(_, one)| APIS.contains(&kind(one)) && !is_socket(one));
        let apis: BTreeSet<&str> = apis.map(|(key, _)| key.name.as_str()).collect();
        let mut leading = BTreeSet::new();
        for (key, resource) in self.resources.iter().filter(|(_, one)| self.concerns(one)) {
            leading.insert(key.name.as_str());
            owners(resource, &mut leading);
        }
        let serving: BTreeSet<&str> = apis.intersection(&leading).copied().collect();
        if serving.is_empty() && self.mentions { apis } else { serving }
    }
}

/// The APIs that a resource says it is of.
fn owners<'a>(resource: &'a Node, found: &mut BTreeSet<&'a str>) {
    resource.items().iter().for_each(|item| owners(item, found));
    for (key, value) in resource.fields() {
        if ["RestApiId", "ApiId"].contains(&key.name.as_str()) {
            names(value, found);
        }
        owners(value, found);
    }
}

/// What the texts in it refer to, as `!Ref` and `!GetAtt` leave it, or as `!Sub` puts it in.
fn names<'a>(node: &'a Node, found: &mut BTreeSet<&'a str>) {
    if let Some(text) = node.text() {
        found.insert(text.split('.').next().unwrap_or_default());
        found.extend(text.split("${").skip(1).filter_map(|rest| rest.split(['.', '}']).next()));
    }
    node.items().iter().for_each(|item| names(item, found));
    node.fields().iter().for_each(|(_, value)| names(value, found));
}

/// Whether it names the host of the API, or its first path.
fn is_of_api(node: &Node) -> bool {
    mentions(node, "anthropic") || mentions(node, "/v1/messages")
}

fn http_api(place: Place, notes: &mut Notes<'_>) {
    let says = "an HTTP API ends every request after 30 s and does not stream";
    notes.add(&rules::AWS_HTTP_API, place, says, "Type: AWS::ApiGateway::RestApi");
}

/// How a regional endpoint is written in CloudFormation, and in AWS SAM.
const ENDPOINT: [&str; 2] =
    ["EndpointConfiguration:\n  Types: [REGIONAL]", "EndpointConfiguration:\n  Type: REGIONAL"];

/// A REST API, with an OpenAPI document in the property of this name.
fn rest_api(resource: &Node, properties: &Node, body: &str, notes: &mut Notes<'_>) {
    let types = properties.get("EndpointConfiguration");
    let types = types.and_then(|types| types.get("Types").or(types.get("Type")).or(Some(types)));
    let is_near = |node: &Node| matches!(node.text(), Some("REGIONAL" | "PRIVATE"));
    if !types.is_some_and(|types| is_near(types) || types.items().iter().any(is_near)) {
        let says = "the endpoint is edge-optimised, the default, which ends streams after 30 s of silence";
        let place = types.map_or(resource.place, |types| types.place);
        notes.add(&rules::AWS_EDGE, place, says, ENDPOINT[usize::from(body != "Body")]);
    }
    compression(properties.get("MinimumCompressionSize"), notes);
    if let Some(body) = properties.get(body) {
        // AWS SAM asks clients for a credential by a property beside the document.
        open_api(body, properties.get("Auth").is_some(), notes);
    }
}

fn compression(size: Option<&Node>, notes: &mut Notes<'_>) {
    if let Some(size) = size {
        let says = "answers are compressed, which can not be with streams";
        notes.add(&rules::COMPRESSION, size.place, says, "# Remove it.");
    }
}

/// An OpenAPI document. `identifies` is whether something outside of it asks clients for a credential.
fn open_api(document: &Node, identifies: bool, notes: &mut Notes<'_>) {
    compression(document.get("x-amazon-apigateway-minimum-compression-size"), notes);
    let paths = document.get("paths").map(Node::fields).unwrap_or_default();
    let mut served = Vec::new();
    for (path, item) in paths {
        for (_, operation) in item.fields() {
            let Some(node) = operation.get("x-amazon-apigateway-integration") else { continue };
            if !mentions(node, "anthropic") && !path.name.contains("/v1/") {
                continue;
            }
            served.push(path);
            let parameters = [item, operation].into_iter().filter_map(|one| one.get("parameters"));
            let names = parameters.flat_map(Node::items).filter_map(|one| one.get("name")?.text());
            let security = operation.get("security").or(document.get("security"));
            let integration = Integration {
                place: node.place,
                kind: node.get("type"),
                mode: node.get("responseTransferMode"),
                timeout: node.get("timeoutInMillis"),
                mappings: node.get("requestParameters").map(Node::fields).unwrap_or_default(),
                declared: names.map(str::to_ascii_lowercase).collect(),
                // A requirement without a scheme asks for nothing (OpenAPI 3.0, security requirement object).
                is_open: !identifies
                    && security
                        .is_none_or(|security| security.items().iter().all(|one| one.fields().is_empty())),
            };
            if let Some(format) = node.get("payloadFormatVersion") {
                http_api(format.place, notes);
            } else {
                integration.lint(("responseTransferMode", "timeoutInMillis"), notes);
            }
        }
    }
    endpoints(&served, notes);
}

/// A method of CloudFormation.
fn method(properties: &Node, template: &Template<'_>, notes: &mut Notes<'_>) {
    let Some(node) = properties.get("Integration").filter(|node| template.concerns(node)) else { return };
    let declared = properties.get("RequestParameters").map(Node::fields).unwrap_or_default();
    let names = declared.iter().filter_map(|(key, _)| key.name.strip_prefix("method.request.header."));
    let needs_key =
        matches!(properties.get("ApiKeyRequired").map(|node| &node.value), Some(Value::Bool(true)));
    let authorization = properties.get("AuthorizationType").and_then(Node::text);
    let integration = Integration {
        place: node.place,
        kind: node.get("Type"),
        mode: node.get("ResponseTransferMode"),
        timeout: node.get("TimeoutInMillis"),
        mappings: node.get("RequestParameters").map(Node::fields).unwrap_or_default(),
        declared: names.map(str::to_ascii_lowercase).collect(),
        is_open: !needs_key && matches!(authorization, None | Some("NONE")),
    };
    integration.lint(("ResponseTransferMode", "TimeoutInMillis"), notes);
}

/// What the two forms say about an integration.
struct Integration<'a> {
    place: Place,
    kind: Option<&'a Node>,
    mode: Option<&'a Node>,
    timeout: Option<&'a Node>,
    mappings: &'a [(Key, Node)],
    /// Headers that the method declares, in lower case.
    declared: BTreeSet<String>,
    /// Whether nobody is asked for a credential.
    is_open: bool,
}

impl Integration<'_> {
    fn lint(&self, (mode, timeout): (&str, &str), notes: &mut Notes<'_>) {
        let text = |node: Option<&Node>| node.and_then(Node::text).unwrap_or_default().to_ascii_uppercase();
        let place = |node: Option<&Node>| node.map_or(self.place, |node| node.place);
        if text(self.kind) != "HTTP_PROXY" {
            let says = match self.kind.and_then(Node::text) {
                Some(kind) => format!("`{kind}` rewrites bodies, and can not stream"),
                None => "the integration has no type".to_owned(),
            };
            notes.add(&rules::AWS_INTEGRATION, place(self.kind), says, "type: http_proxy");
        }
        if text(self.mode) != "STREAM" {
            let says = "the answer is held back whole, for 29 s at most";
            notes.add(&rules::AWS_STREAM, place(self.mode), says, format!("{mode}: STREAM"));
        }
        let cure = format!("{timeout}: 900000");
        match self.timeout.map(|node| &node.value) {
            None => {
                let says = "a request ends after 29 s, the default of the timeout";
                notes.add(&rules::TIMEOUT, self.place, says, cure);
            }
            Some(Value::Integer(ms)) if !TIMEOUT_MS.contains(ms) => {
                let says = format!(
                    "a timeout of {ms} ms is shorter than the patience of clients, or longer than AWS allows"
                );
                notes.add(&rules::TIMEOUT, place(self.timeout), says, cure);
            }
            Some(_) => {}
        }
        self.headers(notes);
        self.credentials(notes);
    }

    fn headers(&self, notes: &mut Notes<'_>) {
        for (key, value) in self.mappings {
            let Some(name) = key.name.strip_prefix("integration.request.header.") else { continue };
            let text = value.text().unwrap_or_default();
            let place = key.place;
            let set = Set { kind: Kind::Aws, name, value: text, place, keep: KEEP, api_key: API_KEY };
            judge(&set, notes);
            let Some(from) = text.strip_prefix("method.request.header.") else { continue };
            if from.eq_ignore_ascii_case(name) && is_open(name) {
                let says = "this does what happens anyway: all headers of the client pass";
                notes.add(&rules::DEFAULT, place, says, KEEP);
            }
            if !self.declared.contains(&from.to_ascii_lowercase()) {
                let says =
                    format!("the method does not declare the header `{from}`, so the import is refused");
                notes.add(
                    &rules::AWS_DECLARED,
                    value.place,
                    says,
                    format!("method.request.header.{from}: false"),
                );
            }
        }
    }

    fn credentials(&self, notes: &mut Notes<'_>) {
        let maps = |name: &str| {
            self.mappings.iter().any(|(key, value)| {
                let header = key.name.strip_prefix("integration.request.header.");
                // The client's own credential in its own header is no other one.
                header.is_some_and(|header| header.eq_ignore_ascii_case(name))
                    && !value.text().is_some_and(|text| text.starts_with("method.request.header."))
            })
        };
        if !CREDENTIALS.iter().any(|name| maps(name)) {
            let kept = CREDENTIALS
                .map(|name| ["integration", "method"].map(|side| format!("{side}.request.header.{name}")));
            // Whoever maps other headers by hand believes that those that are not mapped stay behind.
            let by_hand = self.mappings.iter().any(|(key, value)| {
                let is = |[to, from]: &[String; 2]| {
                    key.name.eq_ignore_ascii_case(to)
                        && value.text().is_some_and(|text| text.eq_ignore_ascii_case(from))
                };
                key.name.starts_with("integration.request.header.") && !kept.iter().any(is)
            });
            let is_touched = by_hand || !self.is_open;
            no_credential(is_touched, self.place, API_KEY, notes);
            return;
        }
        for name in CREDENTIALS.iter().filter(|name| !maps(name)) {
            leaks(name, self.place, &format!("integration.request.header.{name}: \"''\""), notes);
        }
        if self.is_open {
            notes.add(&rules::AUTH, self.place, NOBODY_ASKED, "security:\n  - api_key: []");
        }
    }
}

fn endpoints(served: &[&Key], notes: &mut Notes<'_>) {
    let Some(first) = served.first() else { return };
    let serves = |wanted: &str| {
        served.iter().any(|path| match path.name.split_once("/{") {
            Some((start, rest)) if rest.contains("+}") => wanted.starts_with(start),
            _ => path.name == wanted,
        })
    };
    let missing: Vec<&str> =
        ["/v1/messages/count_tokens", "/v1/models"].into_iter().filter(|path| !serves(path)).collect();
    if !missing.is_empty() {
        let says = format!("there is no path {}", listed(&missing));
        notes.add(&rules::ENDPOINTS, first.place, says, missing.join(":\n") + ":");
    }
}

/// Whether a text in it holds this one.
fn mentions(node: &Node, part: &str) -> bool {
    node.text().is_some_and(|text| text.contains(part))
        || node.items().iter().any(|item| mentions(item, part))
        || node.fields().iter().any(|(key, value)| key.name.contains(part) || mentions(value, part))
}
