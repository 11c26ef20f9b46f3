//! Running an `apiKeyHelper` as Claude Code does, without showing what it prints.

use std::{
    io::Read,
    os::unix::process::CommandExt,
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    sync::mpsc::channel,
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process_group};

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
const PATIENCE: Duration = Duration::from_secs(10);
/// It is run while somebody waits.
const SLOW: Duration = Duration::from_secs(2);
/// How often it is looked whether it has ended.
const TICK: Duration = Duration::from_millis(10);
/// The longest credential, in bytes: <https://code.claude.com/docs/en/llm-gateway-connect>.
const CREDENTIAL_BYTES: usize = 16_384;

/// Runs it by the shell, in the project's folder.
pub(super) fn run(command: &str, project: &Path) -> Ran {
    let began = Instant::now();
    let failed = |says: String, cure: &str| Ran {
        findings: vec![Finding::fail(&HELPER, Proven, says).cure(cure)],
        secrets: Vec::new(),
    };
    match output(command, project) {
        Err(error) => failed(format!("it can not be run: {error}"), "Name a command that this user may run."),
        Ok(None) => failed(
            format!("it has not ended after {} s", PATIENCE.as_secs()),
            "Let it ask nothing and end by itself: it has no terminal. Keep what it gets in a file if that takes long.",
        ),
        Ok(Some((status, printed))) => judge(status, &printed, began.elapsed()),
    }
}

/// Its status and what it printed. None if it took too long; it is ended then, with what it started.
fn output(command: &str, project: &Path) -> std::io::Result<Option<(ExitStatus, Vec<u8>)>> {
    let mut shell = Command::new("sh");
    shell.args(["-c", command]).current_dir(project).process_group(0);
    let mut child = shell.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
    let (send, printed) = channel();
    if let Some(mut out) = child.stdout.take() {
        thread::spawn(move || {
            let mut bytes = Vec::new();
            // What can not be read is as good as not printed.
            let _ = out.by_ref().take(CREDENTIAL_BYTES as u64 * 2).read_to_end(&mut bytes);
            let _ = send.send(bytes);
        });
    }
    let end = Instant::now() + PATIENCE;
    let printed = printed.recv_timeout(PATIENCE);
    while let Ok(printed) = &printed {
        if let Some(status) = child.try_wait()? {
            return Ok(Some((status, printed.clone())));
        }
        if Instant::now() >= end {
            break;
        }
        thread::sleep(TICK);
    }
    stop(&mut child);
    Ok(None)
}

fn stop(child: &mut Child) {
    // It may have ended just now.
    if let Some(group) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
        let _ = kill_process_group(group, Signal::KILL);
    }
    let _ = child.wait();
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

    #[test]
    fn a_helper_is_judged_by_what_it_prints_and_how_it_ends() {
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
            let ran = run(command, Path::new("/"));
            let finding = &ran.findings[0];
            assert_eq!(matches!(finding.outcome, Outcome::Pass(_)), holds, "{command}: {}", finding.says);
            assert!(finding.says.contains(part), "{command}: {}", finding.says);
            assert!(!finding.says.contains("canary"), "{}", finding.says);
        }
    }
}
