//! Which engine is to compute, and how.

use std::path::{Path, PathBuf};

use preheat_api::config::{self, Config, EngineKind};
use preheat_engine::Isa;
use preheat_engine::load::Dtype;
use preheat_engine::onnx::Provider;

use super::sim::{self, SimSettings};
use super::{HttpSettings, SettingsError, Surroundings, http};

#[derive(Debug, Clone)]
pub enum EngineSettings {
    Native(NativeSettings),
    Onnx(OnnxSettings),
    /// By the model's files: an ONNX file, or an encoder.
    Auto {
        native: NativeSettings,
        onnx: OnnxSettings,
    },
    Sim(SimSettings),
    /// Somebody else's server, which does everything itself.
    Http(Box<HttpSettings>),
}

/// How the native engine computes.
#[derive(Debug, Clone)]
pub struct NativeSettings {
    pub dtype: Dtype,
    /// None: the best one that this CPU has.
    pub isa: Option<Isa>,
    pub artefacts: ArtefactSettings,
}

/// Where engines keep what they make of models.
#[derive(Debug, Clone)]
pub struct ArtefactSettings {
    pub dir: PathBuf,
    /// Most bytes there.
    pub limit: u64,
}

/// How ONNX files are run.
#[derive(Debug, Clone)]
pub struct OnnxSettings {
    /// Where the user says the library is.
    pub library: Option<PathBuf>,
    pub runtime: config::OnnxRuntime,
    pub providers: Vec<Provider>,
    pub artefacts: ArtefactSettings,
}

pub(super) fn engine(
    model: &config::Model,
    name: &str,
    dir: &Path,
    config: &Config,
    around: &Surroundings,
) -> Result<EngineSettings, SettingsError> {
    let artefacts = ArtefactSettings {
        dir: dir.join("artefacts"),
        limit: config.cache.artefacts_size.0,
    };
    let onnx = onnx(model, artefacts.clone());
    let native = NativeSettings {
        dtype: dtype(model.dtype),
        isa: isa(model.isa),
        artefacts,
    };
    only_where_it_counts(model)?;
    match model.engine {
        EngineKind::Auto => Ok(EngineSettings::Auto { native, onnx }),
        EngineKind::Native if model.device == config::Device::Cuda => Err(SettingsError::new(
            "model.device",
            "the native engine computes on CPUs",
            "give an ONNX file and engine = \"onnx\", or device = \"cpu\"",
        )),
        EngineKind::Native => Ok(EngineSettings::Native(native)),
        EngineKind::Onnx => Ok(EngineSettings::Onnx(onnx)),
        EngineKind::Http => {
            let settings = http::read(model, name, around)?;
            Ok(EngineSettings::Http(Box::new(settings)))
        }
        EngineKind::Sim => Ok(EngineSettings::Sim(sim::read(model)?)),
    }
}

/// What only the native engine can do is not passed over in silence by the others.
fn only_where_it_counts(model: &config::Model) -> Result<(), SettingsError> {
    if matches!(model.engine, EngineKind::Auto | EngineKind::Native) {
        return Ok(());
    }
    let key = if model.dtype != config::Dtype::F32 {
        "model.dtype"
    } else if model.isa != config::Isa::Auto {
        "model.isa"
    } else {
        return Ok(());
    };
    Err(SettingsError::new(
        key,
        "only the native engine can be told",
        "leave it out, or give safetensors of an encoder and engine = \"native\"",
    ))
}

fn onnx(model: &config::Model, artefacts: ArtefactSettings) -> OnnxSettings {
    let own = model.onnx.providers.iter().map(|provider| match provider {
        config::OnnxProvider::Cuda => Provider::Cuda,
        config::OnnxProvider::TensorRt => Provider::TensorRt,
        config::OnnxProvider::OpenVino => Provider::OpenVino,
    });
    let mut providers: Vec<Provider> = own.collect();
    if providers.is_empty() && model.device == config::Device::Cuda {
        providers.push(Provider::Cuda);
    }
    let library = &model.onnx.library;
    OnnxSettings {
        library: (!library.is_empty()).then(|| PathBuf::from(library)),
        runtime: model.onnx.runtime,
        providers,
        artefacts,
    }
}

fn dtype(dtype: config::Dtype) -> Dtype {
    match dtype {
        config::Dtype::F32 => Dtype::F32,
        config::Dtype::Bf16 => Dtype::Bf16,
        config::Dtype::Int8 => Dtype::Int8,
    }
}

fn isa(isa: config::Isa) -> Option<Isa> {
    match isa {
        config::Isa::Auto => None,
        config::Isa::Avx512 => Some(Isa::Avx512),
        config::Isa::Avx2 => Some(Isa::Avx2),
        config::Isa::Neon => Some(Isa::Neon),
        config::Isa::Portable => Some(Isa::Portable),
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;

    use super::*;

    /// What a configuration of one model says about engines.
    fn engine_of(change: impl FnOnce(&mut config::Model)) -> Result<EngineSettings, SettingsError> {
        let mut model = config::Model::default();
        change(&mut model);
        let around = Surroundings {
            cache_dir: "/cache".into(),
            hf_endpoint: None,
            hf_token: None,
            hf_home: None,
            hf_offline: true,
            store: Vec::new(),
            cpus: NonZeroUsize::MIN,
            keeper: Vec::new(),
            run_dir: "/run".into(),
        };
        let cache = Path::new("/cache");
        engine(&model, "m", cache, &Config::default(), &around)
    }

    #[test]
    fn a_gpu_is_asked_for_by_device_or_by_name_and_gets_its_build() {
        use preheat_engine::source::RuntimeBuild;
        let providers = |settings| match settings {
            EngineSettings::Onnx(onnx) | EngineSettings::Auto { onnx, .. } => onnx.providers,
            other => panic!("{other:?} has no providers"),
        };
        let cuda = engine_of(|model| model.device = config::Device::Cuda).unwrap();
        assert_eq!(providers(cuda), [Provider::Cuda]);
        let named = engine_of(|model| {
            model.engine = EngineKind::Onnx;
            model.device = config::Device::Cuda;
            model.onnx.providers = vec![config::OnnxProvider::TensorRt, config::OnnxProvider::Cuda];
        });
        assert_eq!(
            providers(named.unwrap()),
            [Provider::TensorRt, Provider::Cuda]
        );
        assert!(providers(engine_of(|_| {}).unwrap()).is_empty());
        assert_eq!(Provider::Cuda.build(), RuntimeBuild::Gpu);
        assert_eq!(Provider::OpenVino.build(), RuntimeBuild::Cpu);
        let refused = engine_of(|model| {
            model.engine = EngineKind::Native;
            model.device = config::Device::Cuda;
        });
        assert_eq!(refused.unwrap_err().key, "model.device");
    }

    #[test]
    fn what_only_the_native_engine_can_do_is_refused_by_the_others() {
        let chosen = |kind: EngineKind, dtype, isa| {
            engine_of(|model| {
                model.engine = kind;
                model.dtype = dtype;
                model.isa = isa;
            })
        };
        for kind in [EngineKind::Onnx, EngineKind::Sim] {
            let bf16 = chosen(kind, config::Dtype::Bf16, config::Isa::Auto);
            assert_eq!(bf16.unwrap_err().key, "model.dtype", "{kind:?}");
            let avx2 = chosen(kind, config::Dtype::F32, config::Isa::Avx2);
            assert_eq!(avx2.unwrap_err().key, "model.isa", "{kind:?}");
            assert!(chosen(kind, config::Dtype::F32, config::Isa::Auto).is_ok());
        }
        for kind in [EngineKind::Native, EngineKind::Auto] {
            assert!(chosen(kind, config::Dtype::Int8, config::Isa::Avx2).is_ok());
        }
    }
}
