//! How the gateway is.

use schemars::JsonSchema;
use serde::Serialize;

use super::Admin;
use super::fault::AdminFault;
use super::route::{Answer, Ask, Nothing};
use crate::Shared;

/// How the gateway is at this moment.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "GatewayState")]
pub(super) struct State {
    version: &'static str,
    upstream: String,
    durability: &'static str,
    journal_writable: bool,
    journal_written_seq: u64,
    journal_synced_seq: u64,
    journal_backlog: usize,
    journal_open: usize,
    connections: usize,
}

impl State {
    pub(super) fn of(shared: &Shared) -> Self {
        let journal = shared.journal.state();
        let force = shared.in_force();
        State {
            version: env!("CARGO_PKG_VERSION"),
            upstream: force.upstream.name().to_string(),
            durability: force.config.durability.as_str(),
            journal_writable: journal.writable,
            journal_written_seq: journal.written_seq,
            journal_synced_seq: journal.synced_seq,
            journal_backlog: journal.backlog,
            journal_open: journal.open,
            connections: shared.drain.connections(),
        }
    }
}

pub(super) async fn show(admin: Admin, _: Ask<Nothing, Nothing>) -> Result<Answer<State>, AdminFault> {
    Ok(Answer::ok(State::of(&admin.shared)))
}
