//! `tollgate generate`.

use crate::run::{ran, run, run_with_input, text, tollgate};

#[test]
fn files_are_written_once_and_replaced_only_by_force() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("made");
    let generate = |more: &[&str]| {
        let args = [&["generate", "nginx", "--out", text(&out)], more].concat();
        let made = ran(tollgate(&args)
            .env("GATEWAY_KEY", "canary-gateway-01")
            .env("ANTHROPIC_API_KEY", "canary-provider-1")
            .output()
            .unwrap());
        assert!(!made.shown(&[]).contains("canary"));
        made
    };
    insta::assert_snapshot!(generate(&[]).shown(&[(text(folder.path()), "FOLDER")]));
    insta::assert_snapshot!(generate(&[]).shown(&[(text(folder.path()), "FOLDER")]));
    assert_eq!(generate(&["--force", "--quiet"]).err, "");
    insta::assert_snapshot!(generate(&["--fill", "--force"]).shown(&[(text(folder.path()), "FOLDER")]));
    assert!(std::fs::read_to_string(out.join("secrets/members.map")).unwrap().contains("canary-gateway-01"));
}

#[test]
fn a_plan_is_read_with_every_problem_told() {
    let bad = "name: a gateway\nupstreams: []\nauth:\n  keys:\n    - { name: ada, key: sk-ant-api03-canary-canary }\nbody_mb: 32MB\n";
    let refused = run_with_input(&["generate", "envoy", "--plan", "-", "--stdout"], bad);
    assert!(!refused.shown(&[]).contains("canary"));
    insta::assert_snapshot!(refused.shown(&[]));
}

#[test]
fn a_plan_is_read_up_to_its_limit() {
    let args = ["generate", "claude-code", "--plan", "-", "--stdout"];
    let comment = format!("#{}\n", " ".repeat((4 << 20) - 2));
    assert_eq!(run_with_input(&args, &comment).status, 0);
    let refused = run_with_input(&args, &format!("{comment}\n"));
    assert_eq!((refused.status, refused.out.as_str()), (2, ""));
    assert!(
        refused.err.contains("stdin can not be read: it is larger than 4194304 bytes"),
        "{}",
        refused.err
    );
}

#[test]
fn what_is_shown_is_a_plan_and_what_it_makes() {
    let plan = run(&["generate", "plan"]);
    assert_eq!((plan.status, plan.err.as_str()), (0, ""));
    let shown = run_with_input(&["generate", "claude-code", "--plan", "-", "--stdout", "--quiet"], &plan.out);
    assert_eq!(shown.err, "");
    insta::assert_snapshot!(shown.shown(&[]));
}

#[test]
fn a_secret_that_is_not_there_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("made");
    let missing = run(&["generate", "nginx", "--out", text(&out), "--fill"]);
    insta::assert_snapshot!(missing.shown(&[]));
    assert!(!out.exists());
}

#[test]
fn a_target_and_a_place_are_needed() {
    for args in [
        &["generate"][..],
        &["generate", "nginx"],
        &["generate", "apache", "--stdout"],
        &["generate", "plan", "--out", "x"],
    ] {
        assert_eq!(run(args).status, 2, "{args:?}");
    }
}
