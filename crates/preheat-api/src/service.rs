//! Admin bodies of a gateway: services, their replicas, and why there are so many of them.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::report::{ErrorReport, ReadinessReport};

/// `GET /ready` of a gateway: the report of its best replica, and all of its services.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct GatewayReport {
    #[serde(flatten)]
    pub report: ReadinessReport,
    pub services: Vec<ServiceReport>,
}

/// `GET /v1/services/{service}`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ServiceReport {
    /// What clients call the model.
    pub name: String,
    /// `ready`, `idle` (scaled to zero, and woken by the next request) or `not_ready`.
    pub status: String,
    pub detail: String,
    pub min: usize,
    pub max: usize,
    /// Replicas that are wanted in rotation, and why so many.
    pub wanted: usize,
    pub reason: String,
    /// Proven replicas that are wanted out of rotation.
    pub spares: usize,
    /// Requests that wait for a replica.
    pub held: usize,
    pub held_bytes: u64,
    /// Arrivals a second, as the scaling sees them.
    pub rate_rps: f64,
    /// What one replica carries under the objective, as far as it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub capacity_rps: Option<f64>,
    pub replicas: Vec<ReplicaReport>,
    /// The last start that failed, until one succeeds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<ErrorReport>,
}

/// One replica as its gateway sees it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ReplicaReport {
    pub id: String,
    pub pid: u32,
    pub phase: String,
    pub detail: String,
    /// `active` or `spare`.
    pub role: String,
    /// As in the readiness report: `passed`, `degraded`, `skipped`, …
    pub proof: String,
    /// Whether the gateway sends it requests.
    pub serving: bool,
    pub in_flight: usize,
    pub concurrency: usize,
    /// Answers that it gave.
    pub answered: u64,
    pub uptime_ms: f64,
    /// From its start to its proof.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ready_after_ms: Option<f64>,
    /// Typical time of an answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latency_ms: Option<f64>,
}

/// `POST /v1/services/{service}:scale`: what is left out stays as it is.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ScaleRequest {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spares: Option<usize>,
}

/// One element of `GET /v1/decisions`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Decision {
    pub sequence: u64,
    /// Milliseconds since the gateway started.
    pub at_ms: f64,
    pub service: String,
    /// `start`, `promote`, `demote`, `drain`, `stop`, `scale`, `failed`, …
    pub action: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replica: Option<String>,
    pub reason: String,
    /// The figures behind it.
    pub inputs: BTreeMap<String, f64>,
}
