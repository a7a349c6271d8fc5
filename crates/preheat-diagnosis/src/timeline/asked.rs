//! Requests, as the lines of a process tell them: what came before the first one, what it waited for, and
//! who was turned away.

use crate::Evidence;
use crate::rules::Part;

use super::{
    ASKED_FOR_STATE, CLOCKS_S, IDLE_S, LEAD_S, LONG_MS, Phase, Place, Stream, Work, YOUNG, between,
};

/// Half of what takes less is less than what stamps of whole seconds tell.
const VAGUE_MS: f64 = 2_000.0;

/// Of a request's time: that it took so long was for this.
const MOST: f64 = 0.7;

impl Stream {
    /// Whether lines are looked at for what the first request waits for.
    pub(crate) fn watches(&self) -> bool {
        !self.has_answered && !self.firsts.are_over()
    }

    /// Takes a line in that may tell what the first request waits for.
    pub(crate) fn watch(&mut self, at: f64, text: &str, evidence: Evidence, is_known: bool) {
        let mut works = self.held.iter().rev();
        // What is written within a compilation is a part of it.
        let is_known = is_known
            || self.begun(Part::Kernels).is_some()
            || works.any(|work| work.evidence.line == evidence.line);
        self.firsts.write(at, text, evidence, is_known);
    }

    /// What the first request waited for and no words tell, once it was answered.
    pub(crate) fn waited(&mut self) -> Vec<Work> {
        let waited = std::mem::take(&mut self.waited);
        let claim = self.ready.as_ref().map(|claim| claim.line);
        let told = waited.into_iter().map(|(part, ms, evidence)| Work {
            part,
            place: Place::AtRequest,
            told_ms: None,
            seen_ms: Some(ms),
            until: None,
            is_placed: false,
            is_certain: true,
            behind: 0,
            is_absent: false,
            is_after_claim: claim.is_some_and(|line| line < evidence.line),
            evidence,
        });
        self.ready_then_cold |= self.ready.is_some() && told.len() > 0;
        told.collect()
    }

    pub(crate) fn opens_again(&mut self) {
        if self.phase != Phase::Serving {
            return;
        }
        let requests = self.requests;
        let mut since = self.held.iter_mut();
        let starts = since.by_ref().filter(|work| work.behind == requests);
        for work in starts.filter(|work| !work.is_placed) {
            work.place = Place::AtStart;
        }
        self.phase = Phase::Ready;
        self.requests = 0;
        self.ready = None;
        (self.is_asleep, self.has_answered) = (false, false);
    }

    /// An operator asked for a load: what is loaded for that is nobody's cold start.
    pub(crate) fn operated(&mut self, at: Option<f64>, took_ms: Option<f64>) {
        self.replaces();
        let Some((at, took)) = at.zip(took_ms) else {
            return;
        };
        let from = at - took / 1e3 - CLOCKS_S;
        let within =
            |work: &&mut Work| work.until.is_some_and(|until| until >= from && until <= at);
        for work in self.held.iter_mut().filter(within) {
            work.place = Place::AtStart;
        }
        self.is_replacing = false;
    }

    /// Whether shapes were run before, so that what is compiled for another one is not the first.
    pub(crate) fn knows_shapes(&self) -> bool {
        self.is_warmed || self.has_answered
    }

    /// Whether it said that it serves, or did so.
    pub(crate) fn has_claimed(&self) -> bool {
        self.ready.is_some() || self.has_answered
    }

    /// Whether a load has begun that is not over, although its server had said that it is up.
    pub(crate) fn loads_late(&self) -> bool {
        self.loading.is_some() && self.phase != Phase::Starting
    }

    pub(crate) fn has_answered(&self) -> bool {
        self.has_answered
    }

    /// A worker was killed while it served: what it was at was for that request.
    pub(crate) fn interrupted(&mut self) {
        let requests = self.requests;
        let is_its = |work: &&mut Work| !work.is_placed && work.behind == requests;
        if self.phase == Phase::Starting
            && let Some(work) = self.held.last_mut().filter(is_its)
        {
            work.place = Place::AtRequest;
        }
    }

    /// A request was served, whose line was written at `at` and tells what it took.
    pub(crate) fn request(&mut self, at: Option<f64>, took_ms: Option<f64>) {
        let at = self.answered_at(at, took_ms);
        self.phase = Phase::Serving;
        self.is_shut = false;
        self.firsts.begins(at);
        self.requests += 1;
        self.loading = None;
        self.weigh(at, took_ms);
        let was_refusing = std::mem::take(&mut self.is_refusing);
        self.reopen(match was_refusing {
            true => Place::AtStart,
            false => Place::AtRequest,
        });
    }

    /// When a request was answered that a line tells of: some servers stamp it with when it came, and what a
    /// client wrote stands below with stamps that lie far back.
    fn answered_at(&self, at: Option<f64>, took_ms: Option<f64>) -> Option<f64> {
        let is_next = |at: f64| self.last.is_none_or(|last| at + CLOCKS_S >= last);
        let ended = at? + took_ms.unwrap_or(0.0) / 1e3;
        at.filter(|at| is_next(*at))
            .or(Some(ended).filter(|ended| is_next(*ended)))
    }

    /// Something was called, by whomever, and took so long.
    pub(crate) fn calls(&mut self, at: Option<f64>, took_ms: Option<f64>) {
        self.request(at, took_ms);
        self.has_answered = true;
    }

    /// A request was answered, whose line was written at `at` and tells what it took.
    pub(crate) fn answers(&mut self, at: Option<f64>, took_ms: Option<f64>) {
        let at = self.answered_at(at, took_ms);
        self.gate.opens();
        self.answered += 1;
        if self.is_refusing {
            self.firsts.end();
        } else if !self.has_answered && !self.firsts.are_over() {
            self.waited = self.firsts.answered(at, took_ms);
        }
        if let Some(at) = at.filter(|_| self.first_came.is_none()) {
            self.first_came = Some(at - took_ms.unwrap_or(0.0) / 1e3);
        }
        self.request(at, took_ms);
        self.has_answered = true;
    }

    /// Whether this was written before anybody asked, wherever in the text it stands: people put what another
    /// process wrote below.
    pub(crate) fn precedes(&self, at: Option<f64>) -> bool {
        let both = self.first_came.zip(at);
        both.is_some_and(|(came, at)| between(at, came) > CLOCKS_S)
    }

    pub(crate) fn is_waited_for(&mut self) {
        self.is_waited_for = true;
        // Nobody was there to serve: what comes is a start, whatever was asked for.
        if !self.has_answered {
            (self.phase, self.requests) = (Phase::Starting, 0);
            self.is_asleep = false;
        }
    }

    /// Whether the first request had come well before the first part of the start began, so that it waited
    /// for all of it.
    pub(crate) fn came_early(&mut self, at: Option<f64>, took_ms: Option<f64>) -> bool {
        let at = self.answered_at(at, took_ms);
        let Some((at, took)) = at.zip(took_ms).filter(|_| self.requests == 0) else {
            return false;
        };
        let begins = self.held.iter().filter_map(|work| {
            let took = work.told_ms.or(work.seen_ms)?;
            Some(work.until? - took / 1e3)
        });
        let came = at - took / 1e3;
        let first = begins.reduce(f64::min);
        let was_there = self.is_listening && self.began.is_some_and(|began| began < came);
        let is_early =
            !was_there && first.is_some_and(|first| first >= came + LEAD_S && first <= at);
        self.is_waited_for |= is_early;
        is_early
    }

    /// Work that had ended when a request began was not for it, and work that most of the request's time
    /// went into was, whatever the lines before left open.
    pub(super) fn weigh(&mut self, at: Option<f64>, took_ms: Option<f64>) {
        self.weigh_told(took_ms);
        let Some(at) = at else { return };
        let began = at - took_ms.map_or(IDLE_S, |ms| ms / 1e3 + CLOCKS_S);
        let long = took_ms.filter(|ms| self.is_listening && !self.is_waited_for && *ms >= LONG_MS);
        let requests = self.requests.saturating_sub(1);
        let half = long.map(|ms| at - ms / 2e3);
        // Which half that was no stamp of whole seconds tells, but that it was ready by then.
        let is_vague = at.fract() == 0.0 && long.is_some_and(|ms| ms < VAGUE_MS);
        for work in self.held.iter_mut().filter(|work| !work.is_placed) {
            let Some(until) = work.until else { continue };
            // The request took that long because of it.
            work.is_certain |=
                took_ms.is_some_and(|ms| ms >= LONG_MS) && until >= began && until <= at;
            match work.place {
                Place::Open if until < began => work.place = Place::AtStart,
                // Whoever was answered next had not waited for it.
                Place::AtRequest
                    if took_ms.is_some() && work.behind == requests && until < began =>
                {
                    work.place = Place::AtStart;
                }
                // Others were answered meanwhile.
                Place::AtStart if work.behind != requests => {}
                Place::AtStart if is_vague && self.ready_at.is_some_and(|ready| until <= ready) => {
                }
                Place::AtStart if half.is_some_and(|half| until >= half && until <= at) => {
                    work.place = Place::AtRequest;
                }
                // Nothing but the request asks for it within so little of its coming.
                Place::AtStart
                    if work.part == Part::Tokenizer
                        && long.is_some_and(|ms| work.begins_with(at - ms / 1e3, at)) =>
                {
                    work.place = Place::AtRequest;
                }
                // What a device is made ready with began after the request, and its port was open.
                Place::AtStart
                    if long.is_some()
                        && matches!(work.part, Part::Context | Part::Kernels)
                        && (began..=at).contains(&(until - work.told_ms.unwrap_or(0.0) / 1e3))
                        && until <= at =>
                {
                    work.place = Place::AtRequest;
                }
                _ => {}
            }
        }
    }

    /// Of work without stamps, what took nearly all of the first request's time was that request's.
    fn weigh_told(&mut self, took_ms: Option<f64>) {
        let is_open = self.is_listening && !self.is_waited_for && self.requests <= 1;
        let Some(took) = took_ms.filter(|ms| is_open && *ms >= LONG_MS) else {
            return;
        };
        let unplaced = |work: &&mut Work| !work.is_placed && work.until.is_none();
        for work in self.held.iter_mut().filter(unplaced) {
            let is_most = |ms: f64| ms >= MOST * took && ms <= took;
            if work.place == Place::AtStart && work.told_ms.is_some_and(is_most) {
                work.place = Place::AtRequest;
            }
        }
    }

    /// A request was answered that nobody can serve it; gives back the claim that somebody can.
    pub(crate) fn refuses(&mut self) -> Option<Evidence> {
        if self.has_answered {
            return None;
        }
        if self.phase == Phase::Serving {
            (self.phase, self.requests) = (Phase::Ready, 0);
        }
        self.is_refusing = true;
        self.is_asleep = false;
        self.ready.clone()
    }

    /// What a request asked for is not there yet, so no request was served; whether one was taken for
    /// served, or none yet.
    pub(crate) fn turned_away(&mut self) -> bool {
        let was_young = self.requests <= YOUNG;
        if was_young {
            self.requests = 0;
            self.is_asleep = false;
            if self.phase == Phase::Serving {
                self.phase = Phase::Ready;
            }
            self.is_refusing = true;
        }
        was_young
    }

    /// Nobody is served, as whoever asks is told.
    pub(super) fn is_held_back(&self) -> bool {
        self.is_refusing || self.is_shut
    }

    /// Somebody asked whether it is ready, and it is not.
    pub(crate) fn is_not_ready(&mut self) {
        self.is_shut = !self.has_answered;
        self.is_asleep &= !self.is_shut;
    }

    /// Somebody asks for the state; a later line tells what was answered.
    pub(crate) fn asks_for_state(&mut self, id: &str) {
        if self.asked_for_state.len() < ASKED_FOR_STATE {
            self.asked_for_state.push(id.to_owned());
        }
    }

    /// Whether this answers whoever asked for the state.
    pub(crate) fn answers_for_state(&mut self, id: &str) -> bool {
        let known = self.asked_for_state.iter().position(|known| known == id);
        known
            .map(|at| self.asked_for_state.swap_remove(at))
            .is_some()
    }
}
