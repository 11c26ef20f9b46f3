//! Request and response heads: one pass over the lines, each ended by CRLF and nothing else.

use std::ops::Range;

use memchr::memchr;
use thiserror::Error;

use super::host::is_host;
use crate::header;

/// Bounds on a head. Past any of them the head is refused before more is buffered.
#[derive(Debug, Clone, Copy)]
pub struct HeadLimits {
    /// Longest head in bytes, the empty line included.
    pub head_bytes: usize,
    /// Longest request target in bytes.
    pub target_bytes: usize,
    /// Most header fields.
    pub fields: usize,
}

/// Why a head was refused. The `Display` sentence is fit for a client: it quotes nothing that was received.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum BadHead {
    /// The head is longer than the limit, or has too many fields (status 431).
    #[error("the request's headers are larger than this gateway accepts")]
    HeadTooLarge,
    /// The target is longer than the limit (status 414).
    #[error("the request's URL is longer than this gateway accepts")]
    TargetTooLong,
    /// The start line is not `METHOD SP target SP HTTP/1.x` (or a status line).
    #[error("the first line is not a valid HTTP/1.1 request line")]
    StartLine,
    /// The protocol version is not HTTP/1.0 or HTTP/1.1 (status 505).
    #[error("only HTTP/1.1 and HTTP/1.0 are spoken here, or HTTP/2 by prior knowledge or ALPN")]
    Version,
    /// A line ends in LF alone, or holds a CR that ends nothing (RFC 9112 section 2.2).
    #[error("a header line does not end in CRLF")]
    LineEnd,
    /// A field line begins with a blank: obsolete folding (RFC 9112 section 5.2).
    #[error("a header line is folded, which HTTP/1.1 no longer allows")]
    Folded,
    /// A field name is empty, is no token, is followed by a blank before its colon, or shadows another one: see
    /// [`header::is_shadow`].
    #[error("a header name is not valid")]
    FieldName,
    /// A field value holds a control character.
    #[error("a header value holds a control character")]
    FieldValue,
    /// `Content-Length` is given twice, or is no plain decimal number.
    #[error("Content-Length must be given once, as a decimal number")]
    ContentLength,
    /// Both `Content-Length` and `Transfer-Encoding` are given (RFC 9112 section 6.1).
    #[error("Content-Length and Transfer-Encoding must not be given together")]
    TwoFramings,
    /// The transfer coding is not `chunked`, once, in HTTP/1.1.
    #[error("the only transfer coding accepted is a single `chunked`, in HTTP/1.1")]
    TransferEncoding,
    /// `Host` is missing from an HTTP/1.1 request, given twice, or names no host (RFC 9112 section 3.2).
    #[error("exactly one Host header is required, with a host name and at most a port")]
    Host,
    /// `Expect` is given with another value than `100-continue` (RFC 9110 section 10.1.1, status 417).
    #[error("the only expectation that can be met is 100-continue")]
    Expect,
    /// A response's framing headers contradict each other.
    #[error("the status line is not valid")]
    StatusLine,
}

/// How the message's body is delimited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// No body.
    None,
    /// This many bytes.
    Length(u64),
    /// The chunked transfer coding.
    Chunked,
    /// All bytes until the connection ends (responses only).
    UntilClose,
}

/// One field line, as ranges into the head's bytes. The value is without the blanks around it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// The name, as it was spelled.
    pub name: Range<u32>,
    /// The value.
    pub value: Range<u32>,
}

impl Field {
    /// The name's bytes in `head`, the buffer that was parsed.
    pub fn name<'a>(&self, head: &'a [u8]) -> &'a [u8] {
        &head[self.name.start as usize..self.name.end as usize]
    }

    /// The value's bytes in `head`, the buffer that was parsed.
    pub fn value<'a>(&self, head: &'a [u8]) -> &'a [u8] {
        &head[self.value.start as usize..self.value.end as usize]
    }
}

/// A request head that is whole and unambiguous.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestHead {
    /// Bytes of the head, the empty line included; the body begins here.
    pub len: usize,
    /// The method.
    pub method: Range<u32>,
    /// The request target in origin form: path and query. An absolute form is cut down to it.
    pub target: Range<u32>,
    /// The field lines in the order received.
    pub fields: Vec<Field>,
    /// How the body is delimited.
    pub framing: Framing,
    /// Whether the connection may carry another request after this one.
    pub keep_alive: bool,
    /// Whether the client waits for `100 Continue` before it sends the body.
    pub expects_continue: bool,
    /// Whether the request is HTTP/1.0, whose answers can not be chunked.
    pub http_10: bool,
}

/// A response head that is whole and unambiguous.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResponseHead {
    /// Bytes of the head, the empty line included; the body begins here.
    pub len: usize,
    /// The status code.
    pub status: u16,
    /// The field lines in the order received.
    pub fields: Vec<Field>,
    /// How the body is delimited.
    pub framing: Framing,
    /// Whether the connection may carry another request after this answer.
    pub keep_alive: bool,
}

impl RequestHead {
    /// Parses the head at the start of `bytes`. `Ok(None)` asks for more bytes.
    pub fn parse(bytes: &[u8], limits: &HeadLimits) -> Result<Option<Self>, BadHead> {
        // One empty line before the request line is forgiven (RFC 9112 section 2.2).
        let skip = if bytes.starts_with(b"\r\n") { 2 } else { 0 };
        let Some(lines) = Lines::split(bytes, skip, limits)? else {
            return Ok(None);
        };
        let (method, target, http_10) = request_line(bytes, lines.start.clone(), limits)?;
        let facts = Facts::gather(bytes, &lines.fields)?;
        if facts.bad_host || facts.hosts > 1 || (facts.hosts == 0 && !http_10) {
            return Err(BadHead::Host);
        }
        if facts.expects_else {
            return Err(BadHead::Expect);
        }
        if lines.fields.iter().any(|field| header::is_shadow(field.name(bytes))) {
            return Err(BadHead::FieldName);
        }
        let framing = match (facts.length, facts.codings) {
            (None, 0) => Framing::None,
            (Some(length), 0) => Framing::Length(length),
            (Some(_), _) => return Err(BadHead::TwoFramings),
            (None, 1) if facts.chunked && !http_10 => Framing::Chunked,
            (None, _) => return Err(BadHead::TransferEncoding),
        };
        Ok(Some(RequestHead {
            len: lines.len,
            method,
            target,
            fields: lines.fields,
            framing,
            keep_alive: !facts.close && (!http_10 || facts.keep_alive),
            expects_continue: facts.expects_continue && !http_10,
            http_10,
        }))
    }

    /// The value of the first field called `name` (any case), out of `head`, the buffer that was parsed.
    pub fn value<'a>(&self, head: &'a [u8], name: &str) -> Option<&'a [u8]> {
        find(&self.fields, head, name)
    }
}

impl ResponseHead {
    /// Parses the head at the start of `bytes`, an answer to a request whose method was HEAD or not.
    /// `Ok(None)` asks for more bytes. Interim answers (1xx) come back as such, without a body.
    pub fn parse(bytes: &[u8], limits: &HeadLimits, to_head_request: bool) -> Result<Option<Self>, BadHead> {
        let Some(lines) = Lines::split(bytes, 0, limits)? else {
            return Ok(None);
        };
        let (status, http_10) = status_line(&bytes[lines.start.clone()])?;
        let facts = Facts::gather(bytes, &lines.fields)?;
        let no_body = to_head_request || status < 200 || status == 204 || status == 304;
        // RFC 9112 section 6.3: a transfer coding overrides a length, and then the connection is not reused.
        let framing = match (facts.length, facts.codings) {
            _ if no_body => Framing::None,
            (_, 1) if facts.chunked => Framing::Chunked,
            (None, 0) => Framing::UntilClose,
            (Some(length), 0) => Framing::Length(length),
            _ => return Err(BadHead::TransferEncoding),
        };
        let certain = framing != Framing::UntilClose && (facts.length.is_none() || facts.codings == 0);
        Ok(Some(ResponseHead {
            len: lines.len,
            status,
            fields: lines.fields,
            framing,
            keep_alive: certain && !facts.close && (!http_10 || facts.keep_alive),
        }))
    }

    /// The value of the first field called `name` (any case), out of `head`, the buffer that was parsed.
    pub fn value<'a>(&self, head: &'a [u8], name: &str) -> Option<&'a [u8]> {
        find(&self.fields, head, name)
    }
}

fn find<'a>(fields: &[Field], head: &'a [u8], name: &str) -> Option<&'a [u8]> {
    fields
        .iter()
        // Lengths tell nearly all names apart, and are at hand.
        .filter(|field| field.name.len() == name.len())
        .find(|field| field.name(head).eq_ignore_ascii_case(name.as_bytes()))
        .map(|field| field.value(head))
}

/// Room for as many fields as most heads have.
const USUAL_FIELDS: usize = 24;

/// The head cut into its lines.
struct Lines {
    len: usize,
    start: Range<usize>,
    fields: Vec<Field>,
}

impl Lines {
    fn split(bytes: &[u8], skip: usize, limits: &HeadLimits) -> Result<Option<Self>, BadHead> {
        let mut start = None;
        let mut fields = Vec::with_capacity(USUAL_FIELDS);
        let mut at = skip;
        loop {
            let window = &bytes[at..bytes.len().min(limits.head_bytes)];
            let Some(line_feed) = memchr(b'\n', window) else {
                return unfinished(window, start.is_none(), bytes.len(), limits);
            };
            let line = at..at + line_feed;
            let Some(line) = without_carriage_return(bytes, line) else {
                return Err(BadHead::LineEnd);
            };
            at += line_feed + 1;
            match &start {
                None => start = Some(line),
                Some(start) if line.is_empty() => {
                    let start = start.clone();
                    return Ok(Some(Lines { len: at, start, fields }));
                }
                Some(_) if fields.len() == limits.fields => return Err(BadHead::HeadTooLarge),
                Some(_) => fields.push(field(bytes, line)?),
            }
        }
    }
}

/// The head is not whole yet: is it already too long?
fn unfinished(
    line: &[u8],
    is_start_line: bool,
    received: usize,
    limits: &HeadLimits,
) -> Result<Option<Lines>, BadHead> {
    // The longest method and the version take less than 64 bytes beside the target.
    if is_start_line && line.len() > limits.target_bytes.saturating_add(64) {
        return Err(BadHead::TargetTooLong);
    }
    if received >= limits.head_bytes {
        return Err(BadHead::HeadTooLarge);
    }
    Ok(None)
}

/// The line without the CR that must stand before its LF; `None` where that CR is missing.
fn without_carriage_return(bytes: &[u8], line: Range<usize>) -> Option<Range<usize>> {
    let end = line.end.checked_sub(1).filter(|end| *end >= line.start)?;
    (bytes[end] == b'\r').then_some(line.start..end)
}

fn request_line(
    bytes: &[u8],
    line: Range<usize>,
    limits: &HeadLimits,
) -> Result<(Range<u32>, Range<u32>, bool), BadHead> {
    let text = &bytes[line.clone()];
    let method_end = memchr(b' ', text).ok_or(BadHead::StartLine)?;
    let target_end = memchr::memrchr(b' ', text).filter(|end| *end > method_end).ok_or(BadHead::StartLine)?;
    let (method, version) = (&text[..method_end], &text[target_end + 1..]);
    if method.is_empty() || method.len() > 32 || !method.iter().copied().all(is_token) {
        return Err(BadHead::StartLine);
    }
    let http_10 = match version {
        b"HTTP/1.1" => false,
        b"HTTP/1.0" => true,
        other if other.starts_with(b"HTTP/") => return Err(BadHead::Version),
        _ => return Err(BadHead::StartLine),
    };
    let target = &text[method_end + 1..target_end];
    if target.len() > limits.target_bytes {
        return Err(BadHead::TargetTooLong);
    }
    // Visible ASCII only; a fragment never belongs on the wire (RFC 9112 section 3.2).
    if !target.iter().all(|byte| matches!(byte, 0x21..=0x7e) && *byte != b'#') {
        return Err(BadHead::StartLine);
    }
    let offset = origin_form(target).ok_or(BadHead::StartLine)?;
    let begin = line.start + method_end + 1 + offset;
    let end = line.start + target_end;
    Ok((narrow(line.start..line.start + method_end), narrow(begin..end), http_10))
}

/// Where the path begins in a target of origin, absolute or asterisk form.
fn origin_form(target: &[u8]) -> Option<usize> {
    if target.first() == Some(&b'/') || target == b"*" {
        return Some(0);
    }
    let scheme = [&b"http://"[..], b"https://"]
        .into_iter()
        .find(|scheme| target.len() > scheme.len() && target[..scheme.len()].eq_ignore_ascii_case(scheme))?;
    let rest = &target[scheme.len()..];
    // The authority ends at the first of these (RFC 3986 section 3.2); without a path there is nothing to serve.
    let end = rest.iter().position(|byte| matches!(byte, b'/' | b'?' | b'#'))?;
    // User information is refused with all else that is no host (RFC 9110 section 4.2.4).
    (rest[end] == b'/' && end > 0 && is_host(&rest[..end])).then_some(scheme.len() + end)
}

fn status_line(line: &[u8]) -> Result<(u16, bool), BadHead> {
    let http_10 = match line.get(..9) {
        Some(b"HTTP/1.1 ") => false,
        Some(b"HTTP/1.0 ") => true,
        _ => return Err(BadHead::StatusLine),
    };
    let (digits, rest) = line[9..].split_at_checked(3).ok_or(BadHead::StatusLine)?;
    if !digits.iter().all(u8::is_ascii_digit) || !(rest.is_empty() || rest[0] == b' ') {
        return Err(BadHead::StatusLine);
    }
    let status = digits.iter().fold(0u16, |sum, digit| sum * 10 + u16::from(digit - b'0'));
    if (100..600).contains(&status) { Ok((status, http_10)) } else { Err(BadHead::StatusLine) }
}

fn field(bytes: &[u8], line: Range<usize>) -> Result<Field, BadHead> {
    let text = &bytes[line.clone()];
    if matches!(text.first(), Some(b' ' | b'\t')) {
        return Err(BadHead::Folded);
    }
    let colon = memchr(b':', text).ok_or(BadHead::FieldName)?;
    if colon == 0 || !text[..colon].iter().copied().all(is_token) {
        return Err(BadHead::FieldName);
    }
    let value = &text[colon + 1..];
    // Field content is visible, blank or opaque (RFC 9110 section 5.5): a control character, and with it a
    // lone CR, is refused.
    if has_control(value) {
        return Err(BadHead::FieldValue);
    }
    let lead = value.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
    let tail = value[lead..].iter().rev().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
    let begin = line.start + colon + 1 + lead;
    Ok(Field { name: narrow(line.start..line.start + colon), value: narrow(begin..line.end - tail) })
}

/// What the fields say of framing and of the connection.
#[derive(Default)]
struct Facts {
    length: Option<u64>,
    codings: usize,
    chunked: bool,
    hosts: usize,
    bad_host: bool,
    close: bool,
    keep_alive: bool,
    expects_continue: bool,
    expects_else: bool,
}

impl Facts {
    fn gather(bytes: &[u8], fields: &[Field]) -> Result<Self, BadHead> {
        let mut facts = Facts::default();
        for field in fields {
            let (name, value) = (field.name(bytes), field.value(bytes));
            // The few names of interest differ in length, so most fields cost one comparison.
            match name.len() {
                4 if name.eq_ignore_ascii_case(b"host") => {
                    facts.hosts += 1;
                    facts.bad_host |= !is_host(value);
                }
                6 if name.eq_ignore_ascii_case(b"expect") => {
                    let known = value.eq_ignore_ascii_case(b"100-continue");
                    facts.expects_continue |= known;
                    facts.expects_else |= !known;
                }
                10 if name.eq_ignore_ascii_case(b"connection") => {
                    facts.close |= lists(value, b"close");
                    facts.keep_alive |= lists(value, b"keep-alive");
                }
                14 if name.eq_ignore_ascii_case(b"content-length") => {
                    let former = facts.length.replace(decimal(value)?);
                    former.map_or(Ok(()), |_| Err(BadHead::ContentLength))?;
                }
                17 if name.eq_ignore_ascii_case(b"transfer-encoding") => {
                    facts.codings += 1;
                    facts.chunked = value.eq_ignore_ascii_case(b"chunked");
                }
                _ => {}
            }
        }
        Ok(facts)
    }
}

fn lists(value: &[u8], token: &[u8]) -> bool {
    value.split(|byte| *byte == b',').any(|item| item.trim_ascii().eq_ignore_ascii_case(token))
}

fn decimal(value: &[u8]) -> Result<u64, BadHead> {
    if value.is_empty() || value.len() > 18 || !value.iter().all(u8::is_ascii_digit) {
        return Err(BadHead::ContentLength);
    }
    Ok(value.iter().fold(0, |sum, digit| sum * 10 + u64::from(digit - b'0')))
}

/// Whether a control character other than a tab is among the bytes. All of them are looked at: without a way out in
/// the middle, the compiler makes vector instructions of it.
fn has_control(value: &[u8]) -> bool {
    value.iter().fold(false, |found, byte| found | ((*byte < 0x20) & (*byte != b'\t')) | (*byte == 0x7f))
}

/// `tchar` of RFC 9110 section 5.6.2.
pub(super) fn is_token(byte: u8) -> bool {
    TOKEN[usize::from(byte)]
}

/// The answer of [`is_token`] for each byte.
static TOKEN: [bool; 256] = {
    let mut token = [false; 256];
    let others = b"!#$%&'*+-.^_`|~";
    let mut place = 0;
    while place < others.len() {
        token[others[place] as usize] = true;
        place += 1;
    }
    let mut byte = 0;
    while byte < token.len() {
        token[byte] |= (byte as u8).is_ascii_alphanumeric();
        byte += 1;
    }
    token
};

/// Heads are bounded far below 4 GiB, so their offsets fit.
fn narrow(range: Range<usize>) -> Range<u32> {
    range.start as u32..range.end as u32
}

#[cfg(test)]
mod tests;
