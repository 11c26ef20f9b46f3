//! `doctor client`: what Claude Code is told by its environment and its settings files, and which of it wins.

use std::{fs, path::Path, path::PathBuf};

use super::{
    Examined,
    rules::{SETTINGS, SHADOWED},
};
use crate::{
    client::settings::{Folders, Scope, Settings},
    finding::{Finding, Ground::Proven, Place},
};

mod address;
mod certificates;
mod credentials;
mod key_program;
mod request;

/// Everything that tells Claude Code what to do.
pub(crate) struct Patient {
    /// The settings files that count, the strongest first.
    files: Vec<Settings>,
    /// What came of reading them.
    read: Vec<Finding>,
    /// The environment of the shell.
    shell: Vec<(String, String)>,
    /// Where Claude Code is started.
    project: PathBuf,
}

/// Where a value comes from.
#[derive(Clone, Copy)]
enum Origin<'p> {
    File(&'p Settings),
    Shell,
}

/// A value, and where it comes from.
struct Set<'p> {
    value: String,
    origin: Origin<'p>,
}

/// The variables that decide where requests go and who makes them.
const TELLING: [&str; 26] = [
    "ANTHROPIC_BASE_URL",
    "ANTHROPIC_AUTH_TOKEN",
    "ANTHROPIC_API_KEY",
    "ANTHROPIC_CUSTOM_HEADERS",
    "ANTHROPIC_MODEL",
    "ANTHROPIC_DEFAULT_OPUS_MODEL",
    "ANTHROPIC_DEFAULT_SONNET_MODEL",
    "ANTHROPIC_DEFAULT_HAIKU_MODEL",
    "ANTHROPIC_SMALL_FAST_MODEL",
    "CLAUDE_CODE_SUBAGENT_MODEL",
    "ANTHROPIC_BEDROCK_BASE_URL",
    "ANTHROPIC_VERTEX_BASE_URL",
    "ANTHROPIC_FOUNDRY_BASE_URL",
    "ANTHROPIC_AWS_BASE_URL",
    "ANTHROPIC_BEDROCK_MANTLE_BASE_URL",
    "CLAUDE_CODE_USE_BEDROCK",
    "CLAUDE_CODE_USE_VERTEX",
    "CLAUDE_CODE_USE_FOUNDRY",
    "CLAUDE_CODE_USE_ANTHROPIC_AWS",
    "CLAUDE_CODE_USE_MANTLE",
    "NODE_EXTRA_CA_CERTS",
    "CLAUDE_CODE_CLIENT_CERT",
    "CLAUDE_CODE_CLIENT_KEY",
    "HTTPS_PROXY",
    "HTTP_PROXY",
    "NO_PROXY",
];

impl Patient {
    /// Reads the settings files.
    pub(crate) fn read(folders: &Folders, command_line: Option<&Path>, shell: Vec<(String, String)>) -> Self {
        let (mut files, mut read) = (Vec::new(), Vec::new());
        for (scope, path) in folders.files(command_line) {
            match Settings::read(scope, &path) {
                Ok(Some(settings)) => {
                    let says = format!("{} ({})", path.display(), scope.name());
                    read.push(Finding::pass(&SETTINGS, Proven, says));
                    files.push(settings);
                }
                Ok(None) if scope == Scope::CommandLine => {
                    let says = format!("there is no {}", path.display());
                    read.push(Finding::fail(&SETTINGS, Proven, says).cure("Name the file that `claude --settings` gets."));
                }
                Ok(None) => {}
                Err(bad) => read.push(
                    Finding::fail(&SETTINGS, Proven, format!("{bad}; the whole file counts for nothing"))
                        .at(bad.place(&path))
                        .cure("Repair it at that place. It is JSON, without comments and without commas at the end of lists."),
                ),
            }
        }
        if read.is_empty() {
            read.push(Finding::pass(
                &SETTINGS,
                Proven,
                "there is no settings file; the environment alone counts",
            ));
        }
        let project = fs::canonicalize(&folders.project).unwrap_or_else(|_| folders.project.clone());
        Self { files, read, shell, project }
    }

    /// The `apiKeyHelper` that is run.
    pub(crate) fn helper(&self) -> Option<&str> {
        self.text("apiKeyHelper").map(|(_, command)| command).filter(|command| !command.trim().is_empty())
    }

    /// Looks at everything. Gives what must be shown nowhere, too.
    pub(crate) async fn examine(&self, runs_helper: bool) -> (Examined, Vec<String>) {
        let mut secrets = credentials::secrets(self);
        secrets.extend(super::proxy::secrets());
        let mut findings = self.read.clone();
        findings.extend(address::look(self));
        findings.extend(self.shadowed());
        findings.extend(credentials::look(self));
        if let Some(command) = self.helper().filter(|_| runs_helper) {
            let ran = key_program::run(command, &self.project, key_program::PATIENCE).await;
            findings.extend(ran.findings);
            secrets.extend(ran.secrets);
        }
        findings.extend(credentials::exposed(self));
        findings.extend(certificates::look(self));
        findings.extend(request::look(self));
        (Examined { findings, product: None }, secrets)
    }

    /// All places where a variable is set, the one that wins first: the files before the shell.
    fn all(&self, name: &str) -> Vec<Set<'_>> {
        let in_file = |file| Some(Set { value: Settings::variable(file, name)?, origin: Origin::File(file) });
        let mut all: Vec<Set<'_>> = self.files.iter().filter_map(in_file).collect();
        let in_shell = self.shell.iter().find(|(given, _)| given == name);
        all.extend(in_shell.map(|(_, value)| Set { value: value.clone(), origin: Origin::Shell }));
        all
    }

    /// A variable as Claude Code sees it. An empty one is not set, and hides what is weaker.
    fn variable(&self, name: &str) -> Option<Set<'_>> {
        self.all(name).into_iter().next().filter(|set| !set.value.trim().is_empty())
    }

    /// A text at the top of the settings.
    fn text(&self, key: &str) -> Option<(Origin<'_>, &str)> {
        self.files.iter().find_map(|file| Some((Origin::File(file), file.text_of(key)?)))
    }

    /// What is set to different values in several places.
    fn shadowed(&self) -> Vec<Finding> {
        let differ = |name: &&str| {
            let all = self.all(name);
            let winner = all.first()?;
            let others: Vec<String> =
                all.iter().filter(|set| set.value != winner.value).map(|set| set.origin.name()).collect();
            (!others.is_empty()).then(|| {
                let says = format!("{name} of {} wins over {}", winner.origin.name(), others.join(" and "));
                let cure = "Remove the ones that are not meant.";
                placed(Finding::fail(&SHADOWED, Proven, says).cure(cure), winner.origin, &["env", name])
            })
        };
        TELLING.iter().filter_map(differ).collect()
    }
}

impl Origin<'_> {
    fn name(&self) -> String {
        match self {
            Self::File(settings) => settings.path.display().to_string(),
            Self::Shell => "the environment".to_owned(),
        }
    }
}

/// The finding with the place of the member that it is about, if that stands in a file.
fn placed(finding: Finding, origin: Origin<'_>, path: &[&str]) -> Finding {
    let place: Option<Place> = match origin {
        Origin::File(settings) => settings.place(path),
        Origin::Shell => None,
    };
    match place {
        Some(place) => finding.at(place),
        None => finding,
    }
}

#[cfg(test)]
mod tests;
