//! The outcome, as it is printed.

use super::compare::{Comparison, Difference, Measure, tokens};
use super::ledger::Figures;
use crate::{
    command::usage::harmless,
    money,
    table::{Column, Table, visible},
};
use serde_json::{Value, json};

/// One side's figure of a measure; none where the provider does not tell it.
fn told(difference: &Difference, measure: Measure) -> Option<i128> {
    match measure {
        Measure::Cost => difference.told.cost,
        count => difference.told.tokens().map(|tokens| tokens[count as usize].into()),
    }
}

fn booked(figures: &Figures, measure: Measure) -> i128 {
    match measure {
        Measure::Cost => figures.cost_nano_usd.into(),
        count => tokens(figures)[count as usize].into(),
    }
}

fn shown(measure: Measure, figure: i128) -> String {
    if measure == Measure::Cost { money::dollars(figure) } else { figure.to_string() }
}

impl Comparison {
    /// The first and the last day, in words.
    fn range(&self) -> String {
        match (self.days.first(), self.days.last()) {
            (Some(first), Some(last)) if first == last => first.to_string(),
            (Some(first), Some(last)) => format!("{first} to {last}"),
            _ => "no day".to_owned(),
        }
    }

    /// For people: a line for each measure that differs, and what is likely.
    pub(crate) fn text(&self) -> String {
        let mut out = String::new();
        if !self.is_equal() {
            out.push_str(&self.table());
            out.push_str("\nprobably\n");
            for sentence in self.sentences() {
                out.push_str(&format!("  {sentence}\n"));
            }
            out.push('\n');
        }
        let groups = self.groups;
        let verdict = match self.differences.len() {
            _ if self.is_empty() => "NOTHING was compared".to_owned(),
            0 => format!("equal: {groups} groups of {}", self.range()),
            differing => format!("DIFFERS: {differing} of {groups} groups of {}", self.range()),
        };
        out.push_str(&verdict);
        out.push('\n');
        out.push_str(&self.totals());
        out
    }

    fn table(&self) -> String {
        let texts = ["day", "model", "upstream", "what"].map(|head| Column::Text(head.into()));
        let numbers = ["provider", "ledger", "difference"].map(|head| Column::Number(head.into()));
        let why = [Column::Text("probably".into())];
        let mut table = Table::new(texts.into_iter().chain(numbers).chain(why));
        for difference in &self.differences {
            let group = &difference.group;
            for measure in &difference.measures {
                let ours = booked(&difference.booked, *measure);
                let theirs = told(difference, *measure).unwrap_or_default();
                table.row(vec![
                    group.day.to_string(),
                    group.model.clone().unwrap_or_else(|| "all".to_owned()),
                    group.upstream.clone().unwrap_or_default(),
                    measure.as_str().to_owned(),
                    shown(*measure, theirs),
                    shown(*measure, ours),
                    shown(*measure, theirs - ours),
                    difference.reason.code().to_owned(),
                ]);
            }
        }
        table.text()
    }

    /// Each reason once, with what it says.
    fn sentences(&self) -> Vec<String> {
        let mut sentences = Vec::new();
        for difference in &self.differences {
            let reason = &difference.reason;
            let sentence = format!("{}: {}", reason.code(), visible(&reason.sentence()));
            if !sentences.contains(&sentence) {
                sentences.push(sentence);
            }
        }
        sentences
    }

    fn totals(&self) -> String {
        let mut facts = Vec::new();
        if let Some(theirs) = self.told.tokens() {
            for (place, measure) in Measure::TOKENS.into_iter().enumerate() {
                let ours = booked(&self.booked, measure);
                facts.push(format!("  {:<12} provider {}, ledger {ours}\n", measure.as_str(), theirs[place]));
            }
        }
        if let Some(theirs) = self.told.cost {
            let (theirs, ours) = (money::dollars(theirs), money::dollars(self.booked.cost_nano_usd.into()));
            facts.push(format!("  {:<12} provider {theirs}, ledger {ours}\n", "cost"));
        }
        facts.concat()
    }

    /// For spreadsheets: a line for each measure that differs.
    pub(crate) fn csv(&self) -> String {
        const HEADS: [&str; 8] =
            ["day", "model", "upstream", "measure", "provider", "ledger", "difference", "reason"];
        let mut lines = csv::Writer::from_writer(Vec::new());
        let mut write = |fields: [String; 8]| {
            lines.write_record(fields).expect("all records have the same length and memory takes them");
        };
        write(HEADS.map(str::to_owned));
        for difference in &self.differences {
            let group = &difference.group;
            for measure in &difference.measures {
                let ours = booked(&difference.booked, *measure);
                let theirs = told(difference, *measure).unwrap_or_default();
                let plain = |figure: i128| match measure {
                    Measure::Cost => money::decimal(figure),
                    _ => figure.to_string(),
                };
                write([
                    group.day.to_string(),
                    harmless(group.model.as_deref().unwrap_or("all")),
                    harmless(group.upstream.as_deref().unwrap_or_default()),
                    measure.as_str().to_owned(),
                    plain(theirs),
                    plain(ours),
                    plain(theirs - ours),
                    difference.reason.code().to_owned(),
                ]);
            }
        }
        let bytes = lines.into_inner().expect("memory takes the last record");
        String::from_utf8(bytes).expect("records of text are text")
    }

    /// For programs.
    pub(crate) fn json(&self) -> String {
        let difference = |difference: &Difference| {
            let side = |measure: &Measure| {
                let ours = booked(&difference.booked, *measure);
                let name = if *measure == Measure::Cost { "cost_nano_usd" } else { measure.as_str() };
                json!({ "measure": name, "provider": number(told(difference, *measure)), "ledger": number(Some(ours)) })
            };
            json!({
                "day": difference.group.day.to_string(),
                "model": difference.group.model,
                "upstream": difference.group.upstream,
                "requests": difference.booked.requests,
                "measures": difference.measures.iter().map(side).collect::<Vec<_>>(),
                "reason": difference.reason.code(),
                "sentence": difference.reason.sentence(),
            })
        };
        let answer = json!({
            "equal": self.is_equal() && !self.is_empty(),
            "from": self.days.first().map(ToString::to_string),
            "to": self.days.last().map(ToString::to_string),
            "groups": self.groups,
            "differences": self.differences.iter().map(difference).collect::<Vec<_>>(),
            "provider": { "tokens": self.told.tokens(), "cost_nano_usd": number(self.told.cost) },
            "ledger": { "tokens": tokens(&self.booked), "cost_nano_usd": self.booked.cost_nano_usd },
            "notes": self.notes,
        });
        crate::json::pretty(&answer)
    }
}

/// A figure as JSON; as text if no number of JSON's readers can hold it.
fn number(figure: Option<i128>) -> Value {
    figure.map_or(Value::Null, |figure| {
        i64::try_from(figure).map_or_else(|_| Value::from(figure.to_string()), Value::from)
    })
}
