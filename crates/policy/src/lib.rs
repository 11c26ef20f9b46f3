//! What is decided: principals, access, prices, denials, and what a journal entry holds.
//!
//! A pure room: no clock, no randomness, no environment, no files, no sockets. Time and chance come in as
//! arguments, so every rule here can be tested by the thousand in milliseconds.
#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod access;
pub mod allowance;
pub mod books;
pub mod brake;
pub mod credential;
pub mod denial;
pub mod entry;
pub mod id;
pub mod key;
pub mod operator;
pub mod price;
pub mod principal;
pub mod scope;
pub mod unit;
pub mod usage;

mod hex;
mod schema;
mod text;
