//! What is wrong with manifests of TrueFoundry. Its SDK ignores keys that it does not know, so a manifest that is applied
//! without complaint may still do nothing; the models here are those of the SDK 0.6.

use super::{Kind, Notes, headers::is_literal_secret, listed, rules, text::secret_cure};
use tollgate_config::tree::{Key, Node, Value};

const PROVIDER: &str = "type: provider-account/anthropic\nname: anthropic\nauth_data:\n  type: api-key\n  api_key: \
                        tfy-secret://TENANT:GROUP:KEY\nintegrations:\n  - type: integration/model/anthropic\n    name: \
                        claude-sonnet-5-5\n    model_id: claude-sonnet-5-5\n    model_types: [chat]";

const LIMITS: &str = "type: gateway-rate-limiting-config\nrules:\n  - id: claude-code-requests\n    when: { subjects: \
                      [\"team:claude-code\"] }\n    limit_to: 100\n    unit: requests_per_minute\n  - id: \
                      claude-code-tokens\n    when: { subjects: [\"team:claude-code\"] }\n    limit_to: 400000\n    unit: \
                      tokens_per_minute";

/// What a type of section is made of.
struct Model {
    kind: &'static str,
    needs: &'static [&'static str],
    may: &'static [&'static str],
}

const MODELS: [Model; 5] = [
    Model {
        kind: "provider-account/anthropic",
        needs: &["name", "integrations"],
        may: &["type", "auth_data", "base_url", "collaborators", "ownedBy", "description"],
    },
    Model {
        kind: "provider-account/google-vertex",
        needs: &["name", "project_id", "region", "auth_data", "integrations"],
        may: &["type", "collaborators", "ownedBy", "description"],
    },
    Model {
        kind: "integration/model/anthropic",
        needs: &["name", "model_id", "model_types"],
        may: &["type", "cost", "authorized_subjects", "description"],
    },
    Model {
        kind: "integration/model/vertex",
        needs: &["name", "model_id", "model_types"],
        may: &["type", "cost", "authorized_subjects", "description"],
    },
    Model { kind: "gateway-rate-limiting-config", needs: &["rules"], may: &["type", "name"] },
];

/// A rule of `gateway-rate-limiting-config`.
const RULE: Model =
    Model { kind: "a rule", needs: &["id", "when", "limit_to", "unit"], may: &["rate_limit_applies_per"] };

const UNITS: [&str; 6] = [
    "requests_per_minute",
    "requests_per_hour",
    "requests_per_day",
    "tokens_per_minute",
    "tokens_per_hour",
    "tokens_per_day",
];

/// Looks at one document.
pub(super) fn lint(tree: &Node, notes: &mut Notes<'_>) {
    texts(tree, "", notes);
    if tree.get("type").is_some() {
        section(tree, notes);
        return;
    }
    let place_of =
        |name: &str| tree.fields().iter().find(|(key, _)| key.name == name).map(|(key, _)| key.place);
    if let Some(place) = place_of("rate_limits") {
        let says = "limits are no list `rate_limits`, but a manifest with a rule for each unit";
        notes.add(&rules::TRUEFOUNDRY_LIMITS, place, says, LIMITS);
    }
    if let Some(place) = place_of("providers") {
        let says = "there is no manifest with `providers`: an account is one, with a `type`";
        notes.add(&rules::TRUEFOUNDRY_TYPE, place, says, PROVIDER);
    }
    if place_of("rate_limits").or(place_of("providers")).is_none() {
        let says = "there is no `type`, so `tfy apply` refuses it";
        notes.add(&rules::TRUEFOUNDRY_TYPE, tree.place, says, PROVIDER);
    }
}

/// References that are not expanded, and secrets, wherever they stand.
fn texts(node: &Node, key: &str, notes: &mut Notes<'_>) {
    if let Some(text) = node.text() {
        if text.contains("${") {
            let says =
                "TrueFoundry does not expand variables of the environment: this is the key, as it stands";
            notes.add(&rules::REFERENCE, node.place, says, secret_cure(Kind::Truefoundry));
        }
        let is_secret = matches!(key, "api_key" | "key_file_content" | "secret_access_key");
        if is_secret && is_literal_secret(text) {
            let says = format!("`{key}` stands here in clear text");
            notes.add(&rules::SECRET, node.place, says, secret_cure(Kind::Truefoundry));
        }
    }
    node.items().iter().for_each(|item| texts(item, key, notes));
    node.fields().iter().for_each(|(Key { name, .. }, value)| texts(value, name, notes));
}

/// A section with a type, and those inside of it.
fn section(node: &Node, notes: &mut Notes<'_>) {
    let kind = node.get("type").and_then(Node::text).unwrap_or_default();
    if let Some(model) = MODELS.iter().find(|model| model.kind == kind) {
        keys(node, model, notes);
    } else if kind == "anthropic" {
        let says = "`anthropic` is no type";
        notes.add(&rules::TRUEFOUNDRY_TYPE, node.place, says, "type: provider-account/anthropic");
    }
    match kind {
        "provider-account/anthropic" => account(node, notes),
        "gateway-rate-limiting-config" => {
            node.get("rules").map(Node::items).unwrap_or_default().iter().for_each(|rule| limit(rule, notes));
        }
        kind if kind.starts_with("integration/model/") => integration(node, notes),
        _ => {}
    }
    for item in node.get("integrations").map(Node::items).unwrap_or_default() {
        section(item, notes);
    }
}

fn keys(node: &Node, model: &Model, notes: &mut Notes<'_>) {
    for (key, _) in node.fields() {
        let name = key.name.as_str();
        if !model.needs.contains(&name) && !model.may.contains(&name) {
            let says = format!("{} has no `{name}`; it is ignored in silence", model.kind);
            let known: Vec<&str> = model.needs.iter().chain(model.may).copied().collect();
            notes.add(
                &rules::TRUEFOUNDRY_KEY,
                key.place,
                says,
                format!("# Remove it. There are {}.", listed(&known)),
            );
        }
    }
    for name in model.needs.iter().filter(|name| node.get(name).is_none()) {
        let says = format!("{} needs `{name}`", model.kind);
        notes.add(&rules::TRUEFOUNDRY_KEY, node.place, says, format!("{name}: ..."));
    }
}

fn account(node: &Node, notes: &mut Notes<'_>) {
    if let Some(url) = node.get("base_url")
        && let Some(text) = url.text()
        && !text.trim_end_matches('/').ends_with("/v1")
    {
        let says = "the `base_url` of an Anthropic account ends with `/v1`";
        notes.add(
            &rules::TRUEFOUNDRY_BASE_URL,
            url.place,
            says,
            format!("{}/v1", text.trim_end_matches('/')),
        );
    }
    if let Some(auth) = node.get("auth_data") {
        if auth.get("type").and_then(Node::text) != Some("api-key") {
            let says = "`auth_data` has the type `api-key`";
            notes.add(&rules::TRUEFOUNDRY_VALUE, auth.place, says, "type: api-key");
        }
        if auth.get("api_key").is_none() {
            let says = "`auth_data` needs `api_key`; leave `auth_data` out where clients bring their own";
            notes.add(&rules::TRUEFOUNDRY_KEY, auth.place, says, "api_key: tfy-secret://TENANT:GROUP:KEY");
        }
    }
}

fn integration(node: &Node, notes: &mut Notes<'_>) {
    if let Some(types) = node.get("model_types")
        && !types.items().iter().any(|kind| kind.text() == Some("chat"))
    {
        let says = "a model that Claude Code talks to has `chat` among its `model_types`";
        notes.add(&rules::TRUEFOUNDRY_VALUE, types.place, says, "model_types: [chat]");
    }
}

fn limit(rule: &Node, notes: &mut Notes<'_>) {
    keys(rule, &RULE, notes);
    if let Some(unit) = rule.get("unit")
        && !unit.text().is_some_and(|text| UNITS.contains(&text))
    {
        let says = format!("a unit is one of {}", listed(&UNITS));
        notes.add(&rules::TRUEFOUNDRY_VALUE, unit.place, says, "unit: requests_per_minute");
    }
    if let Some(to) = rule.get("limit_to")
        && !matches!(to.value, Value::Integer(1..))
    {
        let says = "`limit_to` is a whole number from 1";
        notes.add(&rules::TRUEFOUNDRY_VALUE, to.place, says, "limit_to: 100");
    }
}
