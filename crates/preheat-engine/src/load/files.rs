//! Which files a model directory has, and reading the JSON ones. Never looks at weights.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::LoadError;
use crate::file::{self, CONFIG_MB, INDEX_MB};

/// The first one that is there is loaded.
pub(crate) const WEIGHTS: [&str; 4] = [
    "model.safetensors",
    "pytorch_model.bin",
    "model.pt",
    "model.pth",
];

/// Beside weights in several files: which tensor is in which.
pub(crate) const INDEX: &str = "model.safetensors.index.json";

/// Paths inside one model directory. Required ones were there when it was looked at.
#[derive(Debug)]
pub(super) struct ModelFiles {
    pub(super) dir: PathBuf,
    pub(super) config: PathBuf,
    pub(super) tokenizer: PathBuf,
    /// One, or the parts of which an index tells.
    pub(super) weights: Vec<PathBuf>,
}

impl ModelFiles {
    pub(super) fn find(dir: &Path) -> Result<Self, LoadError> {
        fs::read_dir(dir).map_err(|source| LoadError::Directory {
            path: dir.to_owned(),
            source,
        })?;
        let required = |name: &str| {
            let path = dir.join(name);
            match path.is_file() {
                true => Ok(path),
                false => Err(LoadError::MissingFile { path }),
            }
        };
        let weights = weights(dir)?;
        let weights = weights.iter().map(|name| required(name));
        Ok(ModelFiles {
            weights: weights.collect::<Result<_, _>>()?,
            config: required("config.json")?,
            tokenizer: required("tokenizer.json")?,
            dir: dir.to_owned(),
        })
    }
}

/// The files of a directory that its weights are in, by name and in order: the best kind that is there
/// as a whole. One whose parts are missing is told where nothing else is there.
///
/// # Errors
/// When an index that counts cannot be read.
pub(crate) fn weights(dir: &Path) -> Result<Vec<String>, LoadError> {
    let is_there = |name: &str| dir.join(name).is_file();
    let [whole, others @ ..] = WEIGHTS;
    let other = others.into_iter().find(|name| is_there(name));
    let one = |name: &str| Ok(vec![name.to_owned()]);
    if is_there(whole) || !is_there(INDEX) {
        return one(other.filter(|_| !is_there(whole)).unwrap_or(whole));
    }
    let parts = parts(&dir.join(INDEX))?;
    match other {
        Some(other) if !parts.iter().all(|part| is_there(part)) => one(other),
        _ => Ok(parts),
    }
}

/// The files among which an index divides the weights, by name.
///
/// # Errors
/// When it cannot be read, or names none, or one outside its own directory.
pub(crate) fn parts(index: &Path) -> Result<Vec<String>, LoadError> {
    let json = Json::read(index, INDEX_MB)?;
    let map = json.value.get("weight_map").and_then(Value::as_object);
    let map = map.ok_or_else(|| json.complain("weight_map", "is missing"))?;
    let names: BTreeSet<&str> = map.values().filter_map(Value::as_str).collect();
    let is_plain = |name: &&str| name.ends_with(".safetensors") && !name.contains(['/', '\\']);
    match !names.is_empty() && names.iter().all(is_plain) {
        true => Ok(names.into_iter().map(str::to_owned).collect()),
        false => Err(json.complain("weight_map", "names no safetensors files beside it")),
    }
}

/// A file that sentence-transformers writes and plain exports lack.
pub(super) fn optional(dir: &Path, name: &str) -> Result<Option<Json>, LoadError> {
    match Json::read(&dir.join(name), CONFIG_MB) {
        Err(LoadError::MissingFile { .. }) => Ok(None),
        read => read.map(Some),
    }
}

/// A parsed JSON file that knows its path, so that every complaint names it.
#[derive(Debug)]
pub(super) struct Json {
    pub(super) path: PathBuf,
    pub(super) value: Value,
}

impl Json {
    pub(super) fn read(path: &Path, limit_mb: u64) -> Result<Self, LoadError> {
        let path = path.to_owned();
        let bytes = file::read(&path, limit_mb).map_err(|source| match source.kind() {
            io::ErrorKind::NotFound => LoadError::MissingFile { path: path.clone() },
            _ => LoadError::unread(&path, source),
        })?;
        match serde_json::from_slice(&bytes) {
            Ok(value) => Ok(Json { path, value }),
            Err(source) => Err(LoadError::Json { path, source }),
        }
    }

    /// A number that must be there and be at least one.
    pub(super) fn size(&self, field: &str) -> Result<usize, LoadError> {
        match self.value.get(field) {
            None => Err(self.complain(field, "is missing")),
            Some(value) => self.positive(field, value),
        }
    }

    /// Like [`Json::size`], but absent and null both mean none.
    pub(super) fn optional_size(&self, field: &str) -> Result<Option<usize>, LoadError> {
        match self.value.get(field) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => self.positive(field, value).map(Some),
        }
    }

    fn positive(&self, field: &str, value: &Value) -> Result<usize, LoadError> {
        value
            .as_u64()
            .and_then(|number| usize::try_from(number).ok())
            .filter(|&number| number > 0)
            .ok_or_else(|| {
                self.complain(field, &format!("is {value}, not a positive whole number"))
            })
    }

    pub(super) fn text(&self, field: &str) -> Result<&str, LoadError> {
        match self.value.get(field) {
            None => Err(self.complain(field, "is missing")),
            Some(value) => value
                .as_str()
                .ok_or_else(|| self.complain(field, &format!("is {value}, not a string"))),
        }
    }

    pub(super) fn complain(&self, field: &str, problem: &str) -> LoadError {
        LoadError::Config {
            path: self.path.clone(),
            field: field.to_owned(),
            problem: problem.to_owned(),
        }
    }
}
