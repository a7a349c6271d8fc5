//! Tables of what the first request of each case took beside steady ones, as `preheat probe` prints them.

use super::series::{RATIO, SLACK_MS};
use crate::line::amount::amounts;
use crate::line::text::normal;

/// A table whose head was read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Diff {
    first: usize,
    steady: usize,
    columns: usize,
    pub(super) stream: u32,
}

impl Diff {
    /// None if a line is no head of one.
    pub(super) fn of(line: &str, stream: u32) -> Option<Self> {
        if !(line.contains("first ") && line.contains("steady ")) {
            return None;
        }
        let names: Vec<&str> = cells(line).collect();
        let column = |name: &str| names.iter().position(|column| *column == name);
        // What a start ran for itself is nobody's request.
        let is_of_a_start = column("path").is_some() || column("shape").is_some();
        Some(Diff {
            first: column("first").filter(|_| !is_of_a_start)?,
            steady: column("steady")?,
            columns: names.len(),
            stream,
        })
    }

    /// What a row's first request took, and steady ones; none where the table has ended.
    pub(super) fn row(&self, line: &str) -> Option<(f64, f64)> {
        let cells: Vec<&str> = cells(line).collect();
        let ms = |at: usize| {
            let told = amounts(&normal(cells.get(at)?));
            Some(told.first()?.ms)
        };
        let both = ms(self.first).zip(ms(self.steady));
        both.filter(|_| cells.len() == self.columns)
    }
}

/// Whether a case was cold.
pub(super) fn is_slow(first: f64, steady: f64) -> bool {
    first >= RATIO * steady && first - steady >= SLACK_MS
}

/// Parted by two blanks at least.
fn cells(line: &str) -> impl Iterator<Item = &str> {
    line.split("  ")
        .map(str::trim)
        .filter(|cell| !cell.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_of_a_probe_is_read() {
        let head = "case     first   steady    ratio              95 %    fresh  now";
        let diff = Diff::of(head, 1).expect("a head");
        let row = "short   4.94 s  14.6 ms  337.19x  306.20 to 358.20  13.7 ms  warm";
        assert_eq!(diff.row(row), Some((4940.0, 14.6)));
        assert_eq!(diff.row("it is warm now"), None);
        let own = "case  shape  path      first  rounds   steady  ratio  output";
        assert!(Diff::of(own, 1).is_none());
        assert!(is_slow(4940.0, 14.6) && !is_slow(90.0, 20.0));
    }
}
