//! To the upstream and back with the head of its answer.

use tollgate_policy::entry::Outcome;
use tollgate_policy::id::RequestId;
use tollgate_wire::endpoint::Endpoint;
use tollgate_wire::header::{Action, connection_lists, request_action, response_action};
use tollgate_wire::http1::Field;
use tollgate_wire::meter::Meter;

use crate::InForce;
use crate::admission::{Admission, Ending};
use crate::answer::{Answer, AnswerBody, ERROR_SOURCE, Failure, REQUEST_ID, push_field};
use crate::inbound::{Body, Head};
use crate::relay::Relay;
use crate::shares::is_limit_header;
use crate::upstream::{Patience, Reply, Upstream, UpstreamFault};

/// A request as it is to be sent.
pub(crate) struct Outgoing<'a> {
    /// The head that came in.
    pub(crate) head: &'a Head,
    /// Path and query.
    pub(crate) target: &'a str,
    /// The body that came in.
    pub(crate) body: &'a Body,
    /// Whether the answer may be packed, where the client allows it.
    pub(crate) may_pack: bool,
}

/// Sends the request as it came, but for the header table, and answers with what comes back.
pub(crate) async fn forward(
    force: &InForce,
    head: &Head,
    endpoint: Endpoint,
    request: RequestId,
    body: &Body,
    mut admission: Admission,
) -> Result<Answer, Failure> {
    let outgoing = Outgoing { head, target: head.target(), body, may_pack: true };
    match send(force, outgoing, &mut admission).await {
        Ok(reply) => relay(force, reply, endpoint, request, admission).await,
        Err(fault) => Err(give_up(fault, admission).await),
    }
}

/// Answers with what the upstream says.
pub(crate) async fn relay(
    force: &InForce,
    reply: Reply,
    endpoint: Endpoint,
    request: RequestId,
    admission: Admission,
) -> Result<Answer, Failure> {
    let status = reply.head.status;
    if status == 401 {
        // Ours is the credential that was refused; shown as it is, the client would doubt its own.
        tracing::error!(upstream = %force.upstream.name(), "the upstream refused the gateway's credential");
        return Err(give_up(UpstreamFault::Credential, admission).await);
    }
    let fields = answer_fields(&reply, request, admission.told());
    let is_stream = is_event_stream(&reply);
    let meter = meter(endpoint, &reply, is_stream);
    let idle = force.config.timeouts.stream_idle;
    let relay = Relay::new(reply.source, reply.head.framing, status, is_stream, meter, admission, idle);
    Ok(Answer { status, fields, body: AnswerBody::Relay(Box::new(relay)), close: false })
}

/// Sends the request and reads the answer's head.
pub(crate) async fn send(
    force: &InForce,
    outgoing: Outgoing<'_>,
    admission: &mut Admission,
) -> Result<Reply, UpstreamFault> {
    let timeouts = &force.config.timeouts;
    let patience = Patience { connect: timeouts.connect, first_byte: timeouts.first_byte };
    let head = request_head(&force.upstream, &outgoing);
    admission.sent();
    let reply = force.upstream.send(&head, &outgoing.body.bytes, patience).await.inspect_err(|fault| {
        if !fault.may_have_been_sent() {
            admission.not_sent();
        }
    })?;
    let id = reply.head.value(&reply.bytes, "request-id").and_then(|value| std::str::from_utf8(value).ok());
    admission.answered(reply.head.status, id);
    Ok(reply)
}

/// Settles a request that got no answer to show.
pub(crate) async fn give_up(fault: UpstreamFault, mut admission: Admission) -> Failure {
    tracing::warn!(%fault, "no answer from the upstream");
    let failure = Failure::Upstream(fault);
    admission.failed(failure.code());
    let outcome = match failure {
        Failure::Upstream(UpstreamFault::Credential) => Outcome::UpstreamError,
        _ => Outcome::Failed,
    };
    admission.settle(Ending { outcome, metered: None }).await;
    failure
}

/// The head that goes upstream: every header as it came, but for those that the table drops or replaces.
fn request_head(upstream: &Upstream, outgoing: &Outgoing<'_>) -> Vec<u8> {
    let (head, body_bytes) = (outgoing.head, outgoing.body.bytes.len());
    let mut out = Vec::with_capacity(2048);
    upstream.begin_head(head.method().as_bytes(), outgoing.target.as_bytes(), &mut out);
    let mut packs_gzip = false;
    let options = connection_options(head);
    for (name, value) in head.fields() {
        match request_action(name) {
            Action::Forward if !options.iter().any(|option| name.eq_ignore_ascii_case(option)) => {
                push_field(&mut out, name, value)
            }
            Action::Replace if name.eq_ignore_ascii_case(b"accept-encoding") => {
                packs_gzip |= allows_gzip(value)
            }
            Action::Forward | Action::Drop | Action::Replace => {}
        }
    }
    // The meter must read the answer, so the upstream may pack it in no way that the gateway can not unpack.
    push_field(
        &mut out,
        b"accept-encoding",
        if packs_gzip && outgoing.may_pack { b"gzip" } else { b"identity" },
    );
    if body_bytes > 0 || matches!(head.method(), "POST" | "PUT" | "PATCH") {
        push_field(&mut out, b"content-length", body_bytes.to_string().as_bytes());
    }
    out.extend_from_slice(b"\r\n");
    out
}

/// The headers that the client's `Connection` names as its own (RFC 9110 section 7.6.1), few of them: what belongs
/// to the content or to the API is never such a header, whatever is claimed.
fn connection_options(head: &Head) -> Vec<&[u8]> {
    const OPTIONS: usize = 32;
    head.fields()
        .filter(|(name, _)| name.eq_ignore_ascii_case(b"connection"))
        .flat_map(|(_, value)| value.split(|byte| *byte == b','))
        .map(<[u8]>::trim_ascii)
        .filter(|option| !is_end_to_end(option))
        .take(OPTIONS)
        .collect()
}

fn is_end_to_end(name: &[u8]) -> bool {
    let begins = |with: &[u8]| name.get(..with.len()).is_some_and(|start| start.eq_ignore_ascii_case(with));
    begins(b"content-") || begins(b"anthropic-")
}

fn allows_gzip(value: &[u8]) -> bool {
    value.split(|byte| *byte == b',').any(|item| {
        let mut parts = item.split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
        let is_gzip = parts.next().is_some_and(|coding| coding.eq_ignore_ascii_case(b"gzip"));
        is_gzip && !parts.any(|weight| matches!(weight, b"q=0" | b"q=0.0" | b"q=0.00" | b"q=0.000"))
    })
}

/// The answer's headers as they came, but for those that the table drops or replaces, and those about limits where the
/// caller is told of its own: the upstream's describe the key that all callers share.
fn answer_fields(reply: &Reply, request: RequestId, told: Option<&[u8]>) -> Vec<u8> {
    let bytes = &reply.bytes;
    let listed = |name: &[u8]| {
        let is_connection = |field: &&Field| field.name(bytes).eq_ignore_ascii_case(b"connection");
        reply.head.fields.iter().filter(is_connection).any(|field| connection_lists(field.value(bytes), name))
    };
    let mut out = Vec::with_capacity(bytes.len() + 128);
    for field in &reply.head.fields {
        let name = field.name(bytes);
        let is_replaced = told.is_some() && is_limit_header(name);
        if response_action(name) == Action::Forward && !listed(name) && !is_replaced {
            push_field(&mut out, name, field.value(bytes));
        }
    }
    out.extend_from_slice(told.unwrap_or_default());
    push_field(&mut out, REQUEST_ID.as_bytes(), request.to_string().as_bytes());
    if reply.head.status >= 400 {
        push_field(&mut out, ERROR_SOURCE.as_bytes(), b"upstream");
    }
    out
}

fn is_event_stream(reply: &Reply) -> bool {
    let content_type = reply.head.value(&reply.bytes, "content-type").unwrap_or_default();
    content_type.get(..17).is_some_and(|start| start.eq_ignore_ascii_case(b"text/event-stream"))
}

/// What reads usage, or an error's type, off the answer.
fn meter(endpoint: Endpoint, reply: &Reply, is_stream: bool) -> Option<Meter> {
    let value = |name| reply.head.value(&reply.bytes, name).unwrap_or_default();
    if endpoint != Endpoint::Messages && reply.head.status < 400 {
        return None;
    }
    let meter = if is_stream { Meter::for_stream() } else { Meter::for_answer() };
    match value("content-encoding") {
        b"" | b"identity" => Some(meter),
        coding if coding.eq_ignore_ascii_case(b"gzip") => Some(Meter::gzip(meter)),
        coding => {
            let coding = String::from_utf8_lossy(coding);
            tracing::warn!(%coding, "the upstream packed its answer unasked: its usage is estimated");
            None
        }
    }
}
