//! The engine's execution contexts, each on a thread of its own.
//!
//! Owns the threads and nothing else: who runs what is the batcher's business, or the warm-up's.
//! A panicking engine fails the batch it was given, never the process.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use preheat_engine::{Engine, Instance, Matrix, RunError, TokenBatch};
use preheat_runtime::thread::spawn_named;
use tokio::sync::oneshot;

/// Batches that may wait on one instance: the batcher's and a warm-up's.
const WAITING: usize = 2;

/// Handles to all instances of a model. Dropping the last one ends their threads.
#[derive(Debug, Clone)]
pub struct Instances {
    jobs: Vec<SyncSender<Job>>,
}

/// What came of a batch.
#[derive(Debug)]
pub struct Ran {
    pub instance: usize,
    pub took: Duration,
    pub result: Result<Matrix, RunError>,
}

struct Job {
    batch: TokenBatch,
    done: Box<dyn FnOnce(Ran) + Send>,
}

impl Instances {
    /// Opens `count` contexts.
    ///
    /// # Errors
    /// When the engine cannot open one, or the system has no thread left.
    pub fn open(engine: &dyn Engine, count: usize) -> Result<Self, RunError> {
        let jobs = (0..count.max(1))
            .map(|index| {
                let instance = engine.instance()?;
                let (jobs, inbox) = sync_channel(WAITING);
                spawn_named(&format!("instance-{index}"), move || {
                    run_all(index, instance, &inbox)
                })
                .map_err(|e| RunError::Engine(format!("no thread for an instance: {e}")))?;
                Ok(jobs)
            })
            .collect::<Result<_, RunError>>()?;
        Ok(Instances { jobs })
    }

    #[must_use]
    pub fn count(&self) -> usize {
        self.jobs.len()
    }

    /// Hands a batch to one instance; `done` is called on its thread. Hands the batch back when the
    /// instance is gone or has as much waiting as it may.
    pub fn start(
        &self,
        instance: usize,
        batch: TokenBatch,
        done: impl FnOnce(Ran) + Send + 'static,
    ) -> Result<(), TokenBatch> {
        let Some(jobs) = self.jobs.get(instance) else {
            return Err(batch);
        };
        jobs.try_send(Job {
            batch,
            done: Box::new(done),
        })
        .map_err(|e| match e {
            std::sync::mpsc::TrySendError::Full(job)
            | std::sync::mpsc::TrySendError::Disconnected(job) => job.batch,
        })
    }

    /// Runs a batch on one instance and waits for it.
    pub async fn run(&self, instance: usize, batch: TokenBatch) -> Ran {
        let (done, ran) = oneshot::channel();
        let started = self.start(instance, batch, move |r| {
            // Whoever asked may have left: nobody misses the answer then.
            let _ = done.send(r);
        });
        let failed = |why: &str| Ran {
            instance,
            took: Duration::ZERO,
            result: Err(RunError::Engine(why.into())),
        };
        match started {
            Ok(()) => ran.await.unwrap_or_else(|_| failed("the instance ended")),
            Err(_) => failed("the instance takes no more work"),
        }
    }
}

fn run_all(index: usize, mut instance: Box<dyn Instance>, inbox: &Receiver<Job>) {
    while let Ok(Job { batch, done }) = inbox.recv() {
        let began = Instant::now();
        let result = catch_unwind(AssertUnwindSafe(|| instance.run(&batch)))
            .unwrap_or_else(|_| Err(RunError::Engine("the engine panicked".into())));
        let result = result.and_then(|matrix| check(&batch, matrix));
        done(Ran {
            instance: index,
            took: began.elapsed(),
            result,
        });
    }
}

/// An engine that answers too little must never reach a user's answer by index.
fn check(batch: &TokenBatch, matrix: Matrix) -> Result<Matrix, RunError> {
    let wanted = batch.rows();
    if matrix.rows == wanted && matrix.data.len() == matrix.rows * matrix.cols {
        Ok(matrix)
    } else {
        let found = matrix.rows;
        Err(RunError::Engine(format!(
            "{found} rows of output for {wanted} rows of input"
        )))
    }
}
