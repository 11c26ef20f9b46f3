//! The figures of a statement: what a period cost, and what later came to light about the ones before.

use serde::Serialize;
use tollgate_policy::scope::Name;
use tollgate_policy::unit::NanoUsd;

/// The figures of one period, to be stated for good.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct StatementFigures {
    /// What was booked in the period: requests admitted in it.
    pub lines: Vec<StatementLine>,
    /// Requests of earlier periods that were settled after the statement before was closed.
    pub late: Vec<StatementLine>,
    /// Adjustments made in the period, of whatever requests; and those made earlier but after the statement before was
    /// closed. Only `requests` (how many) and `cost` (their sum) are not zero.
    pub adjustments: Vec<StatementLine>,
}

/// What one group of a statement cost. Lines are in the order of these fields, absent values first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StatementLine {
    /// The cost centre that pays, if a rule names one.
    pub cost_centre: Option<Name>,
    /// The org.
    pub org: Name,
    /// The team.
    pub team: Name,
    /// The project, if there is one.
    pub project: Option<Name>,
    /// The user, if there is one.
    pub user: Option<Name>,
    /// The model that answered, else the one that was asked for.
    pub model: Option<String>,
    /// Settled requests.
    pub requests: u64,
    /// Input tokens outside the cache.
    pub input_tokens: u64,
    /// Output tokens.
    pub output_tokens: u64,
    /// Input tokens written to the cache for five minutes.
    pub cache_write_5m_tokens: u64,
    /// Input tokens written to the cache for one hour.
    pub cache_write_1h_tokens: u64,
    /// Input tokens read from the cache.
    pub cache_read_tokens: u64,
    /// What they cost when they were settled, or what adjustments add.
    #[serde(rename = "cost_nano_usd")]
    pub cost: NanoUsd,
}
