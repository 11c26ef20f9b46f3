//! What is said: the Anthropic protocol and HTTP/1 framing as data.
//!
//! This room reads bytes and gives values. It knows no clock, no socket, no async runtime and no policy.

#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod endpoint;
pub mod error;
pub mod header;
pub mod http1;
pub mod lens;
pub mod meter;
mod scan;
pub mod sse;
pub mod usage;
