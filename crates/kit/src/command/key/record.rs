//! Keys as the admin API describes them.

use crate::{
    table::{Column, Table, visible},
    time::brief,
};
use serde::{Deserialize, Serialize};
use std::fmt;

/// A key, without anything secret.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Key {
    /// `key_` and 26 characters.
    pub(crate) id: String,
    /// The first characters of the secret, enough to recognise it.
    pub(crate) hint: String,
    org: String,
    team: String,
    project: Option<String>,
    user: Option<String>,
    models: Vec<String>,
    created_at: String,
    expires_at: Option<String>,
    state: String,
    state_at: Option<String>,
    replaced_by: Option<String>,
    rotated_from: Option<String>,
    note: Option<String>,
}

/// A key that was just made.
#[derive(Serialize, Deserialize)]
pub(crate) struct Created {
    /// What clients present.
    pub(crate) secret: String,
    /// The key.
    pub(crate) key: Key,
}

impl fmt::Debug for Created {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Created").field("key", &self.key).finish_non_exhaustive()
    }
}

impl Key {
    /// What there is to know about it, a line for each fact.
    pub(crate) fn facts(&self) -> String {
        let org = if self.org == "default" { "" } else { self.org.as_str() };
        let facts = [
            ("key", self.id.as_str()),
            ("org", org),
            ("team", self.team.as_str()),
            ("project", self.project.as_deref().unwrap_or_default()),
            ("user", self.user.as_deref().unwrap_or_default()),
            ("models", &self.models()),
            ("expires", &self.expires_at.as_deref().map_or("never".to_owned(), brief)),
            ("note", self.note.as_deref().unwrap_or_default()),
        ];
        let filled = facts.iter().filter(|(_, value)| !value.is_empty());
        let lines: Vec<String> =
            filled.map(|(name, value)| format!("{name:<8} {}", visible(value))).collect();
        lines.join("\n")
    }

    fn models(&self) -> String {
        if self.models.is_empty() { "all".to_owned() } else { self.models.join(", ") }
    }

    fn state(&self) -> String {
        let at = self.state_at.as_deref().map(brief);
        match (self.state.as_str(), at) {
            ("grace", Some(at)) => format!("good until {at}"),
            (state, Some(at)) => format!("{state} {at}"),
            (state, None) => state.to_owned(),
        }
    }

    fn cells(&self) -> Vec<String> {
        let or_empty = |text: &Option<String>| text.clone().unwrap_or_default();
        vec![
            self.id.clone(),
            self.hint.clone(),
            if self.org == "default" { String::new() } else { self.org.clone() },
            self.team.clone(),
            or_empty(&self.project),
            or_empty(&self.user),
            self.models(),
            self.state(),
            self.expires_at.as_deref().map(brief).unwrap_or_default(),
            or_empty(&self.replaced_by),
            or_empty(&self.note),
        ]
    }
}

/// All keys for people. Times are in UTC.
pub(crate) fn table(keys: &[Key]) -> String {
    if keys.is_empty() {
        return "no keys\n".to_owned();
    }
    let columns =
        ["id", "hint", "org", "team", "project", "user", "models", "state", "expires", "replaced by", "note"];
    let mut table = Table::new(columns.map(|name| Column::Text(name.to_owned())));
    for key in keys {
        table.row(key.cells());
    }
    table.text()
}

/// For programs.
pub(crate) fn json(value: &impl Serialize) -> String {
    crate::json::pretty(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys() -> Vec<Key> {
        let text = r#"[
          {"id":"key_00000000000000000000000001","hint":"tg_ab12","org":"default","team":"platform","project":null,
           "user":"ci","models":[],"created_at":"2026-11-01T08:00:00.000Z","expires_at":null,"state":"active",
           "state_at":null,"replaced_by":null,"rotated_from":null,"note":null},
          {"id":"key_00000000000000000000000002","hint":"tg_cd34","org":"default","team":"support","project":null,
           "user":null,"models":["claude-haiku-*","claude-sonnet-5"],"created_at":"2026-11-01T08:00:00.000Z",
           "expires_at":"2027-01-30T08:00:00.000Z","state":"grace","state_at":"2026-11-02T08:00:00.000Z",
           "replaced_by":"key_00000000000000000000000003","rotated_from":null,"note":"line\u001b[2J"}]"#;
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn keys_are_listed_without_empty_columns() {
        insta::assert_snapshot!(table(&keys()));
        assert_eq!(table(&[]), "no keys\n");
    }

    #[test]
    fn a_new_key_is_told_by_its_facts_and_never_debugged() {
        let mut keys = keys();
        insta::assert_snapshot!(keys[1].facts());
        let created = Created { secret: "tg_canary".to_owned(), key: keys.remove(0) };
        assert!(!format!("{created:?}").contains("canary"));
    }
}
