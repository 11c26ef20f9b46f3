//! The commands, a file for each.

pub(crate) mod audit;
mod config;
mod demo;
pub(crate) mod key;
mod price;
mod reconcile;
mod serve;
mod simulate;
pub(crate) mod usage;

pub(crate) use audit::Audit;
pub(crate) use config::Config;
pub(crate) use demo::Demo;
pub(crate) use key::Key;
pub(crate) use price::Price;
pub(crate) use reconcile::Reconcile;
pub(crate) use serve::Serve;
pub(crate) use simulate::Simulate;
pub(crate) use usage::Usage;
