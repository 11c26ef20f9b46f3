//! `tollgate session`: sessions that are paused, through the admin API of the running gateway.

use super::listing::Listing;
use crate::{
    admin::Admin,
    cli::Access,
    fault::Fault,
    printer::Printer,
    runtime,
    status::Status,
    table::{Column, Table},
    time::{Span, brief},
};
use clap::{Args, Subcommand};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// List, pause and resume single sessions of clients.
///
/// A paused session is refused with the reason; other sessions of the same key go on. The brakes of the configuration
/// pause a session that runs away; what they paused may go on after a while by itself, or at once by `resume`.
#[derive(Debug, Args)]
pub(crate) struct Session {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List the sessions that are paused.
    List(Listing),
    Pause(Pause),
    Resume(Resume),
}

/// Pause a session: its next request is refused.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  tollgate usage report --by key,session --from 2026-11-22
  tollgate session pause key_01KB7ZC2C8M4X9V0R3T5W6Y8ZA 5f0c --why 'loops since noon'")]
struct Pause {
    /// The id of the key that it uses, key_... in the list of keys.
    key: String,
    /// The session, as its client names it.
    session: String,
    /// Why, as its client is told.
    #[arg(long, value_name = "TEXT")]
    why: String,
    /// How long, in whole minutes, unless somebody resumes it: a number and a unit, m, h, d or w; at most 30d.
    #[arg(long = "for", value_name = "SPAN", default_value = "1h")]
    length: Span,
    #[command(flatten)]
    access: Access,
}

/// Let a session go on.
#[derive(Debug, Args)]
struct Resume {
    /// The id of the key that it uses.
    key: String,
    /// The session.
    session: String,
    #[command(flatten)]
    access: Access,
}

/// A paused session as the admin API describes it.
#[derive(Debug, Deserialize)]
struct Paused {
    key: String,
    session: String,
    by: String,
    why: String,
    until: String,
}

/// What the admin API is told.
#[derive(Debug, Serialize)]
struct Wish<'w> {
    key: &'w str,
    session: &'w str,
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<&'w str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    minutes: Option<u64>,
}

impl Session {
    pub(crate) fn run(self, printer: &Printer) -> Result<Status, Fault> {
        match self.command {
            Command::List(listing) => listing.print("/admin/v1/sessions/paused", table, printer)?,
            Command::Pause(Pause { key, session, why, length, access }) => {
                let minutes = Some(length.seconds().div_ceil(60));
                let wish = Wish { key: &key, session: &session, why: Some(&why), minutes };
                let admin = Admin::reach(&access)?;
                let paused: Paused = runtime::ask(admin.change("/admin/v1/sessions/pause", &wish))?;
                printer.say(&format!("session {session} of {key} is paused until {}", brief(&paused.until)));
            }
            Command::Resume(Resume { key, session, access }) => {
                let wish = Wish { key: &key, session: &session, why: None, minutes: None };
                let admin = Admin::reach(&access)?;
                let _resumed: Value = runtime::ask(admin.change("/admin/v1/sessions/resume", &wish))?;
                printer.say(&format!("session {session} of {key} may go on"));
            }
        }
        Ok(Status::Done)
    }
}

fn table(sessions: &[Paused]) -> String {
    if sessions.is_empty() {
        return "no paused sessions\n".to_owned();
    }
    let columns = ["key", "session", "paused by", "until (UTC)", "why"];
    let mut table = Table::new(columns.map(|name| Column::Text(name.to_owned())));
    for one in sessions {
        let [key, session, by, why] = [&one.key, &one.session, &one.by, &one.why].map(String::clone);
        table.row(vec![key, session, by, brief(&one.until), why]);
    }
    table.text()
}
