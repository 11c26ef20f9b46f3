//! The description for people, in Markdown, printed from the description for programs.

use std::fmt::Write;

use serde_json::{Map, Value};

/// The page `docs/reference/admin-api.md`.
pub(super) fn page(document: &Map<String, Value>) -> String {
    let mut page = String::from(HEAD);
    let paths = document["paths"].as_object().cloned().unwrap_or_default();
    page.push_str("\n## Who may call what\n\n| call | admin | auditor | team_admin | developer |\n|---|---|---|---|---|\n");
    for (path, verb, operation) in operations(&paths) {
        let roles = operation["x-roles"].as_array().cloned().unwrap_or_default();
        let mark = |role: &str| if roles.iter().any(|one| one == role) { "yes" } else { "-" };
        let marks = ["admin", "auditor", "team_admin", "developer"].map(mark).join(" | ");
        let marks = if roles.is_empty() { "open | open | open | open".to_owned() } else { marks };
        let _ = writeln!(page, "| `{} {path}` | {marks} |", verb.to_uppercase());
    }
    for (path, verb, operation) in operations(&paths) {
        print_operation(&mut page, path, verb, operation);
    }
    page.push_str("\n## Shapes\n");
    for (name, schema) in document["components"]["schemas"].as_object().into_iter().flatten() {
        print_shape(&mut page, name, schema);
    }
    page
}

const HEAD: &str = "\
# Admin API

This page is printed from the table of routes that the gateway serves; `make reference` writes it anew, and a test fails
if it is not current. The same for programs is [admin-api.json](admin-api.json) (OpenAPI 3.1), which a running gateway
also gives at `/admin/v1/openapi.json`.

The API listens on `admin.address` and answers JSON. Send a token as `Authorization: Bearer`: that of an operator
(`tga_...`), or the one in `instance.json` of the data folder, which is an admin's. `/healthz`, `/readyz` and `/metrics`
take no token.

- A refusal is `{\"type\": \"error\", \"error\": {\"type\": ..., \"message\": ...}}`, with `problems` where several things are
  wrong. The message says what to do.
- Money is a whole number of nano-dollars; instants are UTC, as `2026-11-22T11:30:00.123Z`.
- A list is `{\"data\": [...], \"next\": ...}`. Send `next` as `after` to see the next page; it is null on the last one.
- A call that takes an `idempotency-key` is done once for each key, for a day, in the memory of the process: sent again,
  it gets the same answer and `idempotent-replayed: true`. The same key with another body is refused with 422.
- What can be changed shows an `etag`. Sent as `if-match`, a change is refused with 412 if somebody else made one
  meanwhile.
- Each change is an entry of the [journal](../guide/journal.md), with who made it and what was before and after.

## Roles

| role | may |
|---|---|
| admin | everything |
| auditor | see everything, change nothing |
| team_admin | within one team: keys, use, paused sessions, and allowances on the team beside those that it was granted |
| developer | list and rotate one's own keys, see one's own use |

What a role may not see is not there for it (404).
";

fn operations(paths: &Map<String, Value>) -> impl Iterator<Item = (&str, &str, &Value)> {
    paths.iter().flat_map(|(path, item)| {
        item.as_object()
            .into_iter()
            .flatten()
            .map(move |(verb, operation)| (path.as_str(), verb.as_str(), operation))
    })
}

fn print_operation(page: &mut String, path: &str, verb: &str, operation: &Value) {
    let text = |value: &Value| value.as_str().unwrap_or_default().replace('\n', " ");
    let _ = writeln!(page, "\n## {} {path}\n\n{}", verb.to_uppercase(), text(&operation["summary"]));
    let parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
    let shown: Vec<_> = parameters.iter().filter(|parameter| parameter["in"] != "path").collect();
    if !shown.is_empty() {
        page.push_str("\n| parameter | in | |\n|---|---|---|\n");
    }
    for parameter in shown {
        let (name, place) = (text(&parameter["name"]), text(&parameter["in"]));
        let _ = writeln!(page, "| `{name}` | {place} | {} |", text(&parameter["description"]));
    }
    page.push('\n');
    let body = &operation["requestBody"]["content"]["application/json"]["schema"];
    if !body.is_null() {
        let _ = writeln!(page, "- takes {}", shape(body));
    }
    for (status, response) in operation["responses"].as_object().into_iter().flatten() {
        for (media, content) in response["content"].as_object().into_iter().flatten() {
            let what =
                if media == "application/json" { shape(&content["schema"]) } else { format!("`{media}`") };
            let _ = writeln!(page, "- {status}: {what}");
        }
    }
}

fn print_shape(page: &mut String, name: &str, schema: &Value) {
    let text = |value: &Value| value.as_str().unwrap_or_default().replace('\n', " ");
    let _ = writeln!(page, "\n### {name}\n\n{}", text(&schema["description"]));
    let required = schema["required"].as_array().cloned().unwrap_or_default();
    if let Some(fields) = schema["properties"].as_object().filter(|fields| !fields.is_empty()) {
        page.push_str("\n| field | | |\n|---|---|---|\n");
        for (field, schema) in fields {
            let mark =
                if required.iter().any(|name| name.as_str() == Some(field)) { "" } else { " (optional)" };
            let _ =
                writeln!(page, "| `{field}` | {}{mark} | {} |", shape(schema), text(&schema["description"]));
        }
    } else {
        let _ = writeln!(page, "\n{}", shape(schema));
    }
}

/// A schema in a few words.
fn shape(schema: &Value) -> String {
    if let Some(reference) = schema["$ref"].as_str() {
        let name = reference.rsplit('/').next().unwrap_or_default();
        return format!("[{name}](#{})", name.to_lowercase());
    }
    for key in ["anyOf", "oneOf"] {
        if let Some(choices) = schema[key].as_array() {
            return choices.iter().map(shape).collect::<Vec<_>>().join(" or ");
        }
    }
    if let Some(words) = schema["enum"].as_array() {
        return words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(" or ");
    }
    if !schema["const"].is_null() {
        return format!("`{}`", schema["const"]);
    }
    if let Some(fields) = schema["properties"].as_object() {
        let fields = fields.iter().map(|(name, schema)| format!("`{name}`: {}", shape(schema)));
        return format!("{{{}}}", fields.collect::<Vec<_>>().join(", "));
    }
    match &schema["type"] {
        Value::String(kind) if kind == "array" => format!("list of {}", shape(&schema["items"])),
        Value::String(kind) => kind.clone(),
        Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" or "),
        _ => "any".to_owned(),
    }
}
