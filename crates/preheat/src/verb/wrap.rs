//! `preheat wrap`: somebody else's model server behind the same gates, until told to leave. What a
//! configuration with `engine = "http"` says in full, it says in a line.

use std::process::ExitCode;
use std::time::Instant;

use preheat_api::Config;
use preheat_api::config::{EngineKind, OnFailure};
use preheat_core::Failure;

use super::{probe, process, serve};
use crate::cli::{Configured, WrapArgs};
use crate::exit::configuration;

pub fn run(args: WrapArgs, started: Instant) -> Result<ExitCode, Failure> {
    let WrapArgs {
        config,
        plan,
        flags,
        command,
    } = args;
    let configured = Configured {
        model: None,
        config,
        flags,
    };
    let mut effective = process::effective(&configured)?;
    let stated = effective.origins.contains_key("warmup.on_failure");
    let config = &mut effective.config;
    // Whoever starts a server is expected to start it again when it dies.
    if !stated {
        config.warmup.on_failure = OnFailure::Retry;
    }
    let model = only_model(config)?;
    model.engine = EngineKind::Http;
    if !command.is_empty() {
        model.http.command = command;
    }
    if let Some(plan) = plan {
        let plan = probe::written(&plan)?;
        let http = &mut model.http;
        for (own, given) in [(&mut http.preset, plan.preset), (&mut http.path, plan.path)] {
            if let (true, Some(given)) = (own.is_empty(), given) {
                *own = given;
            }
        }
        if let (true, Some(name)) = (model.name.is_empty(), plan.model) {
            model.name = name;
        }
        model.warmup.case = plan.case;
    }
    serve::replica(effective, started, false, None)
}

fn only_model(config: &mut Config) -> Result<&mut preheat_api::config::Model, Failure> {
    match config.model.as_mut_slice() {
        [model] => Ok(model),
        models => Err(configuration(
            format!("{} models are configured", models.len()),
            "a replica serves one: `preheat gateway` starts one for each",
        )),
    }
}
