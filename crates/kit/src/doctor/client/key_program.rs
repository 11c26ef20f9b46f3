//! Running an `apiKeyHelper` as Claude Code does, without showing what it prints.

use std::{
    io::{self, Read},
    os::unix::process::CommandExt,
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};
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
    let unable = |error: io::Error| {
        failed(format!("it can not be run: {error}"), "Name a command that this user may run.")
    };
    let mut group = match Group::start(command, project) {
        Ok(group) => group,
        Err(error) => return unable(error),
    };
    let outcome = timeout(patience, group.output()).await;
    let seconds = patience.as_secs();
    match outcome {
        Ok(Ok((status, printed))) => judge(status, &printed, began.elapsed()),
        Ok(Err(error)) => unable(error),
        Err(_) if group.is_over() => failed(
            format!(
                "it ended but left a child that holds its output open, for which Claude Code waits (more than {seconds} s)"
            ),
            "Let what it leaves in the background write elsewhere: `COMMAND >/dev/null 2>&1 &`.",
        ),
        Err(_) => failed(
            format!("it has not ended after {seconds} s"),
            "Let it ask nothing and end by itself: it has no terminal. Keep what it gets in a file if that takes long.",
        ),
    }
}

/// A command with what it started. All of it ends when this is dropped, if the command was not waited for before.
struct Group {
    child: Child,
    /// Its number may be another's from then on.
    was_waited_for: bool,
}

impl Group {
    fn start(command: &str, project: &Path) -> io::Result<Self> {
        let mut shell = Command::new("sh");
        shell.args(["-c", command]).current_dir(project).process_group(0);
        let child = shell.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        Ok(Self { child, was_waited_for: false })
    }

    /// Its status and what it printed, once nobody can print any more: neither it nor what it has started. So does
    /// Claude Code 2.1.330 wait for both streams.
    async fn output(&mut self) -> io::Result<(ExitStatus, Vec<u8>)> {
        let printed = drain(self.child.stdout.take(), CREDENTIAL_BYTES * 2);
        let complained = drain(self.child.stderr.take(), 0);
        let printed = printed.await.unwrap_or_default();
        // What it says there is its owner's, and shown nowhere.
        let _ = complained.await;
        loop {
            if let Some(status) = self.child.try_wait()? {
                self.was_waited_for = true;
                return Ok((status, printed));
            }
            sleep(TICK).await;
        }
    }

    /// Whether the command itself is over. It is not waited for, so its number stays its own.
    fn is_over(&self) -> bool {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        self.number().is_some_and(|number| matches!(waitid(WaitId::Pid(number), options), Ok(Some(_))))
    }

    /// None if it was waited for.
    fn number(&self) -> Option<Pid> {
        let number = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        number.filter(|_| !self.was_waited_for)
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.number() {
            // Fails only if all of it has ended by now.
            let _ = kill_process_group(group, Signal::KILL);
            let _ = self.child.wait();
        }
    }
}

/// Reads a stream to its end, and keeps so many bytes of it.
fn drain(stream: Option<impl Read + Send + 'static>, most_bytes: usize) -> oneshot::Receiver<Vec<u8>> {
    let (send, kept) = oneshot::channel();
    thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut stream) = stream {
            // What can not be read is as good as not printed.
            let _ = stream.by_ref().take(most_bytes as u64).read_to_end(&mut bytes);
            let _ = io::copy(&mut stream, &mut io::sink());
        }
        // Nobody may wait for it any more.
        let _ = send.send(bytes);
    });
    kept
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
    async fn a_helper_that_leaves_a_child_with_its_output_is_told_from_one_that_does_not_end() {
        let rows = [
            ("sleep 60 &", Err("left a child that holds its output open")),
            ("sleep 60 2>/dev/null &", Err("left a child that holds its output open")),
            ("sleep 60 >/dev/null &", Err("left a child that holds its output open")),
            ("sleep 60", Err("has not ended after 1 s")),
            ("sleep 2 >/dev/null 2>&1 &", Ok("printed a credential")),
        ];
        for (end, expected) in rows {
            let command = format!("echo canary-0123456789abcdef; {end}");
            let ran = run(&command, Path::new("/"), Duration::from_secs(1)).await;
            let finding = &ran.findings[0];
            let (holds, part) = match expected {
                Ok(part) => (true, part),
                Err(part) => (false, part),
            };
            assert_eq!(matches!(finding.outcome, Outcome::Pass(_)), holds, "{end}: {}", finding.says);
            assert!(finding.says.contains(part), "{end}: {}", finding.says);
        }
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
