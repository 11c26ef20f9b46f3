//! Usage and cost, by whatever is asked for.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tollgate_policy::unit::UnixMs;
use tollgate_store::ledger::{Dimension, Filter, Query, ReportRow};

use super::Admin;
use super::fault::AdminFault;
use super::route::{Answer, Ask, Nothing};

/// What is asked for.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct UsageQuery {
    by: Option<String>,
    from: Option<String>,
    to: Option<String>,
}

impl UsageQuery {
    pub(super) fn into_ledger_query(self) -> Result<Query, AdminFault> {
        let by = self.by.unwrap_or_else(|| "team".into());
        let by = dimensions(&by)?;
        let instant = |field: &str, text: Option<String>| -> Result<Option<UnixMs>, AdminFault> {
            text.map(|text| text.parse().map_err(|error| AdminFault::BadRequest(format!("{field}: {error}"))))
                .transpose()
        };
        let (from, to) = (instant("from", self.from)?, instant("to", self.to)?);
        Ok(Query { by, filter: Filter { from, to, ..Filter::default() }, ..Query::default() })
    }
}

/// The dimensions of a list with commas, each at most once, so that there are never more than there are words.
fn dimensions(words: &str) -> Result<Vec<Dimension>, AdminFault> {
    let mut by = Vec::new();
    for word in words.split(',') {
        let refuse = |why: String| AdminFault::BadRequest(format!("by: `{}` {why}", shorten(word)));
        let dimension =
            Dimension::from_word(word.trim()).ok_or_else(|| refuse(format!("is none of {}", all_words())))?;
        if by.contains(&dimension) {
            return Err(refuse("is there twice".to_owned()));
        }
        by.push(dimension);
    }
    Ok(by)
}

fn shorten(text: &str) -> String {
    text.chars().take(32).collect()
}

fn all_words() -> String {
    Dimension::PLAIN.map(|dimension| dimension.to_string()).join(", ")
}

/// Usage by the dimensions that were asked for.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct UsageReport {
    by: Vec<String>,
    rows: Vec<Map<String, Value>>,
}

impl UsageReport {
    pub(super) fn of(by: &[Dimension], rows: Vec<ReportRow>) -> Self {
        let by: Vec<_> = by.iter().map(Dimension::to_string).collect();
        let rows = rows.into_iter().map(|row| flat(&by, row)).collect();
        UsageReport { by, rows }
    }
}

fn flat(by: &[String], row: ReportRow) -> Map<String, Value> {
    let dimensions = by.iter().cloned().zip(row.group.into_iter().map(Value::from));
    let figures = [
        ("requests", row.requests.into()),
        ("errors", row.errors.into()),
        ("aborted", row.aborted.into()),
        ("input_tokens", row.input_tokens.into()),
        ("output_tokens", row.output_tokens.into()),
        ("cache_read_tokens", row.cache_read_tokens.into()),
        ("cache_write_tokens", row.cache_write_5m_tokens.saturating_add(row.cache_write_1h_tokens).into()),
        ("cost_nano_usd", row.cost.0.into()),
        ("estimated", row.estimated.into()),
        ("unknown", row.unknown.into()),
        ("unknown_price", row.unknown_price.into()),
    ];
    dimensions.chain(figures.map(|(name, value): (&str, Value)| (name.to_owned(), value))).collect()
}

pub(super) async fn report(
    admin: Admin,
    ask: Ask<UsageQuery, Nothing>,
) -> Result<Answer<UsageReport>, AdminFault> {
    let query = ask.query.into_ledger_query()?;
    let by = query.by.clone();
    let rows = admin.blocking(move |shared| shared.ledger.report(&query)).await?;
    Ok(Answer::ok(UsageReport::of(&by, rows)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dimension_is_grouped_by_once() {
        let all = all_words().replace(' ', "");
        let many = "team,".repeat(3000) + "team";
        let rows: [(&str, Option<usize>); 7] = [
            ("team", Some(1)),
            ("team, model", Some(2)),
            (&all, Some(Dimension::PLAIN.len())),
            ("team,team", None),
            (&many, None),
            ("", None),
            ("team,weather", None),
        ];
        for (text, expected) in rows {
            let query = UsageQuery { by: Some(text.to_owned()), from: None, to: None };
            let found = query.into_ledger_query().map(|query| query.by.len()).ok();
            assert_eq!(found, expected, "{}", shorten(text));
        }
    }
}
