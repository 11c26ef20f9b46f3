//! An answer on its way to the client: bytes pass as they came, usage is read beside them, and the end settles.

use std::time::Duration;

use tokio::time::timeout;
use tollgate_policy::entry::Outcome;
use tollgate_wire::http1::{Chunked, Framing, Progress};
use tollgate_wire::meter::{Meter, Metered};

use crate::admission::{Admission, Ending};
use crate::stream::Chunk;
use crate::upstream::Source;

/// The form in which the client takes the body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// As HTTP/1.1 has it on the wire, chunked framing included.
    Wire,
    /// The payload alone.
    Payload,
}

/// The next part of a body.
pub(crate) enum Piece {
    /// Bytes, more follow.
    Data(Chunk),
    /// The last bytes, possibly none. The request is settled.
    Last(Chunk),
    /// The upstream broke off before the end. The request is settled.
    Cut,
}

/// A body under way. It owns the admission: whatever ends the body settles the request, once.
pub(crate) struct Relay {
    source: Option<Source>,
    framing: Framing,
    left: Left,
    meter: Option<Meter>,
    metered: Option<Metered>,
    is_stream: bool,
    admission: Option<Admission>,
    idle: Duration,
    status: u16,
}

/// What tells where the body ends.
enum Left {
    Length(u64),
    Chunked(Chunked),
    UntilClose,
}

/// Bytes taken off the source.
enum Taken {
    Wire(Chunk),
    Payload(Chunk),
    End,
    Broken,
}

impl Relay {
    pub(crate) fn new(
        source: Source,
        framing: Framing,
        status: u16,
        is_stream: bool,
        meter: Option<Meter>,
        admission: Admission,
        idle: Duration,
    ) -> Self {
        let left = match framing {
            Framing::None => Left::Length(0),
            Framing::Length(length) => Left::Length(length),
            Framing::Chunked => Left::Chunked(Chunked::default()),
            Framing::UntilClose => Left::UntilClose,
        };
        Relay {
            source: Some(source),
            framing,
            left,
            meter,
            metered: None,
            is_stream,
            admission: Some(admission),
            idle,
            status,
        }
    }

    /// How the body's end is told to an HTTP/1.1 client.
    pub(crate) fn framing(&self) -> Framing {
        self.framing
    }

    /// What is there without waiting for the upstream.
    pub(crate) async fn early(&mut self, form: Form) -> Option<Piece> {
        if let Left::Length(0) = self.left {
            return Some(self.end(Chunk::from(Vec::new()), true).await);
        }
        let Some(Source::Http1(source)) = &mut self.source else {
            return None;
        };
        let chunk = source.take_early()?;
        Some(self.pass(Taken::Wire(chunk), form).await)
    }

    /// Waits for the next part of the body.
    pub(crate) async fn next(&mut self, form: Form) -> Piece {
        let taken = timeout(self.idle, self.take()).await.unwrap_or(Taken::Broken);
        self.pass(taken, form).await
    }

    async fn take(&mut self) -> Taken {
        match &mut self.source {
            Some(Source::Http1(source)) => match source.read().await {
                Ok(chunk) if chunk.is_empty() => Taken::End,
                Ok(chunk) => Taken::Wire(chunk),
                Err(_) => Taken::Broken,
            },
            Some(Source::Http2(source)) => match source.read().await {
                None => Taken::End,
                Some(Ok(bytes)) => Taken::Payload(Chunk::from(Vec::from(bytes))),
                Some(Err(_)) => Taken::Broken,
            },
            None => Taken::Broken,
        }
    }

    async fn pass(&mut self, taken: Taken, form: Form) -> Piece {
        match taken {
            Taken::Wire(chunk) => self.pass_wire(chunk, form).await,
            Taken::Payload(chunk) => self.pass_payload(chunk, form).await,
            // Only the protocol inside tells whether such an end is one.
            Taken::End if matches!(self.left, Left::UntilClose) => match self.is_unfinished_stream() {
                true => self.cut().await,
                false => self.end(Chunk::from(Vec::new()), false).await,
            },
            Taken::End => match (&self.left, &self.source) {
                (Left::Chunked(_), Some(Source::Http2(_))) => {
                    let last = if form == Form::Wire { &b"0\r\n\r\n"[..] } else { &[] };
                    self.end(Chunk::from(last.to_vec()), true).await
                }
                _ => self.cut().await,
            },
            Taken::Broken => self.cut().await,
        }
    }

    /// Bytes with their framing, from HTTP/1.1.
    async fn pass_wire(&mut self, mut chunk: Chunk, form: Form) -> Piece {
        let mut payload = Vec::new();
        let meter = &mut self.meter;
        let ended = match &mut self.left {
            Left::Length(left) => {
                let fits = usize::try_from(*left).map_or(chunk.len(), |left| left.min(chunk.len()));
                let clean = fits == chunk.len();
                chunk.truncate(fits);
                *left -= fits as u64;
                read(meter, &chunk);
                (*left == 0).then_some(clean)
            }
            Left::UntilClose => {
                read(meter, &chunk);
                None
            }
            Left::Chunked(decoder) => {
                let progress = decoder.read(&chunk, |run| {
                    read(meter, run);
                    if form == Form::Payload {
                        payload.extend_from_slice(run);
                    }
                });
                let ended = match progress {
                    Ok(Progress::More) => None,
                    Ok(Progress::End(used)) => {
                        let clean = used == chunk.len();
                        chunk.truncate(used);
                        Some(clean)
                    }
                    Err(_) => return self.cut().await,
                };
                let trailers = decoder.trailers();
                if !trailers.is_empty() {
                    // Fields there would get past the header table.
                    chunk = Chunk::from([&chunk[..trailers.start], &chunk[trailers.end..]].concat());
                }
                ended
            }
        };
        if form == Form::Payload && matches!(self.left, Left::Chunked(_)) {
            chunk = Chunk::from(payload);
        }
        match ended {
            Some(clean) => self.end(chunk, clean).await,
            None => Piece::Data(chunk),
        }
    }

    /// Payload, from HTTP/2, which an HTTP/1.1 client gets in chunks where no length was announced.
    async fn pass_payload(&mut self, chunk: Chunk, form: Form) -> Piece {
        read(&mut self.meter, &chunk);
        match &mut self.left {
            Left::Length(left) if (chunk.len() as u64) > *left => self.cut().await,
            Left::Length(left) => {
                *left -= chunk.len() as u64;
                if *left == 0 { self.end(chunk, true).await } else { Piece::Data(chunk) }
            }
            Left::Chunked(_) if form == Form::Wire && !chunk.is_empty() => {
                let mut framed = format!("{:x}\r\n", chunk.len()).into_bytes();
                framed.extend_from_slice(&chunk);
                framed.extend_from_slice(b"\r\n");
                Piece::Data(Chunk::from(framed))
            }
            _ => Piece::Data(chunk),
        }
    }

    /// Settles before the last bytes are handed out. `clean` says that nothing came after the body.
    async fn end(&mut self, last: Chunk, clean: bool) -> Piece {
        self.settle(Outcome::Complete).await;
        if let Some(Source::Http1(source)) = self.source.take() {
            source.finish(clean);
        }
        Piece::Last(last)
    }

    async fn cut(&mut self) -> Piece {
        self.source = None;
        self.settle(Outcome::Cut).await;
        Piece::Cut
    }

    async fn settle(&mut self, outcome: Outcome) {
        if let Some(admission) = self.admission.take() {
            let ending = self.ending(outcome);
            admission.settle(ending).await;
        }
    }

    /// Reads what the meter has, once.
    fn finish_meter(&mut self) {
        if let Some(mut meter) = self.meter.take() {
            self.metered = Some(meter.finish());
        }
    }

    fn is_unfinished_stream(&mut self) -> bool {
        self.finish_meter();
        self.is_stream
            && self.metered.as_ref().is_some_and(|metered| !metered.complete && metered.error.is_none())
    }

    fn ending(&mut self, outcome: Outcome) -> Ending {
        self.finish_meter();
        let metered = self.metered.take();
        let broke_off =
            outcome == Outcome::Complete && metered.as_ref().is_some_and(|metered| metered.error.is_some());
        let outcome = if broke_off || self.status >= 400 { Outcome::UpstreamError } else { outcome };
        Ending { outcome, metered }
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        if let Some(admission) = self.admission.take() {
            let ending = self.ending(Outcome::Aborted);
            // The settlement is under way as soon as it is called for; nobody is left to wait for it.
            drop(admission.settle(ending));
        }
    }
}

fn read(meter: &mut Option<Meter>, payload: &[u8]) {
    if let Some(meter) = meter {
        meter.push(payload);
    }
}
