//! Keeps the store within its size: the artefact that was used longest ago goes first, and none
//! that a process has mapped.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::Kind;

/// A seal is dated when its artefact is used; the artefact itself must keep its own dates.
pub(super) fn note_use(seal: &Path) {
    if let Ok(seal) = File::options().append(true).open(seal) {
        let _ = seal.set_modified(SystemTime::now());
    }
}

/// When it was used last, as far as anyone knows.
pub(super) fn last_use(file: &Path) -> SystemTime {
    let dated = |path: &Path| fs::metadata(path).and_then(|facts| facts.modified()).ok();
    let seal = file.with_extension("seal");
    dated(&seal)
        .or_else(|| dated(file))
        .unwrap_or(SystemTime::UNIX_EPOCH)
}

/// The artefacts of a directory.
pub(super) fn files(dir: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if Kind::of(&path).is_some() {
            found.push(path);
        }
    }
    Ok(found)
}

/// Never fails: a store that stays too large costs disk, and the next one that is made tries again.
pub(super) fn evict(dir: &Path, limit: u64) {
    let Ok(files) = files(dir) else { return };
    let size = |path: &PathBuf| fs::metadata(path).map_or(0, |facts| facts.len());
    let mut total: u64 = files.iter().map(size).sum();
    let mut oldest: Vec<_> = files.iter().map(|path| (last_use(path), path)).collect();
    oldest.sort();
    for (_, path) in oldest {
        if total <= limit {
            return;
        }
        let bytes = size(path);
        if remove(path) {
            total -= bytes;
            tracing::info!(artefact = %path.display(), bytes, "removed to keep the store within its size");
        }
    }
}

/// Whether it is gone now. Whoever has it mapped holds a shared lock on it.
fn remove(path: &Path) -> bool {
    let Ok(file) = File::open(path) else {
        return false;
    };
    if file.try_lock().is_err() || fs::remove_file(path).is_err() {
        return false;
    }
    let _ = fs::remove_file(path.with_extension("seal"));
    let _ = fs::remove_file(path.with_extension("note"));
    true
}

/// Whether a process has it mapped.
pub(super) fn is_in_use(path: &Path) -> bool {
    File::open(path).is_ok_and(|file| file.try_lock().is_err())
}
