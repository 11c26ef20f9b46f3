//! Runs the command, to its end or as a server beside the test.

use std::{
    cell::RefCell,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, ExitStatus, Output, Stdio},
    sync::mpsc::{Receiver, RecvTimeoutError, channel},
    thread,
    time::{Duration, Instant},
};
use tempfile::TempDir;

/// Longer than anything here takes on a slow machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A price book whose only model is `house-model`.
pub(crate) const HOUSE_BOOK: &str = r#"{"version":"own-1","multipliers":{"batch":"0.5","fast":"6","us_inference":"1","regional":"1","contract":"1"},
    "usd_per_thousand":{"web_search":"10","code_execution":"1"},"models":[{"model":"house-model","periods":[
    {"usd_per_million":{"input":"1","output":"5","cache_write_5m":"1","cache_write_1h":"1","cache_read":"1"}}]}]}"#;

/// The command without anything of the environment that it would obey.
pub(crate) fn tollgate(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tollgate"));
    for name in [
        "TOLLGATE_DATA",
        "TOLLGATE_ADMIN",
        "TOLLGATE_ADMIN_TOKEN",
        "ANTHROPIC_API_KEY",
        "COLUMNS",
        "NO_COLOR",
        "CLICOLOR",
        "CLICOLOR_FORCE",
    ] {
        command.env_remove(name);
    }
    command.args(args).stdin(Stdio::null());
    command
}

/// What a command that ended has said.
pub(crate) struct Ran {
    pub(crate) status: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Ran {
    /// Both outputs and the status, for snapshots. `secret` parts are replaced.
    pub(crate) fn shown(&self, replacements: &[(&str, &str)]) -> String {
        let text = format!("status {}\n-- out\n{}-- err\n{}", self.status, self.out, self.err);
        replacements.iter().fold(text, |text, (from, to)| text.replace(from, to))
    }
}

/// Runs the command to its end.
pub(crate) fn run(args: &[&str]) -> Ran {
    ran(tollgate(args).output().unwrap())
}

/// Runs the command to its end with something on its standard input.
pub(crate) fn run_with_input(args: &[&str], input: &str) -> Ran {
    let mut command = tollgate(args);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdin: ChildStdin = child.stdin.take().unwrap();
    stdin.write_all(input.as_bytes()).unwrap();
    drop(stdin);
    ran(child.wait_with_output().unwrap())
}

pub(crate) fn ran(output: Output) -> Ran {
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Ran { status: output.status.code().unwrap(), out: text(output.stdout), err: text(output.stderr) }
}

/// A server that runs beside the test and ends with it.
pub(crate) struct Server {
    child: Child,
    lines: Receiver<String>,
    passed: RefCell<Vec<String>>,
}

impl Server {
    /// Starts the command. Both its outputs are read, line by line.
    pub(crate) fn start(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (send, lines) = channel();
        let outputs: [Box<dyn Read + Send>; 2] =
            [Box::new(child.stdout.take().unwrap()), Box::new(child.stderr.take().unwrap())];
        for output in outputs {
            let send = send.clone();
            // Ends with the output; what nobody waits for is dropped.
            thread::spawn(move || {
                for line in BufReader::new(output).lines().map_while(Result::ok) {
                    let _ = send.send(line);
                }
            });
        }
        Self { child, lines, passed: RefCell::default() }
    }

    /// Waits for a line that holds the text. The two outputs may come in any order, so lines that were passed over
    /// are looked at again by the next call.
    pub(crate) fn line(&self, with: &str) -> String {
        let end = Instant::now() + PATIENCE;
        let mut passed = self.passed.borrow_mut();
        if let Some(index) = passed.iter().position(|line| line.contains(with)) {
            return passed.remove(index);
        }
        loop {
            match self.lines.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok(line) if line.contains(with) => return line,
                Ok(line) => passed.push(line),
                Err(RecvTimeoutError::Timeout) => panic!("no line with {with:?} in time: {passed:#?}"),
                Err(RecvTimeoutError::Disconnected) => panic!("it ended without {with:?}: {passed:#?}"),
            }
        }
    }

    /// Sends a signal, by the name that `kill` knows.
    pub(crate) fn signal(&self, name: &str) {
        let status = Command::new("kill").args(["-s", name, &self.child.id().to_string()]).status();
        assert!(status.unwrap().success());
    }

    /// Waits for its end, which takes no longer than a test may.
    pub(crate) fn end(mut self) -> ExitStatus {
        // Its outputs close when it ends.
        let end = Instant::now() + PATIENCE;
        while let Ok(_line) = self.lines.recv_timeout(end.saturating_duration_since(Instant::now())) {}
        assert!(Instant::now() < end, "it does not end");
        self.child.wait().unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Fails only when it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A gateway on free ports with a data folder of its own.
pub(crate) struct Gateway {
    pub(crate) server: Server,
    /// Where clients connect, such as `127.0.0.1:40000`.
    pub(crate) clients: String,
    folder: TempDir,
}

impl Gateway {
    /// Starts one before this upstream.
    pub(crate) fn start(upstream: &str) -> Self {
        Self::start_with(upstream, &[])
    }

    /// Starts one with more arguments. `DATA` in them stands for the data folder's parent.
    pub(crate) fn start_with(upstream: &str, more: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        let mut command = tollgate(&["serve", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"]);
        command.args(["--log-format", "json", "--upstream", upstream, "--data", data.to_str().unwrap()]);
        command.args(more).env("ANTHROPIC_API_KEY", "sk-ant-canary-upstream");
        let server = Server::start(command);
        let up = server.line("the gateway is up");
        let up: serde_json::Value = serde_json::from_str(&up).unwrap();
        let clients = up["clients"].as_str().unwrap().trim_start_matches("http://").to_owned();
        Self { server, clients, folder }
    }

    /// Its data folder.
    pub(crate) fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Runs a command that speaks to it.
    pub(crate) fn run(&self, args: &[&str]) -> Ran {
        ran(tollgate(args).env("TOLLGATE_DATA", self.data()).output().unwrap())
    }

    /// Makes a key and gives its secret.
    pub(crate) fn key(&self, team: &str) -> String {
        let made = self.run(&["key", "create", "--team", team, "--quiet"]);
        assert_eq!((made.status, made.err.as_str()), (0, ""));
        made.out.trim_end().to_owned()
    }

    /// Ends it in good order and keeps the folder.
    pub(crate) fn stop(self) -> TempDir {
        self.server.signal("TERM");
        assert_eq!(self.server.end().code(), Some(0));
        self.folder
    }
}

/// A simulated API on a free port.
pub(crate) struct Simulator {
    pub(crate) server: Server,
    pub(crate) url: String,
}

impl Simulator {
    pub(crate) fn start() -> Self {
        let server = Server::start(tollgate(&["simulate", "--listen", "127.0.0.1:0"]));
        let url = server.line("http://");
        Self { server, url }
    }
}

/// Sends a message to a gateway and returns the whole answer, head and body.
pub(crate) fn message(clients: &str, key: &str, directives: &str) -> String {
    let mut answer = String::new();
    send(clients, key, directives).read_to_string(&mut answer).unwrap();
    answer
}

/// Sends a message to a gateway.
pub(crate) fn send(clients: &str, key: &str, directives: &str) -> TcpStream {
    let body = r#"{"model":"claude-opus-5","max_tokens":9,"messages":[{"role":"user","content":"Hi"}]}"#;
    let mut stream = TcpStream::connect(clients).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    write!(
        stream,
        "POST /v1/messages HTTP/1.1\r\nhost: {clients}\r\nx-api-key: {key}\r\nanthropic-version: 2023-06-01\r\n\
         content-type: application/json\r\nx-simulator: {directives}\r\nconnection: close\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    stream
}

/// The text of a path.
pub(crate) fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}
