//! What is imitated: a scripted Anthropic API with faults.
//!
//! The simulator answers as the API documents itself, counts exactly what it served, and misbehaves
//! on request. `tollgate demo` and `tollgate simulate` run it; proofs, tests and benches stand a
//! gateway before it and hold the gateway's books against its [`Record`]. But for the table of
//! error types it shares no code with the gateway, so that it cannot share a fault with it: its
//! HTTP/1.1, its events and its accounts are its own. The gateways of the [`zoo`] stand before it, and
//! show what the tests of gateways are worth.
//!
//! ```no_run
//! # async fn example() -> std::io::Result<()> {
//! use tollgate_simulator::{Config, Simulator};
//!
//! let simulator = Simulator::start(Config::default()).await?;
//! println!("set ANTHROPIC_BASE_URL={}", simulator.url());
//! simulator.stop().await;
//! # Ok(())
//! # }
//! ```
//!
//! # What it answers
//!
//! `POST /v1/messages` (plain and streamed), `POST /v1/messages/count_tokens`, `GET /v1/models`,
//! `GET /v1/models/{id}`, `HEAD /` and `HEAD /api/hello`; everything else is `not_found_error`.
//! A request without `anthropic-version` is refused, as is a body that is not JSON or lacks `model`,
//! `messages` or `max_tokens`. A body over 32 MiB gets a page of HTML, as from the API's edge.
//!
//! Tokens are counted so that a test can compute them: input is a quarter of the bytes of the
//! request's body, output a quarter of the characters of the answer (text, thinking and tool input),
//! each rounded up. `message_start` tells an output of 1, `message_delta` the whole.
//!
//! A request with tool results after its last prompt is answered with a text that quotes the last
//! result. A request with `output_config.format` gets the smallest instance of its schema.
//!
//! # Directives
//!
//! A request is answered as directed by its header `x-simulator`, else by `[[sim: ...]]` in its last
//! prompt, else by the first rule of the [`Script`] that matches. Directives are separated by `;`.
//! A value that holds `;` is written as a JSON string.
//!
//! | directive | effect |
//! |---|---|
//! | `text=TEXT` | the answer's text |
//! | `size=1mb` | a text of exactly so many bytes (`kb` and `mb` are powers of 1,024) |
//! | `events=N` | the text comes in N deltas |
//! | `tool=NAME:{json}` | asks for a tool, unless results follow the prompt; may be repeated |
//! | `turns=N` | asks N times, one round of results after the other (1) |
//! | `thinking`, `thinking=TEXT` | a thinking block with its signature comes first |
//! | `usage=in:N,out:N,cr:N,c5:N,c1:N` | token counts: input, output, cache read, cache writes of 5 minutes and of 1 hour |
//! | `no_usage` | tells no usage at all |
//! | `iterations`, `iterations=[...]` | `usage.iterations`: a compaction and the message, or as given |
//! | `web_search=N`, `web_fetch=N` | N uses of the server tool, with their blocks |
//! | `model=ID` | the model that the answer names |
//! | `fallback=ID` | another model serves: a fallback block and its iteration |
//! | `tier=`, `speed=`, `geo=` | `service_tier`, `speed`, `inference_geo` in the usage |
//! | `stop_reason=WORD` | the reason that the answer names |
//! | `refusal`, `refusal_mid` | refuses before any output (not billed), or after half of it |
//! | `status=N` | an error with the type documented for it |
//! | `error=TYPE`, `message=TEXT`, `error_code=WORD` | its type, sentence, `details.error_code` |
//! | `retry_after=N`, `should_retry=BOOL` | the headers `retry-after`, `x-should-retry` |
//! | `first_byte_ms=N` | waits before the head |
//! | `head_then_ms=N` | waits between head and body |
//! | `pace_ms=N` | waits between events |
//! | `silence_ms=N` | waits once, in the middle |
//! | `pings_ms=N` | sends a ping so often during that silence or stall |
//! | `stall` | never goes on |
//! | `error_event`, `error_event=TYPE` | an error event, then the end of the stream |
//! | `at=K` | the four above act after K events, not after half of them |
//! | `cut`, `cut=K`, `cut=head` | FIN after half of the events, after K, or before any byte |
//! | `cut_mid_event=K` | FIN within the event after K |
//! | `reset`, `reset=K`, `reset=head` | the same with RST |
//! | `end=K` | a proper end after K events, though the message is not complete |
//! | `bad_head`, `bad_chunk` | bytes that are no HTTP, as head or in place of event `at` |
//! | `early` | answers without reading the body (header only), then closes |
//! | `interim` | a `103 Early Hints` comes first |
//! | `html413`, `html200`, `html502`, `empty200` | an answer of a proxy in between |
//! | `wrong_type` | `text/plain` |
//! | `gzip` | a compressed body, each event readable at once |
//! | `close` | no length and no chunks: the body ends with the connection |
//! | `hang_up` | closes after the answer without having said so |
//! | `chunk=N` | the body goes out in writes of N bytes, wherever these split it |
//! | `lower_case` | header names in lower case |
//! | `header=NAME: VALUE` | one more header; may be repeated |
//! | `no_request_id` | no `request-id` header |
//! | `times=N` | only the first N requests with these directives obey them |
//! | `key=WORD` | what `times` counts by, instead of by the directives' text |
//!
//! In a plain answer there are no events: `silence_ms`, `stall`, `cut` and `reset` act after half of
//! its bytes, with `at=0`, `cut=0` or `reset=0` before the first.
//!
//! # Control
//!
//! `GET /_simulator/requests` (`?after=ID`, `?bodies=true`) and `DELETE` of it,
//! `GET /_simulator/served`, `PUT /_simulator/script`. These requests are not recorded.

#![cfg_attr(test, allow(clippy::unwrap_used))]

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};

use serde::Serialize;
use serde_json::value::RawValue;

mod api;
mod call;
mod clock;
mod control;
mod decide;
mod directive;
mod door;
mod error;
mod events;
mod http;
mod id;
mod link;
mod message;
mod models;
mod record;
mod reply;
mod schema;
mod script;
mod send;
mod serve;
pub mod zoo;

pub use directive::BadDirective;
pub use record::{Answered, Ending, Keep, Record, Seen, Served, Share, Tokens};
pub use script::{BadScript, Script};

use decide::Repeats;
use door::Door;
use serve::Shared;

/// The largest body that the API takes: 32 MiB
/// (<https://platform.claude.com/docs/en/api/overview>).
pub const MAX_BODY_BYTES: u64 = 32 * 1024 * 1024;

/// Bodies are read whole up to here, so that their sender gets to see the refusal.
const READ_BODY_BYTES: u64 = 40 * 1024 * 1024;

/// How to run a simulator.
#[derive(Debug)]
pub struct Config {
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Rules for requests without directives of their own.
    pub script: Script,
    /// If set, a request must carry it in `x-api-key` or as a bearer.
    pub api_key: Option<String>,
    /// A body above this is refused; at most 40 MiB.
    pub max_body_bytes: u64,
    /// How much is recorded.
    pub keep: Keep,
    /// The ids of a run are made from this number: the same number, the same ids.
    pub seed: u64,
    /// Whether `/_simulator/...` is answered.
    pub control: bool,
}

impl Default for Config {
    /// A free port of the loopback address, no script, any key.
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            script: Script::default(),
            api_key: None,
            max_body_bytes: MAX_BODY_BYTES,
            keep: Keep::default(),
            seed: 0,
            control: true,
        }
    }
}

/// The scripted API.
#[derive(Debug)]
pub struct Simulator;

impl Simulator {
    /// Starts a simulator on the current runtime.
    ///
    /// # Errors
    ///
    /// When the address cannot be listened on.
    pub async fn start(config: Config) -> io::Result<Running> {
        let record = Record::new(config.keep);
        let shared = Arc::new(Shared {
            api_key: config.api_key,
            max_body_bytes: config.max_body_bytes,
            read_body_bytes: READ_BODY_BYTES,
            // Leaves room for a great many requests between two seeds.
            first_serial: config.seed << 32,
            control: config.control,
            script: Mutex::new(Arc::new(config.script)),
            repeats: Repeats::default(),
            record: record.clone(),
        });
        let serving = Arc::clone(&shared);
        let serve = move |stream, _| serve::connection(stream, Arc::clone(&serving));
        Ok(Running { door: Door::open(config.listen, serve).await?, record, shared })
    }
}

/// A running simulator. Dropping it stops it, without waiting for that.
#[derive(Debug)]
pub struct Running {
    door: Door,
    record: Record,
    shared: Arc<Shared>,
}

impl Running {
    /// Where it listens.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.door.addr()
    }

    /// The base URL for a client, without a slash at its end.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.addr())
    }

    /// What was asked and served.
    #[must_use]
    pub fn record(&self) -> Record {
        self.record.clone()
    }

    /// Replaces the script. Requests under way go on by the old one.
    pub fn set_script(&self, script: Script) {
        self.shared.set_script(script);
    }

    /// Stops: closes the listener and every connection, also those with an answer under way, and
    /// returns when all are closed.
    pub async fn stop(self) {
        self.door.close().await;
    }
}

/// The JSON of a value whose keys are all strings.
fn json(value: &impl Serialize) -> Vec<u8> {
    let mut text = Vec::with_capacity(256);
    json_into(&mut text, value);
    text
}

fn raw_json(value: &impl Serialize) -> Box<RawValue> {
    match serde_json::value::to_raw_value(value) {
        Ok(text) => text,
        Err(error) => not_json(&error),
    }
}

fn json_into(text: &mut Vec<u8>, value: &impl Serialize) {
    if let Err(error) = serde_json::to_writer(text, value) {
        not_json(&error);
    }
}

/// Writing JSON fails only for keys that are not strings, and for writers that fail. The simulator
/// has neither.
fn not_json(error: &serde_json::Error) -> ! {
    unreachable!("a value of the simulator is not JSON: {error}")
}
