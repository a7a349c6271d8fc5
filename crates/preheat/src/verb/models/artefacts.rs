//! The artefacts in the cache, and which model each was made from.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use preheat_core::{Failure, FailureKind};
use preheat_engine::source::CachedModel;
use preheat_engine::store::{self, Artefact};
use preheat_server::human;
use serde_json::{Value, json};

use crate::exit::staged;
use crate::table::{Column, Table};

pub fn dir(cache: &Path) -> PathBuf {
    cache.join("artefacts")
}

pub fn list(cache: &Path) -> Result<Vec<Artefact>, Failure> {
    let dir = dir(cache);
    store::list(&dir).map_err(|error| {
        let cause = format!("{} cannot be read: {error}", dir.display());
        let remedy = "check its permissions";
        staged("models list", FailureKind::NotFetched, cause, remedy)
    })
}

/// Those that say that they were made from a file of this model.
pub fn of<'a>(
    model: &'a CachedModel,
    artefacts: &'a [Artefact],
) -> impl Iterator<Item = &'a Artefact> {
    artefacts.iter().filter(|artefact| is_of(artefact, model))
}

fn is_of(artefact: &Artefact, model: &CachedModel) -> bool {
    let Some(made_from) = &artefact.made_from else {
        return false;
    };
    let mut digests = model.files.iter().map(|file| &file.sha256);
    digests.any(|sha256| !sha256.is_empty() && made_from.contains(&sha256[..]))
}

pub fn as_table(artefacts: &[Artefact], models: &[CachedModel]) -> Table {
    let mut table = Table::new([
        Column::Left("artefact"),
        Column::Left("of"),
        Column::Right("size"),
        Column::Right("used"),
    ]);
    for artefact in artefacts {
        let model = models.iter().find(|model| is_of(artefact, model));
        let used = match artefact.in_use {
            true => "now".to_owned(),
            false => format!("{} ago", human::age(since(artefact.used))),
        };
        table.row([
            artefact.kind,
            model.map_or("a model outside of the cache", |model| &model.key),
            &human::bytes(artefact.bytes),
            &used,
        ]);
    }
    table
}

fn since(used: SystemTime) -> std::time::Duration {
    SystemTime::now().duration_since(used).unwrap_or_default()
}

pub fn as_json(artefact: &Artefact) -> Value {
    json!({
        "kind": artefact.kind,
        "path": artefact.path,
        "bytes": artefact.bytes,
        "made_from": artefact.made_from,
        "in_use": artefact.in_use,
        "used_seconds_ago": since(artefact.used).as_secs(),
    })
}
