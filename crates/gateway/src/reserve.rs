//! What a request may use at most, and whether its session and its allowances let it.

use std::sync::Arc;

use tollgate_policy::access::Permit;
use tollgate_policy::books::{Amounts, Claim, Reservation};
use tollgate_policy::denial::Denial;
use tollgate_policy::price::{OUTPUT_TOKENS_MAX, Order, PROMPT_TOKENS_MAX, input_bound, input_estimate};
use tollgate_policy::unit::UnixMs;
use tollgate_store::counters;
use tollgate_wire::endpoint::Endpoint;

use crate::answer::Failure;
use crate::inbound::Inbound;
use crate::intake::Call;
use crate::{InForce, Shared, sessions, shares};

/// Input tokens set aside for each thing that the upstream fetches by itself. No bound: what is fetched shows in the
/// usage alone, and a request that reads more is charged in full all the same.
const REMOTE_TOKENS: u64 = 100_000;

/// What is set aside for a request.
#[derive(Default)]
pub(crate) struct Reserved {
    /// On which allowances.
    pub(crate) reservation: Reservation,
    /// The most that it can use.
    pub(crate) most: Amounts,
    /// Header lines that tell the caller how its allowances stand; none where it has none.
    pub(crate) told: Option<Vec<u8>>,
    /// The instant at which it is booked.
    pub(crate) at: UnixMs,
}

/// Reserves on every allowance that the request falls under.
pub(crate) fn reserve(
    shared: &Arc<Shared>,
    force: &InForce,
    permit: &Permit,
    inbound: &Inbound<'_>,
    call: &Call,
    body: &[u8],
    now: UnixMs,
) -> Result<Reserved, Failure> {
    let Some(kind) = counters::kind(inbound.endpoint.as_str()) else {
        return Ok(Reserved { at: now, ..Reserved::default() });
    };
    let key = permit.principal().key();
    let is_message = inbound.endpoint == Endpoint::Messages;
    let session = sessions::session(&inbound.head).filter(|_| is_message);
    if let Some(session) = session {
        sessions::unpaused(shared, now, key, session)?;
    }
    let models: Vec<&str> = call.model.iter().chain(&call.other_models).map(String::as_str).collect();
    let most = if is_message { at_most(force, call, &models, now) } else { Amounts::default() };
    let claim = Claim {
        scope: &key.scope,
        key: key.counted_as(),
        kind,
        models: &models,
        full: most,
        input_likely: input_estimate(call.plain_bytes),
    };
    let counters::Reserved { reservation, shares, at } = shared
        .counters
        .reserve(now, &claim)
        .inspect_err(|overdrawn| shared.metrics.overdrawn(&overdrawn.allowance))
        .map_err(Denial::Overdrawn)?;
    // After the allowances: a client that comes again because one of them told it to does not run away.
    if let Some(session) = session
        && let Err(denial) = sessions::watch(shared, force, now, key, session, body)
    {
        shared.counters.release(now, reservation);
        return Err(denial.into());
    }
    let is_told = force.config.books.hide_upstream_limits && !shares.is_empty();
    Ok(Reserved { reservation, most, told: is_told.then(|| shares::fields(&shares)), at })
}

/// The most that a message can use, as far as its body tells.
fn at_most(force: &InForce, call: &Call, models: &[&str], at: UnixMs) -> Amounts {
    let remote = (call.beyond.remote as u64).saturating_mul(REMOTE_TOKENS);
    let input_tokens = input_bound(call.plain_bytes, call.beyond.media as u64).saturating_add(remote);
    let input_tokens = input_tokens.min(PROMPT_TOKENS_MAX);
    let output_tokens = call.max_tokens.unwrap_or_default().min(OUTPUT_TOKENS_MAX);
    let upstream = force.upstream.name().to_string();
    // Each model that the request names may read the prompt again: a fallback after the one before it, an advisor beside
    // it.
    let inferences = u32::try_from(models.len()).unwrap_or(u32::MAX);
    let cost = force.prices.reservation(&Order {
        models,
        upstreams: &[&upstream],
        at,
        input_tokens,
        output_tokens,
        fast: call.fast,
        inferences,
    });
    let of_all = |tokens: u64| tokens.saturating_mul(u64::from(inferences));
    Amounts { input_tokens: of_all(input_tokens), output_tokens: of_all(output_tokens), cost }
}
