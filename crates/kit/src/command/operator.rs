//! `tollgate operator`: who may use the admin API.

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
use clap::{Args, Subcommand, ValueEnum};
use record::Made;
use serde::Serialize;
use tollgate_policy::{
    operator,
    scope::{Name, Scope},
};

mod record;

pub(super) use record::show;

/// List, make and remove those who may use the admin API.
///
/// Each operator has a token and a role of their own; what they change is written down under their name. Whoever
/// may read the data folder of the gateway needs neither, and is written down as local-admin.
#[derive(Debug, Args)]
pub(crate) struct Operator {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List all operators, without their tokens.
    List(Listing),
    Create(Create),
    Rotate(Rotate),
    Remove(Remove),
}

/// Make an operator. The token is shown once, now, and never again.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tollgate operator create ada --role admin
  tollgate operator create finance --role auditor --expires-in 90d
  tollgate operator create grace --role team-admin --team platform
  tollgate operator create bob --role developer --user bob")]
struct Create {
    /// The name that changes are signed with.
    name: Name,
    /// What they may do.
    #[arg(long, value_enum)]
    role: Role,
    /// The organisation of the team or the user. Without it: `default`.
    #[arg(long)]
    org: Option<Name>,
    /// The team of a team-admin.
    #[arg(long, required_if_eq("role", "team-admin"))]
    team: Option<Name>,
    /// The user that a developer is.
    #[arg(long, required_if_eq("role", "developer"))]
    user: Option<Name>,
    /// How long the token is good: a number and a unit, s, m, h, d or w. Without it: until it is removed.
    #[arg(long, value_name = "SPAN")]
    expires_in: Option<Span>,
    /// Print JSON.
    #[arg(long, conflicts_with = "quiet")]
    json: bool,
    #[command(flatten)]
    access: Access,
}

/// Give an operator another token, shown once, now. The old one is no longer good, at once.
#[derive(Debug, Args)]
struct Rotate {
    /// The name.
    name: String,
    /// Print JSON.
    #[arg(long, conflicts_with = "quiet")]
    json: bool,
    #[command(flatten)]
    access: Access,
}

/// Remove an operator. The token is no longer good, at once.
#[derive(Debug, Args)]
struct Remove {
    /// The name.
    name: String,
    #[command(flatten)]
    access: Access,
}

/// What an operator may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Role {
    /// Everything.
    Admin,
    /// See everything, change nothing.
    Auditor,
    /// Keys, allowances and reports of one team, within what the team is granted.
    TeamAdmin,
    /// See and rotate one's own keys, see one's own use.
    Developer,
}

/// What the admin API is told about a new operator.
#[derive(Debug, Serialize)]
struct NewOperator {
    name: Name,
    role: operator::Role,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_in_seconds: Option<u64>,
}

#[derive(Debug, Serialize)]
struct Nothing {}

const OPERATORS: &str = "/admin/v1/operators";

impl Operator {
    pub(crate) fn run(self, printer: &Printer) -> Result<Status, Fault> {
        match self.command {
            Command::List(listing) => listing.print(OPERATORS, record::table, printer)?,
            Command::Create(wish) => {
                let admin = Admin::reach(&wish.access)?;
                let json = wish.json;
                let made: Made = runtime::ask(admin.change(OPERATORS, &wish.new_operator()?))?;
                show(&made, json, printer)?;
            }
            Command::Rotate(wish) => {
                let admin = Admin::reach(&wish.access)?;
                let path = format!("{OPERATORS}/{}/rotate", segment(&wish.name));
                let made: Made = runtime::ask(admin.change(&path, &Nothing {}))?;
                show(&made, wish.json, printer)?;
            }
            Command::Remove(wish) => {
                let admin = Admin::reach(&wish.access)?;
                runtime::ask(admin.remove(&format!("{OPERATORS}/{}", segment(&wish.name))))?;
                printer.say(&format!("{} is removed", wish.name));
            }
        }
        Ok(Status::Done)
    }
}

impl Create {
    fn new_operator(self) -> Result<NewOperator, Fault> {
        let Self { name, role, org, team, user, expires_in, .. } = self;
        // What a role has no use for was probably meant for another role.
        let unused = match role {
            Role::Admin | Role::Auditor => org.as_ref().or(team.as_ref()).or(user.as_ref()),
            Role::TeamAdmin => user.as_ref(),
            Role::Developer => team.as_ref(),
        };
        if let Some(unused) = unused {
            return Err(Fault::Unfit {
                what: "--role",
                rule: format!("this role is not bound to {unused}"),
                cure: "leave that option out, or choose team-admin (with --team) or developer (with --user)."
                    .to_owned(),
            });
        }
        let org = org.unwrap_or_else(Scope::default_org);
        let role = match role {
            Role::Admin => operator::Role::Admin,
            Role::Auditor => operator::Role::Auditor,
            Role::TeamAdmin => {
                operator::Role::TeamAdmin { org, team: team.expect("the role requires --team") }
            }
            Role::Developer => {
                operator::Role::Developer { org, user: user.expect("the role requires --user") }
            }
        };
        Ok(NewOperator { name, role, expires_in_seconds: expires_in.map(Span::seconds) })
    }
}
