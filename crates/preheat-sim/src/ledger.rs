//! What came of it: every request, every replica, and what must never have happened.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::cluster::Request;
use crate::histogram::Histogram;
use crate::scenario::Scenario;
use crate::traffic::nanos;

/// Points of a series: enough for a picture, few enough for a page.
const POINTS: u64 = 300;

/// First requests of a newcomer that are looked at one by one.
const NEWCOMER: usize = 60;

/// Counts while the simulation runs.
#[derive(Debug)]
pub(crate) struct Ledger {
    /// Nanoseconds that one point of the series stands for.
    width: u64,
    slo: u64,
    parts: Vec<u64>,
    totals: Tally,
    by_part: Vec<Tally>,
    points: Vec<PointTally>,
    crashes: u64,
    most_wanted: usize,
    most_replicas: usize,
    most_held: usize,
    lived: u128,
    violations: BTreeMap<&'static str, u64>,
    arrived: u64,
    ended: u64,
    /// Latency of a newcomer's first requests, in the order in which it got them.
    newcomer: Vec<u64>,
}

/// Requests of one stretch, by when they arrived.
#[derive(Debug, Clone, Default)]
struct Tally {
    latency: Histogram,
    arrived: u64,
    over: u64,
    refused: u64,
    failed: u64,
    cold: u64,
    retried: u64,
}

#[derive(Debug, Clone, Default)]
struct PointTally {
    tally: Tally,
    at_end: Snapshot,
}

/// How it stood at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Snapshot {
    pub active: usize,
    pub spare: usize,
    pub starting: usize,
    /// Requests that wait for a permit.
    pub held: usize,
    /// Replicas that the strategy asks for, before the maximum is applied.
    pub wanted: usize,
}

/// Everything that one run led to.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    pub strategy: String,
    pub seed: u64,
    pub whole: Stretch,
    /// The same for each part of the traffic.
    pub parts: Vec<Stretch>,
    pub series: Vec<Point>,
    /// Most replicas asked for at once, and most that there were.
    pub most_wanted: usize,
    pub most_replicas: usize,
    pub most_held: usize,
    pub crashes: u64,
    /// Latencies of the first requests that the first newcomer got, in that order.
    pub newcomer: Vec<Duration>,
    /// From start to stop, all replicas together.
    pub replica_hours: f64,
    /// Memory held over time.
    pub gigabyte_hours: f64,
    /// Requests that were neither answered nor refused when the simulation gave up.
    pub unanswered: u64,
    /// What must never happen, and how often it did. Empty in a sound run.
    pub violations: Vec<(String, u64)>,
}

/// Requests that arrived in one stretch of time.
#[derive(Debug, Clone, PartialEq)]
pub struct Stretch {
    pub name: String,
    pub arrived: u64,
    pub answered: u64,
    pub refused: u64,
    pub failed: u64,
    /// Answered later than the objective's threshold.
    pub over: u64,
    /// Met an instance that had not run their shape.
    pub cold: u64,
    pub retried: u64,
    pub p50: Duration,
    pub p95: Duration,
    pub p99: Duration,
    pub longest: Duration,
    /// All latencies, for other questions.
    pub latency: Histogram,
}

/// One point of the series.
#[derive(Debug, Clone, PartialEq)]
pub struct Point {
    /// End of the stretch that it stands for.
    pub at: Duration,
    /// Arrivals a second.
    pub rate: f64,
    pub p50: Duration,
    pub p95: Duration,
    pub longest: Duration,
    pub refused: u64,
    pub state: Snapshot,
}

impl Ledger {
    pub(crate) fn new(scenario: &Scenario) -> Self {
        let ends = nanos(scenario.traffic.lasts()).max(1);
        // Whole tenths of a second, so that points have readable times.
        let width = ends.div_ceil(POINTS).div_ceil(100_000_000) * 100_000_000;
        Ledger {
            width,
            slo: nanos(scenario.slo.threshold),
            parts: scenario.traffic.begins(),
            totals: Tally::default(),
            by_part: vec![Tally::default(); scenario.traffic.parts.len()],
            points: vec![PointTally::default(); ends.div_ceil(width) as usize],
            crashes: 0,
            most_wanted: 0,
            most_replicas: 0,
            most_held: 0,
            lived: 0,
            violations: BTreeMap::new(),
            arrived: 0,
            ended: 0,
            newcomer: vec![0; NEWCOMER],
        }
    }

    pub(crate) const fn width(&self) -> u64 {
        self.width
    }

    pub(crate) fn arrived(&mut self, at: u64) {
        self.arrived += 1;
        self.each(at, |tally| tally.arrived += 1);
    }

    pub(crate) fn answered(&mut self, request: Request, now: u64) {
        self.ended += 1;
        let took = now - request.arrived;
        let over = u64::from(took > self.slo);
        self.each(request.arrived, |tally| {
            tally.latency.add_nanos(took);
            tally.over += over;
        });
        if let Some(latency) = request
            .nth
            .and_then(|nth| self.newcomer.get_mut(nth as usize))
        {
            *latency = took;
        }
    }

    pub(crate) fn refused(&mut self, request: Request) {
        self.ended += 1;
        self.each(request.arrived, |tally| tally.refused += 1);
    }

    pub(crate) fn failed(&mut self, request: Request) {
        self.ended += 1;
        self.each(request.arrived, |tally| tally.failed += 1);
    }

    pub(crate) fn retried(&mut self, request: Request) {
        self.each(request.arrived, |tally| tally.retried += 1);
    }

    pub(crate) fn met_cold(&mut self, now: u64) {
        self.each(now, |tally| tally.cold += 1);
    }

    pub(crate) fn crashed(&mut self) {
        self.crashes += 1;
    }

    pub(crate) fn lived(&mut self, nanos: u64) {
        self.lived += u128::from(nanos);
    }

    pub(crate) fn violation(&mut self, what: &'static str) {
        *self.violations.entry(what).or_default() += 1;
    }

    /// How it stands at this moment.
    pub(crate) fn stands(&mut self, snapshot: Snapshot) {
        let replicas = snapshot.active + snapshot.spare + snapshot.starting;
        self.most_wanted = self.most_wanted.max(snapshot.wanted);
        self.most_replicas = self.most_replicas.max(replicas);
        self.most_held = self.most_held.max(snapshot.held);
    }

    pub(crate) const fn outstanding(&self) -> u64 {
        self.arrived - self.ended
    }

    /// How it stands at the end of a point.
    pub(crate) fn sample(&mut self, now: u64, snapshot: Snapshot) {
        let at = (now / self.width).saturating_sub(1);
        if let Some(point) = self.points.get_mut(at as usize) {
            point.at_end = snapshot;
        }
    }

    fn each(&mut self, at: u64, count: impl Fn(&mut Tally)) {
        count(&mut self.totals);
        let part = self.parts.partition_point(|begins| *begins <= at);
        if let Some(tally) = self.by_part.get_mut(part.saturating_sub(1)) {
            count(tally);
        }
        if let Some(point) = self.points.get_mut((at / self.width) as usize) {
            count(&mut point.tally);
        }
    }
}

impl Ledger {
    /// What it all came to. Replicas that still live are counted up to `now`.
    pub(crate) fn close(self, scenario: &Scenario, strategy: String, seed: u64) -> Outcome {
        let hours = self.lived as f64 / 3.6e12;
        let unanswered = self.outstanding();
        let mut violations = self.violations;
        let counted = self.totals.latency.count() + self.totals.refused + self.totals.failed;
        if counted + unanswered != self.totals.arrived {
            violations.insert("requests were lost or counted twice", 1);
        }
        let names = scenario.traffic.parts.iter().map(|part| part.name.clone());
        let parts = names
            .zip(self.by_part)
            .map(|(name, tally)| tally.close(name));
        let width = self.width;
        let series = (1..)
            .zip(self.points)
            .map(|(at, point)| point.close(at * width, width));
        Outcome {
            strategy,
            seed,
            parts: parts.collect(),
            series: series.collect(),
            whole: self.totals.close("whole".into()),
            most_wanted: self.most_wanted,
            most_replicas: self.most_replicas,
            most_held: self.most_held,
            crashes: self.crashes,
            newcomer: self
                .newcomer
                .into_iter()
                .take_while(|nanos| *nanos > 0)
                .map(Duration::from_nanos)
                .collect(),
            replica_hours: hours,
            gigabyte_hours: hours * scenario.replica.memory as f64 / 1e9,
            unanswered,
            violations: violations
                .into_iter()
                .map(|(what, times)| (what.to_owned(), times))
                .collect(),
        }
    }
}

impl Tally {
    fn close(self, name: String) -> Stretch {
        let latency = self.latency;
        Stretch {
            name,
            arrived: self.arrived,
            answered: latency.count(),
            refused: self.refused,
            failed: self.failed,
            over: self.over,
            cold: self.cold,
            retried: self.retried,
            p50: latency.percentile(0.5),
            p95: latency.percentile(0.95),
            p99: latency.percentile(0.99),
            longest: latency.longest(),
            latency,
        }
    }
}

impl PointTally {
    fn close(self, at: u64, width: u64) -> Point {
        let latency = self.tally.latency;
        Point {
            at: Duration::from_nanos(at),
            rate: self.tally.arrived as f64 / (width as f64 / 1e9),
            p50: latency.percentile(0.5),
            p95: latency.percentile(0.95),
            longest: latency.longest(),
            refused: self.tally.refused,
            state: self.at_end,
        }
    }
}
