//! The lines of a bill: what is counted, at which rate, with which factor.

use std::fmt;

use crate::unit::NanoUsd;
use crate::usage::COUNT_MAX;

const MILLION: i128 = 1_000_000;

/// How many classes of tokens have a rate.
pub(super) const RATE_CLASSES: usize = 5;

/// What is counted and has a price of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Class {
    /// Input tokens outside the cache.
    Input,
    /// Output tokens.
    Output,
    /// Input tokens written to the cache for five minutes.
    CacheWrite5m,
    /// Input tokens written to the cache for one hour.
    CacheWrite1h,
    /// Input tokens read from the cache.
    CacheRead,
    /// Web searches.
    WebSearch,
    /// Runs of the code execution tool.
    CodeExecution,
}

impl Class {
    /// The classes of tokens; each is an index into a model's rates.
    pub(super) const TOKENS: [Self; RATE_CLASSES] =
        [Self::Input, Self::Output, Self::CacheWrite5m, Self::CacheWrite1h, Self::CacheRead];

    /// The stable name, as in the price book.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Input => "input",
            Self::Output => "output",
            Self::CacheWrite5m => "cache_write_5m",
            Self::CacheWrite1h => "cache_write_1h",
            Self::CacheRead => "cache_read",
            Self::WebSearch => "web_search",
            Self::CodeExecution => "code_execution",
        }
    }
}

/// A factor on a price, exact: the product of up to four multipliers of three decimals each, at most ten
/// each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Multiplier(pub(super) i64);

impl Multiplier {
    /// The factor that changes nothing. Counted in units of 10^-12.
    pub const ONE: Self = Self(1_000_000_000_000);
    pub(super) const THOUSANDTH: i64 = 1_000_000_000;

    /// The product. Exact, because every factor is a whole number of thousandths and there are at most
    /// four.
    pub(super) fn times(self, factor: Self) -> Self {
        Self(self.0 / 1000 * (factor.0 / Self::THOUSANDTH))
    }
}

/// The factor as a decimal number: `1`, `0.55`.
impl fmt::Display for Multiplier {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = format!("{}.{:012}", self.0 / Self::ONE.0, self.0 % Self::ONE.0);
        formatter.pad(text.trim_end_matches('0').trim_end_matches('.'))
    }
}

/// Where a rate stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Source {
    /// Among the upstream's own rates.
    Upstream,
    /// In the list.
    List,
    /// Nowhere: the model is unknown, and each rate is the dearest that the book has for any model at any time.
    Dearest,
}

impl Source {
    /// The stable name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Upstream => "upstream",
            Self::List => "list",
            Self::Dearest => "dearest",
        }
    }
}

/// What a multiplier is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Reason {
    /// The faster serving.
    Fast,
    /// Part of a batch.
    Batch,
    /// Inference in the US, asked for with `inference_geo`.
    UsInference,
    /// A regional endpoint of a cloud.
    Regional,
    /// The contract of the whole book.
    Contract,
    /// The contract of one upstream.
    Upstream,
}

impl Reason {
    /// The stable name, as in the price book.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Fast => "fast",
            Self::Batch => "batch",
            Self::UsInference => "us_inference",
            Self::Regional => "regional",
            Self::Contract => "contract",
            Self::Upstream => "upstream",
        }
    }
}

/// A multiplier and what it is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Factor {
    /// What it is for.
    pub reason: Reason,
    /// The factor.
    pub multiplier: Multiplier,
}

/// One line before it is shown: a quantity at a rate.
#[derive(Debug, Clone, Copy)]
pub(super) struct Item {
    pub(super) class: Class,
    pub(super) quantity: u64,
    pub(super) rate: NanoUsd,
    pub(super) multiplier: Multiplier,
}

const SCALE: i128 = MILLION * Multiplier::ONE.0 as i128;

impl Item {
    /// The exact amount, rounded half up to a nano-dollar.
    pub(super) fn amount(&self) -> NanoUsd {
        i128::from(self.quantity)
            .checked_mul(i128::from(self.rate.0))
            .and_then(|product| product.checked_mul(i128::from(self.multiplier.0)))
            .and_then(|product| product.checked_add(SCALE / 2))
            // Past 128 bits the amount is above 10^20 after scaling, far past what an amount can hold.
            .map_or(NanoUsd(i64::MAX), |product| NanoUsd::saturating_from(product / SCALE))
    }

    /// The amount if each unit is rounded up to a nano-dollar. However the quantity is split into lines, and
    /// whatever part of it is used: the sum of their amounts, each rounded on its own, is not above this.
    pub(super) fn amount_at_most(&self) -> NanoUsd {
        let product = i128::from(self.rate.0) * i128::from(self.multiplier.0);
        let unit = (product + SCALE - 1) / SCALE;
        NanoUsd::saturating_from(unit.saturating_mul(i128::from(self.quantity.min(COUNT_MAX))))
    }
}

/// A price with its lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Priced {
    /// The sum of the lines.
    pub cost: NanoUsd,
    /// One line per model and class that was used.
    pub lines: Vec<Line>,
    /// Whether a model was in no book, so that the dearest rates were taken.
    pub unknown_model: bool,
}

/// One line of a price.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// The model's name in the price book, or `unknown`.
    pub model: String,
    /// What was counted.
    pub class: Class,
    /// How many.
    pub quantity: u64,
    /// The rate for a million of them.
    pub rate_per_million: NanoUsd,
    /// Where the rates of that model stand.
    pub source: Source,
    /// Whether the rate is that for long prompts.
    pub long_prompt: bool,
    /// The factor on the rate: the product of `factors`.
    pub multiplier: Multiplier,
    /// What the factor is made of. Those that change nothing are left out.
    pub factors: Vec<Factor>,
    /// `quantity x rate x multiplier`, rounded half up to a nano-dollar.
    pub amount: NanoUsd,
}

/// `claude-haiku-5-5 cache_read: 1200 x $0.01/million x 0.5 = $0.000006`
impl fmt::Display for Line {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { model, quantity, rate_per_million, multiplier, amount, .. } = self;
        let class = self.class.as_str();
        write!(
            formatter,
            "{model} {class}: {quantity} x {rate_per_million}/million x {multiplier} = {amount}"
        )
    }
}

/// A price without its lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cost {
    /// What it costs.
    pub amount: NanoUsd,
    /// Whether a model was in no book, so that the dearest rates were taken.
    pub unknown_model: bool,
}
