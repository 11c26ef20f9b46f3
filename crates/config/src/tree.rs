//! YAML text as a tree of values that know their places.
//!
//! The library that reads YAML is used here and nowhere else. Reading into a tree first, not
//! straight into the document, is what lets the loader report all problems at once: a typed
//! reader stops at the first. The linter of other products' files reads them in the same way.

use crate::problem::{Place, Problem};
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::{DuplicateKeyPolicy, MergeKeyPolicy, NonFiniteFloatPolicy, Spanned};
use std::fmt;

/// A value and where it starts.
#[derive(Debug)]
pub struct Node {
    /// Where it starts.
    pub place: Place,
    /// Where its text is: the offset and the length in bytes, where the reader knows them.
    bytes: Option<(u64, u64)>,
    /// The value.
    pub value: Value,
}

/// A YAML value.
#[derive(Debug)]
pub enum Value {
    /// Nothing, or `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A whole number of 64 bits.
    Integer(i64),
    /// A number with a fraction, or too large for 64 bits, as it is written.
    OtherNumber(String),
    /// A text, without its quotes and its tag.
    Text(String),
    /// A sequence.
    List(Vec<Node>),
    /// Keys in the order of the text; a key may appear twice, which the reader of the tree judges.
    Map(Vec<(Key, Node)>),
}

/// The name of a field and where it starts.
#[derive(Debug)]
pub struct Key {
    /// Where it starts.
    pub place: Place,
    /// The name.
    pub name: String,
}

impl Node {
    /// The fields of a map; none of anything else.
    #[must_use]
    pub fn fields(&self) -> &[(Key, Node)] {
        if let Value::Map(fields) = &self.value { fields } else { &[] }
    }

    /// The items of a list; none of anything else.
    #[must_use]
    pub fn items(&self) -> &[Node] {
        if let Value::List(items) = &self.value { items } else { &[] }
    }

    /// The value of this field of a map, the first of that name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Node> {
        self.fields().iter().find(|(key, _)| key.name == name).map(|(_, node)| node)
    }

    /// The value that these names lead to, one map inside the other.
    #[must_use]
    pub fn find(&self, path: &[&str]) -> Option<&Node> {
        path.iter().try_fold(self, |node, name| node.get(name))
    }

    /// The text, of a text.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        if let Value::Text(text) = &self.value { Some(text) } else { None }
    }

    /// What kind of value it is, with its article, for a sentence.
    #[must_use]
    pub fn noun(&self) -> &'static str {
        match &self.value {
            Value::Null => "empty",
            Value::Bool(_) => "a flag",
            Value::Integer(_) => "a number",
            Value::OtherNumber(_) => "a fraction or a huge number",
            Value::Text(_) => "a text",
            Value::List(_) => "a list",
            Value::Map(_) => "a section",
        }
    }

    /// Puts the text of each number that is no integer in place of what the reader made of it: binary fractions
    /// cannot say `0.1`, and money is read exactly.
    fn spell_numbers(&mut self, text: &str) {
        match &mut self.value {
            Value::OtherNumber(shown) => {
                let written = self.bytes.and_then(|(offset, length)| {
                    let (start, length) = (usize::try_from(offset).ok()?, usize::try_from(length).ok()?);
                    text.get(start..start.checked_add(length)?)
                });
                // Only if it is the same number: what the reader says of places is not ours to trust with money.
                let same = |written: &&str| written.parse::<f64>().ok() == shown.parse::<f64>().ok();
                if let Some(written) = written.filter(same) {
                    written.clone_into(shown);
                } else {
                    // No field takes this, so a number whose text is unknown is refused rather than guessed.
                    "a number that is written in an unusual way".clone_into(shown);
                }
            }
            Value::List(nodes) => nodes.iter_mut().for_each(|node| node.spell_numbers(text)),
            Value::Map(fields) => fields.iter_mut().for_each(|(_, node)| node.spell_numbers(text)),
            Value::Null | Value::Bool(_) | Value::Integer(_) | Value::Text(_) => {}
        }
    }
}

/// The tree of a text. A text without any value is [`Value::Null`].
///
/// # Errors
///
/// The one problem that makes the text unreadable as YAML.
pub(crate) fn read(text: &str) -> Result<Node, Problem> {
    if is_blank(text) {
        let place = Place { line: 1, column: 1 };
        return Ok(Node { place, bytes: None, value: Value::Null });
    }
    let mut tree = serde_saphyr::from_str_with_options::<Spanned<Value>>(text, options())
        .map(Node::from)
        .map_err(|error| unreadable(&error))?;
    tree.spell_numbers(text);
    Ok(tree)
}

/// The trees of a text with any number of documents, empty ones left out. A text without any value has none.
///
/// # Errors
///
/// The one problem that makes the text unreadable as YAML. Also where it is nested deeper than 64 levels, or has more
/// than 250,000 nodes, counting those that aliases repeat.
pub fn read_all(text: &str) -> Result<Vec<Node>, Problem> {
    if is_blank(text) {
        return Ok(Vec::new());
    }
    let trees = serde_saphyr::from_multiple_with_options::<Spanned<Value>>(text, options());
    let mut trees: Vec<Node> =
        trees.map_err(|error| unreadable(&error))?.into_iter().map(Node::from).collect();
    trees.iter_mut().for_each(|tree| tree.spell_numbers(text));
    Ok(trees)
}

fn options() -> serde_saphyr::Options {
    serde_saphyr::options! {
        with_snippet: false,
        strict_booleans: true,
        // Repeated keys and merge keys become ordinary problems, reported with the others.
        duplicate_keys: DuplicateKeyPolicy::PassThrough,
        merge_keys: MergeKeyPolicy::AsOrdinary,
        non_finite_float_policy: NonFiniteFloatPolicy::AsString,
    }
}

/// Whether there is nothing but white space, comments and document markers.
fn is_blank(text: &str) -> bool {
    text.trim_start_matches('\u{feff}')
        .lines()
        .map(str::trim)
        .all(|line| line.is_empty() || line.starts_with('#') || line == "---")
}

fn unreadable(error: &serde_saphyr::Error) -> Problem {
    let formatter = serde_saphyr::UserMessageFormatter;
    let rule = error.without_snippet().render_with_formatter(&formatter);
    // The place is shown in front of the problem; once is enough.
    let rule = rule.lines().next().unwrap_or_default();
    let rule = rule.rsplit_once(" at line ").map_or(rule, |(rule, _)| rule);
    let cure = "repair the YAML here: spaces for indentation, `name: value` for each field.";
    let problem = Problem::error("", &format!("this is not readable as YAML: {rule}"), cure);
    match error.location() {
        Some(location) => problem.at(location.into()),
        None => problem,
    }
}

impl From<serde_saphyr::Location> for Place {
    fn from(location: serde_saphyr::Location) -> Self {
        let number = |n: u64| u32::try_from(n).unwrap_or(u32::MAX);
        Self { line: number(location.line()), column: number(location.column()) }
    }
}

impl From<Spanned<Value>> for Node {
    fn from(spanned: Spanned<Value>) -> Self {
        let span = spanned.defined.span();
        Self {
            // Where an alias is used, not where its anchor stands: that is the line to look at.
            place: spanned.referenced.into(),
            bytes: span.byte_offset().zip(span.byte_len()),
            value: spanned.value,
        }
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(ValueVisitor)
    }
}

struct ValueVisitor;

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, flag: bool) -> Result<Value, E> {
        Ok(Value::Bool(flag))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Value, E> {
        Ok(Value::Integer(number))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Value, E> {
        Ok(i64::try_from(number).map_or_else(|_| Value::OtherNumber(number.to_string()), Value::Integer))
    }

    fn visit_i128<E>(self, number: i128) -> Result<Value, E> {
        Ok(Value::OtherNumber(number.to_string()))
    }

    fn visit_u128<E>(self, number: u128) -> Result<Value, E> {
        Ok(Value::OtherNumber(number.to_string()))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Value, E> {
        Ok(Value::OtherNumber(number.to_string()))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(Value::Text(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = seq.next_element::<Spanned<Value>>()? {
            list.push(item.into());
        }
        Ok(Value::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut fields = Vec::new();
        while let Some(key) = map.next_key::<Spanned<String>>()? {
            let key = Key { place: key.referenced.into(), name: key.value };
            fields.push((key, map.next_value::<Spanned<Value>>()?.into()));
        }
        Ok(Value::Map(fields))
    }
}
