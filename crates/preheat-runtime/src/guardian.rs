//! A process that is of no use without the one that started it, and how long it waits for a
//! successor of that one.
//!
//! The guardian holds a lock on a file as long as it lives; whatever way it ends, the kernel takes
//! the lock away. Whoever belongs to it waits for that with a thread that sleeps. Then it has some
//! patience: a new guardian that takes it over writes its own name into the ward's file of
//! ownership. Without that it leaves, so that nothing is ever left behind.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::{Signal, getpid, kill_process};

use crate::file;
use crate::signals::{Shutdown, Urgency};
use crate::thread;

/// Between two looks for a successor.
const LOOK: Duration = Duration::from_millis(50);

/// A name takes a line.
const LIMIT_MB: u64 = 1;

/// Wards hold the lock for a moment when they find it free.
const WARDS: Duration = Duration::from_secs(2);

/// After this a ward that was told to leave is ended.
const STUBBORN: Duration = Duration::from_secs(60);

/// The lock of a living guardian; given back by the kernel at its end.
#[derive(Debug)]
pub struct Guardian {
    _lock: File,
}

#[derive(Debug, thiserror::Error)]
pub enum GuardianError {
    #[error("{path} is held by another process")]
    Held { path: PathBuf },
    #[error("{path} cannot be locked")]
    Io { path: PathBuf, source: io::Error },
}

impl Guardian {
    /// Becomes the guardian of those who watch this file.
    ///
    /// # Errors
    /// When another one lives, or the file cannot be made.
    pub fn of(path: &Path) -> Result<Self, GuardianError> {
        let io = |source| GuardianError::Io {
            path: path.to_owned(),
            source,
        };
        let mut options = OpenOptions::new();
        let lock = options.create(true).truncate(false).write(true).read(true);
        let lock = lock.open(path).map_err(io)?;
        let deadline = Instant::now() + WARDS;
        loop {
            match lock.try_lock() {
                Ok(()) => return Ok(Guardian { _lock: lock }),
                Err(TryLockError::Error(error)) => return Err(io(error)),
                Err(TryLockError::WouldBlock) if Instant::now() >= deadline => {
                    let path = path.to_owned();
                    return Err(GuardianError::Held { path });
                }
                Err(TryLockError::WouldBlock) => sleep(LOOK / 10),
            }
        }
    }
}

/// One who belongs to a guardian.
#[derive(Debug, Clone)]
pub struct Ward {
    /// The guardian's file.
    pub lock: PathBuf,
    /// Holds the name of the guardian that it belongs to.
    pub owner: PathBuf,
    /// How long it waits for a successor.
    pub patience: Duration,
}

impl Ward {
    /// From now on this process is told to leave when nobody guards it any more.
    ///
    /// # Errors
    /// When the guardian's file is not there, or the system has no thread left.
    pub fn watch(self, shutdown: Shutdown) -> io::Result<()> {
        let lock = File::open(&self.lock)?;
        let name = file::read_text(&self.owner, LIMIT_MB)?;
        shutdown.set_guarded();
        thread::spawn_named("guardian", move || {
            self.until_alone(&lock, name);
            tracing::warn!(
                event = "orphaned",
                "nobody took this replica over: it leaves"
            );
            leave(&shutdown);
        })?;
        Ok(())
    }

    /// Returns when the guardian is gone and no other has taken its place in time.
    fn until_alone(&self, lock: &File, mut name: String) {
        // A lock that cannot be watched guards nobody.
        while lock.lock_shared().and_then(|()| lock.unlock()).is_ok() {
            match self.successor(lock, &name) {
                Some(next) => name = next,
                None => return,
            }
        }
    }

    /// The name of the guardian that has taken this one over.
    fn successor(&self, lock: &File, name: &str) -> Option<String> {
        let deadline = Instant::now() + self.patience;
        loop {
            let owner = file::read_text(&self.owner, LIMIT_MB).ok();
            if let Some(next) = owner.filter(|next| next != name)
                && is_held(lock)
            {
                return Some(next);
            }
            if Instant::now() >= deadline {
                return None;
            }
            sleep(LOOK);
        }
    }
}

fn is_held(lock: &File) -> bool {
    match lock.try_lock_shared() {
        Err(TryLockError::WouldBlock) => true,
        Err(TryLockError::Error(_)) => false,
        Ok(()) => {
            // It is given back at once; that cannot fail for a lock that we have.
            let _ = lock.unlock();
            false
        }
    }
}

fn leave(shutdown: &Shutdown) {
    shutdown.request(Urgency::Drain);
    sleep(STUBBORN);
    // Nobody else would end it.
    let _ = kill_process(getpid(), Signal::KILL);
}

#[cfg(test)]
mod tests {
    use std::thread::JoinHandle;

    use super::*;

    struct Place {
        folder: tempfile::TempDir,
    }

    impl Place {
        fn new() -> Self {
            let place = Place {
                folder: tempfile::tempdir().unwrap(),
            };
            place.own("first");
            place
        }

        fn lock(&self) -> PathBuf {
            self.folder.path().join("lock")
        }

        fn own(&self, name: &str) {
            std::fs::write(self.folder.path().join("owner"), name).unwrap();
        }

        fn ward(&self, patience: Duration) -> JoinHandle<()> {
            let ward = Ward {
                lock: self.lock(),
                owner: self.folder.path().join("owner"),
                patience,
            };
            let lock = File::open(self.lock()).unwrap();
            let watch = move || ward.until_alone(&lock, "first".into());
            thread::spawn_named("ward", watch).unwrap()
        }
    }

    #[test]
    fn there_is_one_guardian() {
        let place = Place::new();
        let first = Guardian::of(&place.lock()).unwrap();
        let second = Guardian::of(&place.lock());
        assert!(
            matches!(second, Err(GuardianError::Held { .. })),
            "{second:?}"
        );
        drop(first);
        Guardian::of(&place.lock()).unwrap();
    }

    #[test]
    fn a_ward_waits_for_its_guardian_and_leaves_without_a_successor() {
        let place = Place::new();
        let guardian = Guardian::of(&place.lock()).unwrap();
        let ward = place.ward(Duration::ZERO);
        sleep(LOOK * 2);
        assert!(!ward.is_finished(), "its guardian lives");
        drop(guardian);
        ward.join().unwrap();
    }

    #[test]
    fn a_ward_that_is_taken_over_stays_with_its_new_guardian() {
        let place = Place::new();
        let guardian = Guardian::of(&place.lock()).unwrap();
        let ward = place.ward(Duration::from_secs(3600));
        drop(guardian);
        let next = Guardian::of(&place.lock()).unwrap();
        place.own("second");
        sleep(LOOK * 4);
        assert!(!ward.is_finished());
        // A guardian that does not know it is none: its file still names the one before.
        drop(next);
        sleep(LOOK * 2);
        place.own("third");
        let last = Guardian::of(&place.lock()).unwrap();
        sleep(LOOK * 4);
        assert!(!ward.is_finished());
        drop(last);
    }
}
