//! The built command, run as people run it.

#![allow(clippy::unwrap_used)]

mod allowance;
mod audit;
mod check;
mod config;
mod demo;
mod focus;
mod generate;
mod key;
mod lint;
mod operator;
mod price;
mod reconcile;
mod run;
mod serve;
mod shell;
mod simulate;
mod statement;
mod usage;
