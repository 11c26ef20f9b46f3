//! A byte stream to a client or an upstream: TCP, or TLS over it.
//!
//! Reads fill a buffer borrowed from a pool of this thread and only while there is something to read, so that
//! a stream that waits holds no buffer of its own.

use std::cell::RefCell;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsStream;

/// Bytes taken by one read.
const CHUNK_BYTES: usize = 32 * 1024;
/// Buffers kept for reuse by each thread.
const POOLED: usize = 16;

thread_local! {
    static POOL: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

/// Bytes that one read brought. Its buffer goes back to the pool when this is dropped.
pub(crate) struct Chunk {
    buffer: Vec<u8>,
    begin: usize,
    end: usize,
}

impl Chunk {
    fn borrow() -> Vec<u8> {
        POOL.with_borrow_mut(Vec::pop).unwrap_or_else(|| vec![0; CHUNK_BYTES])
    }

    fn give_back(buffer: Vec<u8>) {
        if buffer.len() == CHUNK_BYTES {
            POOL.with_borrow_mut(|pool| {
                if pool.len() < POOLED {
                    pool.push(buffer);
                }
            });
        }
    }

    /// Keeps only the first `count` bytes.
    pub(crate) fn truncate(&mut self, count: usize) {
        self.end = self.end.min(self.begin + count);
    }
}

impl From<Vec<u8>> for Chunk {
    fn from(buffer: Vec<u8>) -> Self {
        let end = buffer.len();
        Chunk { buffer, begin: 0, end }
    }
}

impl std::ops::Deref for Chunk {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.buffer[self.begin..self.end]
    }
}

impl Drop for Chunk {
    fn drop(&mut self) {
        Chunk::give_back(std::mem::take(&mut self.buffer));
    }
}

/// One connection's bytes.
pub(crate) enum Stream {
    /// Plain TCP.
    Plain(TcpStream),
    /// TLS, either side.
    Tls(Box<TlsStream<TcpStream>>),
}

impl Stream {
    /// Waits for bytes. An empty chunk is the end of the stream.
    pub(crate) async fn read_chunk(&mut self) -> io::Result<Chunk> {
        std::future::poll_fn(|context| self.poll_chunk(context)).await
    }

    /// As [`Stream::read_chunk`], without waiting.
    pub(crate) fn poll_chunk(&mut self, context: &mut Context<'_>) -> Poll<io::Result<Chunk>> {
        let mut buffer = Chunk::borrow();
        let mut filled = ReadBuf::new(&mut buffer);
        match Pin::new(self).poll_read(context, &mut filled) {
            Poll::Ready(Ok(())) => {
                let end = filled.filled().len();
                Poll::Ready(Ok(Chunk { buffer, begin: 0, end }))
            }
            Poll::Ready(Err(error)) => {
                Chunk::give_back(buffer);
                Poll::Ready(Err(error))
            }
            Poll::Pending => {
                Chunk::give_back(buffer);
                Poll::Pending
            }
        }
    }

    /// Writes `head` and then `body`, in one system call where the kernel takes them whole.
    pub(crate) async fn write_two(&mut self, head: &[u8], body: &[u8]) -> io::Result<()> {
        let (mut head, mut body) = (head, body);
        while !head.is_empty() {
            let slices = [IoSlice::new(head), IoSlice::new(body)];
            let written = self.write_vectored(&slices).await?;
            if written == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            let of_head = written.min(head.len());
            head = &head[of_head..];
            body = &body[written - of_head..];
        }
        self.write_all(body).await?;
        self.flush().await
    }

    /// The TCP socket underneath.
    pub(crate) fn tcp(&self) -> &TcpStream {
        match self {
            Stream::Plain(tcp) => tcp,
            Stream::Tls(tls) => tls.get_ref().0,
        }
    }

    /// Whether closing shall reset the connection, so that the other side can not take it for a clean end.
    pub(crate) fn reset_on_close(&self, reset: bool) {
        // An error only means that the peer is gone already.
        let _ = socket2::SockRef::from(self.tcp()).set_linger(reset.then_some(std::time::Duration::ZERO));
    }
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Plain(tcp) => Pin::new(tcp).poll_read(cx, buf),
            Stream::Tls(tls) => Pin::new(tls).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Stream::Plain(tcp) => Pin::new(tcp).poll_write(cx, buf),
            Stream::Tls(tls) => Pin::new(tls).poll_write(cx, buf),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Stream::Plain(tcp) => Pin::new(tcp).poll_write_vectored(cx, bufs),
            Stream::Tls(tls) => Pin::new(tls).poll_write_vectored(cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Stream::Plain(tcp) => tcp.is_write_vectored(),
            Stream::Tls(tls) => tls.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Plain(tcp) => Pin::new(tcp).poll_flush(cx),
            Stream::Tls(tls) => Pin::new(tls).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Plain(tcp) => Pin::new(tcp).poll_shutdown(cx),
            Stream::Tls(tls) => Pin::new(tls).poll_shutdown(cx),
        }
    }
}
