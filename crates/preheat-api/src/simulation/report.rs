//! What a simulation came to: `preheat simulate --json`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SimulationReport {
    pub name: String,
    pub about: String,
    pub seed: u64,
    pub slo_ms: f64,
    /// From start to loaded, and to warm, as the scenario has it.
    pub load_seconds: f64,
    pub start_seconds: f64,
    pub runs: Vec<RunReport>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plan: Option<PlanReport>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RunReport {
    pub strategy: String,
    pub whole: StretchReport,
    pub parts: Vec<StretchReport>,
    /// Most replicas asked for at once, and most that there were.
    pub most_wanted: usize,
    pub most_replicas: usize,
    pub most_held: usize,
    pub crashes: u64,
    pub replica_hours: f64,
    pub gigabyte_hours: f64,
    pub unanswered: u64,
    /// The first requests of the first replica that became ready meanwhile, in their order.
    pub newcomer_ms: Vec<f64>,
    pub series: Vec<PointReport>,
    /// What must never happen and did. Empty in a sound run.
    pub violations: Vec<String>,
}

/// Requests that arrived in one stretch of time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StretchReport {
    pub name: String,
    pub arrived: u64,
    pub answered: u64,
    pub refused: u64,
    pub failed: u64,
    /// Answered later than the objective's threshold.
    pub over_slo: u64,
    /// Met an instance that had not run their shape.
    pub cold: u64,
    pub retried: u64,
    pub p50_ms: f64,
    pub p95_ms: f64,
    pub p99_ms: f64,
    pub longest_ms: f64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PointReport {
    pub at_seconds: f64,
    /// Arrivals a second.
    pub rate: f64,
    pub p50_ms: f64,
    pub p95_ms: f64,
    pub longest_ms: f64,
    pub refused: u64,
    pub active: usize,
    pub spare: usize,
    pub starting: usize,
    pub held: usize,
    pub wanted: usize,
}

/// Answers of `--plan`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PlanReport {
    pub spares: Vec<SpareReport>,
    /// Fewest spares with which every part keeps the objective and nobody is turned away.
    pub fewest_spares: Option<usize>,
    pub lingers: Vec<LingerReport>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SpareReport {
    /// None: the computed size.
    pub spares: Option<usize>,
    /// Keeps the objective in every part and turns nobody away.
    pub keeps_slo: bool,
    /// The worst part's.
    pub p95_ms: f64,
    pub p99_ms: f64,
    pub over_slo: u64,
    pub refused: u64,
    pub replica_hours: f64,
    pub gigabyte_hours: f64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LingerReport {
    /// None: never to zero.
    pub linger_seconds: Option<f64>,
    pub over_slo: u64,
    pub over_share: f64,
    pub refused: u64,
    pub p50_ms: f64,
    pub longest_ms: f64,
    pub replica_hours: f64,
    pub gigabyte_hours: f64,
}
