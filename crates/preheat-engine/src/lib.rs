//! The `Engine` interface and its backends, one module each, and where models come from.
//! Knows nothing of HTTP servers, phases or proofs.

mod ahead;
pub mod bake;
mod digest;
pub mod engine;
mod file;
pub mod floor;
pub mod load;
mod native;
pub mod onnx;
pub mod picture;
pub mod prepare;
pub mod sim;
pub mod source;
pub mod store;
pub mod tokenizer;

pub use engine::{
    Batch, Element, Engine, EngineInfo, Instance, Matrix, Output, RunError, SECOND, Signature,
    Task, Tensor, TensorError, TensorSpec, TokenBatch,
};
pub use load::{
    ArtefactState, Dtype, LoadError, LoadSpec, LoadedModel, StageTiming, TokenizerForm,
    WeightsFacts, load,
};
pub use native::Isa;
pub use prepare::ModelSpec;
pub use source::{FetchError, FetchOptions, Fetched, Progress, SourceRef};
pub use tokenizer::{Prompts, Special, Token, TokenizeError, Tokenizer, UnknownPrompt};
