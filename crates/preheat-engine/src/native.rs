//! The native engine: encoders of the BERT family on the CPU, without any runtime underneath.
//!
//! Sequences are laid one after the other without padding, and every number of an answer is summed
//! in an order that depends on its own sequence alone: a sequence gets the same bits whatever
//! shares its batch. Never fetches, never reads configuration, never tokenises.
//!
//! | to change | look in |
//! |---|---|
//! | what a forward pass does, in order | `forward.rs` |
//! | one step of it | `ops/`: `embed`, `linear`, `attention`, `norm`, `round`, `pooling` |
//! | the innermost product | `tile.rs` |
//! | functions of single numbers (exp, GELU) | `math.rs` |
//! | what a CPU can do | `isa.rs` (the choice), `simd.rs` (the vocabulary), `isa/` (one file for each) |
//! | where a weight lies in memory | `layout.rs`; how it gets there: `model.rs`, `pack.rs`, `names.rs` |
//! | what rounding costs, as the report says it | `accuracy.rs` |
//! | which distances are alike (MPNet) | `distances.rs` |
//! | the packed image | `image.rs`; its file on disk: `crate::store` |
//! | how large batches are cut | `group.rs` |
//! | memory of one execution context | `arena.rs` |
//! | its threads | `pool.rs`, and where they run: `pool/placement.rs` |

mod accuracy;
mod arena;
mod distances;
mod forward;
mod group;
mod image;
mod isa;
mod layout;
mod math;
mod memory;
mod model;
mod names;
mod ops;
mod pack;
mod pool;
mod simd;
mod tile;

use std::fmt;
use std::num::NonZeroUsize;
use std::sync::Arc;

pub use isa::Isa;

use crate::engine::{Engine, EngineInfo, Instance, Matrix, RunError, Signature, Task, TokenBatch};
use crate::load::{ArtefactState, Dtype, EncoderConfig, LoadError, LoadSpec, WeightsFile};
use crate::store::{self, Places};
use accuracy::Accuracy;
use arena::Arena;
use forward::Pass;
use group::groups;
use memory::NoMemory;
use model::Model;
use ops::Scratch;
use pool::{PartPanicked, Pool};

/// A loaded encoder.
pub(crate) struct NativeEngine {
    info: EngineInfo,
    model: Arc<Model>,
    threads: NonZeroUsize,
    pin: bool,
}

impl NativeEngine {
    pub(crate) fn open(
        spec: &LoadSpec,
        config: EncoderConfig,
        weights: &[Arc<WeightsFile>],
        sha256: Option<&str>,
        places: Places<'_>,
    ) -> Result<(Self, ArtefactState), LoadError> {
        let info = EngineInfo {
            name: "native-cpu".to_owned(),
            dtype: spec.dtype.name().to_owned(),
            pooling: config.pooling.name().to_owned(),
            dim: config.width(),
            max_tokens: config.max_tokens,
            vocab: config.vocab,
            shape_state: false,
            simulated: false,
            accuracy: None,
            signature: signature(&config),
        };
        check_width(spec, &config)?;
        let (model, artefact) = Model::open(spec, config.clone(), weights, sha256, places)?;
        let (threads, pin) = (spec.threads, spec.pin);
        let mut engine = NativeEngine {
            info,
            model: Arc::new(model),
            threads,
            pin,
        };
        if let Some(store) = places.store.filter(|_| spec.dtype != Dtype::F32) {
            let identity = &engine.model.identity;
            engine.info.accuracy = store::noted(store, identity).or_else(|| {
                let accuracy = engine.accuracy(spec, config, weights)?;
                store::note(store, identity, &accuracy);
                Some(accuracy)
            });
        }
        Ok((engine, artefact))
    }

    /// Against the same model in f32, made for this and thrown away. None where that does not fit.
    fn accuracy(
        &self,
        spec: &LoadSpec,
        config: EncoderConfig,
        weights: &[Arc<WeightsFile>],
    ) -> Option<String> {
        let spec = LoadSpec {
            dtype: Dtype::F32,
            ..spec.clone()
        };
        let exact = NativeEngine::open(&spec, config, weights, None, Places::default());
        let accuracy = Accuracy::of(self, &exact.ok()?.0).ok()?;
        Some(accuracy.to_string())
    }
}

/// Sums of products of bytes are held in 32 bits.
fn check_width(spec: &LoadSpec, config: &EncoderConfig) -> Result<(), LoadError> {
    const WIDEST: usize = i32::MAX as usize / (u8::MAX as usize * i8::MAX as usize);
    let width = config.hidden.max(config.inner);
    if spec.dtype != Dtype::Int8 || width <= WIDEST {
        return Ok(());
    }
    Err(LoadError::Config {
        path: spec.dir.join("config.json"),
        field: "hidden_size".to_owned(),
        problem: format!("and the inner size come to {width}; int8 takes {WIDEST} at most"),
    })
}

fn signature(config: &EncoderConfig) -> Signature {
    match &config.head {
        None => Signature {
            normalized: config.normalize,
            ..Signature::default()
        },
        Some(head) => Signature {
            task: Task::Classify,
            labels: head.labels.clone(),
            ..Signature::default()
        },
    }
}

impl Engine for NativeEngine {
    fn info(&self) -> &EngineInfo {
        &self.info
    }

    fn instance(&self) -> Result<Box<dyn Instance>, RunError> {
        let (config, kernels) = (&self.model.config, self.model.kernels);
        let scratch = || Scratch::new(config, kernels.panel);
        let arena = Arena::new(config, self.model.dtype)?;
        let others = (1..self.threads.get())
            .map(|_| scratch())
            .collect::<Result<_, _>>()?;
        let pool = Pool::start(kernels, scratch()?, others, self.pin).map_err(|error| {
            RunError::Engine(format!("a compute thread cannot be started: {error}"))
        })?;
        Ok(Box::new(NativeInstance {
            model: Arc::clone(&self.model),
            arena,
            pool,
        }))
    }
}

impl fmt::Debug for NativeEngine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NativeEngine")
            .field("info", &self.info)
            .field("isa", &self.model.kernels.isa)
            .finish_non_exhaustive()
    }
}

/// Scratch memory of a fixed size over the shared model. A batch of any size runs in it: it is cut
/// into groups of whole sequences, which changes no answer.
struct NativeInstance {
    model: Arc<Model>,
    arena: Arena,
    pool: Pool,
}

impl Instance for NativeInstance {
    fn run_while(
        &mut self,
        batch: &TokenBatch,
        is_wanted: &dyn Fn() -> bool,
    ) -> Result<Matrix, RunError> {
        let config = &self.model.config;
        batch.check(config.vocab, config.max_tokens)?;
        let (rows, cols) = (batch.rows(), config.width());
        let mut data = Vec::new();
        data.try_reserve_exact(rows * cols)
            .map_err(|_| RunError::OutOfMemory(format!("an answer of {rows} × {cols}")))?;
        data.resize(rows * cols, 0.0);

        let mut rest = &mut data[..];
        for group in groups(batch, self.arena.tokens()) {
            let (out, behind) = rest.split_at_mut(group.rows() * cols);
            Pass::over(&group, &self.model, &mut self.arena, &mut self.pool).run(out, is_wanted)?;
            rest = behind;
        }
        Ok(Matrix { rows, cols, data })
    }
}

impl From<PartPanicked> for RunError {
    fn from(PartPanicked: PartPanicked) -> Self {
        RunError::Engine("a kernel panicked".to_owned())
    }
}

impl From<NoMemory> for RunError {
    fn from(NoMemory { bytes }: NoMemory) -> Self {
        RunError::OutOfMemory(format!("{bytes} bytes of scratch memory"))
    }
}
