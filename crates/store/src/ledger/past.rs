//! What was used before, for counters that begin anew with the process.

use std::str::FromStr;

use rusqlite::Connection;
use tollgate_policy::scope::Scope;
use tollgate_policy::unit::UnixMs;

use super::query::{Dimension, Filter, Order, PastUse, Query, ReportRow};
use super::report;
use crate::fault::LedgerFault;

/// What past use is added up by.
const BY: [Dimension; 9] = [
    Dimension::Org,
    Dimension::Team,
    Dimension::Project,
    Dimension::User,
    Dimension::Key,
    Dimension::Endpoint,
    Dimension::RequestedModel,
    Dimension::Model,
    Dimension::FurtherModels,
];

/// The use of a range of time, added up.
pub(super) fn between(database: &Connection, from: UnixMs, to: UnixMs) -> Result<Vec<PastUse>, LedgerFault> {
    let filter = Filter::between(from, to);
    let query = Query { by: BY.to_vec(), filter, order: Order::Group, ..Query::default() };
    let rows = report::read(database, &query)?;
    // What is left are adjustments whose requests are of another time.
    rows.iter().filter(|row| row.requests > 0).map(|row| past_use(row, from)).collect()
}

fn past_use(row: &ReportRow, from: UnixMs) -> Result<PastUse, LedgerFault> {
    let [org, team, project, user, key, endpoint, requested_model, model, further_models] =
        row.group.as_slice()
    else {
        return Err(odd());
    };
    Ok(PastUse {
        seq: 0,
        scope: Scope {
            org: parsed(org)?.ok_or_else(odd)?,
            team: parsed(team)?.ok_or_else(odd)?,
            project: parsed(project)?,
            user: parsed(user)?,
        },
        key: parsed(key)?.ok_or_else(odd)?,
        endpoint: endpoint.clone().unwrap_or_default(),
        requested_model: requested_model.clone(),
        model: model.clone(),
        further_models: further_models.clone(),
        at: from,
        settled_at: from,
        requests: row.requests,
        input_tokens: row
            .input_tokens
            .saturating_add(row.cache_write_5m_tokens)
            .saturating_add(row.cache_write_1h_tokens),
        output_tokens: row.output_tokens,
        cost: row.cost,
    })
}

fn parsed<T: FromStr>(text: &Option<String>) -> Result<Option<T>, LedgerFault> {
    text.as_ref().map(|text| text.parse().map_err(|_| odd())).transpose()
}

fn odd() -> LedgerFault {
    LedgerFault::Damaged("a name or id in the table of dims is none".to_owned())
}
