//! JSON text that is changed at one place and stays as it is everywhere else: order, spacing and all.

use std::{fmt, ops::Range};

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};
use serde_json::value::RawValue;

/// A member of an object, by where it stands in the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Member {
    /// Its key, without quotation marks and escapes.
    pub(crate) key: String,
    /// From its key to the end of its value.
    pub(crate) span: Range<usize>,
    /// Its value.
    pub(crate) value: Range<usize>,
}

/// Where a text stops being JSON, or an object, and why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{why}")]
pub(crate) struct NotAnObject {
    /// The line, from 1.
    pub(crate) line: usize,
    /// The column, from 1.
    pub(crate) column: usize,
    /// Why.
    pub(crate) why: String,
}

/// The members of the object that the text is.
///
/// # Errors
///
/// [`NotAnObject`], also if a key stands there twice: it is not known which one is meant.
pub(crate) fn members(text: &str) -> Result<Vec<Member>, NotAnObject> {
    let Pairs(pairs) = serde_json::from_str(text).map_err(|error| {
        let why = error.to_string();
        let why = why.rsplit_once(" at line ").map_or(why.as_str(), |(why, _)| why).to_owned();
        NotAnObject { line: error.line().max(1), column: error.column().max(1), why }
    })?;
    let within = |raw: &RawValue| {
        // The raw value borrows from the text.
        let start = raw.get().as_ptr().addr() - text.as_ptr().addr();
        start..start + raw.get().len()
    };
    let mut members: Vec<Member> = Vec::new();
    for (key, value) in pairs {
        let (at, value) = (within(key), within(value));
        let key: String = serde_json::from_str(key.get()).unwrap_or_default();
        if members.iter().any(|member| member.key == key) {
            let (line, column) = position(text, at.start);
            return Err(NotAnObject { line, column, why: format!("`{key}` stands there twice") });
        }
        members.push(Member { key, span: at.start..value.end, value });
    }
    Ok(members)
}

/// Line and column, both from 1, of a byte of the text.
pub(crate) fn position(text: &str, at: usize) -> (usize, usize) {
    let before = &text[..at];
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
}

/// The text with this value at this path. Objects on the way are made where they are missing; a new member comes after
/// the others.
///
/// # Errors
///
/// [`NotAnObject`] if something on the way is none.
pub(crate) fn set(text: &str, path: &[&str], value: &str) -> Result<String, NotAnObject> {
    let Some((key, rest)) = path.split_first() else {
        return Ok(value.to_owned());
    };
    let members = members(text)?;
    if let Some(member) = members.iter().find(|member| member.key == *key) {
        let inner =
            set(&text[member.value.clone()], rest, value).map_err(|fault| moved(fault, text, member))?;
        return Ok(spliced(text, member.value.clone(), &inner));
    }
    let last = members.last().map(|last| last.span.end);
    let Some(indent) = indent(text, &members) else {
        // All on one line.
        let new =
            rest.iter().rev().fold(value.to_owned(), |inner, key| format!("{{{}: {inner}}}", quoted(key)));
        let at = last.unwrap_or_default();
        return Ok(spliced(text, at..at, &format!(", {}: {new}", quoted(key))));
    };
    let unit = unit(&indent, members.is_empty());
    let new = rest.iter().rev().fold(value.to_owned(), |inner, key| {
        let inner = inner.replace('\n', &format!("\n{unit}"));
        format!("{{\n{unit}{}: {inner}\n}}", quoted(key))
    });
    let new = format!("{}: {}", quoted(key), new.replace('\n', &format!("\n{indent}")));
    Ok(match last {
        Some(last) => spliced(text, last..last, &format!(",\n{indent}{new}")),
        None => spliced(text, inside(text), &format!("\n{indent}{new}\n")),
    })
}

/// The text without the member at this path; the same text if there is none.
///
/// # Errors
///
/// [`NotAnObject`] if something on the way is none.
pub(crate) fn remove(text: &str, path: &[&str]) -> Result<String, NotAnObject> {
    let Some((key, rest)) = path.split_first() else {
        return Ok(text.to_owned());
    };
    let members = members(text)?;
    let Some(at) = members.iter().position(|member| member.key == *key) else {
        return Ok(text.to_owned());
    };
    let member = &members[at];
    if !rest.is_empty() {
        let inner = remove(&text[member.value.clone()], rest).map_err(|fault| moved(fault, text, member))?;
        return Ok(spliced(text, member.value.clone(), &inner));
    }
    let (before, after) = (at.checked_sub(1).map(|before| &members[before]), members.get(at + 1));
    let gone = match (before, after) {
        (_, Some(after)) => member.span.start..after.span.start,
        (Some(before), None) => before.span.end..member.span.end,
        (None, None) => inside(text),
    };
    Ok(spliced(text, gone, ""))
}

/// The value at this path, as it is written.
///
/// # Errors
///
/// [`NotAnObject`] if something on the way is none.
pub(crate) fn find<'t>(text: &'t str, path: &[&str]) -> Result<Option<&'t str>, NotAnObject> {
    let Some((key, rest)) = path.split_first() else {
        return Ok(Some(text));
    };
    match members(text)?.into_iter().find(|member| member.key == *key) {
        None => Ok(None),
        Some(member) => find(&text[member.value.clone()], rest).map_err(|fault| moved(fault, text, &member)),
    }
}

/// A text as JSON.
pub(crate) fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// A fault within a value, by its place in the text around it.
fn moved(fault: NotAnObject, text: &str, member: &Member) -> NotAnObject {
    let (line, column) = position(text, member.value.start);
    let column = if fault.line == 1 { column + fault.column - 1 } else { fault.column };
    NotAnObject { line: line + fault.line - 1, column, ..fault }
}

fn spliced(text: &str, at: Range<usize>, with: &str) -> String {
    [&text[..at.start], with, &text[at.end..]].concat()
}

/// What stands between the braces of an object.
fn inside(text: &str) -> Range<usize> {
    let open = text.find('{').map_or(0, |open| open + 1);
    open..text.rfind('}').unwrap_or(text.len())
}

/// What stands before the last member of an object on its line, two spaces where there is none. None if other things
/// do.
fn indent(text: &str, members: &[Member]) -> Option<String> {
    let Some(last) = members.last() else {
        return Some("  ".to_owned());
    };
    let line = text[..last.span.start].rsplit_once('\n').map(|(_, line)| line);
    line.filter(|line| line.trim().is_empty()).map(str::to_owned)
}

/// One step of indentation.
fn unit(indent: &str, is_empty: bool) -> String {
    match indent.chars().next() {
        Some('\t') => "\t".to_owned(),
        _ if is_empty => "  ".to_owned(),
        _ => " ".repeat(indent.len().clamp(1, 4)),
    }
}

/// Keys and values as they are written, in order.
struct Pairs<'t>(Vec<(&'t RawValue, &'t RawValue)>);

impl<'de> Deserialize<'de> for Pairs<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collect;
        impl<'de> Visitor<'de> for Collect {
            type Value = Pairs<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Self::Value, M::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Pairs(pairs))
            }
        }
        deserializer.deserialize_map(Collect)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "{\n  \"b\": [1, 2],\n  \"env\": {\n    \"X\": \"1\"\n  },\n  \"a\": true\n}\n";

    #[test]
    fn one_value_is_set_and_all_else_stays() {
        let rows = [
            (TEXT, vec!["env", "X"], TEXT.replace("\"1\"", "7")),
            (TEXT, vec!["env", "Y"], TEXT.replace("\"1\"", "\"1\",\n    \"Y\": 7")),
            (TEXT, vec!["z"], TEXT.replace("true", "true,\n  \"z\": 7")),
            ("{}", vec!["a"], "{\n  \"a\": 7\n}".to_owned()),
            ("{\n}\n", vec!["e", "a"], "{\n  \"e\": {\n    \"a\": 7\n  }\n}\n".to_owned()),
            ("{\"a\":1}", vec!["b"], "{\"a\":1, \"b\": 7}".to_owned()),
            ("{\"a\":1}", vec!["e", "b"], "{\"a\":1, \"e\": {\"b\": 7}}".to_owned()),
            (
                "{\n\t\"a\": 1\n}",
                vec!["e", "b"],
                "{\n\t\"a\": 1,\n\t\"e\": {\n\t\t\"b\": 7\n\t}\n}".to_owned(),
            ),
            ("{\"\\u0061\": 1}", vec!["a"], "{\"\\u0061\": 7}".to_owned()),
        ];
        for (text, path, expected) in rows {
            let set = set(text, &path, "7").unwrap();
            assert_eq!(set, expected, "{path:?} in {text}");
            assert_eq!(find(&set, &path).unwrap(), Some("7"));
        }
    }

    #[test]
    fn one_member_is_removed_and_all_else_stays() {
        let rows = [
            (TEXT, vec!["b"], TEXT.replace("\"b\": [1, 2],\n  ", "")),
            (TEXT, vec!["a"], TEXT.replace(",\n  \"a\": true", "")),
            (TEXT, vec!["env", "X"], TEXT.replace("{\n    \"X\": \"1\"\n  }", "{}")),
            (TEXT, vec!["env", "none"], TEXT.to_owned()),
            (TEXT, vec!["none", "X"], TEXT.to_owned()),
        ];
        for (text, path, expected) in rows {
            assert_eq!(remove(text, &path).unwrap(), expected, "{path:?}");
        }
    }

    #[test]
    fn what_is_set_and_removed_again_leaves_the_text_as_it_was() {
        for (text, path) in [(TEXT, vec!["env", "Y"]), (TEXT, vec!["z"]), ("{\"a\":1}", vec!["b"])] {
            assert_eq!(remove(&set(text, &path, "7").unwrap(), &path).unwrap(), text, "{path:?}");
        }
    }

    #[test]
    fn what_is_no_object_is_told_with_its_place() {
        let rows = [
            ("", 1, "EOF"),
            ("{\n  // no\n}", 2, "key must be a string"),
            ("[1]", 1, "expected an object"),
            ("{\"a\": 1,\n \"a\": 2}", 2, "twice"),
            ("{\n \"a\": 1,\n}", 3, "trailing comma"),
            ("{} x", 1, "trailing characters"),
        ];
        for (text, line, why) in rows {
            let fault = members(text).unwrap_err();
            assert_eq!(fault.line, line, "{text:?}: {fault}");
            assert!(fault.why.contains(why), "{text:?}: {fault}");
        }
        let fault = set("{\n  \"env\": [\n1]\n}", &["env", "X"], "7").unwrap_err();
        assert_eq!((fault.line, fault.column), (2, 10), "{fault}");
    }
}
