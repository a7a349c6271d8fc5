//! What one line says beside the lines around it: causes that it names, parts of a start, lengths,
//! latencies, and where in its life the process is.

mod marks;
mod named;

use named::SLOW_PULL_MS;

use super::access::{DELAYED, status};
use super::cause::Cause;
use super::exchange::{Exchange, exchanged};
use super::latency::{compared, sure, timed, total, waited_ms};
use super::lengths::Told;
use super::line::list::List;
use super::line::shapes::tells_shape;
use super::line::wording::{process, warns};
use super::line::{Parsed, amount};
use super::parts::brings;
use super::rules::{Mark, Meaning, Part};
use super::timeline::{Place, Stream, Work};
use super::traced::lines::Spans;
use super::{Diagnosis, Evidence};

/// Ends of processes that are kept.
const DEATHS: usize = 16;

/// What is said of an input that is not run.
const REFUSED: [&str; 8] = [
    "reject",
    " 413",
    "refused",
    "too long",
    "does not match",
    "mismatch",
    "invalid argument",
    "not enough memory",
];

/// Words of what ought to be.
const WISHES: [&str; 4] = [" should ", " must ", " would ", " ought "];

impl Diagnosis {
    pub(super) fn statement(&mut self, stream: &mut Stream, line: &Parsed<'_>) {
        stream.anew(self.starts_of(&line.evidence.source));
        self.named(stream, line);
        self.tried(stream, line);
        if sets_up_a_compiler(line) && !stream.has_answered() {
            self.compiler.get_or_insert_with(|| line.evidence.clone());
        }
        self.unfit(stream, line);
        if line.has(Mark::Processors) {
            self.threads.take(line.text, &line.evidence);
        }
        let is_loading = line.parts().any(|(_, part)| part == Part::Weights);
        let fails = [Cause::LoadFailure, Cause::OutOfMemory, Cause::WarmupFailed];
        if fails.into_iter().any(|cause| line.names(cause)) {
            self.refusals.ends(&line.evidence.source);
        }
        if line.names(Cause::LoadFailure) {
            stream.failures.add(&line.evidence);
            if stream.has_answered() {
                stream.failures.is_aside(&line.evidence);
            }
            if stream.may_serve() {
                stream.failures.may_be_asked(&line.evidence);
            }
            if warns(line.text) {
                stream.failures.goes_on();
            }
        } else if is_loading || line.has(Mark::Warm) {
            stream.failures.goes_on();
        }
        self.parts(stream, line);
        if self.spans.is_part(line.text) {
            self.is_waited_for |= Spans::is_wait(line.text);
            return;
        }
        self.obtains(stream, line);
        stream.is_warmed |= (line.has(Mark::Warm) || line.has(Mark::Exercised))
            && !line.has(Mark::AtRequest)
            && !line.names(Cause::WarmupSkipped)
            && !is_left_out(line.text)
            && line.text.contains(|c: char| c.is_ascii_digit());
        if stream.is_warmed && line.has(Mark::Warm) && !stream.is_asked() {
            stream.started_up();
        }
        if !is_loading && line.has(Mark::Brings) && !line.names_a_cause() {
            brings(stream, line);
        }
        if self.is_waited_for && line.parts().next().is_none() && !line.names_a_cause() {
            self.brought_for_whoever_waits(stream, line);
        }
        let is_timed = line.has(Mark::Latency) && !line.has(Mark::Warm);
        let at_request = is_timed
            || line.has(Mark::AtRequest)
            || line.has(Mark::Request)
            || matches!(
                stream.place(Part::Kernels, ""),
                Some(Place::Open | Place::AtRequest)
            )
            // Without a warm-up nothing follows from a length.
            || (self.lengths.is_warmed() && is_sized(line));
        self.lengths(line, at_request);
        let is_gap = line.has(Mark::Unmet) && (self.lengths.is_warmed() || stream.is_warmed);
        if is_gap && !line.names(Cause::UncoveredLength) {
            self.see(
                Cause::UncoveredLength,
                0.75,
                line.evidence.clone(),
                None,
                None,
            );
        }
        self.latencies(line);
        self.answered_for_state(stream, line);
        // A warm-up tells of requests of its own.
        let exchanged = exchanged(line).filter(|_| !line.names(Cause::WarmupFailed));
        let ends = match exchanged {
            Some(Exchange::Ends(took)) => took,
            _ => total(line.text, &line.amounts)
                .or(line.amounts.last())
                .map(|took| took.ms),
        };
        if is_served(line, exchanged) {
            stream.failures.serves_on();
        }
        match exchanged {
            Some(Exchange::Begins) => stream.request(line.at, None),
            Some(Exchange::Ends(took)) => {
                if line.parts().next().is_none() {
                    self.first_apart(stream, line);
                }
                self.is_waited_for |= stream.came_early(line.at, ends);
                stream.answers(line.at, took);
            }
            None if (stream.may_serve() && is_a_call(line))
                || (stream.is_warmed && is_sized(line)) =>
            {
                self.is_waited_for |= stream.came_early(line.at, ends);
                stream.calls(line.at, ends);
                stream.failures.serves_on();
            }
            None => {}
        }
        // Who was refused before, and asked until he was answered, waited for a replica.
        let was_refused = self.refusals.are_in(&line.evidence.source);
        let waited = waited_ms(line.text, &line.amounts, was_refused);
        self.waited = self.waited.max(waited);
        if line.has(Mark::Access) && !line.has(Mark::Interrupted) {
            self.asked(stream, line);
        }
        self.marks(stream, line);
    }

    pub(super) fn lengths(&mut self, line: &Parsed<'_>, at_request: bool) {
        // A warm-up that fails says which shape it failed with.
        let is_warm = line.has(Mark::Warm) || line.has(Mark::Exercised);
        let hit = line.first(Mark::Length);
        // Without a warm-up nothing follows from what somebody asks for, unless a line says so itself.
        let is_asked = || at_request && line.is_timed && self.lengths.is_warmed();
        if !(is_warm || hit.is_some() || is_asked()) {
            return;
        }
        let fails = [
            Cause::WarmupFailed,
            Cause::WarmupSkipped,
            Cause::OutOfMemory,
            Cause::LoadFailure,
        ]
        .into_iter()
        .any(|cause| line.names(cause));
        // Who is sent away is not served.
        static IS_REFUSED: List = List::new(&[&REFUSED]);
        if fails || IS_REFUSED.is_in(line.text) {
            return;
        }
        let words: Vec<(usize, usize)> = line
            .hits
            .iter()
            .filter(|hit| hit.means == Meaning::Marks(Mark::Length))
            .map(|hit| (hit.at, hit.end))
            .collect();
        // The number of the process that writes counts nothing.
        let own = process(line.text);
        let mut numbers = amount::integers(line.text, &line.amounts);
        numbers.retain(|(_, number)| Some(*number) != own);
        let told = Told {
            text: line.text,
            words: &words,
            numbers: &numbers,
            is_warm,
            at_request: at_request || line.has(Mark::Access),
        };
        // Beside a part of the start, the time is that part's.
        let cost = hit.and_then(|hit| line.cost(hit));
        let cost = cost.filter(|_| line.parts().next().is_none());
        if self.lengths.take(&told, &line.evidence, cost) {
            self.see(
                Cause::UncoveredLength,
                0.9,
                line.evidence.clone(),
                cost,
                None,
            );
        }
    }

    fn latencies(&mut self, line: &Parsed<'_>) {
        if self.latency.expects_a_row() {
            for (part, ms) in self.latency.parts(&line.evidence.text) {
                let told_ms = Some(ms);
                self.settle(Work {
                    told_ms,
                    ..Work::new(part, Place::AtRequest, line)
                });
            }
            self.latency.row(line.text, &line.evidence);
            if let Some(length) = self.latency.length(&line.evidence.text) {
                self.lengths.asked(length, &line.evidence);
            }
        }
        self.latency.is_fresh(line.has(Mark::Fresh));
        if line.amounts.is_empty() {
            let at = line.at.filter(|_| line.is_timed);
            if let Some(at) = at {
                self.latency.comes_or_goes(line.text, at, &line.evidence);
            }
            if line.is_timed {
                self.latency.list(line.text, &line.amounts, &line.evidence);
            }
            return;
        }
        if WISHES.iter().any(|word| line.text.contains(word)) {
            return;
        }
        for median in ["median", "p50"] {
            let at = line.text.find(median);
            let figure = at.and_then(|at| line.amounts.iter().find(|a| a.start >= at));
            if let Some(figure) = figure {
                self.latency.typical(figure.ms);
            }
        }
        // Whoever says what made requests slow compares other things than first ones.
        let of_others = [Cause::CpuLimit, Cause::UncoveredLength, Cause::Recompiled];
        if of_others.into_iter().any(|cause| line.names(cause)) {
            return;
        }
        if let Some(hit) = line.first(Mark::Percentile) {
            self.latency
                .percentile(line.text, hit.at, &line.amounts, &line.evidence);
            return;
        }
        let is_timed = line.is_timed;
        let told = is_timed.then(|| compared(line.text, &line.amounts));
        if let Some(told) = told.flatten() {
            let is_both = told.first_ms.is_some() && told.later_ms.is_some();
            let is_of_parts = line.parts().next().is_some() || line.names_a_cause();
            if is_both || !is_of_parts {
                self.latency.told(&told, &line.evidence);
            }
            if is_both {
                return;
            }
        }
        if is_timed && self.latency.list(line.text, &line.amounts, &line.evidence) {
            return;
        }
        let Some(latency) = line.first(Mark::Latency) else {
            self.called(line);
            return;
        };
        if line.parts().next().is_some()
            || line.names_a_cause()
            || DELAYED.iter().any(|word| line.text.contains(word))
        {
            return;
        }
        let is_first = line.text.contains("first") || line.text.contains("request 1 ");
        let asked = line.first(Mark::Request).filter(|_| is_first);
        let is_compared = ["steady", " next ", " then ", "since then", " later", "2nd"]
            .iter()
            .any(|word| line.text.contains(word));
        let is_of_users = is_compared && !line.has(Mark::Warm);
        let is_cold = line.text.contains("cold") && line.amounts.len() == 2;
        let compared = ["first", "1st"]
            .iter()
            .find_map(|word| line.text.find(word))
            .filter(|_| is_of_users)
            .or_else(|| line.text.find("cold").filter(|_| is_cold));
        match asked.map(|hit| hit.at).or(compared) {
            Some(at) => self
                .latency
                .first(line.text, at, &line.amounts, &line.evidence),
            None => {
                if let Some(took) = line
                    .amounts
                    .iter()
                    .find(|a| a.start >= latency.at)
                    .or(line.amounts.last())
                {
                    self.latency
                        .request("", took.ms, &line.evidence, sure(line.text));
                }
            }
        }
    }

    /// One of several that a program tells alike, but for the figures.
    fn called(&mut self, line: &Parsed<'_>) {
        if !line.is_timed || line.names_a_cause() {
            return;
        }
        if let Some(told) = timed(line.text, &line.amounts) {
            // The last line of a request that is taken apart.
            let alike = ["\u{1}", &told.shape].concat();
            let is_new = told.is_total && !self.latency.knows(&alike);
            let asked = self.latency.was_asked().filter(|_| is_new);
            let kind = asked.map_or(alike, str::to_owned);
            self.latency
                .request(&kind, told.ms, &line.evidence, told.sure);
        }
    }

    /// An image that had begun to be pulled is there.
    fn pulled(&mut self, stream: &mut Stream, line: &Parsed<'_>) {
        if !stream.is_pulling() {
            return;
        }
        let seen = stream.pulled(line.at, age(line));
        let told = line.amounts.last().map(|took| took.ms);
        if told.or(seen).is_some_and(|ms| ms >= SLOW_PULL_MS) {
            self.see(Cause::ImagePullTime, 0.7, line.evidence.clone(), told, seen);
        }
    }

    pub(super) fn died(&mut self, evidence: &Evidence) {
        if self.died.len() < DEATHS {
            self.died.push(evidence.clone());
        }
    }
}

/// Whether a warm-up is told of only to say that there is none: then no shape was run.
fn is_left_out(text: &str) -> bool {
    const LEFT_OUT: [&str; 8] = [
        "skip",
        "disable",
        "no warm",
        "no rehears",
        "not running",
        "without warm",
        "nothing",
        "never",
    ];
    static LIST: List = List::new(&[&LEFT_OUT]);
    LIST.is_in(text) || is_switched_off(text)
}

/// `warmup=off`, `warm-up: 0`; not `errors=0` nor `took=0.42s`.
fn is_switched_off(text: &str) -> bool {
    ["=off", " off", "=false", "=0"].iter().any(|value| {
        text.match_indices(value).any(|(at, _)| {
            let named = text[..at].ends_with(|c: char| c.is_ascii_alphanumeric());
            let rest = &text[at + value.len()..];
            let ends = !rest.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '.');
            let name = text[..at].rsplit(' ').next().unwrap_or_default();
            named && ends && (*value != "=0" || name.contains("warm"))
        })
    })
}

/// Whether a compiler is there that runs when it is first needed.
fn sets_up_a_compiler(line: &Parsed<'_>) -> bool {
    const SET_UP: [&str; 5] = ["enabled", "lazy", "wrapped", "on first", "compiled with"];
    const DENIED: [&str; 5] = ["disabled", "not ", "without", "skip", "falling back"];
    let has = |words: &[&str]| words.iter().any(|word| line.text.contains(word));
    (line.text.contains("torch.compile") && has(&SET_UP) && !has(&DENIED))
        || line.text.contains("compiled cluster using xla")
}

/// Whether a request was answered, and well.
fn is_served(line: &Parsed<'_>, exchanged: Option<Exchange>) -> bool {
    matches!(exchanged, Some(Exchange::Ends(_)))
        && !line.names_a_cause()
        && status(line.text).is_none_or(|status| status < 400)
}

/// Whether a line tells what one call took, and of nothing else.
fn is_a_call(line: &Parsed<'_>) -> bool {
    line.has(Mark::Call)
        && (1..=3).contains(&line.amounts.len())
        && line.parts().next().is_none()
        && !line.names_a_cause()
        && !line.has(Mark::Access)
        && !line.has(Mark::Percentile)
        && !["timeout", "died", "exit"]
            .iter()
            .any(|word| line.text.contains(word))
}

/// Whether a line tells what one input of a shape took: `page 88f0 1x1024x768 15ms`.
fn is_sized(line: &Parsed<'_>) -> bool {
    let marks = [Mark::Warm, Mark::Exercised, Mark::AtStart, Mark::Access];
    line.amounts.len() == 1
        && line.parts().next().is_none()
        && !line.names_a_cause()
        && !marks.into_iter().any(|mark| line.has(mark))
        && (tells_shape(line.text) || line.has(Mark::Length))
        && timed(line.text, &line.amounts).is_some()
}

/// How long ago it was, where a line of events begins with that.
fn age(line: &Parsed<'_>) -> Option<f64> {
    let first = line.amounts.first().filter(|age| age.start == 0);
    first.map(|age| age.ms)
}
