//! Rows of a table of another gateway: what its API answers, in JSON, or what its database exports, in CSV.

use super::{Notes, START, rules};
use serde_json::{Map, Value};
use tollgate_config::problem::Place;

/// One row.
#[derive(Debug)]
pub(super) struct Row {
    /// The line where it stands, in CSV.
    pub(super) at: Place,
    fields: Map<String, Value>,
}

impl Row {
    /// A single value as text; none if it is absent or empty.
    pub(super) fn text(&self, name: &str) -> Option<String> {
        text(self.fields.get(name)?)
    }

    /// A value of a row that stands inside of this one.
    pub(super) fn inner(&self, table: &str, name: &str) -> Option<String> {
        text(self.fields.get(table)?.get(name)?)
    }

    /// Whether a flag is set: what is not plainly a no is a yes.
    pub(super) fn flag(&self, name: &str) -> bool {
        let is_no =
            |text: String| matches!(text.to_ascii_lowercase().as_str(), "false" | "f" | "no" | "n" | "0");
        self.text(name).is_some_and(|text| !is_no(text))
    }

    /// A list: of JSON, or of PostgreSQL in curly brackets.
    pub(super) fn list(&self, name: &str) -> Vec<String> {
        let Some(value) = self.fields.get(name) else { return Vec::new() };
        if let Some(text) = value.as_str() {
            if let Ok(list) = serde_json::from_str::<Vec<String>>(text) {
                return list;
            }
            let inner = text.strip_prefix('{').and_then(|text| text.strip_suffix('}')).unwrap_or(text);
            let items = inner.split(',').map(|item| item.trim().trim_matches('"').to_owned());
            return items.filter(|item| !item.is_empty()).collect();
        }
        match value.as_array() {
            // An empty name is none of a model; left out, it could leave an empty list, which bounds nothing.
            Some(items) => items.iter().map(|item| text(item).unwrap_or_default()).collect(),
            None => text(value).into_iter().collect(),
        }
    }

    /// Whether there is anything in a value of whatever form.
    pub(super) fn holds(&self, name: &str) -> bool {
        match self.fields.get(name) {
            None | Some(Value::Null | Value::Bool(false)) => false,
            Some(Value::String(text)) => !matches!(text.as_str(), "" | "{}" | "[]" | "null" | "f" | "false"),
            Some(Value::Array(items)) => !items.is_empty(),
            Some(Value::Object(fields)) => !fields.is_empty(),
            Some(Value::Number(_) | Value::Bool(true)) => true,
        }
    }
}

/// The text of a single value. Of another it is the JSON, which is no number, no name and no instant: what it should
/// bound does not become open.
fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()).filter(|text| !text.is_empty()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        Value::Array(items) => (!items.is_empty()).then(|| value.to_string()),
        Value::Object(fields) => (!fields.is_empty()).then(|| value.to_string()),
        Value::Null => None,
    }
}

/// All rows. `list` is the field that holds them where the answer of an API is an object, `id` the column that a table
/// must have.
pub(super) fn read(source: &str, list: &str, id: &str, notes: &mut Notes<'_>) -> Option<Vec<Row>> {
    let text = source.trim_start_matches('\u{feff}').trim_start();
    let rows = if text.starts_with(['[', '{']) { json(text, list, notes) } else { csv(text, id) };
    rows.map_err(|(at, says, cure)| notes.add(&rules::SYNTAX, at, says, cure)).ok()
}

type Refused = (Place, String, &'static str);

fn json(text: &str, list: &str, notes: &mut Notes<'_>) -> Result<Vec<Row>, Refused> {
    let value: Value = serde_json::from_str(text).map_err(|error| {
        let number = |n: usize| u32::try_from(n.max(1)).unwrap_or(u32::MAX);
        let at = Place { line: number(error.line()), column: number(error.column()) };
        (
            at,
            "this is not readable as JSON".to_owned(),
            "give the answer of the API as it came, or CSV with a header.",
        )
    })?;
    let items = match value {
        Value::Array(items) => items,
        Value::Object(mut fields) => match fields.remove(list) {
            Some(Value::Array(items)) => {
                let pages = fields.get("total_pages").and_then(Value::as_u64).unwrap_or(1);
                if pages > 1 {
                    let says = format!("this is one page of {pages}");
                    notes.add(&rules::KEY, START, says, "give all pages, as a file each.");
                }
                items
            }
            _ => {
                let cure =
                    "give the answer of the API as it came: docs/guide/migrating.md says how to ask for it.";
                return Err((START, format!("there is no list `{list}` in it"), cure));
            }
        },
        _ => Vec::new(),
    };
    let rows = items.into_iter().map(|item| match item {
        // What is asked for one at a time comes wrapped.
        Value::Object(mut fields) => {
            let fields = match fields.remove("info") {
                Some(Value::Object(info)) => info,
                _ => fields,
            };
            Ok(Row { at: START, fields })
        }
        _ => {
            let cure = "ask for whole objects: `/key/list?return_full_object=true`.";
            Err((START, format!("`{list}` holds something else than objects"), cure))
        }
    });
    rows.collect()
}

fn csv(text: &str, id: &str) -> Result<Vec<Row>, Refused> {
    let cure = "export it with a header: docs/guide/migrating.md has the command.";
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let unreadable = |error: &csv::Error| {
        let line = error.position().map_or(1, csv::Position::line);
        let at = Place { line: u32::try_from(line).unwrap_or(u32::MAX), column: 1 };
        (at, "this is not readable as CSV: the line has not as many fields as the header".to_owned(), cure)
    };
    let header = reader.headers().map_err(|error| unreadable(&error))?.clone();
    if !header.iter().any(|name| name == id) {
        return Err((START, format!("this is neither JSON nor CSV with a column `{id}`"), cure));
    }
    let mut rows = Vec::new();
    for record in reader.records() {
        let record = record.map_err(|error| unreadable(&error))?;
        let line = record.position().map_or(1, csv::Position::line);
        let fields =
            header.iter().zip(&record).map(|(name, value)| (name.to_owned(), value.into())).collect();
        rows.push(Row { at: Place { line: u32::try_from(line).unwrap_or(u32::MAX), column: 1 }, fields });
    }
    Ok(rows)
}
