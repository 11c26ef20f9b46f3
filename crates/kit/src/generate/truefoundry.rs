//! TrueFoundry: manifests for `tfy apply`.
//!
//! Sources: <https://www.truefoundry.com/docs/ai-gateway/ratelimiting>,
//! <https://www.truefoundry.com/docs/ai-gateway/claude-quick-start>, and the types of its package `truefoundry_sdk`.

use super::{
    Comment, File, Output, Plan, Product, Refusal,
    facts::{self, prove},
    plan::{Admits, variable},
    template::render,
};

pub(super) const PRODUCT: Product = Product {
    name: "TrueFoundry",
    help: "https://www.truefoundry.com/docs",
    versions: "as of November 2026 (command line 0.17)",
    is_gateway: true,
};

const CONFIG: &str = include_str!("truefoundry/truefoundry-config.yaml");

/// Served where the plan names no model: TrueFoundry has to know each by its id.
const MODELS: [&str; 3] = ["claude-opus-5-5", "claude-sonnet-5-5", "claude-haiku-5-5"];

/// Where the API is if nothing else is said. Another place is named with the version in its path.
const USUAL_URL: &str = "https://api.anthropic.com";

pub(super) fn generate(plan: &Plan) -> Result<Output, Refusal> {
    if plan.models.iter().any(|model| model.as_str().contains('*')) {
        return Err(Refusal {
            why: "it has to know each model by its id",
            cure: "name the models themselves under models, without *.",
        });
    }
    Ok(Output {
        files: vec![File::new("truefoundry-config.yaml", Comment::Line("#"), config(plan))],
        cannot: cannot(plan),
        next: next(plan),
    })
}

fn config(plan: &Plan) -> String {
    let named: Vec<&str> = plan.models.iter().map(|model| model.as_str()).collect();
    let models = if named.is_empty() { &MODELS[..] } else { &named[..] };
    let model = |id: &&str| {
        format!(
            "- type: integration/model/anthropic\n  name: \"{id}\"\n  model_id: \"{id}\"\n  model_types: [chat]\n"
        )
    };
    let url = plan.upstream.url.to_string();
    let url = url.trim_end_matches('/');
    let base_url = if url == USUAL_URL { String::new() } else { format!("base_url: {url}/v1") };
    render(
        CONFIG,
        &[
            ("name", &name(plan)),
            ("base_url", &base_url),
            ("upstream_key", &variable(&plan.upstream.key)),
            ("models", &models.iter().map(model).collect::<String>()),
            ("rules", &rules(plan)),
        ],
    )
}

/// Names of accounts are written in letters, digits and hyphens.
fn name(plan: &Plan) -> String {
    plan.name.0.as_str().replace(|c: char| !c.is_ascii_alphanumeric(), "-").to_ascii_lowercase()
}

fn rules(plan: &Plan) -> String {
    // Members are accounts of machines where they have keys, and people where an issuer knows them.
    let per = match plan.admits() {
        Admits::Keys(_) => "virtualaccount",
        Admits::Tokens(_) => "user",
    };
    let rule = |unit: &str, most: u32| {
        format!(
            "- id: {}\n  when: {{}}\n  limit_to: {most}\n  unit: {unit}\n  rate_limit_applies_per: [{per}]\n",
            unit.replace('_', "-")
        )
    };
    let tokens = plan.limits.tokens_per_minute.map(|most| rule("tokens_per_minute", most));
    rule("requests_per_minute", plan.limits.requests_per_minute) + &tokens.unwrap_or_default()
}

fn cannot(plan: &Plan) -> Vec<String> {
    let mut cannot = Vec::new();
    cannot.extend(facts::no_burst(plan, "its limits know none"));
    if plan.limits.tokens_per_minute.is_some() {
        cannot.push(
            "Its pages say that the first rule that fits a request is the one that counts: see by a trial that the \
             limit of tokens, which is the second, holds beside that of requests."
                .to_owned(),
        );
    }
    cannot.extend(
        [
            "Timeouts, the size of requests and which headers pass are its own: nothing here sets them. \
             `tollgate check` tells what they are.",
            "Its keys are its own: those of the plan are not known to it.",
            "A name beside the type of the limits is taken by its command line, and not in its published types.",
            "No TrueFoundry was at hand to run this: the fields are those of its published types.",
        ]
        .map(str::to_owned),
    );
    cannot
}

fn next(plan: &Plan) -> Vec<String> {
    let name = name(plan);
    let members = match plan.admits() {
        Admits::Keys(_) => {
            format!(
                "Make a virtual account for each member, with access to the account {name}: {}",
                plan.members()
            )
        }
        Admits::Tokens(oidc) => {
            format!("Let members sign in by {}, and give them access to the account {name}", oidc.issuer)
        }
    };
    vec![
        format!("Make a secret {} in a secret group {name} of TrueFoundry, and put the name of your tenant in its \
             reference", variable(&plan.upstream.key)),
        "See what would change by `tfy apply -f truefoundry-config.yaml --dry-run`, which looks at the types alone; then \
         `tfy apply -f truefoundry-config.yaml`"
            .to_owned(),
        members,
        format!("Members put their TrueFoundry key in ANTHROPIC_AUTH_TOKEN, and ask for models as {name}/MODEL"),
        prove(plan),
    ]
}

#[cfg(test)]
mod tests;
