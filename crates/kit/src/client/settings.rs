//! The settings files of Claude Code, and which of them wins.
//!
//! The files and their order: <https://code.claude.com/docs/en/settings>. That the `env` of a file wins over the shell,
//! that a file with a comment or a `model` of a wrong kind is left out as a whole, that a number in `env` becomes a text,
//! and that local settings are read at the top of the repository, was measured with Claude Code 2.1.330.

use std::{
    env, fs, io,
    path::{Path, PathBuf},
};

use serde_json::Value;

use super::json::{self, NotAnObject};
use crate::finding::Place;

/// Who a file is for. The order is that of precedence: the first one that sets something wins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Scope {
    /// Everybody on this machine; nobody can override it.
    Managed,
    /// One run: `claude --settings FILE`.
    CommandLine,
    /// One person in one project.
    Local,
    /// Everybody in one project; it is committed.
    Project,
    /// One person.
    User,
}

impl Scope {
    /// It in a word or two.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Managed => "managed settings",
            Self::CommandLine => "--settings",
            Self::Local => "local project settings",
            Self::Project => "project settings",
            Self::User => "user settings",
        }
    }
}

/// Where the files are.
#[derive(Debug, Clone)]
pub(crate) struct Folders {
    /// `~/.claude`, or what CLAUDE_CONFIG_DIR names.
    pub(crate) user: PathBuf,
    /// The folder in which Claude Code is started.
    pub(crate) project: PathBuf,
    /// The folder of managed settings.
    pub(crate) managed: PathBuf,
}

/// Where an administrator puts managed settings.
pub(crate) const MANAGED: &str =
    if cfg!(target_os = "macos") { "/Library/Application Support/ClaudeCode" } else { "/etc/claude-code" };

impl Folders {
    /// The folders of this process. `managed` and `project` replace the usual ones.
    ///
    /// # Errors
    ///
    /// If there is no home folder, or no current one.
    pub(crate) fn of_this_process(managed: Option<PathBuf>, project: Option<PathBuf>) -> io::Result<Self> {
        let set = |name: &str| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let user = set("CLAUDE_CONFIG_DIR").or_else(|| Some(set("HOME")?.join(".claude")));
        let user = user.ok_or_else(|| io::Error::other("HOME is not set"))?;
        let project = project.map_or_else(env::current_dir, Ok)?;
        Ok(Self { user, project, managed: managed.unwrap_or_else(|| MANAGED.into()) })
    }

    /// The file of a scope that has one.
    pub(crate) fn file(&self, scope: Scope) -> Option<PathBuf> {
        match scope {
            Scope::Managed => Some(self.managed.join("managed-settings.json")),
            Scope::CommandLine => None,
            Scope::Local => Some(self.repository().join(".claude/settings.local.json")),
            Scope::Project => Some(self.project.join(".claude/settings.json")),
            Scope::User => Some(self.user.join("settings.json")),
        }
    }

    /// All files, the strongest first: what is dropped in beside the managed ones, by name, wins over them.
    pub(crate) fn files(&self, command_line: Option<&Path>) -> Vec<(Scope, PathBuf)> {
        let mut dropped: Vec<PathBuf> = fs::read_dir(self.managed.join("managed-settings.d"))
            .map(|entries| entries.filter_map(|entry| Some(entry.ok()?.path())).collect())
            .unwrap_or_default();
        dropped.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
        dropped.sort();
        let mut files: Vec<_> = dropped.into_iter().rev().map(|path| (Scope::Managed, path)).collect();
        for scope in [Scope::Managed, Scope::CommandLine, Scope::Local, Scope::Project, Scope::User] {
            let given = command_line.filter(|_| scope == Scope::CommandLine).map(Path::to_owned);
            files.extend(self.file(scope).or(given).map(|path| (scope, path)));
        }
        files
    }

    /// The top of the repository that the project is in; the project itself if it is in none.
    fn repository(&self) -> &Path {
        let is_top = |folder: &&Path| folder.join(".git").exists();
        self.project.ancestors().find(is_top).unwrap_or(&self.project)
    }
}

/// A settings file that is there.
#[derive(Debug)]
pub(crate) struct Settings {
    /// Who it is for.
    pub(crate) scope: Scope,
    /// Where it is.
    pub(crate) path: PathBuf,
    /// What is in it.
    pub(crate) text: String,
    /// The same, read.
    pub(crate) value: Value,
}

/// Why a settings file that is there counts for nothing.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BadSettings {
    /// It can not be read.
    #[error("it can not be read: {0}")]
    Unreadable(#[from] io::Error),
    /// It is no JSON object.
    #[error("it is not JSON as Claude Code reads it: {0}")]
    NotAnObject(#[from] NotAnObject),
    /// A value has a kind that it must not have.
    #[error("`{key}` is {kind}, and has to be {wanted}")]
    WrongKind {
        /// The key, with what it stands in.
        key: String,
        /// What it is.
        kind: &'static str,
        /// What it has to be.
        wanted: &'static str,
        /// Line and column.
        at: (usize, usize),
    },
}

impl BadSettings {
    /// Where in the file.
    pub(crate) fn place(&self, path: &Path) -> Place {
        let (line, column) = match self {
            Self::Unreadable(_) => (1, 1),
            Self::NotAnObject(fault) => (fault.line, fault.column),
            Self::WrongKind { at, .. } => *at,
        };
        Place { file: path.display().to_string(), line, column }
    }
}

impl Settings {
    /// Reads a file. None if there is none.
    ///
    /// # Errors
    ///
    /// [`BadSettings`].
    pub(crate) fn read(scope: Scope, path: &Path) -> Result<Option<Self>, BadSettings> {
        let text = match fs::read_to_string(path) {
            // A mark of byte order is no part of the text (RFC 8259, section 8.1).
            Ok(text) => text.strip_prefix('\u{feff}').map_or(text.clone(), str::to_owned),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let members = json::members(&text)?;
        // What is an object is JSON.
        let value: Value = serde_json::from_str(&text).unwrap_or_default();
        for (key, is_wanted, wanted) in [
            ("env", Value::is_object as fn(&Value) -> bool, "an object"),
            ("apiKeyHelper", Value::is_string, "a text"),
            ("model", Value::is_string, "a text"),
        ] {
            if let Some(member) = members.iter().find(|member| member.key == key)
                && !is_wanted(&value[key])
            {
                let at = json::position(&text, member.value.start);
                return Err(BadSettings::WrongKind {
                    key: key.to_owned(),
                    kind: kind(&value[key]),
                    wanted,
                    at,
                });
            }
        }
        Ok(Some(Self { scope, path: path.to_owned(), text, value }))
    }

    /// A variable of its `env`.
    pub(crate) fn variable(&self, name: &str) -> Option<String> {
        match self.value.get("env")?.get(name)? {
            Value::String(text) => Some(text.clone()),
            Value::Null => None,
            other => Some(other.to_string()),
        }
    }

    /// A text at the top of it.
    pub(crate) fn text_of(&self, key: &str) -> Option<&str> {
        self.value.get(key)?.as_str()
    }

    /// Where a member of it stands.
    pub(crate) fn place(&self, path: &[&str]) -> Option<Place> {
        let value = json::find(&self.text, path).ok()??;
        let (line, column) = json::position(&self.text, value.as_ptr().addr() - self.text.as_ptr().addr());
        Some(Place { file: self.path.display().to_string(), line, column })
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folders(top: &Path) -> Folders {
        Folders {
            user: top.join("home/.claude"),
            project: top.join("repo/sub"),
            managed: top.join("managed"),
        }
    }

    #[test]
    fn files_are_listed_by_their_precedence() {
        let top = tempfile::tempdir().unwrap();
        let folders = folders(top.path());
        fs::create_dir_all(top.path().join("repo/.git")).unwrap();
        fs::create_dir_all(top.path().join("managed/managed-settings.d")).unwrap();
        for name in ["10-a.json", "20-b.json", "notes.txt"] {
            fs::write(top.path().join("managed/managed-settings.d").join(name), "{}").unwrap();
        }
        let files = folders.files(Some(Path::new("flag.json")));
        let shown: Vec<String> = files
            .iter()
            .map(|(_, path)| path.strip_prefix(top.path()).unwrap_or(path).display().to_string())
            .collect();
        assert_eq!(
            shown,
            [
                "managed/managed-settings.d/20-b.json",
                "managed/managed-settings.d/10-a.json",
                "managed/managed-settings.json",
                "flag.json",
                "repo/.claude/settings.local.json",
                "repo/sub/.claude/settings.json",
                "home/.claude/settings.json",
            ]
        );
        assert!(files.is_sorted_by_key(|(scope, _)| *scope));
    }

    #[test]
    fn a_file_that_counts_for_nothing_is_told_with_its_place() {
        let top = tempfile::tempdir().unwrap();
        let path = top.path().join("settings.json");
        let rows = [
            ("{\n \"env\": [],\n \"x\": 1}", (2, 9), "`env` is a list"),
            ("{\n \"model\": 7}", (2, 11), "`model` is a number"),
            ("{\n // note\n}", (2, 2), "not JSON"),
        ];
        for (text, at, part) in rows {
            fs::write(&path, text).unwrap();
            let bad = Settings::read(Scope::User, &path).unwrap_err();
            let place = bad.place(&path);
            assert_eq!((place.line, place.column), at, "{bad}");
            assert!(bad.to_string().contains(part), "{bad}");
        }
        fs::remove_file(&path).unwrap();
        assert!(Settings::read(Scope::User, &path).unwrap().is_none());
    }
}
