//! The scenario file: every key, its type and its default. Unknown keys are errors.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::Slo;
use crate::quantity::{Size, Span};

/// A fleet, its traffic, and the strategies to compare on it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ScenarioFile {
    pub name: String,
    /// What it shows, in a sentence or two.
    pub about: String,
    pub seed: u64,
    pub slo: Slo,
    /// How long a client waits for its answer.
    pub patience: Span,
    pub replica: Replica,
    pub fleet: FleetBounds,
    pub failures: FailureRates,
    /// Parts that follow one another.
    pub traffic: Vec<TrafficPart>,
    pub compare: Vec<Compare>,
    pub trace: TraceStretch,
}

impl Default for ScenarioFile {
    fn default() -> Self {
        ScenarioFile {
            name: String::new(),
            about: String::new(),
            seed: 1,
            slo: Slo::default(),
            patience: Span::secs(120),
            replica: Replica::default(),
            fleet: FleetBounds::default(),
            failures: FailureRates::default(),
            traffic: Vec::new(),
            compare: Vec::new(),
            trace: TraceStretch::default(),
        }
    }
}

/// What `--trace` writes down: from when, and for how long (60 s if left out).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TraceStretch {
    pub from: Span,
    #[serde(rename = "for", skip_serializing_if = "Option::is_none")]
    pub lasts: Option<Span>,
}

impl Default for TraceStretch {
    fn default() -> Self {
        TraceStretch {
            from: Span::secs(0),
            lasts: None,
        }
    }
}

/// One replica: how it starts and what a request costs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Replica {
    /// Requests worked on at once, each by an instance of its own.
    pub concurrency: usize,
    pub service: ServiceTime,
    /// Stages of a start until the model is in memory, one after another.
    pub stage: Vec<StageSpec>,
    /// Warming and proving. Left out: every shape once on every instance, and three rounds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub warm: Option<Span>,
    pub cold: Cold,
    pub memory: Size,
}

impl Default for Replica {
    fn default() -> Self {
        Replica {
            concurrency: 4,
            service: ServiceTime::default(),
            stage: Vec::new(),
            warm: None,
            cold: Cold::default(),
            memory: Size(0),
        }
    }
}

/// A warm request that need not wait: log-normal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ServiceTime {
    pub median: Span,
    /// Left out: 1.39 times the median. Equal to the median: always exactly that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub p95: Option<Span>,
}

impl Default for ServiceTime {
    fn default() -> Self {
        ServiceTime {
            median: Span::millis(80),
            p95: None,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StageSpec {
    pub name: String,
    pub takes: Span,
}

/// What an instance pays for a shape that it has not run yet.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Cold {
    /// Shape classes in the traffic, equally frequent; at most 64.
    pub shapes: usize,
    /// Extra time of the first run of a shape on an instance.
    pub first_run: Span,
    /// Share of the shapes that the warm-up covers.
    pub covered: f64,
}

impl Default for Cold {
    fn default() -> Self {
        Cold {
            shapes: 5,
            first_run: Span::secs(1),
            covered: 1.0,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct FleetBounds {
    pub min: usize,
    pub max: usize,
    /// Warm replicas in rotation when the traffic begins.
    pub begin: usize,
    /// `"auto"` or a number.
    pub spares: SpareCount,
    /// Requests a second that the pool is computed for. Left out: what has been seen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub burst: Option<f64>,
    /// Memory that spares may take in all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spare_memory: Option<Size>,
    pub scale_to_zero: bool,
    /// Without a request for so long: to zero, if that is allowed.
    pub linger: Span,
    /// Replicas that start at the same time.
    pub starting_at_once: usize,
    /// From the decision to a promoted spare's first request.
    pub promotion: Span,
    /// Share of its capacity that a replica is planned to carry.
    pub utilisation: f64,
}

impl Default for FleetBounds {
    fn default() -> Self {
        FleetBounds {
            min: 1,
            max: 6,
            begin: 1,
            spares: SpareCount::default(),
            burst: None,
            spare_memory: None,
            scale_to_zero: false,
            linger: Span::secs(300),
            starting_at_once: 4,
            promotion: Span::millis(2),
            utilisation: 0.7,
        }
    }
}

/// How many spares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum SpareCount {
    Auto(Auto),
    Fixed(usize),
}

impl Default for SpareCount {
    fn default() -> Self {
        SpareCount::Auto(Auto::Auto)
    }
}

/// The word `auto`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Auto {
    Auto,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct FailureRates {
    /// Share of starts that fail.
    pub starts: f64,
    /// Crashes of a warm replica in an hour.
    pub crashes_per_hour: f64,
}

/// A stretch of traffic: exactly one of `rate`, `from` with `to`, `base` with `peak`, and `file`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TrafficPart {
    pub name: String,
    #[serde(rename = "for", skip_serializing_if = "Option::is_none")]
    pub lasts: Option<Span>,
    /// Requests a second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate: Option<f64>,
    /// Evenly from one rate to another.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<f64>,
    /// Bursts: this rate between them, that rate in them, so often and so long.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peak: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub every: Option<Span>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub length: Option<Span>,
    /// Recorded arrivals: seconds from the beginning, one a line.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// Gaps all alike instead of those of many independent users.
    pub even: bool,
}

/// One strategy to run, and for preheat the parts that are switched.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Compare {
    pub strategy: StrategyKind,
    /// When a replica is called ready; `warmed` if left out, `loaded` for `unprotected`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gate: Option<GateKind>,
    /// In place of the fleet's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spares: Option<usize>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub promotion: Option<PromotionKind>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probation: Option<ProbationKind>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold: Option<HoldKind>,
    /// Replicas of `fixed`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replicas: Option<usize>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum StrategyKind {
    Preheat,
    /// The same autoscaler without gate, spares, probation and bounds.
    Unprotected,
    Knative,
    Hpa,
    RayServe,
    /// Always so many replicas.
    Fixed,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum GateKind {
    /// Ready once the model is in memory.
    Loaded,
    /// Ready once it is warm.
    Warmed,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum PromotionKind {
    /// By the request that finds every permit taken.
    Event,
    /// By the fleet loop's next look.
    Tick,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ProbationKind {
    /// Few at a time only for those that have not proven themselves at full concurrency.
    ByProof,
    Always,
    Off,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum HoldKind {
    /// Only who can be answered in time waits.
    Predicted,
    Endless,
}
