//! What one journal entry holds. How it becomes a line is in [`mod@line`], how lines chain in
//! [`chain`].
//!
//! An entry never holds a credential or a body. Headers enter by an allow-list only, paths without their
//! query. Texts from outside are cut to a stated length when they are written.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use aws_lc_rs::digest;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::id::{InstanceId, KeyId, RequestId};
use crate::scope::{Name, Scope};
use crate::text::{bounded, bounded_headers, bounded_option, is_false, is_zero};
use crate::unit::{NanoUsd, UnixMs};
use crate::usage::Usage;
use crate::{hex, text};

pub mod chain;
pub mod decision;
pub mod line;

pub use chain::{Break, Chain};
pub use decision::{
    Adjusted, AllowanceChange, ConfigApplied, KeyChange, OperatorChange, PauseBefore, SessionPaused,
    SessionResumed, StatementClosed, ThresholdPassed,
};
pub use line::{BadLine, Entry, LINE_BYTES_MAX, Link, read_line, read_link, write_line};

/// A SHA-256 hash: 32 bytes, in text 64 lowercase hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hash([u8; 32]);

/// What the first entry of a journal names as its predecessor.
pub const GENESIS: Hash = Hash([0; 32]);

impl Hash {
    /// The SHA-256 hash of the bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        let mut hash = [0; 32];
        hash.copy_from_slice(digest::digest(&digest::SHA256, bytes).as_ref());
        Self(hash)
    }

    /// The 32 bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The hash with these bytes.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    fn to_text(self) -> [u8; 64] {
        hex::encode(&self.0)
    }

    fn from_text(text: &[u8]) -> Option<Self> {
        hex::decode(text).map(Self)
    }
}

/// A text that is not a [`struct@Hash`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a hash of 64 lowercase hexadecimal digits")]
pub struct NotAHash;

impl FromStr for Hash {
    type Err = NotAHash;
    fn from_str(text: &str) -> Result<Self, NotAHash> {
        Self::from_text(text.as_bytes()).ok_or(NotAHash)
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(std::str::from_utf8(&self.to_text()).map_err(|_| fmt::Error)?)
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

impl Serialize for Hash {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        text::write_ascii(&self.to_text(), serializer)
    }
}

impl<'de> Deserialize<'de> for Hash {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        text::parse(deserializer, "64 lowercase hexadecimal digits")
    }
}

/// When an entry counts as written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Durability {
    /// When the operating system has it; entries are synced to disk together, within 10 ms. A
    /// crash of the process loses nothing, a power cut at most those 10 ms.
    #[default]
    Group,
    /// When the disk has it. Each request waits for the disk twice; a power cut loses nothing.
    Strict,
}

impl Durability {
    /// The word for it in the configuration and in every checkpoint.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Group => "group",
            Self::Strict => "strict",
        }
    }
}

/// What happened. The field `kind` of the line names the variant in snake case.
///
/// Only written through [`write_line`] and read through [`read_line`].
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Event {
    /// An instance began to write.
    Opened(Opened),
    /// A request may go upstream. Answered by exactly one `Settled`.
    Admitted(Admitted),
    /// A request ended.
    Settled(Settled),
    /// A request was turned away.
    Denied(Denied),
    /// A key was made: `after` is the new key.
    KeyCreated(KeyChange),
    /// A key was replaced: `before` and `after` are the old key, `also` the new one.
    KeyRotated(KeyChange),
    /// A key was withdrawn: `before` and `after` are that key.
    KeyRevoked(KeyChange),
    /// A configuration came into force.
    ConfigApplied(ConfigApplied),
    /// An allowance was made, changed or taken away.
    AllowanceSet(AllowanceChange),
    /// The use of an allowance passed one of its thresholds.
    ThresholdPassed(ThresholdPassed),
    /// A session was paused, by a brake or by a person.
    SessionPaused(SessionPaused),
    /// A paused session may go on.
    SessionResumed(SessionResumed),
    /// Somebody was given a role at the admin API, or lost it.
    OperatorSet(OperatorChange),
    /// The cost of a settled request was corrected. The record itself stays as it is.
    Adjusted(Adjusted),
    /// A period was closed: what it cost is stated for good.
    StatementClosed(StatementClosed),
    /// The journal can be written again after an outage.
    Resumed(Resumed),
    /// What could show that the end of the journal is missing was not there at the start.
    WitnessLost(WitnessLost),
    /// The head of the chain was signed.
    Checkpoint(Checkpoint),
    /// The instance stopped in good order.
    Closed,
}

impl Event {
    /// The value of `kind` in the line.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Opened(_) => "opened",
            Self::Admitted(_) => "admitted",
            Self::Settled(_) => "settled",
            Self::Denied(_) => "denied",
            Self::KeyCreated(_) => "key_created",
            Self::KeyRotated(_) => "key_rotated",
            Self::KeyRevoked(_) => "key_revoked",
            Self::ConfigApplied(_) => "config_applied",
            Self::AllowanceSet(_) => "allowance_set",
            Self::ThresholdPassed(_) => "threshold_passed",
            Self::SessionPaused(_) => "session_paused",
            Self::SessionResumed(_) => "session_resumed",
            Self::OperatorSet(_) => "operator_set",
            Self::Adjusted(_) => "adjusted",
            Self::StatementClosed(_) => "statement_closed",
            Self::Resumed(_) => "resumed",
            Self::WitnessLost(_) => "witness_lost",
            Self::Checkpoint(_) => "checkpoint",
            Self::Closed => "closed",
        }
    }
}

/// An instance began to write.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Opened {
    /// The instance that writes from here on.
    pub instance: InstanceId,
    /// The version of the program.
    #[serde(serialize_with = "bounded")]
    pub version: String,
    /// When entries count as written from here on.
    pub durability: Durability,
    /// Bytes of a half-written last line that were dropped, left by a crash or power cut.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub torn_bytes: u64,
}

/// A request may go upstream: who, from where, with which key, for what, and how much is reserved for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Admitted {
    /// The request.
    pub request: RequestId,
    /// The key that was presented.
    pub key: KeyId,
    /// Where it is booked.
    pub scope: Scope,
    /// The network address of the client.
    #[serde(serialize_with = "bounded")]
    pub peer: String,
    /// The method of the request.
    #[serde(serialize_with = "bounded")]
    pub method: String,
    /// The label of the endpoint.
    #[serde(serialize_with = "bounded")]
    pub endpoint: String,
    /// The path, without its query.
    #[serde(serialize_with = "bounded")]
    pub path: String,
    /// The model that was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none", serialize_with = "bounded_option")]
    pub model: Option<String>,
    /// Whether the answer was asked for as a stream.
    #[serde(default, skip_serializing_if = "is_false")]
    pub stream: bool,
    /// The most output tokens that were asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_tokens: Option<u64>,
    /// The length of the body.
    pub body_bytes: u64,
    /// The name of the upstream.
    #[serde(serialize_with = "bounded")]
    pub upstream: String,
    /// What the request may cost at most by the reservation rule, in nano-dollars.
    #[serde(rename = "reserved_nano_usd")]
    pub reserved: NanoUsd,
    /// The input tokens that the reservation assumed.
    pub input_estimate: u64,
    /// The output tokens that the reservation assumed.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub output_estimate: u64,
    /// The cost centre that pays, if a rule names one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost_centre: Option<Name>,
    /// The tags of the request, by the operator's rules.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty", serialize_with = "bounded_headers")]
    pub tags: BTreeMap<String, String>,
    /// The allowances that only observe and were overdrawn by this request.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub over: Vec<Name>,
    /// The client's session, if it names one.
    #[serde(default, skip_serializing_if = "Option::is_none", serialize_with = "bounded_option")]
    pub session: Option<String>,
    /// The client's agent, if it names one.
    #[serde(default, skip_serializing_if = "Option::is_none", serialize_with = "bounded_option")]
    pub agent: Option<String>,
    /// The headers of the allow-list that the request carried, names in lower case.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty", serialize_with = "bounded_headers")]
    pub headers: BTreeMap<String, String>,
}

/// How a request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The whole answer went to the client.
    Complete,
    /// The client left before the end.
    Aborted,
    /// The upstream broke off.
    Cut,
    /// The upstream answered with an error, at once or in the middle of the stream.
    UpstreamError,
    /// There was no answer.
    Failed,
    /// The process ended first; found and closed at recovery.
    Unknown,
}

/// A request ended: how, what it used, what it costs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Settled {
    /// The request.
    pub request: RequestId,
    /// The sequence number of its `admitted` entry.
    pub admitted: u64,
    /// When it was admitted: the instant whose prices, budgets and statements it belongs to. Absent in journals of
    /// versions before budgets; see [`Settled::booked_at`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub admitted_at: Option<UnixMs>,
    /// The key that was presented.
    pub key: KeyId,
    /// Where it is booked.
    pub scope: Scope,
    /// The label of the endpoint.
    #[serde(serialize_with = "bounded")]
    pub endpoint: String,
    /// The model that was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none", serialize_with = "bounded_option")]
    pub model: Option<String>,
    /// The model that answered.
    #[serde(default, skip_serializing_if = "Option::is_none", serialize_with = "bounded_option")]
    pub served_model: Option<String>,
    /// The name of the upstream.
    #[serde(serialize_with = "bounded")]
    pub upstream: String,
    /// Where the upstream ran it, if known.
    #[serde(default, skip_serializing_if = "Option::is_none", serialize_with = "bounded_option")]
    pub region: Option<String>,
    /// How it ended.
    pub outcome: Outcome,
    /// The status of the answer, if there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// What it used.
    pub usage: Usage,
    /// What it costs, in nano-dollars.
    #[serde(rename = "cost_nano_usd")]
    pub cost: NanoUsd,
    /// The version of the price book that set the cost.
    #[serde(serialize_with = "bounded")]
    pub price_version: String,
    /// The price book does not know the model; the dearest rates were taken.
    #[serde(default, skip_serializing_if = "is_false")]
    pub unknown_price: bool,
    /// The usage was not reported in full; the floor or reservation rule filled it in.
    #[serde(default, skip_serializing_if = "is_false")]
    pub estimated: bool,
    /// From the arrival of the request to its end, in milliseconds.
    pub ms_total: u64,
    /// From the arrival of the request to the first byte of the answer, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ms_first_byte: Option<u64>,
    /// The upstream's own id for the request.
    #[serde(default, skip_serializing_if = "Option::is_none", serialize_with = "bounded_option")]
    pub upstream_request_id: Option<String>,
    /// The type of the error, if there was one.
    #[serde(default, skip_serializing_if = "Option::is_none", serialize_with = "bounded_option")]
    pub error: Option<String>,
    /// The client's session, if it named one.
    #[serde(default, skip_serializing_if = "Option::is_none", serialize_with = "bounded_option")]
    pub session: Option<String>,
    /// The client's agent, if it named one.
    #[serde(default, skip_serializing_if = "Option::is_none", serialize_with = "bounded_option")]
    pub agent: Option<String>,
    /// The cost centre that pays, if a rule names one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost_centre: Option<Name>,
    /// The tags of the request, by the operator's rules.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty", serialize_with = "bounded_headers")]
    pub tags: BTreeMap<String, String>,
}

impl Settled {
    /// The instant at which the request is booked: its admission. `settled_at` is the instant of the entry.
    #[must_use]
    pub fn booked_at(&self, settled_at: UnixMs) -> UnixMs {
        let took = i64::try_from(self.ms_total).unwrap_or(i64::MAX);
        self.admitted_at.unwrap_or_else(|| settled_at.saturating_add_ms(-took))
    }
}

/// A request was turned away.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Denied {
    /// The request.
    pub request: RequestId,
    /// The key, if one was recognised.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<KeyId>,
    /// Where it would have been booked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<Scope>,
    /// The network address of the client.
    #[serde(serialize_with = "bounded")]
    pub peer: String,
    /// The method of the request.
    #[serde(serialize_with = "bounded")]
    pub method: String,
    /// The path, without its query.
    #[serde(serialize_with = "bounded")]
    pub path: String,
    /// The status that the client got.
    pub status: u16,
    /// The stable code of the reason, as [`crate::denial::Denial::code`] gives it.
    #[serde(serialize_with = "bounded")]
    pub code: String,
    /// The model that was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none", serialize_with = "bounded_option")]
    pub model: Option<String>,
    /// The allowance that had no room for it, if that was the reason.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allowance: Option<Name>,
    /// Like denials before this one that were counted and not written, so that a flood cannot fill the
    /// disk.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub suppressed: u64,
}

/// The journal could not be written for a while, and nothing was admitted meanwhile. The first entry after
/// the gap.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resumed {
    /// When an entry was first refused.
    pub since: UnixMs,
    /// How many entries were refused and are not in the journal. Settlements are never among them.
    pub refused: u64,
}

/// A journal with checkpoints was opened without the files that also remember its end. So entries before this one may
/// have been cut off unseen; only a copy of the checkpoints kept elsewhere can tell.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WitnessLost {
    /// What was missing.
    pub what: Vec<Witness>,
}

/// What remembers the end of a journal beside the journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Witness {
    /// The file with a copy of each checkpoint.
    Checkpoints,
    /// The database of the ledger.
    Ledger,
}

/// The head of the chain, signed. Kept elsewhere too, it shows that nothing before it was changed or cut
/// off.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// The instance that signs.
    pub instance: InstanceId,
    /// The sequence number of the last entry it covers.
    pub head_seq: u64,
    /// The hash of that entry.
    pub head: Hash,
    /// When it was signed. Named `signed_at` in the line, where `at` is the instant of the entry itself.
    #[serde(rename = "signed_at")]
    pub at: UnixMs,
    /// When entries count as written.
    pub durability: Durability,
    /// The sequence number of the oldest `admitted` without its `settled`, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oldest_open: Option<u64>,
    /// The public id of the signing key.
    #[serde(serialize_with = "bounded")]
    pub key: String,
    /// The Ed25519 signature over [`Checkpoint::signed_text`], base64.
    #[serde(serialize_with = "bounded")]
    pub signature: String,
}

impl Checkpoint {
    /// The text that is signed, one fact per line, the last line ended too. It names the format and the
    /// instance, so a signature cannot be passed off as one for another purpose or another journal.
    #[must_use]
    pub fn signed_text(&self) -> String {
        let oldest_open = self.oldest_open.map_or_else(|| "-".to_owned(), |seq| seq.to_string());
        format!(
            "tollgate-journal-v1\n{}\n{}\n{}\n{}\n{}\n{oldest_open}\n",
            self.instance,
            self.head_seq,
            self.head,
            self.at,
            self.durability.as_str(),
        )
    }
}

#[cfg(test)]
mod tests;
