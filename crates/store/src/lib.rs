//! What is remembered: journal, directory, register and ledger.
//!
//! The journal is the truth: one hash-chained file of everything that happened. The directory (who exists), the register
//! (what was decided) and the ledger (what it cost) are views of it that can be made again at any time. [`audit`] verifies the journal from the
//! outside, without trusting the process that wrote it.
//!
//! Nothing here knows HTTP or an async runtime. Calls that may block say so.

#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod audit;
pub mod counters;
pub mod directory;
mod expect;
pub mod fault;
#[cfg(test)]
mod fixture;
mod folder;
pub mod history;
pub mod journal;
pub mod ledger;
mod projection;
pub mod register;
mod replay;
mod store;
#[cfg(test)]
mod tests;

pub use expect::{Expect, fingerprint};
pub use fault::{JournalFault, LedgerFault, StoreFault};
pub use journal::checkpoint::PublicKey;
pub use store::{Options, Store};
