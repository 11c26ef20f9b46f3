//! `tollgate statement`.

use crate::run::{Gateway, run, text};
use serde_json::Value;
use std::fs;

/// A month that is over.
const MONTH: &str = "2026-01";

#[test]
fn a_month_is_closed_shown_and_verified_elsewhere() {
    let gateway = Gateway::start("http://127.0.0.1:9");
    assert_eq!(gateway.run(&["statement", "list"]).out, "no statements\n");
    let draft = gateway.run(&["statement", "close", MONTH, "--dry-run"]);
    assert_eq!((draft.status, draft.err.as_str()), (0, "2026-01 would be closed so\n"));
    assert_eq!(gateway.run(&["statement", "show", MONTH]).status, 1);
    let closed = gateway.run(&["statement", "close", MONTH]);
    assert_eq!((closed.status, closed.out), (0, draft.out));
    let again = gateway.run(&["statement", "close", MONTH]);
    assert!(again.status == 1 && again.err.contains("closed"), "{}", again.err);
    assert!(gateway.run(&["statement", "list"]).out.contains(MONTH));

    let folder = tempfile::tempdir().unwrap();
    let saved = folder.path().join("statements");
    let shown =
        gateway.run(&["statement", "show", MONTH, "--format", "json", "--save", text(&saved), "--quiet"]);
    assert_eq!((shown.status, shown.err.as_str()), (0, ""));
    let (file, signature) = (saved.join("2026-01.json"), saved.join("2026-01.sig"));
    assert_eq!(fs::read_to_string(&file).unwrap(), shown.out, "to the byte");
    let listed: Value = serde_json::from_str(&gateway.run(&["statement", "list", "--json"]).out).unwrap();
    assert_eq!(listed[0]["period"], MONTH);

    let data = gateway.data();
    let public = folder.path().join("journal.pub");
    fs::copy(data.join("secrets/journal.pub"), &public).unwrap();
    let from_data = gateway.run(&["statement", "verify", text(&file)]);
    assert_eq!(from_data.status, 0, "{}{}", from_data.out, from_data.err);
    drop(gateway.stop());
    let verify = || run(&["statement", "verify", text(&file), "--public-key", text(&public)]);
    let good = verify();
    assert_eq!((good.status, good.err.as_str()), (0, ""));
    assert!(good.out.contains("as it was closed") && good.out.contains(MONTH), "{}", good.out);

    // Whatever is changed in either file is found.
    let (statement, signed) = (fs::read_to_string(&file).unwrap(), fs::read_to_string(&signature).unwrap());
    let other_key = format!(r#""key":"{}""#, "0".repeat(16));
    let own_key = serde_json::from_str::<Value>(&signed).unwrap()["key"].to_string();
    for (text, signature_text) in [
        (statement.replace("2026-01", "2026-02"), signed.clone()),
        (statement.replace("\"requests\":0", "\"requests\":1"), signed.clone()),
        (format!("{statement} "), signed.clone()),
        (String::new(), signed.clone()),
        (statement.clone(), signed.replace("2026-01", "2026-02")),
        (statement.clone(), signed.replace(&format!(r#""key":{own_key}"#), &other_key)),
        (statement.clone(), "{}".to_owned()),
    ] {
        assert!(text != statement || signature_text != signed, "nothing was changed");
        fs::write(&file, text).unwrap();
        fs::write(&signature, signature_text).unwrap();
        let wrong = verify();
        assert!(wrong.status == 1 && wrong.out.contains("WRONG"), "{}{}", wrong.out, wrong.err);
    }
}

#[test]
fn a_statement_of_another_gateway_is_not_taken_for_ones_own() {
    let [own, other] = [(); 2].map(|()| Gateway::start("http://127.0.0.1:9"));
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(other.run(&["statement", "close", MONTH]).status, 0);
    assert_eq!(other.run(&["statement", "show", MONTH, "--save", text(folder.path())]).status, 0);
    let verified = own.run(&["statement", "verify", text(&folder.path().join("2026-01.json"))]);
    assert!(verified.status == 1 && verified.out.contains("another key"), "{}", verified.out);
}

#[test]
fn what_can_not_be_closed_or_verified_is_said() {
    let gateway = Gateway::start("http://127.0.0.1:9");
    for period in ["2026-13", "january", "../x", "9999-12"] {
        let refused = gateway.run(&["statement", "close", period]);
        assert!(refused.status == 1 || refused.status == 2, "{period}: {}", refused.status);
        assert_eq!(refused.out, "", "{period}");
    }
    let missing = gateway.run(&["statement", "verify", "no-such.json"]);
    assert!(missing.status == 2 && missing.err.contains("no-such.json"), "{}", missing.err);
    let folder = tempfile::tempdir().unwrap();
    let nowhere = run(&["statement", "verify", "x.json", "--data", text(folder.path())]);
    assert!(nowhere.status == 2 && nowhere.err.contains("journal.pub"), "{}", nowhere.err);
}
