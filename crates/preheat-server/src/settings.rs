//! What the configuration means: validated, with files read and nothing left to interpret.

mod cases;
mod http;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use preheat_api::config::{self, Config, EngineKind, HealthIs, LoadMode, SimFaultKind, Upkeep};
use preheat_api::floor::MachineFloor;
use preheat_api::quantity::SizeLimit;
use preheat_core::drift::DriftPolicy;
use preheat_core::keepwarm::KeepWarmPolicy;
use preheat_core::lifecycle::LifecycleSettings;
use preheat_core::proof::{Criteria, WhenUnsettled};
use preheat_core::{Case, ModelName, OnFailure, RoundPolicy, ShapeBucket};
use preheat_engine::Task;
use preheat_engine::load::Dtype;
use preheat_engine::onnx::Provider;
use preheat_engine::picture::PictureSpec;
use preheat_engine::sim::{FaultKind, SimFault};
use preheat_engine::source::{FetchOptions, SourceRef};
use preheat_runtime::tls::TlsFiles;
use preheat_runtime::{DrainLimits, EdgeConfig};

pub use http::{HttpSettings, Listens};
pub use preheat_runtime::keys::Keys;

/// A replica's settings.
#[derive(Debug, Clone)]
pub struct Settings {
    pub model: ModelSettings,
    pub fetch: FetchOptions,
    pub http: String,
    pub grpc: String,
    pub admin: String,
    pub edge: EdgeConfig,
    pub tls_files: Option<TlsFiles>,
    pub max_body: usize,
    pub body_timeout: Duration,
    pub health_is: HealthIs,
    pub cors_origins: Vec<String>,
    pub api_keys: Keys,
    pub admin_keys: Keys,
    pub limits: Limits,
    /// None: what the container or the machine allows.
    pub memory_limit: Option<u64>,
    pub rounds: RoundPolicy,
    pub criteria: Criteria,
    pub lifecycle: LifecycleSettings,
    /// Synthetic load before readiness; none without requests.
    pub load: Option<LoadTest>,
    pub keep_warm: (Upkeep, KeepWarmPolicy),
    pub drift: (Upkeep, DriftPolicy),
    /// What this machine allows, where it was measured.
    pub floor: Option<MachineFloor>,
    pub drain: DrainLimits,
}

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

/// How images become numbers, and the model's numbers an answer.
#[derive(Debug, Clone)]
pub struct PictureSettings {
    pub spec: PictureSpec,
    pub softmax: bool,
}

/// The sim engine's declared behaviour, shape names read.
#[derive(Debug, Clone)]
pub struct SimSettings {
    pub declared: config::Sim,
    pub shapes: BTreeMap<ShapeBucket, Duration>,
    pub fault: Option<SimFault>,
}

#[derive(Debug, Clone, Copy)]
pub struct Limits {
    pub concurrency: usize,
    pub queue: usize,
    pub request_timeout: Duration,
    /// Requests a second for each key or client; none: no limit.
    pub rate: Option<f64>,
    pub client_batch: usize,
}

#[derive(Debug, Clone, Copy)]
pub struct LoadTest {
    pub requests: usize,
    pub concurrency: usize,
}

/// What the binary knows of the process's surroundings; nobody else reads the environment.
#[derive(Debug, Clone)]
pub struct Surroundings {
    /// Where the cache goes if the configuration does not say.
    pub cache_dir: PathBuf,
    pub hf_endpoint: Option<String>,
    pub hf_token: Option<String>,
    pub hf_home: Option<PathBuf>,
    pub hf_offline: bool,
    /// Settings of object stores from the environment; the configuration's own win.
    pub store: Vec<(String, String)>,
    /// CPUs that this process may really use.
    pub cpus: NonZeroUsize,
    /// Program and arguments before which a command stands that is to be kept.
    pub keeper: Vec<OsString>,
    /// A folder that no other process has, for sockets; made when it is needed.
    pub run_dir: PathBuf,
}

/// A configuration that cannot be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{key}: {problem}")]
pub struct SettingsError {
    pub key: String,
    pub problem: String,
    pub remedy: String,
}

impl SettingsError {
    fn new(key: &str, problem: impl Into<String>, remedy: impl Into<String>) -> Self {
        SettingsError {
            key: key.into(),
            problem: problem.into(),
            remedy: remedy.into(),
        }
    }
}

impl Settings {
    /// Reads what the configuration points to and checks that it can be done.
    ///
    /// # Errors
    /// [`SettingsError`] names the key, what is wrong with it, and what to do.
    pub fn resolve(config: &Config, around: &Surroundings) -> Result<Self, SettingsError> {
        let own = config.model.first().map(|model| config.of(model));
        let config = own.as_ref().unwrap_or(config);
        check(config)?;
        let cache = match config.cache.dir.as_str() {
            "" => around.cache_dir.clone(),
            dir => PathBuf::from(dir),
        };
        let server = &config.server;
        Ok(Settings {
            floor: floor(&cache),
            model: model(config, &cache, around)?,
            fetch: fetch(config, cache, around),
            http: address(&server.host, server.port),
            grpc: address(&server.host, server.grpc_port),
            admin: server.admin.clone(),
            edge: EdgeConfig {
                header_timeout: server.header_timeout.0,
                idle_timeout: server.idle_timeout.0,
                max_connections: server.max_connections,
                ..EdgeConfig::default()
            },
            tls_files: tls_files(&config.auth.tls)?,
            max_body: usize::try_from(server.max_body.0).unwrap_or(usize::MAX),
            body_timeout: server.body_timeout.0,
            health_is: server.health_is,
            cors_origins: server.cors_origins.clone(),
            api_keys: keys("auth.api_keys_file", &config.auth.api_keys_file)?,
            admin_keys: keys("auth.admin_keys_file", &config.auth.admin_keys_file)?,
            limits: limits(&config.limits),
            memory_limit: match config.memory.limit {
                SizeLimit::Auto => None,
                SizeLimit::Bytes(size) => Some(size.0),
            },
            rounds: rounds(&config.warmup),
            criteria: criteria(config),
            lifecycle: lifecycle(&config.warmup),
            load: load_test(&config.warmup.load),
            keep_warm: keep_warm(&config.keepwarm),
            drift: drift(&config.drift),
            drain: DrainLimits {
                settle: config.drain.delay.0,
                timeout: config.drain.timeout.0,
            },
        })
    }
}

/// As `preheat floor` left it, if it was on such a machine.
fn floor(cache: &std::path::Path) -> Option<MachineFloor> {
    let text = std::fs::read(cache.join(preheat_api::floor::FILE)).ok()?;
    let floor: MachineFloor = serde_json::from_slice(&text).ok()?;
    (floor.cpu == preheat_engine::floor::this_cpu()).then_some(floor)
}

fn check(config: &Config) -> Result<(), SettingsError> {
    let positive = |key: &str, value: usize| match value {
        0 => Err(SettingsError::new(
            key,
            "must not be 0",
            "give a number above 0",
        )),
        _ => Ok(()),
    };
    let share = |key: &str, value: f64| match (0.0..1.0).contains(&value) {
        true => Ok(()),
        false => Err(SettingsError::new(
            key,
            format!("{value} is not a share"),
            "give a number from 0 to below 1",
        )),
    };
    positive("limits.concurrency", config.limits.concurrency)?;
    positive("limits.client_batch", config.limits.client_batch)?;
    positive("warmup.rounds", config.warmup.rounds)?;
    positive("server.max_connections", config.server.max_connections)?;
    share("memory.headroom", config.memory.headroom)?;
    share("warmup.tolerance", config.warmup.tolerance)?;
    if config.warmup.max_first_ratio < 1.0 {
        return Err(SettingsError::new(
            "warmup.max_first_ratio",
            format!("{} is below 1", config.warmup.max_first_ratio),
            "a first request cannot be required to be faster than the rest: give 1 or more",
        ));
    }
    for model in &config.model {
        positive("model.instances", model.instances)?;
        positive("model.batching.max_batch", model.batching.max_batch)?;
        positive("model.batching.max_tokens", model.batching.max_tokens)?;
    }
    match config.model.len() {
        0 | 1 => Ok(()),
        more => Err(SettingsError::new(
            "model",
            format!("{more} models are configured"),
            "a replica serves one model: start one replica for each",
        )),
    }
}

fn model(
    config: &Config,
    cache: &std::path::Path,
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
    let source = source.split('#').next().unwrap_or(source);
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

fn engine(
    model: &config::Model,
    name: &str,
    dir: &std::path::Path,
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
        artefacts,
    };
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
        EngineKind::Sim => {
            let shapes = model
                .sim
                .shapes
                .iter()
                .map(|(name, took)| Ok((shape(name)?, took.0)))
                .collect::<Result<_, SettingsError>>()?;
            Ok(EngineSettings::Sim(SimSettings {
                shapes,
                fault: model.sim.fault.as_ref().map(|f| SimFault {
                    kind: fault(f.kind),
                    after_runs: f.after_runs,
                }),
                declared: model.sim.clone(),
            }))
        }
    }
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

fn dtype(dtype: config::Dtype) -> Dtype {
    match dtype {
        config::Dtype::F32 => Dtype::F32,
        config::Dtype::Bf16 => Dtype::Bf16,
    }
}

fn shape(name: &str) -> Result<ShapeBucket, SettingsError> {
    let parts = name
        .split_once('x')
        .and_then(|(b, t)| Some((b.parse().ok()?, t.parse().ok()?)));
    let bad = || {
        SettingsError::new(
            "model.sim.shapes",
            format!("{name:?} is not a shape"),
            "write rows x tokens, for example \"4x16\"",
        )
    };
    parts
        .map(|(batch, tokens)| ShapeBucket::new(batch, tokens))
        .ok_or_else(bad)
}

fn fault(kind: SimFaultKind) -> FaultKind {
    match kind {
        SimFaultKind::Load => FaultKind::Load,
        SimFaultKind::Run => FaultKind::Run,
        SimFaultKind::Hang => FaultKind::Hang,
        SimFaultKind::Nan => FaultKind::Nan,
        SimFaultKind::Rows => FaultKind::Rows,
        SimFaultKind::Dim => FaultKind::Dim,
        SimFaultKind::OutOfMemory => FaultKind::OutOfMemory,
        SimFaultKind::Drift => FaultKind::Drift,
        SimFaultKind::Mix => FaultKind::Mix,
    }
}

fn fetch(config: &Config, cache: PathBuf, around: &Surroundings) -> FetchOptions {
    let mut options = FetchOptions::new(cache);
    options.offline = config.cache.offline || around.hf_offline;
    if let Some(endpoint) = &around.hf_endpoint {
        options.hf_endpoint.clone_from(endpoint);
    }
    options.hf_token.clone_from(&around.hf_token);
    options.hf_home.clone_from(&around.hf_home);
    if !config.cache.python.is_empty() {
        options.python = PathBuf::from(&config.cache.python);
    }
    options.bucket_options.clone_from(&around.store);
    let own = config
        .cache
        .store
        .iter()
        .map(|(k, v)| (k.clone(), v.clone()));
    options.bucket_options.extend(own);
    options
}

fn address(host: &str, port: u16) -> String {
    if host.contains(':') && !host.starts_with('[') && !host.starts_with("unix:") {
        format!("[{host}]:{port}")
    } else {
        format!("{host}:{port}")
    }
}

fn tls_files(tls: &config::Tls) -> Result<Option<TlsFiles>, SettingsError> {
    let client_ca = Some(&tls.client_ca).filter(|path| !path.is_empty());
    match (tls.cert.as_str(), tls.key.as_str()) {
        ("", "") if client_ca.is_some() => Err(SettingsError::new(
            "auth.tls.client_ca",
            "asks clients for certificates over plain text",
            "give auth.tls.cert and auth.tls.key too",
        )),
        ("", "") => Ok(None),
        ("", _) => Err(SettingsError::new(
            "auth.tls.cert",
            "is missing",
            "give both, or neither",
        )),
        (_, "") => Err(SettingsError::new(
            "auth.tls.key",
            "is missing",
            "give both, or neither",
        )),
        (cert, key) => Ok(Some(TlsFiles {
            cert: cert.into(),
            key: key.into(),
            client_ca: client_ca.map(PathBuf::from),
        })),
    }
}

fn keys(setting: &str, path: &str) -> Result<Keys, SettingsError> {
    Keys::read(path).map_err(|e| SettingsError::new(setting, e.to_string(), e.remedy()))
}

fn limits(limits: &config::Limits) -> Limits {
    Limits {
        concurrency: limits.concurrency,
        queue: limits.queue,
        request_timeout: limits.request_timeout.0,
        rate: (limits.rate > 0.0).then_some(limits.rate),
        client_batch: limits.client_batch,
    }
}

fn rounds(warmup: &config::Warmup) -> RoundPolicy {
    RoundPolicy {
        min: warmup.rounds,
        max: warmup.max_rounds,
        tolerance: warmup.tolerance,
        slack: warmup.slack.0,
    }
}

fn criteria(config: &Config) -> Criteria {
    Criteria {
        max_first_ratio: config.warmup.max_first_ratio,
        slack: config.warmup.slack.0,
        headroom: config.memory.headroom,
        slo_p95: config.slo.p95.0,
        when_unsettled: match config.warmup.unsettled {
            config::Unsettled::Degrade => WhenUnsettled::Degrade,
            config::Unsettled::Fail => WhenUnsettled::Fail,
        },
    }
}

fn lifecycle(warmup: &config::Warmup) -> LifecycleSettings {
    LifecycleSettings {
        skip_warmup: warmup.skip,
        on_failure: match warmup.on_failure {
            config::OnFailure::Hold => OnFailure::Hold,
            config::OnFailure::Exit => OnFailure::Exit,
            config::OnFailure::Retry => OnFailure::Retry,
        },
        warmup_timeout: warmup.timeout.0,
    }
}

fn keep_warm(config: &config::KeepWarm) -> (Upkeep, KeepWarmPolicy) {
    let policy = KeepWarmPolicy {
        idle: config.idle.0,
        every: config.every.0,
        tolerance: config.tolerance,
        ..KeepWarmPolicy::default()
    };
    (config.mode, policy)
}

fn drift(config: &config::Drift) -> (Upkeep, DriftPolicy) {
    let policy = DriftPolicy {
        share: config.share,
        at_least: config.at_least,
        ..DriftPolicy::default()
    };
    (config.mode, policy)
}

fn load_test(load: &config::SyntheticLoad) -> Option<LoadTest> {
    let concurrency = load.concurrency.max(1);
    (load.requests > 0).then_some(LoadTest {
        requests: load.requests,
        concurrency,
    })
}

/// Shared by everything that serves.
pub type SharedSettings = Arc<Settings>;

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
        ] {
            assert_eq!(default_name(source), name, "{source}");
        }
    }

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
        let cache = std::path::Path::new("/cache");
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
    fn addresses_of_every_family() {
        assert_eq!(address("127.0.0.1", 80), "127.0.0.1:80");
        assert_eq!(address("::1", 80), "[::1]:80");
    }
}
