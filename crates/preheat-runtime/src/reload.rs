//! Files that are replaced while the process lives: certificates and keys, which orchestrators rotate.
//!
//! They are looked at now and then, and read again where they have changed or SIGHUP asks for it. What
//! cannot be used is told, and what was read before stays.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use crate::causes::chain;
use crate::keys::{Keys, KeysError};
use crate::signals::Shutdown;
use crate::tasks::Tasks;
use crate::tls::{Certificates, TlsError};

/// Between two looks; what they cost is not worth a setting.
pub const PERIOD: Duration = Duration::from_secs(9);

/// Files that did not change for so long are written in full.
const SETTLED: Duration = Duration::from_millis(500);

/// What takes longer lies on a disk that hangs, or is no file.
const SLOW: Duration = Duration::from_secs(5);

/// Something that was read from files.
pub trait Reload: Send + Sync + 'static {
    /// How its files were before they were read for the first time.
    fn first(&self) -> &Look;

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
    /// A pipe gives its content once, and may never give it.
    #[error("{} is no file", path.display())]
    NoFile { path: PathBuf },
}

impl Unusable {
    /// What to do next.
    #[must_use]
    pub fn remedy(&self) -> &'static str {
        match self {
            Unusable::Tls(error) => error.remedy(),
            Unusable::Keys(error) => error.remedy(),
            Unusable::NoFile { .. } => "put a file there, or restart with what is to be read",
        }
    }
}

/// Follows what a process serves with. Where nothing is read from files, SIGHUP is left to others.
pub fn start(keys: [&Keys; 2], tls: Option<&Certificates>, shutdown: &Shutdown, tasks: &Tasks) {
    let keys = keys.into_iter().filter_map(Keys::reload);
    follow_each(keys.chain(tls.map(Certificates::reload)), shutdown, tasks);
}

/// By itself: one that lies on a disk that hangs keeps nobody else.
fn follow_each(all: impl IntoIterator<Item = Arc<dyn Reload>>, shutdown: &Shutdown, tasks: &Tasks) {
    for one in all {
        tasks.spawn("reload", follow(one, shutdown.hangups(), tasks.clone()));
    }
}

/// Follows `one` for as long as the process lives. `hangups` changes with each SIGHUP.
async fn follow(one: Arc<dyn Reload>, mut hangups: watch::Receiver<u64>, tasks: Tasks) {
    let token = tasks.token().clone();
    let following = async {
        let mut seen = one.first().clone();
        loop {
            let asked = match timeout(PERIOD, hangups.changed()).await {
                Ok(Ok(())) => true,
                // Nobody can ask any more.
                Ok(Err(_)) => return,
                Err(_) => false,
            };
            if let Some(now) = pass(&one, &seen, asked, &tasks).await {
                seen = now;
            }
        }
    };
    tokio::select! {
        () = following => {}
        () = token.cancelled() => {}
    }
}

/// One look, and what follows from it. What was seen, unless nothing was made of it.
async fn pass(one: &Arc<dyn Reload>, seen: &Look, asked: bool, tasks: &Tasks) -> Option<Look> {
    // Before it is read: what changes meanwhile is seen at the next look.
    let now = look(seen, tasks).await?;
    if !asked {
        if now == *seen {
            return None;
        }
        // Somebody may be writing: half of a file, or one of two, is no change yet.
        sleep(SETTLED).await;
        if look(&now, tasks).await? != now {
            return None;
        }
    }
    read(one, &now, tasks).await;
    Some(now)
}

async fn look(seen: &Look, tasks: &Tasks) -> Option<Look> {
    let seen = seen.clone();
    apart(&seen.names(), tasks, move || seen.again()).await
}

async fn read(one: &Arc<dyn Reload>, now: &Look, tasks: &Tasks) {
    let (files, strange) = (now.names(), now.no_file());
    let one = Arc::clone(one);
    let reading = move || match strange {
        Some(path) => Err(Unusable::NoFile { path }),
        None => one.reload(),
    };
    match apart(&files, tasks, reading).await {
        Some(Ok(())) => tracing::info!(event = "reloaded", files, "files were read again"),
        Some(Err(error)) => {
            let (cause, remedy) = (chain(&error), error.remedy());
            tracing::error!(
                event = "not_reloaded",
                files,
                cause,
                remedy,
                "changed files cannot be used: those read before stay"
            );
        }
        None => {}
    }
}

/// Does it on a thread that may hang with a disk. One that does is told of and waited for, since the next
/// would hang as well. None: the process ends, or it panicked, which was logged.
async fn apart<T: Send + 'static>(
    files: &str,
    tasks: &Tasks,
    work: impl FnOnce() -> T + Send + 'static,
) -> Option<T> {
    let mut working = tasks.spawn_blocking("reload", work);
    if let Ok(done) = timeout(SLOW, &mut working).await {
        return done.ok();
    }
    let remedy = "look at the disk that they are on; they are followed again when it answers";
    tracing::error!(
        event = "not_reloaded",
        files,
        cause = "they cannot be read: their disk does not answer",
        remedy,
        "files are not followed any more: those read before stay"
    );
    working.await.ok()
}

/// Files, and how each was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Look(Vec<(PathBuf, State)>);

/// What is found at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
enum State {
    Nothing,
    NoFile,
    File(Stamp),
}

/// What tells one state of a file from another. A mounted secret is exchanged by a link, so its inode
/// is another; a file that is written in place has other times.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Stamp {
    inode: (u64, u64),
    length: u64,
    modified: Option<SystemTime>,
    changed: (i64, i64),
}

impl Look {
    /// Take it before the files are read: what changes meanwhile is seen later.
    #[must_use]
    pub fn at(files: impl IntoIterator<Item = PathBuf>) -> Self {
        let look = |path: PathBuf| {
            let state = state(&path);
            (path, state)
        };
        Look(files.into_iter().map(look).collect())
    }

    fn again(&self) -> Self {
        Look::at(self.0.iter().map(|(path, _)| path.clone()))
    }

    fn no_file(&self) -> Option<PathBuf> {
        let found = self.0.iter().find(|(_, state)| *state == State::NoFile);
        found.map(|(path, _)| path.clone())
    }

    fn names(&self) -> String {
        let names = self.0.iter().map(|(path, _)| path.display().to_string());
        names.collect::<Vec<_>>().join(", ")
    }
}

fn state(path: &Path) -> State {
    match fs::metadata(path) {
        Ok(facts) if facts.is_file() => State::File(Stamp {
            inode: (facts.dev(), facts.ino()),
            length: facts.len(),
            modified: facts.modified().ok(),
            changed: (facts.ctime(), facts.ctime_nsec()),
        }),
        Ok(_) => State::NoFile,
        Err(_) => State::Nothing,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::sync::mpsc;

    use tokio::task::yield_now;
    use tokio::time::advance;

    use super::*;

    struct Counted {
        first: Look,
        reads: AtomicU64,
        /// The first read waits for a word, where there is somebody to give it.
        hangs: std::sync::Mutex<Option<mpsc::Receiver<()>>>,
    }

    impl Counted {
        fn reads(&self) -> u64 {
            self.reads.load(Ordering::SeqCst)
        }

        async fn until(&self, reads: u64) {
            until(|| self.reads() == reads).await;
        }
    }

    /// Not by tokio's clock, which stands still while a thread that may block does something.
    async fn until(holds: impl Fn() -> bool) {
        let began = std::time::Instant::now();
        while !holds() {
            assert!(began.elapsed() < Duration::from_secs(60), "never");
            std::thread::sleep(Duration::from_millis(1));
            yield_now().await;
        }
    }

    impl Reload for Counted {
        fn first(&self) -> &Look {
            &self.first
        }

        fn reload(&self) -> Result<(), Unusable> {
            self.reads.fetch_add(1, Ordering::SeqCst);
            if let Some(word) = self.hangs.lock().unwrap().take() {
                let _ = word.recv();
            }
            let path = String::new();
            Err(KeysError::Empty { path }.into())
        }
    }

    /// A folder with a file that is followed.
    struct Followed {
        folder: tempfile::TempDir,
        counted: Arc<Counted>,
        shutdown: Shutdown,
        tasks: Tasks,
    }

    impl Followed {
        /// `link` leads to `a`. Nobody follows it yet.
        fn new(hangs: Option<mpsc::Receiver<()>>) -> Self {
            let folder = tempfile::tempdir().unwrap();
            let path = |name: &str| folder.path().join(name);
            fs::write(path("a"), "a").unwrap();
            fs::write(path("b"), "b").unwrap();
            symlink(path("a"), path("link")).unwrap();
            let counted = Arc::new(Counted {
                first: Look::at([path("link")]),
                reads: AtomicU64::new(0),
                hangs: std::sync::Mutex::new(hangs),
            });
            Followed {
                folder,
                counted,
                shutdown: Shutdown::new(),
                tasks: Tasks::new(),
            }
        }

        fn follow(self) -> Self {
            follow_each([self.one()], &self.shutdown, &self.tasks);
            self
        }

        fn one(&self) -> Arc<dyn Reload> {
            Arc::clone(&self.counted) as _
        }

        fn path(&self, name: &str) -> PathBuf {
            self.folder.path().join(name)
        }

        fn hang_up(&self) {
            self.shutdown.hang_up(false);
        }

        /// After some looks.
        async fn reads(&self) -> u64 {
            sleep(PERIOD * 3).await;
            self.counted.reads()
        }
    }

    /// Whatever came of it: what could not be used is tried again when it changes once more.
    #[tokio::test(start_paused = true)]
    async fn files_are_read_again_when_they_change_and_when_it_is_asked_for() {
        let followed = Followed::new(None).follow();
        assert_eq!(followed.reads().await, 0);
        fs::write(followed.path("a"), "longer").unwrap();
        assert_eq!(followed.reads().await, 1);
        // As Kubernetes does it.
        symlink(followed.path("b"), followed.path("next")).unwrap();
        fs::rename(followed.path("next"), followed.path("link")).unwrap();
        assert_eq!(followed.reads().await, 2);
        followed.hang_up();
        sleep(PERIOD / 2).await;
        assert_eq!(followed.counted.reads(), 3);
        assert_eq!(followed.reads().await, 3);
    }

    #[tokio::test(start_paused = true)]
    async fn what_changed_since_it_was_read_is_seen_by_who_comes_later() {
        let followed = Followed::new(None);
        fs::write(followed.path("a"), "longer").unwrap();
        assert_eq!(followed.follow().reads().await, 1);
    }

    /// A pipe would wait for somebody who writes.
    #[tokio::test(start_paused = true)]
    async fn what_is_no_file_is_not_opened() {
        let followed = Followed::new(None).follow();
        fs::remove_file(followed.path("link")).unwrap();
        symlink("/dev/null", followed.path("link")).unwrap();
        followed.hang_up();
        assert_eq!(followed.reads().await, 0);
        fs::remove_file(followed.path("link")).unwrap();
        fs::write(followed.path("link"), "back").unwrap();
        assert_eq!(followed.reads().await, 1);
    }

    /// It is told of, waited for and not tried beside itself; others are followed meanwhile, and it again
    /// when it is over.
    #[tokio::test(start_paused = true)]
    async fn a_read_that_hangs_ends_nothing() {
        let log = tempfile::NamedTempFile::new().unwrap();
        let lines = Arc::new(log.reopen().unwrap());
        let lines = tracing_subscriber::fmt().with_writer(lines).finish();
        let _lines = tracing::subscriber::set_default(lines);
        let (word, hangs) = mpsc::channel();
        let (hanging, other) = (Followed::new(Some(hangs)), Followed::new(None));
        follow_each(
            [hanging.one(), other.one()],
            &hanging.shutdown,
            &hanging.tasks,
        );
        yield_now().await;
        hanging.hang_up();
        hanging.counted.until(1).await;
        other.counted.until(1).await;
        let is_told = || {
            let told = fs::read_to_string(log.path()).unwrap();
            told.contains("disk does not answer")
        };
        assert!(!is_told());
        advance(SLOW).await;
        until(is_told).await;
        hanging.hang_up();
        other.counted.until(2).await;
        assert_eq!(hanging.counted.reads(), 1);
        word.send(()).unwrap();
        hanging.counted.until(2).await;
    }
}
