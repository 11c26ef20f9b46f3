//! How a view follows the journal: every entry once, in order, those that concern the view in full.

use std::io;
use std::path::Path;

use tollgate_policy::entry::{Entry, GENESIS, read_line};

use crate::journal::queue::Mark;
use crate::journal::segment::{self, End, Glance, Line, Lines};

/// Up to where a view has followed the journal: after the entry `seq`, which ends at byte `offset` of the segment that
/// begins with entry `segment`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) segment: u64,
    pub(crate) offset: u64,
    pub(crate) seq: u64,
    /// The hash of that entry, in text.
    pub(crate) hash: String,
}

impl Place {
    /// Before the first entry.
    pub(crate) fn beginning() -> Self {
        Self { segment: 1, offset: 0, seq: 0, hash: GENESIS.to_string() }
    }
}

/// The journal cannot be followed further: where, and why.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Unfollowed(String);

/// Follows the journal from `place` towards the mark, through at most `lines_max` lines, and moves `place`. Gives the
/// entries of the `kinds` asked for to `visit`.
///
/// Of other entries only the frame is looked at, and that each names the one before it: passing over them costs little
/// more than reading the file. Checking all of their bytes is the work of [`crate::audit`].
///
/// # Errors
/// [`Unfollowed`] when the next line is not the next entry, and what `visit` says.
pub(crate) fn follow<E: From<Unfollowed>>(
    journal: &Path,
    place: &mut Place,
    mark: &Mark,
    lines_max: usize,
    kinds: &[&[u8]],
    mut visit: impl FnMut(&Entry) -> Result<(), E>,
) -> Result<(), E> {
    let mut budget = lines_max;
    loop {
        let path = segment::path(journal, place.segment);
        let end = if place.segment == mark.segment { mark.len } else { u64::MAX };
        let unreadable = |error: io::Error| Unfollowed(format!("{}: {error}", path.display()));
        let mut lines = Lines::range(&path, place.offset, end).map_err(unreadable)?;
        while budget > 0
            && let Some(line) = lines.next().map_err(unreadable)?
        {
            let bad = |why| Unfollowed(format!("{} byte {}: {why}", path.display(), line.offset));
            let glance = expect(&line, place).map_err(bad)?;
            if kinds.contains(&glance.kind) {
                visit(&read_line(line.bytes).map_err(|why| bad(format!("the line {why}")))?)?;
            }
            place.seq = glance.seq;
            place.hash.clear();
            place.hash.push_str(&String::from_utf8_lossy(glance.hash));
            place.offset = line.next_offset();
            budget -= 1;
        }
        if budget == 0 || place.segment == mark.segment {
            return Ok(());
        }
        // The journal began the next segment with the entry after the last of this one.
        if place.offset == 0 {
            return Err(Unfollowed(format!("{} is empty", path.display())).into());
        }
        (place.segment, place.offset) = (place.seq + 1, 0);
    }
}

/// Looks whether the line is the next entry.
fn expect<'a>(line: &Line<'a>, place: &Place) -> Result<Glance<'a>, String> {
    let glance = Some(line)
        .filter(|line| line.end == End::Newline)
        .and_then(|line| segment::glance(line.bytes))
        .ok_or("not an entry")?;
    if Some(glance.seq) != place.seq.checked_add(1) || glance.prev != place.hash.as_bytes() {
        return Err(format!("entry {} does not follow entry {}", glance.seq, place.seq));
    }
    Ok(glance)
}
