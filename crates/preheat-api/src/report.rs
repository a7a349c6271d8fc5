//! The readiness report: the same one in `/ready`, `preheat status`, `preheat warm` and the log.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Whole report. The keys of the simple form stand at the top.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ReadinessReport {
    /// `ready` or `not_ready`.
    pub status: String,
    /// One sentence: what is going on, or what is wrong and what to do.
    pub detail: String,
    pub model: String,
    /// Time that warming and proving took, or has taken so far.
    pub warmup_seconds: f64,
    /// The group that people know: cold, loading, warming, warm, draining, failed.
    pub stage: String,
    pub phase: String,
    /// Until ready, as far as it can be told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub eta_ms: Option<u64>,
    pub models: Vec<ModelReport>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ModelReport {
    pub name: String,
    pub phase: String,
    pub engine: Option<EngineReport>,
    pub instances: usize,
    /// Where it came from; left out for callers without credentials where keys are required.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    pub revision: Option<String>,
    pub waterfall: Vec<StageReport>,
    pub cases: Vec<CaseReport>,
    /// What was changed in the plan to make it fit.
    pub notes: Vec<String>,
    pub checks: Vec<CheckReport>,
    pub proof: ProofReport,
    pub memory: MemoryReport,
    /// Once ready, on a machine whose limits were measured with `preheat floor`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub floor: Option<FloorReport>,
    pub error: Option<ErrorReport>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct EngineReport {
    pub name: String,
    pub dtype: String,
    pub dim: usize,
    pub max_tokens: usize,
    /// Declared times instead of a computation.
    pub simulated: bool,
    /// How far reduced precision is off, as it was measured on this machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accuracy: Option<String>,
}

/// The stage that comes after the start: the first user's request, whenever it comes.
pub const FIRST_REQUEST: &str = "first_request";

impl ModelReport {
    /// When the start was over, in milliseconds from the process's begin, if it is.
    #[must_use]
    pub fn started_ms(&self) -> Option<f64> {
        let stages = self
            .waterfall
            .iter()
            .filter(|one| one.stage != FIRST_REQUEST);
        let ends = stages.map(|one| one.start_ms + one.ms);
        let ends = ends.filter(|end| end.is_finite() && *end > 0.0);
        ends.reduce(f64::max).filter(|_| self.phase == "ready")
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StageReport {
    pub stage: String,
    pub start_ms: f64,
    pub ms: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_ms: Option<f64>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CaseReport {
    pub name: String,
    /// Rows × tokens class.
    pub shape: String,
    /// `engine`, `http` or `grpc`.
    pub path: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instance: Option<usize>,
    /// Number of rounds, and each of them.
    pub rounds: usize,
    pub rounds_ms: Vec<f64>,
    pub first_ms: f64,
    pub steady_ms: f64,
    /// First ÷ steady.
    pub ratio: f64,
    pub settled: bool,
    pub output: OutputReport,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct OutputReport {
    pub shape: [usize; 2],
    pub finite: bool,
    pub ok: bool,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CheckReport {
    pub id: String,
    pub what: String,
    pub ok: bool,
    pub value: String,
    pub limit: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ProofReport {
    /// `pending`, `passed`, `failed`, `skipped` or `degraded`.
    pub status: String,
    /// The first request on a fresh connection after warm-up, synthetic.
    pub first_request_ms: Option<f64>,
    pub steady_ms: Option<f64>,
    /// Requests a second under the objective, where a synthetic load has measured it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capacity_rps: Option<f64>,
    /// What the first users would have paid on top. 0 when that is the truth.
    pub saved_ms: f64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct MemoryReport {
    /// Resident now.
    pub resident_bytes: u64,
    pub peak_bytes: u64,
    pub limit_bytes: u64,
    /// Share of the limit that the peak left free.
    pub headroom: f64,
}

/// How near the start came to what this machine allows: process start, mapping the weights, and one
/// run of each planned case on each instance.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct FloorReport {
    pub process_ms: f64,
    pub map_ms: f64,
    pub runs_ms: f64,
    /// All of them.
    pub ms: f64,
    /// From process start to ready, and how many times the floor that is.
    pub ready_ms: f64,
    pub ratio: f64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ErrorReport {
    pub stage: String,
    pub cause: String,
    pub remedy: String,
    pub exit_code: u8,
    /// The start will be tried again by itself: waiting is not in vain.
    #[serde(default)]
    pub retry: bool,
}
