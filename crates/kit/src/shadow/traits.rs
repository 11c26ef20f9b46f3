//! What of an answer must be the same whichever gateway it comes through, however differently a model answers.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use serde_json::Value;
use tollgate_wire::sse::Decoder;

use crate::exchange::{Answer, End};

/// What is compared of an answer. It keeps no body.
#[derive(Debug)]
pub(super) struct Traits {
    pub(super) status: u16,
    /// In lower case, without parameters.
    pub(super) media_type: String,
    /// The names of all headers.
    pub(super) headers: BTreeSet<String>,
    pub(super) end: &'static str,
    /// The types of the events of a stream, pings and repetitions left out.
    pub(super) events: Option<String>,
    /// The form of its JSON; for a stream, of all its events.
    pub(super) form: Option<Form>,
    pub(super) error: Option<ErrorTraits>,
    pub(super) stop_reason: Option<String>,
    /// The model that answered, as the answer names it.
    pub(super) model: Option<String>,
    /// With those that were read from or written to a cache.
    pub(super) input_tokens: Option<u64>,
    pub(super) models: Option<BTreeSet<String>>,
    /// How long a stream took from its first piece to its last.
    pub(super) spread: Option<Duration>,
    pub(super) first_byte: Duration,
}

/// What is compared of an error.
#[derive(Debug)]
pub(super) struct ErrorTraits {
    /// `error.type`, or that there is no envelope.
    pub(super) kind: String,
    /// `error.message`, if the provider's id of the request stands beside it and in the head.
    pub(super) message: Option<String>,
}

impl Traits {
    pub(super) fn of(answer: &Answer) -> Self {
        let body = answer.body();
        let media_type =
            answer.header("content-type").unwrap_or("none").split(';').next().unwrap_or_default();
        let media_type = media_type.trim().to_ascii_lowercase();
        let is_stream = media_type == "text/event-stream" && answer.status < 300;
        let (events, json) = if is_stream {
            let (events, json) = events(&body);
            (Some(events), Some(json))
        } else {
            (None, serde_json::from_slice(&body).ok())
        };
        Self {
            status: answer.status,
            headers: answer.headers.iter().map(|(name, _)| name.clone()).collect(),
            end: match answer.end {
                End::Whole => "whole",
                End::Cut(_) => "broken off",
                End::Silent => "silent",
                End::Left => "longer than is read",
            },
            events,
            error: (answer.status >= 400).then(|| ErrorTraits::of(answer, json.as_ref())),
            stop_reason: json.as_ref().and_then(stop_reason),
            model: json.as_ref().and_then(model),
            input_tokens: json.as_ref().and_then(input_tokens),
            models: json.as_ref().and_then(models),
            form: json.as_ref().map(Form::of),
            spread: is_stream.then(|| spread(answer)).flatten(),
            first_byte: answer.pieces.first().map_or(answer.head_at, |piece| piece.at),
            media_type,
        }
    }
}

/// The types of events, and their data as one list.
fn events(body: &[u8]) -> (String, Value) {
    let (mut names, mut data): (Vec<String>, Vec<Value>) = (Vec::new(), Vec::new());
    Decoder::new().push(body, |event| {
        let mut name = String::from_utf8_lossy(event.name).into_owned();
        if name == "ping" {
            return;
        }
        match serde_json::from_slice(event.data) {
            Ok(value) => data.push(value),
            Err(_) => name.push_str(" that is no JSON"),
        }
        names.push(name);
        // One event, or the three of a block, may come any number of times.
        for length in 1..=3 {
            if let Some(before) = names.len().checked_sub(2 * length)
                && names[before..before + length] == names[before + length..]
            {
                names.truncate(before + length);
            }
        }
    });
    (names.join(", "), Value::Array(data))
}

/// A message, or the members of a list that has one in it.
fn parts(json: &Value) -> &[Value] {
    json.as_array().map_or(std::slice::from_ref(json), Vec::as_slice)
}

fn stop_reason(json: &Value) -> Option<String> {
    let found = |part: &Value| {
        let reason = part["stop_reason"].as_str().or(part["delta"]["stop_reason"].as_str());
        reason.map(str::to_owned)
    };
    parts(json).iter().find_map(found)
}

fn model(json: &Value) -> Option<String> {
    let found = |part: &Value| {
        let message = if part["type"] == "message_start" { &part["message"] } else { part };
        (message["type"] == "message").then(|| message["model"].as_str().map(str::to_owned)).flatten()
    };
    parts(json).iter().find_map(found)
}

fn input_tokens(json: &Value) -> Option<u64> {
    let found = |part: &Value| {
        let told = [part, &part["usage"], &part["message"]["usage"]];
        let usage = told.into_iter().find(|usage| usage["input_tokens"].is_u64())?;
        let names = ["input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens"];
        Some(names.iter().filter_map(|name| usage[*name].as_u64()).fold(0, u64::saturating_add))
    };
    parts(json).iter().find_map(found)
}

fn models(json: &Value) -> Option<BTreeSet<String>> {
    let rows = json["data"].as_array()?;
    let id = |row: &Value| row["id"].as_str().filter(|_| row["type"] == "model").map(str::to_owned);
    rows.iter().map(id).collect()
}

/// How long a stream took from its first piece to its last.
fn spread(answer: &Answer) -> Option<Duration> {
    let (first, last) = (answer.pieces.first()?.at, answer.pieces.last()?.at);
    (answer.end == End::Whole).then_some(last.saturating_sub(first))
}

impl ErrorTraits {
    fn of(answer: &Answer, json: Option<&Value>) -> Self {
        let error = json.filter(|json| json["type"] == "error").map(|json| &json["error"]);
        let Some((kind, message)) =
            error.and_then(|error| error["type"].as_str().zip(error["message"].as_str()))
        else {
            return Self { kind: "none of the API".to_owned(), message: None };
        };
        let id = json.and_then(|json| json["request_id"].as_str());
        let is_providers = id.is_some() && id == answer.header("request-id");
        Self { kind: kind.to_owned(), message: is_providers.then(|| message.to_owned()) }
    }
}

/// The form of JSON: which fields there are, without their values. Objects that name their `type` are told apart by it.
#[derive(Debug, Default)]
pub(super) struct Form {
    kinds: BTreeSet<&'static str>,
    objects: BTreeMap<String, BTreeMap<String, Form>>,
    items: Option<Box<Form>>,
}

impl Form {
    pub(super) fn of(json: &Value) -> Self {
        let mut form = Self::default();
        form.take(json);
        form
    }

    fn take(&mut self, json: &Value) {
        match json {
            // What is absent for now may be anything.
            Value::Null => {}
            Value::Bool(_) => _ = self.kinds.insert("a boolean"),
            Value::Number(_) => _ = self.kinds.insert("a number"),
            Value::String(_) => _ = self.kinds.insert("a text"),
            Value::Array(items) => {
                self.kinds.insert("a list");
                items.iter().for_each(|item| self.items.get_or_insert_default().take(item));
            }
            Value::Object(fields) => {
                self.kinds.insert("an object");
                let tag = fields.get("type").and_then(Value::as_str).unwrap_or_default();
                let known = self.objects.entry(tag.to_owned()).or_default();
                for (name, value) in fields {
                    let form = known.entry(name.clone()).or_default();
                    // A model chooses the input of a tool.
                    if !(name == "input" && tag.ends_with("tool_use")) {
                        form.take(value);
                    }
                }
            }
        }
    }

    /// Adds what another answer of the same gateway has.
    pub(super) fn join(&mut self, other: &Self) {
        self.kinds.extend(&other.kinds);
        for (tag, fields) in &other.objects {
            let known = self.objects.entry(tag.clone()).or_default();
            for (name, form) in fields {
                known.entry(name.clone()).or_default().join(form);
            }
        }
        if let Some(items) = &other.items {
            self.items.get_or_insert_default().join(items);
        }
    }

    /// How the new one differs from this, at this path.
    pub(super) fn differences(&self, new: &Self, at: &str, found: &mut Vec<String>) {
        let words = |words: Vec<&str>| words.join(" or ");
        let place = if at.is_empty() { "the answer" } else { at };
        if !self.kinds.is_empty() && !new.kinds.is_empty() && self.kinds.is_disjoint(&new.kinds) {
            let (old, new) = (self.kinds.iter().copied().collect(), new.kinds.iter().copied().collect());
            found.push(format!("`{place}` is {} of the old, {} of the new", words(old), words(new)));
            return;
        }
        let both = || self.objects.iter().filter_map(|(tag, old)| Some((tag, old, new.objects.get(tag)?)));
        if !self.objects.is_empty() && !new.objects.is_empty() && both().next().is_none() {
            let tags = |form: &Self| form.objects.keys().cloned().collect::<Vec<_>>().join(", ");
            found.push(format!("`{place}` has the type {} of the old, {} of the new", tags(self), tags(new)));
        }
        for (tag, old, new) in both() {
            let tag = if tag.is_empty() { String::new() } else { format!("<{tag}>") };
            let path = |name: &str| format!("{at}{tag}.{name}");
            for (name, form) in old {
                match new.get(name) {
                    Some(other) => form.differences(other, &path(name), found),
                    None => found.push(format!("`{}` is missing", path(name))),
                }
            }
            let added = new.keys().filter(|name| !old.contains_key(*name));
            found.extend(added.map(|name| format!("`{}` is added", path(name))));
        }
        if let (Some(old), Some(new)) = (&self.items, &new.items) {
            old.differences(new, &format!("{at}[]"), found);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exchange::Piece;
    use serde_json::json;

    #[test]
    fn forms_differ_by_fields_and_never_by_values() {
        let message = json!({"type": "message", "usage": {"input_tokens": 1, "tier": null}, "content": [
            {"type": "text", "text": "a"}, {"type": "tool_use", "id": "1", "input": {"a": 1}}]});
        let rows = [
            (message.clone(), &[][..]),
            (json!({"type": "message", "usage": {"input_tokens": 7, "tier": "x"}, "content": []}), &[]),
            // Another kind of block is the model's choice; blocks of which none is the same kind are not.
            (
                json!({"type": "message", "usage": {"input_tokens": 7, "tier": "x"},
                "content": [{"type": "text", "text": "a"}, {"type": "thinking"}]}),
                &[],
            ),
            (
                json!({"type": "message", "usage": {"input_tokens": 7, "tier": "x"},
                "content": [{"type": "paragraph"}]}),
                &["`<message>.content[]` has the type text, tool_use of the old, paragraph of the new"],
            ),
            (
                json!({"type": "message", "usage": {"input_tokens": "7"}, "content": [
                {"type": "tool_use", "id": "1", "input": {"b": []}}], "cost": 1}),
                &[
                    "`<message>.usage.input_tokens` is a number of the old, a text of the new",
                    "`<message>.usage.tier` is missing",
                    "`<message>.cost` is added",
                ],
            ),
            (
                json!({"type": "message", "content": [{"type": "tool_use", "id": "1"}], "usage": null}),
                &["`<message>.content[]<tool_use>.input` is missing"],
            ),
            (json!([]), &["`the answer` is an object of the old, a list of the new"]),
        ];
        for (new, expected) in rows {
            let mut found = Vec::new();
            Form::of(&message).differences(&Form::of(&new), "", &mut found);
            assert_eq!(found, expected, "{new}");
        }
    }

    fn answer(kind: &str, body: &str) -> Answer {
        let piece = |ms| Piece { at: Duration::from_millis(ms), bytes: body.as_bytes().to_vec().into() };
        Answer {
            status: 200,
            headers: vec![("content-type".to_owned(), kind.to_owned())],
            head_at: Duration::ZERO,
            pieces: vec![piece(5)],
            end: End::Whole,
        }
    }

    #[test]
    fn a_stream_is_told_by_its_events_without_pings_and_repetitions() {
        let block = "event: content_block_start\ndata: {}\n\nevent: content_block_delta\ndata: {}\n\nevent: ping\ndata: {}\n\n\
                     event: content_block_delta\ndata: {}\n\nevent: content_block_stop\ndata: {}\n\n";
        let head = "event: message_start\ndata: {\"message\":{\"usage\":{\"input_tokens\":3,\"cache_read_input_tokens\":4}}}\n\n";
        let tail = "event: message_delta\ndata: {\"delta\":{\"stop_reason\":\"end_turn\"}}\n\nevent: message_stop\ndata: {}\n\n";
        for blocks in 1..=3 {
            let text = format!("{head}{}{tail}", block.repeat(blocks));
            let traits = Traits::of(&answer("Text/Event-Stream; charset=utf-8", &text));
            let names = "message_start, content_block_start, content_block_delta, content_block_stop, message_delta, message_stop";
            assert_eq!(traits.events.as_deref(), Some(names));
            assert_eq!((traits.input_tokens, traits.stop_reason.as_deref()), (Some(7), Some("end_turn")));
        }
    }
    #[test]
    fn an_event_that_no_client_can_read_is_another_one() {
        let events = |data: &str| {
            let text = format!("event: a\ndata: {{}}\n\nevent: b\ndata: {data}\n\n");
            Traits::of(&answer("text/event-stream", &text)).events.unwrap()
        };
        assert_eq!(events("{\"c\": 1}"), "a, b");
        for data in ["{\"c\": 1", "", "{} {}"] {
            assert_eq!(events(data), "a, b that is no JSON", "{data}");
        }
    }
}
