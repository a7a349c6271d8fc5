//! A plain service: every request goes at once to some ready replica and waits there.

use std::time::Duration;

use super::Front;
use super::activator::{observed, resize};
use crate::cluster::{Cluster, Id, News, Request};
use crate::ledger::Snapshot;
use crate::random::Random;
use crate::rules::Rule;
use crate::scenario::Gate;

pub(crate) struct Service<R> {
    rule: R,
    gate: Gate,
    /// Replicas that are ready when traffic begins.
    first: usize,
    ready: Vec<Id>,
    dice: Random,
    wanted: usize,
}

impl<R: Rule> Service<R> {
    pub(crate) fn new(rule: R, first: usize, gate: Gate, seed: u64) -> Self {
        Service {
            rule,
            gate,
            first,
            ready: Vec::new(),
            dice: Random::stream(seed, 4),
            wanted: 1,
        }
    }
}

impl<R: Rule> Front for Service<R> {
    fn period(&self) -> Duration {
        Duration::from_secs(1)
    }

    fn gate(&self) -> Gate {
        self.gate
    }

    fn begin(&mut self, cluster: &mut Cluster<'_>) {
        for _ in 0..self.first {
            self.ready.push(cluster.ready_already());
        }
    }

    fn arrive(&mut self, request: Request, cluster: &mut Cluster<'_>) {
        // Nobody ready: connection refused.
        let Some(at) = (self.dice.next() as usize).checked_rem(self.ready.len()) else {
            cluster.failed(request);
            return;
        };
        cluster.send(self.ready[at], request);
    }

    fn hear(&mut self, news: News, cluster: &mut Cluster<'_>) {
        match news {
            News::Ready(id) => self.ready.push(id),
            News::Crashed(id, victims) => {
                self.ready.retain(|ready| *ready != id);
                victims.into_iter().for_each(|v| cluster.failed(v));
            }
            News::Tick => {
                let load = self.ready.iter().map(|id| cluster.load(*id)).sum();
                self.wanted = self.rule.wanted(&observed(cluster, &self.ready, load));
                resize(&mut self.ready, self.wanted, cluster);
            }
            News::Answered(..) | News::StartFailed(_) | News::Called(_) | News::Sample => {}
        }
    }

    fn snapshot(&self, cluster: &Cluster<'_>) -> Snapshot {
        let load: usize = self.ready.iter().map(|id| cluster.load(*id)).sum();
        let running: usize = self
            .ready
            .iter()
            .map(|id| cluster.replicas[*id].running)
            .sum();
        Snapshot {
            active: self.ready.len(),
            spare: 0,
            starting: cluster.starting(),
            held: load - running,
            wanted: self.wanted,
        }
    }
}
