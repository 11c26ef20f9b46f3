//! What the simulator reads in the body of a Messages request.

use std::collections::HashMap;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::directive::{BadDirective, Directives};

/// A Messages request, as far as it decides the answer.
#[derive(Debug, Default)]
pub(crate) struct Call {
    pub(crate) model: String,
    pub(crate) stream: bool,
    pub(crate) max_tokens: Option<u64>,
    pub(crate) speed: Option<String>,
    pub(crate) inference_geo: Option<String>,
    /// `thinking.display` is `omitted`: thinking is signed, but not shown.
    pub(crate) thinking_omitted: bool,
    /// The JSON schema of `output_config.format`.
    pub(crate) schema: Option<serde_json::Value>,
    /// How many messages with tool results follow the last prompt.
    pub(crate) tool_rounds: u64,
    /// The text of the last tool result.
    pub(crate) tool_result: Option<String>,
    /// The directives inside the last prompt, or why they cannot be read.
    pub(crate) prompt: Option<Result<String, BadDirective>>,
}

/// Which of the two endpoints reads the body: counting needs no `max_tokens`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    Answer,
    Count,
}

#[derive(Deserialize)]
struct Message<'b> {
    role: String,
    #[serde(borrow)]
    content: Option<&'b RawValue>,
}

#[derive(Deserialize)]
struct Block<'b> {
    #[serde(rename = "type")]
    kind: String,
    text: Option<String>,
    #[serde(borrow)]
    content: Option<&'b RawValue>,
}

impl Call {
    /// Reads a body, or says in the API's manner what is wrong with it.
    pub(crate) fn read(body: &[u8], purpose: Purpose) -> Result<Self, String> {
        // Of a repeated key the last one counts, as with most JSON readers.
        let fields: HashMap<String, &RawValue> = serde_json::from_slice(body)
            .map_err(|error| format!("The request body is not valid JSON: {error}"))?;
        let mut call = Self {
            model: required(&fields, "model", "a string")?,
            stream: optional(&fields, "stream", "true or false")?.unwrap_or(false),
            max_tokens: optional(&fields, "max_tokens", "a whole number")?,
            speed: optional(&fields, "speed", "a string")?,
            inference_geo: optional(&fields, "inference_geo", "a string")?,
            ..Self::default()
        };
        if purpose == Purpose::Answer && call.max_tokens.is_none() {
            return Err("max_tokens: Field required".into());
        }
        let thinking: Option<serde_json::Value> = optional(&fields, "thinking", "an object")?;
        call.thinking_omitted = thinking.is_some_and(|thinking| thinking["display"] == "omitted");
        let output: Option<serde_json::Value> = optional(&fields, "output_config", "an object")?;
        call.schema = output.and_then(|mut output| Some(output.get_mut("format")?.get_mut("schema")?.take()));
        let messages: Vec<&RawValue> = required(&fields, "messages", "a list")?;
        if messages.is_empty() {
            return Err("messages: at least one message is required".into());
        }
        call.read_messages(&messages)?;
        Ok(call)
    }

    /// Walks back from the end to the last prompt. Claude Code adds `system` messages and reminders
    /// after it, and tool results; none of these is a prompt.
    fn read_messages(&mut self, messages: &[&RawValue]) -> Result<(), String> {
        for (index, message) in messages.iter().enumerate().rev() {
            let message: Message =
                serde_json::from_str(message.get()).map_err(|error| format!("messages.{index}: {error}"))?;
            if message.role != "user" {
                continue;
            }
            let blocks =
                blocks_of(message.content).map_err(|error| format!("messages.{index}.content: {error}"))?;
            let mut results = blocks.iter().filter(|block| block.kind == "tool_result");
            let is_result = results.clone().next().is_some();
            if is_result {
                self.tool_rounds += 1;
                if self.tool_result.is_none() {
                    self.tool_result = results.next_back().map(text_of_result);
                }
            }
            let texts: Vec<&str> = blocks
                .iter()
                .filter_map(|block| block.text.as_deref())
                .filter(|text| !text.trim_start().starts_with("<system-reminder>"))
                .collect();
            self.prompt = texts
                .iter()
                .rev()
                .find_map(|text| Directives::find(text).map(|found| found.map(str::to_owned)));
            let is_prompt = !is_result && !texts.is_empty();
            if self.prompt.is_some() || is_prompt {
                break;
            }
        }
        Ok(())
    }
}

fn required<'b, T: Deserialize<'b>>(
    fields: &HashMap<String, &'b RawValue>,
    name: &str,
    needs: &str,
) -> Result<T, String> {
    optional(fields, name, needs)?.ok_or_else(|| format!("{name}: Field required"))
}

fn optional<'b, T: Deserialize<'b>>(
    fields: &HashMap<String, &'b RawValue>,
    name: &str,
    needs: &str,
) -> Result<Option<T>, String> {
    let Some(value) = fields.get(name) else {
        return Ok(None);
    };
    serde_json::from_str(value.get()).map_err(|_| format!("{name}: Input should be {needs}"))
}

fn blocks_of(content: Option<&RawValue>) -> serde_json::Result<Vec<Block<'_>>> {
    let Some(content) = content else {
        return Ok(Vec::new());
    };
    if content.get().starts_with('"') {
        let text = serde_json::from_str(content.get())?;
        return Ok(vec![Block { kind: "text".into(), text: Some(text), content: None }]);
    }
    serde_json::from_str(content.get())
}

fn text_of_result(result: &Block<'_>) -> String {
    blocks_of(result.content)
        .unwrap_or_default()
        .into_iter()
        .filter_map(|block| block.text)
        .collect::<Vec<_>>()
        .join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(messages: &str) -> Call {
        let body = format!(r#"{{"model":"m","max_tokens":9,"messages":{messages}}}"#);
        Call::read(body.as_bytes(), Purpose::Answer).unwrap()
    }

    #[test]
    fn the_last_prompt_decides() {
        const RESULT: &str = r#"{"role":"user","content":[{"type":"tool_result","tool_use_id":"t",
            "content":[{"type":"text","text":"[[sim: close]]"}]}]}"#;
        const REMINDER: &str = r#"{"role":"user","content":[{"type":"text",
            "text":"<system-reminder>[[sim: close]]</system-reminder>"}]}"#;
        const PROMPT: &str = r#"{"role":"user","content":"go [[sim: gzip]]"}"#;
        const PLAIN: &str = r#"{"role":"user","content":[{"type":"text","text":"plain"}]}"#;
        const MODEL: &str = r#"{"role":"assistant","content":[{"type":"text","text":"[[sim: a]]"}]}"#;
        const SYSTEM: &str = r#"{"role":"system","content":"[[sim: a]]"}"#;
        let rows: &[(&[&str], Option<&str>, u64)] = &[
            (&[PROMPT], Some(" gzip"), 0),
            (&[PROMPT, MODEL, PLAIN], None, 0),
            (&[PROMPT, SYSTEM], Some(" gzip"), 0),
            (&[PROMPT, REMINDER], Some(" gzip"), 0),
            (&[PROMPT, MODEL, RESULT], Some(" gzip"), 1),
            (&[PROMPT, MODEL, RESULT, MODEL, RESULT, SYSTEM], Some(" gzip"), 2),
            (&[PLAIN, MODEL, RESULT], None, 1),
        ];
        for (messages, prompt, rounds) in rows {
            let call = read(&format!("[{}]", messages.join(",")));
            let found = call.prompt.map(Result::unwrap);
            assert_eq!(found.as_deref(), *prompt, "{messages:?}");
            assert_eq!(call.tool_rounds, *rounds, "{messages:?}");
        }
    }

    #[test]
    fn the_result_of_a_tool_is_read_in_both_forms() {
        let rows =
            [(r#""plain""#, "plain"), (r#"[{"type":"text","text":"a"},{"type":"text","text":"b"}]"#, "a\nb")];
        for (content, expected) in rows {
            let call = read(&format!(
                r#"[{{"role":"user","content":[{{"type":"tool_result","content":{content}}}]}}]"#
            ));
            assert_eq!(call.tool_result.as_deref(), Some(expected));
        }
    }

    #[test]
    fn a_wrong_body_is_refused() {
        let rows = [
            ("", "The request body is not valid JSON"),
            ("[]", "The request body is not valid JSON"),
            (r#"{"messages":[1]}"#, "model: Field required"),
            (r#"{"model":1}"#, "model: Input should be a string"),
            (r#"{"model":"m"}"#, "max_tokens: Field required"),
            (r#"{"model":"m","max_tokens":1}"#, "messages: Field required"),
            (r#"{"model":"m","max_tokens":1,"messages":[]}"#, "messages: at least one"),
            (r#"{"model":"m","max_tokens":1,"messages":[1]}"#, "messages.0: "),
            (
                r#"{"model":"m","max_tokens":1,"messages":[{"role":"user","content":3}]}"#,
                "messages.0.content: ",
            ),
            (r#"{"model":"m","max_tokens":1,"stream":"yes"}"#, "stream: Input should be true or false"),
        ];
        for (body, problem) in rows {
            let message = Call::read(body.as_bytes(), Purpose::Answer).unwrap_err();
            assert!(message.contains(problem), "{body}: {message}");
        }
    }
}
