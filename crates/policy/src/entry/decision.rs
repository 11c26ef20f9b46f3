//! Entries about what people and brakes decided: allowances, sessions, operators, corrections, closed periods.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Hash;
use crate::allowance::Allowance;
use crate::id::{KeyId, RequestId};
use crate::key::KeyRecord;
use crate::operator::Operator;
use crate::scope::{Name, Scope};
use crate::text::{bounded, bounded_option};
use crate::unit::{NanoUsd, UnixMs};

/// An allowance was made (no `before`), changed, or taken away (no `after`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AllowanceChange {
    /// Who did it.
    #[serde(serialize_with = "bounded")]
    pub by: String,
    /// As it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Allowance>,
    /// As it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Allowance>,
}

/// The use of an allowance passed one of its thresholds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ThresholdPassed {
    /// The allowance.
    pub allowance: Name,
    /// Whose use it was, in words.
    #[serde(serialize_with = "bounded")]
    pub whose: String,
    /// The threshold, in percent of the amount.
    pub percent: u8,
    /// What is used up, in the allowance's measure.
    pub used: u64,
    /// The amount in force.
    pub amount: u64,
}

/// A session was paused: its requests are refused until an instant or until somebody resumes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionPaused {
    /// Who did it: `brake`, or a person.
    #[serde(serialize_with = "bounded")]
    pub by: String,
    /// The key that the session uses. Sessions of different keys are different sessions.
    pub key: KeyId,
    /// Where the key's use is booked.
    pub scope: Scope,
    /// The session.
    #[serde(serialize_with = "bounded")]
    pub session: String,
    /// Why, as its client is told.
    #[serde(serialize_with = "bounded")]
    pub why: String,
    /// The first instant at which it may go on by itself.
    pub until: UnixMs,
    /// The pause that this one took the place of. Entries written before this field was there have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<PauseBefore>,
}

impl SessionPaused {
    /// What the entry of a change says about this pause, which it ends or replaces.
    #[must_use]
    pub fn as_before(&self) -> PauseBefore {
        PauseBefore { by: self.by.clone(), why: self.why.clone(), until: self.until }
    }
}

/// A pause as it was when it was changed; key and session are those of the entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PauseBefore {
    /// Who paused the session.
    #[serde(serialize_with = "bounded")]
    pub by: String,
    /// Why.
    #[serde(serialize_with = "bounded")]
    pub why: String,
    /// When it would have gone on by itself.
    pub until: UnixMs,
}

/// A paused session may go on: no pause is in force after it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionResumed {
    /// Who did it.
    #[serde(serialize_with = "bounded")]
    pub by: String,
    /// The key that the session uses.
    pub key: KeyId,
    /// The session.
    #[serde(serialize_with = "bounded")]
    pub session: String,
    /// The pause that ended. Entries written before this field was there have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<PauseBefore>,
}

/// An operator was made (no `before`), changed, or taken away (no `after`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OperatorChange {
    /// Who did it.
    #[serde(serialize_with = "bounded")]
    pub by: String,
    /// As it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Operator>,
    /// As it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Operator>,
}

/// The cost of a settled request was corrected. Booked at the instant of this entry; the record that it corrects and
/// every statement closed before it stay as they are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Adjusted {
    /// Who did it.
    #[serde(serialize_with = "bounded")]
    pub by: String,
    /// The request that it corrects.
    pub request: RequestId,
    /// The sequence number of its `settled` entry.
    pub settled: u64,
    /// When that request was booked.
    pub booked_at: UnixMs,
    /// The key that was presented.
    pub key: KeyId,
    /// Where it is booked.
    pub scope: Scope,
    /// The cost centre that pays.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost_centre: Option<Name>,
    /// The model that answered, else the one that was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none", serialize_with = "bounded_option")]
    pub model: Option<String>,
    /// The name of the upstream.
    #[serde(serialize_with = "bounded")]
    pub upstream: String,
    /// What is added to its cost; negative where something is given back.
    #[serde(rename = "difference_nano_usd")]
    pub difference: NanoUsd,
    /// What it costs now, all adjustments counted.
    #[serde(rename = "cost_nano_usd")]
    pub cost: NanoUsd,
    /// The version of the price book that set that cost.
    #[serde(serialize_with = "bounded")]
    pub price_version: String,
    /// Why.
    #[serde(serialize_with = "bounded")]
    pub reason: String,
}

/// A period was closed. The statement itself is a file beside the journal; here is what shows it unchanged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StatementClosed {
    /// Who did it.
    #[serde(serialize_with = "bounded")]
    pub by: String,
    /// The period, such as `2026-11`.
    #[serde(serialize_with = "bounded")]
    pub period: String,
    /// The first instant of the period.
    pub from: UnixMs,
    /// The first instant after it.
    pub to: UnixMs,
    /// The last entry of the journal that the statement covers.
    pub upto: u64,
    /// What it all costs.
    #[serde(rename = "total_nano_usd")]
    pub total: NanoUsd,
    /// The hash of the statement's text.
    pub statement: Hash,
}

/// A key was made, replaced or withdrawn.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyChange {
    /// Who did it.
    #[serde(serialize_with = "bounded")]
    pub by: String,
    /// The record before, if there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<KeyRecord>,
    /// The record after.
    pub after: KeyRecord,
    /// At a rotation, the record of the key that takes over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub also: Option<KeyRecord>,
}

/// A configuration came into force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigApplied {
    /// Who did it.
    #[serde(serialize_with = "bounded")]
    pub by: String,
    /// The name of the document.
    #[serde(serialize_with = "bounded")]
    pub document: String,
    /// The hash of the document's text that was in force before, if there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Hash>,
    /// The hash of the document's text that is in force now.
    pub after: Hash,
}
