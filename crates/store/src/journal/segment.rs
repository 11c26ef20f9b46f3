//! Segment files: their names, their lines, and what can be read of a line at a glance.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use tollgate_policy::entry::LINE_BYTES_MAX;

const SUFFIX: &str = ".jsonl";
const DIGITS: usize = 20;

/// The file of the segment that begins with entry `first_seq`.
pub(crate) fn path(folder: &Path, first_seq: u64) -> PathBuf {
    folder.join(format!("{first_seq:020}{SUFFIX}"))
}

/// The first sequence numbers of all segments in the folder, ascending. Other files are passed over.
pub(crate) fn list(folder: &Path) -> io::Result<Vec<u64>> {
    let mut segments = Vec::new();
    for entry in fs::read_dir(folder)? {
        let name = entry?.file_name();
        let digits = name.to_str().and_then(|name| name.strip_suffix(SUFFIX));
        let digits = digits.filter(|text| text.len() == DIGITS && text.bytes().all(|b| b.is_ascii_digit()));
        segments.extend(digits.and_then(|text| text.parse::<u64>().ok()));
    }
    segments.sort_unstable();
    Ok(segments)
}

/// The lines of a file, one at a time, in constant memory.
pub(crate) struct Lines<R> {
    source: R,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    offset: u64,
    number: u64,
}

/// One line as it stands in the file.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Line<'a> {
    /// Where it begins in the file.
    pub(crate) offset: u64,
    /// Its number among the lines read, from 1.
    pub(crate) number: u64,
    /// Its bytes, without the line end.
    pub(crate) bytes: &'a [u8],
    /// How it ends.
    pub(crate) end: End,
}

/// How a line ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// As it should.
    Newline,
    /// With the file.
    File,
    /// Not within the length that a line may have; nothing after it can be read.
    TooLong,
}

impl Line<'_> {
    /// Where the next line begins.
    pub(crate) fn next_offset(&self) -> u64 {
        self.offset + self.bytes.len() as u64 + u64::from(self.end == End::Newline)
    }
}

impl Lines<File> {
    /// The lines of a file from its beginning.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        Ok(Self::new(File::open(path)?, 0))
    }

    /// The lines of the bytes `from..to` of a file. Both must be beginnings of lines.
    pub(crate) fn range(path: &Path, from: u64, to: u64) -> io::Result<Lines<io::Take<File>>> {
        let mut file = File::open(path)?;
        file.seek(SeekFrom::Start(from))?;
        Ok(Lines::new(file.take(to.saturating_sub(from)), from))
    }
}

impl<R: Read> Lines<R> {
    /// The lines of a source whose first byte is byte `offset` of its file.
    pub(crate) fn new(source: R, offset: u64) -> Self {
        Self { source, buffer: vec![0; 1 << 16], start: 0, end: 0, offset, number: 0 }
    }

    /// The next line, or `None` at the end.
    pub(crate) fn next(&mut self) -> io::Result<Option<Line<'_>>> {
        let mut searched = self.start;
        let (length, end) = loop {
            if let Some(at) = memchr::memchr(b'\n', &self.buffer[searched..self.end]) {
                break (searched + at - self.start, End::Newline);
            }
            if self.end - self.start >= LINE_BYTES_MAX {
                break (self.end - self.start, End::TooLong);
            }
            let held = self.end - self.start;
            if self.fill()? == 0 {
                if held == 0 {
                    return Ok(None);
                }
                break (held, End::File);
            }
            searched = self.start + held;
        };
        let line_start = self.start;
        self.start += length + usize::from(end == End::Newline);
        self.number += 1;
        let bytes = &self.buffer[line_start..line_start + length];
        let line = Line { offset: self.offset, number: self.number, bytes, end };
        self.offset = line.next_offset();
        Ok(Some(line))
    }

    /// Reads more, after what is held. Zero at the end of the source.
    fn fill(&mut self) -> io::Result<usize> {
        self.buffer.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        if self.end == self.buffer.len() {
            self.buffer.resize(self.buffer.len() * 2, 0);
        }
        loop {
            match self.source.read(&mut self.buffer[self.end..]) {
                Ok(read) => {
                    self.end += read;
                    return Ok(read);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

/// The outer fields of a line as text, found by their places. Nothing is checked: for passing quickly over lines
/// that were checked before or will be checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Glance<'a> {
    pub(crate) seq: u64,
    pub(crate) prev: &'a [u8],
    pub(crate) kind: &'a [u8],
    pub(crate) hash: &'a [u8],
}

/// Looks at a line. `None` when it does not have the frame of an entry.
pub(crate) fn glance(line: &[u8]) -> Option<Glance<'_>> {
    const AT_BYTES: usize = 24;
    const HASH_BYTES: usize = 64;
    let (seq, rest) = leading_number(line.strip_prefix(b"{\"seq\":")?)?;
    let rest = rest.strip_prefix(b",\"at\":\"")?.get(AT_BYTES..)?.strip_prefix(b"\",\"prev\":\"")?;
    let (prev, rest) = rest.split_at_checked(HASH_BYTES)?;
    let rest = rest.strip_prefix(b"\",\"kind\":\"")?;
    let kind = &rest[..memchr::memchr(b'"', rest)?];
    let body = rest.strip_suffix(b"\"}")?;
    let hash = body.get(body.len().checked_sub(HASH_BYTES)?..)?;
    Some(Glance { seq, prev, kind, hash })
}

/// The admission that a `settled` line names. A text inside the line cannot be taken for the field: its quotation
/// marks would be escaped.
pub(crate) fn settled_admission(line: &[u8]) -> Option<u64> {
    const FIELD: &[u8] = b"\"admitted\":";
    let at = memchr::memmem::find(line, FIELD)?;
    leading_number(&line[at + FIELD.len()..]).map(|(number, _)| number)
}

fn leading_number(text: &[u8]) -> Option<(u64, &[u8])> {
    let end = text.iter().position(|byte| !byte.is_ascii_digit())?;
    let number = std::str::from_utf8(&text[..end]).ok()?.parse().ok()?;
    Some((number, &text[end..]))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::{self, Read};

    use tollgate_policy::entry::{Event, GENESIS, LINE_BYTES_MAX, write_line};

    use super::{End, Glance, Lines, glance, list, path, settled_admission};
    use crate::fixture::{NOW, admitted, folder, settled};

    /// Gives its bytes in small pieces, with interruptions.
    struct Trickle<'a>(&'a [u8], usize);

    impl Read for Trickle<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            self.1 += 1;
            if self.1.is_multiple_of(3) {
                return Err(io::ErrorKind::Interrupted.into());
            }
            let length = self.0.len().min(buffer.len()).min(7);
            let (piece, rest) = self.0.split_at(length);
            buffer[..length].copy_from_slice(piece);
            self.0 = rest;
            Ok(length)
        }
    }

    fn all(source: impl Read) -> Vec<(u64, u64, Vec<u8>, End)> {
        let mut lines = Lines::new(source, 100);
        let mut all = Vec::new();
        while let Some(line) = lines.next().unwrap() {
            all.push((line.offset, line.number, line.bytes.to_vec(), line.end));
        }
        all
    }

    #[test]
    fn lines_are_found_in_any_pieces() {
        let long = [vec![b'x'; 200_000], b"\nend".to_vec()].concat();
        type Shape<'a> = &'a [(u64, usize, End)];
        let rows: &[(&[u8], Shape<'_>)] = &[
            (b"", &[]),
            (b"\n", &[(100, 0, End::Newline)]),
            (b"one", &[(100, 3, End::File)]),
            (b"one\ntwo\n", &[(100, 3, End::Newline), (104, 3, End::Newline)]),
            (b"one\n\ntwo", &[(100, 3, End::Newline), (104, 0, End::Newline), (105, 3, End::File)]),
            (&long, &[(100, 200_000, End::Newline), (200_101, 3, End::File)]),
        ];
        for (bytes, expected) in rows {
            for found in [all(*bytes), all(Trickle(bytes, 0))] {
                let shape: Vec<_> = found.iter().map(|(at, _, text, end)| (*at, text.len(), *end)).collect();
                assert_eq!(shape, *expected);
                assert!(found.iter().map(|line| line.1).eq(1..=found.len() as u64));
            }
        }
    }

    #[test]
    fn a_line_that_is_too_long_is_given_up_in_bounded_memory() {
        let endless = io::repeat(b'x').take(10 * LINE_BYTES_MAX as u64);
        let mut lines = Lines::new(endless, 0);
        let line = lines.next().unwrap().unwrap();
        assert_eq!(line.end, End::TooLong);
        assert!(lines.buffer.len() <= 2 * LINE_BYTES_MAX);
    }

    #[test]
    fn a_glance_sees_what_was_written() {
        let (mut line, event) = (Vec::new(), Event::Settled(settled(1, 987)));
        let hash = write_line(&mut line, 1234, NOW, &GENESIS, &event);
        let line = line.strip_suffix(b"\n").unwrap();
        let (prev, hash) = (GENESIS.to_string(), hash.to_string());
        let expected = Glance { seq: 1234, prev: prev.as_bytes(), kind: b"settled", hash: hash.as_bytes() };
        assert_eq!(glance(line), Some(expected));
        assert_eq!(settled_admission(line), Some(987));
        for length in 0..line.len() {
            assert_ne!(glance(&line[..length]), Some(expected), "{length}");
        }
        let mut other = Vec::new();
        let mut misleading = admitted(1);
        misleading.session = Some("\"admitted\":5".into());
        write_line(&mut other, 1, NOW, &GENESIS, &Event::Admitted(misleading));
        assert_eq!(settled_admission(&other), None);
    }

    #[test]
    fn only_segments_are_listed() {
        let folder = folder();
        for name in ["checkpoints", "torn-7", "7.jsonl", "0000000000000000000x.jsonl", "00000000000000000009"]
        {
            fs::write(folder.path().join(name), "").unwrap();
        }
        for first in [900, 1, 20] {
            fs::write(path(folder.path(), first), "").unwrap();
        }
        assert_eq!(list(folder.path()).unwrap(), [1, 20, 900]);
    }
}
