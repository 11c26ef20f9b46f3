//! `tollgate key`: virtual keys, through the admin API of the running gateway.

use super::listing::Listing;
use crate::{
    admin::{Admin, segment},
    cli::Access,
    fault::Fault,
    printer::Printer,
    runtime,
    status::Status,
    time::Span,
};
use clap::{Args, Subcommand};
use serde::Serialize;

mod record;

pub(crate) use record::{Created, Key as Record};

/// Make, list, rotate and revoke virtual keys.
///
/// A virtual key is what clients present to the gateway in place of an API key. It says for whom a request is made
/// and what it may ask. These commands speak to the running gateway, which they find by its data folder.
#[derive(Debug, Args)]
pub(crate) struct Key {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Create(Create),
    /// List all virtual keys, without their secrets.
    List(Listing),
    Rotate(Rotate),
    Revoke(Revoke),
}

/// Make a virtual key. Its secret is shown once, now, and never again.
///
/// Names have 1 to 64 letters, digits or characters of `._@-`, and begin with a letter or a digit.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tollgate key create --team platform --user ci
  tollgate key create --team support --model 'claude-haiku-*' --expires 90d
  export ANTHROPIC_AUTH_TOKEN=$(tollgate key create --team platform --quiet)")]
struct Create {
    /// The team that the key belongs to.
    #[arg(long)]
    team: String,
    /// The person or program that will use it.
    #[arg(long)]
    user: Option<String>,
    /// The project that it is for.
    #[arg(long)]
    project: Option<String>,
    /// The organisation. Without it: `default`.
    #[arg(long)]
    org: Option<String>,
    /// A model that may be asked for, with * for any characters at one end; may be repeated. Without it: all.
    #[arg(long = "model", value_name = "PATTERN")]
    models: Vec<String>,
    /// How long it is good: a number and a unit, s, m, h, d or w, as in 90d. Without it: until it is revoked.
    #[arg(long, value_name = "SPAN")]
    expires: Option<Span>,
    /// A remark for those who read the list.
    #[arg(long, value_name = "TEXT")]
    note: Option<String>,
    /// Print JSON: {"secret": ..., "key": {...}}.
    #[arg(long, conflicts_with = "quiet")]
    json: bool,
    #[command(flatten)]
    access: Access,
}

/// Make a new key in the place of one, which stays good for a while.
///
/// The new key has the scope, the models and the expiry of the old one. Its secret is shown once, now.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  tollgate key rotate key_01KB7ZC2C8M4X9V0R3T5W6Y8ZA --grace 24h")]
struct Rotate {
    /// The id of the key, key_... in the list.
    id: String,
    /// How long the old key stays good: a number and a unit, s, m, h, d or w; 0s ends it at once.
    #[arg(long, value_name = "SPAN", default_value = "24h")]
    grace: Span,
    /// Print JSON: {"secret": ..., "key": {...}}.
    #[arg(long, conflicts_with = "quiet")]
    json: bool,
    #[command(flatten)]
    access: Access,
}

/// End a key, for good and at once. Requests that are under way finish.
#[derive(Debug, Args)]
struct Revoke {
    /// The id of the key, key_... in the list.
    id: String,
    #[command(flatten)]
    access: Access,
}

/// What the admin API is told about a new key.
#[derive(Debug, Default, Serialize)]
pub(crate) struct NewKey {
    /// See [`Create`]; the others too.
    pub(crate) team: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) user: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) project: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) org: Option<String>,
    pub(crate) models: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) expires_in_seconds: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) note: Option<String>,
}

#[derive(Debug, Serialize)]
struct Rotation {
    grace_seconds: u64,
}

#[derive(Debug, Serialize)]
struct Nothing {}

impl NewKey {
    /// Makes the key.
    ///
    /// # Errors
    ///
    /// As [`Admin::change`].
    pub(crate) async fn create(&self, admin: &Admin) -> Result<Created, Fault> {
        admin.change("/admin/v1/keys", self).await
    }
}

impl Key {
    pub(crate) fn run(self, printer: &Printer) -> Result<Status, Fault> {
        match self.command {
            Command::Create(wish) => {
                let admin = Admin::reach(&wish.access)?;
                let json = wish.json;
                show(&runtime::ask(wish.new_key().create(&admin))?, json, printer)?;
            }
            Command::Rotate(wish) => {
                let admin = Admin::reach(&wish.access)?;
                let path = format!("/admin/v1/keys/{}/rotate", segment(&wish.id));
                let rotation = Rotation { grace_seconds: wish.grace.seconds() };
                show(&runtime::ask(admin.change(&path, &rotation))?, wish.json, printer)?;
                printer.say(&format!("{} stays good for {} s", wish.id, rotation.grace_seconds));
            }
            Command::Revoke(wish) => {
                let path = format!("/admin/v1/keys/{}/revoke", segment(&wish.id));
                let admin = Admin::reach(&wish.access)?;
                let key: Record = runtime::ask(admin.change(&path, &Nothing {}))?;
                printer.say(&format!("{} ({}) is revoked", key.id, key.hint));
            }
            Command::List(listing) => listing.print("/admin/v1/keys", record::table, printer)?,
        }
        Ok(Status::Done)
    }
}

impl Create {
    fn new_key(self) -> NewKey {
        NewKey {
            team: self.team,
            user: self.user,
            project: self.project,
            org: self.org,
            models: self.models,
            expires_in_seconds: self.expires.map(Span::seconds),
            note: self.note,
        }
    }
}

/// Shows a key that was just made: the only time that its secret is seen.
fn show(created: &Created, json: bool, printer: &Printer) -> Result<(), Fault> {
    if json {
        return printer.answer(&record::json(created));
    }
    if printer.is_quiet() {
        return printer.answer(&created.secret);
    }
    printer.answer(&format!("{}\nsecret   {}", created.key.facts(), created.secret))?;
    printer.say("\nKeep the secret now: it is not stored and can not be shown again.");
    Ok(())
}
