//! The engine's execution contexts, each on a thread of its own.
//!
//! Owns the threads and nothing else: who runs what is the batcher's business, or the warm-up's.
//! A panicking engine fails the batch it was given, never the process.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::{Duration, Instant};

use preheat_engine::{Batch, Engine, Instance, Output, RunError, Signature, Tensor};
use preheat_runtime::thread;
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
    pub result: Result<Output, RunError>,
}

struct Job {
    batch: Batch,
    is_wanted: Box<dyn Fn() -> bool + Send>,
    done: Box<dyn FnOnce(Ran) + Send>,
}

impl Instances {
    /// Opens `count` contexts, each on the thread that it will run on. That thread, and those that
    /// the engine starts from it, give way to threads that answer: a probe must not wait for a
    /// batch.
    ///
    /// # Errors
    /// When the engine cannot open one, or the system has no thread left.
    pub fn open(engine: &Arc<dyn Engine>, count: usize) -> Result<Self, RunError> {
        let jobs = (0..count.max(1))
            .map(|index| {
                let (jobs, inbox) = sync_channel(WAITING);
                let (opened, answer) = sync_channel(1);
                let engine = Arc::clone(engine);
                let signature = engine.info().signature.clone();
                let body = move || {
                    thread::give_way();
                    match engine.instance() {
                        Ok(instance) => {
                            let _ = opened.send(Ok(()));
                            run_all(index, instance, &signature, &inbox);
                        }
                        Err(error) => {
                            let _ = opened.send(Err(error));
                        }
                    }
                };
                thread::spawn_named(&format!("instance-{index}"), body)
                    .map_err(|e| RunError::Engine(format!("no thread for an instance: {e}")))?;
                let ended = |_| RunError::Engine("an instance ended while it opened".into());
                answer.recv().map_err(ended)??;
                Ok(jobs)
            })
            .collect::<Result<_, RunError>>()?;
        Ok(Instances { jobs })
    }

    #[must_use]
    pub fn count(&self) -> usize {
        self.jobs.len()
    }

    /// Hands a batch to one instance, which may give up once it is not wanted any more; both are
    /// asked and told on its thread. An instance that is gone, or
    /// has as much waiting as it may, says so through `done`, at once.
    pub fn start(
        &self,
        instance: usize,
        batch: impl Into<Batch>,
        is_wanted: impl Fn() -> bool + Send + 'static,
        done: impl FnOnce(Ran) + Send + 'static,
    ) {
        let job = Job {
            batch: batch.into(),
            is_wanted: Box::new(is_wanted),
            done: Box::new(done),
        };
        let refused = match self.jobs.get(instance) {
            Some(jobs) => jobs.try_send(job).err().map(|error| match error {
                TrySendError::Full(job) | TrySendError::Disconnected(job) => job,
            }),
            None => Some(job),
        };
        if let Some(job) = refused {
            (job.done)(Ran::failed(instance, "the instance takes no more work"));
        }
    }

    /// Runs a batch on one instance and waits for it.
    pub async fn run(&self, instance: usize, batch: impl Into<Batch>) -> Ran {
        self.run_while(instance, batch, || true).await
    }

    /// The same, as long as it is wanted.
    pub async fn run_while(
        &self,
        instance: usize,
        batch: impl Into<Batch>,
        is_wanted: impl Fn() -> bool + Send + 'static,
    ) -> Ran {
        let (done, ran) = oneshot::channel();
        // Whoever asked may have left: nobody misses the answer then.
        let answer = move |ran| drop(done.send(ran));
        self.start(instance, batch, is_wanted, answer);
        ran.await
            .unwrap_or_else(|_| Ran::failed(instance, "the instance ended"))
    }
}

impl Ran {
    fn failed(instance: usize, why: &str) -> Self {
        Ran {
            instance,
            took: Duration::ZERO,
            result: Err(RunError::Engine(why.into())),
        }
    }
}

fn run_all(
    index: usize,
    mut instance: Box<dyn Instance>,
    signature: &Signature,
    inbox: &Receiver<Job>,
) {
    while let Ok(job) = inbox.recv() {
        let Job {
            batch,
            is_wanted,
            done,
        } = job;
        let began = Instant::now();
        let result = catch_unwind(AssertUnwindSafe(|| {
            batch.run_on(&mut *instance, &*is_wanted)
        }))
        .unwrap_or_else(|_| Err(RunError::Engine("the engine panicked".into())));
        let result = result.and_then(|output| check(&batch, output, signature));
        done(Ran {
            instance: index,
            took: began.elapsed(),
            result,
        });
    }
}

/// An engine that answers too little must never reach a user's answer by index.
fn check(batch: &Batch, output: Output, signature: &Signature) -> Result<Output, RunError> {
    let problem = match (batch, &output) {
        (Batch::Tokens(batch), Output::Rows(matrix)) => {
            let (found, wanted) = (matrix.rows, batch.rows());
            let whole = found == wanted && matrix.data.len() == matrix.rows * matrix.cols;
            (!whole).then(|| format!("{found} rows of output for {wanted} rows of input"))
        }
        (Batch::Tensors(inputs), Output::Tensors(outputs)) => {
            let rows = inputs
                .first()
                .filter(|_| signature.batched)
                .map(Tensor::rows);
            undeclared(outputs, signature, rows)
        }
        _ => Some("an output of another kind than its input".into()),
    };
    match problem {
        None => Ok(output),
        Some(problem) => Err(RunError::Engine(problem)),
    }
}

fn undeclared(outputs: &[Tensor], signature: &Signature, rows: Option<usize>) -> Option<String> {
    let (found, wanted) = (outputs.len(), signature.outputs.len());
    if found != wanted {
        return Some(format!("{found} outputs, {wanted} are declared"));
    }
    signature
        .outputs
        .iter()
        .zip(outputs)
        .find_map(|(spec, tensor)| {
            let unfit = spec.fits(tensor.element(), tensor.shape()).err();
            let short = rows.filter(|&rows| rows != tensor.rows());
            unfit.or_else(|| Some(format!("{} rows of output for {}", tensor.rows(), short?)))
        })
}
