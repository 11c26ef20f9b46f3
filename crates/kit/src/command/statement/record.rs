//! Statements as they are written.

use crate::{
    money,
    table::{Column, Table},
    time::brief,
};
use serde::Deserialize;
use std::collections::BTreeMap;

/// The form of statements that this version reads.
const FORMAT: &str = "tollgate-statement-v1";

/// A period that is closed, as the list has it.
#[derive(Debug, Deserialize)]
pub(super) struct Closed {
    period: String,
    from: String,
    to: String,
    total_nano_usd: i64,
    statement: String,
    by: String,
}

/// A statement.
#[derive(Debug, Deserialize)]
pub(super) struct Stated {
    format: String,
    pub(super) instance: String,
    pub(super) period: String,
    from: String,
    to: String,
    time_zone: String,
    upto: u64,
    closed_at: String,
    closed_by: String,
    total: Sum,
    cost_centres: Vec<CostCentre>,
    /// What was admitted in the period.
    lines: Vec<Line>,
    /// What was admitted before it, and ended too late for its own statement.
    late: Vec<Line>,
    /// Corrections that were made in the period.
    adjustments: Vec<Line>,
}

#[derive(Debug, Deserialize)]
struct CostCentre {
    cost_centre: Option<String>,
    #[serde(flatten)]
    sum: Sum,
}

/// A sum, and what it is made of, in nano-dollars.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
struct Sum {
    requests: u64,
    cost_nano_usd: i64,
    late_nano_usd: i64,
    adjusted_nano_usd: i64,
    total_nano_usd: i64,
}

#[derive(Debug, Deserialize)]
struct Line {
    cost_centre: Option<String>,
    requests: u64,
    cost_nano_usd: i64,
}

/// A sum added up here, wide enough for any number of figures: requests, then money of the period, late and corrected.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Added {
    requests: u128,
    parts: [i128; 3],
}

impl Added {
    fn add(&mut self, other: Self) {
        self.requests += other.requests;
        for (part, more) in self.parts.iter_mut().zip(other.parts) {
            *part += more;
        }
    }

    /// Whether the statement says the same.
    fn is(&self, sum: &Sum) -> bool {
        let parts = [sum.cost_nano_usd, sum.late_nano_usd, sum.adjusted_nano_usd].map(i128::from);
        let total: i128 = parts.iter().sum();
        (self.requests, self.parts) == (sum.requests.into(), parts) && total == sum.total_nano_usd.into()
    }
}

impl Stated {
    /// Reads the text of a statement.
    ///
    /// # Errors
    ///
    /// Why it is none.
    pub(super) fn read(text: &str) -> Result<Self, String> {
        let stated: Self = serde_json::from_str(text).map_err(|error| error.to_string())?;
        if stated.format != FORMAT {
            return Err(format!("its format is not {FORMAT}"));
        }
        Ok(stated)
    }

    /// The first figure that is not the sum of its parts.
    pub(super) fn wrong_sum(&self) -> Option<String> {
        let mut centres: BTreeMap<Option<&str>, Added> = BTreeMap::new();
        for (part, lines) in [&self.lines, &self.late, &self.adjustments].into_iter().enumerate() {
            for line in lines {
                let mut added = Added::default();
                added.parts[part] = line.cost_nano_usd.into();
                // The lines of corrections count corrections, not requests.
                added.requests = if part < 2 { line.requests.into() } else { 0 };
                centres.entry(line.cost_centre.as_deref()).or_default().add(added);
            }
        }
        let mut total = Added::default();
        for centre in &self.cost_centres {
            let name = centre.cost_centre.as_deref();
            let added = centres.remove(&name).unwrap_or_default();
            if !added.is(&centre.sum) {
                return Some(format!("what {} pays is not the sum of its lines", shown(name)));
            }
            total.add(added);
        }
        if let Some((name, _)) = centres.first_key_value() {
            return Some(format!("there are lines of {}, and it is not said what it pays", shown(*name)));
        }
        (!total.is(&self.total)).then(|| "the total is not the sum of what the cost centres pay".to_owned())
    }

    /// What each cost centre pays, for people.
    pub(super) fn table(&self) -> String {
        let text = |name: &str| Column::Text(name.to_owned());
        let number = |name: &str| Column::Number(name.to_owned());
        let columns = ["requests", "cost", "late", "corrections", "total"].map(number);
        let mut table = Table::new(std::iter::once(text("cost centre")).chain(columns));
        let part =
            |nano_usd: i64| if nano_usd == 0 { String::new() } else { money::dollars(nano_usd.into()) };
        let mut row = |name: &str, sum: &Sum| {
            table.row(vec![
                name.to_owned(),
                sum.requests.to_string(),
                money::dollars(sum.cost_nano_usd.into()),
                part(sum.late_nano_usd),
                part(sum.adjusted_nano_usd),
                money::dollars(sum.total_nano_usd.into()),
            ]);
        };
        for centre in &self.cost_centres {
            row(centre.cost_centre.as_deref().unwrap_or("-"), &centre.sum);
        }
        row("total", &self.total);
        table.text()
    }

    /// What it is a statement of, a line for each fact.
    pub(super) fn facts(&self) -> [(&'static str, String); 6] {
        let (from, to) = (brief(&self.from), brief(&self.to));
        [
            ("period", format!("{}, {from} to {to} UTC ({})", self.period, self.time_zone)),
            ("instance", self.instance.clone()),
            ("closed", format!("{} by {}", brief(&self.closed_at), self.closed_by)),
            ("covers", format!("the journal up to entry {}", self.upto)),
            ("requests", self.total.requests.to_string()),
            ("total", money::dollars(self.total.total_nano_usd.into())),
        ]
    }
}

fn shown(cost_centre: Option<&str>) -> String {
    cost_centre.map_or_else(|| "no cost centre".to_owned(), |name| format!("the cost centre {name}"))
}

/// The periods that are closed, for people.
pub(super) fn table(closed: &[Closed]) -> String {
    if closed.is_empty() {
        return "no statements\n".to_owned();
    }
    let text = |name: &str| Column::Text(name.to_owned());
    let head = [text("period"), text("from (UTC)"), text("to (UTC)"), Column::Number("total".to_owned())];
    let mut table = Table::new(head.into_iter().chain([text("closed by"), text("hash")]));
    for one in closed {
        let hash: String = one.statement.chars().take(16).collect();
        let total = money::dollars(one.total_nano_usd.into());
        table.row(vec![one.period.clone(), brief(&one.from), brief(&one.to), total, one.by.clone(), hash]);
    }
    table.text()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn statement() -> Value {
        let sum = |requests: u64, cost: i64, late: i64, adjusted: i64| {
            json!({"requests": requests, "cost_nano_usd": cost, "late_nano_usd": late,
                "adjusted_nano_usd": adjusted, "total_nano_usd": cost + late + adjusted})
        };
        let centre = |name: Value, mut sum: Value| {
            sum["cost_centre"] = name;
            sum
        };
        let line = |name: Value, requests: u64, cost: i64| json!({"cost_centre": name, "org": "default", "team": "red", "requests": requests, "cost_nano_usd": cost});
        json!({
            "format": FORMAT, "instance": "ins_x", "period": "2026-11", "from": "2026-10-31T23:00:00.000Z",
            "to": "2026-11-30T23:00:00.000Z", "time_zone": "Europe/Berlin", "after": 0, "upto": 4711,
            "closed_at": "2026-12-02T08:00:00.000Z", "closed_by": "ada", "total": sum(9, 1_500_000_012, 7, -2),
            "cost_centres": [centre(Value::Null, sum(2, 1_500_000_000, 0, 0)), centre("4711".into(), sum(7, 12, 7, -2))],
            "lines": [line(Value::Null, 2, 1_500_000_000), line("4711".into(), 1, 5), line("4711".into(), 2, 7)],
            "late": [line("4711".into(), 4, 7)],
            "adjustments": [line("4711".into(), 3, -2)],
        })
    }

    fn read(statement: &Value) -> Result<Stated, String> {
        Stated::read(&statement.to_string())
    }

    #[test]
    fn a_statement_is_shown_by_cost_centres() {
        let stated = read(&statement()).unwrap();
        let facts: Vec<String> =
            stated.facts().iter().map(|(name, value)| format!("{name}: {value}")).collect();
        insta::assert_snapshot!(format!("{}\n\n{}", facts.join("\n"), stated.table()));
        assert_eq!(table(&[]), "no statements\n");
    }

    #[test]
    fn figures_that_do_not_add_up_are_found_wherever_they_are() {
        assert_eq!(read(&statement()).unwrap().wrong_sum(), None);
        let changes: [(&str, Value); 10] = [
            ("/total/total_nano_usd", 1_500_000_018_i64.into()),
            ("/total/requests", 8.into()),
            ("/total/late_nano_usd", 8.into()),
            ("/cost_centres/0/cost_nano_usd", 1.into()),
            ("/cost_centres/1/total_nano_usd", 18.into()),
            ("/cost_centres/1/cost_centre", "4712".into()),
            ("/lines/1/cost_nano_usd", 6.into()),
            ("/lines/1/cost_centre", "4712".into()),
            ("/late/0/requests", 5.into()),
            ("/adjustments/0/cost_nano_usd", (-3).into()),
        ];
        for (place, value) in changes {
            let mut changed = statement();
            *changed.pointer_mut(place).unwrap() = value;
            assert!(read(&changed).unwrap().wrong_sum().is_some(), "{place}");
        }
    }

    #[test]
    fn what_is_no_statement_is_refused() {
        let mut other = statement();
        other["format"] = "tollgate-statement-v2".into();
        for text in [other.to_string(), "{}".to_owned(), String::new()] {
            assert!(Stated::read(&text).is_err(), "{text}");
        }
    }
}
