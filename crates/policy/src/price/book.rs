//! The price book in memory: checked, indexed, immutable. How it is written and read is in [`mod@read`].

use std::collections::BTreeMap;

use super::bill::{Multiplier, RATE_CLASSES, Source};
use super::model_id::ModelId;
use crate::unit::{NanoUsd, UnixMs};

pub(super) mod read;
mod text;

/// Rates of one model in nano-dollars per million tokens, indexed by token class.
pub(super) type Rates = [NanoUsd; RATE_CLASSES];

/// A checked price book.
#[derive(Debug, Clone)]
pub(super) struct Book {
    pub(super) version: String,
    /// Where the list prices are published.
    pub(super) sources: Vec<String>,
    pub(super) batch: Timeline<Multiplier>,
    pub(super) us_inference: Timeline<Multiplier>,
    pub(super) regional: Timeline<Multiplier>,
    pub(super) contract: Timeline<Multiplier>,
    /// Nano-dollars per million searches.
    pub(super) web_search: Timeline<NanoUsd>,
    /// Nano-dollars per million runs.
    pub(super) code_execution: Timeline<NanoUsd>,
    /// The list prices.
    pub(super) list: Models,
    /// By the name that the upstream has in the configuration.
    pub(super) upstreams: BTreeMap<String, Upstream>,
    /// For a model that is in no book: in every class the dearest rate of any model, anywhere, at any time.
    pub(super) dearest: Model,
}

/// What differs at one upstream.
#[derive(Debug, Clone)]
pub(super) struct Upstream {
    /// The factor of its contract, on everything, beside the contract of the book.
    pub(super) multiplier: Timeline<Multiplier>,
    /// Whether all of it runs on regional endpoints.
    pub(super) regional: bool,
    /// The models that have rates of their own there.
    pub(super) models: Models,
}

/// Models that are found by any of their names.
#[derive(Debug, Clone, Default)]
pub(super) struct Models {
    pub(super) rows: Vec<Model>,
    /// Name or alias, in lower case, to place in `rows`.
    pub(super) names: BTreeMap<String, usize>,
}

/// One model and its rates over time.
#[derive(Debug, Clone)]
pub(super) struct Model {
    pub(super) name: String,
    pub(super) aliases: Vec<String>,
    pub(super) note: Option<String>,
    /// Whether the premium for inference in the US applies.
    pub(super) us_inference: bool,
    /// Whether the premium for inference in a region applies.
    pub(super) regional: bool,
    pub(super) fast: Timeline<Multiplier>,
    pub(super) periods: Timeline<Period>,
}

/// The rates from an instant on.
#[derive(Debug, Clone)]
pub(super) struct Period {
    pub(super) rates: Rates,
    pub(super) long_prompt: Option<LongPrompt>,
}

/// The rates of a request whose prompt is longer than a bound.
#[derive(Debug, Clone)]
pub(super) struct LongPrompt {
    pub(super) above_tokens: u64,
    pub(super) rates: Rates,
}

/// What holds when: values, each from an instant until the next one's. The first also holds for all time before
/// it. Never empty.
#[derive(Debug, Clone)]
pub(super) struct Timeline<T>(Vec<(UnixMs, T)>);

impl<T> Timeline<T> {
    /// One value for all time.
    pub(super) fn always(value: T) -> Self {
        Self(vec![(UnixMs::MIN, value)])
    }

    /// The value in force at an instant.
    pub(super) fn at(&self, at: UnixMs) -> &T {
        &self.0[self.place(at)].1
    }

    /// The value in force at an instant, and since when; no instant if it is the first.
    pub(super) fn in_force(&self, at: UnixMs) -> (Option<UnixMs>, &T) {
        let (from, value) = &self.0[self.place(at)];
        (Some(*from).filter(|from| *from <= at && *from != UnixMs::MIN), value)
    }

    /// The value that follows the one in force, and when.
    pub(super) fn next(&self, at: UnixMs) -> Option<(UnixMs, &T)> {
        self.0.get(self.place(at) + 1).map(|(from, value)| (*from, value))
    }

    /// When the first value was put in force.
    pub(super) fn begins(&self) -> UnixMs {
        self.0[0].0
    }

    /// All values that hold at any time.
    pub(super) fn values(&self) -> impl Iterator<Item = &T> {
        self.0.iter().map(|(_, value)| value)
    }

    fn place(&self, at: UnixMs) -> usize {
        self.0.partition_point(|(from, _)| *from <= at).saturating_sub(1)
    }
}

impl Period {
    /// The rates for a prompt of this length, all input classes counted, and whether they are those for long prompts.
    pub(super) fn rates(&self, prompt_tokens: u64) -> (&Rates, bool) {
        match &self.long_prompt {
            Some(long) if prompt_tokens > long.above_tokens => (&long.rates, true),
            _ => (&self.rates, false),
        }
    }
}

impl Book {
    /// What differs at the upstream of this name.
    pub(super) fn upstream(&self, name: &str) -> Option<&Upstream> {
        self.upstreams.get(name)
    }

    /// The model of this id, and where its rates stand: the upstream's own, those of the list, or else the dearest.
    ///
    /// An upstream's own rates that are not yet in force leave those of the list in force.
    pub(super) fn look_up<'a>(
        &'a self,
        id: &str,
        at: UnixMs,
        upstream: Option<&'a Upstream>,
    ) -> (&'a Model, Source) {
        let own = upstream.and_then(|upstream| upstream.models.find(id));
        match own.filter(|model| model.periods.begins() <= at) {
            Some(model) => (model, Source::Upstream),
            None => match self.list.find(id) {
                Some(model) => (model, Source::List),
                None => (&self.dearest, Source::Dearest),
            },
        }
    }
}

impl Models {
    /// The model with this id, or with the name that the id leads to.
    pub(super) fn find(&self, id: &str) -> Option<&Model> {
        self.named(id).or_else(|| self.named(ModelId::take_apart(id).name))
    }

    fn named(&self, name: &str) -> Option<&Model> {
        let place = match self.names.get(name) {
            // Ids are in lower case nearly always; only others are copied.
            None if name.bytes().any(|byte| byte.is_ascii_uppercase()) => {
                self.names.get(&name.to_ascii_lowercase())
            }
            place => place,
        };
        place.map(|place| &self.rows[*place])
    }
}
