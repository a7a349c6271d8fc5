//! Admin bodies of a gateway: services, their replicas, and why there are so many of them.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::Config;
use crate::report::{CheckReport, ErrorReport, ReadinessReport};

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
    /// The revision that serves.
    #[serde(default)]
    pub revision: String,
    pub replicas: Vec<ReplicaReport>,
    /// The rollout that is under way, or the last one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollout: Option<RolloutReport>,
    /// The last start that failed, until one succeeds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<ErrorReport>,
}

/// One replica as its gateway sees it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ReplicaReport {
    pub id: String,
    pub pid: u32,
    #[serde(default)]
    pub revision: String,
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

/// `POST /v1/services/{service}:rollout`: what the service is to serve from now on. Exactly one of
/// `source` and `config`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RolloutRequest {
    /// Another model, as in `model.source`; everything else stays as it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// A whole configuration. Its model of the service's name is taken, or its only one, and what
    /// concerns a replica; addresses, keys and `[fleet]` stay the gateway's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub config: Option<Box<Config>>,
    /// Whether answers may have another size than before.
    pub allow_other_shape: bool,
}

/// How a rollout stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RolloutReport {
    /// Revisions, and what they are made from.
    pub from: String,
    pub from_source: String,
    pub to: String,
    pub to_source: String,
    /// `proving`, `loading`, `switching`, `watching`, `keeping`, `returning`, `discarding`; at the
    /// end `promoted`, `rolled_back` or `refused`.
    pub stage: String,
    /// One sentence: what is going on, or why it ended so.
    pub detail: String,
    /// Replicas that the new revision needs, and those of it that are proven.
    pub size: usize,
    pub proven: usize,
    /// Time in this stage, and how long it takes at most where that is known.
    pub stage_ms: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit_ms: Option<f64>,
    /// What the set was shown to carry, or how it serves users.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seen: Option<SeenReport>,
    pub limits: RolloutLimits,
}

/// What the new revision has to stay under.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RolloutLimits {
    /// Of p95: the objective, and not worse than the old revision's by this factor, or this much.
    pub slo_p95_ms: f64,
    pub max_ratio: f64,
    pub slack_ms: f64,
    /// Share of users' requests that may fail. Under synthetic load none may.
    pub max_errors: f64,
}

/// Requests to one revision, beside the other's p95.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SeenReport {
    pub requests: u64,
    pub errors: u64,
    pub p95_ms: f64,
    pub blue_p95_ms: f64,
}

/// `POST /v1/verify`. Other fields are ignored: rollout tools send their own.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct VerifyRequest {
    /// Left out: all services.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
}

/// Its answer: 200 when everything holds, 409 when something does not.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct VerifyReport {
    pub ok: bool,
    pub services: Vec<VerifiedService>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct VerifiedService {
    pub name: String,
    pub ok: bool,
    pub checks: Vec<CheckReport>,
}

/// One message of `GET /v1/events` of a gateway; its kind is the SSE event name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum FleetEvent {
    Service(Box<ServiceReport>),
    Decisions(Vec<Decision>),
}

impl FleetEvent {
    /// The SSE event name.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            FleetEvent::Service(_) => "service",
            FleetEvent::Decisions(_) => "decisions",
        }
    }
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
    /// The figures behind it; times in milliseconds.
    pub inputs: BTreeMap<String, f64>,
    /// Reason and figures as one sentence.
    #[serde(default)]
    pub detail: String,
}
