//! What was used in a range of time, up to an entry of the journal, while others are being booked.

use tollgate_policy::unit::UnixMs;

use crate::fault::LedgerFault;
use crate::ledger::{Filter, Ledger, PastUse, Record};

/// A UTC day, in milliseconds.
const DAY_MS: i64 = 86_400_000;
/// Records read at a time.
const PAGE: usize = 1_000;

/// The use of requests that were admitted in `from..to` and settled by entry `upto` or before it, added up.
///
/// The ledger adds up whatever it has booked. What it booked beyond `upto` is taken off again: those are the requests
/// that began before `to` and ended a moment ago, few of them, and fewer each time this is tried.
pub(super) fn between(
    ledger: &Ledger,
    from: UnixMs,
    to: UnixMs,
    upto: u64,
) -> Result<Vec<PastUse>, LedgerFault> {
    let mut late = settled_after(ledger, from, to, upto)?;
    loop {
        let mut sums = sums(ledger, from, to)?;
        let late_still = settled_after(ledger, from, to, upto)?;
        if late == late_still {
            late.iter().for_each(|record| take_off(&mut sums, record));
            return Ok(sums);
        }
        late = late_still;
    }
}

fn sums(ledger: &Ledger, from: UnixMs, to: UnixMs) -> Result<Vec<PastUse>, LedgerFault> {
    let mut sums = Vec::new();
    let mut read = |from| ledger.past(from, to, &mut |past| sums.push(past.clone()));
    match read(from) {
        // The records of the period's first hours are not kept any more. Their whole day in UTC is: counting it leaves
        // a little less than was granted, never more.
        Err(LedgerFault::Dropped { .. }) => {
            tracing::warn!(%from, "records are dropped: all use of that day in UTC counts in the period");
            sums.clear();
            ledger
                .past(UnixMs(from.0 - from.0.rem_euclid(DAY_MS)), to, &mut |past| sums.push(past.clone()))?;
            Ok(sums)
        }
        read => read.map(|()| sums),
    }
}

/// The use of requests that were settled at or after an instant, the oldest first.
///
/// Where single records are dropped, the sums of days take their place, each as if all of it had been used at the end of
/// the day: that leaves a little less than was granted, never more.
pub(super) fn recent(
    ledger: &Ledger,
    since: UnixMs,
    visit: &mut dyn FnMut(&PastUse),
) -> Result<(), LedgerFault> {
    let kept_from = match ledger.recent(since, visit) {
        Err(LedgerFault::Dropped { kept_from }) => kept_from,
        read => return read,
    };
    tracing::warn!(%since, %kept_from, "records are dropped: use before counts by the day");
    let mut day = UnixMs(since.0 - since.0.rem_euclid(DAY_MS));
    while day < kept_from {
        let next = day.saturating_add_ms(DAY_MS);
        let last = UnixMs(next.0 - 1);
        ledger.past(day, next, &mut |past| visit(&PastUse { at: last, settled_at: last, ..past.clone() }))?;
        day = next;
    }
    ledger.recent(kept_from, visit)
}

fn settled_after(ledger: &Ledger, from: UnixMs, to: UnixMs, upto: u64) -> Result<Vec<Record>, LedgerFault> {
    match settled_since(ledger, from, to, upto) {
        // What ended a moment ago did not begin in a month that is dropped.
        Err(LedgerFault::Dropped { kept_from }) => settled_since(ledger, kept_from, to, upto),
        read => read,
    }
}

fn settled_since(ledger: &Ledger, from: UnixMs, to: UnixMs, upto: u64) -> Result<Vec<Record>, LedgerFault> {
    let filter = Filter::between(from, to);
    let mut after = upto;
    let mut records = Vec::new();
    loop {
        let page = ledger.records(&filter, after, PAGE)?;
        let Some(last) = page.last() else { break };
        after = last.seq;
        records.extend(page);
    }
    Ok(records)
}

fn take_off(sums: &mut [PastUse], record: &Record) {
    let of = &record.attribution;
    let is_of = |sum: &&mut PastUse| {
        (&sum.scope, sum.key, Some(&sum.endpoint)) == (&of.scope, of.key, of.endpoint.as_ref())
            && (&sum.requested_model, &sum.model, &sum.further_models)
                == (&of.requested_model, &of.model, &of.further_models)
    };
    let Some(sum) = sums.iter_mut().find(is_of) else {
        return;
    };
    let input = record.input_tokens + record.cache_write_5m_tokens + record.cache_write_1h_tokens;
    sum.requests = sum.requests.saturating_sub(1);
    sum.input_tokens = sum.input_tokens.saturating_sub(input);
    sum.output_tokens = sum.output_tokens.saturating_sub(record.output_tokens);
    sum.cost = sum.cost.saturating_sub(record.cost);
}
