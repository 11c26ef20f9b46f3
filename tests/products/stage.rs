//! A product with generated configuration, before a simulator.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use tempfile::TempDir;
use tollgate_acceptance::house::UPSTREAM_KEY;
use tollgate_acceptance::nginx::free_address;
use tollgate_acceptance::serve::tollgate;
use tollgate_simulator::{Config, Running, Simulator};

/// The keys of the two members of every plan.
pub(crate) const ADA: &str = "gw-canary-ada-0123456789";
pub(crate) const BOB: &str = "gw-canary-bob-9876543210";

/// A product, and how it is run.
pub(crate) struct Product {
    /// The target of `tollgate generate`.
    pub(crate) target: &'static str,
    /// Its configuration, below the folder.
    pub(crate) file: &'static str,
    /// The command that checks the file without serving. `DIR` stands for the folder.
    pub(crate) check: &'static [&'static str],
    /// The command that serves.
    pub(crate) serve: &'static [&'static str],
}

impl Product {
    fn command(&self, args: &[&str], folder: &Path) -> Command {
        let mut command = Command::new(program(args[0]));
        command.args(args[1..].iter().map(|arg| arg.replace("DIR", folder.to_str().unwrap())));
        with_secrets(&mut command);
        command.current_dir(folder).env("HOME", folder).stdin(Stdio::null());
        command
    }
}

fn program(name: &str) -> PathBuf {
    if name == "envoy" {
        let path = std::env::var_os("TOLLGATE_ENVOY").map(PathBuf::from);
        return path
            .expect("Envoy is not installed: run `make test`, which installs it and sets TOLLGATE_ENVOY");
    }
    let places = ["/usr/sbin", "/usr/bin", "/usr/local/sbin", "/usr/local/bin"];
    let found = places.into_iter().map(|place| Path::new(place).join(name)).find(|path| path.exists());
    found.unwrap_or_else(|| panic!("{name} is needed: run scripts/setup.sh, or install the package `{name}`"))
}

fn with_secrets(command: &mut Command) {
    command.env("ADA_KEY", ADA).env("BOB_KEY", BOB).env("ANTHROPIC_API_KEY", UPSTREAM_KEY);
}

/// A plan with two members. `upstream` is a URL, and `more` holds further lines.
fn plan(listen: SocketAddr, upstream: &str, more: &str) -> String {
    format!(
        "listen: {listen}\nupstream:\n  url: {upstream}\n{more}\nauth:\n  keys:\n    - {{ name: ada, key: env:ADA_KEY }}\n    \
         - {{ name: bob, key: env:BOB_KEY }}\n"
    )
}

/// Files made for a product, in a folder of their own.
pub(crate) struct Made {
    pub(crate) folder: TempDir,
    pub(crate) listen: SocketAddr,
    product: &'static Product,
}

/// Makes them by the command itself, as people do, with their secrets.
pub(crate) fn make(product: &'static Product, upstream: &str, more: &str) -> Made {
    let listen = free_address();
    make_of(product, listen, &plan(listen, upstream, more))
}

/// Makes them of a plan.
pub(crate) fn make_of(product: &'static Product, listen: SocketAddr, plan: &str) -> Made {
    let folder = tempfile::tempdir().unwrap();
    let plan_file = folder.path().join("plan.yaml");
    std::fs::write(&plan_file, plan).unwrap();
    let mut command = Command::new(tollgate());
    command.args(["generate", product.target, "--fill", "--plan"]).arg(&plan_file);
    with_secrets(command.arg("--out").arg(folder.path()));
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let made = Made { folder, listen, product };
    // A test is not the whole machine: nginx writes to folders of the system unless it is told otherwise.
    if product.target == "nginx" {
        let root = made.folder.path().display();
        let own = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|kind| format!("{kind}_temp_path {root}/{kind};\n"));
        made.change("nginx.conf", "http {\n", &format!("http {{\n{}", own.concat()));
    }
    made
}

impl Made {
    /// Changes the file, which must hold the text.
    pub(crate) fn change(&self, file: &str, from: &str, to: &str) {
        let path = self.folder.path().join(file);
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{file} has no {from:?} to break");
        std::fs::write(&path, text.replace(from, to)).unwrap();
    }

    /// What the product itself says about its configuration, with one variable left out.
    pub(crate) fn check_without(&self, variable: &str) -> Output {
        let mut command = self.product.command(self.product.check, self.folder.path());
        command.env_remove(variable).output().unwrap()
    }

    /// Runs the product until the guard is dropped.
    pub(crate) async fn serve(self) -> Serving {
        let checked = self.check_without("NOTHING");
        assert!(checked.status.success(), "{}", last(&String::from_utf8_lossy(&checked.stderr)));
        let log = std::fs::File::create(self.folder.path().join("test.log")).unwrap();
        let mut command = self.product.command(self.product.serve, self.folder.path());
        let child = command.stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap();
        let mut serving = Serving { child, made: self };
        for _ in 0..3000 {
            if tokio::net::TcpStream::connect(serving.made.listen).await.is_ok() {
                return serving;
            }
            if let Some(status) = serving.child.try_wait().unwrap() {
                panic!("it ended at once: {status}\n{}", last(&serving.log()));
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("it did not open {}\n{}", serving.made.listen, last(&serving.log()));
    }
}

/// The end of what a product prints; the beginning of some is long.
fn last(log: &str) -> &str {
    let lines = log.rmatch_indices('\n').nth(10);
    lines.map_or(log, |(at, _)| &log[at..])
}

/// A running product. It ends when this is dropped.
pub(crate) struct Serving {
    child: Child,
    pub(crate) made: Made,
}

impl Serving {
    pub(crate) fn address(&self) -> SocketAddr {
        self.made.listen
    }

    /// All that it has printed.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.made.folder.path().join("test.log")).unwrap()
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The API that products are put before. It takes the provider's key only.
pub(crate) async fn api() -> Running {
    let api_key = Some(UPSTREAM_KEY.to_owned());
    Simulator::start(Config { api_key, ..Config::default() }).await.unwrap()
}
