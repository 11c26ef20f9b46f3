//! The JSON Schema of a document, and the part of JSON Schema that the loader obeys.

use crate::{
    document::Document,
    leaf::{Form, form},
};
use serde_json::{Map, Value};
use std::sync::OnceLock;

/// The JSON Schema (draft 2020-12) of a document, as text, for editors and other tools.
///
/// The same text is committed as `docs/reference/config.schema.json`.
#[must_use]
pub fn schema() -> String {
    let mut text = serde_json::to_string_pretty(root()).expect("a schema is plain JSON");
    text.push('\n');
    text
}

/// The schema as a value; made once.
pub(crate) fn root() -> &'static Value {
    static ROOT: OnceLock<Value> = OnceLock::new();
    ROOT.get_or_init(|| schemars::schema_for!(Document).to_value())
}

/// What the schema wishes for at one place of a document.
#[derive(Clone, Copy)]
pub(crate) struct Wish<'s> {
    /// The schema that this is a part of; references lead into it.
    whole: &'s Value,
    /// Whether it may be left empty.
    pub(crate) nullable: bool,
    /// The description of the field itself, or else of its type.
    pub(crate) description: &'s str,
    pub(crate) shape: Shape<'s>,
}

/// The shapes that a document is made of.
#[derive(Clone, Copy)]
pub(crate) enum Shape<'s> {
    Section(Section<'s>),
    List(&'s Value),
    Choice(&'s Value),
    /// A text of a form; with `number`, a bare number will do too.
    Leaf {
        form: &'static Form,
        number: bool,
    },
    Text,
    Flag,
    Number {
        least: i64,
        most: i64,
    },
}

/// Named fields.
#[derive(Clone, Copy)]
pub(crate) struct Section<'s> {
    whole: &'s Value,
    fields: &'s Map<String, Value>,
    required: &'s [Value],
}

impl<'s> Section<'s> {
    /// What is wished for in the field of that name.
    pub(crate) fn field(&self, name: &str) -> Option<Wish<'s>> {
        self.fields.get(name).map(|schema| Wish::within(self.whole, schema))
    }

    /// The whole that this is a section of.
    pub(crate) fn of_all(&self) -> Wish<'s> {
        Wish::whole(self.whole)
    }

    /// The names of all fields, in alphabetical order.
    pub(crate) fn names(&self) -> impl Iterator<Item = &'s str> {
        self.fields.keys().map(String::as_str)
    }

    /// The names of the fields that have no default.
    pub(crate) fn required(&self) -> impl Iterator<Item = &'s str> {
        self.required.iter().filter_map(Value::as_str)
    }
}

impl<'s> Wish<'s> {
    /// The whole document.
    pub(crate) fn document() -> Wish<'static> {
        Wish::whole(root())
    }

    /// One allowance.
    pub(crate) fn allowance() -> Wish<'static> {
        Wish::within(root(), &root()["$defs"]["Allowance"])
    }

    /// All that a schema says.
    ///
    /// # Panics
    ///
    /// As [`Wish::within`].
    pub(crate) fn whole(schema: &'s Value) -> Self {
        Self::within(schema, schema)
    }

    /// What the items of a list of this wish are to be.
    pub(crate) fn item(&self, items: &'s Value) -> Self {
        Self::within(self.whole, items)
    }

    /// Reads one schema, which is a part of another.
    ///
    /// # Panics
    ///
    /// If the types of the document use a part of JSON Schema that is not read here. The schema is
    /// constant, so the tests, which walk all of it, would panic first.
    fn within(whole: &'s Value, schema: &'s Value) -> Self {
        let nullable = is_nullable(schema);
        let target = target(whole, schema);
        let description = describe(schema).or_else(|| describe(target)).unwrap_or_default();
        let kind = match &target["type"] {
            Value::Array(kinds) => kinds.first().and_then(Value::as_str),
            kind => kind.as_str(),
        };
        let shape = match kind {
            _ if target["oneOf"].is_array() || target["enum"].is_array() => Shape::Choice(target),
            Some("object") => Shape::Section(Section {
                whole,
                fields: target["properties"].as_object().expect("a section has fields"),
                required: target["required"].as_array().map_or(&[], Vec::as_slice),
            }),
            Some("array") => Shape::List(&target["items"]),
            Some("boolean") => Shape::Flag,
            Some("integer") => Shape::Number {
                least: target["minimum"].as_i64().unwrap_or(0),
                most: target["maximum"].as_i64().unwrap_or(i64::MAX),
            },
            Some("string") => match target["format"].as_str() {
                Some(name) => Shape::Leaf {
                    form: form(name).expect("the form is in the table"),
                    number: target["type"]
                        .as_array()
                        .is_some_and(|kinds| kinds.iter().any(|one| one == "number")),
                },
                None => Shape::Text,
            },
            _ => panic!("the schema has a shape that the loader does not know: {target}"),
        };
        Self { whole, nullable, description, shape }
    }
}

/// The values of a choice, each with its description.
pub(crate) fn choices(choice: &Value) -> impl Iterator<Item = (&str, &str)> {
    let described = choice["oneOf"].as_array().map_or(&[][..], Vec::as_slice);
    described.iter().map(|one| (one["const"].as_str().unwrap_or_default(), describe(one).unwrap_or_default()))
}

fn describe(schema: &Value) -> Option<&str> {
    schema["description"].as_str()
}

fn is_nullable(schema: &Value) -> bool {
    let is_null = |kind: &Value| kind == "null";
    schema["type"].as_array().is_some_and(|kinds| kinds.iter().any(is_null))
        || schema["anyOf"].as_array().is_some_and(|any| any.iter().any(|one| is_null(&one["type"])))
}

/// The schema that says what a value is, behind references and `or nothing`.
fn target<'s>(whole: &'s Value, schema: &'s Value) -> &'s Value {
    if let Some(reference) = schema["$ref"].as_str() {
        let pointer = reference.strip_prefix('#').unwrap_or_default();
        return target(whole, whole.pointer(pointer).expect("references stay inside the schema"));
    }
    match schema["anyOf"].as_array().and_then(|any| any.iter().find(|one| one["type"] != "null")) {
        Some(one) => target(whole, one),
        None => schema,
    }
}
