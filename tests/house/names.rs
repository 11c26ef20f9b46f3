//! Names that say nothing.

use crate::tree;

/// A room of such a name has no subject, so everything ends up in it.
const EMPTY: [&str; 9] =
    ["common", "helper", "helpers", "manager", "misc", "service", "types", "util", "utils"];

#[test]
fn no_module_has_an_empty_name() {
    let offenders: Vec<String> = tree::sources()
        .iter()
        .flat_map(|file| {
            let nested = file.text.lines().filter_map(module);
            let own = file.path.trim_end_matches(".rs").split('/');
            own.chain(nested)
                .filter(|name| EMPTY.contains(name))
                .map(|name| format!("{}: {name}", file.path))
                .collect::<Vec<_>>()
        })
        .collect();
    assert!(offenders.is_empty(), "name these after what they hold: {offenders:#?}");
}

#[test]
fn there_is_one_way_to_lay_out_a_module() {
    let offenders: Vec<String> =
        tree::sources().into_iter().map(|file| file.path).filter(|path| path.ends_with("/mod.rs")).collect();
    assert!(offenders.is_empty(), "foo.rs stands beside foo/, not in it: {offenders:?}");
}

#[test]
fn the_judge_of_names_sees_modules() {
    for (line, name) in [
        ("mod utils;", Some("utils")),
        ("    pub(crate) mod types {", Some("types")),
        ("// mod utils;", None),
        ("let model = 1;", None),
    ] {
        assert_eq!(module(line), name, "{line}");
    }
}

/// The name, if the line declares a module.
fn module(line: &str) -> Option<&str> {
    let (before, after) = line.split_once("mod ")?;
    let declares = before.trim().is_empty() || before.trim().starts_with("pub");
    let name = after.trim_end().trim_end_matches([';', '{', '}', ' ']);
    (declares && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')).then_some(name)
}
