//! Clients over HTTP/2: hyper speaks the frames, the pipeline sees the same form of request.

use std::convert::Infallible;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use bytes::{BufMut, Bytes, BytesMut};
use http::header::{CONTENT_LENGTH, HOST};
use http_body_util::BodyExt;
use hyper::body::{Frame, Incoming};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::time::timeout;
use tollgate_wire::http1::{BadHead, RequestHead};

use crate::answer::{Answer, AnswerBody, Failure};
use crate::inbound::{Body, Client, Head, Inbound, Pace, Room};
use crate::relay::{Form, Piece, Relay};
use crate::stream::Stream;
use crate::{Shared, pipeline};
use streams::{Open, Streams};

mod streams;

/// Streams that one connection may have open.
const STREAMS: u32 = 256;

/// Serves one connection until it ends.
pub(crate) async fn serve(shared: Arc<Shared>, stream: Stream, peer: IpAddr) {
    let limits = shared.head_limits();
    let timeouts = shared.in_force().config.timeouts;
    let streams = Arc::new(Streams::new());
    let service = {
        let (shared, streams) = (shared.clone(), streams.clone());
        hyper::service::service_fn(move |request| {
            let (shared, stream) = (shared.clone(), streams.open());
            async move { Ok::<_, Infallible>(answer(shared, request, peer, stream).await) }
        })
    };
    let connection = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS)
        .max_header_list_size(limits.head_bytes as u32)
        .initial_stream_window_size(1024 * 1024)
        .initial_connection_window_size(16 * 1024 * 1024)
        .keep_alive_interval(std::time::Duration::from_secs(60))
        .serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = streams.until_idle(timeouts.client_head, timeouts.keep_alive, timeouts.stream_idle) => return,
        () = shared.drain.begun() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%peer, %error, "an HTTP/2 connection ended");
    }
}

async fn answer(
    shared: Arc<Shared>,
    request: hyper::Request<Incoming>,
    peer: IpAddr,
    stream: Arc<Open>,
) -> hyper::Response<ReplyBody> {
    let (parts, body) = request.into_parts();
    let limits = shared.head_limits();
    let head = as_http1(&parts);
    let parsed = match RequestHead::parse(&head, &limits) {
        Ok(Some(parsed)) => parsed,
        Ok(None) => return refuse(&shared, Failure::BadHead(BadHead::StartLine), stream),
        Err(bad) => return refuse(&shared, Failure::BadHead(bad), stream),
    };
    let head = Head::new(head, parsed);
    let endpoint = head.endpoint();
    let body = RequestBody { body, patience: shared.in_force().config.timeouts.client_body };
    let inbound = Inbound {
        request: shared.new_request_id(),
        at: shared.now(),
        started: Instant::now(),
        peer,
        head,
        endpoint,
        client: Client::Http2(body),
    };
    match pipeline::handle(&shared, inbound).await {
        Some(answer) => respond(answer, stream),
        None => refuse(&shared, Failure::ClientGone, stream),
    }
}

fn refuse(shared: &Shared, failure: Failure, stream: Arc<Open>) -> hyper::Response<ReplyBody> {
    shared.metrics.refused_head(&failure);
    respond(failure.answer(shared.new_request_id()), stream)
}

/// Writes the request's head as HTTP/1.1 would. Header values can hold no line ends here, and the parser that
/// reads the result refuses whatever else does not belong.
fn as_http1(parts: &http::request::Parts) -> Bytes {
    let mut head = BytesMut::with_capacity(1024);
    let target = parts.uri.path_and_query().map_or("/", |target| target.as_str());
    for part in [parts.method.as_str(), " ", target, " HTTP/1.1\r\n"] {
        head.put_slice(part.as_bytes());
    }
    if let Some(authority) = parts.uri.authority() {
        put_field(&mut head, b"host", authority.as_str().as_bytes());
    }
    for (name, value) in &parts.headers {
        // The frames delimit the body; `host` beside `:authority` says nothing new.
        let is_framing = name == CONTENT_LENGTH || (name == HOST && parts.uri.authority().is_some());
        if !is_framing {
            put_field(&mut head, name.as_str().as_bytes(), value.as_bytes());
        }
    }
    head.put_slice(b"\r\n");
    head.freeze()
}

fn put_field(head: &mut BytesMut, name: &[u8], value: &[u8]) {
    for part in [name, b": ", value, b"\r\n"] {
        head.put_slice(part);
    }
}

fn respond(answer: Answer, stream: Arc<Open>) -> hyper::Response<ReplyBody> {
    let mut reply = hyper::Response::builder().status(answer.status);
    for line in answer.fields.split(|byte| *byte == b'\n') {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if let Some(colon) = memchr::memchr(b':', line) {
            reply = reply.header(&line[..colon], line[colon + 1..].trim_ascii());
        }
    }
    let body = match answer.body {
        AnswerBody::Whole(bytes) => ReplyBody { part: Part::Whole(Some(bytes)), _stream: stream },
        AnswerBody::Relay(relay) => {
            if let tollgate_wire::http1::Framing::Length(length) = relay.framing() {
                reply = reply.header(CONTENT_LENGTH, length);
            }
            stream.hold(Box::pin(next(relay, true)));
            ReplyBody { part: Part::Relay(stream.clone()), _stream: stream }
        }
    };
    reply.body(body).unwrap_or_else(|error| {
        tracing::warn!(%error, "the upstream's headers can not be sent over HTTP/2");
        let stream = Streams::new_open();
        let mut reply = hyper::Response::new(ReplyBody { part: Part::Ended, _stream: stream });
        *reply.status_mut() = http::StatusCode::BAD_GATEWAY;
        reply
    })
}

/// A request's body over HTTP/2.
pub(crate) struct RequestBody {
    body: Incoming,
    patience: std::time::Duration,
}

impl RequestBody {
    /// Reads the whole body into one buffer of at most `limit` bytes.
    pub(crate) async fn read(&mut self, limit: usize, room: &Arc<Room>) -> Result<Body, Failure> {
        let mut hold = room.take(0)?;
        let mut bytes = Vec::new();
        let pace = Pace::new(self.patience);
        loop {
            let frame = match timeout(pace.left(bytes.len())?, self.body.frame()).await {
                Ok(Some(Ok(frame))) => frame,
                Ok(Some(Err(_))) => return Err(Failure::ClientGone),
                Ok(None) => return Ok(Body::new(bytes, hold)),
                Err(_) => return Err(Failure::ClientTooSlow),
            };
            if let Ok(data) = frame.into_data() {
                if bytes.len() + data.len() > limit {
                    return Err(Failure::BodyTooLarge { limit });
                }
                hold.grow(data.len())?;
                bytes.extend_from_slice(&data);
            }
        }
    }
}

/// An answer's body over HTTP/2. Dropping it ends the relay, and with it the upstream's stream.
pub(crate) struct ReplyBody {
    part: Part,
    _stream: Arc<Open>,
}

enum Part {
    /// All of it is here.
    Whole(Option<Bytes>),
    /// It comes from the upstream.
    Relay(Arc<Open>),
    /// The last part was handed out.
    Ended,
}

async fn next(mut relay: Box<Relay>, is_first: bool) -> (Box<Relay>, Piece) {
    let early = if is_first { relay.early(Form::Payload).await } else { None };
    let piece = match early {
        Some(piece) => piece,
        None => relay.next(Form::Payload).await,
    };
    (relay, piece)
}

impl hyper::body::Body for ReplyBody {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        let this = self.get_mut();
        loop {
            let open = match &mut this.part {
                Part::Whole(bytes) => return Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
                Part::Ended => return Poll::Ready(None),
                Part::Relay(open) => open,
            };
            let chunk = match std::task::ready!(open.poll(context)) {
                Some((relay, Piece::Data(chunk))) => {
                    open.hold(Box::pin(next(relay, false)));
                    chunk
                }
                Some((_, Piece::Last(chunk))) => {
                    this.part = Part::Ended;
                    chunk
                }
                // An error resets the stream, so that a cut stays a cut.
                Some((_, Piece::Cut)) | None => {
                    this.part = Part::Ended;
                    return Poll::Ready(Some(Err(std::io::ErrorKind::ConnectionAborted.into())));
                }
            };
            if !chunk.is_empty() {
                return Poll::Ready(Some(Ok(Frame::data(Bytes::copy_from_slice(&chunk)))));
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.part, Part::Ended | Part::Whole(None))
    }
}
