//! A server that tries itself out before it opens, and does not open: whatever it calls the try and what
//! was wrong with it. No single line needs to say all of that.

use super::cause::Cause;
use super::line::Parsed;
use super::line::wording::tells_an_error;
use super::rules::{Mark, Meaning};
use super::talk::is_prose;
use super::timeline::Stream;
use super::{Diagnosis, Evidence};

/// So many lines behind the last word of a try, an error is still that try's.
const NEARBY: u64 = 40;

/// The same where the word may be one of something else.
const CLOSE: u64 = 3;

/// And so many, whoever leaves does so for it.
const RIGHT_BEHIND: u64 = 4;

/// Confidence where the door is said, or seen, to stay shut for it.
const SHUT: f64 = 0.75;

/// Counts of what went wrong, and nothing did.
const NONE: [&str; 24] = [
    "no request failed",
    "no requests failed",
    "nothing failed",
    "failed=0",
    "failed: 0",
    "failures=0",
    "failures: 0",
    "0 failures",
    "errors=0",
    "errors: 0",
    "0 errors",
    "error=0",
    "error rate",
    "no error",
    "without error",
    "0 differ",
    "none differ",
    "nothing differs",
    "0 mismatch",
    "mismatches=0",
    "retry",
    "errors end",
    "errors stop",
    "errors cease",
];

/// Whoever leaves may do so for any reason.
const LEAVING: [&str; 6] = [
    "exit",
    "giving up",
    "gave up",
    "gives up",
    "sigterm",
    "cannot",
];

/// What ends a start for a reason of its own.
const OTHERWISE: [Cause; 4] = [
    Cause::AddressInUse,
    Cause::OutOfMemory,
    Cause::ProbeWindow,
    Cause::WorkerTimeout,
];

/// Whether a line counts what went wrong, and nothing did.
pub(super) fn is_well(text: &str) -> bool {
    NONE.iter().any(|none| text.contains(none))
        || counts_all(text)
        || counts_none(text)
        || none_failed(text)
        || is_as_wanted(text)
}

/// `want=dent got=dent`: both are the same.
fn is_as_wanted(text: &str) -> bool {
    const WANTED: [&str; 4] = ["want=", "wanted=", "expected=", "expected: "];
    const GOT: [&str; 4] = ["got=", "actual=", "got: ", "actual: "];
    let value = |names: [&str; 4]| {
        let behind = names.iter().find_map(|name| text.split_once(name))?.1;
        behind.split([' ', ',', ';']).next()
    };
    value(WANTED).is_some_and(|wanted| !wanted.is_empty() && value(GOT) == Some(wanted))
}

/// `0 failed`, and neither `10 failed` nor `request 0 failed`, which is the first one.
fn none_failed(text: &str) -> bool {
    const ITEMS: [&str; 14] = [
        "request", "prompt", "case", "sample", "batch", "input", "step", "query", "record",
        "example", "item", "round", "number", "#",
    ];
    text.match_indices("0 failed").any(|(at, _)| {
        let before = &text[..at];
        let is_whole = !before.ends_with(|c: char| c.is_ascii_alphanumeric() || c == '.');
        let before = before.trim_end_matches([' ', '[', '(', '#']);
        is_whole && !ITEMS.iter().any(|item| before.ends_with(item))
    })
}

/// `errors 0`, `failed: 0`.
fn counts_none(text: &str) -> bool {
    ["errors", "error", "failed", "failures"]
        .iter()
        .any(|word| {
            text.match_indices(word).any(|(at, _)| {
                let count = text[at + word.len()..].trim_start_matches([' ', '=', ':', '"']);
                count.strip_prefix('0').is_some_and(|rest| {
                    !rest.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '.')
                })
            })
        })
}

/// Whether a line reports an error of its own, and not only that something is unfit or somebody leaves.
fn reports(line: &Parsed<'_>) -> bool {
    let is_unfit = |mark: Meaning| {
        mark == Meaning::Marks(Mark::Faulty) || mark == Meaning::Marks(Mark::Leaves)
    };
    let mut telling = line.hits.iter().filter(|hit| hit.may_matter_alone());
    let is_of_unfit = line.has(Mark::Faulty) || line.has(Mark::Leaves);
    (!is_of_unfit || telling.any(|hit| !is_unfit(hit.means))) && tells_an_error(line.text)
}

/// Whether somebody is said to be ready, in whatever sentence.
fn is_ready(text: &str) -> bool {
    const NOT: [&str; 11] = [
        "not ",
        "unready",
        "until",
        "before",
        "when ",
        "once ",
        "if ",
        "never",
        "ready check",
        "ready gate",
        "ready=0",
    ];
    text.contains("ready")
        && text
            .split(' ')
            .any(|word| word.trim_matches([':', ',', '.', ';', '!', '"']) == "ready")
        && !NOT.iter().any(|word| text.contains(word))
}

/// `12 of 12`, `9/9`: nothing is missing.
fn counts_all(text: &str) -> bool {
    let number = |word: &str| word.parse::<u64>().ok();
    let words: Vec<&str> = text.split([' ', ',', ':', ';', '(', ')']).collect();
    let in_words = words.windows(3).any(|three| {
        three[1] == "of" && number(three[0]).is_some() && number(three[0]) == number(three[2])
    });
    in_words
        || words.iter().any(|word| {
            let both = word.split_once('/');
            both.is_some_and(|(one, all)| number(one).is_some() && number(one) == number(all))
        })
}

/// What is known of the try of one process.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    /// The line that last told of a try.
    tried: Option<u64>,
    /// An answer was wrong, or did not come.
    failed: Option<Evidence>,
    /// The line that last may have.
    may_try: Option<u64>,
    /// It was said to be that of a try.
    is_of_try: bool,
    may_be_of_try: bool,
    /// An answer was not what it should be, rather than that there was none.
    has_wrong_answer: bool,
    is_over: bool,
}

impl Gate {
    /// A line tells of a try.
    pub(crate) fn tries(&mut self, line: u64) {
        self.tried = Some(line);
    }

    /// A line has a word that may be one of a try.
    pub(crate) fn may_try(&mut self, line: u64) {
        self.may_try = Some(line);
    }

    /// An answer was wrong, and nothing is said of the door yet.
    pub(crate) fn has_failed(&self) -> bool {
        self.failed.is_some() && (self.is_of_try || self.may_be_of_try)
    }

    /// The same, right before that line.
    fn has_just_failed(&self, line: u64) -> bool {
        let is_close = |failed: &Evidence| line.saturating_sub(failed.line) <= RIGHT_BEHIND;
        self.has_failed() && self.failed.as_ref().is_some_and(is_close)
    }

    fn is_trying(&self, line: u64) -> bool {
        let near = |tried: u64| line.saturating_sub(tried) <= NEARBY;
        self.tried.is_some_and(near)
    }

    /// Whether what a line reports may be a try's.
    pub(crate) fn may_be_trying(&self, line: u64) -> bool {
        let near = |tried: u64| line.saturating_sub(tried) <= CLOSE;
        self.is_trying(line) || self.may_try.is_some_and(near)
    }

    /// Whether a line that reports something tells of the try's failure.
    fn is_wrong(&mut self, line: &Parsed<'_>, [is_trying, may_be]: [bool; 2]) -> bool {
        let is_shut = line.has(Mark::Withheld);
        let is_wrong = line.has(Mark::Deviates);
        let is_odd = is_wrong || (may_be && reports(line));
        if is_odd && !line.names(Cause::LoadFailure) && (self.failed.is_none() || is_trying) {
            self.is_of_try |= is_trying;
            self.may_be_of_try |= may_be;
            self.has_wrong_answer |= is_wrong;
            return true;
        }
        // Said of the door in so many words, right behind a try, and no other reason given.
        let is_leaving = || LEAVING.iter().any(|word| line.text.contains(word));
        let is_said = is_shut && is_trying && !is_leaving();
        self.is_of_try |= is_said && self.failed.is_none();
        is_said
    }

    /// It opens, or serves: whatever went wrong did not keep it from that.
    pub(crate) fn opens(&mut self) {
        (self.failed, self.is_over) = (None, true);
    }

    /// Another process begins.
    pub(crate) fn begins(&mut self) {
        (self.tried, self.may_try, self.is_over) = (None, None, false);
    }
}

impl Diagnosis {
    /// What a line tells of a try.
    pub(super) fn tried(&mut self, stream: &mut Stream, line: &Parsed<'_>) {
        let gate = &mut stream.gate;
        if gate.is_over || line.names(Cause::WarmupSkipped) {
            return;
        }
        let number = line.evidence.line;
        let (is_trying, may_be) = (gate.is_trying(number), gate.may_be_trying(number));
        let is_left = gate.has_just_failed(number)
            && gate.has_wrong_answer
            && line.has(Mark::Leaves)
            && !is_prose(&line.evidence.text);
        let is_shut = is_left || line.has(Mark::Withheld);
        let is_odd = line.has(Mark::Deviates);
        if !(may_be || is_shut || is_odd || gate.failed.is_some()) {
            return;
        }
        // Whatever the try said, this is why it does not open.
        let ends_otherwise =
            || line.has(Mark::Silenced) || OTHERWISE.iter().any(|cause| line.names(*cause));
        if (!is_shut && is_ready(line.text)) || (gate.failed.is_none() && ends_otherwise()) {
            gate.opens();
            return;
        }
        let is_known = line.names_a_cause() && !line.names(Cause::LoadFailure);
        if is_shut || is_odd || (may_be && reports(line)) {
            // Another cause explains it, or nothing is wrong after all.
            let is_others = line.has(Mark::Refused) || line.has(Mark::Unwell);
            let is_explained = is_known || is_others || is_well(line.text);
            let is_wrong = !is_explained && gate.is_wrong(line, [is_trying, may_be]);
            if is_wrong && gate.failed.is_none() {
                gate.failed = Some(line.evidence.clone());
            }
        }
        let is_of_try = gate.is_of_try;
        if is_shut || (line.has(Mark::Died) && is_of_try) {
            self.shut(stream, &line.evidence);
        }
        // What was under way did not come to its end.
        if is_shut && stream.loading.is_some() {
            self.died(&line.evidence);
        }
    }

    /// The door is shut; whether a try that failed is why.
    pub(super) fn shut(&mut self, stream: &mut Stream, evidence: &Evidence) {
        let is_loads = !stream.failures.are_none();
        let gate = &mut stream.gate;
        let is_of_try = gate.is_of_try && (gate.has_wrong_answer || !is_loads);
        let is_tries = is_of_try || (gate.may_be_of_try && !is_loads);
        if gate.is_over || !is_tries {
            return;
        }
        if let Some(failed) = gate.failed.take() {
            // Somebody may try once more.
            *gate = Gate::default();
            self.see(Cause::WarmupFailed, SHUT, failed, None, None);
            self.see(Cause::WarmupFailed, SHUT, evidence.clone(), None, None);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_tells_whether_anything_went_wrong() {
        for (line, well) in [
            ("preflight 3/6 a.png want=dent got=dent 0.93", true),
            ("preflight 3/6 a.png want=dent got=none 0.93", false),
            ("case 2: expected: 768 actual: 768", true),
            ("case 2: expected: 768 actual: 384", false),
            ("self-check 12 of 12", true),
            ("self-check 11 of 12", false),
            ("replayed 40, 0 failed", true),
            ("replayed 40, 10 failed", false),
        ] {
            assert_eq!(is_well(line), well, "{line}");
        }
    }
}
