//! What a request used: tokens and server tools, as the upstream reported them.

use std::collections::BTreeSet;

use serde::ser::SerializeSeq;
use serde::{Deserialize, Serialize, Serializer};

use crate::text::{bounded, bounded_option, is_zero};

/// The most iterations that are written to an entry; the price always counts all of them.
pub const ITERATIONS_MAX: usize = 128;

/// The highest count that is priced and booked for one class of one inference. No request comes near it: it is ten
/// thousand times the longest prompt. So an upstream that reports nonsense can cost a lot, but not spoil every sum.
/// The journal keeps the count as it was reported.
pub const COUNT_MAX: u64 = 10_000_000_000;

/// Tokens and server tools of one request, in the classes that have a price of their own.
///
/// `input_tokens` leaves out everything that was read from or written to the prompt cache, as in the API's
/// `usage` object. Serde leaves out what is zero or absent.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Usage {
    /// Input tokens outside the cache.
    #[serde(skip_serializing_if = "is_zero")]
    pub input_tokens: u64,
    /// Output tokens, thinking included.
    #[serde(skip_serializing_if = "is_zero")]
    pub output_tokens: u64,
    /// Input tokens written to the cache for five minutes.
    #[serde(skip_serializing_if = "is_zero")]
    pub cache_write_5m_tokens: u64,
    /// Input tokens written to the cache for one hour.
    #[serde(skip_serializing_if = "is_zero")]
    pub cache_write_1h_tokens: u64,
    /// Input tokens read from the cache.
    #[serde(skip_serializing_if = "is_zero")]
    pub cache_read_tokens: u64,
    /// Web searches that the upstream made.
    #[serde(skip_serializing_if = "is_zero")]
    pub web_search_requests: u64,
    /// Web pages that the upstream fetched.
    #[serde(skip_serializing_if = "is_zero")]
    pub web_fetch_requests: u64,
    /// Runs of the upstream's code execution tool.
    #[serde(skip_serializing_if = "is_zero")]
    pub code_execution_requests: u64,
    /// `standard`, `priority` or `batch`.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "bounded_option")]
    pub service_tier: Option<String>,
    /// `fast` when the faster and dearer serving was used.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "bounded_option")]
    pub speed: Option<String>,
    /// Where inference ran, `us` or `global`.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "bounded_option")]
    pub inference_geo: Option<String>,
    /// The parts of a request that ran more than one inference (compaction, advisor, fallback). When there
    /// are any, they are the truth about tokens: the totals above leave some of them out.
    #[serde(skip_serializing_if = "Vec::is_empty", serialize_with = "first_iterations")]
    pub iterations: Vec<Iteration>,
}

impl Usage {
    /// The length of the prompt: all input tokens, cached or not, by the totals. Saturates.
    #[must_use]
    pub fn prompt_tokens(&self) -> u64 {
        self.input_tokens
            .saturating_add(self.cache_write_5m_tokens)
            .saturating_add(self.cache_write_1h_tokens)
            .saturating_add(self.cache_read_tokens)
    }

    /// The models that iterations name, each once, in the order of their ids; of the iterations that are written.
    #[must_use]
    pub fn models(&self) -> BTreeSet<&str> {
        let written = self.iterations.iter().take(ITERATIONS_MAX);
        written.filter_map(|iteration| iteration.model.as_deref()).collect()
    }
}

/// One inference of a request that ran several.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Iteration {
    /// The `type` of the iteration: `message`, `compaction`, `advisor_message`, `fallback_message`, or a
    /// newer one.
    #[serde(serialize_with = "bounded")]
    pub kind: String,
    /// The model that ran it, when it is not the request's.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "bounded_option")]
    pub model: Option<String>,
    /// Input tokens outside the cache.
    #[serde(skip_serializing_if = "is_zero")]
    pub input_tokens: u64,
    /// Output tokens, thinking included.
    #[serde(skip_serializing_if = "is_zero")]
    pub output_tokens: u64,
    /// Input tokens written to the cache for five minutes.
    #[serde(skip_serializing_if = "is_zero")]
    pub cache_write_5m_tokens: u64,
    /// Input tokens written to the cache for one hour.
    #[serde(skip_serializing_if = "is_zero")]
    pub cache_write_1h_tokens: u64,
    /// Input tokens read from the cache.
    #[serde(skip_serializing_if = "is_zero")]
    pub cache_read_tokens: u64,
}

impl Iteration {
    /// The length of the prompt: all input tokens, cached or not. Saturates.
    #[must_use]
    pub fn prompt_tokens(&self) -> u64 {
        self.input_tokens
            .saturating_add(self.cache_write_5m_tokens)
            .saturating_add(self.cache_write_1h_tokens)
            .saturating_add(self.cache_read_tokens)
    }
}

fn first_iterations<S: Serializer>(all: &[Iteration], serializer: S) -> Result<S::Ok, S::Error> {
    let written = &all[..all.len().min(ITERATIONS_MAX)];
    let mut list = serializer.serialize_seq(Some(written.len()))?;
    for iteration in written {
        list.serialize_element(iteration)?;
    }
    list.end()
}
