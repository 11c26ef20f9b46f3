//! The simulator as a client sees it: raw bytes over TCP.

#![allow(clippy::unwrap_used)]

mod answers;
mod client;
mod faults;
mod protocol;
mod record;
