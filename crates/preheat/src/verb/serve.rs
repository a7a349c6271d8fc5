//! `preheat serve`: one replica, until it is told to leave.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use preheat_api::Config;
use preheat_api::config::LogFormat;
use preheat_core::{Failure, FailureKind};
use preheat_runtime::telemetry::{self, OtlpConfig, TelemetryConfig};
use preheat_runtime::{Shutdown, Tasks, signals};
use preheat_server::Settings;

use crate::cli::Configured;
use crate::config::{self, Effective};
use crate::exit::{configuration, failure, from_config, from_settings};
use crate::surroundings;

/// Time to send the last traces.
const LAST_TRACES: Duration = Duration::from_secs(2);

pub fn run(args: &Configured, started: Instant) -> Result<ExitCode, Failure> {
    let Effective { config, .. } = effective(args)?;
    let settings = settings(&config)?;
    let runtime = runtime()?;
    let exit = runtime.block_on(async {
        let telemetry = start_telemetry(&config)?;
        let tasks = Tasks::new();
        let shutdown = Shutdown::new();
        signals::install(&tasks, &shutdown).map_err(|error| {
            failure(
                FailureKind::Internal,
                error.to_string(),
                "raise the limit on open files",
            )
        })?;
        let exit = preheat_server::run(settings, started, tasks, shutdown).await;
        telemetry.shutdown(LAST_TRACES).await;
        exit
    });
    // Threads of engines that hang must not keep the process.
    runtime.shutdown_background();
    Ok(ExitCode::from(exit?.code()))
}

pub fn effective(args: &Configured) -> Result<Effective, Failure> {
    config::resolve(
        args.config.as_deref(),
        args.model.as_deref(),
        &args.flags,
        surroundings::var,
    )
    .map_err(|error| from_config(&error))
}

pub fn settings(config: &Config) -> Result<Settings, Failure> {
    Settings::resolve(config, &surroundings::read()).map_err(|error| from_settings(&error))
}

pub fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| {
            failure(
                FailureKind::Internal,
                error.to_string(),
                "raise the limit on threads",
            )
        })
}

pub fn start_telemetry(config: &Config) -> Result<telemetry::Telemetry, Failure> {
    let log = &config.log;
    let telemetry = TelemetryConfig {
        format: match log.format {
            LogFormat::Text => telemetry::LogFormat::Text,
            LogFormat::Json => telemetry::LogFormat::Json,
        },
        filter: log.level.clone(),
        colour: !surroundings::no_color() && std::io::IsTerminal::is_terminal(&std::io::stderr()),
        otlp: (!log.otlp_endpoint.is_empty()).then(|| OtlpConfig {
            endpoint: log.otlp_endpoint.clone(),
            service_name: log.service_name.clone(),
            headers: Vec::new(),
        }),
    };
    telemetry::init(&telemetry).map_err(|error| {
        configuration(
            error.to_string(),
            "correct log.level (RUST_LOG) or log.otlp_endpoint",
        )
    })
}
