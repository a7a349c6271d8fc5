//! The simulation against a real run: the same load on the same fleet, point by point.

use std::time::Duration;

use crate::ledger::Outcome;

/// One point of a real run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Measured {
    /// End of the stretch that it stands for, from the beginning of the load.
    pub at: Duration,
    pub p95: Duration,
    /// Replicas in rotation at that moment.
    pub active: usize,
}

/// How far the simulation was from it, as shares of what was measured.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Difference {
    /// Points that were compared.
    pub points: usize,
    pub p95_median: f64,
    pub p95_worst: f64,
    /// Mean difference in replicas over mean replicas.
    pub replicas: f64,
}

/// Compares each measured point with the simulated one that covers its time. None: no point of one
/// lies within the other.
#[must_use]
pub fn compare(outcome: &Outcome, measured: &[Measured]) -> Option<Difference> {
    let mut p95s = Vec::new();
    let (mut apart, mut replicas) = (0.0, 0.0);
    for real in measured {
        let at = outcome.series.partition_point(|point| point.at < real.at);
        let Some(point) = outcome.series.get(at) else {
            continue;
        };
        if real.p95 > Duration::ZERO && point.p95 > Duration::ZERO {
            let ratio = point.p95.as_secs_f64() / real.p95.as_secs_f64();
            p95s.push((ratio - 1.0).abs());
        }
        apart += point.state.active.abs_diff(real.active) as f64;
        replicas += real.active as f64;
    }
    p95s.sort_by(f64::total_cmp);
    Some(Difference {
        points: p95s.len(),
        p95_median: *p95s.get(p95s.len() / 2)?,
        p95_worst: *p95s.last()?,
        replicas: apart / replicas.max(1.0),
    })
}
