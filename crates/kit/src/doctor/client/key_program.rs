//! Running an `apiKeyHelper` as Claude Code does, without showing what it prints.

use std::{
    io::{self, Read},
    os::unix::process::CommandExt,
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::{
    sync::oneshot,
    time::{sleep, timeout},
};

use crate::{
    doctor::{jwt::Jwt, rules::HELPER, shape::Shape},
    finding::{Finding, Ground::Proven},
    time,
};

/// What came of running it.
pub(super) struct Ran {
    pub(super) findings: Vec<Finding>,
    /// What it printed, which must be shown nowhere.
    pub(super) secrets: Vec<String>,
}

/// How long it may take.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);
/// It is run while somebody waits.
const SLOW: Duration = Duration::from_secs(2);
/// How often it is looked whether it has ended.
const TICK: Duration = Duration::from_millis(10);
/// The longest credential, in bytes: <https://code.claude.com/docs/en/llm-gateway-connect>.
const CREDENTIAL_BYTES: usize = 16_384;

/// Runs it by the shell, in the project's folder. Dropping the future ends it.
pub(super) async fn run(command: &str, project: &Path, patience: Duration) -> Ran {
    let began = Instant::now();
    let failed = |says: String, cure: &str| Ran {
        findings: vec![Finding::fail(&HELPER, Proven, says).cure(cure)],
        secrets: Vec::new(),
    };
    match timeout(patience, output(command, project)).await {
        Ok(Ok((status, printed))) => judge(status, &printed, began.elapsed()),
        Ok(Err(error)) => {
            failed(format!("it can not be run: {error}"), "Name a command that this user may run.")
        }
        Err(_) => failed(
            format!("it has not ended after {} s", patience.as_secs()),
            "Let it ask nothing and end by itself: it has no terminal. Keep what it gets in a file if that takes long.",
        ),
    }
}

/// Its status and what it printed.
async fn output(command: &str, project: &Path) -> io::Result<(ExitStatus, Vec<u8>)> {
    let mut shell = Command::new("sh");
    shell.args(["-c", command]).current_dir(project).process_group(0);
    let child = shell.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
    let mut group = Group { child, has_ended: false };
    let (send, printed) = oneshot::channel();
    if let Some(out) = group.child.stdout.take() {
        thread::spawn(move || {
            let mut bytes = Vec::new();
            // What can not be read is as good as not printed, and nobody may wait for it any more.
            let _ = out.take(CREDENTIAL_BYTES as u64 * 2).read_to_end(&mut bytes);
            let _ = send.send(bytes);
        });
    }
    let printed = printed.await.unwrap_or_default();
    loop {
        if let Some(status) = group.child.try_wait()? {
            group.has_ended = true;
            return Ok((status, printed));
        }
        sleep(TICK).await;
    }
}

/// A command with what it started. All of it ends when this is dropped, if the command has not ended before.
struct Group {
    child: Child,
    /// Its number may be another's from then on.
    has_ended: bool,
}

impl Drop for Group {
    fn drop(&mut self) {
        let group = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        if let Some(group) = group.filter(|_| !self.has_ended) {
            // Fails only if all of it has ended by now.
            let _ = kill_process_group(group, Signal::KILL);
            let _ = self.child.wait();
        }
    }
}

fn judge(status: ExitStatus, printed: &[u8], took: Duration) -> Ran {
    let text = String::from_utf8_lossy(printed);
    let credential = text.trim();
    let mut secrets: Vec<String> =
        text.lines().map(str::trim).filter(|line| line.len() >= 4).map(str::to_owned).collect();
    let fail = |says: String, cure: &str| vec![Finding::fail(&HELPER, Proven, says).cure(cure)];
    let is_visible = credential.bytes().all(|byte| (0x21..=0x7e).contains(&byte));
    let findings = if !status.success() {
        let how = status.code().map_or("by a signal".to_owned(), |code| format!("with status {code}"));
        fail(format!("it ended {how}"), "Run it by hand, in this folder, and read what it says.")
    } else if credential.is_empty() {
        fail("it printed nothing".to_owned(), "Let it print the credential to standard output.")
    } else if !is_visible || credential.len() > CREDENTIAL_BYTES {
        let cure = "Let it print the credential alone: one line, no `Bearer `, no colours, no greeting.";
        fail("it printed something else than one line of visible ASCII".to_owned(), cure)
    } else {
        let (says, cure) = Shape::of(credential).says();
        let ms = took.as_millis();
        let slow = if took > SLOW { ", which people wait for" } else { "" };
        let jwt = Jwt::parse(credential);
        secrets.extend(jwt.iter().flat_map(Jwt::values));
        let first = match cure {
            Some(cure) => {
                Finding::fail(&HELPER, Proven, format!("it printed a credential: {says}")).cure(cure)
            }
            None => {
                Finding::pass(&HELPER, Proven, format!("it printed a credential in {ms} ms{slow}: {says}"))
            }
        };
        let times = jwt.iter().flat_map(|jwt| jwt.times(time::Instant::now().unix_ms()));
        std::iter::once(first).chain(times).collect()
    };
    Ran { findings, secrets }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::Outcome;

    #[tokio::test]
    async fn a_helper_that_does_not_end_is_ended_with_what_it_started() {
        let folder = tempfile::tempdir().unwrap();
        let command = "sleep 60 & echo $! >number; wait";
        let ran = run(command, folder.path(), Duration::from_millis(500)).await;
        assert!(ran.findings[0].says.contains("has not ended"), "{}", ran.findings[0].says);
        let number = std::fs::read_to_string(folder.path().join("number")).unwrap();
        // One that nobody has asked how it ended, a zombie, runs no more.
        let runs = || {
            let stat = std::fs::read_to_string(format!("/proc/{}/stat", number.trim())).unwrap_or_default();
            stat.rsplit(')').next().is_some_and(|rest| !rest.is_empty() && !rest.starts_with(" Z"))
        };
        let gone = async {
            while runs() {
                sleep(TICK).await;
            }
        };
        timeout(Duration::from_secs(20), gone).await.unwrap();
    }

    #[tokio::test]
    async fn a_helper_is_judged_by_what_it_prints_and_how_it_ends() {
        let rows = [
            ("echo canary-0123456789abcdef", true, "printed a credential"),
            ("printf '  canary-0123456789abcdef\\n\\n'", true, "printed a credential"),
            ("echo canary-0123456789abcdef; exit 3", false, "status 3"),
            ("true", false, "printed nothing"),
            ("echo Bearer canary-0123456789abcdef", false, "something else"),
            ("echo hello; echo canary-0123456789abcdef", false, "something else"),
            ("echo sk-ant-api03-canary", false, "API key of Anthropic"),
            ("no-such-command-here", false, "status 127"),
        ];
        for (command, holds, part) in rows {
            let ran = run(command, Path::new("/"), PATIENCE).await;
            let finding = &ran.findings[0];
            assert_eq!(matches!(finding.outcome, Outcome::Pass(_)), holds, "{command}: {}", finding.says);
            assert!(finding.says.contains(part), "{command}: {}", finding.says);
            assert!(!finding.says.contains("canary"), "{}", finding.says);
        }
    }
}
