//! Allowances as the admin API describes them.

use crate::{
    money,
    table::{Column, Table, visible},
    time::brief,
};
use serde::Deserialize;
use tollgate_config::amount::Amount;
use tollgate_policy::allowance::{Allowance, Measure, Mode, Reserve, Span, Zone};

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

/// The amount in the unit in which the allowance counts; nothing if it has parts that the unit has not, or is larger
/// than any grant.
pub(super) fn in_unit(allowance: &Allowance, amount: Amount) -> Option<u64> {
    if is_money(allowance) { amount.billionths() } else { amount.count() }
}

/// The zone in whose local time its days begin.
pub(super) fn zone(allowance: &Allowance) -> Zone {
    match &allowance.span {
        Span::Period { calendar, .. } => calendar.zone.clone(),
        Span::AtOnce | Span::Rate { .. } | Span::Rolling { .. } => Zone::utc(),
    }
}

/// An amount of it for people.
pub(super) fn shown(allowance: &Allowance, amount: u64) -> String {
    let figure = figure(allowance, amount);
    if is_money(allowance) { figure } else { format!("{figure} {}", allowance.measure.words()) }
}

/// A figure in a column of this allowance: the unit stands elsewhere.
fn figure(allowance: &Allowance, amount: u64) -> String {
    if is_money(allowance) { money::dollars(amount.into()) } else { amount.to_string() }
}

fn is_money(allowance: &Allowance) -> bool {
    allowance.measure == Measure::Cost
}

fn per(allowance: &Allowance) -> String {
    match &allowance.span {
        Span::AtOnce => String::new(),
        Span::Rate { per_ms, burst } => {
            let per = match per_ms {
                1_000 => "per second".to_owned(),
                60_000 => "per minute".to_owned(),
                3_600_000 => "per hour".to_owned(),
                other => format!("per {other} ms"),
            };
            let is_plain = *burst == allowance.amount;
            if is_plain { per } else { format!("{per}, burst {}", figure(allowance, *burst)) }
        }
        Span::Period { period, calendar } if calendar.zone == Zone::utc() => {
            format!("per {}", period.as_str())
        }
        Span::Period { period, calendar } => format!("per {} ({})", period.as_str(), calendar.zone),
        Span::Rolling { ms } => format!("in any {}", length(*ms)),
    }
}

fn on(allowance: &Allowance) -> String {
    match (allowance.each, allowance.on.is_everyone()) {
        (None, _) => allowance.on.to_string(),
        (Some(each), true) => format!("each {}", each.as_str()),
        (Some(each), false) => format!("each {} of {}", each.as_str(), allowance.on),
    }
}

/// A number of milliseconds in the largest unit that is exact.
fn length(ms: i64) -> String {
    let units = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000)];
    let exact = units.into_iter().find(|(_, unit)| ms % unit == 0);
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
            figure(allowance, self.amount),
            figure(allowance, self.used),
            figure(allowance, self.held),
            self.percent(),
            self.resets_at.as_deref().map(brief).unwrap_or_default(),
            self.forecast.map(|forecast| figure(allowance, forecast)).unwrap_or_default(),
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
        let reserve = match one.reserve {
            Reserve::Full => "the most that a request can use",
            Reserve::Learned => "what requests have used lately",
        };
        let mode = match one.mode {
            Mode::Block => "refuses what does not fit",
            Mode::Observe => "observes, and refuses nothing",
        };
        let facts = [
            ("name", one.name.to_string()),
            ("grants", format!("{} {}", shown(one, one.amount), per(one)).trim_end().to_owned()),
            ("on", on(one)),
            ("models", one.models.to_string()),
            ("reserves", reserve.to_owned()),
            ("mode", mode.to_owned()),
            ("warns at", percentages.join(", ")),
            ("message", one.message.clone().unwrap_or_default()),
            ("made in", self.origin.clone()),
        ];
        let mut text = String::new();
        for (name, value) in facts.iter().filter(|(_, value)| !value.is_empty()) {
            text.push_str(&format!("{name:<9} {}\n", visible(value)));
        }
        for raise in &one.raises {
            let note = raise.note.as_deref().map(|note| format!(": {note}")).unwrap_or_default();
            let (from, until) = (brief(&raise.from.to_string()), brief(&raise.until.to_string()));
            let raise =
                format!("{} from {from} until {until}, by {}{note}", shown(one, raise.amount), raise.by);
            text.push_str(&format!("{:<9} {}\n", "raise", visible(&raise)));
        }
        if !self.standing.is_empty() {
            let mut table = Table::new(standing_columns());
            for standing in &self.standing {
                table.row(standing.cells(one).to_vec());
            }
            text.push_str(&format!("\n{}", table.text()));
        }
        text
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
        let counts = format!("{} {}", one.measure.words(), per(one));
        let name = [one.name.to_string(), counts.trim_end().to_owned()];
        let mode = if one.mode == Mode::Observe { "observe" } else { "" };
        let mut row = |cells: [String; 7]| {
            table.row(name.iter().cloned().chain(cells).chain([mode.to_owned()]).collect());
        };
        for standing in &item.standing {
            row(standing.cells(one));
        }
        if item.standing.is_empty() {
            let unused =
                [on(one), figure(one, one.amount)].into_iter().chain(std::iter::repeat_n(String::new(), 5));
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
            let counted = [0, 1].map(|index: usize| in_unit(&items[index].allowance, amount));
            assert_eq!(counted, [dollars, requests], "{text}");
        }
    }
}
