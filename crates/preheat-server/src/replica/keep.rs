//! When something proven is to be run again because nobody comes, and what follows from how long that
//! took: the same for a model of ours and for somebody else's server.

use std::sync::Arc;
use std::time::Duration;

use preheat_api::config::Upkeep as Mode;
use preheat_core::keepwarm::{KeepWarm, PassOutcome};
use preheat_core::{Because, Moment, Phase};

use super::Replica;
use crate::board::Facts;
use crate::lifecycle::Command;

/// Between two looks.
pub(crate) const LOOK: Duration = Duration::from_secs(1);

/// Runs of a case in one pass: the first after a silence pays for the silence.
pub(crate) const RUNS: usize = 3;

/// Cases in one pass at most.
pub(crate) const HOT: usize = 4;

/// Without a proof there is nothing to keep.
pub(crate) fn is_proven(facts: &Facts) -> bool {
    let proof = facts.pass.as_ref().and_then(|pass| pass.proof());
    facts.phase == Phase::Ready && proof.is_some()
}

/// What a decision is called, carried out or only advised.
pub(crate) fn decided(mode: Mode, done: &'static str, advised: &'static str) -> &'static str {
    if mode == Mode::On { done } else { advised }
}

/// How long one case took in a pass, and in its proof.
pub(crate) type Compared = (Duration, Duration);

/// The one that is further from its proof.
pub(crate) fn further(one: Compared, other: Compared) -> Compared {
    let across =
        |(took, _): Compared, (_, steady): Compared| took.as_secs_f64() * steady.as_secs_f64();
    if across(other, one) > across(one, other) {
        other
    } else {
        one
    }
}

/// Keep-warm of one replica, from its proof on.
pub(crate) struct Keep {
    replica: Arc<Replica>,
    kept: KeepWarm,
    /// The silence that a pass was last told about.
    told: Option<Moment>,
}

impl Keep {
    pub(crate) fn proven(replica: &Arc<Replica>) -> Self {
        Keep {
            kept: KeepWarm::proven(replica.now()),
            told: None,
            replica: Arc::clone(replica),
        }
    }

    pub(crate) fn is_due(&mut self) -> bool {
        if let Some(at) = self.replica.service.last_user() {
            self.kept.served(at);
        }
        let (mode, policy) = &self.replica.settings.keep_warm;
        *mode != Mode::Off && self.replica.now() >= self.kept.due(policy)
    }

    /// A pass is over; `worst`: of its cases the one that is furthest from its proof, if any could be
    /// run.
    pub(crate) fn passed(&mut self, worst: Option<Compared>) {
        let replica = Arc::clone(&self.replica);
        let idle_since = self.kept.last_run();
        let (mode, policy) = &replica.settings.keep_warm;
        let now = replica.now();
        replica.metrics.kept_warm();
        let (took, steady) = worst.unwrap_or_default();
        match self.kept.passed(took, steady, policy, now) {
            // Nothing could be run: nothing is known.
            PassOutcome::StillWarm if worst.is_none() => {}
            PassOutcome::StillWarm => self.tell_once(took, steady, now.since(idle_since)),
            PassOutcome::Rewarm(because) => {
                let action = decided(*mode, "rewarm", "advise_rewarm");
                replica.board.decided(action, &because);
                if *mode == Mode::On {
                    // Full only if others ask for a re-warm all the time.
                    let _ = replica.commands.try_send(Command::Rewarm);
                }
            }
        }
    }

    /// A long silence has many passes, which all say the same: the first of them is told.
    fn tell_once(&mut self, took: Duration, steady: Duration, idle: Duration) {
        let last_user = self.replica.service.last_user().unwrap_or_default();
        if self.told == Some(last_user) {
            return;
        }
        self.told = Some(last_user);
        let because = Because::new("nobody came for a while; its hot shapes are still warm")
            .time("idle", idle)
            .time("took", took)
            .time("proof", steady);
        self.replica.board.decided("keep_warm", &because);
    }
}
