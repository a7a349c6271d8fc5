//! What requests took: the first, the steady ones, and percentiles while users did the warm-up.

use std::collections::BTreeMap;

mod compared;
mod diffs;
mod headed;
mod lists;
mod pairs;
pub(crate) mod points;
mod printed;
mod reports;
mod series;
mod steady;
mod tables;
mod timed;

use super::Evidence;
use super::line::amount::Amount;
use super::line::text::normal;
use super::rules::Part;

pub(crate) use compared::{Compared, compared, says_fresh};
use diffs::Diff;
use headed::Head;
use lists::listed;
pub(crate) use lists::may_list;
use pairs::Pairs;
use printed::{printed_ms, times_a_loop};
use reports::Reports;
use series::Series;
use steady::is_steady as says_steady;
use tables::{Row, Table};
use timed::size;
pub(crate) use timed::{
    Sure, is_of_others, is_total, may_be_timed, may_bear_a_time, sure, timed, total, waited_ms,
    went_elsewhere, whole,
};

/// Paths that are told apart; what asks for more of them is not followed.
const PATHS: usize = 32;

/// Lines that one sentence may be spread over, with others in between.
const SENTENCES: u64 = 1;

/// Confidence in a first request of which somebody tells.
const FIRST: f64 = 0.9;

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
    /// The longest of these, as a client told it.
    pub(super) printed_ms: f64,
    /// A table is being read, of which rows are expected from somebody.
    table: Option<Table>,
    /// The same of one with first requests beside steady ones.
    diff: Option<Diff>,
    /// Numbers are expected from somebody.
    head: Option<Head>,
    pairs: Pairs,
    reports: Reports,
    /// What the first requests took, of a sentence that has told no more yet.
    half: Option<Figure>,
    /// What was asked for last, and of whom.
    asked: Option<(u32, String)>,
    /// The lowest percentile since somebody began to serve.
    lowest: Option<f64>,
    /// The line that is read tells that something was replaced.
    tells_of_change: bool,
    /// By what was asked for: one path says nothing of what another takes.
    series: BTreeMap<String, Series>,
}

/// A first request that was slow.
#[derive(Debug)]
pub(super) struct Slow {
    /// Of a percentile of many.
    pub(super) is_of_many: bool,
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
                self.was_low(amount.ms);
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

    /// Whether rows of a table are expected from whoever writes.
    pub(super) fn expects_a_row(&self) -> bool {
        self.table.is_some_and(|table| table.stream == self.stream)
            || self.client == Some(self.stream)
            || self.head.is_some_and(|head| head.stream == self.stream)
            || self.diff.is_some_and(|diff| diff.stream == self.stream)
    }

    /// `curl -w "%{time_total}"`, or the head of a table: what follows are times of requests, one a line.
    pub(super) fn asks(&mut self, shown: &str) {
        if times_a_loop(shown) {
            self.client = Some(self.stream);
        }
        if shown.ends_with(':') {
            self.head = Head::of(&normal(shown), self.stream);
        }
        if let Some(diff) = Diff::of(shown, self.stream) {
            self.diff = Some(diff);
            return;
        }
        if Table::may_be(shown)
            && let Some(table) = Table::of(shown, self.stream)
        {
            self.table = Some(table);
        }
    }

    /// A line of little but figures, one of which is the seconds that a request took.
    fn printed(&mut self, text: &str, evidence: &Evidence) {
        if let Some(ms) = printed_ms(text) {
            self.printed_ms = self.printed_ms.max(ms);
            self.request("\u{2}", ms, evidence, Sure::Measured);
        } else if text.contains(|c: char| c.is_ascii_alphabetic()) {
            // Who asks for the time of day as well is told that in between.
            self.client = None;
        }
    }

    /// A row of a table, which ends with the first line that is none.
    pub(super) fn row(&mut self, text: &str, evidence: &Evidence) {
        if self.client == Some(self.stream) {
            self.printed(text, evidence);
        }
        if let Some(diff) = self.diff.filter(|diff| diff.stream == self.stream) {
            match diff.row(&evidence.text) {
                Some((first, steady)) if diffs::is_slow(first, steady) => {
                    self.measured(first, steady, evidence);
                }
                Some(_) => {}
                None => self.diff = None,
            }
        }
        if let Some(head) = self.head.filter(|head| head.stream == self.stream) {
            let times = head.times(text);
            for ms in &times {
                self.request("\u{8}", *ms, evidence, Sure::Asked);
            }
            self.head = self.head.filter(|_| !times.is_empty());
        }
        let Some(table) = self.table.filter(|table| table.stream == self.stream) else {
            return;
        };
        match table.row(&evidence.text) {
            Some(Row::Several(ms)) => self.high(ms, evidence),
            Some(Row::One(ms)) => self.request("\u{3}", ms, evidence, Sure::Asked),
            Some(Row::Rule) => {}
            None => self.table = None,
        }
    }

    /// How long the input of a row's request was, where its table tells that.
    pub(super) fn length(&self, row: &str) -> Option<u64> {
        let table = self.table.filter(|table| table.stream == self.stream)?;
        table.length(row)
    }

    /// Parts of a start that a row's request did, where its table has columns of them.
    pub(super) fn parts(&self, row: &str) -> Vec<(Part, f64)> {
        let table = self.table.filter(|table| table.stream == self.stream);
        table.map(|table| table.parts(row)).unwrap_or_default()
    }

    /// Whether a request came whose answer is waited for.
    pub(super) fn waits(&self) -> bool {
        self.pairs.are_open()
    }

    /// A line without a duration, of a request that comes or is answered.
    pub(super) fn comes_or_goes(&mut self, text: &str, at: f64, evidence: &Evidence) {
        if let Some(took) = self.pairs.take(text, at, self.stream) {
            let kind = ["\u{5}", &took.kind].concat();
            self.request(&kind, took.ms, evidence, Sure::Asked);
        }
    }

    /// Whether a line tells that somebody has begun to serve, or that what serves was replaced.
    pub(super) fn is_fresh(&mut self, is_fresh: bool) {
        self.tells_of_change = is_fresh;
        if is_fresh {
            self.lowest = None;
        }
    }

    /// A line of what a load generator prints in the end, or one that says that what serves has just begun.
    pub(super) fn reported(&mut self, text: &str, evidence: impl FnOnce() -> Evidence) {
        self.reports.take(text, evidence);
        if says_fresh(text) {
            self.reports.fresh();
        }
    }

    fn high(&mut self, ms: f64, evidence: &Evidence) {
        self.newest = Some(ms);
        let was_low = self.lowest.is_some_and(|lowest| ms >= 2.0 * lowest);
        self.was_low(ms);
        // What was fast before is slow for another reason, unless something has begun since then.
        if was_low && !self.tells_of_change {
            return;
        }
        if self.high.as_ref().is_none_or(|high| ms > high.ms) {
            self.high = Some(self.figure(ms, evidence));
        }
    }

    fn was_low(&mut self, ms: f64) {
        self.lowest = Some(self.lowest.map_or(ms, |lowest| lowest.min(ms)));
    }

    fn figure(&self, ms: f64, evidence: &Evidence) -> Figure {
        Figure {
            ms,
            evidence: evidence.clone(),
            stream: self.stream,
        }
    }

    /// Somebody asked for a path; what that took may stand further below.
    pub(super) fn asked(&mut self, kind: String) {
        self.asked = Some((self.stream, kind));
    }

    /// What somebody asked for last of whoever writes.
    pub(super) fn was_asked(&self) -> Option<&str> {
        let asked = self.asked.as_ref();
        let own = asked.filter(|(stream, _)| *stream == self.stream);
        own.map(|(_, kind)| kind.as_str())
    }

    /// Whether requests were told of that have this in common.
    pub(super) fn knows(&self, kind: &str) -> bool {
        self.series.contains_key(kind)
    }

    /// What one request took, and what it has in common with others: its path, or how its line is put.
    pub(super) fn request(&mut self, kind: &str, ms: f64, evidence: &Evidence, sure: Sure) {
        if !self.series.contains_key(kind) && self.series.len() < PATHS {
            let series = Series::new(self.stream, sure);
            self.series.insert(kind.to_owned(), series);
        }
        let stream = self.stream;
        if let Some(series) = self.series.get_mut(kind) {
            series.sure = series.sure.max(sure);
            let figure = || Figure {
                ms,
                evidence: evidence.clone(),
                stream,
            };
            series.add(figure, ms, size(&evidence.text));
        }
    }

    /// A line that lists what several took: each such line stands for itself.
    pub(super) fn list(&mut self, text: &str, amounts: &[Amount], evidence: &Evidence) -> bool {
        let times = listed(text, amounts.len());
        let kind = format!("\u{4}{}", evidence.line);
        for ms in &times {
            self.request(&kind, *ms, evidence, Sure::Measured);
        }
        !times.is_empty()
    }

    /// A sentence about the first requests, and about later ones; the second half may stand on a line
    /// of its own.
    pub(super) fn told(&mut self, told: &Compared, evidence: &Evidence) {
        let first = told.first_ms.map(|ms| self.figure(ms, evidence));
        let half = match first {
            Some(first) => Some(first),
            None => self.half.take().filter(|half| {
                half.evidence.source == evidence.source
                    && evidence.line.abs_diff(half.evidence.line) <= SENTENCES
            }),
        };
        let Some((first, later_ms)) = half.clone().zip(told.later_ms) else {
            self.half = half;
            return;
        };
        self.steady(later_ms);
        if self.first.as_ref().is_none_or(|known| first.ms > known.ms) {
            self.first = Some(first);
        }
    }

    /// Whoever writes is ready: what was done again and again until now, and nobody asked for, was its
    /// warm-up.
    pub(super) fn begins(&mut self) {
        let stream = self.stream;
        self.lowest = None;
        self.series
            .retain(|_, series| series.sure > Sure::Likely || series.stream != stream);
        for series in self.series.values_mut() {
            series.begins_anew();
        }
    }

    /// Requests of the kind that was asked for most, of those whose first was slow if there are any.
    fn followed(&self) -> Option<&Series> {
        let most = |is_slow: bool| {
            let all = self.series.values().rev();
            all.filter(|series| !is_slow || series.slow(false).is_some())
                .max_by_key(|series| series.count())
        };
        most(true).or_else(|| most(false))
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
        let slow = self.followed().filter(|series| series.count() >= 3);
        let slow = slow.and_then(Series::first);
        self.first.as_ref().or(slow).map(|figure| figure.ms)
    }

    pub(super) fn steady_ms(&self) -> Option<f64> {
        let fallen = || {
            self.newest
                .filter(|newest| self.high.as_ref().is_some_and(|high| *newest < high.ms))
        };
        let median = || self.followed().and_then(Series::steady);
        self.steady.or_else(fallen).or_else(median)
    }

    /// Everything that shows users paying for the warm-up. It takes less to show it where other lines tell
    /// what the first request had to do.
    pub(super) fn slow(&self, is_explained: bool) -> Vec<Slow> {
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
                    is_of_many: confidence != FIRST,
                    cost_ms: figure.ms - steady,
                    confidence,
                    evidence: figure.evidence.clone(),
                    stream: figure.stream,
                });
            }
        };
        // Held against what is called steady; or against others, whose time may be told by somebody else.
        let is_told = self.steady.is_some() || self.typical.is_some();
        judge(
            self.first.as_ref(),
            2.0,
            if is_told { 5.0 } else { 50.0 },
            FIRST,
        );
        judge(self.high.as_ref(), 2.0, 50.0, 0.85);
        if let Some((first, steady, evidence)) = self.reports.slow() {
            all.push(Slow {
                is_of_many: true,
                cost_ms: first - steady,
                confidence: 0.75,
                evidence: evidence.clone(),
                stream: 0,
            });
        }
        let slow = self
            .series
            .values()
            .filter_map(|series| series.slow(is_explained));
        all.extend(slow.map(|(first, steady)| Slow {
            is_of_many: false,
            cost_ms: first.ms - steady,
            confidence: 0.75,
            evidence: first.evidence.clone(),
            stream: first.stream,
        }));
        all
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
    let told = says_steady(before) && (index > 0 || !before.contains("until"));
    // `120 ms steady`, but not `first=2810ms steady=96ms`.
    let named = behind.strip_prefix("steady").is_some_and(|rest| {
        let value = rest.trim_start();
        let next = value.split(' ').next().unwrap_or_default();
        !value.starts_with(|c: char| c.is_ascii_digit()) && !next.contains(['=', ':'])
    });
    told || named
}
