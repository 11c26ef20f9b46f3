//! The message as a stream of server-sent events, rendered one by one, so that a long answer needs
//! little memory.
//!
//! Source: <https://platform.claude.com/docs/en/build-with-claude/streaming>.

use serde::Serialize;

use crate::message::{BlockJson, Delta, Message, MessageJson, Run, UsageJson};
use crate::record::{Note, Share, Tokens};

/// A stream of events.
#[derive(Debug)]
pub(crate) struct Events {
    message: Message,
    cursor: Cursor,
    /// Where the current run continues.
    byte: usize,
    chars_done: usize,
    total: u64,
}

#[derive(Debug, Clone, Copy)]
enum Cursor {
    MessageStart,
    Ping,
    BlockStart(usize),
    Piece { block: usize, run: usize, piece: usize },
    BlockStop(usize),
    MessageDelta,
    MessageStop,
    Done,
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Data<'e> {
    MessageStart {
        message: MessageJson<'e>,
    },
    ContentBlockStart {
        index: usize,
        content_block: BlockJson<'e>,
    },
    ContentBlockDelta {
        index: usize,
        delta: DeltaJson<'e>,
    },
    ContentBlockStop {
        index: usize,
    },
    MessageDelta {
        delta: EndJson<'e>,
        #[serde(skip_serializing_if = "Option::is_none")]
        usage: Option<UsageJson<'e>>,
    },
    MessageStop,
}

#[derive(Serialize)]
#[serde(tag = "type")]
enum DeltaJson<'e> {
    #[serde(rename = "text_delta")]
    Text { text: &'e str },
    #[serde(rename = "thinking_delta")]
    Thinking { thinking: &'e str },
    #[serde(rename = "signature_delta")]
    Signature { signature: &'e str },
    #[serde(rename = "input_json_delta")]
    InputJson { partial_json: &'e str },
}

#[derive(Serialize)]
struct EndJson<'e> {
    stop_reason: &'e str,
    stop_sequence: Option<&'e str>,
}

impl Events {
    pub(crate) fn new(message: Message) -> Self {
        const AROUND: u64 = 4; // message_start, ping, message_delta, message_stop
        let pieces = |run: &Run| run.pieces as u64;
        let total = AROUND
            + message.blocks.iter().map(|block| 2 + block.runs.iter().map(pieces).sum::<u64>()).sum::<u64>();
        Self { message, cursor: Cursor::MessageStart, byte: 0, chars_done: 0, total }
    }

    /// How many events the whole stream has.
    pub(crate) fn total(&self) -> u64 {
        self.total
    }

    /// Appends the next event to `out`; `None` after the last.
    pub(crate) fn next(&mut self, out: &mut Vec<u8>) -> Option<Note> {
        let mut note = Note { is_event: true, ..Note::default() };
        self.cursor = match self.cursor {
            Cursor::MessageStart => {
                let message = self.message.opening();
                write(out, "message_start", &Data::MessageStart { message });
                (note.usage, note.bill) = self.told_at_start();
                Cursor::Ping
            }
            Cursor::Ping => {
                ping(out);
                self.block_or_end(0)
            }
            Cursor::BlockStart(index) => {
                let content_block = self.message.blocks[index].opening();
                let data = Data::ContentBlockStart { index, content_block };
                write(out, "content_block_start", &data);
                self.piece_or_stop(index, 0, 0)
            }
            Cursor::Piece { block, run, piece } => {
                note.chars = self.piece(block, run, piece, out);
                self.piece_or_stop(block, run, piece + 1)
            }
            Cursor::BlockStop(index) => {
                write(out, "content_block_stop", &Data::ContentBlockStop { index });
                self.block_or_end(index + 1)
            }
            Cursor::MessageDelta => {
                self.end(out);
                note.usage = self.message.usage.as_ref().map(|usage| usage.tokens);
                note.bill = Some(std::mem::take(&mut self.message.bill));
                note.stop_reason = Some(self.message.stop_reason.clone());
                Cursor::MessageStop
            }
            Cursor::MessageStop => {
                write(out, "message_stop", &Data::MessageStop);
                Cursor::Done
            }
            Cursor::Done => return None,
        };
        Some(note)
    }

    fn told_at_start(&self) -> (Option<Tokens>, Option<Vec<Share>>) {
        let Some(usage) = &self.message.usage else {
            return (None, None);
        };
        let tokens = usage.tokens_at_start();
        // A message that must not be charged in the end is not charged before either.
        let bill = (!self.message.bill.is_empty())
            .then(|| vec![Share { model: self.message.model.clone(), tokens }]);
        (Some(tokens), bill)
    }

    fn block_or_end(&self, index: usize) -> Cursor {
        if index < self.message.blocks.len() { Cursor::BlockStart(index) } else { Cursor::MessageDelta }
    }

    fn piece_or_stop(&mut self, block: usize, run: usize, piece: usize) -> Cursor {
        let runs = &self.message.blocks[block].runs;
        match runs.get(run) {
            None => Cursor::BlockStop(block),
            Some(current) if piece < current.pieces => Cursor::Piece { block, run, piece },
            Some(_) => {
                (self.byte, self.chars_done) = (0, 0);
                self.piece_or_stop(block, run + 1, 0)
            }
        }
    }

    /// Writes a delta and returns its characters of output.
    fn piece(&mut self, index: usize, run: usize, piece: usize, out: &mut Vec<u8>) -> u64 {
        let run = &self.message.blocks[index].runs[run];
        let chars_end = (piece + 1) * run.chars / run.pieces;
        let chars = chars_end - self.chars_done;
        let rest = &run.text[self.byte..];
        let bytes = if run.text.len() == run.chars {
            chars
        } else {
            rest.char_indices().nth(chars).map_or(rest.len(), |(end, _)| end)
        };
        let text = &rest[..bytes];
        let delta = match run.delta {
            Delta::Text => DeltaJson::Text { text },
            Delta::Thinking => DeltaJson::Thinking { thinking: text },
            Delta::Signature => DeltaJson::Signature { signature: text },
            Delta::InputJson => DeltaJson::InputJson { partial_json: text },
        };
        write(out, "content_block_delta", &Data::ContentBlockDelta { index, delta });
        self.byte += bytes;
        self.chars_done = chars_end;
        if run.delta == Delta::Signature { 0 } else { chars as u64 }
    }

    fn end(&self, out: &mut Vec<u8>) {
        let data = Data::MessageDelta {
            delta: EndJson { stop_reason: &self.message.stop_reason, stop_sequence: None },
            usage: self.message.usage.as_ref().map(|usage| usage.at_end()),
        };
        write(out, "message_delta", &data);
    }
}

/// Appends a ping.
pub(crate) fn ping(out: &mut Vec<u8>) {
    out.extend_from_slice(b"event: ping\ndata: {\"type\": \"ping\"}\n\n");
}

/// Appends an error event.
pub(crate) fn error(out: &mut Vec<u8>, envelope: &[u8]) {
    out.extend_from_slice(b"event: error\ndata: ");
    out.extend_from_slice(envelope);
    out.extend_from_slice(b"\n\n");
}

fn write(out: &mut Vec<u8>, name: &str, data: &Data<'_>) {
    out.extend_from_slice(b"event: ");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\ndata: ");
    crate::json_into(out, data);
    out.extend_from_slice(b"\n\n");
}
