//! Leaving without losing a request.
//!
//! The order: readiness off (the caller's) → *settling*: everything is still served, while each
//! client learns that it should go elsewhere → *refusing*: new requests are turned away, those in
//! flight finish → *closing*: what the kernel has accepted is answered, then the listeners and the
//! connections go → what did not make it within the limit is *cut*, and counted.
//!
//! [`Drain`] walks the stages; [`Draining`] is what everyone else sees of it.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

use crate::inflight::InFlight;
use crate::signals::{Shutdown, Urgency};

/// How long listeners and connections may take to notice that they are cut.
const CUT: Duration = Duration::from_secs(1);

/// How far the drain has come. Only ever advances.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    Open,
    /// Serve, and ask clients to leave.
    Settling,
    /// Answer new requests with 503.
    Refusing,
    /// As refusing; listeners and connections close.
    Closing,
    /// Connections are dropped as they are.
    Cut,
}

/// How long a drain may take: `settle`, then at most `timeout` for what is in flight.
#[derive(Debug, Clone, Copy)]
pub struct DrainLimits {
    pub settle: Duration,
    pub timeout: Duration,
}

impl Default for DrainLimits {
    fn default() -> Self {
        DrainLimits {
            settle: Duration::from_secs(5),
            timeout: Duration::from_secs(20),
        }
    }
}

/// How a drain went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DrainReport {
    /// Requests that were in flight and did not finish.
    pub cut: usize,
    pub took: Duration,
}

/// The driver; there is one in a process.
#[derive(Debug)]
pub struct Drain {
    stage: watch::Sender<Stage>,
    in_flight: InFlight,
    edges: TaskTracker,
}

/// What a listener or a handler sees of the drain. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Draining {
    stage: watch::Receiver<Stage>,
    in_flight: InFlight,
    edges: TaskTracker,
}

impl Default for Drain {
    fn default() -> Self {
        Drain {
            stage: watch::Sender::new(Stage::Open),
            in_flight: InFlight::new(),
            edges: TaskTracker::new(),
        }
    }
}

impl Drain {
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    #[must_use]
    pub fn draining(&self) -> Draining {
        Draining {
            stage: self.stage.subscribe(),
            in_flight: self.in_flight.clone(),
            edges: self.edges.clone(),
        }
    }

    #[must_use]
    pub fn in_flight(&self) -> &InFlight {
        &self.in_flight
    }

    /// Runs the drain to its end. The caller has turned readiness off. A shutdown that becomes
    /// urgent cuts at once.
    pub async fn run(&self, limits: DrainLimits, shutdown: &Shutdown) -> DrainReport {
        let started = Instant::now();
        self.edges.close();
        let finished = tokio::select! {
            finished = self.walk(limits) => finished,
            () = shutdown.reached(Urgency::Stop) => false,
        };
        let cut = if finished { 0 } else { self.in_flight.count() };
        self.stage.send_replace(Stage::Cut);
        // Dropping a connection takes no time; the limit is for a runtime that is stuck.
        let _ = tokio::time::timeout(CUT, self.edges.wait()).await;
        let took = started.elapsed();
        tracing::info!(
            event = "drained",
            cut,
            ms = took.as_secs_f64() * 1000.0,
            "drained"
        );
        DrainReport { cut, took }
    }

    /// Whether everything ended by itself.
    async fn walk(&self, limits: DrainLimits) -> bool {
        self.enter(Stage::Settling);
        tokio::time::sleep(limits.settle).await;
        self.enter(Stage::Refusing);
        self.in_flight.seal();
        let deadline = Instant::now() + limits.timeout;
        if self.in_flight.wait_idle(limits.timeout).await.is_err() {
            return false;
        }
        self.enter(Stage::Closing);
        tokio::time::timeout_at(deadline, self.edges.wait())
            .await
            .is_ok()
    }

    fn enter(&self, stage: Stage) {
        tracing::info!(event = "drain", stage = ?stage, in_flight = self.in_flight.count(), "drain");
        self.stage.send_replace(stage);
    }
}

impl Draining {
    /// A view of a drain that never comes.
    #[must_use]
    pub fn never() -> Self {
        Drain::new().draining()
    }

    #[must_use]
    pub fn stage(&self) -> Stage {
        *self.stage.borrow()
    }

    #[must_use]
    pub fn in_flight(&self) -> &InFlight {
        &self.in_flight
    }

    /// Waits until the drain has come to `stage` or beyond; for ever if it never does. Cancel safe.
    pub async fn reached(&self, stage: Stage) {
        if self
            .stage
            .clone()
            .wait_for(|now| *now >= stage)
            .await
            .is_err()
        {
            std::future::pending::<()>().await;
        }
    }

    /// Waits for the next change of stage; for ever if there is none. Cancel safe.
    pub(crate) async fn changed(&mut self) {
        if self.stage.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// While it lives, the drain is not over.
    pub(crate) fn hold(&self) -> TaskTrackerToken {
        self.edges.token()
    }
}
