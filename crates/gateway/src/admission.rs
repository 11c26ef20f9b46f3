//! Entering and leaving: a request is recorded before it goes upstream, and settled when it ends, once.

use std::collections::BTreeMap;
use std::mem::take;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::time::timeout;
use tollgate_config::snapshot::{cost_centre, tags};
use tollgate_policy::access::Permit;
use tollgate_policy::books::{Amounts, Reservation};
use tollgate_policy::entry::{Admitted, Outcome, Settled};
use tollgate_policy::price::{PriceBook, Sale, floor};
use tollgate_policy::scope::Name;
use tollgate_policy::unit::{NanoUsd, UnixMs};
use tollgate_policy::usage::Usage;
use tollgate_store::journal::Append;
use tollgate_wire::endpoint::Endpoint;
use tollgate_wire::meter::Metered;

use crate::answer::Failure;
use crate::inbound::{Body, Inbound};
use crate::intake::Call;
use crate::metering;
use crate::reserve::{Reserved, reserve};
use crate::{InForce, Shared, sessions};

/// Request headers that a record may hold. All others stay out of it.
const RECORDED_HEADERS: [&str; 4] = ["user-agent", "anthropic-version", "anthropic-beta", "x-app"];

/// How long the end of an answer waits for its settlement to be written.
const SETTLEMENT_PATIENCE: Duration = Duration::from_millis(500);

/// A request that has entered: recorded, its worst case reserved, to be settled. Whoever holds it must end it;
/// dropping it settles it as failed.
pub(crate) struct Admission {
    shared: Arc<Shared>,
    prices: Arc<PriceBook>,
    /// The record of the admission, until it is known to stand.
    entering: Option<Append>,
    /// What the settlement will say, filled in as it becomes known. `None` once settled.
    settled: Option<Box<Settled>>,
    /// What is set aside for it on its allowances.
    reservation: Reservation,
    /// Header lines that tell the caller how its allowances stand; none where it has none.
    told: Option<Vec<u8>>,
    at: UnixMs,
    started: Instant,
    endpoint: Endpoint,
    body_bytes: u64,
    /// Whether the upstream may have seen the request, and so may bill it.
    sent: bool,
    upstream_started: Option<Instant>,
}

/// How a request ended.
pub(crate) struct Ending {
    /// In one word.
    pub(crate) outcome: Outcome,
    /// What the answer said of its usage; `None` where nothing was read.
    pub(crate) metered: Option<Metered>,
}

/// Records the request before it may go anywhere. No record, no request.
pub(crate) async fn admit(
    shared: &Arc<Shared>,
    force: &InForce,
    permit: &Permit,
    inbound: &Inbound<'_>,
    call: &Call,
    body: &Body,
) -> Result<Admission, Failure> {
    let reserved = reserve(shared, force, permit, inbound, call, &body.bytes, shared.steady_now())?;
    let Reserved { reservation, most, told, at } = reserved;
    let entry = entry(force, permit, inbound, call, body, most, reservation.over());
    let settled = Box::new(blank_settlement(&entry, force, at));
    let mut admission = Admission {
        shared: shared.clone(),
        prices: force.prices.clone(),
        entering: Some(shared.journal.admit(at, entry)),
        settled: Some(settled),
        reservation,
        told,
        at,
        started: inbound.started,
        endpoint: inbound.endpoint,
        body_bytes: body.bytes.len() as u64,
        sent: false,
        upstream_started: None,
    };
    shared.metrics.entered();
    admission.entered().await?;
    Ok(admission)
}

/// What is recorded of a request that enters.
fn entry(
    force: &InForce,
    permit: &Permit,
    inbound: &Inbound<'_>,
    call: &Call,
    body: &Body,
    most: Amounts,
    over: &[Name],
) -> Admitted {
    let head = &inbound.head;
    let key = permit.principal().key();
    let header = |name: &str| head.text_value(name);
    let cost_centre = cost_centre(&force.config.cost_centres, &key.scope, key.id).cloned();
    Admitted {
        request: inbound.request,
        key: key.id,
        scope: key.scope.clone(),
        peer: inbound.peer.to_string(),
        method: head.method().to_owned(),
        endpoint: inbound.endpoint.as_str().to_owned(),
        path: head.path().to_owned(),
        model: call.model.clone(),
        stream: call.stream,
        max_tokens: call.max_tokens,
        body_bytes: body.bytes.len() as u64,
        upstream: force.upstream.name().to_string(),
        reserved: most.cost,
        input_estimate: most.input_tokens,
        output_estimate: most.output_tokens,
        cost_centre,
        tags: tags(&force.config.tags, &key.scope, key.id, header),
        over: over.to_vec(),
        session: sessions::session(head).map(str::to_owned),
        agent: sessions::agent(head).map(str::to_owned),
        headers: recorded_headers(inbound),
    }
}

/// The settlement of a request of which nothing more is known than that it entered.
fn blank_settlement(entry: &Admitted, force: &InForce, at: UnixMs) -> Settled {
    Settled {
        request: entry.request,
        admitted: 0,
        admitted_at: Some(at),
        key: entry.key,
        scope: entry.scope.clone(),
        endpoint: entry.endpoint.clone(),
        model: entry.model.clone(),
        served_model: None,
        upstream: entry.upstream.clone(),
        region: None,
        outcome: Outcome::Failed,
        status: None,
        usage: Usage::default(),
        cost: NanoUsd(0),
        price_version: force.prices.version().to_owned(),
        unknown_price: false,
        estimated: false,
        ms_total: 0,
        ms_first_byte: None,
        upstream_request_id: None,
        error: None,
        session: entry.session.clone(),
        agent: entry.agent.clone(),
        cost_centre: entry.cost_centre.clone(),
        tags: entry.tags.clone(),
    }
}

fn recorded_headers(inbound: &Inbound<'_>) -> BTreeMap<String, String> {
    RECORDED_HEADERS
        .iter()
        .filter_map(|name| Some(((*name).to_owned(), inbound.head.text_value(name)?.to_owned())))
        .collect()
}

impl Admission {
    /// Waits until the admission is recorded.
    async fn entered(&mut self) -> Result<(), Failure> {
        let Some(entering) = &mut self.entering else {
            return Ok(());
        };
        let recorded = entering.await;
        self.entering = None;
        match recorded {
            Ok(seq) => {
                if let Some(settled) = &mut self.settled {
                    settled.admitted = seq;
                }
                Ok(())
            }
            Err(fault) => {
                // The entry was refused, so there is nothing to settle.
                self.settled = None;
                self.shared.counters.release(self.shared.steady_now(), take(&mut self.reservation));
                self.shared.metrics.left_unrecorded();
                Err(fault.into())
            }
        }
    }

    /// Header lines that tell the caller how its allowances stand; none where it has none.
    pub(crate) fn told(&self) -> Option<&[u8]> {
        self.told.as_deref()
    }

    /// The request is about to be sent.
    pub(crate) fn sent(&mut self) {
        self.sent = true;
        self.upstream_started = Some(Instant::now());
    }

    /// Nothing reached the upstream after all.
    pub(crate) fn not_sent(&mut self) {
        self.sent = false;
    }

    /// The answer's head is here.
    pub(crate) fn answered(&mut self, status: u16, upstream_request_id: Option<&str>) {
        let first_byte = millis(self.started);
        if let Some(settled) = &mut self.settled {
            settled.status = Some(status);
            settled.ms_first_byte = Some(first_byte);
            settled.upstream_request_id = upstream_request_id.map(str::to_owned);
        }
    }

    /// Why there was no answer.
    pub(crate) fn failed(&mut self, code: &str) {
        if let Some(settled) = &mut self.settled {
            settled.error = Some(code.to_owned());
        }
    }

    /// Ends the request. The record is under way when this returns; the future waits for it.
    pub(crate) fn settle(mut self, ending: Ending) -> impl Future<Output = ()> + use<> {
        let append = self.finish(ending);
        async move {
            let Some(append) = append else {
                return;
            };
            // A settlement that the disk refuses is kept, and tried again by the journal itself. The client, who was
            // served, is not made to wait for the disk to mend.
            if timeout(SETTLEMENT_PATIENCE, append).await.is_err() {
                tracing::warn!("an answer ended before its settlement was written; the journal keeps it");
            }
        }
    }

    fn finish(&mut self, ending: Ending) -> Option<Append> {
        let mut settled = self.settled.take()?;
        settled.outcome = ending.outcome;
        settled.ms_total = millis(self.started);
        self.price(&mut settled, ending.metered);
        self.shared.metrics.settled(
            &settled,
            self.endpoint,
            self.upstream_started.map(|since| since.elapsed()),
        );
        Some(self.shared.settle(*settled, take(&mut self.reservation)))
    }

    /// Says what was used and what it cost: as the upstream reported it, or else by the floor.
    fn price(&self, settled: &mut Settled, metered: Option<Metered>) {
        let metered = metered.unwrap_or_default();
        if let Some(unread) = metered.unread {
            let (request, why) = (&settled.request, unread.as_str());
            tracing::warn!(%request, why, "an answer was relayed whole and could not be metered whole");
        }
        settled.served_model = metered.model;
        if let Some(error) = metered.error {
            settled.error = Some(error);
        }
        let refused = settled.status.is_some_and(|status| status >= 400);
        if self.endpoint != Endpoint::Messages || !self.sent || refused {
            return;
        }
        let reported = metered.usage.map(metering::usage);
        settled.estimated = !(metered.complete && reported.is_some());
        settled.usage = match reported {
            Some(usage) if !settled.estimated => usage,
            reported => floor(reported.as_ref(), metered.text_chars, self.body_bytes),
        };
        if !metered.billable && !settled.estimated {
            return;
        }
        let requested = settled.model.as_deref().unwrap_or_default();
        let cost = self.prices.cost(&Sale {
            requested_model: requested,
            upstream: &settled.upstream,
            model: settled.served_model.as_deref().unwrap_or(requested),
            usage: &settled.usage,
            at: self.at,
            batch: false,
            regional: false,
        });
        settled.cost = cost.amount;
        settled.unknown_price = cost.unknown_model;
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        if let Some(entering) = self.entering.take() {
            return self.leave_unentered(entering);
        }
        // A client that left while the upstream was silent, or a panic: the upstream may bill what was sent.
        let outcome = if std::thread::panicking() || !self.sent { Outcome::Failed } else { Outcome::Aborted };
        drop(self.finish(Ending { outcome, metered: None }));
    }
}

impl Admission {
    /// The client left before the record was known to stand. If it does, the request is settled all the same.
    fn leave_unentered(&mut self, entering: Append) {
        let (Some(mut settled), Ok(runtime)) = (self.settled.take(), tokio::runtime::Handle::try_current())
        else {
            return;
        };
        let (shared, reservation) = (self.shared.clone(), take(&mut self.reservation));
        runtime.spawn(async move {
            shared.metrics.left_unrecorded();
            match entering.await {
                Ok(seq) => {
                    settled.admitted = seq;
                    let _ = shared.settle(*settled, reservation).await;
                }
                Err(_) => shared.counters.release(shared.steady_now(), reservation),
            }
        });
    }
}

fn millis(since: Instant) -> u64 {
    since.elapsed().as_millis() as u64
}

#[cfg(test)]
mod tests;
