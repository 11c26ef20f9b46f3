//! Usage as a FOCUS dataset: the table "Cost and Usage" of the FinOps Open Cost and Usage Specification, version 1.4
//! (<https://focus.finops.org/focus-specification/>).
//!
//! A row is the use of one model by one group on one day, UTC. Its costs are those of the price book in force when the
//! requests were admitted; the ledger keeps one price, so list, contracted, effective and billed cost are the same. Tokens
//! of different classes have different prices, so a row has no unit price; the classes stand in columns of our own
//! (`x_...`), as the specification allows. What the ledger was corrected by are rows of their own.

use super::{
    dimension::Dimension,
    report::{Report, Row, harmless, write_csv},
};
use crate::money;
use jiff::{ToSpan, civil::Date};
use serde_json::{Map, Value};

/// The columns, in alphabetical order as the specification lists them; ours come last.
const COLUMNS: [&str; 40] = [
    "BilledCost",
    "BillingAccountId",
    "BillingAccountName",
    "BillingCurrency",
    "BillingPeriodEnd",
    "BillingPeriodStart",
    "ChargeCategory",
    "ChargeClass",
    "ChargeDescription",
    "ChargeFrequency",
    "ChargePeriodEnd",
    "ChargePeriodStart",
    "ConsumedQuantity",
    "ConsumedUnit",
    "ContractedCost",
    "EffectiveCost",
    "HostProviderName",
    "InvoiceIssuerName",
    "ListCost",
    "PricingQuantity",
    "PricingUnit",
    "RegionId",
    "RegionName",
    "ServiceCategory",
    "ServiceName",
    "ServiceProviderName",
    "ServiceSubcategory",
    "SkuId",
    "SubAccountId",
    "SubAccountName",
    "SubAccountType",
    "Tags",
    "x_CacheReadTokens",
    "x_CacheWriteTokens",
    "x_EstimatedRequests",
    "x_InputTokens",
    "x_OutputTokens",
    "x_Requests",
    "x_UnknownPriceRequests",
    "x_Upstream",
];

/// Whose API it is, and who bills it.
const PROVIDER: &str = "Anthropic";
/// What the keys of tags begin with that Tollgate gives, and not the operator: the specification asks for a prefix.
const OWN_TAG: &str = "tollgate/";
/// Dimensions that every row has a column for.
const NEEDED: [&str; 7] = ["day", "org", "team", "cost_centre", "model", "upstream", "region"];

/// What to ask the ledger for: what the columns need, and what else people group by, which becomes tags.
pub(super) fn dimensions(by: &[Dimension]) -> Vec<Dimension> {
    let mut dimensions: Vec<Dimension> = NEEDED.map(Dimension::of).to_vec();
    // The day says which month it is in.
    let more = by.iter().filter(|dimension| dimension.as_str() != "month");
    for dimension in more {
        if !dimensions.contains(dimension) {
            dimensions.push(dimension.clone());
        }
    }
    dimensions
}

/// The report as CSV.
///
/// # Errors
///
/// What is wrong with a row, where it names no day.
pub(super) fn csv(report: &Report, by: &[Dimension]) -> Result<String, String> {
    let mut rows = Vec::new();
    for row in &report.rows {
        let days = Days::of(row.dimension("day"))?;
        let figures = &row.figures;
        if figures.requests > 0 || figures.cost_nano_usd != 0 {
            rows.push(usage(row, &days, by));
        }
        if figures.adjusted_nano_usd != 0 {
            rows.push(adjustment(row, &days, by));
        }
    }
    Ok(write_csv(&COLUMNS.map(String::from), rows))
}

/// The day of a row and the month that it is billed in, as instants in UTC.
struct Days {
    day: [String; 2],
    month: [String; 2],
}

impl Days {
    fn of(text: &str) -> Result<Self, String> {
        let strange = |_| format!("`{text}` is not a day");
        let day: Date = text.parse().map_err(strange)?;
        let first = day.first_of_month();
        let [tomorrow, next] =
            [day.tomorrow(), first.checked_add(1.month())].map(|date| date.map_err(strange));
        let instant = |date: Date| format!("{date}T00:00:00Z");
        Ok(Self { day: [instant(day), instant(tomorrow?)], month: [instant(first), instant(next?)] })
    }
}

fn usage(row: &Row, days: &Days, by: &[Dimension]) -> Vec<String> {
    let figures = &row.figures;
    let tokens =
        [figures.input_tokens, figures.output_tokens, figures.cache_read_tokens, figures.cache_write_tokens];
    let quantity: u128 = tokens.iter().map(|count| u128::from(*count)).sum();
    let model = or(row.dimension("model"), "no model");
    let charge = Charge {
        category: "Usage",
        description: match figures.requests {
            1 => format!("1 request for {model}"),
            more => format!("{more} requests for {model}"),
        },
        frequency: "Usage-Based",
        cost: figures.cost_nano_usd,
        quantity: Some(quantity),
    };
    let counts = [tokens[2], tokens[3], figures.estimated, tokens[0], tokens[1], figures.requests];
    let counts = counts.into_iter().chain([figures.unknown_price]).map(|count| count.to_string());
    charge.row(row, days, by, counts.collect())
}

fn adjustment(row: &Row, days: &Days, by: &[Dimension]) -> Vec<String> {
    let model = or(row.dimension("model"), "no model");
    let charge = Charge {
        category: "Adjustment",
        description: format!("Corrections of the cost of requests for {model}"),
        frequency: "One-Time",
        cost: row.figures.adjusted_nano_usd,
        quantity: None,
    };
    charge.row(row, days, by, vec![String::new(); 7])
}

/// What is charged by one row.
struct Charge {
    category: &'static str,
    description: String,
    frequency: &'static str,
    cost: i64,
    quantity: Option<u128>,
}

impl Charge {
    /// The fields in the order of [`COLUMNS`]; `counts` are those of ours that hold numbers.
    fn row(self, row: &Row, days: &Days, by: &[Dimension], counts: Vec<String>) -> Vec<String> {
        let cost = || money::decimal(i128::from(self.cost));
        let org = or(row.dimension("org"), "default");
        let [account, kind] = match (row.dimension("cost_centre"), row.dimension("team")) {
            ("", "") => ["", ""],
            ("", team) => [team, "Team"],
            (centre, _) => [centre, "Cost centre"],
        };
        let [day, tomorrow] = &days.day;
        let [first, next] = &days.month;
        let region = row.dimension("region");
        let own = |text: &str| text.to_owned();
        let mut fields = vec![
            cost(),
            harmless(org),
            harmless(org),
            own("USD"),
            next.clone(),
            first.clone(),
            own(self.category),
            String::new(),
            harmless(&self.description),
            own(self.frequency),
            tomorrow.clone(),
            day.clone(),
            self.quantity.map_or_else(String::new, |count| count.to_string()),
            self.quantity.map_or_else(String::new, |_| own("Tokens")),
            cost(),
            cost(),
            own(PROVIDER),
            own(PROVIDER),
            cost(),
            String::new(),
            String::new(),
            harmless(region),
            harmless(region),
            own("AI and Machine Learning"),
            own("Claude API"),
            own(PROVIDER),
            own("Generative AI"),
            harmless(row.dimension("model")),
            harmless(account),
            harmless(account),
            own(kind),
            tags(row, by),
        ];
        fields.extend(counts);
        fields.push(harmless(row.dimension("upstream")));
        fields
    }
}

/// What else the row is grouped by, as a JSON object; what it has no value for is left out.
fn tags(row: &Row, by: &[Dimension]) -> String {
    let shown = by.iter().filter(|dimension| {
        !matches!(dimension.as_str(), "day" | "month" | "org" | "model" | "upstream" | "region")
    });
    let mut tags = Map::new();
    for dimension in shown {
        let value = row.dimension(dimension.as_str());
        if !value.is_empty() {
            let key = dimension.tag().map_or_else(|| format!("{OWN_TAG}{dimension}"), str::to_owned);
            tags.insert(key, Value::from(value));
        }
    }
    Value::Object(tags).to_string()
}

fn or<'t>(text: &'t str, otherwise: &'t str) -> &'t str {
    if text.is_empty() { otherwise } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn by(words: &[&str]) -> Vec<Dimension> {
        words.iter().map(|word| word.parse().unwrap()).collect()
    }

    fn report() -> Report {
        let text = r#"{"by":["day","org","team","cost_centre","model","upstream","region","user","tag:app"],"rows":[
            {"day":"2026-11-30","org":"default","team":"red","cost_centre":"4711","model":"claude-opus-5",
             "upstream":"anthropic","region":null,"user":"ada","tag:app":"cli \"x\", y",
             "requests":3,"errors":1,"input_tokens":120,"output_tokens":45,"cache_read_tokens":7,
             "cache_write_tokens":8,"cost_nano_usd":1234567,"adjusted_nano_usd":-34567,"estimated":1,"unknown":0,
             "unknown_price":0},
            {"day":"2024-02-29","org":"default","team":"blue","cost_centre":null,"model":null,"upstream":"anthropic",
             "region":"us","user":null,"tag:app":null,"requests":1,"errors":0,"input_tokens":18446744073709551615,
             "output_tokens":18446744073709551615,"cache_read_tokens":0,"cache_write_tokens":0,
             "cost_nano_usd":9223372036854775807,"estimated":0,"unknown":0,"unknown_price":1},
            {"day":"2026-12-31","org":"default","team":"blue","cost_centre":null,"model":"=cmd()\u001b[2J",
             "upstream":"anthropic","region":null,"user":null,"tag:app":null,"requests":0,"errors":0,
             "input_tokens":0,"output_tokens":0,"cache_read_tokens":0,"cache_write_tokens":0,"cost_nano_usd":0,
             "adjusted_nano_usd":5,"estimated":0,"unknown":0,"unknown_price":0}]}"#;
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn usage_and_corrections_become_rows_of_their_own() {
        insta::assert_snapshot!(csv(&report(), &by(&["team", "user", "cost_centre", "tag:app"])).unwrap());
    }

    #[test]
    fn every_row_has_every_column() {
        let text = csv(&report(), &by(&["user"])).unwrap();
        let mut lines = csv::Reader::from_reader(text.as_bytes());
        assert_eq!(lines.headers().unwrap(), COLUMNS.as_slice());
        assert!(COLUMNS.is_sorted_by_key(|column| (column.starts_with("x_"), *column)));
        assert_eq!(lines.records().map(Result::unwrap).count(), 4);
    }

    #[test]
    fn a_row_without_a_day_is_no_row() {
        for day in ["", "2026-11", "yesterday"] {
            let mut report = report();
            let strange = serde_json::to_string(&report).unwrap().replace("2024-02-29", day);
            report = serde_json::from_str(&strange).unwrap();
            assert!(csv(&report, &by(&["user"])).is_err(), "{day:?}");
        }
    }

    #[test]
    fn the_ledger_is_asked_for_what_the_columns_need() {
        let words = |by: &[Dimension]| dimensions(by).iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(words(&[]), NEEDED);
        let more = words(&by(&["team", "tag:app", "month", "tag:app", "user"]));
        assert_eq!(more[NEEDED.len()..], ["tag:app", "user"]);
    }
}
