//! Tables of requests with a column that tells whether their shape had been run before anybody asked.

/// Names of such a column: the shape was warm where it says yes.
const COVERED: [&str; 18] = [
    "warmed",
    "prewarmed",
    "covered",
    "in warmup",
    "in warm up",
    "in plan",
    "precompiled",
    "warm list",
    "warm up plan",
    "warmup plan",
    "rehearsed",
    "slot warm",
    "bucket warm",
    "shape warm",
    "was warm",
    "existed",
    "seen before",
    "practised",
];

/// Longer lines are no heads.
const LONGEST: usize = 240;

const SIGNS: [char; 4] = ['|', ',', ';', '\t'];

#[derive(Debug, Default)]
pub(super) struct Covered {
    /// How columns are parted, and where that column stands, from the end.
    table: Option<(char, usize)>,
    /// Some shapes were covered.
    has_yes: bool,
    has_no: bool,
}

impl Covered {
    /// Takes a normalised line in; true if it is a row of a request whose shape was not covered, in a table
    /// where others were, or the row that shows that others were.
    pub(super) fn take(&mut self, text: &str) -> bool {
        if let Some(table) = head(text) {
            *self = Covered {
                table: Some(table),
                ..Covered::default()
            };
            return false;
        }
        let Some((sign, from_end)) = self.table else {
            return false;
        };
        if !text.contains(sign) {
            self.table = None;
            return false;
        }
        let text = text.trim_matches(['|', ' ']);
        let cell = text.rsplit(sign).nth(from_end).map(str::trim);
        let is_known = (self.has_yes, self.has_no);
        match cell.unwrap_or_default() {
            "yes" | "true" | "y" | "1" | "warm" => self.has_yes = true,
            "no" | "false" | "n" | "0" | "cold" => self.has_no = true,
            _ => {}
        }
        self.has_yes && self.has_no && is_known != (true, true)
    }
}

/// None if a line is no head with such a column.
fn head(text: &str) -> Option<(char, usize)> {
    let has_digits = || text.bytes().any(|byte| byte.is_ascii_digit());
    // Most lines have digits, which is cheaper to tell than that they have no such name.
    if text.len() > LONGEST || has_digits() || !COVERED.iter().any(|name| text.contains(name)) {
        return None;
    }
    let sign = SIGNS
        .into_iter()
        .find(|sign| text.matches(*sign).count() >= 2)?;
    let is_name = |cell: &str| {
        let cell = cell.trim().trim_end_matches('?');
        COVERED.iter().any(|name| cell.ends_with(name)) && !cell.contains("not ")
    };
    let text = text.trim_matches(['|', ' ']);
    let mut cells = text.rsplit(sign);
    let is_short = text.split(sign).all(|cell| cell.len() <= 28);
    cells
        .position(is_name)
        .filter(|_| is_short)
        .map(|at| (sign, at))
}

#[cfg(test)]
mod tests {
    use super::super::line::text::normal;
    use super::*;

    fn names_a_gap(lines: &[&str]) -> bool {
        let mut covered = Covered::default();
        lines.iter().any(|line| covered.take(&normal(line)))
    }

    #[test]
    fn rows_tell_which_shapes_were_not_run_before() {
        assert!(names_a_gap(&[
            "tokens,latency_ms,bucket_warmed",
            "61,14.1,yes",
            "1803,3911.7,no"
        ]));
        assert!(names_a_gap(&[
            "| size | in plan? | ms |",
            "|---|---|---|",
            "| 640 | false | 900 |",
            "| 320 | true | 9 |"
        ]));
    }

    #[test]
    fn other_tables_tell_nothing_of_it() {
        assert!(!names_a_gap(&[
            "tokens,latency_ms,bucket_warmed",
            "61,14.1,yes",
            "120,15.0,yes"
        ]));
        assert!(!names_a_gap(&[
            "tokens,latency_ms,cached",
            "61,14.1,yes",
            "120,15.0,no"
        ]));
        assert!(!names_a_gap(&["a, b, not warmed", "1,2,no", "1,2,yes"]));
        assert!(!names_a_gap(&[
            "one,two,warmed",
            "a sentence",
            "1,2,no",
            "1,2,yes"
        ]));
    }
}
