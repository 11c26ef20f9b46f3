//! The async runtime, for the commands that wait for sockets.

use crate::fault::Fault;
use std::{future::Future, time::Duration};
use tokio::runtime::Builder;

/// How long work that blocks may still take when the command has ended.
const LINGER: Duration = Duration::from_secs(1);

/// Runs a server: one thread for each processor.
///
/// # Errors
///
/// What the future fails with, or [`Fault::Runtime`].
pub(crate) fn serve<T>(future: impl Future<Output = Result<T, Fault>>) -> Result<T, Fault> {
    run(Builder::new_multi_thread(), future)
}

/// Runs a client: one request after the other, on this thread.
///
/// # Errors
///
/// What the future fails with, or [`Fault::Runtime`].
pub(crate) fn ask<T>(future: impl Future<Output = Result<T, Fault>>) -> Result<T, Fault> {
    run(Builder::new_current_thread(), future)
}

fn run<T>(mut builder: Builder, future: impl Future<Output = Result<T, Fault>>) -> Result<T, Fault> {
    let runtime = builder.enable_all().build().map_err(Fault::Runtime)?;
    let output = runtime.block_on(future);
    runtime.shutdown_timeout(LINGER);
    output
}
