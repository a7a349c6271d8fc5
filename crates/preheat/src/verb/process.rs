//! What the verbs that run a model have in common: configuration, runtime, telemetry, signals.

use std::io::{IsTerminal, stderr};
use std::time::Duration;

use preheat_api::Config;
use preheat_api::config::{EngineKind, LogFormat, Model};
use preheat_core::{Failure, FailureKind};
use preheat_runtime::telemetry::{self, OtlpConfig, Telemetry, TelemetryConfig};
use preheat_runtime::{Shutdown, Tasks, signals, tls};
use preheat_server::Settings;
use tokio::runtime::{Builder, Runtime};

use crate::cli::Configured;
use crate::config::{self, Effective};
use crate::exit::{configuration, failure, from_config, from_settings, staged};
use crate::{surroundings, terminal};

/// Time to send the last traces.
const LAST_TRACES: Duration = Duration::from_secs(2);

pub fn effective(args: &Configured) -> Result<Effective, Failure> {
    let (file, model) = (args.config.as_deref(), args.model.as_deref());
    config::resolve(file, model, &args.flags, surroundings::var)
        .map_err(|error| from_config(&error))
}

pub fn settings(config: &Config) -> Result<Settings, Failure> {
    let is_ours = |model: &Model| model.engine != EngineKind::Http;
    if config.model.iter().any(is_ours) {
        surroundings::without_telemetry();
    }
    Settings::resolve(config, &surroundings::read()).map_err(|error| from_settings(&error))
}

/// What is said of a variable that nobody reads.
pub fn no_setting(variable: &str) -> String {
    format!(
        "${variable} is no setting and changes nothing: `preheat serve --help` names those that are"
    )
}

/// Whether a start is shown as a block on the terminal. Who asks for logs gets logs.
pub fn is_shown(effective: &Effective) -> bool {
    effective.config.log.format == LogFormat::Text
        && !effective.origins.contains_key("log.level")
        && terminal::is_live(&stderr())
}

/// Runs `work` with everything that a process with a model needs around it.
pub fn run<T>(
    config: &Config,
    work: impl AsyncFnOnce(Tasks, Shutdown) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let runtime = runtime()?;
    let result = runtime.block_on(async {
        let telemetry = start_telemetry(config)?;
        for name in surroundings::strangers() {
            tracing::warn!(event = "unknown_variable", "{}", no_setting(&name));
        }
        let tasks = Tasks::new();
        let shutdown = Shutdown::new();
        signals::install(&tasks, &shutdown).map_err(|error| {
            let remedy = "raise the limit on open files";
            failure(FailureKind::Internal, error.to_string(), remedy)
        })?;
        let result = work(tasks, shutdown).await;
        telemetry.shutdown(LAST_TRACES).await;
        result
    });
    // Threads of engines that hang must not keep the process.
    runtime.shutdown_background();
    result
}

/// The wish to stop, for a verb that puts something in order before it ends. Call it on the runtime.
pub fn interrupted(stage: &'static str) -> Result<Shutdown, Failure> {
    let shutdown = Shutdown::new();
    let installed = signals::install(&Tasks::new(), &shutdown);
    installed.map_err(|error| {
        let remedy = "raise the limit on open files";
        staged(stage, FailureKind::Internal, error.to_string(), remedy)
    })?;
    Ok(shutdown)
}

/// A runtime for a verb that talks to others.
pub fn runtime() -> Result<Runtime, Failure> {
    tls::install_default_provider();
    Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| {
            let remedy = "raise the limit on threads";
            failure(FailureKind::Internal, error.to_string(), remedy)
        })
}

fn start_telemetry(config: &Config) -> Result<Telemetry, Failure> {
    let log = &config.log;
    let telemetry = TelemetryConfig {
        format: match log.format {
            LogFormat::Text => telemetry::LogFormat::Text,
            LogFormat::Json => telemetry::LogFormat::Json,
        },
        filter: log.level.clone(),
        colour: !surroundings::no_color() && stderr().is_terminal(),
        otlp: (!log.otlp_endpoint.is_empty()).then(|| OtlpConfig {
            endpoint: log.otlp_endpoint.clone(),
            service_name: log.service_name.clone(),
            headers: Vec::new(),
        }),
    };
    telemetry::init(&telemetry).map_err(|error| {
        let remedy = "correct log.level (RUST_LOG) or log.otlp_endpoint";
        configuration(error.to_string(), remedy)
    })
}
