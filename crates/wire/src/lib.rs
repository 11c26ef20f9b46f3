//! What is said: the Anthropic protocol and HTTP/1.1 framing, as data and pure functions.
#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod http1;
