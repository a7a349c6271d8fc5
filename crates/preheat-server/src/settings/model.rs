//! `[[model]]` as written → as served.

use std::num::NonZeroUsize;
use std::path::Path;

use preheat_api::config::{self, Config, EngineKind, LoadMode};
use preheat_core::{Case, ModelName};
use preheat_engine::Task;
use preheat_engine::picture::PictureSpec;
use preheat_engine::source::SourceRef;

use super::engine::{EngineSettings, engine};
use super::{SettingsError, Surroundings, cases};

#[derive(Debug, Clone)]
pub struct ModelSettings {
    pub name: ModelName,
    pub source: SourceRef,
    pub sha256: Option<String>,
    pub engine: EngineSettings,
    /// None: what the model's files say.
    pub task: Option<Task>,
    pub labels: Vec<String>,
    pub picture: PictureSettings,
    pub instances: usize,
    pub threads: NonZeroUsize,
    /// Keep compute threads apart, each on a CPU of its own: for a replica that may take them all.
    /// After a pause the kernel tends to wake them where their caller runs, and they would wait.
    pub pin: bool,
    pub load: LoadMode,
    pub batching: config::Batching,
    /// Given by the user; empty: derived.
    pub cases: Vec<Case>,
}

/// How images become numbers, and the model's numbers an answer.
#[derive(Debug, Clone)]
pub struct PictureSettings {
    pub spec: PictureSpec,
    pub softmax: bool,
}

pub(super) fn model(
    config: &Config,
    cache: &Path,
    around: &Surroundings,
) -> Result<ModelSettings, SettingsError> {
    let model = config.model.first().cloned().unwrap_or_default();
    let source = SourceRef::parse(&model.source)
        .map_err(|e| SettingsError::new("model.source", e.to_string(), e.remedy()))?;
    let name = model_name(&model);
    let share = NonZeroUsize::new(around.cpus.get() / model.instances).unwrap_or(NonZeroUsize::MIN);
    Ok(ModelSettings {
        engine: engine(&model, &name, cache, config, around)?,
        name: ModelName::new(name),
        source,
        sha256: (!model.sha256.is_empty()).then(|| model.sha256.clone()),
        cases: match model.engine {
            // Those of a server are requests, and stand with its engine.
            EngineKind::Http => Vec::new(),
            _ => cases::read(&model.warmup.case)?,
        },
        task: task(model.task),
        labels: model.labels.clone(),
        picture: picture(&model.image)?,
        instances: model.instances,
        threads: NonZeroUsize::new(model.threads).unwrap_or(share),
        pin: model.threads == 0 && model.instances == 1,
        load: model.load,
        batching: model.batching,
    })
}

/// What clients call a model: its name, or what people would call its source.
#[must_use]
pub fn model_name(model: &config::Model) -> String {
    match model.name.as_str() {
        "" if model.engine == EngineKind::Http => "model".into(),
        "" => default_name(&model.source),
        name => name.to_owned(),
    }
}

/// `hf:org/name@rev` and `pypi:name==1` are called `name`, paths by their last part.
fn default_name(source: &str) -> String {
    // What follows the path of an address may be a signature.
    let ends: &[char] = if source.contains("://") {
        &['#', '?']
    } else {
        &['#']
    };
    let source = source.split(ends).next().unwrap_or(source);
    let tail = source
        .trim_end_matches('/')
        .rsplit(['/', ':'])
        .next()
        .unwrap_or(source);
    let name = tail.split(['@', '=']).next().unwrap_or(tail);
    let name = name.strip_suffix(".onnx").unwrap_or(name);
    if name.is_empty() || name == "." {
        "model".into()
    } else {
        name.into()
    }
}

fn task(task: config::TaskKind) -> Option<Task> {
    match task {
        config::TaskKind::Auto => None,
        config::TaskKind::Embed => Some(Task::Embed),
        config::TaskKind::Classify => Some(Task::Classify),
        config::TaskKind::Image => Some(Task::Image),
        config::TaskKind::Tensors => Some(Task::Tensors),
    }
}

fn picture(image: &config::ImageInput) -> Result<PictureSettings, SettingsError> {
    let bad = |key: &str, problem: &str| {
        Err(SettingsError::new(
            key,
            problem,
            "give numbers that pixels can be computed with",
        ))
    };
    let numbers = image.mean.iter().chain(&image.std).chain([&image.scale]);
    if !numbers.clone().all(|x| x.is_finite()) {
        return bad("model.image", "holds what is not a number");
    }
    if image.std.contains(&0.0) {
        return bad("model.image.std", "must not be 0");
    }
    if image.max_pixels == 0 {
        return bad("model.image.max_pixels", "must not be 0");
    }
    Ok(PictureSettings {
        softmax: image.softmax,
        spec: PictureSpec {
            max_pixels: image.max_pixels,
            crop: image.fit == config::ImageFit::Crop,
            bgr: image.channels == config::ImageChannels::Bgr,
            scale: image.scale,
            mean: image.mean,
            std: image.std,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn models_are_called_by_what_people_would_call_them() {
        for (source, name) in [
            ("all-MiniLM-L6-v2", "all-MiniLM-L6-v2"),
            ("hf:org/tiny@main", "tiny"),
            ("pypi:some-model==0.1.0", "some-model"),
            ("/models/e5/", "e5"),
            ("s3://bucket/models/e5", "e5"),
            ("pypi:ocr==1.0#models/rec.onnx", "ocr"),
            ("/models/nsfw.onnx", "nsfw"),
            ("https://h/models/e5/?sig=a/b", "e5"),
            ("https://h/e5.zip?X-Signature=a", "e5.zip"),
        ] {
            assert_eq!(default_name(source), name, "{source}");
        }
    }
}
