//! A stretch of a run, request by request: what a picture of it is drawn from.

use std::ops::Range;
use std::time::Duration;

use preheat_core::PhaseGroup;

use crate::cluster::{Id, Request};
use crate::traffic::nanos;

/// More than a page can draw; what comes after them is not recorded.
const MOST_REQUESTS: usize = 50_000;

/// What happened in a stretch of a run.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Recording {
    /// Requests that arrived in it, in that order.
    pub requests: Vec<RecordedRequest>,
    /// Every change of a phase up to its end.
    pub phases: Vec<PhaseChange>,
    /// Requests that met something cold: their replica, and when they had run.
    pub cold: Vec<(usize, Duration)>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RecordedRequest {
    pub arrived: Duration,
    /// None: never answered.
    pub end: Option<(End, Duration)>,
}

/// How a request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    Answered,
    Refused,
    Failed,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PhaseChange {
    pub at: Duration,
    /// Counted from 0, in the order in which they were started.
    pub replica: usize,
    /// None: it is gone.
    pub phase: Option<PhaseGroup>,
}

/// Writes down what falls into its stretch; without one, nothing.
#[derive(Debug, Default)]
pub(crate) struct Recorder {
    stretch: Range<u64>,
    first: Option<u64>,
    recording: Recording,
}

impl Recorder {
    pub(crate) fn of(stretch: &Range<Duration>) -> Self {
        Recorder {
            stretch: nanos(stretch.start)..nanos(stretch.end),
            ..Recorder::default()
        }
    }

    pub(crate) fn arrived(&mut self, request: Request) {
        let requests = &mut self.recording.requests;
        if self.stretch.contains(&request.arrived) && requests.len() < MOST_REQUESTS {
            self.first.get_or_insert(request.number);
            requests.push(RecordedRequest {
                arrived: Duration::from_nanos(request.arrived),
                end: None,
            });
        }
    }

    pub(crate) fn ended(&mut self, request: Request, how: End, now: u64) {
        let place = self
            .first
            .and_then(|first| request.number.checked_sub(first));
        let known = place.and_then(|at| self.recording.requests.get_mut(at as usize));
        if let Some(recorded) = known {
            recorded.end = Some((how, Duration::from_nanos(now - request.arrived)));
        }
    }

    pub(crate) fn entered(&mut self, replica: Id, phase: Option<PhaseGroup>, now: u64) {
        if now < self.stretch.end {
            let at = Duration::from_nanos(now);
            self.recording
                .phases
                .push(PhaseChange { at, replica, phase });
        }
    }

    pub(crate) fn ran_cold(&mut self, replica: Id, until: u64) {
        if until < self.stretch.end {
            self.recording
                .cold
                .push((replica, Duration::from_nanos(until)));
        }
    }

    pub(crate) fn close(self) -> Recording {
        self.recording
    }
}
