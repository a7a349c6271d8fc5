//! Questions before the machines are bought: how many spares, what linger, at what cost.

use std::collections::BTreeMap;
use std::time::Duration;

use preheat_core::pool::PoolSize;

use crate::ledger::Outcome;
use crate::run::run;
use crate::scenario::{PreheatOptions, Scenario, Strategy};

/// What so many spares lead to.
#[derive(Debug, Clone, PartialEq)]
pub struct SparePlan {
    pub spares: PoolSize,
    /// Every part of the traffic keeps the objective, and nobody is refused or failed.
    pub keeps_slo: bool,
    pub outcome: Outcome,
}

/// What so long a linger before scaling to zero leads to.
#[derive(Debug, Clone, PartialEq)]
pub struct LingerPlan {
    /// None: never to zero.
    pub linger: Option<Duration>,
    pub outcome: Outcome,
}

/// Steps at most: a question with hundreds of answers is none.
const CANDIDATES: usize = 12;

/// The computed pool, and pools of sizes from none to all that the maximum leaves room for, the
/// smallest that keeps the objective among them.
#[must_use]
pub fn spares(scenario: &Scenario, seed: u64) -> Vec<SparePlan> {
    let room = scenario
        .fleet
        .max
        .saturating_sub(scenario.fleet.begin.max(1));
    let step = room.div_ceil(CANDIDATES).max(1);
    let try_size = |spares| try_spares(scenario, spares, seed);
    let try_fixed = |count| (count, try_size(PoolSize::Fixed(count)));
    // The last step may be a shorter one.
    let counts = (0..room).step_by(step).chain([room]);
    let mut fixed: BTreeMap<usize, SparePlan> = counts.map(try_fixed).collect();
    let enough = fixed.iter().find(|(_, plan)| plan.keeps_slo);
    if let Some(mut enough) = enough.map(|(count, _)| *count) {
        let below = fixed.range(..enough).next_back();
        let mut too_few = below.map_or(enough, |(count, _)| *count);
        while enough - too_few > 1 {
            let between = too_few + (enough - too_few) / 2;
            let (_, plan) = try_fixed(between);
            match plan.keeps_slo {
                true => enough = between,
                false => too_few = between,
            }
            fixed.insert(between, plan);
        }
    }
    let computed = try_size(PoolSize::Auto);
    std::iter::once(computed)
        .chain(fixed.into_values())
        .collect()
}

fn try_spares(scenario: &Scenario, spares: PoolSize, seed: u64) -> SparePlan {
    let options = PreheatOptions {
        spares: Some(spares),
        ..PreheatOptions::default()
    };
    let outcome = run(scenario, &Strategy::Preheat(options), seed);
    SparePlan {
        spares,
        keeps_slo: keeps(scenario, &outcome),
        outcome,
    }
}

/// Never to zero, and lingers from one cold start up.
#[must_use]
pub fn lingers(scenario: &Scenario, seed: u64) -> Vec<LingerPlan> {
    let minutes = [1, 5, 15, 30].map(|m| Some(Duration::from_secs(60 * m)));
    let try_linger = |linger: Option<Duration>| {
        let mut scenario = scenario.clone();
        scenario.fleet.linger = linger;
        scenario.fleet.min = linger.map_or(scenario.fleet.min.max(1), |_| 0);
        let strategy = Strategy::Preheat(PreheatOptions::default());
        LingerPlan {
            linger,
            outcome: run(&scenario, &strategy, seed),
        }
    };
    std::iter::once(None)
        .chain(minutes)
        .map(try_linger)
        .collect()
}

/// Whether every part of the traffic kept the objective and nobody was turned away.
#[must_use]
pub fn keeps(scenario: &Scenario, outcome: &Outcome) -> bool {
    let may_miss = 1.0 - scenario.slo.percentile;
    outcome.parts.iter().all(|part| {
        let missed = part.over as f64 <= may_miss * part.arrived as f64;
        missed && part.refused == 0 && part.failed == 0
    })
}
