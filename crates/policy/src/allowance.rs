//! What may be used: limits, quotas and budgets are one idea, an [`Allowance`] of something per span of time, for one
//! part of the organisation or for each member of it.
//!
//! This file says what an allowance is and when one is sound. How it is spent is in [`crate::books`].

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::access::Models;
use crate::id::KeyId;
use crate::scope::{Name, Scope};
use crate::text::{bounded, bounded_option};
use crate::unit::UnixMs;

mod span;

pub use span::{Calendar, MonthNumber, NoSuchZone, Period, Span, Weekday, Zone};

/// The most that an allowance can grant: far above any use, far below where sums could overflow.
pub const AMOUNT_MAX: u64 = 1_000_000_000_000_000_000;
/// The most allowances beside those of the configuration.
pub const ALLOWANCES_MAX: usize = 10_000;
/// The longest rolling window: 92 days, in milliseconds.
pub const ROLLING_MS_MAX: i64 = 92 * DAY_MS;
/// The shortest rolling window: one minute, in milliseconds.
pub const ROLLING_MS_MIN: i64 = 60_000;
/// The longest text that an operator may add to a refusal, in characters.
pub const MESSAGE_CHARS_MAX: usize = 256;
/// The most raises that an allowance remembers.
pub const RAISES_MAX: usize = 32;
/// The most thresholds of one allowance.
pub const WARN_AT_MAX: usize = 8;

/// The rule about zero. It would shut something by a refusal that speaks of room; keys, models and sessions are shut by
/// what is made for it, and say so.
const ZERO: &str = "grants nothing, so nothing could ever pass";
const DAY_MS: i64 = 86_400_000;

/// An allowance: so much of a measure, per span of time, for a part of the organisation.
///
/// A limit (requests or tokens per minute, requests at once), a quota (tokens per period) and a budget (money per
/// period) differ in `measure` and `span` alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Allowance {
    /// What people call it; unique in a gateway.
    pub name: Name,
    /// Whose use counts.
    #[serde(default, skip_serializing_if = "Selector::is_everyone")]
    pub on: Selector,
    /// One allowance for each of these, such as one for each user; absent: one pool that all of `on` share.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub each: Option<Level>,
    /// Only the use of these models counts, however their ids are spelled; empty means all.
    #[serde(default, skip_serializing_if = "Models::is_empty")]
    pub models: Models,
    /// What is counted.
    pub measure: Measure,
    /// How much of it: requests, tokens, nano-dollars, or requests at once. A journal of
    /// old may hold zero, which lets nothing pass.
    pub amount: u64,
    /// Per what.
    pub span: Span,
    /// How much is set aside for a request before its use is known.
    #[serde(default)]
    pub reserve: Reserve,
    /// Whether it refuses.
    #[serde(default)]
    pub mode: Mode,
    /// Percentages of the amount at which people are told, rising.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warn_at: Vec<u8>,
    /// The operator's own words, added to each refusal.
    #[serde(default, skip_serializing_if = "Option::is_none", serialize_with = "bounded_option")]
    pub message: Option<String>,
    /// Other amounts for a while, in the order of their times.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub raises: Vec<Raise>,
}

impl Allowance {
    /// The amount in force: that of a running raise, else the allowance's own.
    #[must_use]
    pub fn amount_at(&self, now: UnixMs) -> u64 {
        self.raises.iter().find(|raise| raise.covers(now)).map_or(self.amount, |raise| raise.amount)
    }

    /// The most that may be used and set aside together: the amount in force, and of a rate the burst. A raise changes
    /// the burst in proportion; where the allowance's own amount is zero, to the raised amount.
    #[must_use]
    pub fn capacity_at(&self, now: UnixMs) -> u64 {
        let amount = self.amount_at(now);
        let Span::Rate { burst, .. } = self.span else {
            return amount;
        };
        if amount == 0 || self.amount == 0 {
            return amount;
        }
        if amount == self.amount {
            return burst.max(1);
        }
        // At least one: a raise that grants anything lets something pass.
        let burst = u128::from(burst) * u128::from(amount) / u128::from(self.amount);
        u64::try_from(burst).unwrap_or(u64::MAX).max(1)
    }

    /// Finds everything that makes the allowance unsound by itself.
    #[must_use]
    pub fn faults(&self) -> Vec<Fault> {
        let mut faults = Vec::new();
        let mut add = |field: &'static str, rule: String| faults.push(Fault { field, rule });
        if self.amount == 0 {
            add("amount", ZERO.into());
        }
        if self.amount > AMOUNT_MAX {
            add("amount", format!("is more than {AMOUNT_MAX}, the most that can be granted"));
        }
        match (self.measure, &self.span) {
            (Measure::Concurrency, Span::AtOnce) => {}
            (Measure::Concurrency, _) => {
                add("span", "a number of requests at once has no span of time; leave it out".into());
            }
            (_, Span::AtOnce) => add("span", "is missing; say per what the amount is granted".into()),
            (_, Span::Rate { per_ms, burst }) => {
                if !(1_000..=3_600_000).contains(per_ms) {
                    add("span", "a rate is per second, minute or hour".into());
                }
                if *burst == 0 && self.amount > 0 {
                    add("burst", "is zero, so nothing could ever pass".into());
                }
                if *burst > AMOUNT_MAX {
                    add("burst", format!("is more than {AMOUNT_MAX}, the most that can be granted"));
                }
            }
            (_, Span::Rolling { ms }) => {
                if !(ROLLING_MS_MIN..=ROLLING_MS_MAX).contains(ms) {
                    add("span", "a rolling window is one minute to 92 days".into());
                }
            }
            (_, Span::Period { .. }) => {}
        }
        if self.warn_at.len() > WARN_AT_MAX || self.warn_at.iter().any(|percent| !(1..=100).contains(percent))
        {
            add("warn_at", format!("holds up to {WARN_AT_MAX} percentages from 1 to 100"));
        }
        if self.warn_at.windows(2).any(|pair| pair[0] >= pair[1]) {
            add("warn_at", "percentages rise, each once".into());
        }
        if self.message.as_ref().is_some_and(|message| message.chars().nth(MESSAGE_CHARS_MAX).is_some()) {
            add("message", format!("has at most {MESSAGE_CHARS_MAX} characters"));
        }
        faults.extend(raise_faults(&self.raises));
        faults
    }

    /// Whether the counters of `other` may go on as those of this allowance: it counts the same use of the same people
    /// over the same time. Amounts, words and thresholds may differ.
    #[must_use]
    pub fn counts_like(&self, other: &Self) -> bool {
        let same_span = match (&self.span, &other.span) {
            (Span::Rate { per_ms: mine, .. }, Span::Rate { per_ms: theirs, .. }) => mine == theirs,
            (mine, theirs) => mine == theirs,
        };
        same_span
            && (&self.name, &self.on, self.each, &self.models, self.measure)
                == (&other.name, &other.on, other.each, &other.models, other.measure)
    }
}

fn raise_faults(raises: &[Raise]) -> Vec<Fault> {
    let mut faults = Vec::new();
    let mut add = |rule: String| faults.push(Fault { field: "raises", rule });
    if raises.len() > RAISES_MAX {
        add(format!("holds at most {RAISES_MAX}; take out those that are over"));
    }
    if raises.iter().any(|raise| raise.from >= raise.until) {
        add("a raise ends after it begins".into());
    }
    if raises.iter().any(|raise| raise.amount == 0) {
        add(format!("a raise {ZERO}"));
    }
    if raises.iter().any(|raise| raise.amount > AMOUNT_MAX) {
        add(format!("a raise is at most {AMOUNT_MAX}"));
    }
    if raises.windows(2).any(|pair| pair[0].until > pair[1].from) {
        add("two raises overlap, or are not in the order of their times".into());
    }
    faults
}

/// What is wrong with an allowance: the field, and the rule that it breaks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {rule}")]
pub struct Fault {
    /// The field.
    pub field: &'static str,
    /// The rule, as the end of a sentence about the field.
    pub rule: String,
}

/// Whose use counts: all fields that are given must fit; a field left out fits everything.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Selector {
    /// The org.
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
    /// The key, and those that it is rotated to or came from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<KeyId>,
}

impl Selector {
    /// Whether it fits everybody.
    #[must_use]
    pub fn is_everyone(&self) -> bool {
        *self == Self::default()
    }

    /// Whether the use of this key in this scope counts.
    #[must_use]
    pub fn fits(&self, scope: &Scope, key: KeyId) -> bool {
        fn fits<T: PartialEq>(wanted: Option<&T>, found: Option<&T>) -> bool {
            wanted.is_none() || wanted == found
        }
        fits(self.org.as_ref(), Some(&scope.org))
            && fits(self.team.as_ref(), Some(&scope.team))
            && fits(self.project.as_ref(), scope.project.as_ref())
            && fits(self.user.as_ref(), scope.user.as_ref())
            && fits(self.key.as_ref(), Some(&key))
    }
}

/// The fields that are given: `team platform, user ada`; `everyone` where there are none.
impl fmt::Display for Selector {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names =
            [("org", &self.org), ("team", &self.team), ("project", &self.project), ("user", &self.user)];
        let names = names.into_iter().filter_map(|(level, name)| Some(format!("{level} {}", name.as_ref()?)));
        let parts: Vec<String> = names.chain(self.key.map(|key| format!("key {key}"))).collect();
        formatter.pad(&if parts.is_empty() { "everyone".to_owned() } else { parts.join(", ") })
    }
}

/// A level of the organisation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// The whole company or a subsidiary.
    Org,
    /// A team of an org.
    Team,
    /// A project of a team.
    Project,
    /// A person or service of an org, in whatever team.
    User,
    /// A key, and those that it is rotated to.
    Key,
}

impl Level {
    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Org => "org",
            Self::Team => "team",
            Self::Project => "project",
            Self::User => "user",
            Self::Key => "key",
        }
    }
}

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Measure {
    /// Requests, those to count tokens left out.
    Requests,
    /// Requests to count tokens. They are counted apart, because clients send them in bursts, and cost nothing.
    CountTokens,
    /// Input tokens that were not read from the cache: fresh ones and those written to it, as the API's own limits
    /// count (<https://platform.claude.com/docs/en/api/rate-limits>).
    InputTokens,
    /// Output tokens.
    OutputTokens,
    /// Both together.
    Tokens,
    /// Money, in nano-dollars.
    Cost,
    /// Requests that run at the same time.
    Concurrency,
}

impl Measure {
    /// The words for it in a sentence.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::Requests => "requests",
            Self::CountTokens => "requests to count tokens",
            Self::InputTokens => "input tokens",
            Self::OutputTokens => "output tokens",
            Self::Tokens => "tokens",
            Self::Cost => "dollars",
            Self::Concurrency => "requests at once",
        }
    }

    /// The word for it in data.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Requests => "requests",
            Self::CountTokens => "count_tokens",
            Self::InputTokens => "input_tokens",
            Self::OutputTokens => "output_tokens",
            Self::Tokens => "tokens",
            Self::Cost => "cost",
            Self::Concurrency => "concurrency",
        }
    }
}

/// How much is set aside for a request before its use is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Reserve {
    /// The most that it can use, as far as its body tells: the allowance holds whatever happens.
    #[default]
    Full,
    /// What requests to that model have used lately, nearly all of them: more requests fit, and the allowance may be
    /// overdrawn for a while by those that use more.
    Learned,
}

/// Whether an allowance refuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// What does not fit is refused.
    #[default]
    Block,
    /// What does not fit passes, and is noted.
    Observe,
}

/// Another amount for a while.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Raise {
    /// The amount meanwhile, in place of the allowance's own.
    pub amount: u64,
    /// The first instant at which it counts.
    pub from: UnixMs,
    /// The first instant at which it counts no more.
    pub until: UnixMs,
    /// Who granted it.
    #[serde(serialize_with = "bounded")]
    pub by: String,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none", serialize_with = "bounded_option")]
    pub note: Option<String>,
}

impl Raise {
    /// Whether it counts at this instant.
    #[must_use]
    pub fn covers(&self, now: UnixMs) -> bool {
        self.from <= now && now < self.until
    }
}

#[cfg(test)]
mod tests;
