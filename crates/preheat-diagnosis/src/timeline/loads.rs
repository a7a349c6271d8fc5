//! Loads of weights that are compared with each other: the same one twice, or at once by several
//! processes.

use super::LONG_MS;
use crate::Evidence;
use crate::line::wording::Telling;

/// Lines and processes that are kept.
const KEPT: usize = 64;

/// What ends within so many seconds of each other was done at once.
const AT_ONCE_S: f64 = 60.0;

/// Unless it began so long after the other had ended.
const APART_S: f64 = 1.0;

/// When a load began and ended, so far as its line tells.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Span {
    pub(crate) began: Option<f64>,
    pub(crate) at: Option<f64>,
}

#[derive(Debug, Default)]
pub(crate) struct Loads {
    /// Lines of loading, without their numbers, and the process that wrote each, if it is told.
    all: Vec<(String, Option<u64>)>,
    /// Processes whose load has begun and not ended, by the number that they write.
    under_way: Vec<(u64, String)>,
    /// Processes whose load has ended, and when.
    over: Vec<(u64, String, Option<f64>)>,
    /// Loads of which a line tells how long they took: what it says beside that, its end, and the time.
    timed: Vec<(String, f64, f64)>,
    are_at_once: bool,
    /// The newest that was not the first.
    again: Option<Evidence>,
}

impl Loads {
    /// Whether something was loaded of which a line told the same but for its numbers.
    pub(crate) fn has(&self, line: &str) -> bool {
        self.all.iter().any(|(known, _)| known == line)
    }

    /// A line of loading, without its numbers.
    pub(crate) fn add(&mut self, line: String, process: Option<u64>, evidence: &Evidence) {
        if self.has(&line) {
            self.again = Some(evidence.clone());
        } else if self.all.len() < KEPT {
            self.all.push((line, process));
        }
    }

    /// A process, by its number, begins to load or has loaded. Others that say the same at that time
    /// load the same.
    pub(crate) fn add_of(
        &mut self,
        process: Option<u64>,
        line: String,
        telling: Telling,
        span: Span,
        evidence: &Evidence,
    ) {
        if let Some(process) = process.filter(|_| telling != Telling::Beginning) {
            self.end_of(process, &line, span, evidence);
        }
        let Some(process) = process.filter(|_| telling == Telling::Beginning) else {
            self.under_way.clear();
            return;
        };
        if self.under_way.is_empty() {
            // One after the other is not at once.
            self.over.clear();
        }
        let mut others = self.under_way.iter();
        if others.any(|(other, said)| *other != process && *said == line) {
            self.are_at_once = true;
            self.again = Some(evidence.clone());
        }
        if self.under_way.len() < KEPT {
            self.under_way.push((process, line));
        }
    }

    /// A load that ended at `at` after so long. The same one, which began before another had ended, is that
    /// of another process, whether or not they write who they are. What is told twice took the same.
    pub(crate) fn add_timed(&mut self, said: String, at: f64, took_ms: f64, evidence: &Evidence) {
        let is_twin = |(other, end, took): &(String, f64, f64)| {
            *other == said && *took != took_ms && at > *end && at - took_ms / 1e3 < *end
        };
        if took_ms >= LONG_MS && self.timed.iter().any(is_twin) {
            self.are_at_once = true;
            self.again = Some(evidence.clone());
        }
        if self.timed.len() < KEPT {
            self.timed.push((said, at, took_ms));
        }
    }

    /// Another process has just said the same of its own load.
    fn end_of(&mut self, process: u64, line: &str, span: Span, evidence: &Evidence) {
        let is_recent = |then: Option<f64>| {
            let within = |to: Option<f64>, most| {
                let both = then.zip(to);
                both.is_none_or(|(then, to)| to - then <= most)
            };
            within(span.at, AT_ONCE_S) && within(span.began, APART_S)
        };
        let mut others = self.over.iter();
        if others.any(|(other, said, then)| *other != process && said == line && is_recent(*then)) {
            self.are_at_once = true;
            self.again = Some(evidence.clone());
        }
        if self.over.len() < KEPT {
            self.over.push((process, line.to_owned(), span.at));
        }
    }

    /// Somebody is ready: what is loaded next, at no time that is told, is no part of the same start.
    pub(crate) fn forget_unstamped(&mut self) {
        self.over.retain(|(.., at)| at.is_some());
    }

    /// A process has ended: what another one loads takes its place.
    pub(crate) fn forget(&mut self, process: Option<u64>) {
        let is_another = |known: u64| process.is_some_and(|process| known != process);
        self.all.retain(|(_, known)| known.is_none_or(is_another));
        self.over.retain(|(known, ..)| is_another(*known));
        self.under_way.retain(|(known, _)| is_another(*known));
    }

    pub(crate) fn are_at_once(&self) -> bool {
        self.are_at_once
    }

    /// What shows that the same is loaded more than once.
    pub(crate) fn again(&self) -> Option<&Evidence> {
        self.again.as_ref()
    }
}
