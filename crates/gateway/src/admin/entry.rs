//! Entries of the journal, as the admin API shows them.

use serde_json::{Map, Value};
use tollgate_policy::entry::Entry;

/// The entry as its line has it, without what chains it, and without digests of credentials.
pub(super) fn shown(entry: &Entry) -> Map<String, Value> {
    let mut shown = Map::new();
    shown.insert("seq".to_owned(), entry.link.seq.into());
    shown.insert("at".to_owned(), entry.link.at.to_string().into());
    if let Ok(Value::Object(mut event)) = serde_json::to_value(&entry.event) {
        event.values_mut().for_each(without_digests);
        shown.append(&mut event);
    }
    shown
}

fn without_digests(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.remove("digest");
            fields.values_mut().for_each(without_digests);
        }
        Value::Array(items) => items.iter_mut().for_each(without_digests),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}
