//! From what was simulated to what is printed.

use std::time::Duration;

use preheat_api::simulation::{
    LingerReport, PlanReport, PointReport, RunReport, SpareReport, StretchReport,
};
use preheat_core::pool::PoolSize;
use preheat_sim::plan::{LingerPlan, SparePlan};
use preheat_sim::{Outcome, Point, Stretch};

pub fn run(outcome: &Outcome) -> RunReport {
    RunReport {
        strategy: outcome.strategy.clone(),
        whole: stretch(&outcome.whole),
        parts: outcome.parts.iter().map(stretch).collect(),
        most_wanted: outcome.most_wanted,
        most_replicas: outcome.most_replicas,
        most_held: outcome.most_held,
        crashes: outcome.crashes,
        replica_hours: rounded(outcome.replica_hours, 1e4),
        gigabyte_hours: rounded(outcome.gigabyte_hours, 1e2),
        unanswered: outcome.unanswered,
        newcomer_ms: outcome.newcomer.iter().map(|took| ms(*took)).collect(),
        series: outcome.series.iter().map(point).collect(),
        violations: outcome
            .violations
            .iter()
            .map(|(what, times)| format!("{what} ({times} times)"))
            .collect(),
    }
}

pub fn plan(spares: &[SparePlan], lingers: &[LingerPlan]) -> PlanReport {
    let fixed = |plan: &SparePlan| match plan.spares {
        PoolSize::Fixed(count) => Some(count),
        PoolSize::Auto => None,
    };
    PlanReport {
        fewest_spares: spares
            .iter()
            .filter(|p| p.keeps_slo)
            .filter_map(fixed)
            .min(),
        spares: spares
            .iter()
            .map(|plan| {
                let worst = |of: fn(&Stretch) -> Duration| {
                    ms(plan.outcome.parts.iter().map(of).max().unwrap_or_default())
                };
                SpareReport {
                    spares: fixed(plan),
                    keeps_slo: plan.keeps_slo,
                    p95_ms: worst(|part| part.p95),
                    p99_ms: worst(|part| part.p99),
                    over_slo: plan.outcome.whole.over,
                    refused: plan.outcome.whole.refused + plan.outcome.whole.failed,
                    replica_hours: rounded(plan.outcome.replica_hours, 1e4),
                    gigabyte_hours: rounded(plan.outcome.gigabyte_hours, 1e2),
                }
            })
            .collect(),
        lingers: lingers.iter().map(linger).collect(),
    }
}

fn linger(plan: &LingerPlan) -> LingerReport {
    let whole = &plan.outcome.whole;
    LingerReport {
        linger_seconds: plan.linger.map(|linger| linger.as_secs_f64()),
        over_slo: whole.over,
        over_share: rounded(whole.over as f64 / whole.arrived.max(1) as f64, 1e5),
        refused: whole.refused + whole.failed,
        p50_ms: ms(whole.p50),
        longest_ms: ms(whole.longest),
        replica_hours: rounded(plan.outcome.replica_hours, 1e4),
        gigabyte_hours: rounded(plan.outcome.gigabyte_hours, 1e2),
    }
}

fn stretch(stretch: &Stretch) -> StretchReport {
    StretchReport {
        name: stretch.name.clone(),
        arrived: stretch.arrived,
        answered: stretch.answered,
        refused: stretch.refused,
        failed: stretch.failed,
        over_slo: stretch.over,
        cold: stretch.cold,
        retried: stretch.retried,
        p50_ms: ms(stretch.p50),
        p95_ms: ms(stretch.p95),
        p99_ms: ms(stretch.p99),
        longest_ms: ms(stretch.longest),
    }
}

fn point(point: &Point) -> PointReport {
    PointReport {
        at_seconds: rounded(point.at.as_secs_f64(), 1e1),
        rate: rounded(point.rate, 1e2),
        p50_ms: ms(point.p50),
        p95_ms: ms(point.p95),
        longest_ms: ms(point.longest),
        refused: point.refused,
        active: point.state.active,
        spare: point.state.spare,
        starting: point.state.starting,
        held: point.state.held,
        wanted: point.state.wanted,
    }
}

/// Milliseconds to a tenth: the simulation's percentiles are no finer.
pub fn ms(time: Duration) -> f64 {
    rounded(time.as_secs_f64() * 1e3, 1e1)
}

fn rounded(value: f64, to: f64) -> f64 {
    (value * to).round() / to
}
