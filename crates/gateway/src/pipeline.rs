//! The way of a request, stage by stage. Each stage takes the proof of the one before it.

use std::sync::Arc;

use tollgate_policy::access::{Ask, judge};
use tollgate_policy::principal::Principal;
use tollgate_wire::endpoint::Endpoint;

use crate::admission::admit;
use crate::answer::{Answer, Failure};
use crate::identify::{Identified, identify};
use crate::inbound::Inbound;
use crate::intake::intake;
use crate::{Shared, denied, models, probe};

/// Answers one request. `None` where the client left and nobody waits.
pub(crate) async fn handle(shared: &Arc<Shared>, mut inbound: Inbound<'_>) -> Option<Answer> {
    let mut principal = None;
    let failure = match pass(shared, &mut inbound, &mut principal).await {
        Ok(answer) => return Some(answer),
        Err(failure) => failure,
    };
    denied::record(shared, &inbound, principal.as_ref(), &failure);
    failure.is_for_somebody().then(|| failure.answer(inbound.request))
}

async fn pass(
    shared: &Arc<Shared>,
    inbound: &mut Inbound<'_>,
    who: &mut Option<Principal>,
) -> Result<Answer, Failure> {
    // One view of the configuration from here to the end: a reload never splits a request.
    let force = shared.in_force();
    if let Some(answer) = probe::answer(shared, inbound) {
        return Ok(answer);
    }
    let identified = identify(&inbound.head, &shared.directory, force.key_ages(), inbound.at);
    if inbound.endpoint == Endpoint::Unknown {
        *who = identified.ok().map(|identified| identified.principal);
        return Err(Failure::not_found(inbound.head.path()));
    }
    let Identified { principal, aged_days } = identified?;
    let principal = who.insert(principal).clone();
    let (call, body) = intake(inbound, force.config.limits.body_bytes, &shared.room).await?;
    let ask = Ask {
        endpoint_label: inbound.endpoint.as_str(),
        model: call.model.as_deref(),
        other_models: &call.other_models,
        other_v1_allowed: force.config.other_v1_allowed,
    };
    let permit = judge(&principal, &ask)?;
    let admission = admit(shared, &force, &permit, inbound, &call, &body).await?;
    let Inbound { head, client, endpoint, request, .. } = inbound;
    let answer = tokio::select! {
        answer = models::or_forward(&force, &permit, head, *endpoint, *request, &body, admission) => answer?,
        () = client.gone() => return Err(Failure::ClientGone),
    };
    Ok(answer.with_key_warning(aged_days))
}
