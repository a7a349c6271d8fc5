//! The lifecycle's driver: performs effects, feeds back what came of them.
//!
//! One task. It is the only one that steps the [`Lifecycle`]; everyone else reads the board. Work
//! runs beside it, one piece at a time, and is dropped when the replica has moved on.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use preheat_core::lifecycle::Exit;
use preheat_core::proof::Verdict;
use preheat_core::{
    Effect, Event, Failure, FailureKind, Lifecycle, LifecycleSettings, Pass, Phase,
};
use preheat_runtime::Tasks;
use preheat_runtime::signals::{Shutdown, Urgency};
use tokio::sync::mpsc;
use tokio::time::{sleep, sleep_until};
use tracing::{Instrument, Span};

use crate::clock::Clock;

/// What a lifecycle needs done. The replica does it for real, tests in simulated time.
pub trait Work: Send + Sync + 'static {
    /// Returns when there is a reason to start: at once, or at the first request.
    fn wanted(&self) -> impl Future<Output = ()> + Send;
    fn fetch(&self) -> impl Future<Output = Result<(), Failure>> + Send;
    fn load(&self) -> impl Future<Output = Result<(), Failure>> + Send;
    fn warm(&self) -> impl Future<Output = Result<(), Failure>> + Send;
    fn prove(&self) -> impl Future<Output = Result<Verdict, Failure>> + Send;
    /// Serves users, on this pass.
    fn open(&self, pass: Pass);
    /// Serves nobody any more.
    fn close(&self);
    /// Leaves in order; how many requests were cut.
    fn drain(&self) -> impl Future<Output = usize> + Send;
    /// Why a warm-up that takes too long has not ended, if that is known.
    fn obstacle(&self) -> Option<String> {
        None
    }
    /// The phase has changed.
    fn entered(&self, life: &Lifecycle);
}

/// What others may ask of a running replica.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    Rewarm,
    /// Something beside the lifecycle's own work found the replica unfit to serve.
    Fail(Failure),
}

/// Requests of others that may wait; more are refused.
pub const COMMANDS: usize = 4;

pub struct Driver<W> {
    life: Lifecycle,
    work: Arc<W>,
    clock: Clock,
    tasks: Tasks,
    shutdown: Shutdown,
    /// The work under way, to be dropped when the replica moves on.
    current: Option<tokio::task::AbortHandle>,
    /// Counts the pieces of work, so that a late word from an earlier one is known as such.
    piece: u64,
    /// The trace of the start: from the first effect to ready, with a span for each stage.
    startup: Span,
    done: mpsc::Sender<(u64, Event)>,
    events: mpsc::Receiver<(u64, Event)>,
}

impl<W: Work> Driver<W> {
    pub fn new(
        settings: LifecycleSettings,
        work: Arc<W>,
        clock: Clock,
        tasks: Tasks,
        shutdown: Shutdown,
    ) -> Self {
        // Each piece of work says one thing, and there is one piece at a time.
        let (done, events) = mpsc::channel(4);
        let life = Lifecycle::new(settings);
        let startup = tracing::info_span!("preheat.startup");
        Driver {
            startup,
            life,
            work,
            clock,
            tasks,
            shutdown,
            current: None,
            piece: 0,
            done,
            events,
        }
    }

    /// Lives the replica's life to its end.
    pub async fn run(mut self, mut commands: mpsc::Receiver<Command>) -> Exit {
        self.work.entered(&self.life);
        let work = Arc::clone(&self.work);
        self.start("wanted", async move {
            work.wanted().await;
            Event::Begun
        });
        let mut drain_asked = false;
        loop {
            let deadline = self
                .life
                .deadline()
                .map(|moment| self.clock.instant(moment));
            let event = tokio::select! {
                () = self.shutdown.reached(Urgency::Drain), if !drain_asked => {
                    drain_asked = true;
                    Event::Drain
                }
                Some((piece, event)) = self.events.recv() => {
                    if piece != self.piece {
                        continue;
                    }
                    event
                }
                Some(command) = commands.recv() => match command {
                    Command::Rewarm => Event::Rewarm,
                    Command::Fail(failure) => Event::Failed(failure),
                },
                () = sleep_until(deadline.unwrap_or_else(tokio::time::Instant::now)),
                    if deadline.is_some() => Event::TimedOut(self.too_slow()),
            };
            if let Some(exit) = self.step(event) {
                return exit;
            }
        }
    }

    fn step(&mut self, event: Event) -> Option<Exit> {
        let before = self.life.phase().clone();
        let effects = self.life.step(event, self.clock.now());
        let changed = self.life.phase() != &before;
        if changed {
            self.stop_work();
        }
        // "Ready" is said after the gate is open; anything else before its effects begin.
        let ready = self.life.phase() == &Phase::Ready;
        if changed && !ready {
            self.work.entered(&self.life);
        }
        let exit = effects
            .into_iter()
            .filter_map(|effect| self.perform(effect))
            .last();
        if changed && ready {
            self.work.entered(&self.life);
            self.startup = Span::none();
        }
        exit
    }

    fn perform(&mut self, effect: Effect) -> Option<Exit> {
        let work = Arc::clone(&self.work);
        match effect {
            Effect::Fetch => {
                self.start(
                    "fetch",
                    async move { ended(work.fetch().await, Event::Fetched) },
                )
            }
            Effect::Load => self.start(
                "load",
                async move { ended(work.load().await, Event::Loaded) },
            ),
            Effect::Warm => self.start(
                "warm",
                async move { ended(work.warm().await, Event::Warmed) },
            ),
            Effect::Prove => {
                self.start("prove", async move { judged(work.prove().await) });
            }
            Effect::Rewarm => self.start("rewarm", async move {
                match work.warm().await {
                    Ok(()) => judged(work.prove().await),
                    Err(failure) => Event::Failed(failure),
                }
            }),
            Effect::RetryAfter(pause) => self.start("retry", retry(pause)),
            Effect::Drain => self.start("drain", async move {
                Event::Drained {
                    cut: work.drain().await,
                }
            }),
            Effect::Open(pass) => self.work.open(pass),
            Effect::Close => self.work.close(),
            Effect::Exit(exit) => return Some(exit),
        }
        None
    }

    fn start(&mut self, name: &'static str, work: impl Future<Output = Event> + Send + 'static) {
        self.piece += 1;
        let (piece, done) = (self.piece, self.done.clone());
        let span = tracing::info_span!(parent: &self.startup, "stage", otel.name = name);
        let job = self.tasks.spawn(name, work.instrument(span));
        self.current = Some(job.abort_handle());
        self.tasks.spawn("report", async move {
            let event = match job.await {
                Ok(event) => event,
                Err(error) if error.is_cancelled() => return,
                Err(_) => Event::Failed(panicked(name)),
            };
            // The driver ends before its work only when the process does.
            let _ = done.send((piece, event)).await;
        });
    }

    fn stop_work(&mut self) {
        self.piece += 1;
        if let Some(work) = self.current.take() {
            work.abort();
        }
    }

    fn too_slow(&self) -> Failure {
        let cause = "the warm-up did not end within its time-out";
        let cause = match self.work.obstacle() {
            Some(obstacle) => format!("{cause}; {obstacle}"),
            None => cause.to_owned(),
        };
        let remedy = "raise [warmup] timeout, or give fewer and smaller cases";
        Failure::new(FailureKind::Warmup, self.life.phase(), cause, remedy)
    }
}

fn ended(result: Result<(), Failure>, event: Event) -> Event {
    match result {
        Ok(()) => event,
        Err(failure) => Event::Failed(failure),
    }
}

fn judged(result: Result<Verdict, Failure>) -> Event {
    match result {
        Ok(verdict) => Event::Judged(verdict),
        Err(failure) => Event::Failed(failure),
    }
}

async fn retry(pause: Duration) -> Event {
    sleep(pause).await;
    Event::RetryDue
}

fn panicked(what: &str) -> Failure {
    Failure {
        kind: FailureKind::Internal,
        stage: "internal",
        cause: format!("{what} ended in a panic"),
        remedy: "report it with the log".into(),
    }
}

#[cfg(test)]
mod tests;
