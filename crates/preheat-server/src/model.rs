//! A model as this replica holds it: fetched, loaded, with its instances and its batcher.

use std::sync::Arc;
use std::time::Duration;

use preheat_core::batching::BatchLimits;
use preheat_core::shape::Buckets;
use preheat_core::{Failure, FailureKind, ModelLimits, Phase, Span};
use preheat_engine::load::{ArtefactState, LoadSpec, StageTiming, TokenizerForm};
use preheat_engine::source::{self, FetchError, FetchOptions, Fetched, Progress};
use preheat_engine::{Engine, EngineInfo, LoadError, RunError, Tokenizer, sim};
use preheat_runtime::Tasks;

use crate::batcher::{Batcher, BatcherConfig, Coverage};
use crate::board::{Board, Doing};
use crate::clock::{Clock, millis};
use crate::human;
use crate::instances::Instances;
use crate::metrics::Metrics;
use crate::settings::{EngineSettings, ModelSettings, NativeSettings, SimSettings};

/// Everything that a request needs of a loaded model. Clones share it.
#[derive(Debug, Clone)]
pub struct Loaded {
    pub info: EngineInfo,
    pub engine: Arc<dyn Engine>,
    pub tokenizer: Arc<Tokenizer>,
    pub instances: Instances,
    pub batcher: Batcher,
    pub coverage: Coverage,
    pub buckets: Buckets,
    pub limits: ModelLimits,
    /// Whether the checksum of the weights was compared; none: nobody said what it should be.
    pub checksum_ok: Option<bool>,
}

/// Brings the model's files here.
///
/// # Errors
/// As a failure of the fetching phase.
pub async fn fetch(
    model: &ModelSettings,
    options: &FetchOptions,
    board: &Arc<Board>,
) -> Result<Fetched, Failure> {
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
        return Ok(simulated());
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
    Ok(fetched)
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
    tokenizer: Arc<Tokenizer>,
    checksum_ok: Option<bool>,
}

/// Sets the model up. Blocks for as long as that takes.
///
/// # Errors
/// As a failure of the loading phase.
pub fn load(model: &ModelSettings, fetched: &Fetched, board: &Board) -> Result<Parts, Failure> {
    let (parts, stages) = match &model.engine {
        EngineSettings::Sim(sim) => load_sim(model, sim)?,
        EngineSettings::Native(native) => {
            let spec = native_spec(model, native, fetched);
            let loaded = preheat_engine::load::load(&spec).map_err(not_loaded)?;
            log_artefact("packed weights", &loaded.artefact);
            log_tokenizer(&loaded.tokenizer_form);
            let parts = Parts {
                engine: loaded.engine,
                tokenizer: loaded.tokenizer,
                checksum_ok: loaded.weights.checked.then_some(true),
            };
            (parts, loaded.stages)
        }
    };
    let info = parts.engine.info().clone();
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
        EngineSettings::Sim(_) => None,
    }
}

fn native_spec(model: &ModelSettings, native: &NativeSettings, fetched: &Fetched) -> LoadSpec {
    LoadSpec {
        dtype: native.dtype,
        threads: model.threads,
        pin: model.pin,
        artefacts: Some(native.artefacts.clone()),
        artefacts_limit: native.artefacts_limit,
        expected_sha256: expected_sha256(model, fetched),
        // Who names a digest wants the bytes read.
        trust_baked: model.sha256.is_none(),
        ..LoadSpec::new(&fetched.dir)
    }
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
fn expected_sha256(model: &ModelSettings, fetched: &Fetched) -> Option<String> {
    let weights = source::weights(fetched);
    let pinned = || source::pinned_sha256(&model.source, &weights?.name).map(str::to_owned);
    let recorded = || Some(weights?.sha256.clone()).filter(|digest| !digest.is_empty());
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
            tokenizer: Arc::new(loaded.tokenizer),
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
        let instances = Instances::open(&self.engine, model.instances).map_err(no_instance)?;
        let batching = &model.batching;
        let limits = ModelLimits {
            max_batch: batching.max_batch,
            max_tokens: info.max_tokens,
            // One sequence of full length must always fit.
            max_volume: batching.max_tokens.max(info.max_tokens),
            shape_state: info.shape_state,
        };
        let buckets = buckets(model, info.max_tokens);
        let coverage = Coverage::new(info.shape_state);
        let config = BatcherConfig {
            limits: BatchLimits {
                max_rows: limits.max_batch,
                max_cost: limits.max_volume,
                max_delay: batching.max_delay.0.min(Duration::from_secs(1)),
            },
            buckets: buckets.clone(),
            // Without per-shape state there is nothing to pad for: lengths run together.
            mixed_lengths: !info.shape_state,
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
            checksum_ok: self.checksum_ok,
            engine: self.engine,
            info,
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
