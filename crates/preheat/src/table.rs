//! Columns that line up, and text from elsewhere made harmless for a terminal.

use std::fmt;

/// A column's title, and the side on which its cells line up.
#[derive(Debug, Clone, Copy)]
pub enum Column {
    Left(&'static str),
    Right(&'static str),
}

/// Rows under a header.
#[derive(Debug)]
pub struct Table {
    columns: Vec<Column>,
    rows: Vec<Vec<String>>,
}

impl Table {
    pub fn new(columns: impl Into<Vec<Column>>) -> Self {
        Table {
            columns: columns.into(),
            rows: Vec::new(),
        }
    }

    pub fn row<const N: usize>(&mut self, cells: [&str; N]) {
        self.rows.push(cells.map(plain).to_vec());
    }

    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    fn width(&self, at: usize) -> usize {
        let title = self.columns[at].title().len();
        let cells = self.rows.iter().filter_map(|row| row.get(at));
        cells.map(|c| c.chars().count()).fold(title, usize::max)
    }
}

impl Column {
    fn title(self) -> &'static str {
        match self {
            Column::Left(title) | Column::Right(title) => title,
        }
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let widths: Vec<usize> = (0..self.columns.len()).map(|at| self.width(at)).collect();
        let titles = self.columns.iter().map(|c| c.title().to_owned()).collect();
        for row in std::iter::once(&titles).chain(&self.rows) {
            let mut line = String::new();
            for ((cell, column), width) in row.iter().zip(&self.columns).zip(&widths) {
                line += &match column {
                    Column::Left(_) => format!("{cell:<width$}  "),
                    Column::Right(_) => format!("{cell:>width$}  "),
                };
            }
            writeln!(f, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

/// Without what moves a cursor, changes a colour or turns the reading direction.
pub fn plain(text: &str) -> String {
    let is_harmless = |c: char| {
        !c.is_control() && !matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    text.chars()
        .map(|c| if is_harmless(c) { c } else { '\u{fffd}' })
        .collect()
}

/// As [`plain`], of text that may have several lines.
pub fn plain_lines(text: &str) -> String {
    text.lines().map(plain).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_whatever_is_in_them() {
        let mut table = Table::new([Column::Left("name"), Column::Right("ms"), Column::Left("x")]);
        table.row(["µ", "1", ""]);
        table.row(["evil\x1b[2J\u{202e}", "12345", "y"]);
        let want = "name          ms  x\nµ              1\nevil\u{fffd}[2J\u{fffd}  12345  y\n";
        assert_eq!(table.to_string(), want);
    }
}
