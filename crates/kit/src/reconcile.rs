//! The provider's account beside ours: what it says was used and what it charges, against the ledger.
//!
//! A pure part of the command: [`mod@export`] reads what the provider gives out, [`mod@ledger`] what the admin API
//! answers, [`mod@compare`] lays the two side by side by day, model and upstream, and [`mod@reason`] says why they
//! probably differ. Days are days in UTC on both sides. A request belongs to the day of its admission here, and at the
//! provider to the day on which it was counted there.

pub(crate) mod compare;
pub(crate) mod export;
pub(crate) mod ledger;
pub(crate) mod print;
mod reason;

pub(crate) use export::ExportFault;

#[cfg(test)]
mod tests;
