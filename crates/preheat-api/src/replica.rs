//! Admin bodies: the replica's passport and its events.

use std::collections::BTreeMap;

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
    /// This start of the process; events of another one are not continued.
    pub epoch: String,
    /// Number of the newest event; `GET /v1/events` goes on from it.
    pub sequence: u64,
    pub objectives: Objectives,
    pub report: ReadinessReport,
}

/// What is drawn as a line beside what is measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Objectives {
    pub slo_p95_ms: f64,
    /// Share of the memory limit that must stay free.
    pub headroom: f64,
    /// Requests worked on at once, and those that may wait beyond.
    pub concurrency: usize,
    pub queue: usize,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PhaseChange {
    pub phase: String,
    pub at_ms: f64,
}

/// `POST /v1/load`: planned requests through the replica's own front door, at a rate.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LoadRequest {
    /// Requests a second.
    pub rate: f64,
    /// At once at most; what is due beyond waits.
    pub concurrency: usize,
    pub seconds: f64,
}

/// What the load showed. Its requests are nobody's and are not counted as requests.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LoadReport {
    pub requests: u64,
    /// Without an answer, or with a wrong one.
    pub errors: u64,
    /// The first of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Answers a second.
    pub rate: f64,
    /// A thousand latencies at most, evenly taken from all of them, the shortest first.
    pub latencies_ms: Vec<f64>,
}

/// One message of `GET /v1/events`; its kind is the SSE event name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Event {
    Phase(PhaseEvent),
    Stage(crate::report::StageReport),
    Case(CaseEvent),
    Check(crate::report::CheckReport),
    Decision(DecisionEvent),
    Requests(RequestsEvent),
    Gauges(GaugesEvent),
}

impl Event {
    /// Kinds that tell the life of a replica: numbered, remembered, sent to everyone.
    pub const LIFE: [&'static str; 5] = ["phase", "stage", "case", "check", "decision"];
    /// Kinds that come many times a second: sent to those who ask for them with `kinds=`.
    pub const TRAFFIC: [&'static str; 2] = ["requests", "gauges"];

    /// The SSE event name.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Event::Phase(_) => "phase",
            Event::Stage(_) => "stage",
            Event::Case(_) => "case",
            Event::Check(_) => "check",
            Event::Decision(_) => "decision",
            Event::Requests(_) => "requests",
            Event::Gauges(_) => "gauges",
        }
    }
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
    /// When it ended.
    #[serde(default)]
    pub at_ms: f64,
}

/// What the replica decided about itself while it served, and why.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DecisionEvent {
    pub at_ms: f64,
    /// `keep_warm`, `rewarm` or `cover`; with `advise_` before it where it was not done.
    pub action: String,
    pub reason: String,
    /// The figures behind it; times in milliseconds.
    pub inputs: BTreeMap<String, f64>,
    /// Reason and figures as one sentence.
    pub detail: String,
}

/// Users' requests since the last message: each one that was answered, and who waits now.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RequestsEvent {
    pub at_ms: f64,
    pub answered: Vec<Answered>,
    /// Of those that are not listed: answered in time, and over the objective or refused.
    pub left_out: LeftOut,
    /// The oldest that are being worked on or wait, by arrival.
    pub open: Vec<Open>,
    /// All that are open.
    pub open_total: usize,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LeftOut {
    pub in_time: usize,
    pub breaches: usize,
    /// Gone before this reader came for them.
    pub missed: u64,
}

/// `[number, arrival in ms, latency in ms, outcome]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Answered(pub u64, pub f64, pub f64, pub Outcome);

/// `[number, arrival in ms]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Open(pub u64, pub f64);

/// How a request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    Ok,
    /// Turned away: not ready, draining, full, over the rate, no key.
    Refused,
    /// The client's fault.
    Bad,
    /// The replica's fault.
    Failed,
    /// The client left before its answer.
    Gone,
}

/// How the replica stands, four times a second.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct GaugesEvent {
    pub at_ms: f64,
    /// Users' requests inside, and rows that wait for a batch.
    pub open: usize,
    pub queued_rows: usize,
    pub resident_bytes: u64,
    pub peak_bytes: u64,
    /// Totals since the start.
    pub served: u64,
    pub refused: u64,
    pub failed: u64,
    pub cold: u64,
    pub batches: u64,
    pub rows: u64,
}
