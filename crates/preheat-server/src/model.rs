//! A model as this replica holds it: fetched, loaded, with its instances and its batcher.
//!
//! | to change | look in |
//! |---|---|
//! | how files and libraries come here | `fetch.rs` |
//! | what engines are told | `spec.rs` |
//! | loading by each engine | `load.rs`, `sim.rs`; what the log says of it: `said.rs` |
//! | instances, batching, images | `start.rs`, `buckets.rs`, `images.rs` |

mod buckets;
mod fetch;
mod images;
mod load;
mod said;
mod sim;
mod spec;
mod start;

use std::sync::Arc;

use preheat_core::ModelLimits;
use preheat_core::shape::Buckets;
use preheat_engine::picture::Pictures;
use preheat_engine::{Engine, EngineInfo, Tokenizer};

use crate::batcher::{Batcher, Coverage};
use crate::instances::Instances;

pub use fetch::{Brought, fetch, onnx_library};
pub use load::load;
pub use spec::{load_spec, model_spec};

/// Everything that a request needs of a loaded model. Clones share it.
#[derive(Debug, Clone)]
pub struct Loaded {
    pub info: Arc<EngineInfo>,
    pub engine: Arc<dyn Engine>,
    /// Of models that take texts.
    pub tokenizer: Option<Arc<Tokenizer>>,
    /// Of models that take images.
    pub pictures: Option<Arc<ImageWay>>,
    pub instances: Instances,
    pub batcher: Batcher,
    pub coverage: Coverage,
    pub buckets: Buckets,
    pub limits: ModelLimits,
    /// Whether the checksum of the weights was compared; none: nobody said what it should be.
    pub checksum_ok: Option<bool>,
}

/// How an image becomes numbers, and the model's numbers an answer.
#[derive(Debug)]
pub struct ImageWay {
    pub reader: Pictures,
    pub softmax: bool,
}
