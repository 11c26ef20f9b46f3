//! The entry of one request, while it is served.

use std::collections::VecDeque;
use std::time::Instant;

use aws_lc_rs::digest::Context;
use bytes::Bytes;

use super::{Answered, Ending, Record, Share, Tokens, sha256, sha256_hex};

/// Owned by whoever serves the request. Whatever ends that (the last byte, an abort, a stop) ends
/// the entry, exactly once.
pub(crate) struct Entry {
    record: Record,
    id: u64,
    arrived: Instant,
    answer: Answered,
    hash: Option<Context>,
    /// Notes on body bytes that are not sent yet, by the end of these bytes.
    notes: VecDeque<(u64, Note)>,
}

/// What becomes true once a part of the body was sent.
#[derive(Debug, Default)]
pub(crate) struct Note {
    /// The part is a whole event.
    pub(crate) is_event: bool,
    pub(crate) chars: u64,
    pub(crate) usage: Option<Tokens>,
    pub(crate) bill: Option<Vec<Share>>,
    pub(crate) stop_reason: Option<String>,
    pub(crate) error: Option<String>,
}

impl Entry {
    pub(super) fn new(record: Record, id: u64, arrived: Instant) -> Self {
        Self {
            record,
            id,
            arrived,
            answer: Answered::default(),
            hash: Some(sha256()),
            notes: VecDeque::new(),
        }
    }

    /// Counts requests from 1.
    pub(crate) fn id(&self) -> u64 {
        self.id
    }

    /// The request's body arrived, whole or as far as the client sent it.
    pub(crate) fn body(&self, body: &Bytes, whole: bool) {
        let sha256 = whole.then(|| {
            let mut hash = sha256();
            hash.update(body);
            sha256_hex(hash)
        });
        self.record.keep_body(self.id, body, sha256);
    }

    /// Why the answer is what it is.
    pub(crate) fn decided(&self, model: Option<String>, directives: &str) {
        self.record.change(self.id, |seen| {
            seen.model = model;
            directives.clone_into(&mut seen.directives);
        });
    }

    pub(crate) fn request_id(&mut self, request_id: &str) {
        self.answer.request_id = Some(request_id.to_owned());
    }

    /// The head was sent.
    pub(crate) fn sent_head(&mut self, status: u16) {
        self.answer.status = Some(status);
        self.take_notes();
    }

    /// Announces what is true once the body was sent up to `end`.
    pub(crate) fn expect(&mut self, end: u64, note: Note) {
        self.notes.push_back((end, note));
    }

    /// More bytes of the body were sent.
    pub(crate) fn sent(&mut self, bytes: &[u8]) {
        if let Some(hash) = &mut self.hash {
            hash.update(bytes);
        }
        self.answer.body_bytes += bytes.len() as u64;
        self.take_notes();
    }

    fn take_notes(&mut self) {
        let sent = self.answer.body_bytes;
        while self.notes.front().is_some_and(|(end, _)| *end <= sent) {
            if let Some((_, note)) = self.notes.pop_front() {
                self.note(note);
            }
        }
    }

    fn note(&mut self, note: Note) {
        let answer = &mut self.answer;
        answer.events += u64::from(note.is_event);
        answer.chars += note.chars;
        answer.usage = note.usage.or(answer.usage);
        answer.stop_reason = note.stop_reason.or(answer.stop_reason.take());
        answer.error = note.error.or(answer.error.take());
        if let Some(bill) = note.bill {
            answer.bill = bill;
        }
    }

    /// Lets others see how far the answer is, while it is still under way.
    pub(crate) fn show(&self) {
        self.record.change(self.id, |seen| seen.answer = self.answer.clone());
        self.record.0.changed.send_replace(());
    }

    pub(crate) fn end(mut self, ending: Ending) {
        self.close(ending);
    }

    fn close(&mut self, ending: Ending) {
        let Some(hash) = self.hash.take() else {
            return;
        };
        self.answer.ending = ending;
        self.answer.body_sha256 = Some(sha256_hex(hash));
        self.answer.ms = self.arrived.elapsed().as_millis() as u64;
        self.record.end(self.id, std::mem::take(&mut self.answer));
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.close(Ending::Stopped);
    }
}
