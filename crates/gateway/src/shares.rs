//! What answers say of the caller's own allowances, in the headers that clients of the API read.
//!
//! Rates take the place of the API's own limits
//! (<https://platform.claude.com/docs/en/api/rate-limits#response-headers>). Budgets use the unified form in which the
//! vendor's own gateway reports spend (<https://code.claude.com/docs/en/llm-gateway-protocol.md>). By it Claude Code stops
//! at once where a budget is spent. Of one that runs low it says nothing to people who came with a plain key (2.1.330).

use std::fmt::Display;
use std::io::Write;

use tollgate_policy::allowance::{Measure, Span};
use tollgate_policy::books::{Overdrawn, Share};
use tollgate_policy::unit::UnixMs;

/// About the length of the header lines for a rate and a budget.
const FIELDS_BYTES: usize = 640;

/// Headers by which the upstream describes its own limits: those of the key that all callers share.
pub(crate) fn is_limit_header(name: &[u8]) -> bool {
    const PREFIXES: [&[u8]; 3] = [b"anthropic-ratelimit-", b"anthropic-priority-", b"anthropic-fast-"];
    PREFIXES
        .iter()
        .any(|prefix| name.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix)))
}

/// The header lines of an answer to a request that these allowances let pass.
pub(crate) fn fields(shares: &[Share]) -> Vec<u8> {
    let mut out = Vec::with_capacity(FIELDS_BYTES);
    for (measure, word) in RATES {
        let rates = shares.iter().filter(|share| share.measure == measure);
        let rates = rates.filter(|share| matches!(share.span, Span::Rate { .. }));
        if let Some(share) = rates.min_by_key(|share| per_mille(left(share), share.amount)) {
            push_rate(&mut out, word, share.amount, left(share), share.resets_at);
        }
    }
    let budgets = shares.iter().filter(|share| share.measure == Measure::Cost);
    let budgets = budgets.filter(|share| matches!(share.span, Span::Period { .. } | Span::Rolling { .. }));
    if let Some(share) = budgets.max_by_key(|share| per_mille(share.used, share.amount)) {
        push_budget(&mut out, share);
    }
    out
}

/// The header lines of the answer to a request that an allowance refused.
pub(crate) fn refusal_fields(overdrawn: &Overdrawn) -> Vec<u8> {
    let mut out = Vec::new();
    let word = RATES.into_iter().find(|(measure, _)| *measure == overdrawn.measure).map(|(_, word)| word);
    match (word, overdrawn.resets_at) {
        (Some(word), Some(resets_at)) => {
            let left = overdrawn.amount.saturating_sub(overdrawn.used).saturating_sub(overdrawn.held);
            push_rate(&mut out, word, overdrawn.amount, left, resets_at);
        }
        // Not where the request only waits for running ones: clients would give up until the reset.
        (None, Some(resets_at)) if overdrawn.measure == Measure::Cost && !overdrawn.waits_for_others() => {
            let mut unified = |name: &str, value: &str| push_unified(&mut out, name, value);
            unified("status", "rejected");
            unified("reset", &seconds(resets_at));
            unified("overage-reset", &seconds(resets_at));
            unified("overage-disabled-reason", "org_spend_cap_reached");
        }
        _ => {}
    }
    out
}

/// What is counted per span of time, and the word for it in header names.
const RATES: [(Measure, &str); 4] = [
    (Measure::Requests, "requests"),
    (Measure::InputTokens, "input-tokens"),
    (Measure::OutputTokens, "output-tokens"),
    (Measure::Tokens, "tokens"),
];

fn push_rate(out: &mut Vec<u8>, word: &str, limit: u64, left: u64, resets_at: UnixMs) {
    let mut push = |name: &str, value: &dyn Display| push_limit(out, &[word, "-", name], value);
    push("limit", &limit);
    push("remaining", &left);
    let reset = whole_second(resets_at).to_string();
    push("reset", &format_args!("{}Z", reset.strip_suffix(".000Z").unwrap_or(&reset)));
}

fn push_budget(out: &mut Vec<u8>, share: &Share) {
    let status = if share.passed.is_some() { "allowed_warning" } else { "allowed" };
    let mut unified = |name: &str, value: &str| push_unified(out, name, value);
    unified("status", status);
    unified("representative-claim", "overage");
    unified("overage-status", status);
    unified("overage-utilization", &decimal(per_mille(share.used, share.amount), 3));
    if let Some(percent) = share.passed {
        unified("overage-surpassed-threshold", &decimal(u64::from(percent), 2));
    }
    unified("reset", &seconds(share.resets_at));
    unified("overage-reset", &seconds(share.resets_at));
}

fn push_unified(out: &mut Vec<u8>, name: &str, value: &str) {
    push_limit(out, &["unified-", name], &value);
}

fn push_limit(out: &mut Vec<u8>, name: &[&str], value: &dyn Display) {
    out.extend_from_slice(b"anthropic-ratelimit-");
    for part in name {
        out.extend_from_slice(part.as_bytes());
    }
    // Writing to memory cannot fail.
    let _ = write!(out, ": {value}\r\n");
}

fn left(share: &Share) -> u64 {
    share.amount.saturating_sub(share.used).saturating_sub(share.held)
}

/// `part` of `whole` in thousandths, at most one whole; of nothing, all is used.
fn per_mille(part: u64, whole: u64) -> u64 {
    let part = u128::from(part.min(whole)) * 1000;
    part.checked_div(u128::from(whole)).map_or(1000, |share| share as u64)
}

/// A whole number of 10^-`places`, with the zeros at its end left out: `0.82`, `1`.
fn decimal(number: u64, places: u32) -> String {
    let one = 10_u64.pow(places);
    let text = format!("{}.{:0width$}", number / one, number % one, width = places as usize);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// The next whole second, so that whoever waits for it does not come too early.
fn whole_second(at: UnixMs) -> UnixMs {
    UnixMs(at.0.saturating_add(999).div_euclid(1000).saturating_mul(1000))
}

fn seconds(at: UnixMs) -> String {
    (whole_second(at).0 / 1000).to_string()
}
