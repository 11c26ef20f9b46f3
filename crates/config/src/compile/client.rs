//! Whether what is set lets Claude Code work: its figures, and warnings where they do not fit.

use super::{Judge, allowances::join};
use crate::document::{Document, Verdict};
use tollgate_policy::{
    access::Models,
    allowance::{Allowance, Measure, Mode, Reserve, Span},
    price::{Order, PriceBook, input_bound},
    unit::{NanoUsd, UnixMs},
};

/// What Claude Code asks for as `max_tokens` by default with current models. An allowance that must hold all of it and
/// grants less never admits a request of Claude Code.
pub(super) const CLIENT_MAX_TOKENS: u64 = 128_000;
/// The body of the first request of a session: instructions and the definitions of its tools, and nothing asked yet.
const CLIENT_BODY_BYTES: u64 = 48_000;
/// The model that Claude Code asks for unless told otherwise.
const CLIENT_MODEL: &str = "claude-opus-5-5";
/// How often Claude Code sends one request while the upstream fails: once, and ten times again.
const CLIENT_TRIES: u32 = 11;

impl Judge<'_> {
    /// Warns of budgets that no request of Claude Code ever fits into, at the prices of `book` for what this upstream
    /// serves.
    pub(super) fn budgets_for_clients(
        &mut self,
        made: &[(String, Allowance)],
        book: &PriceBook,
        upstream: &str,
    ) {
        for (path, allowance) in made {
            if allowance.measure != Measure::Cost || !holds_in_full(allowance) {
                continue;
            }
            let least = least(&allowance.models, book, upstream);
            let Some((model, least)) = least.filter(|(_, least)| store(allowance) < least.0.unsigned_abs())
            else {
                continue;
            };
            let least = whole_cents(least);
            let rule = format!(
                "a request of Claude Code to {model} needs room for {least} at least, so none ever passes"
            );
            let cure = format!(
                "write {} or more; less is enough where all clients set CLAUDE_CODE_MAX_OUTPUT_TOKENS.",
                least.to_string().trim_start_matches('$')
            );
            let also = ["reserve", "burst", "mode", "models"].map(|field| join(path, field));
            self.warning(&join(path, "usd"), &also.each_ref().map(String::as_str), &rule, &cure);
        }
    }

    /// Warns of brakes that pause a session which only tries again.
    pub(super) fn repeats_of_clients(&mut self, repeats: Option<u32>) {
        if repeats.is_some_and(|repeats| repeats < CLIENT_TRIES) {
            let rule = format!(
                "Claude Code sends one request up to {CLIENT_TRIES} times while the upstream fails, and would be \
                 paused for it"
            );
            self.warning("brakes.repeats", &[], &rule, "write 12 or more.");
        }
    }

    /// Warns of allowances that endpoints pass by whose use is not read.
    pub(super) fn unread_endpoints(&mut self, made: &[(String, Allowance)], document: &Document) {
        if document.access.other_v1 != Verdict::Allow {
            return;
        }
        let passed_by = [Measure::Cost, Measure::Tokens, Measure::InputTokens, Measure::OutputTokens];
        if let Some((first, _)) = made.iter().find(|(_, allowance)| passed_by.contains(&allowance.measure)) {
            let rule = format!(
                "batches and other endpoints pass, whose tokens and cost are not read: no quota and no budget binds \
                 them, {first} included"
            );
            let cure = "write deny, or bind each key to models: such keys may not use those endpoints.";
            self.warning("access.other_v1", &["allowances"], &rule, cure);
        }
    }
}

/// Whether all that a request may use must fit before it passes.
pub(super) fn holds_in_full(allowance: &Allowance) -> bool {
    allowance.amount > 0 && allowance.mode == Mode::Block && allowance.reserve == Reserve::Full
}

/// The most that an allowance ever holds at once, raises left out.
pub(super) fn store(allowance: &Allowance) -> u64 {
    match allowance.span {
        Span::Rate { burst, .. } => burst,
        _ => allowance.amount,
    }
}

/// The least that is set aside for a request of Claude Code that counts, and for which model: the one that it asks for
/// by default, or else the cheapest. Later prices count where the book knows of a change.
fn least(counted: &Models, book: &PriceBook, upstream: &str) -> Option<(String, NanoUsd)> {
    let price = |model: &str| {
        book.reservation(&Order {
            models: &[model],
            upstreams: &[upstream],
            at: UnixMs::MAX,
            input_tokens: input_bound(CLIENT_BODY_BYTES, 0),
            output_tokens: CLIENT_MAX_TOKENS,
            fast: false,
            inferences: 1,
        })
    };
    if counted.allows(CLIENT_MODEL) && book.knows(CLIENT_MODEL, UnixMs::MAX, upstream) {
        return Some((CLIENT_MODEL.to_owned(), price(CLIENT_MODEL)));
    }
    let known = book.names().filter(|name| counted.allows(name));
    known.map(|name| (name.to_owned(), price(name))).min_by_key(|(_, price)| *price)
}

/// Rounded up to cents, so that writing it is enough.
fn whole_cents(amount: NanoUsd) -> NanoUsd {
    const CENT: i64 = NanoUsd::DOLLAR.0 / 100;
    NanoUsd(amount.0.saturating_add(CENT - 1) / CENT * CENT)
}
