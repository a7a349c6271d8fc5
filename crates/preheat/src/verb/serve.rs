//! `preheat serve`: one replica, until it is told to leave.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use preheat_api::config::LogFormat;
use preheat_core::lifecycle::Exit;
use preheat_core::{Failure, FailureKind};
use preheat_runtime::guardian::Ward;
use preheat_runtime::{memory, priority};

use super::process;
use crate::cli::ServeArgs;
use crate::config::Effective;
use crate::exit::failure;
use crate::progress::{self, Progress};

pub fn run(args: &ServeArgs, started: Instant) -> Result<ExitCode, Failure> {
    if args.behind {
        // Before there is any other thread.
        priority::step_behind();
    }
    let effective = process::effective(&args.configured)?;
    let is_shown = process::is_shown(&effective);
    let ward = ward(args, effective.config.fleet.adopt_within.0);
    replica(effective, started, is_shown, ward)
}

/// One replica with this configuration, to its end. `ward`: the gateway that it belongs to.
pub fn replica(
    effective: Effective,
    started: Instant,
    is_shown: bool,
    ward: Option<Ward>,
) -> Result<ExitCode, Failure> {
    // Before there is any other thread.
    memory::share_heaps();
    let mut config = effective.config;
    let settings = process::settings(&config)?;
    if is_shown {
        config.log.level = progress::log_level();
    }
    let exit = process::run(&config, async |tasks, shutdown| {
        if let Some(ward) = ward {
            let remedy = "leave --gateway to the gateway that starts replicas";
            ward.watch(shutdown.clone())
                .map_err(|error| failure(FailureKind::Internal, error.to_string(), remedy))?;
        }
        let started = preheat_server::start(settings, started, tasks, shutdown)?;
        let mut progress = is_shown.then(|| Progress::of(started.replica()));
        let exit = tokio::select! {
            exit = started.live() => exit,
            never = progress::look_on(progress.as_mut()) => match never {},
        };
        if let Some(progress) = &mut progress {
            progress.last_look();
        }
        Ok(exit)
    })?;
    match exit {
        // On the screen it was said; in a JSON log too, and nothing else belongs there.
        Exit::Failed(failure) if !is_shown && config.log.format == LogFormat::Text => Err(failure),
        exit => Ok(ExitCode::from(exit.code())),
    }
}

/// Whom a replica of a gateway belongs to.
fn ward(args: &ServeArgs, patience: Duration) -> Option<Ward> {
    let gateway = args.gateway.as_ref()?;
    let own = args.configured.config.as_ref()?.parent()?;
    Some(Ward {
        lock: gateway.join(preheat_gateway::LOCK),
        owner: own.join(preheat_gateway::OWNER),
        patience,
    })
}
