//! Admin bodies: the replica's passport and its events.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::report::ReadinessReport;

/// `GET /v1/replica`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Passport {
    pub id: String,
    pub version: String,
    pub pid: u32,
    pub http: String,
    pub grpc: String,
    pub admin: String,
    /// Milliseconds since process start.
    pub uptime_ms: f64,
    /// When each phase was entered, in milliseconds since process start.
    pub phases: Vec<PhaseChange>,
    /// Number of the newest event; `GET /v1/events` goes on from it.
    pub sequence: u64,
    pub report: ReadinessReport,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PhaseChange {
    pub phase: String,
    pub at_ms: f64,
}

/// One message of `GET /v1/events`; its kind is the SSE event name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Event {
    Phase(PhaseEvent),
    Stage(crate::report::StageReport),
    Case(CaseEvent),
    Check(crate::report::CheckReport),
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PhaseEvent {
    pub phase: String,
    pub stage: String,
    pub at_ms: f64,
    pub detail: String,
}

/// One more round of a case.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CaseEvent {
    pub name: String,
    pub shape: String,
    pub path: String,
    pub round: usize,
    pub ms: f64,
}
