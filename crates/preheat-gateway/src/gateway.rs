//! One gateway: binds its doors, runs a fleet loop for each service, leaves in order.

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};

use preheat_api::state::ServiceState;
use preheat_core::balance::BalancePolicy;
use preheat_core::lifecycle::Exit;
use preheat_core::{Failure, FailureKind, Phase};
use preheat_runtime::cgroup::cell;
use preheat_runtime::edge::{self, Address};
use preheat_runtime::guardian::{Guardian, GuardianError};
use preheat_runtime::rates::Rates;
use preheat_runtime::reload;
use preheat_runtime::tap::Tap;
use preheat_runtime::tls::Certificates;
use preheat_runtime::{
    BindError, Drain, Lanes, Listener, ProbeThread, Shell, Shutdown, Tasks, Urgency,
};
use rustix::process::geteuid;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinHandle;
use tower::ServiceBuilder;

use crate::admin::{self, Admin};
use crate::blueprint::Blueprint;
use crate::clock::{Clock, millis};
use crate::data::{self, Arrivals, Front};
use crate::decisions::Decisions;
use crate::fleet::Fleet;
use crate::metrics::Metrics;
use crate::provision::{Inherited, LOCK, Owner, Provisioner};
use crate::rotation::Rotation;
use crate::service::{Service, Terms};
use crate::settings::{ServiceSettings, Settings};
use crate::state::StateFile;

/// Events of replicas that may wait for their loop.
const EVENTS: usize = 256;

/// How far ahead a forecast of the load is of use before any start was seen.
const LEAD: Duration = Duration::from_secs(5);

/// How long tasks may take to notice that the process ends.
const LAST_TASKS: Duration = Duration::from_secs(1);

/// A gateway whose sockets are bound and whose fleets begin to start.
#[derive(Debug)]
pub struct Gateway {
    front: Arc<Front>,
    settings: Settings,
    drain: Drain,
    probes: ProbeThread,
    loops: Vec<JoinHandle<()>>,
    /// The fleet loops' own, so that they outlive the listeners.
    fleet_tasks: Tasks,
    tasks: Tasks,
    shutdown: Shutdown,
    addresses: Addresses,
    /// Held as long as this gateway lives: its replicas watch it.
    _guardian: Guardian,
}

#[derive(Debug, Clone)]
pub struct Addresses {
    pub http: Address,
    pub grpc: Address,
    pub admin: Address,
}

/// Binds the sockets of a gateway and begins to start its replicas. Called inside a multi-thread
/// runtime.
///
/// `started`: when the process began. `shutdown` is already fed by the signals.
///
/// # Errors
/// What keeps a gateway from even being alive: an address, a certificate, a folder.
pub fn start(
    settings: Settings,
    started: Instant,
    tasks: Tasks,
    shutdown: Shutdown,
) -> Result<Gateway, Failure> {
    let clock = Clock::started_at(started);
    let doors = [&settings.http, &settings.grpc, &settings.admin];
    let [http, grpc, admin] = doors.map(|address| edge::bind(address));
    let (http, grpc, admin) = (
        http.map_err(not_bound)?,
        grpc.map_err(not_bound)?,
        admin.map_err(not_bound)?,
    );
    let addresses = Addresses {
        http: http.address().clone(),
        grpc: grpc.address().clone(),
        admin: admin.address().clone(),
    };
    let edge_config = edge_config(&settings)?;
    make_dir(&settings.dir)?;
    let guardian = Guardian::of(&settings.dir.join(LOCK)).map_err(|error| not_alone(&error))?;
    cell::sweep();
    let owner = Owner {
        dir: settings.dir.clone(),
        name: random()?,
    };

    let drain = Drain::new();
    let lanes = Lanes::start().map_err(|error| internal(&error))?;
    let shell = Shell::new(tasks.clone(), drain.draining()).on(lanes);
    let names: Vec<_> = settings.services.iter().map(|s| s.name.clone()).collect();
    let metrics = Arc::new(Metrics::new(&names, crate::VERSION));
    let decisions = Arc::new(Decisions::default());
    let fleet_tasks = tasks.child();
    let mut services = Vec::new();
    let mut loops = Vec::new();
    for of in &settings.services {
        let around = Around {
            tasks: &fleet_tasks,
            shutdown: &shutdown,
            decisions: &decisions,
            metrics: &metrics,
            clock,
            owner: &owner,
        };
        let (service, looping) = begin(of, &around);
        services.push(service);
        loops.push(looping);
    }
    let front = Arc::new(Front {
        services,
        keys: settings.keys.clone(),
        rates: Rates::new(settings.rate),
        health_is: settings.health_is,
        limits: settings.limits,
        arrivals: Arrivals::default(),
        watches: Arc::new(Semaphore::new(data::WATCHES)),
        metrics,
        draining: drain.draining(),
        tap: Tap::default(),
        id: random()?,
        asked: AtomicU64::new(1),
    });
    let admin_routes = admin::router(&Arc::new(Admin {
        front: Arc::clone(&front),
        address: admin.address().clone(),
        keys: settings.admin_keys.clone(),
        decisions,
        shutdown: shutdown.clone(),
        listeners: Arc::new(Semaphore::new(admin::LISTENERS)),
    }));
    let probes = ProbeThread::start(admin, admin_routes, edge::EdgeConfig::default());
    let gateway = Gateway {
        drain,
        probes: probes.map_err(|error| internal(&error))?,
        loops,
        fleet_tasks,
        tasks,
        shutdown,
        addresses,
        settings,
        front,
        _guardian: guardian,
    };
    gateway.serve([("http", http), ("grpc", grpc)], &edge_config, &shell);
    let keys = [&gateway.settings.keys, &gateway.settings.admin_keys];
    let tls = edge_config.tls.as_ref();
    reload::start(keys, tls, &gateway.shutdown, &gateway.tasks);
    gateway.announce(clock);
    Ok(gateway)
}

/// What all services share.
struct Around<'a> {
    tasks: &'a Tasks,
    shutdown: &'a Shutdown,
    decisions: &'a Arc<Decisions>,
    metrics: &'a Arc<Metrics>,
    clock: Clock,
    owner: &'a Owner,
}

/// One service and its loop, which goes on where another gateway was ended.
fn begin(of: &ServiceSettings, around: &Around<'_>) -> (Arc<Service>, JoinHandle<()>) {
    let policy = BalancePolicy::under(of.fleet.slo);
    let rotation = Arc::new(Rotation::new(policy, of.hold, LEAD, around.clock));
    let (service, commands) = Service::new(of.name.clone(), rotation);
    let service = Arc::new(service.on(Terms {
        nature: of.nature,
        route: of.route.clone(),
        request_timeout: of.request_timeout,
        rates: Rates::new(of.rate),
    }));
    let (events, inbox) = mpsc::channel(EVENTS);
    // Not the loop's own group: replicas are ended by it, in order, and not beside it.
    let local = of.local.clone();
    let provisioner = Provisioner::new(local, around.owner.clone(), Tasks::new(), events);
    let blueprint = Blueprint::new(of.local.config.clone());
    let file = StateFile::of(&of.local.dir);
    let inherited = inherit(of, &blueprint, &file, &provisioner);
    let fleet = Fleet::new(
        Arc::clone(&service),
        of.fleet,
        blueprint,
        Box::new(provisioner),
        Arc::clone(around.decisions),
        Arc::clone(around.metrics),
        around.clock,
    )
    .on_schedule(of.schedule.clone())
    .after(inherited, file);
    let (tasks, shutdown) = (around.tasks.clone(), around.shutdown.clone());
    let looping = fleet.run(inbox, commands, tasks, shutdown);
    (service, around.tasks.spawn("fleet", looping))
}

/// What the gateway before this one has left, if it was told to serve the same. A configuration that
/// was changed since is the last word: then nothing goes on.
fn inherit(
    of: &ServiceSettings,
    base: &Blueprint,
    file: &StateFile,
    provisioner: &Provisioner,
) -> Inherited {
    let same = |s: &ServiceState| s.name == of.name && s.base == base.revision.as_str();
    let state = file.read().unwrap_or_else(|error| {
        let remedy = error.remedy();
        tracing::warn!(event = "state_unusable", service = %of.name, %error, remedy, "this service begins anew");
        None
    });
    if let Some(left) = state.as_ref().filter(|state| !same(state)) {
        let serving = Blueprint::new(left.serving.clone());
        let promoted = serving.revision.as_str() != left.base;
        tracing::info!(event = "configuration_changed", service = %of.name, promoted, left = serving.source(),
            "the configuration has changed since: this service begins anew with it");
    }
    let state = state.filter(same);
    let mut known = vec![base.revision.clone()];
    if let Some(state) = &state {
        let rollout = state.rollout.iter().flat_map(|r| [&r.from, &r.to]);
        let configs = rollout.chain([&state.serving]);
        known.extend(configs.map(|config| Blueprint::new(config.clone()).revision));
    }
    Inherited {
        replicas: provisioner.adopt(&known),
        state,
    }
}

impl Gateway {
    #[must_use]
    pub fn addresses(&self) -> &Addresses {
        &self.addresses
    }

    #[must_use]
    pub fn services(&self) -> &[Arc<Service>] {
        &self.front.services
    }

    /// From here to the exit.
    pub async fn live(self) -> Exit {
        self.shutdown.reached(Urgency::Drain).await;
        let report = self.drain.run(self.settings.drain, &self.shutdown).await;
        // Nobody is answered any more, so the replicas have nothing left to do.
        self.fleet_tasks.token().cancel();
        for looping in self.loops {
            // A loop that panicked was logged; its replicas die with this process.
            let _ = looping.await;
        }
        clear(&self.settings);
        self.probes.stop();
        if let Err(error) = self.tasks.close_and_wait(LAST_TASKS).await {
            tracing::debug!(event = "tasks_left", %error, "some tasks were still running");
        }
        match report.cut {
            0 => Exit::Drained,
            cut => Exit::Cut(cut),
        }
    }

    fn serve(
        &self,
        doors: [(&'static str, Listener); 2],
        config: &edge::EdgeConfig,
        shell: &Shell,
    ) {
        for (door, listener) in doors {
            let (config, shell) = (config.clone(), shell.clone());
            let front = Arc::clone(&self.front);
            let service = ServiceBuilder::new()
                .option_layer(self.settings.cors_origins.layer())
                // Boxed here it is moved once; it is large, and every layer would move it again.
                .service_fn(move |request| Box::pin(data::serve(Arc::clone(&front), request)));
            self.tasks.spawn("listener", async move {
                if let Err(error) = edge::serve(listener, service, config, shell).await {
                    tracing::error!(event = "listener_failed", door, %error, "a front door is closed");
                }
            });
        }
    }

    fn announce(&self, clock: Clock) {
        let Addresses { http, grpc, admin } = &self.addresses;
        let names: Vec<_> = self
            .front
            .services
            .iter()
            .map(|s| s.name.as_str())
            .collect();
        tracing::info!(
            event = "listening",
            services = names.join(", "),
            %http,
            %grpc,
            %admin,
            ms = millis(clock.now().since_start()),
            "listening on {http}, gRPC on {grpc}, admin on {admin}"
        );
    }
}

/// After an end in order nothing goes on but a revision that was promoted: the configuration does not
/// know of it. What else was written down goes.
fn clear(settings: &Settings) {
    let folders = settings.services.iter().map(clear_service);
    let lock = [fs::remove_file(settings.dir.join(LOCK))];
    // Others may keep things in a folder that was given to us.
    let whole = [fs::remove_dir(&settings.dir)];
    for error in folders.chain(lock).chain(whole).filter_map(Result::err) {
        tracing::debug!(event = "files_left", %error, "files were left");
    }
}

fn clear_service(of: &ServiceSettings) -> io::Result<()> {
    let file = StateFile::of(&of.local.dir);
    let promoted = |s: &ServiceState| Blueprint::new(s.serving.clone()).revision.as_str() != s.base;
    let promoted = file.read().ok().flatten().filter(promoted);
    fs::remove_dir_all(&of.local.dir)?;
    let Some(state) = promoted else { return Ok(()) };
    // Bounds are the configuration's again, and a rollout begins anew or not at all.
    let bounds = of.fleet.bounds();
    file.write(&ServiceState {
        min: bounds.min,
        max: bounds.max,
        wanted: bounds.min,
        spares: 0,
        fixed_spares: bounds.fixed_spares,
        configured: Some(bounds),
        rollout: None,
        ..state
    })
}

fn edge_config(settings: &Settings) -> Result<edge::EdgeConfig, Failure> {
    let mut config = settings.edge.clone();
    if let Some(files) = &settings.tls_files {
        let tls = Certificates::read(files.clone())
            .map_err(|error| configuration(error.to_string(), error.remedy().into()))?;
        config.tls = Some(tls);
    }
    Ok(config)
}

/// Nobody else may reach the replicas' sockets, nor lay a folder for us where we would find it.
fn make_dir(dir: &PathBuf) -> Result<(), Failure> {
    let failed = |cause: String| {
        let remedy = "give another folder with fleet.dir".into();
        configuration(format!("{}: {cause}", dir.display()), remedy)
    };
    let made = fs::DirBuilder::new()
        .mode(0o700)
        .recursive(true)
        .create(dir);
    made.map_err(|error| failed(format!("it cannot be made: {error}")))?;
    let found = fs::symlink_metadata(dir).map_err(|error| failed(error.to_string()))?;
    let ours = found.is_dir() && found.uid() == geteuid().as_raw() && found.mode() & 0o022 == 0;
    match ours {
        true => Ok(()),
        false => Err(failed("others may write to it".into())),
    }
}

fn not_alone(error: &GuardianError) -> Failure {
    let remedy = "end the other gateway, or give each a folder of its own with fleet.dir";
    configuration(error.to_string(), remedy.into())
}

fn not_bound(error: BindError) -> Failure {
    let kind = match error {
        BindError::InUse { .. } => FailureKind::AddressInUse,
        _ => FailureKind::Configuration,
    };
    Failure::new(kind, &Phase::Starting, error.to_string(), error.remedy())
}

fn configuration(cause: String, remedy: String) -> Failure {
    Failure::new(FailureKind::Configuration, &Phase::Starting, cause, remedy)
}

fn internal(error: &io::Error) -> Failure {
    let remedy = "raise the limits on threads and open files";
    let cause = error.to_string();
    Failure::new(FailureKind::Internal, &Phase::Starting, cause, remedy)
}

/// A beginning of request ids that no other gateway has.
fn random() -> Result<String, Failure> {
    let mut bytes = [0u8; 4];
    getrandom::fill(&mut bytes).map_err(|error| internal(&io::Error::other(error)))?;
    Ok(bytes
        .iter()
        .fold(String::new(), |text, byte| format!("{text}{byte:02x}")))
}
