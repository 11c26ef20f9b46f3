//! The meter for streams of server-sent events:
//! <https://platform.claude.com/docs/en/build-with-claude/streaming>.

use serde::Deserialize;
use serde_json::Value;

use super::{Metered, Unread};
use crate::scan::{Flaw, Scanner};
use crate::sse::{Decoder, Event};
use crate::usage::{Tally, text};

/// Characters that a token stands for where only one of both is known.
const CHARACTERS_PER_TOKEN: u64 = 4;

#[derive(Default)]
pub(super) struct StreamMeter {
    decoder: Decoder,
    found: Found,
}

#[derive(Default)]
struct Found {
    model: Option<String>,
    tally: Tally,
    stop_reason: Option<String>,
    error: Option<String>,
    text_chars: u64,
    /// A block began that is output by itself, even if its content is withheld.
    output_began: bool,
    stopped: bool,
}

impl StreamMeter {
    pub(super) fn push(&mut self, bytes: &[u8]) {
        let found = &mut self.found;
        self.decoder.push(bytes, |event| found.event(event));
    }

    pub(super) fn finish(&mut self) -> Metered {
        let Self { decoder, found } = std::mem::take(self);
        let refused = found.stop_reason.as_deref() == Some("refusal");
        Metered {
            model: found.model,
            usage: found.tally.usage(),
            complete: found.stopped,
            stop_reason: found.stop_reason,
            error: found.error,
            text_chars: found.text_chars,
            billable: !refused || found.output_began || found.text_chars > 0,
            unread: (decoder.skipped() > 0).then_some(Unread::EventTooLarge),
        }
    }
}

impl Found {
    fn event(&mut self, event: Event<'_>) {
        match event.name {
            // An upstream that leaves the `event:` lines out still says the type in the data.
            b"message" => match event_type(event.data) {
                Some(name) if name != "message" => self.event(Event { name: name.as_bytes(), ..event }),
                _ => {}
            },
            b"content_block_delta" => {
                self.text_chars = self.text_chars.saturating_add(delta_characters(event.data).unwrap_or(0));
            }
            b"content_block_start" => self.block_start(event.data),
            b"message_start" => self.message_start(event.data),
            b"message_delta" => self.message_delta(event.data),
            b"message_stop" => self.stopped = true,
            b"error" => self.error = Some(error_type(event.data)),
            // `ping`, `content_block_stop` and what is yet to come.
            _ => {}
        }
    }

    fn message_start(&mut self, data: &[u8]) {
        let Ok(start) = serde_json::from_slice::<MessageStart>(data) else {
            return;
        };
        self.serving(text(&start.message.model));
        self.tally.report(&start.message.usage);
    }

    fn block_start(&mut self, data: &[u8]) {
        let Ok(start) = serde_json::from_slice::<BlockStart>(data) else {
            return;
        };
        let block = start.content_block;
        match block.kind.as_str() {
            // Where one model's output gives way to another's.
            Some("fallback") => self.serving(text(&block.to["model"])),
            // Begins empty; its deltas count.
            Some("text") => {}
            _ => self.output_began = true,
        }
    }

    fn message_delta(&mut self, data: &[u8]) {
        let Ok(message) = serde_json::from_slice::<MessageDelta>(data) else {
            return;
        };
        self.tally.report(&message.usage);
        self.serving(text(&message.model));
        self.serving(text(&message.delta["model"]));
        // After an earlier fallback in the conversation there is no block, only this.
        self.serving(self.tally.fallback_model().map(str::to_owned));
        if let Some(reason) = text(&message.delta["stop_reason"]) {
            self.stop_reason = Some(reason);
        }
    }

    /// The stream names the model that serves from here on.
    fn serving(&mut self, model: Option<String>) {
        if model.is_some() {
            self.model = model;
        }
    }
}

#[derive(Deserialize)]
struct MessageStart {
    message: MessageHead,
}

#[derive(Deserialize)]
struct MessageHead {
    #[serde(default)]
    model: Value,
    #[serde(default)]
    usage: Value,
}

#[derive(Deserialize)]
struct BlockStart {
    content_block: BlockHead,
}

#[derive(Deserialize)]
struct BlockHead {
    #[serde(rename = "type", default)]
    kind: Value,
    #[serde(default)]
    to: Value,
}

#[derive(Deserialize)]
struct MessageDelta {
    #[serde(default)]
    delta: Value,
    #[serde(default)]
    usage: Value,
    #[serde(default)]
    model: Value,
}

/// `error.type` of an error event; an event without one is an error all the same.
fn error_type(data: &[u8]) -> String {
    let body: Value = serde_json::from_slice(data).unwrap_or_default();
    text(&body["error"]["type"]).unwrap_or_else(|| "unknown".to_owned())
}

/// The event's `type` where no `event:` line said it.
fn event_type(data: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Typed {
        #[serde(rename = "type")]
        kind: String,
    }
    serde_json::from_slice::<Typed>(data).ok().map(|typed| typed.kind)
}

/// The characters that a `content_block_delta` adds to the output. Nearly all events of a stream come through
/// here, so the data is scanned for the one string that counts and never made into a tree.
fn delta_characters(data: &[u8]) -> Result<u64, Flaw> {
    let mut scanner = Scanner::new(data);
    let mut characters = 0;
    each_member(&mut scanner, |scanner, name| {
        if name.is("delta") && scanner.peek() == Some(b'{') {
            characters = output_characters(scanner)?;
            return Ok(());
        }
        scanner.skip()
    })?;
    Ok(characters)
}

fn output_characters(scanner: &mut Scanner<'_>) -> Result<u64, Flaw> {
    let (mut characters, mut withheld_tokens) = (0_u64, 0_u64);
    each_member(scanner, |scanner, name| {
        let counts = ["text", "thinking", "partial_json", "content"].iter().any(|counted| name.is(counted));
        match scanner.peek() {
            Some(b'"') if counts => characters += scanner.string()?.characters(),
            Some(b'0'..=b'9') if name.is("estimated_tokens") => {
                let digits = std::str::from_utf8(scanner.number()?).unwrap_or_default();
                withheld_tokens = digits.parse().unwrap_or(0);
            }
            _ => scanner.skip()?,
        }
        Ok(())
    })?;
    // The estimate stands in for thinking that is not shown; thinking that is shown counts itself.
    Ok(if characters > 0 { characters } else { withheld_tokens.saturating_mul(CHARACTERS_PER_TOKEN) })
}

/// Shows each member of the object that begins here, at the position of its value, which `visit` has to pass. Passes
/// any other value.
pub(super) fn each_member<'a>(
    scanner: &mut Scanner<'a>,
    mut visit: impl FnMut(&mut Scanner<'a>, crate::scan::Text<'a>) -> Result<(), Flaw>,
) -> Result<(), Flaw> {
    if scanner.peek() != Some(b'{') {
        return scanner.skip();
    }
    scanner.open()?;
    let mut first = true;
    while let Some(name) = scanner.member(first)? {
        first = false;
        visit(scanner, name)?;
    }
    Ok(())
}
