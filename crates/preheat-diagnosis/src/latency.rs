//! What requests took: the first, the steady ones, and percentiles while users did the warm-up.

use std::collections::BTreeMap;

use super::Evidence;
use super::line::amount::{Amount, amounts};

/// Latencies that are kept after the first of a path; enough for a median.
const KEPT: usize = 4096;

/// Paths that are told apart; what asks for more of them is not followed.
const PATHS: usize = 32;

/// Confidence in a first request of which somebody tells.
const FIRST: f64 = 0.9;

/// Words between two figures that make the second the steady one.
const STEADY: [&str; 22] = [
    "steady",
    "against",
    " vs",
    "versus",
    "baseline",
    "normal",
    "back to",
    "settle",
    "usual",
    "compared",
    "from",
    "down to",
    "later",
    "following",
    "thereafter",
    " then",
    " next",
    "2nd",
    "second:",
    "afterwards",
    "since then",
    "warm",
];

/// Words before a figure that make it a span of time, not a latency.
const SPANS: [&str; 9] = [
    "for", "over", "within", "window", "last", "after", "during", "uptime", "past",
];

/// What a line tells of one request or of many.
#[derive(Debug, Clone)]
struct Figure {
    ms: f64,
    evidence: Evidence,
    /// Who wrote the line, by number.
    stream: u32,
}

#[derive(Debug, Default)]
pub(super) struct Latency {
    /// Who writes the lines that come in.
    pub(super) stream: u32,
    first: Option<Figure>,
    steady: Option<f64>,
    /// A median, which says nothing of a percentile beside it.
    typical: Option<f64>,
    high: Option<Figure>,
    /// The newest percentile, when no line says which one is steady.
    newest: Option<f64>,
    /// A client was told to print what each of its requests takes: who.
    client: Option<u32>,
    /// Rows of a table with commas are expected from somebody, with a time in one column.
    csv: Option<(u32, Column)>,
    /// A table is being read: its columns, and the one with the percentile.
    table: Option<Table>,
    /// By what was asked for: one path says nothing of what another takes.
    series: BTreeMap<String, Series>,
}

/// A summary with one row for each interval, as load generators print it.
#[derive(Debug, Clone, Copy)]
struct Table {
    columns: usize,
    percentile: usize,
    stream: u32,
}

/// Where a table with commas has the times, from the right, as time stamps to the left may be taken off.
#[derive(Debug, Clone, Copy)]
struct Column {
    from_end: usize,
    factor_ms: f64,
}

/// `timestamp,code,latency_ms`: names only, and one of them of a time.
fn column_of_times(head: &str) -> Option<Column> {
    const TIMES: [&str; 6] = [
        "latency",
        "duration",
        "elapsed",
        "response time",
        "total time",
        "took",
    ];
    let names: Vec<&str> = head.rsplit(',').map(str::trim).collect();
    let is_name = |name: &&str| {
        !name.is_empty() && name.len() <= 24 && !name.contains(|c: char| c.is_ascii_digit())
    };
    let from_end = names
        .iter()
        .position(|name| TIMES.iter().any(|time| name.starts_with(time)))?;
    if names.len() < 2 || !names.iter().all(is_name) {
        return None;
    }
    let is_seconds = [" s", " sec", " seconds", "(s)"]
        .iter()
        .any(|unit| names[from_end].ends_with(unit));
    let factor_ms = if is_seconds { 1e3 } else { 1.0 };
    Some(Column {
        from_end,
        factor_ms,
    })
}

#[derive(Debug)]
struct Series {
    first: Figure,
    rest: Vec<f64>,
}

/// A first request that was slow.
#[derive(Debug)]
pub(super) struct Slow {
    pub(super) cost_ms: f64,
    pub(super) confidence: f64,
    pub(super) evidence: Evidence,
    pub(super) stream: u32,
}

impl Latency {
    /// A line about a percentile: the highest counts, unless its words make it the steady one.
    pub(super) fn percentile(
        &mut self,
        text: &str,
        at: usize,
        amounts: &[Amount],
        evidence: &Evidence,
    ) {
        let follow = amounts.iter().any(|amount| amount.start >= at);
        for (index, amount) in amounts.iter().enumerate() {
            if is_span(text, amount) || (follow && amount.start < at) {
                continue;
            }
            if is_steady(text, if follow { at } else { 0 }, amounts, index) {
                self.steady(amount.ms);
                continue;
            }
            self.high(amount.ms, evidence);
        }
    }

    /// A line about the first request.
    pub(super) fn first(
        &mut self,
        text: &str,
        after: usize,
        amounts: &[Amount],
        evidence: &Evidence,
    ) {
        for (index, amount) in amounts.iter().enumerate() {
            if amount.start < after || is_span(text, amount) {
                continue;
            }
            if is_steady(text, after, amounts, index) {
                self.steady(amount.ms);
            } else if self.first.is_none() {
                self.first = Some(self.figure(amount.ms, evidence));
            }
        }
    }

    /// The head of a table, with several columns of figures; true if it is one.
    pub(super) fn head(&mut self, text: &str) {
        let columns: Vec<&str> = text.split_whitespace().collect();
        let figures = [
            "p50", "p90", "p95", "p99", "50%", "90%", "95%", "99%", "avg", "mean", "max",
        ];
        let named = columns
            .iter()
            .filter(|column| figures.iter().any(|f| column.starts_with(f)));
        let percentile = ["p95", "95%", "p99", "99%"]
            .iter()
            .find_map(|name| columns.iter().position(|column| column.starts_with(name)));
        self.table = percentile
            .filter(|_| named.count() >= 2)
            .map(|percentile| Table {
                columns: columns.len(),
                percentile,
                stream: self.stream,
            });
    }

    /// Whether rows of a table are expected from whoever writes.
    pub(super) fn expects_a_row(&self) -> bool {
        self.table.is_some_and(|table| table.stream == self.stream)
            || self.client == Some(self.stream)
            || self.csv.is_some_and(|(stream, _)| stream == self.stream)
    }

    /// `curl -w "%{time_total}"`, or the head of a table: what follows are times of requests, one a line.
    pub(super) fn asks(&mut self, text: &str) {
        if text.contains('%') && text.contains("%{time total}") {
            self.client = Some(self.stream);
        }
        let is_head = || !text.bytes().any(|byte| byte.is_ascii_digit());
        if text.contains(',')
            && is_head()
            && let Some(column) = column_of_times(text)
        {
            self.csv = Some((self.stream, column));
        }
    }

    /// A line of nothing but figures, one of which is the seconds that a request took.
    fn printed(&mut self, text: &str, evidence: &Evidence) {
        let words: Vec<&str> = text.split_whitespace().collect();
        let is_seconds = |word: &&str| {
            let fraction = word.split_once('.').map(|(_, fraction)| fraction);
            fraction.is_some_and(|f| f.len() >= 3 && f.bytes().all(|b| b.is_ascii_digit()))
        };
        let told = words.iter().rev().copied().find(is_seconds);
        let seconds = told.and_then(|told| told.parse::<f64>().ok());
        match seconds.filter(|_| words.len() <= 4) {
            Some(seconds) => self.request("\u{2}", seconds * 1e3, evidence),
            None => self.client = None,
        }
    }

    /// A row of a table, which ends with the first line that is none.
    pub(super) fn row(&mut self, text: &str, evidence: &Evidence) {
        if self.client == Some(self.stream) {
            self.printed(text, evidence);
        }
        if let Some((_, column)) = self.csv.filter(|(stream, _)| *stream == self.stream) {
            self.of_csv(text, column, evidence);
        }
        let Some(table) = self.table.filter(|table| table.stream == self.stream) else {
            return;
        };
        let columns: Vec<&str> = text.split_whitespace().collect();
        let told = columns
            .get(table.percentile)
            .filter(|_| columns.len() == table.columns);
        let told = told.and_then(|column| {
            let amount = amounts(column).first().map(|amount| amount.ms);
            amount.or_else(|| column.parse().ok())
        });
        match told {
            Some(ms) => self.high(ms, evidence),
            None => self.table = None,
        }
    }

    fn of_csv(&mut self, text: &str, column: Column, evidence: &Evidence) {
        let told = text.rsplit(',').nth(column.from_end);
        let is_row = text.matches(',').count() >= column.from_end;
        match told.and_then(|told| told.trim().parse::<f64>().ok()) {
            Some(number) if is_row => self.request("\u{3}", number * column.factor_ms, evidence),
            _ => self.csv = None,
        }
    }

    fn high(&mut self, ms: f64, evidence: &Evidence) {
        self.newest = Some(ms);
        if self.high.as_ref().is_none_or(|high| ms > high.ms) {
            self.high = Some(self.figure(ms, evidence));
        }
    }

    fn figure(&self, ms: f64, evidence: &Evidence) -> Figure {
        Figure {
            ms,
            evidence: evidence.clone(),
            stream: self.stream,
        }
    }

    /// What one request for a path took.
    pub(super) fn request(&mut self, path: &str, ms: f64, evidence: &Evidence) {
        if let Some(series) = self.series.get_mut(path) {
            if series.rest.len() < KEPT {
                series.rest.push(ms);
            }
        } else if self.series.len() < PATHS {
            let first = self.figure(ms, evidence);
            let rest = Vec::new();
            self.series.insert(path.to_owned(), Series { first, rest });
        }
    }

    /// The path that was asked for most, and what it takes when nothing is cold any more.
    fn followed(&self) -> Option<&Series> {
        let mut all = self.series.values().rev();
        all.by_ref().max_by_key(|series| series.rest.len())
    }

    pub(super) fn measured(&mut self, first_ms: f64, steady_ms: f64, evidence: &Evidence) {
        self.steady(steady_ms);
        if self.first.as_ref().is_none_or(|known| first_ms > known.ms) {
            self.first = Some(self.figure(first_ms, evidence));
        }
    }

    pub(super) fn steady(&mut self, ms: f64) {
        self.steady = Some(self.steady.map_or(ms, |known| known.min(ms)));
    }

    pub(super) fn typical(&mut self, ms: f64) {
        self.typical = Some(self.typical.map_or(ms, |known| known.min(ms)));
    }

    pub(super) fn first_ms(&self) -> Option<f64> {
        let slow = self.followed().filter(|series| series.rest.len() >= 3);
        let slow = slow.map(|series| &series.first);
        self.first.as_ref().or(slow).map(|figure| figure.ms)
    }

    pub(super) fn steady_ms(&self) -> Option<f64> {
        let fallen = || {
            self.newest
                .filter(|newest| self.high.as_ref().is_some_and(|high| *newest < high.ms))
        };
        let median = || self.followed().and_then(Series::median);
        self.steady.or_else(fallen).or_else(median)
    }

    /// Everything that shows users paying for the warm-up.
    pub(super) fn slow(&self) -> Vec<Slow> {
        let mut all = Vec::new();
        let steady = self.steady_ms();
        let mut judge = |what: Option<&Figure>, ratio: f64, slack: f64, confidence: f64| {
            let first = self.typical.filter(|_| confidence == FIRST);
            if let Some(figure) = what
                && let Some(steady) = steady.or(first)
                && figure.ms >= ratio * steady
                && figure.ms - steady >= slack
            {
                all.push(Slow {
                    cost_ms: figure.ms - steady,
                    confidence,
                    evidence: figure.evidence.clone(),
                    stream: figure.stream,
                });
            }
        };
        judge(self.first.as_ref(), 2.0, 5.0, FIRST);
        judge(self.high.as_ref(), 2.0, 50.0, 0.85);
        let followed = self.followed().map(|series| &series.first);
        judge(followed, 3.0, 100.0, 0.75);
        all
    }
}

impl Series {
    /// Of what came after the first few, or after the first where there are not more.
    fn median(&self) -> Option<f64> {
        let few = self.rest.len() <= 3;
        let mut rest = self.rest.get(usize::from(!few)..)?.to_vec();
        rest.sort_by(f64::total_cmp);
        (rest.len() >= 2).then(|| rest[rest.len() / 2])
    }
}

fn is_span(text: &str, amount: &Amount) -> bool {
    let before = text[..amount.start].trim_end();
    const ANSWERED: [&str; 4] = [
        "answer after",
        "answered after",
        "response after",
        "reply after",
    ];
    SPANS.iter().any(|word| before.ends_with(word))
        && !ANSWERED.iter().any(|word| before.ends_with(word))
}

/// Whether the words between a figure and the one before it, or right behind it, say so.
fn is_steady(text: &str, at: usize, amounts: &[Amount], index: usize) -> bool {
    let begin = index.checked_sub(1).map_or(0, |before| amounts[before].end);
    // Words before the subject are about something else.
    let begin = begin.max(at.min(amounts[index].start));
    let before = &text[begin..amounts[index].start];
    let behind = text[amounts[index].end..].trim_start();
    // The first figure of a line may be the slow one of "steady state reached after …".
    let told =
        STEADY.iter().any(|word| before.contains(word)) && (index > 0 || !before.contains("until"));
    // `120 ms steady`, but not `first=2810ms steady=96ms`.
    let named = behind.strip_prefix("steady").is_some_and(|rest| {
        let value = rest.trim_start();
        let next = value.split(' ').next().unwrap_or_default();
        !value.starts_with(|c: char| c.is_ascii_digit()) && !next.contains(['=', ':'])
    });
    told || named
}
