//! What the loop writes down, so that the next gateway can go on, and how it goes on itself.

use std::time::Duration;

use preheat_api::state::{BoundsState, RolloutState, ServiceState};
use preheat_core::pool::PoolSize;
use preheat_core::rollout::{Rollout, RolloutPolicy, RolloutStage};
use preheat_core::{Because, Moment, Revision};

use super::replica::{HEARD, Replica};
use super::rollout::Changeover;
use super::{Fleet, Wanted};
use crate::blueprint::Blueprint;
use crate::clock::millis;
use crate::provision::Inherited;

/// What was written down last, as far as it changes.
#[derive(Debug, Clone, PartialEq)]
pub struct Recorded {
    serving: Revision,
    wanted: usize,
    spares: usize,
    bounds: BoundsState,
    rollout: Option<(&'static str, Duration)>,
}

impl Fleet {
    /// Writes the service down if it has changed.
    pub(super) fn record(&mut self, wanted: &Wanted) {
        let Some(file) = &self.state else { return };
        let under_way = self.changeover.as_ref().filter(|c| !c.rollout.is_over());
        let recorded = Recorded {
            serving: self.blueprint.revision.clone(),
            wanted: wanted.desired.count,
            spares: wanted.spares.count,
            bounds: self.settings.bounds(),
            rollout: under_way.map(|c| (c.rollout.stage.name(), c.rollout.since.since_start())),
        };
        if self.recorded.as_ref() == Some(&recorded) {
            return;
        }
        let written = file.write(&ServiceState {
            name: self.service.name.clone(),
            base: self.base.as_str().to_owned(),
            serving: self.blueprint.config.as_ref().clone(),
            wanted: recorded.wanted,
            spares: recorded.spares,
            min: recorded.bounds.min,
            max: recorded.bounds.max,
            fixed_spares: recorded.bounds.fixed_spares,
            configured: Some(self.configured),
            rollout: under_way.map(Changeover::state),
        });
        // A full disk may have room again at the next look; one warning says it all until then.
        self.recorded = written.is_ok().then_some(recorded);
        match written {
            Ok(()) => self.unwritten = false,
            Err(error) if !std::mem::replace(&mut self.unwritten, true) => {
                tracing::warn!(event = "state_unwritten", %error, "a gateway after this one could not go on");
            }
            Err(_) => {}
        }
    }

    /// Takes over what the gateway before this one has left.
    pub(super) fn inherit(&mut self, inherited: Inherited) {
        let now = self.clock.now();
        if let Some(state) = inherited.state {
            self.resume(state, now);
        }
        for adopted in inherited.replicas {
            let number = adopted.id.as_str().trim_start_matches('r').parse();
            self.started = self.started.max(number.unwrap_or(0));
            let because = Because::new("it outlived its gateway")
                .text("revision", adopted.revision.as_str())
                .count("process", adopted.process.pid as usize);
            self.note("adopt", Some(&adopted.id), &because, now);
            let mut replica = Replica::new(adopted.id, adopted.revision, adopted.process, now);
            replica.adopted = true;
            replica.kept = true;
            self.replicas.push(replica);
        }
        if !self.replicas.is_empty() {
            // Whoever asks before the loop has looked is not told that a start takes long.
            self.service.rotation.expect_in(HEARD);
        }
    }

    fn resume(&mut self, state: ServiceState, now: Moment) {
        self.blueprint = Blueprint::new(state.serving);
        if self.blueprint.revision != self.base {
            let because = Because::new("it was promoted before the restart")
                .text("revision", self.blueprint.revision.as_str());
            self.note("resume", None, &because, now);
        }
        if state.configured.is_none_or(|then| then == self.configured) {
            let scale = &mut self.settings.scale;
            (scale.min, scale.max) = (state.min, state.max);
            self.settings.spares = state.fixed_spares.map_or(PoolSize::Auto, PoolSize::Fixed);
        }
        self.follow_bounds();
        self.scaler.promoted_to(state.wanted);
        self.pool.held(state.wanted + state.spares);
        let resumed = state
            .rollout
            .and_then(|state| resumed(self.settings.rollout, state, now));
        if let Some(change) = resumed {
            let because = Because::new("it goes on after its gateway was ended")
                .text("from", change.blue.revision.as_str())
                .text("to", change.green.revision.as_str());
            let stage = format!("rollout {}", change.rollout.stage.name());
            self.note(&stage, None, &because, now);
            self.changeover = Some(change);
        }
    }
}

impl Changeover {
    fn state(&self) -> RolloutState {
        RolloutState {
            from: self.blue.config.as_ref().clone(),
            to: self.green.config.as_ref().clone(),
            size: self.rollout.size,
            reserve: self.reserve,
            stage: self.rollout.stage.name().into(),
            reason: self.why.clone(),
            allow_other_shape: self.allow_other_shape,
            blue_p95_ms: millis(self.blue_p95),
            blue_declined: self.blue_declined,
            had_served: self.rollout.served_since.is_some(),
        }
    }
}

/// A load or a watch that was seen by half begins again. What a stage asks for is done at the
/// next look.
fn resumed(policy: RolloutPolicy, state: RolloutState, now: Moment) -> Option<Changeover> {
    let because = || Because::new("as before the restart").text("why", state.reason.clone());
    let stage = match state.stage.as_str() {
        "proving" => RolloutStage::Proving,
        "loading" => RolloutStage::Loading,
        "switching" => RolloutStage::Switching,
        "watching" => RolloutStage::Watching,
        "keeping" => RolloutStage::Keeping,
        "returning" => RolloutStage::Returning(because()),
        "discarding" => RolloutStage::Discarding(because()),
        _ => return None,
    };
    let (blue, green) = (Blueprint::new(state.from), Blueprint::new(state.to));
    let rollout = Rollout {
        policy,
        blue: blue.revision.clone(),
        green: green.revision.clone(),
        size: state.size,
        missed: 0,
        stage,
        since: now,
        served_since: state.had_served.then_some(now),
    };
    let (rollout, _) = rollout.resumed(now);
    let mut change = Changeover::new(rollout, blue, green, state.allow_other_shape);
    change.reserve = state.reserve;
    change.why = state.reason;
    let blue_p95 = Duration::try_from_secs_f64(state.blue_p95_ms / 1e3);
    change.blue_p95 = blue_p95.unwrap_or_default();
    change.blue_declined = state.blue_declined;
    Some(change)
}

#[cfg(test)]
mod tests {
    use preheat_api::config::Config;
    use preheat_core::rollout::{RolloutEvent, RolloutResult};

    use super::*;

    /// A way back from a green that users had met is told as one, also by the next gateway.
    #[test]
    fn whether_green_had_served_outlives_the_gateway() {
        let second = Duration::from_secs(1);
        let policy = RolloutPolicy {
            prove_within: second,
            load_for: second,
            watch_for: second,
            keep_blue: second,
            slo_p95: second,
            max_ratio: 2.0,
            slack: second,
            attempts: 1,
            max_errors: 0.0,
            at_least: 1,
        };
        let now = Moment::after_start(Duration::from_secs(5));
        for served in [false, true] {
            let blue = Blueprint::new(Config::default());
            let mut other = Config::default();
            other.server.port += 1;
            let green = Blueprint::new(other);
            let because = Because::new("for the test");
            let rollout = Rollout {
                policy,
                blue: blue.revision.clone(),
                green: green.revision.clone(),
                size: 1,
                missed: 0,
                stage: RolloutStage::Discarding(because),
                since: now,
                served_since: served.then_some(now),
            };
            let written = Changeover::new(rollout, blue, green, false).state();
            assert_eq!(written.had_served, served);
            let read = serde_json::to_string(&written).unwrap();
            let read = serde_json::from_str(&read).unwrap();
            let mut change = resumed(policy, read, now).unwrap();
            assert_eq!(change.rollout.served_since.is_some(), served);
            change.rollout.step(RolloutEvent::Discarded, now);
            let RolloutStage::Done(result) = change.rollout.stage else {
                panic!("it is not over");
            };
            let back = matches!(result, RolloutResult::RolledBack(_));
            assert_eq!(back, served, "{result:?}");
        }
    }
}
