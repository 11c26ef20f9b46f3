//! Usage and cost, by whatever is asked for.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tollgate_policy::unit::{NanoUsd, UnixMs};
use tollgate_store::ledger::{Dimension, Filter, Only, Order, Query, ReportRow};

use super::Admin;
use super::caller::Caller;
use super::fault::AdminFault;
use super::route::{Answer, Ask, Nothing};

/// The most rows of a page.
const ROWS_MAX: usize = 100_000;
/// The most dimensions of a report: all that are no tags, and some tags.
const DIMENSIONS_MAX: usize = 32;

/// What is asked for. Conditions must all hold; one with an empty value counts the records that have none.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct UsageQuery {
    /// What to group by, with commas: org, team, project, user, key, endpoint, requested_model, model, further_models,
    /// upstream, region, cost_centre, session, agent, day, month, outcome or tag:NAME. `team` if not given, and the total if empty.
    by: Option<String>,
    /// The first instant that counts, by the admission of requests.
    from: Option<UnixMs>,
    /// The first instant that does not count any more.
    to: Option<UnixMs>,
    /// Only this org.
    org: Option<String>,
    /// Only this team.
    team: Option<String>,
    /// Only this project.
    project: Option<String>,
    /// Only this user.
    user: Option<String>,
    /// Only this key, by its id.
    key: Option<String>,
    /// Only this endpoint.
    endpoint: Option<String>,
    /// Only requests for this model.
    requested_model: Option<String>,
    /// Only what this model answered.
    model: Option<String>,
    /// Only what these further models ran a part of: their ids in order, with commas.
    further_models: Option<String>,
    /// Only this upstream.
    upstream: Option<String>,
    /// Only this region.
    region: Option<String>,
    /// Only this cost centre.
    cost_centre: Option<String>,
    /// Only this session.
    session: Option<String>,
    /// Only this agent.
    agent: Option<String>,
    /// Only requests that ended so.
    outcome: Option<String>,
    /// Only requests with this tag, as NAME:VALUE.
    tag: Option<String>,
    /// In which order; `cost` if not given.
    order: Option<RowOrder>,
    /// The most rows: 1 to 100000; all if not given.
    limit: Option<usize>,
    /// The `next` of the page before.
    after: Option<String>,
}

/// The order of rows.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum RowOrder {
    /// Dearest first.
    Cost,
    /// By the values of the group.
    Group,
}

/// Usage by the dimensions that were asked for.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct UsageReport {
    /// The dimensions, in the order asked for.
    by: Vec<String>,
    rows: Vec<UsageRow>,
    /// What to send as `after` to see the next page; null on the last one.
    next: Option<String>,
}

/// Usage and cost of one group.
#[derive(Debug, Serialize, JsonSchema)]
struct UsageRow {
    /// The value of each dimension, under its name; null where the records have none.
    #[serde(flatten)]
    group: Group,
    #[serde(flatten)]
    figures: Figures,
}

/// The values of a group under the names of their dimensions, in the order asked for.
#[derive(Debug, JsonSchema)]
#[schemars(with = "std::collections::BTreeMap<String, Option<String>>")]
struct Group(Vec<(String, Option<String>)>);

impl Serialize for Group {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

/// Counts of requests and tokens, and money.
#[derive(Debug, Serialize, JsonSchema)]
struct Figures {
    /// Settled requests.
    requests: u64,
    /// Of these, the ones that ended by a fault of an upstream.
    errors: u64,
    /// Of these, the ones whose client left before the end.
    aborted: u64,
    /// Input tokens outside the cache.
    input_tokens: u64,
    output_tokens: u64,
    cache_read_tokens: u64,
    cache_write_tokens: u64,
    /// What the requests cost when they were settled.
    cost_nano_usd: NanoUsd,
    /// Requests whose usage was filled in by a rule.
    estimated: u64,
    /// Requests whose end nobody saw.
    unknown: u64,
    /// Requests whose model has no price; the dearest rates were taken.
    unknown_price: u64,
    /// Corrections made in this time, of whatever requests.
    adjustments: u64,
    /// What these add; negative where money is given back.
    adjusted_nano_usd: NanoUsd,
    /// The cost with the corrections.
    total_nano_usd: NanoUsd,
}

pub(super) async fn report(
    admin: Admin,
    ask: Ask<UsageQuery, Nothing>,
) -> Result<Answer<UsageReport>, AdminFault> {
    let mut query = ask.query.into_ledger_query(&ask.caller)?;
    let (by, limit) = (query.by.clone(), query.limit);
    // One more tells whether there is another page.
    query.limit = limit.map(|limit| limit + 1);
    let rows = admin.blocking(move |shared| shared.ledger.report(&query)).await?;
    Ok(Answer::ok(UsageReport::of(&by, limit, rows)))
}

impl UsageQuery {
    fn into_ledger_query(self, caller: &Caller) -> Result<Query, AdminFault> {
        let by = dimensions(self.by.as_deref().unwrap_or("team"))?;
        if self.limit.is_some_and(|limit| !(1..=ROWS_MAX).contains(&limit)) {
            return Err(AdminFault::BadRequest(format!("limit: 1 to {ROWS_MAX}")));
        }
        let bad_after = || AdminFault::BadRequest("after: is not the `next` of a page".to_owned());
        let after = self.after.as_deref().map(serde_json::from_str::<Vec<Option<String>>>);
        let after = after.transpose().map_err(|_| bad_after())?;
        if after.as_ref().is_some_and(|after| after.len() != by.len()) {
            return Err(bad_after());
        }
        let order = match self.order {
            None | Some(RowOrder::Cost) => Order::Cost,
            Some(RowOrder::Group) => Order::Group,
        };
        let filter = Filter { from: self.from, to: self.to, only: self.conditions()? };
        Ok(Query { by, filter: filter.seen_by(&caller.role), order, after, limit: self.limit })
    }

    fn conditions(&self) -> Result<Vec<Only>, AdminFault> {
        let plain = [
            (Dimension::Org, &self.org),
            (Dimension::Team, &self.team),
            (Dimension::Project, &self.project),
            (Dimension::User, &self.user),
            (Dimension::Key, &self.key),
            (Dimension::Endpoint, &self.endpoint),
            (Dimension::RequestedModel, &self.requested_model),
            (Dimension::Model, &self.model),
            (Dimension::FurtherModels, &self.further_models),
            (Dimension::Upstream, &self.upstream),
            (Dimension::Region, &self.region),
            (Dimension::CostCentre, &self.cost_centre),
            (Dimension::Session, &self.session),
            (Dimension::Agent, &self.agent),
            (Dimension::Outcome, &self.outcome),
        ];
        let mut only: Vec<Only> = plain
            .into_iter()
            .filter_map(|(dimension, value)| value.as_deref().map(|value| condition(dimension, value)))
            .collect();
        if let Some(tag) = &self.tag {
            let (name, value) =
                tag.split_once(':').filter(|(name, _)| !name.is_empty()).ok_or_else(|| {
                    AdminFault::BadRequest("tag: write NAME:VALUE, as in tag=app:web".to_owned())
                })?;
            only.push(condition(Dimension::Tag(name.to_owned()), value));
        }
        Ok(only)
    }
}

fn condition(dimension: Dimension, value: &str) -> Only {
    let value = Some(value.to_owned()).filter(|value| !value.is_empty());
    Only { dimension, values: vec![value] }
}

/// The dimensions of a list with commas, each at most once.
fn dimensions(words: &str) -> Result<Vec<Dimension>, AdminFault> {
    let mut by = Vec::new();
    for word in words.split(',').filter(|_| !words.is_empty()) {
        let refuse = |why: String| AdminFault::BadRequest(format!("by: `{}` {why}", shorten(word)));
        let dimension =
            Dimension::from_word(word.trim()).ok_or_else(|| refuse(format!("is none of {}", all_words())))?;
        if by.contains(&dimension) {
            return Err(refuse("is there twice".to_owned()));
        }
        if by.len() == DIMENSIONS_MAX {
            return Err(refuse(format!("is one too many; {DIMENSIONS_MAX} are the most")));
        }
        by.push(dimension);
    }
    Ok(by)
}

fn shorten(text: &str) -> String {
    text.chars().take(32).collect()
}

fn all_words() -> String {
    format!("{}, tag:NAME", Dimension::PLAIN.map(|dimension| dimension.to_string()).join(", "))
}

impl UsageReport {
    fn of(by: &[Dimension], limit: Option<usize>, mut rows: Vec<ReportRow>) -> Self {
        let by: Vec<_> = by.iter().map(Dimension::to_string).collect();
        let limit = limit.unwrap_or(usize::MAX);
        let is_last = rows.len() <= limit;
        rows.truncate(limit);
        let last = rows.last().filter(|_| !is_last);
        let next = last.and_then(|row| serde_json::to_string(&row.group).ok());
        let rows = rows.into_iter().map(|row| UsageRow::of(&by, row)).collect();
        UsageReport { by, rows, next }
    }
}

impl UsageRow {
    fn of(by: &[String], row: ReportRow) -> Self {
        let figures = Figures {
            requests: row.requests,
            errors: row.errors,
            aborted: row.aborted,
            input_tokens: row.input_tokens,
            output_tokens: row.output_tokens,
            cache_read_tokens: row.cache_read_tokens,
            cache_write_tokens: row.cache_write_5m_tokens.saturating_add(row.cache_write_1h_tokens),
            cost_nano_usd: row.cost,
            estimated: row.estimated,
            unknown: row.unknown,
            unknown_price: row.unknown_price,
            adjustments: row.adjustments,
            adjusted_nano_usd: row.adjusted,
            total_nano_usd: row.total,
        };
        Self { group: Group(by.iter().cloned().zip(row.group).collect()), figures }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tollgate_policy::entry::Hash;
    use tollgate_policy::operator::Role;

    fn caller(role: Role) -> Caller {
        Caller { name: "ada".into(), role, credential: Hash::of(b"x") }
    }

    #[test]
    fn the_last_page_has_no_next() {
        let row = |team: &str| ReportRow { group: vec![Some(team.to_owned())], ..ReportRow::default() };
        let rows = [
            (None, 2, 2, None),
            (Some(3), 2, 2, None),
            (Some(2), 2, 2, None),
            (Some(1), 2, 1, Some(r#"["a"]"#)),
            (Some(1), 0, 0, None),
        ];
        for (limit, found, shown, next) in rows {
            let found = ["a", "b"][..found].iter().map(|team| row(team)).collect();
            let report = UsageReport::of(&[Dimension::Team], limit, found);
            assert_eq!((report.rows.len(), report.next.as_deref()), (shown, next), "{limit:?}");
        }
    }

    #[test]
    fn a_dimension_is_grouped_by_once() {
        let all = Dimension::PLAIN.map(|dimension| dimension.to_string()).join(",");
        let many = "team,".repeat(3000) + "team";
        let tags = (0..40).map(|number| format!("tag:{number}")).collect::<Vec<_>>().join(",");
        let rows: [(&str, Option<usize>); 9] = [
            ("team", Some(1)),
            ("team, model", Some(2)),
            ("team,tag:app", Some(2)),
            (&all, Some(Dimension::PLAIN.len())),
            ("", Some(0)),
            ("team,team", None),
            (&many, None),
            (&tags, None),
            ("team,weather", None),
        ];
        for (text, expected) in rows {
            let query = UsageQuery { by: Some(text.to_owned()), ..UsageQuery::default() };
            let found = query.into_ledger_query(&caller(Role::Admin)).map(|query| query.by.len()).ok();
            assert_eq!(found, expected, "{}", shorten(text));
        }
    }

    #[test]
    fn what_a_role_sees_is_a_condition_beside_what_it_asks_for() {
        let role = Role::Developer { org: "default".parse().unwrap(), user: "ada".parse().unwrap() };
        let query =
            UsageQuery { user: Some("bob".into()), project: Some(String::new()), ..UsageQuery::default() };
        let only = query.into_ledger_query(&caller(role)).unwrap().filter.only;
        let expected = [
            Only { dimension: Dimension::Project, values: vec![None] },
            Only::is(Dimension::User, "bob"),
            Only::is(Dimension::Org, "default"),
            Only::is(Dimension::User, "ada"),
        ];
        assert_eq!(only, expected, "both conditions on the user must hold, so nothing fits");
    }
}
