//! Loads of weights that are compared with each other: the same one twice, or at once by several
//! processes.

use crate::Evidence;
use crate::line::wording::Telling;

/// Lines and processes that are kept.
const KEPT: usize = 64;

#[derive(Debug, Default)]
pub(crate) struct Loads {
    /// Lines of loading, without their numbers.
    all: Vec<String>,
    /// Processes whose load has begun and not ended, by the number that they write.
    under_way: Vec<(u64, String)>,
    are_at_once: bool,
    /// The newest of which only the end was told, and whose it was.
    ended: Option<(u64, String, u64)>,
    /// The newest that was not the first.
    again: Option<Evidence>,
}

impl Loads {
    /// Whether something was loaded of which a line told the same but for its numbers.
    pub(crate) fn has(&self, line: &str) -> bool {
        self.all.iter().any(|known| known == line)
    }

    /// A line of loading, without its numbers.
    pub(crate) fn add(&mut self, line: String, evidence: &Evidence) {
        if self.has(&line) {
            self.again = Some(evidence.clone());
        } else if self.all.len() < KEPT {
            self.all.push(line);
        }
    }

    /// A process, by its number, begins to load or has loaded. Others that say the same at that time
    /// load the same.
    pub(crate) fn add_of(
        &mut self,
        process: Option<u64>,
        line: String,
        telling: Telling,
        evidence: &Evidence,
    ) {
        let Some(process) = process.filter(|_| telling == Telling::Beginning) else {
            if let Some(process) = process.filter(|_| self.under_way.is_empty()) {
                self.ended(process, line, evidence);
            }
            self.under_way.clear();
            return;
        };
        self.ended = None;
        let mut others = self.under_way.iter();
        if others.any(|(other, said)| *other != process && *said == line) {
            self.are_at_once = true;
            self.again = Some(evidence.clone());
        }
        if self.under_way.len() < KEPT {
            self.under_way.push((process, line));
        }
    }

    /// Several tell on neighbouring lines that they have loaded the same, and none that it began.
    fn ended(&mut self, process: u64, line: String, evidence: &Evidence) {
        let is_at_once = self.ended.as_ref().is_some_and(|(other, said, at)| {
            *other != process && *said == line && evidence.line.abs_diff(*at) <= 2
        });
        if is_at_once {
            self.are_at_once = true;
            self.again = Some(evidence.clone());
        }
        self.ended = Some((process, line, evidence.line));
    }

    pub(crate) fn are_at_once(&self) -> bool {
        self.are_at_once
    }

    /// What shows that the same is loaded more than once.
    pub(crate) fn again(&self) -> Option<&Evidence> {
        self.again.as_ref()
    }
}
