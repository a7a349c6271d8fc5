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
    /// Measure against the criteria. `last_call`: there will be no further attempt.
    Prove {
        last_call: bool,
    },
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
    /// When the current warm-up began, and the current attempt to prove it.
    warming_since: Moment,
    attempt_since: Moment,
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
            attempt_since: Moment::START,
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
        matches!(self.phase, Phase::Warming | Phase::Proving)
            .then(|| self.warming_since + self.settings.warmup_timeout)
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
            (Warming, Event::Warmed) => {
                self.attempt_since = now;
                self.enter(Proving, now, vec![Effect::Prove { last_call: false }])
            }
            (Proving | Ready, Event::Judged(verdict)) => self.judged(verdict, now),
            (Ready, Event::Rewarm) => {
                self.warming_since = now;
                self.attempt_since = now;
                vec![Effect::Rewarm]
            }
            (Starting | Fetching | Loading | Warming | Proving | Ready, Event::Failed(failure)) => {
                self.fail(failure, now)
            }
            (Draining, Event::Drained { cut }) => {
                let exit = if cut == 0 {
                    Exit::Drained
                } else {
                    Exit::Cut(cut)
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
            | (Starting | Fetching | Loading | Warming, Event::Judged(_))
            | (Starting | Fetching | Loading | Warming | Proving | Ready, Event::RetryDue)
            | (
                Starting | Fetching | Loading | Warming | Proving | Ready | Failed(_) | Stopped,
                Event::Drained { .. },
            ) => vec![],
        }
    }

    fn judged(&mut self, verdict: Verdict, now: Moment) -> Vec<Effect> {
        match verdict.outcome {
            Outcome::Proven(proof) if self.phase == Phase::Ready => {
                vec![Effect::Open(proof.into())]
            }
            Outcome::Proven(proof) => {
                self.enter(Phase::Ready, now, vec![Effect::Open(proof.into())])
            }
            Outcome::Again => vec![self.another_attempt(now)],
            Outcome::Failed(failure) => self.fail(failure, now),
        }
    }

    /// The next attempt takes about as long as the last one. If another would not fit after it,
    /// it is the last.
    fn another_attempt(&mut self, now: Moment) -> Effect {
        let took = now.since(self.attempt_since);
        self.attempt_since = now;
        let deadline = self.warming_since + self.settings.warmup_timeout;
        Effect::Prove {
            last_call: now + took.saturating_mul(3) >= deadline,
        }
    }

    fn fail(&mut self, failure: Failure, now: Moment) -> Vec<Effect> {
        let close = (self.phase == Phase::Ready).then_some(Effect::Close);
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
        self.enter(
            Phase::Failed(failure),
            now,
            close.into_iter().chain(then).collect(),
        )
    }

    fn enter(&mut self, phase: Phase, now: Moment, effects: Vec<Effect>) -> Vec<Effect> {
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
