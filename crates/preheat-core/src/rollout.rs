//! Blue and green: the way from one revision to the next.
//!
//! ```text
//! proving → loading → switching → watching → keeping → done
//!    │         │                     │          │
//!    └─────────┴──→ discarding       └──────────┴──→ returning → discarding → done
//! ```
//!
//! Green proves itself replica by replica, then as a set under a synthetic load at the current rate,
//! and only then takes all traffic in one switch: the replicas that passed are the ones that serve.
//! Blue stays warm until nothing can go wrong any more; it never loses capacity before. Any miss
//! throws green away.
//!
//! A [`Rollout`] is plain data, every field public, so that its owner can write it down and go on
//! after a restart with [`Rollout::resumed`].

mod figures;

use std::time::Duration;

use crate::decision::Because;
use crate::moment::Moment;
use crate::names::Revision;

#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RolloutPolicy {
    /// Time for all of green to be proven.
    pub prove_within: Duration,
    /// How long green is loaded as a set.
    pub load_for: Duration,
    /// How long the switched traffic is watched.
    pub watch_for: Duration,
    /// How long blue is kept warm after that.
    pub keep_blue: Duration,
    /// What the p95 of green must stay under.
    pub slo_p95: Duration,
    /// And it may be this many times blue's.
    pub max_ratio: f64,
    /// And in any case this much above blue's: noise is no regression.
    pub slack: Duration,
    /// Loads that green is given to pass: one that misses by latency alone may have met noise.
    pub attempts: u32,
    /// Share of requests that may fail while watching. Under synthetic load none may.
    pub max_errors: f64,
    /// Requests below which a watch says nothing about latency.
    pub at_least: u64,
}

impl RolloutPolicy {
    #[must_use]
    pub const fn under(slo_p95: Duration) -> Self {
        RolloutPolicy {
            prove_within: Duration::from_secs(1800),
            load_for: Duration::from_secs(30),
            watch_for: Duration::from_secs(60),
            keep_blue: Duration::from_secs(300),
            slo_p95,
            max_ratio: 1.2,
            slack: Duration::from_millis(2),
            attempts: 3,
            max_errors: 0.001,
            at_least: 100,
        }
    }
}

/// One rollout, from its wish to its end.
#[derive(Debug, Clone, PartialEq)]
pub struct Rollout {
    pub policy: RolloutPolicy,
    pub blue: Revision,
    pub green: Revision,
    /// Replicas of green that are proven and loaded, as many as blue has in rotation.
    pub size: usize,
    /// Loads that green has missed by latency alone.
    pub missed: u32,
    pub stage: RolloutStage,
    /// When it came into its stage.
    pub since: Moment,
    /// When the traffic was first switched to green, if it was. After a restart of its owner: since then.
    pub served_since: Option<Moment>,
}

#[derive(Debug, Clone, PartialEq)]
pub enum RolloutStage {
    /// Green starts, warms and proves, replica by replica.
    Proving,
    /// Green is under synthetic load, as a set.
    Loading,
    /// Traffic is being switched to green.
    Switching,
    /// Green serves; every request is looked at.
    Watching,
    /// Green serves; blue is kept for a way back.
    Keeping,
    /// Traffic is being switched back to blue.
    Returning(Because),
    /// Green is being drained and stopped.
    Discarding(Because),
    Done(RolloutResult),
}

#[derive(Debug, Clone, PartialEq)]
pub enum RolloutResult {
    /// Green serves, blue is gone.
    Promoted,
    /// Green served, and blue serves again.
    RolledBack(Because),
    /// Green never served.
    Refused(Because),
}

/// What happened.
#[derive(Debug, Clone, PartialEq)]
pub enum RolloutEvent {
    /// So many replicas of green are proven by now.
    GreenProven(usize),
    /// A replica of green failed, or green does not fit into memory.
    GreenFailed(String),
    /// The synthetic load is over.
    Loaded(SetLoad),
    /// The switch that was asked for has happened.
    Switched,
    /// Live traffic on green so far.
    Watched(Traffic),
    /// The discarded side has gone.
    Discarded,
    /// Time has passed.
    Tick,
    /// A person: enough watched, let blue go.
    Promote,
    /// A person: back to blue.
    Rollback,
    /// A person: stop this, whatever stage it is in.
    Abort,
}

/// What the synthetic load showed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SetLoad {
    pub requests: u64,
    pub errors: u64,
    pub p95: Duration,
    /// Blue's p95 on live traffic at the same time.
    pub blue_p95: Duration,
}

/// Live traffic since the switch.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Traffic {
    pub requests: u64,
    pub errors: u64,
    /// Requests that it would not take, beside those.
    pub declined: u64,
    /// The share of them that blue would not take, where enough asked it to tell.
    pub blue_declined: Option<f64>,
    pub p95: Duration,
    /// Blue's p95 before the switch.
    pub blue_p95: Duration,
}

/// What to do about it.
#[derive(Debug, Clone, PartialEq)]
pub enum RolloutEffect {
    /// Start so many replicas of green, pinned, out of rotation.
    StartGreen(usize),
    /// Load green as a set at the current rate.
    LoadGreen(Duration),
    /// All traffic to green, at once; blue stays warm.
    Switch,
    /// All traffic to blue, at once.
    SwitchBack,
    /// Drain and stop green; then say [`RolloutEvent::Discarded`].
    DiscardGreen,
    /// Drain and stop blue: nothing can go wrong any more.
    ReleaseBlue,
}

/// What a step led to.
#[derive(Debug, Clone, PartialEq)]
pub struct RolloutStep {
    pub effects: Vec<RolloutEffect>,
    /// Set when the stage changed, or when a person's wish was not followed.
    pub because: Option<Because>,
}

impl Rollout {
    /// Begins: blue serves with `size` replicas.
    #[must_use]
    pub fn begin(
        policy: RolloutPolicy,
        blue: Revision,
        green: Revision,
        size: usize,
        now: Moment,
    ) -> (Self, RolloutStep) {
        let rollout = Rollout {
            policy,
            blue,
            green,
            size: size.max(1),
            missed: 0,
            stage: RolloutStage::Proving,
            since: now,
            served_since: None,
        };
        let because = Because::new("a new revision was asked for")
            .text("from", rollout.blue.as_str())
            .text("to", rollout.green.as_str())
            .count("replicas", rollout.size);
        let step = RolloutStep {
            effects: vec![RolloutEffect::StartGreen(rollout.size)],
            because: Some(because),
        };
        (rollout, step)
    }

    /// The revision that is to serve users in this stage.
    #[must_use]
    pub const fn serving(&self) -> &Revision {
        match self.stage {
            RolloutStage::Switching
            | RolloutStage::Watching
            | RolloutStage::Keeping
            | RolloutStage::Done(RolloutResult::Promoted) => &self.green,
            _ => &self.blue,
        }
    }

    #[must_use]
    pub const fn is_over(&self) -> bool {
        matches!(self.stage, RolloutStage::Done(_))
    }

    /// Goes on after its owner has started anew. A load or a watch that was seen by half is no
    /// evidence, so the stage begins again; what it asks for is asked for once more.
    #[must_use]
    pub fn resumed(mut self, now: Moment) -> (Self, Vec<RolloutEffect>) {
        self.since = now;
        let effects = match self.stage {
            RolloutStage::Proving => vec![RolloutEffect::StartGreen(self.size)],
            RolloutStage::Loading => {
                // Its replicas may have gone meanwhile: they are counted first.
                self.stage = RolloutStage::Proving;
                vec![RolloutEffect::StartGreen(self.size)]
            }
            RolloutStage::Switching => vec![RolloutEffect::Switch],
            RolloutStage::Returning(_) => vec![RolloutEffect::SwitchBack],
            RolloutStage::Discarding(_) => vec![RolloutEffect::DiscardGreen],
            RolloutStage::Watching | RolloutStage::Keeping | RolloutStage::Done(_) => vec![],
        };
        (self, effects)
    }

    pub fn step(&mut self, event: RolloutEvent, now: Moment) -> RolloutStep {
        use RolloutEvent as E;
        use RolloutStage as S;
        match (&self.stage, event) {
            (S::Proving, E::GreenProven(count)) if count >= self.size => {
                let because = Because::new("all of green is proven").count("replicas", count);
                let load = RolloutEffect::LoadGreen(self.policy.load_for);
                self.enter(S::Loading, vec![load], because, now)
            }
            (S::Proving, E::Tick) if now.since(self.since) > self.policy.prove_within => {
                let because = Because::new("green was not proven in time")
                    .time("limit", self.policy.prove_within);
                self.discard(because, now)
            }
            (S::Proving | S::Loading, E::GreenFailed(cause)) => {
                self.discard(Because::new("green failed").text("cause", cause), now)
            }
            (S::Loading, E::Loaded(load)) => self.loaded(&load, now),
            // Whoever loads green has died or hangs: nothing was shown.
            (S::Loading, E::Tick) if now.since(self.since) > self.load_limit() => {
                let because = Because::new("the load on green never came to an end")
                    .time("limit", self.load_limit());
                self.discard(because, now)
            }
            (S::Switching, E::Switched) => {
                let because = Because::new("green serves").text("revision", self.green.as_str());
                self.enter(S::Watching, vec![], because, now)
            }
            (S::Watching, E::Watched(traffic)) => self.watched(&traffic, now),
            (S::Watching | S::Keeping, E::GreenFailed(cause)) => {
                self.go_back(Because::new("green failed").text("cause", cause), now)
            }
            (S::Keeping, E::Tick) if now.since(self.since) >= self.policy.keep_blue => {
                let because = Because::new("nothing went wrong while blue was kept")
                    .time("kept", now.since(self.since));
                self.promoted(because, now)
            }
            (S::Watching | S::Keeping, E::Promote) => {
                self.promoted(Because::new("promoted by hand"), now)
            }
            (S::Watching | S::Keeping, E::Rollback | E::Abort) => {
                self.go_back(Because::new("rolled back by hand"), now)
            }
            // The switch is on its way and cannot be called back; the way back is.
            (S::Switching, E::Rollback | E::Abort | E::GreenFailed(_)) => {
                self.go_back(Because::new("called off while switching"), now)
            }
            (S::Proving | S::Loading, E::Abort | E::Rollback) => {
                self.discard(Because::new("called off by hand"), now)
            }
            (S::Returning(because), E::Switched) => {
                let because = because.clone();
                let discard = vec![RolloutEffect::DiscardGreen];
                self.enter(S::Discarding(because.clone()), discard, because, now)
            }
            (S::Discarding(because), E::Discarded) => {
                let because = because.clone();
                self.enter(S::Done(self.ended(because.clone())), vec![], because, now)
            }
            // Nothing unproven is ever promoted, whoever asks.
            (S::Proving | S::Loading, E::Promote) => RolloutStep {
                effects: vec![],
                because: Some(Because::new("not promoted: green has not passed yet")),
            },
            (
                S::Proving
                | S::Loading
                | S::Switching
                | S::Watching
                | S::Keeping
                | S::Returning(_)
                | S::Discarding(_)
                | S::Done(_),
                _,
            ) => RolloutStep::nothing(),
        }
    }

    fn loaded(&mut self, load: &SetLoad, now: Moment) -> RolloutStep {
        let Some(because) = self.policy.misses_under_load(load) else {
            let rule = "green carries the load as a set";
            let because = self.policy.saw_load(rule, load);
            let switch = vec![RolloutEffect::Switch];
            self.served_since = Some(now);
            return self.enter(RolloutStage::Switching, switch, because, now);
        };
        self.missed += 1;
        // Wrong answers and errors are never excused.
        let by_latency = load.requests > 0 && load.errors == 0;
        if !by_latency || self.missed >= self.policy.attempts {
            return self.discard(because, now);
        }
        let because = because.count("attempt", self.missed as usize);
        let again = vec![RolloutEffect::LoadGreen(self.policy.load_for)];
        self.enter(RolloutStage::Loading, again, because, now)
    }

    fn watched(&mut self, traffic: &Traffic, now: Moment) -> RolloutStep {
        if let Some(because) = self.policy.misses_under_traffic(traffic) {
            return self.go_back(because, now);
        }
        if now.since(self.since) < self.policy.watch_for {
            return RolloutStep::nothing();
        }
        let because = Because::new("green has served well")
            .time("watched", now.since(self.since))
            .saw("requests", crate::decision::Value::Count(traffic.requests))
            .time("p95", traffic.p95);
        self.enter(RolloutStage::Keeping, vec![], because, now)
    }

    /// The way a discarded green ended: had it served or not?
    fn ended(&self, because: Because) -> RolloutResult {
        match self.served_since {
            Some(_) => RolloutResult::RolledBack(because),
            None => RolloutResult::Refused(because),
        }
    }

    fn discard(&mut self, because: Because, now: Moment) -> RolloutStep {
        let stage = RolloutStage::Discarding(because.clone());
        self.enter(stage, vec![RolloutEffect::DiscardGreen], because, now)
    }

    fn go_back(&mut self, because: Because, now: Moment) -> RolloutStep {
        let since = self.served_since.unwrap_or(self.since);
        let because = because.time(HAD_SERVED, now.since(since));
        let stage = RolloutStage::Returning(because.clone());
        self.enter(stage, vec![RolloutEffect::SwitchBack], because, now)
    }

    fn promoted(&mut self, because: Because, now: Moment) -> RolloutStep {
        let stage = RolloutStage::Done(RolloutResult::Promoted);
        self.enter(stage, vec![RolloutEffect::ReleaseBlue], because, now)
    }

    fn enter(
        &mut self,
        stage: RolloutStage,
        effects: Vec<RolloutEffect>,
        because: Because,
        now: Moment,
    ) -> RolloutStep {
        self.stage = stage;
        self.since = now;
        RolloutStep {
            effects,
            because: Some(because),
        }
    }

    fn load_limit(&self) -> Duration {
        self.policy.load_for * 2 + Duration::from_secs(30)
    }
}

/// Among the grounds of a way back: how long users had met green.
const HAD_SERVED: &str = "green had served for";

impl RolloutStage {
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            RolloutStage::Proving => "proving",
            RolloutStage::Loading => "loading",
            RolloutStage::Switching => "switching",
            RolloutStage::Watching => "watching",
            RolloutStage::Keeping => "keeping",
            RolloutStage::Returning(_) => "returning",
            RolloutStage::Discarding(_) => "discarding",
            RolloutStage::Done(RolloutResult::Promoted) => "promoted",
            RolloutStage::Done(RolloutResult::RolledBack(_)) => "rolled_back",
            RolloutStage::Done(RolloutResult::Refused(_)) => "refused",
        }
    }
}

impl RolloutStep {
    const fn nothing() -> Self {
        RolloutStep {
            effects: Vec::new(),
            because: None,
        }
    }
}

#[cfg(test)]
mod tests;
