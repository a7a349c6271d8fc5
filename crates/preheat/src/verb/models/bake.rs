//! `preheat models bake`: a model and its artefacts in a directory of their own.

use std::fs;
use std::path::Path;
use std::process::ExitCode;

use preheat_core::{Failure, FailureKind};
use preheat_engine::bake::{self, BakeError};
use preheat_engine::prepare::{Part, PartState};
use preheat_server::human;

use super::pull::{self, Pulled};
use crate::cli::Configured;
use crate::exit::staged;
use crate::out::say;

const STAGE: &str = "models bake";

pub fn run(dir: &Path, args: &Configured) -> Result<ExitCode, Failure> {
    // Before anything is fetched for it.
    if fs::read_dir(dir).is_ok_and(|mut there| there.next().is_some()) {
        let path = dir.to_owned();
        return Err(failed(&BakeError::NotEmpty { path }));
    }
    let (Pulled { settings, fetched }, library) = pull::fetch_to_run(args)?;
    let Some(spec) = preheat_server::model_spec(&settings.model, &fetched, library) else {
        let cause = "this engine loads no file that could be baked";
        let remedy = "bake a model of the native engine, or an ONNX file";
        return Err(staged(STAGE, FailureKind::Configuration, cause, remedy));
    };
    let written = bake::bake(&fetched, &spec, dir).map_err(|error| failed(&error))?;
    pull::say_what_is_not(&written.parts);
    let bytes = human::bytes(written.bytes);
    say(&match &made(&written.parts)[..] {
        [] => format!("{bytes}, without artefacts"),
        made => format!("{bytes}, with {} for this CPU", made.join(" and ")),
    });
    crate::out::print(&format!("{}\n", dir.display()))?;
    Ok(ExitCode::SUCCESS)
}

fn failed(error: &BakeError) -> Failure {
    staged(STAGE, FailureKind::Load, error.to_string(), error.remedy())
}

fn made(parts: &[Part]) -> Vec<&'static str> {
    let is_there = |part: &&Part| !matches!(part.state, PartState::Not { .. });
    parts
        .iter()
        .filter(is_there)
        .map(|part| part.what)
        .collect()
}
