//! The chunked transfer coding (RFC 9112 section 7.1), read incrementally over any split.

use thiserror::Error;

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
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum State {
    #[default]
    SizeStart,
    Size,
    Extension,
    SizeLf,
    Data,
    DataCr,
    DataLf,
    TrailerStart,
    Trailer,
    TrailerLf,
    EndLf,
    Done,
}

impl Chunked {
    /// Reads `bytes`, handing each run of payload to `payload`. After an end or an error the decoder is spent.
    pub fn read(&mut self, bytes: &[u8], mut payload: impl FnMut(&[u8])) -> Result<Progress, BadChunk> {
        let mut at = 0;
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
                self.step(bytes[at])?;
                at += 1;
                if self.state == State::Done {
                    return Ok(Progress::End(at));
                }
            }
        }
        Ok(Progress::More)
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
            (State::Size | State::Extension, b'\r') => State::SizeLf,
            (State::Size, b';' | b' ' | b'\t') => State::Extension,
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
            (State::Trailer, b'\r') => State::TrailerLf,
            (State::TrailerLf, b'\n') => State::TrailerStart,
            (State::EndLf, b'\n') => State::Done,
            (State::Extension, _) if is_text(byte) => State::Extension,
            (State::TrailerStart | State::Trailer, _) if is_text(byte) => State::Trailer,
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
        ];
        for bytes in rows {
            assert_eq!(decode(bytes), Err(BadChunk), "{:?}", String::from_utf8_lossy(bytes));
        }
        let endless = [b"1;".as_slice(), &[b'a'; 9000]].concat();
        assert_eq!(decode(&endless), Err(BadChunk));
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
