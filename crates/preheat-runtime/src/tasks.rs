//! The one place that spawns tasks.
//!
//! Every task has a name, is counted, and can be told to stop; so a shutdown that hangs can say who
//! it waits for. A task that panics is logged under its name and harms nobody else.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::panic::{self, AssertUnwindSafe};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Spawns tasks, and knows which of them still run. Clones share everything.
#[derive(Clone, Debug, Default)]
pub struct Tasks {
    tracker: TaskTracker,
    token: CancellationToken,
    names: Names,
}

/// The tasks that were told to stop and had not done so when the wait ended.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("tasks still running: {}", names.join(", "))]
pub struct StillRunning {
    pub names: Vec<&'static str>,
}

impl Tasks {
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Runs `future` on the current runtime. It is up to the future to watch [`Tasks::token`].
    pub fn spawn<F>(&self, name: &'static str, future: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.spawn_on(name, future, &Handle::current())
    }

    /// Runs `future` on that runtime.
    pub fn spawn_on<F>(
        &self,
        name: &'static str,
        future: F,
        runtime: &Handle,
    ) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let running = self.names.enter(name);
        let watched = async move {
            let _running = running;
            match AssertUnwindSafe(future).catch_unwind().await {
                Ok(output) => output,
                Err(panic) => report_and_resume(name, panic),
            }
        };
        self.tracker.spawn_on(watched, runtime)
    }

    /// Runs `f` on a thread on which it may block.
    pub fn spawn_blocking<F, T>(&self, name: &'static str, f: F) -> JoinHandle<T>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        let running = self.names.enter(name);
        self.tracker.spawn_blocking(move || {
            let _running = running;
            match panic::catch_unwind(AssertUnwindSafe(f)) {
                Ok(output) => output,
                Err(panic) => report_and_resume(name, panic),
            }
        })
    }

    /// Cancelled when these tasks are to stop.
    #[must_use]
    pub fn token(&self) -> &CancellationToken {
        &self.token
    }

    /// A group that can be cancelled alone, is cancelled together with this one, and is waited for
    /// with this one.
    #[must_use]
    pub fn child(&self) -> Self {
        Tasks {
            token: self.token.child_token(),
            ..self.clone()
        }
    }

    /// How many tasks run now, those of other groups of the same tree included.
    #[must_use]
    pub fn count(&self) -> usize {
        self.tracker.len()
    }

    /// Tells every task to stop, and waits until the last one has.
    ///
    /// # Errors
    /// [`StillRunning`] when `limit` passes first; those tasks are left alone.
    pub async fn close_and_wait(&self, limit: Duration) -> Result<(), StillRunning> {
        self.token.cancel();
        self.tracker.close();
        match tokio::time::timeout(limit, self.tracker.wait()).await {
            Ok(()) => Ok(()),
            Err(_) => Err(StillRunning {
                names: self.names.list(),
            }),
        }
    }
}

/// Lets hyper run the streams of an HTTP/2 connection as tasks like all others.
impl<F> hyper::rt::Executor<F> for Tasks
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    fn execute(&self, future: F) {
        self.spawn("http2 stream", future);
    }
}

fn report_and_resume(name: &'static str, panic: Box<dyn std::any::Any + Send>) -> ! {
    let text = panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message");
    tracing::error!(
        event = "task_panicked",
        task = name,
        panic = text,
        "task panicked"
    );
    panic::resume_unwind(panic)
}

/// How many tasks of each name run.
#[derive(Clone, Default)]
struct Names(Arc<Mutex<BTreeMap<&'static str, usize>>>);

struct Running {
    names: Names,
    name: &'static str,
}

impl Names {
    fn enter(&self, name: &'static str) -> Running {
        *self.lock().entry(name).or_default() += 1;
        Running {
            names: self.clone(),
            name,
        }
    }

    fn list(&self) -> Vec<&'static str> {
        self.lock()
            .iter()
            .filter(|(_, count)| **count > 0)
            .map(|(name, _)| *name)
            .collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<&'static str, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(count) = self.names.lock().get_mut(self.name) {
            *count -= 1;
        }
    }
}

impl fmt::Debug for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.list()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn stops_all_and_names_those_who_do_not() {
        let tasks = Tasks::new();
        let token = tasks.token().clone();
        tasks.spawn("polite", async move { token.cancelled().await });
        tasks.spawn("deaf", std::future::pending::<()>());
        tasks.child().spawn("deaf", std::future::pending::<()>());
        assert_eq!(tasks.count(), 3);
        let error = tasks.close_and_wait(SECOND).await.unwrap_err();
        assert_eq!(
            error,
            StillRunning {
                names: vec!["deaf"]
            }
        );
        assert_eq!(error.to_string(), "tasks still running: deaf");
    }

    #[tokio::test]
    async fn a_group_is_cancelled_alone_or_with_its_parent() {
        let tasks = Tasks::new();
        let (one, two) = (tasks.child(), tasks.child());
        one.token().cancel();
        assert!(!two.token().is_cancelled() && !tasks.token().is_cancelled());
        tasks.close_and_wait(SECOND).await.unwrap();
        assert!(two.token().is_cancelled());
    }

    #[tokio::test]
    async fn a_panic_ends_its_own_task_alone() {
        let tasks = Tasks::new();
        let panics = tasks.spawn("panics", async { panic!("as planned") });
        let blocks = tasks.spawn_blocking("panics too", || panic!("as planned"));
        assert!(panics.await.unwrap_err().is_panic());
        assert!(blocks.await.unwrap_err().is_panic());
        assert_eq!(tasks.spawn("lives", async { 7 }).await.unwrap(), 7);
        tasks.close_and_wait(SECOND).await.unwrap();
    }
}
