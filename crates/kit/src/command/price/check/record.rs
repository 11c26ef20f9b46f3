//! One usage record, in any of the forms in which people have it.

use serde::Deserialize;
use serde_json::{Value, json};
use tollgate_policy::{
    entry::Settled,
    unit::{NanoUsd, UnixMs},
    usage::Usage,
};
use tollgate_wire::meter::Meter;

/// What is to be explained.
#[derive(Debug)]
pub(super) enum Record {
    /// A request of the journal.
    Settled {
        /// What its entry says.
        settled: Box<Settled>,
        /// The instant whose prices count.
        booked_at: UnixMs,
        /// What it costs: at first, and after each adjustment.
        recorded: Vec<Recorded>,
    },
    /// The usage of an answer, wherever it came from.
    Usage {
        /// How it was served.
        served: Served,
        /// What it used.
        usage: Usage,
    },
}

/// How a request was served, where the record does not say it.
#[derive(Debug)]
pub(super) struct Served {
    /// The model.
    pub(super) model: Option<String>,
    /// The upstream; empty for none.
    pub(super) upstream: String,
    /// When.
    pub(super) at: UnixMs,
}

/// A cost that was recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Recorded {
    /// What the request costs by it.
    pub(super) cost: NanoUsd,
    /// The version of the price book that set it.
    pub(super) version: String,
    /// Why, if it is an adjustment.
    pub(super) reason: Option<String>,
}

/// An adjustment, as the admin API tells it.
#[derive(Deserialize)]
struct Adjustment {
    cost_nano_usd: NanoUsd,
    price_version: String,
    reason: String,
}

impl Record {
    /// Reads the answer of the admin API, a journal entry, or, where it is said how it was served, an answer of the
    /// Anthropic API or the `usage` of one.
    pub(super) fn read(value: &Value, served: Option<Served>) -> Result<Self, String> {
        if !value.is_object() {
            return Err("this is no JSON object".to_owned());
        }
        if let Some(settled) = value.get("settled") {
            let adjustments = value.get("adjustments").cloned().unwrap_or_else(|| json!([]));
            let adjustments: Vec<Adjustment> =
                serde_json::from_value(adjustments).map_err(|error| format!("adjustments: {error}"))?;
            return Self::settled(settled, adjustments);
        }
        if value.get("cost_nano_usd").is_some() {
            return Self::settled(value, Vec::new());
        }
        let mut served = served.ok_or("it has no settled entry")?;
        let usage = match (value.get("usage"), value.get("input_tokens").or(value.get("iterations"))) {
            (Some(usage), _) => usage,
            (None, Some(_)) => value,
            (None, None) => return Err("this is no settled entry, no answer and no usage".to_owned()),
        };
        if served.model.is_none() {
            served.model = value.get("model").and_then(Value::as_str).map(str::to_owned);
        }
        if served.model.is_none() {
            return Err("say with --model which model it was: a usage does not name it".to_owned());
        }
        Ok(Self::Usage { served, usage: metered(usage)? })
    }

    fn settled(value: &Value, adjustments: Vec<Adjustment>) -> Result<Self, String> {
        if let Some(kind) = value.get("kind").filter(|kind| *kind != "settled") {
            return Err(format!("this is a {kind} entry, and only a settled one has a price"));
        }
        let settled = Settled::deserialize(value).map_err(|error| format!("settled: {error}"))?;
        // Newer entries say when they were admitted; of older ones it follows from when they were written.
        let booked_at = match (settled.admitted_at, value.get("at")) {
            (Some(at), _) => at,
            (None, Some(at)) => {
                settled.booked_at(UnixMs::deserialize(at).map_err(|error| format!("at: {error}"))?)
            }
            (None, None) => {
                return Err("it does not say when it was: `admitted_at` and `at` are missing".to_owned());
            }
        };
        let first = Recorded { cost: settled.cost, version: settled.price_version.clone(), reason: None };
        let later = adjustments.into_iter().map(|adjustment| Recorded {
            cost: adjustment.cost_nano_usd,
            version: adjustment.price_version,
            reason: Some(adjustment.reason),
        });
        Ok(Self::Settled {
            recorded: [first].into_iter().chain(later).collect(),
            settled: Box::new(settled),
            booked_at,
        })
    }
}

/// Reads a `usage` object as the gateway does.
fn metered(usage: &Value) -> Result<Usage, String> {
    let mut meter = Meter::for_answer();
    let answer = json!({ "type": "message", "content": [], "usage": usage });
    meter.push(answer.to_string().as_bytes());
    let usage = meter.finish().usage.ok_or("the usage holds nothing that is counted")?;
    Ok(tollgate_gateway::metering::usage(usage))
}
