//! What the acceptance tests share: a gateway before a simulator, and a client that hides nothing.

#![allow(missing_docs, clippy::unwrap_used)]

pub mod caps;
pub mod certificate;
pub mod claude;
pub mod client;
pub mod house;
pub mod installed;
pub mod loopback;
pub mod nginx;
pub mod past;
pub mod process;
pub mod serve;

pub use certificate::Certificate;
pub use client::{Answer, Connection, get, post, request};
pub use house::{House, Plan};
pub use nginx::Nginx;
pub use serve::Serve;
