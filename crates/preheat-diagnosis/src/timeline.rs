//! One process, or several that write into one stream, as its lines tell it: starting, ready,
//! serving; what was done when; what is still under way.

mod asked;
mod clocks;
mod compiled;
mod failures;
mod firsts;
mod kin;
mod loads;
mod processes;
mod traces;
mod work;

use super::Evidence;
use super::gate::Gate;
use super::rules::Part;
use super::sighting::Sighting;
use super::unfit::Unfit;

use clocks::Clock;
pub(super) use clocks::between;
use compiled::Compiled;
use failures::Failures;
use firsts::Firsts;
pub(super) use firsts::{kind, named_kind};
use kin::Kin;
use loads::Loads;
pub(super) use loads::Span;
use processes::Processes;
pub(super) use traces::Traced;
use traces::Traces;
use work::step;
pub(super) use work::{Place, Work};

/// After so many requests a load is a change of models, not a cold start.
const YOUNG: u64 = 20;

/// A start that is silent for so long, with nothing under way, is over.
const IDLE_S: f64 = 30.0;

/// Who manages processes waits less long for one that loads.
const LONGEST_LOAD_S: f64 = 900.0;

/// Lines of one moment bear stamps that differ by so much: some are of whole seconds.
const CLOCKS_S: f64 = 1.5;

/// A request that takes so long may have waited for a part of the start.
pub(super) const LONG_MS: f64 = 300.0;

/// Lines in which requests are looked for however they are told. What the first ones took, and what
/// steady ones take, stands in the first of them.
const YOUNG_LINES: u32 = 50_000;

/// So few lines on, what has ended is what had begun.
const NEXT_LINES: u32 = 3;

/// A process needs so long before it loads anything.
pub(super) const LEAD_S: f64 = 1.0;

/// Questions for the state that wait for their answer.
const ASKED_FOR_STATE: usize = 8;

/// Lines of opened ports that are kept.
const PORTS: usize = 8;

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Phase {
    #[default]
    Starting,
    /// The start is said to be over; nobody has asked for anything yet.
    Ready,
    Serving,
}

#[derive(Debug, Default)]
pub(super) struct Stream {
    /// From 1, in the order in which streams were met.
    pub(super) number: u32,
    /// Parts of a start were done in it: no proxy, and no client.
    pub(super) works: bool,
    phase: Phase,
    held: Vec<Work>,
    /// Lines so far.
    lines: u32,
    clock: Clock,
    /// When the last line was written.
    last: Option<f64>,
    /// The newest work is under way since then.
    since: Option<f64>,
    /// When the process began, as far as lines tell.
    began: Option<f64>,
    processes: Processes,
    pub(super) kin: Kin,
    pub(super) ready: Option<Evidence>,
    /// When it was, as far as lines tell.
    ready_at: Option<f64>,
    pub(super) ready_then_cold: bool,
    /// A request waited for what the start had not loaded when it was claimed to be over.
    pub(super) loads_behind_claim: bool,
    /// A platform has called it, so that its start is over.
    pub(super) is_called: bool,
    /// It answers for its health once it is ready.
    pub(super) has_ready_health: bool,
    /// It told what it serves at the moment.
    pub(super) has_traffic: bool,
    requests: u64,
    /// Those that were answered well since the newest part of a start.
    answered: u64,
    /// One was answered, so that what comes next is no first request's.
    has_answered: bool,
    firsts: Firsts,
    /// When the first answered request came in.
    first_came: Option<f64>,
    /// Somebody waited until there was a replica at all: its request's time is the start's.
    is_waited_for: bool,
    /// What the first request waited for, as the times of its lines tell.
    waited: Vec<(Part, f64, Evidence)>,
    /// Where ports were opened, without numbers.
    opened: Vec<String>,
    /// What this line put an end to.
    closed: Option<Part>,
    pub(super) loads: Loads,
    pub(super) failures: Failures,
    pub(super) gate: Gate,
    pub(super) unfit: Unfit,
    compiled: Vec<Compiled>,
    /// What was compiled once more before any start was said to be over.
    pub(super) again: Sighting,
    /// What would be downloaded was found to be there.
    is_cached: bool,
    traces: Traces,
    is_listening: bool,
    /// A request was turned away before any was served: what is done meanwhile is the start's.
    is_refusing: bool,
    /// Whoever asks whether it is ready was told that it is not: its start goes on.
    is_shut: bool,
    /// Bars without stamps moved since the last line that had one.
    is_busy: bool,
    /// Some shapes were run before anybody asked for one.
    pub(super) is_warmed: bool,
    /// Its manager lost patience with it.
    pub(super) is_timed_out: bool,
    /// What is compiled is compiled for a shape that was not run before.
    pub(super) compiles_for_shape: bool,
    /// Something was said to begin, and not that it is over.
    is_under_way: bool,
    /// Starts by a service manager that were told of.
    starts_anew: u32,
    /// Nothing happened for long: only a request can have asked for what comes then, even if it
    /// leaves no line.
    is_asleep: bool,
    /// Work for a request that was said to begin, and not that it is over.
    begun: Option<(Part, Place)>,
    /// Lines since then.
    since_begun: u32,
    /// One model takes the place of another while that one serves.
    is_replacing: bool,
    /// Weights were loaded before the start was over.
    is_loaded: bool,
    /// Weights are being loaded since this line, as far as lines tell.
    pub(super) loading: Option<Evidence>,
    /// An image is being pulled: since when, or since how long.
    pulls: Option<(Option<f64>, Option<f64>)>,
    /// Requests whose answers have lines of their own: those that ask for the state.
    asked_for_state: Vec<String>,
}

impl Stream {
    pub(super) fn new(number: u32) -> Self {
        Stream {
            number,
            ..Stream::default()
        }
    }

    /// A line was written: what was under way has ended by now. Gives back when, on the stream's clock.
    pub(super) fn tick(&mut self, at: Option<f64>) -> Option<f64> {
        let at = at.map(|at| self.clock.same(at));
        let at = at.map(|at| self.in_order(at));
        self.closed = None;
        self.lines = self.lines.saturating_add(1);
        let at = at?;
        self.began.get_or_insert(at);
        let gap = self.last.map_or(0.0, |last| between(last, at));
        let may_be_over = self.is_listening || self.phase != Phase::Starting;
        let was_busy = std::mem::take(&mut self.is_busy);
        if gap >= IDLE_S && !was_busy && may_be_over && !self.is_under_way && !self.is_held_back() {
            self.is_asleep = true;
        }
        if let Some(since) = self.since.take()
            && let Some(work) = self.held.last_mut()
        {
            work.seen_ms = step(since, at);
            work.until = Some(at);
            self.closed = Some(work.part);
        }
        Some(at)
    }

    /// A stamp of whole seconds tells that second's begin: its line was written no earlier than the one before.
    fn in_order(&self, at: f64) -> f64 {
        let is_of_last = |last: &f64| at.fract() == 0.0 && (at..at + 1.0).contains(last);
        self.last.filter(is_of_last).unwrap_or(at)
    }

    /// Whether little enough was written that every line is worth a closer look.
    pub(super) fn is_young(&self) -> bool {
        self.lines <= YOUNG_LINES
    }

    /// Which process writes a line, if it begins with the bare number of one that was told of.
    pub(super) fn process_of(&self, text: &str) -> Option<u64> {
        let first = text.split(' ').next()?.parse().ok();
        let numbered = first.filter(|number| self.processes.is_numbered(*number));
        numbered.or_else(|| self.kin.number(text))
    }

    /// Its start is over, or its port open, so that somebody may ask.
    pub(super) fn may_serve(&self) -> bool {
        let is_open = self.is_listening && self.phase == Phase::Starting;
        !self.is_shut && (is_open || self.phase == Phase::Ready)
    }

    /// For how long requests have been answered, or it has been ready, in seconds.
    pub(super) fn serves_since(&self, at: Option<f64>) -> f64 {
        let came = self.first_came.or(self.ready_at);
        let both = came.zip(at).filter(|_| self.is_started());
        both.map_or(0.0, |(came, at)| between(came, at))
    }

    /// Whether it began so long ago that no load would still be under way, of which it told nothing.
    pub(super) fn began_long_ago(&self, at: Option<f64>) -> bool {
        let both = self.began.zip(at);
        !self.works && both.is_some_and(|(began, at)| between(began, at) >= LONGEST_LOAD_S)
    }

    /// Whether somebody has asked for something since the newest start.
    pub(super) fn is_asked(&self) -> bool {
        self.phase == Phase::Serving
    }

    /// What it does is said not to be over, however long nothing more is said.
    pub(super) fn is_on_its_way(&mut self) {
        self.is_under_way = true;
    }

    /// Whether nothing is said so far to be loaded, and nobody was served.
    pub(super) fn is_not_loaded(&self) -> bool {
        !self.works && self.requests == 0 && self.ready.is_none()
    }

    /// Whether a port was opened, or somebody answered, as far as lines tell.
    pub(super) fn may_have_served(&self) -> bool {
        self.is_listening || self.has_answered || self.ready.is_some()
    }

    pub(super) fn has_workers(&self) -> bool {
        self.processes.are_several()
    }

    /// Whether more than one process does what is done.
    pub(super) fn is_of_several(&self) -> bool {
        self.processes.are_several() || self.loads.are_at_once()
    }

    /// Requests were served, and nothing is loaded for the newest of them.
    pub(super) fn is_steady(&self) -> bool {
        let is_at_work = self.loading.is_some() || self.is_under_way;
        self.phase == Phase::Serving
            && !is_at_work
            && self.answered >= if self.works { 3 } else { 1 }
    }

    /// What a line is of a traceback. One through a request is that request's.
    pub(super) fn traced(&mut self, text: &str) -> Traced {
        match self.traces.take(text) {
            Traced::LoadRaised | Traced::WarmupRaised if self.phase == Phase::Serving => {
                Traced::Statement
            }
            traced => traced,
        }
    }

    /// After everything else about a line.
    pub(super) fn done(&mut self, at: Option<f64>, text: &str) {
        self.is_busy |= at.is_none() && text.contains('%') && text.contains("%|");
        self.last = at.or(self.last);
        self.since_begun = self.since_begun.saturating_add(1);
    }

    /// What was said to begin just before, and not that it is over.
    pub(super) fn goes_on(&self) -> Option<Part> {
        let is_next = self.since_begun <= NEXT_LINES;
        // Beside requests, much else ends.
        let begun = self
            .begun
            .filter(|(_, place)| is_next && *place == Place::AtStart);
        begun.map(|(part, _)| part)
    }

    /// Where work stands that no word on its line puts anywhere.
    pub(super) fn place(&self, part: Part, line: &str) -> Option<Place> {
        // Whoever waits for a replica waits for its start; what is loaded later is another replica's.
        let is_loaded = matches!(part, Part::Weights | Part::Tokenizer | Part::Download);
        if self.is_waited_for && (is_loaded || !self.has_answered) {
            return Some(Place::AtStart);
        }
        // Another worker does what the first one did before it was ready.
        if self.phase != Phase::Starting && self.processes.are_several() && self.loads.has(line) {
            return Some(Place::AtStart);
        }
        if self.phase != Phase::Starting && part == Part::Weights && self.is_replaced(line) {
            return None;
        }
        match self.phase {
            Phase::Starting | Phase::Ready if self.is_asleep => Some(Place::AtRequest),
            Phase::Starting => Some(Place::AtStart),
            Phase::Ready if self.is_shut => Some(Place::AtStart),
            Phase::Ready => Some(Place::Open),
            Phase::Serving if self.requests > YOUNG && part == Part::Weights => None,
            Phase::Serving => Some(Place::AtRequest),
        }
    }

    /// Whether what is loaded takes the place of what was loaded before it, and nobody waits for it.
    fn is_replaced(&self, line: &str) -> bool {
        self.is_replacing || (self.is_loaded && self.loads.has(line))
    }

    /// Where the same work stands that was said to begin and not to end.
    pub(super) fn begun(&self, part: Part) -> Option<Place> {
        let begun = self.begun.filter(|(begun, _)| *begun == part);
        begun.map(|(_, place)| place)
    }

    /// Whether the newest work is of that part, and it is not known yet whose it was.
    pub(super) fn is_open_end(&self, part: Part) -> bool {
        let newest = self.held.last();
        newest.is_some_and(|work| work.part == part && work.place == Place::Open)
    }

    /// Whether the newest work is of that part, and was not there so far.
    pub(super) fn is_sought(&self, part: Part) -> bool {
        let newest = self.held.last();
        newest.is_some_and(|work| work.part == part && work.is_absent)
    }

    pub(super) fn replaces(&mut self) {
        self.is_replacing = self.phase != Phase::Starting;
    }

    /// A port is open. What is done next may still be the start's. If it was opened before, in the same
    /// words, what was done since the newest request was another start.
    pub(super) fn listening(&mut self, line: String) {
        self.is_listening = true;
        self.failures.overcome();
        if self.opened.contains(&line) {
            self.opens_again();
        } else if self.opened.len() < PORTS {
            self.opened.push(line);
        }
    }

    /// Somebody was answered, so a port is open.
    pub(super) fn is_open(&mut self) {
        self.is_listening = true;
    }

    /// What runs ends, and begins once more.
    pub(super) fn restarts(&mut self) {
        self.parent();
        self.requests = 0;
        (self.is_listening, self.has_answered) = (false, false);
    }

    /// Whether its start is over, as far as lines tell.
    pub(super) fn is_started(&self) -> bool {
        self.phase != Phase::Starting
    }

    /// The files are there: what was taken for their download was a look.
    pub(super) fn cached(&mut self) {
        self.is_cached = true;
        self.held.retain(|work| work.part != Part::Download);
    }

    /// A manager has started a worker, which may say so once more itself.
    pub(super) fn booted(&mut self, process: Option<u64>, at: Option<f64>) {
        self.begins(at);
        self.processes.booted(process);
    }

    /// A process begins. Frameworks say so beside the server that they run in.
    pub(super) fn started(&mut self, process: Option<u64>, at: Option<f64>) {
        if self.processes.are_managed() {
            self.reopen(Place::AtStart);
            return;
        }
        self.begins(at);
        self.processes.started(process);
    }

    fn begins(&mut self, at: Option<f64>) {
        if !self.processes.are_starting() {
            self.began = at.or(self.began);
        }
        self.parent();
        (self.ready, self.ready_at) = (None, None);
        // Whatever was done before is no request's that comes later.
        self.held.iter_mut().for_each(|work| work.is_placed = true);
    }

    /// What came before was the work of a start.
    pub(super) fn parent(&mut self) {
        self.phase = Phase::Starting;
        self.gate.begins();
        (self.is_asleep, self.is_replacing) = (false, false);
        self.begun = None;
        self.reopen(Place::AtStart);
        let at_start = |work: &&mut Work| work.place == Place::AtStart;
        for work in self.held.iter_mut().filter(at_start) {
            work.is_placed = true;
        }
    }

    /// What another one loads takes the place of what was ended, if that is named.
    pub(super) fn replaced(&mut self, process: Option<u64>) {
        if process.is_some() {
            self.loads.forget(process);
        }
    }

    /// How often whoever manages the service has started it again.
    pub(super) fn anew(&mut self, starts: u32) {
        if std::mem::replace(&mut self.starts_anew, starts) != starts {
            self.loads = Loads::default();
        }
    }

    pub(super) fn ended(&mut self, process: Option<u64>) {
        self.processes.ended(process);
        self.loads.forget(process);
        if self.processes.are_gone() {
            self.failures.begin_anew();
            // What comes next is another start.
            self.phase = Phase::Starting;
            (self.is_listening, self.is_asleep) = (false, false);
        }
    }

    /// A start is over; answers how long it took, where that can be told.
    pub(super) fn complete(&mut self, at: Option<f64>) -> Option<f64> {
        self.failures.overcome();
        self.gate.opens();
        self.ready_at = self.ready_at.or(at);
        self.processes.completed();
        // Said once more, the start was still going on.
        if self.phase == Phase::Ready {
            self.reopen(Place::AtStart);
            self.ready_then_cold = false;
        }
        if self.processes.are_starting() || self.phase != Phase::Starting {
            return None;
        }
        self.reopen(Place::AtStart);
        self.phase = Phase::Ready;
        self.again = Sighting::default();
        step(self.began?, at?)
    }

    pub(super) fn claims_ready(&mut self, evidence: &Evidence) {
        self.failures.overcome();
        self.gate.opens();
        self.is_shut = false;
        self.loading = None;
        self.loads.forget_unstamped();
        self.ready.get_or_insert_with(|| evidence.clone());
    }
}
