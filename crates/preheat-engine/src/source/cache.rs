//! The models kept on this machine.
//!
//! ```text
//! <cache>/models/<key>/    a complete model and its manifest.json; appears by one rename
//! <cache>/partial/<key>/   a fetch under way or broken off; kept, so that the next one goes on
//! <cache>/locks/<key>      held by the process that fetches or removes the model
//! ```
//!
//! Owns this layout. Never touches the network, and never looks inside a model's files.

mod lock;
mod manifest;
mod staging;

pub(super) use lock::Lock;
pub(super) use staging::Staging;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::error::FetchError;
use super::files::{self, FileFacts};
use super::{Fetched, Progress, SourceRef};
use crate::digest;
use manifest::Manifest;

/// A model in the cache, as `preheat models list` shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CachedModel {
    /// Unique in this cache; a name for [`remove`].
    pub key: String,
    /// As it was asked for.
    pub requested: String,
    /// What served it.
    pub source: String,
    pub revision: String,
    pub bytes: u64,
    pub dir: PathBuf,
    pub files: Vec<FileFacts>,
}

/// The complete models of this cache, by key. A cache that does not exist is empty.
///
/// # Errors
/// When the directory is there and cannot be read.
pub fn list(cache: &Path) -> Result<Vec<CachedModel>, FetchError> {
    let models = cache.join("models");
    let entries = match fs::read_dir(&models) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(FetchError::io("read", &models, error)),
    };
    let mut found = Vec::new();
    for entry in entries {
        let dir = entry
            .map_err(|error| FetchError::io("read", &models, error))?
            .path();
        if let Some(manifest) = Manifest::read(&dir)? {
            found.push(CachedModel {
                key: dir
                    .file_name()
                    .unwrap_or_default()
                    .to_string_lossy()
                    .into_owned(),
                requested: manifest.requested,
                source: manifest.source,
                revision: manifest.revision,
                bytes: manifest
                    .files
                    .iter()
                    .fold(0, |sum, file| sum.saturating_add(file.bytes)),
                dir,
                files: manifest.files,
            });
        }
    }
    found.sort_by(|a, b| a.key.cmp(&b.key));
    Ok(found)
}

/// Removes every model of that name, and what broken transfers of it have left; returns the models.
/// A name is a key, a source as it was asked for or as it was served, or a name of the catalogue. A
/// server that has the model loaded keeps its files until it ends.
///
/// # Errors
/// [`FetchError::NotCached`] when there is nothing, [`FetchError::Locked`] while it is being fetched.
pub fn remove(cache: &Path, name: &str) -> Result<Vec<CachedModel>, FetchError> {
    let mut keys = keys_of(name);
    let mut models = list(cache)?;
    models.retain(|model| {
        model.requested == name || model.source == name || keys.contains(&model.key)
    });
    keys.retain(|key| cache.join("partial").join(key).is_dir());
    keys.extend(models.iter().map(|model| model.key.clone()));
    if keys.is_empty() {
        return Err(FetchError::NotCached {
            name: name.to_owned(),
        });
    }
    for key in keys {
        let slot = Slot::with_key(cache, key, name.to_owned());
        let lock = slot.try_lock()?;
        slot.stage(lock)?.retire()?;
    }
    Ok(models)
}

/// Reads every byte of a cached model and compares it with what was fetched.
///
/// # Errors
/// [`FetchError::Checksum`] or [`FetchError::Size`] names the first file that differs.
pub fn verify(dir: &Path) -> Result<(), FetchError> {
    let manifest = Manifest::read(dir)?.ok_or_else(|| FetchError::NotCached {
        name: dir.display().to_string(),
    })?;
    for file in manifest.files {
        let path = dir.join(&file.name);
        let (bytes, sha256) =
            digest::of_file(&path).map_err(|error| FetchError::io("read", &path, error))?;
        check(&path.display().to_string(), &file, bytes, &sha256)?;
    }
    Ok(())
}

fn check(name: &str, expected: &FileFacts, bytes: u64, sha256: &str) -> Result<(), FetchError> {
    if bytes != expected.bytes {
        return Err(FetchError::Size {
            file: name.to_owned(),
            expected: expected.bytes,
            actual: bytes,
        });
    }
    if sha256 != expected.sha256 {
        return Err(FetchError::Checksum {
            file: name.to_owned(),
            expected: expected.sha256.clone(),
            actual: sha256.to_owned(),
        });
    }
    Ok(())
}

/// The keys that a name of the user's may stand for.
fn keys_of(name: &str) -> Vec<String> {
    match SourceRef::parse(name) {
        Ok(SourceRef::Catalogue(entry)) => entry
            .origins
            .iter()
            .filter_map(|origin| SourceRef::parse(origin.source).ok())
            .map(|origin| key(&origin))
            .collect(),
        Ok(source) => vec![key(&source)],
        Err(_) if is_key(name) => vec![name.to_owned()],
        Err(_) => Vec::new(),
    }
}

/// It becomes a part of paths.
fn is_key(name: &str) -> bool {
    !name.starts_with('.')
        && !name.is_empty()
        && name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "._-".contains(c))
}

/// Readable, a legal file name, and different for different sources: the digest covers the parts
/// of a URL that must not be shown.
fn key(source: &SourceRef) -> String {
    let full = match source {
        SourceRef::Https(url) | SourceRef::Bucket(url) => url.to_string(),
        other => other.to_string(),
    };
    let mut readable: String = source
        .to_string()
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() || "._".contains(c) {
                c
            } else {
                '-'
            }
        })
        .collect();
    readable.truncate(64);
    format!("{readable}-{}", &digest::of_bytes(full.as_bytes())[..8])
}

/// The place of one source's model in the cache.
pub(super) struct Slot {
    cache: PathBuf,
    key: String,
    requested: String,
}

impl Slot {
    pub(super) fn of(cache: &Path, source: &SourceRef) -> Self {
        Slot::with_key(cache, key(source), source.to_string())
    }

    fn with_key(cache: &Path, key: String, requested: String) -> Self {
        Slot {
            cache: cache.to_owned(),
            key,
            requested,
        }
    }

    fn dir(&self) -> PathBuf {
        self.cache.join("models").join(&self.key)
    }

    /// The model, when it is here and whole. Sizes are compared, contents are not: this is on the
    /// way of every start, [`verify`] is there for the doubtful.
    pub(super) fn open(
        &self,
        pins: &[(&'static str, &'static str)],
    ) -> Result<Option<Fetched>, FetchError> {
        let dir = self.dir();
        let Some(manifest) = Manifest::read(&dir)? else {
            return Ok(None);
        };
        let is_whole = manifest.files.iter().all(|file| {
            fs::metadata(dir.join(&file.name)).is_ok_and(|found| found.len() == file.bytes)
        });
        if !is_whole || !files::agree(&manifest.files, pins) {
            tracing::warn!(dir = %dir.display(), "the cached model is damaged and not used");
            return Ok(None);
        }
        Ok(Some(Fetched {
            dir,
            revision: manifest.revision,
            source: manifest.source,
            files: manifest.files,
            bytes_fetched: 0,
            cached: true,
        }))
    }

    pub(super) async fn lock(
        &self,
        wait: Duration,
        progress: &dyn Progress,
    ) -> Result<Lock, FetchError> {
        lock::acquire(&self.lock_path()?, &self.requested, wait, progress).await
    }

    fn try_lock(&self) -> Result<Lock, FetchError> {
        lock::try_acquire(&self.lock_path()?)?.ok_or_else(|| FetchError::Locked {
            model: self.requested.clone(),
            waited: Duration::ZERO,
        })
    }

    fn lock_path(&self) -> Result<PathBuf, FetchError> {
        let locks = self.cache.join("locks");
        create_dir(&locks)?;
        Ok(locks.join(&self.key))
    }

    /// A place to bring the files to, that of an earlier attempt if there was one.
    pub(super) fn stage(self, lock: Lock) -> Result<Staging, FetchError> {
        let partial = self.cache.join("partial").join(&self.key);
        Staging::open(partial, self.dir(), self.requested, lock)
    }
}

pub(super) fn create_dir(dir: &Path) -> Result<(), FetchError> {
    fs::create_dir_all(dir).map_err(|error| FetchError::write(&dir.join("."), 0, error))
}
