//! The built command, run as people run it.

#![allow(clippy::unwrap_used)]

mod audit;
mod config;
mod demo;
mod key;
mod price;
mod reconcile;
mod run;
mod serve;
mod shell;
mod simulate;
mod usage;
