//! The streams of one HTTP/2 connection, watched from outside: hyper polls a body only while its client makes room for
//! it, so what waits for a client that does nothing must be ended by somebody else.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tokio::time::sleep;

use crate::relay::{Piece, Relay};

/// How often the streams are looked at.
const LOOK: Duration = Duration::from_millis(250);

/// The next part of a relayed body, under way.
pub(super) type Next = Pin<Box<dyn Future<Output = (Box<Relay>, Piece)> + Send>>;

/// The streams of one connection.
pub(super) struct Streams(Mutex<Watched>);

struct Watched {
    open: Vec<Weak<Open>>,
    any_yet: bool,
    idle_since: Instant,
}

/// One stream, from its request's head to the end of its answer.
pub(super) struct Open(Mutex<Held>);

struct Held {
    relay: Option<Next>,
    progress: Instant,
}

impl Streams {
    pub(super) fn new() -> Self {
        Streams(Mutex::new(Watched { open: Vec::new(), any_yet: false, idle_since: Instant::now() }))
    }

    /// A stream that no connection watches.
    pub(super) fn new_open() -> Arc<Open> {
        Arc::new(Open(Mutex::new(Held { relay: None, progress: Instant::now() })))
    }

    /// A request has come.
    pub(super) fn open(&self) -> Arc<Open> {
        let open = Streams::new_open();
        let mut watched = self.lock();
        watched.any_yet = true;
        watched.open.push(Arc::downgrade(&open));
        open
    }

    /// Waits until the connection is of no use: no request within `first`, or none open for `keep`. Meanwhile ends
    /// each stream whose client takes nothing for `stall`.
    pub(super) async fn until_idle(&self, first: Duration, keep: Duration, stall: Duration) {
        loop {
            sleep(LOOK.min(first).min(keep)).await;
            if self.look(stall) >= if self.lock().any_yet { keep } else { first } {
                return;
            }
        }
    }

    /// How long no stream has been open.
    fn look(&self, stall: Duration) -> Duration {
        let mut watched = self.lock();
        watched.open.retain(|open| open.strong_count() > 0);
        if watched.open.is_empty() {
            return watched.idle_since.elapsed();
        }
        watched.idle_since = Instant::now();
        for open in watched.open.iter().filter_map(Weak::upgrade) {
            open.end_if_stalled(stall);
        }
        Duration::ZERO
    }

    fn lock(&self) -> MutexGuard<'_, Watched> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Open {
    /// Keeps what will be the next part.
    pub(super) fn hold(&self, next: Next) {
        let mut held = self.lock();
        held.relay = Some(next);
        held.progress = Instant::now();
    }

    /// The next part, and the relay that gave it; `None` once the stream was ended from outside.
    pub(super) fn poll(&self, context: &mut Context<'_>) -> Poll<Option<(Box<Relay>, Piece)>> {
        let mut held = self.lock();
        held.progress = Instant::now();
        let Some(next) = &mut held.relay else {
            return Poll::Ready(None);
        };
        let ready = std::task::ready!(next.as_mut().poll(context));
        held.relay = None;
        Poll::Ready(Some(ready))
    }

    /// Drops a relay that nobody has asked for its next part for too long; that settles its request. A relay that was
    /// asked and waits for the upstream ends by its own patience, which is no longer.
    fn end_if_stalled(&self, stall: Duration) {
        let mut held = self.lock();
        if held.relay.is_some() && held.progress.elapsed() > stall + LOOK {
            held.relay = None;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
