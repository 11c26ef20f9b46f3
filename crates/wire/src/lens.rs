//! A look at a request body: the few facts that governance needs, read without changing or copying the body.
//!
//! The whole body is scanned, not just its head. A second `"model"` further down, or one written as
//! `"mod\u0065l"`, would else be judged by one parser and obeyed by another (RFC 8259 section 4 leaves the
//! meaning of repeated names open). So a body that two parsers could read differently is refused, and a body
//! that passes goes upstream byte for byte.
//!
//! Fields that are not read here are an open list and pass, whatever they hold, except for one thing: a model that
//! they name is found and judged with the others.

mod models;

use std::borrow::Cow;

pub use crate::scan::{DEPTH_LIMIT, Syntax};
use crate::scan::{Flaw, Scanner};

/// Fields that one object may have, at the top level and in `metadata`. Clients send about a dozen.
pub const FIELDS_LIMIT: usize = 256;

/// Bytes that a field's name may have where repetitions are looked for.
pub const NAME_BYTES_LIMIT: usize = 1024;

/// Characters that a model's name may have.
pub const MODEL_CHARACTERS_LIMIT: usize = 256;

/// Models that one request may name beside `model`.
pub const OTHER_MODELS_LIMIT: usize = 32;

/// What a request to `/v1/messages` or `/v1/messages/count_tokens` says about itself.
///
/// `null` in an optional field reads as if the field were absent; the upstream decides whether it takes that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lens<'a> {
    /// The requested model, 1 to [`MODEL_CHARACTERS_LIMIT`] characters.
    pub model: Cow<'a, str>,
    /// Most output tokens wished; count_tokens requests have none. Zero warms the cache without output.
    pub max_tokens: Option<u64>,
    /// Whether the answer is wished as server-sent events.
    pub stream: bool,
    /// `metadata.user_id`, the client's opaque name for its user. Treat it as personal data.
    pub user_id: Option<Cow<'a, str>>,
    /// The form of the system prompt.
    pub system: SystemShape,
    /// Number of elements of `tools`.
    pub tools: usize,
    /// Number of elements of `messages`.
    pub messages: usize,
    /// Further models that the upstream may run for this request: `fallbacks[].model`, `tools[].model` as the
    /// advisor tool has it, and every other string that stands under a key `model`, however deep. What the model
    /// reads and the upstream only hands on is left out: `messages`, `system`, `metadata` and the `input_schema`
    /// and `input_examples` of tools. Without repetitions, in order. `"fallbacks": "default"` names none.
    pub other_models: Vec<Cow<'a, str>>,
    /// What the body brings into the prompt beyond its own text.
    pub beyond: Beyond,
    /// Whether the faster and dearer serving is wished (`"speed": "fast"`).
    pub fast: bool,
}

/// What a body brings into the prompt whose length the body does not show. Counted generously: a tool's input that looks
/// like such a block counts too.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Beyond {
    /// Images and documents in `messages` and `system`.
    pub media: usize,
    /// What the upstream fetches by itself: images and documents by URL or file id, tools that it runs (web search, web
    /// fetch, code execution), MCP servers.
    pub remote: usize,
}

/// The form of `system`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SystemShape {
    /// No system prompt, or `null`.
    #[default]
    Absent,
    /// One string.
    Text,
    /// An array with this many blocks.
    Blocks(usize),
}

/// Why a body cannot be judged. `Display` gives a sentence fit for the client; it holds no value of the body,
/// only names of fields.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{why} (byte {offset})")]
pub struct Malformed {
    /// Where it shows: bytes from the start of the body, counted from 0.
    pub offset: usize,
    /// What is wrong.
    pub why: Why,
}

/// The reasons of [`Malformed`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Why {
    /// No bytes, or only white space.
    #[error("the request body is empty: send a JSON object")]
    Empty,
    /// RFC 8259 section 8.1 forbids to send one.
    #[error("the request body begins with a byte order mark: send UTF-8 without it")]
    ByteOrderMark,
    /// Valid so far, but an array, a string, a number or a literal.
    #[error("the request body must be a JSON object")]
    NotAnObject,
    /// Not JSON.
    #[error("the request body is not valid JSON: {0}")]
    Syntax(Syntax),
    /// A name stands twice in the same object, after its escapes are decoded.
    #[error("`{field}` appears twice: send each field once")]
    Repeated {
        /// The field's path, at most 64 characters of it.
        field: String,
    },
    /// A field that is read has a value of another type.
    #[error("`{field}` must be {expected}")]
    WrongType {
        /// The field's path.
        field: &'static str,
        /// What it should be, with its article.
        expected: &'static str,
    },
    /// A name is that of a field that is read, but for the case of its letters: parsers that ignore case would
    /// obey it.
    #[error("a field's name differs from `{field}` only in the case of its letters: write `{field}`")]
    OtherCase {
        /// The field that it resembles.
        field: &'static str,
    },
    /// No `model`.
    #[error("`model` is missing: name the model to be used")]
    ModelMissing,
    /// `model` is `""`.
    #[error("`model` is empty: name the model to be used")]
    ModelEmpty,
    /// A model name has more than [`MODEL_CHARACTERS_LIMIT`] characters.
    #[error("a model's name is longer than 256 characters")]
    ModelTooLong,
    /// More than [`FIELDS_LIMIT`] fields in one object that is read.
    #[error("an object has more than 256 fields")]
    TooManyFields,
    /// A field's name has more than [`NAME_BYTES_LIMIT`] bytes.
    #[error("a field's name is longer than 1024 bytes")]
    NameTooLong,
    /// More than [`OTHER_MODELS_LIMIT`] models beside `model`.
    #[error("the request names more than 32 further models")]
    TooManyModels,
    /// A name or a value that is read holds half of a surrogate pair, which parsers decode differently.
    #[error("an escape sequence is half of a surrogate pair: send both halves")]
    LoneSurrogate,
}

impl From<Flaw> for Malformed {
    fn from(flaw: Flaw) -> Self {
        Self { offset: flaw.offset, why: Why::Syntax(flaw.syntax) }
    }
}

/// Looks at a request body.
///
/// # Errors
///
/// [`Malformed`] if the body is not a JSON object in UTF-8, names a field twice at the top level or in
/// `metadata`, names a field of [`Lens`] in another case at the top level, has no `model`, gives a field of [`Lens`]
/// a value of the wrong type, or has `fallbacks` that are neither `"default"` nor objects with a `model` each.
pub fn look(body: &[u8]) -> Result<Lens<'_>, Malformed> {
    if body.starts_with(b"\xEF\xBB\xBF") {
        return Err(Malformed { offset: 0, why: Why::ByteOrderMark });
    }
    let mut scanner = Scanner::new(body);
    match scanner.peek() {
        Some(b'{') => {}
        None => return Err(at(&scanner, Why::Empty)),
        Some(_) => {
            let why = at(&scanner, Why::NotAnObject);
            scanner.skip()?;
            return Err(why);
        }
    }
    let mut findings = Findings::default();
    let mut names = Names::new("", 16);
    scanner.open()?;
    while names.next(&mut scanner)? {
        if let Some(field) = resembled(names.current()) {
            return Err(Malformed { offset: names.offset, why: Why::OtherCase { field } });
        }
        findings.read(names.current(), &mut scanner)?;
    }
    scanner.end()?;
    findings.finish(body.len())
}

/// The top-level fields that are read.
const READ: [&str; 10] = [
    "model",
    "max_tokens",
    "stream",
    "system",
    "tools",
    "messages",
    "metadata",
    "fallbacks",
    "speed",
    "mcp_servers",
];

/// The field that is read whose name equals `name` if case is ignored, and only then.
fn resembled(name: &str) -> Option<&'static str> {
    // No spelling has fewer characters than the shortest name, or more than three bytes for each of the longest.
    if !(5..=30).contains(&name.len()) {
        return None;
    }
    READ.into_iter().find(|field| *field != name && name.chars().map(folded).eq(field.chars()))
}

/// The lower case, with the two characters beyond ASCII that fold to an ASCII letter in Unicode's simple case
/// folding (long s, Kelvin sign): Go's `encoding/json` finds fields in this way.
fn folded(character: char) -> char {
    match character {
        '\u{17f}' => 's',
        '\u{212a}' => 'k',
        other => other.to_ascii_lowercase(),
    }
}

fn at(scanner: &Scanner<'_>, why: Why) -> Malformed {
    Malformed { offset: scanner.at(), why }
}

/// The names seen so far in one object, to find repetitions.
///
/// A list is searched, not a hash table: a dozen names compare faster than they hash, and the limits bound the
/// worst case to some 30 000 comparisons of 1 KiB. `marks` spares most of the searches: a name whose mark is
/// new is new.
struct Names<'a> {
    parent: &'static str,
    seen: Vec<Cow<'a, str>>,
    marks: u64,
    /// Where the name that `next` went to stands.
    offset: usize,
}

impl<'a> Names<'a> {
    fn new(parent: &'static str, capacity: usize) -> Self {
        Self { parent, seen: Vec::with_capacity(capacity), marks: 0, offset: 0 }
    }

    /// Goes to the value of the next member; false past the object's end.
    fn next(&mut self, scanner: &mut Scanner<'a>) -> Result<bool, Malformed> {
        let Some(text) = scanner.member(self.seen.is_empty())? else {
            return Ok(false);
        };
        let refused = |why| Err(Malformed { offset: text.offset, why });
        let Some(name) = text.decode() else {
            return refused(Why::LoneSurrogate);
        };
        if name.len() > NAME_BYTES_LIMIT {
            return refused(Why::NameTooLong);
        }
        let last = name.bytes().next_back().unwrap_or(0);
        let mark = 1 << ((usize::from(last) + 7 * name.len()) % 64);
        if self.marks & mark != 0 && self.seen.contains(&name) {
            let field = format!("{}{name}", self.parent).chars().take(64).collect();
            return refused(Why::Repeated { field });
        }
        if self.seen.len() == FIELDS_LIMIT {
            return refused(Why::TooManyFields);
        }
        self.marks |= mark;
        self.offset = text.offset;
        self.seen.push(name);
        Ok(true)
    }

    /// The name of the member that `next` went to, its escapes decoded.
    fn current(&self) -> &str {
        self.seen.last().map_or("", |name| name)
    }
}

/// What has been read so far.
#[derive(Default)]
struct Findings<'a> {
    model: Option<Cow<'a, str>>,
    max_tokens: Option<u64>,
    stream: bool,
    user_id: Option<Cow<'a, str>>,
    system: SystemShape,
    tools: usize,
    messages: usize,
    other_models: Vec<Cow<'a, str>>,
    beyond: Beyond,
    fast: bool,
}

impl<'a> Findings<'a> {
    /// Reads or passes the value of the top-level field `name`.
    fn read(&mut self, name: &str, scanner: &mut Scanner<'a>) -> Result<(), Malformed> {
        let next = scanner.peek();
        match (name, next) {
            ("model", Some(b'"')) => self.model = Some(model_name(scanner)?),
            ("model", _) => return Err(wrong_type(scanner, "model", "a string")),
            ("messages", Some(b'[')) => self.messages = self.count(scanner)?,
            ("messages", _) => return Err(wrong_type(scanner, "messages", "an array")),
            (_, Some(b'n')) => scanner.skip()?,
            ("max_tokens", _) => self.max_tokens = Some(token_count(scanner)?),
            ("stream", Some(b't' | b'f')) => self.stream = scanner.boolean()?,
            ("stream", _) => return Err(wrong_type(scanner, "stream", "true or false")),
            ("system", Some(b'"')) => {
                scanner.string()?;
                self.system = SystemShape::Text;
            }
            ("system", Some(b'[')) => self.system = SystemShape::Blocks(self.count(scanner)?),
            ("system", _) => return Err(wrong_type(scanner, "system", "a string or an array")),
            ("tools", Some(b'[')) => self.tools = self.read_tools(scanner)?,
            ("tools", _) => return Err(wrong_type(scanner, "tools", "an array")),
            ("fallbacks", _) => self.read_fallbacks(scanner)?,
            ("mcp_servers", Some(b'[')) => self.beyond.remote += self.read_tools(scanner)?,
            ("speed", Some(b'"')) => self.fast = scanner.string()?.is("fast"),
            ("metadata", Some(b'{')) => self.read_metadata(scanner)?,
            ("metadata", _) => return Err(wrong_type(scanner, "metadata", "an object")),
            _ => self.collect_models(scanner)?,
        }
        Ok(())
    }

    fn read_metadata(&mut self, scanner: &mut Scanner<'a>) -> Result<(), Malformed> {
        let mut names = Names::new("metadata.", 2);
        scanner.open()?;
        while names.next(scanner)? {
            match (names.current(), scanner.peek()) {
                ("user_id", Some(b'"')) => self.user_id = Some(decode(scanner)?),
                ("user_id", Some(b'n')) => scanner.skip()?,
                ("user_id", _) => {
                    return Err(wrong_type(scanner, "metadata.user_id", "a string or null"));
                }
                _ => scanner.skip()?,
            }
        }
        Ok(())
    }

    /// Passes `messages` or `system`, an array. Gives the number of its elements.
    fn count(&mut self, scanner: &mut Scanner<'a>) -> Result<usize, Malformed> {
        let mut elements = 0;
        let beyond = &mut self.beyond;
        scanner.open()?;
        while scanner.element(elements == 0)? {
            elements += 1;
            scanner.skip_showing(|name, value| {
                if name.is_some_and(|name| name.is("type")) {
                    beyond.media += usize::from(value.is("image") || value.is("document"));
                    beyond.remote += usize::from(value.is("url") || value.is("file"));
                }
            })?;
        }
        Ok(elements)
    }

    fn finish(self, length: usize) -> Result<Lens<'a>, Malformed> {
        let model = self.model.ok_or(Malformed { offset: length, why: Why::ModelMissing })?;
        Ok(Lens {
            model,
            max_tokens: self.max_tokens,
            stream: self.stream,
            user_id: self.user_id,
            system: self.system,
            tools: self.tools,
            messages: self.messages,
            other_models: self.other_models,
            beyond: self.beyond,
            fast: self.fast,
        })
    }
}

#[cold]
fn wrong_type(scanner: &Scanner<'_>, field: &'static str, expected: &'static str) -> Malformed {
    at(scanner, Why::WrongType { field, expected })
}

fn decode<'a>(scanner: &mut Scanner<'a>) -> Result<Cow<'a, str>, Malformed> {
    let offset = scanner.at();
    scanner.string()?.decode().ok_or(Malformed { offset, why: Why::LoneSurrogate })
}

fn model_name<'a>(scanner: &mut Scanner<'a>) -> Result<Cow<'a, str>, Malformed> {
    let offset = scanner.at();
    let model = decode(scanner)?;
    if model.is_empty() {
        return Err(Malformed { offset, why: Why::ModelEmpty });
    }
    if model.chars().count() > MODEL_CHARACTERS_LIMIT {
        return Err(Malformed { offset, why: Why::ModelTooLong });
    }
    Ok(model)
}

/// An integer from 0, written without fraction, exponent or sign.
fn token_count(scanner: &mut Scanner<'_>) -> Result<u64, Malformed> {
    let offset = scanner.at();
    let wrong = wrong_type(scanner, "max_tokens", "an integer from 0");
    if !matches!(scanner.peek(), Some(b'-' | b'0'..=b'9')) {
        return Err(wrong);
    }
    let digits = scanner.number()?;
    let number = std::str::from_utf8(digits).ok().and_then(|digits| digits.parse().ok());
    number.ok_or(Malformed { offset, ..wrong })
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
