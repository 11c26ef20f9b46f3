//! The price book as it is written: the shape of its JSON.
//!
//! Amounts are decimal texts in dollars, as the vendor prints them, so that a reviewer can lay the two side by side;
//! they are read exactly, never through a floating-point number.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Error, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct BookText {
    pub(super) version: String,
    #[serde(default)]
    pub(super) sources: Vec<String>,
    pub(super) multipliers: MultipliersText,
    pub(super) usd_per_thousand: ToolsText,
    pub(super) models: Vec<ModelText>,
    #[serde(default)]
    pub(super) upstreams: UpstreamsText,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct MultipliersText {
    pub(super) batch: Option<DatedText>,
    pub(super) fast: Option<DatedText>,
    pub(super) us_inference: Option<DatedText>,
    pub(super) regional: Option<DatedText>,
    pub(super) contract: Option<DatedText>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ToolsText {
    pub(super) web_search: Option<DatedText>,
    pub(super) code_execution: Option<DatedText>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ModelText {
    pub(super) model: String,
    #[serde(default)]
    pub(super) aliases: Vec<String>,
    #[serde(default)]
    pub(super) note: Option<String>,
    #[serde(default)]
    pub(super) us_inference: bool,
    #[serde(default)]
    pub(super) regional: bool,
    #[serde(default)]
    pub(super) fast: Option<DatedText>,
    pub(super) periods: Vec<PeriodText>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PeriodText {
    #[serde(default)]
    pub(super) from: Option<String>,
    pub(super) usd_per_million: RatesText,
    #[serde(default)]
    pub(super) long_prompt: Option<LongPromptText>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LongPromptText {
    pub(super) above_tokens: u64,
    pub(super) usd_per_million: RatesText,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RatesText {
    pub(super) input: Option<String>,
    pub(super) output: Option<String>,
    pub(super) cache_write_5m: Option<String>,
    pub(super) cache_write_1h: Option<String>,
    pub(super) cache_read: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct UpstreamText {
    #[serde(rename = "note", default)]
    _note: Option<String>,
    #[serde(default)]
    pub(super) multiplier: Option<DatedText>,
    #[serde(default)]
    pub(super) regional: bool,
    #[serde(default)]
    pub(super) models: Vec<ModelText>,
}

/// What differs at each upstream, by its name. A name that stands twice is refused: one of the two would be lost.
#[derive(Default)]
pub(super) struct UpstreamsText(pub(super) BTreeMap<String, UpstreamText>);

impl<'de> Deserialize<'de> for UpstreamsText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ByName;

        impl<'de> Visitor<'de> for ByName {
            type Value = UpstreamsText;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object with the name of an upstream before each part")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut upstreams = BTreeMap::new();
                while let Some((name, upstream)) = map.next_entry::<String, UpstreamText>()? {
                    if upstreams.contains_key(&name) {
                        return Err(A::Error::custom(format!("duplicate upstream `{name}`")));
                    }
                    upstreams.insert(name, upstream);
                }
                Ok(UpstreamsText(upstreams))
            }
        }

        deserializer.deserialize_map(ByName)
    }
}

/// A number for all time, or one for each period.
pub(super) enum DatedText {
    Always(String),
    Periods(Vec<ValueText>),
}

/// A number from a date on.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ValueText {
    #[serde(default)]
    pub(super) from: Option<String>,
    pub(super) value: String,
}

impl<'de> Deserialize<'de> for DatedText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextOrPeriods;

        impl<'de> Visitor<'de> for TextOrPeriods {
            type Value = DatedText;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter
                    .write_str("a decimal number in quotes, or a list of periods with `from` and `value`")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
                Ok(DatedText::Always(text.to_owned()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
                let mut periods = Vec::new();
                while let Some(period) = list.next_element()? {
                    periods.push(period);
                }
                Ok(DatedText::Periods(periods))
            }
        }

        deserializer.deserialize_any(TextOrPeriods)
    }
}
