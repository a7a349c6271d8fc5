//! A block of lines at the bottom of a terminal, redrawn in place.
//!
//! The cursor is parked above the block between two drawings. A line that someone else writes, a
//! log line for example, therefore lands above it, and nobody has to be told of the block.

use std::io::{IsTerminal, Write, stdout};

use terminal_size::{Height, Width, terminal_size};

use crate::surroundings;
use crate::table::cut;

/// What a terminal can show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Look {
    pub colour: bool,
    pub utf8: bool,
}

/// How far a line's subject is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    Todo,
    Now,
    Done,
    Failed,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    pub mark: Option<Mark>,
    pub text: String,
}

/// Columns of a bar.
const BAR: usize = 18;

/// Whether lines may be redrawn on this stream: someone looks at it, and it can move its cursor.
pub fn is_live(stream: &impl IsTerminal) -> bool {
    stream.is_terminal() && !surroundings::plain_output()
}

impl Look {
    pub fn here() -> Self {
        Look {
            colour: !surroundings::no_color(),
            utf8: surroundings::utf8(),
        }
    }

    /// A bar of fixed width, `done` of `of`.
    pub fn bar(self, done: u64, of: u64) -> String {
        let share = done.min(of) as f64 / of.max(1) as f64;
        let full = (share * BAR as f64) as usize;
        let (filled, empty) = if self.utf8 {
            ("█", "░")
        } else {
            ("#", ".")
        };
        filled.repeat(full) + &empty.repeat(BAR - full)
    }

    fn mark(self, mark: Mark) -> String {
        let (utf8, ascii, colour) = match mark {
            Mark::Todo => ("·", ".", "2"),
            Mark::Now => ("▶", ">", "36"),
            Mark::Done => ("✓", "+", "32"),
            Mark::Failed => ("✗", "x", "31"),
        };
        let sign = if self.utf8 { utf8 } else { ascii };
        match self.colour {
            true => format!("\x1b[{colour}m{sign}\x1b[0m"),
            false => sign.into(),
        }
    }

    /// Cut at the width: a line that wraps would be two.
    fn line(self, line: &Line, width: usize) -> String {
        match line.mark {
            Some(mark) => format!(" {} {}", self.mark(mark), cut(&line.text, width.max(4) - 3)),
            None => cut(&line.text, width).to_owned(),
        }
    }
}

/// The block on one stream.
#[derive(Debug)]
pub struct Block<W> {
    out: W,
    look: Look,
}

impl<W: Write> Block<W> {
    pub fn new(out: W, look: Look) -> Self {
        Block { out, look }
    }

    pub fn look(&self) -> Look {
        self.look
    }

    /// Replaces what is shown. Of more lines than the terminal has, the last ones are.
    pub fn draw(&mut self, lines: &[Line]) {
        let (width, height) = size();
        let shown = &lines[lines.len().saturating_sub(height - 1)..];
        let mut text = String::from("\r\x1b[J");
        for line in shown {
            text += "\n";
            text += &self.look.line(line, width);
        }
        if !shown.is_empty() {
            text += &format!("\r\x1b[{}A", shown.len());
        }
        self.write(&text);
    }

    /// Replaces what is shown by lines that stay, and goes on below them.
    pub fn leave(&mut self, lines: &[Line]) {
        let mut text = String::from("\r\x1b[J");
        for line in lines {
            text += &self.look.line(line, usize::MAX);
            text += "\n";
        }
        self.write(&text);
    }

    fn write(&mut self, text: &str) {
        // A closed stream has nobody who looks.
        let _ = self
            .out
            .write_all(text.as_bytes())
            .and_then(|()| self.out.flush());
    }
}

/// Of the terminal that standard output goes to, if it does.
pub fn columns() -> Option<usize> {
    stdout().is_terminal().then(|| size().0)
}

/// Columns and rows; those of old where the terminal does not say.
fn size() -> (usize, usize) {
    let (Width(width), Height(height)) = terminal_size().unwrap_or((Width(80), Height(24)));
    (usize::from(width).max(1), usize::from(height).max(2))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(texts: &[(Option<Mark>, &str)]) -> Vec<Line> {
        let line = |&(mark, text): &(Option<Mark>, &str)| Line {
            mark,
            text: text.into(),
        };
        texts.iter().map(line).collect()
    }

    fn written(look: Look, act: impl FnOnce(&mut Block<&mut Vec<u8>>)) -> String {
        let mut out = Vec::new();
        act(&mut Block::new(&mut out, look));
        String::from_utf8(out).unwrap()
    }

    const ASCII: Look = Look {
        colour: false,
        utf8: false,
    };
    const RICH: Look = Look {
        colour: true,
        utf8: true,
    };

    #[test]
    fn the_cursor_waits_above_the_block_and_leaves_below_it() {
        let block = lines(&[(None, "head"), (Some(Mark::Now), "load")]);
        let drawn = written(ASCII, |b| b.draw(&block));
        assert_eq!(drawn, "\r\x1b[J\nhead\n > load\r\x1b[2A");
        let left = written(RICH, |b| b.leave(&block));
        assert_eq!(left, "\r\x1b[Jhead\n \x1b[36m▶\x1b[0m load\n");
    }

    #[test]
    fn a_line_never_wraps() {
        let long = "x".repeat(5000);
        let drawn = written(ASCII, |b| b.draw(&lines(&[(Some(Mark::Done), &long)])));
        let (width, _) = size();
        let line = drawn.split(['\n', '\r']).find(|l| l.contains('x')).unwrap();
        assert_eq!(line.chars().count(), width);
    }

    #[test]
    fn bars_are_empty_full_and_never_more() {
        let bars = [(0, 4), (2, 4), (9, 4), (0, 0)].map(|(done, of)| ASCII.bar(done, of));
        let hashes = bars.map(|bar| (bar.matches('#').count(), bar.len()));
        assert_eq!(hashes, [(0, BAR), (BAR / 2, BAR), (BAR, BAR), (0, BAR)]);
    }
}
