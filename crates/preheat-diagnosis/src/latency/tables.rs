//! Tables of what requests took, a row for each request or for each span of time: with commas, bars or
//! blanks between their columns.

use super::timed::is_of_others;
use crate::breakdown::{SHORTEST_MS, made};
use crate::line::amount::amounts;
use crate::line::list::{List, begins};
use crate::line::text::normal;
use crate::rules::Part;

/// Names longer than this are sentences.
const LONGEST: usize = 28;

/// So many columns of parts are kept.
const PARTS: usize = 4;

/// More columns are no table of requests.
const MOST: usize = 24;

/// Names of columns with the time of one request.
const TIMES: [&str; 18] = [
    "latency",
    "duration",
    "elapsed",
    "response time",
    "request time",
    "total time",
    "total ms",
    "total s",
    "all ms",
    "took",
    "time taken",
    "time",
    "wall",
    "seconds",
    "secs",
    "ttft",
    "e2e",
    "ms",
];

/// Names of columns beside it, in a table with a row for each request.
const BESIDE: [&str; 27] = [
    "#",
    "n",
    "no",
    "nr",
    "i",
    "req",
    "request",
    "iteration",
    "run",
    "call",
    "status",
    "code",
    "iter",
    "hit",
    "shot",
    "query",
    "prompt",
    "path",
    "endpoint",
    "url",
    "method",
    "attempt",
    "sample",
    "seq",
    "route",
    "label",
    "http",
];

/// Names of columns with how long an input is.
const LENGTHS: [&str; 16] = [
    "tokens",
    "src tokens",
    "input tokens",
    "prompt tokens",
    "n tokens",
    "seq len",
    "seqlen",
    "sequence length",
    "length",
    "len",
    "input len",
    "prompt len",
    "input length",
    "prompt length",
    "padded to",
    "padded",
];

/// Words of columns that tell whether a shape was run before: their heads speak of warm-up, and their
/// rows of requests.
const COVERED: [&str; 9] = [
    "warmed",
    "warm",
    "prewarmed",
    "covered",
    "precompiled",
    "captured",
    "in plan",
    "in warmup",
    "compiled before",
];

/// Names of columns with what most of several took, the surest first.
const OF_SEVERAL: [&str; 14] = [
    "p95", "95%", "p99", "99%", "p90", "90%", "max", "avg", "mean", "p50", "50%", "median", "med",
    "average",
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sign {
    Bar,
    Comma,
    Semicolon,
    Blank,
}

/// What one row tells.
#[derive(Debug, PartialEq)]
pub(super) enum Row {
    /// What one request took.
    One(f64),
    /// What most of several took.
    Several(f64),
    /// A line between others.
    Rule,
}

/// A table whose head was read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Table {
    sign: Sign,
    columns: usize,
    /// The column with the times.
    times: usize,
    /// What a number without a unit is worth.
    factor: Option<f64>,
    is_of_several: bool,
    length: Option<usize>,
    /// Columns with what a part of a start took.
    parts: [Option<(Part, usize)>; PARTS],
    pub(super) stream: u32,
}

impl Table {
    /// Whether a line may be a head: most hold what none does, and to tell that is cheap.
    pub(super) fn may_be(line: &str) -> bool {
        static LIST: List = List::new(&[&TIMES, &OF_SEVERAL]);
        line.len() <= LONGEST * MOST
            && !is_told(
                line.strip_prefix("#Fields:")
                    .unwrap_or(line)
                    .trim_start_matches('"'),
            )
            && LIST.begins_in(line)
    }

    /// None if a line is no head with a column of times.
    pub(super) fn of(line: &str, stream: u32) -> Option<Self> {
        let line = line.to_ascii_lowercase().replace('"', "");
        // As IIS and CloudFront name their columns.
        let line = line.strip_prefix("#fields: ").unwrap_or(&line);
        let sign = sign(line);
        let mut names = cells(line, sign);
        for name in &mut names {
            let bare = name
                .strip_prefix("cs-")
                .or_else(|| name.strip_prefix("sc-"));
            *name = bare.unwrap_or(name).to_owned();
        }
        let is_head = (2..=MOST).contains(&names.len()) && names.iter().all(|name| is_name(name));
        if !is_head {
            return None;
        }
        let column = |word: &&str| {
            let mut names = names.iter();
            names.position(|name| is_called(name, word))
        };
        let several = OF_SEVERAL.iter().filter(|word| column(word).is_some());
        let (is_of_several, times) = match several.clone().count() {
            0 => (false, TIMES.iter().find_map(column)?),
            1 if sign == Sign::Blank => return None,
            _ => (true, several.into_iter().find_map(column)?),
        };
        let name = &names[times];
        let is_beside = |name: &String| BESIDE.iter().any(|word| is_called(name, word));
        let is_plain = name.starts_with("latency") || name.starts_with("response");
        let is_other = || {
            let is_part = |name: &str| made(&normal(name)).is_some();
            let mut told = names
                .iter()
                .filter(|name| !tells_cover(name) && !is_part(name));
            told.any(|name| is_of_others(name))
        };
        let is_of_requests = || (is_plain || names.iter().any(is_beside)) && !is_other();
        if !is_of_several && !is_of_requests() {
            return None;
        }
        let unit = normal(name);
        let mut units = unit.split(|c: char| !c.is_ascii_alphanumeric());
        let factor = units.find_map(|unit| match unit {
            "ms" => Some(1.0),
            "s" | "sec" | "secs" | "seconds" => Some(1e3),
            _ => None,
        });
        Some(Table {
            sign,
            columns: names.len(),
            times,
            factor,
            is_of_several,
            length: LENGTHS.iter().find_map(column),
            parts: parts(&names),
            stream,
        })
    }

    /// What parts of a start took that a row's request did.
    pub(super) fn parts(&self, line: &str) -> Vec<(Part, f64)> {
        let cells = cells(line, self.sign);
        let mut told = Vec::new();
        for (part, column) in self.parts.into_iter().flatten() {
            let at = cells.len().checked_sub(self.columns - column);
            let ms = at.and_then(|at| self.time(cells.get(at)?));
            told.extend(ms.filter(|ms| *ms >= SHORTEST_MS).map(|ms| (part, ms)));
        }
        told
    }

    /// How long an input was, where a column tells that.
    pub(super) fn length(&self, line: &str) -> Option<u64> {
        let from_end = self.columns - self.length?;
        let cells = cells(line, self.sign);
        cells.get(cells.len().checked_sub(from_end)?)?.parse().ok()
    }

    /// None if a line is no row, so that the table has ended.
    pub(super) fn row(&self, line: &str) -> Option<Row> {
        if line.chars().all(|c| "|-+=: ".contains(c)) {
            return Some(Row::Rule);
        }
        let line = line.to_ascii_lowercase();
        let cells = cells(&line, self.sign);
        // Whoever collects lines may put some columns in front.
        let from_end = self.columns - self.times;
        let at = cells.len().checked_sub(from_end)?;
        let is_row = match self.sign {
            Sign::Blank | Sign::Bar => cells.len() == self.columns,
            Sign::Comma | Sign::Semicolon => true,
        };
        let cell = cells.get(at).filter(|_| is_row)?;
        let ms = self.time(cell)?;
        Some(match self.is_of_several {
            true => Row::Several(ms),
            false => Row::One(ms),
        })
    }

    fn time(&self, cell: &str) -> Option<f64> {
        let told = amounts(&normal(cell)).first().map(|amount| amount.ms);
        told.or_else(|| self.bare(cell))
    }

    fn bare(&self, cell: &str) -> Option<f64> {
        let number: f64 = cell.trim_matches('"').parse().ok()?;
        let is_short = cell.contains('.') && number < 100.0;
        let factor = self.factor.unwrap_or(if is_short { 1e3 } else { 1.0 });
        (number.is_finite() && number >= 0.0).then_some(number * factor)
    }
}

/// Whether a line tells something, and names no columns alone.
fn is_told(line: &str) -> bool {
    let is_quoted = line.contains("\",\"");
    line.bytes()
        .any(|byte| b":=\"{[".contains(&byte) && !(is_quoted && byte == b'"'))
}

fn sign(line: &str) -> Sign {
    match line {
        line if line.matches('|').count() >= 2 => Sign::Bar,
        line if line.contains(',') => Sign::Comma,
        line if line.contains(';') => Sign::Semicolon,
        _ => Sign::Blank,
    }
}

fn cells(line: &str, sign: Sign) -> Vec<String> {
    let split = |by: char| {
        let line = line.trim().trim_matches(by);
        line.split(by).map(|cell| cell.trim().to_owned()).collect()
    };
    match sign {
        Sign::Bar => split('|'),
        Sign::Comma => split(','),
        Sign::Semicolon => split(';'),
        Sign::Blank => {
            let mut cells: Vec<String> = Vec::new();
            for word in line.split_whitespace() {
                // `time (s)`, `8.1 s`
                let is_of_last = word.starts_with('(')
                    || (matches!(word, "ms" | "s" | "sec" | "%")
                        && cells.last().is_some_and(|last| last.parse::<f64>().is_ok()));
                match cells.last_mut().filter(|_| is_of_last) {
                    Some(last) => last.extend([" ", word]),
                    None => cells.push(word.to_owned()),
                }
            }
            cells
        }
    }
}

/// Columns that are called like what a start does: `jit_ms`, `model_load_ms`.
fn parts(names: &[String]) -> [Option<(Part, usize)>; PARTS] {
    let named = names.iter().enumerate();
    let mut named = named.filter_map(|(column, name)| Some((made(&normal(name))?, column)));
    std::array::from_fn(|_| named.next())
}

/// Whether a head may have this name: no figure, and no field with its value.
fn is_name(name: &str) -> bool {
    let mut known = OF_SEVERAL.iter().chain(&TIMES);
    let is_of_several = known.any(|word| is_called(name, word));
    let bare = name.trim_end_matches('%');
    let is_share = name.ends_with('%') && bare.parse::<f64>().is_ok();
    !name.is_empty()
        && name.len() <= LONGEST
        && (is_of_several || is_share || !name.contains(|c: char| c.is_ascii_digit()))
        && !name.contains([':', '=', '"', '{', '['])
}

fn tells_cover(name: &str) -> bool {
    let name = name.replace(['_', '-'], " ");
    let mut words = COVERED.iter();
    words.any(|word| name.ends_with(word) && begins(&name, name.len() - word.len()))
}

fn is_called(name: &str, word: &str) -> bool {
    let name = name.replace(['_', '-'], " ");
    name == word
        || name.strip_prefix(word).is_some_and(|rest| {
            rest.starts_with(|c: char| !c.is_ascii_alphanumeric() && c != '.') || rest == "s"
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_of_times_are_found_by_their_names() {
        for (head, row, want) in [
            ("| # | latency (ms) |", "| 1 | 9120 |", Row::One(9120.0)),
            ("n,status,latency_ms", "1,200,8120", Row::One(8120.0)),
            ("run  status  time (s)", "1  200  8.1", Row::One(8100.0)),
            ("request | time | x", "1 | 71 ms | y", Row::One(71.0)),
            ("minute  p50  p95", "0  1.2s  6.8s", Row::Several(6800.0)),
            (
                "\"Time\",\"p50\",\"p95\"",
                "2026-03-01 10:00:00,2.1 s,9.8 s",
                Row::Several(9800.0),
            ),
            (
                "#Fields: date time cs-method cs-uri-stem sc-status time-taken",
                "2026-03-01 10:00:05 POST /ner 200 8121",
                Row::One(8121.0),
            ),
            (
                "Timestamp,Name,50%,95%,100%",
                "1760954401,/x,212,230,241",
                Row::Several(230.0),
            ),
        ] {
            let table = Table::of(head, 1).expect(head);
            assert_eq!(table.row(row), Some(want), "{head}");
        }
        let table = Table::of("n,src_tokens,ms,bucket_warmed", 1).expect("a head");
        assert_eq!(table.length("2,300,9000,no"), Some(300));
        for head in [
            "total  used  free",
            "NAME  READY  STATUS  RESTARTS  AGE",
            "epoch  loss  time",
            "latency=41 status=200",
            "INFO server took over",
        ] {
            assert!(Table::of(head, 1).is_none(), "{head}");
        }
    }
}
