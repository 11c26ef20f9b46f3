//! A usage report, as the admin API gives it, in the forms in which it is printed.

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
}

/// One group.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Row {
    /// Its figures.
    #[serde(flatten)]
    pub(crate) figures: Figures,
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
    /// The cost, in billionths of a US dollar.
    pub(crate) cost_nano_usd: i64,
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
}

impl Report {
    /// The sums of all rows, and the cost apart, since it may be more than one row can hold.
    fn sums(&self) -> (Figures, i128) {
        let mut sum = Figures::default();
        let mut cost: i128 = 0;
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
            cost += i128::from(figures.cost_nano_usd);
        }
        (sum, cost)
    }

    /// For people, with a row of sums.
    pub(crate) fn table(&self) -> String {
        if self.rows.is_empty() {
            return "no requests\n".to_owned();
        }
        let texts = self.by.iter().cloned().map(Column::Text);
        let numbers =
            ["requests", "errors", "input", "output", "cache read", "cache write", "cost"].map(String::from);
        let mut table = Table::new(texts.chain(numbers.map(Column::Number)));
        for row in &self.rows {
            let named = self.by.iter().map(|name| match row.dimension(name) {
                "" => "-".to_owned(),
                value => value.to_owned(),
            });
            let figures = cells(&row.figures, i128::from(row.figures.cost_nano_usd));
            table.row(named.chain(figures).collect());
        }
        let (sum, cost) = self.sums();
        let mut label = vec![String::new(); self.by.len()];
        if let Some(first) = label.first_mut() {
            "total".clone_into(first);
        }
        table.row(label.into_iter().chain(cells(&sum, cost)).collect());
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
        const FIGURES: [&str; 11] = [
            "requests",
            "errors",
            "input_tokens",
            "output_tokens",
            "cache_read_tokens",
            "cache_write_tokens",
            "cost_usd",
            "cost_nano_usd",
            "estimated",
            "unknown",
            "unknown_price",
        ];
        let mut lines = csv::Writer::from_writer(Vec::new());
        let mut write = |fields: Vec<String>| {
            lines.write_record(fields).expect("all records have the same length and memory takes them");
        };
        write(self.by.iter().cloned().chain(FIGURES.map(String::from)).collect());
        for row in &self.rows {
            let named = self.by.iter().map(|name| harmless(row.dimension(name)));
            let figures = &row.figures;
            let numbers = [
                figures.requests.to_string(),
                figures.errors.to_string(),
                figures.input_tokens.to_string(),
                figures.output_tokens.to_string(),
                figures.cache_read_tokens.to_string(),
                figures.cache_write_tokens.to_string(),
                money::decimal(i128::from(figures.cost_nano_usd)),
                figures.cost_nano_usd.to_string(),
                figures.estimated.to_string(),
                figures.unknown.to_string(),
                figures.unknown_price.to_string(),
            ];
            write(named.chain(numbers).collect());
        }
        let bytes = lines.into_inner().expect("memory takes the last record");
        String::from_utf8(bytes).expect("records of text are text")
    }

    /// For programs.
    pub(crate) fn json(&self) -> String {
        serde_json::to_string_pretty(self).expect("a report has only texts and numbers")
    }
}

fn cells(figures: &Figures, cost: i128) -> [String; 7] {
    [
        figures.requests.to_string(),
        figures.errors.to_string(),
        figures.input_tokens.to_string(),
        figures.output_tokens.to_string(),
        figures.cache_read_tokens.to_string(),
        figures.cache_write_tokens.to_string(),
        money::dollars(cost),
    ]
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
        assert_eq!(Report { by: vec!["team".into()], rows: Vec::new() }.table(), "no requests\n");
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
