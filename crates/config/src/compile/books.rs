//! Tags, cost centres and brakes.

use super::{Judge, allowances::selector};
use crate::{
    amount::Amount,
    document::{self, Document},
    duration::Duration,
    leaf::quote,
    snapshot::{Brakes, CostCentreRule, TagRule, TagSource},
};
use std::collections::BTreeMap;
use tollgate_policy::unit::NanoUsd;

/// Every rule is looked at for every request.
const TAGS_MAX: usize = 64;
/// The longest value of a tag that a rule may hold, in characters.
const VALUE_CHARS_MAX: usize = 64;
/// Request headers that hold credentials; a test compares them with the table of headers. A tag is written down and shown
/// in reports.
const CREDENTIALS: [&str; 10] = [
    "authorization",
    "proxy-authorization",
    "x-api-key",
    "api-key",
    "anthropic-api-key",
    "x-auth-token",
    "x-litellm-api-key",
    "x-goog-api-key",
    "x-amz-security-token",
    "cookie",
];

impl Judge<'_> {
    /// The rules for tags.
    pub(super) fn tags(&mut self, document: &Document) -> Vec<TagRule> {
        let mut rules = Vec::new();
        let mut settled: BTreeMap<&str, String> = BTreeMap::new();
        for (index, tag) in document.tags.iter().enumerate() {
            let path = self.reading.item("tags", index);
            let name = tag.name.0.as_str();
            if let Some(first) = settled.get(name) {
                let rule = format!("{first} gives this tag to everybody already");
                self.warning(&path, &[first], &rule, "remove one of them, or put this one first.");
            } else if tag.value.is_some() && tag.on.is_everyone() {
                settled.insert(name, path.clone());
            }
            if let Some(source) = self.tag_source(tag, &path) {
                rules.push(TagRule { name: tag.name.0.clone(), source, on: selector(&tag.on) });
            }
        }
        if document.tags.len() > TAGS_MAX {
            let rule = format!("there are {} rules for tags, {TAGS_MAX} are the most", document.tags.len());
            self.error("tags", &[], &rule, "remove those that no report needs.");
        }
        rules
    }

    fn tag_source(&mut self, tag: &document::Tag, path: &str) -> Option<TagSource> {
        let (header, value) = (format!("{path}.header"), format!("{path}.value"));
        match (&tag.header, &tag.value) {
            (Some(_), Some(_)) => {
                self.error(
                    &value,
                    &[&header],
                    "the tag has its value from a header already",
                    "keep one of them.",
                );
                None
            }
            (None, None) => {
                let cure = "write header: x-app, say, or value: and the value.";
                self.error(path, &[], "it does not say where the value is from", cure);
                None
            }
            (Some(name), None) if CREDENTIALS.contains(&name.as_str()) => {
                let rule = format!(
                    "the header {} holds a credential, and tags are shown in reports",
                    quote(name.as_str())
                );
                self.error(&header, &[], &rule, "take another header.");
                None
            }
            (Some(name), None) => Some(TagSource::Header(name.as_str().to_owned())),
            (None, Some(text)) => {
                let fits = !text.is_empty() && text.chars().nth(VALUE_CHARS_MAX).is_none();
                if !fits || text.trim() != text || text.contains(|c: char| c.is_control()) {
                    let rule = "a value is 1 to 64 characters on one line, without blanks around them";
                    self.error(&value, &[], rule, "write a word or two.");
                    return None;
                }
                Some(TagSource::Value(text.clone()))
            }
        }
    }

    /// The rules for cost centres.
    pub(super) fn cost_centres(&mut self, document: &Document) -> Vec<CostCentreRule> {
        let mut everyone: Option<String> = None;
        let mut rules = Vec::new();
        for (index, centre) in document.cost_centres.iter().enumerate() {
            let path = self.reading.item("cost_centres", index);
            if let Some(first) = &everyone {
                let rule = format!("{first} fits everybody, so this rule never counts");
                self.warning(&path, &[first], &rule, "put it first, or remove it.");
            } else if centre.on.is_everyone() {
                everyone = Some(path);
            }
            rules
                .push(CostCentreRule { cost_centre: centre.cost_centre.0.clone(), on: selector(&centre.on) });
        }
        rules
    }

    /// The brakes; nothing if none is on.
    pub(super) fn brakes(&mut self, document: &Document) -> Option<Brakes> {
        let wished = &document.brakes;
        for (field, duration) in [("brakes.window", wished.window), ("brakes.pause", wished.pause)] {
            if duration < Duration::from_secs(1) {
                self.error(field, &[], "nothing can be seen in no time", "write 1s or more.");
            }
        }
        let rising_floor = self.dollars("brakes.rising_floor_usd", Some(wished.rising_floor_usd));
        let cost = self.dollars("brakes.usd", wished.usd);
        if cost == Some(NanoUsd::ZERO) {
            let rule = "every session that costs anything would be paused";
            self.error("brakes.usd", &[], rule, "write a larger amount, or remove it.");
        }
        self.repeats_of_clients(wished.repeats);
        let off = cost.is_none() && wished.repeats.is_none() && wished.rising_percent.is_none();
        (!off).then(|| Brakes {
            window_ms: ms(wished.window),
            cost,
            repeats: wished.repeats,
            rising_percent: wished.rising_percent,
            rising_floor: rising_floor.unwrap_or_default(),
            pause_ms: ms(wished.pause),
        })
    }

    fn dollars(&mut self, field: &str, amount: Option<Amount>) -> Option<NanoUsd> {
        let amount = amount?;
        let made = amount.billionths().and_then(|amount| i64::try_from(amount).ok()).map(NanoUsd);
        if made.is_none() {
            let rule = format!("{} is more than a billion dollars", quote(&amount.to_string()));
            self.error(field, &[], &rule, "write at most 1000000000.");
        }
        made
    }
}

fn ms(duration: Duration) -> i64 {
    i64::try_from(duration.as_std().as_millis()).unwrap_or(i64::MAX)
}
