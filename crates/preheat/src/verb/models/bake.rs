//! `preheat models bake`: a model and its artefacts in a directory of their own.

use std::path::Path;
use std::process::ExitCode;

use preheat_core::{Failure, FailureKind};
use preheat_engine::bake;
use preheat_server::human;

use super::pull::{self, Pulled};
use crate::cli::Configured;
use crate::exit::staged;
use crate::out::say;

const STAGE: &str = "models bake";

pub fn run(dir: &Path, args: &Configured) -> Result<ExitCode, Failure> {
    let Pulled { settings, fetched } = pull::fetch(args)?;
    let Some(spec) = preheat_server::load_spec(&settings.model, &fetched) else {
        let cause = "a simulated model has no files";
        let remedy = "bake a model of the native engine";
        return Err(staged(STAGE, FailureKind::Configuration, cause, remedy));
    };
    let bytes = bake::bake(&fetched, &spec, dir)
        .map_err(|error| staged(STAGE, FailureKind::Load, error.to_string(), error.remedy()))?;
    say(&format!(
        "{}, artefacts of this CPU included",
        human::bytes(bytes)
    ));
    crate::out::print(&format!("{}\n", dir.display()))?;
    Ok(ExitCode::SUCCESS)
}
