//! HTTP/1.1 requests as bytes: heads with their header names as sent, and bodies of both framings
//! (RFC 9112). Written for the simulator alone, so that it cannot share a fault with what it tests.

use bytes::{Buf, BytesMut};
use thiserror::Error;

const MAX_HEADERS: usize = 256;
const MAX_HEAD_BYTES: usize = 256 * 1024;
const MAX_CHUNK_LINE_BYTES: usize = 4096;

/// A request head.
#[derive(Debug)]
pub(crate) struct Head {
    pub(crate) method: String,
    pub(crate) target: String,
    /// The last digit of `HTTP/1.x`.
    pub(crate) minor: u8,
    pub(crate) headers: Headers,
}

/// Header fields in wire order and in their original case.
#[derive(Debug, Clone, Default)]
pub(crate) struct Headers(pub(crate) Vec<(String, String)>);

/// How a request says where its body ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Framing {
    None,
    Length(u64),
    Chunked,
}

/// Why a connection's bytes are no request. After any of these the connection is closed.
#[derive(Debug, Error, PartialEq, Eq)]
pub(crate) enum Malformed {
    #[error("the request head is not HTTP/1: {0}")]
    Head(httparse::Error),
    #[error("the request head is longer than {MAX_HEAD_BYTES} bytes")]
    HeadTooLarge,
    #[error("Content-Length is not one number")]
    Length,
    #[error("the request has both Content-Length and Transfer-Encoding")]
    TwoFramings,
    #[error("Transfer-Encoding is not `chunked`")]
    TransferEncoding,
    #[error("the chunked body is malformed")]
    Chunk,
}

impl Head {
    /// Reads a head from the start of `bytes`: the head and its length, or `None` when it is not
    /// complete yet.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Option<(Self, usize)>, Malformed> {
        let mut fields = [httparse::EMPTY_HEADER; MAX_HEADERS];
        let mut request = httparse::Request::new(&mut fields);
        let length = match request.parse(bytes).map_err(Malformed::Head)? {
            httparse::Status::Complete(length) => length,
            httparse::Status::Partial if bytes.len() > MAX_HEAD_BYTES => {
                return Err(Malformed::HeadTooLarge);
            }
            httparse::Status::Partial => return Ok(None),
        };
        let headers =
            request.headers.iter().map(|field| (field.name.to_owned(), text_of(field.value))).collect();
        let head = Self {
            method: request.method.unwrap_or_default().to_owned(),
            target: request.path.unwrap_or_default().to_owned(),
            minor: request.version.unwrap_or(1),
            headers: Headers(headers),
        };
        Ok(Some((head, length)))
    }

    /// The target without its query.
    pub(crate) fn path(&self) -> &str {
        self.target.split_once('?').map_or(&self.target, |(path, _)| path)
    }

    /// The value of a query parameter, not decoded.
    pub(crate) fn parameter(&self, name: &str) -> Option<&str> {
        let (_, query) = self.target.split_once('?')?;
        query
            .split('&')
            .filter_map(|pair| pair.split_once('='))
            .find_map(|(key, value)| (key == name).then_some(value))
    }

    pub(crate) fn framing(&self) -> Result<Framing, Malformed> {
        let mut lengths = self.headers.all("content-length");
        let mut encodings = self.headers.all("transfer-encoding");
        match (lengths.next(), lengths.next(), encodings.next(), encodings.next()) {
            (None, None, None, None) => Ok(Framing::None),
            (Some(_), _, Some(_), _) => Err(Malformed::TwoFramings),
            (Some(length), None, None, None)
                if !length.is_empty() && length.bytes().all(|byte| byte.is_ascii_digit()) =>
            {
                length.parse().map(Framing::Length).map_err(|_| Malformed::Length)
            }
            (Some(_), ..) => Err(Malformed::Length),
            (_, _, Some(encoding), None) if encoding.eq_ignore_ascii_case("chunked") => Ok(Framing::Chunked),
            _ => Err(Malformed::TransferEncoding),
        }
    }

    /// Whether the connection may carry another request after this one.
    pub(crate) fn keeps_alive(&self) -> bool {
        let says = |word: &str| {
            self.headers
                .all("connection")
                .flat_map(|value| value.split(','))
                .any(|option| option.trim().eq_ignore_ascii_case(word))
        };
        if self.minor == 0 { says("keep-alive") } else { !says("close") }
    }

    /// Whether the client waits for `100 Continue` before it sends the body.
    pub(crate) fn expects_continue(&self) -> bool {
        self.minor >= 1
            && self.headers.first("expect").is_some_and(|value| value.eq_ignore_ascii_case("100-continue"))
    }
}

impl Headers {
    pub(crate) fn first(&self, name: &str) -> Option<&str> {
        self.all(name).next()
    }

    pub(crate) fn all<'h>(&'h self, name: &str) -> impl Iterator<Item = &'h str> {
        self.0
            .iter()
            .filter(move |(given, _)| given.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }
}

/// UTF-8 where it is UTF-8, otherwise one character for each byte, so that no byte is lost.
fn text_of(value: &[u8]) -> String {
    match std::str::from_utf8(value) {
        Ok(text) => text.to_owned(),
        Err(_) => value.iter().map(|byte| char::from(*byte)).collect(),
    }
}

/// Decodes a chunked body (RFC 9112 section 7.1) as it arrives.
#[derive(Debug, Default)]
pub(crate) struct ChunkedBody {
    pub(crate) body: BytesMut,
    state: ChunkState,
}

#[derive(Debug, Default)]
enum ChunkState {
    #[default]
    Size,
    Data(u64),
    DataEnd,
    Trailer,
}

impl ChunkedBody {
    /// Takes what it can from `inbox`; true once the last chunk and its trailers were taken.
    pub(crate) fn take_from(&mut self, inbox: &mut BytesMut) -> Result<bool, Malformed> {
        loop {
            match self.state {
                ChunkState::Size => {
                    let Some(line) = take_line(inbox)? else {
                        return Ok(false);
                    };
                    self.state = match chunk_size(&line)? {
                        0 => ChunkState::Trailer,
                        size => ChunkState::Data(size),
                    };
                }
                ChunkState::Data(left) => {
                    let taken = inbox.len().min(usize::try_from(left).unwrap_or(usize::MAX));
                    self.body.extend_from_slice(&inbox[..taken]);
                    inbox.advance(taken);
                    let left = left - taken as u64;
                    if left > 0 {
                        self.state = ChunkState::Data(left);
                        return Ok(false);
                    }
                    self.state = ChunkState::DataEnd;
                }
                ChunkState::DataEnd => {
                    if inbox.len() < 2 {
                        return Ok(false);
                    }
                    if &inbox[..2] != b"\r\n" {
                        return Err(Malformed::Chunk);
                    }
                    inbox.advance(2);
                    self.state = ChunkState::Size;
                }
                ChunkState::Trailer => match take_line(inbox)? {
                    None => return Ok(false),
                    Some(line) if line.is_empty() => return Ok(true),
                    Some(_) => {}
                },
            }
        }
    }
}

/// The next line without its CRLF, or `None` when it is not complete yet.
fn take_line(inbox: &mut BytesMut) -> Result<Option<BytesMut>, Malformed> {
    match inbox.iter().position(|byte| *byte == b'\n') {
        Some(end) if end > 0 && inbox[end - 1] == b'\r' => {
            let mut line = inbox.split_to(end + 1);
            line.truncate(end - 1);
            Ok(Some(line))
        }
        Some(_) => Err(Malformed::Chunk),
        None if inbox.len() > MAX_CHUNK_LINE_BYTES => Err(Malformed::Chunk),
        None => Ok(None),
    }
}

fn chunk_size(line: &[u8]) -> Result<u64, Malformed> {
    let end = line.iter().position(|byte| *byte == b';').unwrap_or(line.len());
    let digits = line[..end].trim_ascii_end();
    if digits.is_empty() || digits.len() > 15 || !digits.iter().all(u8::is_ascii_hexdigit) {
        return Err(Malformed::Chunk);
    }
    std::str::from_utf8(digits)
        .ok()
        .and_then(|digits| u64::from_str_radix(digits, 16).ok())
        .ok_or(Malformed::Chunk)
}

/// The reason phrase of a status (RFC 9110 section 15; 529 as the API's edge names it).
pub(crate) fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        400 => "Bad Request",
        401 => "Unauthorized",
        402 => "Payment Required",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        409 => "Conflict",
        413 => "Payload Too Large",
        422 => "Unprocessable Entity",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        529 => "Overloaded",
        _ => "Unknown",
    }
}

#[cfg(test)]
mod tests;
