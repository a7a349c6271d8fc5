//! What the engines are told of a model.

use std::path::PathBuf;

use preheat_engine::load::LoadSpec;
use preheat_engine::onnx::OnnxSpec;
use preheat_engine::prepare::ModelSpec;
use preheat_engine::source::{self, Fetched};

use crate::settings::{EngineSettings, ModelSettings, NativeSettings, OnnxSettings};

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

/// How ONNX files are to run, where this model is one.
pub(super) fn onnx_settings<'a>(
    model: &'a ModelSettings,
    fetched: &Fetched,
) -> Option<&'a OnnxSettings> {
    let (EngineSettings::Onnx(onnx) | EngineSettings::Auto { onnx, .. }) = &model.engine else {
        return None;
    };
    onnx_file(fetched).is_some().then_some(onnx)
}

pub(super) fn native_spec(
    model: &ModelSettings,
    native: &NativeSettings,
    fetched: &Fetched,
) -> LoadSpec {
    LoadSpec {
        dtype: native.dtype,
        isa: native.isa,
        threads: model.threads,
        pin: model.pin,
        artefacts: Some(native.artefacts.dir.clone()),
        artefacts_limit: native.artefacts.limit,
        expected_sha256: native_sha256(model, fetched),
        // Who names a digest wants the bytes read.
        trust_baked: model.sha256.is_none(),
        ..LoadSpec::new(&fetched.dir)
    }
}

/// Of weights in one file or in several.
fn native_sha256(model: &ModelSettings, fetched: &Fetched) -> Option<String> {
    let pinned = || {
        let weights = source::weights(fetched)?;
        source::pinned_sha256(&model.source, &weights.name).map(str::to_owned)
    };
    let recorded = || source::weights_sha256(fetched);
    model.sha256.clone().or_else(pinned).or_else(recorded)
}

/// How its engine is to load this model; none where the engine has no file to load. `library`: ONNX
/// Runtime, where it is at hand.
#[must_use]
pub fn model_spec(
    model: &ModelSettings,
    fetched: &Fetched,
    library: Option<PathBuf>,
) -> Option<ModelSpec> {
    match (onnx_settings(model, fetched), onnx_file(fetched)) {
        (Some(onnx), Some(file)) => {
            let spec = onnx_spec(model, onnx, fetched, file, library);
            Some(ModelSpec::Onnx(spec))
        }
        _ => load_spec(model, fetched).map(ModelSpec::Native),
    }
}

pub(super) fn onnx_spec(
    model: &ModelSettings,
    onnx: &OnnxSettings,
    fetched: &Fetched,
    file: PathBuf,
    library: Option<PathBuf>,
) -> OnnxSpec {
    let name = file.strip_prefix(&fetched.dir).unwrap_or(&file);
    OnnxSpec {
        expected_sha256: expected_sha256(model, fetched, &name.to_string_lossy()),
        file,
        root: fetched.dir.clone(),
        threads: model.threads,
        library,
        providers: onnx.providers.clone(),
        task: model.task,
        labels: model.labels.clone(),
        artefacts: Some(onnx.artefacts.dir.clone()),
        artefacts_limit: onnx.artefacts.limit,
        trust_baked: model.sha256.is_none(),
    }
}

/// The ONNX file among a model's files.
pub(super) fn onnx_file(fetched: &Fetched) -> Option<PathBuf> {
    let mut files = fetched.files.iter();
    let file = files.find(|file| file.name.ends_with(".onnx"))?;
    Some(fetched.dir.join(&file.name))
}

/// What the user said, else what the catalogue pins, else what was recorded when it was fetched.
pub(super) fn expected_sha256(
    model: &ModelSettings,
    fetched: &Fetched,
    weights: &str,
) -> Option<String> {
    let pinned = || source::pinned_sha256(&model.source, weights).map(str::to_owned);
    let recorded = || {
        let weights = fetched.files.iter().find(|file| file.name == weights)?;
        Some(weights.sha256.clone()).filter(|digest| !digest.is_empty())
    };
    model.sha256.clone().or_else(pinned).or_else(recorded)
}
