//! The chunked transfer coding (RFC 9112 section 7.1), read incrementally over any split.

use std::ops::Range;

use thiserror::Error;

use super::head::is_token;

/// Most bytes that framing may take between two runs of payload: a size line with its extensions, or the
/// trailer section.
const FRAMING_BYTES: u32 = 8 * 1024;

/// The bytes are not a valid chunked body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the chunked body is not well formed")]
pub struct BadChunk;

/// What became of the bytes that were given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// All of them belong to the body, which goes on.
    More,
    /// The body ended after this many of them.
    End(usize),
}

/// A decoder of one chunked body.
#[derive(Debug, Clone, Default)]
pub struct Chunked {
    state: State,
    /// Payload bytes left in the current chunk.
    left: u64,
    /// Framing bytes since the last payload.
    framing: u32,
    /// The trailer fields among the bytes last read.
    trailers: Range<usize>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum State {
    #[default]
    SizeStart,
    Size,
    SizeBlank,
    Extension,
    SizeLf,
    Data,
    DataCr,
    DataLf,
    TrailerStart,
    TrailerName,
    TrailerValue,
    TrailerLf,
    EndLf,
    Done,
}

impl State {
    fn is_inside_trailer(self) -> bool {
        matches!(self, State::TrailerName | State::TrailerValue | State::TrailerLf)
    }
}

impl Chunked {
    /// Reads `bytes`, handing each run of payload to `payload`. After an end or an error the decoder is spent.
    pub fn read(&mut self, bytes: &[u8], mut payload: impl FnMut(&[u8])) -> Result<Progress, BadChunk> {
        let mut at = 0;
        self.trailers = 0..0;
        while at < bytes.len() {
            if self.state == State::Data {
                let left = usize::try_from(self.left).unwrap_or(usize::MAX);
                let run = left.min(bytes.len() - at);
                payload(&bytes[at..at + run]);
                at += run;
                self.left -= run as u64;
                self.framing = 0;
                if self.left == 0 {
                    self.state = State::DataCr;
                }
            } else {
                let inside = self.state.is_inside_trailer();
                self.step(bytes[at])?;
                if inside || self.state.is_inside_trailer() {
                    let start = if self.trailers.is_empty() { at } else { self.trailers.start };
                    self.trailers = start..at + 1;
                }
                at += 1;
                if self.state == State::Done {
                    return Ok(Progress::End(at));
                }
            }
        }
        Ok(Progress::More)
    }

    /// Where the trailer fields stand among the bytes last given to [`Self::read`]; empty if none do.
    ///
    /// Without the bytes in these ranges the body is as valid as before and has no trailers. A relay that checks
    /// header fields must leave them out: they would pass unchecked (RFC 9110 section 6.5.1).
    #[must_use]
    pub fn trailers(&self) -> Range<usize> {
        self.trailers.clone()
    }

    /// Takes one byte of framing.
    fn step(&mut self, byte: u8) -> Result<(), BadChunk> {
        self.framing += 1;
        if self.framing > FRAMING_BYTES || self.state == State::Done {
            return Err(BadChunk);
        }
        self.state = match (self.state, byte) {
            (State::SizeStart, _) => {
                self.left = hex(byte).ok_or(BadChunk)?;
                State::Size
            }
            (State::Size | State::SizeBlank | State::Extension, b'\r') => State::SizeLf,
            (State::Size | State::SizeBlank, b';') => State::Extension,
            (State::Size | State::SizeBlank, b' ' | b'\t') => State::SizeBlank,
            (State::Size, _) => {
                let digit = hex(byte).ok_or(BadChunk)?;
                // A size that needs its top four bits has no room for another digit.
                if self.left >> 60 != 0 {
                    return Err(BadChunk);
                }
                self.left = self.left << 4 | digit;
                State::Size
            }
            (State::SizeLf, b'\n') if self.left == 0 => State::TrailerStart,
            (State::SizeLf, b'\n') => State::Data,
            (State::DataCr, b'\r') => State::DataLf,
            (State::DataLf, b'\n') => State::SizeStart,
            (State::TrailerStart, b'\r') => State::EndLf,
            (State::TrailerStart | State::TrailerName, _) if is_token(byte) => State::TrailerName,
            (State::TrailerName, b':') => State::TrailerValue,
            (State::TrailerValue, b'\r') => State::TrailerLf,
            (State::TrailerLf, b'\n') => State::TrailerStart,
            (State::EndLf, b'\n') => State::Done,
            (State::Extension, _) if is_text(byte) => State::Extension,
            (State::TrailerValue, _) if is_text(byte) => State::TrailerValue,
            _ => return Err(BadChunk),
        };
        Ok(())
    }
}

fn hex(byte: u8) -> Option<u64> {
    char::from(byte).to_digit(16).map(u64::from)
}

/// Visible, blank or opaque; no control character, so no bare CR or LF.
fn is_text(byte: u8) -> bool {
    byte == b'\t' || (byte >= 0x20 && byte != 0x7f)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn decode(bytes: &[u8]) -> Result<(Vec<u8>, Progress), BadChunk> {
        let mut out = Vec::new();
        let progress = Chunked::default().read(bytes, |run| out.extend_from_slice(run))?;
        Ok((out, progress))
    }

    #[test]
    fn bodies_end_where_they_say() {
        let rows: &[(&[u8], &[u8], Progress)] = &[
            (b"0\r\n\r\n", b"", Progress::End(5)),
            (b"5\r\nhello\r\n0\r\n\r\nGET", b"hello", Progress::End(15)),
            (b"A;x=\"y\"\r\n0123456789\r\n0\r\nTrailer: v\r\n\r\n", b"0123456789", Progress::End(38)),
            (b"3\r\nabc\r\n3\r\ndef\r\n", b"abcdef", Progress::More),
            (b"1 \t\r\nx\r\n0 ;a b\r\nA:\r\nb-c: d: e \r\n\r\n", b"x", Progress::End(34)),
            (b"0000000000000001\r\nx\r\n0\r\n\r\n", b"x", Progress::End(26)),
        ];
        for (bytes, payload, progress) in rows {
            assert_eq!(
                decode(bytes),
                Ok((payload.to_vec(), *progress)),
                "{:?}",
                String::from_utf8_lossy(bytes)
            );
        }
    }

    #[test]
    fn anything_loose_is_refused() {
        let rows: &[&[u8]] = &[
            b"\r\n",
            b"x\r\n",
            b"-1\r\n",
            b"0x5\r\n",
            b"5\nhello\r\n",
            b"5\r\nhelloX",
            b"5\r\nhello\n0\r\n\r\n",
            b"5\rhello",
            b"0\r\n\n",
            b"0\r\nTrailer: v\n\r\n",
            b"10000000000000000\r\n",
            b"1ffffffffffffffff\r\n",
            b"5;a\0b\r\n",
            b"60 77\r\n",
            b"2 0\r\n",
            b"5\t0\r\n",
            b" 5\r\n",
            b"0\r\nGET / HTTP/1.1\r\n\r\n",
            b"0\r\nTrailer\r\n\r\n",
            b"0\r\n: v\r\n\r\n",
            b"0\r\nTrailer : v\r\n\r\n",
            b"0\r\nTrailer: v\r\n folded\r\n\r\n",
            b"0\r\nTrailer: a\0b\r\n\r\n",
            b"0\r\nTrailer: a\rb\r\n\r\n",
        ];
        for bytes in rows {
            assert_eq!(decode(bytes), Err(BadChunk), "{:?}", String::from_utf8_lossy(bytes));
        }
        let endless = [b"1;".as_slice(), &[b'a'; 9000]].concat();
        assert_eq!(decode(&endless), Err(BadChunk));
    }

    #[test]
    fn trailers_are_found_and_can_be_left_out_in_any_split() {
        let wire = b"3;x\r\nabc\r\n0\r\nSet-Cookie: a=b\r\nX:\r\n\r\n";
        for size in 1..=wire.len() {
            let (mut decoder, mut kept) = (Chunked::default(), Vec::new());
            for part in wire.chunks(size) {
                decoder.read(part, |_| ()).unwrap();
                let trailers = decoder.trailers();
                kept.extend_from_slice(&part[..trailers.start]);
                kept.extend_from_slice(&part[trailers.end..]);
            }
            assert_eq!(kept, b"3;x\r\nabc\r\n0\r\n\r\n", "parts of {size}");
        }
    }

    proptest! {
        #[test]
        fn every_split_gives_the_same_payload(
            chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..40), 0..8),
            cuts in prop::collection::vec(1usize..9, 0..200),
        ) {
            let mut wire = Vec::new();
            for chunk in &chunks {
                wire.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
                wire.extend_from_slice(chunk);
                wire.extend_from_slice(b"\r\n");
            }
            wire.extend_from_slice(b"0\r\n\r\n");
            let (mut decoder, mut out, mut rest) = (Chunked::default(), Vec::new(), &wire[..]);
            let mut cuts = cuts.into_iter();
            let mut last = Progress::More;
            while !rest.is_empty() {
                let (now, later) = rest.split_at(cuts.next().unwrap_or(rest.len()).min(rest.len()));
                last = decoder.read(now, |run| out.extend_from_slice(run)).unwrap();
                if later.is_empty() {
                    prop_assert_eq!(last, Progress::End(now.len()));
                }
                rest = later;
            }
            prop_assert_eq!(out, chunks.concat());
            prop_assert!(matches!(last, Progress::End(_)));
        }
    }
}
