//! One service as its requests and those who look at it see it; its fleet loop writes it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use preheat_api::ReadinessReport;
use preheat_api::config::Route;
use preheat_api::service::{RolloutRequest, ScaleRequest, ServiceReport};
use preheat_core::ReplicaId;
use preheat_runtime::rates::Rates;
use tokio::sync::{mpsc, oneshot, watch};

use crate::rotation::Rotation;

/// Wishes that may wait for a loop.
const COMMANDS: usize = 16;

/// A model behind the gateway.
#[derive(Debug)]
pub struct Service {
    /// What clients call the model.
    pub name: String,
    pub rotation: Arc<Rotation>,
    pub terms: Terms,
    status: watch::Sender<Status>,
    /// Apart from the rest, which changes all the time.
    ready: watch::Sender<bool>,
    ready_once: AtomicBool,
    commands: mpsc::Sender<Command>,
}

/// What holds for a service's requests.
#[derive(Debug)]
pub struct Terms {
    pub nature: Nature,
    pub route: Route,
    /// An answer is of no use after it.
    pub request_timeout: Duration,
    /// What each caller may ask of this service.
    pub rates: Rates,
}

/// The way a single service is served that nobody has said more of.
impl Default for Terms {
    fn default() -> Self {
        Terms {
            nature: Nature::default(),
            route: Route::default(),
            request_timeout: Duration::from_secs(30),
            rates: Rates::new(None),
        }
    }
}

/// What is known of a service's requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Nature {
    /// Its routes are ours, and not those of somebody else's server.
    pub own: bool,
    /// Requests change nothing, so that one that may have been executed may be sent again. Always so
    /// for our own routes.
    pub pure: bool,
}

impl Default for Nature {
    fn default() -> Self {
        Nature {
            own: true,
            pure: true,
        }
    }
}

/// What the fleet loop says about its service.
#[derive(Debug, Clone)]
pub struct Status {
    pub report: ServiceReport,
    /// That of the replica which is furthest.
    pub best: Option<ReadinessReport>,
}

/// What may be asked of a fleet loop.
#[derive(Debug)]
pub enum Order {
    Scale(ScaleRequest),
    Rollout {
        wish: RolloutRequest,
        /// It came with a key.
        keyed: bool,
    },
    Promote,
    Rollback,
    Abort,
}

/// What a service is called that has a replica to answer with.
pub const READY: &str = "ready";

/// And one that needs none until somebody asks.
pub const IDLE: &str = "idle";

/// The first in words.
#[must_use]
pub fn ready_detail(serving: usize, of: usize) -> String {
    format!("ready: {serving} of {} replicas serve", of.max(serving))
}

fn is_ready(status: &str) -> bool {
    matches!(status, READY | IDLE)
}

/// An order, and who waits for what becomes of it.
#[derive(Debug)]
pub struct Command {
    pub order: Order,
    pub answer: oneshot::Sender<Result<(), String>>,
}

impl Service {
    /// A service, and what its fleet loop listens to.
    #[must_use]
    pub fn new(name: String, rotation: Arc<Rotation>) -> (Self, mpsc::Receiver<Command>) {
        let (commands, inbox) = mpsc::channel(COMMANDS);
        let report = ServiceReport {
            name: name.clone(),
            status: "not_ready".into(),
            detail: "starting".into(),
            min: 0,
            max: 0,
            wanted: 0,
            reason: String::new(),
            spares: 0,
            held: 0,
            held_bytes: 0,
            rate_rps: 0.0,
            capacity_rps: None,
            revision: String::new(),
            replicas: Vec::new(),
            rollout: None,
            error: None,
        };
        let service = Service {
            name,
            rotation,
            terms: Terms::default(),
            status: watch::Sender::new(Status { report, best: None }),
            ready: watch::Sender::new(false),
            ready_once: AtomicBool::new(false),
            commands,
        };
        (service, inbox)
    }

    #[must_use]
    pub fn on(self, terms: Terms) -> Self {
        Service { terms, ..self }
    }

    /// The loop's: how things are.
    pub fn publish(&self, status: Status) {
        if status.report.status == READY {
            self.ready_once.store(true, Ordering::Relaxed);
        }
        let ready = is_ready(&status.report.status);
        self.status.send_replace(status);
        self.ready.send_if_modified(|now| {
            let changed = *now != ready;
            *now = ready;
            changed
        });
    }

    /// Whether it is ready, or would be by the next request.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        is_ready(self.standing(&self.status.borrow()))
    }

    /// What it is called now: a request may be answered before the loop has come to say that somebody
    /// serves.
    fn standing<'a>(&self, published: &'a Status) -> &'a str {
        match self.rotation.is_empty() {
            true => &published.report.status,
            false => READY,
        }
    }

    /// Each change of that.
    #[must_use]
    pub fn watch_ready(&self) -> watch::Receiver<bool> {
        self.ready.subscribe()
    }

    /// Whether a replica has been ready since the gateway began, or none is needed.
    #[must_use]
    pub fn has_been_ready(&self) -> bool {
        self.ready_once.load(Ordering::Relaxed) || self.is_ready()
    }

    /// As last published, with what changes from request to request as it is now.
    #[must_use]
    pub fn status(&self) -> Status {
        let mut status = self.status.borrow().clone();
        if self.standing(&status) != status.report.status {
            let of = status.report.replicas.len();
            status.report.status = READY.into();
            status.report.detail = ready_detail(self.rotation.len(), of);
        }
        let report = &mut status.report;
        (report.held, report.held_bytes) = self.rotation.held();
        for replica in &mut report.replicas {
            let id = ReplicaId::new(replica.id.clone());
            let Some(seen) = self.rotation.look(&id) else {
                continue;
            };
            replica.in_flight = seen.in_flight;
            replica.answered = seen.answered;
            replica.latency_ms = Some(crate::clock::millis(seen.latency));
        }
        status
    }

    #[must_use]
    pub fn watch(&self) -> watch::Receiver<Status> {
        self.status.subscribe()
    }

    /// Has something done.
    ///
    /// # Errors
    /// Why it is not.
    pub async fn order(&self, order: Order) -> Result<(), String> {
        let gone = |_| "the gateway is stopping".to_owned();
        let (answer, answered) = oneshot::channel();
        let command = Command { order, answer };
        self.commands.send(command).await.map_err(|_| gone(()))?;
        answered.await.map_err(|_| gone(()))?
    }
}
