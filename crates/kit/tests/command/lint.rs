//! `tollgate lint`.

use crate::run::{run, run_with_input};
use std::{fs, path::Path};

/// A file of the linter's own tests.
fn fixture(path: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/lint").join(path).display().to_string()
}

#[test]
fn the_guides_own_configuration_of_nginx_is_taken_apart() {
    let file = fixture("guide/nginx.conf");
    let linted = run(&["lint", &file]);
    assert_eq!(linted.status, 1);
    insta::assert_snapshot!(linted.shown(&[(&file, "nginx.conf")]));
}

#[test]
fn a_good_folder_passes_and_says_what_was_read() {
    let folder = fixture("good");
    let linted = run(&["lint", &folder]);
    assert_eq!(linted.status, 0, "{}", linted.shown(&[]));
    insta::assert_snapshot!(linted.shown(&[(&folder, "good")]));
}

#[test]
fn a_folder_is_looked_at_whatever_else_is_in_it() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::write(at("a.conf"), [0xff, 0xfe, b'a', 0]).unwrap();
    let nothing = run(&["lint", &text_of(folder.path())]);
    assert_eq!(nothing.status, 2, "{}", nothing.shown(&[]));
    assert!(
        nothing.err.contains("a.conf is left out") && nothing.err.contains("holds no file"),
        "{}",
        nothing.err
    );
    fs::write(at("b.json"), " ".repeat((4 << 20) + 1)).unwrap();
    fs::copy(fixture("guide/kong-headers.yaml"), at("kong.yaml")).unwrap();
    let linted = run(&["lint", &text_of(folder.path())]);
    assert_eq!(linted.status, 1, "{}", linted.shown(&[]));
    assert!(linted.out.contains("kong.pass") && linted.err.contains("b.json is left out"), "{}", linted.err);
}

#[test]
fn the_status_says_how_it_went() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        text_of(&path)
    };
    let odd = file("odd.txt", "nothing of the kind");
    let huge = file("huge.conf", &"# \n".repeat(2 << 20));
    let absent = text_of(&folder.path().join("absent.conf"));
    let good = fixture("good/nginx.conf");
    let bad = fixture("guide/kong-headers.yaml");
    let rows: [(&[&str], i32, &str); 9] = [
        (&[&good], 0, "files: 1, errors: 0"),
        (&[&good, &bad], 1, "files: 2, errors: "),
        (&[&odd], 2, "--kind nginx"),
        (&[&odd, "--kind", "apache"], 2, "possible values"),
        (&[&good, "--ignore", "no.such"], 2, "docs/reference/rules.md"),
        (&[], 2, "FILE"),
        (&[&absent, &good], 3, "can not be read"),
        (&[&huge], 3, "larger than 4194304 bytes"),
        (&[&bad, "--ignore", "lint.notice", "--format", "json", "--quiet"], 1, ""),
    ];
    for (args, status, says) in rows {
        let linted = run(&[&["lint"], args].concat());
        let shown = linted.shown(&[]);
        assert_eq!(linted.status, status, "{args:?}: {shown}");
        assert!(shown.contains(says), "{args:?}: {shown}");
    }
}

#[test]
fn a_file_that_can_not_be_looked_at_does_not_hide_the_others() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| text_of(&folder.path().join(name));
    fs::write(at("odd.txt"), "nothing of the kind").unwrap();
    fs::create_dir(at("empty")).unwrap();
    let bad = fixture("guide/kong-headers.yaml");
    let rows =
        [("odd.txt", 2, "--kind nginx"), ("empty", 2, "holds no file"), ("absent", 3, "can not be read")];
    for (name, status, says) in rows {
        for args in [["lint", &at(name), &bad], ["lint", &bad, &at(name)]] {
            let linted = run(&args);
            let shown = linted.shown(&[]);
            assert_eq!(linted.status, status, "{args:?}: {shown}");
            assert!(linted.out.contains("kong.pass"), "{args:?}: {shown}");
            assert!(linted.err.contains(&at(name)) && linted.err.contains(says), "{args:?}: {shown}");
        }
    }
    // What the command line got wrong is to be mended first.
    assert_eq!(run(&["lint", &at("absent"), &at("odd.txt")]).status, 2);
}

fn text_of(path: &Path) -> String {
    path.display().to_string()
}

#[test]
fn standard_input_is_read_and_no_format_repeats_a_secret() {
    let canary = "sk-ant-api03-canary-canary-canary";
    let input = format!("location /v1/messages {{\n    proxy_set_header x-api-key {canary};\n}}\n");
    for format in ["text", "json", "junit", "sarif", "markdown"] {
        let linted =
            run_with_input(&["lint", "-", "--kind", "nginx", "--format", format, "--verbose"], &input);
        assert_eq!(linted.status, 1, "{format}");
        assert!(linted.out.contains("lint.secret"), "{format}: {}", linted.out);
        assert!(!linted.shown(&[]).contains("canary"), "{format}");
    }
}

#[test]
fn a_report_for_code_scanning_has_places() {
    let folder = tempfile::tempdir().unwrap();
    let report = folder.path().join("lint.sarif").display().to_string();
    let file = fixture("guide/kong-headers.yaml");
    let linted = run(&["lint", &file, "--format", "sarif", "--output", &report]);
    assert_eq!(linted.status, 1);
    assert!(linted.out.contains("kong.pass"), "the text for people goes to standard output");
    let sarif: serde_json::Value = serde_json::from_str(&fs::read_to_string(&report).unwrap()).unwrap();
    let results = sarif["runs"][0]["results"].as_array().unwrap();
    let pass = results.iter().find(|result| result["ruleId"] == "kong.pass").unwrap();
    let region = &pass["locations"][0]["physicalLocation"]["region"];
    assert_eq!((&region["startLine"], &region["startColumn"]), (&8.into(), &7.into()));
}
