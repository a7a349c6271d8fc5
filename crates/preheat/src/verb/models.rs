//! `preheat models`: what is in the cache, into it, out of it.

mod artefacts;
mod bake;
mod pull;
mod verify;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use preheat_core::{Failure, FailureKind};
use preheat_engine::source::{self, CachedModel, FetchError};
use preheat_engine::store::Artefact;
use preheat_server::human;
use serde_json::{Value, json};

use crate::cli::{CacheArgs, ModelsArgs, ModelsVerb};
use crate::config;
use crate::exit::{from_config, staged};
use crate::out::say;
use crate::table::{Column, Table, plain};
use crate::terminal::columns;
use crate::{out, surroundings};

pub use pull::fetch as fetched;

/// Digits of a revision that tell it from others.
const SHORT: usize = 12;

pub fn run(args: &ModelsArgs) -> Result<ExitCode, Failure> {
    match &args.what {
        ModelsVerb::List { cache, json } => list(&dir(cache)?, *json),
        ModelsVerb::Pull { configured } => pull::run(configured),
        ModelsVerb::Bake { dir, configured } => bake::run(dir, configured),
        ModelsVerb::Verify { cache } => verify::run(&dir(cache)?),
        ModelsVerb::Rm { name, cache } => remove(&dir(cache)?, name),
    }
}

/// Where the flag, the variable or the file says, else where models are kept by default.
fn dir(args: &CacheArgs) -> Result<PathBuf, Failure> {
    if let Some(dir) = &args.cache_dir {
        return Ok(dir.clone());
    }
    let flags = config::Flags::default();
    let effective = config::resolve(args.config.as_deref(), None, &flags, surroundings::var)
        .map_err(|error| from_config(&error))?;
    Ok(match effective.config.cache.dir.as_str() {
        "" => surroundings::cache_dir(),
        dir => dir.into(),
    })
}

fn list(cache: &Path, json: bool) -> Result<ExitCode, Failure> {
    let models = source::list(cache).map_err(|error| failed("models list", &error))?;
    let artefacts = artefacts::list(cache)?;
    if json {
        let with_artefacts = |model| as_json(model, &artefacts);
        out::json(&models.iter().map(with_artefacts).collect())?;
    } else {
        let mut tables = Vec::new();
        if !models.is_empty() {
            tables.push(as_table(&models).within(columns()));
        }
        if !artefacts.is_empty() {
            tables.push(artefacts::as_table(&artefacts, &models).within(columns()));
        }
        out::print(&tables.join("\n"))?;
    }
    if models.is_empty() {
        say_none(cache);
    }
    Ok(ExitCode::SUCCESS)
}

fn say_none(cache: &Path) {
    say(&format!(
        "no models in {}; `preheat models pull MODEL` fetches one",
        cache.display()
    ));
}

fn as_table(models: &[CachedModel]) -> Table {
    let mut table = Table::new([
        Column::Left("name"),
        Column::Left("asked for as"),
        Column::Left("revision"),
        Column::Right("size"),
    ]);
    for model in models {
        let revision: String = model.revision.chars().take(SHORT).collect();
        table.row([
            &model.key,
            &model.requested,
            &revision,
            &human::bytes(model.bytes),
        ]);
    }
    table
}

fn as_json(model: &CachedModel, artefacts: &[Artefact]) -> Value {
    let file = |file: &source::FileFacts| json!({ "name": file.name, "bytes": file.bytes, "sha256": file.sha256 });
    json!({
        "name": model.key,
        "requested": model.requested,
        "source": model.source,
        "revision": model.revision,
        "bytes": model.bytes,
        "dir": model.dir,
        "files": model.files.iter().map(file).collect::<Vec<_>>(),
        "artefacts": artefacts::of(model, artefacts).map(artefacts::as_json).collect::<Vec<_>>(),
    })
}

fn remove(cache: &Path, name: &str) -> Result<ExitCode, Failure> {
    let removed = source::remove(cache, name).map_err(|error| failed("models rm", &error))?;
    let lines = removed.iter().map(|model| {
        let (key, size) = (plain(&model.key), human::bytes(model.bytes));
        format!("removed {key}, {size}\n")
    });
    out::print(&lines.collect::<String>())?;
    if removed.is_empty() {
        say("removed what a broken transfer had left");
    }
    Ok(ExitCode::SUCCESS)
}

fn failed(stage: &'static str, error: &FetchError) -> Failure {
    staged(
        stage,
        FailureKind::NotFetched,
        error.chain(),
        error.remedy(),
    )
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::*;

    #[test]
    fn models_and_artefacts_fit_the_terminal() {
        let model = CachedModel {
            key: "hf-sentence-transformers-all-MiniLM-L6-v2-1f7c".into(),
            requested: "hf:sentence-transformers/all-MiniLM-L6-v2".into(),
            source: "https://hub.example".into(),
            revision: "c9745ed1d9f207416be6d2e6f8de32d1f16199bf".into(),
            bytes: 91_335_000,
            dir: "/cache/models/one".into(),
            files: Vec::new(),
        };
        let artefacts = [Artefact {
            path: "/cache/artefacts/one.packed".into(),
            kind: "weights",
            made_from: None,
            bytes: 43_000_000,
            used: SystemTime::now() + Duration::from_secs(60),
            in_use: false,
        }];
        let models = [model];
        for width in [60, 80, 120] {
            let tables = [as_table(&models), artefacts::as_table(&artefacts, &models)];
            let text = tables.map(|table| table.within(Some(width))).join("\n");
            insta::assert_snapshot!(format!("models_in_{width}_columns"), text);
        }
    }
}
