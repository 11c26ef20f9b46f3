//! Tables for people.

use comfy_table::{Cell, CellAlignment, Table as Grid};

/// The most characters of a cell that are shown.
const CELL_CHARACTERS: usize = 64;

/// A table of text. What comes from outside may stand in it: a name can neither move the cursor of whoever reads
/// it, nor turn the text around, nor push the other columns off the screen.
#[derive(Debug)]
pub(crate) struct Table {
    columns: Vec<Column>,
    rows: Vec<Vec<String>>,
}

/// The head of a column and the side on which its cells stand.
#[derive(Debug, Clone)]
pub(crate) enum Column {
    /// Words, on the left.
    Text(String),
    /// Numbers, on the right.
    Number(String),
}

impl Table {
    /// A table without rows.
    pub(crate) fn new(columns: impl IntoIterator<Item = Column>) -> Self {
        Self { columns: columns.into_iter().collect(), rows: Vec::new() }
    }

    /// Adds a row with a cell for each column.
    pub(crate) fn row(&mut self, cells: Vec<String>) {
        self.rows.push(cells.iter().map(|cell| shortened(visible(cell))).collect());
    }

    /// The table as lines, with a newline after each. Columns in which no row has anything are left out.
    pub(crate) fn text(&self) -> String {
        let filled = |index: &usize| {
            self.rows.is_empty()
                || self.rows.iter().any(|row| row.get(*index).is_some_and(|cell| !cell.is_empty()))
        };
        let shown: Vec<usize> = (0..self.columns.len()).filter(filled).collect();
        let mut grid = Grid::new();
        grid.load_style(comfy_table::presets::NOTHING);
        grid.set_header(shown.iter().map(|index| self.columns[*index].head()));
        for row in &self.rows {
            grid.add_row(shown.iter().map(|index| self.columns[*index].cell(row.get(*index))));
        }
        // Without borders a line would begin and end with the padding of its cells.
        let lines = grid.lines().map(|line| {
            let line = line.strip_prefix(' ').unwrap_or(&line).trim_end();
            format!("{line}\n")
        });
        lines.collect()
    }
}

impl Column {
    fn head(&self) -> Cell {
        match self {
            Self::Text(name) | Self::Number(name) => self.align(Cell::new(name.to_uppercase())),
        }
    }

    fn cell(&self, content: Option<&String>) -> Cell {
        self.align(Cell::new(content.map_or("", String::as_str)))
    }

    fn align(&self, cell: Cell) -> Cell {
        match self {
            Self::Text(_) => cell.set_alignment(CellAlignment::Left),
            Self::Number(_) => cell.set_alignment(CellAlignment::Right),
        }
    }
}

/// The text with every character as an escape that is not seen where it stands.
pub(crate) fn visible(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        if is_unseen(character) {
            out.extend(character.escape_default());
        } else {
            out.push(character);
        }
    }
    out
}

/// Control characters (C0, DEL, C1), line separators, and the format characters that hide, join or turn around what
/// stands beside them (Unicode Standard Annex 9, and general category Cf).
pub(crate) fn is_unseen(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{ad}'
                | '\u{61c}'
                | '\u{180e}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{feff}'
                | '\u{fff9}'..='\u{fffb}'
                | '\u{e0000}'..='\u{e007f}'
        )
}

/// At most [`CELL_CHARACTERS`], the last one an ellipsis where something was cut off.
fn shortened(mut text: String) -> String {
    if let Some((last, _)) = text.char_indices().nth(CELL_CHARACTERS - 1)
        && text[last..].chars().nth(1).is_some()
    {
        text.truncate(last);
        text.push('\u{2026}');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_without_content_are_left_out_and_numbers_stand_on_the_right() {
        let mut table = Table::new([
            Column::Text("team".into()),
            Column::Text("project".into()),
            Column::Number("requests".into()),
        ]);
        assert_eq!(table.text(), "TEAM  PROJECT  REQUESTS\n");
        table.row(vec!["red".into(), String::new(), "5".into()]);
        table.row(vec!["yellow".into(), String::new(), "1200".into()]);
        assert_eq!(table.text(), "TEAM    REQUESTS\nred            5\nyellow      1200\n");
    }

    #[test]
    fn names_do_not_move_the_cursor() {
        assert_eq!(visible("a\u{1b}[2Jb\r\n\u{9b}"), "a\\u{1b}[2Jb\\r\\n\\u{9b}");
        assert_eq!(visible("a\u{202e}b\u{2066}"), "a\\u{202e}b\\u{2066}");
        for unseen in "\u{7f}\u{80}\u{9f}\u{200b}\u{200f}\u{2028}\u{2029}\u{202a}\u{2069}\u{feff}".chars() {
            assert_eq!(visible(&unseen.to_string()), format!("\\u{{{:x}}}", u32::from(unseen)));
        }
        assert_eq!(visible("gr\u{fc}n \u{6f22}\u{2010}"), "gr\u{fc}n \u{6f22}\u{2010}");
    }

    #[test]
    fn long_cells_are_cut() {
        let shown = |length: usize| {
            let mut table = Table::new([Column::Text("n".into())]);
            table.row(vec!["\u{fc}".repeat(length)]);
            table.text()
        };
        assert_eq!(shown(64), format!("N\n{}\n", "\u{fc}".repeat(64)));
        assert_eq!(shown(65), format!("N\n{}\u{2026}\n", "\u{fc}".repeat(63)));
    }
}
