//! A network with loopback alone.
//!
//! A test runs itself anew in a network namespace of its own, gateway, simulator, clients and all.

use std::any::type_name;
use std::io::ErrorKind;
use std::net::UdpSocket;
use std::process::{Command, Output};
use std::time::Duration;

use tokio::time::timeout;

/// Set for the test that was run anew.
const APART: &str = "TOLLGATE_APART";
/// No test may take longer.
const LIMIT: Duration = Duration::from_secs(150);
/// A new network namespace as root; and as anybody, where the system lets users have namespaces.
const NAMESPACES: [&[&str]; 2] = [&["--net"], &["--user", "--map-root-user", "--net"]];
const CURE: &str = "the real clients are run in a network namespace, and none can be made here: run as root, or allow \
                    users to have namespaces (sysctl kernel.unprivileged_userns_clone=1, or on Ubuntu \
                    kernel.apparmor_restrict_unprivileged_userns=0); in a container, add the capability SYS_ADMIN";

/// Runs the test that calls it where nothing but loopback can be reached. The name of the test is taken from the
/// type of its future, which must be a block in the test's own body.
pub fn run<T: Future<Output = ()>>(test: T) {
    crate::installed::folder();
    if !reaches_beyond() {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime
            .block_on(async { timeout(LIMIT, test).await })
            .unwrap_or_else(|_| panic!("not finished within {LIMIT:?}"));
        return;
    }
    assert!(std::env::var_os(APART).is_none(), "more than loopback can be reached in the namespace");
    let path = type_name::<T>();
    let name =
        path.split("::").skip(1).take_while(|part| !part.starts_with('{')).collect::<Vec<_>>().join("::");
    let output = apart(&name);
    let said = String::from_utf8_lossy(&output.stdout);
    // A name that no test has would run none, and succeed.
    assert!(
        output.status.success() && said.contains("1 passed"),
        "{name} in a namespace of its own:\n{said}{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// Whether there is a way to any other machine. Nothing is sent: connecting a UDP socket asks for the route alone.
/// The addresses are those that are reserved for documentation (RFC 5737, RFC 3849).
fn reaches_beyond() -> bool {
    [("0.0.0.0:0", "192.0.2.1:9"), ("[::]:0", "[2001:db8::1]:9")].into_iter().any(|(from, to)| {
        let Ok(socket) = UdpSocket::bind(from) else {
            return false;
        };
        match socket.connect(to) {
            Ok(()) => true,
            Err(error) => {
                !matches!(error.kind(), ErrorKind::NetworkUnreachable | ErrorKind::AddrNotAvailable)
            }
        }
    })
}

/// Runs one test of this program in a namespace.
fn apart(name: &str) -> Output {
    let namespace = NAMESPACES.iter().find(|flags| {
        Command::new("unshare").args(**flags).arg("true").output().is_ok_and(|output| output.status.success())
    });
    let namespace = namespace.unwrap_or_else(|| panic!("{CURE}"));
    Command::new("unshare")
        .args(*namespace)
        .args(["sh", "-c", r#"PATH="$PATH:/usr/sbin:/sbin"; ip link set lo up && exec "$@""#, "sh"])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", name, "--include-ignored", "--nocapture"])
        .env(APART, "1")
        .output()
        .unwrap()
}
