//! One module per capability; each starts a real gateway on a free port before the simulator.

#![allow(missing_docs, clippy::unwrap_used)]

mod bytes;
mod credentials;
mod errors;
mod framing;
mod keys;
mod models;
mod money;
mod probes;
mod streams;
