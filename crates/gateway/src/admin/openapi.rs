//! The description of the admin API in OpenAPI 3.1 (<https://spec.openapis.org/oas/v3.1.1.html>), and the same for
//! people. Both are made of the table of routes and of the types of the functions that answer.

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::Admin;
use super::caller::Rank;
use super::fault::{AdminFault, Envelope};
use super::route::{Access, Answer, Ask, JSON, Nothing, Route, Verb};
use super::table;

#[cfg(test)]
mod reference;

/// A description in OpenAPI 3.1.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Description(Map<String, Value>);

pub(super) async fn show(_: Admin, _: Ask<Nothing, Nothing>) -> Result<Answer<Description>, AdminFault> {
    Ok(Answer::ok(Description(document())))
}

/// The whole description.
pub(super) fn document() -> Map<String, Value> {
    let settings = SchemaSettings::draft2020_12()
        .with(|settings| settings.definitions_path = "/components/schemas".into());
    let mut schemas = SchemaGenerator::new(settings);
    let mut paths = Map::new();
    for route in table::routes() {
        let path = paths.entry(route.path).or_insert_with(|| json!({}));
        path[route.verb.as_str()] = operation(&route, &mut schemas);
    }
    let refusal = schemas.subschema_for::<Envelope>();
    let schemas: Map<String, Value> = schemas.take_definitions(true);
    let document = json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Tollgate admin API",
            "version": env!("CARGO_PKG_VERSION"),
            "description": INTRODUCTION,
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
        },
        "servers": [{ "url": "/", "description": "The admin address of a gateway." }],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "operator": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "An operator's token, tga_..., or the token in instance.json of the data folder.",
                },
            },
            "responses": {
                "Refusal": {
                    "description": "A refusal or a failure, with what to do about it.",
                    "content": { JSON: { "schema": refusal } },
                },
            },
        },
        "security": [{ "operator": [] }],
    });
    match document {
        Value::Object(document) => document,
        _ => Map::new(),
    }
}

const INTRODUCTION: &str = "Keys, operators, allowances, sessions, usage, statements and the state of one gateway. \
Amounts of money are whole numbers of nano-dollars. Lists come in pages: send `next` of one page as `after` to see \
the next. A POST that makes something takes an `idempotency-key`: sent again with the same key within a day, it is \
answered again and not done again. What can be changed has an `etag`; sent as `if-match`, it keeps people from \
undoing each other's work.";

fn operation(route: &Route, schemas: &mut SchemaGenerator) -> Value {
    let mut parameters = path_parameters(route.path);
    parameters.extend(query_parameters(&(route.query)(schemas), schemas));
    parameters.extend(header_parameters(route));
    let status = route.status.as_str();
    let answer = if route.media == JSON { (route.answer)(schemas) } else { text_schema() };
    let mut success = json!({
        "description": route.status.canonical_reason().unwrap_or_default(),
        "content": { route.media: { "schema": answer } },
    });
    if route.guarded {
        success["headers"] = json!({ "etag": { "schema": { "type": "string" } } });
    }
    let mut operation = json!({
        "operationId": route.name,
        "summary": route.summary,
        "tags": [tag(route.path)],
        "x-roles": roles(route.access),
        "responses": { status: success, "default": { "$ref": "#/components/responses/Refusal" } },
    });
    if let Some(also) = route.also {
        let mut other = operation["responses"][status].clone();
        other["description"] = also.canonical_reason().unwrap_or_default().into();
        operation["responses"][also.as_str()] = other;
    }
    if !parameters.is_empty() {
        operation["parameters"] = parameters.into();
    }
    if let Some(body) = route.body {
        operation["requestBody"] =
            json!({ "required": true, "content": { JSON: { "schema": body(schemas) } } });
    }
    if route.access == Access::Open {
        operation["security"] = json!([]);
    }
    operation
}

/// Who may call, in words.
fn roles(access: Access) -> Vec<&'static str> {
    match access {
        Access::Open => Vec::new(),
        Access::Only(ranks) => ranks.iter().copied().map(Rank::as_str).collect(),
    }
}

/// The part of the path that groups operations: `keys`, `allowances`.
fn tag(path: &str) -> &str {
    path.trim_start_matches("/admin/v1/").split(['/', '.']).next().unwrap_or_default()
}

fn text_schema() -> Schema {
    schemars::json_schema!({ "type": "string" })
}

fn path_parameters(path: &str) -> Vec<Value> {
    let names = path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
    names
        .map(|name| json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string" } }))
        .collect()
}

/// The fields of a query, each a parameter of its own.
fn query_parameters(query: &Schema, schemas: &mut SchemaGenerator) -> Vec<Value> {
    let resolved = query
        .get("$ref")
        .and_then(Value::as_str)
        .and_then(|reference| reference.rsplit('/').next())
        .and_then(|name| schemas.definitions().get(name))
        .cloned()
        .unwrap_or_else(|| query.clone().to_value());
    let required = resolved.get("required").and_then(Value::as_array).cloned().unwrap_or_default();
    let fields = resolved.get("properties").and_then(Value::as_object).cloned().unwrap_or_default();
    let parameter = |(name, mut schema): (String, Value)| {
        let is_required = required.iter().any(|field| field.as_str() == Some(&name));
        let description = schema.as_object_mut().and_then(|schema| schema.remove("description"));
        json!({
            "name": name,
            "in": "query",
            "required": is_required,
            "description": description.unwrap_or_default(),
            "schema": schema,
        })
    };
    fields.into_iter().map(parameter).collect()
}

fn header_parameters(route: &Route) -> Vec<Value> {
    let header = |name: &str, description: &str| {
        json!({
            "name": name,
            "in": "header",
            "required": false,
            "description": description,
            "schema": { "type": "string" },
        })
    };
    let mut headers = Vec::new();
    if route.repeatable {
        let what = "Whatever the caller chooses, up to 255 characters: the call is done once for each.";
        headers.push(header("idempotency-key", what));
    }
    if route.guarded {
        headers.push(header("if-match", "The etag of what the caller has seen; 412 if it is another now."));
    }
    if route.guarded && route.verb == Verb::Put {
        headers.push(header("if-none-match", "`*`: there must be nothing of that name yet."));
    }
    headers
}

#[cfg(test)]
mod tests;
