//! Blocks and usage as JSON, with the members in the API's order.

use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::{Block, Delta, Kind, Run, ToolCall, Usage};
use crate::record::Tokens;

const DEFAULT_PIECE_CHARS: usize = 32;
const DEFAULT_PIECES_AT_MOST: usize = 1000;

/// The object of a message.
#[derive(Serialize)]
pub(crate) struct MessageJson<'m> {
    pub(super) model: &'m str,
    pub(super) id: &'m str,
    #[serde(rename = "type")]
    pub(super) kind: &'static str,
    pub(super) role: &'static str,
    pub(super) content: &'m [BlockJson<'m>],
    pub(super) stop_reason: Option<&'m str>,
    pub(super) stop_sequence: Option<&'m str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) usage: Option<UsageJson<'m>>,
}

/// A content block.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(crate) enum BlockJson<'b> {
    Text { text: &'b str },
    Thinking { thinking: &'b str, signature: &'b str },
    ToolUse { id: &'b str, name: &'b str, input: Input<'b> },
    ServerToolUse { id: &'b str, name: &'b str, input: Input<'b> },
    WebSearchToolResult { tool_use_id: &'b str, content: &'b Value },
    WebFetchToolResult { tool_use_id: &'b str, content: &'b Value },
    Fallback { from: ModelJson<'b>, to: ModelJson<'b>, trigger: TriggerJson },
}

/// The input of a tool: an empty object while it is still to be streamed.
#[derive(Serialize)]
#[serde(untagged)]
pub(crate) enum Input<'b> {
    None {},
    Whole(&'b RawValue),
}

#[derive(Serialize)]
pub(crate) struct ModelJson<'b> {
    model: &'b str,
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(crate) enum TriggerJson {
    Refusal { category: Option<&'static str> },
}

/// All members of `usage`; which of them are present depends on the place.
#[derive(Debug, Default, Serialize)]
pub(crate) struct UsageJson<'u> {
    input_tokens: u64,
    cache_creation_input_tokens: u64,
    cache_read_input_tokens: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    cache_creation: Option<CacheCreation>,
    output_tokens: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    service_tier: Option<&'u str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    speed: Option<&'u str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    inference_geo: Option<&'u str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    server_tool_use: Option<ServerToolUse>,
    #[serde(skip_serializing_if = "Option::is_none")]
    iterations: Option<&'u [Map<String, Value>]>,
}

#[derive(Debug, Serialize)]
struct CacheCreation {
    ephemeral_5m_input_tokens: u64,
    ephemeral_1h_input_tokens: u64,
}

#[derive(Debug, Serialize)]
struct ServerToolUse {
    web_search_requests: u64,
    web_fetch_requests: u64,
}

impl Usage {
    /// What has been told once `message_start` was sent.
    pub(crate) fn tokens_at_start(&self) -> Tokens {
        Tokens {
            output: self.tokens.output.min(1),
            web_search_requests: 0,
            web_fetch_requests: 0,
            ..self.tokens
        }
    }

    pub(super) fn at_start(&self) -> UsageJson<'_> {
        let tokens = self.tokens_at_start();
        UsageJson {
            cache_creation: Some(CacheCreation {
                ephemeral_5m_input_tokens: tokens.cache_write_5m,
                ephemeral_1h_input_tokens: tokens.cache_write_1h,
            }),
            service_tier: Some(&self.service_tier),
            speed: self.speed.as_deref(),
            inference_geo: self.inference_geo.as_deref(),
            ..counts(&tokens)
        }
    }

    /// `message_delta.usage`: cumulative, without the split of cache writes.
    pub(crate) fn at_end(&self) -> UsageJson<'_> {
        UsageJson {
            server_tool_use: self.server_tool_use(),
            iterations: self.iterations.as_deref(),
            ..counts(&self.tokens)
        }
    }

    pub(super) fn whole(&self) -> UsageJson<'_> {
        UsageJson {
            output_tokens: self.tokens.output,
            server_tool_use: self.server_tool_use(),
            iterations: self.iterations.as_deref(),
            ..self.at_start()
        }
    }

    fn server_tool_use(&self) -> Option<ServerToolUse> {
        let Tokens { web_search_requests, web_fetch_requests, .. } = self.tokens;
        (web_search_requests + web_fetch_requests > 0)
            .then_some(ServerToolUse { web_search_requests, web_fetch_requests })
    }
}

fn counts<'u>(tokens: &Tokens) -> UsageJson<'u> {
    UsageJson {
        input_tokens: tokens.input,
        cache_creation_input_tokens: tokens.cache_write_5m + tokens.cache_write_1h,
        cache_read_input_tokens: tokens.cache_read,
        output_tokens: tokens.output,
        ..UsageJson::default()
    }
}

impl Block {
    /// A text block, streamed in `pieces` deltas if the text has that many characters.
    pub(super) fn text(text: String, pieces: Option<usize>) -> Self {
        Self { kind: Kind::Text, runs: vec![Run::new(Delta::Text, text, pieces)] }
    }

    pub(super) fn thinking(shown: &str, serial: u64) -> Self {
        let mut runs = Vec::new();
        if !shown.is_empty() {
            runs.push(Run::new(Delta::Thinking, shown.to_owned(), None));
        }
        let signature = crate::id::signature(serial);
        runs.push(Run::new(Delta::Signature, signature, Some(1)));
        Self { kind: Kind::Thinking, runs }
    }

    /// A call of a tool, the server's own or the client's.
    pub(super) fn tool(is_server: bool, call: ToolCall) -> Self {
        let input = call.input.get().to_owned();
        Self {
            kind: if is_server { Kind::ServerTool(call) } else { Kind::Tool(call) },
            runs: vec![
                Run::new(Delta::InputJson, String::new(), Some(1)),
                Run::new(Delta::InputJson, input, None),
            ],
        }
    }

    /// A block that arrives whole in its start event.
    pub(super) fn whole(kind: Kind) -> Self {
        Self { kind, runs: Vec::new() }
    }

    /// The characters of the block's output. A signature is no output.
    pub(super) fn chars(&self) -> u64 {
        self.runs.iter().filter(|run| run.delta != Delta::Signature).map(|run| run.chars as u64).sum()
    }

    /// `content_block` as `content_block_start` holds it.
    pub(crate) fn opening(&self) -> BlockJson<'_> {
        self.json(|_| "", |_| Input::None {})
    }

    /// The block as the plain answer holds it.
    pub(super) fn full(&self) -> BlockJson<'_> {
        let text = |delta| {
            let run = self.runs.iter().find(|run| run.delta == delta);
            run.map_or("", |run| run.text.as_str())
        };
        self.json(text, |call| Input::Whole(&call.input))
    }

    fn json<'b>(
        &'b self,
        text: impl Fn(Delta) -> &'b str,
        input: impl Fn(&'b ToolCall) -> Input<'b>,
    ) -> BlockJson<'b> {
        match &self.kind {
            Kind::Text => BlockJson::Text { text: text(Delta::Text) },
            Kind::Thinking => {
                BlockJson::Thinking { thinking: text(Delta::Thinking), signature: text(Delta::Signature) }
            }
            Kind::Tool(call) => BlockJson::ToolUse { id: &call.id, name: &call.name, input: input(call) },
            Kind::ServerTool(call) => {
                BlockJson::ServerToolUse { id: &call.id, name: &call.name, input: input(call) }
            }
            Kind::SearchResult { id, content } => BlockJson::WebSearchToolResult { tool_use_id: id, content },
            Kind::FetchResult { id, content } => BlockJson::WebFetchToolResult { tool_use_id: id, content },
            Kind::Fallback { from, to } => BlockJson::Fallback {
                from: ModelJson { model: from },
                to: ModelJson { model: to },
                trigger: TriggerJson::Refusal { category: None },
            },
        }
    }
}

impl Run {
    fn new(delta: Delta, text: String, pieces: Option<usize>) -> Self {
        let chars = text.chars().count();
        let pieces = pieces
            .unwrap_or_else(|| chars.div_ceil(DEFAULT_PIECE_CHARS).min(DEFAULT_PIECES_AT_MOST))
            .clamp(1, chars.max(1));
        Self { delta, text, chars, pieces }
    }
}
