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

fn settled_after(ledger: &Ledger, from: UnixMs, to: UnixMs, upto: u64) -> Result<Vec<Record>, LedgerFault> {
    let filter = Filter { to: Some(to), ..Filter::default() };
    let mut after = upto;
    let mut records = Vec::new();
    loop {
        let page = ledger.records(&filter, after, PAGE)?;
        let Some(last) = page.last() else { break };
        after = last.seq;
        records.extend(page.into_iter().filter(|record| record.at >= from));
    }
    Ok(records)
}

fn take_off(sums: &mut [PastUse], record: &Record) {
    let of = &record.attribution;
    let is_of = |sum: &&mut PastUse| {
        (&sum.scope, sum.key, Some(&sum.endpoint)) == (&of.scope, of.key, of.endpoint.as_ref())
            && (&sum.requested_model, &sum.model) == (&of.requested_model, &of.model)
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
