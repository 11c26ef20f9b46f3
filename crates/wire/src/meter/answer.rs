//! The meter for JSON answers and error bodies.

use serde::Deserialize;
use serde_json::Value;

use super::stream::each_member;
use super::{Metered, Unread};
use crate::scan::{Flaw, Scanner};
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
    let found = Answer::find(&mut scanner, bytes);
    let Some(answer) = found.ok().filter(|_| scanner.end().is_ok()) else {
        // The usage stands at an answer's end, so what came before it has to be estimated.
        let characters = bytes.iter().filter(|&&byte| byte & 0xC0 != 0x80).count() as u64;
        return Metered { text_chars: if object { characters } else { 0 }, ..Metered::default() };
    };
    let mut tally = Tally::default();
    tally.report(&value(answer.usage));
    let stop_reason = text(&value(answer.stop_reason));
    Metered {
        model: text(&value(answer.model)),
        usage: tally.usage(),
        complete: true,
        error: text(&value(answer.error)["type"]),
        billable: stop_reason.as_deref() != Some("refusal") || has_output(answer.content),
        stop_reason,
        ..Metered::default()
    }
}

/// The members of an answer that are of interest, as they stand in it; empty where they are absent. Most of an
/// answer is content, which is passed over.
#[derive(Default)]
struct Answer<'a> {
    model: &'a [u8],
    stop_reason: &'a [u8],
    usage: &'a [u8],
    error: &'a [u8],
    content: &'a [u8],
}

impl<'a> Answer<'a> {
    /// Passes the whole value at the scanner's position. Of a member that stands twice the last counts, as it does to
    /// the clients.
    fn find(scanner: &mut Scanner<'a>, bytes: &'a [u8]) -> Result<Self, Flaw> {
        let mut answer = Self::default();
        each_member(scanner, |scanner, name| {
            scanner.peek();
            let start = scanner.at();
            scanner.skip()?;
            let value = &bytes[start..scanner.at()];
            match &name {
                name if name.is("model") => answer.model = value,
                name if name.is("stop_reason") => answer.stop_reason = value,
                name if name.is("usage") => answer.usage = value,
                name if name.is("error") => answer.error = value,
                name if name.is("content") => answer.content = value,
                _ => {}
            }
            Ok(())
        })?;
        Ok(answer)
    }
}

/// A member's value; null where it is absent.
fn value(raw: &[u8]) -> Value {
    serde_json::from_slice(raw).unwrap_or_default()
}

/// Whether an answer's content holds anything that a model said: a `fallback` block only marks where one model
/// gave way to another.
fn has_output(content: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Block {
        #[serde(rename = "type", default)]
        kind: Value,
    }
    if matches!(content, b"" | b"null") {
        return false;
    }
    let blocks = serde_json::from_slice::<Vec<Block>>(content);
    blocks.map_or(true, |blocks| blocks.iter().any(|block| block.kind != "fallback"))
}
