//! What usage costs, by a book of rates that is data.
//!
//! Every rate is in nano-dollars per million units, so $0.01 per million tokens is the integer 10 000 000.
//! A line of a bill is `quantity x rate x multiplier / 1 000 000`, computed in 128 bits and rounded once,
//! half up, to a nano-dollar. The cost is the sum of its lines. Nothing wraps: a count is held at
//! [`COUNT_MAX`], and what does not fit at the largest amount.
//!
//! How a request is priced:
//!
//! - The model is the one that served. When the usage lists iterations, each is priced by its own model
//!   and the totals are left aside, because the API leaves compaction and advisor iterations out of them.
//! - A model that is in no book is priced by the dearest known rate in every class, and flagged. So a new
//!   model can never be free.
//! - The length of the prompt, cached parts included, decides between the rates for short and for long
//!   prompts, for the whole inference.
//! - Rates are looked up at the upstream that served, which may have its own, then in the list. Those of
//!   an upstream count from their first date on; before it, the list does.
//! - Multipliers apply to tokens: the faster serving, or the batch discount (the two exclude each other),
//!   and one premium for place, US inference or a regional cloud endpoint, the larger if both are
//!   reported. The multipliers of the contract and of the upstream apply to everything, one on top of the
//!   other.
//! - Rates and multipliers have dates. A request is priced by what was in force when it was admitted.
//! - Web searches are priced by the search, web fetches are free. Code execution is billed by container
//!   time, which usage does not tell: every run is priced as the five minutes that are billed at least,
//!   and the monthly allowance of the organisation is not known here.
//!
//! Source of rates and rules: <https://platform.claude.com/docs/en/about-claude/pricing> and the pages that
//! `book.json` lists.

use std::sync::OnceLock;

use crate::unit::{NanoUsd, UnixMs};
use crate::usage::{COUNT_MAX, Iteration, Usage};

use bill::{Item, RATE_CLASSES};
use book::{Book, Model, Upstream};
use model_id::ModelId;

mod bill;
mod book;
mod estimate;
pub(crate) mod model_id;
mod rerate;
mod reserve;
mod show;

pub use bill::{Class, Cost, Factor, Line, Multiplier, Priced, Reason, Source};
pub use estimate::{
    ADDED_TOKENS_MAX, IMAGE_TOKENS_MAX, OUTPUT_TOKENS_MAX, PROMPT_TOKENS_MAX, floor, input_bound,
    input_estimate,
};
pub use rerate::Rerated;
pub use reserve::Order;
pub use show::{Shown, ShownMultiplier, ShownPeriod};

const BUILTIN: &str = include_str!("price/book.json");

/// What is to be priced.
#[derive(Debug, Clone, Copy)]
pub struct Sale<'a> {
    /// The model that the client asked for; counts only if the serving model is not known.
    pub requested_model: &'a str,
    /// The model that served, as the answer names it; empty if it names none.
    pub model: &'a str,
    /// The name of the upstream that served; empty if it is not known, and then the list prices count.
    pub upstream: &'a str,
    /// What was used.
    pub usage: &'a Usage,
    /// When; decides which rates were in force.
    pub at: UnixMs,
    /// Whether it was part of a batch.
    pub batch: bool,
    /// Whether it ran on a regional endpoint of a cloud. An id with a region in it says so too, and so does the book
    /// of an upstream.
    pub regional: bool,
}

/// What is wrong with a price book, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {rule}")]
pub struct PriceProblem {
    /// The place in the document, such as `models[3].periods[0].usd_per_million.output`, or a line and
    /// column when the text is no such document at all.
    pub path: String,
    /// The rule that is broken.
    pub rule: String,
}

impl PriceProblem {
    fn new(path: impl Into<String>, rule: impl Into<String>) -> Self {
        Self { path: path.into(), rule: rule.into() }
    }
}

/// Rates and multipliers over time.
#[derive(Debug, Clone)]
pub struct PriceBook(Book);

impl PriceBook {
    /// The book that comes with the program: the vendor's list prices.
    #[must_use]
    pub fn builtin() -> &'static Self {
        static BOOK: OnceLock<PriceBook> = OnceLock::new();
        BOOK.get_or_init(|| match Self::parse(BUILTIN) {
            Ok(book) => book,
            Err(problem) => unreachable!("the built-in price book is checked by tests: {problem}"),
        })
    }

    /// The text of the book that comes with the program: what an operator starts from to write another.
    #[must_use]
    pub fn builtin_text() -> &'static str {
        BUILTIN
    }

    /// Reads a book and checks it.
    ///
    /// # Errors
    /// [`PriceProblem`]: the first amount that is missing, negative or no number, the first period that
    /// does not begin after the one before, the first name that stands twice, or a long-prompt rate below
    /// the short one.
    pub fn parse(json: &str) -> Result<Self, PriceProblem> {
        book::read::read(json).map(Self)
    }

    /// The version of the book, for the journal.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.0.version
    }

    /// The names of the models that the book has rates for, aliases among them, in lower case.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let upstreams = self.0.upstreams.values().map(|upstream| &upstream.models);
        std::iter::once(&self.0.list)
            .chain(upstreams)
            .flat_map(|models| models.names.keys())
            .map(String::as_str)
    }

    /// Whether the book has rates for this model, in whatever spelling, at an instant and at an upstream.
    #[must_use]
    pub fn knows(&self, model: &str, at: UnixMs, upstream: &str) -> bool {
        self.0.look_up(model, at, self.0.upstream(upstream)).1 != Source::Dearest
    }

    /// The name that the list has for a model, in whatever spelling; else the plain name in its id.
    #[must_use]
    pub fn name<'a>(&'a self, model: &'a str) -> &'a str {
        self.0.list.find(model).map_or_else(|| ModelId::take_apart(model).name, |model| &model.name)
    }

    /// The upstreams that the book has something to say about.
    pub fn upstreams(&self) -> impl Iterator<Item = &str> {
        self.0.upstreams.keys().map(String::as_str)
    }

    /// Prices a sale and shows how.
    #[must_use]
    pub fn price(&self, sale: &Sale<'_>) -> Priced {
        let mut lines = Vec::new();
        let Cost { amount, unknown_model } = self.each_line(sale, |rates, item, factors| {
            lines.push(Line {
                model: rates.model.name.clone(),
                class: item.class,
                quantity: item.quantity,
                rate_per_million: item.rate,
                source: rates.source,
                long_prompt: rates.long_prompt,
                multiplier: item.multiplier,
                factors: factors
                    .iter()
                    .filter(|factor| factor.multiplier != Multiplier::ONE)
                    .copied()
                    .collect(),
                amount: item.amount(),
            });
        });
        Priced { cost: amount, lines, unknown_model }
    }

    /// Prices a sale, and keeps no lines.
    #[must_use]
    pub fn cost(&self, sale: &Sale<'_>) -> Cost {
        self.each_line(sale, |_, _, _| {})
    }

    /// Gives every line of a sale to `line`, and sums them up.
    fn each_line(&self, sale: &Sale<'_>, mut line: impl FnMut(&Found<'_>, &Item, &[Factor])) -> Cost {
        let serving = if sale.model.is_empty() { sale.requested_model } else { sale.model };
        let upstream = self.0.upstream(sale.upstream);
        let mode = Mode::of(sale, upstream);
        let mut amount = NanoUsd::ZERO;
        let mut unknown_model = false;
        let mut add = |found: &Found<'_>, mut item: Item, factors: &[Factor]| {
            item.quantity = item.quantity.min(COUNT_MAX);
            if item.quantity > 0 {
                line(found, &item, factors);
                amount = amount.saturating_add(item.amount());
            }
        };
        for (name, counts) in inferences(sale.usage, serving) {
            let (model, source) = self.0.look_up(name, sale.at, upstream);
            unknown_model |= source == Source::Dearest;
            let (rates, long_prompt) = model.periods.at(sale.at).rates(prompt_tokens(&counts));
            let found = Found { model, source, long_prompt };
            let factors = self.factors(model, mode, sale.at, upstream);
            let multiplier = product(&factors);
            for (class, quantity) in Class::TOKENS.into_iter().zip(counts) {
                let rate = rates[class as usize];
                add(&found, Item { class, quantity, rate, multiplier }, &factors);
            }
        }
        let (model, source) = self.0.look_up(serving, sale.at, upstream);
        let found = Found { model, source, long_prompt: false };
        let contracts = self.contracts(sale.at, upstream);
        let multiplier = product(&contracts);
        let tools = [
            (Class::WebSearch, sale.usage.web_search_requests, &self.0.web_search),
            (Class::CodeExecution, sale.usage.code_execution_requests, &self.0.code_execution),
        ];
        for (class, quantity, rate) in tools {
            add(&found, Item { class, quantity, rate: *rate.at(sale.at), multiplier }, &contracts);
        }
        Cost { amount, unknown_model }
    }

    /// The factors on the tokens of this model.
    fn factors(&self, model: &Model, mode: Mode, at: UnixMs, upstream: Option<&Upstream>) -> [Factor; 4] {
        let book = &self.0;
        let when = |condition: bool, reason, multiplier: &Multiplier| {
            let multiplier = if condition { *multiplier } else { Multiplier::ONE };
            Factor { reason, multiplier }
        };
        let pace = if mode.fast {
            when(true, Reason::Fast, model.fast.at(at))
        } else {
            when(mode.batch, Reason::Batch, book.batch.at(at))
        };
        let us_inference =
            when(mode.us_inference && model.us_inference, Reason::UsInference, book.us_inference.at(at));
        let regional = when(mode.regional && model.regional, Reason::Regional, book.regional.at(at));
        let place = if regional.multiplier > us_inference.multiplier { regional } else { us_inference };
        let [contract, upstream] = self.contracts(at, upstream);
        [pace, place, contract, upstream]
    }

    /// The factors on everything.
    fn contracts(&self, at: UnixMs, upstream: Option<&Upstream>) -> [Factor; 2] {
        let upstream = upstream.map_or(Multiplier::ONE, |upstream| *upstream.multiplier.at(at));
        [
            Factor { reason: Reason::Contract, multiplier: *self.0.contract.at(at) },
            Factor { reason: Reason::Upstream, multiplier: upstream },
        ]
    }
}

/// Whose rates an inference is priced by.
struct Found<'a> {
    model: &'a Model,
    source: Source,
    long_prompt: bool,
}

fn product(factors: &[Factor]) -> Multiplier {
    factors.iter().fold(Multiplier::ONE, |product, factor| product.times(factor.multiplier))
}

/// How a request was served, as far as its price depends on it.
#[derive(Debug, Clone, Copy)]
struct Mode {
    fast: bool,
    batch: bool,
    us_inference: bool,
    regional: bool,
}

impl Mode {
    fn of(sale: &Sale<'_>, upstream: Option<&Upstream>) -> Self {
        let usage = sale.usage;
        let [requested, serving] = [sale.requested_model, sale.model].map(ModelId::take_apart);
        Self {
            // The answer says what ran. The id counts only where the platform reports no speed.
            fast: match usage.speed.as_deref() {
                Some(speed) => speed == "fast",
                None => requested.fast || serving.fast,
            },
            batch: sale.batch || usage.service_tier.as_deref() == Some("batch"),
            us_inference: usage.inference_geo.as_deref() == Some("us"),
            regional: sale.regional
                || requested.regional
                || serving.regional
                || upstream.is_some_and(|upstream| upstream.regional),
        }
    }
}

/// Token counts in the order of [`Class::TOKENS`].
type Counts = [u64; RATE_CLASSES];

/// The inferences to price, each with the model that ran it: the iterations if they account for any token,
/// otherwise one inference with the totals.
fn inferences<'a>(usage: &'a Usage, serving: &'a str) -> impl Iterator<Item = (&'a str, Counts)> {
    let iterations = usage.iterations.iter().map(move |iteration| {
        let model = iteration.model.as_deref().unwrap_or(serving);
        (model, counts_of_iteration(iteration))
    });
    let accounted = iterations.clone().any(|(_, counts)| counts.iter().any(|count| *count > 0));
    let totals = (!accounted).then(|| (serving, counts_of_totals(usage)));
    totals.into_iter().chain(iterations.filter(move |_| accounted))
}

fn counts_of_totals(usage: &Usage) -> Counts {
    [
        usage.input_tokens,
        usage.output_tokens,
        usage.cache_write_5m_tokens,
        usage.cache_write_1h_tokens,
        usage.cache_read_tokens,
    ]
}

fn counts_of_iteration(iteration: &Iteration) -> Counts {
    [
        iteration.input_tokens,
        iteration.output_tokens,
        iteration.cache_write_5m_tokens,
        iteration.cache_write_1h_tokens,
        iteration.cache_read_tokens,
    ]
}

/// The length of the prompt: every class but output.
fn prompt_tokens(counts: &Counts) -> u64 {
    let all = Class::TOKENS.into_iter().zip(counts);
    all.filter(|(class, _)| *class != Class::Output).fold(0, |sum, (_, count)| sum.saturating_add(*count))
}

#[cfg(test)]
mod tests;
