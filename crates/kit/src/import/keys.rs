//! Keys of LiteLLM, which keeps of each the SHA-256: whoever holds one goes on using it.

use super::{
    Notes, Teams,
    budget::{Limits, instant},
    respelled,
    rows::{self, Row},
    rules,
};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use tollgate_config::problem::conceal;
use tollgate_policy::{access::Models, credential::ForeignHash, unit::UnixMs};

/// Where messages are asked for.
const MESSAGES: &str = "/v1/messages";
/// The longest note of a key that the gateway takes, in characters.
const NOTE_CHARS: usize = 256;

/// A key that comes over.
#[derive(Debug)]
pub(crate) struct Key {
    /// What the admin API is told.
    pub(crate) wish: Wish,
    /// What it may use.
    pub(crate) limits: Limits,
}

/// What the admin API is told of a key.
#[derive(Debug, Serialize)]
pub(crate) struct Wish {
    pub(crate) sha256: String,
    pub(crate) team: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) user: Option<String>,
    pub(crate) models: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) expires_at: Option<UnixMs>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) note: Option<String>,
}

impl Key {
    /// What the names of its allowances begin with.
    pub(crate) fn short(&self) -> String {
        format!("key-{}", &self.wish.sha256[..12])
    }
}

/// What is known when keys are read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Known<'a> {
    /// Where the names of models lead.
    pub(crate) models: &'a BTreeMap<String, Vec<String>>,
    /// The teams that keys name.
    pub(crate) teams: &'a Teams,
    /// The team of keys that name none.
    pub(crate) team: &'a str,
    /// The present.
    pub(crate) now: UnixMs,
}

/// Reads the answer of `/key/list`, or an export of the table.
pub(crate) fn read(text: &str, known: Known<'_>, notes: &mut Notes<'_>) -> Option<Vec<Key>> {
    let rows = rows::read(text, "keys", "token", notes)?;
    let mut seen = BTreeSet::new();
    let mut keys = Vec::new();
    for (number, row) in (1..).zip(&rows) {
        let alias = row.text("key_alias").map(|alias| conceal(&alias));
        let label = match &alias {
            Some(alias) => format!("key {number}, `{alias}`,"),
            None => format!("key {number}"),
        };
        let key = match key(row, alias, &label, known, notes) {
            Ok(key) => key,
            Err((says, cure)) => {
                notes.add(&rules::KEY, row.at, format!("{label} stays behind: {says}"), cure);
                continue;
            }
        };
        if !seen.insert(key.wish.sha256.clone()) {
            notes.add(
                &rules::KEY,
                row.at,
                format!("{label} is in the list twice"),
                "nothing: the first one counts.",
            );
            continue;
        }
        keys.push(key);
    }
    notes.read_as(&format!("a list of keys of LiteLLM: {}", rows.len()));
    Some(keys)
}

/// Fields of a key that have no counterpart. Most bound what it may do.
const LEFT: [&str; 14] = [
    "access_group_ids",
    "aliases",
    "allowed_cache_controls",
    "allowed_routes",
    "auto_rotate",
    "budget_limits",
    "config",
    "metadata",
    "model_max_budget",
    "object_permission_id",
    "organization_id",
    "permissions",
    "policies",
    "project_id",
];

/// Why a key stays behind, and what to do.
type Refused = (String, &'static str);

fn key(
    row: &Row,
    alias: Option<String>,
    label: &str,
    known: Known<'_>,
    notes: &mut Notes<'_>,
) -> Result<Key, Refused> {
    let token = row.text("token").unwrap_or_default();
    if token.parse::<ForeignHash>().is_err() {
        let says = "its `token` is no SHA-256 of 64 hexadecimal digits".to_owned();
        return Err((says, "export the column `token` as it is; never put keys themselves into a file."));
    }
    if row.flag("blocked") {
        return Err(("it is blocked".to_owned(), "unblock it there, and import again, if it is to serve."));
    }
    let routes = row.list("allowed_routes");
    if !routes.is_empty() && !routes.iter().any(|route| leads_to_messages(route)) {
        let says = "it may not ask for messages: `allowed_routes`".to_owned();
        return Err((says, "allow it `/v1/messages` there, and import again, if it is to serve."));
    }
    let expires_at = expiry(row, known.now)?;
    let (team, of_team) = team(row, known)?;
    let limits = Limits::of(|field| row.text(field));
    let limits = limits.or(Limits::of(|field| row.inner("litellm_budget_table", field)));
    if let Some(field) = limits.unreadable {
        return Err((format!("its `{field}` can not be read"), "repair it in the file, and import again."));
    }
    if limits.is_shut() {
        return Err((
            "its budget is used up, or a limit is zero".to_owned(),
            "grant it more there, and import again.",
        ));
    }
    if row.holds("budget_id") && !row.holds("litellm_budget_table") {
        let says = format!("{label} has a budget in another table, which is not in this file: `budget_id`");
        notes.add(
            &rules::BUDGET,
            row.at,
            says,
            "export keys by the API, which joins it, or write an allowance.",
        );
    }
    let models = models(&row.list("models"), of_team, known)?;
    let left: Vec<String> =
        LEFT.iter().filter(|field| row.holds(field)).map(|field| format!("`{field}`")).collect();
    if !left.is_empty() {
        let says = format!("{label} comes over without {}", left.join(", "));
        let cure = "see whether it may do more than it should: models and allowances bound it here.";
        notes.add(&rules::FIELD, row.at, says, cure);
    }
    limits.tell(label, row.at, notes);
    let before = row.text("user_id").filter(|user| user != "default_user_id");
    let user = before.as_deref().and_then(respelled).map(|name| name.to_string());
    if user != before {
        let says = format!("the user of {label} is called `{}` here", user.as_deref().unwrap_or("nobody"));
        notes.add(&rules::NAME, row.at, says, "nothing, if you like that name.");
    }
    let note = alias.map(|alias| alias.chars().take(NOTE_CHARS).collect());
    Ok(Key { wish: Wish { sha256: token, team, user, models, expires_at, note }, limits })
}

/// Whether a route that LiteLLM allows a key, or a group of them, is one to the Messages API.
fn leads_to_messages(route: &str) -> bool {
    match route.strip_suffix('*') {
        Some(start) => MESSAGES.starts_with(start),
        None => [MESSAGES, "anthropic_routes", "llm_api_routes"].contains(&route),
    }
}

fn expiry(row: &Row, now: UnixMs) -> Result<Option<UnixMs>, Refused> {
    let Some(text) = row.text("expires") else { return Ok(None) };
    match instant(&text) {
        None => Err(("its expiry can not be read".to_owned(), "write it as 2026-12-31T00:00:00Z.")),
        Some(at) if at <= now => {
            Err(("it has expired".to_owned(), "nothing, or make its holder a key of Tollgate."))
        }
        at => Ok(at),
    }
}

/// The team of a key, and the models of that team.
fn team<'a>(row: &Row, known: Known<'a>) -> Result<(String, &'a [String]), Refused> {
    let Some(id) = row.text("team_id") else { return Ok((known.team.to_owned(), &[])) };
    match known.teams.find(&id) {
        Some(team) if team.is_shut => {
            Err(("its team is blocked".to_owned(), "unblock the team there, and import again."))
        }
        Some(team) => Ok((team.name.to_string(), &team.models)),
        // Without the list of teams nobody knows what bounds them.
        None => Err(("its team is not in the list of teams".to_owned(), "give the whole list with --teams.")),
    }
}

/// The patterns for the models that both a key and its team may use; none where they are all.
fn models(names: &[String], of_team: &[String], known: Known<'_>) -> Result<Vec<String>, Refused> {
    let is_of_team = names.iter().any(|name| name == "all-team-models");
    let own = patterns(if is_of_team { &[] } else { names }, known)?;
    let of_team = patterns(of_team, known)?;
    let (own, of_team) = match (own, of_team) {
        (None, None) => return Ok(Vec::new()),
        (Some(models), None) | (None, Some(models)) => return Ok(models.patterns().to_vec()),
        (Some(own), Some(of_team)) => (own, of_team),
    };
    // Of two patterns of which one holds all that the other does, the narrower is what both hold.
    let within = |these: &Models, those: &Models| -> BTreeSet<String> {
        these.patterns().iter().filter(|pattern| those.allows(pattern)).cloned().collect()
    };
    let both = &within(&own, &of_team) | &within(&of_team, &own);
    if both.is_empty() {
        return Err((
            "none of its models is one of its team".to_owned(),
            "give it a model of its team there, and import again.",
        ));
    }
    Ok(both.into_iter().collect())
}

/// The patterns for names of models; nothing where they stand for all. Where names lead nowhere, the key must not become
/// one for all models.
fn patterns(names: &[String], known: Known<'_>) -> Result<Option<Models>, Refused> {
    if names.is_empty() || names.iter().any(|name| name == "all-proxy-models") {
        return Ok(None);
    }
    let mut patterns: Vec<String> = Vec::new();
    for name in names {
        match known.models.get(name) {
            Some(targets) => patterns.extend(targets.iter().cloned()),
            None if name == "no-default-models" => {}
            None if matches!(name.as_str(), "*" | "anthropic/*") => patterns.push("claude-*".to_owned()),
            None => patterns.push(name.strip_prefix("anthropic/").unwrap_or(name).to_owned()),
        }
    }
    patterns.sort();
    patterns.dedup();
    if patterns.is_empty() {
        return Err((
            "none of its models is one of the Anthropic API".to_owned(),
            "give it a model there, and import again.",
        ));
    }
    let models = Models::new(patterns).map_err(|_| {
        ("its models are no patterns here".to_owned(), "name models, with `*` at an end at most.")
    })?;
    Ok(Some(models))
}
