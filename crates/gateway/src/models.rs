//! `GET /v1/models`: the caller's models and no others.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::timeout;
use tollgate_policy::access::{Models, Permit};
use tollgate_policy::entry::Outcome;
use tollgate_policy::id::RequestId;
use tollgate_wire::endpoint::Endpoint;

use crate::InForce;
use crate::admission::{Admission, Ending};
use crate::answer::{Answer, Failure};
use crate::forward::{Outgoing, forward, give_up, relay, send};
use crate::inbound::{Body, Head};
use crate::relay::{Form, Piece, Relay};
use crate::upstream::UpstreamFault;

/// Claude Code gives a model list three seconds.
const PATIENCE: Duration = Duration::from_millis(2_500);
/// Largest list that is read to be cut down.
const LIST_BYTES: usize = 8 * 1024 * 1024;

/// Answers a model list here where the configuration or the key limits it, and forwards everything else.
pub(crate) async fn or_forward(
    force: &InForce,
    permit: &Permit,
    head: &Head,
    endpoint: Endpoint,
    request: RequestId,
    body: &Body,
    admission: Admission,
) -> Result<Answer, Failure> {
    let allowed = &permit.principal().key().models;
    let configured = force.config.models.as_ref();
    match endpoint {
        Endpoint::Models if configured.is_some() => {
            let list = configured.into_iter().flatten();
            let data = list
                .filter(|model| allowed.allows(&model.id))
                .map(|model| entry(&model.id, model.display_name.as_deref()));
            own(list_of(data.collect()), request, admission).await
        }
        Endpoint::Models if allowed.is_empty() => {
            in_time(forward(force, head, endpoint, request, body, admission)).await
        }
        Endpoint::Models => in_time(filtered(force, head, request, body, admission, allowed)).await,
        _ => forward(force, head, endpoint, request, body, admission).await,
    }
}

/// Fetches the upstream's list and answers with the models that the caller may use. Paging ends here: the whole
/// list is fetched, so the answer has no further pages.
async fn filtered(
    force: &InForce,
    head: &Head,
    request: RequestId,
    body: &Body,
    mut admission: Admission,
    allowed: &Models,
) -> Result<Answer, Failure> {
    let outgoing = Outgoing { head, target: "/v1/models?limit=1000", body, may_pack: false };
    let reply = match send(force, outgoing, &mut admission).await {
        Ok(reply) => reply,
        Err(fault) => return Err(give_up(fault, admission).await),
    };
    if reply.head.status != 200 {
        return relay(force, reply, Endpoint::Models, request, admission).await;
    }
    let idle = force.config.timeouts.stream_idle;
    let body = Relay::new(reply.source, reply.head.framing, 200, false, None, admission, idle);
    let list = collect(body).await.and_then(|bytes| serde_json::from_slice(&bytes).ok());
    let Some(Value::Object(list)) = list else {
        return Err(UpstreamFault::NotHttp.into());
    };
    let data = list.get("data").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let may_use = |model: &&Value| model["id"].as_str().is_some_and(|id| allowed.allows(id));
    let list = list_of(data.iter().filter(may_use).cloned().collect());
    Ok(Answer::own(200, "application/json", list, request))
}

/// Reads a body whole.
async fn collect(mut relay: Relay) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut piece = relay.early(Form::Payload).await;
    loop {
        let next = match piece.take() {
            Some(piece) => piece,
            None => relay.next(Form::Payload).await,
        };
        match next {
            Piece::Data(chunk) if bytes.len() + chunk.len() <= LIST_BYTES => bytes.extend_from_slice(&chunk),
            Piece::Last(chunk) => {
                bytes.extend_from_slice(&chunk);
                return Some(bytes);
            }
            Piece::Data(_) | Piece::Cut => return None,
        }
    }
}

/// An answer that needed no upstream.
async fn own(list: Vec<u8>, request: RequestId, mut admission: Admission) -> Result<Answer, Failure> {
    admission.answered(200, None);
    admission.settle(Ending { outcome: Outcome::Complete, metered: None }).await;
    Ok(Answer::own(200, "application/json", list, request))
}

/// A page of the API's model list (<https://platform.claude.com/docs/en/api/models/list>).
fn list_of(data: Vec<Value>) -> Vec<u8> {
    let id = |model: Option<&Value>| model.map_or(Value::Null, |model| model["id"].clone());
    let (first, last) = (id(data.first()), id(data.last()));
    json!({ "data": data, "has_more": false, "first_id": first, "last_id": last }).to_string().into_bytes()
}

fn entry(id: &str, display_name: Option<&str>) -> Value {
    json!({ "type": "model", "id": id, "display_name": display_name.unwrap_or(id) })
}

async fn in_time(answer: impl Future<Output = Result<Answer, Failure>>) -> Result<Answer, Failure> {
    timeout(PATIENCE, answer).await.unwrap_or(Err(UpstreamFault::FirstByteTimeout(PATIENCE).into()))
}
