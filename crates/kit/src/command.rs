//! The commands, a file for each.

mod allowance;
pub(crate) mod audit;
pub(crate) mod check;
pub(crate) mod config;
mod demo;
mod generate;
pub(crate) mod key;
mod lint;
mod operator;
mod price;
mod reconcile;
mod serve;
mod session;
mod setup;
mod simulate;
mod statement;
pub(crate) mod usage;

pub(crate) use allowance::Allowance;
pub(crate) use audit::Audit;
pub(crate) use check::Check;
pub(crate) use config::Config;
pub(crate) use demo::Demo;
pub(crate) use generate::Generate;
pub(crate) use key::Key;
pub(crate) use lint::Lint;
pub(crate) use operator::Operator;
pub(crate) use price::Price;
pub(crate) use reconcile::Reconcile;
pub(crate) use serve::Serve;
pub(crate) use session::Session;
pub(crate) use setup::Setup;
pub(crate) use simulate::Simulate;
pub(crate) use statement::Statement;
pub(crate) use usage::Usage;
