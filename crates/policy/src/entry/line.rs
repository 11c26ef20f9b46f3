//! How an entry becomes one line of text, and how a line is read with suspicion.
//!
//! ```text
//! {"seq":N,"at":"2026-11-22T11:30:00.123Z","prev":"<hex>","kind":"...",...,"hash":"<hex>"}\n
//! ```
//!
//! The hash is SHA-256 over the bytes of the line from its first byte up to, not including, `,"hash":"`.
//! It is checked against the bytes as they stand; nothing is parsed and written again to verify it. The
//! outer fields stand at fixed places, so that they can be read without trusting the rest, and none of
//! them may occur twice, so that no two readers of JSON can see two different entries in one line.

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::{
    Admitted, Checkpoint, ConfigApplied, Denied, Event, Hash, KeyChange, Opened, Resumed, Settled,
    WitnessLost,
};
use crate::unit::{INSTANT_BYTES, UnixMs};

/// The longest line, its end included. The limits on texts and lists keep every written line below it.
pub const LINE_BYTES_MAX: usize = 1 << 20;

const SEQ: &[u8] = b"{\"seq\":";
const AT: &[u8] = b",\"at\":\"";
const PREV: &[u8] = b"\",\"prev\":\"";
const KIND: &[u8] = b"\",\"kind\":\"";
const HASH: &[u8] = b",\"hash\":\"";
const END: &[u8] = b"\"}";
const HEX_BYTES: usize = 64;

/// Appends the line of an entry to `out` and gives its hash, which the next entry names as `prev`.
pub fn write_line(out: &mut Vec<u8>, seq: u64, at: UnixMs, prev: &Hash, event: &Event) -> Hash {
    let start = out.len();
    out.extend_from_slice(SEQ);
    push_number(out, seq);
    out.extend_from_slice(AT);
    out.extend_from_slice(&at.to_text());
    out.extend_from_slice(PREV);
    out.extend_from_slice(&prev.to_text());
    out.push(b'"');
    // The event is an object of its own, `{"kind":...}`. Its opening brace becomes the comma of ours, its
    // closing brace gives way to the hash.
    let event_start = out.len();
    let written = serde_json::to_writer(&mut *out, event);
    // Writing to memory cannot fail, and an event has text keys only: there is nothing to report to a
    // caller.
    assert!(written.is_ok(), "an event is always representable: {written:?}");
    out[event_start] = b',';
    out.pop();
    let hash = Hash::of(&out[start..]);
    out.extend_from_slice(HASH);
    out.extend_from_slice(&hash.to_text());
    out.extend_from_slice(END);
    out.push(b'\n');
    hash
}

fn push_number(out: &mut Vec<u8>, mut number: u64) {
    let mut digits = [0; 20];
    let mut start = digits.len();
    loop {
        start -= 1;
        digits[start] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[start..]);
}

/// The outer fields of an entry, enough to verify the chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Link {
    /// The place of the entry in its journal, from 1.
    pub seq: u64,
    /// When it was written, by the clock of the instance.
    pub at: UnixMs,
    /// The hash of the entry before.
    pub prev: Hash,
    /// The hash of this entry.
    pub hash: Hash,
}

/// An entry as read back.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// The outer fields.
    pub link: Link,
    /// What happened.
    pub event: Event,
}

/// Why a line is not an entry.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadLine {
    /// Longer than [`LINE_BYTES_MAX`].
    #[error("is longer than {LINE_BYTES_MAX} bytes")]
    TooLong,
    /// A control character, such as an end of line, where there can be none.
    #[error("has a control character at byte {offset}")]
    ControlCharacter {
        /// Where it stands.
        offset: usize,
    },
    /// The outer fields do not stand where they must, or not in their only form.
    #[error("{0} is missing, misplaced or not in canonical form")]
    Frame(&'static str),
    /// The bytes were changed.
    #[error("has hash {found}, but its bytes hash to {computed}: the entry was changed")]
    Hash {
        /// The hash of the bytes.
        computed: Hash,
        /// The hash that the line claims.
        found: Hash,
    },
    /// Not one well-formed JSON object, or a field that is missing, doubled or of the wrong type.
    #[error("is not well-formed: {0}")]
    Json(String),
    /// An event that this version does not know; a newer one wrote it.
    #[error("records an event of kind `{0}`, which this version does not know")]
    UnknownKind(String),
}

/// Reads one line, with or without its line end, checks its hash, and parses the event.
///
/// Fields that this version does not know are passed over, but the hash covers them.
///
/// # Errors
/// [`BadLine`] for the first rule that is broken. Never panics, whatever the bytes are.
pub fn read_line(line: &[u8]) -> Result<Entry, BadLine> {
    let (link, line, kind) = read_outer(line)?;
    let event = match kind {
        b"opened" => Event::Opened(parse::<Opened>(line)?),
        b"admitted" => Event::Admitted(parse::<Admitted>(line)?),
        b"settled" => Event::Settled(parse::<Settled>(line)?),
        b"denied" => Event::Denied(parse::<Denied>(line)?),
        b"key_created" => Event::KeyCreated(parse::<KeyChange>(line)?),
        b"key_rotated" => Event::KeyRotated(parse::<KeyChange>(line)?),
        b"key_revoked" => Event::KeyRevoked(parse::<KeyChange>(line)?),
        b"config_applied" => Event::ConfigApplied(parse::<ConfigApplied>(line)?),
        b"allowance_set" => Event::AllowanceSet(parse(line)?),
        b"threshold_passed" => Event::ThresholdPassed(parse(line)?),
        b"session_paused" => Event::SessionPaused(parse(line)?),
        b"session_resumed" => Event::SessionResumed(parse(line)?),
        b"operator_set" => Event::OperatorSet(parse(line)?),
        b"adjusted" => Event::Adjusted(parse(line)?),
        b"statement_closed" => Event::StatementClosed(parse(line)?),
        b"resumed" => Event::Resumed(parse::<Resumed>(line)?),
        b"witness_lost" => Event::WitnessLost(parse::<WitnessLost>(line)?),
        b"checkpoint" => Event::Checkpoint(parse::<Checkpoint>(line)?),
        b"closed" => Event::Closed,
        other => {
            return Err(BadLine::UnknownKind(String::from_utf8_lossy(other).into_owned()));
        }
    };
    Ok(Entry { link, event })
}

/// Reads one line as [`read_line`] does, without its event: enough to verify a chain, also over events
/// that a newer version wrote.
///
/// # Errors
/// [`BadLine`] for the first rule that is broken; never [`BadLine::UnknownKind`].
pub fn read_link(line: &[u8]) -> Result<Link, BadLine> {
    read_outer(line).map(|(link, _, _)| link)
}

/// Checks everything about a line but its event. Gives the line without its end, and the kind.
fn read_outer(line: &[u8]) -> Result<(Link, &str, &[u8]), BadLine> {
    if line.len() > LINE_BYTES_MAX {
        return Err(BadLine::TooLong);
    }
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    // JSON escapes exactly these inside a string, and the writer puts none outside.
    if let Some(offset) = line.iter().position(|byte| *byte < 0x20) {
        return Err(BadLine::ControlCharacter { offset });
    }
    let text = std::str::from_utf8(line).map_err(|_| BadLine::Frame("UTF-8"))?;
    let (link, kind, hashed) = read_frame(line)?;
    let computed = Hash::of(hashed);
    if computed != link.hash {
        return Err(BadLine::Hash { computed, found: link.hash });
    }
    check_outer_fields_once(text)?;
    Ok((link, text, kind))
}

/// The outer fields from their fixed places, the kind, and the bytes that the hash covers.
fn read_frame(line: &[u8]) -> Result<(Link, &[u8], &[u8]), BadLine> {
    let rest = line.strip_prefix(SEQ).ok_or(BadLine::Frame("`seq`"))?;
    let (seq, rest) = take_number(rest).ok_or(BadLine::Frame("`seq`"))?;
    let rest = rest.strip_prefix(AT).ok_or(BadLine::Frame("`at`"))?;
    let (at, rest) = rest.split_at_checked(INSTANT_BYTES).ok_or(BadLine::Frame("`at`"))?;
    let at = UnixMs::from_text(at).ok_or(BadLine::Frame("`at`"))?;
    let rest = rest.strip_prefix(PREV).ok_or(BadLine::Frame("`prev`"))?;
    let (prev, rest) = rest.split_at_checked(HEX_BYTES).ok_or(BadLine::Frame("`prev`"))?;
    let prev = Hash::from_text(prev).ok_or(BadLine::Frame("`prev`"))?;
    let rest = rest.strip_prefix(KIND).ok_or(BadLine::Frame("`kind`"))?;
    let kind_end = rest.iter().position(|byte| *byte == b'"').ok_or(BadLine::Frame("`kind`"))?;
    let kind = &rest[..kind_end];
    let of_a_kind = |byte: &u8| byte.is_ascii_lowercase() || *byte == b'_';
    if kind.is_empty() || !kind.iter().all(of_a_kind) {
        return Err(BadLine::Frame("`kind`"));
    }
    // From the end: the hash is the last field and has a fixed length.
    let hash = || BadLine::Frame("`hash`");
    let body = rest[kind_end..].strip_suffix(END).ok_or_else(hash)?;
    let (body, digits) = body.split_at_checked(body.len().wrapping_sub(HEX_BYTES)).ok_or_else(hash)?;
    let body = body.strip_suffix(HASH).ok_or_else(hash)?;
    let hash = Hash::from_text(digits).ok_or_else(hash)?;
    let hashed = &line[..line.len() - (rest[kind_end..].len() - body.len())];
    Ok((Link { seq, at, prev, hash }, kind, hashed))
}

/// A number without sign or leading zeros.
fn take_number(text: &[u8]) -> Option<(u64, &[u8])> {
    let end = text.iter().position(|byte| !byte.is_ascii_digit())?;
    let (digits, rest) = text.split_at(end);
    if digits.is_empty() || (digits[0] == b'0' && digits.len() > 1) {
        return None;
    }
    let number = std::str::from_utf8(digits).ok()?.parse().ok()?;
    Some((number, rest))
}

/// Parses the whole line as JSON to see that it is one object in which no outer field occurs twice,
/// however its name is escaped. Serde's derived readers refuse a known field that is doubled.
fn check_outer_fields_once(line: &str) -> Result<(), BadLine> {
    #[derive(Deserialize)]
    struct Outer {
        #[serde(rename = "seq")]
        _seq: IgnoredAny,
        #[serde(rename = "at")]
        _at: IgnoredAny,
        #[serde(rename = "prev")]
        _prev: IgnoredAny,
        #[serde(rename = "kind")]
        _kind: IgnoredAny,
        #[serde(rename = "hash")]
        _hash: IgnoredAny,
    }
    parse::<Outer>(line).map(|_| ())
}

fn parse<'a, T: Deserialize<'a>>(line: &'a str) -> Result<T, BadLine> {
    serde_json::from_str(line).map_err(|error| BadLine::Json(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_has_one_text() {
        let rows: [(&str, Option<(u64, &str)>); 9] = [
            ("0,", Some((0, ","))),
            ("7,1", Some((7, ",1"))),
            ("18446744073709551615,", Some((u64::MAX, ","))),
            ("18446744073709551616,", None),
            ("00,", None),
            ("07,", None),
            ("-1,", None),
            (",", None),
            ("7", None),
        ];
        for (text, expected) in rows {
            let expected = expected.map(|(number, rest)| (number, rest.as_bytes()));
            assert_eq!(take_number(text.as_bytes()), expected, "{text}");
        }
        for number in [0, 9, 10, 1_234_567_890, u64::MAX] {
            let mut out = Vec::new();
            push_number(&mut out, number);
            assert_eq!(out, number.to_string().into_bytes());
        }
    }
}
