//! What is asked: the body, read whole and looked at, never changed.

use std::io::Read;
use std::sync::Arc;

use tokio::task::spawn_blocking;
use tollgate_wire::endpoint::Endpoint;
use tollgate_wire::lens::{self, Beyond};

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
    /// What the body brings into the prompt beyond its own text.
    pub(crate) beyond: Beyond,
    /// Whether the faster serving is asked for.
    pub(crate) fast: bool,
    /// The length of the body in plain, in bytes.
    pub(crate) plain_bytes: u64,
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
    if inbound.endpoint == Endpoint::Model {
        let model = inbound.head.path().rsplit('/').next().map(str::to_owned);
        return Ok((Call { model, ..Call::default() }, body));
    }
    if !is_looked_at {
        return Ok((Call::default(), body));
    }
    let call = match coding(inbound)? {
        Coding::Plain => look(&body.bytes)?,
        Coding::Gzip => {
            let (bytes, room) = (body.bytes.clone(), room.clone());
            // Unpacking takes time that other requests on this thread must not wait for.
            let looked = spawn_blocking(move || look(&gunzip(&bytes, limit, &room)?)).await;
            looked.unwrap_or_else(|panicked| std::panic::resume_unwind(panicked.into_panic()))?
        }
    };
    Ok((call, body))
}

/// How a body is packed.
enum Coding {
    Plain,
    Gzip,
}

/// What the body's content coding is, where it is one that can be looked into. Said twice, it could be read in two
/// ways, and judged in the wrong one.
fn coding(inbound: &Inbound<'_>) -> Result<Coding, Failure> {
    let mut values = inbound
        .head
        .fields()
        .filter(|(name, _)| name.eq_ignore_ascii_case(b"content-encoding"))
        .map(|(_, value)| value);
    match (values.next(), values.next()) {
        (None, _) => Ok(Coding::Plain),
        (Some(value), None) if value.eq_ignore_ascii_case(b"identity") => Ok(Coding::Plain),
        (Some(value), None) if value.eq_ignore_ascii_case(b"gzip") => Ok(Coding::Gzip),
        _ => Err(Failure::Encoding),
    }
}

fn look(body: &[u8]) -> Result<Call, Failure> {
    let lens = lens::look(body).map_err(Failure::Malformed)?;
    Ok(Call {
        model: Some(lens.model.into_owned()),
        other_models: lens.other_models.into_iter().map(|model| model.into_owned()).collect(),
        max_tokens: lens.max_tokens,
        stream: lens.stream,
        beyond: lens.beyond,
        fast: lens.fast,
        plain_bytes: body.len() as u64,
    })
}

/// A readable copy of a packed body; what goes upstream stays packed.
fn gunzip(body: &[u8], limit: usize, room: &Arc<Room>) -> Result<Vec<u8>, Failure> {
    let mut hold = room.take(0)?;
    let mut plain = Vec::new();
    let mut decoder = flate2::read::MultiGzDecoder::new(body).take(limit as u64 + 1);
    let mut block = vec![0; 64 * 1024];
    loop {
        let count = decoder.read(&mut block).map_err(|_| Failure::Unpackable)?;
        if count == 0 {
            return Ok(plain);
        }
        hold.grow(count)?;
        plain.extend_from_slice(&block[..count]);
        if plain.len() > limit {
            return Err(Failure::BodyTooLarge { limit });
        }
    }
}
