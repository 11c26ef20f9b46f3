//! What the book says about one model, for people.

use super::PriceBook;
use super::bill::{Class, Factor, Multiplier, Reason, Source};
use super::book::{Model, Period, Rates, Timeline, Upstream};
use super::model_id::ModelId;
use crate::unit::{NanoUsd, UnixMs};

/// Everything that decides what tokens of one model cost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    /// The version of the book.
    pub version: String,
    /// The model's name in the book, or `unknown`.
    pub model: String,
    /// Its other names there.
    pub aliases: Vec<String>,
    /// Where its rates stand.
    pub source: Source,
    /// What the book remarks on it.
    pub note: Option<String>,
    /// The rates in force at the instant that was asked for.
    pub in_force: ShownPeriod,
    /// Those that follow, if the book knows of any.
    pub next: Option<ShownPeriod>,
    /// The multipliers that apply if their condition holds. Those that change nothing are left out.
    pub multipliers: Vec<ShownMultiplier>,
    /// Prices that do not depend on the model, in nano-dollars for a thousand.
    pub per_thousand: [(Class, NanoUsd); 2],
    /// Where the list prices are published.
    pub sources: Vec<String>,
}

impl Shown {
    /// Whether the book does not know the model, so that these are the dearest rates it has.
    #[must_use]
    pub fn is_unknown(&self) -> bool {
        self.source == Source::Dearest
    }
}

/// The rates of a period.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShownPeriod {
    /// When it begins; absent if it holds from the beginning.
    pub from: Option<UnixMs>,
    /// Nano-dollars for a million tokens of each class.
    pub per_million: [(Class, NanoUsd); 5],
    /// The rates of longer prompts, and the number of tokens above which they apply to the whole inference.
    pub long_prompt: Option<(u64, [(Class, NanoUsd); 5])>,
}

/// A multiplier that may apply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShownMultiplier {
    /// The factor in force, and what it is for.
    pub factor: Factor,
    /// Whether it applies to every request. Otherwise it depends on how the request was served.
    pub always: bool,
    /// When it changes next, and to what.
    pub next: Option<(UnixMs, Multiplier)>,
}

impl PriceBook {
    /// What the book says about a model, in whatever spelling, at an instant and at an upstream; at none if the name is
    /// empty.
    #[must_use]
    pub fn show(&self, model: &str, at: UnixMs, upstream: &str) -> Shown {
        let book = &self.0;
        let upstream = book.upstream(upstream);
        let in_region =
            ModelId::take_apart(model).regional || upstream.is_some_and(|upstream| upstream.regional);
        let (model, source) = book.look_up(model, at, upstream);
        let (from, period) = model.periods.in_force(at);
        Shown {
            version: book.version.clone(),
            model: model.name.clone(),
            aliases: model.aliases.clone(),
            source,
            note: model.note.clone(),
            in_force: shown(from, period),
            next: model.periods.next(at).map(|(from, period)| shown(Some(from), period)),
            multipliers: self.multipliers(model, at, upstream, in_region),
            per_thousand: [
                (Class::WebSearch, NanoUsd(book.web_search.at(at).0 / 1000)),
                (Class::CodeExecution, NanoUsd(book.code_execution.at(at).0 / 1000)),
            ],
            sources: book.sources.clone(),
        }
    }

    /// The multipliers that tokens of this model can meet there.
    fn multipliers(
        &self,
        model: &Model,
        at: UnixMs,
        upstream: Option<&Upstream>,
        in_region: bool,
    ) -> Vec<ShownMultiplier> {
        let book = &self.0;
        let may_apply = [
            (true, false, Reason::Fast, &model.fast),
            (true, false, Reason::Batch, &book.batch),
            (model.us_inference, false, Reason::UsInference, &book.us_inference),
            (model.regional, in_region, Reason::Regional, &book.regional),
            (true, true, Reason::Contract, &book.contract),
        ];
        let of_upstream = upstream.map(|upstream| (true, true, Reason::Upstream, &upstream.multiplier));
        let shown = |(applies, always, reason, timeline): (bool, bool, Reason, &Timeline<Multiplier>)| {
            let factor = Factor { reason, multiplier: *timeline.at(at) };
            let next = timeline.next(at).map(|(from, multiplier)| (from, *multiplier));
            let matters = applies && (factor.multiplier != Multiplier::ONE || next.is_some());
            matters.then_some(ShownMultiplier { factor, always, next })
        };
        may_apply.into_iter().chain(of_upstream).filter_map(shown).collect()
    }
}

fn shown(from: Option<UnixMs>, period: &Period) -> ShownPeriod {
    let named = |rates: &Rates| Class::TOKENS.map(|class| (class, rates[class as usize]));
    ShownPeriod {
        from,
        per_million: named(&period.rates),
        long_prompt: period.long_prompt.as_ref().map(|long| (long.above_tokens, named(&long.rates))),
    }
}
