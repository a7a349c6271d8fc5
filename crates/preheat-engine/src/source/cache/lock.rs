//! One process at a time fetches or removes a model. The lock is the kernel's, on an open file: it
//! ends with its process, whatever ends that. The file stays, for removing it would let two
//! processes lock two files of one name.

use std::fs::{File, OpenOptions, TryLockError};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::source::{FetchError, Progress};

const POLL: Duration = Duration::from_millis(100);

/// Held as long as a copy of it lives: work that outlives a dropped fetch by a moment (a write on
/// a blocking thread) keeps one.
#[derive(Debug, Clone)]
pub(in crate::source) struct Lock {
    _file: Arc<File>,
}

pub(super) async fn acquire(
    path: &Path,
    model: &str,
    wait: Duration,
    progress: &dyn Progress,
) -> Result<Lock, FetchError> {
    let start = Instant::now();
    let mut told = false;
    loop {
        if let Some(lock) = try_acquire(path)? {
            return Ok(lock);
        }
        if start.elapsed() >= wait {
            return Err(FetchError::Locked {
                model: model.to_owned(),
                waited: wait,
            });
        }
        if !told {
            progress.waiting(&format!("another process is fetching {model}"));
            told = true;
        }
        // The kernel can wait for a lock, but not for a limited time.
        sleep(POLL).await;
    }
}

pub(super) fn try_acquire(path: &Path) -> Result<Option<Lock>, FetchError> {
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(path)
        .map_err(|error| FetchError::io("open", path, error))?;
    match file.try_lock() {
        Ok(()) => Ok(Some(Lock {
            _file: Arc::new(file),
        })),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(FetchError::io("lock", path, error)),
    }
}
