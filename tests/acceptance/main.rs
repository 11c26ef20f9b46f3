//! One module per capability; each starts a real gateway on a free port before the simulator.

#![allow(missing_docs, clippy::unwrap_used)]

mod admin_api;
mod attribution;
mod bad_input;
mod brakes;
mod bytes;
mod crashes;
mod credentials;
mod decisions;
mod endurance;
mod errors;
mod exactly_once;
mod framing;
mod keys;
mod limits;
mod models;
mod money;
mod probes;
mod reload;
mod roles;
mod statements;
mod storm;
mod streams;
mod tls;
