//! The CSV files of the Console: one of its page for usage, one of its page for cost.

use super::{Amount, CLASSES, EXPORT_AGAIN, Fact, Fault, Modes, Read, What};
use csv::StringRecord;
use jiff::civil::Date;
use tollgate_policy::price::Class;

/// The most days of one file: a year and some. More is a date that is mistaken.
const DAYS_MAX: i32 = 400;

const DAY: &str = "usage_date_utc";
const COST: &str = "cost_usd";
/// The columns of counts, and what they count.
const COUNTS: [(&str, Class); 6] = [
    ("usage_input_tokens_no_cache", Class::Input),
    ("usage_output_tokens", Class::Output),
    ("usage_input_tokens_cache_write_5m", Class::CacheWrite5m),
    ("usage_input_tokens_cache_write_1h", Class::CacheWrite1h),
    ("usage_input_tokens_cache_read", Class::CacheRead),
    ("web_search_count", Class::WebSearch),
];
/// The values of `token_type`, and what they stand for.
const TOKEN_TYPES: [(&str, Class); 5] = [
    ("input_no_cache", Class::Input),
    ("output", Class::Output),
    ("input_cache_write_5m", Class::CacheWrite5m),
    ("input_cache_write_1h", Class::CacheWrite1h),
    ("input_cache_read", Class::CacheRead),
];

/// Reads a file of either kind. The days between its first and its last are told of, also those without a row.
pub(super) fn read(text: &str) -> Result<Read, Fault> {
    let mut lines = csv::ReaderBuilder::new().from_reader(text.as_bytes());
    let heads = lines.headers().map_err(|error| broken(&error))?.clone();
    let column = |name: &str| heads.iter().position(|head| head.trim() == name);
    let needed = |name: &'static str| {
        column(name).ok_or_else(|| {
            let why = format!("the column {name:?} is missing");
            Fault::new(
                "line 1",
                why,
                "give it the file that the Console exports, or the JSON of the Admin API.",
            )
        })
    };
    let day = needed(DAY)?;
    let is_cost = column(COST).is_some();
    let model = if is_cost { needed("model")? } else { needed("model_version")? };
    let counts: Vec<(usize, &str, Class)> = if is_cost {
        Vec::new()
    } else {
        // Searches are left out of older files.
        needed(COUNTS[0].0).and_then(|_| needed(COUNTS[1].0))?;
        COUNTS.iter().filter_map(|(name, class)| Some((column(name)?, *name, *class))).collect()
    };
    let mut read = Read::default();
    for row in lines.records() {
        let row = row.map_err(|error| broken(&error))?;
        let line = row.position().map_or(0, csv::Position::line);
        let place = |name: &str| format!("line {line} {name}");
        let cell = |column: Option<usize>| text_of(&row, column);
        let day = date(&row[day]).ok_or_else(|| {
            Fault::new(place(DAY), format!("{:?} is no date such as 2026-11-01", &row[day]), EXPORT_AGAIN)
        })?;
        let keys = [cell(column("api_key_id")), cell(column("api_key"))].into_iter().flatten().collect();
        let (tier, speed) = (cell(column("usage_type")), cell(column("speed")));
        let modes = Modes::of(tier.as_deref(), speed.as_deref(), cell(column("inference_geo")).as_deref());
        let model = cell(Some(model)).map(|model| id(&model));
        if is_cost {
            let text = cell(column(COST)).unwrap_or_default();
            let amount = Amount::dollars(&text).ok_or_else(|| {
                Fault::new(place(COST), format!("{text:?} is no decimal number"), EXPORT_AGAIN)
            })?;
            let class = class(cell(column("cost_type")).as_deref(), cell(column("token_type")).as_deref());
            let what = What::Cost { nano_usd: 0, rounding: 0, class };
            read.cost(Fact { day, model, keys, modes, what }, amount);
        } else {
            let mut used = [0; CLASSES];
            for (column, name, class) in &counts {
                let text = text_of(&row, Some(*column)).unwrap_or_else(|| "0".to_owned());
                used[*class as usize] = text.parse().map_err(|_| {
                    Fault::new(place(name), format!("{text:?} is no whole number"), EXPORT_AGAIN)
                })?;
            }
            if model.is_none() {
                return Err(Fault::new(place("model_version"), "is empty", EXPORT_AGAIN));
            }
            read.usage(Fact { day, model, keys, modes, what: What::Usage(used) });
        }
    }
    for days in [&mut read.usage_days, &mut read.cost_days] {
        let (Some(first), Some(last)) = (days.first().copied(), days.last().copied()) else { continue };
        if first.until(last).is_ok_and(|span| span.get_days() > DAYS_MAX) {
            let why = format!("it reaches from {first} to {last}, and {DAYS_MAX} days are the most");
            return Err(Fault::new("the file", why, "export a year at a time."));
        }
        days.extend(first.series(jiff::Span::new().days(1)).take_while(|day| *day <= last));
    }
    if read.facts.is_empty() {
        return Err(Fault::new("the file", "has no rows", "export days on which something was used."));
    }
    Ok(read)
}

fn broken(error: &csv::Error) -> Fault {
    let place = error.position().map_or_else(|| "the file".to_owned(), |at| format!("line {}", at.line()));
    let why = match error.kind() {
        csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
            format!("it has {len} fields, and the first line has {expected_len}")
        }
        _ => "this is no CSV".to_owned(),
    };
    Fault::new(place, why, EXPORT_AGAIN)
}

/// What stands in a cell; nothing if it is blank.
fn text_of(row: &StringRecord, column: Option<usize>) -> Option<String> {
    let text = row.get(column?)?.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

/// The date of a day or of an hour in it: `2026-11-01` or `2026-11-01T05:00:00Z`.
fn date(text: &str) -> Option<Date> {
    let (date, rest) = text.trim().split_at_checked("2026-11-01".len())?;
    let date = date.parse().ok()?;
    (rest.is_empty() || rest.starts_with(['T', ' '])).then_some(date)
}

/// The id of a model that the file may call by its name for people: `Claude Haiku 4.5`.
fn id(name: &str) -> String {
    if name.contains(' ') { name.to_ascii_lowercase().replace([' ', '.'], "-") } else { name.to_owned() }
}

fn class(cost_type: Option<&str>, token_type: Option<&str>) -> Option<Class> {
    match cost_type {
        Some("web_search") => Some(Class::WebSearch),
        Some("code_execution") => Some(Class::CodeExecution),
        _ => TOKEN_TYPES.iter().find(|(name, _)| Some(*name) == token_type).map(|(_, class)| *class),
    }
}
