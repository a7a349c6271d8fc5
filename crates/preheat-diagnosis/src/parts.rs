//! Parts of a start that lines tell of: what is done, how long it takes, and whether the start did it or a
//! request waited for it.

use super::cause::Cause;
use super::exchange::{exchanged, is_for_one, is_traced, names_a_request};
use super::latency::{Sure, is_of_others, sure};
use super::line::Parsed;
use super::line::amount::without_amounts;
use super::line::list::List;
use super::line::phrases::Hit;
use super::line::shapes::tells_shape;
use super::line::wording::{
    Telling, is_of_library, is_on_its_way, is_shard, is_unfinished, process, telling,
    without_numbers,
};
use super::rules::{Mark, Part};
use super::timeline::{LONG_MS, Place, Span, Stream, Work, kind, named_kind};
use super::{Diagnosis, Evidence};

/// A part of a start that takes less is none, as the use of a tokenizer is not.
const TRIFLE_MS: f64 = 20.0;

/// What is loaded in less is no model that anybody waits for.
pub(super) const SMALL_LOAD_MS: f64 = 150.0;

/// What is loaded in less may be anything.
const LONG_LOAD_MS: f64 = 1_000.0;

/// A download that takes less is a look into the cache.
const SLOW_DOWNLOAD_MS: f64 = 1_000.0;

impl Diagnosis {
    pub(super) fn parts(&mut self, stream: &mut Stream, line: &Parsed<'_>) {
        // What is not there is not loaded by saying so.
        if line.has(Mark::TurnedAway) && !line.has(Mark::Obtains) {
            return;
        }
        let names_a_cause = line.names_a_cause();
        let mut done = Vec::new();
        for (hit, part) in line.parts() {
            // Several rules may hold for one thing that is said.
            if done.contains(&part) {
                continue;
            }
            done.push(part);
            let is_timed = line.cost(hit).is_some();
            let is_gone_for = || line.has(Mark::Absent) && line.text.contains('(');
            let moves = || part == Part::Download && line.text.contains('%');
            let is_work = is_timed
                || line.has(Mark::Action)
                || is_gone_for()
                || moves()
                || is_for_one(line.text);
            let is_explicit = line.place(hit) == Some(Place::AtRequest);
            // What is compiled once more is a cause of its own.
            let is_again = part == Part::Kernels && line.names(Cause::Recompiled);
            // It is compiled for that shape, and not run as it is.
            let is_for_shape = part == Part::Kernels
                && line.names(Cause::UncoveredLength)
                && telling(line.text) == Telling::Beginning;
            let is_told =
                !names_a_cause || is_for_shape || ((is_timed || is_explicit) && !is_again);
            if is_work
                && is_told
                && !is_of_library(line.text)
                && !(part == Part::Weights && line.has(Mark::Replaced) && !is_explicit)
            {
                self.part(stream, line, hit, part);
            }
        }
        if let Some(part) = stream.goes_on().filter(|_| done.is_empty() && ends(line)) {
            self.part(stream, line, &Hit::mark(Mark::Action), part);
        }
    }

    fn part(&mut self, stream: &mut Stream, line: &Parsed<'_>, hit: &Hit, part: Part) {
        let told_ms = line.cost(hit);
        self.loads_beside |= part == Part::Weights && line.text.contains("background");
        // What a compiler brings along is its own.
        if part == Part::Context && told_ms.is_none() && stream.begun(Part::Kernels).is_some() {
            return;
        }
        let is_for_one =
            is_for_one(line.text) || (is_traced(line.text) && !self.spans.is_part(line.text));
        if is_for_one {
            stream.is_open();
        }
        let same = without_numbers(line.text);
        let telling = match telling(line.text) {
            Telling::Neither if is_unfinished(line.text) => Telling::Beginning,
            telling => telling,
        };
        let asks = |request: &Hit| is_one_sentence(line.text, request.at, hit.at);
        let is_asked = || line.first(Mark::Request).is_some_and(asks) || exchanged(line).is_some();
        let asked = || (is_for_one || is_asked()).then_some(Place::AtRequest);
        let traced = || self.traced_place(line.text);
        // A row for a request tells what that request did.
        let is_row = self.latency.expects_a_row() && line.text.contains(['|', ',']);
        let row = || is_row.then_some(Place::AtRequest);
        let is_sought = || line.has(Mark::Obtains) && names_a_request(line.text);
        let sought = || is_sought().then_some(Place::AtRequest);
        // Triton loads when it starts or is told to; whom for, only the time of a request can show.
        let is_managed = line.evidence.text.contains("model_lifecycle.cc");
        let again = || (is_managed || line.has(Mark::Restarted)).then_some(Place::AtStart);
        let explicit = line.place(hit);
        let told = explicit
            .or_else(again)
            .or_else(asked)
            .or_else(traced)
            .or_else(row)
            .or_else(sought);
        let by_time = stream.precedes(line.at).then_some(Place::AtStart);
        let begun = explicit.or_else(|| stream.begun(part)).or(told);
        let is_open = || is_missed(line.text) || stream.is_open_end(part);
        let is_missing = line.has(Mark::Absent) || stream.is_sought(part);
        let is_absent = is_missing && !matches!(part, Part::Kernels | Part::Download);
        let lazily = || match is_absent {
            true if stream.is_started() => Some(Place::AtRequest),
            true => Some(Place::Open),
            false => is_open().then_some(Place::Open),
        };
        let place = begun.or(by_time);
        let place = place.or_else(|| match stream.place(part, &same) {
            Some(Place::AtStart | Place::Open) if is_absent => lazily(),
            Some(Place::AtStart) => lazily().or(Some(Place::AtStart)),
            place => place,
        });
        let is_counted = part == Part::Weights && !is_unfinished(line.text);
        if is_counted && (place.is_some() || stream.loads.has(&same)) {
            let process = process(line.text).filter(|_| !is_shard(line.text));
            let loaded = without_numbers(&line.text[hit.at..]);
            stream.loads.add(same.clone(), process, &line.evidence);
            stream
                .loads
                .add_of(process, loaded, telling, span(line), &line.evidence);
            if let Some((took, at)) = told_ms.zip(line.at).filter(|_| !is_shard(line.text)) {
                let said = without_amounts(line.text, &line.amounts);
                let said = without_instance(&said);
                stream.loads.add_timed(said, at, took, &line.evidence);
            }
        }
        let Some(place) = place else {
            self.weigh(part, told_ms, &line.evidence);
            return;
        };
        // What takes no time is not what somebody waits for.
        let trifle = match part {
            Part::Weights => SMALL_LOAD_MS,
            _ => TRIFLE_MS,
        };
        if place != Place::AtStart && told_ms.is_some_and(|ms| ms < trifle) {
            return;
        }
        if part == Part::Kernels && place == Place::AtStart {
            stream.compiles(same, line.text);
        } else if part == Part::Kernels {
            let is_explicit = explicit.is_some();
            if self.is_for_shape(stream, line, same, telling, is_explicit) {
                return;
            }
        }
        let work = Work {
            told_ms,
            is_absent,
            // What began at start may have gone on for a request all the same.
            is_placed: told.is_some_and(|place| place == Place::AtRequest || explicit.is_some()),
            ..Work::new(part, place, line)
        };
        if let Some(settled) = stream.work(work, line.at, telling) {
            self.settle(settled);
        }
        if is_on_its_way(line.text) {
            stream.is_on_its_way();
        }
    }

    /// Where a part of a request stands that was traced: the start does what is done before there is a replica.
    fn traced_place(&self, text: &str) -> Option<Place> {
        let is_traced = self.spans.is_part(text) && self.spans.is_of_request(text);
        is_traced.then_some(match self.is_waited_for {
            true => Place::AtStart,
            false => Place::AtRequest,
        })
    }

    pub(super) fn settle(&mut self, work: Work) {
        let Work {
            part,
            place,
            told_ms,
            seen_ms,
            evidence,
            is_certain,
            is_placed,
            is_after_claim,
            ..
        } = work;
        // Whoever waits until there is a replica waits for all that it does before it says that it is there.
        let is_of_start = self.is_waited_for && !is_placed && !is_after_claim;
        let place = match is_of_start {
            true => Place::AtStart,
            false => place,
        };
        let took = told_ms.or(seen_ms);
        if !is_certain && took.is_none_or(|ms| ms < LONG_MS) {
            return;
        }
        if part == Part::Download {
            if took.is_none_or(|ms| ms >= SLOW_DOWNLOAD_MS) {
                self.see(Cause::DownloadAtStart, 0.85, evidence, told_ms, seen_ms);
            }
            return;
        }
        self.weigh(part, took, &evidence);
        match (place, lazily(part)) {
            (Place::AtStart, _) | (_, None) => {
                let confidence = if told_ms.is_some() { 0.9 } else { 0.7 };
                self.at_start
                    .entry((part, self.stream))
                    .or_default()
                    .add(evidence, confidence, told_ms, seen_ms);
            }
            (_, Some(cause)) => {
                let confidence = if told_ms.is_some() { 0.9 } else { 0.75 };
                self.see(cause, confidence, evidence, told_ms, seen_ms);
            }
        }
    }

    fn weigh(&mut self, part: Part, took_ms: Option<f64>, evidence: &Evidence) {
        if let Some(ms) = took_ms.filter(|_| part == Part::Weights) {
            self.reads.took(ms, evidence);
        }
    }

    /// Whether something is compiled after the start for a shape that nobody had asked for before: where others
    /// were run, that is why, and not that it is the first request.
    fn is_for_shape(
        &mut self,
        stream: &mut Stream,
        line: &Parsed<'_>,
        same: String,
        telling: Telling,
        is_explicit: bool,
    ) -> bool {
        let is_told = tells_shape(line.text);
        let is_shaped = is_told || line.has(Mark::Length);
        let known = stream.compiles(same, line.text);
        let is_again = known.is_again && stream.knows_shapes() && stream.has_claimed();
        if (is_shaped && known.is_other) || is_again {
            self.see(Cause::Recompiled, 0.8, line.evidence.clone(), None, None);
        }
        if is_again {
            return true;
        }
        let is_its_end = stream.compiles_for_shape && telling == Telling::End;
        let is_known = stream.knows_shapes() && (!is_explicit || is_told);
        if !is_known && !is_its_end {
            return false;
        }
        stream.compiles_for_shape =
            (is_shaped || stream.compiles_for_shape) && telling != Telling::End;
        if is_known && (is_told || (is_shaped && stream.has_answered())) {
            self.see(Cause::Recompiled, 0.75, line.evidence.clone(), None, None);
        }
        (is_known && is_shaped) || is_its_end
    }

    /// Nobody can be answered before it is there: of what a start loads, little but a model takes long.
    pub(super) fn brought_for_whoever_waits(&mut self, stream: &mut Stream, line: &Parsed<'_>) {
        const OTHERS: [Mark; 5] = [
            Mark::Warm,
            Mark::Held,
            Mark::Exchange,
            Mark::Access,
            Mark::Ready,
        ];
        let is_brought = line.has(Mark::Brings);
        let may_be = (is_brought || line.amounts.len() == 1) && !stream.has_answered();
        if !may_be || OTHERS.into_iter().any(|mark| line.has(mark)) {
            return;
        }
        let is_model = is_brought && self.subjects.speak_of_models();
        let known = match line.amounts.len() {
            1 => kind(line.text),
            _ => named_kind(line.text),
        };
        if let Some(part) = known.or(is_model.then_some(Part::Weights)) {
            self.part(stream, line, &Hit::mark(Mark::Brings), part);
        }
    }

    /// Something that was not there is gone for while somebody waits: what it is may be called anything,
    /// as little else takes so long.
    pub(super) fn obtains(&mut self, stream: &mut Stream, line: &Parsed<'_>) {
        if !line.has(Mark::Obtains) {
            return;
        }
        let is_plain = line.parts().next().is_none()
            && !line.names_a_cause()
            && ![Mark::Warm, Mark::AtStart, Mark::Replaced, Mark::Access]
                .into_iter()
                .any(|mark| line.has(mark));
        let is_asked = names_a_request(line.text);
        let is_absent = line.has(Mark::Absent);
        let place = stream
            .place(Part::Weights, &without_numbers(line.text))
            .map(|place| match place {
                _ if is_asked || (is_absent && stream.is_started()) => Place::AtRequest,
                Place::AtStart if is_absent || is_missed(line.text) => Place::Open,
                place => place,
            })
            .filter(|place| is_plain && *place != Place::AtStart);
        let Some(place) = place else { return };
        let told_ms = line.amounts.last().map(|took| took.ms);
        let part = named_kind(line.text).unwrap_or(Part::Weights);
        let work = Work {
            told_ms,
            is_certain: (line.has(Mark::AtRequest) || is_asked || is_missed(line.text))
                && told_ms.is_none(),
            is_placed: is_asked,
            is_absent,
            ..Work::new(part, place, line)
        };
        let telling = match telling(line.text) {
            Telling::End => Telling::End,
            _ => Telling::Beginning,
        };
        if let Some(settled) = stream.work(work, line.at, telling) {
            self.settle(settled);
        }
    }
}

/// When the load that a line tells of began and ended.
fn span(line: &Parsed<'_>) -> Span {
    let took = line.amounts.last().map(|took| took.ms / 1e3);
    let began = line.at.zip(took).map(|(at, took)| at - took);
    Span { began, at: line.at }
}

/// Something is loaded of which nobody knows what it is: several workers that say the same of it load a
/// model, as little else takes long enough to be told.
pub(super) fn brings(stream: &mut Stream, line: &Parsed<'_>) {
    let process = process(line.text).or_else(|| stream.process_of(line.text));
    let is_brief = line
        .amounts
        .last()
        .is_some_and(|took| took.ms < LONG_LOAD_MS);
    let Some(process) = process.filter(|_| !is_shard(line.text) && !is_brief) else {
        return;
    };
    let same = without_numbers(line.text);
    let telling = telling(line.text);
    stream
        .loads
        .add_of(Some(process), same, telling, span(line), &line.evidence);
}

/// `embed_0_1: loaded`: what Triton calls one of several instances, without its numbers.
fn without_instance(said: &str) -> String {
    let Some((name, rest)) = said.split_once(": ") else {
        return said.to_owned();
    };
    let is_number = |c: char| c.is_ascii_digit() || matches!(c, ' ' | '_');
    let bare = name.trim_end_matches(is_number);
    let numbers = name[bare.len()..].split([' ', '_']);
    match numbers.filter(|number| !number.is_empty()).count() {
        2 => format!("{bare}: {rest}"),
        _ => said.to_owned(),
    }
}

/// Whether somebody finds that what is needed is not there: whoever comes next may be who needed it.
pub(crate) fn is_missed(text: &str) -> bool {
    const MISSED: [&str; 18] = [
        " is none",
        " == none",
        " is null",
        "== null",
        " is nil",
        "== nil",
        " missing;",
        " missing,",
        " empty,",
        " unset,",
        " is empty,",
        " is unset",
        "not cached in",
        "nobody used",
        "nobody had needed",
        "oncecell empty",
        "no cached ",
        "in this instance",
    ];
    static LIST: List = List::new(&[&MISSED]);
    LIST.is_in(text)
}

/// Whether no sentence ends between two places: people write several on one line.
fn is_one_sentence(text: &str, one: usize, other: usize) -> bool {
    !text[one.min(other)..one.max(other)].contains(". ")
}

/// What it is when a part of the start is left to the first request.
pub(super) fn lazily(part: Part) -> Option<Cause> {
    Some(match part {
        Part::Weights => Cause::LazyModel,
        Part::Tokenizer => Cause::LazyTokenizer,
        Part::Context => Cause::CudaContext,
        Part::Kernels => Cause::Kernels,
        Part::Download => return None,
    })
}

/// Whether a line tells that something has ended, what it took, and not what it was:
/// `done after 4.1 s`.
fn ends(line: &Parsed<'_>) -> bool {
    line.amounts.len() == 1
        && telling(line.text) == Telling::End
        && !line.names_a_cause()
        && !is_of_others(line.text)
        && sure(line.text) == Sure::Likely
        && ![Mark::Warm, Mark::Exercised, Mark::Call, Mark::Request]
            .into_iter()
            .any(|mark| line.has(mark))
}
