//! How Envoy reaches the API.

use crate::lint::{Notes, rules};
use std::collections::BTreeSet;
use tollgate_config::tree::Node;

const TLS: &str = "transport_socket:\n  name: envoy.transport_sockets.tls\n  typed_config:\n    \"@type\": \
                   type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext\n    sni: \
                   api.anthropic.com\n    common_tls_context:\n      validation_context:\n        trusted_ca: { filename: \
                   /etc/ssl/certs/ca-certificates.crt }\n        match_typed_subject_alt_names:\n          - { san_type: \
                   DNS, matcher: { exact: api.anthropic.com } }";

/// Looks at the clusters that lead to the API, and gives their names.
pub(super) fn lint<'a>(tree: &'a Node, notes: &mut Notes<'_>) -> BTreeSet<&'a str> {
    let clusters = tree.find(&["static_resources", "clusters"]).or(tree.get("clusters"));
    let mut names = BTreeSet::new();
    for cluster in clusters.map(Node::items).unwrap_or_default() {
        let name = cluster.get("name").and_then(Node::text).unwrap_or_default();
        let is_api = holds(cluster, "address", "anthropic.com");
        if is_api {
            connection(cluster, notes);
        }
        if is_api || name.contains("anthropic") {
            names.insert(name);
        }
    }
    names
}

fn connection(cluster: &Node, notes: &mut Notes<'_>) {
    let Some(socket) = cluster.get("transport_socket") else {
        notes.add(&rules::TLS, cluster.place, "the connection to the API is not encrypted", TLS);
        return;
    };
    let Some(config) = socket.get("typed_config") else { return };
    if config.get("sni").is_none() {
        let says = "the server is not named in the handshake: there is no `sni`";
        notes.add(&rules::TLS, config.place, says, "sni: api.anthropic.com");
    }
    let context = config.get("common_tls_context");
    let checks =
        ["validation_context", "combined_validation_context", "validation_context_sds_secret_config"];
    if !checks.iter().any(|name| context.is_some_and(|context| context.get(name).is_some())) {
        let says = "the certificate of the API is not checked: there is no `validation_context`";
        let cure = "common_tls_context:\n  validation_context:\n    trusted_ca: { filename: \
                    /etc/ssl/certs/ca-certificates.crt }";
        notes.add(&rules::VERIFY, config.place, says, cure);
    }
}

/// Whether a field of this name with such a text is anywhere in it.
fn holds(node: &Node, name: &str, part: &str) -> bool {
    node.items().iter().any(|item| holds(item, name, part))
        || node.fields().iter().any(|(key, value)| {
            (key.name == name && value.text().is_some_and(|text| text.contains(part)))
                || holds(value, name, part)
        })
}
