//! Zuplo: what its own linter says of a project, and what `check` finds where its server for development runs one.
//!
//! That server keeps no keys of members, which the service of Zuplo does: it is tried with the tokens of an issuer.

use std::net::SocketAddr;
use std::os::unix::fs::symlink;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use tollgate_acceptance::house::UPSTREAM_KEY;
use tollgate_acceptance::loopback;
use tollgate_acceptance::nginx::free_address;

use crate::check::{check, failed};
use crate::issuer::Issuer;
use crate::judges::{node, said};
use crate::linters::{KEYS, TOKENS, change, make};

/// The rules that Zuplo itself can not meet, whatever its files say.
const NOT_MET: [&str; 6] = [
    // Its own errors are problem details (RFC 9457), and do not say that they are final.
    "auth.envelope",
    "auth.should_retry",
    // It answers in plain text.
    "body.over",
    // Headers that `connection` names pass.
    "headers.hop",
    // It does not notice that its client has left before the first byte of an answer.
    "stream.cancel",
    // It ends a broken stream properly.
    "stream.cut",
];

/// How long its server may take to start.
const START: Duration = Duration::from_secs(60);

fn zuplo(args: &[&str], project: &Path) -> Command {
    let folder = std::env::var_os("TOLLGATE_ZUPLO").map(PathBuf::from);
    let folder = folder
        .expect("Zuplo is not installed: run `make acceptance`, which installs it and sets TOLLGATE_ZUPLO");
    let modules = project.join("node_modules");
    if !modules.exists() {
        symlink(folder.join("node_modules"), &modules).unwrap();
    }
    let mut command = node();
    command.arg(folder.join("node_modules/@zuplo/cli/zup.js")).args(args);
    command.current_dir(project).env("HOME", project).env("ZUPLO_DO_NOT_TRACK", "1").stdin(Stdio::null());
    command
}

fn lint(project: &Path) -> Output {
    zuplo(&["lint", "--fail-on", "warn"], project).output().unwrap()
}

#[test]
#[ignore = "needs Zuplo (600 MB): run by `make acceptance`"]
fn the_linter_of_zuplo_accepts_the_project_and_finds_what_is_broken_in_it() {
    loopback::run(async {
        let folder = tempfile::tempdir().unwrap();
        for plan in ["", KEYS, TOKENS] {
            make("zuplo", plan, folder.path());
            let output = lint(folder.path());
            assert!(output.status.success(), "{}", said(&output));
        }
        for (file, from, to, expected) in [
            ("policies.json", "requestsAllowed", "requestsPerMinute", "requestsPerMinute"),
            ("policies.json", "\"rateLimitBy\": \"user\"", "\"rateLimitBy\": \"consumer\"", "rateLimitBy"),
            ("policies.json", "\"name\": \"who\"", "\"name\": \"somebody\"", "zuplo/no-undefined-policies"),
            ("routes.oas.json", "\"openapi\": \"3.1.0\"", "\"open\": \"3.1.0\"", "not supported"),
        ] {
            make("zuplo", "", folder.path());
            change(&folder.path().join("config").join(file), from, to);
            let output = lint(folder.path());
            assert!(!output.status.success() && said(&output).contains(expected), "{to}: {}", said(&output));
        }
    });
}

#[test]
#[ignore = "needs Zuplo (600 MB): run by `make acceptance`"]
fn all_but_what_zuplo_can_not_do_is_proven_by_check() {
    loopback::run(async {
        let (issuer, listen, probe) = (Issuer::open().await, free_address(), free_address());
        let folder = tempfile::tempdir().unwrap();
        let plan = format!(
            "listen: {listen}\nupstream: {{ url: 'http://{probe}' }}\nlimits: {{ requests_per_minute: 6000 }}\nauth:\n  \
             oidc:\n    issuer: https://login.example.com/\n    audience: gateway\n    jwks: http://{}/keys\n",
            issuer.jwks
        );
        make("zuplo", &plan, folder.path());
        let secrets = format!("UPSTREAM_URL=http://{probe}\nANTHROPIC_API_KEY={UPSTREAM_KEY}\n");
        std::fs::write(folder.path().join(".env"), secrets).unwrap();
        let _development = Development::start(folder.path(), listen).await;
        let token = issuer.token("ada", "gateway", 600);
        let (status, report) = check(&format!("http://{listen}"), &token, probe, folder.path(), &[]).await;
        let mut not_met = failed(&report, "note");
        not_met.sort();
        assert_eq!(not_met, NOT_MET);
        assert_eq!(status, Some(1));
        let another = issuer.token("ada", "another", 600);
        let (_, report) = check(&format!("http://{listen}"), &another, probe, folder.path(), &[]).await;
        assert!(failed(&report, "error").contains(&"auth".to_owned()), "{report:#}");
    });
}

/// The server for development, and what it has started in turn. They end when this is dropped.
struct Development(Child);

impl Development {
    async fn start(project: &Path, listen: SocketAddr) -> Self {
        let log = std::fs::File::create(project.join("test.log")).unwrap();
        // It looks for the ports of what it is told not to start, too.
        let ports = [listen, free_address(), free_address()].map(|address| address.port().to_string());
        let mut command =
            zuplo(&["dev", "--no-start-editor", "--no-start-docs", "--port", &ports[0]], project);
        command.args(["--editor-port", &ports[1], "--docs-port", &ports[2]]);
        command.stdout(log.try_clone().unwrap()).stderr(log).process_group(0);
        let mut development = Development(command.spawn().unwrap());
        let start = Instant::now();
        while tokio::net::TcpStream::connect(listen).await.is_err() {
            let ended = development.0.try_wait().unwrap();
            if ended.is_some() || start.elapsed() > START {
                let log = std::fs::read_to_string(project.join("test.log")).unwrap();
                panic!("it did not open {listen}: {ended:?}\n{log}");
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        development
    }
}

impl Drop for Development {
    fn drop(&mut self) {
        let group = format!("-{}", self.0.id());
        let _ = Command::new("kill").args(["-KILL", "--", &group]).status();
        let _ = self.0.wait();
    }
}
