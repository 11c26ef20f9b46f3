//! The usage meter: reads the bytes of an answer in passing and says in the end what was used.
//!
//! It never changes or holds back a byte; whoever relays the answer shows each chunk to the meter as well.

mod answer;
mod gunzip;
mod stream;

use std::fmt;

use crate::usage::Usage;
use answer::AnswerMeter;
use gunzip::Gunzip;
use stream::StreamMeter;

pub use answer::ANSWER_LIMIT;
pub use gunzip::{DECODED_LIMIT, DECODED_RATIO_LIMIT};

/// What an answer said about itself, as far as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metered {
    /// The model that served, which after a fallback is not the requested one.
    pub model: Option<String>,
    /// The usage as last reported; `None` if nothing was.
    pub usage: Option<Usage>,
    /// Whether the answer came to its end: `message_stop` was seen, or the whole JSON was read.
    pub complete: bool,
    /// Why the model stopped, such as `end_turn` or `refusal`.
    pub stop_reason: Option<String>,
    /// `error.type` of an error body, or of an error event in the middle of a stream.
    pub error: Option<String>,
    /// Size of the output that was seen, in characters, to estimate an answer that broke off before its usage.
    ///
    /// In a stream: the characters of text, thinking, tool input and compaction deltas, and four for each token
    /// of thinking that was reported but withheld (`estimated_tokens`). In a JSON answer that broke off: its
    /// characters so far, those of the JSON around the text included; in a whole one 0.
    pub text_chars: u64,
    /// False if the model refused before any output, which the API reports but does not charge
    /// (<https://platform.claude.com/docs/en/build-with-claude/refusals-and-fallback>).
    pub billable: bool,
    /// Why parts of the answer were not read, so that the usage may be incomplete.
    pub unread: Option<Unread>,
}

impl Default for Metered {
    fn default() -> Self {
        Self {
            model: None,
            usage: None,
            complete: false,
            stop_reason: None,
            error: None,
            text_chars: 0,
            billable: true,
            unread: None,
        }
    }
}

/// Why the meter did not read everything. The answer itself was relayed all the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unread {
    /// A JSON answer is larger than [`ANSWER_LIMIT`].
    AnswerTooLarge,
    /// An event is larger than [`crate::sse::EVENT_LIMIT`] and was passed over.
    EventTooLarge,
    /// The answer's decoded size exceeds [`DECODED_LIMIT`] or [`DECODED_RATIO_LIMIT`]; the rest was not decoded.
    DecodedTooLarge,
    /// The answer is said to be gzip and is not, or breaks the format on the way. Checksums are left to the client.
    BadGzip,
}

impl Unread {
    /// The stable label for logs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AnswerTooLarge => "answer_too_large",
            Self::EventTooLarge => "event_too_large",
            Self::DecodedTooLarge => "decoded_too_large",
            Self::BadGzip => "bad_gzip",
        }
    }
}

/// Meters one answer.
pub struct Meter(Reader);

enum Reader {
    Plain(Content),
    Gzip(Box<Gunzip>),
}

/// The answer without its content encoding.
enum Content {
    Stream(Box<StreamMeter>),
    Answer(AnswerMeter),
}

impl Content {
    fn push(&mut self, bytes: &[u8]) {
        match self {
            Self::Stream(meter) => meter.push(bytes),
            Self::Answer(meter) => meter.push(bytes),
        }
    }

    fn finish(&mut self) -> Metered {
        match self {
            Self::Stream(meter) => meter.finish(),
            Self::Answer(meter) => meter.finish(),
        }
    }
}

impl Meter {
    /// A meter for an answer of type `text/event-stream`.
    #[must_use]
    pub fn for_stream() -> Self {
        Self(Reader::Plain(Content::Stream(Box::default())))
    }

    /// A meter for a JSON answer, an error body among them.
    #[must_use]
    pub fn for_answer() -> Self {
        Self(Reader::Plain(Content::Answer(AnswerMeter::default())))
    }

    /// The same meter for an answer with `content-encoding: gzip`; to be called before the first `push`.
    #[must_use]
    pub fn gzip(self) -> Self {
        match self.0 {
            Reader::Plain(content) => Self(Reader::Gzip(Box::new(Gunzip::new(content, DECODED_LIMIT)))),
            Reader::Gzip(_) => self,
        }
    }

    /// Shows the next bytes of the answer to the meter.
    pub fn push(&mut self, bytes: &[u8]) {
        match &mut self.0 {
            Reader::Plain(content) => content.push(bytes),
            Reader::Gzip(gunzip) => gunzip.push(bytes),
        }
    }

    /// What was metered, for whatever reason the answer ended. The meter is empty afterwards.
    #[must_use]
    pub fn finish(&mut self) -> Metered {
        match &mut self.0 {
            Reader::Plain(content) => content.finish(),
            Reader::Gzip(gunzip) => gunzip.finish(),
        }
    }
}

impl fmt::Debug for Meter {
    /// Shows the kind only: the meter holds what the model said.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match &self.0 {
            Reader::Plain(Content::Stream(_)) => "Meter(stream)",
            Reader::Plain(Content::Answer(_)) => "Meter(answer)",
            Reader::Gzip(_) => "Meter(gzip)",
        })
    }
}

#[cfg(test)]
mod tests;
