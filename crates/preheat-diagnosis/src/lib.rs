//! What made the first request slow, or kept a replica from serving: causes found in what servers
//! and Kubernetes write, each with its evidence, its cost, and what to change.
//!
//! Lines come in one by one and are forgotten; what is kept is bounded whatever comes. Text that no
//! rule knows yields nothing. Where to look:
//!
//! - [`cause`]: what is called how, and what to do about it; [`meaning`]: what counts as it.
//! - [`input`]: files, their lines, the containers, metrics and figures in them; [`traced`]: traces, exported
//!   or told line by line, and what they come to.
//! - [`line`]: one line by itself; [`rules`]: which words mean what, as data.
//! - [`statement`], [`parts`], [`exchange`], [`access`] and [`breakdown`]: what a line says, beside those around it.
//! - [`covered`], [`kept`]: what figures tell, whatever the words around them.
//! - [`timeline`]: what is known of a process, so when something happened; [`gate`], [`memory`], [`unfit`]: what
//!   became of its try before it opens, of its memory, and of what it was to serve.
//! - [`devices`], [`latency`], [`lengths`], [`lives`], [`placement`], [`primed`], [`reads`], [`refusals`],
//!   [`restarts`], [`threads`]: what is known whoever wrote it.
//! - [`subject`], [`talk`]: whose text it is, and whether it tells of anything that happened.
//! - [`containers`]: what is wrong with a manifest.
//! - [`report`]: what all of it comes to; [`sighting`]: what has come together of one cause; [`frames`]: what parts
//!   none of it.

mod cause;
mod meaning;

pub mod input;
mod traced;

mod line;
pub mod rules;

mod access;
mod breakdown;
mod console;
mod exchange;
mod frames;
mod parts;
mod statement;

mod covered;
mod kept;

mod gate;
mod memory;
mod timeline;

mod devices;
mod latency;
mod lengths;
mod lives;
mod placement;
mod primed;
mod reads;
mod refusals;
mod restarts;
mod threads;
mod unfit;

mod subject;
mod talk;

mod containers;

mod report;
mod sighting;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

pub use cause::{About, Cause, Paid};
pub use containers::{Container, Probe, ProbeKind};
pub use report::{Finding, FirstRequest, Plan, Report, Stage};
pub use traced::{Span, Trace};

use access::is_access;
use console::Console;
use covered::Covered;
use devices::Devices;
use frames::Frames;
use kept::tells_cold;
use latency::{Latency, Sure, is_of_others, may_be_timed, may_bear_a_time, may_list};
use lengths::Lengths;
use line::phrases::Hit;
use line::prompt::{self, Typed};
use line::settings::{heads_warmup, is_switched_off};
use line::shortfall::is_short;
use line::wording::is_build_step;
use line::{Parsed, Plain, amount, text};
use lives::{Lives, Statuses, Told};
use placement::Placement;
use primed::Primed;
use reads::Reads;
use refusals::Refusals;
use restarts::Restarts;
use rules::{Mark, Meaning, Part};
use sighting::Sighting;
use subject::Subjects;
use talk::Talk;
use threads::Threads;
use timeline::{Stream, Traced};
use traced::lines::Spans;

/// Processes that are told apart; what comes from more of them is taken together.
const STREAMS: usize = 64;

/// A line that tells one answer has no more bytes.
const BRIEF: usize = 200;

/// Confidence in a load that failed, where only the code that raised says what it did.
const RAISED: f64 = 0.7;

/// One line as it was read. The text may hold anything.
#[derive(Debug, Clone, Copy)]
pub struct Line<'a> {
    pub source: &'a str,
    /// Which of several that a text describes the line is about.
    pub pod: Option<&'a str>,
    /// From 1.
    pub number: u64,
    /// In seconds on any clock, where it is known from elsewhere than the text.
    pub at: Option<f64>,
    pub text: &'a str,
}

/// Whether what a line means is known, so that its time tells nothing more.
fn tells_itself(hit: &Hit) -> bool {
    let marks = [Mark::TurnedAway, Mark::Access, Mark::Exchange];
    hit.names_a_cause() || marks.iter().any(|mark| hit.means == Meaning::Marks(*mark))
}

fn evidence(line: &Line<'_>, plain: &Plain<'_>) -> Evidence {
    Evidence {
        source: line.source.to_owned(),
        line: line.number,
        pod: line.pod.map(str::to_owned),
        text: text::shown(&plain.shown),
    }
}

/// Where something was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evidence {
    pub source: String,
    pub line: u64,
    /// Where the same text tells of several.
    pub pod: Option<String>,
    pub text: String,
}

/// Takes lines, containers and measurements in; [`Diagnosis::report`] says what they come to.
#[derive(Debug, Default)]
pub struct Diagnosis {
    streams: BTreeMap<String, Stream>,
    seen: BTreeMap<Cause, Sighting>,
    /// Parts of starts, by the stream that tells of them.
    at_start: BTreeMap<(Part, u32), Sighting>,
    /// The stream that a line is being taken in from; 0 if it is none.
    stream: u32,
    console: Console,
    latency: Latency,
    lengths: Lengths,
    covered: Covered,
    containers: Vec<Container>,
    devices: Devices,
    /// The longest start that was seen.
    start: Option<(f64, Evidence)>,
    reads: Reads,
    refusals: Refusals,
    lives: Lives,
    placement: Placement,
    /// By the text that they stand in.
    statuses: (String, Statuses),
    primed: Primed,
    restarts: Restarts,
    spans: Spans,
    subjects: Subjects,
    talk: Talk,
    frames: Frames,
    threads: Threads,
    /// Where processes ended by themselves.
    died: Vec<Evidence>,
    /// The newest line is the head of a section about the warm-up.
    heads_warmup: bool,
    /// A server loads in the background, and answers meanwhile.
    loads_beside: bool,
    /// A request waited until there was a replica at all.
    is_waited_for: bool,
    /// How often a service manager has started the service of a text again.
    starts_anew: BTreeMap<String, u32>,
    /// Where a compiler was set up that runs when it is first needed.
    compiler: Option<Evidence>,
    /// A line says so.
    is_held: bool,
    /// The longest that one waited, as a line tells.
    waited: f64,
    /// The text, and which file the newest lines of it come from, where a command shows several.
    shown: (String, String),
    /// The first claim of readiness, whoever made it.
    claimed: Option<Evidence>,
    /// Where each path of a probe was answered well for the first time.
    probed: Vec<(String, Evidence)>,
}

impl Diagnosis {
    #[must_use]
    pub fn new() -> Self {
        Diagnosis::default()
    }

    /// Takes a line of a log, of events or of a description in.
    pub fn line(&mut self, line: &Line<'_>) {
        if let Some(file) = prompt::file(line.text) {
            self.shown = (line.source.to_owned(), file.to_owned());
            return;
        }
        let Some(mut plain) = Plain::of(line.text) else {
            self.talk.take(line, false);
            if is_build_step(line.text.trim_start()) {
                self.subjects.builds(line.source, line.number);
            }
            return;
        };
        let at = line.at.or(plain.at);
        if plain.typed.is_some() {
            self.begins_output(line.source, plain.typed);
        } else if plain.stream.is_empty() && self.shown.0 == line.source {
            plain.stream.push_str(&self.shown.1);
        }
        let name = match plain.stream.as_str() {
            "" => line.pod.unwrap_or_default(),
            name => name,
        };
        if at.is_some() && Statuses::may_be(line.text) {
            self.status(line, at);
        }
        let key = self.key(line.source, name);
        if lives::may_be_row(line.text) {
            self.lives.row(line.source, line.text);
        }
        // Put aside, as what a line says of its process never asks for another.
        let mut streams = std::mem::take(&mut self.streams);
        let next = u32::try_from(streams.len())
            .unwrap_or(u32::MAX)
            .saturating_add(1);
        let stream = streams.entry(key).or_insert_with(|| Stream::new(next));
        (self.stream, self.latency.stream) = (stream.number, stream.number);
        let at = stream.tick(at);
        if stream.is_young() {
            self.talk.take(line, at.is_some());
        }
        if stream.is_young() {
            self.subjects
                .take(stream.number, line.source, name, &plain.text);
        }
        stream.kin.announce(&plain.text);
        let traced = stream.traced(&plain.text);
        let skips = Meaning::Names(Cause::WarmupSkipped);
        let is_left_out = plain.hits.iter().any(|hit| hit.means == skips);
        for hit in &plain.hits {
            match hit.means {
                Meaning::Marks(Mark::Checks) if is_left_out => {}
                Meaning::Marks(Mark::Checks) => stream.gate.tries(line.number),
                Meaning::Marks(Mark::MayCheck) => stream.gate.may_try(line.number),
                Meaning::Marks(Mark::Loads) => self.refusals.loads(line.source),
                Meaning::Marks(Mark::Started | Mark::Booted | Mark::Restarted) => {
                    self.refusals.begins(line.source);
                }
                Meaning::Marks(Mark::AskedDevice) => self.devices.asked(line.source),
                Meaning::Marks(Mark::SparesDevice) if !plain.names(Cause::DeviceFallback) => {
                    self.devices.spared(line.source);
                }
                Meaning::Marks(Mark::Uptime) if lives::is_long_up(&plain.text[hit.end..]) => {
                    self.lives.long(line.source, line.pod);
                }
                Meaning::Marks(Mark::AsksLife) => self.restarts.asks_life(line.source),
                Meaning::Marks(Mark::HealthIsReady) => stream.has_ready_health = true,
                Meaning::Marks(Mark::Traffic) => {
                    stream.has_traffic = true;
                    self.lives.serves(line.source);
                }
                _ => {}
            }
        }
        if self
            .lives
            .ends_late(line.source, at, Told::of(&plain.text, &plain.hits))
        {
            self.lives.long(line.source, line.pod);
        }
        // A try may tell of its answers by figures alone.
        let is_brief = plain.text.len() <= BRIEF;
        if is_brief && stream.gate.may_be_trying(line.number) && is_short(&plain.text) {
            plain.hits.push(Hit::mark(Mark::Deviates));
        }
        if let Some((path, status)) = self.console.take(line.source, line.number, &plain.text) {
            self.probed(stream, &path, Some(status), &evidence(line, &plain), at);
        }
        let is_row = self.latency.expects_a_row();
        let is_raised = matches!(traced, Traced::LoadRaised | Traced::WarmupRaised);
        let may_matter = || plain.hits.iter().any(Hit::may_matter_alone);
        let is_young = stream.is_young();
        if is_young {
            self.spans.take(&plain.text);
        }
        let may_time = || {
            is_young
                && (may_bear_a_time(&plain.text) || self.latency.waits() || may_list(&plain.text))
        };
        if matches!(traced, Traced::Code | Traced::AskedLoad) {
            self.frames.add(line.source, line.number);
            if traced == Traced::AskedLoad {
                let evidence = evidence(line, &plain);
                self.see(Cause::LazyModel, RAISED, evidence, None, None);
            }
        } else if is_row || is_raised || may_matter() || may_time() {
            let mut amounts = amount::amounts(&plain.text);
            if plain
                .hits
                .iter()
                .any(|hit| hit.means == Meaning::Marks(Mark::Spelled))
            {
                amounts.extend(amount::in_words(&plain.text));
                amounts.sort_by_key(|amount| amount.start);
            }
            let has_times = !amounts.is_empty();
            let is_told = is_row || is_raised || plain.matters(has_times);
            let is_close = is_told || has_times || self.latency.waits() || may_list(&plain.text);
            let is_timed = is_young && is_close && may_be_timed(&plain.text);
            if is_told || (is_timed && !is_of_others(&plain.text)) {
                let evidence = evidence(line, &plain);
                let parsed = Parsed {
                    text: &plain.text,
                    hits: &plain.hits,
                    amounts,
                    at,
                    is_timed,
                    evidence,
                };
                self.said(stream, &parsed, traced);
            }
        }
        self.threads
            .shown(&plain.text, || evidence(line, &plain), line.number);
        if self.heads_warmup && is_switched_off(&plain.text) {
            let seen = evidence(line, &plain);
            self.see(Cause::WarmupSkipped, 0.85, seen, None, None);
        }
        self.heads_warmup = heads_warmup(&plain.text);
        if is_young {
            self.latency.asks(&plain.shown);
            self.figures(line, &plain);
            let seen = || evidence(line, &plain);
            self.latency.reported(&plain.text, seen);
        }
        if let Some(at) = at.filter(|_| stream.watches()) {
            let is_known = plain.hits.iter().any(tells_itself);
            stream.watch(at, &plain.text, evidence(line, &plain), is_known);
        }
        for work in stream.waited() {
            self.settle(work);
        }
        stream.done(at, &plain.text);
        self.streams = streams;
        (self.stream, self.latency.stream) = (0, 0);
    }

    /// What comes is another text, of another time: a log from its beginning.
    fn begins_output(&mut self, source: &str, typed: Option<Typed>) {
        self.shown.1.clear();
        // Somebody asked, and looks at what came of it.
        let is_asked = self.latency.printed_ms > 0.0;
        if !(typed == Some(Typed::Log) || (typed == Some(Typed::End) && !is_asked)) {
            return;
        }
        for (key, stream) in &mut self.streams {
            if key.split('\u{0}').next() == Some(source) {
                stream.restarts();
            }
        }
    }

    /// Causes that figures tell, whatever the words around them.
    fn figures(&mut self, line: &Line<'_>, plain: &Plain<'_>) {
        let is_rate = |hit: &Hit| hit.means == Meaning::Marks(Mark::Rate);
        if plain.hits.iter().any(is_rate)
            && let Some(took) = amount::amounts(&plain.text).last()
        {
            self.reads.took(took.ms, &evidence(line, plain));
        }
        let told = [
            (Cause::UncoveredLength, self.covered.take(&plain.text)),
            (Cause::ColdPageCache, tells_cold(&plain.text)),
        ];
        for (cause, _) in told.into_iter().filter(|(_, is_told)| *is_told) {
            self.see(cause, 0.75, evidence(line, plain), None, None);
        }
    }

    fn status(&mut self, line: &Line<'_>, at: Option<f64>) {
        let (source, statuses) = &mut self.statuses;
        if source != line.source {
            (*source, *statuses) = (line.source.to_owned(), Statuses::default());
        }
        if statuses.take(line.number, line.text, at) {
            self.lived_long(line.source, line.pod);
        }
    }

    fn said(&mut self, stream: &mut Stream, line: &Parsed<'_>, traced: Traced) {
        if traced == Traced::LoadRaised && !line.names_a_cause() {
            stream.failures.add(&line.evidence);
        }
        let failed = match traced {
            Traced::LoadRaised => Some(Cause::LoadFailure),
            Traced::WarmupRaised => Some(Cause::WarmupFailed),
            Traced::Code | Traced::AskedLoad | Traced::Statement => None,
        };
        if let Some(failed) = failed.filter(|_| !line.names_a_cause()) {
            self.see(failed, RAISED, line.evidence.clone(), None, None);
        }
        match is_access(line) && !line.names_a_cause() {
            true => self.access(stream, line),
            false => self.statement(stream, line),
        }
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

    /// Takes in what requests of one kind took, one after the other; `list` tells them from others.
    pub fn requests(&mut self, list: u64, times_ms: &[f64], evidence: &Evidence) {
        let kind = format!("\u{7}{list}");
        for ms in times_ms {
            self.latency.request(&kind, *ms, evidence, Sure::Measured);
        }
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
        let key = [source, "\u{0}", name].concat();
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
        let sighting = self.seen.entry(cause).or_default();
        sighting.add(evidence, confidence, told, seen);
        sighting.seen_in(self.stream);
    }
}
