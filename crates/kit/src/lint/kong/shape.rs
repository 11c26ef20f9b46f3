//! Whether Kong reads the file at all: keys that exist, values of their types.

use super::{
    list,
    schema::{self, Form},
};
use crate::lint::{Notes, listed, rules};
use std::collections::BTreeSet;
use tollgate_config::tree::{Key, Node, Value};

/// Looks at the keys and the values of a document.
pub(super) fn lint(tree: &Node, notes: &mut Notes<'_>) {
    match tree.get("_format_version").map(|version| (version, version.text())) {
        None => {
            let says = "there is no `_format_version`, so nothing is loaded";
            notes.add(&rules::KONG_FORMAT, tree.place, says, "_format_version: \"3.0\"");
        }
        Some((_, Some("3.0" | "2.1" | "1.1"))) => {}
        Some((version, _)) => {
            let says = "`_format_version` is the text \"3.0\", in quotes";
            notes.add(&rules::KONG_FORMAT, version.place, says, "_format_version: \"3.0\"");
        }
    }
    for (key, _) in tree.fields() {
        // Lists of entities of plugins of one's own can not be told from mistakes; these are the common ones.
        if !schema::TOP.contains(&key.name.as_str()) {
            unknown(key, "the file", schema::TOP.iter().copied(), notes);
        }
    }
    entities(tree, 0, notes);
    names(tree, notes);
}

/// Names of services and of routes, which both must be unique.
fn names(tree: &Node, notes: &mut Notes<'_>) {
    let services = list(tree, "services");
    let routes = services.iter().flat_map(|service| list(service, "routes")).chain(list(tree, "routes"));
    for (kind, entities) in [("service", services.iter().collect()), ("route", routes.collect::<Vec<_>>())] {
        let mut seen = BTreeSet::new();
        for name in entities.iter().filter_map(|entity| entity.get("name")) {
            let Some(text) = name.text() else { continue };
            if !seen.insert(text) {
                let says = format!("there is another {kind} of the name `{text}`");
                notes.add(&rules::KONG_VALUE, name.place, says, format!("name: {text}-2"));
            }
        }
    }
}

/// The deepest that entities stand in one another: routes in services, plugins in routes.
const DEPTH_MAX: usize = 3;

fn entities(node: &Node, depth: usize, notes: &mut Notes<'_>) {
    for kind in ["services", "routes", "consumers", "plugins"] {
        let Some(known) = schema::entity(kind) else { continue };
        for item in list(node, kind) {
            for (key, value) in item.fields() {
                if known.clone().any(|name| name == key.name) {
                    field(key, value, notes);
                } else {
                    unknown(key, kind, known.clone(), notes);
                }
            }
            if kind == "plugins" {
                config(item, notes);
            } else if kind == "routes" {
                route(item, notes);
            }
            if depth < DEPTH_MAX {
                entities(item, depth + 1, notes);
            }
        }
    }
}

fn field(key: &Key, value: &Node, notes: &mut Notes<'_>) {
    if let Some((_, form)) = schema::FIELDS.iter().find(|(name, _)| *name == key.name) {
        fits(key, value, *form, notes);
    }
}

fn route(route: &Node, notes: &mut Notes<'_>) {
    for path in list(route, "paths") {
        let text = path.text().unwrap_or_default();
        if !text.starts_with('/') && !text.starts_with("~/") && !text.starts_with("~^/") {
            let says = "a path starts with `/`, or with `~/` where it is a pattern";
            notes.add(&rules::KONG_VALUE, path.place, says, format!("/{text}"));
        }
    }
    for method in list(route, "methods") {
        let text = method.text().unwrap_or_default();
        if text.chars().any(|c| !c.is_ascii_uppercase()) {
            let says = "a method is in upper case";
            notes.add(&rules::KONG_VALUE, method.place, says, text.to_ascii_uppercase());
        }
    }
}

/// The configuration of a plugin whose schema is known.
fn config(plugin: &Node, notes: &mut Notes<'_>) {
    let name = plugin.get("name").and_then(Node::text).unwrap_or_default();
    if let (Some(config), Some(fields)) = (plugin.get("config"), schema::config(name)) {
        section(config, name, fields, notes);
    }
}

fn section(node: &Node, of: &str, fields: &[(&'static str, Form)], notes: &mut Notes<'_>) {
    for (key, value) in node.fields() {
        match fields.iter().find(|(name, _)| *name == key.name) {
            Some((_, Form::Section(inner))) if !value.fields().is_empty() => {
                section(value, &format!("`{}` of {of}", key.name), inner, notes);
            }
            Some((_, form)) => fits(key, value, *form, notes),
            None if of == "request-transformer" && key.name == "pass" => {
                let says = "`request-transformer` has no `pass`, and Kong refuses the whole file for it";
                notes.add(
                    &rules::KONG_PASS,
                    key.place,
                    says,
                    "# Remove `pass`: all headers pass by themselves.",
                );
            }
            None => unknown(key, of, fields.iter().map(|(name, _)| *name), notes),
        }
    }
}

fn fits(key: &Key, value: &Node, form: Form, notes: &mut Notes<'_>) {
    let refers = value.text().is_some_and(|text| text.contains("${{") || text.starts_with("{vault://"));
    let wanted = match (form, &value.value) {
        (_, Value::Null) | (Form::Any, _) | (Form::Flag, Value::Bool(_)) | (Form::Text, Value::Text(_)) => {
            return;
        }
        (Form::Number(least, most), Value::Integer(number)) if (least..=most).contains(number) => return,
        (Form::One(words), Value::Text(text)) if words.contains(&text.as_str()) => return,
        (Form::Texts, Value::List(items)) if items.iter().all(|item| item.text().is_some()) => return,
        (Form::Section(_), Value::Map(_)) => return,
        _ if refers => return,
        (Form::Flag, _) => "`true` or `false`".to_owned(),
        (Form::Text, _) => "a text".to_owned(),
        (Form::Number(least, i64::MAX), _) => format!("a whole number from {least}"),
        (Form::Number(least, most), _) => format!("a whole number from {least} to {most}"),
        (Form::One(words), _) => format!("one of {}", listed(words)),
        (Form::Texts, _) => "a list of texts".to_owned(),
        (Form::Section(_), _) => "a section".to_owned(),
    };
    notes.add(
        &rules::KONG_VALUE,
        value.place,
        format!("`{}` is {wanted}", key.name),
        format!("{}: ...", key.name),
    );
}

/// A key that does not exist. The cure is the nearest that does.
fn unknown(key: &Key, of: &str, known: impl Iterator<Item = &'static str>, notes: &mut Notes<'_>) {
    let says = format!("{of}: there is no `{}`, and Kong refuses the whole file for it", key.name);
    let known: Vec<&str> = known.collect();
    let near = known.iter().find(|name| is_near(name, &key.name));
    let cure = match near {
        Some(near) => format!("{near}:"),
        None => format!("# Remove it. There are {}.", listed(&known)),
    };
    notes.add(&rules::KONG_KEY, key.place, says, cure);
}

/// Whether they are the same but for case, separators and an ending.
fn is_near(known: &str, written: &str) -> bool {
    let plain = |text: &str| text.chars().filter(|c| c.is_alphanumeric()).collect::<String>().to_lowercase();
    let (known, written) = (plain(known), plain(written));
    let trimmed = |text: &str| text.trim_end_matches('s').to_owned();
    trimmed(&known) == trimmed(&written)
}
