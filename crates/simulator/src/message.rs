//! The message that the simulated model answers with: its blocks, its usage, its bill.

use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use crate::call::Call;
use crate::directive::{Answer, Iterations, Refusal};
use crate::record::{Share, Tokens};

mod wire;

pub(crate) use wire::{BlockJson, MessageJson, UsageJson};

const DEFAULT_TEXT: &str =
    "Hello from the Tollgate simulator. No model was asked; this text is always the same.";
const FILLER: &str = "All work and no play makes for a dull simulator, so it counts its words. ";
const ECHO_CHARS: usize = 400;
/// The API's own rule of thumb, and the one by which the simulator counts: four characters or
/// bytes make a token.
const PER_TOKEN: u64 = 4;

/// A complete answer, from which the stream and the plain form are both made.
#[derive(Debug)]
pub(crate) struct Message {
    pub(crate) id: String,
    /// What `message.model` names.
    pub(crate) model: String,
    pub(crate) blocks: Vec<Block>,
    pub(crate) stop_reason: String,
    /// `None` when the answer keeps its usage to itself.
    pub(crate) usage: Option<Usage>,
    /// What a correct bill of the whole message holds; empty when nothing may be charged.
    pub(crate) bill: Vec<Share>,
}

#[derive(Debug)]
pub(crate) struct Block {
    pub(crate) kind: Kind,
    pub(crate) runs: Vec<Run>,
}

#[derive(Debug)]
pub(crate) enum Kind {
    Text,
    Thinking,
    Tool(ToolCall),
    ServerTool(ToolCall),
    SearchResult { id: String, content: Value },
    FetchResult { id: String, content: Value },
    Fallback { from: String, to: String },
}

/// A call of a tool.
#[derive(Debug)]
pub(crate) struct ToolCall {
    pub(crate) id: String,
    pub(crate) name: String,
    /// The JSON text of the input, streamed as it is written.
    pub(crate) input: Box<RawValue>,
}

/// Text that is streamed in deltas of one type.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) delta: Delta,
    pub(crate) text: String,
    pub(crate) chars: usize,
    pub(crate) pieces: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Delta {
    Text,
    Thinking,
    Signature,
    /// Preceded by one empty fragment, as the API sends it.
    InputJson,
}

/// The object `usage`.
#[derive(Debug, Clone)]
pub(crate) struct Usage {
    pub(crate) tokens: Tokens,
    pub(crate) service_tier: String,
    pub(crate) speed: Option<String>,
    pub(crate) inference_geo: Option<String>,
    pub(crate) iterations: Option<Vec<Map<String, Value>>>,
}

impl Message {
    /// Composes the answer to `call`. `body_bytes` is the length of the request's body, `serial` a
    /// number from which the ids are made.
    pub(crate) fn compose(call: &Call, wish: &Answer, body_bytes: usize, serial: u64) -> Self {
        let (blocks, stop_reason) = content(call, wish, serial);
        let model = wish.model.clone().unwrap_or_else(|| call.model.clone());
        let tokens = tokens(wish, &blocks, &stop_reason, body_bytes);
        let iterations = iterations(wish, &tokens);
        let serving = wish.fallback.as_deref().unwrap_or(&model);
        let refused = wish.refusal == Some(Refusal::BeforeOutput);
        let bill =
            if refused || wish.no_usage { Vec::new() } else { bill(serving, &tokens, iterations.as_deref()) };
        let usage = Usage {
            tokens,
            service_tier: wish.service_tier.clone().unwrap_or("standard".into()),
            speed: wish.speed.clone().or_else(|| call.speed.clone()),
            inference_geo: wish.inference_geo.clone().or_else(|| call.inference_geo.clone()),
            iterations,
        };
        Self {
            id: crate::id::message(serial),
            model,
            blocks,
            stop_reason: wish.stop_reason.clone().unwrap_or(stop_reason),
            usage: (!wish.no_usage).then_some(usage),
            bill,
        }
    }

    /// The plain answer, without a stream.
    pub(crate) fn json(&self) -> Vec<u8> {
        let content: Vec<BlockJson<'_>> = self.blocks.iter().map(Block::full).collect();
        let usage = self.usage.as_ref().map(|usage| usage.whole());
        crate::json(&self.envelope(&content, Some(&self.stop_reason), usage))
    }

    /// The characters of all output.
    pub(crate) fn chars(&self) -> u64 {
        self.blocks.iter().map(Block::chars).sum()
    }

    /// `message` as `message_start` holds it: still empty, with a small `output_tokens`.
    pub(crate) fn opening(&self) -> MessageJson<'_> {
        let usage = self.usage.as_ref().map(Usage::at_start);
        self.envelope(&[], None, usage)
    }

    fn envelope<'m>(
        &'m self,
        content: &'m [BlockJson<'m>],
        stop_reason: Option<&'m str>,
        usage: Option<UsageJson<'m>>,
    ) -> MessageJson<'m> {
        MessageJson {
            model: &self.model,
            id: &self.id,
            kind: "message",
            role: "assistant",
            content,
            stop_reason,
            stop_sequence: None,
            usage,
        }
    }
}

fn content(call: &Call, wish: &Answer, serial: u64) -> (Vec<Block>, String) {
    let mut blocks = Vec::new();
    if wish.refusal == Some(Refusal::BeforeOutput) {
        return (blocks, "refusal".into());
    }
    if call.max_tokens == Some(0) {
        return (blocks, "max_tokens".into());
    }
    if let Some(to) = &wish.fallback {
        blocks.push(Block::whole(Kind::Fallback { from: call.model.clone(), to: to.clone() }));
    }
    if let Some(thinking) = &wish.thinking {
        let shown = if call.thinking_omitted { "" } else { thinking };
        blocks.push(Block::thinking(shown, serial));
    }
    for nth in 0..wish.web_search + wish.web_fetch {
        let id = crate::id::tool("srvtoolu_", serial, nth);
        if nth < wish.web_search {
            blocks.extend(web_search(id));
        } else {
            blocks.extend(web_fetch(id));
        }
    }
    if !wish.tools.is_empty() && call.tool_rounds < wish.turns.unwrap_or(1) {
        if let Some(text) = wish.given_text() {
            blocks.push(Block::text(text, wish.events));
        }
        for (nth, tool) in wish.tools.iter().enumerate() {
            let call = ToolCall {
                id: crate::id::tool("toolu_", serial, nth as u64),
                name: tool.name.clone(),
                input: tool.input.clone(),
            };
            blocks.push(Block::tool(false, call));
        }
        return (blocks, "tool_use".into());
    }
    let (mut text, mut stop_reason) = final_text(call, wish);
    if wish.refusal == Some(Refusal::Midway) {
        text.truncate(text.floor_char_boundary(text.len() / 2));
        stop_reason = "refusal";
    }
    blocks.push(Block::text(text, wish.events));
    (blocks, stop_reason.into())
}

impl Answer {
    /// The text that a directive asks for, in whichever way.
    fn given_text(&self) -> Option<String> {
        match (&self.text, self.size, self.events) {
            (Some(text), None, _) => Some(text.clone()),
            (text, Some(size), _) => Some(filler(text.as_deref(), size)),
            // Long enough that there are as many deltas as asked for.
            (None, None, Some(events)) => Some(filler(None, events * 16)),
            (None, None, None) => None,
        }
    }
}

/// Exactly `size` bytes: `pattern` over and over. A character that would not fit is replaced by
/// dots, so that the text stays UTF-8.
fn filler(pattern: Option<&str>, size: usize) -> String {
    let pattern = pattern.filter(|text| !text.is_empty()).unwrap_or(FILLER);
    let mut text = pattern.repeat(size / pattern.len() + 1);
    text.truncate(text.floor_char_boundary(size));
    text.extend(std::iter::repeat_n('.', size - text.len()));
    text
}

fn final_text(call: &Call, wish: &Answer) -> (String, &'static str) {
    if let Some(text) = wish.given_text() {
        return (text, "end_turn");
    }
    if let Some(schema) = &call.schema {
        return (crate::schema::instance(schema).to_string(), "end_turn");
    }
    let mut text = match &call.tool_result {
        Some(result) => {
            let quoted: String = result.chars().take(ECHO_CHARS).collect();
            format!("The tool answered: {quoted}")
        }
        None => DEFAULT_TEXT.to_owned(),
    };
    let room = call.max_tokens.unwrap_or(u64::MAX).saturating_mul(PER_TOKEN);
    match text.char_indices().nth(usize::try_from(room).unwrap_or(usize::MAX)) {
        Some((end, _)) => {
            text.truncate(end);
            (text, "max_tokens")
        }
        None => (text, "end_turn"),
    }
}

/// A search by the server: its call and its result.
fn web_search(id: String) -> [Block; 2] {
    let content = json!([{
        "type": "web_search_result",
        "url": "https://example.com/",
        "title": "Example Domain",
        "encrypted_content": "c2ltdWxhdGVk",
        "page_age": null,
    }]);
    let call = server_call(&id, "web_search", &json!({"query": "simulated"}));
    [call, Block::whole(Kind::SearchResult { id, content })]
}

/// A page read by the server: the call and its result.
fn web_fetch(id: String) -> [Block; 2] {
    let content = json!({
        "type": "web_fetch_result",
        "url": "https://example.com/",
        "retrieved_at": null,
        "content": {
            "type": "document",
            "source": {"type": "text", "media_type": "text/plain", "data": "Simulated."},
            "title": null,
            "citations": null,
        },
    });
    let call = server_call(&id, "web_fetch", &json!({"url": "https://example.com/"}));
    [call, Block::whole(Kind::FetchResult { id, content })]
}

fn server_call(id: &str, name: &str, input: &Value) -> Block {
    let call = ToolCall { id: id.to_owned(), name: name.to_owned(), input: crate::raw_json(input) };
    Block::tool(true, call)
}

fn tokens(wish: &Answer, blocks: &[Block], stop_reason: &str, body_bytes: usize) -> Tokens {
    let chars: u64 = blocks.iter().map(Block::chars).sum();
    let wrote_nothing = blocks.is_empty() && stop_reason != "end_turn";
    let counted = if wrote_nothing { 0 } else { chars.div_ceil(PER_TOKEN).max(1) };
    Tokens {
        input: wish.usage.input.unwrap_or(count_input(body_bytes)),
        output: wish.usage.output.unwrap_or(counted),
        cache_read: wish.usage.cache_read.unwrap_or(0),
        cache_write_5m: wish.usage.cache_write_5m.unwrap_or(0),
        cache_write_1h: wish.usage.cache_write_1h.unwrap_or(0),
        web_search_requests: wish.web_search,
        web_fetch_requests: wish.web_fetch,
    }
}

/// The input tokens of a request: a quarter of its body's bytes, rounded up.
pub(crate) fn count_input(body_bytes: usize) -> u64 {
    (body_bytes as u64).div_ceil(PER_TOKEN)
}

fn iterations(wish: &Answer, tokens: &Tokens) -> Option<Vec<Map<String, Value>>> {
    let own = |kind: &str, model: Option<&str>| {
        let mut iteration = iteration(kind, tokens);
        if let Some(model) = model {
            iteration.insert("model".into(), model.into());
        }
        iteration
    };
    match (&wish.iterations, &wish.fallback) {
        (Some(Iterations::Given(list)), _) => Some(list.clone()),
        (Some(Iterations::Compaction), _) => {
            let compaction = Tokens { input: 1000, output: 100, ..Tokens::default() };
            Some(vec![iteration("compaction", &compaction), own("message", None)])
        }
        (None, Some(to)) => Some(vec![own("fallback_message", Some(to))]),
        (None, None) => None,
    }
}

fn iteration(kind: &str, tokens: &Tokens) -> Map<String, Value> {
    let Value::Object(iteration) = json!({
        "type": kind,
        "input_tokens": tokens.input,
        "output_tokens": tokens.output,
        "cache_read_input_tokens": tokens.cache_read,
        "cache_creation_input_tokens": tokens.cache_write_5m + tokens.cache_write_1h,
        "cache_creation": {
            "ephemeral_5m_input_tokens": tokens.cache_write_5m,
            "ephemeral_1h_input_tokens": tokens.cache_write_1h,
        },
    }) else {
        unreachable!("the macro above writes an object");
    };
    iteration
}

/// Who is paid for what: with iterations each by its own model, otherwise the serving model.
fn bill(serving: &str, tokens: &Tokens, iterations: Option<&[Map<String, Value>]>) -> Vec<Share> {
    let Some(iterations) = iterations else {
        return vec![Share { model: serving.to_owned(), tokens: *tokens }];
    };
    let mut bill: Vec<Share> = iterations.iter().map(|iteration| share(serving, iteration)).collect();
    // Searches are counted once for the whole message.
    if let Some(first) = bill.iter_mut().find(|share| share.model == serving) {
        first.tokens.web_search_requests = tokens.web_search_requests;
        first.tokens.web_fetch_requests = tokens.web_fetch_requests;
    }
    bill
}

fn share(serving: &str, iteration: &Map<String, Value>) -> Share {
    let count = |name: &str| iteration.get(name).and_then(Value::as_u64);
    let written = |name: &str| iteration.get("cache_creation")?.get(name)?.as_u64();
    let (write_5m, write_1h) = (written("ephemeral_5m_input_tokens"), written("ephemeral_1h_input_tokens"));
    let undivided = count("cache_creation_input_tokens").unwrap_or(0);
    Share {
        model: iteration.get("model").and_then(Value::as_str).unwrap_or(serving).to_owned(),
        tokens: Tokens {
            input: count("input_tokens").unwrap_or(0),
            output: count("output_tokens").unwrap_or(0),
            cache_read: count("cache_read_input_tokens").unwrap_or(0),
            cache_write_5m: write_5m.unwrap_or(undivided - write_1h.unwrap_or(0).min(undivided)),
            cache_write_1h: write_1h.unwrap_or(0),
            ..Tokens::default()
        },
    }
}

#[cfg(test)]
mod tests;
