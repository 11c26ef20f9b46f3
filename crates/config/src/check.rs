//! Checks a tree against the schema and makes the document of it.
//!
//! A value that breaks a rule is reported and left out, so that its default stands in and the
//! rest of the document can be judged in the same pass.

use crate::{
    document::{Allowance, Document},
    leaf::{Form, quote},
    problem::{Place, Problem, holds_secret},
    schema::{Section, Shape, Wish, choices},
    tree::{self, Key, Node, Value},
};
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value as Json};
use std::collections::BTreeMap;

/// What reading a text gives.
#[derive(Debug, Default)]
pub(crate) struct Reading {
    /// The readable part of the text; defaults elsewhere.
    pub(crate) document: Document,
    /// Every rule that the text breaks, warnings excluded.
    pub(crate) problems: Vec<Problem>,
    /// Paths whose values were left out of the document.
    pub(crate) faulty: Vec<String>,
    /// Where each field of the text is.
    pub(crate) places: Places,
    /// For each list of the text, by path: which of its items are in the document.
    kept: BTreeMap<String, Vec<usize>>,
}

/// Where each field of the text is, by path.
#[derive(Debug, Default)]
pub(crate) struct Places {
    by_path: BTreeMap<String, Place>,
}

impl Places {
    /// The place of the field, or of the innermost section around it that the text has.
    pub(crate) fn nearest(&self, path: &str) -> Option<Place> {
        let mut path = path;
        loop {
            if let Some(place) = self.by_path.get(path) {
                return Some(*place);
            }
            path = &path[..path.rfind(['.', '['])?];
        }
    }
}

/// Reads a text.
pub(crate) fn read(text: &str) -> Reading {
    let mut reading = Reading::default();
    if let Some(tree) = reading.tree(text)
        && !matches!(tree.value, Value::Null)
    {
        reading.document = reading.typed(Wish::document(), &tree).unwrap_or_default();
    }
    reading
}

/// Reads a text that is one allowance. The document of the reading stays empty; its places are those of the allowance.
pub(crate) fn read_allowance(text: &str) -> (Reading, Option<Allowance>) {
    let mut reading = Reading::default();
    let tree = reading.tree(text);
    let allowance = tree.and_then(|tree| reading.typed(Wish::allowance(), &tree));
    (reading, allowance)
}

/// Reads a text that is something else than a document of a gateway, by the schema of its type. The reading's document
/// stays empty; its problems and places are those of the text.
pub(crate) fn read_as<T: DeserializeOwned + JsonSchema>(text: &str) -> (Reading, Option<T>) {
    let schema = schemars::schema_for!(T).to_value();
    let mut reading = Reading::default();
    let tree = reading.tree(text).map(|mut tree| {
        // A text without any field.
        if matches!(tree.value, Value::Null) {
            tree.value = Value::Map(Vec::new());
        }
        tree
    });
    let value = tree.and_then(|tree| reading.typed(Wish::whole(&schema), &tree));
    (reading, value)
}

impl Reading {
    /// A document that is not from text.
    pub(crate) fn of(document: Document) -> Self {
        Self { document, ..Self::default() }
    }

    /// The path of the item of a list that is at `index` in the document; in the text others may stand before it, which
    /// were left out.
    pub(crate) fn item(&self, list: &str, index: usize) -> String {
        let index = self.kept.get(list).and_then(|kept| kept.get(index)).copied().unwrap_or(index);
        format!("{list}[{index}]")
    }

    fn tree(&mut self, text: &str) -> Option<Node> {
        match tree::read(text) {
            Ok(tree) => Some(tree),
            Err(problem) => {
                self.problems.push(problem);
                self.faulty.push(String::new());
                None
            }
        }
    }

    fn typed<T: DeserializeOwned>(&mut self, wish: Wish<'_>, tree: &Node) -> Option<T> {
        let json = self.value(wish, tree, "")?;
        match serde_json::from_value(json) {
            Ok(value) => Some(value),
            // The schema is derived from the type, so this means that the two have come apart.
            Err(error) => {
                self.refuse("", tree.place, &error.to_string(), "report this as a bug of Tollgate.");
                None
            }
        }
    }

    /// The value as JSON, or nothing if it must be left out.
    fn value(&mut self, wish: Wish<'_>, node: &Node, path: &str) -> Option<Json> {
        self.places.by_path.insert(path.to_owned(), node.place);
        if self.is_literal_secret(node, path) {
            return None;
        }
        match (wish.shape, &node.value) {
            (_, Value::Null) if wish.nullable => Some(Json::Null),
            (Shape::Section(section), Value::Map(fields)) => self.section(section, fields, node, path),
            (Shape::List(items), Value::List(nodes)) => Some(self.list(wish.item(items), nodes, path)),
            (Shape::Flag, Value::Bool(flag)) => Some((*flag).into()),
            (Shape::Number { least, most }, Value::Integer(number)) => {
                self.number(*number, least, most, node, path)
            }
            (Shape::Text, Value::Text(text)) => Some(text.as_str().into()),
            (Shape::Leaf { form, .. }, Value::Text(text)) => self.leaf(form, text, node, path),
            (Shape::Leaf { form, number: true }, Value::Integer(number)) => {
                self.leaf(form, &number.to_string(), node, path)
            }
            (Shape::Leaf { form, number: true }, Value::OtherNumber(text)) => {
                self.leaf(form, text, node, path)
            }
            (Shape::Choice(choice), Value::Text(text)) => self.choice(choice, text, node, path),
            (shape, _) => {
                let (wanted, cure) = wanted(shape);
                self.refuse(path, node.place, &format!("this is {}, not {wanted}", node.noun()), &cure);
                None
            }
        }
    }

    fn section(
        &mut self,
        section: Section<'_>,
        fields: &[(Key, Node)],
        node: &Node,
        path: &str,
    ) -> Option<Json> {
        let mut json = Map::new();
        let mut seen: BTreeMap<&str, Place> = BTreeMap::new();
        for (key, node) in fields {
            let path = join(path, &key.name);
            if let Some(first) = seen.insert(&key.name, key.place) {
                let rule = format!("the field appears twice, first in line {}", first.line);
                self.refuse(&path, key.place, &rule, "keep one of them.");
            } else if let Some(wish) = section.field(&key.name) {
                if let Some(value) = self.value(wish, node, &path) {
                    json.insert(key.name.clone(), value);
                }
            } else if holds_secret(&key.name) {
                self.refuse(&path, key.place, SECRET_RULE, SECRET_CURE);
            } else {
                self.refuse(&path, key.place, "there is no such field", &suggest(section, &key.name));
            }
        }
        let missing: Vec<&str> = section.required().filter(|name| !seen.contains_key(name)).collect();
        for name in &missing {
            self.refuse(&join(path, name), node.place, "the field is missing", "add it.");
        }
        // Without a field that has no default there is no section.
        section.required().all(|name| json.contains_key(name)).then_some(Json::Object(json))
    }

    fn list(&mut self, wish: Wish<'_>, nodes: &[Node], path: &str) -> Json {
        let mut list = Vec::new();
        let mut kept = Vec::new();
        for (index, node) in nodes.iter().enumerate() {
            // A faulty item stays out; the list is refused anyway.
            if let Some(item) = self.value(wish, node, &format!("{path}[{index}]")) {
                list.push(item);
                kept.push(index);
            }
        }
        self.kept.insert(path.to_owned(), kept);
        Json::Array(list)
    }

    fn number(&mut self, number: i64, least: i64, most: i64, node: &Node, path: &str) -> Option<Json> {
        if (least..=most).contains(&number) {
            return Some(number.into());
        }
        let rule = format!("{number} is out of range");
        self.refuse(path, node.place, &rule, &format!("write a number from {least} to {most}."));
        None
    }

    fn leaf(&mut self, form: &Form, text: &str, node: &Node, path: &str) -> Option<Json> {
        match (form.check)(text) {
            Ok(()) => Some(text.into()),
            Err(fault) => {
                self.refuse(path, node.place, &fault.rule, &fault.cure);
                None
            }
        }
    }

    fn choice(&mut self, choice: &Json, text: &str, node: &Node, path: &str) -> Option<Json> {
        if choices(choice).any(|(value, _)| value == text) {
            return Some(text.into());
        }
        let rule = format!("{} is not one of the choices", quote(text));
        self.refuse(path, node.place, &rule, &wanted(Shape::Choice(choice)).1);
        None
    }

    /// Refuses text that looks like a secret, wherever it stands: the document is read by people,
    /// copied and committed.
    fn is_literal_secret(&mut self, node: &Node, path: &str) -> bool {
        let Value::Text(text) = &node.value else {
            return false;
        };
        let found = holds_secret(text);
        if found {
            self.refuse(path, node.place, SECRET_RULE, SECRET_CURE);
        }
        found
    }

    fn refuse(&mut self, path: &str, place: Place, rule: &str, cure: &str) {
        self.problems.push(Problem::error(path, rule, cure).at(place));
        self.faulty.push(path.to_owned());
    }
}

const SECRET_RULE: &str = "a secret is written here";
const SECRET_CURE: &str = "replace the secret, since whoever has this text has it; keep the new one in \
                           an environment variable or a file and write env:NAME or file:PATH where the \
                           field takes a reference.";

/// The path of a field of the section at `path`.
fn join(path: &str, name: &str) -> String {
    if path.is_empty() { quote_name(name) } else { format!("{path}.{}", quote_name(name)) }
}

/// A field name as paths show it: names that are not plain words are shortened and cleaned.
fn quote_name(name: &str) -> String {
    let plain = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    if plain && !name.is_empty() && name.len() <= 40 { name.to_owned() } else { quote(name) }
}

/// What a shape is called with its article, and how to write it.
fn wanted(shape: Shape<'_>) -> (String, String) {
    match shape {
        Shape::Section(section) => {
            let names: Vec<&str> = section.names().collect();
            (
                "a section".to_owned(),
                format!("indent its fields below it, or remove it; the fields are: {}.", names.join(", ")),
            )
        }
        Shape::List(_) => ("a list".to_owned(), "write one item a line, each after `- `.".to_owned()),
        Shape::Choice(choice) => {
            let values: Vec<&str> = choices(choice).map(|(value, _)| value).collect();
            ("one of the choices".to_owned(), format!("write one of: {}.", values.join(", ")))
        }
        Shape::Leaf { form, .. } => {
            (form.noun.to_owned(), format!("write it as in {}.", form.examples.join(", ")))
        }
        Shape::Text => {
            ("a text".to_owned(), "write a text, in quotes if it looks like something else.".to_owned())
        }
        Shape::Flag => ("a flag".to_owned(), "write true or false.".to_owned()),
        Shape::Number { least, most } => {
            ("a whole number".to_owned(), format!("write a number from {least} to {most}."))
        }
    }
}

/// How to repair a field name that the section does not have.
fn suggest(section: Section<'_>, name: &str) -> String {
    if name == "<<" {
        return "write the fields out; YAML merge keys are not read.".to_owned();
    }
    if let Some(near) = nearest(section, name) {
        return format!("did you mean {near}?");
    }
    if let Some(path) = elsewhere(section.of_all(), name, "") {
        return format!("did you mean {path}?");
    }
    let names: Vec<&str> = section.names().collect();
    format!("remove it; the fields here are: {}.", names.join(", "))
}

/// The field whose name differs from `name` by a slip of the hand.
fn nearest<'s>(section: Section<'s>, name: &str) -> Option<&'s str> {
    let slips = name.chars().count() / 3;
    section
        .names()
        .map(|known| (strsim::osa_distance(known, &name.to_lowercase().replace('-', "_")), known))
        .filter(|(distance, _)| *distance <= slips)
        .min()
        .map(|(_, known)| known)
}

/// The path of a field of exactly that name, anywhere below.
fn elsewhere(wish: Wish<'_>, name: &str, path: &str) -> Option<String> {
    let Shape::Section(section) = wish.shape else {
        return None;
    };
    let below = |known| section.field(known).map(|wish| (join(path, known), wish));
    let mut fields = section.names().filter_map(below);
    if section.field(name).is_some() {
        return Some(join(path, name));
    }
    fields.find_map(|(path, wish)| elsewhere(wish, name, &path))
}
