//! What the lock of a rotation guards, and what is decided under it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use preheat_core::balance::{BalancePolicy, Ended, Endpoint, pick};
use preheat_core::demand::Demand;
use preheat_core::hold::{Forecast, Hold, RefusalReason, Ticket};
use preheat_core::{Moment, ReplicaId};
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::permit::{Failure, Permit};
use super::seen::Fact;
use super::{Asking, Rotation};
use crate::data::Upstream;
use crate::refusal::Refusal;
use crate::traffic::Traffic;

/// Facts for the fleet loop that are not yet read; a loop that hangs must not fill the memory.
const FACTS: usize = 256;

#[derive(Debug)]
pub(super) struct State {
    pub(super) serving: Vec<Serving>,
    pub(super) hold: Hold<oneshot::Sender<Permit>>,
    pub(super) forecast: Forecast,
    /// When the loop foresaw it, and of when it is now.
    pub(super) foreseen: Moment,
    pub(super) passed: Moment,
    /// Why waiting is in vain, if it is.
    pub(super) hopeless: Option<Refusal>,
    pub(super) demand: Demand,
    pub(super) dice: fastrand::Rng,
    pub(super) facts: VecDeque<Fact>,
    pub(super) service: ServiceTime,
    pub(super) latency: ServiceTime,
    pub(super) traffic: Traffic,
    /// In the order of [`Failure::ALL`].
    pub(super) failures: [u64; Failure::ALL.len()],
    /// How often all replicas were exchanged for those of the other side.
    pub(super) switches: u64,
    /// When a request first found every permit taken, until the loop has heard of it.
    pub(super) starved: Option<Moment>,
}

/// One replica in rotation.
#[derive(Debug)]
pub(super) struct Serving {
    pub(super) id: ReplicaId,
    pub(super) endpoint: Endpoint,
    pub(super) upstream: Arc<Upstream>,
    pub(super) answered: u64,
    pub(super) last_run: Moment,
}

impl AsRef<Endpoint> for Serving {
    fn as_ref(&self) -> &Endpoint {
        &self.endpoint
    }
}

pub(super) enum Asked {
    Granted(Permit),
    Held(Ticket, oneshot::Receiver<Permit>),
}

impl State {
    /// What was foreseen is nearer by now.
    pub(super) fn pass(&mut self, now: Moment) {
        self.forecast.pass(now.since(self.passed));
        self.passed = now;
    }

    pub(super) fn pick(
        &mut self,
        except: Option<&ReplicaId>,
        policy: &BalancePolicy,
        now: Moment,
    ) -> Option<usize> {
        let except = except.and_then(|id| self.serving.iter().position(|s| s.id == *id));
        let dice = [self.dice.u64(..), self.dice.u64(..)];
        pick(&self.serving, except, dice, policy, now)
    }

    /// Takes a permit of a replica that was picked because it has one.
    pub(super) fn permit(&mut self, rotation: &Arc<Rotation>, at: usize) -> Permit {
        let serving = &mut self.serving[at];
        let taken = serving.endpoint.begin();
        debug_assert!(taken, "a replica was picked that has no free permit");
        Permit {
            in_flight: Some(serving.upstream.in_flight().enter()),
            rotation: Some(Arc::clone(rotation)),
            id: serving.id.clone(),
            upstream: Arc::clone(&serving.upstream),
            began: Instant::now(),
            ended: Ended::Void,
            failure: None,
            switches: self.switches,
        }
    }

    pub(super) fn offer(&mut self, asking: &Asking, now: Moment) -> Result<Asked, Refusal> {
        if let Some(why) = &self.hopeless {
            return Err(why.clone());
        }
        let patience = asking.deadline.saturating_duration_since(Instant::now());
        let (hand, handed) = oneshot::channel();
        self.pass(now);
        let offered = self
            .hold
            .offer(hand, asking.bytes, patience, &self.forecast, now);
        match offered {
            Ok(ticket) => Ok(Asked::Held(ticket, handed)),
            Err((_, refusal)) if refusal.nothing_warm => Err(Refusal::NothingWarm {
                code: refusal.why.name(),
                detail: sentence(refusal.why).into(),
                retry_after: refusal.retry_after,
            }),
            Err((_, refusal)) => Err(Refusal::Full {
                code: refusal.why.name(),
                retry_after: refusal.retry_after,
            }),
        }
    }

    /// Takes note of how a request ended. Its replica may have left the rotation meanwhile, for that very
    /// end; only those of a side that serves no more say nothing about the one that does.
    pub(super) fn count(&mut self, permit: &Permit, now: Moment) {
        if let Some(how) = permit.failure {
            let at = Failure::ALL.iter().position(|one| *one == how);
            self.failures[at.unwrap_or_default()] += 1;
        }
        if permit.switches != self.switches {
            return;
        }
        match permit.ended {
            Ended::Answered(took) => self.traffic.answered(took, now),
            Ended::Failed => self.traffic.failed(now),
            Ended::Void => {}
        }
    }

    pub(super) fn note(&mut self, fact: Fact) {
        // The loop alone brings back who has left the rotation, so it has to hear of each; they are no
        // more than there are replicas.
        if self.facts.len() < FACTS || fact.leaves_rotation() {
            self.facts.push_back(fact);
        }
    }
}

/// Seconds that something takes: a mean that forgets, and that one outlier cannot move far.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct ServiceTime(Option<f64>);

impl ServiceTime {
    pub(super) fn mean(self) -> Option<Duration> {
        self.0.map(Duration::from_secs_f64)
    }

    const WEIGHT: f64 = 0.02;
    const OUTLIER: f64 = 4.0;

    pub(super) fn learn(&mut self, took: Duration) {
        let sample = took.as_secs_f64();
        let mean = self.0.unwrap_or(sample);
        self.0 = Some(mean + Self::WEIGHT * (sample.min(mean * Self::OUTLIER) - mean));
    }
}

fn sentence(why: RefusalReason) -> &'static str {
    match why {
        RefusalReason::QueueFull => "as many requests as may wait are waiting",
        RefusalReason::BytesFull => "those who wait hold as many bytes as may be held",
        RefusalReason::TooLate => "one would come too late for this request",
    }
}
