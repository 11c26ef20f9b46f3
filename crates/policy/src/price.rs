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
//! - Multipliers apply to tokens: the faster serving, or the batch discount (the two exclude each other),
//!   and one premium for place, US inference or a regional cloud endpoint, the larger if both are
//!   reported. The contract's multiplier applies to everything.
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
use book::{Book, Model};
use model_id::ModelId;

mod bill;
mod book;
mod estimate;
mod model_id;

pub use bill::{Class, Cost, Line, Multiplier, Priced};
pub use estimate::{OUTPUT_TOKENS_MAX, PROMPT_TOKENS_MAX, floor, input_estimate};

const BUILTIN: &str = include_str!("price/book.json");

/// What is to be priced.
#[derive(Debug, Clone, Copy)]
pub struct Sale<'a> {
    /// The model that the client asked for; counts only if the serving model is not known.
    pub requested_model: &'a str,
    /// The model that served, as the answer names it; empty if it names none.
    pub model: &'a str,
    /// What was used.
    pub usage: &'a Usage,
    /// When; decides which rates were in force.
    pub at: UnixMs,
    /// Whether it was part of a batch.
    pub batch: bool,
    /// Whether it ran on a regional endpoint of a cloud. An id with a region in it says so too.
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
        book::read(json).map(Self)
    }

    /// The version of the book, for the journal.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.0.version
    }

    /// The names of the models that the book has rates for, aliases among them, in lower case.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.names.keys().map(String::as_str)
    }

    /// Whether the book has rates for this model, in whatever spelling.
    #[must_use]
    pub fn knows(&self, model: &str) -> bool {
        self.look_up(model).1
    }

    /// Prices a sale and shows how.
    #[must_use]
    pub fn price(&self, sale: &Sale<'_>) -> Priced {
        let mut lines = Vec::new();
        let Cost { amount, unknown_model } = self.each_line(sale, |model, line| {
            lines.push(Line {
                model: model.to_owned(),
                class: line.class,
                quantity: line.quantity,
                rate_per_million: line.rate,
                multiplier: line.multiplier,
                amount: line.amount(),
            });
        });
        Priced { cost: amount, lines, unknown_model }
    }

    /// Prices a sale, and keeps no lines.
    #[must_use]
    pub fn cost(&self, sale: &Sale<'_>) -> Cost {
        self.each_line(sale, |_, _| {})
    }

    /// What a request may cost at most, to be set aside before it is sent, and booked if its end is never
    /// seen.
    ///
    /// The whole input at the dearest input class of the model (all of it written to the cache for an
    /// hour), the whole `max_tokens` as output, at the larger premium for place that the model has. A
    /// request for the faster serving, and server tools, can exceed it. An unknown model takes the dearest
    /// known rates; see [`PriceBook::knows`]. Both counts are held at what a model can read and write at most,
    /// [`PROMPT_TOKENS_MAX`] and [`OUTPUT_TOKENS_MAX`]: a client that asks for more cannot get it.
    #[must_use]
    pub fn reservation(
        &self,
        model: &str,
        at: UnixMs,
        input_tokens_estimate: u64,
        max_tokens: u64,
    ) -> NanoUsd {
        let input_tokens = input_tokens_estimate.min(PROMPT_TOKENS_MAX);
        let output_tokens = max_tokens.min(OUTPUT_TOKENS_MAX);
        let (model, _) = self.look_up(model);
        let rates = model.rates(at, input_tokens);
        let input_classes = Class::TOKENS.into_iter().filter(|class| *class != Class::Output);
        let input_rate = input_classes.map(|class| rates[class as usize]).fold(NanoUsd::ZERO, NanoUsd::max);
        let mode = Mode { fast: false, batch: false, us_inference: true, regional: true };
        let multiplier = self.multiplier(model, mode);
        let (class, rate) = (Class::Output, rates[Class::Output as usize]);
        let output = Item { class, quantity: output_tokens, rate, multiplier };
        let (class, rate) = (Class::Input, input_rate);
        let input = Item { class, quantity: input_tokens, rate, multiplier };
        input.amount().saturating_add(output.amount())
    }

    /// Gives every line of a sale to `line`, and sums them up.
    fn each_line(&self, sale: &Sale<'_>, mut line: impl FnMut(&str, &Item)) -> Cost {
        let serving = if sale.model.is_empty() { sale.requested_model } else { sale.model };
        let mode = Mode::of(sale);
        let mut amount = NanoUsd::ZERO;
        let mut unknown_model = false;
        let mut add = |model: &Model, mut item: Item| {
            item.quantity = item.quantity.min(COUNT_MAX);
            if item.quantity > 0 {
                line(&model.name, &item);
                amount = amount.saturating_add(item.amount());
            }
        };
        for (name, counts) in inferences(sale.usage, serving) {
            let (model, known) = self.look_up(name);
            unknown_model |= !known;
            let rates = model.rates(sale.at, prompt_tokens(&counts));
            let multiplier = self.multiplier(model, mode);
            for (class, quantity) in Class::TOKENS.into_iter().zip(counts) {
                let rate = rates[class as usize];
                add(model, Item { class, quantity, rate, multiplier });
            }
        }
        let (model, _) = self.look_up(serving);
        let tools = [
            (Class::WebSearch, sale.usage.web_search_requests, self.0.web_search),
            (Class::CodeExecution, sale.usage.code_execution_requests, self.0.code_execution),
        ];
        for (class, quantity, rate) in tools {
            add(model, Item { class, quantity, rate, multiplier: self.0.contract });
        }
        Cost { amount, unknown_model }
    }

    /// The model of this id and whether it is known; for an unknown one, the dearest.
    fn look_up(&self, id: &str) -> (&Model, bool) {
        let find = |name: &str| {
            let place = match self.0.names.get(name) {
                // Ids are in lower case nearly always; only others are copied.
                None if name.bytes().any(|byte| byte.is_ascii_uppercase()) => {
                    self.0.names.get(&name.to_ascii_lowercase())
                }
                place => place,
            };
            place.map(|place| &self.0.models[*place])
        };
        match find(id).or_else(|| find(ModelId::take_apart(id).name)) {
            Some(model) => (model, true),
            None => (&self.0.dearest, false),
        }
    }

    /// The product of all multipliers on the tokens of this model.
    fn multiplier(&self, model: &Model, mode: Mode) -> Multiplier {
        let book = &self.0;
        let when = |condition: bool, multiplier| {
            if condition { multiplier } else { Multiplier::ONE }
        };
        let pace = if mode.fast { model.fast } else { when(mode.batch, book.batch) };
        let us_inference = when(mode.us_inference && model.us_inference, book.us_inference);
        let regional = when(mode.regional && model.regional, book.regional);
        pace.times(us_inference.max(regional)).times(book.contract)
    }
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
    fn of(sale: &Sale<'_>) -> Self {
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
            regional: sale.regional || requested.regional || serving.regional,
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
