//! Files that are replaced while the process lives: certificates and keys, which orchestrators rotate.
//!
//! They are looked at now and then, and read again where they have changed or SIGHUP asks for it. What
//! cannot be used is told, and what was read before stays.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use crate::keys::KeysError;
use crate::tasks::Tasks;
use crate::tls::TlsError;

/// Between two looks; what they cost is not worth a setting.
pub const PERIOD: Duration = Duration::from_secs(9);

/// Files that did not change for so long are written in full.
const SETTLED: Duration = Duration::from_millis(500);

/// Something that was read from files.
pub trait Reload: Send + Sync + 'static {
    fn files(&self) -> Vec<PathBuf>;

    /// Reads them again.
    ///
    /// # Errors
    /// Then everything stays as it was.
    fn reload(&self) -> Result<(), Unusable>;
}

/// Why what is there now is not taken.
#[derive(Debug, thiserror::Error)]
pub enum Unusable {
    #[error(transparent)]
    Tls(#[from] TlsError),
    #[error(transparent)]
    Keys(#[from] KeysError),
}

impl Unusable {
    /// What to do next.
    #[must_use]
    pub fn remedy(&self) -> &'static str {
        match self {
            Unusable::Tls(error) => error.remedy(),
            Unusable::Keys(error) => error.remedy(),
        }
    }
}

/// Follows `all` for as long as the process lives. `hangups` changes with each SIGHUP.
pub async fn follow(all: Vec<Arc<dyn Reload>>, mut hangups: watch::Receiver<u64>, tasks: Tasks) {
    let mut seen: Vec<_> = all.iter().map(|one| look(&one.files())).collect();
    let token = tasks.token().clone();
    loop {
        let asked = tokio::select! {
            asked = timeout(PERIOD, hangups.changed()) => match asked {
                Ok(Ok(())) => true,
                // Nobody can ask any more.
                Ok(Err(_)) => return,
                Err(_) => false,
            },
            () = token.cancelled() => return,
        };
        for (one, seen) in all.iter().zip(&mut seen) {
            // Before it is read: what changes meanwhile is seen at the next look.
            let now = look(&one.files());
            if now != *seen && !asked {
                // Somebody may be writing: half of a file, or one of two, is no change yet.
                sleep(SETTLED).await;
                if look(&one.files()) != now {
                    continue;
                }
            }
            if asked || now != *seen {
                read(Arc::clone(one), &tasks).await;
            }
            *seen = now;
        }
    }
}

/// The files may lie on a disk that hangs.
async fn read(one: Arc<dyn Reload>, tasks: &Tasks) {
    let files: Vec<_> = one
        .files()
        .iter()
        .map(|f| f.display().to_string())
        .collect();
    let files = files.join(", ");
    let reading = tasks.spawn_blocking("reload", move || one.reload());
    match reading.await {
        Ok(Ok(())) => tracing::info!(event = "reloaded", files, "files were read again"),
        Ok(Err(error)) => {
            let (cause, remedy) = (chain(&error), error.remedy());
            tracing::error!(
                event = "not_reloaded",
                files,
                cause,
                remedy,
                "changed files cannot be used: those read before stay"
            );
        }
        // The process ends, or it panicked, which was logged.
        Err(_) => {}
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(deeper) = source {
        text = format!("{text}: {deeper}");
        source = deeper.source();
    }
    text
}

/// What tells one state of a file from another. A mounted secret is exchanged by a link, so its inode
/// is another; a file that is written in place has other times.
#[derive(Debug, PartialEq, Eq)]
struct Stamp {
    inode: (u64, u64),
    length: u64,
    modified: Option<SystemTime>,
    changed: (i64, i64),
}

/// None of what is no file: a pipe gives its content once.
fn look(files: &[PathBuf]) -> Vec<Option<Stamp>> {
    files.iter().map(|path| stamp(path)).collect()
}

fn stamp(path: &Path) -> Option<Stamp> {
    use std::os::unix::fs::MetadataExt as _;
    let facts = fs::metadata(path).ok().filter(fs::Metadata::is_file)?;
    Some(Stamp {
        inode: (facts.dev(), facts.ino()),
        length: facts.len(),
        modified: facts.modified().ok(),
        changed: (facts.ctime(), facts.ctime_nsec()),
    })
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    struct Counted {
        path: PathBuf,
        reads: AtomicU64,
    }

    impl Reload for Counted {
        fn files(&self) -> Vec<PathBuf> {
            vec![self.path.clone()]
        }

        fn reload(&self) -> Result<(), Unusable> {
            self.reads.fetch_add(1, Ordering::SeqCst);
            let path = String::new();
            Err(KeysError::Empty { path }.into())
        }
    }

    /// Whatever came of it: what could not be used is tried again when it changes once more.
    #[tokio::test(start_paused = true)]
    async fn files_are_read_again_when_they_change_and_when_it_is_asked_for() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::write(path("a"), "a").unwrap();
        fs::write(path("b"), "b").unwrap();
        std::os::unix::fs::symlink(path("a"), path("link")).unwrap();
        let counted = Arc::new(Counted {
            path: path("link"),
            reads: AtomicU64::new(0),
        });
        let (hangups, tasks) = (watch::Sender::new(0), Tasks::new());
        let all = vec![Arc::clone(&counted) as Arc<dyn Reload>];
        let following = follow(all, hangups.subscribe(), tasks.clone());
        tasks.spawn("follow", following);
        let reads = async |least: u64| {
            sleep(PERIOD * 3).await;
            let reads = counted.reads.load(Ordering::SeqCst);
            assert_eq!(reads, least);
        };
        reads(0).await;
        fs::write(path("a"), "longer").unwrap();
        reads(1).await;
        // As Kubernetes does it.
        std::os::unix::fs::symlink(path("b"), path("next")).unwrap();
        fs::rename(path("next"), path("link")).unwrap();
        reads(2).await;
        hangups.send_modify(|count| *count += 1);
        reads(3).await;
    }
}
