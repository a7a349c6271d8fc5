//! Columns that line up, and text from elsewhere made harmless for a terminal.

use std::fmt;

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

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
        cells.map(|cell| cell.width()).fold(title, usize::max)
    }
}

impl Column {
    fn title(self) -> &'static str {
        match self {
            Column::Left(title) | Column::Right(title) => title,
        }
    }
}

/// Columns are not made narrower than this.
const NARROWEST: usize = 12;

/// Between two columns.
const GAP: usize = 2;

impl Table {
    /// For a terminal of this width, where there is one: cells of the widest columns go on in further
    /// lines, as a terminal that breaks lines by itself breaks columns too. Columns for which that does
    /// not make enough room follow below, beside the first one again.
    pub fn within(&self, width: Option<usize>) -> String {
        let limit = width.unwrap_or(usize::MAX);
        let parts = self.parts(limit);
        let parts = parts.iter().map(|part| self.part(part, limit));
        parts.collect::<Vec<_>>().join("\n")
    }

    /// Which columns stand beside each other: as many as fit when they are as narrow as they may be.
    fn parts(&self, limit: usize) -> Vec<Vec<usize>> {
        let mut parts = Vec::new();
        let mut part = vec![0];
        for at in 1..self.columns.len() {
            part.push(at);
            if part.len() > 2 && across(&self.widths(&part, limit)) > limit {
                part.pop();
                parts.push(std::mem::replace(&mut part, vec![0, at]));
            }
        }
        parts.push(part);
        parts
    }

    fn part(&self, part: &[usize], limit: usize) -> String {
        let widths = self.widths(part, limit);
        let titles: Vec<_> = self.columns.iter().map(|c| c.title().to_owned()).collect();
        let rows = std::iter::once(&titles).chain(&self.rows);
        rows.map(|row| self.lines(row, part, &widths)).collect()
    }

    fn widths(&self, part: &[usize], limit: usize) -> Vec<usize> {
        let mut widths: Vec<usize> = part.iter().map(|at| self.width(*at)).collect();
        while across(&widths) > limit {
            let may_shrink = |place: &usize| matches!(self.columns[part[*place]], Column::Left(_));
            let left = (0..widths.len()).filter(may_shrink);
            match left.max_by_key(|place| widths[*place]) {
                Some(widest) if widths[widest] > NARROWEST => widths[widest] -= 1,
                _ => break,
            }
        }
        widths
    }

    fn lines(&self, row: &[String], part: &[usize], widths: &[usize]) -> String {
        let cells = part.iter().zip(widths);
        let cells: Vec<_> = cells
            .map(|(at, width)| broken(cell(row, *at), *width))
            .collect();
        let most = cells.iter().map(Vec::len).max().unwrap_or_default();
        let line = |number: usize| {
            let mut line = String::new();
            for ((cell, at), width) in cells.iter().zip(part).zip(widths) {
                let text = cell.get(number).map_or("", String::as_str);
                let blank = " ".repeat(width.saturating_sub(text.width()));
                line += &match self.columns[*at] {
                    Column::Left(_) => format!("{text}{blank}  "),
                    Column::Right(_) => format!("{blank}{text}  "),
                };
            }
            line.trim_end().to_owned() + "\n"
        };
        (0..most).map(line).collect()
    }
}

fn cell(row: &[String], at: usize) -> &str {
    row.get(at).map_or("", String::as_str)
}

/// Columns of the terminal that columns of a table take.
fn across(widths: &[usize]) -> usize {
    widths.iter().sum::<usize>() + GAP * widths.len().saturating_sub(1)
}

/// Into lines of this width, between words where there are any.
fn broken(text: &str, width: usize) -> Vec<String> {
    if text.width() <= width {
        return vec![text.to_owned()];
    }
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let line = lines.last_mut().expect("it begins with one");
        let (has, needs) = (line.width(), word.width());
        if has > 0 && has + 1 + needs <= width {
            *line += " ";
            *line += word;
            continue;
        }
        let mut rest = word;
        while !rest.is_empty() {
            // A letter that is wider than the line is no reason to go on for ever.
            let first = rest.chars().next().map_or(0, char::len_utf8);
            let (piece, more) = rest.split_at(cut(rest, width).len().max(first));
            lines.push(piece.to_owned());
            rest = more;
        }
    }
    lines.retain(|line: &String| !line.is_empty());
    lines
}

/// As much of it as takes no more columns of a terminal than that: some letters take two, some none.
pub fn cut(text: &str, columns: usize) -> &str {
    let mut taken = 0;
    let end = text.char_indices().find(|(_, letter)| {
        taken += letter.width().unwrap_or(0);
        taken > columns
    });
    end.map_or(text, |(at, _)| &text[..at])
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.within(None))
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

/// Lines no longer than the terminal's width, where there is one: broken between words, each part as
/// far to the right as the whole.
pub fn folded(text: &str, width: Option<usize>) -> String {
    let Some(width) = width else {
        return text.to_owned();
    };
    let mut out = String::new();
    for line in text.lines() {
        let indent = &line[..line.len() - line.trim_start_matches(' ').len()];
        let room = width.saturating_sub(indent.len()).max(1);
        for part in broken(line.trim_start_matches(' '), room) {
            out += &format!("{indent}{part}\n");
        }
    }
    out
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

    /// Names from half of the world take two columns a letter, and some signs none.
    #[test]
    fn letters_take_the_columns_that_a_terminal_gives_them() {
        let mut table = Table::new([Column::Left("name"), Column::Right("ms")]);
        table.row(["文本嵌入模型", "1"]);
        table.row(["e\u{301}te\u{301}", "12"]);
        table.row(["abc", "7"]);
        let want = "name          ms\n文本嵌入模型   1\ne\u{301}te\u{301}           12\nabc            7\n";
        assert_eq!(table.to_string(), want);
        assert_eq!(broken("文本嵌入模型", 5), ["文本", "嵌入", "模型"]);
        assert_eq!(broken("文本", 1), ["文", "本"]);
        let cuts = [0, 1, 2, 3, 9].map(|columns| cut("a文b", columns));
        assert_eq!(cuts, ["", "a", "a", "a文", "a文b"]);
    }

    #[test]
    fn a_narrow_terminal_gets_cells_of_several_lines() {
        let columns = [
            Column::Left("check"),
            Column::Left("what"),
            Column::Right("ms"),
        ];
        let mut table = Table::new(columns);
        table.row(["P1", "weights loaded, checksum right", "12.5"]);
        table.row(["P2", "/a/path/without/any/space", "1"]);
        let want = "check  what            ms\n\
                    P1     weights       12.5\n       loaded,\n       checksum\n       right\n\
                    P2     /a/path/with     1\n       out/any/spac\n       e\n";
        assert_eq!(table.within(Some(25)), want);
        assert_eq!(table.within(Some(80)), table.to_string());
        // Narrower than columns may become: the terminal breaks lines itself.
        assert_eq!(table.within(Some(1)), table.within(Some(10)));
    }

    #[test]
    fn columns_without_room_follow_below_the_first_one_again() {
        let numbers = ["p50", "p95", "p99"].map(Column::Right);
        let mut table = Table::new([&[Column::Left("part")], &numbers[..]].concat());
        table.row(["whole", "12.5 ms", "80.0 ms", "1.25 s"]);
        table.row(["burst", "13.0 ms", "2.00 s", "3.00 s"]);
        let want = "part       p50      p95\nwhole  12.5 ms  80.0 ms\nburst  13.0 ms   2.00 s\n\n\
                    part      p99\nwhole  1.25 s\nburst  3.00 s\n";
        assert_eq!(table.within(Some(23)), want);
        assert_eq!(table.within(Some(30)), want);
        assert_eq!(table.within(Some(31)), table.to_string());
    }

    #[test]
    fn sentences_are_broken_between_words() {
        let text = "why: 41.2 a second\n\n  two words\n";
        let want = "why: 41.2 a\nsecond\n\n  two words\n";
        assert_eq!(folded(text, Some(11)), want);
        let narrow = "why:\n41.2 a\nsecond\n\n  two\n  words\n";
        assert_eq!(folded(text, Some(8)), narrow);
        assert_eq!(folded(text, Some(80)), text);
        assert_eq!(folded(text, None), text);
    }
}
