//! Corrections of cost: requests that ended are priced again by the book in force. Their records stay as they are.

use std::collections::HashMap;
use std::sync::PoisonError;

use axum::http::StatusCode;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tollgate_policy::entry::{Adjusted, Entry, Event, Settled};
use tollgate_policy::price::PriceBook;
use tollgate_policy::unit::{NanoUsd, UnixMs};
use tollgate_store::history::Reader;
use tollgate_store::ledger::{Adjustment, Dimension, Filter, Only};

use super::Admin;
use super::fault::AdminFault;
use super::page::{self, Page};
use super::route::{Answer, Ask, Nothing};
use crate::{Shared, now};

/// The most requests that are priced again by one call.
const REQUESTS_MAX: usize = 100_000;
/// How many records are looked at in one go.
const BATCH: usize = 1000;
/// The longest reason, in characters. The journal keeps no more.
const REASON_CHARS_MAX: usize = 256;

/// Which requests to price again.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Rerate {
    /// The first instant, by the admission of requests.
    from: UnixMs,
    /// The first instant after it.
    to: UnixMs,
    /// Only what this model answered.
    model: Option<String>,
    /// Only this upstream.
    upstream: Option<String>,
    /// Why, 1 to 256 characters.
    reason: String,
    /// Says what would be corrected, and corrects nothing.
    #[serde(default)]
    dry_run: bool,
    /// The `next` of the call before, where one call was not enough.
    after: Option<u64>,
}

/// What was corrected.
#[derive(Debug, Default, Serialize, JsonSchema)]
pub(super) struct Rerated {
    /// The version of the price book that set the new costs.
    price_version: String,
    /// Requests that were looked at.
    requests: u64,
    /// Of these, the ones whose cost was corrected.
    adjusted: u64,
    /// Of these, the ones whose model has no price now; their cost stays.
    unknown_price: u64,
    /// What the corrections add in all; negative where money is given back.
    difference_nano_usd: NanoUsd,
    /// Nothing was recorded.
    dry_run: bool,
    /// What to send as `after` to go on; null when all requests were looked at.
    next: Option<u64>,
}

/// Which corrections to list, by when they were made.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ListAdjustments {
    /// The first instant that counts.
    from: Option<UnixMs>,
    /// The first instant that does not count any more.
    to: Option<UnixMs>,
    /// Rows of a page: 1 to 1000, 100 if not given.
    limit: Option<usize>,
    /// The `next` of the page before.
    after: Option<u64>,
}

pub(super) async fn list(
    admin: Admin,
    ask: Ask<ListAdjustments, Nothing>,
) -> Result<Answer<Page<Adjustment>>, AdminFault> {
    let ListAdjustments { from, to, limit, after } = ask.query;
    let limit = page::limit(limit)?;
    let filter = Filter { from, to, only: Vec::new() }.seen_by(&ask.caller.role);
    let after = after.unwrap_or_default();
    let rows = admin.reading(move |shared| shared.ledger.adjustments(&filter, after, limit + 1)).await?;
    Ok(Answer::ok(Page::of(rows.into_iter(), limit, |row| row.seq.to_string())))
}

pub(super) async fn rerate(admin: Admin, ask: Ask<Nothing, Rerate>) -> Result<Answer<Rerated>, AdminFault> {
    let (by, wish, correcting) = (ask.caller.name, ask.body, admin.correcting.clone());
    if wish.reason.is_empty() || wish.reason.chars().nth(REASON_CHARS_MAX).is_some() {
        return Err(AdminFault::BadRequest(format!("reason: 1 to {REASON_CHARS_MAX} characters")));
    }
    if wish.from >= wish.to {
        return Err(AdminFault::BadRequest("to: must be after `from`".to_owned()));
    }
    let status = if wish.dry_run { StatusCode::OK } else { StatusCode::CREATED };
    let rerated = admin.blocking(move |shared| {
        // One after the other: each must count what the one before corrected.
        let _turn = correcting.lock().unwrap_or_else(PoisonError::into_inner);
        rerate_all(shared, &by, &wish)
    });
    Ok(Answer::new(status, rerated.await?))
}

fn rerate_all(shared: &Shared, by: &str, wish: &Rerate) -> Result<Rerated, AdminFault> {
    let force = shared.in_force();
    let mut filter = Filter::between(wish.from, wish.to);
    filter.only.extend(wish.model.as_ref().map(|model| Only::is(Dimension::Model, model.as_str())));
    filter.only.extend(wish.upstream.as_ref().map(|name| Only::is(Dimension::Upstream, name.as_str())));
    let so_far = costs_so_far(shared, wish)?;
    let mut reader = shared.history.reader()?;
    let mut pass = Pass { by, wish, prices: &force.prices, so_far: &so_far, reader: &mut reader };
    let price_version = force.prices.version().to_owned();
    let mut sum = Rerated { price_version, dry_run: wish.dry_run, ..Rerated::default() };
    let mut after = wish.after.unwrap_or_default();
    loop {
        let records = shared.ledger.records(&filter, after, BATCH)?;
        let Some(last) = records.last() else { return Ok(sum) };
        after = last.seq;
        let mut corrections = Vec::new();
        for record in &records {
            corrections.extend(pass.correct(record.seq, &mut sum)?);
        }
        if !wish.dry_run {
            shared.register.adjust(corrections, now())?;
        }
        if sum.requests >= REQUESTS_MAX as u64 {
            return Ok(Rerated { next: Some(after), ..sum });
        }
    }
}

/// What requests cost that were corrected before, by their settlements.
fn costs_so_far(shared: &Shared, wish: &Rerate) -> Result<HashMap<u64, NanoUsd>, AdminFault> {
    // A request is corrected after it was admitted.
    let filter = Filter { from: Some(wish.from), ..Filter::default() };
    let (mut costs, mut after) = (HashMap::new(), 0);
    loop {
        let page = shared.ledger.adjustments(&filter, after, BATCH)?;
        let Some(last) = page.last() else { return Ok(costs) };
        after = last.seq;
        let in_range = page.iter().filter(|one| wish.from <= one.booked_at && one.booked_at < wish.to);
        costs.extend(in_range.map(|one| (one.settled, one.cost)));
    }
}

/// One pass over settlements.
struct Pass<'a> {
    by: &'a str,
    wish: &'a Rerate,
    prices: &'a PriceBook,
    so_far: &'a HashMap<u64, NanoUsd>,
    reader: &'a mut Reader<'a>,
}

impl Pass<'_> {
    /// The correction of one settlement, if its cost is another by the book in force.
    fn correct(&mut self, seq: u64, sum: &mut Rerated) -> Result<Option<Adjusted>, AdminFault> {
        let Some(Entry { link, event: Event::Settled(settled) }) = self.reader.entry(seq)? else {
            return Err(AdminFault::Internal(format!("entry {seq} is not a settlement")));
        };
        sum.requests += 1;
        let before = self.so_far.get(&seq).copied().unwrap_or(settled.cost);
        let Some(rerated) = self.prices.rerate(&settled, link.at, before) else { return Ok(None) };
        if rerated.unknown_model {
            sum.unknown_price += 1;
            return Ok(None);
        }
        if rerated.difference == NanoUsd::ZERO {
            return Ok(None);
        }
        sum.adjusted += 1;
        sum.difference_nano_usd = sum.difference_nano_usd.saturating_add(rerated.difference);
        let booked_at = settled.booked_at(link.at);
        let Settled { request, key, scope, cost_centre, model, served_model, upstream, .. } = settled;
        Ok(Some(Adjusted {
            by: self.by.to_owned(),
            request,
            settled: seq,
            booked_at,
            key,
            scope,
            cost_centre,
            model: served_model.or(model),
            upstream,
            difference: rerated.difference,
            cost: rerated.cost,
            price_version: self.prices.version().to_owned(),
            reason: self.wish.reason.clone(),
        }))
    }
}
