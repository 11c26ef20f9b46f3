//! LiteLLM: the configuration of its proxy, and a key of its own for each member.
//!
//! Sources: <https://docs.litellm.ai/docs/proxy/configs>, <https://docs.litellm.ai/docs/proxy/virtual_keys>.

use super::{
    Comment, File, Output, Plan, Product, Refusal,
    facts::{self, prove},
    fill,
    plan::{Admits, Member, variable},
    template::render,
};
use serde_json::json;

pub(super) const PRODUCT: Product = Product {
    name: "LiteLLM",
    help: "https://docs.litellm.ai/docs/troubleshoot",
    versions: "1.106 and later",
    is_gateway: true,
};

const CONFIG: &str = include_str!("litellm/config.yaml");

pub(super) fn generate(plan: &Plan) -> Result<Output, Refusal> {
    let Admits::Keys(members) = plan.admits() else {
        return Err(Refusal {
            why: "its free edition does not verify tokens of an issuer",
            cure: "give each member a key under auth.keys, or generate envoy, which verifies tokens.",
        });
    };
    let mut files = vec![File::new("config.yaml", Comment::Line("#"), config(plan))];
    files.extend(
        members
            .iter()
            .map(|one| File::new(&format!("members/{}.json", one.name), Comment::Nowhere, member(plan, one))),
    );
    Ok(Output { files, cannot: cannot(plan), next: next(plan, members) })
}

fn config(plan: &Plan) -> String {
    let url = plan.upstream.url.to_string();
    let key = variable(&plan.upstream.key);
    // The name that clients ask for is that of the API: Claude Code knows its models by it.
    let model = |id: &str| {
        format!(
            "- model_name: \"{id}\"\n  litellm_params:\n    model: \"anthropic/{id}\"\n    api_base: {url}\n    api_key: \
             os.environ/{key}\n"
        )
    };
    let models: String = plan.models.iter().map(|pattern| model(pattern.as_str())).collect();
    render(
        CONFIG,
        &[
            ("models", if models.is_empty() { model("claude-*") } else { models }.as_str()),
            ("timeout_s", &plan.timeout_s.to_string()),
            ("body_mb", &plan.body_mb.to_string()),
        ],
    )
}

/// What `POST /key/generate` is asked for.
fn member(plan: &Plan, member: &Member) -> String {
    let models: Vec<&str> = plan.models.iter().map(|pattern| pattern.as_str()).collect();
    let mut key =
        json!({ "key_alias": member.name.0.as_str(), "rpm_limit": plan.limits.requests_per_minute });
    if let Some(tokens) = plan.limits.tokens_per_minute {
        key["tpm_limit"] = tokens.into();
    }
    if !models.is_empty() {
        key["models"] = models.into();
    }
    format!("{key:#}\n")
}

fn cannot(plan: &Plan) -> Vec<String> {
    let mut cannot = Vec::new();
    cannot.extend(facts::no_burst(plan, "its limits count whole minutes"));
    cannot.extend(
        [
            "It is no faithful gateway: it drops ?beta=true and any other query, puts its own User-Agent in place of the \
             client's, drops x-app and headers that it does not know, and writes requests anew (seen with 1.106). \
             `tollgate check` says so.",
            "Features of new releases of Claude Code may fail until a release of LiteLLM knows them.",
            "The limit of the size of requests (max_request_size_mb) is for its enterprise edition.",
            "Its own errors are not in the API's envelope.",
            "Who may reach its PostgreSQL may read what members used, and prompts if logging is switched on.",
        ]
        .map(str::to_owned),
    );
    cannot
}

fn next(plan: &Plan, members: &[Member]) -> Vec<String> {
    let names: Vec<String> = members.iter().map(|member| member.name.to_string()).collect();
    vec![
        format!(
            "Have {}, `LITELLM_MASTER_KEY` (of 32 or more random letters and digits, beginning with sk-) and \
             `DATABASE_URL` in the environment, out of a secret store",
            fill::setting(&plan.upstream.key)
        ),
        format!(
            "Install a version by its hash, as for anything that sees your keys, and run it: `litellm --config \
             config.yaml --host {} --port {}`",
            plan.listen.socket().ip(),
            plan.listen.socket().port()
        ),
        format!(
            "Make a key for each member. The file `auth` holds the line `Authorization: Bearer KEY` with the master key, so \
             that no list of processes shows it: `for member in {}; do curl -sS -X POST -H @auth -H 'content-type: \
             application/json' -d @members/$member.json {}/key/generate; done`",
            names.join(" "),
            plan.client_url()
        ),
        prove(plan),
    ]
}
