//! One exchange over HTTP/1.1, and the connections kept for the next.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker, ready};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use tokio::io::AsyncWrite;
use tollgate_wire::http1::{HeadLimits, ResponseHead};

use super::UpstreamFault;
use crate::stream::{Chunk, Stream};

/// An idle connection is not used again past this age. Servers close theirs after a minute or more; being the
/// first to let go avoids sending a request into a closing connection.
const IDLE_MAX: Duration = Duration::from_secs(50);
/// Most idle connections kept.
const IDLE_CONNECTIONS: usize = 512;
/// Bounds on an answer's head.
const LIMITS: HeadLimits = HeadLimits { head_bytes: 256 * 1024, target_bytes: 0, fields: 512 };

/// Connections that wait for a request.
#[derive(Default)]
pub(crate) struct Pool {
    idle: Mutex<Vec<(Stream, Instant)>>,
}

impl Pool {
    /// The connection used last that is still open.
    pub(super) fn take(&self) -> Option<Stream> {
        loop {
            let (mut stream, since) = self.lock().pop()?;
            if since.elapsed() < IDLE_MAX && is_quiet(&mut stream) {
                return Some(stream);
            }
        }
    }

    fn give_back(&self, stream: Stream) {
        let mut idle = self.lock();
        if idle.len() == IDLE_CONNECTIONS {
            idle.remove(0);
        }
        idle.push((stream, Instant::now()));
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<(Stream, Instant)>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether an idle connection is open and silent. Bytes that nobody asked for would be taken for the next
/// answer, so such a connection is as good as closed.
fn is_quiet(stream: &mut Stream) -> bool {
    stream.poll_chunk(&mut Context::from_waker(Waker::noop())).is_pending()
}

/// Where the body of an answer is read from. Dropped before its end, the connection closes, which tells the
/// upstream to stop.
pub(crate) struct Source {
    stream: Stream,
    /// Bytes that came with the head.
    early: Option<Chunk>,
    pool: Arc<Pool>,
    reusable: bool,
}

impl Source {
    /// Waits for bytes as they are on the wire, chunked framing included. An empty chunk is the end of the
    /// connection.
    pub(crate) async fn read(&mut self) -> io::Result<Chunk> {
        match self.early.take() {
            Some(chunk) => Ok(chunk),
            None => self.stream.read_chunk().await,
        }
    }

    /// Bytes that are already here.
    pub(crate) fn take_early(&mut self) -> Option<Chunk> {
        self.early.take()
    }

    /// The body was read to its end: keeps the connection for the next request. `clean` says that nothing
    /// came after the body.
    pub(crate) fn finish(self, clean: bool) {
        if clean && self.reusable && self.early.is_none() {
            self.pool.give_back(self.stream);
        }
    }
}

/// Sends one request and reads the head of its answer.
pub(super) async fn exchange(
    mut stream: Stream,
    pool: &Arc<Pool>,
    head: &[u8],
    body: &[u8],
) -> Result<(Bytes, ResponseHead, Source), UpstreamFault> {
    let early = send(&mut stream, head, body).await.map_err(UpstreamFault::Broken)?;
    let sent_whole = early.is_none();
    let to_head_request = head.starts_with(b"HEAD ");
    let mut received = BytesMut::new();
    let mut next = early;
    loop {
        let chunk = match next.take() {
            Some(chunk) => chunk,
            None => stream.read_chunk().await.map_err(UpstreamFault::Broken)?,
        };
        if chunk.is_empty() {
            return Err(UpstreamFault::Broken(io::ErrorKind::UnexpectedEof.into()));
        }
        received.extend_from_slice(&chunk);
        while let Some(answer) = ResponseHead::parse(&received, &LIMITS, to_head_request)? {
            let head_bytes = received.split_to(answer.len).freeze();
            // Interim answers (RFC 9110 section 15.2) announce the real one; a switch of protocols was not asked for.
            match answer.status {
                101 => return Err(UpstreamFault::NotHttp),
                100..=199 => continue,
                _ => {}
            }
            let early = (!received.is_empty()).then(|| Chunk::from(received.to_vec()));
            let reusable = answer.keep_alive && sent_whole;
            return Ok((head_bytes, answer, Source { stream, early, pool: pool.clone(), reusable }));
        }
    }
}

/// Writes head and body, in one system call where they fit. An answer that comes before the whole was written
/// (a refusal of a large body) ends the writing and is returned.
async fn send(stream: &mut Stream, head: &[u8], body: &[u8]) -> io::Result<Option<Chunk>> {
    let mut written = 0;
    std::future::poll_fn(|context| {
        while written < head.len() + body.len() {
            let head_left = &head[written.min(head.len())..];
            let body_left = &body[written.saturating_sub(head.len())..];
            let slices = [IoSlice::new(head_left), IoSlice::new(body_left)];
            let slices = if head_left.is_empty() { &slices[1..] } else { &slices[..] };
            match Pin::new(&mut *stream).poll_write_vectored(context, slices) {
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Poll::Ready(Ok(count)) => written += count,
                Poll::Ready(Err(error)) => return answer_or(stream, context, error),
                Poll::Pending => {
                    let chunk = ready!(stream.poll_chunk(context))?;
                    return Poll::Ready(Ok(Some(chunk)));
                }
            }
        }
        Pin::new(&mut *stream).poll_flush(context).map_ok(|()| None)
    })
    .await
}

/// The upstream closed its reading side: it may have said why before.
fn answer_or(
    stream: &mut Stream,
    context: &mut Context<'_>,
    error: io::Error,
) -> Poll<io::Result<Option<Chunk>>> {
    match stream.poll_chunk(context) {
        Poll::Ready(Ok(chunk)) if !chunk.is_empty() => Poll::Ready(Ok(Some(chunk))),
        _ => Poll::Ready(Err(error)),
    }
}
