//! `tollgate check rate-limit`: how often a gateway lets a client in, how it counts, and what it says when it does not.
//!
//! [`estimate`] decides what to send when, [`drive`] sends it, [`judge()`] says what it means.

use std::time::Duration;

use tollgate_policy::{
    price::{Order, PriceBook, input_bound},
    unit::{NanoUsd, UnixMs},
};

mod drive;
mod estimate;
mod judge;
pub(crate) mod rules;

pub(crate) use drive::survey;
pub(crate) use judge::judge;

/// The longest body that is sent, and the output that is asked for.
const BODY_BYTES: u64 = 384;
const OUTPUT_TOKENS: u64 = 1;

/// Requests that use up a limit of tokens. An odd number: a limit of requests is found to be another one.
const TOKEN_SHARES: u64 = 41;

/// Requests that look for a rate behind a limit of requests at once, where no figure was named.
const MOST_ALONE: u32 = 200;

/// What to look for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan {
    /// What is said to be the limit.
    pub(crate) claim: Option<Claim>,
    /// The time that it is said to be for.
    pub(crate) window: Duration,
    /// Requests in all.
    pub(crate) most_calls: u32,
    /// How long the gateway may refuse everything.
    pub(crate) longest_wait: Duration,
}

/// A limit that somebody speaks of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Claim {
    /// Of requests.
    Requests(u32),
    /// Of tokens.
    Tokens(u64),
}

impl Plan {
    /// The requests that are enough for any kind of limit of this figure.
    pub(crate) fn calls_for(claim: Option<Claim>) -> u32 {
        match claim {
            None => 2_000,
            Some(claim) => claim.requests().saturating_mul(5).saturating_add(400),
        }
    }

    /// How long it may take from the first refusal on: as the slowest kinds of limits do, those of few requests.
    pub(crate) fn longest(&self) -> Duration {
        self.longest_wait * 4
    }

    /// What the estimator may do, where so many requests are for something else.
    fn terms(&self, kept: u32, hold: Duration) -> estimate::Terms {
        // A window by the clock may end within the first burst, and then lets in twice as many.
        let twice = self.claim.map(|claim| claim.requests().saturating_mul(2).saturating_add(20));
        let most_calls = self.most_calls.saturating_sub(kept).max(1);
        estimate::Terms {
            most_calls,
            most_unlimited: twice.unwrap_or(most_calls).min(most_calls),
            most_alone: twice.unwrap_or(MOST_ALONE).min(most_calls),
            // Tokens are counted when answers end: whatever is under way together gets through together.
            most_at_once: if matches!(self.claim, Some(Claim::Tokens(_))) { 1 } else { 64 },
            longest_wait: self.longest_wait,
            longest: self.longest(),
            hold,
        }
    }

    /// What each request is to use of the tokens of the limit.
    fn tokens(&self) -> u64 {
        match self.claim {
            Some(Claim::Tokens(tokens)) => tokens.div_ceil(TOKEN_SHARES),
            _ => 1,
        }
    }
}

impl Claim {
    /// The requests of ours that reach it.
    fn requests(self) -> u32 {
        match self {
            Self::Requests(requests) => requests,
            Self::Tokens(_) => u32::try_from(TOKEN_SHARES).unwrap_or(u32::MAX),
        }
    }
}

/// The most that so many requests may cost.
pub(crate) fn cost(model: &str, requests: u32, at: UnixMs) -> NanoUsd {
    PriceBook::builtin().reservation(&Order {
        models: &[model],
        upstreams: &[],
        at,
        input_tokens: input_bound(BODY_BYTES, 0),
        output_tokens: OUTPUT_TOKENS,
        fast: false,
        inferences: requests,
    })
}
