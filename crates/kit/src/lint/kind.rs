//! What a file configures, as its name and its text tell.

use super::kong;
use clap::ValueEnum;
use tollgate_config::tree::{self, Node};

/// The products whose files are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kind {
    /// nginx.conf, or a part of it
    Nginx,
    /// haproxy.cfg
    Haproxy,
    /// Kong: decK's files and those of the mode without a database
    Kong,
    /// Envoy's bootstrap, in YAML or JSON
    Envoy,
    /// Zuplo: routes.oas.json and policies.json
    Zuplo,
    /// A manifest of TrueFoundry
    Truefoundry,
    /// AWS API Gateway: CloudFormation, or OpenAPI with integrations
    Aws,
}

impl Kind {
    /// What its makers call it.
    pub(crate) fn product(self) -> &'static str {
        match self {
            Self::Nginx => "nginx",
            Self::Haproxy => "HAProxy",
            Self::Kong => "Kong",
            Self::Envoy => "Envoy",
            Self::Zuplo => "Zuplo",
            Self::Truefoundry => "TrueFoundry",
            Self::Aws => "AWS API Gateway",
        }
    }

    /// The one that the name and the text of a file show, if they do.
    pub(crate) fn of(name: &str, text: &str) -> Option<Self> {
        let name = name.rsplit('/').next().unwrap_or_default().to_ascii_lowercase();
        if name.ends_with(".oas.json") || (name.contains("zuplo") && is_data(&name)) {
            return Some(Self::Zuplo);
        }
        // Data may hold the configuration of something else as a text.
        if !is_data(name.trim_end_matches(".template")) {
            if is_haproxy(text) {
                return Some(Self::Haproxy);
            }
            if is_nginx(text) {
                return Some(Self::Nginx);
            }
        }
        let told = match tree::read_all(text) {
            Ok(trees) => trees.iter().find_map(of_tree),
            // What can not be read is still said to be so, where it shows what it was meant to be.
            Err(_) => MARKS.iter().find(|(mark, _)| text.contains(mark)).map(|(_, kind)| *kind),
        };
        told.or_else(|| (name.contains("truefoundry") && is_data(&name)).then_some(Self::Truefoundry))
    }
}

/// Words that only one product has.
const MARKS: [(&str, Kind); 7] = [
    ("_format_version", Kind::Kong),
    ("x-zuplo-", Kind::Zuplo),
    ("@zuplo/runtime", Kind::Zuplo),
    ("static_resources", Kind::Envoy),
    ("AWS::ApiGateway", Kind::Aws),
    ("x-amazon-apigateway-", Kind::Aws),
    ("provider-account/", Kind::Truefoundry),
];

fn is_data(name: &str) -> bool {
    [".yaml", ".yml", ".json"].iter().any(|end| name.ends_with(end))
}

/// The lines that say something.
fn said(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter(|line| !line.trim().is_empty() && !line.trim_start().starts_with('#'))
}

/// Whether it begins with a section of HAProxy, whose names stand alone at the edge.
fn is_haproxy(text: &str) -> bool {
    let sections = ["global", "defaults", "frontend", "backend", "listen", "resolvers", "userlist", "peers"];
    said(text).any(|line| {
        let mut words = line.split_whitespace();
        let is_section = words.next().is_some_and(|word| line.starts_with(word) && sections.contains(&word));
        is_section
            && words.next().is_none_or(|word| !word.starts_with(['{', '=']))
            && !line.ends_with([';', '{'])
    })
}

/// Whether a line of it is a directive that only nginx has, ended as nginx ends it.
fn is_nginx(text: &str) -> bool {
    said(text).any(|line| {
        let line = line.trim();
        let word = line.split([' ', '\t', '{', ';']).next().unwrap_or_default();
        let known = ["server", "location", "upstream", "http", "events", "map", "limit_req_zone"];
        let is_known = known.contains(&word) || word.starts_with("proxy_");
        // Caddy has `map`, too, with placeholders in braces instead of variables.
        let is_known = is_known && (word != "map" || line.contains('$'));
        is_known && !line.ends_with(':') && (line.contains('{') || line.contains(';'))
    })
}

fn of_tree(tree: &Node) -> Option<Kind> {
    let has = |name: &str| tree.get(name).is_some();
    // Many files have lists of these names, with items of another form.
    let lists = |name: &str, fields: &[&str]| {
        let is_one = |item: &Node| fields.iter().any(|field| item.get(field).is_some());
        tree.get(name).is_some_and(|node| node.items().iter().any(is_one))
    };
    let is_kongs = |item: &Node| item.get("name").and_then(Node::text).is_some_and(kong::is_plugin);
    let has_plugins = || tree.get("plugins").is_some_and(|plugins| plugins.items().iter().any(is_kongs));
    let type_of = tree.get("type").and_then(Node::text).unwrap_or_default();
    if tree.get("Resources").is_some_and(|resources| mentions(resources, "AWS::"))
        || holds(tree, "x-amazon-apigateway-integration")
    {
        Some(Kind::Aws)
    } else if holds(tree, "x-zuplo-route") || mentions(tree, "$import(@zuplo") || mentions_policy(tree) {
        Some(Kind::Zuplo)
    } else if has("static_resources") || mentions(tree, "type.googleapis.com/envoy") {
        Some(Kind::Envoy)
    } else if has("_format_version")
        || lists("services", &["url", "routes", "read_timeout"])
        || lists("routes", &["paths", "strip_path"])
        || lists("plugins", &["config"])
        || has_plugins()
    {
        Some(Kind::Kong)
    } else if ["provider-account/", "integration/model/", "gateway-"]
        .iter()
        .any(|start| type_of.starts_with(start))
        || lists("providers", &["api_key", "models"])
        || lists("rate_limits", &["requests_per_minute", "tokens_per_minute"])
        || type_of == "virtual-account"
    {
        Some(Kind::Truefoundry)
    } else {
        None
    }
}

/// Whether a field of this name is anywhere in it.
fn holds(node: &Node, name: &str) -> bool {
    node.items().iter().any(|item| holds(item, name))
        || node.fields().iter().any(|(key, value)| key.name == name || holds(value, name))
}

/// Whether a text in it begins so.
fn mentions(node: &Node, start: &str) -> bool {
    node.text().is_some_and(|text| text.starts_with(start))
        || node.items().iter().any(|item| mentions(item, start))
        || node.fields().iter().any(|(_, value)| mentions(value, start))
}

/// Whether it names one of Zuplo's policies as an export.
fn mentions_policy(node: &Node) -> bool {
    let export = node.get("export").and_then(Node::text);
    export.is_some_and(|name| name.ends_with("InboundPolicy") || name.ends_with("OutboundPolicy"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_told_from_names_and_texts() {
        let rows = [
            ("a.conf", "# x\nserver {\n}\n", Some(Kind::Nginx)),
            ("stdin", "    proxy_buffering off;\n", Some(Kind::Nginx)),
            ("stdin", "map $http_x $team {\n", Some(Kind::Nginx)),
            ("Caddyfile", "{\n}\n:80 {\n  map {header.x} {team} {\n  }\n}\n", None),
            ("a.cfg", "global\n    log stdout\n", Some(Kind::Haproxy)),
            ("a", "backend anthropic\n    server a b:443 ssl\n", Some(Kind::Haproxy)),
            ("config/routes.oas.json", "{}", Some(Kind::Zuplo)),
            ("zuplo-config.yaml", "routes:\n  - a\n", Some(Kind::Zuplo)),
            ("p.json", "{\"export\": \"RateLimitInboundPolicy\"}", Some(Kind::Zuplo)),
            ("kong.yaml", "_format_version: \"3.0\"\n", Some(Kind::Kong)),
            ("k", "plugins:\n  - name: key-auth\n", Some(Kind::Kong)),
            ("compose.yaml", "services:\n  web:\n    image: nginx\n", None),
            ("e.yaml", "static_resources:\n  clusters: []\n", Some(Kind::Envoy)),
            ("t.yaml", "a: 1\n---\ntype: provider-account/anthropic\n", Some(Kind::Truefoundry)),
            ("t.yaml", "rate_limits:\n  - requests_per_minute: 1\n", Some(Kind::Truefoundry)),
            ("k.yaml", "routes:\n  - paths: [/a]\n", Some(Kind::Kong)),
            ("k.yaml.template", "_format_version: \"3.0\"\na: |\n  server {\n  }\n", Some(Kind::Kong)),
            ("mkdocs.yml", "plugins:\n  - search\n  - tags: { a: 1 }\n", None),
            ("vercel.json", "{\"routes\": [{ \"src\": \"/a\", \"dest\": \"/b\" }]}", None),
            ("render.yaml", "services:\n  - type: web\n    name: app\n", None),
            ("providers.yaml", "providers:\n  - name: aws\nrate_limits:\n  - a\n", None),
            ("config-map.yaml", "data:\n  nginx.conf: |\n    server {\n    }\n", None),
            ("www.conf", "[www]\nlisten = /run/php.sock\n", None),
            ("named.conf", "options { };\ninclude \"/etc/bind/local\";\n", None),
            ("truefoundry-config.yaml", "a: 1\n", Some(Kind::Truefoundry)),
            ("c.yaml", "Resources:\n  A:\n    Type: AWS::ApiGateway::RestApi\n", Some(Kind::Aws)),
            (
                "o.json",
                "{\"paths\":{\"/\":{\"get\":{\"x-amazon-apigateway-integration\":{}}}}}",
                Some(Kind::Aws),
            ),
            ("readme.md", "# Title\n\nserver and location\n", None),
            ("a.json", "{\"a\": [1, {\"b\": null}]}", None),
            ("bad.yaml", "a: [", None),
            ("bad.yaml", "_format_version: [", Some(Kind::Kong)),
            ("empty", "", None),
        ];
        for (name, text, kind) in rows {
            assert_eq!(Kind::of(name, text), kind, "{name}: {text}");
        }
    }
}
