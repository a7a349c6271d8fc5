//! Somebody else's model server behind our doors: started or joined, warmed with requests, proven
//! through the front door, passed on to, and ended together with us.
//!
//! In reading order: what it is, how it is started, what the lifecycle does with it, how it is asked
//! and proven, how users reach it, and how it is kept warm.

mod ask;
pub mod forward;
pub mod keep;
mod prove;
mod start;
pub mod work;

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use axum::body::Body;
use preheat_runtime::Tasks;
use preheat_runtime::child::{Child, Ended};
use preheat_runtime::edge::Address;
use preheat_runtime::process_tree;
use preheat_runtime::replay::Reader;
use preheat_runtime::upstream::{Place, Upstream};

use crate::settings::HttpSettings;

/// Servers of others close idle connections after a few seconds; a request must not cross with that.
const IDLE: Duration = Duration::from_secs(3);

/// The server behind a replica's doors. The lifecycle's work starts and ends it; requests read it.
#[derive(Debug)]
pub struct Wrapped {
    pub settings: HttpSettings,
    running: RwLock<Option<Running>>,
    /// One is ended at a time, and the next one begins after that.
    ending: tokio::sync::Mutex<()>,
    /// As last sampled: reading it costs the server, and probes must cost nothing.
    resident: AtomicU64,
    peak: AtomicU64,
}

/// One that takes connections, or soon will. Clones share it.
#[derive(Debug, Clone)]
pub struct Running {
    pub address: Address,
    pub upstream: Arc<Upstream<Reader<Body>>>,
    /// None: somebody else started it.
    child: Option<Arc<Child>>,
    /// Its end is not a surprise.
    expected: Arc<AtomicBool>,
}

impl Wrapped {
    #[must_use]
    pub fn new(settings: HttpSettings) -> Self {
        Wrapped {
            settings,
            running: RwLock::default(),
            ending: tokio::sync::Mutex::default(),
            resident: AtomicU64::new(0),
            peak: AtomicU64::new(0),
        }
    }

    #[must_use]
    pub fn running(&self) -> Option<Running> {
        let running = self.running.read().unwrap_or_else(PoisonError::into_inner);
        running.clone()
    }

    /// Resident bytes of the server and all that it has started, as last sampled and at most.
    #[must_use]
    pub fn memory(&self) -> (u64, u64) {
        let read = |figure: &AtomicU64| figure.load(Ordering::Relaxed);
        (read(&self.resident), read(&self.peak))
    }

    /// Looks how much that is now.
    pub async fn sample(&self, tasks: &Tasks) {
        let pid = self
            .running()
            .and_then(|running| Some(running.child?.pid()));
        let looking = tasks.spawn_blocking("weigh server", move || {
            pid.map_or(0, process_tree::resident)
        });
        // One that panicked has seen nothing.
        let resident = looking.await.unwrap_or_default();
        self.resident.store(resident, Ordering::Relaxed);
        self.peak.fetch_max(resident, Ordering::Relaxed);
    }

    /// The routes that the plan speaks of, as a label: paths are the client's to invent.
    #[must_use]
    pub fn label(&self, path: &str) -> &'static str {
        let asked = |exchange: &crate::exchange::Exchange| {
            let templates = exchange.templates(&self.settings.spoken);
            templates.iter().any(|template| template.path == path)
        };
        match self.settings.exchanges.iter().any(asked) {
            true => "planned",
            false => "other",
        }
    }

    /// Ends the one that runs, if we started it: asked first, then by force.
    pub async fn end(&self) {
        let _one = self.ending.lock().await;
        if let Some(running) = self.take() {
            running.upstream.close();
            if let Some(child) = &running.child {
                let Ended { status, .. } = child.leave().await;
                tracing::info!(
                    event = "server_ended",
                    status,
                    "the server has ended: {status}"
                );
            }
        }
    }

    /// Ends it at once.
    pub async fn kill(&self) {
        let child = self.running().and_then(|running| {
            running.expected.store(true, Ordering::Relaxed);
            running.child
        });
        if let Some(child) = child {
            child.kill().await;
        }
    }

    fn take(&self) -> Option<Running> {
        let mut running = self.running.write().unwrap_or_else(PoisonError::into_inner);
        let running = running.take()?;
        running.expected.store(true, Ordering::Relaxed);
        Some(running)
    }

    fn install(&self, address: Address, child: Option<Child>, tasks: &Tasks) -> Running {
        let place = Place::At(address.clone());
        let upstream = Upstream::new(place.clone(), place, tasks.child()).idle_for(IDLE);
        let running = Running {
            address,
            upstream: Arc::new(upstream),
            child: child.map(Arc::new),
            expected: Arc::default(),
        };
        let mut place = self.running.write().unwrap_or_else(PoisonError::into_inner);
        *place = Some(running.clone());
        running
    }
}

/// As people would write it down, for the report.
impl fmt::Display for Wrapped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use crate::settings::Listens;
        match (&self.settings.command[..], &self.settings.listens) {
            ([], Listens::At(place)) => write!(f, "http://{place}"),
            ([], Listens::AtSocket(path)) => write!(f, "unix:{}", path.display()),
            (command, _) => f.write_str(&command.join(" ")),
        }
    }
}
