//! What can be asked of the ledger, and what it answers.

use std::fmt;

use serde::Serialize;
use tollgate_policy::allowance::Selector;
use tollgate_policy::id::KeyId;
use tollgate_policy::operator::Role;
use tollgate_policy::scope::Scope;
use tollgate_policy::unit::{NanoUsd, UnixMs};

use super::calendar::{Day, Month};

/// What usage can be grouped and filtered by.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Dimension {
    /// The org of the scope.
    Org,
    /// The team of the scope.
    Team,
    /// The project of the scope; absent when the key has none.
    Project,
    /// The user of the scope; absent when the key has none.
    User,
    /// The id of the key.
    Key,
    /// The label of the endpoint.
    Endpoint,
    /// The model that was asked for.
    RequestedModel,
    /// The model that answered, else the one that was asked for.
    Model,
    /// The further models that ran a part of it, such as an advisor: their ids with commas; absent when none did.
    FurtherModels,
    /// The name of the upstream.
    Upstream,
    /// Where the upstream ran it; absent when it did not say.
    Region,
    /// The cost centre that pays; absent when no rule names one.
    CostCentre,
    /// The client's session. A session with an empty name counts as none.
    Session,
    /// The client's agent. An agent with an empty name counts as none.
    Agent,
    /// The day of the admission in UTC, `2026-11-22`.
    Day,
    /// The month of the admission in UTC, `2026-11`.
    Month,
    /// How requests ended, as in the journal: `complete`, `aborted`, `cut`, `upstream_error`, `failed`, `unknown`.
    Outcome,
    /// The value of the tag of this name; absent for requests without it.
    Tag(String),
}

/// What the word of a tag's dimension begins with.
const TAG: &str = "tag:";

impl Dimension {
    /// All dimensions but tags, of which there are as many as the operator wishes.
    pub const PLAIN: [Self; 17] = [
        Self::Org,
        Self::Team,
        Self::Project,
        Self::User,
        Self::Key,
        Self::Endpoint,
        Self::RequestedModel,
        Self::Model,
        Self::FurtherModels,
        Self::Upstream,
        Self::Region,
        Self::CostCentre,
        Self::Session,
        Self::Agent,
        Self::Day,
        Self::Month,
        Self::Outcome,
    ];

    /// The dimension of a word, as [`fmt::Display`] writes it; `tag:app` is the tag `app`.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        match word.strip_prefix(TAG) {
            Some("") => None,
            Some(name) => Some(Self::Tag(name.to_owned())),
            None => Self::PLAIN.into_iter().find(|dimension| dimension.plain_word() == Some(word)),
        }
    }

    /// Whether it is about what records have in common: a column of the table of dims, or a tag.
    pub(super) fn is_common(&self) -> bool {
        matches!(self, Self::Tag(_)) || self.column().is_some()
    }

    /// The column of that name in the table of what records have in common, for the dimensions that are one.
    pub(super) fn column(&self) -> Option<&'static str> {
        match self {
            Self::Session | Self::Agent | Self::Day | Self::Month | Self::Tag(_) => None,
            column => column.plain_word(),
        }
    }

    fn plain_word(&self) -> Option<&'static str> {
        Some(match self {
            Self::Org => "org",
            Self::Team => "team",
            Self::Project => "project",
            Self::User => "user",
            Self::Key => "key",
            Self::Endpoint => "endpoint",
            Self::RequestedModel => "requested_model",
            Self::Model => "model",
            Self::FurtherModels => "further_models",
            Self::Upstream => "upstream",
            Self::Region => "region",
            Self::CostCentre => "cost_centre",
            Self::Session => "session",
            Self::Agent => "agent",
            Self::Day => "day",
            Self::Month => "month",
            Self::Outcome => "outcome",
            Self::Tag(_) => return None,
        })
    }
}

/// The word for it in queries.
impl fmt::Display for Dimension {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tag(name) => write!(formatter, "{TAG}{name}"),
            plain => formatter.write_str(plain.plain_word().unwrap_or_default()),
        }
    }
}

/// What counts: everything that meets all conditions.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// The first instant that counts, by the admission of the request; none means from the beginning.
    pub from: Option<UnixMs>,
    /// The first instant that does not count any more; none means to the end.
    pub to: Option<UnixMs>,
    /// Conditions on dimensions, all of which must hold.
    pub only: Vec<Only>,
}

/// A condition: the record's value of a dimension is one of these; `None` stands for records that have none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Only {
    /// The dimension.
    pub dimension: Dimension,
    /// What it may be.
    pub values: Vec<Option<String>>,
}

impl Only {
    /// The condition that a dimension has this one value.
    pub fn is(dimension: Dimension, value: impl Into<String>) -> Self {
        Self { dimension, values: vec![Some(value.into())] }
    }

    pub(super) fn allows(&self, value: Option<&str>) -> bool {
        self.values.iter().any(|allowed| allowed.as_deref() == value)
    }
}

impl Filter {
    /// Everything in a range of time: from its first instant to before its last.
    #[must_use]
    pub fn between(from: UnixMs, to: UnixMs) -> Self {
        Self { from: Some(from), to: Some(to), only: Vec::new() }
    }

    /// Whether the conditions allow it that are not about what records have in common.
    pub(super) fn allows(&self, at: UnixMs, session: Option<&str>, agent: Option<&str>) -> bool {
        self.only.iter().all(|only| match only.dimension {
            Dimension::Session => only.allows(named(session)),
            Dimension::Agent => only.allows(named(agent)),
            Dimension::Day => only.allows(Some(&Day::of(at).to_string())),
            Dimension::Month => only.allows(Some(&Month::of(at).to_string())),
            _ => true,
        })
    }

    /// Whether there are such conditions.
    pub(super) fn is_about_more_than_dims(&self) -> bool {
        self.only.iter().any(|only| !only.dimension.is_common())
    }

    /// The filter, narrowed to the use that a selector fits.
    #[must_use]
    pub fn on(mut self, selector: &Selector) -> Self {
        let names = [
            (Dimension::Org, &selector.org),
            (Dimension::Team, &selector.team),
            (Dimension::Project, &selector.project),
            (Dimension::User, &selector.user),
        ];
        for (dimension, name) in names {
            self.only.extend(name.as_ref().map(|name| Only::is(dimension, name.as_str())));
        }
        self.only.extend(selector.key.map(|key| Only::is(Dimension::Key, key.to_string())));
        self
    }

    /// The filter, narrowed to what somebody of this role may see: what [`Role::may_see`] says, as conditions.
    #[must_use]
    pub fn seen_by(self, role: &Role) -> Self {
        let selector = match role {
            Role::Admin | Role::Auditor => Selector::default(),
            Role::TeamAdmin { org, team } => {
                Selector { org: Some(org.clone()), team: Some(team.clone()), ..Selector::default() }
            }
            Role::Developer { org, user } => {
                Selector { org: Some(org.clone()), user: Some(user.clone()), ..Selector::default() }
            }
        };
        self.on(&selector)
    }
}

/// The name of a session or agent, if it is one.
pub(super) fn named(name: Option<&str>) -> Option<&str> {
    name.filter(|name| !name.is_empty())
}

/// A question to the ledger: usage in rows, one for each combination of the dimensions' values.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Query {
    /// What to group by, in this order; nothing asks for the total.
    pub by: Vec<Dimension>,
    /// What counts.
    pub filter: Filter,
    /// In which order.
    pub order: Order,
    /// Only what comes after this group, the last of the page before; none means from the first row.
    pub after: Option<Vec<Option<String>>>,
    /// The most rows; none means all.
    pub limit: Option<usize>,
}

/// The order of a report. Both are total: no two rows have the same group.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Order {
    /// Dearest first, adjustments counted; what costs the same in the order of the groups.
    #[default]
    Cost,
    /// By the values of the group, absent ones first.
    Group,
}

/// Usage and cost of one group. A sum that does not fit is held at the end of its range.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ReportRow {
    /// The group's values, in the order of [`Query::by`]; absent where the records say nothing.
    pub group: Vec<Option<String>>,
    /// Settled requests.
    pub requests: u64,
    /// Of these, the ones that ended by a fault of an upstream: error, cut, or no answer.
    pub errors: u64,
    /// Of these, the ones whose client left before the end.
    pub aborted: u64,
    /// Of these, the ones whose end nobody saw, because the process ended first.
    pub unknown: u64,
    /// Of these, the ones whose usage was filled in by a rule.
    pub estimated: u64,
    /// Of these, the ones whose model has no price; the dearest rates were taken.
    pub unknown_price: u64,
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
    /// What the requests cost when they were settled.
    #[serde(rename = "cost_nano_usd")]
    pub cost: NanoUsd,
    /// Adjustments made in the range of time, whenever the requests were that they correct.
    pub adjustments: u64,
    /// What these add; negative where money is given back.
    #[serde(rename = "adjusted_nano_usd")]
    pub adjusted: NanoUsd,
    /// The cost with the adjustments.
    #[serde(rename = "total_nano_usd")]
    pub total: NanoUsd,
}

/// Use that budgets and limits are restored from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PastUse {
    /// The entry that settled it; for use that was added up, 0.
    pub seq: u64,
    /// Where it was booked.
    pub scope: Scope,
    /// The key that was presented.
    pub key: KeyId,
    /// The label of the endpoint.
    pub endpoint: String,
    /// The model that was asked for.
    pub requested_model: Option<String>,
    /// The model that answered, else the one that was asked for.
    pub model: Option<String>,
    /// The further models that ran a part of it, with commas.
    pub further_models: Option<String>,
    /// When it was admitted; for use that was added up, the beginning of the range of time.
    pub at: UnixMs,
    /// When it was settled; for use that was added up, the beginning of the range of time.
    pub settled_at: UnixMs,
    /// Settled requests.
    pub requests: u64,
    /// Input tokens that count for allowances: outside the cache and written to it.
    pub input_tokens: u64,
    /// Output tokens.
    pub output_tokens: u64,
    /// What it cost when it was settled.
    pub cost: NanoUsd,
}
