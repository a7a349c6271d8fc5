//! One replica: lifecycle driver, warm-up, proof, batcher, HTTP and gRPC front doors.
//!
//! In reading order: what it is told, how it lives, how it warms and proves, how it serves.

pub mod exchange;
pub mod settings;

mod clock;
pub mod human;
pub mod lifecycle;
pub mod replica;

mod board;
mod door;
mod load;
mod model;
mod plan;
mod prove;
mod rehearse;
mod report;
mod sample;
mod warm;
mod wrapped;

mod batcher;
mod instances;
mod prepare;
mod serve_error;
mod service;
mod tensors;

mod admin;
mod grpc;
mod http;
mod ledger;
mod metrics;
mod oip;

pub use board::{Doing, Facts};
pub use model::{load_spec, model_spec, onnx_library};
pub use replica::{LIFECYCLE, Replica, Started, start};
pub use report::summary;
pub use settings::{Settings, SettingsError, Surroundings};

/// The version that reports and metrics show.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
