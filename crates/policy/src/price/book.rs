//! The price book as data: what is written in `book.json`, and every check it must pass.
//!
//! Amounts are decimal texts in dollars, as the vendor prints them, so that a reviewer can lay the two
//! side by side; they are read exactly, never through a floating-point number.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::PriceProblem;
use super::bill::{Class, Multiplier, RATE_CLASSES};
use crate::unit::{NanoUsd, UnixMs};

/// The dearest rate that is believed, in nano-dollars per million: $1 000 000. A slip of the decimal point
/// is likelier than such a price.
const RATE_MAX: i64 = 1_000_000 * NanoUsd::DOLLAR.0;
/// The largest multiplier that is believed.
const MULTIPLIER_MAX: i64 = 10 * Multiplier::ONE.0;

/// Rates of one model in nano-dollars per million tokens, indexed by token class.
pub(super) type Rates = [NanoUsd; RATE_CLASSES];

/// A checked price book.
#[derive(Debug, Clone)]
pub(super) struct Book {
    pub(super) version: String,
    pub(super) batch: Multiplier,
    pub(super) us_inference: Multiplier,
    pub(super) regional: Multiplier,
    pub(super) contract: Multiplier,
    /// Nano-dollars per million searches.
    pub(super) web_search: NanoUsd,
    /// Nano-dollars per million runs.
    pub(super) code_execution: NanoUsd,
    pub(super) models: Vec<Model>,
    /// Name or alias, in lower case, to place in `models`.
    pub(super) names: BTreeMap<String, usize>,
    /// For a model that is in no book: in every class the dearest rate of any model at any time.
    pub(super) dearest: Model,
}

/// One model and its rates over time.
#[derive(Debug, Clone)]
pub(super) struct Model {
    pub(super) name: String,
    /// Whether the premium for inference in the US applies.
    pub(super) us_inference: bool,
    /// Whether the premium for inference in a region applies.
    pub(super) regional: bool,
    pub(super) fast: Multiplier,
    /// In the order of time; the first one also holds for all time before it. Never empty.
    pub(super) periods: Vec<Period>,
}

/// The rates from an instant on.
#[derive(Debug, Clone)]
pub(super) struct Period {
    pub(super) from: UnixMs,
    pub(super) rates: Rates,
    pub(super) long_prompt: Option<LongPrompt>,
}

/// The rates of a request whose prompt is longer than a bound.
#[derive(Debug, Clone)]
pub(super) struct LongPrompt {
    pub(super) above_tokens: u64,
    pub(super) rates: Rates,
}

impl Model {
    /// The rates at an instant for a prompt of this length, all input classes counted.
    pub(super) fn rates(&self, at: UnixMs, prompt_tokens: u64) -> &Rates {
        let next = self.periods.partition_point(|period| period.from <= at);
        let period = &self.periods[next.saturating_sub(1)];
        match &period.long_prompt {
            Some(long) if prompt_tokens > long.above_tokens => &long.rates,
            _ => &period.rates,
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BookText {
    version: String,
    #[serde(rename = "sources", default)]
    _sources: Vec<String>,
    multipliers: MultipliersText,
    usd_per_thousand: ToolsText,
    models: Vec<ModelText>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MultipliersText {
    batch: Option<String>,
    fast: Option<String>,
    us_inference: Option<String>,
    regional: Option<String>,
    contract: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ToolsText {
    web_search: Option<String>,
    code_execution: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ModelText {
    model: String,
    #[serde(default)]
    aliases: Vec<String>,
    #[serde(rename = "note", default)]
    _note: Option<String>,
    #[serde(default)]
    us_inference: bool,
    #[serde(default)]
    regional: bool,
    #[serde(default)]
    fast: Option<String>,
    periods: Vec<PeriodText>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PeriodText {
    #[serde(default)]
    from: Option<String>,
    usd_per_million: RatesText,
    #[serde(default)]
    long_prompt: Option<LongPromptText>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LongPromptText {
    above_tokens: u64,
    usd_per_million: RatesText,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RatesText {
    input: Option<String>,
    output: Option<String>,
    cache_write_5m: Option<String>,
    cache_write_1h: Option<String>,
    cache_read: Option<String>,
}

/// Reads and checks a book.
pub(super) fn read(json: &str) -> Result<Book, PriceProblem> {
    let text: BookText = serde_json::from_str(json).map_err(|error| {
        let path = format!("line {} column {}", error.line(), error.column());
        let rule = error.to_string();
        let rule = rule.rsplit_once(" at line ").map_or(rule.as_str(), |(rule, _)| rule);
        PriceProblem::new(path, rule)
    })?;
    let printable = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
    if !printable(&text.version) || text.version.len() > 64 {
        return Err(PriceProblem::new("version", "must be 1 to 64 printable characters without blanks"));
    }
    if text.models.is_empty() {
        return Err(PriceProblem::new("models", "must name at least one model"));
    }
    let fast = multiplier("multipliers.fast", text.multipliers.fast.as_deref())?;
    let mut models = Vec::with_capacity(text.models.len());
    let mut names = BTreeMap::new();
    for (place, model) in text.models.iter().enumerate() {
        let path = format!("models[{place}]");
        let all_names = std::iter::once(("model".to_owned(), &model.model))
            .chain(model.aliases.iter().enumerate().map(|(at, alias)| (format!("aliases[{at}]"), alias)));
        for (field, name) in all_names {
            if !printable(name) {
                return Err(PriceProblem::new(
                    format!("{path}.{field}"),
                    "must be printable characters without blanks",
                ));
            }
            if names.insert(name.to_ascii_lowercase(), place).is_some() {
                return Err(PriceProblem::new(
                    format!("{path}.{field}"),
                    format!("`{name}` has a price already; every name may stand once"),
                ));
            }
        }
        models.push(read_model(&path, model, fast)?);
    }
    let multipliers = &text.multipliers;
    Ok(Book {
        version: text.version,
        batch: multiplier("multipliers.batch", multipliers.batch.as_deref())?,
        us_inference: multiplier("multipliers.us_inference", multipliers.us_inference.as_deref())?,
        regional: multiplier("multipliers.regional", multipliers.regional.as_deref())?,
        contract: multiplier("multipliers.contract", multipliers.contract.as_deref())?,
        web_search: per_thousand("usd_per_thousand.web_search", text.usd_per_thousand.web_search.as_deref())?,
        code_execution: per_thousand(
            "usd_per_thousand.code_execution",
            text.usd_per_thousand.code_execution.as_deref(),
        )?,
        dearest: dearest(&models),
        models,
        names,
    })
}

fn read_model(path: &str, model: &ModelText, fast: Multiplier) -> Result<Model, PriceProblem> {
    let fast = match &model.fast {
        Some(text) => multiplier(&format!("{path}.fast"), Some(text))?,
        None => fast,
    };
    if model.periods.is_empty() {
        return Err(PriceProblem::new(format!("{path}.periods"), "must have at least one period"));
    }
    let mut periods: Vec<Period> = Vec::with_capacity(model.periods.len());
    for (place, text) in model.periods.iter().enumerate() {
        let path = format!("{path}.periods[{place}]");
        let period = read_period(&path, text)?;
        if periods.last().is_some_and(|before| period.from <= before.from) {
            return Err(PriceProblem::new(
                format!("{path}.from"),
                "must be a later date than the period before; two prices cannot hold at once",
            ));
        }
        periods.push(period);
    }
    Ok(Model {
        name: model.model.clone(),
        us_inference: model.us_inference,
        regional: model.regional,
        fast,
        periods,
    })
}

fn read_period(path: &str, text: &PeriodText) -> Result<Period, PriceProblem> {
    let from = match &text.from {
        // A price comes into force at the start of its day, UTC.
        Some(date) => format!("{date}T00:00:00.000Z")
            .parse()
            .map_err(|_| PriceProblem::new(format!("{path}.from"), "must be a date such as 2026-10-07"))?,
        None => UnixMs::MIN,
    };
    let rates = read_rates(&format!("{path}.usd_per_million"), &text.usd_per_million)?;
    let long_prompt = match &text.long_prompt {
        None => None,
        Some(long) => {
            let path = format!("{path}.long_prompt.usd_per_million");
            let long_rates = read_rates(&path, &long.usd_per_million)?;
            // Otherwise a longer prompt could cost less than a shorter one.
            for class in Class::TOKENS {
                if long_rates[class as usize] < rates[class as usize] {
                    let rule = "must not be lower than the rate for short prompts";
                    return Err(PriceProblem::new(format!("{path}.{}", class.as_str()), rule));
                }
            }
            Some(LongPrompt { above_tokens: long.above_tokens, rates: long_rates })
        }
    };
    Ok(Period { from, rates, long_prompt })
}

fn read_rates(path: &str, text: &RatesText) -> Result<Rates, PriceProblem> {
    let mut rates = [NanoUsd::ZERO; RATE_CLASSES];
    let texts = [
        (Class::Input, &text.input),
        (Class::Output, &text.output),
        (Class::CacheWrite5m, &text.cache_write_5m),
        (Class::CacheWrite1h, &text.cache_write_1h),
        (Class::CacheRead, &text.cache_read),
    ];
    for (class, text) in texts {
        let path = format!("{path}.{}", class.as_str());
        rates[class as usize] = NanoUsd(decimal(&path, text.as_deref(), 9, RATE_MAX)?);
    }
    Ok(rates)
}

/// Dollars per thousand, given per million as all rates are.
fn per_thousand(path: &str, text: Option<&str>) -> Result<NanoUsd, PriceProblem> {
    decimal(path, text, 9, RATE_MAX).map(|nano_usd| NanoUsd(nano_usd.saturating_mul(1000)))
}

fn multiplier(path: &str, text: Option<&str>) -> Result<Multiplier, PriceProblem> {
    // Three decimals each: so a product of four is still exact.
    let thousandths = decimal(path, text, 3, MULTIPLIER_MAX / Multiplier::THOUSANDTH)?;
    if thousandths == 0 {
        return Err(PriceProblem::new(path, "must be more than 0"));
    }
    Ok(Multiplier(thousandths * Multiplier::THOUSANDTH))
}

/// A decimal number with at most `decimals` digits after the point, as an integer of that many decimals.
fn decimal(path: &str, text: Option<&str>, decimals: usize, max: i64) -> Result<i64, PriceProblem> {
    let Some(text) = text else {
        return Err(PriceProblem::new(path, "is missing; write `\"0\"` if it is free"));
    };
    if text.starts_with('-') {
        return Err(PriceProblem::new(path, "must not be negative"));
    }
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(fraction) || fraction.len() > decimals {
        let rule =
            format!("must be a decimal number in quotes with at most {decimals} decimals, such as \"0.50\"");
        return Err(PriceProblem::new(path, rule));
    }
    format!("{whole}{fraction:0<decimals$}")
        .parse()
        .ok()
        .filter(|number| *number <= max)
        .ok_or_else(|| PriceProblem::new(path, "is larger than any price or multiplier that is believed"))
}

/// A model that is at least as dear as every other, in every class and mode.
fn dearest(models: &[Model]) -> Model {
    let mut rates = [NanoUsd::ZERO; RATE_CLASSES];
    let mut fast = Multiplier::ONE;
    for model in models {
        fast = fast.max(model.fast);
        for period in &model.periods {
            let highest = period.long_prompt.as_ref().map_or(&period.rates, |long| &long.rates);
            for (rate, other) in rates.iter_mut().zip(highest) {
                *rate = (*rate).max(*other);
            }
        }
    }
    Model {
        name: "unknown".to_owned(),
        us_inference: true,
        regional: true,
        fast,
        periods: vec![Period { from: UnixMs::MIN, rates, long_prompt: None }],
    }
}
