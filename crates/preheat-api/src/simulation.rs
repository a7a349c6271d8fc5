//! Scenario files of `preheat simulate`, and what it prints.

mod report;
mod scenario;
mod trace;

pub use report::{
    LingerReport, PlanReport, PointReport, RunReport, SimulationReport, SpareReport, StretchReport,
};
pub use scenario::{
    Auto, Cold, Compare, FailureRates, FleetBounds, GateKind, HoldKind, ProbationKind,
    PromotionKind, Replica, ScenarioFile, ServiceTime, SpareCount, StageSpec, StrategyKind,
    TraceStretch, TrafficPart,
};
pub use trace::{TraceAnswer, TraceHead, TraceLine};

/// The JSON schema of a scenario file.
#[must_use]
pub fn schema() -> serde_json::Value {
    schemars::schema_for!(ScenarioFile).to_value()
}
