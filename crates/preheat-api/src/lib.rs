//! Every serialised shape of preheat: request and answer bodies, the readiness report, the
//! configuration file, and the names of metrics, headers and environment variables.
//!
//! Only this crate derives `Serialize` and `Deserialize`. Core types are converted by hand at the
//! edge, so that neither side can change the other by accident.

pub mod classify;
pub mod config;
pub mod costs;
pub mod embed;
pub mod exchange;
pub mod floor;
pub mod grpc;
pub mod metrics;
pub mod oip;
pub mod openai;
pub mod openapi;
pub mod probe;
pub mod problem;
pub mod quantity;
pub mod record;
pub mod replica;
pub mod report;
pub mod service;
pub mod settings;
pub mod simulation;
pub mod state;
pub mod tei;

pub use config::Config;
pub use report::ReadinessReport;

/// Headers that are ours, and those that we answer with by agreement.
pub mod headers {
    /// `proven`, `degraded` or `skipped`: how warm the replica that answered is known to be.
    pub const WARM: &str = "preheat-warm";
    /// Marks a request of the warm-up itself. Worth something only with the process's own secret.
    pub const SYNTHETIC: &str = "preheat-synthetic";
    /// Which replica of a fleet answered.
    pub const REPLICA: &str = "preheat-replica";
    /// On a refusal of our own, with its code: the request did not reach the model.
    pub const REFUSED: &str = "preheat-refused";
    /// On an answer of our own: the wrapped server was lost while it worked on the request.
    pub const LOST: &str = "preheat-lost";
    pub const REQUEST_ID: &str = "x-request-id";
    pub const SERVER_TIMING: &str = "server-timing";
    pub const RETRY_AFTER_MS: &str = "retry-after-ms";
    /// Length of the JSON part of an inference body with the binary extension.
    pub const INFER_JSON_LENGTH: &str = "inference-header-content-length";
}
