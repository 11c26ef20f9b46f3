//! The records of single requests, and of their corrections.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;
use tollgate_policy::entry::Outcome;
use tollgate_policy::id::{KeyId, RequestId};
use tollgate_policy::scope::{Name, Scope};
use tollgate_policy::unit::{NanoUsd, UnixMs};

/// What is booked for one settled request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Record {
    /// The sequence number of its `settled` entry in the journal.
    pub seq: u64,
    /// When it was admitted: the instant that it is booked at.
    pub at: UnixMs,
    /// When it was settled.
    pub settled_at: UnixMs,
    /// The request.
    pub request: RequestId,
    /// Where it belongs.
    #[serde(flatten)]
    pub attribution: Attribution,
    /// The client's session, if it named one.
    pub session: Option<String>,
    /// The client's agent, if it named one.
    pub agent: Option<String>,
    /// How it ended.
    pub outcome: Outcome,
    /// The status of the answer, if there was one.
    pub status: Option<u16>,
    /// Input tokens outside the cache.
    pub input_tokens: u64,
    /// Output tokens.
    pub output_tokens: u64,
    /// Input tokens written to the cache for five minutes.
    pub cache_write_5m_tokens: u64,
    /// Input tokens written to the cache for one hour.
    pub cache_write_1h_tokens: u64,
    /// Input tokens read from the cache.
    pub cache_read_tokens: u64,
    /// What it cost when it was settled.
    #[serde(rename = "cost_nano_usd")]
    pub cost: NanoUsd,
    /// The version of the price book that set the cost.
    pub price_version: String,
    /// The usage was filled in by a rule.
    pub estimated: bool,
    /// The model has no price; the dearest rates were taken.
    pub unknown_price: bool,
    /// From the arrival of the request to its end, in milliseconds.
    pub ms_total: u64,
}

/// Where use belongs: what many records have in common.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Attribution {
    /// Where it is booked.
    #[serde(flatten)]
    pub scope: Scope,
    /// The key that was presented.
    pub key: KeyId,
    /// The label of the endpoint. Absent for adjustments of requests whose record was dropped.
    pub endpoint: Option<String>,
    /// The model that was asked for.
    pub requested_model: Option<String>,
    /// The model that answered, else the one that was asked for.
    pub model: Option<String>,
    /// The further models that ran a part of it, such as an advisor: their ids with commas.
    pub further_models: Option<String>,
    /// The name of the upstream.
    pub upstream: String,
    /// Where the upstream ran it, if known.
    pub region: Option<String>,
    /// The cost centre that pays, if a rule names one.
    pub cost_centre: Option<Name>,
    /// The tags of the request.
    pub tags: BTreeMap<String, String>,
}

/// A correction of one request's cost, booked at the instant at which it was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Adjustment {
    /// The sequence number of its entry in the journal.
    pub seq: u64,
    /// When it was made: the instant that it is booked at.
    pub at: UnixMs,
    /// Who made it.
    pub by: String,
    /// The request that it corrects.
    pub request: RequestId,
    /// The sequence number of that request's `settled` entry.
    pub settled: u64,
    /// When that request was booked.
    pub booked_at: UnixMs,
    /// Where that request belongs, as far as it is known.
    #[serde(flatten)]
    pub attribution: Attribution,
    /// The session of that request, if it is known.
    pub session: Option<String>,
    /// The agent of that request, if it is known.
    pub agent: Option<String>,
    /// What is added to the cost; negative where money is given back.
    #[serde(rename = "difference_nano_usd")]
    pub difference: NanoUsd,
    /// What the request costs now, all adjustments counted.
    #[serde(rename = "cost_nano_usd")]
    pub cost: NanoUsd,
    /// The version of the price book that set that cost.
    pub price_version: String,
    /// Why.
    pub reason: String,
}

/// All that the ledger knows of one request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RequestRecord {
    /// What was booked when it was settled. Absent when records of its month were dropped.
    pub record: Option<Record>,
    /// What was corrected since, oldest first.
    pub adjustments: Vec<Adjustment>,
}
