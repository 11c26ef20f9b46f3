//! The signals that a server obeys.

use crate::fault::Fault;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// SIGINT (Ctrl-C) and SIGTERM: end.
#[derive(Debug)]
pub(crate) struct Stop {
    interrupt: Signal,
    terminate: Signal,
}

impl Stop {
    /// From now on these signals do not end the process by themselves.
    ///
    /// # Errors
    ///
    /// [`Fault::Runtime`].
    pub(crate) fn listen() -> Result<Self, Fault> {
        Ok(Self { interrupt: listen(SignalKind::interrupt())?, terminate: listen(SignalKind::terminate())? })
    }

    /// Waits for the next of them.
    pub(crate) async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

/// SIGHUP: read the configuration again.
#[derive(Debug)]
pub(crate) struct Hangup(Signal);

impl Hangup {
    /// From now on this signal does not end the process by itself.
    ///
    /// # Errors
    ///
    /// [`Fault::Runtime`].
    pub(crate) fn listen() -> Result<Self, Fault> {
        listen(SignalKind::hangup()).map(Self)
    }

    /// Waits for the next one.
    pub(crate) async fn next(&mut self) {
        self.0.recv().await;
    }
}

fn listen(kind: SignalKind) -> Result<Signal, Fault> {
    signal(kind).map_err(Fault::Runtime)
}
