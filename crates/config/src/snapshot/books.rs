//! How use is counted, named and braked.

use std::collections::BTreeMap;
use tollgate_policy::{
    allowance::{Calendar, Selector},
    id::KeyId,
    scope::{Name, Scope},
    unit::NanoUsd,
};

/// The longest value of a tag, in characters. Every value is a row in reports, so values are words, not texts.
const TAG_CHARS_MAX: usize = 64;

/// What holds for all counting of use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Books {
    /// The calendar of allowances that name none.
    pub calendar: Calendar,
    /// Whether the upstream's own `anthropic-ratelimit-*` headers are kept from clients.
    pub hide_upstream_limits: bool,
    /// How many months single records are kept beyond the running one; 0: for ever.
    pub keep_records_months: u32,
}

/// When a session is paused because it runs away. At least one of `cost`, `repeats` and `rising_percent` is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Brakes {
    /// The time over which a session is looked at, in milliseconds.
    pub window_ms: i64,
    /// The most that a session may cost within the window.
    pub cost: Option<NanoUsd>,
    /// So many equal requests within the window pause it.
    pub repeats: Option<u32>,
    /// The most that the cost within the window may be, in percent of the session's own mean before.
    pub rising_percent: Option<u32>,
    /// Below this cost within the window, `rising_percent` does not count.
    pub rising_floor: NanoUsd,
    /// How long it is paused, in milliseconds.
    pub pause_ms: i64,
}

/// A rule that gives requests a tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TagRule {
    /// The name of the tag.
    pub name: Name,
    /// Where its value is from.
    pub source: TagSource,
    /// Whose requests get it.
    pub on: Selector,
}

/// Where the value of a tag is from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TagSource {
    /// The request header of this name, in lower case.
    Header(String),
    /// The rule itself.
    Value(String),
}

/// A rule that says who pays.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CostCentreRule {
    /// The cost centre.
    pub cost_centre: Name,
    /// For whose requests.
    pub on: Selector,
}

/// The tags of a request. `header` gives the value of a request header by its name in lower case.
///
/// A header's value is taken without surrounding blanks, with `?` in place of control characters, and cut to 64
/// characters; an empty one gives no tag.
#[must_use]
pub fn tags<'h>(
    rules: &[TagRule],
    scope: &Scope,
    key: KeyId,
    header: impl Fn(&str) -> Option<&'h str>,
) -> BTreeMap<String, String> {
    let mut tags = BTreeMap::new();
    for rule in rules.iter().filter(|rule| rule.on.fits(scope, key)) {
        if tags.contains_key(rule.name.as_str()) {
            continue;
        }
        let value = match &rule.source {
            TagSource::Value(value) => Some(value.clone()),
            TagSource::Header(name) => header(name).map(clean).filter(|value| !value.is_empty()),
        };
        if let Some(value) = value {
            tags.insert(rule.name.to_string(), value);
        }
    }
    tags
}

fn clean(value: &str) -> String {
    let characters = value.trim().chars().take(TAG_CHARS_MAX);
    characters.map(|character| if character.is_control() { '?' } else { character }).collect()
}

/// The cost centre that pays for a request, if a rule names one.
#[must_use]
pub fn cost_centre<'r>(rules: &'r [CostCentreRule], scope: &Scope, key: KeyId) -> Option<&'r Name> {
    rules.iter().find(|rule| rule.on.fits(scope, key)).map(|rule| &rule.cost_centre)
}
