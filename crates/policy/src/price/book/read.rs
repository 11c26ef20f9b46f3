//! From the text of a price book to the book: every check that it must pass.

use std::collections::BTreeMap;

use super::text::{BookText, DatedText, ModelText, MultipliersText, PeriodText, RatesText, UpstreamText};
use super::{Book, LongPrompt, Model, Models, Period, Rates, Timeline, Upstream};
use crate::price::PriceProblem;
use crate::price::bill::{Class, Multiplier, RATE_CLASSES};
use crate::unit::{NanoUsd, UnixMs};

/// The dearest rate that is believed, in nano-dollars per million: $1 000 000. A slip of the decimal point
/// is likelier than such a price.
const RATE_MAX: i64 = 1_000_000 * NanoUsd::DOLLAR.0;
/// The largest multiplier that is believed.
const MULTIPLIER_MAX: i64 = 10 * Multiplier::ONE.0;

/// Reads and checks a book.
pub(in crate::price) fn read(json: &str) -> Result<Book, PriceProblem> {
    let text: BookText = serde_json::from_str(json).map_err(|error| {
        let path = format!("line {} column {}", error.line(), error.column());
        let rule = error.to_string();
        let rule = rule.rsplit_once(" at line ").map_or(rule.as_str(), |(rule, _)| rule);
        PriceProblem::new(path, rule)
    })?;
    if !printable(&text.version) || text.version.len() > 64 {
        return Err(PriceProblem::new("version", "must be 1 to 64 printable characters without blanks"));
    }
    if text.models.is_empty() {
        return Err(PriceProblem::new("models", "must name at least one model"));
    }
    let MultipliersText { batch, fast, us_inference, regional, contract } = &text.multipliers;
    let fast = multiplier("multipliers.fast", fast.as_ref())?;
    let list = models("models", &text.models, &fast)?;
    let upstreams = upstreams(&text.upstreams.0, &fast)?;
    let tools = &text.usd_per_thousand;
    Ok(Book {
        version: text.version,
        sources: text.sources,
        batch: multiplier("multipliers.batch", batch.as_ref())?,
        us_inference: multiplier("multipliers.us_inference", us_inference.as_ref())?,
        regional: multiplier("multipliers.regional", regional.as_ref())?,
        contract: multiplier("multipliers.contract", contract.as_ref())?,
        web_search: per_thousand("usd_per_thousand.web_search", tools.web_search.as_ref())?,
        code_execution: per_thousand("usd_per_thousand.code_execution", tools.code_execution.as_ref())?,
        dearest: dearest(
            list.rows.iter().chain(upstreams.values().flat_map(|upstream| &upstream.models.rows)),
        ),
        list,
        upstreams,
    })
}

fn upstreams(
    texts: &BTreeMap<String, UpstreamText>,
    fast: &Timeline<Multiplier>,
) -> Result<BTreeMap<String, Upstream>, PriceProblem> {
    let mut upstreams = BTreeMap::new();
    for (name, text) in texts {
        let path = format!("upstreams.{name}");
        if !printable(name) {
            return Err(PriceProblem::new(path, "the name must be printable characters without blanks"));
        }
        let multiplier = match &text.multiplier {
            Some(text) => multiplier(&format!("{path}.multiplier"), Some(text))?,
            None => Timeline::always(Multiplier::ONE),
        };
        let models = models(&format!("{path}.models"), &text.models, fast)?;
        upstreams.insert(name.clone(), Upstream { multiplier, regional: text.regional, models });
    }
    Ok(upstreams)
}

fn models(path: &str, texts: &[ModelText], fast: &Timeline<Multiplier>) -> Result<Models, PriceProblem> {
    let mut models = Models::default();
    for (place, text) in texts.iter().enumerate() {
        let path = format!("{path}[{place}]");
        let all_names = std::iter::once(("model".to_owned(), &text.model))
            .chain(text.aliases.iter().enumerate().map(|(at, alias)| (format!("aliases[{at}]"), alias)));
        for (field, name) in all_names {
            if !printable(name) {
                let rule = "must be printable characters without blanks";
                return Err(PriceProblem::new(format!("{path}.{field}"), rule));
            }
            if models.names.insert(name.to_ascii_lowercase(), place).is_some() {
                let rule = format!("`{name}` has a price already; every name may stand once");
                return Err(PriceProblem::new(format!("{path}.{field}"), rule));
            }
        }
        models.rows.push(model(&path, text, fast)?);
    }
    Ok(models)
}

fn model(path: &str, text: &ModelText, fast: &Timeline<Multiplier>) -> Result<Model, PriceProblem> {
    let fast = match &text.fast {
        Some(text) => multiplier(&format!("{path}.fast"), Some(text))?,
        None => fast.clone(),
    };
    let path = format!("{path}.periods");
    let mut periods = Vec::with_capacity(text.periods.len());
    for (place, text) in text.periods.iter().enumerate() {
        let path = format!("{path}[{place}]");
        periods.push((text.from.as_deref(), period(&path, text)?));
    }
    Ok(Model {
        name: text.model.clone(),
        aliases: text.aliases.clone(),
        note: text.note.clone(),
        us_inference: text.us_inference,
        regional: text.regional,
        fast,
        periods: timeline(&path, periods)?,
    })
}

/// Puts values in the order of time, in which they must already be: out of order, somebody has mistaken a date.
fn timeline<T>(path: &str, periods: Vec<(Option<&str>, T)>) -> Result<Timeline<T>, PriceProblem> {
    let mut timeline: Vec<(UnixMs, T)> = Vec::with_capacity(periods.len());
    for (place, (from, value)) in periods.into_iter().enumerate() {
        let path = format!("{path}[{place}].from");
        let from = match from {
            Some(text) => instant(text).ok_or_else(|| {
                PriceProblem::new(
                    &path,
                    "must be a date such as 2026-10-07, or an instant in UTC such as 2026-10-07T12:00:00Z",
                )
            })?,
            None if place == 0 => UnixMs::MIN,
            None => {
                let rule = "is missing: only the first period holds from the beginning";
                return Err(PriceProblem::new(path, rule));
            }
        };
        let rule = match timeline.last() {
            Some((before, _)) if from == *before => {
                "must be later than in the period before: the two overlap, and two values cannot hold at once"
            }
            Some((before, _)) if from < *before => {
                "must be later than in the period before: periods stand in the order of time"
            }
            _ => {
                timeline.push((from, value));
                continue;
            }
        };
        return Err(PriceProblem::new(path, rule));
    }
    if timeline.is_empty() {
        return Err(PriceProblem::new(path, "must have at least one period"));
    }
    Ok(Timeline(timeline))
}

/// A date, which begins at midnight UTC, or an instant in UTC, with or without milliseconds.
fn instant(text: &str) -> Option<UnixMs> {
    const DATE: usize = "2026-10-07".len();
    const SECONDS: usize = "2026-10-07T12:00:00Z".len();
    match text.len() {
        DATE => format!("{text}T00:00:00.000Z").parse().ok(),
        SECONDS => format!("{}.000Z", text.strip_suffix('Z')?).parse().ok(),
        _ => text.parse().ok(),
    }
}

fn period(path: &str, text: &PeriodText) -> Result<Period, PriceProblem> {
    let rates = rates(&format!("{path}.usd_per_million"), &text.usd_per_million)?;
    let long_prompt = match &text.long_prompt {
        None => None,
        Some(long) => {
            let path = format!("{path}.long_prompt.usd_per_million");
            let long_rates = self::rates(&path, &long.usd_per_million)?;
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
    Ok(Period { rates, long_prompt })
}

fn rates(path: &str, text: &RatesText) -> Result<Rates, PriceProblem> {
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
        let text = text.as_deref().ok_or_else(|| missing(&path))?;
        rates[class as usize] = NanoUsd(decimal(&path, text, 9, RATE_MAX)?);
    }
    Ok(rates)
}

/// Dollars per thousand, given per million as all rates are.
fn per_thousand(path: &str, text: Option<&DatedText>) -> Result<Timeline<NanoUsd>, PriceProblem> {
    dated(path, text, |path, text| {
        decimal(path, text, 9, RATE_MAX).map(|nano_usd| NanoUsd(nano_usd.saturating_mul(1000)))
    })
}

fn multiplier(path: &str, text: Option<&DatedText>) -> Result<Timeline<Multiplier>, PriceProblem> {
    dated(path, text, |path, text| {
        // Three decimals each: so a product of four is still exact.
        let thousandths = decimal(path, text, 3, MULTIPLIER_MAX / Multiplier::THOUSANDTH)?;
        if thousandths == 0 {
            return Err(PriceProblem::new(path, "must be more than 0"));
        }
        Ok(Multiplier(thousandths * Multiplier::THOUSANDTH))
    })
}

/// A number for all time, or one for each period.
fn dated<T>(
    path: &str,
    text: Option<&DatedText>,
    number: impl Fn(&str, &str) -> Result<T, PriceProblem>,
) -> Result<Timeline<T>, PriceProblem> {
    match text {
        None => Err(missing(path)),
        Some(DatedText::Always(text)) => number(path, text).map(Timeline::always),
        Some(DatedText::Periods(texts)) => {
            if texts.first().is_some_and(|first| first.from.is_some()) {
                // With rates it is plain what held before; with a factor it would be a guess.
                let rule =
                    "must not be there: say what holds before the first change, and leave out its `from`";
                return Err(PriceProblem::new(format!("{path}[0].from"), rule));
            }
            let mut periods = Vec::with_capacity(texts.len());
            for (place, text) in texts.iter().enumerate() {
                let value = number(&format!("{path}[{place}].value"), &text.value)?;
                periods.push((text.from.as_deref(), value));
            }
            timeline(path, periods)
        }
    }
}

fn missing(path: &str) -> PriceProblem {
    PriceProblem::new(
        path,
        "is missing; write `\"0\"` if it is free, and `\"1\"` for a factor that changes nothing",
    )
}

fn printable(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// A decimal number with at most `decimals` digits after the point, as an integer of that many decimals.
fn decimal(path: &str, text: &str, decimals: usize, max: i64) -> Result<i64, PriceProblem> {
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
fn dearest<'a>(models: impl Iterator<Item = &'a Model>) -> Model {
    let mut rates = [NanoUsd::ZERO; RATE_CLASSES];
    let mut fast = Multiplier::ONE;
    for model in models {
        fast = model.fast.values().fold(fast, |fast, other| fast.max(*other));
        for period in model.periods.values() {
            let highest = period.long_prompt.as_ref().map_or(&period.rates, |long| &long.rates);
            for (rate, other) in rates.iter_mut().zip(highest) {
                *rate = (*rate).max(*other);
            }
        }
    }
    Model {
        name: "unknown".to_owned(),
        aliases: Vec::new(),
        note: None,
        us_inference: true,
        regional: true,
        fast: Timeline::always(fast),
        periods: Timeline::always(Period { rates, long_prompt: None }),
    }
}
