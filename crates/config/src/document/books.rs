//! What people write about limits, quotas, budgets, tags, cost centres and brakes.

use crate::{
    amount::Amount,
    duration::Duration,
    instant::Instant,
    named::{Header, KeyId, Name, Pattern, Zone},
    window::Window,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tollgate_policy::allowance::{Level, Mode, Reserve};

/// What holds for all counting of use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Books {
    /// The zone in whose local time days, and so all calendar periods, begin; an allowance may name another.
    pub time_zone: Zone,
    /// The first day of a week.
    pub week_starts: Weekday,
    /// The month on whose first day the fiscal year begins.
    #[schemars(range(min = 1, max = 12))]
    pub year_starts: u8,
    /// Whether clients see the upstream's own `anthropic-ratelimit-*` headers. They describe the API key that all clients
    /// share; an answer to a request that has limits here carries those instead.
    pub upstream_limit_headers: Visibility,
    /// How many months single records of usage are kept in the ledger, beyond the running one. Daily sums are kept for
    /// ever, and so is the journal; and once a month was closed, the records that the next statement needs are kept
    /// until it is closed too. 0: for ever.
    #[schemars(range(min = 0, max = 1200))]
    pub keep_records_months: u32,
}

impl Default for Books {
    fn default() -> Self {
        Self {
            time_zone: Zone::default(),
            week_starts: Weekday::Monday,
            year_starts: 1,
            upstream_limit_headers: Visibility::Hide,
            keep_records_months: 0,
        }
    }
}

/// Whether something is seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Visibility {
    /// It is left out.
    Hide,
    /// It passes.
    Show,
}

/// The first day of a week.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Weekday {
    /// As ISO 8601 has it.
    Monday,
    /// As in North America.
    Sunday,
    /// As in much of the Arab world.
    Saturday,
}

/// A limit, a quota or a budget: so much of one measure, per span of time, for a part of the organisation. Exactly one of
/// `requests`, `count_tokens`, `input_tokens`, `output_tokens`, `tokens`, `usd` and `concurrent` is given, and with all
/// but `concurrent` exactly one of `per` and `rolling`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Allowance {
    /// What people call it; each name once.
    pub name: Name,
    /// Whose use counts. Absent: everybody's.
    #[serde(default, skip_serializing_if = "On::is_everyone")]
    pub on: On,
    /// One allowance for each of these. Absent: one that all of `on` share.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub each: Option<Level>,
    /// The models whose use counts, however a request spells them: ids or patterns. Absent: all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub models: Vec<Pattern>,
    /// So many requests; those that only count tokens are not among them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1_000_000_000_000_000_000i64))]
    pub requests: Option<u64>,
    /// So many requests that count tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1_000_000_000_000_000_000i64))]
    pub count_tokens: Option<u64>,
    /// So many input tokens. Those read from the cache do not count, as with the API's own limits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1_000_000_000_000_000_000i64))]
    pub input_tokens: Option<u64>,
    /// So many output tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1_000_000_000_000_000_000i64))]
    pub output_tokens: Option<u64>,
    /// So many tokens, input and output together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1_000_000_000_000_000_000i64))]
    pub tokens: Option<u64>,
    /// So many US dollars.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usd: Option<Amount>,
    /// So many requests at the same time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1_000_000_000_000_000_000i64))]
    pub concurrent: Option<u64>,
    /// Per what. A second, a minute and an hour refill steadily; a day and longer begin anew by the calendar.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per: Option<Per>,
    /// In place of `per`: in any window of this length, whenever it begins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rolling: Option<Window>,
    /// With `per: second`, `minute` or `hour`: the most that can be used at once after a pause. Absent: the amount.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub burst: Option<Amount>,
    /// How much is set aside for a request before its use is known.
    #[serde(default)]
    pub reserve: Reserve,
    /// Whether it refuses.
    #[serde(default)]
    pub mode: Mode,
    /// Percentages of the amount at which an event is written and a metric and a header tell of it, rising.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(inner(range(min = 1, max = 100)))]
    pub warn_at: Vec<u8>,
    /// Your own words, added to each refusal: whom to ask, what to do. At most 256 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// The zone in whose local time its periods begin. Absent: `books.time_zone`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_zone: Option<Zone>,
    /// The first day of its weeks. Absent: `books.week_starts`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub week_starts: Option<Weekday>,
    /// The month on whose first day its years begin. Absent: `books.year_starts`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 12))]
    pub year_starts: Option<u8>,
    /// Other amounts for a while. No two may overlap.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub raises: Vec<Raise>,
}

/// Whose use counts. Every field that is given must fit.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct On {
    /// The org; `default` is the one of keys that name none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub org: Option<Name>,
    /// The team.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub team: Option<Name>,
    /// The project.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub project: Option<Name>,
    /// The user.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<Name>,
    /// The key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<KeyId>,
}

impl On {
    /// Whether it fits everybody.
    #[must_use]
    pub fn is_everyone(&self) -> bool {
        *self == Self::default()
    }
}

/// Per what an amount is granted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Per {
    /// Refilled steadily.
    Second,
    /// Refilled steadily.
    Minute,
    /// Refilled steadily.
    Hour,
    /// From midnight to midnight.
    Day,
    /// Seven days from the first day of the week.
    Week,
    /// From the first of a month to the first of the next.
    Month,
    /// Three months of the fiscal year.
    Quarter,
    /// Twelve months from the first of the fiscal year.
    Year,
}

/// Another amount for a while.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Raise {
    /// The amount meanwhile, counted like that of the allowance.
    pub to: Amount,
    /// From when on. Absent: since ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Instant>,
    /// The first instant at which it counts no more. A day means its beginning.
    pub until: Instant,
    /// Who granted it.
    pub by: String,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// A tag that requests get, for reports. Exactly one of `header` and `value` is given. Where several rules of one name
/// fit, the first that gives a value counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Tag {
    /// The name of the tag.
    pub name: Name,
    /// Take the value from this request header.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub header: Option<Header>,
    /// This value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// Whose requests. Absent: everybody's.
    #[serde(default, skip_serializing_if = "On::is_everyone")]
    pub on: On,
}

/// Who pays for what. The first rule that fits counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CostCentre {
    /// The cost centre.
    pub cost_centre: Name,
    /// Whose requests. Absent: everybody's.
    #[serde(default, skip_serializing_if = "On::is_everyone")]
    pub on: On,
}

/// When a single session is paused because it runs away. All brakes are off by default.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Brakes {
    /// The time over which a session is looked at.
    pub window: Duration,
    /// Pause a session that costs more than so many US dollars within the window.
    pub usd: Option<Amount>,
    /// Pause a session that sends the same request so many times within the window.
    #[schemars(range(min = 2, max = 100_000))]
    pub repeats: Option<u32>,
    /// Pause a session whose cost within the window is more than so many percent of its own mean before.
    #[schemars(range(min = 101, max = 100_000))]
    pub rising_percent: Option<u32>,
    /// With `rising_percent`: leave sessions alone that cost less than so many US dollars within the window.
    pub rising_floor_usd: Amount,
    /// How long a session is paused, unless somebody resumes it.
    pub pause: Duration,
}

impl Default for Brakes {
    fn default() -> Self {
        Self {
            window: Duration::from_secs(600),
            usd: None,
            repeats: None,
            rising_percent: None,
            rising_floor_usd: Amount::dollars(5),
            pause: Duration::from_secs(900),
        }
    }
}
