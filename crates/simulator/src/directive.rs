//! Directives: the small language that tells the simulator how to answer one request.
//!
//! `name`, `name=value`, several separated by `;`. A value is text up to the next `;`, or JSON (a
//! string, list or object, alone or after `WORD:`), which may hold anything. The page of all
//! directives is the crate's documentation.

use serde_json::value::RawValue;
use thiserror::Error;

mod lexer;

use lexer::{Given, Lexer};

const MARK: &str = "[[sim:";
const MARK_END: &str = "]]";
const MAX_MILLIS: u64 = 24 * 60 * 60 * 1000;
const MAX_TEXT_BYTES: u64 = 256 * 1024 * 1024;
const MAX_EVENTS: u64 = 1_000_000;
const MAX_SEARCHES: u64 = 100;
const MAX_TOKENS: u64 = 1_000_000_000_000;

/// Why a text is no list of directives.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum BadDirective {
    /// There is no directive of this name.
    #[error("simulator: there is no directive `{0}`")]
    Unknown(String),
    /// The directive needs another value, or none.
    #[error("simulator: `{name}` needs {needs}")]
    Value {
        /// The directive.
        name: String,
        /// What it needs.
        needs: String,
    },
    /// Something stands where a name or `;` must stand.
    #[error("simulator: cannot read the directives at `{0}`")]
    Syntax(String),
    /// `[[sim:` without `]]`.
    #[error("simulator: `[[sim:` is not closed by `]]`")]
    Unclosed,
}

/// How one request is to be answered. The default is the plain answer.
#[derive(Debug, Clone, Default)]
pub(crate) struct Directives {
    pub(crate) answer: Answer,
    pub(crate) failure: Failure,
    pub(crate) timing: Timing,
    pub(crate) fault: Fault,
    pub(crate) form: Form,
    /// Only the first so many requests that carry these directives obey them.
    pub(crate) times: Option<u64>,
    /// What `times` counts by; otherwise the text of the directives.
    pub(crate) key: Option<String>,
}

/// What the message holds and what it claims to have used.
#[derive(Debug, Clone, Default)]
pub(crate) struct Answer {
    pub(crate) text: Option<String>,
    pub(crate) size: Option<usize>,
    pub(crate) events: Option<usize>,
    pub(crate) tools: Vec<Tool>,
    pub(crate) turns: Option<u64>,
    pub(crate) thinking: Option<String>,
    pub(crate) usage: UsageGiven,
    pub(crate) no_usage: bool,
    pub(crate) iterations: Option<Iterations>,
    pub(crate) web_search: u64,
    pub(crate) web_fetch: u64,
    pub(crate) model: Option<String>,
    pub(crate) fallback: Option<String>,
    pub(crate) stop_reason: Option<String>,
    pub(crate) refusal: Option<Refusal>,
    pub(crate) service_tier: Option<String>,
    pub(crate) speed: Option<String>,
    pub(crate) inference_geo: Option<String>,
}

/// A tool the model asks for.
#[derive(Debug, Clone)]
pub(crate) struct Tool {
    pub(crate) name: String,
    /// An object.
    pub(crate) input: Box<RawValue>,
}

/// Token counts that replace the counted ones.
#[derive(Debug, Clone, Default)]
pub(crate) struct UsageGiven {
    pub(crate) input: Option<u64>,
    pub(crate) output: Option<u64>,
    pub(crate) cache_read: Option<u64>,
    pub(crate) cache_write_5m: Option<u64>,
    pub(crate) cache_write_1h: Option<u64>,
}

/// The list `usage.iterations`.
#[derive(Debug, Clone)]
pub(crate) enum Iterations {
    /// A compaction, then the message.
    Compaction,
    Given(Vec<serde_json::Map<String, serde_json::Value>>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    BeforeOutput,
    Midway,
}

/// An error in place of the answer.
#[derive(Debug, Clone, Default)]
pub(crate) struct Failure {
    pub(crate) status: Option<u16>,
    pub(crate) kind: Option<String>,
    pub(crate) message: Option<String>,
    pub(crate) code: Option<String>,
    pub(crate) retry_after: Option<String>,
    pub(crate) should_retry: Option<String>,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Timing {
    pub(crate) first_byte_ms: u64,
    pub(crate) head_then_ms: u64,
    pub(crate) pace_ms: u64,
    pub(crate) silence_ms: u64,
    pub(crate) pings_ms: Option<u64>,
    /// After how many events `silence_ms`, `stall` and `error_event` act; half of them if unset.
    pub(crate) at: Option<u64>,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Fault {
    pub(crate) stall: bool,
    pub(crate) error_event: Option<String>,
    pub(crate) stop: Option<Stop>,
    pub(crate) early: bool,
}

/// Where and how an answer ends before its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stop {
    pub(crate) how: How,
    pub(crate) point: Point,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum How {
    /// FIN without the end that the framing promised.
    Cut,
    /// The same, in the middle of an event.
    CutMidEvent,
    /// RST.
    Reset,
    /// The framing ends as it should, the message does not.
    End,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Point {
    /// Before the first byte of the answer.
    Head,
    Events(u64),
    Half,
}

/// The outer form of the answer.
#[derive(Debug, Clone, Default)]
pub(crate) struct Form {
    pub(crate) page: Option<Page>,
    pub(crate) wrong_type: bool,
    pub(crate) gzip: bool,
    pub(crate) close: bool,
    pub(crate) hang_up: bool,
    pub(crate) chunk: Option<usize>,
    pub(crate) lower_case: bool,
    pub(crate) interim: bool,
    pub(crate) bad_head: bool,
    pub(crate) bad_chunk: bool,
    pub(crate) no_request_id: bool,
    pub(crate) headers: Vec<(String, String)>,
}

/// What a proxy on the way answers in the API's stead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Page {
    Html413,
    Html200,
    Html502,
    Empty200,
}

impl Directives {
    /// Reads a whole text, such as the value of a header.
    pub(crate) fn parse(text: &str) -> Result<Self, BadDirective> {
        Self::read(Lexer::whole(text))
    }

    /// The text of the last `[[sim: ...]]` in a prompt, without the brackets.
    pub(crate) fn find(prompt: &str) -> Option<Result<&str, BadDirective>> {
        let start = prompt.rfind(MARK)? + MARK.len();
        let inner = &prompt[start..];
        Some(Lexer::measure(inner, MARK_END).map(|length| &inner[..length]))
    }

    fn read(mut lexer: Lexer<'_>) -> Result<Self, BadDirective> {
        let mut directives = Self::default();
        while let Some(given) = lexer.next()? {
            directives.set(&given)?;
        }
        Ok(directives)
    }

    fn set(&mut self, given: &Given<'_>) -> Result<(), BadDirective> {
        let known = match given.name {
            "times" => {
                self.times = Some(given.number(1, MAX_EVENTS)?);
                true
            }
            "key" => {
                self.key = Some(given.text()?);
                true
            }
            _ => {
                self.answer.set(given)?
                    || self.failure.set(given)?
                    || self.timing.set(given)?
                    || self.fault.set(given)?
                    || self.form.set(given)?
            }
        };
        if known { Ok(()) } else { Err(BadDirective::Unknown(given.name.to_owned())) }
    }
}

// Each group takes the directives it knows and answers whether it knew this one.

impl Answer {
    fn set(&mut self, given: &Given<'_>) -> Result<bool, BadDirective> {
        match given.name {
            "text" => self.text = Some(given.text()?),
            "size" => self.size = Some(given.bytes(MAX_TEXT_BYTES)?),
            "events" => self.events = Some(given.number(1, MAX_EVENTS)? as usize),
            "tool" => self.tools.push(tool(given)?),
            "turns" => self.turns = Some(given.number(1, 1000)?),
            "thinking" => self.thinking = Some(given.text_or("Let me think about this.")?),
            "usage" => self.usage = usage(given)?,
            "no_usage" => self.no_usage = given.flag()?,
            "iterations" => self.iterations = Some(iterations(given)?),
            "web_search" => self.web_search = given.number(0, MAX_SEARCHES)?,
            "web_fetch" => self.web_fetch = given.number(0, MAX_SEARCHES)?,
            "model" => self.model = Some(given.text()?),
            "fallback" => self.fallback = Some(given.text()?),
            "stop_reason" => self.stop_reason = Some(given.text()?),
            "refusal" => self.refusal = given.flag()?.then_some(Refusal::BeforeOutput),
            "refusal_mid" => self.refusal = given.flag()?.then_some(Refusal::Midway),
            "tier" => self.service_tier = Some(given.text()?),
            "speed" => self.speed = Some(given.text()?),
            "geo" => self.inference_geo = Some(given.text()?),
            _ => return Ok(false),
        }
        Ok(true)
    }
}

impl Failure {
    fn set(&mut self, given: &Given<'_>) -> Result<bool, BadDirective> {
        match given.name {
            "status" => self.status = Some(given.number(400, 599)? as u16),
            "error" => self.kind = Some(given.text()?),
            "message" => self.message = Some(given.text()?),
            "error_code" => self.code = Some(given.text()?),
            "retry_after" => self.retry_after = Some(given.text()?),
            "should_retry" => self.should_retry = Some(given.text()?),
            _ => return Ok(false),
        }
        Ok(true)
    }
}

impl Timing {
    fn set(&mut self, given: &Given<'_>) -> Result<bool, BadDirective> {
        match given.name {
            "first_byte_ms" => self.first_byte_ms = given.number(0, MAX_MILLIS)?,
            "head_then_ms" => self.head_then_ms = given.number(0, MAX_MILLIS)?,
            "pace_ms" => self.pace_ms = given.number(0, MAX_MILLIS)?,
            "silence_ms" => self.silence_ms = given.number(0, MAX_MILLIS)?,
            "pings_ms" => self.pings_ms = Some(given.number(1, MAX_MILLIS)?),
            "at" => self.at = Some(given.number(0, MAX_EVENTS)?),
            _ => return Ok(false),
        }
        Ok(true)
    }
}

impl Fault {
    fn set(&mut self, given: &Given<'_>) -> Result<bool, BadDirective> {
        let how = match given.name {
            "stall" => {
                self.stall = given.flag()?;
                return Ok(true);
            }
            "error_event" => {
                self.error_event = Some(given.text_or("overloaded_error")?);
                return Ok(true);
            }
            "early" => {
                self.early = given.flag()?;
                return Ok(true);
            }
            "cut" => How::Cut,
            "cut_mid_event" => How::CutMidEvent,
            "reset" => How::Reset,
            "end" => How::End,
            _ => return Ok(false),
        };
        let point = match given.value {
            None => Point::Half,
            Some("head") if matches!(how, How::Cut | How::Reset) => Point::Head,
            Some(_) => Point::Events(given.number(0, MAX_EVENTS)?),
        };
        self.stop = Some(Stop { how, point });
        Ok(true)
    }
}

impl Form {
    fn set(&mut self, given: &Given<'_>) -> Result<bool, BadDirective> {
        match given.name {
            "html413" => self.page = given.flag()?.then_some(Page::Html413),
            "html200" => self.page = given.flag()?.then_some(Page::Html200),
            "html502" => self.page = given.flag()?.then_some(Page::Html502),
            "empty200" => self.page = given.flag()?.then_some(Page::Empty200),
            "wrong_type" => self.wrong_type = given.flag()?,
            "gzip" => self.gzip = given.flag()?,
            "close" => self.close = given.flag()?,
            "hang_up" => self.hang_up = given.flag()?,
            "chunk" => self.chunk = Some(given.number(1, MAX_TEXT_BYTES)? as usize),
            "lower_case" => self.lower_case = given.flag()?,
            "interim" => self.interim = given.flag()?,
            "bad_head" => self.bad_head = given.flag()?,
            "bad_chunk" => self.bad_chunk = given.flag()?,
            "no_request_id" => self.no_request_id = given.flag()?,
            "header" => self.headers.push(header(given)?),
            _ => return Ok(false),
        }
        Ok(true)
    }
}

/// `NAME` or `NAME:{json}`.
fn tool(given: &Given<'_>) -> Result<Tool, BadDirective> {
    let needs = "NAME or NAME:{json object}";
    let value = given.value.ok_or_else(|| given.needs(needs))?;
    let (name, input) = value.split_once(':').unwrap_or((value, "{}"));
    let input: Box<RawValue> = serde_json::from_str(input).map_err(|_| given.needs(needs))?;
    if name.trim().is_empty() || !input.get().starts_with('{') {
        return Err(given.needs(needs));
    }
    Ok(Tool { name: name.trim().to_owned(), input })
}

/// `in:N,out:N,cr:N,c5:N,c1:N`, any of them.
fn usage(given: &Given<'_>) -> Result<UsageGiven, BadDirective> {
    let bad = || given.needs("counts such as in:10,out:5,cr:0,c5:0,c1:0");
    let mut usage = UsageGiven::default();
    for part in given.value.ok_or_else(bad)?.split(',') {
        let (name, count) = part.split_once(':').ok_or_else(bad)?;
        let count = count.trim().parse().map_err(|_| bad())?;
        let place = match name.trim() {
            "in" => &mut usage.input,
            "out" => &mut usage.output,
            "cr" => &mut usage.cache_read,
            "c5" => &mut usage.cache_write_5m,
            "c1" => &mut usage.cache_write_1h,
            _ => return Err(bad()),
        };
        if count > MAX_TOKENS {
            return Err(bad());
        }
        *place = Some(count);
    }
    Ok(usage)
}

fn iterations(given: &Given<'_>) -> Result<Iterations, BadDirective> {
    let Some(list) = given.value else {
        return Ok(Iterations::Compaction);
    };
    serde_json::from_str(list)
        .map(Iterations::Given)
        .map_err(|_| given.needs("no value or a JSON list of objects"))
}

/// `Name: value`; the value may be a JSON string.
fn header(given: &Given<'_>) -> Result<(String, String), BadDirective> {
    let bad = || given.needs("Name: value");
    let (name, value) = given.value.and_then(|line| line.split_once(':')).ok_or_else(bad)?;
    let value = lexer::unquote(value.trim()).ok_or_else(bad)?;
    if name.is_empty() || name.contains(char::is_whitespace) || value.contains(['\r', '\n']) {
        return Err(bad());
    }
    Ok((name.to_owned(), value))
}

/// Reads the value of a `do` member of a script: the text of directives, or an object of them.
pub(crate) fn from_json(value: &RawValue) -> Result<String, BadDirective> {
    let syntax = || BadDirective::Syntax(value.get().chars().take(40).collect());
    match serde_json::from_str(value.get()).map_err(|_| syntax())? {
        serde_json::Value::String(text) => Ok(text),
        serde_json::Value::Object(members) => Ok(members
            .into_iter()
            .filter(|(_, value)| *value != serde_json::Value::Bool(false))
            .map(|(name, value)| match value {
                serde_json::Value::Bool(true) => name,
                value => format!("{name}={value}"),
            })
            .collect::<Vec<_>>()
            .join(";")),
        _ => Err(syntax()),
    }
}

#[cfg(test)]
mod tests;
