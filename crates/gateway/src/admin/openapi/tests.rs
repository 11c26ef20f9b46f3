//! The description is current, and describes each route once.

use std::collections::BTreeSet;
use std::path::Path;

use super::{document, reference};
use crate::admin::route::Access;
use crate::admin::table;

/// Compares with what is committed; TOLLGATE_UPDATE=1 writes it anew.
fn check(name: &str, wanted: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference").join(name);
    if std::env::var_os("TOLLGATE_UPDATE").is_some() {
        std::fs::write(&path, wanted).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(found == wanted, "{name} is not current; run `make reference`");
}

#[test]
fn the_reference_is_current() {
    let document = document();
    let mut text = serde_json::to_string_pretty(&document).unwrap();
    text.push('\n');
    check("admin-api.json", &text);
    check("admin-api.md", &reference::page(&document));
}

#[test]
fn each_route_is_described_once_under_a_name_of_its_own() {
    let routes = table::routes();
    let names: BTreeSet<_> = routes.iter().map(|route| route.name).collect();
    assert_eq!(names.len(), routes.len());
    let document = document();
    let described: usize =
        document["paths"].as_object().unwrap().values().map(|item| item.as_object().unwrap().len()).sum();
    assert_eq!(described, routes.len());
}

#[test]
fn nothing_but_the_setup_is_open() {
    let open: Vec<_> = table::routes()
        .into_iter()
        .filter(|route| route.access == Access::Open)
        .map(|route| route.name)
        .collect();
    assert_eq!(open, ["set_up"]);
}

#[test]
fn every_reference_leads_somewhere() {
    let document = serde_json::Value::Object(document());
    let text = document.to_string();
    let references = text.split("\"$ref\":\"#").skip(1).map(|rest| rest.split('"').next().unwrap());
    for reference in references {
        assert!(document.pointer(reference).is_some(), "{reference}");
    }
}
