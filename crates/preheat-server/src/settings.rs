//! What the configuration means: validated, with files read and nothing left to interpret.
//!
//! | to change | look in |
//! |---|---|
//! | what no replica can work with | `check.rs` |
//! | the model: name, cases, images | `model.rs`, `cases.rs` |
//! | its engine | `engine.rs`; others' servers: `http.rs`; pretending: `sim.rs` |
//! | front doors: addresses, keys, limits | `server.rs` |
//! | warm-up, proof, upkeep | `warmth.rs` |
//! | cache and sources | `cache.rs` |

mod cache;
mod cases;
mod check;
mod engine;
mod error;
mod http;
mod model;
mod server;
mod sim;
mod surroundings;
mod warmth;

use std::path::PathBuf;
use std::time::Duration;

use preheat_api::config::{Config, HealthIs, Upkeep};
use preheat_api::floor::MachineFloor;
use preheat_api::quantity::SizeLimit;
use preheat_core::RoundPolicy;
use preheat_core::drift::DriftPolicy;
use preheat_core::keepwarm::KeepWarmPolicy;
use preheat_core::lifecycle::LifecycleSettings;
use preheat_core::proof::Criteria;
use preheat_engine::source::FetchOptions;
use preheat_runtime::cors::Origins;
use preheat_runtime::tls::TlsFiles;
use preheat_runtime::{DrainLimits, EdgeConfig};

pub use engine::{ArtefactSettings, EngineSettings, NativeSettings, OnnxSettings};
pub use error::SettingsError;
pub use http::{HttpSettings, Listens};
pub use model::{ModelSettings, PictureSettings, model_name};
pub use preheat_runtime::keys::Keys;
pub use server::Limits;
pub use sim::SimSettings;
pub use surroundings::Surroundings;
pub use warmth::LoadTest;

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
    pub cors_origins: Origins,
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

impl Settings {
    /// Reads what the configuration points to and checks that it can be done.
    ///
    /// # Errors
    /// [`SettingsError`] names the key, what is wrong with it, and what to do.
    pub fn resolve(config: &Config, around: &Surroundings) -> Result<Self, SettingsError> {
        let own = config.model.first().map(|model| config.of(model));
        let config = own.as_ref().unwrap_or(config);
        check::check(config)?;
        let cache = match config.cache.dir.as_str() {
            "" => around.cache_dir.clone(),
            dir => PathBuf::from(dir),
        };
        let listens = &config.server;
        Ok(Settings {
            floor: cache::floor(&cache),
            model: model::model(config, &cache, around)?,
            fetch: cache::fetch(config, cache, around),
            http: server::address(&listens.host, listens.port),
            grpc: server::address(&listens.host, listens.grpc_port),
            admin: listens.admin.clone(),
            edge: EdgeConfig {
                header_timeout: listens.header_timeout.0,
                idle_timeout: listens.idle_timeout.0,
                max_connections: listens.max_connections,
                ..EdgeConfig::default()
            },
            tls_files: server::tls_files(&config.auth.tls)?,
            max_body: usize::try_from(listens.max_body.0).unwrap_or(usize::MAX),
            body_timeout: listens.body_timeout.0,
            health_is: listens.health_is,
            cors_origins: server::origins(&listens.cors_origins)?,
            api_keys: server::keys("auth.api_keys_file", &config.auth.api_keys_file)?,
            admin_keys: server::keys("auth.admin_keys_file", &config.auth.admin_keys_file)?,
            limits: server::limits(&config.limits),
            memory_limit: match config.memory.limit {
                SizeLimit::Auto => None,
                SizeLimit::Bytes(size) => Some(size.0),
            },
            rounds: warmth::rounds(&config.warmup),
            criteria: warmth::criteria(config),
            lifecycle: warmth::lifecycle(&config.warmup),
            load: warmth::load_test(&config.warmup.load),
            keep_warm: warmth::keep_warm(&config.keepwarm),
            drift: warmth::drift(&config.drift),
            drain: DrainLimits {
                settle: config.drain.delay.0,
                timeout: config.drain.timeout.0,
            },
        })
    }
}
