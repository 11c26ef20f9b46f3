//! Statements: what a period cost, stated for good.

use std::collections::BTreeMap;
use std::sync::PoisonError;

use axum::http::StatusCode;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tollgate_policy::allowance::{Calendar, Period, Zone};
use tollgate_policy::books::period::period_of;
use tollgate_policy::entry::StatementClosed;
use tollgate_policy::id::InstanceId;
use tollgate_policy::scope::Name;
use tollgate_policy::unit::{NanoUsd, UnixMs};
use tollgate_store::history::Settled;
use tollgate_store::ledger::{Dimension, Filter, Order, Query, StatementFigures, StatementLine};
use tollgate_store::register::{Closing, Signature};

use super::Admin;
use super::fault::AdminFault;
use super::page::{self, Page};
use super::route::{Answer, Ask, JSON, Nothing};
use crate::{Shared, now};

/// The form of the statements that this version writes.
const FORMAT: &str = "tollgate-statement-v1";

/// Which statements to list.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ListStatements {
    /// Rows of a page: 1 to 1000, 100 if not given.
    limit: Option<usize>,
    /// The `next` of the page before.
    after: Option<String>,
}

/// The period to close.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ClosePeriod {
    /// A month, as `2026-11`. It begins and ends in the time zone of `books.time_zone`.
    period: String,
    /// Shows the statement and closes nothing.
    #[serde(default)]
    dry_run: bool,
}

/// A statement. Amounts are in nano-dollars.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Statement {
    /// `tollgate-statement-v1`.
    format: &'static str,
    /// The gateway that states it.
    instance: InstanceId,
    period: String,
    /// The first instant of the period.
    from: UnixMs,
    /// The first instant after it.
    to: UnixMs,
    time_zone: Zone,
    /// The last entry of the journal that the statement before covers; before the first one, the last about months whose
    /// records were dropped, or 0.
    after: u64,
    /// The last entry that this one covers.
    upto: u64,
    closed_at: UnixMs,
    closed_by: String,
    /// All of it.
    total: Sum,
    /// Of this, what each cost centre pays; null is for what no rule gives to one.
    cost_centres: Vec<CostCentre>,
    /// What was admitted in the period.
    lines: Vec<StatementLine>,
    /// What was admitted in periods before, and ended after their statements were closed.
    late: Vec<StatementLine>,
    /// Corrections made in the period.
    adjustments: Vec<StatementLine>,
}

/// What one cost centre pays.
#[derive(Debug, Serialize, JsonSchema)]
struct CostCentre {
    cost_centre: Option<Name>,
    #[serde(flatten)]
    sum: Sum,
}

/// A sum of money, and what it is made of.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, JsonSchema)]
struct Sum {
    /// Requests of the period and late ones.
    requests: u64,
    /// What requests of the period cost.
    cost_nano_usd: NanoUsd,
    /// What late ones cost.
    late_nano_usd: NanoUsd,
    /// What corrections add; negative where money is given back.
    adjusted_nano_usd: NanoUsd,
    /// All of these.
    total_nano_usd: NanoUsd,
}

pub(super) async fn list(
    admin: Admin,
    ask: Ask<ListStatements, Nothing>,
) -> Result<Answer<Page<StatementClosed>>, AdminFault> {
    let limit = page::limit(ask.query.limit)?;
    let mut closed = admin.shared.register.statements().iter().map(|one| (**one).clone()).collect::<Vec<_>>();
    closed.sort_by(|a, b| a.period.cmp(&b.period));
    let after = ask.query.after;
    let rest = closed.into_iter().filter(|one| after.as_ref().is_none_or(|after| one.period > *after));
    Ok(Answer::ok(Page::of(rest, limit, |one| one.period.clone())))
}

/// The text as it was closed, to the byte, so that its hash can be checked.
pub(super) async fn show(admin: Admin, ask: Ask<Nothing, Nothing>) -> Result<Answer<Statement>, AdminFault> {
    let period = ask.part("period").to_owned();
    let (text, _) = admin.blocking(move |shared| shared.register.statement(&period)).await?;
    Ok(Answer::whole(JSON, text))
}

pub(super) async fn show_signature(
    admin: Admin,
    ask: Ask<Nothing, Nothing>,
) -> Result<Answer<Signature>, AdminFault> {
    let period = ask.part("period").to_owned();
    let (_, signature) = admin.blocking(move |shared| shared.register.statement(&period)).await?;
    Ok(Answer::ok(signature))
}

pub(super) async fn close(
    admin: Admin,
    ask: Ask<Nothing, ClosePeriod>,
) -> Result<Answer<Statement>, AdminFault> {
    let (by, wish, correcting) = (ask.caller.name, ask.body, admin.correcting.clone());
    let statement = admin.blocking(move |shared| {
        // One after the other, and none while costs are corrected.
        let _turn = correcting.lock().unwrap_or_else(PoisonError::into_inner);
        let ClosePeriod { period, dry_run } = wish;
        let statement = state(shared, &by, period, now())?;
        if !dry_run {
            shared.register.close_statement(&by, &statement.closing()?, now())?;
        }
        Ok::<_, AdminFault>((statement, dry_run))
    });
    let (statement, dry_run) = statement.await?;
    Ok(Answer::new(if dry_run { StatusCode::OK } else { StatusCode::CREATED }, statement))
}

/// States a period that is over.
fn state(shared: &Shared, by: &str, period: String, now: UnixMs) -> Result<Statement, AdminFault> {
    let force = shared.in_force();
    let calendar = &force.config.books.calendar;
    let (mut from, to) = range(&period, calendar)?;
    if now < to {
        return Err(AdminFault::Conflict(format!("the period {period} ends at {to}; close it then")));
    }
    let closed = shared.register.statements();
    if closed.iter().any(|one| one.period == period || one.to >= to) {
        return Err(AdminFault::Conflict(format!(
            "the period {period} is closed, or a later one is; corrections come into the next statement"
        )));
    }
    let before = closed.iter().max_by_key(|one| one.to);
    let begins = match before {
        Some(one) => Some((one.to, one.upto)),
        None => beginning(shared, calendar)?,
    };
    let since = begins.map(|(since, _)| since);
    if before.is_some_and(|one| one.period == month_before(&period)) {
        // Each begins where the one before ends, also if the time zone has changed between.
        from = since.unwrap_or(from);
    } else if let Some(day) = booked_day(shared, since, from)? {
        return Err(AdminFault::Conflict(format!(
            "of {day}, in UTC, something is booked that no statement has; close the periods in their order"
        )));
    }
    let upto = match shared.history.settled_before(to)? {
        Settled::Upto(upto) => upto,
        Settled::Running(count) => {
            return Err(AdminFault::Conflict(format!(
                "{count} requests of the period or before it are still running; try again when they have ended"
            )));
        }
    };
    let after = begins.map_or(0, |(_, after)| after);
    let figures = shared.ledger.statement(from, to, after, upto)?;
    let cost_centres = cost_centres(&figures);
    let mut total = Sum::default();
    cost_centres.iter().for_each(|one| total.add(&one.sum));
    let StatementFigures { lines, late, adjustments } = figures;
    Ok(Statement {
        format: FORMAT,
        instance: shared.register.instance(),
        period,
        from,
        to,
        time_zone: calendar.zone.clone(),
        after,
        upto,
        closed_at: now,
        closed_by: by.to_owned(),
        total,
        cost_centres,
        lines,
        late,
        adjustments,
    })
}

impl Statement {
    /// The text: fields in their order, no blanks, one line.
    fn closing(&self) -> Result<Closing, AdminFault> {
        let mut text =
            serde_json::to_string(self).map_err(|error| AdminFault::Internal(error.to_string()))?;
        text.push('\n');
        Ok(Closing {
            period: self.period.clone(),
            from: self.from,
            to: self.to,
            upto: self.upto,
            total: self.total.total_nano_usd,
            text,
        })
    }
}

impl Sum {
    fn add(&mut self, other: &Self) {
        self.requests = self.requests.saturating_add(other.requests);
        self.cost_nano_usd = self.cost_nano_usd.saturating_add(other.cost_nano_usd);
        self.late_nano_usd = self.late_nano_usd.saturating_add(other.late_nano_usd);
        self.adjusted_nano_usd = self.adjusted_nano_usd.saturating_add(other.adjusted_nano_usd);
        self.total_nano_usd = self.total_nano_usd.saturating_add(other.total_nano_usd);
    }
}

fn cost_centres(figures: &StatementFigures) -> Vec<CostCentre> {
    let sum = |line: &StatementLine| Sum { total_nano_usd: line.cost, ..Sum::default() };
    let own = figures
        .lines
        .iter()
        .map(|line| (line, Sum { requests: line.requests, cost_nano_usd: line.cost, ..sum(line) }));
    let late = figures
        .late
        .iter()
        .map(|line| (line, Sum { requests: line.requests, late_nano_usd: line.cost, ..sum(line) }));
    let adjusted =
        figures.adjustments.iter().map(|line| (line, Sum { adjusted_nano_usd: line.cost, ..sum(line) }));
    let mut sums: BTreeMap<Option<Name>, Sum> = BTreeMap::new();
    for (line, sum) in own.chain(late).chain(adjusted) {
        sums.entry(line.cost_centre.clone()).or_default().add(&sum);
    }
    sums.into_iter().map(|(cost_centre, sum)| CostCentre { cost_centre, sum }).collect()
}

/// The first and the last instant of a month, in the calendar's zone.
fn range(period: &str, calendar: &Calendar) -> Result<(UnixMs, UnixMs), AdminFault> {
    let middle = Some(period).filter(|period| period.len() == "2026-11".len());
    let middle = middle.and_then(|period| format!("{period}-15T12:00:00.000Z").parse().ok());
    let middle =
        middle.ok_or_else(|| AdminFault::BadRequest("period: write a month, such as 2026-11".to_owned()))?;
    let range = period_of(Period::Month, calendar, middle);
    Ok((range.start, range.end))
}

/// The month before one, in the same form.
fn month_before(period: &str) -> String {
    let number = |text: Option<&str>| text.and_then(|text| text.parse::<i32>().ok()).unwrap_or_default();
    match (number(period.get(..4)), number(period.get(5..))) {
        (year, 1) => format!("{:04}-12", year - 1),
        (year, month) => format!("{year:04}-{:02}", month - 1),
    }
}

/// Where the first statement can begin, and the last entry about what was before: at the first whole month whose records
/// are kept. None when nothing was dropped.
fn beginning(shared: &Shared, calendar: &Calendar) -> Result<Option<(UnixMs, u64)>, AdminFault> {
    let Some(kept) = shared.ledger.kept_from()? else { return Ok(None) };
    let month = period_of(Period::Month, calendar, kept);
    let since = if month.start == kept { kept } else { month.end };
    Ok(Some((since, shared.ledger.last_before(since)?)))
}

/// The first day in a time on which something was booked: requests, or corrections, which count when they are made.
fn booked_day(shared: &Shared, from: Option<UnixMs>, to: UnixMs) -> Result<Option<String>, AdminFault> {
    let query = Query {
        by: vec![Dimension::Day],
        filter: Filter { from, to: Some(to), only: Vec::new() },
        order: Order::Group,
        limit: Some(1),
        ..Query::default()
    };
    let first = shared.ledger.report(&query)?.into_iter().next();
    Ok(first.and_then(|row| row.group.into_iter().next().flatten()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_month_is_one_of_the_calendars_zone() {
        let berlin = Calendar { zone: "Europe/Berlin".parse().unwrap(), ..Calendar::default() };
        let rows = [
            ("2026-11", Some(("2026-10-31T23:00:00.000Z", "2026-11-30T23:00:00.000Z"))),
            ("2026-10", Some(("2026-09-30T22:00:00.000Z", "2026-10-31T23:00:00.000Z"))),
            ("2026-13", None),
            ("2026-00", None),
            ("2026-1", None),
            ("2026", None),
            ("2026-11-", None),
            ("../../x", None),
        ];
        for (period, expected) in rows {
            let expected = expected.map(|(from, to)| (from.parse().unwrap(), to.parse().unwrap()));
            assert_eq!(range(period, &berlin).ok(), expected, "{period}");
        }
        assert_eq!(
            (month_before("2027-01").as_str(), month_before("2026-11").as_str()),
            ("2026-12", "2026-10")
        );
    }

    #[test]
    fn cost_centres_add_up_to_the_total() {
        let line = |cost_centre: Option<&str>, requests, cost| StatementLine {
            cost_centre: cost_centre.map(|name| name.parse().unwrap()),
            org: "default".parse().unwrap(),
            team: "red".parse().unwrap(),
            project: None,
            user: None,
            model: None,
            requests,
            input_tokens: 0,
            output_tokens: 0,
            cache_write_5m_tokens: 0,
            cache_write_1h_tokens: 0,
            cache_read_tokens: 0,
            cost: NanoUsd(cost),
        };
        let figures = StatementFigures {
            lines: vec![line(None, 2, 5), line(Some("4711"), 1, 7), line(Some("4711"), 1, 9)],
            late: vec![line(Some("4711"), 3, 11)],
            adjustments: vec![line(Some("4712"), 4, -2)],
        };
        let found = cost_centres(&figures);
        let rows: Vec<_> = found
            .iter()
            .map(|one| {
                let sum = one.sum;
                let parts = [sum.cost_nano_usd, sum.late_nano_usd, sum.adjusted_nano_usd, sum.total_nano_usd];
                (one.cost_centre.as_ref().map(Name::as_str), sum.requests, parts.map(|part| part.0))
            })
            .collect();
        let expected =
            [(None, 2, [5, 0, 0, 5]), (Some("4711"), 5, [16, 11, 0, 27]), (Some("4712"), 0, [0, 0, -2, -2])];
        assert_eq!(rows, expected);
    }
}
