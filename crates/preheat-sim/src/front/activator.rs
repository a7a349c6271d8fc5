//! A queue in front of everything, and an autoscaler that sees it: Knative, Ray Serve.
//!
//! Requests wait centrally, without bound, and go out as replicas have places.

use std::collections::VecDeque;
use std::time::Duration;

use super::Front;
use crate::cluster::{Cluster, Id, News, Request};
use crate::ledger::Snapshot;
use crate::random::Random;
use crate::rules::{Observed, Rule};
use crate::scenario::Gate;

pub(crate) struct Activator<R> {
    rule: R,
    gate: Gate,
    ready: Vec<Id>,
    queue: VecDeque<Request>,
    dice: Random,
    wanted: usize,
}

impl<R: Rule> Activator<R> {
    pub(crate) fn new(rule: R, gate: Gate, seed: u64) -> Self {
        Activator {
            rule,
            gate,
            ready: Vec::new(),
            queue: VecDeque::new(),
            dice: Random::stream(seed, 4),
            wanted: 1,
        }
    }

    /// The less loaded of two, if it has a place; else anybody who has.
    fn free(&mut self, cluster: &Cluster<'_>) -> Option<Id> {
        if self.ready.is_empty() {
            return None;
        }
        let count = self.ready.len() as u64;
        let [a, b] = [0; 2].map(|_| self.ready[(self.dice.next() % count) as usize]);
        let lighter = if cluster.load(b) < cluster.load(a) {
            b
        } else {
            a
        };
        let places = cluster.scenario.replica.concurrency;
        let is_free = |id: &Id| cluster.load(*id) < places;
        Some(lighter)
            .filter(is_free)
            .or_else(|| self.ready.iter().copied().find(is_free))
    }

    fn pump(&mut self, cluster: &mut Cluster<'_>) {
        while !self.queue.is_empty() {
            let Some(id) = self.free(cluster) else {
                return;
            };
            if let Some(request) = self.queue.pop_front() {
                cluster.run(id, request);
            }
        }
    }
}

impl<R: Rule> Front for Activator<R> {
    fn period(&self) -> Duration {
        Duration::from_secs(1)
    }

    fn gate(&self) -> Gate {
        self.gate
    }

    fn begin(&mut self, cluster: &mut Cluster<'_>) {
        for _ in 0..cluster.scenario.fleet.begin {
            self.ready.push(cluster.ready_already());
        }
    }

    fn arrive(&mut self, request: Request, cluster: &mut Cluster<'_>) {
        self.queue.push_back(request);
        self.pump(cluster);
    }

    fn hear(&mut self, news: News, cluster: &mut Cluster<'_>) {
        match news {
            News::Ready(id) => self.ready.push(id),
            News::Crashed(id, victims) => {
                self.ready.retain(|ready| *ready != id);
                victims.into_iter().for_each(|v| cluster.failed(v));
            }
            News::Tick => {
                let in_flight: usize = self.ready.iter().map(|id| cluster.load(*id)).sum();
                let seen = observed(cluster, &self.ready, in_flight + self.queue.len());
                self.wanted = self.rule.wanted(&seen);
                resize(&mut self.ready, self.wanted, cluster);
            }
            News::Answered(..) | News::StartFailed(_) | News::Called(_) | News::Sample => {}
        }
        self.pump(cluster);
    }

    fn snapshot(&self, cluster: &Cluster<'_>) -> Snapshot {
        Snapshot {
            active: self.ready.len(),
            spare: 0,
            starting: cluster.starting(),
            held: self.queue.len(),
            wanted: self.wanted,
        }
    }
}

pub(super) fn observed(cluster: &Cluster<'_>, ready: &[Id], requests: usize) -> Observed {
    let running: usize = ready.iter().map(|id| cluster.replicas[*id].running).sum();
    let places = ready.len() * cluster.scenario.replica.concurrency;
    Observed {
        now: cluster.now as f64 / 1e9,
        ready: ready.len(),
        starting: cluster.starting(),
        requests,
        busy: running as f64 / places.max(1) as f64,
    }
}

/// Starts what is missing; takes away what is too much, those on their way first.
pub(super) fn resize(ready: &mut Vec<Id>, wanted: usize, cluster: &mut Cluster<'_>) {
    let fleet = &cluster.scenario.fleet;
    let wanted = wanted.clamp(fleet.min.max(1), fleet.max);
    let mut have = ready.len() + cluster.starting();
    while have < wanted && cluster.alive() < fleet.max {
        cluster.start();
        have += 1;
    }
    if have > wanted {
        have -= cluster.stop_starting(have - wanted);
    }
    while have > wanted && ready.len() > 1 {
        let least = (0..ready.len()).min_by_key(|at| cluster.load(ready[*at]));
        if let Some(at) = least {
            cluster.drain(ready.remove(at));
        }
        have -= 1;
    }
}
