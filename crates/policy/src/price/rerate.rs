//! What a request that is settled would cost by another book: the sum of an adjustment.

use super::{PriceBook, Sale};
use crate::entry::{Outcome, Settled};
use crate::unit::{NanoUsd, UnixMs};

/// A price set anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rerated {
    /// What the request costs by this book.
    pub cost: NanoUsd,
    /// What is to be added to what it costs so far; negative where something is given back.
    pub difference: NanoUsd,
    /// Whether a model was in no book, so that the dearest rates were taken.
    pub unknown_model: bool,
}

impl<'a> Sale<'a> {
    /// The sale that a settled entry records, with the instant at which it is booked (see [`Settled::booked_at`]).
    ///
    /// This is how the gateway prices it too, so that a record and the book of its version give its cost again.
    #[must_use]
    pub fn of(settled: &'a Settled, booked_at: UnixMs) -> Self {
        let requested_model = settled.model.as_deref().unwrap_or_default();
        Self {
            requested_model,
            model: settled.served_model.as_deref().unwrap_or(requested_model),
            upstream: &settled.upstream,
            usage: &settled.usage,
            at: booked_at,
            // A batch says so in its usage, a regional endpoint in the book or in the id.
            batch: false,
            regional: false,
        }
    }
}

impl PriceBook {
    /// Prices a settled request by this book. `settled_at` is the instant of its entry, `cost_so_far` what it costs
    /// with all adjustments that were made before.
    ///
    /// `None` where the cost does not come from a book, and so must stay:
    ///
    /// - the process ended before the request did ([`Outcome::Unknown`]): it costs what was reserved;
    /// - it used tokens and cost nothing: the upstream does not charge for it, as for a refusal before any output.
    #[must_use]
    pub fn rerate(&self, settled: &Settled, settled_at: UnixMs, cost_so_far: NanoUsd) -> Option<Rerated> {
        if settled.outcome == Outcome::Unknown {
            return None;
        }
        let now = self.cost(&Sale::of(settled, settled.booked_at(settled_at)));
        let uncharged = settled.cost == NanoUsd::ZERO && now.amount != NanoUsd::ZERO;
        (!uncharged).then(|| Rerated {
            cost: now.amount,
            difference: now.amount.saturating_sub(cost_so_far),
            unknown_model: now.unknown_model,
        })
    }
}
