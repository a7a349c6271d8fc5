//! Replicas that are played: HTTP over pipes in memory, with a passport and a manner of their own.

mod gateway;
mod passport;
mod replica;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use http::StatusCode;
use preheat_api::config::HealthIs;
use preheat_api::{Config, config};
use preheat_core::Slo;
use preheat_core::balance::BalancePolicy;
use preheat_core::hold::HoldPolicy;
use preheat_core::pool::PoolSize;
use preheat_core::rollout::RolloutPolicy;
use preheat_core::scaling::ScalePolicy;
use preheat_runtime::edge;
use preheat_runtime::keys::Keys;
use preheat_runtime::rates::Rates;
use preheat_runtime::tap::Tap;
use preheat_runtime::{Draining, EdgeConfig, Shell, Shutdown, Tasks};
use tokio::sync::{Semaphore, mpsc};

use crate::blueprint::Blueprint;
use crate::clock::Clock;
use crate::data::{self, ArrivalLimits, Arrivals, Front, FrontLimits};
use crate::decisions::Decisions;
use crate::fleet::{Fleet, FleetSettings};
use crate::metrics::Metrics;
use crate::rotation::Rotation;
use crate::service::{Service, Terms};
pub use gateway::Gateway;
pub use passport::passport;
use replica::Stage;

/// How replicas answer.
#[derive(Debug, Clone, Copy)]
pub enum Manner {
    /// With what they were sent, after so long.
    Takes(Duration),
    /// In so many pieces, one each time.
    Streams(usize, Duration),
    /// The first request of all meets a connection that breaks; the others are echoed.
    BreaksFirst,
    /// With a connection that breaks, and a process that lives.
    Breaks,
    /// The first request of all is turned away by a replica that had begun to leave.
    TurnsAwayFirst,
    /// With nothing but this.
    Says(StatusCode),
    /// As a call of gRPC that ends with this status.
    EndsWith(&'static str),
}

/// What may befall a replica that has served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Later {
    /// Its process lives and says nothing any more.
    Hangs,
    /// It says itself that it cannot go on: its server has died, for one.
    Fails,
    /// It never said anything: its process hung as it began.
    NeverSpoke,
}

/// The play and what was seen of it.
#[derive(Debug, Clone)]
pub struct Play {
    pub cold_start: Duration,
    /// The share by which one start differs from another, at most, and what that is drawn from.
    pub spread: (f64, u64),
    pub manner: Manner,
    /// What befalls the first replica of all, so long after it was ready.
    pub later: Option<(Duration, Later)>,
    /// This one breaks each request, while its process lives.
    pub breaks: Option<usize>,
    /// What the nth replica's model is made of.
    pub files: fn(usize) -> &'static str,
    /// What holds for each request to the service.
    pub request_timeout: Duration,
    /// Where each replica would start a server of somebody else's; empty: the model is ours.
    pub url: &'static str,
    pub rate: Option<f64>,
    /// Those of the revision that is rolled out.
    pub green: Green,
    pub seen: Arc<Seen>,
}

/// How replicas of the next revision are.
#[derive(Debug, Clone, Copy)]
pub struct Green {
    pub manner: Manner,
    /// What they say of themselves under load, whatever users find.
    pub under_load: Duration,
    pub errors_under_load: u64,
    /// Where their life leads.
    pub phase: &'static str,
    pub width: usize,
}

/// The source of the next revision.
pub const NEW: &str = "new";

#[derive(Debug, Default)]
pub struct Seen {
    started: AtomicUsize,
    alive: AtomicUsize,
    most_alive: AtomicUsize,
    in_flight: AtomicUsize,
    most_in_flight: AtomicUsize,
    asked: AtomicUsize,
    green_asked: AtomicUsize,
    loads: AtomicUsize,
}

impl Default for Play {
    fn default() -> Self {
        Play {
            cold_start: Duration::from_secs(1),
            spread: (0.0, 0),
            manner: Manner::Takes(Duration::from_millis(10)),
            later: None,
            breaks: None,
            files: |_| "files",
            request_timeout: Duration::from_secs(7200),
            url: "",
            rate: None,
            green: Green {
                manner: Manner::Takes(Duration::from_millis(10)),
                under_load: Duration::from_millis(10),
                errors_under_load: 0,
                phase: "ready",
                width: 8,
            },
            seen: Arc::default(),
        }
    }
}

impl Play {
    pub fn started(&self) -> usize {
        self.seen.started.load(SeqCst)
    }

    pub fn most_alive(&self) -> usize {
        self.seen.most_alive.load(SeqCst)
    }

    pub fn in_flight(&self) -> usize {
        self.seen.in_flight.load(SeqCst)
    }

    fn cold_start_of(&self, nth: usize) -> Duration {
        let (most, seed) = self.spread;
        let share = fastrand::Rng::with_seed(seed ^ ((nth as u64) << 32)).f64();
        self.cold_start.mul_f64(1.0 + most * (2.0 * share - 1.0))
    }

    /// At any one replica.
    pub fn most_in_flight(&self) -> usize {
        self.seen.most_in_flight.load(SeqCst)
    }

    /// Users' requests that met a replica of the next revision.
    pub fn green_asked(&self) -> usize {
        self.seen.green_asked.load(SeqCst)
    }

    pub fn loads(&self) -> usize {
        self.seen.loads.load(SeqCst)
    }

    pub fn asked(&self) -> usize {
        self.seen.asked.load(SeqCst)
    }

    /// A gateway before these replicas.
    pub fn gateway(&self, change: impl FnOnce(&mut FleetSettings, &mut HoldPolicy)) -> Gateway {
        let mut settings = FleetSettings {
            scale: ScalePolicy::default(),
            spares: PoolSize::Fixed(0),
            scaling: config::Upkeep::On,
            concurrency: 4,
            allow_unproven: false,
            slo: Slo::p95(Duration::from_millis(200)),
            drain_limit: Duration::from_secs(20),
            stop_limit: Duration::from_secs(22),
            rollout: RolloutPolicy::under(Duration::from_millis(200)),
        };
        let mut hold = HoldPolicy::default();
        change(&mut settings, &mut hold);
        let (clock, tasks) = (Clock::new(), Tasks::new());
        let policy = BalancePolicy::under(settings.slo);
        let lead = Duration::from_secs(5);
        let rotation = Arc::new(Rotation::new(policy, hold, lead, clock));
        let (service, commands) = Service::new("model".into(), rotation);
        let service = Arc::new(service.on(Terms {
            request_timeout: self.request_timeout,
            rates: Rates::new(self.rate),
            ..Terms::default()
        }));
        let metrics = Arc::new(Metrics::new(&["model".into()], "test"));
        let (events, inbox) = mpsc::channel(256);
        let stage = Box::new(Stage {
            play: self.clone(),
            events,
            tasks: tasks.clone(),
        });
        let decisions = Arc::<Decisions>::default();
        let fleet = Fleet::new(
            Arc::clone(&service),
            settings,
            blueprint(self.url),
            stage,
            Arc::clone(&decisions),
            Arc::clone(&metrics),
            clock,
        );
        let looping = fleet.run(inbox, commands, tasks.clone(), Shutdown::new());
        tasks.spawn("fleet", looping);
        let front = Arc::new(Front {
            services: vec![Arc::clone(&service)],
            keys: Keys::default(),
            rates: Rates::new(None),
            health_is: HealthIs::Live,
            limits: FrontLimits {
                max_body: 2_000_000,
                body_timeout: Duration::from_secs(10),
                arriving: ArrivalLimits {
                    requests: 1024,
                    bytes: 64_000_000,
                },
                tunnel_idle: Duration::from_secs(120),
            },
            arrivals: Arrivals::default(),
            watches: Arc::new(Semaphore::new(data::WATCHES)),
            metrics,
            draining: Draining::never(),
            tap: Tap::default(),
            id: "test".into(),
            asked: AtomicU64::new(1),
        });
        let (listener, dialer) = edge::memory();
        let shell = Shell::new(tasks.clone(), Draining::never());
        let serve = tower::service_fn(move |request| data::serve(Arc::clone(&front), request));
        let serving = edge::serve(listener, serve, EdgeConfig::default(), shell);
        tasks.spawn("door", async { serving.await.unwrap() });
        Gateway {
            decisions,
            service,
            dialer,
            tasks,
        }
    }
}

fn blueprint(url: &str) -> Blueprint {
    let mut model = config::Model {
        name: "model".into(),
        source: "old".into(),
        ..config::Model::default()
    };
    if !url.is_empty() {
        model.engine = config::EngineKind::Http;
        model.http.command = vec!["server".into()];
        model.http.url = url.into();
    }
    Blueprint::new(Config {
        model: vec![model],
        ..Config::default()
    })
}
