//! The meter for JSON answers and error bodies.

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::{Metered, Unread};
use crate::scan::Scanner;
use crate::usage::{Tally, text};

/// Bytes of an answer that are kept to be read at its end. An answer of 128 000 tokens has about one million.
pub const ANSWER_LIMIT: usize = 64 << 20;

#[derive(Default)]
pub(super) struct AnswerMeter {
    bytes: Vec<u8>,
    too_large: bool,
}

impl AnswerMeter {
    pub(super) fn push(&mut self, bytes: &[u8]) {
        if self.too_large {
            return;
        }
        if self.bytes.len() + bytes.len() > ANSWER_LIMIT {
            self.too_large = true;
            self.bytes = Vec::new();
            return;
        }
        self.bytes.extend_from_slice(bytes);
    }

    pub(super) fn finish(&mut self) -> Metered {
        let Self { bytes, too_large } = std::mem::take(self);
        if too_large {
            return Metered { unread: Some(Unread::AnswerTooLarge), ..Metered::default() };
        }
        read(&bytes)
    }
}

fn read(bytes: &[u8]) -> Metered {
    let mut scanner = Scanner::new(bytes);
    let object = scanner.peek() == Some(b'{');
    let whole = scanner.skip().and_then(|()| scanner.end()).is_ok();
    if !whole {
        // The usage stands at an answer's end, so what came before it has to be estimated.
        let characters = bytes.iter().filter(|&&byte| byte & 0xC0 != 0x80).count() as u64;
        return Metered { text_chars: if object { characters } else { 0 }, ..Metered::default() };
    }
    let answer = if object { serde_json::from_slice(bytes).unwrap_or_default() } else { Answer::default() };
    let mut tally = Tally::default();
    tally.report(&answer.usage);
    let stop_reason = text(&answer.stop_reason);
    Metered {
        model: text(&answer.model),
        usage: tally.usage(),
        complete: true,
        error: text(&answer.error["type"]),
        billable: stop_reason.as_deref() != Some("refusal") || has_output(answer.content),
        stop_reason,
        ..Metered::default()
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Answer<'a> {
    model: Value,
    stop_reason: Value,
    usage: Value,
    error: Value,
    #[serde(borrow)]
    content: Option<&'a RawValue>,
}

/// Whether an answer's content holds anything that a model said: a `fallback` block only marks where one model
/// gave way to another.
fn has_output(content: Option<&RawValue>) -> bool {
    #[derive(Deserialize)]
    struct Block {
        #[serde(rename = "type", default)]
        kind: Value,
    }
    let blocks = content.map(|content| serde_json::from_str::<Vec<Block>>(content.get()));
    match blocks {
        Some(Ok(blocks)) => blocks.iter().any(|block| block.kind != "fallback"),
        Some(Err(_)) => true,
        None => false,
    }
}
