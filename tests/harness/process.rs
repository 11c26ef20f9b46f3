//! Client programs, bounded in time.

use std::process::Stdio;
use std::time::{Duration, Instant};

use tokio::io::AsyncReadExt;
use tokio::process::Command;
use tokio::time::timeout;

/// How a program ended.
#[derive(Debug)]
pub struct Done {
    /// The exit code.
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
    pub took: Duration,
}

/// Runs a program to its end. One that does not end in time is killed, and its test fails with what it said.
pub async fn run(mut command: Command, limit: Duration) -> Done {
    let start = Instant::now();
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let (mut out, mut err) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    let end = timeout(limit, async {
        let (_, _, status) =
            tokio::join!(out.read_to_end(&mut stdout), err.read_to_end(&mut stderr), child.wait());
        status.unwrap()
    })
    .await;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (stdout, stderr) = (text(&stdout), text(&stderr));
    let Ok(status) = end else {
        panic!("not finished within {limit:?}: {command:?}\n{stdout}\n{stderr}");
    };
    Done { code: status.code().unwrap_or(-1), stdout, stderr, took: start.elapsed() }
}
