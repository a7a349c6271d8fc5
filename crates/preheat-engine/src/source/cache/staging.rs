//! A model on its way into the cache. Nothing here is visible to a reader until [`Staging::publish`]
//! renames it into place, so a crash at any point leaves the cache as it was.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use super::create_dir;
use super::lock::Lock;
use super::manifest::Manifest;
use crate::source::{FetchError, Fetched, FileFacts, blocking, files};

pub(in crate::source) struct Staging {
    dir: PathBuf,
    target: PathBuf,
    requested: String,
    files: Vec<FileFacts>,
    bytes_fetched: u64,
    lock: Lock,
}

impl Staging {
    pub(super) fn open(
        dir: PathBuf,
        target: PathBuf,
        requested: String,
        lock: Lock,
    ) -> Result<Self, FetchError> {
        create_dir(&dir)?;
        Ok(Staging {
            dir,
            target,
            requested,
            files: Vec::new(),
            bytes_fetched: 0,
            lock,
        })
    }

    pub(in crate::source) fn parts(&self) -> PathBuf {
        self.dir.join("parts")
    }

    /// Where a file of the model is written before it is complete. What an earlier attempt left
    /// is still there.
    pub(in crate::source) fn part(&self, name: &str) -> Result<PathBuf, FetchError> {
        let path = self.parts().join(name);
        create_dir(path.parent().unwrap_or(&self.dir))?;
        Ok(path)
    }

    /// The next attempt starts this part anew.
    pub(in crate::source) fn forget(&self, name: &str) {
        let _ = fs::remove_file(self.parts().join(name));
    }

    /// An empty directory for whatever a tool needs on the way.
    pub(in crate::source) fn scratch(&self) -> Result<PathBuf, FetchError> {
        let dir = self.dir.join("scratch");
        remove_dir(&dir)?;
        create_dir(&dir)?;
        Ok(dir)
    }

    /// Work on another thread that writes here must keep this lock until it ends.
    pub(in crate::source) fn lock(&self) -> Lock {
        self.lock.clone()
    }

    /// This part is complete and checked: it will be a file of the model.
    pub(in crate::source) fn add(&mut self, facts: FileFacts) {
        self.files.push(facts);
    }

    pub(in crate::source) fn count(&mut self, bytes: u64) {
        self.bytes_fetched += bytes;
    }

    /// Makes the model visible, all at once.
    pub(in crate::source) async fn publish(mut self, source: &str) -> Result<Fetched, FetchError> {
        let source = source.to_owned();
        blocking(move || {
            self.files.sort_by(|a, b| a.name.cmp(&b.name));
            self.install(&source)
                .map_err(|error| self.keep_unless_full(error))?;
            self.discard();
            Ok(Fetched {
                revision: files::revision(&self.files),
                dir: self.target,
                source,
                files: self.files,
                bytes_fetched: self.bytes_fetched,
                cached: false,
            })
        })
        .await
    }

    /// What has arrived is kept for the next attempt, except on a full disk: there it is part of
    /// the trouble, and the cache is left as it was.
    pub(in crate::source) fn keep_unless_full(&self, error: FetchError) -> FetchError {
        if error.is_no_room() {
            self.discard();
        } else {
            let _ = fs::remove_dir(&self.dir); // succeeds when nothing has arrived
        }
        error
    }

    /// Takes the published model away.
    pub(super) fn retire(self) -> Result<(), FetchError> {
        self.move_aside()?;
        remove_dir(&self.dir)
    }

    fn install(&self, source: &str) -> Result<(), FetchError> {
        let models = self.target.parent().unwrap_or(&self.target);
        create_dir(models)?; // while the parts can still be continued from
        let model = self.assemble(source)?;
        self.replace(&model, models)
    }

    fn assemble(&self, source: &str) -> Result<PathBuf, FetchError> {
        let model = self.dir.join("model");
        remove_dir(&model)?;
        create_dir(&model)?;
        for file in &self.files {
            let to = model.join(&file.name);
            create_dir(to.parent().unwrap_or(&model))?;
            rename(&self.parts().join(&file.name), &to)?;
            sync_dir(to.parent().unwrap_or(&model))?;
        }
        let manifest = Manifest {
            requested: self.requested.clone(),
            source: source.to_owned(),
            revision: files::revision(&self.files),
            files: self.files.clone(),
        };
        manifest.write(&model)?;
        sync_dir(&model)?;
        Ok(model)
    }

    fn replace(&self, model: &Path, models: &Path) -> Result<(), FetchError> {
        self.move_aside()?; // a damaged one: an intact one would have been used
        rename(model, &self.target)?;
        sync_dir(models)
    }

    /// Removing a directory takes time; renaming it is one step, so no reader meets half a model.
    fn move_aside(&self) -> Result<(), FetchError> {
        let old = self.dir.join("old");
        remove_dir(&old)?;
        match fs::rename(&self.target, &old) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(FetchError::io("rename", &self.target, error)),
        }
    }

    fn discard(&self) {
        if let Err(error) = remove_dir(&self.dir) {
            tracing::warn!(error = error.chain(), "left behind by a fetch");
        }
    }
}

fn rename(from: &Path, to: &Path) -> Result<(), FetchError> {
    fs::rename(from, to).map_err(|error| FetchError::write(to, 0, error))
}

/// A rename is only as lasting as the directory that records it.
fn sync_dir(dir: &Path) -> Result<(), FetchError> {
    File::open(dir)
        .and_then(|dir| dir.sync_all())
        .map_err(|error| FetchError::io("sync", dir, error))
}

fn remove_dir(dir: &Path) -> Result<(), FetchError> {
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(FetchError::io("remove", dir, error))
        }
        _ => Ok(()),
    }
}
