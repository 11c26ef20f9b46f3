//! The ledger's side: the answer of `GET /admin/v1/usage?by=day,model,upstream`.

use jiff::civil::Date;
use serde::{Deserialize, Deserializer, de::Error};

/// What the ledger says.
#[derive(Debug, Deserialize)]
pub(crate) struct Ledger {
    /// A row for each day, model and upstream that was used.
    pub(crate) rows: Vec<Booked>,
}

/// What was booked for a day, a model and an upstream.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Booked {
    /// The day of the admissions, in UTC.
    #[serde(deserialize_with = "date")]
    pub(crate) day: Date,
    /// The model that served; none for requests that have none.
    pub(crate) model: Option<String>,
    /// The upstream.
    pub(crate) upstream: Option<String>,
    /// Its figures.
    #[serde(flatten)]
    pub(crate) figures: Figures,
}

/// Figures of some requests. A newer gateway may tell more than these.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
pub(crate) struct Figures {
    /// Requests that went upstream.
    pub(crate) requests: u64,
    /// Of these, the ones whose usage is in part estimated.
    pub(crate) estimated: u64,
    /// Of these, the ones whose end nobody saw; they cost what was reserved.
    pub(crate) unknown: u64,
    /// Of these, the ones whose model the price book does not know.
    pub(crate) unknown_price: u64,
    /// Input tokens outside the cache.
    pub(crate) input_tokens: u64,
    /// Output tokens.
    pub(crate) output_tokens: u64,
    /// Input tokens written to the cache, where the gateway tells them in one.
    #[serde(default)]
    pub(crate) cache_write_tokens: u64,
    /// Those for five minutes, where it tells them apart.
    #[serde(default)]
    pub(crate) cache_write_5m_tokens: u64,
    /// Those for an hour.
    #[serde(default)]
    pub(crate) cache_write_1h_tokens: u64,
    /// Input tokens read from the cache.
    pub(crate) cache_read_tokens: u64,
    /// What they cost when they were settled, in nano-dollars.
    pub(crate) cost_nano_usd: i64,
    /// What adjustments added since, in nano-dollars, on the days on which they were made.
    #[serde(default)]
    pub(crate) adjusted_nano_usd: i64,
}

impl Figures {
    /// Tokens written to the cache, for however long.
    pub(crate) fn cache_writes(&self) -> u64 {
        let apart = self.cache_write_5m_tokens.saturating_add(self.cache_write_1h_tokens);
        self.cache_write_tokens.max(apart)
    }

    /// The sum of both. Counts are held at the end of their range.
    pub(crate) fn and(&self, other: &Self) -> Self {
        Self {
            requests: self.requests.saturating_add(other.requests),
            estimated: self.estimated.saturating_add(other.estimated),
            unknown: self.unknown.saturating_add(other.unknown),
            unknown_price: self.unknown_price.saturating_add(other.unknown_price),
            input_tokens: self.input_tokens.saturating_add(other.input_tokens),
            output_tokens: self.output_tokens.saturating_add(other.output_tokens),
            cache_write_tokens: self.cache_writes().saturating_add(other.cache_writes()),
            cache_write_5m_tokens: self.cache_write_5m_tokens.saturating_add(other.cache_write_5m_tokens),
            cache_write_1h_tokens: self.cache_write_1h_tokens.saturating_add(other.cache_write_1h_tokens),
            cache_read_tokens: self.cache_read_tokens.saturating_add(other.cache_read_tokens),
            cost_nano_usd: self.cost_nano_usd.saturating_add(other.cost_nano_usd),
            adjusted_nano_usd: self.adjusted_nano_usd.saturating_add(other.adjusted_nano_usd),
        }
    }
}

fn date<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Date, D::Error> {
    let text = String::deserialize(deserializer)?;
    text.parse().map_err(|_| D::Error::custom(format!("{text:?} is no day")))
}
