//! What a gateway writes down so that the next one can go on: read by nobody else, and by no other
//! version of this program.

use serde::{Deserialize, Serialize};

use crate::config::Config;

/// One service, beside the folders of its replicas.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServiceState {
    pub name: String,
    /// The revision that the gateway's own configuration asked for.
    pub base: String,
    /// What serves.
    pub serving: Config,
    /// Replicas that were wanted in rotation and out of it.
    pub wanted: usize,
    pub spares: usize,
    /// As they were set last.
    pub min: usize,
    pub max: usize,
    pub fixed_spares: Option<usize>,
    /// What the gateway's own configuration said of them. One that says otherwise now is the last word.
    #[serde(default)]
    pub configured: Option<BoundsState>,
    pub rollout: Option<RolloutState>,
}

/// How many replicas there may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BoundsState {
    pub min: usize,
    pub max: usize,
    pub fixed_spares: Option<usize>,
}

/// A rollout under way.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RolloutState {
    pub from: Config,
    pub to: Config,
    pub size: usize,
    pub reserve: usize,
    pub stage: String,
    /// Why it is in that stage.
    pub reason: String,
    pub allow_other_shape: bool,
    pub blue_p95_ms: f64,
    #[serde(default)]
    pub blue_declined: Option<f64>,
    /// Whether users have met green; a way back is told by it.
    #[serde(default)]
    pub had_served: bool,
}

/// One replica, in its folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReplicaState {
    pub pid: u32,
    /// When its process began, as the system counts.
    pub began: Option<u64>,
    pub revision: String,
}
