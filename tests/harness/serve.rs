//! `tollgate serve` as a process of its own, to be killed.

use std::net::SocketAddr;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::client::{self, Answer};
use crate::house::UPSTREAM_KEY;

/// The command under test, built beside this test.
pub fn tollgate() -> PathBuf {
    let mut folder = std::env::current_exe().unwrap();
    folder.pop();
    if folder.ends_with("deps") {
        folder.pop();
    }
    let path = folder.join("tollgate");
    assert!(
        path.exists(),
        "{} is needed: run `cargo build -p tollgate`, or test the whole workspace",
        path.display()
    );
    path
}

/// A running `tollgate serve`. It is killed when this is dropped.
pub struct Serve {
    pub child: Child,
    /// The data folder as this process sees it.
    data: PathBuf,
}

impl Serve {
    /// Starts it on free ports and waits until it answers.
    pub async fn start(data: &Path, upstream: &str) -> Self {
        Serve::spawn(command(&tollgate(), data, upstream), data, false).await
    }

    /// Starts it with a configuration, beside what the other arguments say.
    pub async fn start_with(data: &Path, upstream: &str, config: Option<&Path>) -> Self {
        let mut command = command(&tollgate(), data, upstream);
        if let Some(config) = config {
            command.arg("--config").arg(config);
        }
        Serve::spawn(command, data, false).await
    }

    /// Starts it with its data folder on a small file system of its own, which can be filled.
    pub async fn start_on_tmpfs(data: &Path, megabytes: usize, upstream: &str) -> Self {
        std::fs::create_dir_all(data).unwrap();
        let serve = command(&tollgate(), data, upstream);
        let mut command = Command::new("unshare");
        command.args(["--mount", "--map-root-user", "sh", "-c"]);
        command.arg(format!(
            "mount -t tmpfs -o mode=0700,size={megabytes}m tollgate-test \"$0\" && exec \"$@\""
        ));
        command.arg(data).arg(serve.get_program()).args(serve.get_args());
        command.envs(serve.get_envs().filter_map(|(name, value)| Some((name, value?))));
        Serve::spawn(command, data, true).await
    }

    async fn spawn(mut command: Command, data: &Path, is_apart: bool) -> Self {
        let child =
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0).spawn();
        let child = child.unwrap_or_else(|error| panic!("{:?}: {error}", command.get_program()));
        let root = format!("/proc/{}/root", child.id());
        let data =
            if is_apart { PathBuf::from(format!("{root}{}", data.display())) } else { data.to_owned() };
        let mut serve = Serve { child, data };
        for _ in 0..1500 {
            if serve.instance().is_some_and(|instance| instance["pid"] == serve.child.id()) {
                return serve;
            }
            if let Some(status) = serve.child.try_wait().unwrap() {
                panic!("tollgate serve ended at once: {status}");
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("tollgate serve did not start in 15 seconds");
    }

    fn instance(&self) -> Option<Value> {
        let text = std::fs::read_to_string(self.data.join("instance.json")).ok()?;
        serde_json::from_str(&text).ok()
    }

    /// Where clients connect.
    pub fn address(&self) -> SocketAddr {
        origin(&self.instance().unwrap()["clients"])
    }

    /// Calls the admin API as a local command would.
    pub async fn admin(&self, method: &str, target: &str, body: &str) -> Answer {
        let instance = self.instance().unwrap();
        let bearer = format!("Authorization: Bearer {}", instance["token"].as_str().unwrap());
        let length = (!body.is_empty()).then_some(body.len());
        let head = client::head(method, target, &[&bearer], length);
        client::request(origin(&instance["admin"]), &head, body.as_bytes()).await.unwrap()
    }

    /// Mints a key for a team.
    pub async fn key(&self, team: &str) -> String {
        let answer = self.admin("POST", "/admin/v1/keys", &format!(r#"{{"team":"{team}"}}"#)).await;
        assert_eq!(answer.status, 201, "{}", answer.text());
        answer.json()["secret"].as_str().unwrap().to_owned()
    }

    /// The data folder as this process sees it.
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// Runs a command of tollgate where this process is, and gives its exit code and what it said.
    pub fn run_beside(&self, arguments: &[&str]) -> (i32, String) {
        let mut command = Command::new("nsenter");
        command.args([
            "--target",
            &self.child.id().to_string(),
            "--user",
            "--mount",
            "--preserve-credentials",
        ]);
        said(command.arg(tollgate()).args(arguments))
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// SIGTERM, and its exit status.
    pub async fn stop(mut self) -> ExitStatus {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        for _ in 0..1000 {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("tollgate serve on {} did not stop in 10 seconds", self.data.display());
    }
}

impl Drop for Serve {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs a command of tollgate and gives its exit code and what it said.
pub fn run(arguments: &[&str]) -> (i32, String) {
    said(Command::new(tollgate()).args(arguments))
}

fn said(command: &mut Command) -> (i32, String) {
    let output = command.stdin(Stdio::null()).output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.code().unwrap_or(-1), String::from_utf8_lossy(&text).into_owned())
}

fn command(binary: &Path, data: &Path, upstream: &str) -> Command {
    let mut command = Command::new(binary);
    command.args([
        "serve",
        "--listen",
        "127.0.0.1:0",
        "--admin-listen",
        "127.0.0.1:0",
        "--upstream",
        upstream,
    ]);
    command.arg("--data").arg(data).env("ANTHROPIC_API_KEY", UPSTREAM_KEY).env("NO_PROXY", "*");
    command
}

fn origin(url: &Value) -> SocketAddr {
    url.as_str().unwrap().rsplit('/').next().unwrap().parse().unwrap()
}
