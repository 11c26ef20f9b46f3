//! The configuration of LiteLLM: `model_list` and the settings beside it (docs.litellm.ai, proxy/configs).

use super::{
    Draft, Notes, START,
    budget::{Grant, Limits, nano_usd},
    document,
    draft::quoted,
    is_variable, respelled, rules, scalar, secrets, settings,
};
use std::collections::BTreeMap;
use tollgate_config::{Url, problem::Place, tree::Node};
use tollgate_policy::{allowance::Zone, unit::UnixMs};

/// What came of a configuration.
#[derive(Debug, Default)]
pub(crate) struct Litellm {
    /// The document.
    pub(crate) draft: Draft,
    /// Where days begin.
    pub(crate) zone: Zone,
    /// What the names that clients ask for lead to: ids of the API, or nothing that is one.
    pub(crate) models: BTreeMap<String, Vec<String>>,
}

/// One entry of `model_list`.
struct Deployment<'a> {
    name: &'a str,
    provider: &'a str,
    id: &'a str,
    params: &'a Node,
    at: Place,
}

/// Reads a configuration; nothing if it is none, or has no upstream that is the Anthropic API.
pub(crate) fn read(text: &str, team: &str, now: UnixMs, notes: &mut Notes<'_>) -> Option<Litellm> {
    let tree = document(text, notes)?;
    let Some(list) = tree.get("model_list").filter(|list| !list.items().is_empty()) else {
        let says =
            "there is no `model_list`: this is no configuration of LiteLLM, or its database has the models";
        notes.add(&rules::SYNTAX, START, says, "list the models in the file, as `model_list` has them.");
        return None;
    };
    notes.read_as("a configuration of LiteLLM");
    secrets(&tree, is_reference, notes);
    let mut made = Litellm::default();
    let mut upstream: Option<(String, String)> = None;
    let mut rates: BTreeMap<&str, [u64; 2]> = BTreeMap::new();
    for item in list.items() {
        let Some(deployment) = Deployment::of(item, notes) else { continue };
        let targets = made.models.entry(deployment.name.to_owned()).or_default();
        if deployment.provider != "anthropic" {
            let says = format!("`{}` leads to `{}`", deployment.name, deployment.provider);
            notes.add(
                &rules::OTHER,
                deployment.at,
                says,
                "ask the Anthropic API for it, or leave it where it is.",
            );
            continue;
        }
        deployment.lead(&mut made.draft, &mut upstream, notes);
        deployment.tell(notes);
        // The provider may stand before a wildcard too.
        targets.push(if deployment.id == "*" { "claude-*".to_owned() } else { deployment.id.to_owned() });
        for (place, field) in ["rpm", "tpm"].iter().enumerate() {
            let Some(text) = deployment.params.get(field).and_then(scalar) else { continue };
            match nano_usd(&text) {
                Some(rate) => rates.entry(deployment.id).or_default()[place] += rate / 1_000_000_000,
                None => {
                    let says = format!("`{field}` of `{}` can not be read", deployment.name);
                    notes.add(&rules::BUDGET, deployment.at, says, "write it as a number.");
                }
            }
        }
    }
    if upstream.is_none() {
        let says = "no deployment leads to the Anthropic API";
        notes.add(&rules::UPSTREAM, list.place, says, "model: anthropic/claude-sonnet-4-5");
        return None;
    }
    list_models(&mut made);
    for (id, [rpm, tpm]) in rates.iter().filter(|(id, _)| !id.contains('*')) {
        let whose = format!("models: [{}]", quoted(id));
        let limits = Limits::of(|field| match field {
            "rpm_limit" if *rpm > 0 => Some(rpm.to_string()),
            "tpm_limit" if *tpm > 0 => Some(tpm.to_string()),
            _ => None,
        });
        let name: String = format!("model-{id}").chars().take(50).collect();
        let name = respelled(&name).map_or_else(|| "model".to_owned(), |name| name.to_string());
        made.draft.grants.extend(limits.grants(&name, &whose, now));
    }
    sections(&tree, team, now, &mut made, notes);
    aliases(&tree, &mut made, notes);
    Some(made)
}

impl<'a> Deployment<'a> {
    fn of(item: &'a Node, notes: &mut Notes<'_>) -> Option<Self> {
        let name = item.get("model_name").and_then(Node::text);
        let params = item.get("litellm_params");
        let model = params.and_then(|params| params.get("model")).and_then(Node::text);
        let (Some(name), Some(params), Some(model)) = (name, params, model) else {
            let says = "an entry of `model_list` has no `model_name`, or no `litellm_params.model`";
            notes.add(&rules::MODEL, item.place, says, "complete it, or remove it.");
            return None;
        };
        let guessed = if model.starts_with("claude") { "anthropic" } else { "another provider" };
        let (provider, id) = model.split_once('/').unwrap_or((guessed, model));
        let provider = params.get("custom_llm_provider").and_then(Node::text).unwrap_or(provider);
        settings::tell("model_list", item, &["model_name", "litellm_params"], notes);
        Some(Self { name, provider, id, params, at: item.place })
    }

    /// The first deployment says where the upstream is; the others must agree.
    fn lead(&self, draft: &mut Draft, upstream: &mut Option<(String, String)>, notes: &mut Notes<'_>) {
        let url = self.url(notes);
        let key = self.params.get("api_key").and_then(Node::text);
        let found = key.and_then(reference);
        if key.is_some() && found.is_none() && upstream.is_none() {
            notes.add(&rules::SECRET, self.at, super::UNREFERRED, super::SET_VARIABLE);
        }
        let credential = found.unwrap_or_else(|| format!("env:{}", super::VARIABLE));
        let wanted = (url.unwrap_or_else(|| "https://api.anthropic.com".to_owned()), credential);
        match upstream {
            None => {
                let is_plain = wanted.0.parse::<Url>().is_ok_and(|url| !url.tls() && !url.is_loopback());
                draft.set("upstream", "url", quoted(&wanted.0));
                draft.set("upstream", "credential", quoted(&wanted.1));
                if is_plain {
                    draft.set("upstream", "allow_plaintext", true);
                    let says = "prompts and the API key go to the upstream unencrypted, as before";
                    notes.add(&rules::OTHER, self.at, says, "name an `https` URL.");
                }
                *upstream = Some(wanted);
            }
            Some(first) if *first != wanted => {
                let says =
                    format!("another deployment of `{}` has an address or a key of its own", self.name);
                let cure = "all requests take the address and the key of the first deployment; run a gateway for each.";
                notes.add(&rules::OTHER, self.at, says, cure);
            }
            Some(_) => {}
        }
    }

    fn url(&self, notes: &mut Notes<'_>) -> Option<String> {
        let base = self.params.get("api_base").or(self.params.get("base_url"))?;
        let text = base.text().unwrap_or_default().trim_end_matches('/');
        let text = text.strip_suffix("/messages").unwrap_or(text);
        let text = text.strip_suffix("/v1").unwrap_or(text);
        if text.parse::<Url>().is_ok() {
            return Some(text.to_owned());
        }
        let says = "`api_base` is a reference, or no URL of a form that is taken here";
        notes.add(&rules::OTHER, base.place, says, "write it into the new document, under `upstream.url`.");
        None
    }

    fn tell(&self, notes: &mut Notes<'_>) {
        if self.name != self.id && !self.name.contains('*') {
            let says = format!("`{}` is an alias: the API knows the model as `{}`", self.name, self.id);
            let cure =
                format!("let clients ask for `{}`; Claude Code by ANTHROPIC_MODEL or /model.", self.id);
            notes.add(&rules::MODEL, self.at, says, cure);
        }
        let handled = ["model", "api_key", "api_base", "base_url", "rpm", "tpm", "custom_llm_provider"];
        settings::tell("litellm_params", self.params, &handled, notes);
    }
}

/// Models to list, unless a wildcard opens all of them: then the list of the upstream is shown.
fn list_models(made: &mut Litellm) {
    let ids = || made.models.values().flatten();
    if ids().any(|id| id.contains('*')) {
        return;
    }
    let mut listed: Vec<String> = ids().cloned().collect();
    listed.sort();
    listed.dedup();
    made.draft.models = listed.into_iter().map(|id| (id, None)).collect();
}

/// Aliases that stand beside the list.
fn aliases(tree: &Node, made: &mut Litellm, notes: &mut Notes<'_>) {
    let Some(aliases) = tree.find(&["router_settings", "model_group_alias"]) else { return };
    for (key, value) in aliases.fields() {
        let target = value.text().or_else(|| value.get("model")?.text()).unwrap_or_default();
        let says = format!("`{}` is an alias of `{target}`", key.name);
        notes.add(&rules::MODEL, key.place, says, "let clients ask for the model by its own id.");
        let targets = made.models.get(target).cloned().unwrap_or_default();
        made.models.insert(key.name.clone(), targets);
    }
}

/// What the sections beside the list say.
fn sections(tree: &Node, team: &str, now: UnixMs, made: &mut Litellm, notes: &mut Notes<'_>) {
    let draft = &mut made.draft;
    let known =
        ["model_list", "litellm_settings", "general_settings", "router_settings", "environment_variables"];
    settings::tell("", tree, &known, notes);
    let field = |path: [&str; 2]| tree.find(&path).map(|node| (node.place, scalar(node)));
    if let Some((at, Some(zone))) = field(["litellm_settings", "timezone"]) {
        match zone.parse::<Zone>() {
            Ok(zone) => {
                draft.set("books", "time_zone", quoted(zone.name()));
                made.zone = zone;
            }
            Err(_) => notes.add(
                &rules::FIELD,
                at,
                "`timezone` is no time zone",
                "books: { time_zone: Europe/Berlin }",
            ),
        }
    }
    if let Some((at, Some(mb))) = field(["general_settings", "max_request_size_mb"]) {
        match nano_usd(&mb) {
            // In bytes: the setting may have a fraction.
            Some(nano) => {
                draft.set("limits", "body", format!("{}B", u128::from(nano) * 1024 * 1024 / 1_000_000_000));
            }
            None => notes.add(
                &rules::FIELD,
                at,
                "`max_request_size_mb` can not be read",
                "limits: { body: 32MB }",
            ),
        }
    }
    if let Some((at, Some(most))) = field(["general_settings", "global_max_parallel_requests"]) {
        let limits = Limits::of(|field| (field == "max_parallel_requests").then(|| most.clone()));
        limits.tell("everybody", at, notes);
        draft.grants.extend(limits.grants("everybody", "", now));
    }
    budgets(tree, team, now, draft, notes);
    let handled = [
        "timezone",
        "max_budget",
        "budget_duration",
        "max_internal_user_budget",
        "internal_user_budget_duration",
    ];
    let rest: [(&str, &[&str]); 3] = [
        ("litellm_settings", &handled),
        ("general_settings", &["max_request_size_mb", "global_max_parallel_requests"]),
        ("router_settings", &["model_group_alias"]),
    ];
    for (section, handled) in rest {
        if let Some(node) = tree.get(section) {
            settings::tell(section, node, handled, notes);
        }
    }
    for (key, _) in tree.get("environment_variables").map(Node::fields).unwrap_or_default() {
        let says = format!("the variable `{}` is not carried over", key.name);
        notes.add(
            &rules::REPLACED,
            key.place,
            says,
            "set it where the gateway is started, if the document refers to it.",
        );
    }
}

/// The budgets of everybody and of each user.
fn budgets(tree: &Node, team: &str, now: UnixMs, draft: &mut Draft, notes: &mut Notes<'_>) {
    let budget = |max: &'static str, duration: &'static str| {
        let text = |name| tree.find(&["litellm_settings", name]).and_then(scalar);
        let at = tree.find(&["litellm_settings", max]).map_or(START, |node| node.place);
        let limits = Limits::of(|field| match field {
            "max_budget" => text(max),
            "budget_duration" => text(duration),
            _ => None,
        });
        (limits, at)
    };
    let users = format!("on: {{ team: {} }}, each: user", quoted(team));
    let rows = [
        ("everybody", String::new(), budget("max_budget", "budget_duration")),
        ("each-user", users, budget("max_internal_user_budget", "internal_user_budget_duration")),
    ];
    for (name, whose, (limits, at)) in rows {
        if limits.is_shut() && name == "everybody" {
            let says = "a `max_budget` of zero is no budget there, and none here";
            notes.add(&rules::REPLACED, at, says, "allowances: [{ name: everybody, usd: 1000, per: month }]");
            continue;
        }
        if limits.is_shut() {
            let says = "users may spend nothing there; here they may spend a billionth of a dollar";
            notes.add(&rules::BUDGET, at, says, "make no keys where nothing may pass.");
        }
        limits.tell(name, at, notes);
        let grants: Vec<Grant> = limits.grants(name, &whose, now);
        draft.grants.extend(grants);
    }
}

fn is_reference(text: &str) -> bool {
    text.starts_with("os.environ/")
}

/// How a document refers to the same secret.
fn reference(text: &str) -> Option<String> {
    let name = text.strip_prefix("os.environ/")?;
    is_variable(name).then(|| format!("env:{name}"))
}
