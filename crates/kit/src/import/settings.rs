//! The settings of LiteLLM that no field of a document takes, and what stands for each here. What is not in the table
//! is named as well, as something to decide about.

use super::{Notes, is_empty, rules};
use tollgate_config::tree::Node;

/// What is done in another way: the setting, and the way.
const REPLACED: &[(&str, &str)] = &[
    (
        "general_settings.master_key",
        "whoever may read the data folder is admin; others get a role: `tollgate setup`.",
    ),
    ("general_settings.database_url", "keys, budgets and usage are in the journal of the data folder."),
    (
        "general_settings.store_model_in_db",
        "models that LiteLLM keeps in its database are not in this file: list them by hand.",
    ),
    ("general_settings.alerting", "take the metrics of the admin listener: docs/guide/troubleshooting.md."),
    ("general_settings.proxy_batch_write_at", "usage is recorded at once."),
    ("general_settings.database_connection_pool_limit", "there is no database."),
    ("litellm_settings.drop_params", "requests pass unchanged."),
    ("litellm_settings.modify_params", "requests pass unchanged."),
    ("litellm_settings.set_verbose", "log: { level: debug }"),
    ("litellm_settings.json_logs", "log: { format: json }"),
    (
        "litellm_settings.success_callback",
        "each request is in the journal and the ledger: `tollgate usage report`.",
    ),
    (
        "litellm_settings.failure_callback",
        "each request is in the journal and the ledger: `tollgate usage report`.",
    ),
    ("litellm_settings.callbacks", "each request is in the journal and the ledger: `tollgate usage report`."),
    ("litellm_settings.cache", "answers are not stored; the API's own prompt cache passes."),
    ("litellm_settings.cache_params", "answers are not stored; the API's own prompt cache passes."),
    ("litellm_settings.num_retries", "clients retry by themselves."),
    (
        "litellm_settings.request_timeout",
        "a stream has no time limit, only its silences have: timeouts.stream_idle.",
    ),
    ("litellm_settings.telemetry", "nothing calls home."),
    ("litellm_settings.turn_off_message_logging", "no content is recorded."),
    ("router_settings.num_retries", "clients retry by themselves."),
    ("router_settings.timeout", "a stream has no time limit, only its silences have: timeouts.stream_idle."),
    ("router_settings.redis_host", "counters are in memory, restored from the ledger."),
    ("router_settings.redis_port", "counters are in memory, restored from the ledger."),
    ("router_settings.redis_password", "counters are in memory, restored from the ledger."),
    ("router_settings.routing_strategy", "there is one upstream."),
    (
        "router_settings.enable_pre_call_checks",
        "a request that does not fit into an allowance is refused before it goes upstream.",
    ),
];

const OPEN: &str = "decide whether you miss it; docs/guide/migrating.md says what comes over.";

/// Names what is in a section and not among `handled`.
pub(super) fn tell(section: &str, node: &Node, handled: &[&str], notes: &mut Notes<'_>) {
    for (key, value) in node.fields() {
        let is_off = is_empty(value) || matches!(value.value, tollgate_config::tree::Value::Bool(false));
        if is_off || handled.contains(&key.name.as_str()) {
            continue;
        }
        let path = if section.is_empty() { key.name.clone() } else { format!("{section}.{}", key.name) };
        let says = format!("`{path}` is not carried over");
        match REPLACED.iter().find(|(name, _)| *name == path) {
            Some((_, way)) => notes.add(&rules::REPLACED, key.place, says, way),
            None => notes.add(&rules::FIELD, key.place, says, OPEN),
        }
    }
}
