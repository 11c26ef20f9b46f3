//! `tollgate client` and `tollgate doctor client`, in a home of their own.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
};

use tempfile::TempDir;

use crate::run::{Ran, Server, ran, tollgate};

const TOKEN: &str = "canary-0123456789abcdef";
const URL: &str = "https://gateway.example.com";

/// A home with a project in it.
struct Home(TempDir);

impl Home {
    fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        fs::create_dir_all(home.path().join("project/.claude")).unwrap();
        Self(home)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path
    }

    fn run(&self, args: &[&str]) -> Ran {
        let mut command: Command = tollgate(args);
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap());
        command.env("HOME", self.0.path()).env("TOKEN", TOKEN).current_dir(self.path("project"));
        let ran = ran(command.output().unwrap());
        let said = format!("{}{}", ran.out, ran.err);
        assert!(!said.contains("canary") && !said.contains("panicked"), "{said}");
        ran
    }

    fn setup(&self, more: &[&str]) -> Ran {
        self.run(&[&["client", "setup", "--url", URL], more].concat())
    }
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn settings_are_written_for_their_owner_alone_and_taken_back() {
    let home = Home::new();
    let path = home.path(".claude/settings.json");
    let set = home.setup(&["--token-env", "TOKEN", "--discover-models"]);
    assert_eq!((set.status, set.out.as_str()), (0, ""), "{}", set.err);
    assert!(set.err.contains("type /status"), "{}", set.err);
    let expected = format!(
        "{{\n  \"env\": {{\n    \"ANTHROPIC_BASE_URL\": \"{URL}\",\n    \"ANTHROPIC_AUTH_TOKEN\": \"{TOKEN}\",\n    \
         \"CLAUDE_CODE_ENABLE_GATEWAY_MODEL_DISCOVERY\": \"1\"\n  }}\n}}\n"
    );
    assert_eq!((fs::read_to_string(&path).unwrap(), mode(&path)), (expected, 0o600));
    let again = home.setup(&["--token-env", "TOKEN", "--discover-models"]);
    assert!(again.err.contains("is so already"), "{}", again.err);
    assert_eq!(home.run(&["client", "undo"]).status, 0);
    assert!(!path.exists());
    let nothing = home.run(&["client", "undo"]);
    assert!(nothing.status == 2 && nothing.err.contains("nothing was set up"), "{}", nothing.err);
}

#[test]
fn what_else_stands_in_a_file_stays_and_comes_back_to_the_letter() {
    let home = Home::new();
    let old = "{\n\t\"model\": \"opus\",\n\t\"env\": { \"A\": \"1\", \"ANTHROPIC_API_KEY\": \"sk-canary-old\" },\n\t\"hooks\": {}\n}";
    let path = home.write(".claude/settings.json", old);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    let dry = home.setup(&["--token-env", "TOKEN", "--dry-run"]);
    assert_eq!((dry.status, fs::read_to_string(&path).unwrap().as_str()), (0, old));
    insta::assert_snapshot!(dry.shown(&[(crate::run::text(home.0.path()), "HOME")]));
    assert_eq!(home.setup(&["--token-env", "TOKEN"]).status, 0);
    let new = fs::read_to_string(&path).unwrap();
    assert!(
        new.starts_with("{\n\t\"model\": \"opus\",\n\t\"env\": { \"A\": \"1\",")
            && new.ends_with("\"hooks\": {}\n}")
    );
    assert!(!new.contains("canary-old") && mode(&path) == 0o600, "{new}");
    assert_eq!(home.setup(&["--helper", "print-it", "--helper-ttl", "15m"]).status, 0);
    let helped = fs::read_to_string(&path).unwrap();
    assert!(helped.contains("\"apiKeyHelper\": \"print-it\"") && helped.contains("\"900000\""), "{helped}");
    assert!(!helped.contains(TOKEN), "{helped}");
    assert_eq!(home.run(&["client", "undo"]).status, 0);
    assert_eq!((fs::read_to_string(&path).unwrap(), mode(&path)), (new, 0o600));
    assert_eq!(home.run(&["client", "undo"]).status, 0);
    assert_eq!((fs::read_to_string(&path).unwrap().as_str(), mode(&path)), (old, 0o644));
}

#[test]
fn a_credential_that_came_since_is_not_shown_to_those_who_could_read_the_file_before() {
    for (later, expected) in [
        (r#"{"model":"opus","env":{"ANTHROPIC_CUSTOM_HEADERS":"x-key: canary-later"}}"#, 0o600),
        (r#"{"model":"opus","theme":"dark"}"#, 0o644),
    ] {
        let home = Home::new();
        let path = home.write(".claude/settings.json", r#"{"model":"opus"}"#);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        assert_eq!(home.setup(&["--token-env", "TOKEN"]).status, 0);
        fs::write(&path, later).unwrap();
        assert_eq!(home.run(&["client", "undo"]).status, 0);
        assert_eq!((fs::read_to_string(&path).unwrap().as_str(), mode(&path)), (later, expected));
    }
}

#[test]
fn a_credential_is_written_neither_where_git_commits_it_nor_where_everybody_reads_it() {
    let home = Home::new();
    let project = home.path("project");
    let local = project.join(".claude/settings.local.json");
    assert!(Command::new("git").args(["init", "-q"]).arg(&project).status().unwrap().success());
    let token = ["--token-env", "TOKEN", "--scope", "local"];
    let refused = home.setup(&token);
    assert!(refused.status == 2 && refused.err.contains("git would commit"), "{}", refused.err);
    assert!(!local.exists());
    fs::write(project.join(".gitignore"), ".claude/settings.local.json\n").unwrap();
    assert_eq!(home.setup(&token).status, 0);
    assert!(fs::read_to_string(&local).unwrap().contains(TOKEN));
    let in_project: Vec<_> = fs::read_dir(project.join(".claude")).unwrap().collect();
    assert_eq!(in_project.len(), 1, "the backup is elsewhere: {in_project:?}");

    let managed = home.path("managed");
    let at = ["--scope", "managed", "--managed-folder", crate::run::text(&managed)];
    let refused = home.setup(&[&at[..], &["--token-env", "TOKEN"]].concat());
    assert!(refused.status == 2 && refused.err.contains("everybody on this machine"), "{}", refused.err);
    assert_eq!(home.setup(&[&at[..], &["--helper", "print-it"]].concat()).status, 0);
    assert_eq!(mode(&managed.join("managed-settings.json")), 0o644);
    let weaker = home.setup(&["--managed-folder", crate::run::text(&managed), "--token-env", "TOKEN"]);
    assert!(weaker.err.contains("managed-settings.json wins: it sets ANTHROPIC_BASE_URL"), "{}", weaker.err);
}

#[test]
fn a_file_that_is_no_json_is_left_alone_and_told_with_its_place() {
    let home = Home::new();
    let old = "{\n  // mine\n  \"env\": {\"ANTHROPIC_AUTH_TOKEN\": \"canary\"}\n}\n";
    let path = home.write(".claude/settings.json", old);
    let refused = home.setup(&["--token-env", "TOKEN"]);
    assert!(
        refused.status == 2 && refused.err.contains("settings.json:2:3: key must be a string"),
        "{}",
        refused.err
    );
    assert_eq!(fs::read_to_string(&path).unwrap(), old);
    assert!(!home.path(".claude/tollgate-backups").exists());
    let doctor = home.run(&["doctor", "client"]);
    assert!(
        doctor.status == 1 && doctor.out.contains("settings.json:2:3: Settings: it is not JSON"),
        "{}",
        doctor.out
    );
}

#[test]
fn what_setup_writes_the_doctor_finds_good() {
    let home = Home::new();
    assert_eq!(home.setup(&["--token-env", "TOKEN"]).status, 0);
    let found = home.run(&["doctor", "client", "--managed-folder", "none"]);
    assert_eq!(found.status, 0, "{}", found.out);
    let helper = home.write("helper", "#!/bin/sh\necho canary-fedcba9876543210\n");
    fs::set_permissions(&helper, fs::Permissions::from_mode(0o700)).unwrap();
    assert_eq!(home.setup(&["--helper", crate::run::text(&helper)]).status, 0);
    let found = home.run(&["doctor", "client", "--managed-folder", "none", "--verbose"]);
    assert!(
        found.status == 0 && found.out.contains("apiKeyHelper: it printed a credential"),
        "{}",
        found.out
    );
    home.write("helper", "#!/bin/sh\necho canary-fedcba9876543210; echo more\n");
    let found = home.run(&["doctor", "client", "--managed-folder", "none", "--format", "json"]);
    assert!(found.status == 1 && found.out.contains("something else than one line"), "{}", found.out);
    home.write(
        "project/.claude/settings.json",
        r#"{"env":{"ANTHROPIC_API_KEY":"sk-ant-canary-0123456789"}}"#,
    );
    let found = home.run(&["doctor", "client", "--managed-folder", "none", "--no-helper"]);
    insta::assert_snapshot!(
        found.shown(&[(crate::run::text(&fs::canonicalize(home.0.path()).unwrap()), "HOME")])
    );
}

#[test]
fn a_doctor_that_is_interrupted_leaves_no_helper_behind() {
    let home = Home::new();
    let helper = r#"{"apiKeyHelper":"echo $$ >new; mv new number; exec sleep 60"}"#;
    home.write(".claude/settings.json", helper);
    let mut command: Command = tollgate(&["doctor", "client"]);
    command.env("HOME", home.0.path()).current_dir(home.path("project"));
    let doctor = Server::start(command);
    doctor.line("running the apiKeyHelper");
    let number = loop {
        if let Ok(number) = std::fs::read_to_string(home.path("project/number")) {
            break number;
        }
        std::thread::yield_now();
    };
    doctor.signal("INT");
    assert_eq!(doctor.end().code(), Some(1));
    // It ends before the doctor does, but for a moment in which the system buries it.
    let stat = format!("/proc/{}/stat", number.trim());
    let runs = || std::fs::read_to_string(&stat).is_ok_and(|stat| !stat.contains(") Z"));
    let start = std::time::Instant::now();
    while runs() {
        assert!(start.elapsed().as_secs() < 20, "the helper runs on");
        std::thread::yield_now();
    }
}
