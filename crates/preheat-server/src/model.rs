//! A model as this replica holds it: fetched, loaded, with its instances and its batcher.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use preheat_api::config::OnnxRuntime;
use preheat_core::batching::BatchLimits;
use preheat_core::shape::Buckets;
use preheat_core::tensor;
use preheat_core::{CaseInput, Failure, FailureKind, ModelLimits, Phase, Span};
use preheat_engine::load::{ArtefactState, LoadSpec, StageTiming, TokenizerForm};
use preheat_engine::onnx::{self, OnnxSpec};
use preheat_engine::picture::Pictures;
use preheat_engine::source::{self, FetchError, FetchOptions, Fetched, Progress, RuntimeBuild};
use preheat_engine::{Engine, EngineInfo, LoadError, RunError, Task, Tokenizer, sim};
use preheat_runtime::Tasks;

use crate::batcher::{Batcher, BatcherConfig, Coverage, Grouping};
use crate::board::{Board, Doing};
use crate::clock::{Clock, millis};
use crate::human;
use crate::instances::Instances;
use crate::metrics::Metrics;
use crate::settings::{EngineSettings, ModelSettings, NativeSettings, OnnxSettings, SimSettings};

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

/// What fetching left here.
#[derive(Debug, Clone)]
pub struct Brought {
    fetched: Fetched,
    /// ONNX Runtime, where the model is to run on it.
    library: Option<PathBuf>,
}

impl Brought {
    fn onnx(&self) -> Option<PathBuf> {
        onnx_file(&self.fetched)
    }
}

/// The ONNX file among a model's files.
fn onnx_file(fetched: &Fetched) -> Option<PathBuf> {
    let mut files = fetched.files.iter();
    let file = files.find(|file| file.name.ends_with(".onnx"))?;
    Some(fetched.dir.join(&file.name))
}

/// Brings the model's files here, and the library that they run on.
///
/// # Errors
/// As a failure of the fetching phase.
pub async fn fetch(
    model: &ModelSettings,
    options: &FetchOptions,
    board: &Arc<Board>,
) -> Result<Brought, Failure> {
    let began = board.clock().now();
    if let EngineSettings::Sim(sim) = &model.engine {
        tokio::time::sleep(sim.declared.fetch.0).await;
        board.set(|facts| facts.source = Some("sim".into()));
        let took = board.clock().now() - began;
        board.span(Span {
            stage: "fetch".into(),
            start: began,
            took,
            bytes: None,
            cpu: None,
        });
        return Ok(Brought {
            fetched: simulated(),
            library: None,
        });
    }
    let progress = BoardProgress {
        board: Arc::clone(board),
    };
    let fetched = source::fetch(&model.source, options, &progress)
        .await
        .map_err(not_fetched)?;
    let took = board.clock().now() - began;
    let bytes = Some(fetched.bytes_fetched).filter(|_| !fetched.cached);
    board.span(Span {
        stage: "fetch".into(),
        start: began,
        took,
        bytes,
        cpu: None,
    });
    log_fetched(&fetched, took);
    board.set(|facts| {
        facts.source = Some(fetched.source.clone());
        facts.revision = Some(fetched.revision.clone());
        facts.doing = None;
    });
    let mut brought = Brought {
        fetched,
        library: None,
    };
    let onnx = match &model.engine {
        EngineSettings::Onnx(onnx) | EngineSettings::Auto { onnx, .. } => Some(onnx),
        _ => None,
    };
    if let Some(onnx) = onnx.filter(|_| brought.onnx().is_some()) {
        brought.library = library(onnx, options, &progress).await?;
        board.set(|facts| facts.doing = None);
    }
    Ok(brought)
}

/// ONNX Runtime's library, or none where Rust is to do.
async fn library(
    onnx: &OnnxSettings,
    options: &FetchOptions,
    progress: &BoardProgress,
) -> Result<Option<PathBuf>, Failure> {
    match (onnx.runtime, &onnx.library) {
        (OnnxRuntime::Rust, _) => return Ok(None),
        (_, Some(path)) => return Ok(Some(path.clone())),
        _ => {}
    }
    let first = onnx.providers.first();
    let build = first.map_or(RuntimeBuild::Cpu, |provider| provider.build());
    match source::onnx_runtime(build, options, progress).await {
        Ok(path) => Ok(Some(path)),
        Err(error) if onnx.runtime == OnnxRuntime::Auto && onnx.providers.is_empty() => {
            let cause = error.chain();
            tracing::warn!(
                event = "onnx_without_library",
                cause,
                "ONNX Runtime is not to be had, so rten computes: {cause}"
            );
            Ok(None)
        }
        Err(error) => Err(not_fetched(error)),
    }
}

fn log_fetched(fetched: &Fetched, took: Duration) {
    let (source, bytes) = (&fetched.source, fetched.bytes_fetched);
    let how = match fetched.cached {
        true => format!("found {source} on this machine"),
        false => format!(
            "fetched {} from {source} in {}",
            human::bytes(bytes),
            human::time(took)
        ),
    };
    let (revision, ms) = (&fetched.revision, millis(took));
    tracing::info!(event = "fetched", source, revision, bytes, ms, "{how}");
}

fn simulated() -> Fetched {
    Fetched {
        dir: std::path::PathBuf::new(),
        revision: "sim".into(),
        source: "sim".into(),
        files: Vec::new(),
        bytes_fetched: 0,
        cached: true,
    }
}

fn not_fetched(error: FetchError) -> Failure {
    Failure::new(
        FailureKind::NotFetched,
        &Phase::Fetching,
        error.chain(),
        error.remedy(),
    )
}

/// Shows on the board how far a download is.
struct BoardProgress {
    board: Arc<Board>,
}

impl Progress for BoardProgress {
    fn file(&self, name: &str, total: Option<u64>) {
        let doing = Doing::Fetching {
            file: name.into(),
            done: 0,
            total,
        };
        self.board.set(|facts| facts.doing = Some(doing));
    }

    fn bytes(&self, so_far: u64) {
        self.board.set(|facts| {
            if let Some(Doing::Fetching { done, .. }) = &mut facts.doing {
                *done = so_far;
            }
        });
    }
}

/// What loading left behind, before anything runs.
pub struct Parts {
    engine: Arc<dyn Engine>,
    tokenizer: Option<Arc<Tokenizer>>,
    checksum_ok: Option<bool>,
}

/// Sets the model up. Blocks for as long as that takes.
///
/// # Errors
/// As a failure of the loading phase.
pub fn load(model: &ModelSettings, brought: &Brought, board: &Board) -> Result<Parts, Failure> {
    let (parts, stages) = match &model.engine {
        EngineSettings::Sim(sim) => load_sim(model, sim)?,
        EngineSettings::Native(native) => load_native(model, brought, native)?,
        EngineSettings::Onnx(onnx) => load_onnx(model, brought, onnx)?,
        EngineSettings::Auto { onnx, .. } if brought.onnx().is_some() => {
            load_onnx(model, brought, onnx)?
        }
        EngineSettings::Auto { onnx, .. } if !onnx.providers.is_empty() => {
            return Err(no_such_device(onnx.providers[0].name()));
        }
        EngineSettings::Auto { native, .. } => load_native(model, brought, native)?,
        EngineSettings::Http(_) => return Err(no_model()),
    };
    let info = parts.engine.info().clone();
    let own = info.signature.task;
    if let Some(task) = model.task.filter(|&task| task != own) {
        return Err(no_such_task(task, own));
    }
    log_loaded(&info, &stages);
    for stage in stages {
        board.span(span(stage, board.clock()));
    }
    board.set(|facts| facts.engine = Some(info));
    Ok(parts)
}

/// How the native engine is to load this model; none for other engines.
#[must_use]
pub fn load_spec(model: &ModelSettings, fetched: &Fetched) -> Option<LoadSpec> {
    match &model.engine {
        EngineSettings::Native(native) => Some(native_spec(model, native, fetched)),
        EngineSettings::Auto { native, .. } if onnx_file(fetched).is_none() => {
            Some(native_spec(model, native, fetched))
        }
        EngineSettings::Auto { .. }
        | EngineSettings::Onnx(_)
        | EngineSettings::Sim(_)
        | EngineSettings::Http(_) => None,
    }
}

fn native_spec(model: &ModelSettings, native: &NativeSettings, fetched: &Fetched) -> LoadSpec {
    let weights = source::weights(fetched);
    LoadSpec {
        dtype: native.dtype,
        threads: model.threads,
        pin: model.pin,
        artefacts: Some(native.artefacts.dir.clone()),
        artefacts_limit: native.artefacts.limit,
        expected_sha256: weights.and_then(|file| expected_sha256(model, fetched, &file.name)),
        // Who names a digest wants the bytes read.
        trust_baked: model.sha256.is_none(),
        ..LoadSpec::new(&fetched.dir)
    }
}

type LoadedParts = (Parts, Vec<StageTiming>);

fn load_native(
    model: &ModelSettings,
    brought: &Brought,
    native: &NativeSettings,
) -> Result<LoadedParts, Failure> {
    let spec = native_spec(model, native, &brought.fetched);
    let loaded = preheat_engine::load::load(&spec).map_err(not_loaded)?;
    log_artefact("packed weights", &loaded.artefact);
    log_tokenizer(&loaded.tokenizer_form);
    let parts = Parts {
        engine: loaded.engine,
        tokenizer: Some(loaded.tokenizer),
        checksum_ok: loaded.weights.checked.then_some(true),
    };
    Ok((parts, loaded.stages))
}

fn load_onnx(
    model: &ModelSettings,
    brought: &Brought,
    onnx: &OnnxSettings,
) -> Result<LoadedParts, Failure> {
    let file = match brought.onnx() {
        Some(file) => file,
        None => onnx::find(&brought.fetched.dir).map_err(not_loaded)?,
    };
    let name = file
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    let spec = OnnxSpec {
        file,
        threads: model.threads,
        library: brought.library.clone(),
        providers: onnx.providers.clone(),
        expected_sha256: expected_sha256(model, &brought.fetched, &name),
        task: model.task,
        labels: model.labels.clone(),
        artefacts: Some(onnx.artefacts.dir.clone()),
        artefacts_limit: onnx.artefacts.limit,
        trust_baked: model.sha256.is_none(),
    };
    let loaded = onnx::load(&spec).map_err(not_loaded)?;
    log_artefact("optimised graph", &loaded.artefact);
    if let Some(form) = &loaded.tokenizer_form {
        log_tokenizer(form);
    }
    let parts = Parts {
        engine: loaded.engine,
        tokenizer: loaded.tokenizer,
        checksum_ok: loaded.checked.then_some(true),
    };
    Ok((parts, loaded.stages))
}

/// A device that was asked for is never silently another one.
fn no_such_device(device: &str) -> Failure {
    Failure::new(
        FailureKind::Configuration,
        &Phase::Loading,
        format!("encoders without an ONNX file are computed on CPUs, not on {device}"),
        "give an ONNX file, or set device = \"cpu\"",
    )
}

fn no_such_task(task: Task, own: Task) -> Failure {
    let (task, own) = (task.name(), own.name());
    Failure::new(
        FailureKind::Configuration,
        &Phase::Loading,
        format!("the task of this model is {own}, not {task}"),
        "set model.task to what the model does, or leave it out",
    )
}

/// A wrapped server loads what it serves by itself.
fn no_model() -> Failure {
    let remedy = "report it with the log";
    let cause = "a wrapped server has no model of ours";
    Failure::new(FailureKind::Internal, &Phase::Loading, cause, remedy)
}

fn log_loaded(info: &EngineInfo, stages: &[StageTiming]) {
    let parts: Vec<String> = stages
        .iter()
        .map(|stage| format!("{} {}", stage.stage, human::time(stage.took)))
        .collect();
    tracing::info!(
        event = "loaded",
        engine = info.name,
        "loaded on {}: {}",
        info.name,
        parts.join(", ")
    );
}

/// What could not be kept, or had to be made again, costs the next start time.
fn log_artefact(what: &'static str, artefact: &ArtefactState) {
    match artefact {
        ArtefactState::Off | ArtefactState::Mapped | ArtefactState::Built => {}
        ArtefactState::Rebuilt { reason } => {
            tracing::warn!(
                event = "artefact_rebuilt",
                what,
                reason,
                "{what}: made again"
            );
        }
        ArtefactState::Unavailable { reason } => {
            tracing::warn!(
                event = "artefact_unavailable",
                what,
                reason,
                "{what}: not kept"
            );
        }
    }
}

/// Which of the two ways to token ids runs.
fn log_tokenizer(form: &TokenizerForm) {
    match form {
        TokenizerForm::Compiled(artefact) => log_artefact("compiled tokenizer", artefact),
        TokenizerForm::Library { reason: None } => {}
        TokenizerForm::Library {
            reason: Some(reason),
        } => {
            tracing::info!(
                event = "tokenizer_not_compiled",
                reason,
                "the tokenizer is read anew at every start: {reason}"
            );
        }
    }
}

/// What the user said, else what the catalogue pins, else what was recorded when it was fetched.
fn expected_sha256(model: &ModelSettings, fetched: &Fetched, weights: &str) -> Option<String> {
    let pinned = || source::pinned_sha256(&model.source, weights).map(str::to_owned);
    let recorded = || {
        let weights = fetched.files.iter().find(|file| file.name == weights)?;
        Some(weights.sha256.clone()).filter(|digest| !digest.is_empty())
    };
    model.sha256.clone().or_else(pinned).or_else(recorded)
}

fn load_sim(
    model: &ModelSettings,
    sim: &SimSettings,
) -> Result<(Parts, Vec<StageTiming>), Failure> {
    let declared = &sim.declared;
    let spec = sim::SimSpec {
        weights: declared.weights.0,
        tokenizer: declared.tokenizer.0,
        engine: declared.engine.0,
        first_run: declared.first_run.0,
        run: declared.run.0,
        per_token: declared.per_token.0,
        shapes: sim.shapes.clone(),
        buckets: buckets(model, declared.max_tokens),
        dim: declared.dim,
        max_tokens: declared.max_tokens,
        memory: usize::try_from(declared.memory.0).unwrap_or(usize::MAX),
        fault: sim.fault,
    };
    let loaded = sim::load(spec).map_err(|error| {
        let remedy = "remove model.sim.fault from the configuration";
        Failure::new(
            FailureKind::Load,
            &Phase::Loading,
            error.to_string(),
            remedy,
        )
    })?;
    Ok((
        Parts {
            engine: loaded.engine,
            tokenizer: Some(Arc::new(loaded.tokenizer)),
            checksum_ok: None,
        },
        loaded.stages,
    ))
}

fn not_loaded(error: LoadError) -> Failure {
    let kind = match error.code() {
        "out_of_memory" => FailureKind::Memory,
        _ => FailureKind::Load,
    };
    let mut cause = error.to_string();
    let mut source = std::error::Error::source(&error);
    while let Some(inner) = source {
        cause = format!("{cause}: {inner}");
        source = inner.source();
    }
    Failure::new(kind, &Phase::Loading, cause, error.remedy())
}

fn span(timing: StageTiming, clock: Clock) -> Span {
    Span {
        stage: timing.stage.into(),
        start: clock.at(timing.started),
        took: timing.took,
        bytes: timing.bytes,
        cpu: timing.cpu,
    }
}

fn buckets(model: &ModelSettings, max_tokens: usize) -> Buckets {
    let edges = &model.batching.buckets;
    Buckets::new(
        &edges.batch,
        &edges.tokens,
        model.batching.max_batch,
        max_tokens,
    )
}

/// The classes of rows of tensors: one for the declared size where all of it is declared, and
/// one for each size that the plan speaks of.
fn row_buckets(model: &ModelSettings, info: &EngineInfo) -> Buckets {
    let batched = info.signature.batched;
    let declared: Option<usize> = info
        .signature
        .inputs
        .iter()
        .map(|input| input.row_size(batched))
        .sum();
    let planned = model.cases.iter().filter_map(|case| match &case.input {
        CaseInput::Tensors(tensors) => Some(tensor::row_size(
            tensors.iter().map(|t| t.shape.as_slice()),
            batched,
        )),
        _ => None,
    });
    let sizes: Vec<usize> = planned.chain(declared).collect();
    let largest = sizes.iter().copied().max().unwrap_or(1);
    let (batch, most) = match batched {
        true => (
            model.batching.buckets.batch.as_slice(),
            model.batching.max_batch,
        ),
        false => (&[][..], 1),
    };
    Buckets::new(batch, &sizes, most, largest)
}

fn image_way(model: &ModelSettings, info: &EngineInfo) -> Result<Option<ImageWay>, Failure> {
    if info.signature.task != Task::Image {
        return Ok(None);
    }
    let not_images = |why: String| {
        let remedy = "leave model.task out to serve the model's tensors as they are";
        Failure::new(FailureKind::Load, &Phase::Loading, why, remedy)
    };
    let [output] = &info.signature.outputs[..] else {
        return Err(not_images(
            "a model of images gives one tensor of scores".into(),
        ));
    };
    let scores = output.row_size(true).filter(|_| info.signature.batched);
    let labels = info.signature.labels.len();
    if let Some(scores) = scores
        && labels > 0
        && labels != scores
    {
        return Err(not_images(format!(
            "there are {labels} labels for {scores} scores"
        )));
    }
    let reader = Pictures::new(model.picture.spec.clone(), &info.signature.inputs)
        .map_err(|why| not_images(format!("the model {why}")))?;
    let softmax = model.picture.softmax;
    Ok(Some(ImageWay { reader, softmax }))
}

impl Parts {
    /// Opens the instances and starts the batcher.
    ///
    /// # Errors
    /// As a failure of the loading phase.
    pub fn start(
        self,
        model: &ModelSettings,
        metrics: &Arc<Metrics>,
        clock: Clock,
        tasks: &Tasks,
    ) -> Result<Loaded, Failure> {
        let info = self.engine.info().clone();
        let pictures = image_way(model, &info)?;
        let instances = Instances::open(&self.engine, model.instances).map_err(no_instance)?;
        let batching = &model.batching;
        let limits = ModelLimits {
            max_batch: batching.max_batch,
            max_tokens: info.max_tokens,
            // One sequence of full length must always fit.
            max_volume: batching.max_tokens.max(info.max_tokens),
            shape_state: info.shape_state,
        };
        let texts = info.signature.task.takes_texts();
        let buckets = match texts {
            true => buckets(model, info.max_tokens),
            false => row_buckets(model, &info),
        };
        let coverage = Coverage::new(info.shape_state);
        let config = BatcherConfig {
            limits: BatchLimits {
                // A request's tensors wait as one, and count by their rows.
                max_rows: if texts { limits.max_batch } else { usize::MAX },
                max_cost: if texts {
                    limits.max_volume
                } else {
                    limits.max_batch
                },
                max_delay: batching.max_delay.0.min(Duration::from_secs(1)),
            },
            buckets: buckets.clone(),
            grouping: match (texts, info.shape_state) {
                // Without per-shape state there is nothing to pad for: lengths run together.
                (true, false) => Grouping::Mixed,
                (true, true) => Grouping::ByLength,
                (false, _) if info.signature.batched => Grouping::ByShape,
                (false, _) => Grouping::Alone,
            },
        };
        let batcher = Batcher::start(
            config,
            instances.clone(),
            coverage.clone(),
            Arc::clone(metrics),
            clock,
            tasks,
        );
        Ok(Loaded {
            tokenizer: self.tokenizer,
            pictures: pictures.map(Arc::new),
            checksum_ok: self.checksum_ok,
            engine: self.engine,
            info: Arc::new(info),
            instances,
            batcher,
            coverage,
            buckets,
            limits,
        })
    }
}

fn no_instance(error: RunError) -> Failure {
    let kind = match error {
        RunError::OutOfMemory(_) => FailureKind::Memory,
        RunError::Input(_) | RunError::Engine(_) => FailureKind::Load,
    };
    let remedy = "lower instances or max_tokens, or raise the memory limit";
    Failure::new(kind, &Phase::Loading, error.to_string(), remedy)
}
