//! The CSV files of the Console: one of its page for usage, one of its page for cost.

use super::{Amount, CLASSES, EXPORT_AGAIN, Fact, Fault, Modes, Read, What};
use csv::StringRecord;
use jiff::civil::Date;
use std::collections::HashMap;
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
    let columns = Columns::of(lines.headers().map_err(|error| broken(&error))?)?;
    let mut read = Read::default();
    let mut seen = HashMap::new();
    for row in lines.records() {
        let row = row.map_err(|error| broken(&error))?;
        only_once(&row, &mut seen)?;
        columns.add(&row, &mut read)?;
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

/// Refuses a row that stands there twice, cell by cell. A row is the sum of all that its day, model, key and mode have in
/// common, so a second one is no further use but a part of the file that was pasted or joined twice.
fn only_once(row: &StringRecord, seen: &mut HashMap<Vec<String>, u64>) -> Result<(), Fault> {
    let line = row.position().map_or(0, csv::Position::line);
    match seen.insert(row.iter().map(str::to_owned).collect(), line) {
        None => Ok(()),
        Some(first) => {
            let why = format!("it is line {first} again, and its use would be counted twice");
            Err(Fault::new(format!("line {line}"), why, "take one of the two out, or export it again."))
        }
    }
}

/// Where in a row what stands.
struct Columns {
    day: usize,
    model: usize,
    keys: [Option<usize>; 2],
    tier: Option<usize>,
    speed: Option<usize>,
    geo: Option<usize>,
    what: Kind,
}

/// Of which kind the file is.
enum Kind {
    Usage(Vec<(usize, &'static str, Class)>),
    Cost { cost: usize, cost_type: Option<usize>, token_type: Option<usize> },
}

impl Columns {
    fn of(heads: &StringRecord) -> Result<Self, Fault> {
        let column = |name: &str| heads.iter().position(|head| head.trim() == name);
        let needed = |name: &'static str| {
            column(name).ok_or_else(|| {
                let why = format!("the column {name:?} is missing");
                let cure = "give it the file that the Console exports, or the JSON of the Admin API.";
                Fault::new("line 1", why, cure)
            })
        };
        let day = needed(DAY)?;
        let (model, what) = if let Some(cost) = column(COST) {
            let (cost_type, token_type) = (column("cost_type"), column("token_type"));
            (needed("model")?, Kind::Cost { cost, cost_type, token_type })
        } else {
            let model = needed("model_version")?;
            // Older files lack some of the others.
            needed(COUNTS[0].0).and_then(|_| needed(COUNTS[1].0))?;
            let counts = COUNTS.iter().filter_map(|(name, class)| Some((column(name)?, *name, *class)));
            (model, Kind::Usage(counts.collect()))
        };
        Ok(Self {
            day,
            model,
            keys: [column("api_key_id"), column("api_key")],
            tier: column("usage_type"),
            speed: column("speed"),
            geo: column("inference_geo"),
            what,
        })
    }

    fn add(&self, row: &StringRecord, read: &mut Read) -> Result<(), Fault> {
        let line = row.position().map_or(0, csv::Position::line);
        let fault = |name: &str, why: String| Fault::new(format!("line {line} {name}"), why, EXPORT_AGAIN);
        let cell = |column: Option<usize>| text_of(row, column);
        let text = &row[self.day];
        let day = date(text).ok_or_else(|| fault(DAY, format!("{text:?} is no date such as 2026-11-01")))?;
        let fact = |what| Fact {
            day,
            model: cell(Some(self.model)).map(id),
            keys: self.keys.iter().filter_map(|column| cell(*column)).map(str::to_owned).collect(),
            modes: Modes::of(cell(self.tier), cell(self.speed), cell(self.geo)),
            what,
        };
        match &self.what {
            Kind::Cost { cost, cost_type, token_type } => {
                let text = cell(Some(*cost)).unwrap_or_default();
                let amount = Amount::dollars(text)
                    .ok_or_else(|| fault(COST, format!("{text:?} is no decimal number")))?;
                let class = class(cell(*cost_type), cell(*token_type));
                read.cost(fact(What::Cost { nano_usd: 0, rounding: 0, class }), amount);
            }
            Kind::Usage(columns) => {
                let mut counts = [0; CLASSES];
                for (column, name, class) in columns {
                    let text = cell(Some(*column)).unwrap_or("0");
                    counts[*class as usize] =
                        text.parse().map_err(|_| fault(name, format!("{text:?} is no whole number")))?;
                }
                if cell(Some(self.model)).is_none() {
                    return Err(fault("model_version", "is empty".to_owned()));
                }
                read.usage(fact(What::Usage(counts)));
            }
        }
        Ok(())
    }
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
fn text_of(row: &StringRecord, column: Option<usize>) -> Option<&str> {
    row.get(column?).map(str::trim).filter(|text| !text.is_empty())
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
