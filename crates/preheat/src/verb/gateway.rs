//! `preheat gateway`: replicas of this machine behind one door, until it is told to leave.

use std::process::ExitCode;
use std::time::Instant;

use preheat_api::Config;
use preheat_api::config::LogFormat;
use preheat_core::lifecycle::Exit;
use preheat_core::{Failure, FailureKind};
use preheat_gateway::{Settings, SettingsError, Surroundings};
use preheat_server::settings::model_name;

use super::process;
use crate::cli::Configured;
use crate::exit::{configuration, failure};
use crate::surroundings;

pub fn run(args: &Configured, started: Instant) -> Result<ExitCode, Failure> {
    let config = process::effective(args)?.config;
    let settings = settings(&config)?;
    let exit = process::run(&config, async |tasks, shutdown| {
        let gateway = preheat_gateway::start(settings, started, tasks, shutdown)?;
        Ok(gateway.live().await)
    })?;
    match exit {
        Exit::Failed(failure) if config.log.format == LogFormat::Text => Err(failure),
        exit => Ok(ExitCode::from(exit.code())),
    }
}

/// What the configuration means for a gateway and for each of its replicas.
pub fn settings(config: &Config) -> Result<Settings, Failure> {
    let program = std::env::current_exe().map_err(|error| {
        let cause = format!("this program cannot be found again: {error}");
        failure(FailureKind::Internal, cause, "start it by its full path")
    })?;
    let around = Surroundings {
        program,
        run_dir: surroundings::run_dir(),
    };
    let names: Vec<_> = config.model.iter().map(model_name).collect();
    let settings = Settings::resolve(config, &names, &around).map_err(|error| refused(&error))?;
    // What no replica could be started with is told now, and not by each of them.
    for service in &settings.services {
        process::settings(&service.local.config)?;
    }
    Ok(settings)
}

fn refused(error: &SettingsError) -> Failure {
    configuration(error.to_string(), error.remedy)
}
