//! What is asked of the books and what is told to them: a request before it runs, and the use of past ones.

use crate::allowance::Measure;
use crate::id::KeyId;
use crate::scope::Scope;
use crate::unit::{NanoUsd, UnixMs};
use crate::usage::{COUNT_MAX, Usage};

/// Tokens and money of a request, in the classes that allowances count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Amounts {
    /// Input tokens that were not read from the cache: fresh ones and those written to it.
    pub input_tokens: u64,
    /// Output tokens.
    pub output_tokens: u64,
    /// Money. A negative amount counts as none.
    pub cost: NanoUsd,
}

impl Amounts {
    /// What a usage counts. Where it lists iterations with any token, they are the truth, and counts beyond
    /// [`COUNT_MAX`] are held there, both as in [`crate::price`].
    #[must_use]
    pub fn of(usage: &Usage, cost: NanoUsd) -> Self {
        let sum = |counts: &[u64]| {
            counts.iter().fold(0, |sum: u64, count| sum.saturating_add(*count.min(&COUNT_MAX)))
        };
        let iterations = &usage.iterations;
        if !iterations.iter().any(|one| one.prompt_tokens() > 0 || one.output_tokens > 0) {
            let input = [usage.input_tokens, usage.cache_write_5m_tokens, usage.cache_write_1h_tokens];
            return Self { input_tokens: sum(&input), output_tokens: sum(&[usage.output_tokens]), cost };
        }
        iterations.iter().fold(Self { cost, ..Self::default() }, |all, one| {
            let input =
                [all.input_tokens, one.input_tokens, one.cache_write_5m_tokens, one.cache_write_1h_tokens];
            Self {
                input_tokens: sum(&input),
                output_tokens: sum(&[all.output_tokens, one.output_tokens]),
                cost,
            }
        })
    }

    /// How much of a measure this is; for requests, how much one request is.
    pub(super) fn count(&self, measure: Measure) -> u64 {
        match measure {
            Measure::Requests | Measure::CountTokens | Measure::Concurrency => 1,
            Measure::InputTokens => self.input_tokens,
            Measure::OutputTokens => self.output_tokens,
            Measure::Tokens => self.input_tokens.saturating_add(self.output_tokens),
            Measure::Cost => u64::try_from(self.cost.0).unwrap_or(0),
        }
    }
}

/// What kind of request it is: it decides which measures count it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A message: counts in every measure but [`Measure::CountTokens`].
    Messages,
    /// A request to count tokens: counts in [`Measure::CountTokens`] alone.
    CountTokens,
    /// Any other request, whose tokens nobody sees: counts as a request, and as one at once.
    Other,
}

impl Kind {
    /// Whether requests of this kind count in the measure.
    #[must_use]
    pub fn counts_in(self, measure: Measure) -> bool {
        match self {
            Self::Messages => measure != Measure::CountTokens,
            Self::CountTokens => measure == Measure::CountTokens,
            Self::Other => matches!(measure, Measure::Requests | Measure::Concurrency),
        }
    }
}

/// A request that wants to run: whose it is, and what it can use.
#[derive(Debug, Clone, Copy)]
pub struct Claim<'a> {
    /// Where it is booked.
    pub scope: &'a Scope,
    /// The key that was presented.
    pub key: KeyId,
    /// What kind of request it is.
    pub kind: Kind,
    /// The models that it names, the requested one first, then those that may serve in its place. Empty if it names
    /// none; then allowances of certain models do not count it.
    pub models: &'a [&'a str],
    /// The most that it can use.
    pub full: Amounts,
    /// The input tokens that it will likely use, such as a quarter of the bytes of its body.
    pub input_likely: u64,
}

/// The use of requests that ended before these books were opened: one of them, or several that differ in nothing that
/// allowances look at.
#[derive(Debug, Clone, Copy)]
pub struct Past<'a> {
    /// Where they are booked.
    pub scope: &'a Scope,
    /// The key that was presented.
    pub key: KeyId,
    /// What kind of requests they were.
    pub kind: Kind,
    /// The model that they asked for.
    pub requested: Option<&'a str>,
    /// The models that ran them: the one that answered, and those of further inferences.
    pub ran: &'a [&'a str],
    /// When they were admitted.
    pub at: UnixMs,
    /// When they were settled.
    pub settled_at: UnixMs,
    /// How many they are.
    pub requests: u64,
    /// What they used together.
    pub amounts: Amounts,
}

impl Past<'_> {
    /// How much of a measure this is.
    pub(super) fn count(&self, measure: Measure) -> u64 {
        match measure {
            Measure::Requests | Measure::CountTokens => self.requests,
            Measure::Concurrency => 0,
            _ => self.amounts.count(measure),
        }
    }
}
