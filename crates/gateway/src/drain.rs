//! The end of serving: no new connections, no new requests on old ones, the running ones to their end.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::{Notify, watch};

/// Tells connections to end, and when the last has.
pub(crate) struct Drain {
    begun: watch::Sender<bool>,
    cut: watch::Sender<bool>,
    connections: AtomicUsize,
    idle: Notify,
}

/// One open connection.
pub(crate) struct Open(Arc<Drain>);

impl Drop for Open {
    fn drop(&mut self) {
        if self.0.connections.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.idle.notify_waiters();
        }
    }
}

impl Drain {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Drain {
            begun: watch::Sender::new(false),
            cut: watch::Sender::new(false),
            connections: AtomicUsize::new(0),
            idle: Notify::new(),
        })
    }

    /// Counts a connection in, unless there are `limit` already.
    pub(crate) fn open(self: &Arc<Self>, limit: usize) -> Option<Open> {
        self.connections
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |count| (count < limit).then_some(count + 1))
            .ok()
            .map(|_| Open(self.clone()))
    }

    /// How many connections are open.
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }

    /// Begins to drain.
    pub(crate) fn begin(&self) {
        self.begun.send_replace(true);
    }

    /// Whether draining has begun.
    pub(crate) fn is_draining(&self) -> bool {
        *self.begun.borrow()
    }

    /// Waits until draining begins.
    pub(crate) async fn begun(&self) {
        // The sender lives as long as `self`, so waiting ends only with the flag.
        let _ = self.begun.subscribe().wait_for(|begun| *begun).await;
    }

    /// Ends all connections as they are.
    pub(crate) fn cut(&self) {
        self.cut.send_replace(true);
    }

    /// Waits until connections are to end as they are.
    pub(crate) async fn was_cut(&self) {
        let _ = self.cut.subscribe().wait_for(|cut| *cut).await;
    }

    /// Waits until no connection is open.
    pub(crate) async fn finished(&self) {
        loop {
            let idle = self.idle.notified();
            tokio::pin!(idle);
            idle.as_mut().enable();
            if self.connections() == 0 {
                return;
            }
            idle.await;
        }
    }
}
