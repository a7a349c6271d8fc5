//! A model set up by its engine, before anything runs.

use std::sync::Arc;

use preheat_core::{Failure, FailureKind, Phase, Span};
use preheat_engine::load::{Dtype, StageTiming};
use preheat_engine::onnx;
use preheat_engine::{Engine, LoadError, Task, Tokenizer};
use preheat_runtime::causes::chain;

use super::fetch::Brought;
use super::said::{log_artefact, log_loaded, log_prompt, log_tokenizer};
use super::sim::load_sim;
use super::spec::{native_spec, onnx_spec};
use crate::board::Board;
use crate::clock::Clock;
use crate::settings::{EngineSettings, ModelSettings, NativeSettings, OnnxSettings};

/// What loading left behind, before anything runs.
pub struct Parts {
    pub(super) engine: Arc<dyn Engine>,
    pub(super) tokenizer: Option<Arc<Tokenizer>>,
    pub(super) checksum_ok: Option<bool>,
}

pub(super) type LoadedParts = (Parts, Vec<StageTiming>);

/// Sets the model up. Blocks for as long as that takes.
///
/// # Errors
/// As a failure of the loading phase.
pub fn load(model: &ModelSettings, brought: &Brought, board: &Board) -> Result<Parts, Failure> {
    let (parts, stages) = match &model.engine {
        EngineSettings::Sim(sim) => load_sim(model, sim)?,
        EngineSettings::Native(native) => load_native(model, brought, native)?,
        EngineSettings::Onnx(onnx) => load_onnx(model, brought, onnx)?,
        EngineSettings::Auto { native, onnx } if brought.onnx().is_some() => {
            only_by_default(native)?;
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
    log_prompt(parts.tokenizer.as_deref());
    for stage in stages {
        board.span(span(stage, board.clock()));
    }
    board.set(|facts| facts.engine = Some(info));
    Ok(parts)
}

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
    settings: &OnnxSettings,
) -> Result<LoadedParts, Failure> {
    let file = match brought.onnx() {
        Some(file) => file,
        None => onnx::find(&brought.fetched.dir).map_err(not_loaded)?,
    };
    let library = brought.library.clone();
    let spec = onnx_spec(model, settings, &brought.fetched, file, library);
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

fn not_loaded(error: LoadError) -> Failure {
    let kind = match error.code() {
        "out_of_memory" => FailureKind::Memory,
        _ => FailureKind::Load,
    };
    Failure::new(kind, &Phase::Loading, chain(&error), error.remedy())
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

/// An ONNX file is computed in the types and by the kernels that it comes with.
fn only_by_default(native: &NativeSettings) -> Result<(), Failure> {
    let (dtype, isa) = (native.dtype, native.isa);
    if dtype == Dtype::F32 && isa.is_none() {
        return Ok(());
    }
    Err(Failure::new(
        FailureKind::Configuration,
        &Phase::Loading,
        "this model is an ONNX file, and only the native engine can be told a dtype or an instruction set",
        "leave out model.dtype and model.isa, or give safetensors of the model",
    ))
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

fn span(timing: StageTiming, clock: Clock) -> Span {
    Span {
        stage: timing.stage.into(),
        start: clock.at(timing.started),
        took: timing.took,
        bytes: timing.bytes,
        cpu: timing.cpu,
    }
}
