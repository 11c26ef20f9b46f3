use std::{fs, os::unix::fs::PermissionsExt};

use tempfile::TempDir;

use super::*;
use crate::finding::Outcome;

/// A home, a project and managed settings, each with its file.
struct Machine(TempDir);

impl Machine {
    fn new(files: Named<'_>) -> Self {
        let top = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = top.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        }
        fs::create_dir_all(top.path().join("project")).unwrap();
        Self(top)
    }

    fn folders(&self) -> Folders {
        let at = |name: &str| self.0.path().join(name);
        Folders { user: at("user"), project: at("project"), managed: at("managed") }
    }

    /// The rules that do not hold.
    async fn wrong(&self, shell: Named<'_>) -> Vec<&'static str> {
        let shell = shell.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let patient = Patient::read(&self.folders(), None, shell);
        let (examined, _) = patient.examine(true).await;
        let failed =
            examined.findings.into_iter().filter(|finding| !matches!(finding.outcome, Outcome::Pass(_)));
        failed.map(|finding| finding.rule.id).collect()
    }
}

/// Files, or variables, and what they hold.
type Named<'t> = &'t [(&'t str, &'t str)];

const USER: &str = "user/settings.json";
const PROJECT: &str = "project/.claude/settings.json";
const URL: (&str, &str) = ("ANTHROPIC_BASE_URL", "https://gw.example");
const TOKEN: (&str, &str) = ("ANTHROPIC_AUTH_TOKEN", "canary-0123456789abcdef");

#[tokio::test]
async fn each_fault_of_a_client_is_found_and_no_other() {
    let rows: [(Named<'_>, Named<'_>, &[&str]); 17] = [
        (&[], &[URL, TOKEN], &[]),
        (&[], &[TOKEN], &["client.base_url"]),
        (&[], &[URL], &["client.credential"]),
        (&[], &[("ANTHROPIC_BASE_URL", "gw.example"), TOKEN], &["client.base_url"]),
        (&[], &[("ANTHROPIC_BASE_URL", "https://gw.example/v1"), TOKEN], &["line.url"]),
        (&[], &[URL, TOKEN, ("ANTHROPIC_API_KEY", "canary-abcdef0123456789")], &["client.conflict"]),
        (&[], &[URL, ("ANTHROPIC_AUTH_TOKEN", "Bearer canary-0123456789")], &["client.credential"]),
        (&[], &[URL, TOKEN, ("CLAUDE_CODE_USE_BEDROCK", "1")], &["client.provider"]),
        (&[], &[URL, TOKEN, ("ANTHROPIC_MODEL", "claude-3-5-sonnet-20241022")], &["client.model"]),
        (&[], &[URL, TOKEN, ("CLAUDE_CODE_CLIENT_KEY", "k.pem")], &["client.certificate"]),
        (&[], &[URL, TOKEN, ("NODE_EXTRA_CA_CERTS", "/no/such/file")], &["client.ca"]),
        (
            &[],
            &[URL, TOKEN, ("ANTHROPIC_CUSTOM_HEADERS", "X-Team: a\nX-Api-Key: canary-1")],
            &["client.headers"],
        ),
        (
            &[(USER, r#"{"env":{"ANTHROPIC_BASE_URL":"https://other.example"}}"#)],
            &[URL, TOKEN],
            &["client.shadowed"],
        ),
        (&[(USER, "{ // note\n}")], &[URL, TOKEN], &["client.settings"]),
        (
            &[(PROJECT, r#"{"env":{"ANTHROPIC_AUTH_TOKEN":"canary-0123456789abcdef"}}"#)],
            &[URL],
            &["client.exposed"],
        ),
        (&[(USER, r#"{"apiKeyHelper":"exit 1"}"#)], &[URL], &["client.helper"]),
        (
            &[("managed/managed-settings.json", r#"{"forceLoginMethod":"console"}"#)],
            &[URL, TOKEN],
            &["client.login"],
        ),
    ];
    for (files, shell, expected) in rows {
        assert_eq!(Machine::new(files).wrong(shell).await, expected, "{files:?} {shell:?}");
    }
}

#[tokio::test]
async fn a_file_that_others_can_read_must_hold_no_credential() {
    let settings =
        r#"{"env":{"ANTHROPIC_BASE_URL":"https://gw.example","ANTHROPIC_AUTH_TOKEN":"canary-0123456789"}}"#;
    let machine = Machine::new(&[(USER, settings)]);
    assert_eq!(machine.wrong(&[]).await, Vec::<&str>::new());
    fs::set_permissions(machine.0.path().join(USER), fs::Permissions::from_mode(0o644)).unwrap();
    assert_eq!(machine.wrong(&[]).await, ["client.exposed"]);
}

#[test]
fn the_strongest_place_wins_and_an_empty_value_hides_what_is_weaker() {
    let token = |value: &str| format!(r#"{{"env":{{"ANTHROPIC_AUTH_TOKEN":"{value}"}}}}"#);
    let (user, project, local) = (token("user"), token("project"), token("local"));
    let managed = token("managed");
    let files = [
        (USER, user.as_str()),
        (PROJECT, project.as_str()),
        ("project/.claude/settings.local.json", local.as_str()),
        ("managed/managed-settings.json", managed.as_str()),
        ("managed/managed-settings.d/1.json", r#"{"env":{"ANTHROPIC_AUTH_TOKEN":""}}"#),
    ];
    let shell = || vec![("ANTHROPIC_AUTH_TOKEN".to_owned(), "shell".to_owned())];
    let winner = |files: Named<'_>| {
        let machine = Machine::new(files);
        let patient = Patient::read(&machine.folders(), None, shell());
        patient.variable("ANTHROPIC_AUTH_TOKEN").map(|set| set.value)
    };
    for (count, value) in [
        (0, Some("shell")),
        (1, Some("user")),
        (2, Some("project")),
        (3, Some("local")),
        (4, Some("managed")),
        (5, None),
    ] {
        assert_eq!(winner(&files[..count]).as_deref(), value, "{count} files");
    }
}
