//! The smallest instance of a JSON schema, so that a request for structured output gets an answer
//! that its schema allows.

use serde_json::{Map, Value, json};

const MAX_DEPTH: usize = 32;

/// An instance of `schema`, as far as the keywords that clients use for structured output decide
/// it: `const`, `enum`, `anyOf`, `oneOf`, `allOf`, `$ref` within the document, `type`,
/// `properties`, `items` and the minima.
pub(crate) fn instance(schema: &Value) -> Value {
    build(schema, schema, "simulated", 0)
}

fn build(root: &Value, schema: &Value, name: &str, depth: usize) -> Value {
    if depth > MAX_DEPTH {
        return Value::Null;
    }
    let build = |schema: &Value, name: &str| build(root, schema, name, depth + 1);
    if let Some(value) = schema.get("const") {
        return value.clone();
    }
    if let Some(value) = schema["enum"].get(0) {
        return value.clone();
    }
    for choice in ["anyOf", "oneOf", "allOf"] {
        if let Some(first) = schema[choice].get(0) {
            return build(first, name);
        }
    }
    if let Some(target) = schema["$ref"].as_str() {
        let found = target.strip_prefix('#').and_then(|path| root.pointer(path));
        return found.map_or(Value::Null, |found| build(found, name));
    }
    let kind = schema["type"].as_str().or_else(|| schema["type"].get(0)?.as_str()).unwrap_or("object");
    match kind {
        "string" => string(schema, name),
        "integer" => schema.get("minimum").cloned().unwrap_or_else(|| json!(0)),
        "number" => schema.get("minimum").cloned().unwrap_or_else(|| json!(0)),
        "boolean" => json!(false),
        "null" => Value::Null,
        "array" => {
            let count = schema["minItems"].as_u64().unwrap_or(0).min(100);
            (0..count).map(|_| build(&schema["items"], name)).collect()
        }
        _ => {
            let properties = schema["properties"].as_object();
            properties
                .into_iter()
                .flatten()
                .map(|(name, schema)| (name.clone(), build(schema, name)))
                .collect::<Map<_, _>>()
                .into()
        }
    }
}

/// A title is worded so that it looks well in a client's list of conversations.
fn string(schema: &Value, name: &str) -> Value {
    let text = if name == "title" { "Simulated conversation" } else { "simulated" };
    let least = schema["minLength"].as_u64().unwrap_or(0).min(10_000) as usize;
    let most = schema["maxLength"].as_u64().unwrap_or(u64::MAX);
    let padded = format!("{text:.<least$}");
    let fitting: String = padded.chars().take(usize::try_from(most).unwrap_or(usize::MAX)).collect();
    fitting.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instance_follows_its_schema() {
        let rows = [
            (
                json!({"type": "object", "properties": {"title": {"type": "string"}}}),
                json!({"title": "Simulated conversation"}),
            ),
            (
                json!({"type": "object", "properties": {
                    "a": {"enum": ["x", "y"]}, "b": {"const": 3}, "c": {"type": ["null", "string"]},
                    "d": {"type": "array", "items": {"type": "boolean"}, "minItems": 2},
                    "e": {"anyOf": [{"type": "integer", "minimum": 5}]}}}),
                json!({"a": "x", "b": 3, "c": null, "d": [false, false], "e": 5}),
            ),
            (json!({"$ref": "#/$defs/n", "$defs": {"n": {"type": "string", "maxLength": 3}}}), json!("sim")),
            (json!({"type": "string", "minLength": 11}), json!("simulated..")),
            (json!({"$ref": "#"}), Value::Null),
        ];
        for (schema, expected) in rows {
            assert_eq!(instance(&schema), expected, "{schema}");
        }
    }
}
