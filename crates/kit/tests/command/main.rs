//! The built command, run as people run it.

#![allow(clippy::unwrap_used)]

mod allowance;
mod audit;
mod check;
mod client;
mod config;
mod demo;
mod doctor;
mod extra;
mod focus;
mod generate;
mod hostile;
mod import;
mod key;
mod lint;
mod listener;
mod operator;
mod price;
mod rate_limit;
mod reconcile;
mod run;
mod serve;
mod shadow;
mod shell;
mod simulate;
mod statement;
mod tls;
mod usage;
mod user;
