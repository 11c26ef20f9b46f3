//! What is asked: the body, read whole and looked at, never changed.

use std::io::Read;
use std::sync::Arc;

use tollgate_wire::endpoint::Endpoint;
use tollgate_wire::lens;

use crate::answer::Failure;
use crate::inbound::{Body, Inbound, Room};

/// Largest body of an endpoint that needs none.
const SMALL_BODY_BYTES: usize = 64 * 1024;

/// What a request asks for, as policy and records need it.
#[derive(Debug, Default)]
pub(crate) struct Call {
    /// The model, where the endpoint takes one.
    pub(crate) model: Option<String>,
    /// Further models that the body lets the upstream use.
    pub(crate) other_models: Vec<String>,
    /// The bound on output tokens.
    pub(crate) max_tokens: Option<u64>,
    /// Whether the answer is to be streamed.
    pub(crate) stream: bool,
}

/// Reads the body and looks at it.
pub(crate) async fn intake(
    inbound: &mut Inbound<'_>,
    limit: usize,
    room: &Arc<Room>,
) -> Result<(Call, Body), Failure> {
    let is_looked_at = matches!(inbound.endpoint, Endpoint::Messages | Endpoint::CountTokens);
    let takes_body =
        is_looked_at || matches!(inbound.endpoint, Endpoint::Batches | Endpoint::Files | Endpoint::Other);
    let limit = if takes_body { limit } else { SMALL_BODY_BYTES.min(limit) };
    let body = inbound.client.body(limit, room).await?;
    if !is_looked_at {
        return Ok((Call::default(), body));
    }
    let call = match inbound.head.text_value("content-encoding") {
        None | Some("" | "identity") => look(&body.bytes)?,
        Some(coding) if coding.eq_ignore_ascii_case("gzip") => look(&gunzip(&body.bytes, limit, room)?)?,
        Some(_) => return Err(Failure::Encoding),
    };
    Ok((call, body))
}

fn look(body: &[u8]) -> Result<Call, Failure> {
    let lens = lens::look(body).map_err(Failure::Malformed)?;
    Ok(Call {
        model: Some(lens.model.into_owned()),
        other_models: lens.other_models.into_iter().map(|model| model.into_owned()).collect(),
        max_tokens: lens.max_tokens,
        stream: lens.stream,
    })
}

/// A readable copy of a packed body; what goes upstream stays packed.
fn gunzip(body: &[u8], limit: usize, room: &Arc<Room>) -> Result<Vec<u8>, Failure> {
    let _hold = room.take(limit)?;
    let mut plain = Vec::new();
    let mut decoder = flate2::read::MultiGzDecoder::new(body).take(limit as u64 + 1);
    decoder.read_to_end(&mut plain).map_err(|_| Failure::Unpackable)?;
    if plain.len() > limit { Err(Failure::BodyTooLarge { limit }) } else { Ok(plain) }
}
