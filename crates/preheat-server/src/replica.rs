//! One replica: binds its doors, lives its life, leaves in order.

pub(crate) mod keep;
mod model_work;
mod upkeep;
mod work;

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use preheat_core::lifecycle::Exit;
use preheat_core::proof::MemoryEvidence;
use preheat_core::{Failure, FailureKind, Moment, OnFailure, Phase, Span};
use preheat_runtime::edge::{self, Address, ConnectionCounters};
use preheat_runtime::rates::Rates;
use preheat_runtime::reload;
use preheat_runtime::tap::Tap;
use preheat_runtime::tls::Certificates;
use preheat_runtime::{
    BindError, Drain, InFlight, Listener, ProbeThread, Shell, Shutdown, Tasks, memory,
};
use tokio::sync::{Semaphore, mpsc, watch};

use crate::admin;
use crate::board::{Board, Facts};
use crate::clock::Clock;
use crate::door::Doors;
use crate::grpc;
use crate::http;
use crate::ledger::Ledger;
use crate::lifecycle::{COMMANDS, Command, Driver};
use crate::load;
use crate::metrics::Metrics;
use crate::report::Surroundings;
use crate::service::Service;
use crate::settings::{EngineSettings, Settings};
use crate::wrapped::Wrapped;
use work::ReplicaWork;

/// Where the log lines of phases come from: for whoever shows a start in another way.
pub const LIFECYCLE: &str = "preheat::lifecycle";

/// How long tasks may take to notice that the process ends.
const LAST_TASKS: Duration = Duration::from_secs(1);

/// Event streams at once: they share a thread with the probes.
const FOLLOWERS: usize = 64;

/// Everything that the front doors and the admin routes share.
#[derive(Debug)]
pub struct Replica {
    pub id: String,
    pub settings: Settings,
    pub service: Arc<Service>,
    pub board: Arc<Board>,
    pub metrics: Arc<Metrics>,
    pub ledger: Arc<Ledger>,
    /// Places for those who follow events.
    pub followers: Arc<Semaphore>,
    pub connections: Arc<ConnectionCounters>,
    pub memory_limit: u64,
    pub addresses: Addresses,
    pub secret: String,
    pub rates: Rates,
    /// Where copies of users' requests go while somebody records them.
    pub tap: Tap,
    /// What a drain waits for; connections that have left HTTP are entered here.
    pub in_flight: InFlight,
    /// Somebody else's server, where that is what stands behind the doors.
    pub wrapped: Option<Arc<Wrapped>>,
    pub tasks: Tasks,
    pub commands: mpsc::Sender<Command>,
    pub loads: mpsc::Sender<load::Order>,
    pub shutdown: Shutdown,
}

#[derive(Debug, Clone)]
pub struct Addresses {
    pub http: Address,
    pub grpc: Address,
    pub admin: Address,
}

impl Replica {
    /// What the report says besides the facts on the board.
    #[must_use]
    pub fn report(&self, show_source: bool) -> preheat_api::ReadinessReport {
        // Asked for once: it is most of what a probe costs.
        let usage = self.usage();
        let around = Surroundings {
            model: self.service.name.as_str(),
            instances: self.settings.model.instances,
            resident_bytes: usage.resident,
            memory: self.evidence(usage),
            now: self.now(),
            retries: self.settings.lifecycle.on_failure == OnFailure::Retry,
            floor: self.settings.floor.as_ref(),
            show_source,
        };
        self.board
            .read(|facts| crate::report::report(facts, &around))
    }

    /// Everything that is known, and every change of it.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<Facts> {
        self.board.watch()
    }

    /// The moment that it is now, on the clock of the facts.
    #[must_use]
    pub fn now(&self) -> Moment {
        self.board.clock().now()
    }

    #[must_use]
    pub fn memory(&self) -> MemoryEvidence {
        self.evidence(self.usage())
    }

    fn evidence(&self, usage: memory::Usage) -> MemoryEvidence {
        MemoryEvidence {
            peak_bytes: usage.peak,
            limit_bytes: self.memory_limit,
        }
    }

    /// Of this process, and of the server that it has started.
    fn usage(&self) -> memory::Usage {
        let own = memory::usage().unwrap_or_default();
        let server = self.wrapped.as_ref().map(|wrapped| wrapped.memory());
        let (resident, peak) = server.unwrap_or_default();
        memory::Usage {
            resident: own.resident + resident,
            peak: own.peak + peak,
        }
    }

    /// The metrics page.
    #[must_use]
    pub fn metrics_page(&self) -> String {
        self.metrics
            .page(self.usage(), self.memory_limit, &self.connections)
    }
}

/// A replica whose sockets are bound. It is alive; its life is lived by [`live`](Started::live).
pub struct Started {
    replica: Arc<Replica>,
    driver: Driver<ReplicaWork>,
    inbox: mpsc::Receiver<Command>,
    probes: ProbeThread,
    tasks: Tasks,
}

impl Started {
    /// For whoever wants to look on.
    #[must_use]
    pub fn replica(&self) -> Arc<Replica> {
        Arc::clone(&self.replica)
    }

    /// From here to the exit.
    pub async fn live(self) -> Exit {
        let exit = self.driver.run(self.inbox).await;
        self.probes.stop();
        if let Err(error) = self.tasks.close_and_wait(LAST_TASKS).await {
            tracing::debug!(event = "tasks_left", %error, "some tasks were still running");
        }
        exit
    }
}

/// Binds the sockets of a replica and makes it alive. Called inside a multi-thread runtime.
///
/// `started`: when the process began. `shutdown` is already fed by the signals.
///
/// # Errors
/// What keeps a replica from even being alive: an address, a certificate.
pub fn start(
    settings: Settings,
    started: Instant,
    tasks: Tasks,
    shutdown: Shutdown,
) -> Result<Started, Failure> {
    let clock = Clock::started_at(started);
    let doors = [&settings.http, &settings.grpc, &settings.admin];
    let [http, grpc, admin] = doors.map(|address| edge::bind(address));
    let (http, grpc, admin) = (
        http.map_err(not_bound)?,
        grpc.map_err(not_bound)?,
        admin.map_err(not_bound)?,
    );
    let tls = load_tls(&settings)?;

    let drain = Arc::new(Drain::new());
    let shell = Shell::new(tasks.clone(), drain.draining());
    let (commands, inbox) = mpsc::channel(COMMANDS);
    let (loads, orders) = mpsc::channel(load::ORDERS);
    let addresses = Addresses {
        http: http.address().clone(),
        grpc: grpc.address().clone(),
        admin: admin.address().clone(),
    };
    let replica = replica(
        settings,
        addresses,
        clock,
        &shell,
        (commands, loads),
        shutdown.clone(),
    )?;
    let front = http::router(&replica);
    let routes = admin::router(&replica, front.clone());
    let probes =
        ProbeThread::start(admin, routes, edge::EdgeConfig::default()).map_err(internal)?;
    let doors = [
        ("http", http, front),
        ("grpc", grpc, grpc::router(&replica)),
    ];
    serve(&replica, doors, tls.as_ref(), &shell);
    let keys = [&replica.settings.api_keys, &replica.settings.admin_keys];
    reload::start(keys, tls.as_ref(), &replica.shutdown, &replica.tasks);
    announce(&replica);

    let doors = Doors {
        http: replica.addresses.http.clone(),
        grpc: replica.addresses.grpc.clone(),
        tls,
        secret: replica.secret.clone(),
        model: replica.service.name.as_str().to_owned(),
        tasks: tasks.clone(),
    };
    let lifecycle = replica.settings.lifecycle;
    let work = ReplicaWork::new(Arc::clone(&replica), doors, drain, tasks.clone());
    work.begin(orders);
    let work = Arc::new(work);
    let driver = Driver::new(lifecycle, work, clock, tasks.clone(), shutdown);
    Ok(Started {
        replica,
        driver,
        inbox,
        probes,
        tasks,
    })
}

fn replica(
    settings: Settings,
    addresses: Addresses,
    clock: Clock,
    shell: &Shell,
    (commands, loads): (mpsc::Sender<Command>, mpsc::Sender<load::Order>),
    shutdown: Shutdown,
) -> Result<Arc<Replica>, Failure> {
    let board = Arc::new(Board::new(clock));
    let metrics = Arc::new(Metrics::new(settings.model.name.as_str(), crate::VERSION));
    let lazy = settings.model.load == preheat_api::config::LoadMode::Lazy;
    let service = Arc::new(Service::new(
        settings.model.name.clone(),
        settings.limits,
        lazy,
        Arc::clone(&board),
        Arc::clone(&metrics),
        shell.draining.clone(),
        &shell.tasks,
    ));
    let limit = || memory::limit().map_or(0, |limit| limit.bytes);
    Ok(Arc::new(Replica {
        id: random()?,
        secret: random()?,
        rates: Rates::new(settings.limits.rate),
        ledger: Arc::new(Ledger::new(clock)),
        followers: Arc::new(Semaphore::new(FOLLOWERS)),
        memory_limit: settings.memory_limit.unwrap_or_else(limit),
        connections: Arc::clone(&shell.connections),
        wrapped: match &settings.model.engine {
            EngineSettings::Http(http) => Some(Arc::new(Wrapped::new((**http).clone()))),
            _ => None,
        },
        tasks: shell.tasks.clone(),
        tap: Tap::default(),
        in_flight: shell.draining.in_flight().clone(),
        service,
        board,
        metrics,
        addresses,
        commands,
        loads,
        shutdown,
        settings,
    }))
}

type Door = (&'static str, Listener, Router);

fn serve(replica: &Replica, doors: [Door; 2], tls: Option<&Certificates>, shell: &Shell) {
    let config = edge::EdgeConfig {
        tls: tls.cloned(),
        ..replica.settings.edge.clone()
    };
    for (door, listener, router) in doors {
        let (config, shell, tasks) = (config.clone(), shell.clone(), shell.tasks.clone());
        tasks.spawn("listener", async move {
            if let Err(error) = edge::serve(listener, router, config, shell).await {
                tracing::error!(event = "listener_failed", door, %error, "a front door is closed");
            }
        });
    }
}

fn announce(replica: &Replica) {
    let Addresses { http, grpc, admin } = &replica.addresses;
    let took = replica.board.clock().now().since_start();
    let stage = "start".to_owned();
    replica.board.span(Span {
        stage,
        start: Moment::START,
        took,
        bytes: None,
        cpu: None,
    });
    tracing::info!(
        event = "listening",
        model = %replica.service.name,
        %http,
        %grpc,
        %admin,
        ms = crate::clock::millis(took),
        "listening on {http}, gRPC on {grpc}, admin on {admin}; alive after {}",
        crate::human::time(took)
    );
}

fn load_tls(settings: &Settings) -> Result<Option<Certificates>, Failure> {
    let Some(files) = &settings.tls_files else {
        return Ok(None);
    };
    Certificates::read(files.clone())
        .map(Some)
        .map_err(|error| {
            let (cause, remedy) = (error.to_string(), error.remedy());
            Failure::new(FailureKind::Configuration, &Phase::Starting, cause, remedy)
        })
}

fn not_bound(error: BindError) -> Failure {
    let kind = match error {
        BindError::InUse { .. } => FailureKind::AddressInUse,
        _ => FailureKind::Configuration,
    };
    Failure::new(kind, &Phase::Starting, error.to_string(), error.remedy())
}

fn internal(error: std::io::Error) -> Failure {
    let remedy = "raise the limits on threads and open files";
    Failure::new(
        FailureKind::Internal,
        &Phase::Starting,
        error.to_string(),
        remedy,
    )
}

/// 128 random bits in hexadecimal: a secret, or a name that nobody else has.
fn random() -> Result<String, Failure> {
    let mut bytes = [0u8; 16];
    getrandom::fill(&mut bytes).map_err(|error| internal(std::io::Error::other(error)))?;
    Ok(bytes
        .iter()
        .fold(String::new(), |text, byte| format!("{text}{byte:02x}")))
}
