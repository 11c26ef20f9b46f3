//! Claude Code on a desk of its own: a home without history, and an environment of exactly what a test says.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;
use tokio::process::Command;

use crate::process::Done;
use crate::{installed, process};

/// No prompt may take longer. A client that tries a refused credential again would need three minutes.
const LIMIT: Duration = Duration::from_secs(60);
/// Silences what does not go through the gateway. It could not get out anyway, but would wait for it.
const QUIET: [&str; 5] = [
    "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC",
    "DISABLE_AUTOUPDATER",
    "DISABLE_BUG_COMMAND",
    "DISABLE_ERROR_REPORTING",
    "DISABLE_TELEMETRY",
];

/// Claude Code, and where it lives.
pub struct Claude {
    home: TempDir,
    variables: Vec<(String, String)>,
    arguments: Vec<String>,
}

impl Claude {
    /// Claude Code pointed at a gateway, without a credential.
    pub fn at(base_url: &str) -> Self {
        let home = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(home.path().join("project")).unwrap();
        std::fs::create_dir_all(home.path().join(".claude")).unwrap();
        Claude { home, variables: Vec::new(), arguments: Vec::new() }.with("ANTHROPIC_BASE_URL", base_url)
    }

    /// Sets a variable of its environment.
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Adds arguments to its command line.
    pub fn arguments(mut self, arguments: &[&str]) -> Self {
        self.arguments.extend(arguments.iter().map(|&argument| argument.to_owned()));
        self
    }

    /// Configures an `apiKeyHelper`: a script that prints the keys one after the other, and then the last for ever.
    pub fn with_key_helper(self, keys: &[&str]) -> Self {
        let (helper, keys_file) = (self.home.path().join("helper"), self.home.path().join("keys"));
        std::fs::write(&keys_file, keys.join("\n") + "\n").unwrap();
        let script = format!(
            "#!/bin/sh\nhead -n 1 {0}\nif [ $(wc -l < {0}) -gt 1 ]; then sed -i 1d {0}; fi\n",
            keys_file.display()
        );
        std::fs::write(&helper, script).unwrap();
        std::fs::set_permissions(&helper, std::fs::Permissions::from_mode(0o700)).unwrap();
        let settings = serde_json::json!({ "apiKeyHelper": helper });
        std::fs::write(self.kept("settings.json"), settings.to_string()).unwrap();
        self
    }

    /// What it has kept in its own folder.
    pub fn kept(&self, path: &str) -> PathBuf {
        self.home.path().join(".claude").join(path)
    }

    /// `claude -p PROMPT`: what a person would see.
    pub async fn ask(&self, prompt: &str) -> Done {
        self.run(&[], prompt).await
    }

    /// The same, as the one JSON object that `--output-format json` prints.
    pub async fn ask_for_json(&self, prompt: &str) -> Value {
        let done = self.run(&["--output-format", "json"], prompt).await;
        serde_json::from_str(&done.stdout).unwrap_or_else(|error| panic!("{error}: {done:#?}"))
    }

    /// The same, as the lines that `--output-format stream-json` prints while it works.
    pub async fn ask_for_lines(&self, prompt: &str) -> Vec<Value> {
        let done = self.run(&["--output-format", "stream-json", "--verbose"], prompt).await;
        let line = |line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {done:#?}"));
        done.stdout.lines().map(line).collect()
    }

    async fn run(&self, arguments: &[&str], prompt: &str) -> Done {
        let mut command = Command::new(installed::claude());
        command.arg("-p").args(arguments).args(&self.arguments).args(["--", prompt]);
        command.env_clear().current_dir(self.home.path().join("project"));
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("HOME", self.home.path()).env("CLAUDE_CODE_TMPDIR", self.home.path());
        command.env("SHELL", "/bin/bash");
        command.envs(QUIET.map(|name| (name, "1"))).envs(self.variables.iter().cloned());
        process::run(command, LIMIT).await
    }
}
