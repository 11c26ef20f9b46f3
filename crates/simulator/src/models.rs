//! `GET /v1/models` and `GET /v1/models/{id}`.
//!
//! Source: <https://platform.claude.com/docs/en/api/models/list>. A release date that is not known
//! here is the epoch, as the API's own reference allows.

use serde::Serialize;

use crate::error::ApiError;
use crate::http::Head;

const DEFAULT_LIMIT: usize = 20;
const LARGEST_LIMIT: usize = 1000;

/// The models that the API lists, newest first.
const MODELS: &[Model] = &[
    model("claude-fable-5-2", "Claude Fable 5.2", "2026-11-09T00:00:00Z"),
    model("claude-haiku-5-5", "Claude Haiku 5.5", "2026-10-07T00:00:00Z"),
    model("claude-opus-5-5", "Claude Opus 5.5", "2026-09-22T00:00:00Z"),
    model("claude-sonnet-5-5", "Claude Sonnet 5.5", UNKNOWN),
    model("claude-fable-5-1", "Claude Fable 5.1", UNKNOWN),
    model("claude-fable-5", "Claude Fable 5", UNKNOWN),
    model("claude-opus-5", "Claude Opus 5", UNKNOWN),
    model("claude-sonnet-5", "Claude Sonnet 5", UNKNOWN),
    model("claude-opus-4-8", "Claude Opus 4.8", UNKNOWN),
    model("claude-opus-4-7", "Claude Opus 4.7", UNKNOWN),
    model("claude-opus-4-6", "Claude Opus 4.6", UNKNOWN),
    model("claude-sonnet-4-6", "Claude Sonnet 4.6", UNKNOWN),
    model("claude-opus-4-5-20251101", "Claude Opus 4.5", "2025-11-01T00:00:00Z"),
    model("claude-haiku-4-5-20251001", "Claude Haiku 4.5", "2025-10-01T00:00:00Z"),
    model("claude-sonnet-4-5-20250929", "Claude Sonnet 4.5", "2025-09-29T00:00:00Z"),
];

const UNKNOWN: &str = "1970-01-01T00:00:00Z";

#[derive(Serialize)]
struct Model {
    #[serde(rename = "type")]
    kind: &'static str,
    id: &'static str,
    display_name: &'static str,
    created_at: &'static str,
}

#[derive(Serialize)]
struct Page<'m> {
    data: &'m [Model],
    has_more: bool,
    first_id: Option<&'m str>,
    last_id: Option<&'m str>,
}

const fn model(id: &'static str, display_name: &'static str, created_at: &'static str) -> Model {
    Model { kind: "model", id, display_name, created_at }
}

/// A page of the list, by the parameters `limit`, `after_id` and `before_id`.
pub(crate) fn list(head: &Head) -> Result<Vec<u8>, ApiError> {
    let limit = match head.parameter("limit") {
        None => DEFAULT_LIMIT,
        Some(text) => {
            text.parse().ok().filter(|limit| (1..=LARGEST_LIMIT).contains(limit)).ok_or_else(|| {
                ApiError::new(400, format!("limit: Input should be from 1 to {LARGEST_LIMIT}"))
            })?
        }
    };
    let place = |name: &str| match head.parameter(name) {
        None => Ok(None),
        Some(id) => position(id)
            .map(Some)
            .ok_or_else(|| ApiError::new(400, format!("{name}: there is no model `{id}`"))),
    };
    let (start, end, has_more) = match (place("after_id")?, place("before_id")?) {
        (Some(_), Some(_)) => {
            let message = "after_id and before_id cannot be given together";
            return Err(ApiError::new(400, message));
        }
        (after, None) => {
            let start = after.map_or(0, |after| after + 1);
            let end = MODELS.len().min(start + limit);
            (start, end, end < MODELS.len())
        }
        (None, Some(end)) => {
            let start = end.saturating_sub(limit);
            (start, end, start > 0)
        }
    };
    let data = &MODELS[start..end];
    Ok(crate::json(&Page {
        data,
        has_more,
        first_id: data.first().map(|model| model.id),
        last_id: data.last().map(|model| model.id),
    }))
}

/// One model.
pub(crate) fn one(id: &str) -> Result<Vec<u8>, ApiError> {
    position(id)
        .map(|index| crate::json(&MODELS[index]))
        .ok_or_else(|| ApiError::new(404, format!("model: {id}")))
}

fn position(id: &str) -> Option<usize> {
    MODELS.iter().position(|model| model.id == id)
}
