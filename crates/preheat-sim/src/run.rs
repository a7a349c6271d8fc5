//! One run: a scenario, a strategy, a seed.

use crate::cluster::{Cluster, News, Request};
use crate::front::{Activator, Front, Preheat, Service};
use crate::ledger::Outcome;
use crate::random::Random;
use crate::rules::{Always, Hpa, Knative, RayServe};
use crate::scenario::{Scenario, Strategy};
use crate::traffic::nanos;

/// After the last arrival, for so long may requests still be answered.
const RUN_OUT: u64 = 3_600_000_000_000;

/// Simulates. The same arguments give the same outcome, to the bit.
#[must_use]
pub fn run(scenario: &Scenario, strategy: &Strategy, seed: u64) -> Outcome {
    let model = &scenario.replica;
    let begin = scenario.fleet.begin.max(1);
    match strategy {
        Strategy::Preheat(options) => drive(
            scenario,
            strategy,
            seed,
            Preheat::new(scenario, *options, seed),
        ),
        Strategy::Knative(gate) => {
            let rule = Knative::new(model.concurrency, begin);
            drive(scenario, strategy, seed, Activator::new(rule, *gate, seed))
        }
        Strategy::RayServe(gate) => {
            let rule = RayServe::from(begin);
            drive(scenario, strategy, seed, Activator::new(rule, *gate, seed))
        }
        Strategy::Hpa(gate) => {
            let rule = Hpa::from(begin);
            drive(scenario, strategy, seed, Service::new(rule, *gate, seed))
        }
        Strategy::Fixed(count, gate) => {
            let rule = Always(*count);
            drive(scenario, strategy, seed, Service::new(rule, *gate, seed))
        }
    }
}

fn drive(scenario: &Scenario, strategy: &Strategy, seed: u64, mut front: impl Front) -> Outcome {
    let mut cluster = Cluster::new(scenario, front.gate(), front.period(), seed);
    let mut arrivals = scenario.traffic.times(Random::stream(seed, 1)).peekable();
    let ends = nanos(scenario.traffic.lasts());
    let mut number = 0;
    front.begin(&mut cluster);
    loop {
        let arrival = arrivals.peek().copied();
        let event = cluster.next().unwrap_or(u64::MAX);
        if arrival.is_none() {
            let answered = cluster.ledger.outstanding() == 0 && event > ends;
            if answered || event > ends.saturating_add(RUN_OUT) {
                break;
            }
        }
        match arrival {
            Some(at) if at < event => {
                arrivals.next();
                cluster.now = at;
                cluster.ledger.arrived(at);
                let request = Request {
                    number,
                    arrived: at,
                    retried: false,
                    nth: None,
                };
                number += 1;
                front.arrive(request, &mut cluster);
            }
            _ => happen(&mut front, &mut cluster),
        }
    }
    cluster.now = cluster.now.max(ends);
    cluster.close();
    cluster.ledger.close(scenario, strategy.name(), seed)
}

fn happen(front: &mut impl Front, cluster: &mut Cluster<'_>) {
    let Some(news) = cluster.step() else {
        return;
    };
    match news {
        News::Sample => {
            let snapshot = front.snapshot(cluster);
            cluster.ledger.sample(cluster.now, snapshot);
        }
        News::Tick => {
            front.hear(news, cluster);
            let snapshot = front.snapshot(cluster);
            cluster.ledger.stands(snapshot);
        }
        news => front.hear(news, cluster),
    }
}
