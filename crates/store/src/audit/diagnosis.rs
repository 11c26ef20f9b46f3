//! What was done to a chain, from how it breaks and what follows the break.
//!
//! A break shows that two neighbours do not belong together, not which of them is wrong. What comes after tells: an
//! entry that the rest is chained to is the one that was there.

use std::fs::File;
use std::io;
use std::path::Path;

use tollgate_policy::entry::{Break, Link, read_link};

use super::Kind;
use crate::journal::segment::{self, Lines};

/// What was done, and where.
pub(super) struct Verdict {
    pub(super) seq: u64,
    pub(super) kind: Kind,
    /// The wrong line is not the one that breaks the chain but the one before it.
    pub(super) at_line_before: bool,
    pub(super) reason: String,
}

/// The lines after a break, through all segments.
pub(super) struct Following<'a> {
    lines: Lines<File>,
    folder: &'a Path,
    segments: &'a [u64],
}

impl<'a> Following<'a> {
    pub(super) fn new(lines: Lines<File>, folder: &'a Path, segments: &'a [u64]) -> Self {
        Self { lines, folder, segments }
    }

    /// What `look` sees in the next line.
    fn next<T>(&mut self, look: impl Fn(&[u8]) -> T) -> io::Result<Option<T>> {
        loop {
            if let Some(line) = self.lines.next()? {
                return Ok(Some(look(line.bytes)));
            }
            let Some((first_seq, rest)) = self.segments.split_first() else { return Ok(None) };
            self.segments = rest;
            self.lines = Lines::open(&segment::path(self.folder, *first_seq))?;
        }
    }

    /// The next line, if it is an entry.
    fn next_link(&mut self) -> io::Result<Option<Link>> {
        Ok(self.next(|line| read_link(line).ok())?.flatten())
    }

    /// Whether an entry of this number is among the rest.
    fn holds(&mut self, seq: u64) -> io::Result<bool> {
        while let Some(glanced) = self.next(|line| segment::glance(line).map(|glance| glance.seq))? {
            if glanced == Some(seq) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// Judges the break between the entries `before` and `link`.
pub(super) fn diagnose(
    before: Option<Link>,
    link: Link,
    found: &Break,
    mut following: Following<'_>,
) -> io::Result<Verdict> {
    let next = following.next_link()?;
    match *found {
        Break::Exhausted => Ok(at(link.seq, Kind::Edited, "no entry can have this number".to_owned())),
        Break::Predecessor { seq, .. } => Ok(exchanged(seq, before, link, next)),
        Break::Sequence { expected, found } if found < expected => Ok(repeated(expected, before, link, next)),
        Break::Sequence { expected, found } => {
            let is_next = next.is_some_and(|next| next.seq == expected);
            if is_next || following.holds(expected)? {
                return Ok(at(expected, Kind::Swapped, format!("entry {expected} stands further on")));
            }
            if next.is_some_and(|next| next.seq == expected + 1) {
                return Ok(at(expected, Kind::Edited, "this entry was exchanged for another".to_owned()));
            }
            let reason = format!("entries {expected} to {} are missing", found - 1);
            Ok(at(expected, Kind::Dropped, reason))
        }
    }
}

/// The numbers follow each other, the hashes do not.
fn exchanged(seq: u64, before: Option<Link>, link: Link, next: Option<Link>) -> Verdict {
    let rest_follows = next.is_none_or(|next| next.prev == link.hash);
    match before {
        Some(before) if rest_follows => Verdict {
            seq: before.seq,
            kind: Kind::Edited,
            at_line_before: true,
            reason: format!("entry {} was exchanged for another", before.seq),
        },
        _ => at(seq, Kind::Edited, "this entry was exchanged for another".to_owned()),
    }
}

/// A number that was there already.
fn repeated(expected: u64, before: Option<Link>, link: Link, next: Option<Link>) -> Verdict {
    if next.is_some_and(|next| next.seq == expected + 1) {
        return at(expected, Kind::Edited, "this entry was exchanged for another".to_owned());
    }
    // Two entries for the same place. The rest is chained to the true one.
    let rival = before.filter(|before| before.seq == link.seq && before.prev == link.prev);
    match rival {
        Some(before) if next.is_none_or(|next| next.prev != before.hash) && before.hash != link.hash => {
            Verdict {
                seq: before.seq,
                kind: Kind::Inserted,
                at_line_before: true,
                reason: format!("another entry {} was put in before this one", before.seq),
            }
        }
        _ => at(expected, Kind::Inserted, format!("an entry {} was put in here", link.seq)),
    }
}

fn at(seq: u64, kind: Kind, reason: String) -> Verdict {
    Verdict { seq, kind, at_line_before: false, reason }
}
