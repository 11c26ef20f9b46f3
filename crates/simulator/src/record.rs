//! The record: what was asked and what was served. It is what the books of a gateway are held
//! against.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use aws_lc_rs::digest::{Context, SHA256};
use bytes::Bytes;
use serde::Serialize;
use tokio::sync::watch;

use crate::http::Head;

mod entry;

pub(crate) use entry::{Entry, Note};

/// How much of the past is kept. The totals count everything, kept or not.
#[derive(Debug, Clone, Copy)]
pub struct Keep {
    /// Requests; the oldest is forgotten first.
    pub requests: usize,
    /// Bytes of one request body. A longer body is kept cut off at this length.
    pub body_bytes: usize,
    /// Bytes of all kept bodies together; beyond it the oldest bodies are forgotten, while their
    /// requests stay.
    pub total_body_bytes: usize,
}

impl Default for Keep {
    fn default() -> Self {
        Self { requests: 4096, body_bytes: 1024 * 1024, total_body_bytes: 64 * 1024 * 1024 }
    }
}

/// One request and what was served for it.
#[derive(Debug, Clone, Serialize)]
pub struct Seen {
    /// Counts requests from 1, in the order in which their heads arrived.
    pub id: u64,
    /// Milliseconds from the start of the simulator to the arrival of the head.
    pub at_ms: u64,
    /// Counts connections from 1.
    pub connection: u64,
    /// The method as sent.
    pub method: String,
    /// Path and query as sent.
    pub target: String,
    /// Header names and values in wire order and in their original case. A value that is not UTF-8
    /// is shown with one character for each byte.
    pub headers: Vec<(String, String)>,
    /// Whether the body arrived whole.
    pub whole: bool,
    /// Bytes of the body, without chunk framing.
    pub body_bytes: u64,
    /// SHA-256 of these bytes in hexadecimal, once the body is whole.
    pub body_sha256: Option<String>,
    /// The body, or its beginning; see [`Keep`].
    #[serde(skip)]
    pub body: Bytes,
    /// `model` in the body of a Messages request.
    pub model: Option<String>,
    /// The directives that decided the answer; empty for the plain answer.
    pub directives: String,
    /// What was served.
    pub answer: Answered,
}

impl Seen {
    /// The value of the first header of this name, in any case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(given, _)| given.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }
}

/// What was served for one request, up to now or up to its end.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Answered {
    /// How it ended.
    pub ending: Ending,
    /// The status, once the head was sent.
    pub status: Option<u16>,
    /// `request-id` of the answer.
    pub request_id: Option<String>,
    /// Server-sent events that were sent whole, pings included.
    pub events: u64,
    /// Characters of text, thinking and tool input in these events, or in the plain answer.
    pub chars: u64,
    /// Bytes of the body that were sent, without chunk framing.
    pub body_bytes: u64,
    /// SHA-256 of these bytes in hexadecimal, once the answer ended.
    pub body_sha256: Option<String>,
    /// The last usage that the client was told; `None` if it was told none.
    pub usage: Option<Tokens>,
    /// What a correct bill of this request holds, as far as the simulator told it: the whole bill
    /// once the end of the message was sent, before it what `message_start` said.
    pub bill: Vec<Share>,
    /// `stop_reason`, once it was sent.
    pub stop_reason: Option<String>,
    /// `error.type` of an error answer or of an error event, once it was sent.
    pub error: Option<String>,
    /// Milliseconds from the arrival of the head to the end of the answer.
    pub ms: u64,
}

/// How an answer ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    /// Not yet.
    #[default]
    Open,
    /// Sent whole, as far as the framing of the answer tells.
    Complete,
    /// The client left before the end of its request or of the answer.
    Aborted,
    /// The simulator closed the connection early, as directed.
    Cut,
    /// The simulator reset the connection, as directed.
    Reset,
    /// The request is no HTTP/1.1; answered with 400 and closed.
    Malformed,
    /// The simulator was stopped.
    Stopped,
}

/// Tokens and the uses of server tools.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Tokens {
    /// `input_tokens`: input that was neither read from nor written to the cache.
    pub input: u64,
    /// `output_tokens`.
    pub output: u64,
    /// `cache_read_input_tokens`.
    pub cache_read: u64,
    /// `cache_creation.ephemeral_5m_input_tokens`.
    pub cache_write_5m: u64,
    /// `cache_creation.ephemeral_1h_input_tokens`.
    pub cache_write_1h: u64,
    /// `server_tool_use.web_search_requests`.
    pub web_search_requests: u64,
    /// `server_tool_use.web_fetch_requests`.
    pub web_fetch_requests: u64,
}

impl Tokens {
    fn add(&mut self, other: &Self) {
        self.input += other.input;
        self.output += other.output;
        self.cache_read += other.cache_read;
        self.cache_write_5m += other.cache_write_5m;
        self.cache_write_1h += other.cache_write_1h;
        self.web_search_requests += other.web_search_requests;
        self.web_fetch_requests += other.web_fetch_requests;
    }
}

/// One line of a bill.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Share {
    /// The model whose price applies.
    pub model: String,
    /// What it used.
    pub tokens: Tokens,
}

/// Totals since the start, or since the record was cleared.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Served {
    /// Requests that ended.
    pub requests: u64,
    /// Requests that are under way.
    pub open: u64,
    /// The most requests that were under way at once.
    pub open_at_most: u64,
    /// Connections accepted.
    pub connections: u64,
    /// Ended requests by how they ended.
    pub complete: u64,
    /// See [`Ending::Aborted`].
    pub aborted: u64,
    /// See [`Ending::Cut`] and [`Ending::Reset`].
    pub cut: u64,
    /// See [`Ending::Malformed`].
    pub malformed: u64,
    /// See [`Ending::Stopped`].
    pub stopped: u64,
    /// Ended requests by status.
    pub by_status: BTreeMap<u16, u64>,
    /// Sum of all bills by model.
    pub by_model: BTreeMap<String, Tokens>,
    /// Requests that are no longer kept.
    pub forgotten: u64,
}

/// The record of a running simulator. A handle: clones show the same record.
#[derive(Debug, Clone)]
pub struct Record(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    keep: Keep,
    started: Instant,
    books: Mutex<Books>,
    changed: watch::Sender<()>,
}

#[derive(Debug, Default)]
struct Books {
    last_id: u64,
    seen: BTreeMap<u64, Seen>,
    bodies: VecDeque<u64>,
    body_bytes: usize,
    served: Served,
}

impl Record {
    pub(crate) fn new(keep: Keep) -> Self {
        Self(Arc::new(Shared {
            keep,
            started: Instant::now(),
            books: Mutex::default(),
            changed: watch::Sender::new(()),
        }))
    }

    /// All kept requests, oldest first.
    #[must_use]
    pub fn requests(&self) -> Vec<Seen> {
        self.books().seen.values().cloned().collect()
    }

    /// The kept requests that arrived after request `id`.
    #[must_use]
    pub fn requests_after(&self, id: u64) -> Vec<Seen> {
        let books = self.books();
        let newer = books.seen.range(id.saturating_add(1)..);
        newer.map(|(_, seen)| seen.clone()).collect()
    }

    /// The newest request.
    #[must_use]
    pub fn last(&self) -> Option<Seen> {
        self.books().seen.values().next_back().cloned()
    }

    /// The request that was answered with this `request-id`, if it is still kept.
    #[must_use]
    pub fn by_request_id(&self, request_id: &str) -> Option<Seen> {
        let books = self.books();
        let mut seen = books.seen.values();
        seen.find(|seen| seen.answer.request_id.as_deref() == Some(request_id)).cloned()
    }

    /// The totals.
    #[must_use]
    pub fn served(&self) -> Served {
        self.books().served.clone()
    }

    /// Forgets every ended request and sets the totals to zero. Requests that are under way stay,
    /// and are counted when they end.
    pub fn clear(&self) {
        let mut books = self.books();
        books.seen.retain(|_, seen| seen.answer.ending == Ending::Open);
        books.body_bytes = books.seen.values().map(|seen| seen.body.len()).sum();
        let open = books.served.open;
        books.served = Served { open, open_at_most: open, ..Served::default() };
        drop(books);
        self.0.changed.send_replace(());
    }

    /// Waits until the totals are as `wanted`, and returns them. Waits for ever if they never are;
    /// the caller sets the time limit.
    pub async fn until(&self, mut wanted: impl FnMut(&Served) -> bool) -> Served {
        let mut changed = self.0.changed.subscribe();
        loop {
            changed.mark_unchanged();
            let served = self.served();
            if wanted(&served) {
                return served;
            }
            // The sender lives in `self`, so that it cannot be gone.
            let _ = changed.changed().await;
        }
    }

    /// Waits until at least `count` requests ended, and returns all that are kept.
    pub async fn ended(&self, count: u64) -> Vec<Seen> {
        self.until(|served| served.requests >= count).await;
        self.requests()
    }

    /// Waits until no request is under way.
    pub async fn idle(&self) {
        self.until(|served| served.open == 0).await;
    }

    pub(crate) fn connected(&self) -> u64 {
        let mut books = self.books();
        books.served.connections += 1;
        let connection = books.served.connections;
        drop(books);
        self.0.changed.send_replace(());
        connection
    }

    /// Opens the entry of a request whose head has arrived.
    pub(crate) fn arrived(&self, connection: u64, head: &Head) -> Entry {
        let arrived = Instant::now();
        let at_ms = arrived.duration_since(self.0.started).as_millis() as u64;
        let mut books = self.books();
        books.last_id += 1;
        let id = books.last_id;
        books.served.open += 1;
        books.served.open_at_most = books.served.open_at_most.max(books.served.open);
        let seen = Seen {
            id,
            at_ms,
            connection,
            method: head.method.clone(),
            target: head.target.clone(),
            headers: head.headers.0.clone(),
            whole: false,
            body_bytes: 0,
            body_sha256: None,
            body: Bytes::new(),
            model: None,
            directives: String::new(),
            answer: Answered::default(),
        };
        books.seen.insert(id, seen);
        while books.seen.len() > self.0.keep.requests.max(1) {
            if let Some((_, old)) = books.seen.pop_first() {
                books.body_bytes -= old.body.len();
                books.served.forgotten += 1;
            }
        }
        drop(books);
        self.0.changed.send_replace(());
        Entry::new(self.clone(), id, arrived)
    }

    fn keep_body(&self, id: u64, body: &Bytes, sha256: Option<String>) {
        let keep = self.0.keep;
        let mut books = self.books();
        let kept = body.slice(..body.len().min(keep.body_bytes));
        let Some(seen) = books.seen.get_mut(&id) else {
            return;
        };
        seen.whole = sha256.is_some();
        seen.body_bytes = body.len() as u64;
        seen.body_sha256 = sha256;
        if !kept.is_empty() {
            // A slice would keep the whole body's memory.
            seen.body = if kept.len() < body.len() { Bytes::copy_from_slice(&kept) } else { kept };
            books.body_bytes += seen_body_bytes(&books, id);
            books.bodies.push_back(id);
        }
        while books.body_bytes > keep.total_body_bytes {
            let Some(oldest) = books.bodies.pop_front() else {
                break;
            };
            books.body_bytes -= seen_body_bytes(&books, oldest);
            if let Some(seen) = books.seen.get_mut(&oldest) {
                seen.body = Bytes::new();
            }
        }
        // Forgotten requests leave their number behind.
        while books.bodies.front().is_some_and(|id| !books.seen.contains_key(id)) {
            books.bodies.pop_front();
        }
    }

    fn change(&self, id: u64, change: impl FnOnce(&mut Seen)) {
        if let Some(seen) = self.books().seen.get_mut(&id) {
            change(seen);
        }
    }

    fn end(&self, id: u64, answer: Answered) {
        let mut books = self.books();
        books.served.count(&answer);
        if let Some(seen) = books.seen.get_mut(&id) {
            seen.answer = answer;
        }
        drop(books);
        self.0.changed.send_replace(());
    }

    /// A panic elsewhere must not hide what was recorded before it.
    fn books(&self) -> MutexGuard<'_, Books> {
        self.0.books.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn seen_body_bytes(books: &Books, id: u64) -> usize {
    books.seen.get(&id).map_or(0, |seen| seen.body.len())
}

impl Served {
    fn count(&mut self, answer: &Answered) {
        self.requests += 1;
        self.open -= 1;
        match answer.ending {
            Ending::Complete => self.complete += 1,
            Ending::Aborted => self.aborted += 1,
            Ending::Cut | Ending::Reset => self.cut += 1,
            Ending::Malformed => self.malformed += 1,
            Ending::Stopped | Ending::Open => self.stopped += 1,
        }
        if let Some(status) = answer.status {
            *self.by_status.entry(status).or_default() += 1;
        }
        for share in &answer.bill {
            match self.by_model.get_mut(&share.model) {
                Some(total) => total.add(&share.tokens),
                None => {
                    self.by_model.insert(share.model.clone(), share.tokens);
                }
            }
        }
    }
}

/// SHA-256 in hexadecimal.
pub(crate) fn sha256_hex(context: Context) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |value: u8| char::from(DIGITS[usize::from(value)]);
    let digest = context.finish();
    let bytes = digest.as_ref().iter();
    bytes.flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

pub(crate) fn sha256() -> Context {
    Context::new(&SHA256)
}

#[cfg(test)]
mod tests;
