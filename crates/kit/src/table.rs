//! Tables for people.

use comfy_table::{Cell, CellAlignment, Table as Grid};

/// A table of text. What comes from outside may stand in it: control characters are shown as escapes, so that a
/// name can not move the cursor of whoever reads it.
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
        self.rows.push(cells.iter().map(|cell| visible(cell)).collect());
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

/// The text with every control character as an escape.
pub(crate) fn visible(text: &str) -> String {
    let escape = |c: char| {
        let keep = (!c.is_control()).then_some(c);
        keep.into_iter().chain(c.escape_default().filter(move |_| keep.is_none()))
    };
    text.chars().flat_map(escape).collect()
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
        assert_eq!(visible("gr\u{fc}n"), "gr\u{fc}n");
    }
}
