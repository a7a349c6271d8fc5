//! What made the first request slow, or kept a replica from serving: causes found in what servers
//! and Kubernetes write, each with its evidence, its cost, and what to change.
//!
//! Lines come in one by one and are forgotten; what is kept is bounded whatever comes. Which words
//! mean what is data ([`rules`]); when something happened is told by the lines around it
//! ([`timeline`]). Text that no rule knows yields nothing.

mod amount;
mod cause;
pub mod input;
mod latency;
mod lengths;
mod phrases;
mod pods;
mod report;
pub mod rules;
mod stamp;
mod text;
mod timeline;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

pub use cause::{About, Cause, Paid};
pub use pods::{Check, Container, Probe, ProbeKind};
pub use report::{Finding, FirstRequest, Plan, Report, Stage};

use amount::Amount;
use latency::Latency;
use lengths::{Lengths, Told};
use phrases::{Hit, Phrases};
use rules::{Mark, Meaning, Part};
use timeline::{Place, Stream, Telling, Work};

/// Processes that are told apart; what comes from more of them is taken together.
const STREAMS: usize = 64;

/// Lines that are kept for a cause.
const EVIDENCE: usize = 5;

/// Pulling an image is worth a word from here on.
const SLOW_PULL_MS: f64 = 10_000.0;

/// A download that takes less is a look into the cache.
const SLOW_DOWNLOAD_MS: f64 = 500.0;

/// A second start that reads weights so many times slower found them in no cache.
const COLD_RATIO: f64 = 3.0;

/// One line as it was read. The text may hold anything.
#[derive(Debug, Clone, Copy)]
pub struct Line<'a> {
    pub source: &'a str,
    /// From 1.
    pub number: u64,
    /// In seconds on any clock, where it is known from elsewhere than the text.
    pub at: Option<f64>,
    pub text: &'a str,
}

/// Where something was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evidence {
    pub source: String,
    pub line: u64,
    pub text: String,
}

/// Takes lines, containers and measurements in; [`Diagnosis::report`] says what they come to.
#[derive(Debug, Default)]
pub struct Diagnosis {
    streams: BTreeMap<String, Stream>,
    seen: BTreeMap<Cause, Sighting>,
    at_start: BTreeMap<Part, Sighting>,
    latency: Latency,
    lengths: Lengths,
    containers: Vec<Container>,
    /// The longest start that was seen.
    start: Option<(f64, Evidence)>,
    moved: Option<Evidence>,
    weights: Vec<(f64, Evidence)>,
}

/// What has come together about one cause.
#[derive(Debug, Clone, Default)]
struct Sighting {
    evidence: Vec<Evidence>,
    told_ms: Option<f64>,
    seen_ms: Option<f64>,
    longest_ms: Option<f64>,
    is_told: bool,
    confidence: f64,
}

impl Sighting {
    fn add(&mut self, evidence: Evidence, confidence: f64, told: Option<f64>, seen: Option<f64>) {
        if self.evidence.len() < EVIDENCE && !self.evidence.contains(&evidence) {
            self.evidence.push(evidence);
        }
        self.confidence = self.confidence.max(confidence);
        let sum = |into: &mut Option<f64>, ms: Option<f64>| {
            *into = ms.map(|ms| into.unwrap_or(0.0) + ms).or(*into);
        };
        sum(&mut self.told_ms, told);
        sum(&mut self.seen_ms, seen);
        // What a line tells is worth more than what time stamps show.
        if told.is_some() && !self.is_told {
            (self.is_told, self.longest_ms) = (true, None);
        }
        let counted = told.or(seen.filter(|_| !self.is_told));
        let both = [self.longest_ms, counted].into_iter().flatten();
        self.longest_ms = both.reduce(f64::max);
    }

    /// What lines say counts; time stamps only where no line says anything.
    fn cost_ms(&self) -> Option<f64> {
        self.told_ms.or(self.seen_ms)
    }
}

/// One line, taken apart.
struct Parsed<'a> {
    text: &'a str,
    hits: &'a [Hit],
    amounts: &'a [Amount],
    at: Option<f64>,
    evidence: Evidence,
}

impl Parsed<'_> {
    fn first(&self, mark: Mark) -> Option<&Hit> {
        self.hits
            .iter()
            .find(|hit| hit.means == Meaning::Marks(mark))
    }

    fn has(&self, mark: Mark) -> bool {
        self.first(mark).is_some()
    }

    fn parts(&self) -> impl Iterator<Item = (&Hit, Part)> {
        self.hits.iter().filter_map(|hit| match hit.means {
            Meaning::Does(part) => Some((hit, part)),
            _ => None,
        })
    }

    /// The duration that belongs to what is named at `hit`.
    fn cost(&self, hit: &Hit) -> Option<f64> {
        let others = || {
            self.hits
                .iter()
                .filter(|other| is_subject(other) && other.at != hit.at)
                .map(|other| other.at)
        };
        let next = others()
            .filter(|at| *at > hit.at)
            .min()
            .unwrap_or(usize::MAX);
        let previous = others().filter(|at| *at < hit.at).max();
        let first_subject = others().chain([hit.at]).min().unwrap_or(0);
        let figures_lead = self
            .amounts
            .first()
            .is_some_and(|a| a.start < first_subject)
            && self.amounts.len() == others().count() + 1;
        let after = self
            .amounts
            .iter()
            .find(|a| a.start >= hit.at && a.start < next);
        let before = self.amounts.iter().rev().find(|a| a.end <= hit.at);
        let chosen = match (figures_lead, previous) {
            (true, _) => before,
            (false, None) => after.or(before),
            (false, Some(_)) => after,
        };
        chosen.map(|amount| amount.ms)
    }

    /// Whether words on the line put what is at `hit` into the start or into a request: the
    /// nearest before it, else the first behind it.
    fn place(&self, hit: &Hit) -> Option<Place> {
        let words = || {
            self.hits.iter().filter_map(|other| match other.means {
                Meaning::Marks(Mark::AtRequest) => Some((other.at, Place::AtRequest)),
                Meaning::Marks(Mark::AtStart) => Some((other.at, Place::AtStart)),
                _ => None,
            })
        };
        let before = words()
            .filter(|(at, _)| *at <= hit.at)
            .max_by_key(|(at, _)| *at);
        // "… (warm-up covered 128 only)" says nothing of when this ran.
        let aside = |at: usize| self.text[at..].starts_with("warm");
        let behind = words().filter(|(at, _)| !aside(*at));
        before
            .or_else(|| behind.min_by_key(|(at, _)| *at))
            .map(|(_, place)| place)
    }
}

/// Whether a figure on the line may belong to this.
fn is_subject(hit: &Hit) -> bool {
    matches!(
        hit.means,
        Meaning::Does(_) | Meaning::Marks(Mark::Percentile)
    )
}

impl Diagnosis {
    #[must_use]
    pub fn new() -> Self {
        Diagnosis::default()
    }

    /// Takes a line of a log, of events or of a description in.
    pub fn line(&mut self, line: &Line<'_>) {
        let text = text::clean(line.text);
        if text.is_empty() {
            return;
        }
        let (name, rest) = text::stream(&text);
        let stamped = stamp::stamp(rest);
        let at = line.at.or(stamped.map(|(seconds, ..)| seconds));
        let body = match stamped {
            Some((_, start, end)) => text::normal(&format!("{}{}", &rest[..start], &rest[end..])),
            None => text::normal(rest),
        };
        let mut hits = Phrases::shared().holding(&body);
        if says_ready(&body) {
            hits.push(Hit::mark(Mark::Ready));
        }
        let key = self.key(line.source, name);
        let mut stream = self.streams.remove(&key).unwrap_or_default();
        stream.tick(at);
        if !hits.is_empty() {
            let amounts = amount::amounts(&body);
            let evidence = Evidence {
                source: line.source.to_owned(),
                line: line.number,
                text: text::shown(&text),
            };
            let parsed = Parsed {
                text: &body,
                hits: &hits,
                amounts: &amounts,
                at,
                evidence,
            };
            let names = hits
                .iter()
                .any(|hit| matches!(hit.means, Meaning::Names(_)));
            if parsed.has(Mark::Access) && is_access(&parsed) && !names {
                self.access(&mut stream, &parsed);
            } else {
                self.statement(&mut stream, &parsed);
            }
        }
        stream.done(at);
        self.streams.insert(key, stream);
    }

    /// Takes a container of a manifest or a description in.
    pub fn container(&mut self, container: Container) {
        if self.containers.len() < STREAMS {
            self.containers.push(container);
        }
    }

    /// Takes a measured pair in: what a first request took, and what a steady one takes.
    pub fn measured(&mut self, first_ms: f64, steady_ms: f64, evidence: &Evidence) {
        self.latency.measured(first_ms, steady_ms, evidence);
    }

    /// Takes a cause in that was found by asking a server.
    pub fn found(
        &mut self,
        cause: Cause,
        confidence: f64,
        cost_ms: Option<f64>,
        evidence: Evidence,
    ) {
        self.see(cause, confidence, evidence, cost_ms, None);
    }

    /// Takes a measured start in.
    pub fn start_took(&mut self, ms: f64, evidence: Evidence) {
        if self.start.as_ref().is_none_or(|(longest, _)| ms > *longest) {
            self.start = Some((ms, evidence));
        }
    }

    fn key(&self, source: &str, name: &str) -> String {
        let key = format!("{source}\u{0}{name}");
        match self.streams.len() < STREAMS || self.streams.contains_key(&key) {
            true => key,
            false => String::new(),
        }
    }

    fn see(
        &mut self,
        cause: Cause,
        confidence: f64,
        evidence: Evidence,
        told: Option<f64>,
        seen: Option<f64>,
    ) {
        self.seen
            .entry(cause)
            .or_default()
            .add(evidence, confidence, told, seen);
    }

    /// A line of an access log: a request, a probe that was answered, what it took.
    fn access(&mut self, stream: &mut Stream, line: &Parsed<'_>) {
        let Some(path) = path(line.text) else { return };
        let ok = line.text.contains(" 200");
        if is_probe(path) {
            if ok && path.contains("ready") {
                stream.claims_ready(&line.evidence);
                let _ = stream.complete(line.at);
            }
            return;
        }
        stream.request();
        if let Some(took) = line.amounts.last() {
            self.latency.request(took.ms, &line.evidence);
        }
    }

    fn statement(&mut self, stream: &mut Stream, line: &Parsed<'_>) {
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
        if line.has(Mark::Access) {
            self.asked(stream, line);
        }
        self.marks(stream, line);
    }

    /// A line about a request that is no line of an access log: it begins, or tells its time.
    fn asked(&mut self, stream: &mut Stream, line: &Parsed<'_>) {
        if path(line.text).is_none_or(is_probe) || line.parts().next().is_some() {
            return;
        }
        stream.request();
        if let Some(took) = line.amounts.last() {
            self.latency.request(took.ms, &line.evidence);
        }
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
            let trifle = cause == Cause::ImagePullTime && cost.is_none_or(|ms| ms < SLOW_PULL_MS);
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
                stream.loads_as(process(line.text), telling(line.text), &line.evidence);
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

    fn settle(&mut self, work: Work) {
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

/// Words for work that is over, and for work that begins.
const ENDS: [&str; 12] = [
    "loaded",
    "done",
    "finished",
    "complete",
    "initialized",
    "initialised",
    "created",
    "compiled",
    "built",
    "captured",
    "took",
    "downloaded",
];
const BEGINS: [&str; 14] = [
    "loading",
    "initializing",
    "initialising",
    "creating",
    "compiling",
    "building",
    "downloading",
    "fetching",
    "starting",
    "capturing",
    "load ",
    "tuning",
    "reading",
    "moving",
];

/// Whether a line tells that something begins, or that it is over.
fn telling(text: &str) -> Telling {
    let has = |words: &[&str]| words.iter().any(|word| text.contains(word));
    match (text.ends_with("...") || has(&BEGINS), has(&ENDS)) {
        (_, true) if !text.ends_with("...") => Telling::End,
        (true, _) => Telling::Beginning,
        (false, _) => Telling::Neither,
    }
}

/// Whether readiness is all that a line tells: `INFO ready`, `ready level=info`.
fn says_ready(text: &str) -> bool {
    let is_level = |word: &&str| {
        let word = word.trim_matches(|c: char| !c.is_ascii_alphabetic());
        matches!(
            word,
            "" | "info" | "notice" | "debug" | "startup" | "server" | "main" | "app"
        )
    };
    let mut words = text.split_whitespace().skip_while(is_level);
    let first = words.next().map(|word| word.trim_end_matches(['.', '!']));
    first == Some("ready") && words.all(|word| word.contains('='))
}

/// The number that a process writes in front of its lines: `[7]`, `pid=7`, `"pid": 7`, `worker 7`.
fn process(text: &str) -> Option<u64> {
    const BEFORE: [&str; 6] = ["[", "pid=", "pid: ", "pid:", "pid\": ", "worker "];
    let places = BEFORE.iter().flat_map(|open| text.match_indices(open));
    places.into_iter().find_map(|(at, open)| {
        let rest = &text[at + open.len()..];
        let end = rest.find(|c: char| !c.is_ascii_digit())?;
        // `[00:03<00:02` is a progress bar's clock.
        let is_closed = open != "[" || rest[end..].starts_with(']');
        rest[..end].parse().ok().filter(|_| is_closed)
    })
}

fn without_numbers(text: &str) -> String {
    text.chars()
        .filter(|c| !c.is_ascii_digit())
        .take(160)
        .collect()
}

/// Not every line with a path in it is a line of an access log.
fn is_access(line: &Parsed<'_>) -> bool {
    let method = ["get /", "post /", "put /"]
        .iter()
        .any(|method| line.text.contains(method));
    let answered = [
        "http/1", "http/2", "status", "code=", " 200", " 503", " 500",
    ]
    .iter()
    .any(|word| line.text.contains(word));
    let fields = ["path=/", "uri=/", "url=/"]
        .iter()
        .any(|field| line.text.contains(field));
    (method || fields) && answered
}

/// The path that was asked for.
fn path(text: &str) -> Option<&str> {
    let starts = ["post /", "get /", "put /", "path=/", "uri=/", "url=/"];
    let at = starts
        .iter()
        .find_map(|start| text.find(start).map(|at| at + start.len() - 1))?;
    text[at..].split([' ', '"', '?', '\'', ',']).next()
}

/// Whether a path is asked by machines that watch rather than by users.
fn is_probe(path: &str) -> bool {
    const PROBES: [&str; 12] = [
        "/health",
        "/ready",
        "/live",
        "/startup",
        "/metrics",
        "/ping",
        "/v2/health",
        "/favicon",
        "/docs",
        "/openapi",
        "/status",
        "/info",
    ];
    path == "/"
        || PROBES.iter().any(|probe| path.starts_with(probe))
        || path.ends_with("/ready")
        || path.ends_with("/live")
        || path.ends_with("/health")
}
