//! The one way a replica's phase changes.
//!
//! [`Lifecycle::step`] takes what happened and when, and answers what to do about it. A driver
//! performs the effects and feeds back what came of them; everyone else only reads.
//!
//! ```text
//! starting → fetching → loading → warming → proving → ready → draining → stopped
//!                │          │        │         │        │
//!                └──────────┴────────┴─────────┴────────┴──→ failed ──(retry)──→ fetching
//! ```

use std::time::Duration;

use crate::failure::{Failure, FailureKind};
use crate::moment::Moment;
use crate::phase::{Phase, Probes};
use crate::proof::{Outcome, Pass, Verdict};

/// What happened.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// Sockets are bound, signals are handled.
    Begun,
    Fetched,
    Loaded,
    /// Every case of the plan ran and its output was right.
    Warmed,
    /// The proof was judged.
    Judged(Verdict),
    Failed(Failure),
    /// The time for warming and proving is over; what to say if nothing better is known.
    TimedOut(Failure),
    /// The pause before another try is over.
    RetryDue,
    /// Someone asked for the warm-up to be run and proven again.
    Rewarm,
    /// Someone asked the replica to leave.
    Drain,
    /// Everything in flight is finished or was cut.
    Drained {
        cut: usize,
    },
}

/// What to do about it.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    Fetch,
    Load,
    Warm,
    /// Measure against the criteria.
    Prove,
    /// Run the plan again and measure again, while serving.
    Rewarm,
    Open(Pass),
    /// Take the pass away: no new request may be served on it.
    Close,
    RetryAfter(Duration),
    /// Go on serving for the settle delay, then refuse, finish and close.
    Drain,
    Exit(Exit),
}

/// How the process ends.
#[derive(Debug, Clone, PartialEq)]
pub enum Exit {
    Drained,
    Cut(usize),
    Failed(Failure),
}

impl Exit {
    #[must_use]
    pub fn code(&self) -> u8 {
        match self {
            Exit::Drained => 0,
            Exit::Cut(_) => FailureKind::DrainCut.exit_code(),
            Exit::Failed(failure) => failure.kind.exit_code(),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnFailure {
    /// Stay alive and not ready, so that people can look.
    Hold,
    Exit,
    /// Try again, the pause doubling from one second to thirty.
    Retry,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LifecycleSettings {
    pub skip_warmup: bool,
    pub on_failure: OnFailure,
    /// Time for warming and proving together.
    pub warmup_timeout: Duration,
}

const FIRST_RETRY: Duration = Duration::from_secs(1);
const LAST_RETRY: Duration = Duration::from_secs(30);

/// Phase changes remembered; a replica that retries for ever keeps the latest.
const HISTORY: usize = 64;

/// A replica's phase, and how it came to be in it.
#[derive(Debug, Clone)]
pub struct Lifecycle {
    settings: LifecycleSettings,
    phase: Phase,
    history: Vec<(&'static str, Moment)>,
    was_ready: bool,
    tries: u32,
    /// When the current warm-up began.
    warming_since: Moment,
    /// A replica that serves is being warmed and proven again.
    rewarming: bool,
    /// What follows if there is no time for another attempt.
    otherwise: Option<Outcome>,
    /// Why a replica that served is leaving.
    leaving_for: Option<Failure>,
}

impl Lifecycle {
    #[must_use]
    pub fn new(settings: LifecycleSettings) -> Self {
        Lifecycle {
            settings,
            phase: Phase::Starting,
            history: vec![(Phase::Starting.name(), Moment::START)],
            was_ready: false,
            tries: 0,
            warming_since: Moment::START,
            rewarming: false,
            otherwise: None,
            leaving_for: None,
        }
    }

    #[must_use]
    pub fn phase(&self) -> &Phase {
        &self.phase
    }

    #[must_use]
    pub fn probes(&self) -> Probes {
        Probes::of(&self.phase, self.was_ready)
    }

    /// When each phase was entered, oldest first.
    #[must_use]
    pub fn history(&self) -> &[(&'static str, Moment)] {
        &self.history
    }

    /// When warming and proving must be over; none outside of them.
    #[must_use]
    pub fn deadline(&self) -> Option<Moment> {
        let measuring = matches!(self.phase, Phase::Warming | Phase::Proving) || self.rewarming;
        measuring.then(|| self.warming_since + self.settings.warmup_timeout)
    }

    pub fn step(&mut self, event: Event, now: Moment) -> Vec<Effect> {
        use Phase::{
            Draining, Failed, Fetching, Loading, Proving, Ready, Starting, Stopped, Warming,
        };
        match (&self.phase, event) {
            (Starting, Event::Begun) | (Failed(_), Event::RetryDue) => {
                self.enter(Fetching, now, vec![Effect::Fetch])
            }
            (Fetching, Event::Fetched) => self.enter(Loading, now, vec![Effect::Load]),
            (Loading, Event::Loaded) if self.settings.skip_warmup => {
                self.enter(Ready, now, vec![Effect::Open(Pass::skipped())])
            }
            (Loading, Event::Loaded) => {
                self.warming_since = now;
                self.enter(Warming, now, vec![Effect::Warm])
            }
            (Warming, Event::Warmed) => self.enter(Proving, now, vec![Effect::Prove]),
            (Proving, Event::Judged(verdict)) => self.judged(verdict, now),
            (Ready, Event::Judged(verdict)) if self.rewarming => self.judged(verdict, now),
            (Ready, Event::Rewarm) if self.rewarming => vec![],
            (Ready, Event::Rewarm) => {
                self.warming_since = now;
                self.rewarming = true;
                vec![Effect::Rewarm]
            }
            (Warming | Proving | Ready, Event::TimedOut(failure)) => self.timed_out(failure, now),
            (Starting | Fetching | Loading | Warming | Proving | Ready, Event::Failed(failure)) => {
                self.fail(failure, now)
            }
            (Draining, Event::Drained { cut }) => {
                let exit = match self.leaving_for.take() {
                    Some(failure) => Exit::Failed(failure),
                    None if cut == 0 => Exit::Drained,
                    None => Exit::Cut(cut),
                };
                self.enter(Stopped, now, vec![Effect::Exit(exit)])
            }
            (
                Starting | Fetching | Loading | Warming | Proving | Ready | Failed(_),
                Event::Drain,
            ) => self.enter(Draining, now, vec![Effect::Drain]),

            // Asking twice changes nothing.
            (Draining | Stopped, Event::Drain) => vec![],
            // The work of an earlier phase reports late: the replica has moved on.
            (
                Failed(_) | Draining | Stopped,
                Event::Fetched
                | Event::Loaded
                | Event::Warmed
                | Event::Judged(_)
                | Event::Failed(_)
                | Event::TimedOut(_)
                | Event::Rewarm,
            )
            | (Draining | Stopped, Event::RetryDue) => vec![],
            // Nobody is warming or warm: there is nothing to repeat.
            (Starting | Fetching | Loading | Warming | Proving, Event::Rewarm) => vec![],
            // Out of order: ignored, so that no confusion of the driver can open the gate.
            (
                Fetching | Loading | Warming | Proving | Ready | Failed(_) | Draining | Stopped,
                Event::Begun,
            )
            | (Starting | Loading | Warming | Proving | Ready, Event::Fetched)
            | (Starting | Fetching | Warming | Proving | Ready, Event::Loaded)
            | (Starting | Fetching | Loading | Proving | Ready, Event::Warmed)
            | (Starting | Fetching | Loading | Warming | Ready, Event::Judged(_))
            | (Starting | Fetching | Loading, Event::TimedOut(_))
            | (Starting | Fetching | Loading | Warming | Proving | Ready, Event::RetryDue)
            | (
                Starting | Fetching | Loading | Warming | Proving | Ready | Failed(_) | Stopped,
                Event::Drained { .. },
            ) => vec![],
        }
    }

    fn judged(&mut self, verdict: Verdict, now: Moment) -> Vec<Effect> {
        match verdict.outcome {
            Outcome::Again(otherwise) => match self.deadline() {
                Some(deadline) if now < deadline => {
                    self.otherwise = Some(*otherwise);
                    vec![Effect::Prove]
                }
                _ => self.settle(*otherwise, now),
            },
            outcome => self.settle(outcome, now),
        }
    }

    /// An attempt that was under way at the end does not count; the one before it does.
    fn timed_out(&mut self, failure: Failure, now: Moment) -> Vec<Effect> {
        match self.otherwise.take() {
            Some(otherwise) => self.settle(otherwise, now),
            None if self.phase == Phase::Ready && !self.rewarming => vec![],
            None => self.fail(failure, now),
        }
    }

    fn settle(&mut self, outcome: Outcome, now: Moment) -> Vec<Effect> {
        self.rewarming = false;
        self.otherwise = None;
        match outcome {
            Outcome::Proven(proof) if self.phase == Phase::Ready => {
                vec![Effect::Open(proof.into())]
            }
            Outcome::Proven(proof) => {
                self.enter(Phase::Ready, now, vec![Effect::Open(proof.into())])
            }
            Outcome::Failed(failure) => self.fail(failure, now),
            // A verdict holds one level of "again"; a deeper one says nothing more.
            Outcome::Again(otherwise) => self.settle(*otherwise, now),
        }
    }

    fn fail(&mut self, failure: Failure, now: Moment) -> Vec<Effect> {
        let serving = self.phase == Phase::Ready;
        if serving && self.settings.on_failure == OnFailure::Exit {
            // Whoever was let in is answered before the process ends.
            self.leaving_for = Some(failure);
            return self.enter(Phase::Draining, now, vec![Effect::Drain]);
        }
        let close = serving.then_some(Effect::Close);
        let then = match self.settings.on_failure {
            OnFailure::Hold => None,
            OnFailure::Exit => Some(Effect::Exit(Exit::Failed(failure.clone()))),
            OnFailure::Retry => {
                let pause = FIRST_RETRY
                    .saturating_mul(1 << self.tries.min(5))
                    .min(LAST_RETRY);
                self.tries = self.tries.saturating_add(1);
                Some(Effect::RetryAfter(pause))
            }
        };
        let effects = close.into_iter().chain(then).collect();
        self.enter(Phase::Failed(failure), now, effects)
    }

    fn enter(&mut self, phase: Phase, now: Moment, effects: Vec<Effect>) -> Vec<Effect> {
        self.rewarming = false;
        self.otherwise = None;
        if phase == Phase::Ready {
            self.was_ready = true;
            self.tries = 0;
        }
        if self.history.len() == HISTORY {
            self.history.remove(0);
        }
        self.history.push((phase.name(), now));
        self.phase = phase;
        effects
    }
}

#[cfg(test)]
mod tests;
