//! What every command has in common: help, statuses, outputs.

use crate::run::{ran, run, tollgate};
use std::{fs::OpenOptions, process::Stdio};

#[test]
fn help_goes_to_standard_output() {
    insta::assert_snapshot!(run(&["-h"]).shown(&[]));
    assert_eq!(run(&["help"]).out, run(&["--help"]).out);
    for command in ["serve", "demo", "key", "usage", "price", "reconcile", "audit", "config", "simulate"] {
        let help = run(&["help", command]);
        assert_eq!((help.status, help.err.as_str()), (0, ""), "{command}");
        assert_eq!(help.out, run(&[command, "--help"]).out, "{command}");
    }
}

#[test]
fn the_version_is_that_of_the_package() {
    let version = run(&["--version"]);
    assert_eq!(version.status, 0);
    assert_eq!(version.out, format!("tollgate {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn a_wrong_command_line_is_status_2_on_standard_error() {
    let rows: [(&[&str], &str); 13] = [
        (&[], "Usage: tollgate"),
        (&["servr"], "serve"),
        (&["serve", "--listen", "8080"], "is not an IP address and a port"),
        (&["serve", "--upstream", "api.anthropic.com"], "upstream"),
        (&["serve", "--log-level", "loud"], "possible values"),
        (&["key", "create"], "--team"),
        (&["key", "create", "--team", "a", "--expires", "90"], "as in 90d"),
        (&["key", "create", "--team", "a", "--json", "--quiet"], "cannot be used with"),
        (&["usage", "report", "--from", "yesterday"], "as in 2026-11-01"),
        (&["usage", "report", "--by", "team,colour"], "colour"),
        (&["usage", "report", "--format", "pdf"], "possible values"),
        (&["config", "check"], "<FILE>"),
        (&["simulate", "--listen", "everywhere"], "--listen"),
    ];
    for (args, says) in rows {
        let ran = run(args);
        assert_eq!((ran.status, ran.out.as_str()), (2, ""), "{args:?}");
        assert!(ran.err.contains(says), "{args:?}: {}", ran.err);
    }
}

#[test]
fn colours_appear_only_where_they_are_wanted() {
    let escape = '\u{1b}';
    let plain = run(&["config", "check", "no-such-file"]);
    assert!(!plain.err.contains(escape), "{}", plain.err);
    let forced = tollgate(&["config", "check", "no-such-file"]).env("CLICOLOR_FORCE", "1").output().unwrap();
    assert!(ran(forced).err.contains(escape));
}

#[test]
fn a_reader_that_has_seen_enough_is_no_fault_but_a_full_disk_is() {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let enough = tollgate(&["config", "reference"]).stdout(writer).stderr(Stdio::piped()).output().unwrap();
    let enough = ran(enough);
    assert_eq!((enough.status, enough.err.as_str()), (0, ""));

    let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
    let full = tollgate(&["config", "reference"]).stdout(full).stderr(Stdio::piped()).output().unwrap();
    let full = ran(full);
    assert_eq!(full.status, 3);
    assert!(full.err.contains("standard output can not be written"), "{}", full.err);
}
