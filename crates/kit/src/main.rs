//! What is run: the `tollgate` command.
//!
//! The command line is read once into the typed arguments of one command; a command is a function from these to
//! an exit status, or to the fault that kept it from having one. It speaks through the [`printer::Printer`] alone.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod admin;
mod chain;
mod check;
mod cli;
mod client;
mod command;
mod descriptors;
mod dial;
mod doctor;
mod exchange;
mod extra;
mod fault;
mod finding;
mod generate;
mod handshake;
mod http;
mod import;
mod json;
mod lint;
mod log;
mod memory;
mod money;
mod printer;
mod proxy;
mod reconcile;
mod report;
mod retired;
mod runtime;
mod shadow;
mod signals;
mod source;
mod status;
mod table;
mod time;
mod token;

use clap::Parser;
use printer::Printer;
use std::process::ExitCode;

fn main() -> ExitCode {
    let cli = match cli::Cli::try_parse() {
        Ok(cli) => cli,
        Err(shown) => return cli::show(shown).into(),
    };
    let printer = Printer::new(cli.quiet);
    if let Err(sentence) = memory::close() {
        printer.warn(&sentence);
    }
    let ended = cli.command.run(&printer).unwrap_or_else(|fault| {
        printer.fault(&fault);
        fault.status()
    });
    ended.into()
}
