//! A part of a start as a line tells it: held until later lines say when it ran, and how long.

use super::{CLOCKS_S, Phase, Stream};
use crate::Evidence;
use crate::line::Parsed;
use crate::line::wording::Telling;
use crate::rules::Part;

/// Work that waits for what later lines say about it. Bounded: the oldest is settled first.
const HELD: usize = 64;

/// Figures of tenths of a second, and stamps of milliseconds, differ by so much.
const EXACT_S: f64 = 0.06;

/// Longest time between two lines that is taken for the time of what the first one tells.
const LONGEST_STEP_MS: f64 = 3_600_000.0;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    AtStart,
    AtRequest,
    /// After the start and before any request: the next lines decide.
    Open,
}

/// A part of a start, and when it ran.
#[derive(Debug, Clone)]
pub(crate) struct Work {
    pub(crate) part: Part,
    pub(crate) place: Place,
    /// As a line says it.
    pub(crate) told_ms: Option<f64>,
    /// From one time stamp to the next.
    pub(crate) seen_ms: Option<f64>,
    /// When it was last heard of.
    pub(crate) until: Option<f64>,
    /// Its own line tells where it stands.
    pub(crate) is_placed: bool,
    /// It is a part of the start whatever it took. Otherwise only its time shows that.
    pub(crate) is_certain: bool,
    /// Requests that were told of before it.
    pub(crate) behind: u64,
    /// It was not there so far, so that somebody must have asked for it where no start ends behind it.
    pub(crate) is_absent: bool,
    /// Its server had claimed to be ready.
    pub(crate) is_after_claim: bool,
    pub(crate) evidence: Evidence,
}

impl Work {
    /// Told by a line, and not placed by its words.
    pub(crate) fn new(part: Part, place: Place, line: &Parsed<'_>) -> Self {
        Work {
            part,
            place,
            told_ms: None,
            seen_ms: None,
            until: line.at,
            is_placed: false,
            is_certain: true,
            behind: 0,
            is_absent: false,
            is_after_claim: false,
            evidence: line.evidence.clone(),
        }
    }
}

impl Work {
    /// Whether it began at a time or after it and ended by another, as stamps of more than seconds tell.
    pub(super) fn begins_with(&self, came: f64, at: f64) -> bool {
        let both = self.until.zip(self.told_ms);
        let is_within = |(until, took): (f64, f64)| {
            until.fract() != 0.0 && until <= at && until - took / 1e3 + EXACT_S >= came
        };
        at.fract() != 0.0 && both.is_some_and(is_within)
    }
}

impl Stream {
    /// Takes work in; gives back what is settled by now.
    pub(crate) fn work(
        &mut self,
        mut work: Work,
        at: Option<f64>,
        telling: Telling,
    ) -> Option<Work> {
        self.works = true;
        self.answered = 0;
        if work.told_ms.is_none() {
            match (telling, at, self.last) {
                (Telling::Beginning, Some(at), _) => self.since = Some(at),
                // The line that told of the beginning has the time already.
                (Telling::End, ..) if self.closed == Some(work.part) => {}
                (Telling::End, Some(at), Some(last)) => work.seen_ms = step(last, at),
                _ => {}
            }
        }
        if work.part == Part::Download && self.is_cached {
            self.is_cached = telling != Telling::Beginning;
            if self.is_cached {
                return None;
            }
        }
        if work.part == Part::Weights {
            self.loading = (telling != Telling::End).then(|| work.evidence.clone());
        }
        match telling {
            Telling::Beginning => {
                self.is_under_way = true;
                let is_known = work.place != Place::Open;
                self.begun = is_known.then_some((work.part, work.place));
                self.since_begun = 0;
            }
            Telling::End => (self.is_under_way, self.begun) = (false, None),
            Telling::Neither => {}
        }
        if work.part == Part::Weights && self.phase == Phase::Starting {
            self.is_loaded = true;
        }
        if work.place != Place::AtStart && self.ready.is_some() {
            self.ready_then_cold = true;
        }
        if self.had_begun(&work, at) {
            work.place = Place::AtStart;
            self.loads_behind_claim |= self.ready.is_some();
        }
        work.behind = self.requests;
        work.is_after_claim = self.ready.is_some() || self.is_called;
        self.held.push(work);
        (self.held.len() > HELD).then(|| self.held.remove(0))
    }

    /// Whether work that ends while the first request waits had begun before that came: it is the start's.
    fn had_begun(&self, work: &Work, at: Option<f64>) -> bool {
        let came = self.firsts.begun().filter(|_| !self.has_answered);
        let (Some(came), Some(at), Some(took)) = (came, at, work.told_ms) else {
            return false;
        };
        let is_exact = came.fract() != 0.0 && at.fract() != 0.0;
        let least = if is_exact { EXACT_S } else { CLOCKS_S };
        work.place == Place::AtRequest && !work.is_placed && at - took / 1e3 + least < came
    }

    /// An image is being pulled since then, or since so long.
    pub(crate) fn pulls(&mut self, at: Option<f64>, age_ms: Option<f64>) {
        self.pulls = Some((at, age_ms));
    }

    pub(crate) fn is_pulling(&self) -> bool {
        self.pulls.is_some()
    }

    /// It was pulled: how long that took, where stamps or ages tell it.
    pub(crate) fn pulled(&mut self, at: Option<f64>, age_ms: Option<f64>) -> Option<f64> {
        let (since, age) = self.pulls.take()?;
        let by_ages = age.zip(age_ms).map(|(then, now)| then - now);
        by_ages.or_else(|| step(since?, at?))
    }

    /// What was loaded before a warm-up that nobody had asked for is the start's.
    pub(crate) fn started_up(&mut self) {
        self.reopen(Place::AtStart);
    }

    pub(super) fn reopen(&mut self, place: Place) {
        for work in self
            .held
            .iter_mut()
            .filter(|work| work.place == Place::Open)
        {
            work.place = place;
        }
    }

    /// Everything that is still held. What was done after readiness was claimed counts as a
    /// request's; otherwise the start was not over, whatever one part of it said.
    pub(crate) fn rest(&mut self) -> Vec<Work> {
        let is_sought = |work: &&mut Work| work.place == Place::Open && work.is_absent;
        for work in self.held.iter_mut().filter(is_sought) {
            work.place = Place::AtRequest;
        }
        // What several load at once, and nobody is seen to ask for, is their start's.
        let is_asked = self.requests > 0 || !self.loads.are_at_once();
        self.reopen(if self.ready.is_some() && !self.is_refusing && is_asked {
            Place::AtRequest
        } else {
            Place::AtStart
        });
        std::mem::take(&mut self.held)
    }
}

pub(super) fn step(from: f64, to: f64) -> Option<f64> {
    let ms = (to - from) * 1e3;
    (ms > 0.0 && ms <= LONGEST_STEP_MS).then_some(ms)
}
