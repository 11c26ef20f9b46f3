//! `tollgate demo`.

use crate::run::{Server, run, text, tollgate};
use std::path::Path;

#[test]
fn the_demo_is_as_expected_and_leaves_nothing_behind() {
    let shown = run(&["demo", "--exit"]);
    assert_eq!(shown.status, 0, "{}{}", shown.out, shown.err);
    assert!(!shown.err.contains("wrong"), "{}", shown.err);
    for team in ["research", "platform", "support", "total"] {
        assert!(shown.out.lines().any(|line| line.starts_with(team)), "{team}: {}", shown.out);
    }
    assert!(shown.out.contains("as it was written"), "{}", shown.out);
    let data = shown.err.lines().find_map(|line| line.strip_prefix("  data      ")).unwrap();
    assert!(!Path::new(data).parent().unwrap().exists());
}

#[test]
fn the_demo_keeps_its_data_where_it_is_told_to_and_can_be_repeated() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    for _ in 0..2 {
        let shown = run(&["demo", "--exit", "--quiet", "--data", text(&data)]);
        assert_eq!((shown.status, shown.err.as_str()), (0, ""), "{}", shown.out);
    }
    let verified = run(&["audit", "verify", text(&data)]);
    assert_eq!(verified.status, 0, "{}", verified.out);
}

#[test]
fn the_demo_stays_up_for_a_client_until_ctrl_c() {
    let demo = Server::start(tollgate(&["demo"]));
    let folder = demo.line("  data      ");
    let folder = Path::new(folder.trim_start_matches("  data").trim()).parent().unwrap().to_owned();
    assert!(folder.exists());
    demo.line("export ANTHROPIC_BASE_URL=http://127.0.0.1:");
    demo.line("export ANTHROPIC_AUTH_TOKEN=tg_");
    demo.line("the gateway stays up");
    demo.signal("INT");
    assert_eq!(demo.end().code(), Some(0));
    assert!(!folder.exists());
}
