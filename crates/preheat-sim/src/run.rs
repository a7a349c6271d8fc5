//! One run: a scenario, a strategy, a seed.

use std::ops::Range;
use std::time::Duration;

use crate::cluster::{Cluster, News, Request};
use crate::front::{Activator, Front, Preheat, Service};
use crate::ledger::Outcome;
use crate::random::Random;
use crate::record::{Recorder, Recording};
use crate::rules::{Always, Hpa, Knative, RayServe};
use crate::scenario::{Scenario, Strategy};
use crate::traffic::nanos;

/// After the last arrival, for so long may requests still be answered.
const RUN_OUT: u64 = 3_600_000_000_000;

/// Simulates. The same arguments give the same outcome, to the bit.
#[must_use]
pub fn run(scenario: &Scenario, strategy: &Strategy, seed: u64) -> Outcome {
    play(scenario, strategy, seed, Recorder::default()).0
}

/// The same, and what happened in a stretch of it.
#[must_use]
pub fn record(
    scenario: &Scenario,
    strategy: &Strategy,
    seed: u64,
    stretch: &Range<Duration>,
) -> (Outcome, Recording) {
    play(scenario, strategy, seed, Recorder::of(stretch))
}

fn play(
    scenario: &Scenario,
    strategy: &Strategy,
    seed: u64,
    recorder: Recorder,
) -> (Outcome, Recording) {
    let course = Course {
        scenario,
        strategy,
        seed,
        recorder,
    };
    let model = &scenario.replica;
    let begin = scenario.fleet.begin.max(1);
    match strategy {
        Strategy::Preheat(options) => course.drive(Preheat::new(scenario, *options, seed)),
        Strategy::Knative(gate) => {
            let rule = Knative::new(model.concurrency, begin);
            course.drive(Activator::new(rule, *gate, seed))
        }
        Strategy::RayServe(gate) => {
            course.drive(Activator::new(RayServe::from(begin), *gate, seed))
        }
        Strategy::Hpa(gate) => {
            let first = scenario.fleet.begin;
            course.drive(Service::new(Hpa::from(begin), first, *gate, seed))
        }
        Strategy::Fixed(count, gate) => {
            let first = (*count).min(scenario.fleet.max);
            course.drive(Service::new(Always(*count), first, *gate, seed))
        }
    }
}

/// What is driven, whoever decides.
struct Course<'a> {
    scenario: &'a Scenario,
    strategy: &'a Strategy,
    seed: u64,
    recorder: Recorder,
}

impl Course<'_> {
    fn drive(self, mut front: impl Front) -> (Outcome, Recording) {
        let Course {
            scenario,
            strategy,
            seed,
            recorder,
        } = self;
        let mut cluster = Cluster::new(scenario, front.gate(), front.period(), seed);
        cluster.recorder = recorder;
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
                    let request = Request {
                        number,
                        arrived: at,
                        retried: false,
                        nth: None,
                    };
                    number += 1;
                    cluster.arrived(request);
                    front.arrive(request, &mut cluster);
                }
                _ => happen(&mut front, &mut cluster),
            }
        }
        cluster.now = cluster.now.max(ends);
        cluster.close();
        let outcome = cluster.ledger.close(scenario, strategy.name(), seed);
        (outcome, cluster.recorder.close())
    }
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
