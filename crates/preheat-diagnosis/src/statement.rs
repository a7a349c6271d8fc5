//! What one line says beside the lines around it: causes that it names, parts of a start, lengths,
//! latencies, and where in its life the process is.

use super::Diagnosis;
use super::amount;
use super::cause::Cause;
use super::lengths::Told;
use super::parsed::Parsed;
use super::phrases::Hit;
use super::rules::{Mark, Meaning, Part};
use super::sighting::EVIDENCE;
use super::timeline::{Place, Stream, Work};
use super::wording::{fits, is_shard, process, telling, without_numbers};

/// Pulling an image is worth a word from here on.
const SLOW_PULL_MS: f64 = 10_000.0;

/// A download that takes less is a look into the cache.
const SLOW_DOWNLOAD_MS: f64 = 500.0;

impl Diagnosis {
    pub(super) fn statement(&mut self, stream: &mut Stream, line: &Parsed<'_>) {
        self.named(line);
        self.parts(stream, line);
        let at_request = line.has(Mark::AtRequest)
            || line.has(Mark::Request)
            || matches!(
                stream.place(Part::Kernels, ""),
                Some(Place::Open | Place::AtRequest)
            );
        self.lengths(line, at_request);
        self.latencies(line);
        if line.has(Mark::Access) && !line.has(Mark::Interrupted) {
            self.asked(stream, line);
        }
        self.marks(stream, line);
    }

    /// Causes that the line names.
    fn named(&mut self, line: &Parsed<'_>) {
        for hit in line.hits {
            let Meaning::Names(cause) = hit.means else {
                continue;
            };
            let cost = match cause {
                Cause::Recompiled
                | Cause::UncoveredLength
                | Cause::ColdPageCache
                | Cause::ImagePullTime => line.cost(hit),
                _ => None,
            };
            let trifle = match cause {
                Cause::ImagePullTime => cost.is_none_or(|ms| ms < SLOW_PULL_MS),
                Cause::CpuLimit => fits(line.text, &amount::integers(line.text, line.amounts)),
                _ => false,
            };
            if !trifle {
                self.see(cause, hit.confidence, line.evidence.clone(), cost, None);
            }
        }
    }

    fn parts(&mut self, stream: &mut Stream, line: &Parsed<'_>) {
        let names_a_cause = line
            .hits
            .iter()
            .any(|hit| matches!(hit.means, Meaning::Names(_)));
        let all: Vec<(Hit, Part)> = line.parts().map(|(hit, part)| (*hit, part)).collect();
        for (hit, part) in all {
            let told_ms = line.cost(&hit);
            let is_work = told_ms.is_some() || line.has(Mark::Action);
            let explicit = line.place(&hit) == Some(Place::AtRequest);
            if !is_work || (names_a_cause && told_ms.is_none() && !explicit) {
                continue;
            }
            let same = without_numbers(line.text);
            let Some(place) = line.place(&hit).or_else(|| stream.place(part, &same)) else {
                continue;
            };
            if part == Part::Weights {
                stream.loads(same, &line.evidence);
                let process = process(line.text).filter(|_| !is_shard(line.text));
                stream.loads_as(process, telling(line.text), &line.evidence);
            }
            let work = Work {
                part,
                place,
                told_ms,
                seen_ms: None,
                evidence: line.evidence.clone(),
            };
            if let Some(settled) = stream.work(work, line.at, telling(line.text)) {
                self.settle(settled);
            }
        }
    }

    pub(super) fn settle(&mut self, work: Work) {
        let Work {
            part,
            place,
            told_ms,
            seen_ms,
            evidence,
        } = work;
        let took = told_ms.or(seen_ms);
        if part == Part::Download {
            if took.is_none_or(|ms| ms >= SLOW_DOWNLOAD_MS) {
                self.see(Cause::DownloadAtStart, 0.85, evidence, told_ms, seen_ms);
            }
            return;
        }
        if part == Part::Weights
            && let Some(ms) = took
            && self.weights.len() < EVIDENCE * 4
        {
            self.weights.push((ms, evidence.clone()));
        }
        match (place, lazily(part)) {
            (Place::AtStart, _) | (_, None) => {
                let confidence = if told_ms.is_some() { 0.9 } else { 0.7 };
                self.at_start
                    .entry(part)
                    .or_default()
                    .add(evidence, confidence, told_ms, seen_ms);
            }
            (_, Some(cause)) => {
                let confidence = if told_ms.is_some() { 0.9 } else { 0.75 };
                self.see(cause, confidence, evidence, told_ms, seen_ms);
            }
        }
    }

    fn lengths(&mut self, line: &Parsed<'_>, at_request: bool) {
        let Some(hit) = line.first(Mark::Length) else {
            return;
        };
        let words: Vec<(usize, usize)> = line
            .hits
            .iter()
            .filter(|hit| hit.means == Meaning::Marks(Mark::Length))
            .map(|hit| (hit.at, hit.end))
            .collect();
        let numbers = amount::integers(line.text, line.amounts);
        let told = Told {
            text: line.text,
            words: &words,
            numbers: &numbers,
            is_warm: line.has(Mark::Warm),
            at_request,
        };
        // Beside a part of the start, the time is that part's.
        let cost = line.cost(hit).filter(|_| line.parts().next().is_none());
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
        if let Some(hit) = line.first(Mark::Percentile) {
            self.latency
                .percentile(line.text, hit.at, line.amounts, &line.evidence);
            return;
        }
        let Some(latency) = line.first(Mark::Latency) else {
            return;
        };
        if line.parts().next().is_some()
            || line
                .hits
                .iter()
                .any(|hit| matches!(hit.means, Meaning::Names(_)))
        {
            return;
        }
        match line
            .first(Mark::Request)
            .filter(|_| line.text.contains("first") || line.text.contains("request 1 "))
        {
            Some(first) => self
                .latency
                .first(line.text, first.at, line.amounts, &line.evidence),
            None => {
                if let Some(took) = line
                    .amounts
                    .iter()
                    .find(|a| a.start >= latency.at)
                    .or(line.amounts.last())
                {
                    self.latency.request(took.ms, &line.evidence);
                }
            }
        }
    }

    fn marks(&mut self, stream: &mut Stream, line: &Parsed<'_>) {
        for hit in line.hits {
            let Meaning::Marks(mark) = hit.means else {
                continue;
            };
            match mark {
                Mark::Booted => stream.booted(line.at),
                Mark::Started => stream.started(process(line.text), line.at),
                Mark::Parent => stream.parent(),
                Mark::Ended => stream.ended(process(line.text)),
                Mark::Request => stream.request(),
                Mark::Interrupted => stream.interrupted(),
                Mark::Refused => {
                    self.refused.get_or_insert_with(|| line.evidence.clone());
                }
                Mark::Cached => stream.cached(),
                Mark::Listening => stream.listening(),
                Mark::Moved => {
                    self.moved = self.moved.take().or_else(|| Some(line.evidence.clone()))
                }
                Mark::Complete | Mark::Ready => {
                    if mark == Mark::Ready {
                        stream.claims_ready(&line.evidence);
                    }
                    let told = line
                        .amounts
                        .iter()
                        .find(|a| a.start >= hit.at)
                        .filter(|_| mark == Mark::Ready && line.parts().next().is_none())
                        .map(|a| a.ms);
                    let seen = stream.complete(line.at);
                    if let Some(ms) = told.or(seen) {
                        self.start_took(ms, line.evidence.clone());
                    }
                }
                _ => {}
            }
        }
    }
}

/// What it is when a part of the start is left to the first request.
fn lazily(part: Part) -> Option<Cause> {
    Some(match part {
        Part::Weights => Cause::LazyModel,
        Part::Tokenizer => Cause::LazyTokenizer,
        Part::Context => Cause::CudaContext,
        Part::Kernels => Cause::Kernels,
        Part::Download => return None,
    })
}
