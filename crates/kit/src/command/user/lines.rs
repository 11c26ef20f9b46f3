//! The lines of an export as they pass, to see that it is whole.

use serde::Deserialize;

/// The longest last line: it holds its kind and a number.
const END_BYTES_MAX: usize = 256;

/// The last line of an export, which says how many there are before it.
#[derive(Deserialize)]
struct End {
    kind: String,
    lines: u64,
}

/// How many lines have passed, and the last of them.
#[derive(Debug, Default)]
pub(super) struct Lines {
    ended: u64,
    /// The beginning of the line that ended last.
    last: Vec<u8>,
    /// The beginning of the line that has not ended.
    open: Vec<u8>,
}

impl Lines {
    /// Takes note of bytes, split anyhow.
    pub(super) fn pass(&mut self, bytes: &[u8]) {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            let room = END_BYTES_MAX.saturating_sub(self.open.len());
            self.open.extend_from_slice(&piece[..piece.len().min(room)]);
            if piece.ends_with(b"\n") {
                self.ended += 1;
                self.last = std::mem::take(&mut self.open);
            }
        }
    }

    /// How many lines there are, if the last one is the end and says as many.
    pub(super) fn whole(&self) -> Option<u64> {
        let end: End = serde_json::from_slice(&self.last).ok()?;
        let is_whole =
            self.open.is_empty() && end.kind == "end" && end.lines.checked_add(1) == Some(self.ended);
        is_whole.then_some(self.ended)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_export_is_whole_when_its_last_line_says_so() {
        let person = format!("{{\"kind\":\"person\",\"note\":\"{}\"}}\n", "x".repeat(2 * END_BYTES_MAX));
        let end = |lines: u64| format!("{{\"kind\":\"end\",\"lines\":{lines}}}\n");
        let rows = [
            (format!("{person}{}", end(1)), Some(2)),
            (format!("{person}{person}{}", end(2)), Some(3)),
            (end(0), Some(1)),
            (String::new(), None),
            (person.clone(), None),
            (format!("{person}{}", end(2)), None),
            (format!("{person}{}", end(1).trim_end()), None),
            (format!("{person}{}{{", end(1)), None),
            (format!("{person}{}", end(1).replace("end", "key")), None),
        ];
        for (text, expected) in rows {
            for split in [1, 7, usize::MAX] {
                let mut lines = Lines::default();
                text.as_bytes().chunks(split).for_each(|bytes| lines.pass(bytes));
                assert_eq!(lines.whole(), expected, "{text} by {split}");
            }
        }
    }
}
