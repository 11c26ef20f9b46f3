//! The clients that people really use, run as they run them, before a gateway and the simulator.
//!
//! `make test` installs them, pinned, and says where they are in `TOLLGATE_CLIENTS`. Each test runs in a network
//! that has loopback and nothing else: what a client tries to reach beyond the gateway, it does not reach.

#![allow(missing_docs, clippy::unwrap_used)]

mod books;
mod claude_code;
mod description;
mod limits;
mod sdk;
