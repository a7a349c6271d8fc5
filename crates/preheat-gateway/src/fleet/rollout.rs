//! One revision gives way to the next: what `preheat_core::rollout` decides is carried out here.
//!
//! Replicas of the side that does not serve are *kept*: the plan leaves them alone, no request
//! reaches them, and they come on top of the maximum, since blue must not lose capacity to green.

mod changeover;
mod green;

use preheat_api::service::RolloutRequest;
use preheat_core::fleet::Role;
use preheat_core::rollout::{Rollout, RolloutEffect, RolloutEvent, RolloutResult, RolloutStage};
use preheat_core::{Because, Moment, PhaseGroup, Revision};

use super::replica::Replica;
use super::{Fleet, STARTING};
use crate::blueprint::Blueprint;
pub use changeover::Changeover;
pub use green::Loaded;

impl Fleet {
    /// Whether a rollout keeps it: the plan leaves it alone.
    pub(super) fn is_pinned(&self, replica: &Replica) -> bool {
        let kept = self.changeover.as_ref().and_then(Changeover::kept);
        kept.is_some_and(|side| replica.kept && replica.revision == side.revision)
            && replica.revision != self.blueprint.revision
    }

    pub(super) fn begin_rollout(
        &mut self,
        wish: &RolloutRequest,
        keyed: bool,
        now: Moment,
    ) -> Result<(), String> {
        let under_way = self.changeover.as_ref().map(|change| &change.rollout);
        if let Some(rollout) = under_way.filter(|rollout| !rollout.is_over()) {
            return Err(in_the_way(&rollout.stage));
        }
        let blue = self.blueprint.clone();
        let green = blue.successor(wish, keyed, self.settings.scale.max)?;
        let size = self.warm(Role::Active, now).len();
        let (from, to) = (blue.revision.clone(), green.revision.clone());
        let (rollout, step) = Rollout::begin(self.settings.rollout, from, to, size, now);
        let mut change = Changeover::new(rollout, blue, green, wish.allow_other_shape);
        if let Some(because) = &step.because {
            change.why = because.to_string();
            self.note("rollout proving", None, because, now);
        }
        self.changeover = Some(change);
        Ok(())
    }

    /// What a person wishes of the rollout under way.
    pub(super) fn wish_of_rollout(
        &mut self,
        event: RolloutEvent,
        now: Moment,
    ) -> Result<(), String> {
        let stage = |fleet: &Fleet| {
            let change = fleet.changeover.as_ref()?;
            (!change.rollout.is_over()).then(|| change.rollout.stage.name())
        };
        let before = stage(self).ok_or("no rollout is under way")?;
        self.tell(event, now);
        match stage(self) {
            Some(after) if after == before => {
                Err(format!("nothing was changed: the rollout is {before}"))
            }
            _ => Ok(()),
        }
    }

    /// One look at the rollout.
    pub(super) fn advance(&mut self, now: Moment) {
        let Some(change) = self.changeover.as_ref() else {
            return;
        };
        match change.rollout.stage {
            RolloutStage::Proving => {
                self.follow_blue(now);
                self.prove_green(now);
            }
            RolloutStage::Loading => self.tell(RolloutEvent::Tick, now),
            RolloutStage::Switching => {
                self.follow_blue(now);
                self.keep_set(now);
                self.switch(now);
            }
            RolloutStage::Watching => {
                self.keep_set(now);
                self.watch_green(now);
            }
            RolloutStage::Keeping => {
                self.keep_set(now);
                self.tell(RolloutEvent::Tick, now);
            }
            RolloutStage::Returning(_) => {
                self.keep_set(now);
                self.switch_back(now);
            }
            RolloutStage::Discarding(_) => {
                let green = change.green.revision.clone();
                if !self.replicas.iter().any(|r| r.revision == green) {
                    self.tell(RolloutEvent::Discarded, now);
                }
            }
            RolloutStage::Done(_) => {}
        }
    }

    /// A replica has failed or ended by itself. True when it was one that serves nobody, so that
    /// nothing but the rollout is concerned.
    pub(super) fn rollout_lost(&mut self, revision: &Revision, cause: &str, now: Moment) -> bool {
        let serves = *revision == self.blueprint.revision;
        let Some(change) = self.changeover.as_mut().filter(|c| !c.rollout.is_over()) else {
            return !serves;
        };
        if *revision == change.green.revision {
            self.tell(RolloutEvent::GreenFailed(cause.to_owned()), now);
        } else if !serves {
            change.backoff.failed(now);
        }
        !serves
    }

    fn tell(&mut self, event: RolloutEvent, now: Moment) {
        let Some(change) = self.changeover.as_mut() else {
            return;
        };
        let step = change.rollout.step(event, now);
        let stage = change.rollout.stage.clone();
        if let Some(because) = &step.because {
            change.why = because.to_string();
            self.note(&format!("rollout {}", stage.name()), None, because, now);
            if let RolloutStage::Done(result) = &stage {
                self.rollout_over(result);
            }
        }
        for effect in step.effects {
            self.carry_out(&effect, now);
        }
    }

    fn rollout_over(&self, result: &RolloutResult) {
        let result = match result {
            RolloutResult::Promoted => "promoted",
            RolloutResult::RolledBack(_) => "rolled_back",
            RolloutResult::Refused(_) => "refused",
        };
        self.metrics.rolled_out(&self.service.name, result);
    }

    fn carry_out(&mut self, effect: &RolloutEffect, now: Moment) {
        match effect {
            RolloutEffect::LoadGreen(time) => self.load_green(*time, now),
            RolloutEffect::Switch => {
                self.follow_blue(now);
                self.switch(now);
            }
            RolloutEffect::SwitchBack => self.switch_back(now),
            // Done by each look, as long as it is so: who is started, who is kept, who goes.
            RolloutEffect::StartGreen(_)
            | RolloutEffect::DiscardGreen
            | RolloutEffect::ReleaseBlue => {}
        }
    }

    /// Blue may have grown since: users are not to find fewer replicas after the switch.
    fn follow_blue(&mut self, now: Moment) {
        let served = self.warm(Role::Active, now).len();
        if let Some(change) = &mut self.changeover {
            change.rollout.size = change.rollout.size.max(served);
        }
    }

    /// As many replicas of the kept side as blue has in rotation.
    fn keep_set(&mut self, now: Moment) {
        let Some(change) = self.changeover.as_ref() else {
            return;
        };
        let Some(side) = change.kept().cloned() else {
            return;
        };
        if change.backoff.no_start_before().is_some_and(|at| now < at) {
            return;
        }
        let size = match &change.rollout.stage {
            RolloutStage::Watching | RolloutStage::Keeping => change.reserve,
            // Users need somebody to go back to.
            RolloutStage::Returning(_) => change.reserve.max(1),
            _ => change.rollout.size,
        };
        let there = |r: &&Replica| {
            r.kept && r.revision == side.revision && (r.is_coming(now) || r.is_warm(now))
        };
        let missing = size.saturating_sub(self.replicas.iter().filter(there).count());
        let starting = self.replicas.iter().filter(|r| r.is_coming(now)).count();
        for _ in 0..missing.min(STARTING.saturating_sub(starting)) {
            let because = Because::new("a rollout needs it out of rotation")
                .text("revision", side.revision.as_str())
                .count("wanted", size)
                .count("missing", missing);
            self.start(&side, true, &because, now);
        }
    }

    fn proven(&self, revision: &Revision, now: Moment) -> usize {
        let warm = |r: &&Replica| r.revision == *revision && r.is_warm(now);
        self.replicas.iter().filter(warm).count()
    }

    /// All traffic to green at one moment. The replicas that passed are the ones that serve.
    fn switch(&mut self, now: Moment) {
        let Some(change) = self.changeover.as_ref() else {
            return;
        };
        let (green, size) = (change.green.clone(), change.rollout.size);
        let served = self.warm(Role::Active, now).len();
        if self.proven(&green.revision, now) >= size && self.serve(green, now) {
            if let Some(change) = &mut self.changeover {
                change.reserve = served;
            }
            self.tell(RolloutEvent::Switched, now);
        }
    }

    /// All traffic to blue, as soon as one of it is there; until then green does what it can.
    fn switch_back(&mut self, now: Moment) {
        let Some(change) = self.changeover.as_ref() else {
            return;
        };
        let blue = change.blue.clone();
        if self.blueprint.revision == blue.revision || self.serve(blue, now) {
            self.tell(RolloutEvent::Switched, now);
        }
    }

    /// False when there is nobody of that side to serve.
    fn serve(&mut self, side: Blueprint, now: Moment) -> bool {
        let concurrency = self.settings.concurrency;
        let mut newcomers = Vec::new();
        for replica in &mut self.replicas {
            let ours = replica.revision == side.revision && replica.is_warm(now);
            if let Some((who, upstream)) = replica.credentials(concurrency).filter(|_| ours) {
                newcomers.push((replica.id.clone(), who, upstream));
            }
        }
        if newcomers.is_empty() {
            return false;
        }
        for replica in &mut self.replicas {
            let serves = newcomers.iter().any(|(id, ..)| *id == replica.id);
            // Those who served are kept; spares of their side are not.
            replica.kept = serves || replica.role == Role::Active;
            replica.role = if serves { Role::Active } else { Role::Spare };
        }
        self.service.rotation.switch(newcomers);
        self.blueprint = side;
        true
    }
}

/// Why no other rollout begins. To abort one that serves already is to go back.
fn in_the_way(stage: &RolloutStage) -> String {
    let what = match stage {
        RolloutStage::Watching | RolloutStage::Keeping => {
            "the last rollout serves and the revision before it is kept: `promote` lets that one go, \
             `rollback` brings it back"
        }
        RolloutStage::Returning(_) | RolloutStage::Discarding(_) => {
            "the last rollout is being taken back: wait for its end"
        }
        _ => "a rollout is under way: wait for its end, or abort it",
    };
    format!("{what} (stage {})", stage.name())
}

impl Replica {
    pub fn is_warm(&self, now: Moment) -> bool {
        self.group(now) == PhaseGroup::Warm
    }
}
