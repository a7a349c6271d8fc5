//! Loads a model directory into an engine and its tokenizer, independent stages at the same time,
//! and reports what each stage took. Never fetches anything, and never runs the model.

mod advice;
mod checksum;
mod config;
mod error;
mod files;
mod modules;
mod rows;
mod state;
mod texts;
mod weights;

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::{self, Scope, ScopedJoinHandle};
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

pub use error::LoadError;

pub(crate) use advice::Advice;
pub(crate) use checksum::of_parts;
pub(crate) use config::{Activation, Distances, EncoderConfig, Family, Pooling};
pub(crate) use files::{INDEX, WEIGHTS, parts, weights};
pub(crate) use rows::Rows;
pub(crate) use texts::TextConfig;
pub(crate) use weights::{Tensor, Tensors, WeightsFile};

use crate::bake::Baked;
use crate::engine::Engine;
use crate::native::{Isa, NativeEngine};
use crate::store::Places;
use crate::tokenizer::{self, Tokenizer};
use files::ModelFiles;

/// Most bytes of artefacts where nobody says otherwise.
pub const ARTEFACTS_LIMIT: u64 = 32_000_000_000;

/// What to load and how.
#[derive(Debug, Clone)]
pub struct LoadSpec {
    /// Directory with `config.json`, `tokenizer.json` and weights.
    pub dir: PathBuf,
    pub dtype: Dtype,
    /// Threads that compute one batch, the caller's included.
    pub threads: NonZeroUsize,
    /// Keeps the other compute threads off the CPU of the one that runs a batch. Right for a
    /// replica that has its CPUs to itself, harmful where several share them.
    pub pin: bool,
    /// Lowers the model's own limit; never raises it.
    pub max_tokens: Option<usize>,
    /// Where packed weights and compiled tokenizers are kept between starts and shared between
    /// processes.
    pub artefacts: Option<PathBuf>,
    /// Most bytes there. What was used longest ago goes first, and nothing that is in use.
    pub artefacts_limit: u64,
    /// Of the weights file, in hexadecimal; of several, what [`source::weights_sha256`] makes of theirs.
    ///
    /// [`source::weights_sha256`]: crate::source::weights_sha256
    pub expected_sha256: Option<String>,
    /// Believes the digests of a baked directory. Wrong where a person has named the digest: then
    /// the file is read.
    pub trust_baked: bool,
    /// Forces an instruction set; otherwise the best one this CPU has.
    pub isa: Option<Isa>,
}

impl LoadSpec {
    /// One thread, f32, nothing cached, nothing checked.
    #[must_use]
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        LoadSpec {
            dir: dir.into(),
            dtype: Dtype::F32,
            threads: NonZeroUsize::MIN,
            pin: false,
            max_tokens: None,
            artefacts: None,
            artefacts_limit: ARTEFACTS_LIMIT,
            expected_sha256: None,
            trust_baked: true,
            isa: None,
        }
    }
}

/// What weights are held and multiplied in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Dtype {
    /// The reference.
    #[default]
    F32,
    /// Weights and what they are multiplied with are rounded to 8 bits of precision, sums are not.
    /// Half the memory, and twice the speed where the CPU multiplies such numbers. The last bits of
    /// answers differ between CPUs that do and that do not.
    Bf16,
    /// Weights are whole numbers of 8 bits, scaled for each output; what they are multiplied with is
    /// brought to 8 bits row by row while computing. A quarter of the memory. For those who have
    /// compared answers: the rounding shows in the second digit of a cosine.
    Int8,
}

impl Dtype {
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Dtype::F32 => "f32",
            Dtype::Bf16 => "bf16",
            Dtype::Int8 => "int8",
        }
    }
}

/// A model that can run, though nothing has run yet.
#[derive(Debug)]
pub struct LoadedModel {
    pub engine: Arc<dyn Engine>,
    pub tokenizer: Arc<Tokenizer>,
    /// In the order in which they started; stages may overlap.
    pub stages: Vec<StageTiming>,
    pub weights: WeightsFacts,
    pub artefact: ArtefactState,
    pub tokenizer_form: TokenizerForm,
}

/// Which of the two ways to token ids runs. Both give the same ids.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TokenizerForm {
    /// The compiled one, mapped.
    Compiled(ArtefactState),
    /// The `tokenizers` crate; and why, where the compiled one was wanted.
    Library { reason: Option<String> },
}

/// Where the packed weights of a loaded model are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ArtefactState {
    /// In memory of this process: no directory was given.
    Off,
    /// In a file that was there already.
    Mapped,
    /// In a file that was written now.
    Built,
    /// In a file that was written now, because the one that was there could not be trusted.
    Rebuilt { reason: String },
    /// In memory of this process: the directory could not be used.
    Unavailable { reason: String },
}

/// One measured part of loading.
#[derive(Debug, Clone)]
pub struct StageTiming {
    pub stage: &'static str,
    pub started: Instant,
    pub took: Duration,
    /// Read or written, where that is what the stage is about.
    pub bytes: Option<u64>,
    /// Of the thread that ran the stage.
    pub cpu: Option<Duration>,
}

/// What is known about the weights file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WeightsFacts {
    /// Of several the first.
    pub path: PathBuf,
    /// Of all of them.
    pub bytes: u64,
    /// Known when it was asked for: for a comparison, or to name an artefact.
    pub sha256: Option<String>,
    /// Whether it was compared with an expected value, and was equal.
    pub checked: bool,
}

/// Loads the model that `spec` describes.
///
/// # Errors
/// The first fault found; a wrong checksum is named before the damage that it explains.
pub fn load(spec: &LoadSpec) -> Result<LoadedModel, LoadError> {
    let ((files, config, adjust), config_stage) = timed("config", || {
        let files = ModelFiles::find(&spec.dir)?;
        let advice = Advice::read(&spec.dir)?;
        let config = EncoderConfig::read(&files, &advice, spec.max_tokens)?;
        Ok((files, config, advice.adjust()))
    })?;
    let baked = Baked::read(&spec.dir).filter(|_| spec.trust_baked);
    let places = Places {
        baked: baked.as_ref(),
        store: spec.artefacts.as_deref(),
        limit: spec.artefacts_limit,
    };
    thread::scope(|scope| {
        let tokenizer = spawn(scope, "tokenizer", || {
            tokenizer::open(&files.tokenizer, adjust, config.max_tokens, places)?
                .prompted(config.prompts.clone())
                .within(config.vocab, &files.tokenizer)
        })?;
        let mut stages = vec![config_stage];
        let mut note = |stage: StageTiming| stages.push(stage);

        let map = |path: &PathBuf| WeightsFile::map(path).map(Arc::new);
        let (weights, stage) = timed("weights", || {
            files.weights.iter().map(map).collect::<Result<Vec<_>, _>>()
        })?;
        let whole = weights.iter().map(|file| file.bytes().len() as u64).sum();
        let bytes = Some(whole);
        note(StageTiming { bytes, ..stage });
        let expected = spec.expected_sha256.as_deref();
        let (sha256, stage) = timed("checksum", || sha256(&weights, places, expected))?;
        if sha256.is_some() {
            note(StageTiming { bytes, ..stage });
        }
        let ((engine, artefact), stage) = timed("engine", || {
            NativeEngine::open(spec, config.clone(), &weights, sha256.as_deref(), places)
        })?;
        note(stage);
        let (opened, stage) = join(tokenizer)?;
        note(stage);

        stages.sort_by_key(|stage| stage.started);
        Ok(LoadedModel {
            engine: Arc::new(engine),
            tokenizer: Arc::new(opened.tokenizer),
            tokenizer_form: opened.form,
            stages,
            weights: WeightsFacts {
                path: files.weights[0].clone(),
                bytes: whole,
                checked: spec.expected_sha256.is_some(),
                sha256,
            },
            artefact,
        })
    })
}

/// The digest of the weights, if anyone needs it, and the right one, if anyone said which.
pub(crate) fn sha256(
    weights: &[Arc<WeightsFile>],
    places: Places<'_>,
    expected: Option<&str>,
) -> Result<Option<String>, LoadError> {
    if places.store.is_none() && places.baked.is_none() && expected.is_none() {
        return Ok(None);
    }
    let found = checksum::found(weights, places.store, places.baked);
    if let Some(expected) = expected {
        checksum::compare(&weights[0], &found, expected)?;
    }
    Ok(Some(found))
}

pub(crate) type Timed<T> = Result<(T, StageTiming), LoadError>;

pub(crate) fn timed<T>(
    stage: &'static str,
    work: impl FnOnce() -> Result<T, LoadError>,
) -> Timed<T> {
    let (started, cpu) = (Instant::now(), thread_cpu());
    let value = work()?;
    let cpu = Some(thread_cpu().saturating_sub(cpu));
    Ok((
        value,
        StageTiming {
            stage,
            started,
            took: started.elapsed(),
            bytes: None,
            cpu,
        },
    ))
}

fn thread_cpu() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::try_from(time).unwrap_or_default()
}

/// A stage on a thread of its own, and its name for when that thread dies.
pub(crate) struct Running<'scope, T> {
    stage: &'static str,
    thread: ScopedJoinHandle<'scope, Timed<T>>,
}

pub(crate) fn spawn<'scope, T: Send + 'scope>(
    scope: &'scope Scope<'scope, '_>,
    stage: &'static str,
    work: impl FnOnce() -> Result<T, LoadError> + Send + 'scope,
) -> Result<Running<'scope, T>, LoadError> {
    let thread = thread::Builder::new()
        .name(format!("load-{stage}"))
        .spawn_scoped(scope, move || timed(stage, work))
        .map_err(|source| LoadError::Thread { stage, source })?;
    Ok(Running { stage, thread })
}

/// A parser that panics on a hostile file has failed to load it; it must not take the process down.
pub(crate) fn join<T>(running: Running<'_, T>) -> Timed<T> {
    running.thread.join().unwrap_or(Err(LoadError::Panicked {
        stage: running.stage,
    }))
}
