//! Clients over HTTP/1.1: one task reads requests off a connection and writes their answers, in turn.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;
use tollgate_wire::http1::{BadHead, Chunked, Framing, HeadLimits, Progress, RequestHead};

use crate::answer::{Answer, AnswerBody, Failure};
use crate::inbound::{Body, Client, Head, Inbound, Pace, Room};
use crate::relay::{Form, Piece, Relay};
use crate::stream::{Chunk, Stream};
use crate::{Shared, pipeline};

/// Bytes of further requests that are read while an answer is under way.
const READ_AHEAD_BYTES: usize = 64 * 1024;
/// A refused request's body up to this size is read and dropped, to keep the connection.
const DISCARD_BYTES: u64 = 1024 * 1024;
/// How long a connection that ends for a fault is still read from, so that its client can read the answer.
const LINGER: Duration = Duration::from_secs(2);

/// The connection's bytes, and how much of the current request's body is unread.
pub(crate) struct Wire {
    stream: Stream,
    pending: BytesMut,
    unread: Unread,
    /// The client waits for `100 Continue`.
    waits: bool,
    body_patience: Duration,
}

/// What is left of a request's body.
enum Unread {
    Nothing,
    Length(u64),
    Chunked(Chunked),
    /// Where the next request begins can not be told.
    Lost,
}

/// What an attempt to read a head brought.
enum Next {
    Request(RequestHead, Bytes),
    Refused(BadHead),
    TooSlow,
    Closed,
}

/// Serves one connection until it ends.
pub(crate) async fn serve(shared: Arc<Shared>, stream: Stream, peer: IpAddr) {
    let mut wire = Wire {
        stream,
        pending: BytesMut::new(),
        unread: Unread::Nothing,
        waits: false,
        body_patience: shared.in_force().config.timeouts.client_body,
    };
    let mut is_first = true;
    loop {
        let patience = shared.in_force().config.timeouts;
        let idle = if is_first { patience.client_head } else { patience.keep_alive };
        is_first = false;
        let limits = shared.head_limits();
        let (head, bytes) = match wire.next(&shared, &limits, idle, patience.client_head).await {
            Next::Request(head, bytes) => (head, bytes),
            Next::Refused(bad) => return wire.refuse(&shared, Failure::BadHead(bad)).await,
            Next::TooSlow => return wire.refuse(&shared, Failure::ClientTooSlow).await,
            Next::Closed => return,
        };
        let (http_10, keep_alive) = (head.http_10, head.keep_alive);
        wire.expect_body(&head);
        let head = Head::new(bytes, head);
        let is_head_request = head.method() == "HEAD";
        let endpoint = head.endpoint();
        let inbound = Inbound {
            request: shared.new_request_id(),
            at: shared.now(),
            started: Instant::now(),
            peer,
            head,
            endpoint,
            client: Client::Http1(&mut wire),
        };
        let Some(answer) = pipeline::handle(&shared, inbound).await else {
            return;
        };
        let keep_alive = keep_alive && !shared.drain.is_draining();
        let exchange = Reply { http_10, keep_alive, is_head_request, idle: patience.stream_idle };
        match exchange.write(&mut wire, answer).await {
            Ok(true) if wire.discard_body().await => {}
            Ok(_) => return wire.linger().await,
            Err(Ended) => return,
        }
    }
}

impl Wire {
    /// Reads the next head. Between requests the connection may idle; a head once begun must be whole soon.
    async fn next(&mut self, shared: &Shared, limits: &HeadLimits, idle: Duration, head: Duration) -> Next {
        if self.pending.is_empty() {
            self.pending = BytesMut::new();
            let read = tokio::select! {
                read = timeout(idle, self.stream.read_chunk()) => read,
                () = shared.drain.begun() => return Next::Closed,
            };
            match read {
                Ok(Ok(chunk)) if !chunk.is_empty() => self.pending.extend_from_slice(&chunk),
                _ => return Next::Closed,
            }
        }
        timeout(head, self.whole_head(limits)).await.unwrap_or(Next::TooSlow)
    }

    async fn whole_head(&mut self, limits: &HeadLimits) -> Next {
        // Parsing again pays only when another line came, or a limit may have been passed.
        let mut parse = true;
        loop {
            if parse {
                match RequestHead::parse(&self.pending, limits) {
                    Ok(Some(head)) => {
                        let bytes = self.pending.split_to(head.len).freeze();
                        return Next::Request(head, bytes);
                    }
                    Ok(None) => {}
                    Err(bad) => return Next::Refused(bad),
                }
            }
            match self.stream.read_chunk().await {
                Ok(chunk) if !chunk.is_empty() => {
                    self.pending.extend_from_slice(&chunk);
                    let long = self.pending.len() > limits.target_bytes.min(limits.head_bytes);
                    parse = long || memchr::memchr(b'\n', &chunk).is_some();
                }
                _ => return Next::Closed,
            }
        }
    }

    fn expect_body(&mut self, head: &RequestHead) {
        self.unread = match head.framing {
            Framing::Length(length) if length > 0 => Unread::Length(length),
            Framing::Chunked => Unread::Chunked(Chunked::default()),
            _ => Unread::Nothing,
        };
        self.waits = head.expects_continue && !matches!(self.unread, Unread::Nothing);
    }

    /// Reads the current request's body into one buffer of at most `limit` bytes.
    pub(crate) async fn body(&mut self, limit: usize, room: &Arc<Room>) -> Result<Body, Failure> {
        match std::mem::replace(&mut self.unread, Unread::Lost) {
            Unread::Nothing => {
                self.unread = Unread::Nothing;
                Ok(Body::empty())
            }
            Unread::Length(length) if length > limit as u64 => {
                self.unread = Unread::Length(length);
                Err(Failure::BodyTooLarge { limit })
            }
            Unread::Length(length) => self.body_of_length(length as usize, room).await,
            Unread::Chunked(decoder) => self.chunked_body(decoder, limit, room).await,
            Unread::Lost => Err(Failure::ClientGone),
        }
    }

    async fn body_of_length(&mut self, length: usize, room: &Arc<Room>) -> Result<Body, Failure> {
        let mut hold = room.take(0)?;
        self.invite().await?;
        let mut bytes = Vec::with_capacity(length);
        let here = self.pending.len().min(length);
        bytes.extend_from_slice(&self.pending.split_to(here));
        hold.grow(here)?;
        let pace = Pace::new(self.body_patience);
        while bytes.len() < length {
            let mut rest = (&mut self.stream).take((length - bytes.len()) as u64);
            match timeout(pace.left(bytes.len())?, rest.read_buf(&mut bytes)).await {
                // Room is taken for what has come, not for what was announced.
                Ok(Ok(count)) if count > 0 => hold.grow(count)?,
                Ok(_) => return Err(Failure::ClientGone),
                Err(_) => return Err(Failure::ClientTooSlow),
            }
        }
        self.unread = Unread::Nothing;
        Ok(Body::new(bytes, hold))
    }

    async fn chunked_body(
        &mut self,
        mut decoder: Chunked,
        limit: usize,
        room: &Arc<Room>,
    ) -> Result<Body, Failure> {
        let mut hold = room.take(0)?;
        self.invite().await?;
        let mut bytes = Vec::new();
        let pace = Pace::new(self.body_patience);
        loop {
            let before = bytes.len();
            let progress = decoder.read(&self.pending, |run| {
                let fits = run.len().min((limit + 1).saturating_sub(bytes.len()));
                bytes.extend_from_slice(&run[..fits]);
            });
            hold.grow(bytes.len() - before)?;
            match progress {
                Err(_) => return Err(Failure::BodyFraming),
                Ok(_) if bytes.len() > limit => return Err(Failure::BodyTooLarge { limit }),
                Ok(Progress::End(used)) => {
                    let _ = self.pending.split_to(used);
                    self.unread = Unread::Nothing;
                    return Ok(Body::new(bytes, hold));
                }
                Ok(Progress::More) => self.pending.clear(),
            }
            self.read_more(pace.left(bytes.len())?).await?;
        }
    }

    async fn read_more(&mut self, patience: Duration) -> Result<(), Failure> {
        match timeout(patience, self.stream.read_chunk()).await {
            Ok(Ok(chunk)) if !chunk.is_empty() => {
                self.pending.extend_from_slice(&chunk);
                Ok(())
            }
            Ok(_) => Err(Failure::ClientGone),
            Err(_) => Err(Failure::ClientTooSlow),
        }
    }

    /// Tells a client that waits for it to send the body.
    async fn invite(&mut self) -> Result<(), Failure> {
        if std::mem::take(&mut self.waits) {
            let line = b"HTTP/1.1 100 Continue\r\n\r\n";
            self.stream.write_two(line, b"").await.map_err(|_| Failure::ClientGone)?;
        }
        Ok(())
    }

    /// Waits until the client closes. What it sends meanwhile is kept for later, up to a bound: past that its leaving
    /// could not be seen any more, so sending that much ahead of an answer counts as leaving.
    pub(crate) async fn gone(&mut self) {
        while self.pending.len() < READ_AHEAD_BYTES {
            match self.stream.read_chunk().await {
                Ok(chunk) if !chunk.is_empty() => self.pending.extend_from_slice(&chunk),
                _ => return,
            }
        }
    }

    /// Reads and drops what is left of a refused request's body. False where the connection must end instead.
    async fn discard_body(&mut self) -> bool {
        match &self.unread {
            Unread::Nothing => return true,
            Unread::Length(length) if *length <= DISCARD_BYTES && !self.waits => {}
            _ => return false,
        }
        let Unread::Length(mut left) = std::mem::replace(&mut self.unread, Unread::Nothing) else {
            return false;
        };
        let pace = Pace::new(self.body_patience);
        let whole = left;
        loop {
            let here = (self.pending.len() as u64).min(left);
            let _ = self.pending.split_to(here as usize);
            left -= here;
            if left == 0 {
                return true;
            }
            let Ok(patience) = pace.left((whole - left) as usize) else {
                return false;
            };
            if self.read_more(patience).await.is_err() {
                return false;
            }
        }
    }

    /// Answers a request whose head could not be read, and ends the connection.
    async fn refuse(mut self, shared: &Shared, failure: Failure) {
        shared.metrics.refused_head(&failure);
        let answer = failure.answer(shared.new_request_id());
        let exchange = Reply { http_10: false, keep_alive: false, is_head_request: false, idle: LINGER };
        if exchange.write(&mut self, answer).await.is_ok() {
            self.linger().await;
        }
    }

    /// Ends the connection, still reading for a while: closing with unread bytes would reset it, and the client
    /// might never see the answer (RFC 9112 section 9.6).
    async fn linger(mut self) {
        let _ = self.stream.shutdown().await;
        let drained = async { while self.stream.read_chunk().await.is_ok_and(|chunk| !chunk.is_empty()) {} };
        let _ = timeout(LINGER, drained).await;
    }
}

/// The connection can carry no more.
struct Ended;

impl From<io::Error> for Ended {
    fn from(_: io::Error) -> Self {
        Ended
    }
}

/// How an answer is to be written.
struct Reply {
    http_10: bool,
    keep_alive: bool,
    is_head_request: bool,
    idle: Duration,
}

impl Reply {
    /// Writes the answer. `Ok(true)` lets the connection carry another request.
    async fn write(&self, wire: &mut Wire, answer: Answer) -> Result<bool, Ended> {
        let keep_alive = self.keep_alive && !answer.close;
        match answer.body {
            AnswerBody::Whole(body) => {
                let head =
                    self.head(answer.status, &answer.fields, Framing::Length(body.len() as u64), keep_alive);
                let body = if self.is_head_request { &[][..] } else { &body[..] };
                self.in_time(wire.stream.write_two(&head, body)).await?;
                Ok(keep_alive)
            }
            AnswerBody::Relay(relay) => {
                self.relay(wire, answer.status, &answer.fields, relay, keep_alive).await
            }
        }
    }

    async fn relay(
        &self,
        wire: &mut Wire,
        status: u16,
        fields: &[u8],
        mut relay: Box<Relay>,
        keep_alive: bool,
    ) -> Result<bool, Ended> {
        let announced = relay.framing();
        let form = if self.http_10 && announced == Framing::Chunked { Form::Payload } else { Form::Wire };
        let framing = if form == Form::Payload { Framing::UntilClose } else { announced };
        let keep_alive = keep_alive && framing != Framing::UntilClose;
        // Without a length and without chunks only a reset tells a cut from an end, however the cut comes about.
        wire.stream.reset_on_close(framing == Framing::UntilClose);
        let head = self.head(status, fields, framing, keep_alive);
        // The head waits for the bytes that came with it, so that one write carries both.
        let mut piece = relay.early(form).await;
        if piece.is_none() {
            self.in_time(wire.stream.write_two(&head, b"")).await?;
        }
        let mut head = if piece.is_some() { &head[..] } else { &[] };
        loop {
            let next = match piece.take() {
                Some(piece) => piece,
                None => tokio::select! {
                    biased;
                    next = relay.next(form) => next,
                    () = wire.gone() => return Err(Ended),
                },
            };
            match next {
                Piece::Data(bytes) => self.send(wire, std::mem::take(&mut head), &bytes).await?,
                Piece::Last(bytes) => {
                    self.send(wire, head, &bytes).await?;
                    wire.stream.reset_on_close(false);
                    return Ok(keep_alive);
                }
                Piece::Cut => {
                    if !head.is_empty() {
                        self.send(wire, head, &Chunk::from(Vec::new())).await?;
                    }
                    return Err(Ended);
                }
            }
        }
    }

    async fn send(&self, wire: &mut Wire, head: &[u8], bytes: &[u8]) -> Result<(), Ended> {
        self.in_time(wire.stream.write_two(head, bytes)).await
    }

    async fn in_time(&self, write: impl Future<Output = io::Result<()>>) -> Result<(), Ended> {
        Ok(timeout(self.idle, write).await.map_err(|_| Ended)??)
    }

    fn head(&self, status: u16, fields: &[u8], framing: Framing, keep_alive: bool) -> Vec<u8> {
        let reason = http::StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason());
        let mut head = Vec::with_capacity(fields.len() + 128);
        head.extend_from_slice(b"HTTP/1.1 ");
        push_decimal(&mut head, u64::from(status));
        head.push(b' ');
        head.extend_from_slice(reason.unwrap_or("Unknown").as_bytes());
        head.extend_from_slice(b"\r\n");
        head.extend_from_slice(fields);
        match framing {
            Framing::Length(length) => {
                head.extend_from_slice(b"content-length: ");
                push_decimal(&mut head, length);
                head.extend_from_slice(b"\r\n");
            }
            Framing::Chunked => head.extend_from_slice(b"transfer-encoding: chunked\r\n"),
            Framing::None | Framing::UntilClose => {}
        }
        match (keep_alive, self.http_10) {
            (false, _) => head.extend_from_slice(b"connection: close\r\n"),
            (true, true) => head.extend_from_slice(b"connection: keep-alive\r\n"),
            (true, false) => {}
        }
        head.extend_from_slice(b"\r\n");
        head
    }
}

fn push_decimal(out: &mut Vec<u8>, number: u64) {
    use std::io::Write;
    // Writing into a vector never fails.
    let _ = write!(out, "{number}");
}
