//! A usage report, as the admin API gives it, in the forms in which it is printed.

use super::forecast::Running;
use crate::{
    money,
    table::{Column, Table, visible},
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Usage and cost, grouped by some dimensions.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Report {
    /// The names of the dimensions, outermost first.
    pub(crate) by: Vec<String>,
    /// A row for each group.
    pub(crate) rows: Vec<Row>,
    /// The period that is forecast, if one is.
    #[serde(skip)]
    running: Option<Running>,
}

/// One group.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Row {
    /// Its figures.
    #[serde(flatten)]
    pub(crate) figures: Figures,
    /// What it will have cost at the end of the running period, in billionths of a US dollar.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    forecast_nano_usd: Option<i64>,
    /// Its dimensions: name to text, or to nothing where a request had none.
    #[serde(flatten)]
    dimensions: Map<String, Value>,
}

/// Figures of some requests.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Figures {
    /// Requests that went upstream.
    pub(crate) requests: u64,
    /// Those among them that did not end well.
    pub(crate) errors: u64,
    /// Tokens of input, neither read from the cache nor written to it.
    pub(crate) input_tokens: u64,
    /// Tokens of output.
    pub(crate) output_tokens: u64,
    /// Tokens read from the cache.
    pub(crate) cache_read_tokens: u64,
    /// Tokens written to the cache.
    pub(crate) cache_write_tokens: u64,
    /// The cost when the requests ended, in billionths of a US dollar.
    pub(crate) cost_nano_usd: i64,
    /// What later corrections add, in billionths of a US dollar; negative where they give back.
    #[serde(default)]
    pub(crate) adjusted_nano_usd: i64,
    /// Requests whose usage is in part estimated, since they broke off before it was told.
    pub(crate) estimated: u64,
    /// Requests of which nothing is known, since the gateway crashed; they cost what was reserved for them.
    pub(crate) unknown: u64,
    /// Requests for models that the price book does not know; they cost the dearest known rate.
    pub(crate) unknown_price: u64,
}

impl Row {
    /// The value of a dimension; empty where a request had none.
    pub(crate) fn dimension(&self, name: &str) -> &str {
        self.dimensions.get(name).and_then(Value::as_str).unwrap_or_default()
    }

    /// What it costs, corrections counted.
    fn total(&self) -> i128 {
        i128::from(self.figures.cost_nano_usd) + i128::from(self.figures.adjusted_nano_usd)
    }
}

/// Sums of money, which may be more than one row can hold.
#[derive(Debug, Clone, Copy, Default)]
struct Money {
    cost: i128,
    adjusted: i128,
    forecast: Option<i128>,
}

impl Report {
    /// Adds to each row what it will have cost at the end of the period that it is of.
    pub(super) fn forecast(&mut self, running: Running) {
        for row in &mut self.rows {
            let forecast = running.at_end(row.total());
            row.forecast_nano_usd = Some(i64::try_from(forecast).unwrap_or(i64::MAX));
        }
        self.running = Some(running);
    }

    /// The sums of all rows.
    fn sums(&self) -> (Figures, Money) {
        let mut sum = Figures::default();
        let mut money = Money::default();
        for Row { figures, .. } in &self.rows {
            let pairs = [
                (&mut sum.requests, figures.requests),
                (&mut sum.errors, figures.errors),
                (&mut sum.input_tokens, figures.input_tokens),
                (&mut sum.output_tokens, figures.output_tokens),
                (&mut sum.cache_read_tokens, figures.cache_read_tokens),
                (&mut sum.cache_write_tokens, figures.cache_write_tokens),
                (&mut sum.estimated, figures.estimated),
                (&mut sum.unknown, figures.unknown),
                (&mut sum.unknown_price, figures.unknown_price),
            ];
            for (total, figure) in pairs {
                *total = total.saturating_add(figure);
            }
            money.cost += i128::from(figures.cost_nano_usd);
            money.adjusted += i128::from(figures.adjusted_nano_usd);
        }
        money.forecast = self.running.map(|running| running.at_end(money.cost + money.adjusted));
        (sum, money)
    }

    /// For people, with a row of sums.
    pub(crate) fn table(&self) -> String {
        if self.rows.is_empty() {
            return "no requests\n".to_owned();
        }
        let texts = self.by.iter().cloned().map(Column::Text);
        let numbers = [
            "requests",
            "errors",
            "input",
            "output",
            "cache read",
            "cache write",
            "cost",
            "corrections",
            "forecast",
        ];
        let numbers = numbers.map(String::from);
        let mut table = Table::new(texts.chain(numbers.map(Column::Number)));
        for row in &self.rows {
            let named = self.by.iter().map(|name| match row.dimension(name) {
                "" => "-".to_owned(),
                value => value.to_owned(),
            });
            let money = Money {
                cost: row.figures.cost_nano_usd.into(),
                adjusted: row.figures.adjusted_nano_usd.into(),
                forecast: row.forecast_nano_usd.map(i128::from),
            };
            let figures = cells(&row.figures, money);
            table.row(named.chain(figures).collect());
        }
        let (sum, money) = self.sums();
        let mut label = vec![String::new(); self.by.len()];
        if let Some(first) = label.first_mut() {
            "total".clone_into(first);
        }
        table.row(label.into_iter().chain(cells(&sum, money)).collect());
        table.text()
    }

    /// What must be known to read the cost rightly.
    pub(crate) fn notes(&self) -> Vec<String> {
        let (sum, _) = self.sums();
        let notes = [
            (sum.estimated, "broke off before their usage was told: a floor of it was counted"),
            (sum.unknown, "were under way when the gateway died: what was reserved for them was counted"),
            (
                sum.unknown_price,
                "named a model that the price book does not know: the dearest known rate was counted",
            ),
        ];
        let shown = notes.iter().filter(|(count, _)| *count > 0);
        shown.map(|(count, what)| format!("note: {count} of {} requests {what}", sum.requests)).collect()
    }

    /// For spreadsheets.
    pub(crate) fn csv(&self) -> String {
        const FIGURES: [&str; 13] = [
            "requests",
            "errors",
            "input_tokens",
            "output_tokens",
            "cache_read_tokens",
            "cache_write_tokens",
            "cost_usd",
            "cost_nano_usd",
            "adjusted_usd",
            "adjusted_nano_usd",
            "estimated",
            "unknown",
            "unknown_price",
        ];
        const FORECAST: [&str; 2] = ["forecast_usd", "forecast_nano_usd"];
        let forecast = self.running.map_or(&[][..], |_| &FORECAST);
        let names = FIGURES.iter().chain(forecast).map(|name| (*name).to_owned());
        let header: Vec<String> = self.by.iter().cloned().chain(names).collect();
        let rows = self.rows.iter().map(|row| {
            let named = self.by.iter().map(|name| harmless(row.dimension(name)));
            let figures = &row.figures;
            let counts = |counts: &[u64]| counts.iter().map(u64::to_string).collect::<Vec<_>>();
            let money = |nano_usd: i64| [money::decimal(nano_usd.into()), nano_usd.to_string()];
            let tokens = [
                figures.requests,
                figures.errors,
                figures.input_tokens,
                figures.output_tokens,
                figures.cache_read_tokens,
                figures.cache_write_tokens,
            ];
            named
                .chain(counts(&tokens))
                .chain(money(figures.cost_nano_usd))
                .chain(money(figures.adjusted_nano_usd))
                .chain(counts(&[figures.estimated, figures.unknown, figures.unknown_price]))
                .chain(row.forecast_nano_usd.into_iter().flat_map(money))
                .collect()
        });
        write_csv(&header, rows.collect())
    }

    /// For programs.
    pub(crate) fn json(&self) -> String {
        crate::json::pretty(self)
    }
}

fn cells(figures: &Figures, money: Money) -> [String; 9] {
    [
        figures.requests.to_string(),
        figures.errors.to_string(),
        figures.input_tokens.to_string(),
        figures.output_tokens.to_string(),
        figures.cache_read_tokens.to_string(),
        figures.cache_write_tokens.to_string(),
        money::dollars(money.cost),
        if money.adjusted == 0 { String::new() } else { money::dollars(money.adjusted) },
        money.forecast.map(money::dollars).unwrap_or_default(),
    ]
}

/// Lines of CSV (RFC 4180) under a header.
pub(super) fn write_csv(header: &[String], rows: Vec<Vec<String>>) -> String {
    let mut lines = csv::Writer::from_writer(Vec::new());
    for record in std::iter::once(header.to_vec()).chain(rows) {
        lines.write_record(record).expect("all records have the same length and memory takes them");
    }
    let bytes = lines.into_inner().expect("memory takes the last record");
    String::from_utf8(bytes).expect("records of text are text")
}

/// A text that no spreadsheet takes for a formula: clients choose the names of models and sessions
/// (<https://owasp.org/www-community/attacks/CSV_Injection>). Blanks before the sign, and its full-width form, are
/// overlooked by some spreadsheets.
pub(crate) fn harmless(text: &str) -> String {
    const SIGNS: [char; 8] = ['=', '+', '-', '@', '\u{ff1d}', '\u{ff0b}', '\u{ff0d}', '\u{ff20}'];
    let text = visible(text);
    if text.trim_start().starts_with(SIGNS) { format!("'{text}") } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report {
        let text = r#"{"by":["team","model"],"rows":[
            {"team":"red","model":"claude-opus-5","requests":3,"errors":1,"input_tokens":120,"output_tokens":45,
             "cache_read_tokens":7,"cache_write_tokens":8,"cost_nano_usd":1234567,"estimated":1,"unknown":0,
             "unknown_price":0},
            {"team":"blue","model":null,"requests":1,"errors":0,"input_tokens":0,"output_tokens":0,
             "cache_read_tokens":0,"cache_write_tokens":0,"cost_nano_usd":9223372036854775807,"estimated":0,
             "unknown":0,"unknown_price":1},
            {"team":"blue","model":"=cmd()\u001b[2J","requests":1,"errors":0,"input_tokens":1,"output_tokens":1,
             "cache_read_tokens":0,"cache_write_tokens":0,"cost_nano_usd":1,"estimated":0,"unknown":0,
             "unknown_price":0}]}"#;
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn tables_sum_exactly() {
        insta::assert_snapshot!(report().table());
        insta::assert_snapshot!(report().notes().join("\n"));
        assert_eq!(
            Report { by: vec!["team".into()], rows: Vec::new(), running: None }.table(),
            "no requests\n"
        );
    }

    #[test]
    fn corrections_and_forecasts_have_columns_where_there_are_any() {
        let mut report = report();
        report.rows[0].figures.adjusted_nano_usd = -234_567;
        let at = |text: &str| text.parse().unwrap();
        let (from, to) = (at("2026-11-01"), at("2026-12-01"));
        report.forecast(Running::of(Some(from), Some(to), at("2026-11-16")).unwrap());
        insta::assert_snapshot!(report.table());
        insta::assert_snapshot!(report.csv());
        assert!(report.json().contains("\"forecast_nano_usd\": 2000000"), "{}", report.json());
    }

    #[test]
    fn spreadsheets_get_no_formulas() {
        insta::assert_snapshot!(report().csv());
    }

    #[test]
    fn signs_of_formulas_are_disarmed_wherever_a_spreadsheet_finds_them() {
        let rows = [
            ("=1", "'=1"),
            (" \u{a0}\u{3000}+1", "' \u{a0}\u{3000}+1"),
            ("\u{ff1d}1", "'\u{ff1d}1"),
            (" \u{ff20}x", "' \u{ff20}x"),
            ("\t=1", "\\t=1"),
            ("\u{85}=1", "\\u{85}=1"),
            ("\u{200b}=1", "\\u{200b}=1"),
            ("a=1", "a=1"),
            (" a", " a"),
            ("", ""),
        ];
        for (text, expected) in rows {
            assert_eq!(harmless(text), expected);
        }
    }

    #[test]
    fn programs_get_what_the_gateway_said() {
        let report = report();
        let again: Report = serde_json::from_str(&report.json()).unwrap();
        assert_eq!(again.table(), report.table());
        assert!(report.json().contains("\"model\": null"));
    }
}
