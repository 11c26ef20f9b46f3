//! Teams of LiteLLM: what people call them, and what they may use together.

use super::{Draft, Notes, budget::Limits, draft::quoted, respelled, rows, rules};
use std::collections::{BTreeMap, BTreeSet};
use tollgate_policy::{scope::Name, unit::UnixMs};

/// All teams, by the ids that keys name them by.
#[derive(Debug, Default)]
pub(crate) struct Teams {
    by_id: BTreeMap<String, Team>,
}

/// One team.
#[derive(Debug)]
pub(super) struct Team {
    pub(super) name: Name,
    /// The models that it may use, as LiteLLM names them; all if there are none.
    pub(super) models: Vec<String>,
    /// Nobody of it may do anything.
    pub(super) is_shut: bool,
}

impl Teams {
    pub(super) fn find(&self, id: &str) -> Option<&Team> {
        self.by_id.get(id)
    }
}

/// Fields of a team that have no counterpart. Most bound what its keys may do.
const LEFT: [&str; 9] = [
    "access_group_ids",
    "budget_limits",
    "litellm_model_table",
    "metadata",
    "model_max_budget",
    "object_permission_id",
    "organization_id",
    "policies",
    "router_settings",
];

/// Reads the answer of `/team/list`, or an export of the table. The allowances go into the document.
pub(crate) fn read(text: &str, draft: &mut Draft, now: UnixMs, notes: &mut Notes<'_>) -> Option<Teams> {
    let rows = rows::read(text, "teams", "team_id", notes)?;
    let mut teams = Teams::default();
    let mut names = BTreeSet::new();
    for (number, row) in (1..).zip(&rows) {
        let Some(id) = row.text("team_id") else {
            notes.add(
                &rules::SYNTAX,
                row.at,
                format!("team {number} has no `team_id`"),
                "export whole rows.",
            );
            continue;
        };
        let alias = row.text("team_alias").unwrap_or_else(|| id.clone());
        let Some(name) = free(&alias, &names) else {
            let says = format!("the name of team {number} has no letter and no digit");
            notes.add(
                &rules::KEY,
                row.at,
                says,
                "give it another `team_alias`; its keys stay behind until then.",
            );
            continue;
        };
        if name.as_str() != alias {
            let says = format!("the team `{alias}` is called `{name}` here");
            notes.add(&rules::NAME, row.at, says, "nothing, if you like that name.");
        }
        names.insert(name.clone());
        let limits = Limits::of(|field| row.text(field))
            .or(Limits::of(|field| row.inner("litellm_budget_table", field)));
        let is_shut = row.flag("blocked") || limits.is_shut() || limits.unreadable.is_some();
        if is_shut {
            let says = format!(
                "the team `{name}` is blocked, used up, or bounded by what can not be read: its keys stay behind"
            );
            notes.add(&rules::KEY, row.at, says, "repair that there, and import again.");
        } else {
            limits.tell(&format!("the team `{name}`"), row.at, notes);
            let whose = format!("on: {{ team: {} }}", quoted(name.as_str()));
            draft.grants.extend(limits.grants(&short(&format!("team-{name}")), &whose, now));
        }
        for field in LEFT {
            if row.holds(field) {
                let says = format!("`{field}` of the team `{name}` is not carried over");
                notes.add(
                    &rules::FIELD,
                    row.at,
                    says,
                    "see whether its keys may do more than they should: models and allowances bound them here.",
                );
            }
        }
        teams.by_id.insert(id, Team { name, models: row.list("models"), is_shut });
    }
    notes.read_as(&format!("a list of teams of LiteLLM: {}", rows.len()));
    Some(teams)
}

/// A name that no other team has.
fn free(alias: &str, names: &BTreeSet<Name>) -> Option<Name> {
    let name = respelled(alias)?;
    let numbered =
        |number: u32| format!("{}-{number}", &name.as_str()[..name.as_str().len().min(58)]).parse().ok();
    std::iter::once(Some(name.clone()))
        .chain((2..1000).map(numbered))
        .flatten()
        .find(|candidate| !names.contains(candidate))
}

/// Leaves room for what is added to the name of an allowance.
fn short(name: &str) -> String {
    name.chars().take(50).collect()
}
