//! Exchanges over HTTP/2, for owners who ask for it.
//!
//! One slow stream can hurt its neighbours on a connection: h2 closes a whole connection when too many small
//! frames wait to be read, its bound being half the connection window. So the window is wide, and a connection
//! carries a bounded number of streams.

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http2::SendRequest;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tollgate_wire::http1::{Field, Framing, HeadLimits, RequestHead, ResponseHead};

use super::UpstreamFault;
use crate::stream::Stream;

const CONNECTION_WINDOW: u32 = 64 * 1024 * 1024;
const STREAM_WINDOW: u32 = 1024 * 1024;
/// Streams that one connection carries at a time.
const STREAMS: usize = 64;

type Sender = SendRequest<Full<Bytes>>;

/// Open connections and how many streams each carries.
#[derive(Default)]
pub(crate) struct Pool {
    connections: Mutex<Vec<(Sender, Arc<AtomicUsize>)>>,
}

/// A place on a connection; dropping it makes room for another stream.
struct Place(Arc<AtomicUsize>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Where the body of an answer is read from. Dropped before its end, the stream is reset.
pub(crate) struct Source {
    body: Incoming,
    _place: Place,
}

impl Source {
    /// Waits for payload; `None` is the end of the body.
    pub(crate) async fn read(&mut self) -> Option<io::Result<Bytes>> {
        loop {
            match self.body.frame().await? {
                Ok(frame) => {
                    if let Ok(data) = frame.into_data() {
                        return Some(Ok(data));
                    }
                }
                Err(error) => return Some(Err(io::Error::other(error))),
            }
        }
    }
}

impl Pool {
    /// A connection with room for one more stream.
    fn take(&self) -> Option<(Sender, Place)> {
        let mut connections = self.connections.lock().unwrap_or_else(PoisonError::into_inner);
        connections.retain(|(sender, _)| !sender.is_closed());
        connections.iter().find_map(|(sender, streams)| {
            let took = streams.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |count| {
                (count < STREAMS).then_some(count + 1)
            });
            took.is_ok().then(|| (sender.clone(), Place(streams.clone())))
        })
    }

    async fn open(&self, stream: Stream) -> Result<(Sender, Place), UpstreamFault> {
        let (sender, connection) = hyper::client::conn::http2::Builder::new(TokioExecutor::new())
            .initial_connection_window_size(CONNECTION_WINDOW)
            .initial_stream_window_size(STREAM_WINDOW)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(|error| UpstreamFault::Broken(io::Error::other(error)))?;
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "an HTTP/2 connection to the upstream ended");
            }
        });
        let streams = Arc::new(AtomicUsize::new(1));
        self.connections
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push((sender.clone(), streams.clone()));
        Ok((sender, Place(streams)))
    }

    /// Sends one request, written as an HTTP/1.1 head, and reads the head of its answer. `dial` opens a
    /// connection where none has room.
    pub(super) async fn exchange<F>(
        &self,
        dial: impl FnOnce() -> F,
        head: &[u8],
        body: &Bytes,
        tls: bool,
    ) -> Result<(Bytes, ResponseHead, Source), UpstreamFault>
    where
        F: Future<Output = Result<Stream, UpstreamFault>>,
    {
        let (mut sender, place) = match self.take() {
            Some(taken) => taken,
            None => self.open(dial().await?).await?,
        };
        let request = as_http2(head, body, tls).ok_or(UpstreamFault::NotHttp)?;
        let reply = sender
            .send_request(request)
            .await
            .map_err(|error| UpstreamFault::Broken(io::Error::other(error)))?;
        let (bytes, answer) = as_http1(&reply)?;
        Ok((bytes, answer, Source { body: reply.into_body(), _place: place }))
    }
}

/// Translates an HTTP/1.1 head of our own making.
fn as_http2(head: &[u8], body: &Bytes, tls: bool) -> Option<http::Request<Full<Bytes>>> {
    let limits = HeadLimits { head_bytes: usize::MAX, target_bytes: usize::MAX, fields: usize::MAX };
    let parsed = RequestHead::parse(head, &limits).ok()??;
    let text = |range: &std::ops::Range<u32>| {
        std::str::from_utf8(&head[range.start as usize..range.end as usize]).ok()
    };
    let authority = std::str::from_utf8(parsed.value(head, "host")?).ok()?;
    let uri = http::Uri::builder()
        .scheme(if tls { "https" } else { "http" })
        .authority(authority)
        .path_and_query(text(&parsed.target)?)
        .build()
        .ok()?;
    let mut request = http::Request::builder().method(text(&parsed.method)?).uri(uri);
    for field in &parsed.fields {
        let name = field.name(head);
        if !name.eq_ignore_ascii_case(b"host") && !name.eq_ignore_ascii_case(b"connection") {
            request = request.header(name, field.value(head));
        }
    }
    request.body(Full::new(body.clone())).ok()
}

/// Writes the answer's head as HTTP/1.1 would, so that the rest of the gateway knows one form.
fn as_http1(reply: &http::Response<Incoming>) -> Result<(Bytes, ResponseHead), UpstreamFault> {
    let mut bytes = Vec::with_capacity(1024);
    let mut fields = Vec::with_capacity(reply.headers().len());
    let mut length = None;
    for (name, value) in reply.headers() {
        let begin = bytes.len() as u32;
        bytes.extend_from_slice(name.as_str().as_bytes());
        let colon = bytes.len() as u32;
        bytes.extend_from_slice(b": ");
        bytes.extend_from_slice(value.as_bytes());
        fields.push(Field { name: begin..colon, value: colon + 2..bytes.len() as u32 });
        bytes.extend_from_slice(b"\r\n");
        if name == http::header::CONTENT_LENGTH {
            let text = value.to_str().map_err(|_| UpstreamFault::NotHttp)?;
            length = Some(text.parse().map_err(|_| UpstreamFault::NotHttp)?);
        }
    }
    let framing = match reply.status().as_u16() {
        204 | 304 => Framing::None,
        _ => length.map_or(Framing::Chunked, Framing::Length),
    };
    let head =
        ResponseHead { len: bytes.len(), status: reply.status().as_u16(), fields, framing, keep_alive: true };
    Ok((bytes.into(), head))
}
