//! The simulator as a client sees it: raw bytes over TCP.

#![allow(clippy::unwrap_used)]

mod answers;
mod client;
mod faults;
mod meter;
mod protocol;
mod record;
mod zoo;
