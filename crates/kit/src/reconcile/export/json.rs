//! The usage report and the cost report of the Admin API.

use super::{Amount, CLASSES, EXPORT_AGAIN, Fact, Fault, Modes, Read, What};
use jiff::{Timestamp, civil::Date, tz::TimeZone};
use serde::Deserialize;
use std::collections::BTreeSet;
use tollgate_policy::price::Class;

const DAY_SECONDS: i64 = 24 * 60 * 60;

#[derive(Deserialize)]
struct Page {
    data: Vec<Bucket>,
    #[serde(default)]
    has_more: bool,
}

#[derive(Deserialize)]
struct Bucket {
    starting_at: String,
    ending_at: String,
    results: Vec<Row>,
}

/// A row of either report; fields that the two do not have are passed over.
#[derive(Deserialize)]
struct Row {
    model: Option<String>,
    api_key_id: Option<String>,
    service_tier: Option<String>,
    speed: Option<String>,
    inference_geo: Option<String>,
    uncached_input_tokens: Option<u64>,
    output_tokens: Option<u64>,
    cache_creation: Option<CacheCreation>,
    cache_read_input_tokens: Option<u64>,
    server_tool_use: Option<ServerToolUse>,
    amount: Option<String>,
    currency: Option<String>,
    cost_type: Option<String>,
    token_type: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct CacheCreation {
    ephemeral_5m_input_tokens: u64,
    ephemeral_1h_input_tokens: u64,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ServerToolUse {
    web_search_requests: u64,
}

/// Reads one page or several, one after the other or in an array.
pub(super) fn read(text: &str) -> Result<Read, Fault> {
    let broken = |error: serde_json::Error| {
        let place = format!("line {} column {}", error.line(), error.column());
        let rule = error.to_string();
        let rule = rule.rsplit_once(" at line ").map_or(rule.as_str(), |(rule, _)| rule);
        Fault::new(place, rule, EXPORT_AGAIN)
    };
    let pages: Vec<Page> = if text.trim_start().starts_with('[') {
        serde_json::from_str(text).map_err(broken)?
    } else {
        serde_json::Deserializer::from_str(text).into_iter().collect::<Result<_, _>>().map_err(broken)?
    };
    if pages.last().is_some_and(|page| page.has_more) {
        let cure = "ask with page= for the pages that follow, and put all of them into one file.";
        return Err(Fault::new("has_more", "this is not the last page of the report", cure));
    }
    let mut read = Read::default();
    let mut begun = BTreeSet::new();
    let mut empty = BTreeSet::new();
    for (at_page, page) in pages.into_iter().enumerate() {
        for (at_bucket, bucket) in page.data.into_iter().enumerate() {
            let place = match at_page {
                0 => format!("data[{at_bucket}]"),
                page => format!("page {} data[{at_bucket}]", page + 1),
            };
            let day = day(&place, &bucket)?;
            if bucket.results.is_empty() {
                empty.insert(day);
            } else if !begun.insert((bucket.results[0].amount.is_some(), bucket.starting_at)) {
                let why = "this bucket stands in the file twice";
                return Err(Fault::new(format!("{place}.starting_at"), why, "take each page once."));
            }
            for (at_row, row) in bucket.results.into_iter().enumerate() {
                row.add(&format!("{place}.results[{at_row}]"), day, &mut read)?;
            }
        }
    }
    // Days without anything were told of too, by the report that the file holds.
    let (usage, cost) = (read.usage_days.is_empty(), read.cost_days.is_empty());
    if !usage || cost {
        read.usage_days.extend(&empty);
    }
    if !cost || usage {
        read.cost_days.extend(&empty);
    }
    Ok(read)
}

/// The day in UTC that a bucket lies in.
fn day(place: &str, bucket: &Bucket) -> Result<Date, Fault> {
    let instant = |field: &str, text: &str| {
        text.parse::<Timestamp>().map_err(|_| {
            let why = "is no instant as RFC 3339 writes it, such as 2026-11-01T00:00:00Z";
            Fault::new(format!("{place}.{field}"), why, EXPORT_AGAIN)
        })
    };
    let from = instant("starting_at", &bucket.starting_at)?;
    let to = instant("ending_at", &bucket.ending_at)?;
    let day = from.to_zoned(TimeZone::UTC).date();
    let last = to.as_second().saturating_sub(1).div_euclid(DAY_SECONDS);
    if to <= from || last != from.as_second().div_euclid(DAY_SECONDS) {
        let why = "the bucket is not within one day in UTC";
        return Err(Fault::new(place, why, "ask for bucket_width=1d, 1h or 1m."));
    }
    Ok(day)
}

impl Row {
    fn add(self, place: &str, day: Date, read: &mut Read) -> Result<(), Fault> {
        let modes =
            Modes::of(self.service_tier.as_deref(), self.speed.as_deref(), self.inference_geo.as_deref());
        let keys: Vec<String> = self.api_key_id.clone().into_iter().collect();
        if let Some(amount) = &self.amount {
            let amount = Amount::cents(amount).ok_or_else(|| {
                let why = format!("{amount:?} is no decimal number");
                Fault::new(format!("{place}.amount"), why, EXPORT_AGAIN)
            })?;
            if let Some(currency) = self.currency.as_deref().filter(|currency| *currency != "USD") {
                let why = format!("{currency:?} is not USD, the only currency of the ledger");
                return Err(Fault::new(format!("{place}.currency"), why, "export the amounts in USD."));
            }
            let class = self.class();
            let what = What::Cost { nano_usd: 0, rounding: 0, class };
            read.cost(Fact { day, model: self.model, keys, modes, what }, amount);
            return Ok(());
        }
        if self.uncached_input_tokens.is_none() && self.output_tokens.is_none() {
            let why = "this is neither a row of the usage report nor one of the cost report";
            return Err(Fault::new(place, why, EXPORT_AGAIN));
        }
        let Some(model) = self.model else {
            let cure = "ask for the report with group_by[]=model (and group_by[]=api_key_id for --key).";
            return Err(Fault::new(format!("{place}.model"), "the usage is not grouped by model", cure));
        };
        let written = self.cache_creation.unwrap_or_default();
        let mut counts = [0; CLASSES];
        counts[Class::Input as usize] = self.uncached_input_tokens.unwrap_or_default();
        counts[Class::Output as usize] = self.output_tokens.unwrap_or_default();
        counts[Class::CacheWrite5m as usize] = written.ephemeral_5m_input_tokens;
        counts[Class::CacheWrite1h as usize] = written.ephemeral_1h_input_tokens;
        counts[Class::CacheRead as usize] = self.cache_read_input_tokens.unwrap_or_default();
        counts[Class::WebSearch as usize] = self.server_tool_use.unwrap_or_default().web_search_requests;
        read.usage(Fact { day, model: Some(model), keys, modes, what: What::Usage(counts) });
        Ok(())
    }

    /// What a cost is for. Known only if the report is grouped by description.
    fn class(&self) -> Option<Class> {
        match (self.cost_type.as_deref(), self.token_type.as_deref()) {
            (Some("web_search"), _) => Some(Class::WebSearch),
            (Some("code_execution"), _) => Some(Class::CodeExecution),
            (_, Some("uncached_input_tokens")) => Some(Class::Input),
            (_, Some("output_tokens")) => Some(Class::Output),
            (_, Some("cache_read_input_tokens")) => Some(Class::CacheRead),
            (_, Some("cache_creation.ephemeral_5m_input_tokens")) => Some(Class::CacheWrite5m),
            (_, Some("cache_creation.ephemeral_1h_input_tokens")) => Some(Class::CacheWrite1h),
            _ => None,
        }
    }
}
