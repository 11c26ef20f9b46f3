//! Who may import whom: the table in ARCHITECTURE.md against what Cargo knows.

use crate::tree;
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    process::Command,
};

type Imports = BTreeMap<String, BTreeSet<String>>;

#[test]
fn rooms_import_only_what_the_map_allows() {
    let allowed = table(&tree::read("ARCHITECTURE.md"));
    let actual = metadata();
    let rooms = |imports: &Imports| imports.keys().cloned().collect::<BTreeSet<_>>();
    assert_eq!(rooms(&allowed), rooms(&actual), "the map and the workspace name different rooms");
    let faults = faults(&allowed, &actual);
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// `audit verify` and `statement verify` read files themselves (docs/decisions/0002); everything else
/// that the command line wants from the store, it asks the running gateway for.
#[test]
fn the_command_line_opens_the_store_only_to_verify() {
    let offenders: Vec<String> = tree::sources()
        .into_iter()
        .filter(|file| file.path.starts_with("crates/kit/src/") && file.text.contains("tollgate_store"))
        .map(|file| file.path)
        .filter(|path| !path.split('/').any(|part| matches!(part, "audit" | "audit.rs" | "verify.rs")))
        .collect();
    assert!(offenders.is_empty(), "these files name the store: {offenders:?}");
}

/// A crate's own clippy.toml replaces that of the root, so it must repeat it.
#[test]
fn pure_rooms_repeat_the_bans_of_the_root() {
    let root = tree::read("clippy.toml");
    for room in ["wire", "policy", "config"] {
        let own = tree::read(&format!("crates/{room}/clippy.toml"));
        for ban in root.lines().map(str::trim).filter(|line| line.starts_with("{ path")) {
            assert!(own.contains(ban), "crates/{room}/clippy.toml lacks {ban}");
        }
        assert!(own.contains("SystemTime::now"), "crates/{room}/clippy.toml lets the clock in");
    }
}

/// What nobody names has to be built and trusted all the same.
#[test]
fn every_dependency_is_used() {
    let (sources, top) = (tree::sources(), format!("{}/", tree::top().display()));
    let mut idle = Vec::new();
    for package in packages() {
        let manifest = package["manifest_path"].as_str().unwrap();
        let home = manifest.trim_start_matches(&top).trim_end_matches("Cargo.toml");
        for dependency in package["dependencies"].as_array().unwrap() {
            let name = dependency["name"].as_str().unwrap();
            let mut texts = sources.iter().filter(|file| file.path.starts_with(home)).map(|file| &*file.text);
            if !texts.any(|text| is_named(text, &name.replace('-', "_"))) {
                idle.push(format!("{home}Cargo.toml names {name}, and no source below {home} does"));
            }
        }
    }
    assert!(idle.is_empty(), "{}", idle.join("\n"));
}

/// Whether a source names a crate at the beginning of a path, or renames it.
fn is_named(text: &str, name: &str) -> bool {
    let is_word = |letter: char| letter.is_alphanumeric() || letter == '_';
    text.match_indices(name).any(|(at, _)| {
        let rest = &text[at + name.len()..];
        !text[..at].ends_with(is_word) && (rest.starts_with("::") || rest.starts_with(" as "))
    })
}

#[test]
fn the_judge_of_dependencies_reads_paths() {
    assert!(is_named("use flate2::read;", "flate2") && is_named("use http as h;", "http"));
    assert!(!is_named("// http is spoken", "http") && !is_named("use hyper_http::x;", "http"));
}

#[test]
fn the_judge_of_layers_sees_faults() {
    let map =
        "| room | may import | knows nothing of |\n|---|---|---|\n| `a` | - | x |\n| `b` | `a` | `c` |\n";
    let allowed = table(map);
    let imports = |pairs: &[(&str, &[&str])]| -> Imports {
        let set = |names: &[&str]| names.iter().map(ToString::to_string).collect();
        pairs.iter().map(|(room, names)| (room.to_string(), set(names))).collect()
    };
    assert_eq!(allowed, imports(&[("a", &[]), ("b", &["a"])]));
    assert!(faults(&allowed, &imports(&[("a", &[]), ("b", &["a"])])).is_empty());
    assert_eq!(faults(&allowed, &imports(&[("a", &["b"]), ("b", &[])])), ["`a` imports `b`"]);
}

fn faults(allowed: &Imports, actual: &Imports) -> Vec<String> {
    let extra = |(room, imports): (&String, &BTreeSet<String>)| {
        let extra: Vec<_> = imports.difference(&allowed[room]).cloned().collect();
        extra.into_iter().map(|import| format!("`{room}` imports `{import}`")).collect::<Vec<_>>()
    };
    actual.iter().flat_map(extra).collect()
}

/// The rows of the table whose first column is headed `room`: the names in backquotes of the first
/// two columns.
fn table(page: &str) -> Imports {
    page.lines()
        .skip_while(|line| !line.starts_with("| room | may import |"))
        .skip(2)
        .take_while(|line| line.starts_with('|'))
        .map(|line| {
            let mut cells = line.trim_matches('|').split('|');
            let room = cells.next().unwrap().trim().trim_matches('`').to_owned();
            let imports = cells.next().unwrap().split('`').skip(1).step_by(2);
            (room, imports.map(str::to_owned).collect())
        })
        .collect()
}

/// Every package of the workspace with the packages of the workspace that it depends on, tests and
/// build scripts included. A package goes by the name of its folder.
fn metadata() -> Imports {
    let folder =
        |path: &Value| path.as_str().unwrap().trim_end_matches('/').rsplit('/').next().unwrap().to_owned();
    let imports = |package: &Value| {
        let dependencies = package["dependencies"].as_array().unwrap().iter();
        dependencies.filter(|one| one["path"].is_string()).map(|one| folder(&one["path"])).collect()
    };
    let home = |package: &Value| {
        folder(&package["manifest_path"].as_str().unwrap().trim_end_matches("/Cargo.toml").into())
    };
    packages().iter().map(|package| (home(package), imports(package))).collect()
}

/// What Cargo knows of the packages of the workspace.
fn packages() -> Vec<Value> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline"])
        .current_dir(tree::top())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    metadata["packages"].as_array_mut().unwrap().drain(..).collect()
}
