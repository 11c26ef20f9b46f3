//! What `tollgate generate` makes, run by the products that it is made for, before the simulator.
//!
//! `make test` installs the products. Each is started with the files as they are made; then one thing after the other is
//! broken in them, and must be found.

#![allow(missing_docs, clippy::unwrap_used)]

mod base_path;
mod behaviour;
mod caddy;
mod check;
mod claude_code;
mod envoy;
mod haproxy;
mod issuer;
mod judges;
mod linters;
mod nginx;
mod reports;
mod stage;
mod zuplo;
