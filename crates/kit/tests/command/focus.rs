//! `tollgate usage report --format focus`, against the rules of FOCUS 1.4.

use crate::run::{Gateway, Simulator, message, ran, text};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// Where `scripts/setup.sh acceptance` put the rules.
const FOLDER: &str = "TOLLGATE_FOCUS";

#[test]
fn the_report_obeys_the_rules_of_focus() {
    let simulator = Simulator::start();
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("tollgate.yaml");
    let rules =
        "cost_centres: [{cost_centre: '4711', on: {team: red}}]\ntags: [{name: stage, value: '=prod'}]\n";
    fs::write(&config, rules).unwrap();
    let gateway = Gateway::start_with(&simulator.url, &["--config", text(&config)]);
    for (team, directives) in [
        ("red", "usage=in:1000,out:200,cr:30,c5:4,c1:5"),
        ("red", "status=529"),
        ("blue", "usage=in:1,out:1,cr:0,c5:0,c1:0"),
    ] {
        message(&gateway.clients, &gateway.key(team), directives);
    }
    let file = folder.path().join("focus.csv");
    let report = gateway.run(&["usage", "report", "--by", "user,tag:stage,outcome", "--format", "focus"]);
    assert_eq!((report.status, report.err.as_str()), (0, ""));
    for part in ["4711,4711,Cost centre", "blue,blue,Team", r#""stage"":""=prod"#, ",1239,Tokens,"] {
        assert!(report.out.contains(part), "{part}: {}", report.out);
    }
    fs::write(&file, &report.out).unwrap();
    assert_eq!(violations(&file), None);

    // The rules are at work: each of these breaks one.
    for (from, to) in [
        ("AI and Machine Learning", "AI"),
        (",USD,", ",Dollars,"),
        ("T00:00:00Z", " 00:00"),
        ("BilledCost,", "x_Cost,"),
        (",Usage-Based,", ",Sometimes,"),
    ] {
        fs::write(&file, report.out.replace(from, to)).unwrap();
        assert!(violations(&file).is_some(), "{to} passed");
    }
}

/// What the file breaks of FOCUS 1.4, if anything.
fn violations(file: &Path) -> Option<String> {
    let command = toolkit();
    let output = Command::new(&command)
        .args(["validate", text(file), "--dataset", "cost-and-usage"])
        .output()
        .unwrap_or_else(|error| panic!("{}: {error}; run `make test`", command.display()));
    let ran = ran(output);
    assert!(ran.status <= 1, "{}{}", ran.out, ran.err);
    (ran.status == 1).then_some(ran.out)
}

/// The command that knows the rules.
///
/// # Panics
///
/// Without it nothing is checked, and a test that checks nothing must not pass.
fn toolkit() -> PathBuf {
    match std::env::var_os(FOLDER) {
        Some(folder) => PathBuf::from(folder).join("bin/focus-toolkit"),
        None => panic!("the rules of FOCUS are not installed: run `make test`, which sets {FOLDER}"),
    }
}
