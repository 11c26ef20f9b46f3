//! The body of an answer on its way from the upstream to the client.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::{Body, Frame, Incoming};
use thiserror::Error;
use tokio::sync::mpsc::{self, Receiver, Sender};
use tokio::task::JoinSet;

use super::limiter::Place;

/// An answer under way.
pub(super) struct Relay {
    pub(super) from: Incoming,
    /// The connection that it comes over, which ends with it.
    #[expect(dead_code, reason = "it is held, not read")]
    pub(super) connection: JoinSet<()>,
    /// What the bytes go through.
    pub(super) sieve: Option<Box<dyn Sieve>>,
    /// What the request holds until its answer has ended.
    pub(super) place: Option<Place>,
    /// How long the upstream may be silent.
    pub(super) idle: Option<Duration>,
    pub(super) cancels: bool,
    pub(super) keeps_cuts: bool,
}

/// Something that the bytes of an answer go through.
pub(super) trait Sieve: Send {
    /// Takes a piece and gives what may go on by now.
    fn piece(&mut self, piece: Bytes) -> Bytes;
    /// Gives what is left when nothing more comes, because the answer is whole or because it broke off.
    fn end(&mut self) -> Bytes;
}

/// The answer broke off.
#[derive(Debug, Error)]
#[error("the answer broke off")]
pub(super) struct Broken;

/// The body that the client gets, piece by piece.
#[derive(Debug)]
pub(super) struct Pieces(Receiver<Result<Bytes, Broken>>);

impl Relay {
    /// Starts to read, and gives what is read as it comes.
    pub(super) fn start(self) -> Pieces {
        let (to, pieces) = mpsc::channel(1);
        tokio::spawn(self.run(to));
        Pieces(pieces)
    }

    async fn run(mut self, to: Sender<Result<Bytes, Broken>>) {
        let is_whole = loop {
            let next = tokio::select! {
                next = next(&mut self.from, self.idle) => next,
                () = to.closed(), if self.cancels => return,
            };
            match next {
                Ok(Some(piece)) => {
                    let passes = match &mut self.sieve {
                        Some(sieve) => sieve.piece(piece),
                        None => piece,
                    };
                    if self.from.is_end_stream() {
                        // Before the client sees the end.
                        self.place = None;
                    }
                    pass(&to, passes).await;
                }
                Ok(None) => break true,
                Err(Broken) => break false,
            }
        };
        self.place = None;
        if let Some(sieve) = &mut self.sieve {
            pass(&to, sieve.end()).await;
        }
        if !is_whole && self.keeps_cuts {
            let _ = to.send(Err(Broken)).await;
        }
    }
}

/// The next piece, or `None` after the last.
async fn next(from: &mut Incoming, idle: Option<Duration>) -> Result<Option<Bytes>, Broken> {
    loop {
        let frame = match idle {
            Some(idle) => tokio::time::timeout(idle, from.frame()).await.map_err(|_| Broken)?,
            None => from.frame().await,
        };
        match frame {
            None => return Ok(None),
            Some(Err(_)) => return Err(Broken),
            // Trailers are dropped: the API sends none.
            Some(Ok(frame)) => match frame.into_data() {
                Ok(piece) => return Ok(Some(piece)),
                Err(_) => continue,
            },
        }
    }
}

/// Sends a piece to a client. Whether the client is still there is not asked here.
async fn pass(to: &Sender<Result<Bytes, Broken>>, piece: Bytes) {
    if !piece.is_empty() {
        let _ = to.send(Ok(piece)).await;
    }
}

impl Body for Pieces {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        self.0.poll_recv(context).map(|next| next.map(|piece| piece.map(Frame::data)))
    }
}
