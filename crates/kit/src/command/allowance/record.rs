//! Allowances as the admin API describes them.

use crate::{
    money,
    table::{Column, Table, visible},
    time::brief,
};
use serde::Deserialize;
use serde_json::{Map, Value};
use tollgate_config::amount::Amount;

/// An allowance and how much of it is used.
#[derive(Debug, Deserialize)]
pub(super) struct Item {
    pub(super) allowance: Allowance,
    /// `configuration` or `api`.
    origin: String,
    /// What a change names to say which state it saw.
    pub(super) etag: String,
    #[serde(default)]
    standing: Vec<Standing>,
}

/// What is granted.
#[derive(Debug, Deserialize)]
pub(super) struct Allowance {
    name: String,
    #[serde(default)]
    on: Map<String, Value>,
    each: Option<String>,
    #[serde(default)]
    models: Vec<String>,
    measure: String,
    amount: u64,
    span: Span,
    #[serde(default)]
    reserve: String,
    #[serde(default)]
    mode: String,
    #[serde(default)]
    warn_at: Vec<u8>,
    message: Option<String>,
    #[serde(default)]
    raises: Vec<Raise>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Span {
    AtOnce,
    Rate { per_ms: u64, burst: u64 },
    Period { period: String, calendar: Calendar },
    Rolling { ms: u64 },
}

#[derive(Debug, Deserialize)]
struct Calendar {
    zone: String,
}

#[derive(Debug, Deserialize)]
struct Raise {
    amount: u64,
    from: String,
    until: String,
    by: String,
    note: Option<String>,
}

/// How much of it is used, by one of those who have it.
#[derive(Debug, Deserialize)]
struct Standing {
    whose: String,
    used: u64,
    held: u64,
    amount: u64,
    resets_at: Option<String>,
    forecast: Option<u64>,
}

impl Allowance {
    /// The amount in the unit in which this allowance counts; nothing if it has parts that the unit has not, or is
    /// larger than any grant.
    pub(super) fn in_unit(&self, amount: Amount) -> Option<u64> {
        if self.is_money() { amount.billionths() } else { amount.count() }
    }

    /// The zone in whose local time its days begin.
    pub(super) fn zone(&self) -> &str {
        match &self.span {
            Span::Period { calendar, .. } => &calendar.zone,
            _ => "UTC",
        }
    }

    /// An amount of it for people.
    pub(super) fn shown(&self, amount: u64) -> String {
        if self.is_money() { money::dollars(amount.into()) } else { format!("{amount} {}", self.words()) }
    }

    /// What it counts, in words.
    pub(super) fn words(&self) -> &str {
        match self.measure.as_str() {
            "cost" => "dollars",
            "count_tokens" => "token counts",
            "input_tokens" => "input tokens",
            "output_tokens" => "output tokens",
            "concurrency" => "requests at once",
            other => other,
        }
    }

    fn is_money(&self) -> bool {
        self.measure == "cost"
    }

    /// A figure in a column of this allowance: the unit stands with the amount.
    fn figure(&self, amount: u64) -> String {
        if self.is_money() { money::dollars(amount.into()) } else { amount.to_string() }
    }

    fn per(&self) -> String {
        match &self.span {
            Span::AtOnce => String::new(),
            Span::Rate { per_ms, burst } => {
                let burst = if *burst == self.amount {
                    String::new()
                } else {
                    format!(", burst {}", self.figure(*burst))
                };
                let per = match per_ms {
                    1_000 => "per second".to_owned(),
                    60_000 => "per minute".to_owned(),
                    3_600_000 => "per hour".to_owned(),
                    other => format!("per {other} ms"),
                };
                per + &burst
            }
            Span::Period { period, calendar } if calendar.zone == "UTC" => format!("per {period}"),
            Span::Period { period, calendar } => format!("per {period} ({})", calendar.zone),
            Span::Rolling { ms } => format!("in any {}", length(*ms)),
        }
    }

    fn on(&self) -> String {
        let parts =
            self.on.iter().map(|(level, name)| format!("{level} {}", name.as_str().unwrap_or_default()));
        let on: Vec<String> = parts.collect();
        match (&self.each, on.is_empty()) {
            (None, true) => "everyone".to_owned(),
            (None, false) => on.join(", "),
            (Some(each), true) => format!("each {each}"),
            (Some(each), false) => format!("each {each} of {}", on.join(", ")),
        }
    }
}

/// A number of milliseconds in the largest unit that is exact.
fn length(ms: u64) -> String {
    let units = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000)];
    let exact = units.into_iter().find(|(_, unit)| ms.is_multiple_of(*unit));
    exact.map_or_else(|| format!("{ms} ms"), |(name, unit)| format!("{}{name}", ms / unit))
}

impl Standing {
    /// How much of the amount is used or held, in whole percent.
    fn percent(&self) -> String {
        let taken = u128::from(self.used) + u128::from(self.held);
        match self.amount {
            0 => "-".to_owned(),
            amount => format!("{}%", taken * 100 / u128::from(amount)),
        }
    }

    fn cells(&self, allowance: &Allowance) -> [String; 7] {
        [
            self.whose.clone(),
            allowance.figure(self.amount),
            allowance.figure(self.used),
            allowance.figure(self.held),
            self.percent(),
            self.resets_at.as_deref().map(brief).unwrap_or_default(),
            self.forecast.map(|forecast| allowance.figure(forecast)).unwrap_or_default(),
        ]
    }
}

fn standing_columns() -> [Column; 7] {
    let text = |name: &str| Column::Text(name.to_owned());
    let number = |name: &str| Column::Number(name.to_owned());
    [
        text("whose"),
        number("amount"),
        number("used"),
        number("held"),
        number("taken"),
        text("resets (UTC)"),
        number("forecast"),
    ]
}

impl Item {
    /// What there is to know about it.
    pub(super) fn facts(&self) -> String {
        let one = &self.allowance;
        let percentages: Vec<String> = one.warn_at.iter().map(|percent| format!("{percent}%")).collect();
        let facts = [
            ("name", one.name.clone()),
            ("grants", format!("{} {}", one.shown(one.amount), one.per()).trim_end().to_owned()),
            ("on", one.on()),
            ("models", if one.models.is_empty() { "all".to_owned() } else { one.models.join(", ") }),
            ("reserve", one.reserve.clone()),
            ("mode", one.mode.clone()),
            ("warns at", percentages.join(", ")),
            ("message", one.message.clone().unwrap_or_default()),
            ("made in", self.origin.clone()),
        ];
        let mut shown = String::new();
        for (name, value) in facts.iter().filter(|(_, value)| !value.is_empty()) {
            shown.push_str(&format!("{name:<9} {}\n", visible(value)));
        }
        for raise in &one.raises {
            let note = raise.note.as_deref().map(|note| format!(": {note}")).unwrap_or_default();
            let (from, until) = (brief(&raise.from), brief(&raise.until));
            let raise =
                format!("{} from {from} until {until}, by {}{note}", one.shown(raise.amount), raise.by);
            shown.push_str(&format!("{:<9} {}\n", "raise", visible(&raise)));
        }
        if !self.standing.is_empty() {
            let mut table = Table::new(standing_columns());
            for standing in &self.standing {
                table.row(standing.cells(one).to_vec());
            }
            shown.push_str(&format!("\n{}", table.text()));
        }
        shown
    }
}

/// All allowances for people: a row for each of those who have one.
pub(super) fn table(items: &[Item]) -> String {
    if items.is_empty() {
        return "no allowances\n".to_owned();
    }
    let text = |name: &str| Column::Text(name.to_owned());
    let head = [text("allowance"), text("counts")];
    let mut table = Table::new(head.into_iter().chain(standing_columns()).chain([text("mode")]));
    for item in items {
        let one = &item.allowance;
        let name = [one.name.clone(), format!("{} {}", one.words(), one.per()).trim_end().to_owned()];
        let mode = if one.mode == "observe" { one.mode.clone() } else { String::new() };
        let mut row = |cells: [String; 7]| {
            table.row(name.iter().cloned().chain(cells).chain([mode.clone()]).collect());
        };
        for standing in &item.standing {
            row(standing.cells(one));
        }
        if item.standing.is_empty() {
            let unused =
                [one.on(), one.figure(one.amount)].into_iter().chain(std::iter::repeat_n(String::new(), 5));
            let unused: Vec<String> = unused.collect();
            row(unused.try_into().expect("there are seven"));
        }
    }
    table.text()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn items() -> Vec<Item> {
        let text = r#"[
          {"allowance":{"name":"platform-month","on":{"team":"platform"},"each":"user","measure":"cost",
            "amount":500000000000,"span":{"period":{"period":"month","calendar":{"zone":"Europe/Berlin",
            "week_starts":"monday","year_starts":1}}},"reserve":"full","mode":"block","warn_at":[75,95],
            "message":"Ask finops@example.org.","raises":[{"amount":800000000000,"from":"2026-12-01T00:00:00.000Z",
            "until":"2026-12-31T00:00:00.000Z","by":"ada","note":"launch\u001b[2J"}]},
           "origin":"configuration","etag":"\"1\"","standing":[
            {"whose":"user ada of org default","used":123450000000,"held":1,"amount":500000000000,
             "from":"2026-10-31T23:00:00.000Z","resets_at":"2026-11-30T23:00:00.000Z","forecast":168340909090},
            {"whose":"user bob of org default","used":500000000000,"held":0,"amount":500000000000,
             "from":"2026-10-31T23:00:00.000Z","resets_at":"2026-11-30T23:00:00.000Z","forecast":681818181818}]},
          {"allowance":{"name":"rpm","each":"key","measure":"requests","amount":100,
            "span":{"rate":{"per_ms":60000,"burst":20}},"reserve":"full","mode":"block"},
           "origin":"api","etag":"\"2\"","standing":[]},
          {"allowance":{"name":"parallel","measure":"concurrency","amount":0,"span":"at_once","reserve":"full",
            "mode":"observe","models":["claude-opus-*"]},
           "origin":"api","etag":"\"3\"","standing":[{"whose":"everyone","used":0,"held":3,"amount":0,"from":null,
             "resets_at":null,"forecast":null}]},
          {"allowance":{"name":"day","measure":"tokens","amount":18446744073709551615,
            "span":{"rolling":{"ms":86400000}},"reserve":"learned","mode":"block"},
           "origin":"api","etag":"\"4\"","standing":[{"whose":"everyone","used":18446744073709551615,
             "held":18446744073709551615,"amount":1,"from":null,"resets_at":null,"forecast":null}]}]"#;
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn allowances_are_listed_with_what_is_used_of_them() {
        insta::assert_snapshot!(table(&items()));
        assert_eq!(table(&[]), "no allowances\n");
    }

    #[test]
    fn one_allowance_is_told_by_its_facts() {
        let items: Vec<String> = items().iter().map(Item::facts).collect();
        insta::assert_snapshot!(items.join("----\n"));
    }

    #[test]
    fn amounts_are_counted_in_the_unit_of_the_allowance() {
        let items = items();
        let rows = [("800.5", Some(800_500_000_000), None), ("7", Some(7_000_000_000), Some(7))];
        for (text, dollars, requests) in rows {
            let amount: Amount = text.parse().unwrap();
            let counted = [0, 1].map(|index: usize| items[index].allowance.in_unit(amount));
            assert_eq!(counted, [dollars, requests], "{text}");
        }
    }
}
