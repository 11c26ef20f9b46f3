//! Frames and writes a body, and tells the entry which of its bytes were sent.

use std::collections::VecDeque;
use std::io::Write as _;
use std::ops::Range;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use tokio::time::{Instant, sleep_until};

use crate::events;
use crate::link::{ClientLeft, Link};
use crate::record::{Entry, Note};
use crate::reply::Delimiter;

/// When so much is ready, it is sent without waiting for more.
const FLUSH_BYTES: usize = 64 * 1024;

pub(super) struct Writer<'w> {
    link: &'w mut Link,
    pub(super) entry: &'w mut Entry,
    delimiter: Delimiter,
    /// The body goes out in writes of so many bytes.
    chunk: Option<usize>,
    compressor: Option<GzEncoder<Vec<u8>>>,
    /// Framed bytes that are ready to be sent, and how many of them were.
    out: Vec<u8>,
    written: usize,
    /// Which parts of `out` are body.
    spans: VecDeque<Range<usize>>,
    /// The status, and where the head ends in `out`, until it was sent.
    head: Option<(u16, usize)>,
    /// Body bytes that wait until a chunk is full.
    carry: Vec<u8>,
    /// How long the body is, up to here.
    body_end: u64,
    flushed: bool,
}

impl<'w> Writer<'w> {
    pub(super) fn new(
        link: &'w mut Link,
        entry: &'w mut Entry,
        delimiter: Delimiter,
        chunk: Option<usize>,
    ) -> Self {
        Self {
            link,
            entry,
            delimiter,
            chunk,
            compressor: None,
            out: Vec::new(),
            written: 0,
            spans: VecDeque::new(),
            head: None,
            carry: Vec::new(),
            body_end: 0,
            flushed: false,
        }
    }

    /// From now on the body is compressed. Each event is flushed out of the compressor, so that a
    /// client can read it at once.
    pub(super) fn compress(&mut self) {
        self.compressor = Some(GzEncoder::new(Vec::new(), Compression::fast()));
    }

    pub(super) fn raw(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(bytes);
    }

    pub(super) fn head(&mut self, status: u16, bytes: &[u8]) {
        self.out.extend_from_slice(bytes);
        self.head = Some((status, self.out.len()));
    }

    /// Announces what is true once the next `length` bytes of the body were sent. A body of no bytes
    /// is sent with its head.
    pub(super) fn expect(&mut self, length: usize, note: Note) {
        self.entry.expect(self.body_end + length as u64, note);
    }

    pub(super) async fn ping(&mut self) -> Result<(), ClientLeft> {
        let mut event = Vec::new();
        events::ping(&mut event);
        let note = Note { is_event: true, ..Note::default() };
        self.event(&event, note).await?;
        self.flush_all().await
    }

    pub(super) async fn event(&mut self, event: &[u8], note: Note) -> Result<(), ClientLeft> {
        let Some(compressor) = &mut self.compressor else {
            self.expect(event.len(), note);
            return self.body(event).await;
        };
        let compressed = deflate(compressor, event);
        self.expect(compressed.len(), note);
        self.body(&compressed).await
    }

    pub(super) async fn body(&mut self, bytes: &[u8]) -> Result<(), ClientLeft> {
        self.body_end += bytes.len() as u64;
        if let Some(size) = self.chunk {
            self.carry.extend_from_slice(bytes);
            let mut carry = std::mem::take(&mut self.carry);
            let full = carry.len() - carry.len() % size;
            for piece in carry[..full].chunks(size) {
                self.frame(piece);
                self.flush().await?;
                // Lets the client read before the next write.
                tokio::task::yield_now().await;
            }
            carry.drain(..full);
            self.carry = carry;
            return Ok(());
        }
        if let Delimiter::Chunked = self.delimiter {
            self.frame(bytes);
            if self.out.len() >= FLUSH_BYTES {
                self.flush().await?;
            }
            return Ok(());
        }
        for piece in bytes.chunks(FLUSH_BYTES) {
            self.frame(piece);
            if self.out.len() >= FLUSH_BYTES {
                self.flush().await?;
            }
        }
        Ok(())
    }

    fn frame(&mut self, piece: &[u8]) {
        if piece.is_empty() {
            return;
        }
        let is_chunk = self.delimiter == Delimiter::Chunked;
        if is_chunk {
            let _ = write!(self.out, "{:x}\r\n", piece.len());
        }
        let start = self.out.len();
        self.out.extend_from_slice(piece);
        self.spans.push_back(start..self.out.len());
        if is_chunk {
            self.out.extend_from_slice(b"\r\n");
        }
    }

    /// Sends what no decoder of chunks can read.
    pub(super) async fn bad_chunk(&mut self) -> Result<(), ClientLeft> {
        self.frame_carry();
        self.raw(b"zz\r\n");
        self.flush().await
    }

    /// Waits, with all that is ready sent before. A client that leaves meanwhile ends it.
    pub(super) async fn wait(&mut self, time: Duration) -> Result<(), ClientLeft> {
        self.wait_until(Instant::now() + time).await
    }

    pub(super) async fn wait_until(&mut self, time: Instant) -> Result<(), ClientLeft> {
        self.flush_all().await?;
        self.entry.show();
        tokio::select! {
            () = sleep_until(time) => Ok(()),
            () = self.link.left() => Err(ClientLeft),
        }
    }

    /// Waits for the client to leave.
    pub(super) async fn stall(&mut self) -> Result<(), ClientLeft> {
        self.flush_all().await?;
        self.entry.show();
        self.link.left().await;
        Err(ClientLeft)
    }

    /// Ends the body as its framing demands.
    pub(super) async fn finish(&mut self, is_head: bool) -> Result<(), ClientLeft> {
        if let Some(mut compressor) = self.compressor.take() {
            // Writing to memory cannot fail.
            let _ = compressor.try_finish();
            let end = std::mem::take(compressor.get_mut());
            self.body(&end).await?;
        }
        self.frame_carry();
        if self.delimiter == Delimiter::Chunked && !is_head {
            self.raw(b"0\r\n\r\n");
        }
        self.flush().await
    }

    /// Sends everything, also a chunk that is not full.
    pub(super) async fn flush_all(&mut self) -> Result<(), ClientLeft> {
        self.frame_carry();
        self.flush().await
    }

    fn frame_carry(&mut self) {
        let carry = std::mem::take(&mut self.carry);
        self.frame(&carry);
    }

    pub(super) async fn flush(&mut self) -> Result<(), ClientLeft> {
        // A client that closed its side is only noticed by reading. Most answers are one write;
        // they need no such look.
        if self.flushed && !self.out.is_empty() && self.link.has_left() {
            return Err(ClientLeft);
        }
        while self.written < self.out.len() {
            let ready = &self.out[self.written..];
            let count = match self.link.try_write(ready)? {
                Some(count) => count,
                None => {
                    self.entry.show();
                    self.link.write(ready).await?
                }
            };
            self.progress(count);
        }
        self.flushed = true;
        self.out.clear();
        self.written = 0;
        Ok(())
    }

    fn progress(&mut self, count: usize) {
        let before = self.written;
        self.written += count;
        if let Some((status, end)) = self.head
            && end <= self.written
        {
            self.entry.sent_head(status);
            self.head = None;
        }
        while let Some(span) = self.spans.front() {
            let sent = span.start.max(before)..span.end.min(self.written);
            if !sent.is_empty() {
                self.entry.sent(&self.out[sent]);
            }
            if span.end > self.written {
                break;
            }
            self.spans.pop_front();
        }
    }
}

fn deflate(compressor: &mut GzEncoder<Vec<u8>>, bytes: &[u8]) -> Vec<u8> {
    // Writing to memory cannot fail.
    let _ = compressor.write_all(bytes);
    let _ = compressor.flush();
    std::mem::take(compressor.get_mut())
}

/// Compresses a whole body.
pub(super) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut compressor = GzEncoder::new(Vec::new(), Compression::fast());
    // Writing to memory cannot fail.
    let _ = compressor.write_all(bytes);
    compressor.finish().unwrap_or_default()
}
