//! The `Engine` interface and its backends, one module each, and where models come from.
//! Knows nothing of HTTP servers, phases or proofs.

pub mod engine;
pub mod source;

pub use engine::{Engine, EngineInfo, Instance, Matrix, RunError, TokenBatch};
pub use source::{FetchError, FetchOptions, Fetched, Progress, SourceRef};
