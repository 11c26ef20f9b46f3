//! `tollgate import`: take the place of another gateway.

use crate::{
    admin::{Admin, Expect, segment},
    cli::Access,
    command::key::Record,
    fault::Fault,
    finding::{Finding, Ground, Outcome, Severity},
    generate::{Comment, File, write},
    import::{
        Draft, Key, Known, Notes, ROWS_BYTES_MAX, Teams, read_claude_gateway, read_keys, read_litellm,
        read_teams, rules,
    },
    printer::Printer,
    report::{Format, Printed, Report, lines},
    runtime,
    source::{CONFIG_BYTES_MAX, Source},
    status::Status,
    time::Instant,
};
use clap::{Args, Subcommand};
use serde_json::Value;
use std::{
    collections::HashSet,
    path::{Path, PathBuf},
};
use tollgate_config::load_allowance;
use tollgate_policy::{
    allowance::{ALLOWANCES_MAX, Allowance, Calendar},
    scope::Name,
    unit::UnixMs,
};

/// Make a configuration from that of another gateway, and take over its keys.
///
/// What has no counterpart is named with its place and what to do; nothing is dropped silently. Secrets are referred
/// to, never copied.
#[derive(Debug, Args)]
pub(crate) struct Import {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Litellm(Box<Litellm>),
    ClaudeGateway(ClaudeGateway),
}

const STATUS: &str = "\
It ends with 0 if a document could be made, whatever has to be decided by hand, with 1 if none could, with 2 if the
command line is wrong or a file can not be read, and with 3 if something can not be written or no gateway answers. The
rules are listed in docs/reference/rules.md, the way is described in docs/guide/migrating.md.";

/// Take the place of a LiteLLM proxy: its configuration, teams, budgets and keys.
///
/// Of a key LiteLLM keeps the SHA-256 alone. With --apply the running gateway learns it, and whoever holds the key goes
/// on using it. Without, it is said what would come over. A key never may do more than before; it may be applied again.
#[derive(Debug, Args)]
#[command(after_help = format!("\
Examples:
  tollgate import litellm config.yaml --out tollgate.yaml
  tollgate import litellm config.yaml --teams teams.json --keys keys.json --out tollgate.yaml
  tollgate import litellm config.yaml --teams teams.json --keys keys.json --apply

{STATUS}"))]
struct Litellm {
    /// The configuration, config.yaml; - for standard input.
    config: PathBuf,
    /// The answer of /team/list, or the table of teams as CSV.
    #[arg(long, value_name = "FILE")]
    teams: Option<PathBuf>,
    /// The answer of /key/list, or the table of keys as CSV; may be repeated, once for each page.
    #[arg(long, value_name = "FILE")]
    keys: Vec<PathBuf>,
    /// The team of keys that have none.
    #[arg(long, value_name = "TEAM", default_value = "litellm")]
    team: Name,
    /// The file for the new configuration; - for standard output, and the report on standard error.
    #[arg(long, value_name = "FILE", required_unless_present = "apply")]
    out: Option<PathBuf>,
    /// Make the keys and their allowances in the running gateway.
    #[arg(long, requires = "keys")]
    apply: bool,
    #[command(flatten)]
    wanted: Wanted,
    #[command(flatten)]
    access: Access,
}

/// Take the place of a Claude apps gateway, as far as its file tells.
#[derive(Debug, Args)]
#[command(after_help = format!("\
Example:
  tollgate import claude-gateway gateway.yaml --out tollgate.yaml

{STATUS}"))]
struct ClaudeGateway {
    /// The configuration, gateway.yaml; - for standard input.
    config: PathBuf,
    /// The file for the new configuration; - for standard output, and the report on standard error.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    #[command(flatten)]
    wanted: Wanted,
}

/// How the document is written, and what is said of it.
#[derive(Debug, Args)]
struct Wanted {
    /// Replace the file if it is there.
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    printed: Printed,
}

/// What was applied.
#[derive(Debug, Default)]
struct Applied {
    keys: usize,
    known: usize,
    allowances: usize,
}

impl Import {
    pub(crate) fn run(self, printer: &Printer) -> Result<Status, Fault> {
        let began = Instant::now().unix_ms();
        match self.command {
            Command::Litellm(wish) => litellm(&wish, began, printer),
            Command::ClaudeGateway(wish) => {
                let source = Source::read_at_most(&wish.config, CONFIG_BYTES_MAX)?;
                let mut notes = Notes::new(&source.name);
                let draft = read_claude_gateway(&source.text, &mut notes);
                let findings = notes.findings;
                let product = "the Claude apps gateway";
                let made =
                    Made { draft: draft.as_ref(), findings, product, file: &source.name, began_at: began };
                let is_made = made.publish(&wish.wanted, Some(&wish.out), printer)?;
                Ok(if is_made { Status::Done } else { Status::Failed })
            }
        }
    }
}

fn litellm(wish: &Litellm, now: UnixMs, printer: &Printer) -> Result<Status, Fault> {
    let source = Source::read_at_most(&wish.config, CONFIG_BYTES_MAX)?;
    let read = |path: &PathBuf| Source::read_at_most(path, ROWS_BYTES_MAX);
    let team_rows = wish.teams.as_ref().map(read).transpose()?;
    let key_rows: Vec<Source> = wish.keys.iter().map(read).collect::<Result<_, _>>()?;
    let mut notes = Notes::new(&source.name);
    let mut made = read_litellm(&source.text, wish.team.as_str(), now, &mut notes);
    let mut findings = notes.findings;
    let (mut teams, mut keys) = (Teams::default(), Vec::new());
    if let Some(made) = &mut made {
        if let Some(rows) = &team_rows {
            let mut notes = Notes::new(&rows.name);
            teams = read_teams(&rows.text, &mut made.draft, now, &mut notes).unwrap_or_default();
            findings.append(&mut notes.findings);
        }
        for rows in &key_rows {
            let mut notes = Notes::new(&rows.name);
            let known = Known { models: &made.models, teams: &teams, team: wish.team.as_str(), now };
            keys.extend(read_keys(&rows.text, known, &mut notes).unwrap_or_default());
            findings.append(&mut notes.findings);
        }
    }
    let draft = made.as_ref().map(|made| &made.draft);
    let one = Made { draft, findings, product: "LiteLLM", file: &source.name, began_at: now };
    if !one.publish(&wish.wanted, wish.out.as_deref(), printer)? {
        return Ok(Status::Failed);
    }
    let zone = made.map(|made| made.zone).unwrap_or_default();
    if wish.apply {
        let done = apply(&keys, &Calendar { zone, ..Calendar::default() }, wish, now, printer)?;
        let Applied { keys, known, allowances } = done;
        printer.say(&format!("keys: {keys} new, {known} known before; allowances: {allowances} new"));
    } else if !key_rows.is_empty() {
        printer
            .say(&format!("keys: {} can come over; --apply makes them in the running gateway", keys.len()));
    }
    Ok(Status::Done)
}

/// What came of the files.
struct Made<'a> {
    draft: Option<&'a Draft>,
    findings: Vec<Finding>,
    product: &'static str,
    file: &'a str,
    began_at: UnixMs,
}

impl Made<'_> {
    /// Says what was found, and writes the document if nothing forbids it. Gives whether nothing does.
    fn publish(self, wanted: &Wanted, out: Option<&Path>, printer: &Printer) -> Result<bool, Fault> {
        let Self { draft, mut findings, product, file, began_at } = self;
        let is_piped = out == Some(Path::new("-"));
        if is_piped && (wanted.printed.format != Format::Text || wanted.printed.output.is_some()) {
            return Err(Fault::Unfit {
                what: "--out",
                rule: "the document and the report can not both go to standard output".to_owned(),
                cure: "name a file with --out.".to_owned(),
            });
        }
        let text = draft.map(|draft| draft.text(product, file, &findings));
        if let Some(text) = &text {
            findings.extend(unaccepted(text));
        }
        let failed =
            |one: &Finding| matches!(one.outcome, Outcome::Fail(_)) && one.rule.severity == Severity::Error;
        let is_good = text.is_some() && !findings.iter().any(failed);
        let report = Report {
            tool: "import",
            subject: file.to_owned(),
            product: Some(product.to_owned()),
            began_at,
            findings,
            is_strict: false,
        };
        if is_piped {
            let said = lines(&report.findings, wanted.printed.verbose);
            if is_good { printer.say(said.trim_end()) } else { printer.warn(said.trim_end()) }
        } else {
            wanted.printed.publish(&report, printer)?;
        }
        let (Some(text), Some(out)) = (text.filter(|_| is_good), out) else { return Ok(is_good) };
        if is_piped {
            printer.answer(&text)?;
        } else {
            let path = out.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let file = File { path, text, is_secret: false, comment: Comment::Line("#") };
            let folder = out.parent().filter(|folder| !folder.as_os_str().is_empty());
            write(&[file], folder.unwrap_or(Path::new(".")), wanted.force)?;
            printer.say(&format!("{} is written; `tollgate serve --config` takes it", out.display()));
        }
        Ok(true)
    }
}

/// What `config check` would refuse.
fn unaccepted(text: &str) -> Vec<Finding> {
    let problems = tollgate_config::load(text, "").err().unwrap_or_default();
    let errors = problems.into_iter().filter(tollgate_config::Problem::is_error);
    let finding = |problem: tollgate_config::Problem| {
        let says = format!("`{}` would hold what is not taken here: {}", problem.path, problem.rule);
        Finding::fail(&rules::ACCEPTED, Ground::Proven, says).cure(problem.cure)
    };
    errors.map(finding).collect()
}

/// Makes keys and their allowances, those left out that are there already: whoever applies twice changes nothing.
fn apply(
    keys: &[Key],
    calendar: &Calendar,
    wish: &Litellm,
    now: UnixMs,
    printer: &Printer,
) -> Result<Applied, Fault> {
    let admin = Admin::reach(&wish.access)?;
    let mut progress = printer.progress("keys", keys.len() as u64);
    runtime::ask(async {
        check_room(&admin, keys, now).await?;
        let before: Vec<Record> = admin.list("/admin/v1/keys").await?;
        let caller: Value = admin.fetch("/admin/v1/self").await?;
        let bound = own_team(&caller["role"]["team_admin"]);
        let mut applied = Applied::default();
        for key in keys {
            let record: Record = admin.change("/admin/v1/keys/import", &key.wish).await?;
            let is_known = before.iter().any(|one| one.id == record.id);
            if is_known {
                applied.known += 1
            } else {
                applied.keys += 1
            }
            let whose = format!("on: {{ {bound}key: {} }}", record.id);
            for grant in key.limits.grants(&key.short(), &whose, now) {
                let (allowance, _) =
                    load_allowance(&grant.line, &grant.name, calendar).map_err(Fault::Configuration)?;
                applied.allowances += usize::from(set(&admin, &allowance).await?);
            }
            progress.step();
        }
        progress.finish();
        Ok(applied)
    })
}

/// Looks, before any key is made, whether the gateway has room for all that bounds the keys: one that came over without
/// would be good for more than before.
async fn check_room(admin: &Admin, keys: &[Key], now: UnixMs) -> Result<(), Fault> {
    let there: Vec<Value> = admin.list("/admin/v1/allowances").await?;
    let of_api = there.iter().filter(|one| one["origin"] == "api");
    let mut names: HashSet<String> =
        of_api.filter_map(|one| Some(one["allowance"]["name"].as_str()?.to_owned())).collect();
    let before = names.len();
    let grants = keys.iter().flat_map(|key| key.limits.grants(&key.short(), "", now));
    names.extend(grants.map(|grant| grant.name));
    if names.len() <= ALLOWANCES_MAX {
        return Ok(());
    }
    Err(Fault::Unfit {
        what: "--keys",
        rule: format!(
            "the keys need {} more allowances, and the gateway has room for {} of them; nothing was made",
            names.len() - before,
            ALLOWANCES_MAX.saturating_sub(before)
        ),
        cure: "take limits that all keys have out of the rows, and write them once into the document, with \
               `each: key`; or bring over fewer keys."
            .to_owned(),
    })
}

/// How allowances name the team to which the caller is bound, who may set no others; nothing for whoever is not.
fn own_team(role: &Value) -> String {
    match (role["org"].as_str(), role["team"].as_str()) {
        (Some(org), Some(team)) => format!("org: {}, team: {}, ", Value::from(org), Value::from(team)),
        _ => String::new(),
    }
}

/// Makes an allowance, unless there is one of that name. Says whether it is new.
async fn set(admin: &Admin, allowance: &Allowance) -> Result<bool, Fault> {
    let path = format!("/admin/v1/allowances/{}", segment(allowance.name.as_str()));
    let made: Result<Value, Fault> = admin.put(&path, Expect::Absent, allowance).await;
    match made {
        Ok(_) => Ok(true),
        // Somebody may have changed it meanwhile; what they decided stands.
        Err(Fault::Refused { status: 412, .. }) => Ok(false),
        Err(fault) => Err(fault),
    }
}
