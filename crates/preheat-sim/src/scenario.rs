//! What is simulated: traffic, the replica, the fleet's bounds, what fails, and who decides.

use std::time::Duration;

use preheat_core::pool::PoolSize;
use preheat_core::{PhaseGroup, Slo};

use crate::random::Random;
use crate::traffic::Traffic;

/// Everything about one run but the seed.
#[derive(Debug, Clone, PartialEq)]
pub struct Scenario {
    pub name: String,
    pub traffic: Traffic,
    pub replica: ReplicaModel,
    pub fleet: FleetModel,
    pub failures: Failures,
    pub slo: Slo,
    /// How long a client waits for its answer.
    pub patience: Duration,
}

/// One replica: how long it takes to come up, and what a request costs it.
#[derive(Debug, Clone, PartialEq)]
pub struct ReplicaModel {
    /// The stages of a start up to loaded, one after another.
    pub stages: Vec<StageTime>,
    /// Warming and proving, which only those do who wait for it. None: every shape once on every
    /// instance and three rounds of each.
    pub warm: Option<Duration>,
    /// Requests worked on at once, each by an instance of its own.
    pub concurrency: usize,
    pub service: Service,
    pub cold: ColdRuns,
    /// Bytes that one replica holds from its start on.
    pub memory: u64,
}

#[derive(Debug, Clone, PartialEq)]
pub struct StageTime {
    pub name: String,
    pub takes: Duration,
    /// The phase that people see meanwhile.
    pub group: PhaseGroup,
}

/// How long a warm request takes when it need not wait: log-normal, as latencies are.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Service {
    pub median: Duration,
    pub p95: Duration,
}

/// What a shape costs an instance that has not run it yet.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ColdRuns {
    /// Shape classes in the traffic, each as frequent as any other. At most 64.
    pub shapes: usize,
    /// On top of the service time, for the first run of a shape on an instance.
    pub first_run: Duration,
    /// Share of shapes that the warm-up covers.
    pub covered: f64,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FleetModel {
    pub min: usize,
    pub max: usize,
    /// Warm replicas in rotation when the traffic begins.
    pub begin: usize,
    pub spares: PoolSize,
    /// The rate that the pool is computed for. None: what has been seen.
    pub burst: Option<f64>,
    /// Bytes that spares may take in all. None: as many as the maximum allows.
    pub spare_memory: Option<u64>,
    /// To zero after so long without a request.
    pub linger: Option<Duration>,
    pub starting_at_once: usize,
    /// Between the decision and a promoted spare's first request.
    pub promotion: Duration,
    /// Share of its capacity that a replica is planned to carry.
    pub utilisation: f64,
}

#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Failures {
    /// Share of starts that fail at the end of their last stage.
    pub starts: f64,
    /// Crashes of a warm replica in an hour.
    pub crashes_per_hour: f64,
}

/// Who decides.
#[derive(Debug, Clone, PartialEq)]
pub enum Strategy {
    /// preheat, whole or with parts switched off.
    Preheat(PreheatOptions),
    /// Knative's pod autoscaler with its defaults: windows of 60 and 6 seconds.
    Knative(Gate),
    /// Kubernetes' horizontal autoscaler on CPU at 70 per cent, behind a plain service.
    Hpa(Gate),
    /// Ray Serve's default autoscaling.
    RayServe(Gate),
    /// So many replicas, always.
    Fixed(usize, Gate),
}

/// When a replica is called ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gate {
    /// Once its last stage is over: the model is in memory, and nothing has run.
    Loaded,
    /// After its warm-up.
    Warmed,
}

/// The parts of preheat that a scenario may switch off, to see what each is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PreheatOptions {
    pub gate: Gate,
    pub promotion: Promotion,
    pub probation: Probation,
    pub hold: Holding,
    /// In place of the fleet's own setting.
    pub spares: Option<PoolSize>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Promotion {
    /// By the request that finds every permit taken.
    Event,
    /// By the fleet loop, at its next look after the rate has risen.
    Tick,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Probation {
    /// A replica that has proven itself at full concurrency gets all its permits, one that has not
    /// is let in by a crack.
    ByProof,
    /// Everybody is let in by a crack.
    Always,
    Off,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holding {
    /// Only who can be answered in time is held.
    Predicted,
    /// Everybody waits for as long as it takes.
    Endless,
}

impl Default for PreheatOptions {
    fn default() -> Self {
        PreheatOptions {
            gate: Gate::Warmed,
            promotion: Promotion::Event,
            probation: Probation::ByProof,
            hold: Holding::Predicted,
            spares: None,
        }
    }
}

impl PreheatOptions {
    /// What there is without preheat's care: the same autoscaler, a replica in rotation as soon as
    /// its model is in memory, no spares, no probation, an endless queue.
    pub const UNPROTECTED: PreheatOptions = PreheatOptions {
        gate: Gate::Loaded,
        promotion: Promotion::Tick,
        probation: Probation::Off,
        hold: Holding::Endless,
        spares: Some(PoolSize::Fixed(0)),
    };

    /// A pool of so many spares as today's systems have it: no request calls them in.
    #[must_use]
    pub const fn hand_set(spares: usize) -> Self {
        PreheatOptions {
            gate: Gate::Warmed,
            promotion: Promotion::Tick,
            probation: Probation::ByProof,
            hold: Holding::Endless,
            spares: Some(PoolSize::Fixed(spares)),
        }
    }
}

impl Default for FleetModel {
    fn default() -> Self {
        FleetModel {
            min: 1,
            max: 6,
            begin: 1,
            spares: PoolSize::Auto,
            burst: None,
            spare_memory: None,
            linger: None,
            starting_at_once: 4,
            promotion: Duration::from_millis(2),
            utilisation: 0.7,
        }
    }
}

impl ReplicaModel {
    /// From start to ready, for this gate.
    #[must_use]
    pub fn start_time(&self, gate: Gate) -> Duration {
        let loaded: Duration = self.stages.iter().map(|stage| stage.takes).sum();
        match gate {
            Gate::Loaded => loaded,
            Gate::Warmed => loaded + self.warm_time(),
        }
    }

    /// Warming and proving.
    #[must_use]
    pub fn warm_time(&self) -> Duration {
        const ROUNDS: u32 = 3;
        let each = self.cold.first_run + self.service.median * ROUNDS;
        let shapes = u32::try_from(self.cold.shapes).unwrap_or(u32::MAX);
        // Instances warm side by side.
        self.warm.unwrap_or_else(|| each.saturating_mul(shapes))
    }

    /// The shapes that the warm-up covers, as a set of bits.
    pub(crate) fn covered(&self) -> u64 {
        let shapes = self.cold.shapes.clamp(1, 64);
        let covered = (shapes as f64 * self.cold.covered.clamp(0.0, 1.0)).round() as u32;
        1u64.checked_shl(covered).map_or(u64::MAX, |bit| bit - 1)
    }
}

impl Service {
    /// Spread as of an 80 ms median with a p95 of 111.
    #[must_use]
    pub fn of(median: Duration) -> Self {
        Service {
            median,
            p95: median.mul_f64(1.39),
        }
    }

    #[must_use]
    pub fn exactly(time: Duration) -> Self {
        Service {
            median: time,
            p95: time,
        }
    }

    #[must_use]
    pub fn mean(&self) -> Duration {
        self.median.mul_f64((self.sigma().powi(2) / 2.0).exp())
    }

    pub(crate) fn draw(&self, random: &mut Random) -> u64 {
        let median = self.median.as_secs_f64() * 1e9;
        let sigma = self.sigma();
        if sigma <= 0.0 {
            return median as u64;
        }
        (median * (sigma * random.normal()).exp()) as u64
    }

    fn sigma(&self) -> f64 {
        let ratio = self.p95.as_secs_f64() / self.median.as_secs_f64().max(1e-9);
        // The 95th percentile of a normal distribution lies at 1.645 deviations.
        ratio.max(1.0).ln() / 1.645
    }
}

impl Strategy {
    /// A short name for tables.
    #[must_use]
    pub fn name(&self) -> String {
        let gate = |gate: &Gate| match gate {
            Gate::Loaded => ", ready when loaded",
            Gate::Warmed => "",
        };
        match self {
            Strategy::Preheat(options) => options.name(),
            Strategy::Knative(g) => format!("Knative{}", gate(g)),
            Strategy::Hpa(g) => format!("Kubernetes HPA{}", gate(g)),
            Strategy::RayServe(g) => format!("Ray Serve{}", gate(g)),
            Strategy::Fixed(1, g) => format!("1 replica{}", gate(g)),
            Strategy::Fixed(count, g) => format!("{count} replicas{}", gate(g)),
        }
    }
}

impl PreheatOptions {
    fn name(&self) -> String {
        if *self == PreheatOptions::UNPROTECTED {
            return "unprotected".to_owned();
        }
        let mut name = "preheat".to_owned();
        if self.gate == Gate::Loaded {
            name += ", ready when loaded";
        }
        if let Some(PoolSize::Fixed(spares)) = self.spares {
            name += &format!(", {spares} spares");
        }
        if self.promotion == Promotion::Tick {
            name += ", promoted at the next tick";
        }
        match self.probation {
            Probation::ByProof => {}
            Probation::Always => name += ", all on probation",
            Probation::Off => name += ", no probation",
        }
        if self.hold == Holding::Endless {
            name += ", endless queue";
        }
        name
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn service_times_have_the_median_and_the_p95_that_were_asked_for() {
        let service = Service {
            median: Duration::from_millis(80),
            p95: Duration::from_millis(111),
        };
        let mut random = Random::stream(1, 1);
        let mut drawn: Vec<_> = (0..20_000).map(|_| service.draw(&mut random)).collect();
        drawn.sort_unstable();
        let near = |at: usize, ms: f64| (drawn[at] as f64 / 1e6 / ms - 1.0).abs() < 0.02;
        assert!(near(10_000, 80.0) && near(19_000, 111.0));
        let mean = drawn.iter().sum::<u64>() as f64 / 20_000.0 / 1e9;
        assert!((mean / service.mean().as_secs_f64() - 1.0).abs() < 0.01);
        let exact = Service::exactly(Duration::from_millis(80));
        assert_eq!(exact.draw(&mut random), 80_000_000);
    }

    #[test]
    fn coverage_is_a_set_of_shapes() {
        let model = |shapes, covered| ReplicaModel {
            stages: vec![],
            warm: None,
            concurrency: 1,
            service: Service::of(Duration::from_millis(10)),
            cold: ColdRuns {
                shapes,
                first_run: Duration::from_secs(1),
                covered,
            },
            memory: 0,
        };
        assert_eq!(model(4, 1.0).covered(), 0b1111);
        assert_eq!(model(4, 0.5).covered(), 0b11);
        assert_eq!(model(64, 1.0).covered(), u64::MAX);
        assert_eq!(model(5, 1.0).warm_time(), Duration::from_millis(5 * 1030));
        assert_eq!(model(5, 1.0).start_time(Gate::Loaded), Duration::ZERO);
    }
}
