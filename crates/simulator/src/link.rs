//! One connection: the socket and what was read from it ahead.

use std::io;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use thiserror::Error;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::http::{ChunkedBody, Framing, Head, Malformed};

const READ_BYTES: usize = 16 * 1024;
const BODY_READ_BYTES: usize = 1024 * 1024;
/// How far ahead a client may send further requests. Beyond it, nothing is read until the answer
/// under way has ended.
const READ_AHEAD_BYTES: usize = 256 * 1024;
/// How long a closing connection waits for the client to close its side.
const LINGER: Duration = Duration::from_secs(2);

#[derive(Debug)]
pub(crate) struct Link {
    stream: TcpStream,
    inbox: BytesMut,
}

/// Why no request could be read.
#[derive(Debug, Error)]
pub(crate) enum Unread {
    #[error("the client left")]
    ClientLeft,
    #[error(transparent)]
    Malformed(#[from] Malformed),
    #[error("the body is longer than the simulator reads")]
    TooLarge,
}

/// The client closed or reset the connection.
#[derive(Debug)]
pub(crate) struct ClientLeft;

impl Link {
    pub(crate) fn new(stream: TcpStream) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        Ok(Self { stream, inbox: BytesMut::new() })
    }

    /// The next request head, or `None` when the client closed between requests.
    pub(crate) async fn head(&mut self) -> Result<Option<Head>, Unread> {
        loop {
            if !self.inbox.is_empty()
                && let Some((head, length)) = Head::parse(&self.inbox)?
            {
                let _ = self.inbox.split_to(length);
                return Ok(Some(head));
            }
            match self.read(READ_BYTES).await {
                Ok(()) => {}
                Err(ClientLeft) if self.inbox.is_empty() => return Ok(None),
                Err(ClientLeft) => return Err(Unread::ClientLeft),
            }
        }
    }

    /// The body of the request whose head was just read. What arrived of a body that did not arrive
    /// whole is lost.
    pub(crate) async fn body(&mut self, framing: Framing, most: u64) -> Result<Bytes, Unread> {
        match framing {
            Framing::None => Ok(Bytes::new()),
            Framing::Length(length) if length > most => Err(Unread::TooLarge),
            Framing::Length(length) => {
                let length = usize::try_from(length).map_err(|_| Unread::TooLarge)?;
                while self.inbox.len() < length {
                    let missing = length - self.inbox.len();
                    self.read(missing.clamp(READ_BYTES, BODY_READ_BYTES)).await?;
                }
                Ok(self.inbox.split_to(length).freeze())
            }
            Framing::Chunked => {
                let mut decoder = ChunkedBody::default();
                while !decoder.take_from(&mut self.inbox)? {
                    if decoder.body.len() as u64 > most {
                        return Err(Unread::TooLarge);
                    }
                    self.read(READ_BYTES * 4).await?;
                }
                Ok(decoder.body.freeze())
            }
        }
    }

    /// Tells a client that waits for it to send its body. One that already sends needs no telling.
    pub(crate) async fn proceed(&mut self) -> Result<(), ClientLeft> {
        let mut rest: &[u8] = if self.inbox.is_empty() { b"HTTP/1.1 100 Continue\r\n\r\n" } else { b"" };
        while !rest.is_empty() {
            let count = self.write(rest).await?;
            rest = &rest[count..];
        }
        Ok(())
    }

    /// Waits for bytes and takes at least one.
    async fn read(&mut self, room: usize) -> Result<(), ClientLeft> {
        loop {
            self.inbox.reserve(room);
            match self.stream.try_read_buf(&mut self.inbox) {
                Ok(0) => return Err(ClientLeft),
                Ok(_) => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.stream.readable().await.map_err(|_| ClientLeft)?;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return Err(ClientLeft),
            }
        }
    }

    /// Returns when the client has left. Bytes of further requests are kept meanwhile.
    pub(crate) async fn left(&mut self) {
        read_ahead(&self.stream, &mut self.inbox).await;
    }

    /// Whether the client has already left, as far as its socket tells without waiting.
    pub(crate) fn has_left(&mut self) -> bool {
        if self.inbox.len() >= READ_AHEAD_BYTES {
            return false;
        }
        self.inbox.reserve(READ_BYTES);
        match self.stream.try_read_buf(&mut self.inbox) {
            Ok(count) => count == 0,
            Err(error) => error.kind() != io::ErrorKind::WouldBlock,
        }
    }

    /// Sends some of `bytes` and returns how many. Waits while the client takes none.
    pub(crate) async fn write(&mut self, bytes: &[u8]) -> Result<usize, ClientLeft> {
        loop {
            if let Some(count) = self.try_write(bytes)? {
                return Ok(count);
            }
            let Self { stream, inbox } = self;
            tokio::select! {
                ready = stream.writable() => ready.map_err(|_| ClientLeft)?,
                () = read_ahead(stream, inbox) => return Err(ClientLeft),
            }
        }
    }

    /// Sends some of `bytes` now, or none when the client takes none.
    pub(crate) fn try_write(&mut self, bytes: &[u8]) -> Result<Option<usize>, ClientLeft> {
        match self.stream.try_write(bytes) {
            Ok(0) => Err(ClientLeft),
            Ok(count) => Ok(Some(count)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(_) => Err(ClientLeft),
        }
    }

    /// Ends the connection with FIN. What the client still sends is read and dropped for a while:
    /// closing a socket with unread bytes would send RST, and the client might lose the answer.
    pub(crate) async fn close(mut self) {
        if self.stream.shutdown().await.is_err() {
            return;
        }
        let drained = async {
            loop {
                self.inbox.clear();
                if self.read(READ_BYTES).await.is_err() {
                    return;
                }
            }
        };
        let _ = timeout(LINGER, drained).await;
    }

    /// Ends the connection with RST.
    pub(crate) fn reset(self) {
        if let Err(error) = self.stream.set_zero_linger() {
            tracing::warn!(%error, "the connection is closed, not reset");
        }
    }
}

/// [`Link::left`] on the parts of a link, so that its socket can be waited for otherwise, too.
async fn read_ahead(stream: &TcpStream, inbox: &mut BytesMut) {
    while inbox.len() < READ_AHEAD_BYTES {
        if stream.readable().await.is_err() {
            return;
        }
        inbox.reserve(READ_BYTES);
        match stream.try_read_buf(inbox) {
            Ok(0) => return,
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(_) => return,
        }
    }
    std::future::pending().await
}

impl From<ClientLeft> for Unread {
    fn from(_: ClientLeft) -> Self {
        Self::ClientLeft
    }
}
