//! The fleet loop of one service: the only writer of its wanted count and of its replicas' roles.
//!
//! It sleeps until something happens: an event of a replica, a request that found every permit
//! taken, a wish of an operator, or half a second. Each time it looks at everything, lets
//! `preheat_core` decide, does what was decided, and says what it did and why. It runs as one task;
//! nothing in it waits for anything but the next event.

mod act;
mod decide;
mod heard;
mod leave;
mod orders;
mod record;
mod replica;
mod rollout;
mod status;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use preheat_api::config::Upkeep;
use preheat_api::report::ErrorReport;
use preheat_api::state::BoundsState;
use preheat_core::fleet::{Role, StartBackoff, plan};
use preheat_core::pool::{Claims, Pool, PoolPolicy, PoolSize, Spares, StartTimes};
use preheat_core::rollout::RolloutPolicy;
use preheat_core::scaling::{Desired, ScalePolicy, Scaler};
use preheat_core::{Because, Capacity, Moment, ReplicaId, Revision, Slo};
use preheat_runtime::{Shutdown, Tasks};
use tokio::sync::mpsc;
use tokio::time::sleep;

use crate::blueprint::Blueprint;
use crate::clock::Clock;
use crate::decisions::Decisions;
use crate::metrics::Metrics;
use crate::provision::{Event, Inherited, Process};
use crate::rotation::Observed;
use crate::schedule::Schedule;
use crate::service::{Command, Service};
use crate::state::StateFile;
use record::Recorded;
use replica::{Replica, SUSPECT};
use rollout::{Changeover, Loaded};

/// Between two looks when nothing happens.
const PERIOD: Duration = Duration::from_millis(500);

/// Starts at once.
const STARTING: usize = 2;

/// Loads on a set whose outcome may wait: there is one at a time.
const LOADS: usize = 4;

/// How a replica comes to be.
pub trait Provision: Send + std::fmt::Debug {
    /// Starts one; the rest comes as events.
    ///
    /// # Errors
    /// When it cannot even be begun.
    fn start(&self, id: &ReplicaId, of: &Blueprint, pace: Pace) -> io::Result<Process>;
}

/// How much of the machine a replica takes until it proves itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    /// Users wait for it.
    Full,
    /// What those who serve leave.
    Behind,
}

#[derive(Debug, Clone, Copy)]
pub struct FleetSettings {
    pub scale: ScalePolicy,
    pub spares: PoolSize,
    /// Whether the load decides how many there are.
    pub scaling: Upkeep,
    /// Requests that one replica works on at once.
    pub concurrency: usize,
    pub allow_unproven: bool,
    pub slo: Slo,
    /// How long a replica may take to finish what it has.
    pub drain_limit: Duration,
    /// And then to end.
    pub stop_limit: Duration,
    pub rollout: RolloutPolicy,
}

#[derive(Debug)]
pub struct Fleet {
    service: Arc<Service>,
    settings: FleetSettings,
    /// As the configuration has them; orders change the settings.
    configured: BoundsState,
    provision: Box<dyn Provision>,
    decisions: Arc<Decisions>,
    metrics: Arc<Metrics>,
    clock: Clock,
    replicas: Vec<Replica>,
    /// What the gateway was told to serve.
    base: Revision,
    /// What serves.
    blueprint: Blueprint,
    changeover: Option<Changeover>,
    loaded: mpsc::Sender<Loaded>,
    loads: mpsc::Receiver<Loaded>,
    /// Arrivals a second at the last look.
    rate: f64,
    scaler: Scaler,
    pool: Pool,
    starts: StartTimes,
    claims: Claims,
    backoff: StartBackoff,
    started: u64,
    error: Option<ErrorReport>,
    schedule: Schedule,
    /// Where the service is written down; nowhere in simulated time.
    state: Option<StateFile>,
    recorded: Option<Recorded>,
    /// What was to be written down last could not be.
    unwritten: bool,
    /// What the load would have asked for, in rotation and out of it, where it is not asked.
    advised: (Option<usize>, Option<usize>),
    /// What was decided last, so that only news are noted.
    last: Option<(usize, usize, &'static str)>,
}

/// What a turn has decided.
struct Wanted {
    desired: Desired,
    spares: Spares,
    observed: Observed,
    capacity: Capacity,
}

impl FleetSettings {
    /// As they are written down.
    #[must_use]
    pub fn bounds(&self) -> BoundsState {
        BoundsState {
            min: self.scale.min,
            max: self.scale.max,
            fixed_spares: match self.spares {
                PoolSize::Auto => None,
                PoolSize::Fixed(count) => Some(count),
            },
        }
    }
}

impl Fleet {
    #[must_use]
    pub fn new(
        service: Arc<Service>,
        settings: FleetSettings,
        blueprint: Blueprint,
        provision: Box<dyn Provision>,
        decisions: Arc<Decisions>,
        metrics: Arc<Metrics>,
        clock: Clock,
    ) -> Self {
        let (loaded, loads) = mpsc::channel(LOADS);
        Fleet {
            service,
            scaler: Scaler::new(settings.scale),
            pool: Pool::new(PoolPolicy {
                size: settings.spares,
                burst: None,
                max_replicas: settings.scale.max,
            }),
            configured: settings.bounds(),
            settings,
            provision,
            decisions,
            metrics,
            clock,
            replicas: Vec::new(),
            base: blueprint.revision.clone(),
            blueprint,
            changeover: None,
            loaded,
            loads,
            rate: 0.0,
            starts: StartTimes::default(),
            claims: Claims::default(),
            backoff: StartBackoff::default(),
            started: 0,
            error: None,
            schedule: Schedule::default(),
            advised: (None, None),
            state: None,
            recorded: None,
            unwritten: false,
            last: None,
        }
    }

    /// With spares by the clock.
    #[must_use]
    pub fn on_schedule(mut self, schedule: Schedule) -> Self {
        self.schedule = schedule;
        self
    }

    /// Goes on where the gateway before this one was ended.
    #[must_use]
    pub fn after(mut self, inherited: Inherited, state: StateFile) -> Self {
        self.inherit(inherited);
        self.state = Some(state);
        self
    }

    /// Until the tasks are told to stop; then every replica is ended.
    pub async fn run(
        mut self,
        mut events: mpsc::Receiver<Event>,
        mut commands: mpsc::Receiver<Command>,
        tasks: Tasks,
        shutdown: Shutdown,
    ) {
        self.keep_to_one_address(self.clock.now());
        let token = tasks.token().clone();
        let service = Arc::clone(&self.service);
        loop {
            self.turn();
            let pause = self.pause();
            tokio::select! {
                biased;
                () = token.cancelled() => break,
                () = service.rotation.wake.notified() => {}
                Some(event) = events.recv() => {
                    self.on_event(event);
                    while let Ok(event) = events.try_recv() {
                        self.on_event(event);
                    }
                }
                Some(command) = commands.recv() => self.on_command(command),
                Some(loaded) = self.loads.recv() => self.on_loaded(loaded, self.clock.now()),
                () = sleep(pause) => {}
            }
        }
        self.end(&mut events, &shutdown).await;
    }

    /// Until the next look if nothing happens.
    fn pause(&self) -> Duration {
        let now = self.clock.now();
        match self.replicas.iter().any(|replica| replica.is_suspect(now)) {
            true => SUSPECT,
            false => PERIOD,
        }
    }

    /// One look at everything.
    fn turn(&mut self) {
        let now = self.clock.now();
        let observed = self.service.rotation.observe();
        for fact in &observed.facts {
            self.on_fact(fact, now);
        }
        let acts = self.settings.scaling == Upkeep::On;
        if let Some(since) = observed.starved.filter(|_| acts) {
            // As many as it takes for everybody who waits now.
            while self.claim(since, now) && self.service.rotation.held().0 > 0 {}
        }
        let proven: Vec<_> = self.ours().filter_map(Replica::ready_since).collect();
        for since in proven {
            self.backoff.lives(since, now);
        }
        let wanted = self.decide(observed, now);
        self.note_change(&wanted, now);
        for action in plan(&self.view(now), &self.wish(&wanted), now) {
            self.perform(action, now);
        }
        self.advance(now);
        self.hurry();
        self.record(&wanted);
        self.foresee(&wanted, now);
        let status = self.status(&wanted, now);
        self.service.publish(status);
    }

    /// Whether it is of the revision that serves: a request reaches no other.
    fn serves(&self, replica: &Replica) -> bool {
        replica.revision == self.blueprint.revision
    }

    fn ours(&self) -> impl Iterator<Item = &Replica> {
        self.replicas.iter().filter(|replica| self.serves(replica))
    }

    /// Places of those that serve, or would.
    fn warm(&self, role: Role, now: Moment) -> Vec<usize> {
        let is = |r: &Replica| self.serves(r) && r.role == role && r.is_warm(now);
        (0..self.replicas.len())
            .filter(|&at| is(&self.replicas[at]))
            .collect()
    }

    fn note(&self, action: &str, replica: Option<&ReplicaId>, because: &Because, now: Moment) {
        self.decisions
            .note(&self.service.name, action, replica, because, now);
    }
}
