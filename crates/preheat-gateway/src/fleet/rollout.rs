//! One revision gives way to the next: what `preheat_core::rollout` decides is carried out here.
//!
//! Replicas of the side that does not serve are *kept*: the plan leaves them alone, no request
//! reaches them, and they come on top of the maximum, since blue must not lose capacity to green.

use std::time::Duration;

use preheat_api::replica::{LoadReport, LoadRequest};
use preheat_api::service::{RolloutLimits, RolloutReport, RolloutRequest, SeenReport};
use preheat_core::fleet::{Role, StartBackoff};
use preheat_core::rollout::{
    Rollout, RolloutEffect, RolloutEvent, RolloutResult, RolloutStage, SetLoad,
};
use preheat_core::{Because, Moment, PhaseGroup, Revision};

use super::replica::Replica;
use super::{Fleet, STARTING};
use crate::blueprint::Blueprint;
use crate::clock::millis;
use crate::provision::AdminError;

/// A p95 of fewer answers is no figure to compare with.
const ENOUGH: u64 = 20;

/// Requests that a load sends at least, so that its p95 is one.
const LEAST: f64 = 20.0;

/// A rollout, under way or over, and what it is made from.
#[derive(Debug)]
pub struct Changeover {
    pub rollout: Rollout,
    pub blue: Blueprint,
    pub green: Blueprint,
    pub allow_other_shape: bool,
    /// Under load while green was loaded.
    pub blue_p95: Duration,
    /// Replicas of blue that are kept: as many as served.
    pub reserve: usize,
    seen: Option<SeenReport>,
    pub why: String,
    /// Of blue's replicas while it is kept.
    backoff: StartBackoff,
    /// Which load is waited for.
    loads: u64,
}

/// What came of a load on a set.
#[derive(Debug)]
pub struct Loaded {
    number: u64,
    requests: u64,
    errors: u64,
    error: Option<String>,
    p95: Duration,
}

impl Changeover {
    #[must_use]
    pub fn new(
        rollout: Rollout,
        blue: Blueprint,
        green: Blueprint,
        allow_other_shape: bool,
    ) -> Self {
        Changeover {
            rollout,
            blue,
            green,
            allow_other_shape,
            blue_p95: Duration::ZERO,
            reserve: 0,
            seen: None,
            why: String::new(),
            backoff: StartBackoff::default(),
            loads: 0,
        }
    }

    /// The side that is kept out of rotation in this stage, if one is.
    fn kept(&self) -> Option<&Blueprint> {
        match self.rollout.stage {
            RolloutStage::Proving | RolloutStage::Loading | RolloutStage::Switching => {
                Some(&self.green)
            }
            RolloutStage::Watching | RolloutStage::Keeping | RolloutStage::Returning(_) => {
                Some(&self.blue)
            }
            RolloutStage::Discarding(_) | RolloutStage::Done(_) => None,
        }
    }
}

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
        if self
            .changeover
            .as_ref()
            .is_some_and(|c| !c.rollout.is_over())
        {
            return Err("a rollout is under way: wait for its end, or abort it".into());
        }
        let blue = self.blueprint.clone();
        let green = blue.successor(wish, keyed)?;
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

    /// The load on green is over.
    pub(super) fn on_loaded(&mut self, loaded: Loaded, now: Moment) {
        let live = self.service.rotation.since_mark();
        let Some(change) = self.changeover.as_mut() else {
            return;
        };
        if loaded.number != change.loads || change.rollout.stage != RolloutStage::Loading {
            return;
        }
        change.blue_p95 = match live.requests >= ENOUGH {
            true => live.p95,
            false => Duration::ZERO,
        };
        let load = SetLoad {
            requests: loaded.requests,
            errors: loaded.errors,
            p95: loaded.p95,
            blue_p95: change.blue_p95,
        };
        change.seen = Some(seen(load.requests, load.errors, load.p95, load.blue_p95));
        if let Some(error) = loaded.error {
            tracing::warn!(event = "green_erred", error, "green failed under load");
        }
        self.tell(RolloutEvent::Loaded(load), now);
    }

    pub(super) fn rollout_report(&self, now: Moment) -> Option<RolloutReport> {
        let change = self.changeover.as_ref()?;
        let rollout = &change.rollout;
        let policy = &rollout.policy;
        let limit = match rollout.stage {
            RolloutStage::Proving => Some(policy.prove_within),
            RolloutStage::Loading => Some(policy.load_for),
            RolloutStage::Watching => Some(policy.watch_for),
            RolloutStage::Keeping => Some(policy.keep_blue),
            _ => None,
        };
        Some(RolloutReport {
            from: change.blue.revision.as_str().into(),
            from_source: change.blue.described(),
            to: change.green.revision.as_str().into(),
            to_source: change.green.described(),
            stage: rollout.stage.name().into(),
            detail: change.why.clone(),
            size: rollout.size,
            proven: self.proven(&change.green.revision, now),
            stage_ms: millis(now.since(rollout.since)),
            limit_ms: limit.map(millis),
            seen: change.seen,
            limits: RolloutLimits {
                slo_p95_ms: millis(policy.slo_p95),
                max_ratio: policy.max_ratio,
                slack_ms: millis(policy.slack),
                max_errors: policy.max_errors,
            },
        })
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

    fn prove_green(&mut self, now: Moment) {
        let Some(change) = self.changeover.as_ref() else {
            return;
        };
        let (green, size) = (change.green.revision.clone(), change.rollout.size);
        if let Some(cause) = self
            .other_shape(change)
            .or_else(|| self.too_big(change, now))
        {
            self.tell(RolloutEvent::GreenFailed(cause), now);
            return;
        }
        self.keep_set(now);
        match self.proven(&green, now) {
            proven if proven >= size => self.tell(RolloutEvent::GreenProven(proven), now),
            _ => self.tell(RolloutEvent::Tick, now),
        }
    }

    /// Users of blue would not know what to do with answers of another size.
    fn other_shape(&self, change: &Changeover) -> Option<String> {
        let width = |revision: &Revision| {
            let of = |r: &&Replica| r.revision == *revision;
            self.replicas.iter().filter(of).find_map(Replica::width)
        };
        let blue = width(&change.blue.revision)?;
        let green = width(&change.green.revision)?;
        let differs = blue != green && !change.allow_other_shape;
        differs.then(|| {
            format!(
                "its answers have {green} numbers, blue's have {blue}; if that is meant, allow it \
                 with --allow-other-shape"
            )
        })
    }

    /// Whether those of green that are still to come fit beside everybody who is there.
    fn too_big(&self, change: &Changeover, now: Moment) -> Option<String> {
        let of = |revision: &Revision| {
            let of = |r: &&Replica| r.revision == *revision;
            self.replicas
                .iter()
                .filter(of)
                .filter_map(Replica::peak_bytes)
                .max()
        };
        let each = of(&change.green.revision).or_else(|| of(&change.blue.revision))?;
        let limit = preheat_runtime::memory::limit()?.bytes / 10 * 8;
        let taken: u64 = self.replicas.iter().filter_map(Replica::peak_bytes).sum();
        let measured = self.proven(&change.green.revision, now);
        let missing = change.rollout.size.saturating_sub(measured) as u64;
        let free = limit.saturating_sub(taken);
        (each.saturating_mul(missing) > free).then(|| {
            let [each, free] = [each, free].map(|bytes| bytes / 1_000_000);
            format!("{missing} more replicas of {each} MB do not fit into {free} MB that are free")
        })
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

    /// Planned requests to each replica of green, together at the rate of blue's users.
    fn load_green(&mut self, time: Duration, now: Moment) {
        let (rate, concurrency) = (self.rate, self.settings.concurrency);
        let Some(change) = self.changeover.as_mut() else {
            return;
        };
        change.loads += 1;
        let (number, green) = (change.loads, change.green.revision.clone());
        let set = |r: &&Replica| r.kept && r.revision == green && r.is_warm(now);
        let set: Vec<_> = self.replicas.iter().filter(set).collect();
        let least = LEAST / time.as_secs_f64().max(0.1);
        let wish = LoadRequest {
            rate: rate.max(least) / set.len().max(1) as f64,
            concurrency,
            seconds: time.as_secs_f64(),
        };
        let Some(first) = set.first() else {
            return;
        };
        // Blue's figures are to be of the same time.
        self.service.rotation.mark();
        let asking: Vec<_> = set.iter().map(|r| r.process.load(wish)).collect();
        let tell = self.loaded.clone();
        first.process.tasks().spawn("load on green", async move {
            let reports = futures_util::future::join_all(asking).await;
            // A loop that has ended does not care.
            let _ = tell.send(whole(number, reports)).await;
        });
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

    fn watch_green(&mut self, now: Moment) {
        let live = self.service.rotation.since_mark();
        let Some(change) = self.changeover.as_mut() else {
            return;
        };
        let traffic = live.beside(change.blue_p95);
        change.seen = Some(seen(live.requests, live.errors, live.p95, change.blue_p95));
        self.tell(RolloutEvent::Watched(traffic), now);
    }
}

impl Replica {
    pub fn is_warm(&self, now: Moment) -> bool {
        self.group(now) == PhaseGroup::Warm
    }
}

fn seen(requests: u64, errors: u64, p95: Duration, blue_p95: Duration) -> SeenReport {
    SeenReport {
        requests,
        errors,
        p95_ms: millis(p95),
        blue_p95_ms: millis(blue_p95),
    }
}

/// The reports of all replicas as one. Who did not answer has failed.
fn whole(number: u64, reports: Vec<Result<LoadReport, AdminError>>) -> Loaded {
    let mut loaded = Loaded {
        number,
        requests: 0,
        errors: 0,
        error: None,
        p95: Duration::ZERO,
    };
    let mut latencies = Vec::new();
    for report in reports {
        match report {
            Ok(report) => {
                loaded.requests += report.requests;
                loaded.errors += report.errors;
                loaded.error = loaded.error.or(report.error);
                latencies.extend(report.latencies_ms);
            }
            Err(error) => {
                loaded.requests += 1;
                loaded.errors += 1;
                loaded.error.get_or_insert(error.to_string());
            }
        }
    }
    latencies.sort_by(f64::total_cmp);
    let p95 = latencies.get(latencies.len() * 95 / 100).copied();
    loaded.p95 = Duration::try_from_secs_f64(p95.unwrap_or(0.0) / 1e3).unwrap_or(Duration::MAX);
    loaded
}
