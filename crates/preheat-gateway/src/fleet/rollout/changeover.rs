//! A rollout and both of its sides, and what is told of it.

use std::time::Duration;

use preheat_api::service::{RolloutLimits, RolloutReport, SeenReport};
use preheat_core::Moment;
use preheat_core::fleet::StartBackoff;
use preheat_core::rollout::{Rollout, RolloutStage};

use crate::blueprint::Blueprint;
use crate::clock::millis;
use crate::fleet::Fleet;

/// A rollout, under way or over, and what it is made from.
#[derive(Debug)]
pub struct Changeover {
    pub rollout: Rollout,
    pub blue: Blueprint,
    pub green: Blueprint,
    pub allow_other_shape: bool,
    /// Under load while green was loaded.
    pub blue_p95: Duration,
    /// The share of requests that it did not take then, if enough came.
    pub blue_declined: Option<f64>,
    /// Replicas of blue that are kept: as many as served.
    pub reserve: usize,
    pub(super) seen: Option<SeenReport>,
    pub why: String,
    /// Of blue's replicas while it is kept.
    pub(super) backoff: StartBackoff,
    /// Which load is waited for.
    pub(super) loads: u64,
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
            blue_declined: None,
            reserve: 0,
            seen: None,
            why: String::new(),
            backoff: StartBackoff::default(),
            loads: 0,
        }
    }

    /// The side that is kept out of rotation in this stage, if one is.
    pub(super) fn kept(&self) -> Option<&Blueprint> {
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
    pub(in crate::fleet) fn rollout_report(&self, now: Moment) -> Option<RolloutReport> {
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
}

pub(super) fn seen(requests: u64, errors: u64, p95: Duration, blue_p95: Duration) -> SeenReport {
    SeenReport {
        requests,
        errors,
        p95_ms: millis(p95),
        blue_p95_ms: millis(blue_p95),
    }
}
