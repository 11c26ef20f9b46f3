//! Single requests.

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value};
use tollgate_policy::entry::{Entry, Event, Settled};
use tollgate_policy::id::RequestId;
use tollgate_policy::unit::NanoUsd;
use tollgate_store::ledger::Adjustment;

use super::Admin;
use super::entry;
use super::fault::AdminFault;
use super::route::{Answer, Ask, Nothing};
use crate::Shared;

/// What is on record about a request that ended.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct ShownRequest {
    /// Its `settled` entry in the journal: what it used, how it ended and what it cost then.
    settled: Map<String, Value>,
    /// The corrections of its cost, oldest first.
    adjustments: Vec<Adjustment>,
    /// What it costs, all corrections counted.
    cost_nano_usd: NanoUsd,
}

pub(super) async fn show(
    admin: Admin,
    ask: Ask<Nothing, Nothing>,
) -> Result<Answer<ShownRequest>, AdminFault> {
    let id = ask.part("id").to_owned();
    let request = id.parse::<RequestId>().map_err(|_| no_such(&id))?;
    let found = admin.reading(move |shared| find(shared, request)).await?;
    let (entry, settled, adjustments) =
        found.filter(|(_, settled, _)| ask.caller.sees(&settled.scope)).ok_or_else(|| no_such(&id))?;
    let cost_nano_usd = adjustments.last().map_or(settled.cost, |last| last.cost);
    Ok(Answer::ok(ShownRequest { settled: entry::shown(&entry), adjustments, cost_nano_usd }))
}

type Found = (Entry, Settled, Vec<Adjustment>);

/// The ledger knows where the entry is; the journal has it whole.
fn find(shared: &Shared, request: RequestId) -> Result<Option<Found>, AdminFault> {
    let known = shared.ledger.request(request)?;
    let of_record = known.record.map(|record| record.seq);
    let seq = of_record.or_else(|| known.adjustments.first().map(|adjustment| adjustment.settled));
    let Some(seq) = seq else { return Ok(None) };
    let Some(entry) = shared.history.reader()?.entry(seq)? else { return Ok(None) };
    let settled = match &entry.event {
        Event::Settled(settled) if settled.request == request => settled.clone(),
        _ => return Err(AdminFault::Internal(format!("entry {seq} is not the settlement of {request}"))),
    };
    Ok(Some((entry, settled, known.adjustments)))
}

fn no_such(id: &str) -> AdminFault {
    let id: String = id.chars().take(64).collect();
    AdminFault::NotFound(format!("no request {id} has ended here, or its records were dropped"))
}
