//! What is set aside for a request before it is sent.

use super::bill::{Class, Item, Multiplier};
use super::book::{Model, Upstream};
use super::model_id::ModelId;
use super::{OUTPUT_TOKENS_MAX, PROMPT_TOKENS_MAX, PriceBook};
use crate::unit::{NanoUsd, UnixMs};

/// What a request asks for, as far as it bounds the price.
#[derive(Debug, Clone, Copy)]
pub struct Order<'a> {
    /// Every model that may serve it, as the request and the upstreams name them: the requested one first, then its
    /// fallbacks. With none, any model may.
    pub models: &'a [&'a str],
    /// The names of the upstreams that it may be sent to. With none, the list prices count.
    pub upstreams: &'a [&'a str],
    /// When it was admitted; decides which rates are in force.
    pub at: UnixMs,
    /// The most input tokens of one inference, cached parts included. See [`super::input_bound`].
    pub input_tokens: u64,
    /// The most output tokens of one inference.
    pub output_tokens: u64,
    /// Whether it asks for the faster serving.
    pub fast: bool,
    /// The most inferences that it may run: 1, and more where it asks for compaction, an advisor or fallbacks, which
    /// read the prompt again and are billed beside the answer. 0 counts as 1.
    pub inferences: u32,
}

impl PriceBook {
    /// What a request may cost at most, to be set aside before it is sent, and booked if its end is never
    /// seen.
    ///
    /// Of all upstreams and models that it names the dearest: the whole input at the dearest input class (a model
    /// may write all of it to the cache for an hour), at the rates for long prompts if it may be one, and the whole
    /// output, at the larger premium for place that the model has, with the contracts in force. An unknown model
    /// takes the dearest known rates; see [`PriceBook::knows`].
    ///
    /// A bound: whatever tokens are used within the order, [`PriceBook::cost`] of them is not above it, by as much as
    /// a nano-dollar. What it can not bound are server tools, of which a request may make more than it says.
    ///
    /// Both counts are held at what a model can read and write at most, [`PROMPT_TOKENS_MAX`] and
    /// [`OUTPUT_TOKENS_MAX`]: a client that asks for more can not get it.
    #[must_use]
    pub fn reservation(&self, order: &Order<'_>) -> NanoUsd {
        // Without a name nothing is found, which is what is meant: the list, and the dearest model of it.
        const NONE: &[&str] = &[""];
        let or_none = |names| if <[&str]>::is_empty(names) { NONE } else { names };
        let fast = order.fast || order.models.iter().any(|model| ModelId::take_apart(model).fast);
        let mut dearest = NanoUsd::ZERO;
        for upstream in or_none(order.upstreams) {
            let upstream = self.0.upstream(upstream);
            for model in or_none(order.models) {
                let (model, _) = self.0.look_up(model, order.at, upstream);
                dearest = dearest.max(self.at_most(order, model, upstream, fast));
            }
        }
        let all = i128::from(dearest.0) * i128::from(order.inferences.max(1));
        NanoUsd::saturating_from(all)
    }

    /// What one inference of this model at this upstream costs at most.
    fn at_most(&self, order: &Order<'_>, model: &Model, upstream: Option<&Upstream>, fast: bool) -> NanoUsd {
        let input_tokens = order.input_tokens.min(PROMPT_TOKENS_MAX);
        let output_tokens = order.output_tokens.min(OUTPUT_TOKENS_MAX);
        let (rates, _) = model.periods.at(order.at).rates(input_tokens);
        let input_classes = Class::TOKENS.into_iter().filter(|class| *class != Class::Output);
        let input_rate = input_classes.map(|class| rates[class as usize]).fold(NanoUsd::ZERO, NanoUsd::max);
        let multiplier = self.multiplier_at_most(order.at, model, upstream, fast);
        let items = [
            Item { class: Class::Input, quantity: input_tokens, rate: input_rate, multiplier },
            Item {
                class: Class::Output,
                quantity: output_tokens,
                rate: rates[Class::Output as usize],
                multiplier,
            },
        ];
        items.iter().map(Item::amount_at_most).sum()
    }

    /// The largest product of multipliers that tokens of this model can meet there. A factor that may or may not
    /// apply counts only if it makes them dearer.
    fn multiplier_at_most(
        &self,
        at: UnixMs,
        model: &Model,
        upstream: Option<&Upstream>,
        fast: bool,
    ) -> Multiplier {
        let book = &self.0;
        let when = |condition: bool, multiplier: &Multiplier| {
            if condition { Multiplier::ONE.max(*multiplier) } else { Multiplier::ONE }
        };
        let pace = when(fast, model.fast.at(at)).max(when(true, book.batch.at(at)));
        let us_inference = when(model.us_inference, book.us_inference.at(at));
        let regional = when(model.regional, book.regional.at(at));
        pace.times(us_inference.max(regional))
            .times(*book.contract.at(at))
            .times(upstream.map_or(Multiplier::ONE, |upstream| *upstream.multiplier.at(at)))
    }
}
