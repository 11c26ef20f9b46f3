//! One request of the demo and what came of it.

use super::traffic::{Ask, LEAVE_AFTER_EVENTS, Scene, Want};
use crate::http;
use http_body_util::{BodyExt, Full};
use hyper::{
    Request, Response,
    body::{Bytes, Incoming},
    header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE},
};
use std::{net::SocketAddr, time::Duration};
use tokio::time::timeout;
use tollgate_wire::{
    meter::{Meter, Metered},
    sse::Decoder,
};

/// Longer than any of them takes on a slow machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A request that ended.
#[derive(Debug)]
pub(super) struct Exchange {
    pub(super) scene: Scene,
    /// The upstream's id of the request, or the gateway's where the gateway itself answered.
    pub(super) request_id: Option<String>,
    /// What was not as it should be.
    pub(super) fault: Option<String>,
}

/// What a client saw of an answer.
struct Seen {
    status: u16,
    bytes: u64,
    metered: Metered,
    end: End,
}

/// How an answer ended for its client.
#[derive(Debug, PartialEq, Eq)]
enum End {
    /// As its framing promised.
    Proper,
    /// The connection broke before that.
    Broken,
    /// The client left.
    Left,
}

/// Sends a request and holds what comes against what the scene wants.
pub(super) async fn send_one(
    gateway: SocketAddr,
    scene: Scene,
    number: usize,
    credential: String,
) -> Exchange {
    let mut request_id = None;
    let whole = timeout(PATIENCE, exchange(gateway, scene, number, &credential, &mut request_id)).await;
    let fault = match whole {
        Ok(Ok(seen)) => seen.fault(&scene),
        Ok(Err(error)) => Some(error),
        Err(_) => Some(format!("nothing came of it for {} s", PATIENCE.as_secs())),
    };
    let fault = fault.map(|fault| format!("request {number}, {}: {fault}", scene.title));
    Exchange { scene, request_id, fault }
}

async fn exchange(
    gateway: SocketAddr,
    scene: Scene,
    number: usize,
    credential: &str,
    request_id: &mut Option<String>,
) -> Result<Seen, String> {
    let (method, path) = scene.ask.target();
    let mut request = Request::builder()
        .method(method)
        .uri(path)
        .header("anthropic-version", "2023-06-01")
        .header("user-agent", concat!("tollgate-demo/", env!("CARGO_PKG_VERSION")))
        .header(CONTENT_TYPE, "application/json");
    // Clients present a key in either of two ways.
    request = match number % 2 {
        0 => request.header("x-api-key", credential),
        _ => request.header(AUTHORIZATION, format!("Bearer {credential}")),
    };
    if !scene.directives.is_empty() {
        request = request.header("x-simulator", scene.directives);
    }
    let body = Full::new(Bytes::from(scene.ask.body(number)));
    let request = request.body(body).map_err(|error| error.to_string())?;
    let answer = http::send(gateway, request).await.map_err(|fault| fault.to_string())?;
    let id = answer.headers().get("request-id").and_then(|id| id.to_str().ok());
    *request_id = id.map(str::to_owned);
    Ok(watch(answer, scene.want == Want::Left).await)
}

/// Reads an answer to its end, or leaves in its middle.
async fn watch(answer: Response<Incoming>, leave: bool) -> Seen {
    let value = |name| answer.headers().get(name).map_or(&b""[..], |value| value.as_bytes());
    let is_stream = value(CONTENT_TYPE).starts_with(b"text/event-stream");
    let mut meter = if is_stream { Meter::for_stream() } else { Meter::for_answer() };
    if value(CONTENT_ENCODING) == b"gzip" {
        meter = meter.gzip();
    }
    let status = answer.status().as_u16();
    let mut body = answer.into_body();
    let (mut decoder, mut events, mut bytes) = (Decoder::new(), 0, 0);
    let end = loop {
        match body.frame().await {
            None => break End::Proper,
            Some(Err(_)) => break End::Broken,
            Some(Ok(frame)) => {
                let data = frame.into_data().unwrap_or_default();
                bytes += data.len() as u64;
                meter.push(&data);
                decoder.push(&data, |_| events += 1);
                if leave && events >= LEAVE_AFTER_EVENTS {
                    break End::Left;
                }
            }
        }
    };
    Seen { status, bytes, metered: meter.finish(), end }
}

impl Seen {
    /// What is not as the scene wants it.
    fn fault(&self, scene: &Scene) -> Option<String> {
        let (status, end) = match scene.want {
            Want::Whole => (200, End::Proper),
            Want::Error(status, _) => (status, End::Proper),
            Want::Broken => (200, End::Broken),
            Want::Left => (200, End::Left),
        };
        if self.status != status || self.end != end {
            let (seen_status, seen_end) = (self.status, &self.end);
            return Some(format!("{status} and {end:?} expected, {seen_status} and {seen_end:?} seen"));
        }
        let metered = &self.metered;
        match (scene.want, scene.ask) {
            (Want::Whole, Ask::Plain(_) | Ask::Stream(_)) => {
                let whole = metered.complete && metered.usage.is_some() && metered.error.is_none();
                (!whole).then(|| "the message is not whole".to_owned())
            }
            (Want::Whole, _) => (self.bytes == 0).then(|| "the answer is empty".to_owned()),
            (Want::Error(_, kind), _) => (metered.error.as_deref() != Some(kind))
                .then(|| format!("{kind} expected, {:?} seen", metered.error)),
            (Want::Broken | Want::Left, _) => {
                (metered.complete || self.bytes == 0).then(|| "it did not end in the middle".to_owned())
            }
        }
    }
}
