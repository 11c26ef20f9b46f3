//! The processes of a bench. The program starts itself again for each role, so that each has a process whose CPU
//! time can be read, and a core of its own where there are enough.
//!
//! A role ends when its input ends. So none outlives the bench, however that ends.

use std::ffi::OsString;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines, Stdin, stdin};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::timeout;

use crate::nginx;

/// How long a role may take to say its line, or to end.
const PATIENCE: Duration = Duration::from_secs(60);
/// Raises the limit on open files as far as allowed, then becomes the program.
const RAISE_FILES: &str = r#"ulimit -n "$(ulimit -Hn)" && exec "$0" "$@""#;

/// Which cores the roles run on; none where there is only one.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Cores {
    /// Of what is measured.
    pub(crate) proxy: Option<usize>,
    /// Of clients and upstream.
    pub(crate) peers: Option<usize>,
}

impl Cores {
    /// Shares out the cores that this process may use.
    pub(crate) fn share() -> Result<Self> {
        let status = std::fs::read_to_string("/proc/self/status").context("this bench needs Linux")?;
        let list =
            status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:")).unwrap_or_default();
        Ok(match allowed(list).as_slice() {
            [proxy, peers, ..] => Cores { proxy: Some(*proxy), peers: Some(*peers) },
            _ => Self::default(),
        })
    }
}

/// Reads a list of cores such as `0-2,5`.
fn allowed(list: &str) -> Vec<usize> {
    let range = |item: &str| -> Option<std::ops::RangeInclusive<usize>> {
        let (first, last) = item.split_once('-').unwrap_or((item, item));
        Some(first.parse().ok()?..=last.parse().ok()?)
    };
    list.trim().split(',').filter_map(range).flatten().collect()
}

/// One process of the bench.
#[derive(Debug)]
pub(crate) struct Role {
    name: &'static str,
    child: Child,
    input: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Role {
    /// Starts this program again as `name`, pinned to a core.
    pub(crate) fn start(name: &'static str, core: Option<usize>, args: Vec<OsString>) -> Result<Self> {
        Self::start_of(&std::env::current_exe()?, name, core, args)
    }

    /// Starts another build of this program as `name`, pinned to a core.
    pub(crate) fn start_of(
        program: &Path,
        name: &'static str,
        core: Option<usize>,
        args: Vec<OsString>,
    ) -> Result<Self> {
        let mut command = match core {
            Some(core) => {
                let mut pinned = Command::new("taskset");
                pinned.args(["-c", &core.to_string(), "sh"]);
                pinned
            }
            None => Command::new("sh"),
        };
        command.args(["-c", RAISE_FILES]).arg(program).arg(name).args(args);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        // The one that holds nginx must live on to end it.
        command.kill_on_drop(name != nginx::ROLE);
        let mut child = command.spawn().with_context(|| format!("{name} can not be started"))?;
        let (input, output) = (child.stdin.take(), child.stdout.take());
        let (input, output) = input.zip(output).context("a role without input and output")?;
        Ok(Role { name, child, input, lines: BufReader::new(output).lines() })
    }

    /// The next line that it says.
    pub(crate) async fn line(&mut self) -> Result<String> {
        let line = timeout(PATIENCE, self.lines.next_line()).await;
        let line = line.with_context(|| format!("{} says nothing", self.name))??;
        line.with_context(|| format!("{} ended early", self.name))
    }

    /// Tells it something.
    pub(crate) async fn order(&mut self, order: &str) -> Result<()> {
        Ok(self.input.write_all(format!("{order}\n").as_bytes()).await?)
    }

    /// Waits for its end, which it comes to by itself or because its input ends now.
    pub(crate) async fn end(self) -> Result<()> {
        let Role { name, mut child, input, lines: _lines } = self;
        drop(input);
        let Ok(status) = timeout(PATIENCE, child.wait()).await else {
            child.kill().await?;
            bail!("{name} did not end and was killed");
        };
        let status = status?;
        if status.success() { Ok(()) } else { bail!("{name} ended with {status}") }
    }
}

/// What a role is told by the bench, line by line.
pub(crate) struct Orders(Lines<BufReader<Stdin>>);

impl Orders {
    /// Reads this process's input.
    pub(crate) fn new() -> Self {
        Orders(BufReader::new(stdin()).lines())
    }

    /// The next order; none when the role is to end.
    pub(crate) async fn next(&mut self) -> Option<String> {
        self.0.next_line().await.ok().flatten()
    }

    /// Waits until the role is to end.
    pub(crate) async fn ended(&mut self) {
        while self.next().await.is_some() {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_cores_are_read() {
        let rows: [(&str, &[usize]); 4] =
            [("0", &[0]), ("\t0-1\n", &[0, 1]), ("2-3,7", &[2, 3, 7]), ("", &[])];
        for (list, wanted) in rows {
            assert_eq!(allowed(list), wanted, "{list:?}");
        }
    }
}
