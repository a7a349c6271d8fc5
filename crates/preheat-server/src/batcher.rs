//! Dynamic batching: rows of many requests run together, by shape class.
//!
//! One task owns the queue; requests send it their rows and wait for their answer. What runs next
//! is decided by [`preheat_core::batching`], on which instance by who is free. A request whose
//! client has left, or whose deadline has passed, gives up its places in the queue.

mod queue;
mod warmth;

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use preheat_core::admission::TokenCost;
use preheat_core::batching::{BatchLimits, Next};
use preheat_core::shape::Buckets;
use preheat_engine::{Batch, Output, RunError, Tensor};
use preheat_runtime::Tasks;
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::time::{Instant, sleep_until};

use crate::clock::Clock;
use crate::instances::{Instances, Ran};
use crate::metrics::Metrics;
use queue::{Chosen, Queue};
pub use warmth::{Coverage, Met};

/// Submissions on their way to the batcher's task: admission bounds what is behind them.
const INBOX: usize = 64;

/// What one request wants run.
#[derive(Debug)]
pub enum Items {
    /// Rows of tokens, each of which may run with whatever is beside it.
    Rows(Vec<Vec<u32>>),
    /// Tensors, which stay together.
    Tensors(Vec<Tensor>),
}

impl From<Vec<Vec<u32>>> for Items {
    fn from(rows: Vec<Vec<u32>>) -> Self {
        Items::Rows(rows)
    }
}

impl From<Vec<Tensor>> for Items {
    fn from(tensors: Vec<Tensor>) -> Self {
        Items::Tensors(tensors)
    }
}

/// One request's part of the queue.
#[derive(Debug)]
struct Submission {
    items: Items,
    synthetic: bool,
    deadline: Instant,
    reply: oneshot::Sender<Result<Answer, RunError>>,
    /// Held by whoever waits for the reply.
    waits: Weak<()>,
}

/// One request's output and where its time went.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// One row for each that was submitted, in order; tensors for tensors.
    pub output: Output,
    /// From submission to the start of the last batch that held a row of it.
    pub queued: Duration,
    /// Time of the longest batch that held a row of it.
    pub inference: Duration,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BatchError {
    #[error("the deadline has passed")]
    Deadline,
    #[error(transparent)]
    Run(#[from] RunError),
    #[error("the batcher has ended")]
    Gone,
}

/// What the batcher needs to know of its model.
#[derive(Debug, Clone)]
pub struct BatcherConfig {
    pub limits: BatchLimits,
    pub buckets: Buckets,
    pub grouping: Grouping,
}

/// What may share a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Grouping {
    /// Rows of any length.
    Mixed,
    /// Rows of one length class.
    ByLength,
    /// Tensors whose rows have one shape.
    ByShape,
    /// Nothing: a request runs alone.
    Alone,
}

/// Sends rows to the batcher's task. Clones share it; dropping the last one ends it.
#[derive(Debug, Clone)]
pub struct Batcher {
    inbox: mpsc::Sender<Submission>,
    board: Arc<Board>,
}

/// Figures that the task publishes and admission reads.
#[derive(Debug, Default)]
struct Board {
    /// Requests accepted and not yet submitted: rows that are on their way.
    arriving: AtomicUsize,
    all_arrived: Notify,
    queued_tokens: AtomicUsize,
    /// Expected time for what is queued, in nanoseconds.
    wait_nanos: AtomicU64,
    /// Rows of the largest batch that fits into memory; 0: as configured.
    cap: AtomicUsize,
}

/// Says that a request is being prepared; its rows are worth a short wait.
#[derive(Debug)]
pub struct Arriving(Arc<Board>);

impl Drop for Arriving {
    fn drop(&mut self) {
        if self.0.arriving.fetch_sub(1, Ordering::Relaxed) == 1 {
            // Nobody is left to wait for: rows that did must not sit their patience out.
            self.0.all_arrived.notify_one();
        }
    }
}

impl Batcher {
    #[must_use]
    pub fn start(
        config: BatcherConfig,
        instances: Instances,
        coverage: Coverage,
        metrics: Arc<Metrics>,
        clock: Clock,
        tasks: &Tasks,
    ) -> Self {
        let (inbox, submissions) = mpsc::channel(INBOX);
        let board = Arc::new(Board::default());
        let (done, completions) = mpsc::channel(instances.count());
        let task = Task {
            free: (0..instances.count()).collect(),
            queue: Queue::default(),
            cost: TokenCost::default(),
            alone: 0,
            board: Arc::clone(&board),
            config,
            instances,
            coverage,
            metrics,
            clock,
            done,
        };
        let token = tasks.token().clone();
        tasks.spawn("batcher", async move {
            // Whoever still holds a handle must not keep the process.
            tokio::select! {
                () = task.run(submissions, completions) => {}
                () = token.cancelled() => {}
            }
        });
        Batcher { inbox, board }
    }

    /// To be held from acceptance until [`run`](Self::run) is called.
    #[must_use]
    pub fn arriving(&self) -> Arriving {
        self.board.arriving.fetch_add(1, Ordering::Relaxed);
        Arriving(Arc::clone(&self.board))
    }

    /// How long a newcomer would wait before its own rows run.
    #[must_use]
    pub fn expected_wait(&self) -> Duration {
        Duration::from_nanos(self.board.wait_nanos.load(Ordering::Relaxed))
    }

    /// No batch may have more rows than this: more do not fit into memory.
    pub fn cap(&self, rows: usize) {
        let lower = |old| Some(if old == 0 { rows } else { rows.min(old) });
        let _ = self
            .board
            .cap
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, lower);
    }

    /// Runs the rows of one request. Dropping the future gives up their places, and a batch that
    /// nobody waits for any more.
    ///
    /// # Errors
    /// [`BatchError`]; a failing batch fails every request that had a row in it.
    pub async fn run(
        &self,
        items: impl Into<Items>,
        synthetic: bool,
        deadline: Instant,
        arriving: Arriving,
    ) -> Result<Answer, BatchError> {
        let (reply, answer) = oneshot::channel();
        let waiting = Arc::new(());
        let submission = Submission {
            items: items.into(),
            synthetic,
            deadline,
            reply,
            waits: Arc::downgrade(&waiting),
        };
        let whole = async {
            let _waiting = waiting;
            let place = self.inbox.reserve().await.map_err(|_| BatchError::Gone)?;
            // Arrived before it is seen: the task must not wait for the very row that it got.
            drop(arriving);
            place.send(submission);
            Ok(answer.await.map_err(|_| BatchError::Gone)??)
        };
        tokio::time::timeout_at(deadline, whole)
            .await
            .unwrap_or(Err(BatchError::Deadline))
    }
}

/// Everything that the batcher's task owns.
struct Task {
    config: BatcherConfig,
    instances: Instances,
    coverage: Coverage,
    metrics: Arc<Metrics>,
    clock: Clock,
    board: Arc<Board>,
    queue: Queue,
    cost: TokenCost,
    /// Requests that ran alone, to tell them apart.
    alone: usize,
    free: Vec<usize>,
    done: mpsc::Sender<(Ran, Chosen)>,
}

impl Task {
    async fn run(
        mut self,
        mut submissions: mpsc::Receiver<Submission>,
        mut completions: mpsc::Receiver<(Ran, Chosen)>,
    ) {
        let board = Arc::clone(&self.board);
        loop {
            let look_again = self.dispatch();
            self.publish();
            tokio::select! {
                // Answers first: they free an instance, and their clients have waited longest.
                biased;
                Some((ran, chosen)) = completions.recv() => self.finish(ran, chosen),
                submission = submissions.recv() => match submission {
                    Some(submission) => self.accept(submission),
                    None => return,
                },
                () = board.all_arrived.notified(), if look_again.is_some() => {}
                () = sleep_until(look_again.unwrap_or_else(Instant::now)),
                    if look_again.is_some() => {}
            }
        }
    }

    fn accept(&mut self, submission: Submission) {
        let classes = match &submission.items {
            Items::Rows(rows) => rows.iter().map(|row| self.row_class(row.len())).collect(),
            Items::Tensors(tensors) => vec![self.tensor_class(tensors)],
        };
        self.queue.push(submission, &classes, self.clock.now());
    }

    /// The class of a row, and what it costs.
    fn row_class(&self, length: usize) -> (usize, usize) {
        let padded = self.config.buckets.tokens_of(length);
        match self.config.grouping {
            Grouping::Mixed => (0, length),
            _ => (padded, padded),
        }
    }

    /// The class of a request's tensors, and its rows.
    fn tensor_class(&mut self, tensors: &[Tensor]) -> (usize, usize) {
        if self.config.grouping == Grouping::ByShape {
            let mut hasher = DefaultHasher::new();
            tensors
                .iter()
                .for_each(|tensor| tensor.shape().get(1..).hash(&mut hasher));
            // Shapes that only hash alike would fail as a batch, and not mix.
            return (
                hasher.finish() as usize,
                tensors.first().map_or(1, Tensor::rows),
            );
        }
        self.alone += 1;
        (self.alone, 1)
    }

    /// Starts batches as long as an instance is free and rows may run. Answers when to look again.
    fn dispatch(&mut self) -> Option<Instant> {
        // Also while every instance is busy: a hung engine must not let the queue grow.
        self.queue.drop_abandoned();
        while let Some(&instance) = self.free.last() {
            let arriving = self.board.arriving.load(Ordering::Relaxed);
            let now = self.clock.now();
            match self.limits().next(self.queue.waiting(), arriving, now) {
                Next::Idle => return None,
                Next::WaitUntil(moment) => return Some(self.clock.instant(moment)),
                Next::Run(places) => {
                    self.free.pop();
                    let chosen = self.queue.take(&places, now);
                    self.start(instance, chosen);
                }
            }
        }
        None
    }

    fn limits(&self) -> BatchLimits {
        let limits = self.config.limits;
        match self.board.cap.load(Ordering::Relaxed) {
            0 => limits,
            cap if matches!(self.config.grouping, Grouping::ByShape | Grouping::Alone) => {
                BatchLimits {
                    max_cost: limits.max_cost.min(cap),
                    ..limits
                }
            }
            cap => BatchLimits {
                max_rows: limits.max_rows.min(cap),
                ..limits
            },
        }
    }

    fn start(&mut self, instance: usize, mut chosen: Chosen) {
        let batch = match chosen.batch() {
            Ok(batch) => batch,
            Err(error) => {
                self.free.push(instance);
                let took = Duration::ZERO;
                let result = Err(RunError::Input(error.to_string()));
                self.queue.deliver(
                    chosen,
                    Ran {
                        instance,
                        took,
                        result,
                    },
                );
                return;
            }
        };
        let (rows, size) = extent(&batch);
        let shape = self.config.buckets.of(rows, size);
        let met = self.coverage.meet(instance, shape);
        chosen.is_first_of = met.cold.then_some(shape);
        if chosen.real_requests > 0 {
            self.coverage.served(shape, chosen.real_requests);
            self.metrics.batch(rows, met, chosen.real_requests);
        }
        let done = self.done.clone();
        let is_wanted = chosen.is_wanted();
        self.instances
            .start(instance, batch, is_wanted, move |ran| {
                // Each instance runs one of the task's batches at a time and has a place of its own.
                let _ = done.try_send((ran, chosen));
            });
    }

    fn finish(&mut self, ran: Ran, chosen: Chosen) {
        self.free.push(ran.instance);
        if ran.result.is_ok() {
            self.cost.learn(chosen.size(), ran.took);
        }
        if ran.result == Err(RunError::Abandoned) {
            if let Some(shape) = chosen.is_first_of {
                self.coverage.unmeet(ran.instance, shape);
            }
        } else if chosen.real_requests > 0 {
            self.metrics.inference(ran.took);
        }
        self.queue.deliver(chosen, ran);
    }

    fn publish(&self) {
        let tokens = self.queue.size();
        let wait = self.cost.expect(tokens, self.instances.count());
        self.board.queued_tokens.store(tokens, Ordering::Relaxed);
        self.board.wait_nanos.store(
            u64::try_from(wait.as_nanos()).unwrap_or(u64::MAX),
            Ordering::Relaxed,
        );
        self.metrics.queue_depth(self.queue.waiting().len());
    }
}

/// Rows of a batch, and the size of the largest: in tokens, or in elements.
#[must_use]
pub fn extent(batch: &Batch) -> (usize, usize) {
    match batch {
        Batch::Tokens(batch) => (batch.rows(), batch.longest()),
        Batch::Tensors(tensors) => {
            let rows = tensors.first().map_or(1, Tensor::rows).max(1);
            let elements: usize = tensors.iter().map(Tensor::len).sum();
            (rows, elements / rows)
        }
    }
}

#[cfg(test)]
mod tests;
