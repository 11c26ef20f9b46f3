//! A request as it comes in: its head, and the client that waits for the answer.

use std::net::IpAddr;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tollgate_policy::id::RequestId;
use tollgate_policy::unit::UnixMs;
use tollgate_wire::endpoint::{Endpoint, classify};
use tollgate_wire::http1::RequestHead;

use crate::answer::Failure;
use crate::{http1, http2};

/// One request on its way in.
pub(crate) struct Inbound<'c> {
    /// The gateway's own name for the request.
    pub(crate) request: RequestId,
    /// When its head was whole.
    pub(crate) at: UnixMs,
    /// The same instant, for measuring.
    pub(crate) started: Instant,
    /// Whose connection it came over.
    pub(crate) peer: IpAddr,
    /// Its head.
    pub(crate) head: Head,
    /// Which endpoint it asks for.
    pub(crate) endpoint: Endpoint,
    /// Who waits for the answer.
    pub(crate) client: Client<'c>,
}

/// A request head and the bytes that it points into. Requests that came over HTTP/2 have the same form, so that
/// every rule reads one thing.
pub(crate) struct Head {
    bytes: Bytes,
    parsed: RequestHead,
}

impl Head {
    pub(crate) fn new(bytes: Bytes, parsed: RequestHead) -> Self {
        Head { bytes, parsed }
    }

    /// The method; tokens are ASCII, so the text is always there.
    pub(crate) fn method(&self) -> &str {
        self.text(&self.parsed.method)
    }

    /// Path and query, visible ASCII.
    pub(crate) fn target(&self) -> &str {
        self.text(&self.parsed.target)
    }

    /// The path without the query.
    pub(crate) fn path(&self) -> &str {
        self.target().split('?').next().unwrap_or_default()
    }

    /// Name and value of each header in the order received.
    pub(crate) fn fields(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.parsed.fields.iter().map(|field| (field.name(&self.bytes), field.value(&self.bytes)))
    }

    /// The value of the first header of that name.
    pub(crate) fn value(&self, name: &str) -> Option<&[u8]> {
        self.parsed.value(&self.bytes, name)
    }

    /// The value of the first header of that name, where it is visible ASCII text.
    pub(crate) fn text_value(&self, name: &str) -> Option<&str> {
        self.value(name).and_then(|value| std::str::from_utf8(value).ok())
    }

    /// The endpoint that is asked for.
    pub(crate) fn endpoint(&self) -> Endpoint {
        classify(self.method(), self.path())
    }

    fn text(&self, range: &Range<u32>) -> &str {
        std::str::from_utf8(&self.bytes[range.start as usize..range.end as usize]).unwrap_or_default()
    }
}

/// The client's side of one exchange.
pub(crate) enum Client<'c> {
    /// Over HTTP/1.1.
    Http1(&'c mut http1::Wire),
    /// Over HTTP/2.
    Http2(http2::RequestBody),
}

impl Client<'_> {
    /// Reads the whole body into one buffer.
    pub(crate) async fn body(&mut self, limit: usize, room: &Arc<Room>) -> Result<Body, Failure> {
        match self {
            Client::Http1(wire) => wire.body(limit, room).await,
            Client::Http2(body) => body.read(limit, room).await,
        }
    }

    /// Waits until the client has left. Over HTTP/2 the exchange is dropped instead.
    pub(crate) async fn gone(&mut self) {
        match self {
            Client::Http1(wire) => wire.gone().await,
            Client::Http2(_) => std::future::pending().await,
        }
    }
}

/// How slowly a body may come: after a grace, at least [`Pace::BYTES_PER_SECOND`] on the whole.
pub(crate) struct Pace {
    begun: Instant,
    grace: Duration,
}

impl Pace {
    const BYTES_PER_SECOND: usize = 1024;

    pub(crate) fn new(grace: Duration) -> Self {
        Pace { begun: Instant::now(), grace }
    }

    /// How long the next bytes may take once `received` have come.
    pub(crate) fn left(&self, received: usize) -> Result<Duration, Failure> {
        let earned = Duration::from_millis((received * 1000 / Self::BYTES_PER_SECOND) as u64);
        (self.grace + earned).checked_sub(self.begun.elapsed()).ok_or(Failure::ClientTooSlow)
    }
}

/// How many bytes of request bodies may be held at a time by all requests together.
pub(crate) struct Room {
    left: AtomicUsize,
}

impl Room {
    pub(crate) fn new(bytes: usize) -> Arc<Self> {
        Arc::new(Room { left: AtomicUsize::new(bytes) })
    }

    /// Takes room for `bytes`; it is given back when the `Hold` is dropped.
    pub(crate) fn take(self: &Arc<Self>, bytes: usize) -> Result<Hold, Failure> {
        self.left
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(bytes))
            .map_err(|_| Failure::Overloaded)?;
        Ok(Hold { room: self.clone(), bytes })
    }
}

/// Room that is taken.
pub(crate) struct Hold {
    room: Arc<Room>,
    bytes: usize,
}

impl Hold {
    /// Takes room for more bytes.
    pub(crate) fn grow(&mut self, bytes: usize) -> Result<(), Failure> {
        let mut more = self.room.take(bytes)?;
        self.bytes += std::mem::take(&mut more.bytes);
        Ok(())
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.room.left.fetch_add(self.bytes, Ordering::Relaxed);
    }
}

/// A request's body, as it was received.
pub(crate) struct Body {
    /// The bytes.
    pub(crate) bytes: Bytes,
    _hold: Option<Hold>,
}

impl Body {
    pub(crate) fn new(bytes: Vec<u8>, hold: Hold) -> Self {
        Body { bytes: bytes.into(), _hold: Some(hold) }
    }

    pub(crate) fn empty() -> Self {
        Body { bytes: Bytes::new(), _hold: None }
    }
}
